"""The units of claims, each with the text of its values."""

from __future__ import annotations

from collections.abc import Callable
from math import isclose

Formatter = Callable[[float], str]


def _number(value: float) -> str:
    """Whole numbers with all their digits, others with four."""
    return f"{round(value):,}" if isclose(value, round(value), rel_tol=1e-12) else f"{value:,.4g}"


def _large(value: float) -> str:
    return f"{value:,.0f}"


def _with(unit: str, number: Formatter) -> Formatter:
    return lambda value: f"{number(value)} {unit}"


UNITS: dict[str, Formatter] = {
    "count": _number,
    "ratio": lambda value: f"{value:.3g}x",
    "percent": lambda value: f"{value:.1f}%",
    "params": _with("parameters", _large),
    "weights": _with("weights", _large),
    "macs": _with("MACs", _large),
    "bytes": _with("bytes", _large),
    "pixels": _with("pixels", _number),
    "statement": lambda value: "true" if value else "false",
}
"""The text of a value in each unit."""

_SUFFIXES = {
    "params": " parameters",
    "weights": " weights",
    "macs": " operations",
    "bytes": "B",
    "percent": "%",
    "ratio": "x",
    "pixels": " pixels",
}


def value_text(value: float, unit: str) -> str:
    """Return a value with its unit.

    Example:
        >>> value_text(6998552, "params"), value_text(9.677, "ratio"), value_text(1, "statement")
        ('6,998,552 parameters', '9.68x', 'true')
    """
    return UNITS[unit](value)


def claimed_text(text: str, unit: str) -> str:
    """Return a figure as its source prints it, with the unit that the source means.

    Example:
        >>> claimed_text("159K", "params"), claimed_text("29 M", "bytes")
        ('159K parameters', '29 MB')
    """
    return text + _SUFFIXES.get(unit, "")
