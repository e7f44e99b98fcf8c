"""A finished sweep as a study of Optuna, for its plots and importances."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from pandas import DataFrame

from inception_lab.arguments import checked
from inception_lab.budgets.budget import Limit
from inception_lab.errors import InceptionLabError
from inception_lab.files import path_from, write_bytes
from inception_lab.sweeps.ranges import Distribution, Range
from inception_lab.sweeps.reading import SpaceSource, read_space
from inception_lab.sweeps.space import Direction, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_DIRECTIONS: Mapping[Direction, Literal["minimize", "maximize"]] = {"min": "minimize", "max": "maximize"}


@checked
def export_study(space: SpaceSource, table: DataFrame, path: str | Path) -> str:
    """Write a finished sweep into a journal file of Optuna; returns the name of the study in it.

    Each variant is a trial: its parameters, its objectives as values, all other figures as attributes. A
    variant that failed or is partial is a failed trial; one out of budget breaks a constraint of the trial,
    so that `study.best_trials` are the Pareto front.

    Args:
        space: Of the sweep.
        table: What `sweep` returned for it.
        path: The file, which is written anew.

    Raises:
        InceptionLabError: The space has no objectives, Optuna is not installed, or the file cannot be
            written (exit code 2).

    Example:
        >>> import inception_lab as il
        >>> from tempfile import TemporaryDirectory
        >>> ranges = {"num_classes": [10, 100]}
        >>> space = {"model": "nin", "parameters": ranges, "objectives": {"params": "min"}}
        >>> with TemporaryDirectory() as folder:
        ...     export_study(space, il.sweep(space, jobs=1), Path(folder, "nin.journal"))
        'nin'
    """
    space, path = read_space(space), path_from(path)
    if not space.objectives:
        raise InceptionLabError(
            "a study has objectives", where=space.model, hint="add [objectives] with params = 'min'"
        )
    try:
        from optuna import create_study
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        hint = "pip install 'inception_lab[optuna]'"
        raise InceptionLabError("Optuna is not installed", hint=hint) from error
    from inception_lab.sweeps.study_backend import MemoryBackend

    # one trial after the other would be appended to the file, at a hundred times the cost
    backend = MemoryBackend()
    directions = [_DIRECTIONS[direction] for direction in space.objectives.values()]
    with _quiet():
        study = create_study(storage=JournalStorage(backend), study_name=space.model, directions=directions)
        study.add_trials(_trials(space, table))
    with TemporaryDirectory() as folder:
        file = Path(folder, "study.journal")
        JournalFileBackend(str(file)).append_logs(backend.logs)
        write_bytes(path, file.read_bytes())
    return space.model


@contextmanager
def _quiet() -> Iterator[None]:
    """Have Optuna say nothing of the study that it makes."""
    from optuna.logging import WARNING, get_verbosity, set_verbosity

    verbosity = get_verbosity()
    set_verbosity(WARNING)
    try:
        yield
    finally:
        set_verbosity(verbosity)


def _trials(space: Space, table: DataFrame) -> Iterator[FrozenTrial]:
    from optuna.trial import TrialState, create_trial

    distributions = {name: _distribution(values) for name, values in space.parameters.items()}
    for row in table.astype(object).where(table.notna(), None).to_dict("records"):
        is_complete = row["status"] == "complete"
        figures = {name: row[name] for name in (*space.metrics, "status", "cause") if row[name] is not None}
        yield create_trial(
            state=TrialState.COMPLETE if is_complete else TrialState.FAIL,
            params={name: _parameter(row[name]) for name in space.parameters},
            distributions=distributions,
            values=[row[name] for name in space.objectives] if is_complete else None,
            user_attrs=figures,
            system_attrs={"constraints": _excesses(space.budgets, row)} if is_complete else {},
        )


def _excesses(budgets: tuple[Limit, ...], row: Mapping[Any, Any]) -> list[float]:
    """By how much each bound is broken; 0 or less where it is kept, as samplers of Optuna read it."""
    above = [row[limit.metric] - limit.most for limit in budgets if limit.most is not None]
    below = [limit.least - row[limit.metric] for limit in budgets if limit.least is not None]
    return [float(excess) for excess in (*above, *below)]


def _distribution(values: Range) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(values, Distribution):
        is_log = values.kind == "loguniform"
        # a normal distribution may have no bounds, which Optuna asks for
        least, most = (values.at(end) for end in (0.0, 1.0))
        if values.is_whole:
            return IntDistribution(int(least), int(most), log=is_log)
        return FloatDistribution(least, most, log=is_log)
    if step := _step(values.values):
        kind = IntDistribution if isinstance(step, int) else FloatDistribution
        return kind(min(values.values), max(values.values), step=step)
    return CategoricalDistribution([_parameter(value) for value in values.values])


def _step(values: Sequence[Any]) -> Any:
    """The distance of numbers of one kind that are as far apart as all others; 0 where there is none."""
    kinds = {type(value) for value in values}
    if len(values) < 2 or kinds not in ({int}, {float}):
        return 0
    # as decimal numbers, of which 0.1 is one
    ordered = sorted(Decimal(repr(value)) for value in values)
    steps = {after - before for before, after in pairwise(ordered)}
    return kinds.pop()(steps.pop()) if len(steps) == 1 else 0


def _parameter(value: Any) -> Any:
    """A value that Optuna takes: of lists and tables their text."""
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value)
