"""The plot of `inception-lab time`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inception_lab.files import write_bytes
from inception_lab.report.sizes import plot_kind, size_of

if TYPE_CHECKING:
    from inception_lab.measure.roofline.result import Roofline


def draw_macs_beside_time(result: Roofline, depth: int, path: Path, size: str) -> None:
    """Draw each module's MACs beside its time into a file of the kind that its ending names.

    Args:
        result: Of a model.
        depth: Levels below the model at which modules have rows.
        path: The file.
        size: Name of the size that it is drawn for.
    """
    from inception_lab.report.plots import macs_and_time_plot
    from inception_lab.report.plots.macs_and_time import MacsAndTime

    times = result.times
    subject = MacsAndTime(times.context, result.macs_beside_time(depth), times.note)
    kind = plot_kind(path)
    write_bytes(path, macs_and_time_plot(subject, size_of(size), [kind])[kind])
