"""The plot of `inception-lab time`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inception_lab.errors import InceptionLabError
from inception_lab.files import write_bytes

if TYPE_CHECKING:
    from inception_lab.measure.roofline.result import Roofline

KINDS = (".svg", ".png")


def check_plot(path: Path | None) -> None:
    """Refuse a file that nothing can be drawn into.

    Raises:
        InceptionLabError: Its ending is not of a picture (exit code 2).
    """
    if path is not None and path.suffix.lower() not in KINDS:
        raise InceptionLabError(f"cannot draw into {str(path)!r}", hint="end it with .svg or .png")


def draw_macs_beside_time(result: Roofline, depth: int, path: Path) -> None:
    """Draw each module's MACs beside its time into a file of the kind that its ending names.

    Args:
        result: Of a model.
        depth: Levels below the model at which modules have rows.
        path: The file, as `check_plot` lets it through.
    """
    from inception_lab.report.plots import macs_and_time_plot
    from inception_lab.report.plots.macs_and_time import MacsAndTime

    times = result.times
    images = macs_and_time_plot(MacsAndTime(times.context, result.macs_beside_time(depth), times.note))
    write_bytes(path, images[path.suffix.lower().lstrip(".")])
