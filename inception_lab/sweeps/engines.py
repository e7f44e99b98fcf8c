"""Where variants run: processes of this machine, or a Dask cluster, both through joblib."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar, get_args

from joblib import Parallel, cpu_count, delayed, parallel_config

from inception_lab.errors import InceptionLabError, first_line, nearest
from inception_lab.sweeps.worker import prepare_process

Item = TypeVar("Item")
Result = TypeVar("Result")
EngineName = Literal["processes", "dask"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)

SECONDS = 10
"""That a scheduler may take to answer; workers that are started anew may take several times as long."""


@dataclass(frozen=True)
class Engine:
    """What runs the variants.

    Attributes:
        name: `processes` or `dask`.
        jobs: Variants at a time; None for one per core. Of a cluster, as many as it has.
        address: Of the cluster's scheduler, such as `tcp://127.0.0.1:8786`; empty for processes.
    """

    name: EngineName = "processes"
    jobs: int | None = None
    address: str = ""

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise InceptionLabError(f"no engine {self.name!r}", hint=nearest(self.name, ENGINES))
        if self.jobs is not None and (type(self.jobs) is not int or self.jobs < 1):
            raise InceptionLabError(f"jobs is {self.jobs!r}", hint="give 1 or more")
        if (self.name == "dask") != bool(self.address):
            what = "a cluster has no address" if self.name == "dask" else "processes have no address"
            hint = "add address='tcp://…:8786'" if self.name == "dask" else "add engine='dask'"
            raise InceptionLabError(what, hint=hint)
        if self.name == "dask" and self.jobs is not None:
            raise InceptionLabError("a cluster has its own number of jobs", hint="leave out jobs")

    def opened(self) -> AbstractContextManager[Callable[[], Parallel]]:
        """Start the engine; yields a function that makes a `Parallel` of it.

        Raises:
            InceptionLabError: The cluster does not answer, or Dask is not installed (exit code 2).
        """
        return _dask(self.address) if self.name == "dask" else _processes(self.jobs or cpu_count())


@contextmanager
def _processes(jobs: int) -> Iterator[Callable[[], Parallel]]:
    # joblib runs a single job in this process, which a variant could end: two processes take turns instead
    ahead: int | str = 1 if jobs == 1 else "2 * n_jobs"
    yield partial(_parallel, "loky", n_jobs=max(2, jobs), ahead=ahead, initializer=prepare_process)


def _parallel(backend: Any, n_jobs: int, ahead: int | str = "2 * n_jobs", **options: Any) -> Parallel:
    with parallel_config(backend, n_jobs=n_jobs, **options):
        return Parallel(return_as="generator_unordered", pre_dispatch=ahead)


@contextmanager
def _dask(address: str) -> Iterator[Callable[[], Parallel]]:
    try:
        from distributed import Client
    except ImportError as error:
        raise InceptionLabError(
            "Dask is not installed", where=address, hint="pip install 'inception_lab[dask]'"
        ) from error
    from inception_lab.sweeps.dask_backend import DaskBackend

    try:
        client = Client(address, timeout=SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError) as error:
        what = f"no cluster answers: {first_line(error)}"
        raise InceptionLabError(what, where=address, hint="start one with 'dask scheduler'") from error
    with client:
        if not client.ncores():  # type: ignore[no-untyped-call]
            raise InceptionLabError(
                "the cluster has no workers", where=address, hint=f"dask worker {address}"
            )
        try:
            yield lambda: _parallel(
                DaskBackend(client=client, wait_for_workers_timeout=6 * SECONDS), n_jobs=-1
            )
        except (OSError, CancelledError) as error:  # a timeout too
            raise InceptionLabError(
                f"the cluster was lost: {first_line(error)}", where=address, hint="start it again"
            ) from error


def results_of(
    task: Callable[[Item], Result], items: Iterable[Item], make: Callable[[], Parallel]
) -> Iterator[tuple[Item, Result | None]]:
    """Yield each item with its result as it is finished; with None where it ends whatever process runs it.

    Args:
        task: Run in other processes; what it raises ends them all.
        items: Taken a few at a time.
        make: Makes a `Parallel`.
    """
    queue = iter(items)
    while (suspects := (yield from _until_lost(task, queue, make))) is not None:
        # alone, the one that ends its process is told from those that ran beside it
        for item in suspects:
            if (yield from _until_lost(task, [item], make)) is not None:
                yield item, None


def _until_lost(
    task: Callable[[Item], Result], items: Iterable[Item], make: Callable[[], Parallel]
) -> Generator[tuple[Item, Result], None, list[Item] | None]:
    """Each item with its result; returns those that were running where a process ended, else None."""
    running: dict[int, Item] = {}

    def calls() -> Iterator[Any]:
        for number, item in enumerate(items):
            running[number] = item
            yield delayed(_numbered)(task, number, item)

    try:
        with closing(make()(calls())) as results:
            for number, result in results:
                yield running.pop(number), result
    except _lost_workers():
        return list(running.values())
    return None


def _numbered(task: Callable[[Item], Result], number: int, item: Item) -> tuple[int, Result]:
    return number, task(item)


def _lost_workers() -> tuple[type[Exception], ...]:
    """What joblib raises where a process that ran an item has ended."""
    from concurrent.futures.process import BrokenProcessPool
    from sys import modules

    distributed = modules.get("distributed")
    return (BrokenProcessPool, distributed.KilledWorker) if distributed else (BrokenProcessPool,)
