"""What torch's FlopCounterMode counts, operation by operation, and where it differs by rule.

FlopCounterMode adds up what its formulas say of each operation. Which layer an operation belongs to is
told by our trace, since the counter's own attribution misses in a backward pass: of parallel branches one
is given the other's work, and a layer called twice loses some; one shared by two parents has the name of
the last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import nn
from torch._ops import OpOverload
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode, get_shape

from inception_lab.answers import Kernels, Key, Known
from inception_lab.counters.counts import Count
from inception_lab.grounds import FOR_REAL, ON_META
from inception_lab.inputs import Inputs
from inception_lab.ir import Trace
from inception_lab.losses import Loss
from inception_lab.structure import layer_name
from inception_lab.tracing import Request, trace_on

Shape = Sequence[int]
Products = Callable[..., int]


class Rule(NamedTuple):
    """A way in which FlopCounterMode differs from our definition of a MAC.

    Attributes:
        why: What it does differently.
        surplus: From the counter's figure and an operation's positional arguments, shapes in the place of
            tensors, to how much of the figure is no multiply-accumulate; negative where it lacks some.
    """

    why: str
    surplus: Callable[..., int]


class Figure(NamedTuple):
    """What FlopCounterMode says of an operation, how much of that is no multiply-accumulate, and why."""

    macs: int
    surplus: int
    why: str


def flop_counter_mode_counts(
    found: Trace, model: nn.Module, inputs: Inputs, loss: Loss | None
) -> list[Count]:
    """What FlopCounterMode counts in another run of the model.

    Args:
        found: The trace to compare with.
        model: What was traced.
        inputs: What it was traced with.
        loss: The loss that it was traced with.
    """
    counting = _Counting()
    ground = {ground.device: ground for ground in (ON_META, FOR_REAL)}[found.context.device]
    asked = Request(model, inputs, found.context.mode, loss, found.context.model)
    again = trace_on(ground._replace(answers=counting), asked)
    return [
        Count(layer_name(again.calls[op.call]), op.phase, *figure)
        for op, figure in zip(again.ops, counting.figures, strict=True)
    ]


class _Counting:
    """Runs operations by their kernels, and keeps what FlopCounterMode says of each."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self._kernels, self._counter = Kernels(), FlopCounterMode(display=False)

    def __call__(
        self, func: OpOverload, key: Key, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[Known, Any]:
        """Run one operation; returns what is known of it, and its output."""
        with self._counter:
            answered = self._kernels(func, key, args, kwargs)
        self.figures.append(_figure(func, args, self._counter.get_total_flops() // 2))
        return answered


def _figure(func: OpOverload, args: Sequence[Any], macs: int) -> Figure:
    rule = RULES.get(func.overloadpacket.__name__)
    surplus = rule.surplus(macs, *tree_map(get_shape, list(args))) if rule else 0
    return Figure(macs, surplus, rule.why if rule and surplus else "")


def _groups_left_out(_: int, gradient: Shape, x: Shape, weight: Shape, *rest: Any) -> int:
    """The gradient of a grouped convolution's weight, as if every input met every output channel."""
    *_sizes, transposed, _padding, groups, wanted = rest
    places = (x if transposed else gradient)[2:]
    return (groups - 1) * x[0] * prod(weight) * prod(places) if wanted[1] else 0


def _unknown(products: Products) -> Callable[..., int]:
    """An operation without a formula there counts nothing."""
    return lambda macs, *args: 0 if macs else -products(*args)


def _matrix(matrix: Shape, _: Shape) -> int:
    return prod(matrix)


def _added(_: Shape, left: Shape, right: Shape) -> int:
    return prod(left) * (right[-1] if len(right) > 1 else 1)


def _outer(_: Shape, column: Shape, row: Shape) -> int:
    return prod(column) * prod(row)


def _over_time(x: Shape, weight: Shape, _: Shape, padding: int = 0) -> int:
    """Time x batch x channels, by width x channels in x channels out."""
    return (x[0] + 2 * padding - weight[0] + 1) * x[1] * prod(weight)


def _three_factors(*args: Any) -> int:
    """Two factors multiplied wherever either has an axis, summed, and multiplied by the third.

    Each has the axes that it lacks put in as ones; the sum runs first over those that the third lacks.
    """
    factors, lacking, summed = args[:3], args[3:6], args[6]
    one, two, three = (_spread(shape, axes) for shape, axes in zip(factors, lacking, strict=True))
    both = [max(sizes) for sizes in zip(one, two, strict=True)]
    left = [1 if axis in summed and axis in lacking[2] else size for axis, size in enumerate(both)]
    return prod(both) + prod(max(sizes) for sizes in zip(left, three, strict=True))


def _spread(shape: Shape, lacking: Sequence[int]) -> list[int]:
    sizes = list(shape)
    for axis in sorted(lacking):
        sizes.insert(axis, 1)
    return sizes


def _layer_of_lstm(x: Shape, from_input: Shape, from_state: Shape, *_: Any) -> int:
    """Both matrices meet every row of the input."""
    return prod(x[:-1]) * (prod(from_input) + prod(from_state))


def _attention(query: Shape, key: Shape, value: Shape, *_: Any) -> int:
    """Every query by every key, and every score by a value."""
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


UNKNOWN: Mapping[str, Products] = MappingProxyType(
    {
        **dict.fromkeys(("mv", "dot", "vdot"), _matrix),
        **dict.fromkeys(("addmv", "addmv_", "addmm_", "addbmm", "addbmm_", "baddbmm_"), _added),
        **dict.fromkeys(("addr", "addr_"), _outer),
        "affine_grid_generator": lambda matrices, size, _: prod(matrices) * prod(size[2:]),
        "conv_tbc": _over_time,
        "_trilinear": _three_factors,
        "mkldnn_rnn_layer": _layer_of_lstm,
        "mkldnn_rnn_layer_backward": lambda *args: 2 * _layer_of_lstm(*args),
        "_scaled_dot_product_flash_attention_for_cpu": _attention,
        "_scaled_dot_product_flash_attention_for_cpu_backward": lambda _, *args: 2 * _attention(*args),
    }
)
"""Multiply-accumulates of operations that run on meta or on the CPU and that FlopCounterMode has no
formula for, from their positional arguments with shapes in the place of tensors. A backward takes as many
products for each of two gradients as the forward."""

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "convolution_backward": Rule(
            "FlopCounterMode leaves the groups out of a convolution's weight gradient", _groups_left_out
        ),
        **{
            name: Rule(f"FlopCounterMode has no formula for aten.{name}", _unknown(products))
            for name, products in UNKNOWN.items()
        },
    }
)
"""Every rule, by the operation that it applies to. To explain one more difference, add its row."""


def completed() -> FlopCounterMode:
    """A FlopCounterMode that knows what it has no formula for, too."""
    mapping = {getattr(torch.ops.aten, name): _formula(products) for name, products in UNKNOWN.items()}
    return FlopCounterMode(display=False, custom_mapping=mapping)


def _formula(products: Products) -> Callable[..., int]:
    return lambda *args, **_: 2 * products(*args)
