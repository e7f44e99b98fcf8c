"""The tables of a report as rows, for CSV files, for pages and for plots alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from inception_lab.record import Record, Row
from inception_lab.report.contents import ReportContents
from inception_lab.report.text import shape_text

if TYPE_CHECKING:
    from pandas import DataFrame

PUBLISHED = "top5_error"
"""Name under which the context of a record may hold a published error, which no trace can tell."""
EVALUATION, IMAGES = "error_evaluation", "error_images"
"""Names under which it may hold the way in which that error was measured, such as one crop, and on what."""


def layer_rows(record: Record) -> list[Row]:
    """The layers of a record, each with its call number."""
    return [{"layer": row["layer"], "call": 0} | dict(row) for row in record.layers]


def step_macs(record: Record) -> str:
    """Return the metric of all MACs of a run: those of the forward, or of a whole training step.

    Example:
        >>> step_macs(Record({}, {"macs": 3, "training_macs": 9}, (), (), ()))
        'training_macs'
    """
    return "training_macs" if "training_macs" in record.totals else "macs"


def field_status(row: Row) -> str:
    """The status of a layer's receptive field; a row without one is exact."""
    return str(row.get("status", "exact"))


def rows_of(frame: DataFrame) -> list[dict[str, Any]]:
    """The rows of a DataFrame as plain data."""
    return cast("list[dict[str, Any]]", frame.to_dict("records"))


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Every column that a row has, in order of first appearance."""
    return list(dict.fromkeys(column for row in rows for column in row))


def readable_columns(rows: Sequence[Row]) -> list[str]:
    """The columns for people: those of programs, without trainable parameters where these are all of them.

    Example:
        >>> readable_columns([{"params": 5, "trainable_params": 5}]), readable_columns([{"macs": 1}])
        (['params'], ['macs'])
    """
    repeats = all(row.get("trainable_params") == row.get("params") for row in rows)
    return [name for name in columns_of(rows) if not (repeats and name == "trainable_params")]


CLAIM_COLUMNS = ("id", "claim", "source", "claimed", "computed", "verdict", "note")
"""The columns of claims, whose figures and readings are in no table."""


def _only(row: Row, columns: Sequence[str]) -> Row:
    return {name: row[name] for name in columns}


def change_rows(contents: ReportContents) -> list[Row]:
    """The modules that differ from those of the saved record, what grew most in MACs or the like first."""
    rows = [] if contents.changes is None else contents.changes["modules"]
    growth = next((name for name in columns_of(rows) if name.endswith("_growth")), "")
    changed = (row for row in rows if row["change"] != "unchanged")
    return sorted(changed, key=lambda row: -row.get(growth, 0))


TABLES: Mapping[str, Callable[[ReportContents], Sequence[Row]]] = MappingProxyType(
    {
        "layers": lambda contents: layer_rows(contents.record),
        "modules": lambda contents: rows_of(contents.modules),
        "branches": lambda contents: rows_of(contents.branches),
        "saving": lambda contents: rows_of(contents.saving),
        "spectrum": lambda contents: rows_of(contents.spectrum),
        "memory": lambda contents: rows_of(contents.module_memory),
        "times": lambda contents: layer_rows(contents.times) if contents.times else [],
        "claims": lambda contents: [_only(row, CLAIM_COLUMNS) for row in contents.claims],
        "changes": change_rows,
    }
)
"""The tables that a report writes as CSV, by name, read-only; one without rows is left out."""


def comparison_rows(records: Sequence[Record]) -> list[Row]:
    """A row per model: what was analysed, then all its totals, then its published error."""
    return [
        {
            **({"family": record.context["family"]} if "family" in record.context else {}),
            "model": record.context["model"],
            "input_shapes": record.context["input_shapes"],
            "mode": record.context["mode"],
            "complete": record.context["complete"],
            **record.totals,
            **{name: value for name, value in record.context.items() if name == PUBLISHED},
        }
        for record in records
    ]


def grouped(rows: Sequence[Row], column: str = "family") -> list[Row]:
    """Rows for people, those of one family together, whose name stands in the first of them alone.

    Example:
        >>> [row["family"] for row in grouped([{"family": "a"}, {"family": "b"}, {"family": "a"}])]
        ['a', '', 'b']
    """
    names = [row.get(column) for row in rows]
    together = sorted(rows, key=lambda row: names.index(row.get(column)))
    before = [None, *(row.get(column) for row in together)]
    return [
        {**row, column: ""} if column in row and row[column] == last else row
        for row, last in zip(together, before, strict=False)
    ]


def peak_of(record: Record) -> int:
    """The peak memory of the pass, or of the training step; 0 where there is neither."""
    return int(record.totals.get("peak_bytes") or record.totals.get("train_peak_bytes") or 0)


def is_reconstruction(record: Record) -> bool:
    """True where the numbers of a model are a reading of a paper that leaves something open."""
    return bool(record.context.get("reconstructed"))


def model_labels(records: Sequence[Record]) -> list[str]:
    """The name of each model, with input and mode where two share a name, and a star for a reconstruction."""
    names = [str(record.context["model"]) for record in records]
    return [
        (
            name
            if names.count(name) == 1
            else f"{name} {shape_text(record.context['input_shapes'])} {record.context['mode']}"
        )
        + " *" * is_reconstruction(record)
        for name, record in zip(names, records, strict=True)
    ]
