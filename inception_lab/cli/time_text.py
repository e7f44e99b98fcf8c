"""The answer of `inception-lab time` as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.record import Row
from inception_lab.report.tables import columns_of
from inception_lab.report.terminal import facts_text, page
from inception_lab.report.text import input_text, render, step_text, subject_text
from inception_lab.report.view import ROW_SUMS, SHARE, Layout, View, table_text

if TYPE_CHECKING:
    from pandas import DataFrame

    from inception_lab.measure.roofline.result import Roofline
    from inception_lab.measure.timing.batches import BatchTimes
    from inception_lab.measure.timing.results import LayerTimes, TimesComparison

LONGEST = 25
"""Rows in the table for a terminal."""

_IN_CSV_ALONE = ("executed", "self_iqr_ms")

IMPORTANCE = (SHARE, "type", "call", "self_cpu_ms", "forward_ms", "backward_ms")
"""Columns that stay longest."""
_OF_SEVERAL = ("batch_size", "plain_step_ms", "sample_ms", "ratio", "verdict", "ratio_low", "ratio_high")


def times_text(times: LayerTimes, depth: int | None, view: View) -> str:
    """The layers or modules of a model, the longest first, and the figures of its step.

    Args:
        times: Of the model.
        depth: Levels below the model at which modules have rows, None for layers.
        view: Of the table; `csv` has the rows in order of execution.

    Raises:
        InceptionLabError: The view has a column or a metric that the table has not.
    """
    rows = _rows(times.layers if depth is None else times.by_module(depth))
    if view.form == "json":
        return _json(times, rows if depth is not None else None)
    if view.form == "csv":
        return render(rows, columns_of(rows), view.form)
    facts = [*total_facts(times), *context_facts(times)]
    return page(
        subject_text(times.context), longest_text(rows, view), answer_text(facts, view), view.prose_screen
    )


def answer_text(facts: Iterable[tuple[str, str]], view: View) -> str:
    """Facts below the table of a step's times."""
    return facts_text(facts, 20, view.prose_screen)


def _json(times: LayerTimes, modules: Sequence[Row] | None) -> str:
    data = times.to_dict()
    if modules is not None:
        del data["layers"]
        data["modules"] = modules
    return json.dumps(data, indent=2)


def _rows(table: DataFrame) -> list[Row]:
    return cast("list[Row]", table.to_dict("records"))


def longest_text(rows: Sequence[Row], view: View, importance: Sequence[str] = IMPORTANCE) -> str:
    """The longest rows, and how much the others make up.

    Args:
        rows: All of them.
        view: Of the table.
        importance: Columns that stay longest.
    """
    timed_rows = [row for row in rows if row["self_ms"]]
    columns = [column for column in columns_of(rows) if column not in _IN_CSV_ALONE]
    if not any(row.get("call") for row in rows):
        columns = [column for column in columns if column != "call"]
    # a page has all of them, the longest first
    most = len(timed_rows) if view.form == "markdown" else LONGEST
    return table_text(timed_rows, Layout(columns, "self_ms", importance, ROW_SUMS, most=most), view)


def total_facts(times: LayerTimes | Roofline) -> Iterator[tuple[str, str]]:
    """A line for each figure of the whole step."""
    for name, value in times.totals.items():
        yield METRICS[name].label, f"{format_quantity(value, METRICS[name].unit):>10}"


def context_facts(times: LayerTimes) -> Iterator[tuple[str, str]]:
    """Lines of the run and the machine, and if its rounds tell anything."""
    yield from _run_facts(times.context)
    if times.note:
        yield "Note", times.note


def _run_facts(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    threads = f"{facts['threads']} thread{'s' * (facts['threads'] != 1)}"
    shapes = [input_text(facts)] if "input_shapes" in facts else []
    formats = [facts.get("dtype", "dtypes differ"), facts.get("memory_format", "memory formats differ")]
    parts = [*shapes, step_text(facts), *formats, facts["execution"]]
    yield "Run", ", ".join(parts)
    yield "Machine", f"{facts['machine']}, {threads}, torch {facts['torch']}"
    if "cuda" in facts:
        yield "Libraries", ", ".join(_cuda_facts(facts))
    yield "Rounds", str(facts["rounds"])


def _cuda_facts(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"CUDA {facts['cuda']}"
    if "cudnn" in facts:
        yield f"cuDNN {facts['cudnn']}"
    users = [name for name in ("matmul", "convolution") if facts[f"{name}_tf32"]]
    yield f"TF32 in {' and '.join(users)}" if users else "no TF32"
    yield from (name.replace("_", " ") for name in ("cudnn_benchmark", "cudnn_deterministic") if facts[name])
    if not facts.get("l2_flushed", True):
        yield "L2 cache not flushed"


def comparison_text(comparison: TimesComparison | BatchTimes, view: View) -> str:
    """A row per model or batch size with its ratio to the first one, and the machine.

    Args:
        comparison: Of two or more.
        view: Of the table.

    Raises:
        InceptionLabError: The view has a column or a metric that the table has not.
    """
    if view.form == "json":
        return json.dumps(comparison.to_dict(), indent=2)
    columns = columns_of(comparison.rows)
    if view.form == "csv":
        return render(comparison.rows, columns, view.form)
    table = table_text(comparison.rows, Layout(columns, columns[1], _OF_SEVERAL), view)
    facts = [*_run_facts(comparison.context), *(("", note) for note in comparison.notes)]
    return page(_subject(comparison), table, answer_text(facts, view), view.prose_screen)


def _subject(comparison: TimesComparison | BatchTimes) -> str:
    """The models and what is the same of all their runs."""
    context = comparison.context
    models = [context["model"]] if "model" in context else [row["model"] for row in comparison.rows]
    shapes = [f"input {input_text(context)}"] if "input_shapes" in context else []
    return ", ".join([*models, *shapes, step_text(context)])
