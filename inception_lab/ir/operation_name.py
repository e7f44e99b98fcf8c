"""One spelling of an operation for all of its overloads and its in-place form."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple


class OperationName(NamedTuple):
    """The parts of an operation's name by which tables are keyed.

    Attributes:
        base: Such as `add` for `aten.add_.Tensor`; operations of other libraries keep their namespace:
            `torchvision.roi_align`.
        in_place: True where it writes to its first argument.
    """

    base: str
    in_place: bool


@cache
def parse_operation_name(name: str) -> OperationName:
    """Take an overload's name apart.

    Args:
        name: Namespace, operation and overload, as `str` writes an `OpOverload`.

    Example:
        >>> parse_operation_name("aten.relu_.default"), parse_operation_name("aten.__iand__.Tensor").base
        (OperationName(base='relu', in_place=True), '__and__')
    """
    namespace, _, rest = name.partition(".")
    base, in_place = _without_mark(rest.partition(".")[0])
    return OperationName(base if namespace == "aten" else f"{namespace}.{base}".rstrip("."), in_place)


def _without_mark(operation: str) -> tuple[str, bool]:
    """Take off the mark of an in-place operation: one underscore behind it, or Python's `__i…__`."""
    if operation in _IN_PLACE_OPERATORS:
        return f"__{operation[3:]}", True
    in_place = operation.endswith("_") and not operation.endswith("__")
    return operation.removesuffix("_") if in_place else operation, in_place


_IN_PLACE_OPERATORS = frozenset(f"__i{name}__" for name in ("and", "or", "xor", "lshift", "rshift"))
