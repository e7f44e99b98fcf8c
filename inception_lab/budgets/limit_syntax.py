"""Limits as a user writes them: "7 M", 7000000, or a table of bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from sys import float_info
from typing import Any, get_args

from inception_lab.budgets.budget import Growth, Limit, Ratio, Severity
from inception_lab.budgets.budget_metrics import BUDGET_METRICS, TIME
from inception_lab.budgets.toml_source import Place, shortened
from inception_lab.errors import InceptionLabError, nearest
from inception_lab.metrics import Unit, parse_quantity

BOUNDS = ("max", "min", "growth", "ratio")
KEYS = (*BOUNDS, "to", "severity", "message")
"""Keys of a limit that is a table."""

_SEVERITIES: tuple[Severity, ...] = get_args(Severity)
_OR = re.compile(r"\s+or\s+")
_GROWTH_HINT = "write it like '1 %', '20 k' or '1 % or 20 k'"


def read_limits(table: Mapping[str, Any], place: Place, layers: str = "") -> Iterator[Limit]:
    """Read the limits of a model, or of the layers that a pattern names.

    Args:
        table: A limit for each metric.
        place: Of the table.
        layers: The pattern; empty for the whole model.

    Raises:
        InceptionLabError: A metric is not known, or a limit is not one (exit code 2).

    Example:
        >>> [limit] = read_limits({"params": "7 M"}, Place())
        >>> limit.metric, limit.most
        ('params', 7000000.0)
    """
    for name, value in table.items():
        yield read_limit(name, value, place.at(name), layers)


def read_limit(metric: str, value: object, place: Place, layers: str = "") -> Limit:
    """Read one limit.

    Args:
        metric: Its name.
        value: Text or a number for the maximum, or a table of `max`, `min`, `growth`, `ratio` with `to`,
            `severity` and `message`.
        place: Of the value.
        layers: The pattern of the layers that it limits; empty for the whole model.

    Raises:
        InceptionLabError: The metric is not known, or the value is not a limit on it (exit code 2).
    """
    _check_metric(metric, layers, place)
    if metric == TIME:
        _check_time(value, place)
    unit = BUDGET_METRICS[metric].metric.unit
    if not isinstance(value, Mapping):
        most = read_amount(value, unit, place)
        return _possible(Limit(metric, layers, most=most, line=place.line), place)
    for key in value:
        if key not in KEYS:
            raise place.at(str(key)).refusal("is not a key of a limit", nearest(key, KEYS))
    if not any(key in value for key in BOUNDS):
        raise place.refusal("has no bound", f"give it {', '.join(BOUNDS[:-1])} or {BOUNDS[-1]}")
    limit = Limit(
        metric,
        layers,
        most=read_amount(value["max"], unit, place.at("max")) if "max" in value else None,
        least=read_amount(value["min"], unit, place.at("min")) if "min" in value else None,
        growth=_growth(value["growth"], unit, place.at("growth")) if "growth" in value else None,
        ratio=_ratio(value, place),
        severity=_severity(value.get("severity", _SEVERITIES[0]), place.at("severity")),
        message=_text(value.get("message", ""), place.at("message")),
        line=place.line,
    )
    return _possible(limit, place)


def _check_metric(metric: str, layers: str, place: Place) -> None:
    names = [name for name, one in BUDGET_METRICS.items() if one.of_layers or not layers]
    if metric in names:
        return
    if metric in BUDGET_METRICS:
        raise place.refusal(f"layers have no {metric} of their own", nearest(metric, names))
    raise place.refusal("is not a metric", nearest(metric, names))


def _check_time(value: object, place: Place) -> None:
    """Refuse another bound than a ratio, before it is read as a quantity."""
    keys = value.keys() if isinstance(value, Mapping) else {"max"}
    if not keys & {"ratio", "to"} or keys & {"max", "min", "growth"}:
        raise place.refusal(
            "a time is limited as a ratio to another model's alone", "write { ratio = 1.1, to = 'MODEL' }"
        )


def _possible(limit: Limit, place: Place) -> Limit:
    """The limit, unless no figure can keep it."""
    if limit.least is not None and limit.most is not None and limit.least > limit.most:
        raise place.refusal(
            f"no figure is at least {limit.least:,.12g} and at most {limit.most:,.12g}",
            "let min be below max",
        )
    return limit


def read_amount(value: object, unit: Unit, place: Place) -> float:
    """Read a figure of 0 or more: text with a suffix, or a number.

    Raises:
        InceptionLabError: It is not one of this unit (exit code 2).
    """
    if isinstance(value, str):
        try:
            number: float = parse_quantity(value, unit)
        except InceptionLabError as error:
            raise place.refusal(f"{shortened(value)} is not a quantity of {unit}", error.hint) from None
    else:
        number = _number(value, place, "text such as '7 M', or a number")
    return _checked_amount(number, place)


def _number(value: object, place: Place, kinds: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise place.refusal(f"{shortened(value)} is not a number", f"give {kinds}")
    return value


def _checked_amount(number: float, place: Place) -> float:
    """The number, as an integer where it is within rounding of one."""
    if number != number or abs(number) > float_info.max:
        raise place.refusal(f"{shortened(number)} is not a finite number", "give one that a model can have")
    if number < 0:
        raise place.refusal(f"{shortened(number)} is negative", "give 0 or more")
    # 1.005 k is the float 1004.9999999999999
    whole = round(number)
    return float(whole) if abs(number - whole) <= 1e-9 * max(1, whole) else float(number)


def _growth(value: object, unit: Unit, place: Place) -> Growth:
    parts = value if isinstance(value, list | tuple) else [value]
    parts = [piece for part in parts for piece in (_OR.split(part) if isinstance(part, str) else [part])]
    percent: list[float] = []
    amounts: list[float] = []
    for part in parts:
        if isinstance(part, str) and part.rstrip().endswith("%"):
            percent.append(read_amount(part.rstrip()[:-1], "percent", place))
        else:
            amounts.append(read_amount(part, unit, place))
    if not parts or len(percent) > 1 or len(amounts) > 1:
        raise place.refusal(
            f"{shortened(value)} is not one percentage, one amount, or one of each", _GROWTH_HINT
        )
    return Growth(percent[0] if percent else None, amounts[0] if amounts else None)


def _ratio(table: Mapping[str, Any], place: Place) -> Ratio | None:
    if "ratio" not in table and "to" not in table:
        return None
    if "to" not in table:
        hint = "add to = 'MODEL', or the name of a budget"
        raise place.at("ratio").refusal("is a multiple of nothing", hint)
    if "ratio" not in table:
        raise place.at("to").refusal("has no ratio beside it", "add ratio = 1.0")
    number = _number(table["ratio"], place.at("ratio"), "a number such as 1.1")
    if not 0 < number <= float_info.max:
        raise place.at("ratio").refusal(f"{shortened(number)} is not a ratio", "give a finite number above 0")
    to = _text(table["to"], place.at("to"))
    if not to.strip():
        raise place.at("to").refusal("is empty", "name a model, or a budget")
    return Ratio(float(number), to)


def _severity(value: object, place: Place) -> Severity:
    for severity in _SEVERITIES:
        if value == severity:
            return severity
    raise place.refusal(f"{shortened(value)} is not a severity", "give error or warn")


def _text(value: object, place: Place) -> str:
    if not isinstance(value, str):
        raise place.refusal(f"{shortened(value)} is not text", "put it in quotes")
    return value
