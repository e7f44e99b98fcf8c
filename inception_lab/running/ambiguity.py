"""Rows of integers among the inputs of a model that may be a shape or the integers themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from inspect import Parameter, formatannotation, signature
from typing import Any, NamedTuple

from torch import Size, Tensor, nn

from inception_lab.errors import InceptionLabError
from inception_lab.running.inputs import CallInputs, Inputs, is_row_of_numbers, is_shape
from inception_lab.running.pytree import tensors_within

_PLAIN_NAMES = frozenset(
    (
        "bool", "int", "float", "complex", "str", "None", "NoneType", "tuple", "Tuple", "list", "List",
        "set", "Set", "frozenset", "Sequence", "Iterable", "Collection", "Optional", "Union", "Literal",
        "Size", "torch", "typing", "collections", "abc", "numbers", "Number", "Integral", "builtins", "types",
    )
)  # fmt: skip
"""Words of an annotation that no tensor can answer to."""

_NAMES = re.compile(r"[A-Za-z_]\w*")
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")


class _Input(NamedTuple):
    """One input and the parameter of the forward that takes it; no parameter where it has no name."""

    value: Any
    parameter: Parameter | None


def refuse_ambiguous(model: nn.Module, inputs: Inputs) -> None:
    """Refuse a row of integers that may be a shape or a value; `torch.Size` is always a shape.

    It may be a value where the forward takes no tensor in its place, by annotation or default, and where it
    is a list beside shapes that are tuples or beside tensors.

    Args:
        model: The model.
        inputs: Of its forward.

    Raises:
        InceptionLabError: There is such a row; the hint names both spellings (exit code 2).
    """
    call = inputs if isinstance(inputs, CallInputs) else CallInputs(inputs)
    if isinstance(call.inputs, Tensor) or not _has_several(call.inputs):
        return
    several = _inputs(model, call.inputs)
    other_than_lists = any(_has_other_than_lists(one.value) for one in several)
    for place, one in enumerate(several):
        takes_no_tensor = one.parameter is not None and _takes_no_tensor(one.parameter)
        for row in _rows(one.value):
            if takes_no_tensor or (other_than_lists and isinstance(row, list)):
                raise _refusal(one, row, place)


def _has_several(inputs: object) -> bool:
    """True for a row or mapping of inputs, of which some hold rows of integers."""
    if isinstance(inputs, Mapping):
        return any(map(_holds_row, inputs.values()))
    # what is not an input at all is refused where the arguments are made
    if not isinstance(inputs, (list, tuple)) or is_row_of_numbers(inputs):
        return False
    return any(map(_holds_row, inputs))


def _holds_row(value: Any) -> bool:
    return any(True for _ in _rows(value))


def _rows(value: Any) -> Iterator[Sequence[int]]:
    """The rows of integers within an input, but for those that say that they are shapes."""
    if is_shape(value):
        if not isinstance(value, Size):
            yield value
    elif isinstance(value, (list, tuple, Mapping)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _rows(part)


def _has_other_than_lists(value: Any) -> bool:
    """True for an input with a tensor or a shape in it that is not a list."""
    rows = isinstance(value, Size) or any(not isinstance(row, list) for row in _rows(value))
    return rows or any(True for _ in tensors_within(value))


def _inputs(model: nn.Module, inputs: Sequence[Any] | Mapping[str, Any]) -> list[_Input]:
    parameters = _parameters(model)
    if isinstance(inputs, Mapping):
        return [_Input(value, parameters.get(name, _nameless(name))) for name, value in inputs.items()]
    positional = [p for p in parameters.values() if p.kind in _POSITIONAL]
    names = [*positional, *[None] * len(inputs)]
    return [_Input(value, parameter) for value, parameter in zip(inputs, names, strict=False)]


_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def _nameless(name: str) -> Parameter | None:
    """A keyword that the forward takes by `**`."""
    return Parameter(name, Parameter.KEYWORD_ONLY) if name.isidentifier() else None


def _parameters(model: nn.Module) -> Mapping[str, Parameter]:
    try:
        return signature(model.forward).parameters
    except (TypeError, ValueError):  # a forward in another language
        return {}


def _takes_no_tensor(parameter: Parameter) -> bool:
    """True where the annotation or the default of a parameter is of something else than a tensor."""
    if parameter.annotation is not Parameter.empty:
        annotation = parameter.annotation
        text = annotation if isinstance(annotation, str) else formatannotation(annotation)
        words = set(_NAMES.findall(_QUOTED.sub("", text)))
        return bool(words) and words <= _PLAIN_NAMES
    default = parameter.default
    is_plain = isinstance(default, (bool, int, float, str, list, tuple))
    return is_plain and not any(True for _ in tensors_within(default))


def _refusal(one: _Input, row: Sequence[int], place: int) -> InceptionLabError:
    value, parameter = one.value, one.parameter
    by_name = parameter is not None and parameter.kind is not Parameter.POSITIONAL_ONLY
    name = parameter.name if parameter is not None else ""
    verbatim = f"kwargs={{{name!r}: {value!r}}}" if by_name else f"args=({value!r},)"
    return InceptionLabError(
        f"{row!r} for {name or f'input {place}'} may be a shape or the integers themselves",
        hint=f"write torch.Size({row!r}) for the shape, or {verbatim} for the integers",
    )
