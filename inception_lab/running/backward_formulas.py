"""Backward formulas that write in place where nobody watches.

Several formulas of autograd write into a tensor of their own, but into a new one under a dispatch mode and on
meta tensors: where `areAnyTensorSubclassLike` is asked in torch/csrc/autograd/FunctionsManual.cpp and in
aten/src/ATen/native/TensorAdvancedIndexing.cpp. Whoever watches has to write in place himself for the step to
hold what it holds unwatched.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch._ops import OpOverload

aten = torch.ops.aten

_SELECTION = MappingProxyType({aten.scatter.src: aten.scatter_.src})
_ACCUMULATION = MappingProxyType({aten.scatter_add.default: aten.scatter_add_.default})

FORMULAS: Mapping[str, Mapping[OpOverload, OpOverload]] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "KthvalueBackward0",
                "MaxBackward0",
                "MedianBackward1",
                "MinBackward0",
                "ModeBackward0",
                "NanmedianBackward1",
                "SortBackward0",
                "SortBackward1",
                "TopkBackward0",
            ),
            _SELECTION,
        ),
        **dict.fromkeys(("CummaxBackward0", "CumminBackward0", "GatherBackward0"), _ACCUMULATION),
        "IndexBackward0": MappingProxyType({aten.index_put.default: aten.index_put_.default}),
        "IndexSelectBackward0": MappingProxyType({aten.index_add.default: aten.index_add_.default}),
        "MaskedSelectBackward0": MappingProxyType(
            {aten.masked_scatter.default: aten.masked_scatter_.default}
        ),
        "TakeBackward0": MappingProxyType({aten.put.default: aten.put_.default}),
        "TraceBackward0": MappingProxyType({aten.index_fill.int_Tensor: aten.index_fill_.int_Tensor}),
        "BinaryCrossEntropyWithLogitsBackward0": MappingProxyType(
            {aten.sub.Tensor: aten.sub_.Tensor, aten.mul.Tensor: aten.mul_.Tensor}
        ),
    }
)
"""By name of the autograd node: operations on a tensor that the node made, with what they are unwatched."""

REWRITTEN = frozenset(func for formulas in FORMULAS.values() for func in formulas)
"""All of these operations, which are few among those that run."""


def in_place_form(node: Any, func: OpOverload) -> OpOverload | None:
    """The operation that a node's formula calls in place of this one unwatched; None where it is this one.

    Args:
        node: The autograd node that runs, or None.
        func: Called on a tensor that the node made.
    """
    formulas = FORMULAS.get(node.name()) if node is not None else None
    return formulas.get(func) if formulas else None
