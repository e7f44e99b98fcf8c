"""Costs of single modules and of their branches, in the networks and on free inputs."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

from inception_lab.analyzers.reductions import ALL_MODULES, SUM, WHOLE_NET, reduction_saving
from inception_lab.claims.nets import Nets
from inception_lab.claims.recipes.costs import Readings, layers_total, quotient, separable_first
from inception_lab.claims.recipes.layers import convolutions, weight_shapes
from inception_lab.claims.recipes.registry import recipe
from inception_lab.claims.verdict import Reading
from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Trace

if TYPE_CHECKING:
    from torch import nn

BINARY_K = 1024 / 1000
BINARY_M = 1024**2 / 1000**2
"""A binary prefix over the decimal one: a K of 1024 parameters makes a figure in K smaller by as much."""


@recipe
def row_params(nets: Nets, layers: tuple[str, ...]) -> Readings:
    """Parameters of some layers of GoogLeNet, with K as 1000 and as 1024, with biases and without.

    The readings of the first layer are those of the separable one, too.
    """
    trace = nets.trace("googlenet")
    total = layers_total(trace, "params", *layers)
    weights = sum(
        prod(shape)
        for path, shape in weight_shapes(trace).items()
        if len(shape) > 1 and any(path.startswith(f"{layer}.") for layer in layers)
    )
    readings = [
        _in_k("with biases", total),
        _in_binary_k("biases apart, K of 1024", weights),
        _in_k("biases apart", weights),
        _in_binary_k("with biases, K of 1024", total),
    ]
    if layers == ("conv1",):
        separable = separable_first(nets, "params")
        readings += [_in_k("separable", separable), _in_binary_k("separable, K of 1024", separable)]
    return tuple(readings)


def _in_k(name: str, count: int) -> Reading:
    return Reading(name, count, f"{count:,} = {count / 1000:,.1f} x 1000")


def _in_binary_k(name: str, count: int) -> Reading:
    text = f"{count / 1024:,.1f} x 1024"
    return Reading(name, count / BINARY_K, f"{count:,} = {text}", text)


@recipe
def row_macs(nets: Nets, layers: tuple[str, ...]) -> Readings:
    """Multiply-accumulates of some layers of GoogLeNet, as MACs and as FLOPs."""
    total = layers_total(nets.trace("googlenet"), "macs", *layers)
    text = f"{total / 2**20:,.1f} x 1,048,576"
    readings = [
        Reading("multiply-accumulates", total, f"{total:,}"),
        Reading("M of 1,048,576", total / BINARY_M, f"{total:,} = {text}", text),
        Reading("FLOPs", 2 * total, f"2 x {total:,} = {2 * total:,}"),
    ]
    if layers == ("conv1",):
        separable = separable_first(nets, "macs")
        readings.append(Reading("separable", separable, f"{separable:,}"))
    return tuple(readings)


@recipe
def branch_macs(nets: Nets, module: str, branch: str, side: str) -> Readings:
    """Multiply-accumulates of a branch of GoogLeNet, `naive` or `reduced`, biases apart."""
    costs = _costs_by_place(nets)
    macs, weights = (costs(f"{side}_{name}", module, branch) for name in ("macs", "weights"))
    text = f"{macs // weights:,} positions x {weights:,} weights = {macs:,}"
    return (Reading("weights at every position", macs, text),)


@recipe
def saving(nets: Nets, module: str, branch: str) -> Readings:
    """MACs without the 1x1 reductions over those with them: of a branch, its module, all modules, the net."""
    costs = _costs_by_place(nets)
    places = {
        f"{branch} of {module}": (module, branch),
        f"the whole of {module}": (module, SUM),
        "all nine modules": (ALL_MODULES, SUM),
        "the whole net": (WHOLE_NET, SUM),
    }
    return tuple(
        quotient(name, costs("naive_macs", *place), costs("reduced_macs", *place))
        for name, place in places.items()
    )


def _costs_by_place(nets: Nets) -> Callable[[str, str, str], int]:
    """A column of `reduction_saving` of GoogLeNet, at a module and a branch of it."""
    trace = nets.trace("googlenet")
    table = reduction_saving(trace).set_index(["module", "branch"])

    def cost(column: str, module: str, branch: str) -> int:
        if (module, branch) not in table.index:
            raise InceptionLabError(f"no {branch!r} of {module!r}", where=trace.context.model)
        return int(table[column][module, branch])

    return cost


# ------------------------------------------------------------------------------- a module by itself

FREE_ROW = (128, 64, 192, 64, 96, 64)
"""Filters of the lecture's module: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection."""

FREE_CHANNELS, FREE_SIDE = 256, 28


def _free_module(nets: Nets, kind: str) -> Trace:
    """The lecture's module, `naive` or `reduced`, on 28 x 28 x 256."""
    from inception_lab.models.blocks import PLAIN
    from inception_lab.models.googlenet_modules import MODULES, Row

    def build() -> nn.Module:
        return MODULES[kind](Row("free", *FREE_ROW), FREE_CHANNELS, PLAIN)

    return nets.probe(f"{kind} module", build, (1, FREE_CHANNELS, FREE_SIDE, FREE_SIDE))


@recipe
def free_module_macs(nets: Nets, kind: str) -> Readings:
    """Multiply-accumulates of the lecture's module."""
    rows = convolutions(_free_module(nets, kind))
    total = sum(row.macs for row in rows)
    terms = " + ".join(f"{row.macs:,}" for row in rows)
    return (
        Reading("multiply-accumulates", total, f"{terms} = {total:,}"),
        Reading("FLOPs", 2 * total, f"2 x {total:,} = {2 * total:,}"),
    )


@recipe
def free_module_saving(nets: Nets) -> Readings:
    """Weights of the lecture's naive module over those of the reduced one, whole and kernel by kernel."""
    naive, reduced = (
        {row.layer.split(".")[0]: row.weights for row in convolutions(_free_module(nets, kind))}
        for kind in ("naive", "reduced")
    )
    totals = [sum(r.weights for r in convolutions(_free_module(nets, k))) for k in ("naive", "reduced")]
    # by branch the last convolution is the one with the large kernel
    return (
        quotient("the whole module", *totals),
        quotient("the 5x5 alone, its reduction apart", naive["branch3"], reduced["branch3"]),
        quotient("the 3x3 alone, its reduction apart", naive["branch2"], reduced["branch2"]),
    )
