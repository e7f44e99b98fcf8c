"""Checks of data from a file against the types that a trace declares, so that no reader stumbles over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from inception_lab.errors import InceptionLabError

MOST = 2**63
"""Above all sizes and amounts: tables keep them in 64 bits."""
_LEAST: Mapping[str, int] = {"strides": -1, "call": -1}
"""The least number in a column that is not 0: strides of sparse tensors, operations of no call."""
_LONGEST = 60


def damage(what: str) -> InceptionLabError:
    """The error of a trace that is not as it was written.

    Args:
        what: The fault.
    """
    return InceptionLabError(f"damaged trace: {what}", hint="trace the model again")


def check_types(row: Iterable[Any], kind: type, place: str) -> None:
    """Refuse a row with an entry of another type than its class declares.

    Args:
        row: An entry for each field.
        kind: A class with annotated fields.
        place: Of the row, for the error.

    Raises:
        InceptionLabError: An entry is of another type, not one of the words that may stand there, or a number
            out of range.
    """
    for (name, hint), entry in zip(_hints(kind).items(), row, strict=True):
        if not _conforms(entry, hint, _LEAST.get(name, 0)):
            raise damage(f"{name} of {place} is {_shortened(entry)}")


@cache
def _hints(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _conforms(value: Any, hint: Any, least: int) -> bool:
    """True of a value that an annotation allows; a list of JSON is a tuple by now."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return all(type(leaf) in (NoneType, bool, int, float, str) for leaf in _leaves(value))
    if origin is Literal:
        return isinstance(value, str) and value in args
    if origin in (Union, UnionType):
        return any(_conforms(value, arg, least) for arg in args)
    if origin is tuple:
        return isinstance(value, tuple) and _all_conform(value, args, least)
    if origin is not None:  # a mapping
        items = value.items() if isinstance(value, Mapping) else [(None, None)]
        return all(_all_conform(item, args, least) for item in items)
    return type(value) is hint and (hint is not int or least <= value < MOST)


def _all_conform(values: tuple[Any, ...], hints: tuple[Any, ...], least: int) -> bool:
    if hints[-1] is Ellipsis:
        hints = hints[:1] * len(values)
    return len(values) == len(hints) and all(
        _conforms(value, hint, least) for value, hint in zip(values, hints, strict=True)
    )


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
