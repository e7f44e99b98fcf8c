"""The lock written anew, and what changed in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from inception_lab.arguments import checked
from inception_lab.budgets.budget import Budget
from inception_lab.budgets.budget_metrics import BUDGET_METRICS
from inception_lab.budgets.configuration import Configuration, read_configuration
from inception_lab.budgets.figures import Figures, RecordedFigures
from inception_lab.budgets.judge import (
    ModelFigures,
    Models,
    layer_changes,
    mode_of,
    mode_of_layers,
    partial_reason,
)
from inception_lab.budgets.lock import Lock, LockedBudget, differences, question_of, read_lock, write_lock
from inception_lab.budgets.verdict import Change
from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Mode

_NO_FIGURES = RecordedFigures({}, {})
_ONLY_ASKED = "train_peak_bytes"
"""The total that a lock has only where a budget limits it."""


class LockChange(NamedTuple):
    """A total that is another one than in the lock before.

    Attributes:
        budget: Its name.
        metric: The metric.
        before: None where the lock had none.
        after: None where it has none any more.
        layers: The layers that changed, the largest growth first.
    """

    budget: str
    metric: str
    before: int | None
    after: int | None
    layers: tuple[Change, ...] = ()


@dataclass(frozen=True)
class LockUpdate:
    """A lock that was written anew.

    Attributes:
        path: Of the lock.
        changes: Every total that changed, or whose layers did, budget by budget.
        errors: The budgets whose model could not be built or traced, or is partial, by name: the lock has of
            them what it had.
        note: The fault of the lock that was there before; empty where it had none.
        conditions: The settings of a budget that are others than in the lock before, such as `batch-size` or
            `torch` for its version, by the name of the budget.
    """

    path: Path
    changes: tuple[LockChange, ...]
    errors: Mapping[str, str]
    note: str = ""
    conditions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@checked
def update_lock(path: str | Path | None = None) -> LockUpdate:
    """Write the lock beside a configuration: the figures that the models of its budgets have now.

    Args:
        path: As for `check_budgets`.

    Returns:
        The changes against the lock that was there.

    Raises:
        InceptionLabError: The configuration has a fault, or the lock cannot be written (exit code 2).
    """
    configuration = read_configuration(path)
    old, note = _old_lock(configuration.lock)

    from inception_lab.budgets.traced import NamedModels

    lock, errors = updated_lock(configuration, old, NamedModels())
    write_lock(configuration.lock, lock)
    before = old.budgets if old else {}
    changes = tuple(_changes(before, lock.budgets))
    return LockUpdate(configuration.lock, changes, errors, note, _changed_conditions(before, lock.budgets))


def _old_lock(path: Path) -> tuple[Lock | None, str]:
    """The lock before; a damaged one is mended by writing it anew, so that it is no error here."""
    try:
        return read_lock(path), ""
    except InceptionLabError as error:
        return None, error.what


def updated_lock(
    configuration: Configuration, old: Lock | None, models: Models
) -> tuple[Lock, dict[str, str]]:
    """Return the lock of a configuration, and the reasons for which budgets could not be locked, by name.

    Args:
        configuration: The budgets.
        old: The lock before, of which such a budget keeps its figures.
        models: Gives the figures.
    """
    locked: dict[str, LockedBudget] = {}
    errors: dict[str, str] = {}
    for budget in configuration.budgets:
        try:
            locked[budget.name] = _locked_budget(budget, models)
        except InceptionLabError as error:
            errors[budget.name] = str(error)
            if old and budget.name in old.budgets:
                locked[budget.name] = old.budgets[budget.name]
    return Lock(locked), errors


def _locked_budget(budget: Budget, models: Models) -> LockedBudget:
    modes = dict.fromkeys([budget.mode, *(mode_of(limit, budget) for limit in budget.limits)])
    by_mode = {mode: models.figures(budget, mode) for mode in modes}
    if reason := partial_reason(by_mode.values()):
        raise InceptionLabError(reason, where=budget.model)
    metrics = dict(_locked_metrics(budget))
    totals = {
        name: total for name, mode in metrics.items() if (total := by_mode[mode].total(name)) is not None
    }
    columns = {
        BUDGET_METRICS[name].explained_by: mode_of_layers(name, budget) for name in metrics if name != "flops"
    }
    figures = RecordedFigures(
        {name: total for name, total in totals.items() if total is not None}, _rows(by_mode, columns)
    )
    main = by_mode[budget.mode]
    return LockedBudget(question_of(budget), main.input_shapes, main.torch, figures)


def _locked_metrics(budget: Budget) -> Iterator[tuple[str, Mode]]:
    """Every deterministic metric of the budget's mode, and others that it limits, each with its mode."""
    limited = {limit.metric for limit in budget.limits}
    for name, metric in BUDGET_METRICS.items():
        mode = metric.mode or budget.mode
        is_deterministic = metric.explained_by or name == "weighted_layers"
        if is_deterministic and (name in limited or (mode == budget.mode and name != _ONLY_ASKED)):
            yield name, mode


def _rows(figures: Mapping[Mode, ModelFigures], columns: Mapping[str, Mode]) -> dict[str, dict[str, int]]:
    rows: dict[str, dict[str, int]] = {}
    for metric in BUDGET_METRICS:
        if metric in columns:
            for path, value in figures[columns[metric]].by_layer(metric).items():
                rows.setdefault(path, {})[metric] = value
    return rows


def _changes(before: Mapping[str, LockedBudget], after: Mapping[str, LockedBudget]) -> Iterator[LockChange]:
    for name in sorted(before.keys() | after.keys()):
        old = before[name].figures if name in before else _NO_FIGURES
        new = after[name].figures if name in after else _NO_FIGURES
        for metric in BUDGET_METRICS:
            before_total, after_total = old.total(metric), new.total(metric)
            layers = _layers(new, old, metric)
            # a renamed or moved layer changes lines of the lock, though the total stays
            has_moved = BUDGET_METRICS[metric].explained_by == metric and layers
            if before_total != after_total or has_moved:
                yield LockChange(name, metric, before_total, after_total, layers)


def _changed_conditions(
    before: Mapping[str, LockedBudget], after: Mapping[str, LockedBudget]
) -> Mapping[str, tuple[str, ...]]:
    """The keys in which the questions of budgets differ, and `input-shapes` or `torch` where they do."""
    conditions: dict[str, tuple[str, ...]] = {}
    for name in sorted(before.keys() & after.keys()):
        old, new = before[name], after[name]
        keys = differences(old.question, new.question)
        keys += ["input-shapes"] if old.input_shapes != new.input_shapes else []
        keys += ["torch"] if old.torch != new.torch else []
        conditions |= {name: tuple(keys)} if keys else {}
    return conditions


def _layers(new: Figures, old: RecordedFigures, metric: str) -> tuple[Change, ...]:
    """The layers that changed; none for a budget that is new, of which all did."""
    explained_by = BUDGET_METRICS[metric].explained_by
    return layer_changes(new, old, explained_by) if explained_by and old.totals else ()
