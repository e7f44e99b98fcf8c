"""Counts of fvcore, operator by operator, and the rules by which they differ from ours.

fvcore walks the graph that torch's jit tracer writes, and asks a handle per operator for its cost.
Products within an operator that it counts wrongly or not at all are counted by running that operator alone,
on meta tensors of the shapes in fvcore's graph, under torch's FlopCounterMode.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry

from inception_lab.counters.counts import CannotRunError, Count
from inception_lab.counters.fvcore_internals import Handle, ignored_operators, supported_operators
from inception_lab.counters.jit_graph import layer_of, traceable
from inception_lab.counters.torch_counts import complete_counter, figures_of
from inception_lab.errors import InceptionLabError
from inception_lab.formulas.terms import COMPLEX_MAC
from inception_lab.ir.operation_name import parse_operation_name
from inception_lab.ir.structure import layer_name
from inception_lab.ir.trace import Op, Trace
from inception_lab.running import torch_internals
from inception_lab.running.request import Request
from inception_lab.tracing.backends import Backend

with warnings.catch_warnings():
    # importing it compiles a function by torch.jit, which is deprecated: an error under `pytest -W error`
    warnings.simplefilter("ignore")
    from fvcore.nn import FlopCountAnalysis

Products = Callable[[Any], int | None]
DEAD = "fvcore leaves out what no output depends on"
COMPLEX = "fvcore does not count a multiply-accumulate of complex numbers as 4 real ones"


class Rule(NamedTuple):
    """A way in which fvcore differs from our definition of a MAC.

    Attributes:
        why: The difference, in words.
        products: The multiply-accumulates of an operator, from its node in the graph; None where the
            graph does not tell.
    """

    why: str
    products: Products


class _OperatorCount(NamedTuple):
    """fvcore's count of an operator of the graph, and the first value that the operator makes.

    Attributes:
        kind: The operator as fvcore and the graph spell it, such as `aten::conv2d`.
        macs: fvcore's figure.
        value: The value, which leads to the operator's node.
    """

    kind: str
    macs: int
    value: Any

    @property
    def base_name(self) -> str:
        """The operator as our tables spell it."""
        return parse_operation_name(self.kind.replace("::", ".")).base


def fvcore_counts(trace: Trace, request: Request, backends: Sequence[Backend]) -> list[Count]:
    """Return fvcore's counts of a forward pass of the model; it does not know a backward pass.

    Args:
        trace: The trace to compare with.
        request: The model that was traced, and how.
        backends: Those that may run the model, in order: the first on which jit's tracer can follow it does.

    Raises:
        CannotRunError: fvcore or the tracer raised on each of them; the text tells of the first. Or there are
            sparse tensors, which it does not know.
    """
    if any(value.is_sparse for value in trace.values):
        raise CannotRunError("a sparse tensor is one of any number of elements to it")
    failures: list[CannotRunError] = []
    for backend in backends:
        try:
            counts = _counts_on(backend, request)
        except CannotRunError as failure:
            failures.append(failure)
        else:
            return [*counts, *_dead_counts(trace, request, backends[0])]
    raise failures[0]


def _counts_on(backend: Backend, request: Request) -> list[Count]:
    """Counts of every operator in the graph, of those too that fvcore has no handle for."""
    try:
        with traceable(request, backend) as (flat, tensors):
            # the nodes live as long as the flat model does, so rules apply within the block
            return [count for figure in _operator_counts(flat, tensors) for count in _by_rule(figure)]
    except InceptionLabError as refusal:  # a model without weights cannot run for real
        raise CannotRunError(str(refusal)) from refusal


def _operator_counts(flat: nn.Module, tensors: tuple[Tensor, ...]) -> list[_OperatorCount]:
    counts: list[_OperatorCount] = []
    # a zero for what fvcore does not know has it call us there, too
    zeros: dict[str, Handle] = dict.fromkeys(_operators() - ignored_operators(), lambda *_: 0)
    handles = {**zeros, **supported_operators()}
    analysis = FlopCountAnalysis(flat, tensors)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    for kind, handle in handles.items():
        analysis.set_op_handle(kind, _recording(kind, handle, counts))
    try:
        analysis.total()
    except CannotRunError:
        raise
    except Exception as error:
        raise CannotRunError.because(error) from error
    return counts


def _operators() -> frozenset[str]:
    """Every operator in a graph that may hide products: torch's own, and those with a registered formula."""
    packets = (target for target in flop_registry if isinstance(target, type(torch.ops.aten.add)))
    return _torch_operators() | {str(packet).replace(".", "::", 1) for packet in packets}


@cache
def _torch_operators() -> frozenset[str]:
    names = {schema.name for schema in torch_internals.jit_schemas()}
    return frozenset(name for name in names if name.startswith("aten::"))


def _recording(kind: str, handle: Handle, counts: list[_OperatorCount]) -> Handle:
    """A handle of fvcore's that also records its figures."""

    def record(inputs: list[Any], outputs: list[Any]) -> Any:
        figure = handle(inputs, outputs)
        if outputs:
            macs = int(sum(figure.values()) if isinstance(figure, Mapping) else figure)
            counts.append(_OperatorCount(kind, macs, outputs[0]))
        return figure

    return record


def _by_rule(count: _OperatorCount) -> Iterator[Count]:
    """The count, and how much of it is not a product by the rule for this operator."""
    rule = RULES.get(count.base_name)
    if rule is None and count.kind not in supported_operators():
        rule = _without_count(count.kind, _products_alone)
    node, layer = count.value.node(), layer_of(count.value)
    products = rule.products(node) if rule else count.macs
    if products is None:
        yield Count(layer, "forward", count.macs)
        return
    surplus = count.macs - products
    yield Count(layer, "forward", count.macs, surplus, rule.why if rule and surplus else "")
    if products and any(map(_is_complex, node.inputs())):
        yield Count(layer, "forward", 0, (1 - COMPLEX_MAC) * products, COMPLEX)


def _is_complex(value: Any) -> bool:
    """True for a tensor of complex numbers, and for a list with one."""
    node = value.node()
    if node.kind() == "prim::ListConstruct":
        return any(map(_is_complex, node.inputs()))
    return bool(value.isCompleteTensor()) and value.type().dtype().is_complex


def _without_count(kind: str, products: Products) -> Rule:
    return Rule(f"fvcore has no count for {kind}", products)


def _no_products(_: Any) -> int:
    return 0


def _products_alone(node: Any) -> int | None:
    """Products of one operator, run on meta tensors of the shapes in the graph."""
    schema = torch_internals.parse_schema(node.schema())
    if not all(map(_is_determined, node.inputs())):
        return None
    namespace, name = schema.name.split("::")
    overload = getattr(getattr(getattr(torch.ops, namespace), name), schema.overload_name or "default")
    values = dict(zip(schema.arguments, map(_meta_argument, node.inputs()), strict=True))
    args = [value for argument, value in values.items() if not argument.kwarg_only]
    kwargs = {argument.name: value for argument, value in values.items() if argument.kwarg_only}
    counter = complete_counter()
    try:
        with counter:
            overload(*args, **kwargs)
    except Exception:  # it needs data
        return None
    return counter.get_total_flops() // 2


def _is_determined(value: Any) -> bool:
    """True for a value that the graph tells: a constant, a tensor's shape, or a list of these."""
    node = value.node()
    if node.kind() == "prim::ListConstruct":
        return all(map(_is_determined, node.inputs()))
    return node.kind() == "prim::Constant" or bool(value.isCompleteTensor())


def _meta_argument(value: Any) -> Any:
    """The argument that a value of the graph stands for, with meta tensors for tensors."""
    node = value.node()
    if node.kind() == "prim::ListConstruct":
        return [_meta_argument(part) for part in node.inputs()]
    if node.kind() == "prim::Constant":
        constant = value.toIValue()
        return constant.to("meta") if isinstance(constant, Tensor) else constant
    return torch.empty(value.type().sizes(), dtype=value.type().dtype(), device="meta")


def _recurrent_products(node: Any) -> int:
    """Every matrix by every row of the input, padding excluded where sequences are packed."""
    names = [argument.name for argument in torch_internals.parse_schema(node.schema()).arguments]
    values = dict(zip(names, node.inputs(), strict=True))
    sizes: list[int] = next(iter(values.values())).type().sizes()
    weights: list[list[int]] = [weight.type().sizes() for weight in values["params"].node().inputs()]
    return prod(sizes[:-1]) * sum(prod(weight) for weight in weights if len(weight) == 2)


def _dead_counts(trace: Trace, request: Request, backend: Backend) -> list[Count]:
    """Operations that the tracer takes out of its graph, at FlopCounterMode's figures and not at ours."""
    if not any(op.macs for op in _dead_operations(trace)):
        return []
    try:
        second_trace, figures = figures_of(request, backend)
    except CannotRunError:  # there is nobody else to ask
        return []
    dead_ids = {op.id for op in _dead_operations(second_trace)}
    return [
        Count(layer_name(second_trace.calls[op.call]), "forward", 0, -figure.products, DEAD)
        for op, figure in zip(second_trace.ops, figures, strict=True)
        if op.id in dead_ids and figure.products
    ]


def _dead_operations(trace: Trace) -> Iterator[Op]:
    """Operations of the forward pass that no output depends on, the last first."""
    storage = [value.storage for value in trace.values]
    live = {storage[value] for value in trace.calls[0].outputs}
    for op in reversed(trace.ops):
        if op.phase != "forward":
            continue
        if live.isdisjoint(storage[value] for value in op.writes):
            yield op
        else:
            live.update(storage[value] for value in op.reads)


_NORMALISATION = Rule("fvcore counts normalisation", _no_products)
_RESAMPLING = Rule("fvcore counts resampling", _no_products)
_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "batch_norm": _NORMALISATION,
        "group_norm": _NORMALISATION,
        "layer_norm": _NORMALISATION,
        "instance_norm": _NORMALISATION,
        "adaptive_avg_pool2d": Rule("fvcore counts adaptive average pooling", _no_products),
        "upsample_nearest2d": _RESAMPLING,
        "upsample_bilinear2d": _RESAMPLING,
        "grid_sampler": _RESAMPLING,
        "matmul": Rule("fvcore's matmul takes the batch of the first operand alone", _products_alone),
        "einsum": Rule("fvcore takes numpy's estimate of einsum, rounded to four digits", _products_alone),
        **{name: _without_count(f"aten::{name}", _recurrent_products) for name in _RECURRENT},
    }
)
"""Every rule, by the base name of the operation that it applies to; operators that fvcore does not know have
one of their own. To explain one more difference, add its row."""
