"""What each operation costs: multiply-accumulates, or other operations by a published convention.

A MAC is one multiplication and one addition of a convolution, a linear layer or a matrix product.
Attention and recurrent layers are the matrix products inside them, by whichever kernel they run, see
`formulas.sequences`. Everything else is counted apart, never as MACs:

* an operation per output element for element-wise work, transcendental functions included, as XLA's
  HloCostAnalysis and DeepSpeed's flops profiler count them; the bias of a convolution or linear
  layer is one addition per output element;
* a window of k elements costs k operations per output: k - 1 comparisons or additions and, for the
  average, the division; the maximum pays the same for keeping the index; an interpolation pays for
  each neighbour it weighs, as fvcore counts it, and nothing for the nearest;
* batch normalisation in eval mode is one multiplication and one addition per element, since mean,
  variance, weight and bias fold into a scale and a shift; in train mode 5 per element with the
  affine part, 4 without, as fvcore's `norm_flop_counter` counts every normalisation;
* softmax is 5 per element (maximum, subtraction, exponential, sum, division) and its logarithm the same;
* a reduction or scan is one per input element, a norm and a loss 2, a variance 3; a sort compares
  each element as often as all can be halved, as XLA counts it.

Views, copies, look-ups, factories and random numbers cost nothing, and in a backward pass only products
count. Training a recurrent layer costs the same by every kernel: the gradients that are wanted, of weights
and inputs, and that of every state but the first, unless that one is learned.

No formula: Fourier transforms, factorisations and solvers of linear algebra, sparse and quantised layers.
Sources: fvcore `jit_handles.py`, XLA `hlo_cost_analysis.cc`, `torch.utils.flop_counter`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch._ops import OpOverload, OpOverloadPacket
from torch.utils.flop_counter import flop_registry

from inception_lab.formulas.free import FREE_OPS, is_free
from inception_lab.formulas.other_flops import OTHER_FLOPS
from inception_lab.formulas.products import PRODUCTS
from inception_lab.formulas.sequences import SEQUENCES
from inception_lab.formulas.terms import FREE, Cost, Formula, aten, per_element

__all__ = ["FORMULAS", "FREE_OPS", "Cost", "Formula", "aten", "cost_of"]

FORMULAS: dict[OpOverloadPacket, Formula] = {**PRODUCTS, **SEQUENCES, **OTHER_FLOPS}
"""Formulas by operation. To count one more, add its row to the table of its kind."""

_element_wise = per_element(1)


def cost_of(func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any], out: Any) -> Cost:
    """The cost of one operation.

    A formula comes first, then what is free by name, a formula registered with
    `torch.utils.flop_counter`, PyTorch's tag of element-wise operations, the same operation out of
    place, and what is free by kind.

    Args:
        func: The operation.
        args: Its positional arguments; tensors on any device.
        kwargs: Its keyword arguments.
        out: What it returned.
    """
    packet = func.overloadpacket
    if formula := FORMULAS.get(packet):
        return formula(args, out)
    if packet in FREE_OPS or func.is_view:
        return FREE
    if packet in flop_registry:
        return Cost(macs=flop_registry[packet](*args, **kwargs, out_val=out) // 2)
    if torch.Tag.pointwise in func.tags:
        return _element_wise(args, out)
    if twin := _out_of_place(func):
        return cost_of(twin, args, kwargs, out)
    return FREE if is_free(func) else Cost(counted=False)


def _out_of_place(func: OpOverload) -> OpOverload | None:
    """The operation of which this one is the in-place form: `squeeze.dim` for `squeeze_.dim`."""
    name = func.overloadpacket.__name__
    if func.namespace != "aten" or not name.endswith("_") or name.endswith("__"):
        return None
    twin = getattr(aten, name[:-1], None)
    return cast("OpOverload | None", getattr(twin, func._overloadname, None))
