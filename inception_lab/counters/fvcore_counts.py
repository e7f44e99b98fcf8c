"""What fvcore counts, operator by operator, and where it differs by rule.

fvcore walks the graph that torch's jit tracer writes, and asks a handle per operator what it costs.
Products within an operator that it counts wrongly or not at all are found by running that operator alone,
on meta tensors of the shapes in fvcore's graph, under torch's FlopCounterMode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.flop_count import _DEFAULT_SUPPORTED_OPS
from fvcore.nn.jit_analysis import _IGNORED_OPS
from torch import Tensor, nn

from inception_lab.counters.counts import Count
from inception_lab.counters.jit import layer_of, traceable
from inception_lab.counters.torch_counts import completed
from inception_lab.errors import InceptionLabError
from inception_lab.grounds import FOR_REAL, ON_META, Ground
from inception_lab.inputs import Inputs
from inception_lab.ir import Op, Trace
from inception_lab.losses import Loss
from inception_lab.structure import layer_name
from inception_lab.tracing import SOON_REACHED

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


def fvcore_counts(found: Trace, model: nn.Module, inputs: Inputs, loss: Loss | None) -> list[Count]:
    """What fvcore counts in a forward pass of the model; it knows no backward.

    Where jit's tracer cannot run it on meta tensors, a small model is run on copies of its weights.

    Args:
        found: The trace to compare with.
        model: What was traced.
        inputs: What it was traced with.
        loss: Not used.
    """
    del loss
    dead = [Count(layer_name(found.calls[op.call]), "forward", 0, -op.macs, DEAD) for op in _dead(found)]
    try:
        return [*_counted_on(ON_META, model, inputs, found), *dead]
    except Exception:
        if sum(op.macs for op in found.ops) > SOON_REACHED:
            raise
        try:
            return [*_counted_on(FOR_REAL, model, inputs, found), *dead]
        except InceptionLabError:  # it has no weights
            pass
        raise


def _counted_on(ground: Ground, model: nn.Module, inputs: Inputs, found: Trace) -> list[Count]:
    """What fvcore makes of every operator in the graph, those included that it has no handle for."""
    noted: list[Count] = []
    unknown: dict[str, Handle] = dict.fromkeys(_operators() - _IGNORED_OPS, lambda *_: 0)
    with traceable(model, inputs, found.context.mode == "train", ground) as (flat, tensors):
        analysis = FlopCountAnalysis(flat, tensors)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        for kind, handle in {**unknown, **_DEFAULT_SUPPORTED_OPS}.items():
            analysis.set_op_handle(kind, _noting(kind, handle, noted))
        analysis.total()
    return noted


@cache
def _operators() -> frozenset[str]:
    """Every operator of torch's own that a graph may hold."""
    names = {schema.name for schema in torch._C._jit_get_all_schemas()}
    return frozenset(name for name in names if name.startswith("aten::"))


def _noting(kind: str, handle: Handle, noted: list[Count]) -> Handle:
    """A handle of fvcore's that also keeps what it says."""
    rule = RULES.get(kind)
    if rule is None and kind not in _DEFAULT_SUPPORTED_OPS:
        rule = Rule(f"fvcore has no count for {kind}", _alone)

    def noting(inputs: list[Any], outputs: list[Any]) -> Any:
        counted = handle(inputs, outputs)
        if outputs:
            macs = int(sum(counted.values()) if isinstance(counted, Mapping) else counted)
            products = rule.products(outputs[0].node()) if rule else None
            surplus = 0 if products is None else macs - products
            why = rule.why if rule and surplus else ""
            noted.append(Count(layer_of(outputs[0]), "forward", macs, surplus, why))
        return counted

    return noting


def _none(_: Any) -> int:
    """Nothing of it is a product."""
    return 0


def _alone(node: Any) -> int | None:
    """The products of one operator, run on meta tensors of the shapes in the graph."""
    schema = torch._C.parse_schema(node.schema())
    packet = getattr(torch.ops.aten, schema.name.removeprefix("aten::"))
    counter = completed()
    try:
        given = dict(zip(schema.arguments, map(_argument, node.inputs()), strict=True))
        args = [value for argument, value in given.items() if not argument.kwarg_only]
        kwargs = {argument.name: value for argument, value in given.items() if argument.kwarg_only}
        with counter:
            getattr(packet, schema.overload_name or "default")(*args, **kwargs)
    except Exception:  # it needs more than the graph knows
        return None
    return counter.get_total_flops() // 2


def _argument(value: Any) -> Any:
    """What a value of the graph stands for, with meta tensors for tensors."""
    node = value.node()
    if node.kind() == "prim::ListConstruct":
        return [_argument(part) for part in node.inputs()]
    if node.kind() == "prim::Constant":
        constant = value.toIValue()
        return constant.to("meta") if isinstance(constant, Tensor) else constant
    return torch.empty(value.type().sizes(), dtype=value.type().dtype(), device="meta")


def _dead(trace: Trace) -> Iterator[Op]:
    """Products of the forward pass that no output depends on; the tracer takes them out of its graph."""
    storage = [value.storage for value in trace.values]
    live = {storage[value] for value in trace.calls[0].outputs}
    for op in reversed(trace.ops):
        if op.phase != "forward":
            continue
        if live.isdisjoint(storage[value] for value in op.writes):
            if op.macs:
                yield op
        else:
            live.update(storage[value] for value in op.reads)


_NORMALISATION = Rule("fvcore counts normalisation", _none)
_RESAMPLING = Rule("fvcore counts resampling", _none)

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
    }
)
"""Every rule, by the operator that it applies to; operators that fvcore does not know have one of their
own. To explain one more difference, add its row."""
