"""`inception-lab compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from inception_lab.cli.compare_text import ModuleOptions, comparison_text
from inception_lab.cli.model import traceback_shown
from inception_lab.cli.options import (
    COLUMNS,
    FORMS,
    MODEL,
    TOP,
    WIDE,
    OutputFile,
    TracingOptions,
    emit,
    optimizer_option,
    tracing_options,
    typed_options,
    view_options,
)
from inception_lab.cli.progress import busy
from inception_lab.comparison.subjects import is_file
from inception_lab.errors import InceptionLabError
from inception_lab.loading.options import ModelRequest
from inception_lab.report.view import View

if TYPE_CHECKING:
    from inception_lab.comparison.side_by_side import Comparison


class SubjectType(click.ParamType[str]):
    """The type of a MODEL, or of a file with a saved record."""

    name = "MODEL|FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read the text of a MODEL; that of a file stays as it is."""
        return value if is_file(value) else MODEL.convert(value, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the zoo, and files of records and locks in the folder that is typed."""
        folder, _, start = incomplete.rpartition("/")
        places = sorted(Path(f"{folder}/" if "/" in incomplete else ".").glob("*"))
        fitting = [place for place in places if place.suffix in (".json", ".lock") and place.is_file()]
        files = [CompletionItem(str(place)) for place in fitting if place.name.startswith(start)]
        return [*MODEL.shell_complete(ctx, param, incomplete), *files]


module_options = typed_options(
    ModuleOptions,
    "modules",
    (
        click.option("--depth", type=click.IntRange(min=1), help="Sum up modules deeper than this."),
        click.option("--branches", is_flag=True, help="Sum up parallel branches."),
        click.option("--unchanged", "show_unchanged", is_flag=True, help="Show what is the same in both."),
    ),
)
"""Adds the options of this command alone, which arrive as `modules`."""

growth_options = view_options(
    click.option("--sort", default="", metavar="METRIC", help="Its largest growth first.  [default: macs]"),
    TOP,
    COLUMNS,
    WIDE,
    forms=(*FORMS, "html"),
    output_option=click.option(
        "-o",
        "--output",
        type=OutputFile(),
        help="Write to this file, whose ending .csv, .html, .json, .md or .txt says the format; - is "
        "standard output.",
    ),
)
"""The options of tables, where rows are sorted by growth."""


@click.command()
@click.argument("subjects", metavar="A B...", nargs=-1, required=True, type=SubjectType())
@tracing_options
@optimizer_option
@module_options
@growth_options
def command(
    subjects: Sequence[str], tracing: TracingOptions, modules: ModuleOptions, view: View, output: Path | None
) -> None:
    """Models side by side, with ratios to the first; two of them module by module, what grew first.

    A and B are models, FILE.json as written by summary --format json, or budgets in a lock, one as in
    FILE.lock#NAME or all of them. A model is an entry of the zoo or package.module:factory, with keywords or
    without: "nin(num_classes=10)". CSV of two holds their layers, of more their totals; html is one page with
    everything, which opens in a browser.
    """
    from inception_lab import compare

    _check_for_models(subjects, tracing)
    with busy(f"comparing {', '.join(subjects)}"), traceback_shown(_factory(subjects), tracing):
        comparison = compare(
            *(_subject(text, tracing) for text in subjects),
            mode=tracing.mode,
            optimizer=tracing.optimizer,
            meta_only=tracing.meta_only,
        )
    emit(comparison_text(comparison, modules, view), output)
    if tracing.strict:
        _refuse_partial(comparison)


def _check_for_models(subjects: Sequence[str], tracing: TracingOptions) -> None:
    has_options = tracing.kwargs or tracing.input_sizes or any(tracing.arguments) or tracing.batch_size != 1
    if has_options and all(map(is_file, subjects)):
        raise InceptionLabError(
            "what was saved is not run again", hint="leave out --kwargs, --input-size, --arg and --batch-size"
        )


def _factory(subjects: Sequence[str]) -> str:
    """The first subject that is a model of another package, else the first one."""
    from inception_lab.loading.options import is_factory

    return next((text for text in subjects if not is_file(text) and is_factory(text)), subjects[0])


def _subject(text: str, tracing: TracingOptions) -> ModelRequest | Path:
    return Path(text) if is_file(text) else tracing.request(text)


def _refuse_partial(comparison: Comparison) -> None:
    partial = [
        label
        for label, record in zip(comparison.labels, comparison.records, strict=True)
        if not record.context["complete"]
    ]
    if partial:
        raise InceptionLabError(f"not counted completely: {', '.join(partial)}", exit_code=1)
