"""The page's table of layers: a row for each module, branch and layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from inception_lab.metrics import METRICS
from inception_lab.record import Row
from inception_lab.report.html.cells import Cell, Column, cell, short_heading
from inception_lab.report.html.layer_groups import BranchGroup, ModuleGroup
from inception_lab.report.html.map_facts import MapMetric
from inception_lab.report.text import shape_text

_WITH_BAR = ("macs", "training_macs", "params", "self_ms")
_SHAPES = ("receptive_field", "stride")


@dataclass(frozen=True)
class TableRow:
    """A row of the table.

    Attributes:
        kind: `mod`, `br` or `l`: of a module, a branch or a layer.
        name: Of it, within the module around it.
        cells: Behind the name.
        branch: The branch that it is in.
        id: Its place on the page; empty for none.
        rows: Places of its layers in the record, of a module and a branch.
        colour: Number of the kind of its branch; None for none.
    """

    kind: str
    name: str
    cells: Sequence[Cell]
    branch: str = ""
    id: str = ""
    rows: str = ""
    colour: int | None = None


class LayerTable:
    """The table, column by column and module by module.

    Args:
        layers: Rows of the record.
        metrics: As of `map_metrics`.
        kinds: Number of each series of branches.
    """

    def __init__(self, layers: Sequence[Row], metrics: Sequence[MapMetric], kinds: Mapping[str, int]) -> None:
        self._layers, self._kinds = layers, kinds
        self._metrics = [metric for metric in metrics if metric.is_sum]
        self._shapes = [name for name in _SHAPES if any(row.get(name) for row in layers)]
        self._totals = {metric.name: sum(metric.values) for metric in metrics}

    @property
    def columns(self) -> list[Column]:
        """The headings."""
        words = [Column("Layer"), Column("Type"), Column("Output")]
        costs = [Column(METRICS[m.name].label, m.name, is_number=True) for m in self._metrics]
        return words + costs + [Column(short_heading(name), name, is_number=True) for name in self._shapes]

    def rows(self, group: ModuleGroup, number: int) -> list[TableRow]:
        """The rows of a module."""
        return [*self._rows(group, number)]

    def _rows(self, group: ModuleGroup, number: int) -> Iterator[TableRow]:
        rows = group.rows
        cells = [Cell(""), Cell(""), *self._sums(rows), *self._field(rows[-1:])]
        yield TableRow("mod", group.name, cells, id=f"m{number}", rows=_text(rows))
        for branch in group.branches:
            if branch.name:
                yield self._branch_row(branch)
            for row in branch.rows:
                yield self._layer_row(row, branch, group.name)

    def _branch_row(self, branch: BranchGroup) -> TableRow:
        cells = [Cell(branch.kind), Cell(""), *self._sums(branch.rows), *self._field(branch.rows[-1:])]
        colour = self._kinds[branch.series]
        return TableRow("br", branch.name, cells, branch.name, rows=_text(branch.rows), colour=colour)

    def _layer_row(self, number: int, branch: BranchGroup, module: str) -> TableRow:
        row = self._layers[number]
        words = [Cell(row["type"]), Cell(shape_text((row.get("output_shape") or [])[1:]))]
        call = f" (call {row['call'] + 1})" if row.get("call") else ""
        name = row["layer"].removeprefix(f"{module}.") + call
        cells = [*words, *self._sums([number]), *self._field([number])]
        return TableRow("l", name, cells, branch.name, id=f"r{number}")

    def _sums(self, rows: Sequence[int]) -> Iterator[Cell]:
        for metric in self._metrics:
            value: Any = metric.of(rows)
            total = self._totals[metric.name]
            # the script tells the exact value, which it has
            short = replace(cell(value, metric.name), exactly="")
            has_bar = metric.name in _WITH_BAR and value
            yield replace(short, share=f"{100 * value / total:.2g}") if has_bar else short

    def _field(self, rows: Sequence[int]) -> Iterator[Cell]:
        for name in self._shapes:
            yield replace(cell(self._layers[rows[0]].get(name), name), is_number=True)


def _text(rows: Sequence[int]) -> str:
    return " ".join(map(str, rows))
