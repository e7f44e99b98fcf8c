"""Layers of 8-bit integers, whose weights are packed in objects that only PyTorch reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from inception_lab.formulas.terms import Cost, Formula, per_element, rows

if TYPE_CHECKING:
    from torch._ops import OpOverloadPacket


def packed_tensors(packed: Any) -> Iterator[Tensor]:
    """The weights and biases in a packed object, each once; other objects may lie within it.

    Args:
        packed: A `torch.ScriptObject`, or lists and tuples of these and of tensors.
    """
    if isinstance(packed, Tensor):
        yield packed
    elif isinstance(packed, (list, tuple)):
        for item in packed:
            yield from packed_tensors(item)
    elif isinstance(packed, torch.ScriptObject):
        # what `unpack` gives leaves out the numbers that a state holds in tensors of its own
        content: Any = packed.unpack() if hasattr(packed, "unpack") else _state(packed)
        yield from packed_tensors(content)


def _state(packed: Any) -> Any:
    """The state of a packed object; of a recurrent cell its packed matrices, which have the biases too."""
    state = packed.__getstate__() if hasattr(packed, "__getstate__") else ()
    return [item for item in _flat(state) if isinstance(item, torch.ScriptObject)] or state


def _flat(item: Any) -> Iterator[Any]:
    if isinstance(item, (list, tuple)):
        for part in item:
            yield from _flat(part)
    else:
        yield item


def _biases(packed: Any) -> int:
    return sum(tensor.numel() for tensor in packed_tensors(packed) if tensor.dim() == 1)


def _linear(extra: int) -> Formula:
    """A product, a bias, and so many operations more per output element."""

    def formula(args: Sequence[Any], out: Tensor) -> Cost:
        bias = bool(_biases(args[1]))
        return Cost(out.numel() * args[0].shape[-1], out.numel() * (bias + extra))

    return formula


def _convolution(extra: int) -> Formula:
    """The window of a filter, in its group of channels, at every output element."""

    def formula(args: Sequence[Any], out: Tensor) -> Cost:
        weight = next(packed_tensors(args[1]))
        window, bias = prod(weight.shape[1:]), bool(_biases(args[1]))
        return Cost(out.numel() * window, out.numel() * (bias + extra))

    return formula


def _rows(formula: Formula, names: str) -> dict[OpOverloadPacket, Formula]:
    quantised = torch.ops.quantized
    return {getattr(quantised, name): formula for name in names.split() if hasattr(quantised, name)}


QUANTISED: dict[OpOverloadPacket, Formula] = {
    **_rows(_linear(0), "linear linear_dynamic linear_dynamic_fp16"),
    **_rows(_linear(1), "linear_relu linear_relu_dynamic linear_relu_dynamic_fp16"),
    **_rows(_convolution(0), "conv1d conv2d conv3d conv1d_dynamic conv2d_dynamic conv3d_dynamic"),
    **_rows(_convolution(1), "conv1d_relu conv2d_relu conv3d_relu"),
    **_rows(per_element(1), "add mul add_scalar mul_scalar relu6 hardswish leaky_relu sigmoid clamp"),
    **_rows(per_element(2), "add_relu mul_relu add_scalar_relu mul_scalar_relu"),
    **rows(per_element(1), "quantize_per_tensor quantize_per_tensor_dynamic quantize_per_channel dequantize"),
}
"""A number that is quantised or restored is one operation; recurrent layers have no formula."""
