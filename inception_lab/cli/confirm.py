"""`inception-lab confirm`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inception_lab.cli.audit_text import audit_text
from inception_lab.cli.audit_text import summary_line as audit_summary
from inception_lab.cli.confirm_text import confirmation_text, summary_line
from inception_lab.cli.model import traceback_shown
from inception_lab.cli.options import MODEL, WIDE, TracingOptions, emit, step_options, view_options
from inception_lab.cli.progress import busy, progress_bar
from inception_lab.errors import InceptionLabError
from inception_lab.report.view import View

if TYPE_CHECKING:
    from inception_lab.claims.recompute import Confirmation


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--source", default="", metavar="TEXT", help="Only of sources with this in name or title.")
@click.option("--why", multiple=True, metavar="ID", help="Show the arithmetic of this claim; repeatable.")
@click.option(
    "--measure", is_flag=True, help="Run networks for the claims about time and gradients, some minutes."
)
@click.option("--model", type=MODEL, help="Audit this MODEL instead: where it departs from the reference.")
@click.option("--against", type=MODEL, help="The reference of an audit.  [default: googlenet]")
@step_options
@view_options(WIDE)
@click.pass_context
def command(
    context: click.Context,
    ids: Sequence[str],
    source: str,
    why: Sequence[str],
    measure: bool,
    model: str | None,
    against: str | None,
    tracing: TracingOptions,
    view: View,
    output: Path | None,
) -> None:
    """Published claims about Inception networks, recomputed: of each ID, or all of them by source.

    A verdict follows from the numbers and the tolerance. Exits with 1 where one differs from the verdict that
    is recorded with the claim; times that are measured are not compared. Markdown is a page that holds the
    arithmetic of every claim.

    With --model it says instead where an implementation departs from a reference net, layer by layer, and
    exits with 1 where it does. Layers answer to each other by the dataflow, not by their names.
    """
    if model is not None:
        if ids or source or why or measure:
            raise InceptionLabError("claims beside --model", hint="leave out one of both")
        _audit(context, model, against, tracing, view, output)
        return
    if against is not None or tracing != TracingOptions({}, ()):
        raise InceptionLabError("options of an audit without a model", hint="give --model")
    confirmation = (_confirm_timed if measure else _confirm)([*ids, *why], source)
    emit(confirmation_text(confirmation, view, why), output)
    if confirmation.surprises:
        if output is not None:
            raise InceptionLabError(summary_line(confirmation), exit_code=1)
        context.exit(1)


def _audit(
    context: click.Context,
    model: str,
    against: str | None,
    tracing: TracingOptions,
    view: View,
    output: Path | None,
) -> None:
    """Audit a model against a reference."""
    from inception_lab import audit_models

    reference = against or "googlenet"
    with busy(f"auditing {model}"), traceback_shown(model, tracing):
        audit = audit_models(tracing.request(model), reference, mode=tracing.mode)
    emit(audit_text(audit, view), output)
    if audit.departs:
        if output is not None:
            raise InceptionLabError(audit_summary(audit), exit_code=1)
        context.exit(1)


def _confirm(ids: Sequence[str], source: str) -> Confirmation:
    from inception_lab import confirm

    with busy("recomputing claims"):
        return confirm(ids, source=source)


def _confirm_timed(ids: Sequence[str], source: str) -> Confirmation:
    from inception_lab import confirm

    with progress_bar("timing networks") as progress:
        return confirm(ids, source=source, measure=True, progress=progress)
