"""The limits of a budget held against the figures of its model, and against those in the lock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fractions import Fraction
from math import inf
from typing import NamedTuple, Protocol

from inception_lab.budgets.budget import Budget, Limit, Ratio
from inception_lab.budgets.budget_metrics import BUDGET_METRICS, LARGEST_OF, TIME
from inception_lab.budgets.figures import Figures, matches, matching_figures, paths_around, value_of
from inception_lab.budgets.lock import LockedBudget, differences, question_of
from inception_lab.budgets.verdict import Change, Finding, Verdict
from inception_lab.budgets.wording import percent_text
from inception_lab.errors import InceptionLabError, listed, nearest
from inception_lab.ir.trace import Mode

UPDATE_HINT = "write the lock with update_lock(), or inception-lab check --update"
_MOST_LARGEST = 5
_MOST_WRITTEN_OUT = 1e18
"""Larger bounds, which no model has, are written with an exponent."""


class FieldDoubt(NamedTuple):
    """A receptive field that is not known.

    Attributes:
        reason: The reason.
        is_bound: True where the figure is the largest that it may be; False where there is none.
    """

    reason: str
    is_bound: bool


class ModelFigures(Figures, Protocol):
    """Figures of a traced model, and what the trace says of itself."""

    @property
    def input_shapes(self) -> tuple[str, ...]:
        """Shapes of the inputs, with the batch, such as `1x3x224x224`."""

    @property
    def torch(self) -> str:
        """The version of PyTorch."""

    @property
    def uncounted_ops(self) -> Mapping[str, int]:
        """Number of runs of each operation that no formula knows."""

    @property
    def field_doubts(self) -> Mapping[str, FieldDoubt]:
        """The layers whose receptive field is not known, by path."""


class TimeRatio(NamedTuple):
    """Time of a model over that of another, with the interval of the median.

    Attributes:
        median: Of the rounds' ratios.
        low: Lower end of the interval.
        high: Upper end.
        certain: False where there were too few rounds for an interval.
    """

    median: float
    low: float
    high: float
    certain: bool


class Models(Protocol):
    """The source of figures: it traces and times."""

    def figures(self, budget: Budget, mode: Mode) -> ModelFigures:
        """Return the figures of a budget's model in one mode; raises InceptionLabError."""

    def time_ratio(self, budget: Budget, other: Budget) -> TimeRatio:
        """Return the time of a budget's model over another's; raises InceptionLabError."""


@dataclass(frozen=True)
class Reference:
    """Everything that the figures of a budget are held against, besides its own limits.

    Attributes:
        budgets: Others of the configuration, by name.
        locked: The budget's figures in the lock; None where it has none.
        has_lock: True where there is a lock.
    """

    budgets: Mapping[str, Budget] = field(default_factory=dict)
    locked: LockedBudget | None = None
    has_lock: bool = False


def mode_of(limit: Limit, budget: Budget) -> Mode:
    """Return the mode whose trace has the metric of a limit."""
    return BUDGET_METRICS[limit.metric].mode or budget.mode


def mode_of_layers(metric: str, budget: Budget) -> Mode:
    """Return the mode whose trace has the layers by which a metric is explained.

    A peak of inference is explained by what layers allocate: in the budget's own mode, as the lock has it.
    """
    explained_by = BUDGET_METRICS[metric].explained_by
    return BUDGET_METRICS[explained_by or metric].mode or budget.mode


def judge(budget: Budget, models: Models, reference: Reference | None = None) -> Verdict:
    """Hold a budget's limits against its model.

    Args:
        budget: The budget.
        models: Gives the figures.
        reference: The lock, and other budgets.

    Returns:
        The verdict; a model that cannot be built or traced fails its budget, and so does a partial trace.
    """
    modes = dict.fromkeys([budget.mode, *(mode_of(limit, budget) for limit in budget.limits)])
    try:
        by_mode = {mode: models.figures(budget, mode) for mode in modes}
    except InceptionLabError as error:
        return Verdict(budget, (), str(error))
    bench = _Bench(budget, by_mode, models, reference or Reference())
    findings = tuple(bench.finding(limit) for limit in budget.limits)
    torch = by_mode[budget.mode].torch
    return Verdict(budget, findings, partial_reason(by_mode.values()), torch)


def partial_reason(figures: Iterable[ModelFigures]) -> str:
    """Return the reason for which figures are partial; empty where they are complete."""
    uncounted: dict[str, int] = {}
    for one in figures:
        uncounted |= one.uncounted_ops
    operations = listed(f"{name} ({times}x)" for name, times in sorted(uncounted.items()))
    return f"not counted: {operations}" if operations else ""


class _Bound(NamedTuple):
    """A largest value, and the words for it behind `above`."""

    amount: Fraction
    words: str


@dataclass(frozen=True)
class _Bench:
    """A budget with everything that its limits are held against."""

    budget: Budget
    figures: Mapping[Mode, ModelFigures]
    models: Models
    reference: Reference

    def finding(self, limit: Limit) -> Finding:
        """Hold one limit against the model."""
        if limit.metric == TIME:
            return self._time_finding(limit)
        figures = self.figures[mode_of(limit, self.budget)]
        value = value_of(figures, limit)
        if value is None:
            reason = _field_doubt(figures, limit) or _no_value(figures, limit)
            return Finding(limit, None, None, passed=False, reason=reason)
        locked, reason = self._locked(figures)
        layers = self.figures[mode_of_layers(limit.metric, self.budget)]
        base = Finding(
            limit,
            value,
            None,
            passed=True,
            locked=_locked_value(locked, limit),
            changes=_changes(layers, locked, limit),
            largest=() if locked else _largest(layers, limit),
        )
        if doubt := _field_doubt(figures, limit):
            return replace(base, passed=False, reason=doubt)
        try:
            bounds = list(self._upper_bounds(limit, base.locked, reason, _versions(figures, locked)))
        except InceptionLabError as error:
            return replace(base, passed=False, reason=str(error))
        return _judged(base, value, bounds)

    def _locked(self, figures: ModelFigures) -> tuple[LockedBudget | None, str]:
        """The locked figures of the same question, else the reason for which there are none."""
        locked = self.reference.locked
        if locked is None:
            return None, "the lock does not have it" if self.reference.has_lock else "there is no lock"
        keys = differences(locked.question, question_of(self.budget))
        if not keys and locked.input_shapes != figures.input_shapes:
            keys = ["input-shapes"]
        if keys:
            return None, f"the lock is of another {' and '.join(keys)}"
        return locked, ""

    def _upper_bounds(
        self, limit: Limit, locked: float | None, reason: str, versions: str
    ) -> Iterator[_Bound]:
        """Each bound above the value.

        Args:
            limit: The limit.
            locked: The locked value; None where there is none.
            reason: The reason for which there is none.
            versions: Those of PyTorch, where they differ.

        Raises:
            InceptionLabError: The locked value, or that of the other model, cannot be told.
        """
        if limit.most is not None:
            yield _Bound(_exact(limit.most), f"the maximum of {_number(limit.most)}")
        # figures are whole numbers: those up to a bound are those up to the whole number below it
        if limit.growth is not None:
            if locked is None:
                what = f"no locked value to grow from: {reason or 'the lock has no such figure'}"
                raise InceptionLabError(what, hint=UPDATE_HINT)
            percent, amount = limit.growth
            growth = max(_exact(locked) * _exact(percent or 0) / 100, _exact(amount or 0))
            bound = _exact(locked) + growth // 1
            words = f"the {_number(_float(bound))} that growth from {_number(locked)} allows"
            yield _Bound(bound, words + versions)
        if limit.ratio is not None:
            other = self._value_of_other(limit, limit.ratio)
            bound = Fraction(_exact(other) * _exact(limit.ratio.most) // 1)
            words = f"{limit.ratio.most:g} times the {_number(other)} of {limit.ratio.to}"
            yield _Bound(bound, f"{_number(_float(bound))}, {words}")

    def _value_of_other(self, limit: Limit, ratio: Ratio) -> int:
        other = self._other(ratio)
        figures = self.models.figures(other, mode_of(limit, other))
        value = value_of(figures, limit)
        if value is None:
            raise InceptionLabError(f"{ratio.to}: {_no_value(figures, limit)}")
        # a multiple of a figure that may be smaller would allow too much
        if reason := partial_reason([figures]) or _field_doubt(figures, replace(limit, least=inf)):
            raise InceptionLabError(reason, where=ratio.to)
        return value

    def _other(self, ratio: Ratio) -> Budget:
        """The budget of that name, else the same question about another model."""
        if ratio.to in self.reference.budgets:
            return self.reference.budgets[ratio.to]
        return replace(self.budget, name=ratio.to, model=ratio.to, kwargs={}, limits=(), line=None)

    def _time_finding(self, limit: Limit) -> Finding:
        """Hold a limit on a ratio of times: it is broken where the whole interval is above it."""
        ratio = limit.ratio
        if ratio is None:
            return Finding(limit, None, None, passed=False, reason="a time is limited as a ratio alone")
        try:
            times = self.models.time_ratio(self.budget, self._other(ratio))
        except InceptionLabError as error:
            return Finding(limit, None, ratio.most, passed=False, reason=str(error))
        passed, interval = times.low <= ratio.most, f"{times.low:.2f} to {times.high:.2f}"
        reason = f"{times.median:.2f} times the time of {ratio.to} ({interval}), above {ratio.most:g}"
        if passed:
            reason = f"too noisy to judge: {interval} times" if times.high > ratio.most else ""
        if not times.certain:
            passed, reason = True, f"too few rounds to judge: {interval} times"
        return Finding(limit, times.median, ratio.most, passed=passed, reason=reason)


def _judged(finding: Finding, value: int, bounds: Sequence[_Bound]) -> Finding:
    """The finding with the bound that decides, and what breaks it."""
    least = finding.limit.least
    if least is not None and value < _exact(least):
        reason = (
            f"{_number(value)} is {_difference(least - value, least)} below the minimum of {_number(least)}"
        )
        return replace(finding, allowed=least, passed=False, reason=reason)
    if not bounds:
        return replace(finding, allowed=least)
    bound = min(bounds)
    allowed = _float(bound.amount)
    if value <= bound.amount:
        return replace(finding, allowed=allowed)
    reason = f"{_number(value)} is {_difference(_float(value - bound.amount), allowed)} above {bound.words}"
    return replace(finding, allowed=allowed, passed=False, reason=reason)


def _field_doubt(figures: ModelFigures, limit: Limit) -> str:
    """The layer whose unknown receptive field may break a limit, and why; empty where none may."""
    if limit.metric not in LARGEST_OF:
        return ""
    doubts = {path: doubt for path, doubt in figures.field_doubts.items() if _is_limited(path, limit)}
    fields = matching_figures(figures, limit.metric, limit.layers)
    certain = max((value for path, value in fields.items() if path not in doubts), default=0)
    is_short = limit.least is not None and certain < limit.least
    has_upper_bound = not (limit.most is None and limit.growth is None and limit.ratio is None)
    for path, (reason, is_bound) in doubts.items():
        # an upper bound breaks no maximum that it keeps itself
        if is_short or (has_upper_bound and not is_bound):
            return f"the receptive field of {path} is not known: {reason}"
    return ""


def _is_limited(path: str, limit: Limit) -> bool:
    return not limit.layers or matches(path, limit.layers)


def _versions(figures: ModelFigures, locked: LockedBudget | None) -> str:
    """The versions of PyTorch of both, where they differ, as another one may count differently."""
    if locked is None or locked.torch == figures.torch:
        return ""
    return f" (locked with torch {locked.torch}, this is {figures.torch})"


def _no_value(figures: Figures, limit: Limit) -> str:
    if limit.layers and not matching_figures(figures, "params", limit.layers):
        return f"no layer matches {limit.layers!r}; {_nearest_paths(limit.layers, figures)}"
    # a limit on layers that do nothing would be kept whatever they cost
    if limit.layers and limit.metric not in LARGEST_OF and figures.by_layer(limit.metric):
        return f"no layer that matches {limit.layers!r} ran"
    return f"it has no {limit.metric}"


def _nearest_paths(pattern: str, figures: Figures) -> str:
    """The paths nearest to a pattern, else the model's own children."""
    paths = {outer for path in figures.by_layer("params") for outer in paths_around(path)}
    text = pattern.replace("*", "").strip(".")
    if get_close_matches(text, paths, n=1):
        return nearest(text, paths)
    return nearest(text, [path for path in paths if "." not in path])


def _locked_value(locked: LockedBudget | None, limit: Limit) -> int | None:
    """The locked figure; None for a metric that the lock does not have, whose layers all have 0."""
    has_metric = locked is not None and locked.figures.total(limit.metric) is not None
    return value_of(locked.figures, limit) if locked and has_metric else None


def _changes(figures: Figures, locked: LockedBudget | None, limit: Limit) -> tuple[Change, ...]:
    """The layers that changed since the lock, the largest growth first."""
    metric = BUDGET_METRICS[limit.metric].explained_by
    return layer_changes(figures, locked.figures, metric, limit.layers) if locked and metric else ()


def layer_changes(figures: Figures, locked: Figures, metric: str, pattern: str = "") -> tuple[Change, ...]:
    """Return the layers whose figure is another one than in the lock, the largest growth first."""
    after = matching_figures(figures, metric, pattern)
    before = matching_figures(locked, metric, pattern)
    changes = [Change(path, before.get(path, 0), after.get(path, 0)) for path in {**after, **before}]
    changed = [change for change in changes if change.before != change.after]
    return tuple(sorted(changed, key=lambda change: (change.before - change.after, change.layer)))


def _largest(figures: Figures, limit: Limit) -> tuple[tuple[str, float], ...]:
    """The layers that have most of a metric, with their figures."""
    metric = BUDGET_METRICS[limit.metric].explained_by
    if not metric:
        return ()
    by_layer = matching_figures(figures, metric, limit.layers)
    largest = sorted(by_layer.items(), key=lambda item: -item[1])[:_MOST_LARGEST]
    return tuple((path, value) for path, value in largest if value)


def _exact(number: float) -> Fraction:
    """The decimal number that a person wrote, of which a float is only the nearest."""
    return Fraction(repr(number))


def _float(number: Fraction) -> float:
    return int(number) if number.denominator == 1 else float(number)


def _number(value: float) -> str:
    if abs(value) >= _MOST_WRITTEN_OUT:
        return f"{value:.6g}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def _difference(amount: float, base: float) -> str:
    """An amount, and its part of the bound in percent."""
    percent = f" ({percent_text(amount / base)})" if base else ""
    return f"{_number(amount)}{percent}"
