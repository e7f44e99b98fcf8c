"""What fvcore counts, operator by operator, and where it differs by rule.

fvcore walks the graph that torch's jit tracer writes, and asks a handle per operator what it costs.
Products within an operator that it counts wrongly or not at all are found by running that operator alone,
on meta tensors of the shapes in fvcore's graph, under torch's FlopCounterMode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from math import prod
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.flop_count import _DEFAULT_SUPPORTED_OPS
from fvcore.nn.jit_analysis import _IGNORED_OPS
from torch import Tensor, nn

from inception_lab.counters.counts import CannotRunError, Count
from inception_lab.counters.jit_graph import layer_of, traceable
from inception_lab.counters.torch_counts import completed, figures_of
from inception_lab.errors import InceptionLabError
from inception_lab.ir.structure import layer_name
from inception_lab.ir.trace import Op, Trace
from inception_lab.tracing.backends import Ground
from inception_lab.tracing.tracer import Request

Handle = Callable[[list[Any], list[Any]], Any]
Products = Callable[[Any], int | None]
DEAD = "fvcore leaves out what no output depends on"


class Rule(NamedTuple):
    """A way in which fvcore differs from our definition of a MAC.

    Attributes:
        why: What it does differently.
        products: The multiply-accumulates of an operator, from its node in the graph; None where they
            cannot be found.
    """

    why: str
    products: Products


class _Answer(NamedTuple):
    """What fvcore says of an operator of the graph, and the first value that it makes."""

    kind: str
    macs: int
    value: Any


def fvcore_counts(found: Trace, asked: Request, grounds: Sequence[Ground]) -> list[Count]:
    """What fvcore counts in a forward pass of the model; it knows no backward.

    Args:
        found: The trace to compare with.
        asked: What was traced.
        grounds: Where it may run, in order: on the first where jit's tracer can follow it.

    Raises:
        CannotRunError: fvcore or the tracer raised on each of them; the text tells of the first.
    """
    failures: list[CannotRunError] = []
    for ground in grounds:
        try:
            counts = _counted_on(ground, asked)
        except CannotRunError as failure:
            failures.append(failure)
        else:
            return [*counts, *_left_out(found, asked, grounds[0])]
    raise failures[0]


def _counted_on(ground: Ground, asked: Request) -> list[Count]:
    """What fvcore makes of every operator in the graph, those included that it has no handle for."""
    try:
        with traceable(asked.model, asked.inputs, asked.mode == "train", ground) as (flat, tensors):
            return [_count(answer) for answer in _answers(flat, tensors)]
    except InceptionLabError as refusal:  # a model without weights cannot run for real
        raise CannotRunError(str(refusal)) from refusal


def _answers(flat: nn.Module, tensors: tuple[Tensor, ...]) -> list[_Answer]:
    found: list[_Answer] = []
    unknown: dict[str, Handle] = dict.fromkeys(_operators() - _IGNORED_OPS, lambda *_: 0)
    analysis = FlopCountAnalysis(flat, tensors)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    for kind, handle in {**unknown, **_DEFAULT_SUPPORTED_OPS}.items():
        analysis.set_op_handle(kind, _noting(kind, handle, found))
    try:
        analysis.total()
    except Exception as error:
        raise CannotRunError.because(error) from error
    return found


@cache
def _operators() -> frozenset[str]:
    """Every operator of torch's own that a graph may hold."""
    names = {schema.name for schema in torch._C._jit_get_all_schemas()}
    return frozenset(name for name in names if name.startswith("aten::"))


def _noting(kind: str, handle: Handle, answers: list[_Answer]) -> Handle:
    """A handle of fvcore's that also keeps what it says."""

    def noting(inputs: list[Any], outputs: list[Any]) -> Any:
        counted = handle(inputs, outputs)
        if outputs:
            macs = int(sum(counted.values()) if isinstance(counted, Mapping) else counted)
            answers.append(_Answer(kind, macs, outputs[0]))
        return counted

    return noting


def _count(answer: _Answer) -> Count:
    """The figure, and how much of it is no product by the rule for this operator."""
    rule = RULES.get(answer.kind)
    if rule is None and answer.kind not in _DEFAULT_SUPPORTED_OPS:
        rule = _without_count(answer.kind, _alone)
    products = rule.products(answer.value.node()) if rule else None
    surplus = 0 if products is None else answer.macs - products
    return Count(
        layer_of(answer.value), "forward", answer.macs, surplus, rule.why if rule and surplus else ""
    )


def _without_count(kind: str, products: Products) -> Rule:
    return Rule(f"fvcore has no count for {kind}", products)


def _none(_: Any) -> int:
    """Nothing of it is a product."""
    return 0


def _alone(node: Any) -> int | None:
    """The products of one operator, run on meta tensors of the shapes in the graph."""
    schema = torch._C.parse_schema(node.schema())
    packet = getattr(torch.ops.aten, schema.name.removeprefix("aten::"))
    if not all(map(_is_known, node.inputs())):
        return None
    given = dict(zip(schema.arguments, map(_argument, node.inputs()), strict=True))
    args = [value for argument, value in given.items() if not argument.kwarg_only]
    kwargs = {argument.name: value for argument, value in given.items() if argument.kwarg_only}
    counter = completed()
    try:
        with counter:
            getattr(packet, schema.overload_name or "default")(*args, **kwargs)
    except Exception:  # it needs data
        return None
    return counter.get_total_flops() // 2


def _is_known(value: Any) -> bool:
    """Whether the graph tells what stands here: a constant, the shape of a tensor, a list of these."""
    node = value.node()
    if node.kind() == "prim::ListConstruct":
        return all(map(_is_known, node.inputs()))
    return node.kind() == "prim::Constant" or bool(value.isCompleteTensor())


def _argument(value: Any) -> Any:
    """What a value of the graph stands for, with meta tensors for tensors."""
    node = value.node()
    if node.kind() == "prim::ListConstruct":
        return [_argument(part) for part in node.inputs()]
    if node.kind() == "prim::Constant":
        constant = value.toIValue()
        return constant.to("meta") if isinstance(constant, Tensor) else constant
    return torch.empty(value.type().sizes(), dtype=value.type().dtype(), device="meta")


def _recurrent(node: Any) -> int:
    """Every matrix meets every row of the input, padding excluded where sequences are packed."""
    names = [argument.name for argument in torch._C.parse_schema(node.schema()).arguments]
    given = dict(zip(names, node.inputs(), strict=True))
    sizes: list[int] = next(iter(given.values())).type().sizes()
    weights: list[list[int]] = [weight.type().sizes() for weight in given["params"].node().inputs()]
    return prod(sizes[:-1]) * sum(prod(weight) for weight in weights if len(weight) == 2)


def _left_out(found: Trace, asked: Request, ground: Ground) -> list[Count]:
    """What the tracer takes out of its graph, at FlopCounterMode's figures and not at ours."""
    if not any(op.macs for op in _dead(found)):
        return []
    try:
        again, figures = figures_of(asked, ground)
    except CannotRunError:  # nobody else can tell
        return []
    dead = {op.id for op in _dead(again)}
    return [
        Count(layer_name(again.calls[op.call]), "forward", 0, figure.surplus - figure.macs, DEAD)
        for op, figure in zip(again.ops, figures, strict=True)
        if op.id in dead and figure.macs != figure.surplus
    ]


def _dead(trace: Trace) -> Iterator[Op]:
    """Operations of the forward pass that no output depends on."""
    storage = [value.storage for value in trace.values]
    live = {storage[value] for value in trace.calls[0].outputs}
    for op in reversed(trace.ops):
        if op.phase != "forward":
            continue
        if live.isdisjoint(storage[value] for value in op.writes):
            yield op
        else:
            live.update(storage[value] for value in op.reads)


_NORMALISATION = Rule("fvcore counts normalisation", _none)
_RESAMPLING = Rule("fvcore counts resampling", _none)
_RECURRENT = ("aten::lstm", "aten::gru", "aten::rnn_tanh", "aten::rnn_relu")

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "aten::batch_norm": _NORMALISATION,
        "aten::group_norm": _NORMALISATION,
        "aten::layer_norm": _NORMALISATION,
        "aten::instance_norm": _NORMALISATION,
        "aten::adaptive_avg_pool2d": Rule("fvcore counts adaptive average pooling", _none),
        "aten::upsample_nearest2d": _RESAMPLING,
        "aten::upsample_bilinear2d": _RESAMPLING,
        "aten::grid_sampler": _RESAMPLING,
        "aten::matmul": Rule("fvcore's matmul takes the batch of the first operand alone", _alone),
        "aten::einsum": Rule("fvcore takes numpy's estimate of einsum, rounded to four digits", _alone),
        **{kind: _without_count(kind, _recurrent) for kind in _RECURRENT},
    }
)
"""Every rule, by the operator that it applies to; operators that fvcore does not know have one of their
own. To explain one more difference, add its row."""
