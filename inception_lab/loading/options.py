"""MODEL and its inputs as a user names them: plain data, and how text becomes it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from inception_lab.errors import InceptionLabError, nearest

DTYPES = (
    "float32", "float64", "float16", "bfloat16", "complex64", "complex128",
    "int64", "int32", "int16", "int8", "uint8", "bool",
)  # fmt: skip

_MOST_DIGITS = 15
"""Of one size; Python refuses to read numbers of thousands of digits."""


class InputSize(NamedTuple):
    """The size of one input.

    Attributes:
        sizes: Without the batch.
        dtype: Name of the element type; empty for that of the model.
    """

    sizes: tuple[int, ...]
    dtype: str = ""


@dataclass(frozen=True)
class ModelRequest:
    """A model as a user names it, and the inputs that it is to run on.

    Attributes:
        spec: Name of an entry of the zoo, or `package.module:factory`.
        kwargs: Keywords of the model.
        input_sizes: One per input; empty for the size on the card, or that the model itself tells.
        batch_size: Images in a batch.

    Example:
        >>> ModelRequest("torch.nn:Linear", {"in_features": 3, "out_features": 2}, (InputSize((3,)),))
        ModelRequest(spec='torch.nn:Linear', kwargs={'in_features': 3, 'out_features': 2}, \
input_sizes=(InputSize(sizes=(3,), dtype=''),), batch_size=1)
    """

    spec: str
    kwargs: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    input_sizes: tuple[InputSize, ...] = ()
    batch_size: int = 1


def parse_input_size(text: str) -> InputSize:
    """Read sizes without the batch, with the element type where it is not the model's.

    Args:
        text: Such as `3x224x224`, or `128:int64`.

    Raises:
        InceptionLabError: It is not a row of positive whole numbers between `x`, or names an unknown
            element type (exit code 2).

    Example:
        >>> parse_input_size("3x224x224")
        InputSize(sizes=(3, 224, 224), dtype='')
        >>> parse_input_size("128:int64")
        InputSize(sizes=(128,), dtype='int64')
    """
    row, colon, dtype = text.lower().partition(":")
    parts = row.split("x")
    if not all(_is_size(part) for part in parts):
        raise InceptionLabError(f"{text!r} is not an input size", hint="write it like 3x224x224")
    if colon and dtype not in DTYPES:
        raise InceptionLabError(f"no element type {dtype!r}", hint=nearest(dtype, DTYPES))
    return InputSize(tuple(map(int, parts)), dtype)


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text) > 0


def parse_keyword(text: str) -> tuple[str, Any]:
    """Read a keyword of a model and its value: a Python literal, or else a string.

    Args:
        text: Such as `num_classes=10`.

    Raises:
        InceptionLabError: There is no name before an equals sign (exit code 2).

    Example:
        >>> parse_keyword("num_classes=10"), parse_keyword("middle=input")
        (('num_classes', 10), ('middle', 'input'))
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip().isidentifier():
        raise InceptionLabError(f"{text!r} is not a keyword", hint="write it like num_classes=10")
    try:
        # A value such as `1if` is a SyntaxWarning of Python's own, which would reach the terminal.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return name.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return name.strip(), value.strip()


def unique_keywords(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return keywords as a dictionary.

    Args:
        pairs: Names and values.

    Raises:
        InceptionLabError: A name is there twice (exit code 2).

    Example:
        >>> unique_keywords([("width", 3), ("depth", 4)])
        {'width': 3, 'depth': 4}
    """
    keywords: dict[str, Any] = {}
    for name, value in pairs:
        if name in keywords:
            raise InceptionLabError(f"keyword {name!r} is given twice", hint="give it once")
        keywords[name] = value
    return keywords
