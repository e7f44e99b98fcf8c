"""The parts of `inception-lab time` that set times beside a trace: `--roofline` and `--plot`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inception_lab.cli.roofline_text import roofline_text
from inception_lab.cli.time_text import times_text
from inception_lab.errors import InceptionLabError
from inception_lab.files import write_bytes

if TYPE_CHECKING:
    from torch import nn

    from inception_lab.loading.model import ModelInputs
    from inception_lab.measure.roofline.result import Roofline

KINDS = (".svg", ".png")


def check_plot(path: Path | None) -> None:
    """Refuse a file that nothing can be drawn into.

    Raises:
        InceptionLabError: Its ending is not of a picture (exit code 2).
    """
    if path is not None and path.suffix.lower() not in KINDS:
        raise InceptionLabError(f"cannot draw into {str(path)!r}", hint="end it with .svg or .png")


def time_beside_trace(
    model: nn.Module,
    inputs: ModelInputs,
    keywords: Mapping[str, Any],
    depth: int | None,
    form: str,
    roofline: bool,
    plot: Path | None,
) -> str:
    """Time a model beside its trace, and draw what was asked for; returns the answer as text.

    Args:
        model: With weights.
        inputs: Of the model.
        keywords: Of `measure_roofline`.
        depth: Levels below the model at which modules have rows, None for layers.
        form: See `roofline_text`.
        roofline: False for the text of the times alone.
        plot: The file to draw into, if any.
    """
    from inception_lab import measure_roofline

    result = measure_roofline(model, inputs, **keywords)
    if plot is not None:
        _draw(result, depth or 1, plot)
    return roofline_text(result, depth, form) if roofline else times_text(result.times, depth, form)


def _draw(result: Roofline, depth: int, path: Path) -> None:
    from inception_lab.report.plots import macs_and_time_plot
    from inception_lab.report.plots.macs_and_time import MacsAndTime

    times = result.times
    images = macs_and_time_plot(MacsAndTime(times.context, result.macs_beside_time(depth), times.note))
    write_bytes(path, images[path.suffix.lower().lstrip(".")])
