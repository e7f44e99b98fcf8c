"""`inception-lab confirm`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from inception_lab.cli.confirm_text import confirmation_text, summary_line
from inception_lab.cli.options import emit, format_options
from inception_lab.errors import InceptionLabError


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--source", default="", metavar="TEXT", help="Only of sources with this in name or title.")
@click.option("--why", multiple=True, metavar="ID", help="Show the arithmetic of this claim; repeatable.")
@click.option("--measure", is_flag=True, help="Run networks for the claims about time, about a minute.")
@format_options
@click.pass_context
def command(
    context: click.Context,
    ids: Sequence[str],
    source: str,
    why: Sequence[str],
    measure: bool,
    form: str,
    output: Path | None,
) -> None:
    """Published claims about Inception networks, recomputed: of each ID, or all of them by source.

    A verdict follows from the numbers and the tolerance. Exits with 1 where one differs from the verdict that
    is recorded with the claim; times that are measured are not compared. Markdown is a page that holds the
    arithmetic of every claim.
    """
    from inception_lab import confirm

    confirmation = confirm([*ids, *why], source=source, measure=measure)
    emit(confirmation_text(confirmation, form, why), output)
    if confirmation.surprises:
        if output is not None:
            raise InceptionLabError(summary_line(confirmation), exit_code=1)
        context.exit(1)
