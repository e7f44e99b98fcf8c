"""A sweep: each variant of a space that its store does not have is run, and all make one table."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pandas import DataFrame, Series

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.files import path_from
from inception_lab.loading.options import ModelRequest, is_factory
from inception_lab.sweeps.columns import END_TYPES
from inception_lab.sweeps.engines import Engine, EngineName, results_of
from inception_lab.sweeps.figures import Answer, answer
from inception_lab.sweeps.question import Parameters, Question
from inception_lab.sweeps.reading import SpaceSource, read_space
from inception_lab.sweeps.space import Space
from inception_lab.sweeps.store import Store, keys_for
from inception_lab.sweeps.versions import check_versions, loaded_versions_of, located
from inception_lab.sweeps.worker import stop_profiler

Progress = Callable[[int, int], None]
"""Called with the number of variants that are finished, and with that of all."""

LOST = Answer({}, "failed", "whatever process ran it was ended: it may need more memory than there is")
"""That of a variant that ends its process each time."""

_DTYPES = {bool: "bool", int: "int64", float: "float64", str: "str"}
_LARGEST = 2**63 - 1
"""Whole number of a column of them; larger ones stay objects."""


@checked
def sweep(
    space: SpaceSource,
    *,
    store: str | Path | None = None,
    engine: EngineName = "processes",
    address: str = "",
    jobs: int | None = None,
    retry: bool = False,
    progress: Progress | None = None,
) -> DataFrame:
    """Build and analyse every variant of a design.

    Args:
        space: A TOML file, or a dictionary with the same keys; see `read_space`.
        store: A JSONL file to which each variant is appended as it is finished. What it has already is not
            run again, so that the same call goes on where another one ended. None for none.
        engine: `processes` of this machine, or `dask` for a cluster.
        address: Of the cluster's scheduler.
        jobs: Variants at a time, by default one per core.
        retry: Run variants that failed again.
        progress: Called with the number of variants that are finished and with that of all.

    Returns:
        A row per variant in the order of the space: its parameters, the figures that were asked for,
        `within_budgets`, `status` (`complete`, `partial` or `failed`) and `cause`. Figures of a failed one
        are missing; it is not within budgets, and neither is a partial one.

    Raises:
        InceptionLabError: The space has a fault, there is no such model, the store cannot be written, or
            the cluster does not answer (exit code 2).

    Example:
        >>> table = sweep({"model": "nin", "parameters": {"num_classes": [10, 100]}}, jobs=1)
        >>> table[["num_classes", "params", "status"]].values.tolist()
        [[10, 6580426, 'complete'], [100, 6672676, 'complete']]
    """
    space, where = read_space(space), Engine(engine, jobs, address)
    run = Run.of(space, None if store is None else Store(path_from(store)))
    answers = run.stored(retry)
    if missing := {key: row for key, row in run.variants.items() if key not in answers}:
        _check_factory(space, run.question.request(space.first, space.mode))
        with closing(run.answers_of(missing, where)) as finished:
            for key, result in finished:
                answers[key] = result
                if progress is not None:
                    progress(len(answers), len(run.variants))
    return run.table(answers)


@dataclass(frozen=True)
class Run:
    """The variants of a sweep by their keys, and where their answers are stored.

    Attributes:
        space: The space.
        question: What is asked of each variant.
        versions: Those that all answers hold for.
        variants: The parameters of each by its key in the store.
        store: None where answers are not stored.
    """

    space: Space
    question: Question
    versions: Mapping[str, str]
    variants: Mapping[str, Parameters]
    store: Store | None

    @classmethod
    def of(cls, space: Space, store: Store | None) -> Run:
        """Number the variants of a space by their keys."""
        question, versions = space.question, loaded_versions_of(space.model)
        key_of = keys_for(question, versions)
        return cls(space, question, versions, {key_of(row): row for row in space.variants()}, store)

    def stored(self, retry: bool) -> dict[str, Answer]:
        """Return the answers that the store has to this question, those that failed but for a `retry`."""
        answers = {} if self.store is None else self.store.read()
        return {
            key: answers[key]
            for key in self.variants
            if key in answers and self._is_final(answers[key], retry)
        }

    def _is_final(self, stored: Answer, retry: bool) -> bool:
        return not retry if stored.status == "failed" else stored.figures.keys() >= {*self.question.metrics}

    def answers_of(
        self, missing: Mapping[str, Parameters], where: Engine
    ) -> Generator[tuple[str, Answer], None, None]:
        """Run variants; yields each with its key when it is finished and stored."""
        # processes may have been started elsewhere
        question = replace(self.question, model=located(self.question.model))
        task = partial(_checked_answer, question, tuple(self.versions.items()))
        with where.opened() as make, _appender(self.store) as append:
            for (key, parameters), result in results_of(task, missing.items(), make):
                finished = LOST if result is None else result
                append(key, parameters, finished)
                yield key, finished

    def table(self, answers: Mapping[str, Answer]) -> DataFrame:
        """Return the table of all variants, in the order of the space."""
        rows = [self._row(parameters, answers[key]) for key, parameters in self.variants.items()]
        # as objects, or pandas would make one kind of numbers of whole and other ones
        table = DataFrame(
            rows, columns=[*self.space.parameters, *self.question.metrics, *END_TYPES], dtype=object
        )
        kinds = {name: _dtype_of(table[name]) for name in self.space.parameters}
        figures = {name: _dtype_of(table[name].dropna()) for name in self.question.metrics}
        # counts beside missing ones stay whole numbers
        counts = {name: "Int64" for name, kind in figures.items() if kind == "int64"}
        return table.astype({**kinds, **counts, **END_TYPES})

    def _row(self, parameters: Parameters, result: Answer) -> list[Any]:
        figures = [result.figures.get(name) for name in self.question.metrics]
        is_within = result.status == "complete" and all(
            limit.keeps(result.figures[limit.metric]) for limit in self.space.budgets
        )
        return [*parameters.values(), *figures, is_within, result.status, result.cause]


def _dtype_of(values: Series) -> str:
    """The type of a column of values that are all of one kind; `object` of any other."""
    kinds = {type(value) for value in values}
    if len(kinds) != 1 or (kinds == {int} and values.abs().max() > _LARGEST):
        return "object"
    return _DTYPES.get(kinds.pop(), "object")


def _check_factory(space: Space, request: ModelRequest) -> None:
    """Refuse keywords that a factory does not take, before any variant is built."""
    if not is_factory(request.spec):
        return
    from inception_lab.loading.factories import check_keywords, find_factory
    from inception_lab.loading.isolation import isolated

    with isolated():
        factory = find_factory(request.spec)
        try:
            check_keywords(request.spec, factory, request.kwargs)
        except InceptionLabError as error:
            names = [name for name in space.parameters if repr(name) in error.what]
            raise space.place.at("parameters", *names[:1]).refusal(error.what, error.hint) from None


def _checked_answer(
    question: Question, versions: tuple[tuple[str, str], ...], variant: tuple[str, Parameters]
) -> Answer:
    """Run in another process, where no other request to end than one of the model itself arrives."""
    check_versions(question.model, versions)
    stop_profiler()
    try:
        return answer(question, variant[1])
    except KeyboardInterrupt:
        return Answer({}, "failed", "KeyboardInterrupt")


@contextmanager
def _appender(store: Store | None) -> Iterator[Callable[[str, Parameters, Answer], None]]:
    if store is None:
        yield lambda *_: None
        return
    with store.opened() as appender:
        yield appender.append
