"""Counts of torch's FlopCounterMode, operation by operation, and the rules by which they differ from ours.

FlopCounterMode adds up the figures that its formulas give for each operation. Our trace tells which layer an
operation belongs to, since the counter's own attribution misses in a backward pass: of parallel branches one
is given the other's work, and a layer called twice loses some; one shared by two parents has the name of
the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from inception_lab.counters.counts import CannotRunError, Count
from inception_lab.counters.sparse_products import sparse_product
from inception_lab.formulas.terms import COMPLEX_MAC
from inception_lab.ir import complex_convolutions
from inception_lab.ir.complex_convolutions import OpLink
from inception_lab.ir.operation_name import parse_operation_name
from inception_lab.ir.structure import layer_name
from inception_lab.ir.trace import Phase, Trace
from inception_lab.running import torch_internals
from inception_lab.running.request import Request
from inception_lab.tracing.backends import Backend
from inception_lab.tracing.dispatch import KernelExecutor, Key, KnownOperation
from inception_lab.tracing.trace_error import TraceError
from inception_lab.tracing.tracer import trace_on

if TYPE_CHECKING:
    from torch._ops import OpOverload, OpOverloadPacket

Products = Callable[..., int]
SPARSE = "FlopCounterMode takes a sparse matrix for a dense one, or has no formula for the product"
COMPLEX = "FlopCounterMode does not count a multiply-accumulate of complex numbers as 4 real ones"


class Shape(tuple[int, ...]):
    """Shape of a tensor, in the tensor's place among arguments.

    Attributes:
        requires_grad: As the tensor's own.
        is_complex: True where its elements are complex numbers.
    """

    requires_grad: bool
    is_complex: bool

    @classmethod
    def of(cls, argument: Any) -> Any:
        """Return the shape of a tensor, and any other argument as it is."""
        if not isinstance(argument, Tensor):
            return argument
        shape = cls(argument.shape)
        shape.requires_grad = argument.requires_grad
        shape.is_complex = argument.is_complex()
        return shape


class Rule(NamedTuple):
    """A way in which FlopCounterMode differs from our definition of a MAC.

    Attributes:
        why: The difference, in words; `{}` stands for the operation.
        surplus: From the counter's figure and an operation's positional arguments, shapes in the place of
            tensors, to how much of the figure is not a multiply-accumulate; negative where it lacks some.
    """

    why: str
    surplus: Callable[..., int]


class Figure(NamedTuple):
    """FlopCounterMode's figure for an operation, and how it differs from our definition of a MAC.

    Attributes:
        macs: The figure.
        surplus: As much of it as is not a multiply-accumulate by the rule of the operation.
        why: The rule, in words.
        complex_lack: What it lacks of the products of complex numbers.
    """

    macs: int
    surplus: int
    why: str
    complex_lack: int

    @property
    def products(self) -> int:
        """The multiply-accumulates of the operation."""
        return self.macs - self.surplus + self.complex_lack

    def counts(self, layer: str, phase: Phase) -> Iterator[Count]:
        """Return the figure as a count, and its lack as one more, as each has one explanation."""
        yield Count(layer, phase, self.macs, self.surplus, self.why)
        if self.complex_lack:
            yield Count(layer, phase, 0, -self.complex_lack, COMPLEX)


class _Run(NamedTuple):
    """One run of an operation under FlopCounterMode.

    Attributes:
        packet: The operation.
        args: Its positional arguments, shapes in the place of tensors.
        macs: The counter's figure.
        sparse_product: The multiply-accumulates of a product with a sparse matrix; None of all others.
    """

    packet: OpOverloadPacket
    args: list[Any]
    macs: int
    sparse_product: int | None


def flop_counter_mode_counts(_: Trace, request: Request, backends: Sequence[Backend]) -> list[Count]:
    """Return FlopCounterMode's counts of another run of the model.

    Args:
        request: The model that was traced, and how.
        backends: Those that may run the model; the first is the one that was traced on.

    Raises:
        CannotRunError: The counter raised.
    """
    second_trace, figures = figures_of(request, backends[0])
    return [
        count
        for op, figure in zip(second_trace.ops, figures, strict=True)
        for count in figure.counts(layer_name(second_trace.calls[op.call]), op.phase)
    ]


def figures_of(request: Request, backend: Backend) -> tuple[Trace, list[Figure]]:
    """Return a trace under FlopCounterMode, and the counter's figure for each operation.

    Raises:
        CannotRunError: The counter raised.
    """
    executor = _CountingExecutor()
    try:
        second_trace = trace_on(backend._replace(executor=executor), request)
    except TraceError as failure:  # the same trace without the counter did not fail
        raise CannotRunError(failure.reason) from failure
    # a trace may run a model once more for the numbers in it, whose operations are the same
    runs = executor.runs[: len(second_trace.ops)]
    links = (OpLink(op.base_name, op.reads, op.writes) for op in second_trace.ops)
    double = frozenset(complex_convolutions.of_sums(links))
    return second_trace, [_figure(run, place in double) for place, run in enumerate(runs)]


class _CountingExecutor:
    """Runs operations by their kernels, and keeps FlopCounterMode's figure for each."""

    def __init__(self) -> None:
        self.runs: list[_Run] = []
        self._kernels, self._counter = KernelExecutor(), FlopCounterMode(display=False)

    def __call__(
        self, func: OpOverload, key: Key, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[KnownOperation, Any]:
        """Run one operation as every executor does."""
        with self._counter:  # entering it sets its total back to zero
            result = self._kernels(func, key, args, kwargs)
        macs = self._counter.get_total_flops() // 2
        # shapes alone: a tensor held here would live longer in the trace than in the model
        shapes = torch_internals.tree_map(Shape.of, list(args))
        self.runs.append(_Run(func.overloadpacket, shapes, macs, sparse_product(str(func), args)))
        return result


def _has_complex(args: Sequence[Any]) -> bool:
    if isinstance(args, Shape):
        return args.is_complex
    return isinstance(args, (list, tuple)) and any(map(_has_complex, args))


def _figure(run: _Run, double: bool) -> Figure:
    """The counter's figure for a run; `double` where it stands for two products of complex numbers."""
    operation = str(run.packet)
    rule = RULES.get(parse_operation_name(operation).base)
    if run.sparse_product is not None:
        rule = Rule(SPARSE, lambda macs, *_: macs - run.sparse_product)
    surplus = rule.surplus(run.macs, *run.args) if rule else 0
    why = rule.why.format(operation) if rule and surplus else ""
    factor = COMPLEX_MAC if _has_complex(run.args) else 1 + double
    return Figure(run.macs, surplus, why, (factor - 1) * (run.macs - surplus))


def _surplus_of_groups(_: int, gradient: Shape, x: Shape, weight: Shape, *rest: Any) -> int:
    """The gradient of a grouped convolution's weight, as if every input met every output channel."""
    *_sizes, transposed, _padding, groups, output_mask = rest
    places = (x if transposed else gradient)[2:]
    return (groups - 1) * x[0] * prod(weight) * prod(places) if output_mask[1] else 0


def _lack_of(products: Products) -> Callable[..., int]:
    """The products of an operation that has no formula there, and so a figure of 0."""
    return lambda macs, *args: 0 if macs else -products(*args)


def _matrix(matrix: Shape, _: Shape) -> int:
    return prod(matrix)


def _sum_with_product(_: Shape, first: Shape, second: Shape) -> int:
    return prod(first) * (second[-1] if len(second) > 1 else 1)


def _outer(_: Shape, column: Shape, row: Shape) -> int:
    return prod(column) * prod(row)


def _over_time(x: Shape, weight: Shape, _: Shape, padding: int = 0) -> int:
    """Time x batch x channels, by width x channels in x channels out."""
    return (x[0] + 2 * padding - weight[0] + 1) * x[1] * prod(weight)


def _three_factors(*args: Any) -> int:
    """Two factors multiplied wherever either has an axis, summed, and multiplied by the third.

    Each has the axes that it lacks put in as ones; the sum runs first over those that the third lacks.
    """
    factors, missing_axes, summed_axes = args[:3], args[3:6], args[6]
    one, two, three = (_spread(shape, axes) for shape, axes in zip(factors, missing_axes, strict=True))
    both = [max(sizes) for sizes in zip(one, two, strict=True)]
    summed_first = set(summed_axes) & set(missing_axes[2])
    sums = [1 if axis in summed_first else size for axis, size in enumerate(both)]
    return prod(both) + prod(max(sizes) for sizes in zip(sums, three, strict=True))


def _spread(shape: Shape, missing_axes: Sequence[int]) -> list[int]:
    sizes = list(shape)
    for axis in sorted(missing_axes):
        sizes.insert(axis, 1)
    return sizes


def _layer_of_lstm(x: Shape, from_input: Shape, from_state: Shape, *_: Any) -> int:
    """Both matrices by every row of the input."""
    return prod(x[:-1]) * (prod(from_input) + prod(from_state))


def _gradients_of_lstm(x: Shape, from_input: Shape, from_state: Shape, *rest: Any) -> int:
    """Gradients of inputs and weights that require one, and of every state but a first that does not."""
    rows, state = prod(x[:-1]), rest[2]
    states = rows if state.requires_grad else rows - prod(state[:-1])
    of_input = rows * prod(from_input) * (x.requires_grad + from_input.requires_grad)
    return of_input + prod(from_state) * (states + rows * from_state.requires_grad)


def _distances(x: Shape, y: Shape) -> int:
    """Every vector of one by every vector of the other, both with two more coordinates."""
    return prod(x[:-1]) * y[-2] * (x[-1] + 2)


def _attention(query: Shape, key: Shape, value: Shape, *_: Any) -> int:
    """Every query by every key, and every score by a value."""
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


WITHOUT_FORMULA: Mapping[str, Products] = MappingProxyType(
    {
        **dict.fromkeys(("mv", "dot", "vdot"), _matrix),
        **dict.fromkeys(("addmv", "addmm", "addbmm", "baddbmm"), _sum_with_product),
        "addr": _outer,
        "affine_grid_generator": lambda matrices, size, _: prod(matrices) * prod(size[2:]),
        "conv_tbc": _over_time,
        "_trilinear": _three_factors,
        "_euclidean_dist": _distances,
        "mkldnn_rnn_layer": _layer_of_lstm,
        "mkldnn_rnn_layer_backward": _gradients_of_lstm,
        "_scaled_dot_product_flash_attention_for_cpu": _attention,
        "_scaled_dot_product_flash_attention_for_cpu_backward": lambda _, *args: 2 * _attention(*args),
    }
)
"""Multiply-accumulates of operations that run on meta or on the CPU and that FlopCounterMode has no
formula for, by base name, from positional arguments with shapes in the place of tensors. Of `addmm` and
`baddbmm` it lacks the in-place form alone. The backward of attention takes twice the products of its
forward."""

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "convolution_backward": Rule(
            "FlopCounterMode leaves the groups out of a convolution's weight gradient", _surplus_of_groups
        ),
        **{
            name: Rule("FlopCounterMode has no formula for {}", _lack_of(products))
            for name, products in WITHOUT_FORMULA.items()
        },
    }
)
"""Every rule, by the base name of the operation that it applies to. To explain one more difference, add its
row."""


def complete_counter() -> FlopCounterMode:
    """Make a FlopCounterMode that knows the products of operations without a formula, too."""
    formulas = {
        getattr(torch.ops.aten, spelling): _formula(products)
        for name, products in WITHOUT_FORMULA.items()
        for spelling in (name, f"{name}_")
        if hasattr(torch.ops.aten, spelling)
    }
    # a formula of torch's own is an independent witness, which ours must not replace
    mapping = {packet: formula for packet, formula in formulas.items() if packet not in flop_registry}
    return FlopCounterMode(display=False, custom_mapping=mapping)


def _formula(products: Products) -> Callable[..., int]:
    return lambda *args, **_: 2 * products(*args)
