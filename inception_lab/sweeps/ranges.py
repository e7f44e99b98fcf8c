"""The values that a parameter of a space takes: points, or a distribution that they are drawn from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import exp, floor, log
from statistics import NormalDist
from typing import Any

from inception_lab.budgets.questions import check_literal
from inception_lab.budgets.toml_source import Place, shortened
from inception_lab.errors import listed, nearest

_MOST_POINTS = 100_000
_LARGEST = 2**53
"""Of a range; above it a float skips whole numbers."""
_DIGITS = 12
"""Of a number that arithmetic gives, so that 0.1 + 0.2 is 0.3."""
_STEPS = ("step", "factor", "points")
_DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = {
    "uniform": ("min", "max"),
    "loguniform": ("min", "max"),
    "normal": ("mean", "deviation"),
}
"""The numbers that each distribution needs."""
_HINT = "write a list such as [16, 32], a range such as { min = 16, max = 64, step = 16 }, or a distribution"

_INFINITE = float("inf")

Number = int | float


@dataclass(frozen=True)
class Points:
    """Values in a given order, each as likely as any other.

    Attributes:
        values: At least one.

    Example:
        >>> Points((16, 32, 64)).at(0.5)
        32
    """

    values: tuple[Any, ...]

    def at(self, quantile: float) -> Any:
        """Return the value below which a part of all lies, from 0 to below 1."""
        return self.values[floor(quantile * len(self.values))]


@dataclass(frozen=True)
class Distribution:
    """Numbers of which a sample alone has any.

    Attributes:
        kind: `uniform`, `loguniform` or `normal`.
        least: The smallest number; minus infinity where there is none.
        most: The largest number; infinity where there is none.
        mean: Of a normal one.
        deviation: Standard deviation of a normal one.
        is_whole: True where numbers are whole, as all that describe it are.

    Example:
        >>> Distribution("uniform", 1, 6, is_whole=True).at(0.999), Distribution("loguniform", 1, 4).at(0.5)
        (6, 2.0)
    """

    kind: str
    least: Number
    most: Number
    mean: Number = 0
    deviation: Number = 1
    is_whole: bool = False

    def at(self, quantile: float) -> Number:
        """Return the number below which a part of the distribution lies, from 0 to below 1."""
        value: float = getattr(self, f"_{self.kind}")(quantile)
        # a logarithm and back may end a little outside the bounds
        bounded = min(max(floor(value) if self.is_whole else value, self.least), self.most)
        return bounded if self.is_whole else float(bounded)

    @property
    def _end(self) -> Number:
        """Behind the last number, as each whole one stands for the unit that begins with it."""
        return self.most + self.is_whole

    def _uniform(self, quantile: float) -> float:
        return self.least + quantile * (self._end - self.least)

    def _loguniform(self, quantile: float) -> float:
        return exp(log(self.least) + quantile * (log(self._end) - log(self.least)))

    def _normal(self, quantile: float) -> float:
        # here a whole number stands for the unit around it
        half = self.is_whole / 2
        normal = NormalDist(self.mean + half, self.deviation)
        low, high = normal.cdf(self.least), normal.cdf(self._end)
        # no number is at the quantile 0 of an unbounded one
        return normal.inv_cdf(min(max(low + quantile * (high - low), 1e-12), 1 - 1e-12))


Range = Points | Distribution


def read_range(value: object, place: Place) -> Range:
    """Read the values of a parameter.

    Args:
        value: A list; a table of `min`, `max` and one of `step`, `factor` and `points`, the last with
            `log = true` for a logarithmic scale; or a table with a `distribution`: `uniform` or
            `loguniform` between `min` and `max`, or `normal` by `mean` and `deviation`, which may have
            bounds.
        place: Of the value.

    Raises:
        InceptionLabError: It is none of these (exit code 2).

    Example:
        >>> read_range({"min": 16, "max": 64, "step": 16}, Place()).values
        (16, 32, 48, 64)
        >>> read_range({"min": 0.25, "max": 2, "factor": 2}, Place()).values
        (0.25, 0.5, 1.0, 2.0)
        >>> read_range({"min": 1, "max": 100, "points": 3, "log": True}, Place()).values
        (1, 10, 100)
    """
    if isinstance(value, list | tuple):
        return _listed(value, place)
    if not isinstance(value, Mapping):
        raise place.refusal(f"{shortened(value)} is not a row of values", _HINT)
    return _distribution(value, place) if "distribution" in value else _spaced(value, place)


def _listed(values: list[Any] | tuple[Any, ...], place: Place) -> Points:
    if not values:
        raise place.refusal("has no values", _HINT)
    texts: set[str] = set()
    for value in values:
        check_literal(value, place)
        # as texts 1, 1.0 and true differ, which are equal in Python
        text = _text_of(value, place)
        if text in texts:
            raise place.refusal(f"has {shortened(value)} twice", "name each value once")
        texts.add(text)
    return Points(tuple(values))


def _text_of(value: Any, place: Place) -> str:
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except ValueError as error:
        raise place.refusal(f"{shortened(value)} is not finite", "leave it out") from error


def _spaced(table: Mapping[str, Any], place: Place) -> Points:
    """A range, by steps, by factors or by the number of its points."""
    _check_keys(table, ("min", "max", *_STEPS, "log"), place)
    low, high = _bounds(table, place)
    kinds = [key for key in _STEPS if key in table]
    if len(kinds) != 1:
        what = f"has {listed(kinds) or 'no step'}"
        raise place.refusal(what, "give one of step, factor and points, or a distribution")
    (kind,) = kinds
    if "log" in table and (kind != "points" or not isinstance(table["log"], bool)):
        raise place.at("log").refusal("is true or false beside points alone", "leave it out, or give points")
    values = _MAKERS[kind](low, high, table, place)
    if len(values) > _MOST_POINTS:
        raise place.refusal(f"has more than {_MOST_POINTS:,} points", "take larger steps, or a distribution")
    return Points(tuple(dict.fromkeys(values)))


def _by_step(low: Number, high: Number, table: Mapping[str, Any], place: Place) -> list[Number]:
    step = _positive(table, "step", place)
    # as decimal numbers, of which 0.1 is one
    start, end, width = (Decimal(repr(number)) for number in (low, high, step))
    count = min(int((end - start) / width), _MOST_POINTS) + 1
    is_whole = all(isinstance(number, int) for number in (low, step))
    return [int(n) if is_whole else float(n) for n in (start + k * width for k in range(count))]


def _by_factor(low: Number, high: Number, table: Mapping[str, Any], place: Place) -> list[Number]:
    factor = _positive(table, "factor", place)
    if factor <= 1 or low <= 0:
        raise place.refusal("does not grow by its factor", "give min above 0 and a factor above 1")
    is_whole = all(isinstance(number, int) for number in (low, factor))
    values: list[Number] = []
    # as fractions of decimals, so that 0.1 by tens comes to 1
    value, end, ratio = (Decimal(repr(number)) for number in (low, high, factor))
    while value <= end and len(values) <= _MOST_POINTS:
        values.append(int(value) if is_whole else float(value))
        value *= ratio
    return values


def _by_points(low: Number, high: Number, table: Mapping[str, Any], place: Place) -> list[Number]:
    count = table["points"]
    if type(count) is not int or not 2 <= count <= _MOST_POINTS:
        raise place.at("points").refusal(
            f"{shortened(count)} is not a number of points", f"give 2 to {_MOST_POINTS:,}"
        )
    is_whole = all(isinstance(number, int) for number in (low, high))
    scale = Distribution("loguniform" if table.get("log") else "uniform", low, high)
    if table.get("log") and low <= 0:
        raise place.at("min").refusal(f"{low} has no logarithm", "give one above 0")
    inner = [scale.at(k / (count - 1)) for k in range(1, count - 1)]
    return [low, *(round(number) if is_whole else _rounded(number) for number in inner), high]


def _rounded(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")


_MAKERS = {"step": _by_step, "factor": _by_factor, "points": _by_points}


def _distribution(table: Mapping[str, Any], place: Place) -> Distribution:
    kind = table["distribution"]
    if not isinstance(kind, str) or kind not in _DISTRIBUTIONS:
        raise place.at("distribution").refusal(
            f"{shortened(kind)} is not a distribution", nearest(kind, _DISTRIBUTIONS)
        )
    needed = _DISTRIBUTIONS[kind]
    _check_keys(table, dict.fromkeys(("distribution", *needed, "min", "max")), place)
    for key in needed:
        if key not in table:
            raise place.refusal(f"has no {key}", f"add {key} = …")
    numbers = {key: _number(table, key, place) for key in table if key != "distribution"}
    is_whole = all(isinstance(number, int) for number in numbers.values())
    least, most = numbers.pop("min", -_INFINITE), numbers.pop("max", _INFINITE)
    distribution = Distribution(kind, least, most, **numbers, is_whole=is_whole)
    _check_distribution(distribution, place)
    return distribution


def _check_distribution(distribution: Distribution, place: Place) -> None:
    _check_order(distribution.least, distribution.most, place)
    if distribution.kind == "loguniform" and distribution.least <= 0:
        raise place.at("min").refusal(f"{distribution.least} has no logarithm", "give one above 0")
    if distribution.deviation <= 0:
        raise place.at("deviation").refusal(f"{distribution.deviation} is no spread", "give one above 0")
    # of a normal one nothing may be left between its bounds
    if distribution.kind == "normal":
        normal = NormalDist(distribution.mean, distribution.deviation)
        if normal.cdf(distribution.most) - normal.cdf(distribution.least) < 1e-6:
            raise place.refusal("has next to nothing between min and max", "move them to the mean")


def _bounds(table: Mapping[str, Any], place: Place) -> tuple[Number, Number]:
    for key in ("min", "max"):
        if key not in table:
            raise place.refusal(f"has no {key}", _HINT)
    low, high = _number(table, "min", place), _number(table, "max", place)
    _check_order(low, high, place)
    return low, high


def _check_order(low: Number, high: Number, place: Place) -> None:
    if low >= high:
        raise place.refusal(f"min {low} is not below max {high}", "exchange them, or write a list")


def _positive(table: Mapping[str, Any], key: str, place: Place) -> Number:
    number = _number(table, key, place)
    if number <= 0:
        raise place.at(key).refusal(f"{number} is not above 0", f"give a {key} above 0")
    return number


def _number(table: Mapping[str, Any], key: str, place: Place) -> Number:
    value = table[key]
    # of infinity and of what is not a number too
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        raise place.at(key).refusal(f"{shortened(value)} is not a number up to {_LARGEST:,}", "give one")
    return value


def _check_keys(table: Mapping[str, Any], names: Any, place: Place) -> None:
    for key in table:
        if key not in names:
            raise place.at(str(key)).refusal("is not a key of a range", nearest(key, names))
