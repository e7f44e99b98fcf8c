"""Values as users write them: literals of Python, JSON and TOML, or else text without quotes."""

from __future__ import annotations

import ast
import json
import re
import tomllib
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from inception_lab.errors import InceptionLabError, shortened

CONSTANTS: Mapping[str, Any] = MappingProxyType(
    {
        "true": True, "false": False, "none": None, "null": None,
        "nan": float("nan"), "inf": float("inf"), "infinity": float("inf"),
    }
)  # fmt: skip
"""Constants of the three languages, in small letters; each is understood in any case."""

_SWITCHES: Mapping[str, str] = MappingProxyType(
    {"on": "true", "yes": "true", "off": "false", "no": "false", "nil": "null", "undefined": "null"}
)
"""Words that mean the same elsewhere, as in YAML, and as text would be true."""

UNREADABLE = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError)
"""Everything that reading a literal may raise."""

_OPENING = ("(", "[", "{", "'", '"')
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+", re.ASCII)
_ALMOST_A_VALUE = re.compile(
    rf"[+-]*\.?\d[\d_.,]*(e[+-]?\d*)?|0[box][\da-f_]*|[+-]+({'|'.join(CONSTANTS)})", re.ASCII | re.IGNORECASE
)
"""Text such as `010`, `1_000_`, `1.5.2`, `0x` or `-null`, which is a value to people and to no language."""


def read_value(text: str, name: str) -> Any:
    """Return the value of a literal, or text as it is where it cannot be taken for one.

    Args:
        text: Such as `10`, `false`, `[1, null]`, `{width = 3}` or `mean`.
        name: Of the keyword, for the error.

    Raises:
        InceptionLabError: It looks like a literal and is none, such as `[1,`, `010` or `off` (exit code 2).

    Example:
        >>> [read_value(text, "se") for text in ("false", "[1, null]", "{width = 3}", "1e-3", "mean")]
        [False, [1, None], {'width': 3}, 0.001, 'mean']
    """
    text = text.strip()
    if _THOUSANDS.fullmatch(text):
        raise _ambiguous(name, text, f"write {text.replace(',', '')}, or brackets around a row of numbers")
    try:
        return read_literal(text)
    except ValueError:
        return _word(text, name)


def _word(text: str, name: str) -> str:
    """Text without quotes, refused where it may be meant for a value."""
    if meant := _SWITCHES.get(text.lower()):
        raise _ambiguous(name, text, f"write {meant}, or for text {_quoted(text)}")
    if text.startswith(_OPENING):
        hint = "write it like '[1, null, \"text\"]', with quotes around all of it for the shell"
        raise InceptionLabError(f"{name} is {text!r}, which cannot be read", hint=hint)
    if _ALMOST_A_VALUE.fullmatch(text):
        raise _ambiguous(name, text, f"write a number, or for text {_quoted(text)}")
    return text


def _quoted(text: str) -> str:
    """Text in quotes of Python, in others for the shell, which takes these away."""
    return f"\"'{shortened(text, 40)}'\" with both quotes"


def _ambiguous(name: str, text: str, hint: str) -> InceptionLabError:
    return InceptionLabError(f"{name} is {text!r}, which may be a value or text", hint=hint)


def read_literal(text: str) -> Any:
    r"""Return the value of a literal of Python, JSON or TOML; what is no literal raises a ValueError.

    Where two of them read it in different ways, JSON comes before Python, as in `"\/"`.

    Example:
        >>> read_literal('{"a": true}'), read_literal("{1: (None, -inf)}"), read_literal("[{a = true}]")
        ({'a': True}, {1: (None, -inf)}, [{'a': True}])
    """
    for read in _READERS:
        with suppress(*UNREADABLE):
            value = read(text)
            repr(value)  # refuses integers of thousands of digits, which no name of a variant can hold
            return value
    raise ValueError(text)


def _python(text: str) -> Any:
    # A value such as `1if` is a SyntaxWarning of Python's own, which would reach the terminal.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return value_of(ast.parse(text, mode="eval").body)


def value_of(node: ast.expr) -> Any:
    """Return the value of a literal of Python in which constants are those of the three languages.

    Example:
        >>> value_of(ast.parse("[1, null, TRUE]", mode="eval").body)
        [1, None, True]
    """
    return ast.literal_eval(_Constants().visit(node))


class _Constants(ast.NodeTransformer):
    """Names such as `null` as the constants that they stand for."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id.lower() not in CONSTANTS:
            return node
        return ast.copy_location(ast.Constant(CONSTANTS[node.id.lower()]), node)


def _toml(text: str) -> Any:
    """An inline table of TOML, or a list of such; its other values are read before."""
    table = tomllib.loads(f"value = {text}")
    if not text.startswith(("{", "[")) or table.keys() != {"value"}:
        raise ValueError(text)
    json.dumps(table)  # refuses dates
    return table["value"]


_READERS: tuple[Callable[[str], Any], ...] = (json.loads, _python, _toml)
