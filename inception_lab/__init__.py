"""Costs, receptive fields and memory of an Inception-style CNN, before it is trained.

Importing the package imports no torch; each public name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from inception_lab.analyzers.cost import branch_costs as branch_costs
    from inception_lab.analyzers.cost import layer_costs as layer_costs
    from inception_lab.analyzers.cost import module_costs as module_costs
    from inception_lab.analyzers.memory.by_module import memory_by_module as memory_by_module
    from inception_lab.analyzers.memory.cuda_allocator import reserved_memory as reserved_memory
    from inception_lab.analyzers.memory.peak import peak_memory as peak_memory
    from inception_lab.analyzers.memory.record import MemoryRecord as MemoryRecord
    from inception_lab.analyzers.memory.record import memory_record as memory_record
    from inception_lab.analyzers.memory.timeline import memory_timeline as memory_timeline
    from inception_lab.analyzers.receptive_field.field import Field as Field
    from inception_lab.analyzers.receptive_field.field import field_of as field_of
    from inception_lab.analyzers.receptive_field.projective import projective_field as projective_field
    from inception_lab.analyzers.receptive_field.resolution import resolution_fit as resolution_fit
    from inception_lab.analyzers.receptive_field.spectrum import field_spectrum as field_spectrum
    from inception_lab.analyzers.receptive_field.table import receptive_field as receptive_field
    from inception_lab.analyzers.reductions import reduction_saving as reduction_saving
    from inception_lab.analyzers.summary import summarise as summarise
    from inception_lab.audits.audit import Audit as Audit
    from inception_lab.audits.audit import audit as audit
    from inception_lab.audits.named import audit_models as audit_models
    from inception_lab.budgets.check import check_budget as check_budget
    from inception_lab.budgets.check import check_budgets as check_budgets
    from inception_lab.budgets.update import LockUpdate as LockUpdate
    from inception_lab.budgets.update import update_lock as update_lock
    from inception_lab.budgets.verdict import Check as Check
    from inception_lab.budgets.verdict import Verdict as Verdict
    from inception_lab.budgets.wording import BudgetExceeded as BudgetExceeded
    from inception_lab.claims.about import claims_about as claims_about
    from inception_lab.claims.recompute import Confirmation as Confirmation
    from inception_lab.claims.recompute import confirm as confirm
    from inception_lab.comparison.side_by_side import Comparison as Comparison
    from inception_lab.comparison.side_by_side import compare as compare
    from inception_lab.comparison.zoo import zoo_records as zoo_records
    from inception_lab.counters.comparison import Crosscheck as Crosscheck
    from inception_lab.counters.comparison import crosscheck as crosscheck
    from inception_lab.errors import InceptionLabError as InceptionLabError
    from inception_lab.formulas.registry import Cost as Cost
    from inception_lab.formulas.registry import register_formula as register_formula
    from inception_lab.ir.trace import Trace as Trace
    from inception_lab.limits import LargestBatch as LargestBatch
    from inception_lab.limits import largest_batch as largest_batch
    from inception_lab.limits import smallest_input as smallest_input
    from inception_lab.limits import tried_resolution_fit as tried_resolution_fit
    from inception_lab.measure.device_trace import trace_for_device as trace_for_device
    from inception_lab.measure.effective_field import effective_field as effective_field
    from inception_lab.measure.field_gradients import check_fields as check_fields
    from inception_lab.measure.gradient_flow.flow import compare_gradient_flow as compare_gradient_flow
    from inception_lab.measure.gradient_flow.flow import gradient_flow as gradient_flow
    from inception_lab.measure.gradient_flow.results import GradientFlow as GradientFlow
    from inception_lab.measure.gradient_flow.results import GradientFlows as GradientFlows
    from inception_lab.measure.gradient_flow.samples import MadeSamples as MadeSamples
    from inception_lab.measure.gradient_flow.samples import folder_samples as folder_samples
    from inception_lab.measure.gradient_flow.shared_weights import share_weights as share_weights
    from inception_lab.measure.gradient_flow.training import compare_training as compare_training
    from inception_lab.measure.gradient_flow.training import short_training as short_training
    from inception_lab.measure.gradient_flow.training_results import Training as Training
    from inception_lab.measure.gradient_flow.training_results import Trainings as Trainings
    from inception_lab.measure.memory import measure_memory as measure_memory
    from inception_lab.measure.prediction import MemoryComparison as MemoryComparison
    from inception_lab.measure.prediction import compare_memory as compare_memory
    from inception_lab.measure.profile.profile import Profile as Profile
    from inception_lab.measure.profile.profile import read_profile as read_profile
    from inception_lab.measure.profile.record import record_profile as record_profile
    from inception_lab.measure.profile.tensorboard import tensorboard_copy as tensorboard_copy
    from inception_lab.measure.roofline.ceilings import measure_ceilings as measure_ceilings
    from inception_lab.measure.roofline.limits import Ceilings as Ceilings
    from inception_lab.measure.roofline.result import Roofline as Roofline
    from inception_lab.measure.roofline.result import measure_roofline as measure_roofline
    from inception_lab.measure.roofline.tables import macs_beside_time as macs_beside_time
    from inception_lab.measure.roofline.tables import roofline as roofline
    from inception_lab.measure.roofline.tables import roofline_by_module as roofline_by_module
    from inception_lab.measure.roofline.tables import roofline_totals as roofline_totals
    from inception_lab.measure.timing.batches import BatchTimes as BatchTimes
    from inception_lab.measure.timing.batches import times_by_batch as times_by_batch
    from inception_lab.measure.timing.results import LayerTimes as LayerTimes
    from inception_lab.measure.timing.results import TimesComparison as TimesComparison
    from inception_lab.measure.timing.timing import compare_times as compare_times
    from inception_lab.measure.timing.timing import layer_times as layer_times
    from inception_lab.models.registry import create_model as create_model
    from inception_lab.models.registry import list_models as list_models
    from inception_lab.models.weights import load_timm_state_dict as load_timm_state_dict
    from inception_lab.models.weights import load_torchvision_state_dict as load_torchvision_state_dict
    from inception_lab.record import Record as Record
    from inception_lab.report.error_plot import plot_error_and_macs as plot_error_and_macs
    from inception_lab.report.flow_plots import plot_gradient_flow as plot_gradient_flow
    from inception_lab.report.flow_plots import plot_training as plot_training
    from inception_lab.report.sweep_plots import plot_influence as plot_influence
    from inception_lab.report.sweep_plots import plot_pareto as plot_pareto
    from inception_lab.report.write import write_comparison as write_comparison
    from inception_lab.report.write import write_comparison_page as write_comparison_page
    from inception_lab.report.write import write_report as write_report
    from inception_lab.sweeps.influence import parameter_influence as parameter_influence
    from inception_lab.sweeps.pareto import best_variants as best_variants
    from inception_lab.sweeps.pareto import pareto_front as pareto_front
    from inception_lab.sweeps.pareto import pareto_ranks as pareto_ranks
    from inception_lab.sweeps.reading import read_space as read_space
    from inception_lab.sweeps.references import reference_variants as reference_variants
    from inception_lab.sweeps.runner import sweep as sweep
    from inception_lab.sweeps.space import Space as Space
    from inception_lab.sweeps.study import export_study as export_study
    from inception_lab.sweeps.timing import time_variants as time_variants
    from inception_lab.tracing.tracer import trace as trace
    from inception_lab.worksheets.designed import design_worksheet as design_worksheet
    from inception_lab.worksheets.rendering import render_worksheet as render_worksheet
    from inception_lab.worksheets.sheet import Worksheet as Worksheet
    from inception_lab.worksheets.traced import worksheet as worksheet

_HOME = {
    "Audit": "audits.audit",
    "BatchTimes": "measure.timing.batches",
    "BudgetExceeded": "budgets.wording",
    "Ceilings": "measure.roofline.limits",
    "Check": "budgets.verdict",
    "Comparison": "comparison.side_by_side",
    "Confirmation": "claims.recompute",
    "Cost": "formulas.registry",
    "Crosscheck": "counters.comparison",
    "Field": "analyzers.receptive_field.field",
    "GradientFlow": "measure.gradient_flow.results",
    "GradientFlows": "measure.gradient_flow.results",
    "InceptionLabError": "errors",
    "LargestBatch": "limits",
    "LayerTimes": "measure.timing.results",
    "LockUpdate": "budgets.update",
    "MadeSamples": "measure.gradient_flow.samples",
    "MemoryComparison": "measure.prediction",
    "MemoryRecord": "analyzers.memory.record",
    "Profile": "measure.profile.profile",
    "Record": "record",
    "Roofline": "measure.roofline.result",
    "Space": "sweeps.space",
    "TimesComparison": "measure.timing.results",
    "Trace": "ir.trace",
    "Training": "measure.gradient_flow.training_results",
    "Trainings": "measure.gradient_flow.training_results",
    "Verdict": "budgets.verdict",
    "Worksheet": "worksheets.sheet",
    "audit": "audits.audit",
    "audit_models": "audits.named",
    "best_variants": "sweeps.pareto",
    "branch_costs": "analyzers.cost",
    "check_budget": "budgets.check",
    "check_budgets": "budgets.check",
    "check_fields": "measure.field_gradients",
    "claims_about": "claims.about",
    "compare": "comparison.side_by_side",
    "compare_gradient_flow": "measure.gradient_flow.flow",
    "compare_memory": "measure.prediction",
    "compare_times": "measure.timing.timing",
    "compare_training": "measure.gradient_flow.training",
    "confirm": "claims.recompute",
    "create_model": "models.registry",
    "crosscheck": "counters.comparison",
    "design_worksheet": "worksheets.designed",
    "effective_field": "measure.effective_field",
    "export_study": "sweeps.study",
    "field_of": "analyzers.receptive_field.field",
    "field_spectrum": "analyzers.receptive_field.spectrum",
    "folder_samples": "measure.gradient_flow.samples",
    "gradient_flow": "measure.gradient_flow.flow",
    "largest_batch": "limits",
    "layer_costs": "analyzers.cost",
    "layer_times": "measure.timing.timing",
    "list_models": "models.registry",
    "load_timm_state_dict": "models.weights",
    "load_torchvision_state_dict": "models.weights",
    "macs_beside_time": "measure.roofline.tables",
    "measure_ceilings": "measure.roofline.ceilings",
    "measure_memory": "measure.memory",
    "measure_roofline": "measure.roofline.result",
    "memory_by_module": "analyzers.memory.by_module",
    "memory_record": "analyzers.memory.record",
    "memory_timeline": "analyzers.memory.timeline",
    "module_costs": "analyzers.cost",
    "parameter_influence": "sweeps.influence",
    "pareto_front": "sweeps.pareto",
    "pareto_ranks": "sweeps.pareto",
    "peak_memory": "analyzers.memory.peak",
    "plot_error_and_macs": "report.error_plot",
    "plot_gradient_flow": "report.flow_plots",
    "plot_influence": "report.sweep_plots",
    "plot_pareto": "report.sweep_plots",
    "plot_training": "report.flow_plots",
    "projective_field": "analyzers.receptive_field.projective",
    "read_profile": "measure.profile.profile",
    "read_space": "sweeps.reading",
    "receptive_field": "analyzers.receptive_field.table",
    "record_profile": "measure.profile.record",
    "reduction_saving": "analyzers.reductions",
    "reference_variants": "sweeps.references",
    "register_formula": "formulas.registry",
    "render_worksheet": "worksheets.rendering",
    "reserved_memory": "analyzers.memory.cuda_allocator",
    "resolution_fit": "analyzers.receptive_field.resolution",
    "roofline": "measure.roofline.tables",
    "roofline_by_module": "measure.roofline.tables",
    "roofline_totals": "measure.roofline.tables",
    "share_weights": "measure.gradient_flow.shared_weights",
    "short_training": "measure.gradient_flow.training",
    "smallest_input": "limits",
    "summarise": "analyzers.summary",
    "sweep": "sweeps.runner",
    "tensorboard_copy": "measure.profile.tensorboard",
    "time_variants": "sweeps.timing",
    "times_by_batch": "measure.timing.batches",
    "trace": "tracing.tracer",
    "trace_for_device": "measure.device_trace",
    "tried_resolution_fit": "limits",
    "update_lock": "budgets.update",
    "worksheet": "worksheets.traced",
    "write_comparison": "report.write",
    "write_comparison_page": "report.write",
    "write_report": "report.write",
    "zoo_records": "comparison.zoo",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
