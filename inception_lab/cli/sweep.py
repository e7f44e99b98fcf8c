"""`inception-lab sweep`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inception_lab import interrupts
from inception_lab.cli.options import (
    WrittenFile,
    device_option,
    emit,
    seconds_option,
    table_options,
    threads_option,
    typed_options,
)
from inception_lab.cli.plot_options import check_plot, plot_options
from inception_lab.cli.progress import counting_bar, progress_bar
from inception_lab.cli.sweep_text import Results, results_text
from inception_lab.errors import InceptionLabError
from inception_lab.report.view import View
from inception_lab.sweeps.reading import LARGEST_COUNT, read_space
from inception_lab.sweeps.store import Store

if TYPE_CHECKING:
    from pandas import DataFrame

    from inception_lab.sweeps.space import Space

ENGINES = ("processes", "dask")
"""Those of `sweeps.engines`, which imports joblib."""


@dataclass(frozen=True)
class SweepOptions:
    """Options of the sweep command alone.

    Attributes:
        sample: Number of variants to draw, in place of that of the space.
        seed: Of the drawing, in place of that of the space.
        store: File of finished variants; None for that beside the space.
        engine: `processes` or `dask`.
        address: Of the cluster's scheduler.
        jobs: Number of processes, None for one per core.
        retry: Run variants that failed again.
        measure: Number of the best variants to time for real, None for none.
        device: Where these run.
        seconds: Time budget of each of them.
        threads: Threads within an operation, of these.
        export: `optuna`, or None.
        strict: A variant that failed or is partial is a failure.
        plot: File for the plot.
        size: Name of the size that it is drawn for.
    """

    sample: int | None
    seed: int | None
    store: Path | None
    engine: str
    address: str
    jobs: int | None
    retry: bool
    measure: int | None
    device: str
    seconds: float
    threads: int | None
    export: str | None
    strict: bool
    plot: Path | None
    size: str

    def of_space(self, space: Space) -> Space:
        """The space with the sample and the seed that were typed."""
        sample = space.sample if self.sample is None else self.sample
        return replace(space, sample=sample, seed=space.seed if self.seed is None else self.seed)


sweep_options: Callable[[Callable[..., Any]], Callable[..., Any]] = typed_options(
    SweepOptions,
    "options",
    (
        click.option(
            "--sample",
            type=click.IntRange(1, LARGEST_COUNT),
            help="Draw so many variants, in place of the space's.",
        ),
        click.option(
            "--seed", type=click.IntRange(0, LARGEST_COUNT), help="Of the drawing, in place of the space's."
        ),
        click.option(
            "--store",
            type=WrittenFile(),
            help="File of finished variants, with which a second run goes on.  [default: SPACE.jsonl]",
        ),
        click.option(
            "--engine",
            type=click.Choice(ENGINES),
            default="processes",
            show_default=True,
            help="Processes of this machine, or a Dask cluster.",
        ),
        click.option("--address", default="", help="Of the cluster's scheduler, such as tcp://host:8786."),
        click.option(
            "--jobs", type=click.IntRange(1, 1024), help="Number of processes.  [default: one per core]"
        ),
        click.option("--retry", is_flag=True, help="Run variants that failed again."),
        click.option(
            "--measure", type=click.IntRange(1, 100), metavar="K", help="Time the K best variants for real."
        ),
        device_option,
        seconds_option,
        threads_option,
        click.option(
            "--export", type=click.Choice(["optuna"]), help="Write a study of Optuna beside the store."
        ),
        click.option("--strict", is_flag=True, help="Exit with 1 where a variant failed or is partial."),
        *plot_options("the Pareto front over two or three objectives"),
    ),
)
"""Adds the options of this command alone, which arrive as `options`."""


@click.command()
@click.argument("path", metavar="SPACE.toml", type=click.Path(path_type=Path))
@sweep_options
@table_options
def command(path: Path, options: SweepOptions, view: View, output: Path | None) -> None:
    """Variants of a design by the thousand: costs, receptive field, memory, and the Pareto front.

    SPACE.toml names a model, the values of each of its parameters, budgets and objectives. The table has the
    variants on the front; csv and json have all. Each finished variant is stored at once, and the same
    command goes on where another one was ended. Exits with 1 where no variant is within budgets.
    """
    check_plot(options.plot)
    space = options.of_space(read_space(path))
    _check(space, options)
    store = options.store or path.with_suffix(".jsonl")
    table = _swept(space, store, options)
    if options.export:
        _export(space, table, store)
    if options.plot is not None:
        _draw(space, table, options.plot, options.size)
    emit(results_text(_results(space, table, store, options), view), output)
    _judge(table, options)


def _check(space: Space, options: SweepOptions) -> None:
    """Refuse what the space has no objectives for, before anything is run."""
    if options.plot is not None and not 2 <= len(space.objectives) <= 3:
        raise InceptionLabError(
            f"--plot is over two or three objectives, not {len(space.objectives)}",
            where=space.model,
            hint="add them to [objectives], such as macs = 'min'",
        )
    if options.device != "cpu":  # before thousands of variants are run
        from inception_lab.measure.timing.timing import timed_device

        timed_device(options.device)
    for flag, value in (("--export", options.export), ("--measure", options.measure)):
        if value and not space.objectives:
            hint = "add [objectives], such as macs = 'min'"
            raise InceptionLabError(f"{flag} needs objectives", where=space.model, hint=hint)


def _swept(space: Space, store: Path, options: SweepOptions) -> DataFrame:
    from inception_lab import sweep

    try:
        with counting_bar(f"sweeping {space.model}", "variants") as progress:
            return sweep(
                space,
                store=store,
                engine=options.engine,  # type: ignore[arg-type]
                address=options.address,
                jobs=options.jobs,
                retry=options.retry,
                progress=progress,
            )
    except interrupts.Interrupted:
        count = len(Store(store).read())
        click.echo(f"{count:,} variants are in {store}; the same command goes on", err=True)
        raise


def _export(space: Space, table: DataFrame, store: Path) -> None:
    from inception_lab import export_study

    path = store.with_suffix(".journal")
    name = export_study(space, table, path)
    click.echo(f"wrote study {name!r} of Optuna to {path}", err=True)


def _draw(space: Space, table: DataFrame, path: Path, size: str) -> None:
    from inception_lab import plot_pareto, reference_variants

    with progress_bar("tracing the references") as progress:
        references = reference_variants(space, progress=progress)
    for row in references[references["status"] != "complete"].to_dict("records"):
        click.echo(f"not drawn: {row['model']}, {row['status']}: {row['cause']}", err=True)
    budgets = {limit.metric: (limit.least, limit.most) for limit in space.budgets}
    plot_pareto(
        table,
        space.objectives,
        path,
        budgets=budgets,
        references=references[references["status"] == "complete"],
        size=size,
    )


def _results(space: Space, table: DataFrame, store: Path, options: SweepOptions) -> Results:
    # where nothing is within budgets, there is nothing to time, and the answer is no
    timed = _timed(space, table, options) if options.measure and table["within_budgets"].any() else None
    return Results(space, table, store, timed)


def _timed(space: Space, table: DataFrame, options: SweepOptions) -> DataFrame:
    from inception_lab import best_variants, time_variants

    best = best_variants(table, space.objectives, options.measure or 1)
    with progress_bar(f"timing {len(best)} variants") as progress:
        return time_variants(
            space,
            best,
            device=options.device,
            threads=options.threads,
            seconds=options.seconds,
            progress=progress,
        )


def _judge(table: DataFrame, options: SweepOptions) -> None:
    if not table["within_budgets"].any():
        raise InceptionLabError("no variant is within budgets", hint="loosen one", exit_code=1)
    unlike = table["status"] != "complete"
    if options.strict and unlike.any():
        what = f"{int(unlike.sum()):,} of {len(table):,} variants are partial or failed"
        raise InceptionLabError(what, hint="see their cause in csv", exit_code=1)
