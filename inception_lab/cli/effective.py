"""The effective receptive field on the command line: part of `inception-lab receptive-field`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from inception_lab.errors import InceptionLabError
from inception_lab.files import write_bytes
from inception_lab.loading.options import Tracing
from inception_lab.record import Row

if TYPE_CHECKING:
    from torch import nn

    from inception_lab.measure.effective_field import EffectiveField
    from inception_lab.running.inputs import Inputs

KINDS = (".svg", ".png")
DEFAULTS = {"layer": "", "samples": 4, "seeds": 5, "device": "cpu"}


def effective(
    name: str, tracing: Tracing, *, effective: bool, weights: Path | None, plot: Path | None, **how: Any
) -> Row:
    """Measure the effective field of MODEL and draw it, where that is asked for; empty where it is not.

    Args:
        name: MODEL.
        tracing: How it is built, and on what input it runs.
        effective: Whether to measure at all.
        weights: A state dict to load.
        plot: Where to draw it.
        **how: `layer`, `samples`, `seeds`, `device`.

    Raises:
        InceptionLabError: An option makes no sense without `--effective`, or another one (exit code 2).
    """
    if plot is not None and plot.suffix.lower() not in KINDS:
        raise InceptionLabError(f"cannot draw into {str(plot)!r}", hint="end it with .svg or .png")
    if not effective:
        given = how | {"weights": weights, "plot": plot}
        if idle := [f"--{name}" for name, value in given.items() if value]:
            raise InceptionLabError(f"{', '.join(idle)} without --effective", hint="add --effective")
        return {}
    how = {name: value or DEFAULTS[name] for name, value in how.items()}
    if how["device"] == "cuda":
        _refuse_missing_gpu()
    from inception_lab.loading.model import with_weights

    found = with_weights(name, tracing, weights, lambda model, inputs: _measured(model, inputs, **how))
    if plot is not None:
        write_bytes(plot, _drawn(name, found)[plot.suffix.lower().lstrip(".")])
    return _row(found)


def _refuse_missing_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        raise InceptionLabError("there is no CUDA device here", hint="use --device cpu")


def _measured(
    model: nn.Module, inputs: Inputs, layer: str, samples: int, seeds: int, device: str
) -> EffectiveField:
    from inception_lab.measure.effective_field import effective_field

    shape = inputs[0] if isinstance(inputs, list) and len(inputs) == 1 else None
    if not isinstance(shape, tuple):
        raise InceptionLabError("--effective takes a model with one floating input")
    return effective_field(model, shape, layer=layer, seeds=range(seeds), samples=samples, device=device)


def _drawn(name: str, found: EffectiveField) -> dict[str, bytes]:
    from inception_lab.report.plots import effective_field_plot
    from inception_lab.report.plots.effective import Effective

    areas = {area.share: area.pixels for area in found.areas}
    about = (name, found.unit.layer, found.device, found.inputs)
    if len(found.theoretical) != 2:
        raise InceptionLabError("only a field of two axes is drawn", hint="leave out --plot")
    (top, bottom), (left, right) = found.theoretical
    return effective_field_plot(Effective(*about, found.weight, ((top, bottom), (left, right)), areas))


def _row(found: EffectiveField) -> Row:
    """The result as plain data."""
    whole = found.theoretical_area.pixels
    return {
        "layer": found.unit.layer,
        "unit": list(found.unit.position),
        "inputs": found.inputs,
        "device": found.device,
        "theoretical_extent": [list(pair) for pair in found.theoretical],
        "theoretical_pixels": whole,
        "areas": [
            {"share": area.share, "pixels": area.pixels, "side": round(area.side, 1),
             "of_theoretical": round(area.pixels / whole, 4)}
            for area in found.areas
        ],
    }  # fmt: skip


def shown(measured: Row) -> str:
    """The result as lines; nothing where nothing was measured."""
    if not measured:
        return ""
    lines = [
        f"{area['share']:.0%} of the gradient of {measured['layer']}'s centre unit lies in "
        f"{area['pixels']:,} pixels, {area['of_theoretical']:.0%} of its theoretical field"
        for area in measured["areas"]
    ]
    return "\n".join([*lines, f"Mean of {measured['inputs']} random inputs on {measured['device']}"]) + "\n"
