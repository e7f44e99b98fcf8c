"""The plots of gradient flow and of short training runs as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.files import path_from, write_bytes
from inception_lab.report.sizes import plot_kind, size_of

if TYPE_CHECKING:
    from pandas import DataFrame


class Several(Protocol):
    """The results of several models side by side."""

    @property
    def models(self) -> Sequence[Any]:
        """Return the result of each."""


class Flow(Protocol):
    """The gradient flow of a model, as `gradient_flow` returns it."""

    @property
    def context(self) -> Mapping[str, Any]:
        """Facts about the runs."""

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms of the loss."""

    @property
    def heads(self) -> dict[str, str]:
        """The module behind which each head leaves."""

    def by_module(self, depth: int | None = 1) -> DataFrame:
        """Return the figures of each module."""


class Run(Protocol):
    """A short training run of a model, as `short_training` returns it."""

    @property
    def context(self) -> Mapping[str, Any]:
        """Facts about the run."""

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms of the loss."""

    @property
    def note(self) -> str:
        """Says what the figures lack."""

    def by_step(self) -> DataFrame:
        """Return the losses of each step."""

    def gradients_by_step(self) -> DataFrame:
        """Return the gradients of each step."""


@checked
def plot_gradient_flow(
    flows: Flow | Several | Sequence[Flow],
    path: str | Path,
    figure: str = "weight_gradient",
    size: str = "page",
) -> Path:
    """Draw a figure of each module along depth, a line for each model, and the share of each loss below.

    Args:
        flows: Of one model, of several, or those of `compare_gradient_flow`.
        path: The file, whose ending says its kind: `.svg`, `.png` or `.pdf`.
        figure: A column of `GradientFlow.runs`.
        size: That it is laid out for: `page`, `paper` or `slide`.

    Returns:
        The file.

    Raises:
        InceptionLabError: There is no flow, no such figure or nothing finite to draw, numbers of seeds or
            batches differ, the ending or the size is none of these, or the file cannot be written.

    Example:
        >>> import inception_lab as il, tempfile
        >>> from torch import nn
        >>> flow = il.gradient_flow(lambda: nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)), (16, 4))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     il.plot_gradient_flow([flow], f"{folder}/flow.svg").name
        'flow.svg'
    """
    from inception_lab.report.plots import gradient_flow_plot
    from inception_lab.report.plots.flow_models import FlowOfModel, FlowsPlot

    several: Sequence[Flow] = _as_list(flows)
    _refuse_unpaired(several, "by_module", "gradient_flow")
    file = path_from(path)
    kind, layout = plot_kind(file), size_of(size)
    models = [
        FlowOfModel(str(flow.context["model"]), flow.by_module(1), flow.terms, flow.heads) for flow in several
    ]
    subject = FlowsPlot(_shared_context(several), tuple(models), figure)
    write_bytes(file, gradient_flow_plot(subject, layout, [kind])[kind])
    return file


@checked
def plot_training(runs: Run | Several | Sequence[Run], path: str | Path, size: str = "page") -> Path:
    """Draw the losses of training runs over their steps, and the gradient of each module below.

    Args:
        runs: Of one model, of several, or those of `compare_training`.
        path: The file, whose ending says its kind: `.svg`, `.png` or `.pdf`.
        size: That it is laid out for: `page`, `paper` or `slide`.

    Returns:
        The file.

    Raises:
        InceptionLabError: There is no run or no finite loss, numbers of seeds differ, the ending or the size
            is none of these, or the file cannot be written.

    Example:
        >>> import inception_lab as il, tempfile
        >>> from torch import nn
        >>> run = il.short_training(lambda: nn.Linear(4, 2), (16, 4), steps=3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     il.plot_training([run], f"{folder}/run.svg").name
        'run.svg'
    """
    from inception_lab.report.plots import training_plot
    from inception_lab.report.plots.training_runs import RunOfModel, TrainingPlot

    several: Sequence[Run] = _as_list(runs)
    _refuse_unpaired(several, "by_step", "short_training")
    file = path_from(path)
    kind, layout = plot_kind(file), size_of(size)
    models = [
        RunOfModel(str(run.context["model"]), run.by_step(), run.gradients_by_step()) for run in several
    ]
    notes = [
        f"{run.context['model']}: {run.note}" if len(several) > 1 else run.note for run in several if run.note
    ]
    subject = TrainingPlot(_shared_context(several), tuple(models), "; ".join(notes))
    write_bytes(file, training_plot(subject, layout, [kind])[kind])
    return file


def _as_list(results: Any) -> Any:
    """A list of results, be it one, or those of a comparison."""
    if hasattr(results, "models"):
        return results.models
    return [results] if hasattr(results, "terms") else results


def _refuse_unpaired(results: Sequence[Flow] | Sequence[Run], table: str, function: str) -> None:
    """Refuse what are no results of a function, by its table, or cannot stand beside one another."""
    if not isinstance(results, (list, tuple)):
        what = f"a {type(results).__name__} is not a list of results"
        raise InceptionLabError(what, hint=f"pass [one, another] of {function}")
    if not results:
        raise InceptionLabError("nothing to draw", hint="pass one result or more")
    for result in results:
        if not isinstance(getattr(result, "terms", None), tuple) or not hasattr(result, table):
            what = f"a {type(result).__name__} is not the result of {function}"
            raise InceptionLabError(what, hint=f"pass what {function} returns")
    for name in ("seeds", "batches"):
        counts = dict.fromkeys(str(result.context.get(name)) for result in results)
        if len(counts) > 1:
            what = f"results of {' and of '.join(counts)} {name}"
            raise InceptionLabError(what, hint=f"measure all with the same {name}")


def _shared_context(results: Sequence[Flow] | Sequence[Run]) -> dict[str, Any]:
    """The facts that are the same of all results."""
    first, *others = (result.context for result in results)
    return {name: fact for name, fact in first.items() if all(other.get(name) == fact for other in others)}
