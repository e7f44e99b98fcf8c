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
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import FlopCounterMode

from inception_lab.counters.counts import CannotRunError, Count
from inception_lab.ir.structure import layer_name
from inception_lab.ir.trace import Trace
from inception_lab.tracing.backends import Ground
from inception_lab.tracing.dispatch import Kernels, Key, Known
from inception_lab.tracing.tracer import Request, TraceError, trace_on

Products = Callable[..., int]


class Shape(tuple[int, ...]):
    """The shape of a tensor, in its place, and whether its gradient is wanted."""

    wanted: bool

    @classmethod
    def of(cls, argument: Any) -> Any:
        """That of a tensor; any other argument as it is."""
        if not isinstance(argument, Tensor):
            return argument
        shape = cls(argument.shape)
        shape.wanted = argument.requires_grad
        return shape


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


def flop_counter_mode_counts(_: Trace, asked: Request, grounds: Sequence[Ground]) -> list[Count]:
    """What FlopCounterMode counts in another run of the model.

    Args:
        asked: What was traced.
        grounds: Where it may run; the first is where it was traced.

    Raises:
        CannotRunError: The counter raised.
    """
    again, figures = figures_of(asked, grounds[0])
    return [
        Count(layer_name(again.calls[op.call]), op.phase, *figure)
        for op, figure in zip(again.ops, figures, strict=True)
    ]


def figures_of(asked: Request, ground: Ground) -> tuple[Trace, list[Figure]]:
    """A trace under FlopCounterMode, and what it says of each operation.

    Raises:
        CannotRunError: The counter raised.
    """
    counting = _Counting()
    try:
        again = trace_on(ground._replace(answers=counting), asked)
    except TraceError as failure:  # the same trace without the counter did not fail
        raise CannotRunError(failure.reason) from failure
    return again, [_figure(*seen) for seen in counting.seen]


class _Counting:
    """Runs operations by their kernels, and keeps what FlopCounterMode says of each."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, list[Any], int]] = []
        self._kernels, self._counter = Kernels(), FlopCounterMode(display=False)

    def __call__(
        self, func: OpOverload, key: Key, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[Known, Any]:
        """Run one operation; returns what is known of it, and its output."""
        with self._counter:
            answered = self._kernels(func, key, args, kwargs)
        macs = self._counter.get_total_flops() // 2
        self.seen.append((func.overloadpacket.__name__, tree_map(Shape.of, list(args)), macs))
        return answered


def _figure(name: str, args: Sequence[Any], macs: int) -> Figure:
    rule = RULES.get(name)
    surplus = rule.surplus(macs, *args) if rule else 0
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


def _gradients_of_lstm(x: Shape, from_input: Shape, from_state: Shape, *rest: Any) -> int:
    """What is wanted of inputs and weights, and of every state but the first, which must be learned."""
    rows, state = prod(x[:-1]), rest[2]
    states = rows if state.wanted else rows - prod(state[:-1])
    of_input = rows * prod(from_input) * (x.wanted + from_input.wanted)
    return of_input + prod(from_state) * (states + rows * from_state.wanted)


def _padded(x: Shape, y: Shape) -> int:
    """Every vector of one by every vector of the other, both with two more coordinates."""
    return prod(x[:-1]) * y[-2] * (x[-1] + 2)


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
        "_euclidean_dist": _padded,
        "mkldnn_rnn_layer": _layer_of_lstm,
        "mkldnn_rnn_layer_backward": _gradients_of_lstm,
        "_scaled_dot_product_flash_attention_for_cpu": _attention,
        "_scaled_dot_product_flash_attention_for_cpu_backward": lambda _, *args: 2 * _attention(*args),
    }
)
"""Multiply-accumulates of operations that run on meta or on the CPU and that FlopCounterMode has no
formula for, from their positional arguments with shapes in the place of tensors. The backward of attention
takes twice the products of its forward."""

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
