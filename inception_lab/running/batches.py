"""The inputs of a model at any batch size, from their sizes without the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, cast

from torch import Size as Shape
from torch import Tensor

from inception_lab.errors import InceptionLabError
from inception_lab.running.inputs import CallInputs, Inputs, of_each_input, of_shape

Size = Sequence[int]
"""The size of one input without its batch, such as `(3, 224, 224)`."""

InputSizes = Size | Tensor | Sequence[Size | Tensor] | Mapping[str, Size | Tensor] | CallInputs
"""The inputs of a model at any batch size; see `largest_batch`."""


def with_batch(inputs: InputSizes, batch_size: int) -> Inputs:
    """Return the inputs as `trace` takes them, at a batch size; arguments beside them stay as they are."""
    if isinstance(inputs, CallInputs):
        named = {name: _batched(value, batch_size) for name, value in inputs.named.items()}
        batched = with_batch(inputs.inputs, batch_size)
        return CallInputs(cast("Sequence[Any]", batched), inputs.args, inputs.kwargs, named)
    if isinstance(inputs, Mapping):
        return {name: _batched(value, batch_size) for name, value in inputs.items()}
    several = inputs if _are_several(inputs) else [inputs]
    return [_batched(value, batch_size) for value in cast("Sequence[Size | Tensor]", several)]


def without_batch(inputs: Sequence[Any] | CallInputs) -> list[Any] | CallInputs:
    """Return positional inputs as sizes without the batch; tensors, whose first axis is the batch, stay.

    Args:
        inputs: Shapes and tensors with the batch.

    Example:
        >>> without_batch([(2, 3, 8, 8)])
        [(3, 8, 8)]
    """
    return of_each_input(inputs, lambda size: size[1:] if isinstance(size, tuple) else size)


def _are_several(inputs: object) -> bool:
    """True for a list of inputs: (3, 224, 224) is one size, [(3, 224, 224), (10,)] are two."""
    if isinstance(inputs, str) or not isinstance(inputs, Sequence):
        return False
    return any(isinstance(part, (Tensor, Sequence)) for part in inputs)


def _is_size(value: object) -> bool:
    """True for a row of integers; if they are sizes that a tensor may have, `trace` checks."""
    return isinstance(value, Sequence) and all(
        isinstance(size, Integral) and not isinstance(size, bool) for size in value
    )


def _batched(value: Size | Tensor, batch_size: int) -> tuple[int, ...] | Tensor:
    if not isinstance(value, Tensor):
        if not _is_size(value):
            raise InceptionLabError(
                f"{value!r} is not the size of an input",
                hint="give it without the batch, such as (3, 224, 224), or an example tensor; "
                "pass what is neither by args= or kwargs=",
            )
        shape = (batch_size, *value)
        return Shape(shape) if isinstance(value, Shape) else shape
    if not value.dim():
        raise InceptionLabError("an example of no axes has no batch", hint="give it a first axis")
    # Strides decide what an operation allocates, so that the axes keep their order in memory.
    strides = value.stride()
    order = sorted(range(value.dim()), key=strides.__getitem__, reverse=True)
    shape = (batch_size, *value.shape[1:])
    example = of_shape([shape[axis] for axis in order], value.dtype)
    return example.permute([order.index(axis) for axis in range(value.dim())]).requires_grad_(
        value.requires_grad
    )
