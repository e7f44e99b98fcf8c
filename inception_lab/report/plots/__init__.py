"""Every plot by its name: adding one is an entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeVar

from matplotlib.figure import Figure

from inception_lab.errors import InceptionLabError
from inception_lab.record import Record
from inception_lab.report.contents import ReportData
from inception_lab.report.plots import (
    along_depth,
    by_module,
    comparison,
    effective,
    field_depth,
    field_spectrum,
    memory_timeline,
    saving,
)
from inception_lab.report.plots.canvas import image, styled
from inception_lab.report.plots.effective import Effective

KINDS = ("svg", "png")
"""The files that each plot is written to, by their endings."""

Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Plot(Generic[Subject]):
    """One plot.

    Attributes:
        draw: Draws it.
        caption: What is seen in it, in one sentence that is computed from the data.
        shown: Whether there is anything to see.
    """

    draw: Callable[[Subject], Figure]
    caption: Callable[[Subject], str]
    shown: Callable[[Subject], bool]

    def images(self, subject: Subject) -> dict[str, bytes]:
        """The plot as files by their endings, the same bytes every time."""
        with styled():
            figure = self.draw(subject)
            return {kind: image(figure, kind) for kind in KINDS}


MODEL_PLOTS: Mapping[str, Plot[ReportData]] = MappingProxyType(
    {
        "cost_by_module": Plot(by_module.draw, by_module.caption, by_module.shown),
        "cost_along_depth": Plot(along_depth.draw, along_depth.caption, along_depth.shown),
        "reduction_saving": Plot(saving.draw, saving.caption, saving.shown),
        "field_along_depth": Plot(field_depth.draw, field_depth.caption, field_depth.shown),
        "field_spectrum": Plot(field_spectrum.draw, field_spectrum.caption, field_spectrum.shown),
        "memory_timeline": Plot(memory_timeline.draw, memory_timeline.caption, memory_timeline.shown),
    }
)
"""The plots of one model's report, read-only."""

COMPARISON_PLOTS: Mapping[str, Plot[Sequence[Record]]] = MappingProxyType(
    {"comparison": Plot(comparison.draw, comparison.caption, comparison.shown)}
)
"""The plots of several models, read-only."""

EFFECTIVE_PLOT = Plot(effective.draw, effective.caption, effective.shown)
"""The plot of a run of the model, which is in no report."""


def effective_field_plot(found: Effective) -> dict[str, bytes]:
    """The theoretical field and the effective one on one picture, as files by their endings.

    Args:
        found: What was measured.

    Raises:
        InceptionLabError: The input has another number of spatial axes than two, or there is no gradient.
    """
    if not EFFECTIVE_PLOT.shown(found):
        what = f"a gradient of {found.weight.ndim} spatial axes, or of zeros, cannot be drawn"
        raise InceptionLabError(what, where=found.layer, hint="leave out --plot")
    return EFFECTIVE_PLOT.images(found)
