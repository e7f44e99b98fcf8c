"""The rule of each operation: how it moves and joins the labels of channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from inception_lab.analyzers.receptive_field.channel_labels import (
    NOTHING,
    LabelArray,
)
from inception_lab.analyzers.receptive_field.channel_rules import joining, layouts, mixing
from inception_lab.analyzers.receptive_field.channel_rules.context import Move, MoveContext, Outputs

MOVES: Mapping[str, Move] = {
    "convolution": mixing.convolution,
    **dict.fromkeys(("view", "_unsafe_view", "_reshape_alias", "unsqueeze", "squeeze"), layouts.view),
    "permute": layouts.permute,
    **dict.fromkeys(("transpose", "t"), layouts.transpose),
    "repeat": layouts.repeat,
    "pixel_shuffle": layouts.pixel_shuffle,
    "pixel_unshuffle": layouts.pixel_unshuffle,
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), layouts.channel_shuffle),
    "slice": layouts.slice_of,
    "select": layouts.select,
    "unbind": layouts.unbind,
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes"), layouts.split),
    "flip": layouts.flip,
    "roll": layouts.roll,
    "glu": layouts.glu,
    **dict.fromkeys(("cat", "stack", *joining.WRITES), joining.as_it_is),
    "index_select": layouts.index_select,
    "index": layouts.index,
    "embedding": mixing.embedding,
    "constant_pad_nd": mixing.padding,
    **dict.fromkeys(("max_pool2d_with_indices", "avg_pool2d"), mixing.window(2)),
    **dict.fromkeys(("max_pool3d_with_indices", "avg_pool3d"), mixing.window(3)),
    **dict.fromkeys(("mm", "bmm"), mixing.product(0, 1)),
    **dict.fromkeys(("addmm", "baddbmm"), mixing.product(1, 2)),
    **dict.fromkeys(("mv", "addmv", "dot"), mixing.vector_product),
    **dict.fromkeys(("native_layer_norm", "_fused_rms_norm"), mixing.layer_norm),
}
"""Rules by base name, those apart of operations that `channels` takes to be element by element."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


JOINING = frozenset({"cat", "stack", *joining.WRITES})
"""Operations that put parts together, each at a place of its own."""

LAYERS = _names("convolution mm bmm addmm baddbmm mv addmv dot")
"""Operations that a path counts as a layer also where they add nothing to its field."""

_REDUCTIONS = _names(
    """mean sum nansum prod amax amin max min argmax argmin any all median var std var_mean std_mean logsumexp
    linalg_vector_norm"""
)
_NORMALISATIONS = _names(
    """native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm
    native_group_norm native_dropout rrelu_with_noise"""
)
_ELEMENT_BY_ELEMENT = _names(
    """clone _to_copy detach alias lift_fresh expand copy fill hardswish leaky_relu log_sigmoid_forward
    _prelu_kernel"""
)
_RESIZING = (
    "upsample",
    "_upsample",
    "_adaptive_avg_pool",
    "adaptive_max_pool",
    "max_unpool",
    "reflection_pad",
    "replication_pad",
)


def may_reduce(name: str) -> bool:
    """True for an operation that may read all of an axis at each place; others were not followed rightly."""
    return (
        name in LAYERS
        or name in _REDUCTIONS
        or name in _NORMALISATIONS
        or name.startswith(("_scaled_dot_product", "_adaptive_avg_pool", "adaptive_max_pool"))
        or name in ("_softmax", "_safe_softmax", "_log_softmax", "native_layer_norm", "_fused_rms_norm")
    )


def move_of(op: MoveContext) -> Move:
    """The rule of an operation; that of one that is not known moves labels that are all alike."""
    if op.name in MOVES:
        return MOVES[op.name]
    if op.name in _REDUCTIONS:
        return mixing.over_dim
    if op.name in ("_softmax", "_safe_softmax", "_log_softmax"):
        return mixing.along_dim
    if op.name.startswith("_scaled_dot_product"):
        return mixing.attention
    if op.name.startswith(_RESIZING):
        return mixing.resized
    if op.is_pointwise or op.name in _NORMALISATIONS or op.name in _ELEMENT_BY_ELEMENT:
        return layouts.stay
    return _all_alike


def _all_alike(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Labels that are the same everywhere."""
    del place
    if array.size > 1 or sum(geometry is not None for geometry in op.geometries) > 1:
        return None  # which of several is where is not known
    return [array.reshape((1,) * len(op.output_shapes[0]))]


def combine(op: MoveContext, arrays: Sequence[LabelArray], rank: int) -> LabelArray | None:
    """The labels of an output by those that each input gives it."""
    if op.name == "cat":
        return joining.cat(op, arrays)
    if op.name == "stack":
        return joining.stack(op, arrays)
    if op.name in ("where", "masked_fill"):
        return joining.chosen(op, arrays, rank)
    if op.name in joining.WRITES:
        return joining.WRITES[op.name](op, arrays)
    dependent = [array for array in arrays if array.size != 1 or array.flat[0] != NOTHING]
    return op.labels.join_arrays(dependent or [np.full((1,) * rank, NOTHING)], rank)
