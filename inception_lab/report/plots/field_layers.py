"""The layers, bands and axes that the plot of receptive fields along depth shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inception_lab.record import Row
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.columns import module_of, modules_of, runs_of
from inception_lab.report.plots.wording import alike
from inception_lab.report.tables import field_status, rows_of

AxisGroups = Sequence[tuple[str, int]]
"""Names of the axes along which fields are the same, and the first of them."""


@dataclass(frozen=True)
class Layer:
    """A layer that looks at the input through a part of it.

    Attributes:
        name: Its path.
        module: The module that it stands in.
        status: Of the field.
        field: Pixels along each axis; None where it is not exact.
        stride: Pixels between the fields of neighbours along each axis; None with the field.
        context: Layers through which its units see all of an axis, beside that field.
    """

    name: str
    module: str
    status: str
    field: tuple[int, ...] | None
    stride: tuple[float, ...] | None
    context: tuple[str, ...] = ()


def layers_with_field(contents: ReportContents) -> list[Layer]:
    """The convolutions and pools, in order of execution, without those that see everything."""
    modules = modules_of(contents.branches)
    return [
        _layer(row, module_of(row["layer"], modules))
        for row in _windows(contents)
        if not _sees_everything(row)
    ]


def count_without_window(contents: ReportContents) -> int:
    """The number of convolutions and pools that see everything, and so have no column."""
    return sum(map(_sees_everything, _windows(contents)))


def _windows(contents: ReportContents) -> list[Row]:
    """The layers with MACs, and pools."""
    return [row for row in _leaves(contents.record.layers) if row["macs"] or "Pool" in row["type"]]


def _layer(row: Row, module: str) -> Layer:
    field, stride = _field_and_stride(row)
    context = tuple(row.get("global_context", ()))
    return Layer(row["layer"], module, field_status(row), field, stride, context)


def _leaves(rows: Sequence[Row]) -> list[Row]:
    """The layers that hold no other."""
    parts = [row["layer"].split(".") for row in rows]
    holders = {".".join(part[:depth]) for part in parts for depth in range(1, len(part))}
    return [row for row in rows if row["layer"] not in holders]


def _sees_everything(row: Row) -> bool:
    return field_status(row) == "exact" and not row.get("stride")


def _field_and_stride(row: Row) -> tuple[tuple[int, ...] | None, tuple[float, ...] | None]:
    if field_status(row) != "exact":
        return None, None
    return tuple(row["receptive_field"]), tuple(row["stride"])


def context_spans(layers: Sequence[Layer]) -> list[tuple[int, int]]:
    """The columns of layers whose units also see a whole axis: the first one, and the one behind."""
    runs = runs_of(["context" * bool(layer.context) for layer in layers])
    return [(run.start, run.end) for run in runs if run.module]


def context_starts(contents: ReportContents, layers: Sequence[Layer]) -> dict[int, list[str]]:
    """The columns from which on units see a whole axis through one more gate or the like, and its name.

    One that no column lies behind stands at the end of its block's columns.
    """
    places: dict[str, int] = {}
    for number, layer in enumerate(layers):
        for name in layer.context:
            places.setdefault(name, number)
    for name in [name for row in contents.record.layers for name in row.get("global_context", ())]:
        if name not in places:
            places[name] = _columns_up_to(contents, layers, name)
    starts: dict[int, list[str]] = {}
    for name, place in sorted(places.items(), key=lambda item: item[1]):
        starts.setdefault(place, []).append(name)
    return starts


def _columns_up_to(contents: ReportContents, layers: Sequence[Layer], name: str) -> int:
    """The number of columns of layers that run before a module ends."""
    rows = [row["layer"] for row in contents.record.layers]
    inside = [n for n, row in enumerate(rows) if f"{row}.".startswith(f"{name}.")]
    before = set(rows[: inside[-1] + 1] if inside else rows)
    return sum(layer.name in before for layer in layers)


@dataclass(frozen=True)
class Band:
    """The fields that a module mixes along one axis.

    Attributes:
        start: Column of the module's first layer.
        end: The column after its last layer's.
        smallest: On any path, in pixels.
        median: Over channels.
        largest: Of any channel.
    """

    start: int
    end: int
    smallest: int
    median: int
    largest: int


def bands_of(contents: ReportContents, layers: Sequence[Layer], axis: int) -> list[Band]:
    """A band per module that mixes fields, the outer ones first."""
    bands = []
    for row in mixing_modules(contents):
        columns = [n for n, layer in enumerate(layers) if layer.name.startswith(f"{row['module']}.")]
        if columns and row["axis"] == axis:
            ends = columns[0], columns[-1] + 1
            bands.append(Band(*ends, row["smallest"], row["median"], row["largest"]))
    return sorted(bands, key=lambda band: band.start - band.end)


def mixing_modules(contents: ReportContents) -> list[dict[str, Any]]:
    """The ranges of the modules with paths of several fields, a row per module and axis."""
    return [row for row in rows_of(contents.field_ranges) if row["smallest"] < row["largest"]]


def pixels_of(contents: ReportContents, layers: Sequence[Layer]) -> list[int]:
    """All fields in the plot, of layers and of bands."""
    of_layers = [pixels for layer in layers for pixels in layer.field or ()]
    return of_layers + [row[end] for row in rows_of(contents.field_ranges) for end in ("smallest", "largest")]


def axis_groups(contents: ReportContents, layers: Sequence[Layer]) -> AxisGroups:
    """The axes by the fields that layers and modules have along them."""
    rows = rows_of(contents.field_ranges)
    return alike(
        [
            (
                tuple([layer.field and layer.field[axis] for layer in layers]),
                tuple([(r["module"], r["smallest"], r["largest"]) for r in rows if r["axis"] == axis]),
            )
            for axis in range(len(contents.fit.input_size))
        ]
    )
