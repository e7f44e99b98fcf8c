"""The nets to trace: those of torchvision, timm and this project, and the hostile ones of the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from typing import Any

import torch
from torch import nn

import inception_lab as il
from inception_lab.models.card import Card
from inception_lab.models.cards import CARDS
from sweep.outcome import one_line

Build = tuple[nn.Module, Any]
"""A net and its inputs, as `il.trace` takes them."""


@dataclass(frozen=True)
class Subject:
    """A net that is not built yet.

    Args:
        package: Where it comes from.
        name: Its name there.
        make: Builds it and its inputs on the current default device.
        devices: Where to build it, one after the other until the trace succeeds.
        must_fail: True where an error is what must come out.
    """

    package: str
    name: str
    make: Callable[[], Build]
    devices: tuple[str, ...] = ("meta", "cpu")
    must_fail: bool = False


DECLARED_OPERATORS: list[torch.library.Library] = []
"""Keeps the declarations alive: they end with their library."""


def import_torchvision() -> Any:
    """Return the package; operators compiled for another build of torch are declared without kernels."""
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        DECLARED_OPERATORS.append(library)
        for name in ("nms", "qnms"):
            schema = f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            library.define(schema)  # type: ignore[no-untyped-call]
        import torchvision
    return torchvision


def from_torchvision() -> Iterator[Subject]:
    """Image and video classifiers, at the size that their weights were evaluated at."""
    models = import_torchvision().models
    for name in models.list_models(module=models) + models.list_models(module=models.video):
        yield Subject("torchvision", name, partial(_make_torchvision, models, name))


def _make_torchvision(models: Any, name: str) -> Build:
    weights, model = models.get_model_weights(name).DEFAULT, models.get_model(name, weights=None)
    size = [model.image_size] if hasattr(model, "image_size") else weights.transforms().crop_size
    video = name in models.list_models(module=models.video)
    clip = [weights.meta.get("min_temporal_size", 16)] if video else []
    return model, (1, 3, *clip, size[0], size[-1])


def from_timm() -> Iterator[Subject]:
    """Every architecture, at the input size of its default configuration."""
    import_torchvision()
    import timm

    for name in timm.list_models():
        yield Subject("timm", name, partial(_make_timm, timm, name))


def _make_timm(timm: Any, name: str) -> Build:
    model = timm.create_model(name, pretrained=False)
    return model, (1, *model.pretrained_cfg["input_size"])


def from_zoo() -> Iterator[Subject]:
    """This project's own models."""
    for name, card in CARDS.items():
        yield Subject("zoo", name, partial(_make_own, name, card))


def _make_own(name: str, card: Card) -> Build:
    return il.create_model(name, init_weights=False), (1, *card.input_size)


def from_hostile() -> Iterator[Subject]:
    """The hostile nets of the tests."""
    from support.hostile.table import HOSTILE

    for case in HOSTILE:
        yield Subject("hostile", case.name, partial(_make_hostile, case), ("cpu",), bool(case.error))


def _make_hostile(case: Any) -> Build:
    return case.make(), case.inputs


SOURCES: dict[str, Callable[[], Iterator[Subject]]] = {
    "torchvision": from_torchvision,
    "timm": from_timm,
    "zoo": from_zoo,
    "hostile": from_hostile,
}


def subjects(packages: Sequence[str], pattern: str, missing: dict[str, str]) -> Iterator[Subject]:
    """The nets whose name fits the pattern; a package that cannot be imported is noted in `missing`."""
    for package in packages:
        try:
            yield from (s for s in SOURCES[package]() if fnmatch(s.name, pattern))
        except (ImportError, RuntimeError) as error:
            missing[package] = one_line(error)
