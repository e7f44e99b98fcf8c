"""The page's table of two nets: modules that answer to each other, their branches and their layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.record import Row
from inception_lab.report.plots.wording import ratio_text

MINUS = "\N{MINUS SIGN}"
_SIDES = ("first", "second")
_MOST_PERCENT = 1000
"""Growth from which on a ratio says more."""


@dataclass(frozen=True)
class Growth:
    """A cost in two nets.

    Attributes:
        before: In the first one.
        after: In the second one.
        metric: Its name.
        change: As of the rows of `Comparison.outline`.
    """

    before: float
    after: float
    metric: str
    change: str = "changed"

    @property
    def text(self) -> str:
        """The difference with its sign; empty where there is none."""
        growth = self.after - self.before
        return signed(growth, self.metric) if growth else ""

    @property
    def note(self) -> str:
        """The difference in percent, or what happened where that says nothing."""
        if self.change == "changed" and self.before and self.before != self.after:
            return growth_percent(self.before, self.after)
        return self.change

    @property
    def direction(self) -> Literal["up", "down", ""]:
        """The colour that it has; none where neither way is the better one."""
        if not METRICS[self.metric].better:
            return ""
        return "up" if self.after > self.before else "down" if self.after < self.before else ""


def signed(growth: float, metric: str) -> str:
    """Return a growth with its sign, which is a plus or a minus as books print it.

    Example:
        >>> signed(57050112, "macs"), signed(-1024, "activation_bytes")
        ('+57.1 M', '−1.00 KiB')
    """
    return f"{'+' if growth > 0 else MINUS}{format_quantity(abs(growth), METRICS[metric].unit)}"


def growth_percent(before: float, after: float) -> str:
    """Return a growth in percent of what was; as a ratio where it is tenfold or more.

    Example:
        >>> growth_percent(1582671872, 1639721984), growth_percent(8, 6), growth_percent(1, 12)
        ('+3.6 %', '−25 %', '12.0×')
    """
    percent = 100 * (after - before) / before
    if percent >= _MOST_PERCENT:
        return ratio_text(after / before)
    sign = "+" if percent > 0 else MINUS
    if 0 < abs(percent) < 0.05:
        return f"{sign}under 0.1 %"
    return f"{sign}{abs(percent):.{1 if abs(percent) < 9.95 else 0}f} %"


@dataclass(frozen=True)
class Bar:
    """A cost of one net.

    Attributes:
        text: For people.
        length: Of its bar, in percent of the largest.
        common: Of the part that the other net has too.
    """

    text: str
    length: str
    common: str


@dataclass(frozen=True)
class PairRow:
    """A row of the table.

    Attributes:
        kind: `mod`, `br` or `l`: of a module, a branch or a layer.
        names: Of it in both nets, within the module around it; None where there is none.
        types: Of a layer in both nets, where they differ.
        change: As of the rows of `Comparison.outline`.
        bars: Of both nets; None where there is none.
        growth: From one to the other.
        id: Its place on the page; empty for none.
        branch: Its branch.
        rows: Numbers of its layers, of a module and a branch.
    """

    kind: str
    names: tuple[str | None, str | None]
    types: tuple[str, str]
    change: str
    bars: tuple[Bar | None, Bar | None]
    growth: Growth
    id: str = ""
    branch: str = ""
    rows: str = ""


class PairTable:
    """The table, module by module.

    Args:
        outline: Rows as of `Comparison.outline`.
        metric: The one that is shown.
    """

    def __init__(self, outline: Sequence[Row], metric: str) -> None:
        self._outline, self._metric = outline, metric
        self.layers = [layer for module in outline for layer in layers_of(module)]
        self._numbers = {id(layer): number for number, layer in enumerate(self.layers)}
        self._largest = max([cost_of(row, side, metric) for row in outline for side in _SIDES], default=0)

    @property
    def groups(self) -> list[list[PairRow]]:
        """The rows of each module."""
        return [[*self._rows(module, number)] for number, module in enumerate(self._outline)]

    def values(self, metric: str) -> dict[str, list[float]]:
        """The costs of every layer in both nets, as the script reads them."""
        return {side: [cost_of(layer, side, metric) for layer in self.layers] for side in _SIDES}

    def _rows(self, module: Row, number: int) -> Iterator[PairRow]:
        yield self._row(module, "mod", id=f"m{number}", rows=self._rows_text(module))
        for child in module["children"]:
            if not child["children"]:
                yield self._layer(child, module)
                continue
            branch = str(child["first"] if child["first"] is not None else child["second"])
            yield self._row(child, "br", branch=branch, rows=self._rows_text(child))
            for layer in child["children"]:
                yield self._layer(layer, module, branch)

    def _layer(self, layer: Row, module: Row, branch: str = "") -> PairRow:
        names = tuple(_within(layer[side], module[side]) for side in _SIDES)
        return self._row(layer, "l", names, id=f"r{self._numbers[id(layer)]}", branch=branch)

    def _row(self, row: Row, kind: str, names: Sequence[str | None] = (), **more: Any) -> PairRow:
        before, after = (cost_of(row, side, self._metric) for side in _SIDES)
        first, second = names or (row["first"], row["second"])
        types = (row["first_type"], row["second_type"])
        bars = (self._bar(before, after, first), self._bar(after, before, second))
        growth = Growth(before, after, self._metric, row["change"])
        differ = "" not in types and None not in types and types[0] != types[1]
        return PairRow(
            kind, (first, second), types if differ else ("", ""), row["change"], bars, growth, **more
        )

    def _bar(self, cost: float, other: float, name: str | None) -> Bar | None:
        if name is None:
            return None
        lengths = (100 * value / (self._largest or 1) for value in (cost, min(cost, other)))
        return Bar(
            format_quantity(cost, METRICS[self._metric].unit), *(f"{length:.3g}" for length in lengths)
        )

    def _rows_text(self, row: Row) -> str:
        return " ".join(str(self._numbers[id(layer)]) for layer in layers_of(row))


def cost_of(row: Row, side: str, metric: str) -> float:
    """A cost of a row in one of the nets, 0 where it has none."""
    cost: float = row[f"{side}_costs"].get(metric, 0)
    return cost


def layers_of(row: Row) -> list[Row]:
    """The layers within a row, itself where it is one."""
    return [layer for child in row["children"] for layer in layers_of(child)] if row["children"] else [row]


def _within(path: str | None, module: str | None) -> str | None:
    return path if path is None or module is None else path.removeprefix(f"{module}.")
