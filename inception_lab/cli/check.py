"""`inception-lab check`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from inception_lab.budgets.wording import summary_line
from inception_lab.cli.check_text import FORMS, check_text, fault_text
from inception_lab.cli.lock_text import update_text
from inception_lab.cli.options import emit
from inception_lab.errors import InceptionLabError


@click.command()
@click.argument("budgets", metavar="[BUDGET]...", nargs=-1)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file with the budgets, or its folder.  [default: the current one]",
)
@click.option("--update", is_flag=True, help="Write the lock of all budgets, and say what changed in it.")
@click.option("--why", is_flag=True, help="Show every limit, and every layer that changed.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMS), case_sensitive=False),
    default="table",
    show_default=True,
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of the terminal."
)
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
        check = check_budgets(config, budgets)
    except InceptionLabError as error:
        if text := fault_text(error, form):
            emit(text, output)
        raise
    emit(check_text(check, form, every_layer=why), output)
    if output is not None and not check.passed:
        raise InceptionLabError(summary_line(check), exit_code=1)
    return check.passed


def _update(config: Path | None, budgets: Sequence[str], form: str, why: bool, output: Path | None) -> bool:
    from inception_lab import update_lock

    if budgets or form != "table":
        raise click.UsageError("--update is of all budgets and has one format: leave out BUDGET and --format")
    update = update_lock(config)
    emit(update_text(update, every_layer=why), output)
    return not update.errors
