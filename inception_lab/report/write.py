"""Writing report folders: of one model, and of several side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from inception_lab import __version__
from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.files import path_from, write_text
from inception_lab.record import SCHEMA, Record, Row, check_context
from inception_lab.report.contents import ReportContents
from inception_lab.report.folder import MARKERS, replacing
from inception_lab.report.html.comparison_page import comparison_page as html_comparison_page
from inception_lab.report.html.inline_svg import Figure
from inception_lab.report.html.model_page import model_page
from inception_lab.report.html.models_page import models_page
from inception_lab.report.html.pair_page import Comparison
from inception_lab.report.page import comparison_page, report_page
from inception_lab.report.plots import COMPARISON_PLOTS, MODEL_PLOTS, Plot
from inception_lab.report.sizes import KINDS, PlotSize, size_of
from inception_lab.report.tables import TABLES, columns_of, comparison_rows
from inception_lab.report.text import render
from inception_lab.report.time_profiles import (
    SPEEDSCOPE_FILE,
    TRACE_FILE,
    chrome_trace,
    speedscope_profile,
)

if TYPE_CHECKING:
    from inception_lab.ir.trace import Trace

PAGE, HTML_PAGE, COMPARISON = "README.md", "index.html", "comparison"
SUMMARY_FILE, COMPARISON_FILE = MARKERS
OURS = frozenset(
    [PAGE, HTML_PAGE, *MARKERS]
    + [SPEEDSCOPE_FILE, TRACE_FILE]
    + [f"{name}.csv" for name in (*TABLES, COMPARISON)]
    + [f"{name}.{kind}" for name in (*MODEL_PLOTS, *COMPARISON_PLOTS) for kind in KINDS]
)
"""The name of every file that a report may hold."""

Progress = Callable[[str], None]
Subject = TypeVar("Subject")


def _silent(name: str) -> None:
    """Show no progress."""


@checked
def write_report(
    trace: Trace,
    folder: str | Path,
    progress: Progress = _silent,
    size: str = "page",
    plot_kinds: Sequence[str] = (),
    *,
    times: Record | None = None,
    claims: Sequence[Row] = (),
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Analyse a trace and write everything about it: tables, its record, plots, and a page.

    The folder is replaced at once or not at all; files in it that no report writes stay. What no trace tells
    is given as data: times of real runs, published claims, a saved record to compare with.

    Args:
        trace: Of any mode.
        folder: Missing, empty, or an earlier report; missing folders above it are made.
        progress: Called with the name of each plot and table before it is made.
        size: Of the plots: `page`; `paper`, for a column of 3.5 inches, in PDF beside SVG; or `slide`, 16:9,
            in PNG beside SVG.
        plot_kinds: Further kinds of files that each plot is written to: `png`, `pdf`.
        times: Of the model, `il.layer_times(...).to_record()`; written for Perfetto and speedscope too.
        claims: About the model, `il.claims_about([name])[name].to_dict()["claims"]`.
        changes: Since a saved record, `il.compare("before.json", trace).to_dict()`.

    Returns:
        The page that shows everything, `index.html` in the folder.

    Raises:
        InceptionLabError: What is passed is not a trace or not a path, the folder holds something else, or
            it cannot be written; there is no such size or kind of file.

    Example:
        >>> import inception_lab as il, tempfile, torch
        >>> trace = il.trace(torch.nn.Linear(3, 2), (1, 3))
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     page = write_report(trace, f"{parent}/linear")
        ...     sorted(path.name for path in page.parent.glob("*.csv"))
        ['branches.csv', 'layers.csv', 'memory.csv', 'modules.csv']
    """
    # brings torch, which writing contents that are there already does not need
    from inception_lab.report.collect import collect

    size_of(size, plot_kinds)
    path = path_from(folder)  # before the analysis, which takes longer
    contents = replace(collect(trace), times=times, claims=claims, changes=changes)
    return write_contents(contents, path, progress, size, plot_kinds)


def write_contents(
    contents: ReportContents,
    folder: Path,
    progress: Progress = _silent,
    size: str = "page",
    plot_kinds: Sequence[str] = (),
) -> Path:
    """Write everything about one model: tables, its record, plots, and the page that shows them.

    Args:
        contents: All results about the model.
        folder: Missing, empty, or an earlier report, as of `write_report`.
        progress: Called with the name of each plot and table before it is made.
        size: Of the plots: `page`; `paper`, for a column of 3.5 inches, in PDF beside SVG; or `slide`, 16:9,
            in PNG beside SVG.
        plot_kinds: Further kinds of files that each plot is written to: `png`, `pdf`.

    Returns:
        The page.

    Raises:
        InceptionLabError: The folder holds something else, or it cannot be written.
    """
    plot_size = size_of(size, plot_kinds)
    tables = {name: rows for name, table in TABLES.items() if (rows := table(contents))}
    with replacing(folder, OURS) as new:
        files = [_write_table(new, name, rows, progress) for name, rows in tables.items()]
        files.append(_write_text(new, SUMMARY_FILE, contents.record.to_json()))
        files += _write_profiles(new, contents.times)
        figures = _write_plots(new, MODEL_PLOTS, contents, plot_size, progress)
        captions = {name: figure.caption for name, figure in figures.items()}
        _write_text(new, PAGE, report_page(contents, captions, [HTML_PAGE, *files]))
        progress(HTML_PAGE)
        _write_text(new, HTML_PAGE, model_page(contents, figures, [PAGE, *files]))
    return folder / HTML_PAGE


@checked
def write_comparison(
    records: Iterable[Record],
    folder: str | Path,
    progress: Progress = _silent,
    size: str = "page",
    plot_kinds: Sequence[str] = (),
    *,
    pages: Sequence[str | Path] = (),
) -> Path:
    """Write several models side by side: a table, their totals as JSON, plots, and a page.

    Args:
        records: One per model, in the order of the table, as of `summarise`. One whose context has a
            `top5_error` is shown with it.
        folder: Missing, empty, or an earlier report; it is replaced at once or not at all.
        progress: Called with the name of each plot and table before it is made.
        size: Of the plots: `page`; `paper`, for a column of 3.5 inches, in PDF beside SVG; or `slide`, 16:9,
            in PNG beside SVG.
        plot_kinds: Further kinds of files that each plot is written to: `png`, `pdf`.
        pages: The page of each model, to which its name leads, such as `index.html` in its own report.

    Returns:
        The page that shows everything, `index.html` in the folder.

    Raises:
        InceptionLabError: There are no records, one of them is not a record or lacks a fact that the table
            shows, the folder holds something else, or it cannot be written.

    Example:
        >>> import inception_lab as il, tempfile, torch
        >>> nets = {"wide": torch.nn.Linear(3, 20), "narrow": torch.nn.Linear(3, 2)}
        >>> records = [il.summarise(il.trace(net, (1, 3), name=name)) for name, net in nets.items()]
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     page = write_comparison(records, f"{parent}/linear")
        ...     sorted(path.name for path in page.parent.glob("*.svg"))
        ['comparison.svg', 'params_and_macs.svg']
    """
    records, folder = _checked_records(records), path_from(folder)
    plot_size = size_of(size, plot_kinds)
    links = _links(pages, folder, len(records))
    with replacing(folder, OURS) as new:
        files = [_write_table(new, COMPARISON, comparison_rows(records), progress)]
        files.append(_write_text(new, COMPARISON_FILE, comparison_json(records)))
        figures = _write_plots(new, COMPARISON_PLOTS, records, plot_size, progress)
        captions = {name: figure.caption for name, figure in figures.items()}
        _write_text(new, PAGE, comparison_page(records, captions, [HTML_PAGE, *files]))
        progress(HTML_PAGE)
        _write_text(new, HTML_PAGE, models_page(records, figures, [PAGE, *files], links))
    return folder / HTML_PAGE


@checked
def write_comparison_page(comparison: Comparison, file: str | Path) -> Path:
    """Write models side by side as one page of HTML that needs nothing else.

    Two nets stand opposite each other, module by module, with what grew; of more there are totals and plots.

    Args:
        comparison: As of `il.compare`.
        file: To write, such as `before-after.html`.

    Returns:
        The file.

    Raises:
        InceptionLabError: The first argument is something else, or the file cannot be written.

    Example:
        >>> import inception_lab as il, tempfile, torch
        >>> narrow, wide = torch.nn.Linear(3, 2), torch.nn.Linear(3, 4)
        >>> comparison = il.compare(narrow, wide, inputs=(1, 3), names=["narrow", "wide"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = write_comparison_page(comparison, f"{folder}/wider.html")
        ...     "wide has 2.00× the MACs, 2.00× the parameters" in page.read_text(encoding="utf-8")
        True
    """
    path = path_from(file)
    write_text(path, html_comparison_page(comparison))
    return path


def _links(pages: object, folder: Path, count: int) -> list[str]:
    """The addresses of pages from a folder, one for each model or none."""
    if not isinstance(pages, Sequence) or isinstance(pages, str) or len(pages) not in (0, count):
        raise InceptionLabError(f"{count} models and pages={pages!r}", hint="give a page for each")
    return [quote(Path(os.path.relpath(path_from(page), folder)).as_posix()) for page in pages]


def _checked_records(records: object) -> list[Record]:
    """The records as a list, each with what a comparison shows."""
    if not isinstance(records, Iterable):
        raise _refusal(records, "a list of records")
    several = [*records]
    if not several:
        raise InceptionLabError("no models to compare", hint="name one or more")
    for record in several:
        if not isinstance(record, Record):
            raise _refusal(record, "a record")
        check_context(record.context)
    return several


def _refusal(value: object, noun: str) -> InceptionLabError:
    hint = "pass a list such as [il.summarise(trace)]"
    return InceptionLabError(f"a {type(value).__name__} is not {noun}", hint=hint)


def comparison_json(records: Sequence[Record]) -> str:
    """Context and totals of several models, a line per model, the same bytes every time."""
    models = ",\n".join(f"    {json.dumps(_without_layers(record))}" for record in records)
    tool = json.dumps(f"inception_lab {__version__}")
    return f'{{\n  "schema": {SCHEMA},\n  "tool": {tool},\n  "models": [\n{models}\n  ]\n}}\n'


def _without_layers(record: Record) -> Row:
    return {name: value for name, value in record.to_dict().items() if name not in ("schema", "layers")}


def _write_plots(
    folder: Path,
    plots: Mapping[str, Plot[Subject]],
    subject: Subject,
    size: PlotSize,
    progress: Progress,
) -> dict[str, Figure]:
    """Draw the plots in which there is anything to see; returns them by name."""
    figures = {}
    for name, plot in plots.items():
        if plot.has_content(subject):
            progress(name)
            images = plot.images(subject, size)
            for kind, image in images.items():
                (folder / f"{name}.{kind}").write_bytes(image)
            figures[name] = Figure(images["svg"].decode(), plot.caption(subject))
    return figures


def _write_table(folder: Path, name: str, rows: Sequence[Row], progress: Progress) -> str:
    progress(name)
    return _write_text(folder, f"{name}.csv", render(rows, columns_of(rows), "csv"))


def _write_profiles(folder: Path, times: Record | None) -> list[str]:
    """Write times for the viewers of profiles, where there are any."""
    if times is None:
        return []
    (folder / TRACE_FILE).write_bytes(chrome_trace(times))
    return [TRACE_FILE, _write_text(folder, SPEEDSCOPE_FILE, speedscope_profile(times))]


def _write_text(folder: Path, name: str, text: str) -> str:
    # names of layers may hold halves of surrogate pairs, which UTF-8 does not
    (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    return name
