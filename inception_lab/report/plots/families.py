"""The colours of families of models, the same in every plot of the same records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from inception_lab.record import Record
from inception_lab.report.plots.style import MACS, PALETTE

OTHERS = "other models"


def family_of(record: Record) -> str:
    """The architecture that a model is a version of, where its context tells it."""
    return str(record.context.get("family", OTHERS))


def family_colours(records: Sequence[Record]) -> Mapping[str, str]:
    """The colour of each family in the order of the records; the last one is that of all further ones."""
    families = dict.fromkeys(map(family_of, records))
    colours = [PALETTE[min(number, len(PALETTE) - 1)] for number in range(len(families))]
    return MappingProxyType(dict(zip(families, colours, strict=True)) if len(families) > 1 else {})


def colour_of(record: Record, colours: Mapping[str, str]) -> str:
    """The colour of a model, one for all where there is but one family."""
    return colours.get(family_of(record), MACS)
