"""Parameters and MACs: the size of several models against their work, and what each of them holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

from matplotlib.figure import Figure

from inception_lab.metrics import format_quantity
from inception_lab.record import Record
from inception_lab.report.plots.bubbles import Bubble, Bubbles, Guide, Scale, draw_bubbles
from inception_lab.report.plots.families import colour_of, family_colours
from inception_lab.report.plots.fitting import headline
from inception_lab.report.plots.wording import leader, partial_text, ratio_text, several_text
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.tables import is_reconstruction, model_labels, peak_of

GUIDES = tuple(Guide(1 / macs, f"{macs:,} MACs per parameter") for macs in (1, 10, 100, 1000, 10_000))


@dataclass(frozen=True)
class Model:
    """A model with its costs.

    Attributes:
        name: Its name.
        macs: Of one forward.
        params: Elements of parameters.
        peak_bytes: The most that the pass or step holds.
        colour: Of its family.
    """

    name: str
    macs: int
    params: int
    peak_bytes: int
    colour: str

    @property
    def reuse(self) -> float:
        """MACs per parameter."""
        return self.macs / self.params


def models_of(records: Sequence[Record]) -> list[Model]:
    """The models with all three costs, those with the largest peak first."""
    colours = family_colours(records)
    models = [
        Model(
            label, record.totals["macs"], record.totals["params"], peak_of(record), colour_of(record, colours)
        )
        for label, record in zip(model_labels(records), records, strict=True)
        if record.totals.get("macs") and record.totals.get("params") and peak_of(record)
    ]
    return sorted(models, key=lambda model: (-model.peak_bytes, model.name))


def has_content(records: Sequence[Record]) -> bool:
    """True where two models have all three costs."""
    return len(models_of(records)) > 1


def caption(records: Sequence[Record]) -> str:
    """The ends of MACs per parameter and of peaks with their models, in one sentence."""
    models = models_of(records)
    names, reuse = [model.name for model in models], [model.reuse for model in models]
    peaks = [model.peak_bytes for model in models]
    least, most = leader(names, [-value for value in reuse]), leader(names, reuse)
    missing = len(records) - len(models)
    return (
        f"Each parameter takes part in {format_quantity(min(reuse))} MACs in {least} and in "
        f"{format_quantity(max(reuse))} in {most}; peaks, the areas, go from "
        f"{format_quantity(min(peaks), 'bytes')} in {leader(names, [-peak for peak in peaks])} to "
        f"{format_quantity(max(peaks), 'bytes')} in {leader(names, peaks)}"
        f"{f'; {missing} without these costs left out' * bool(missing)}."
    )


def _title(models: Sequence[Model]) -> str:
    """The two models whose parameters and MACs contradict each other most, or the smallest and largest."""
    large, small = max(permutations(models, 2), key=lambda pair: _contrast(*pair))
    if _contrast(large, small):
        params, macs = ratio_text(large.params / small.params), ratio_text(small.macs / large.macs)
        return f"{headline(large.name)}: {params} the parameters of {headline(small.name)}, {macs} fewer MACs"
    large, small = max(models, key=_size), min(models, key=_size)
    params, macs = ratio_text(large.params / small.params), ratio_text(large.macs / small.macs)
    return f"{headline(large.name)}: {params} the parameters and {macs} the MACs of {headline(small.name)}"


def _contrast(one: Model, other: Model) -> float:
    """The smaller of two ratios: how many times more parameters, and how many times fewer MACs; or 0."""
    ratios = one.params / other.params, other.macs / one.macs
    return min(ratios) if min(ratios) > 1 else 0


def _size(model: Model) -> tuple[int, int]:
    return model.macs, model.params


def draw(records: Sequence[Record], size: PlotSize = PAGE) -> Figure:
    """A bubble per model: across its MACs, upwards its parameters, by area its peak memory."""
    models = models_of(records)
    subtitle = f"Parameters against MACs · {several_text(records)}{partial_text(records)}"
    plot = Bubbles(
        heading=(_title(models), subtitle),
        models=[_bubble(model) for model in models],
        x=Scale("MACs of one forward (log)"),
        y=Scale("Parameters (log)"),
        key=list(family_colours(records).items()),
        notes=["*: a reconstruction"] * any(map(is_reconstruction, records)),
        guides=GUIDES,
    )
    return draw_bubbles(plot, size)


def _bubble(model: Model) -> Bubble:
    style = {"facecolor": f"{model.colour}cc", "edgecolor": "white", "linewidth": 1.0}
    return Bubble(model.name, (model.macs, model.params), style, model.peak_bytes)
