"""Figures of models as budgets ask for them: each model is traced once, and analysed as far as needed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from pandas import DataFrame
from torch import nn

from inception_lab.analyzers.cost import layer_costs
from inception_lab.analyzers.memory.table import memory_totals, saved_by_layer
from inception_lab.analyzers.receptive_field.axes import NoSpatialAxes
from inception_lab.analyzers.receptive_field.field import EVERYTHING, INDEPENDENT, Field, fields
from inception_lab.analyzers.receptive_field.table import NEVER_RAN, NOT_FORWARD, field_of_call
from inception_lab.budgets.budget import Budget
from inception_lab.budgets.judge import FieldDoubt, TimeRatio
from inception_lab.errors import InceptionLabError
from inception_lab.ir.structure import layer_calls, layer_name, weighted_depth
from inception_lab.ir.trace import Mode, Trace
from inception_lab.loading.isolation import check_same_settings
from inception_lab.loading.model import (
    ModelInputs,
    apply_to_several,
    apply_with_weights,
    apply_without_weights,
    own_input_size,
)
from inception_lab.loading.options import (
    ModelRequest,
    forward_arguments,
    model_request,
    parse_argument,
    parse_input_size,
)
from inception_lab.running.inputs import Inputs
from inception_lab.running.settings import Settings
from inception_lab.tracing.tracer import trace

_WITHOUT_FIELD = (INDEPENDENT.reason, NEVER_RAN, NOT_FORWARD)
"""Reasons for which a layer sees nothing of the input, rather than an unknown part."""


@dataclass(frozen=True, eq=False)
class TracedFigures:
    """The figures of a trace, each analysed when it is first asked for.

    Attributes:
        trace: Of the model.
    """

    trace: Trace

    @property
    def input_shapes(self) -> tuple[str, ...]:
        """Shapes of the inputs, with the batch, such as `1x3x224x224`."""
        return tuple("x".join(map(str, shape)) for shape in self.trace.context.input_shapes)

    @property
    def torch(self) -> str:
        """The version of PyTorch."""
        return self.trace.context.torch

    @property
    def uncounted_ops(self) -> Mapping[str, int]:
        """Number of runs of each operation that no formula knows."""
        return self.trace.context.uncounted_ops

    def total(self, metric: str) -> int | None:
        """Return the figure of the whole model; None where this trace has none."""
        if metric == "weighted_layers":
            return weighted_depth(self.trace)
        if metric in ("peak_bytes", "train_peak_bytes"):
            return memory_totals(self.trace).get(metric)
        values = self.by_layer(metric).values()
        if metric == "receptive_field":
            return max(values, default=0) or None
        return sum(values) if metric in self._table(metric) else None

    def by_layer(self, metric: str) -> Mapping[str, int]:
        """Return the figure of each layer by its path, calls of one module summed up.

        A layer that never ran has parameters, and no figure of anything else.
        """
        if metric == "receptive_field":
            return self._fields()
        table = self._table(metric)
        if metric not in table:
            return {}
        sums: dict[str, int] = defaultdict(int)
        idle = frozenset() if metric in ("params", "trainable_params") else self._idle_layers()
        for path, value in zip(table["layer"].tolist(), table[metric].tolist(), strict=True):
            if path not in idle:
                sums[_encodable(path)] += value
        return sums

    def _table(self, metric: str) -> DataFrame:
        return saved_by_layer(self.trace) if metric == "saved_bytes" else self._costs

    @cached_property
    def _costs(self) -> DataFrame:
        # each call makes a copy, which takes longer than to read it
        return layer_costs(self.trace)

    def _idle_layers(self) -> frozenset[str]:
        """The layers of which no call ran."""
        calls = layer_calls(self.trace)
        return frozenset(map(layer_name, calls)) - {layer_name(call) for call in calls if call.executed}

    @property
    def widest_feature_field(self) -> int | None:
        """The widest field of a feature map; that of any layer where the model has none.

        A single unit that sees everything, as behind a global pool, does so in whatever design.
        """
        widest = [(field, max(_sides(field), default=0)) for _, field in self._call_fields]
        of_maps = [side for field, side in widest if field.reason != EVERYTHING or prod(field.grid) > 1]
        return max(of_maps, default=0) or max((side for _, side in widest), default=0) or None

    @property
    def field_doubts(self) -> Mapping[str, FieldDoubt]:
        """The layers whose receptive field is not known, or may be smaller than the figure."""
        # of several calls of a layer, one without a bound counts
        fields = sorted(self._call_fields, key=lambda row: row[1].status == "unknown")
        return {
            path: FieldDoubt(field.reason, is_bound=field.status == "bound")
            for path, field in fields
            if field.status == "bound" or (field.status == "unknown" and field.reason not in _WITHOUT_FIELD)
        }

    def _fields(self) -> Mapping[str, int]:
        """The receptive field of each layer along its longest axis, 0 where none is known."""
        largest: dict[str, int] = {_encodable(layer_name(call)): 0 for call in layer_calls(self.trace)}
        for path, field in self._call_fields:
            largest[path] = max(largest[path], *_sides(field), 0)
        return largest

    @cached_property
    def _call_fields(self) -> list[tuple[str, Field]]:
        """The path and the field of each layer call; none for an input without spatial axes."""
        try:
            by_value = fields(self.trace)
        except NoSpatialAxes:
            return []
        return [
            (_encodable(layer_name(call)), field_of_call(call, by_value)) for call in layer_calls(self.trace)
        ]


def _sides(field: Field) -> Sequence[int]:
    """The pixels that an inner unit sees on local paths, or the centre unit where inner ones differ."""
    # branches of different centres leave no number for the padding, and a width all the same
    if sides := field.receptive_field or field.widest:
        return sides
    return [last - first + 1 for first, last in field.local_extent(field.middle)] if field.axes else []


def _encodable(path: str) -> str:
    """A path without the halves of surrogate pairs, which no file of text can hold."""
    return path.encode(errors="replace").decode()


def traced_figures(
    model: nn.Module, inputs: Inputs, *, mode: Mode, optimizer: str | None, name: str
) -> TracedFigures:
    """Trace a model and return its figures; see `trace` for what the arguments mean."""
    result = trace(model, inputs, mode=mode, optimizer=optimizer if mode == "train" else None, name=name)
    return TracedFigures(result)


def own_shape(model: nn.Module) -> tuple[int, ...]:
    """Return the shape of one input of a model that tells its size, as those of the zoo and of timm do.

    Raises:
        InceptionLabError: It does not (exit code 2).
    """
    name = type(model).__name__
    try:
        return (1, *own_input_size(name, model).sizes)
    except InceptionLabError as error:
        raise InceptionLabError(
            error.what, where=name, hint="pass inputs=, such as (1, 3, 224, 224)"
        ) from error


def _request(budget: Budget) -> ModelRequest:
    sizes = tuple(map(parse_input_size, budget.input_sizes))
    values = forward_arguments(map(parse_argument, budget.arguments))
    return model_request(budget.model, budget.kwargs, sizes, budget.batch_size, values)


class NamedModels:
    """Figures of the models that budgets name. Budgets with the same question share one trace."""

    def __init__(self) -> None:
        self._answers: dict[str, TracedFigures | InceptionLabError] = {}

    def figures(self, budget: Budget, mode: Mode) -> TracedFigures:
        """Return the figures of a budget's model in one mode.

        Raises:
            InceptionLabError: The model cannot be built or traced; again each time that it is asked for.
        """
        optimizer = budget.optimizer if mode == "train" else None
        question = [budget.model, dict(budget.kwargs), budget.input_sizes, budget.arguments]
        key = json.dumps([*question, budget.batch_size, mode, optimizer], sort_keys=True)
        if key not in self._answers:
            try:
                self._answers[key] = _figures_of_named(budget, mode)
            except InceptionLabError as error:
                self._answers[key] = error
        answer = self._answers[key]
        if isinstance(answer, InceptionLabError):
            raise answer
        return answer

    def time_ratio(self, budget: Budget, other: Budget) -> TimeRatio:
        """Time both models of two budgets for real, on the CPU, in rounds that take turns.

        Raises:
            InceptionLabError: One of them cannot be built or run.
        """

        def time_both(built: Sequence[tuple[nn.Module, ModelInputs]]) -> TimeRatio:
            models, inputs = zip(*built, strict=True)
            return timed_ratio(models, inputs, budget, names=[other.name, budget.name])

        return apply_to_several([_request(other), _request(budget)], time_both)


def _figures_of_named(budget: Budget, mode: Mode) -> TracedFigures:
    request = _request(budget)

    def figures(model: nn.Module, inputs: ModelInputs) -> TracedFigures:
        return traced_figures(model, inputs, mode=mode, optimizer=budget.optimizer, name=request.name)

    return apply_without_weights(request, figures)


def timed_ratio(
    models: Sequence[nn.Module], inputs: Sequence[Inputs], budget: Budget, *, names: Sequence[str]
) -> TimeRatio:
    """Return the time of the second of two models over that of the first."""
    # few budgets limit a time
    from inception_lab.measure.timing.statistics import CONFIDENCE
    from inception_lab.measure.timing.timing import compare_times

    optimizer = budget.optimizer if budget.mode == "train" else None
    comparison = compare_times(models, inputs, mode=budget.mode, optimizer=optimizer, names=names)
    interval = comparison.ratios[0].ratio
    return TimeRatio(interval.median, interval.low, interval.high, interval.confidence >= CONFIDENCE)


@dataclass(frozen=True, eq=False)
class ModelAtHand:
    """Figures of one model that is built already, beside those of models that are named.

    Attributes:
        model: The model.
        inputs: As for `trace`.
        budget: The budget that it is judged by.
        named: The others.
    """

    model: nn.Module
    inputs: Inputs
    budget: Budget
    named: NamedModels

    def figures(self, budget: Budget, mode: Mode) -> TracedFigures:
        """Return the figures of a budget's model in one mode; see `NamedModels`."""
        if budget is not self.budget:
            return self.named.figures(budget, mode)
        return traced_figures(
            self.model, self.inputs, mode=mode, optimizer=budget.optimizer, name=budget.model
        )

    def time_ratio(self, budget: Budget, other: Budget) -> TimeRatio:
        """Time the model at hand and one that is named; see `NamedModels`."""
        settings = Settings()

        def time_beside(base: nn.Module, base_inputs: ModelInputs) -> TimeRatio:
            names = [other.name, budget.name]
            check_same_settings([(other.name, Settings()), (budget.name, settings)])
            return timed_ratio([base, self.model], [base_inputs, self.inputs], budget, names=names)

        return apply_with_weights(_request(other), time_beside)
