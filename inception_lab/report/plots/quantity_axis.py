"""Axes of a metric, linear or logarithmic, with round numbers in its unit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import ceil, exp, floor, log, log2

from inception_lab.metrics import Metric, format_quantity, parse_quantity
from inception_lab.report.plots.bubbles import decade_ticks
from inception_lab.report.plots.wording import steps_between, tick_text

Ticks = Mapping[float, str]
"""Numbers on an axis, and their texts."""
_SUFFIXES = {"bytes": "B", "milliseconds": "ms", "percent": "%"}
_MOST, _LONG = 8, 10_000
_WIDE = 8.0
"""Ratio of the largest to the smallest figure from which on an axis is logarithmic."""


@dataclass(frozen=True)
class QuantityAxis:
    """An axis, or a scale of colours.

    Attributes:
        metric: That it shows.
        better: The better direction, `min` or `max`.
        low: One end.
        high: The other end.
        is_log: True for a logarithmic one.
    """

    metric: Metric
    better: str
    low: float
    high: float
    is_log: bool

    @property
    def title(self) -> str:
        """The metric, and which way is better."""
        log_text = " (log)" if self.is_log else ""
        return f"{self.metric.label}{log_text}, {'lower' if self.better == 'min' else 'higher'} is better"

    def ticks(self, inches: float, apart: float = 0.75) -> Ticks:
        """Round numbers and their texts.

        Args:
            inches: Length of the axis.
            apart: Least inches from one to the next.
        """
        most = min(max(int(inches / apart), 2), _MOST)
        if self.is_log and self.metric.unit == "bytes":
            steps = _powers_of_two(self.low, self.high, most)
        elif self.is_log:
            steps = [*decade_ticks(self.low, self.high, inches)]
        else:
            return self._even_ticks(most)
        return self._named(steps, map(self._text, steps), 1) if len(steps) > 1 else self._even_ticks(most)

    def ticks_between(self, low: float, high: float, inches: float) -> Ticks:
        """Round numbers between two values, as a scale of colours has them."""
        return replace(self, low=low, high=high).ticks(inches, 0.5)

    def _text(self, step: float) -> str:
        """A round number, of a few thousand in full."""
        if self.metric.unit == "count" and self.high < _LONG:
            return f"{step:,.10g}"
        return tick_text(step, self.metric.unit)

    def _even_ticks(self, most: int) -> Ticks:
        """Equally spaced numbers, which bytes have in one unit."""
        unit = format_quantity(self.high, "bytes").split()[-1] if self.metric.unit == "bytes" else ""
        size = parse_quantity(f"1 {unit}", "bytes") if unit else 1
        spaced = (steps_between(self.low / size, self.high / size, parts) for parts in count(most))
        steps = next(steps for steps in spaced if len(steps) > 1)
        texts = (f"{step:g} {unit}" if unit else self._text(step) for step in steps)
        return self._named(steps, texts, size, unit)

    def _named(self, steps: Sequence[float], texts: Iterable[str], size: float, unit: str = "") -> Ticks:
        """The steps, of such a size, with their texts; in full where three digits are not enough."""
        short, suffix = list(texts), unit or _SUFFIXES.get(self.metric.unit, "")
        if len(set(short)) < len(short):
            short = [f"{step:,.10g} {suffix}".strip() for step in steps]
        return {step * size: text for step, text in zip(steps, short, strict=True)}


def axis_of(metric: Metric, better: str, figures: Sequence[float], edge: float = 0.0) -> QuantityAxis:
    """The axis of some figures.

    Args:
        metric: That they are of.
        better: The better direction.
        figures: All that it holds.
        edge: Room beyond both ends, as a part of the axis.
    """
    low, high = min(figures), max(figures)
    if low > 0 and high >= _WIDE * low:
        room = edge * log(high / low)
        return QuantityAxis(metric, better, exp(log(low) - room), exp(log(high) + room), True)
    # a single figure stands in the middle, and no round number at an end
    room = edge * (high - low) if low < high else 0.12 * abs(high) or 1.2
    return QuantityAxis(metric, better, low - room, high + room, False)


def _powers_of_two(low: float, high: float, most: int) -> list[float]:
    """Powers of two, of which bytes are multiples."""
    powers = range(ceil(log2(low)), floor(log2(high)) + 1)
    return [2.0**power for power in powers[:: max(ceil(len(powers) / most), 1)]]
