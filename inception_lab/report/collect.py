"""From a Trace to the contents of its report; the one file of report/ that calls analyzers."""

from __future__ import annotations

from pandas import DataFrame

from inception_lab.analyzers.branch_kinds import branch_kinds
from inception_lab.analyzers.cost import branch_costs, module_costs
from inception_lab.analyzers.dataflow import dataflow
from inception_lab.analyzers.memory.by_module import memory_by_module
from inception_lab.analyzers.memory.peak import peak_memory
from inception_lab.analyzers.memory.timeline import memory_timeline
from inception_lab.analyzers.receptive_field.axes import NoSpatialAxes
from inception_lab.analyzers.receptive_field.resolution import ResolutionFit, resolution_fit
from inception_lab.analyzers.receptive_field.spectrum import field_spectrum, spectrum_summary
from inception_lab.analyzers.reductions import reduction_saving
from inception_lab.analyzers.summary import summarise
from inception_lab.ir.structure import layer_calls, places
from inception_lab.ir.trace import Trace
from inception_lab.report.contents import ReportContents

NO_AXES = ResolutionFit((), (), (), last_layer=None, seen_by_centre=None)
"""The fit of an input without spatial axes."""


def collect(trace: Trace) -> ReportContents:
    """Run every analysis that a report shows.

    Args:
        trace: Of any mode. Where its input has no spatial axes, the report has no receptive fields.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> contents = collect(trace)
        >>> contents.record.totals["macs"], contents.fit.smallest_input, contents.peak.layer
        (1582671872, (31, 31), 'norm2')
    """
    spectrum, field_ranges, fit = _fields(trace)
    return ReportContents(
        record=summarise(trace),
        modules=module_costs(trace),
        branches=branch_costs(trace),
        saving=reduction_saving(trace),
        spectrum=spectrum,
        field_ranges=field_ranges,
        fit=fit,
        timeline=memory_timeline(trace),
        peak=peak_memory(trace),
        module_memory=memory_by_module(trace),
        branch_kinds=branch_kinds(trace),
        places=tuple([places(trace)[call.id] for call in layer_calls(trace)]),
        dataflow=dataflow(trace),
    )


def _fields(trace: Trace) -> tuple[DataFrame, DataFrame, ResolutionFit]:
    """The spectrum, its summary, and the fit to the input; empty where the input has no spatial axes."""
    try:
        spectrum = field_spectrum(trace)
    except NoSpatialAxes:
        return DataFrame(), DataFrame(), NO_AXES
    return spectrum, spectrum_summary(spectrum), resolution_fit(trace)
