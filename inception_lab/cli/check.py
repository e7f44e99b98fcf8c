"""`inception-lab check`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
from click.core import ParameterSource

from inception_lab.budgets.wording import summary_line
from inception_lab.cli.check_text import FORMS, check_text, fault_text
from inception_lab.cli.lock_text import update_text
from inception_lab.cli.options import emit, format_options, screen_of
from inception_lab.cli.progress import busy
from inception_lab.errors import InceptionLabError
from inception_lab.report.terminal import fitted_text


@click.command()
@click.argument("budgets", metavar="[BUDGET]...", nargs=-1)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file with the budgets, or its folder.  [default: the current one]",
)
@click.option("--update", is_flag=True, help="Write the lock of all budgets, and say what changed in it.")
@click.option("--why", is_flag=True, help="Show every limit, and every layer that changed.")
@partial(format_options, forms=tuple(FORMS))
@click.pass_context
def command(
    context: click.Context,
    budgets: Sequence[str],
    config: Path | None,
    update: bool,
    why: bool,
    form: str,
    output: Path | None,
) -> None:
    """Limits on what models cost, of each BUDGET or of all, held against the models and the lock.

    Budgets stand in tables [tool.inception-lab.budgets.NAME] of pyproject.toml, or [budgets.NAME] of
    inception-lab.toml. Exits with 1 where a limit is broken or a model cannot be built, with 2 where the
    configuration or the lock is wrong.
    """
    run = _update if update else _check
    if not run(config, budgets, form, why, output):
        context.exit(1)


def _check(config: Path | None, budgets: Sequence[str], form: str, why: bool, output: Path | None) -> bool:
    from inception_lab import check_budgets

    try:
        with busy("checking budgets"):
            check = check_budgets(config, budgets)
    except InceptionLabError as error:
        if text := fault_text(error, form):
            emit(text, output)
        raise
    emit(_on_screen(check_text(check, form, every_layer=why), form, output), output)
    if output is not None and not check.passed:
        raise InceptionLabError(summary_line(check), exit_code=1)
    return check.passed


def _update(config: Path | None, budgets: Sequence[str], form: str, why: bool, output: Path | None) -> bool:
    from inception_lab import update_lock

    is_typed = click.get_current_context().get_parameter_source("form") is ParameterSource.COMMANDLINE
    if budgets or (is_typed and form != "table"):
        raise click.UsageError("--update is of all budgets and has one format: leave out BUDGET and --format")
    with busy("tracing the models of all budgets"):
        update = update_lock(config)
    emit(_on_screen(update_text(update, every_layer=why), "table", output), output)
    return not update.errors


def _on_screen(text: str, form: str, output: Path | None) -> str:
    """A text as it is read on a terminal, one for programs as it is."""
    return fitted_text(text, screen_of(output)) if form == "table" else text
