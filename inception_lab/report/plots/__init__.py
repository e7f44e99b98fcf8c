"""Every plot by its name: adding one is an entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeVar

from inception_lab.errors import InceptionLabError, nearest
from inception_lab.record import Record
from inception_lab.report import matplotlib_import  # noqa: F401 - before anything imports it
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots import (
    along_depth,
    by_module,
    comparison,
    effective,
    error_and_macs,
    field_and_depth,
    field_depth,
    field_spectrum,
    front,
    gradient_flow,
    influence,
    macs_and_latency,
    macs_and_time,
    memory_timeline,
    params_and_macs,
    saving,
    saving_levels,
    time_and_macs,
    training,
)
from inception_lab.report.plots.effective import Effective
from inception_lab.report.plots.flow_models import FIGURES, FlowsPlot
from inception_lab.report.plots.image_files import image
from inception_lab.report.plots.influence_cells import Influence
from inception_lab.report.plots.macs_and_latency import MacsAndLatency
from inception_lab.report.plots.macs_and_time import MacsAndTime
from inception_lab.report.plots.style import plot_style
from inception_lab.report.plots.sweep_figures import SweepFigures
from inception_lab.report.plots.training_runs import TrainingPlot
from inception_lab.report.sizes import PAGE, PlotSize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Subject = TypeVar("Subject")


@dataclass(frozen=True)
class Plot(Generic[Subject]):
    """One plot.

    Attributes:
        draw: Draws it, laid out for a size.
        caption: Tells its main finding in one sentence that is computed from the data.
        has_content: Tells if there is anything to see.
    """

    draw: Callable[[Subject, PlotSize], Figure]
    caption: Callable[[Subject], str]
    has_content: Callable[[Subject], bool]

    def images(self, subject: Subject, size: PlotSize = PAGE, kinds: Sequence[str] = ()) -> dict[str, bytes]:
        """The plot as files by their endings, the same bytes every time.

        Args:
            subject: The thing to draw.
            size: To lay it out for.
            kinds: Endings from `KINDS`; without any, those of the size.
        """
        with plot_style():
            figure = self.draw(subject, size)
            return {kind: image(figure, kind, size) for kind in kinds or size.kinds}


MODEL_PLOTS: Mapping[str, Plot[ReportContents]] = MappingProxyType(
    {
        "cost_by_module": Plot(by_module.draw, by_module.caption, by_module.has_content),
        "cost_along_depth": Plot(along_depth.draw, along_depth.caption, along_depth.has_content),
        "reduction_saving": Plot(saving.draw, saving.caption, saving.has_content),
        "saving_by_level": Plot(saving_levels.draw, saving_levels.caption, saving_levels.has_content),
        "field_along_depth": Plot(field_depth.draw, field_depth.caption, field_depth.has_content),
        "field_spectrum": Plot(field_spectrum.draw, field_spectrum.caption, field_spectrum.has_content),
        "memory_timeline": Plot(memory_timeline.draw, memory_timeline.caption, memory_timeline.has_content),
    }
)
"""The plots of one model's report, read-only."""

COMPARISON_PLOTS: Mapping[str, Plot[Sequence[Record]]] = MappingProxyType(
    {
        "comparison": Plot(comparison.draw, comparison.caption, comparison.has_content),
        "params_and_macs": Plot(params_and_macs.draw, params_and_macs.caption, params_and_macs.has_content),
        "time_and_macs": Plot(time_and_macs.draw, time_and_macs.caption, time_and_macs.has_content),
        "field_and_depth": Plot(field_and_depth.draw, field_and_depth.caption, field_and_depth.has_content),
        "error_and_macs": Plot(error_and_macs.draw, error_and_macs.caption, error_and_macs.has_content),
    }
)
"""The plots of several models, read-only."""

EFFECTIVE_PLOT = Plot(effective.draw, effective.caption, effective.has_content)
"""The plot of a run of the model, which is in no report."""


def effective_field_plot(
    field: Effective, size: PlotSize = PAGE, kinds: Sequence[str] = ()
) -> dict[str, bytes]:
    """The theoretical field and the effective one on one picture, as files by their endings.

    Args:
        field: The result of a measurement.
        size: To lay it out for.
        kinds: Endings of files, `svg`, `png` or `pdf`; without any, those of the size.

    Raises:
        InceptionLabError: The input does not have two spatial axes, or all gradients are zero.
    """
    if not EFFECTIVE_PLOT.has_content(field):
        what = f"a gradient of {field.weight.ndim} spatial axes, or of zeros, cannot be drawn"
        raise InceptionLabError(what, where=field.layer, hint="leave out the plot")
    return EFFECTIVE_PLOT.images(field, size, kinds)


MACS_AND_TIME_PLOT = Plot(macs_and_time.draw, macs_and_time.caption, macs_and_time.has_content)
"""The plot of times beside a trace, which is in no report either."""


def macs_and_time_plot(
    subject: MacsAndTime, size: PlotSize = PAGE, kinds: Sequence[str] = ()
) -> dict[str, bytes]:
    """Each module's share of the MACs beside its share of the time, as files by their endings.

    Args:
        subject: The shares, and the run that they are of.
        size: To lay it out for.
        kinds: Endings of files, `svg`, `png` or `pdf`; without any, those of the size.

    Raises:
        InceptionLabError: There are no MACs, or no time.
    """
    if not MACS_AND_TIME_PLOT.has_content(subject):
        what = "a step without MACs or without time cannot be drawn"
        raise InceptionLabError(what, where=subject.context["model"], hint="leave out the plot")
    return MACS_AND_TIME_PLOT.images(subject, size, kinds)


FRONT_PLOT: Plot[SweepFigures] = Plot(front.draw, front.caption, front.has_content)
"""The plot of a sweep's Pareto front, which is in no report either."""

INFLUENCE_PLOT: Plot[Influence] = Plot(influence.draw, influence.caption, influence.has_content)
"""The plot of the influence of a sweep's parameters, which is in no report either."""

LATENCY_PLOT = Plot(macs_and_latency.draw, macs_and_latency.caption, macs_and_latency.has_content)
"""The plot of times of several models, which is in no report either."""


def macs_and_latency_plot(
    subject: MacsAndLatency, size: PlotSize = PAGE, kinds: Sequence[str] = ()
) -> dict[str, bytes]:
    """The MACs and the time of several models beside those of one, as files by their endings.

    Args:
        subject: The ratios, and the runs that they are of.
        size: To lay it out for.
        kinds: Endings of files, `svg`, `png` or `pdf`; without any, those of the size.

    Raises:
        InceptionLabError: There is no model beside the baseline, or one without MACs or time.
    """
    if not LATENCY_PLOT.has_content(subject):
        what = "models without MACs or without time cannot be drawn"
        raise InceptionLabError(what, where=subject.baseline, hint="leave out the plot")
    return LATENCY_PLOT.images(subject, size, kinds)


GRADIENT_FLOW_PLOT = Plot(gradient_flow.draw, gradient_flow.caption, gradient_flow.has_content)
"""The plot of gradients along depth, which is in no report either."""


def gradient_flow_plot(
    subject: FlowsPlot, size: PlotSize = PAGE, kinds: Sequence[str] = ()
) -> dict[str, bytes]:
    """A figure of each module along depth, and the shares of the losses, as files by their endings.

    Args:
        subject: The flow of one or more variants, and the runs that it is of.
        size: To lay it out for.
        kinds: Endings of files, `svg`, `png` or `pdf`; without any, those of the size.

    Raises:
        InceptionLabError: There is no such figure, or no module of any variant has a finite one.
    """
    if subject.figure not in FIGURES:
        raise InceptionLabError(
            f"no figure {subject.figure!r} to draw along depth", hint=nearest(subject.figure, FIGURES)
        )
    if not GRADIENT_FLOW_PLOT.has_content(subject):
        what = f"modules without a finite {subject.figure} cannot be drawn"
        raise InceptionLabError(what, hint="leave out the plot, or draw another figure")
    return GRADIENT_FLOW_PLOT.images(subject, size, kinds)


TRAINING_PLOT = Plot(training.draw, training.caption, training.has_content)
"""The plot of short training runs, which is in no report either."""


def training_plot(
    subject: TrainingPlot, size: PlotSize = PAGE, kinds: Sequence[str] = ()
) -> dict[str, bytes]:
    """The main loss by step, and the gradient of each module, as files by their endings.

    Args:
        subject: The runs of one or more variants.
        size: To lay it out for.
        kinds: Endings of files, `svg`, `png` or `pdf`; without any, those of the size.

    Raises:
        InceptionLabError: No loss is a finite number.
    """
    if not TRAINING_PLOT.has_content(subject):
        raise InceptionLabError("a run without a finite loss cannot be drawn", hint="leave out the plot")
    return TRAINING_PLOT.images(subject, size, kinds)
