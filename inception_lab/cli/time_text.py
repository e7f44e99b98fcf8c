"""The answer of `inception-lab time` as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.record import Row
from inception_lab.report.tables import columns_of
from inception_lab.report.text import input_text, render, step_text

if TYPE_CHECKING:
    from pandas import DataFrame

    from inception_lab.measure.roofline.result import Roofline
    from inception_lab.measure.timing.batches import BatchTimes
    from inception_lab.measure.timing.results import LayerTimes, TimesComparison

LONGEST = 25
"""Rows in the table for a terminal."""

_IN_CSV_ALONE = ("executed", "self_iqr_ms")


def times_text(times: LayerTimes, depth: int | None, form: str) -> str:
    """The layers or modules of a model, the longest first, and the figures of its step.

    Args:
        times: Of the model.
        depth: Levels below the model at which modules have rows, None for layers.
        form: `json`, or a name from `report.text.FORMATS`; `csv` has the rows in order of execution.
    """
    rows = _rows(times.layers if depth is None else times.by_module(depth))
    if form == "json":
        return _json(times, rows if depth is not None else None)
    if form == "csv":
        return render(rows, columns_of(rows), form)
    return "\n".join([*longest_lines(rows, form), *total_lines(times), *context_lines(times)]) + "\n"


def _json(times: LayerTimes, modules: Sequence[Row] | None) -> str:
    data = times.to_dict()
    if modules is not None:
        del data["layers"]
        data["modules"] = modules
    return json.dumps(data, indent=2)


def _rows(table: DataFrame) -> list[Row]:
    return cast("list[Row]", table.to_dict("records"))


def longest_lines(rows: Sequence[Row], form: str) -> Iterator[str]:
    """The longest rows, and how much the others make up."""
    ordered = sorted((row for row in rows if row["self_ms"]), key=lambda row: -row["self_ms"])
    longest = ordered[:LONGEST] if form == "table" else ordered
    columns = [column for column in columns_of(rows) if column not in _IN_CSV_ALONE]
    if not any(row.get("call") for row in longest):
        columns = [column for column in columns if column != "call"]
    yield render(longest, columns, form).rstrip()
    if rest := ordered[len(longest) :]:
        share = sum(row["share"] for row in rest)
        yield f"and {len(rest)} shorter ones, {share:.1f} % together, see --format csv"
    yield ""


def total_lines(times: LayerTimes | Roofline) -> Iterator[str]:
    """A line for each figure of the whole step."""
    for name, value in times.totals.items():
        yield f"{METRICS[name].label:<20} {format_quantity(value, METRICS[name].unit):>10}"


def context_lines(times: LayerTimes) -> Iterator[str]:
    """Lines of the run and the machine, and if its rounds tell anything."""
    yield from _run_lines(times.context)
    if times.note:
        yield f"{'Note':<20} {times.note}"


def _run_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    threads = f"{facts['threads']} thread{'s' * (facts['threads'] != 1)}"
    shapes = [input_text(facts)] if "input_shapes" in facts else []
    formats = [facts.get("dtype", "dtypes differ"), facts.get("memory_format", "memory formats differ")]
    parts = [*shapes, step_text(facts), *formats, facts["execution"]]
    yield f"{'Run':<20} {', '.join(parts)}"
    yield f"{'Machine':<20} {facts['machine']}, {threads}, torch {facts['torch']}"
    if "cuda" in facts:
        yield f"{'Libraries':<20} {', '.join(_cuda_facts(facts))}"
    yield f"{'Rounds':<20} {facts['rounds']}"


def _cuda_facts(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"CUDA {facts['cuda']}"
    if "cudnn" in facts:
        yield f"cuDNN {facts['cudnn']}"
    users = [name for name in ("matmul", "convolution") if facts[f"{name}_tf32"]]
    yield f"TF32 in {' and '.join(users)}" if users else "no TF32"
    yield from (name.replace("_", " ") for name in ("cudnn_benchmark", "cudnn_deterministic") if facts[name])
    if not facts.get("l2_flushed", True):
        yield "L2 cache not flushed"


def comparison_text(comparison: TimesComparison | BatchTimes, form: str) -> str:
    """A row per model or batch size with its ratio to the first one, and the machine.

    Args:
        comparison: Of two or more.
        form: `json`, or a name from `report.text.FORMATS`.
    """
    if form == "json":
        return json.dumps(comparison.to_dict(), indent=2)
    table = render(comparison.rows, columns_of(comparison.rows), form)
    if form == "csv":
        return table
    return "\n".join([table, *_run_lines(comparison.context), *comparison.notes]) + "\n"
