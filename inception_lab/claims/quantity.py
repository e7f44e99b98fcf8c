"""A published figure with its tolerance: the interval of values that confirm it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf

MOST_OF_A_DIGIT = 0.05
"""Of a printed figure, the largest tolerance as a part of it: "3x" is not confirmed by 2.1."""

IN_WORDS = 0.1
"""Of a value that a source gives in words such as "about" or "roughly", the tolerance as a part of it."""

_PREFIXES = {"": 1, "K": 1e3, "M": 1e6, "B": 1e9}
_PRINTED = re.compile(r"(\d+(?:\.(\d+))?) ?([KMB]?)")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A claimed value, or a range of values, with unit and tolerance.

    Attributes:
        low: The least value that is claimed, minus infinity for none.
        high: The largest, infinity for none; the same as `low` for a single value.
        tolerance: A value that is claimed may be missed by this much.
        unit: A name from `units.UNITS`.
        text: As the source prints it, without the unit.

    Raises:
        ValueError: The range is empty, or the tolerance is negative.
    """

    low: float
    high: float
    tolerance: float
    unit: str
    text: str

    def __post_init__(self) -> None:
        if not self.low <= self.high or self.tolerance < 0:
            raise ValueError(f"no value is within {self.tolerance} of {self.low} to {self.high}")

    def accepts(self, value: float) -> bool:
        """True where a value is in the range, or out of it by the tolerance at most."""
        return self.low - self.tolerance <= value <= self.high + self.tolerance

    def deviation(self, value: float) -> float:
        """Return the distance of a value from the range, as a part of the end that is nearer.

        Example:
            >>> exactly(20).deviation(21), between(5, 7).deviation(6), exactly(0).deviation(3)
            (0.05, 0.0, inf)
        """
        if self.low <= value <= self.high:
            return 0.0
        end = self.low if value < self.low else self.high
        return abs(value - end) / abs(end) if end else inf


def exactly(value: float, unit: str = "count") -> Quantity:
    """A value that holds to the last digit or not at all.

    Example:
        >>> exactly(9).accepts(9), exactly(9).accepts(10)
        (True, False)
    """
    return Quantity(value, value, 0, unit, f"{value:,}")


def about(value: float, unit: str = "ratio", within: float = IN_WORDS, text: str = "") -> Quantity:
    """A value that its source rounds, or gives in words.

    Args:
        value: The value.
        unit: A name from `units.UNITS`.
        within: The tolerance, as a part of the value.
        text: The value as the source has it.

    Example:
        >>> about(10).accepts(9.1), about(10).accepts(8.9)
        (True, False)
    """
    return Quantity(value, value, within * abs(value), unit, text or f"about {value:g}")


def printed(text: str, unit: str = "ratio") -> Quantity:
    """A figure as it is printed, which is true to one unit of its last digit, rounded or cut off.

    Args:
        text: Such as `2.7K`, `1.5 B`, `28`; percents are given as numbers.
        unit: A name from `units.UNITS`.

    Raises:
        ValueError: It is not a figure.

    Example:
        >>> printed("2.7K", "params").tolerance, printed("4").tolerance
        (100.0, 0.2)
    """
    value, last_digit = parse_printed(text)
    return Quantity(value, value, min(last_digit, MOST_OF_A_DIGIT * value), unit, text)


def at_most(text: str, unit: str = "ratio") -> Quantity:
    """A printed figure that a value may not exceed, once it is rounded to the digits that are printed.

    Example:
        >>> at_most("1.5 B", "macs").accepts(1_498_677_248), at_most("1.5 B", "macs").accepts(1_582_671_872)
        (True, False)
    """
    figure = printed(text, unit)
    return Quantity(-inf, figure.high, figure.tolerance / 2, unit, f"at most {text}")


def between(low: float, high: float, unit: str = "ratio", text: str = "") -> Quantity:
    """Any value from `low` to `high`, both included.

    Example:
        >>> between(5, 7).accepts(7), between(5, 7).accepts(7.01)
        (True, False)
    """
    return Quantity(low, high, 0, unit, text or f"{low:g} to {high:g}")


def true(text: str = "true") -> Quantity:
    """A statement: it holds or it does not."""
    return Quantity(1, 1, 0, "statement", text)


def parse_printed(text: str) -> tuple[float, float]:
    """Return the value of a printed figure, and one unit of its last digit.

    Raises:
        ValueError: It is not a figure.

    Example:
        >>> parse_printed("2.7K"), parse_printed("138M")
        ((2700.0, 100.0), (138000000.0, 1000000.0))
    """
    match = _PRINTED.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a printed figure")
    digits, decimals, prefix = match[1], match[2] or "", _PREFIXES[match[3]]
    # by integers: 2.7 x 1000 as a float need not be 2700
    scale = 10 ** len(decimals)
    return int(digits.replace(".", "")) * prefix / scale, prefix / scale
