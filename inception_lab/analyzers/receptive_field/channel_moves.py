"""Rules by which operations move and join the channels' labels; see `channel_labels`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import prod
from typing import NamedTuple

import numpy as np

from inception_lab.analyzers.receptive_field import axis_ops
from inception_lab.analyzers.receptive_field.axis_layout import Geometry
from inception_lab.analyzers.receptive_field.channel_labels import (
    NOTHING,
    LabelArray,
    Labels,
    Shape,
    full_along,
    thin,
    with_rank,
)
from inception_lab.analyzers.receptive_field.rules.registry import is_pointwise
from inception_lab.ir.trace import Op

_MOST_ELEMENTS = 1 << 22
"""Labels of one value up to which they are laid out one by one, where a view mixes its dimensions."""


class MoveContext(NamedTuple):
    """An operation as a rule sees it.

    Attributes:
        op: The operation.
        name: Its base name.
        labels: The labels of the trace.
        geometries: Of each tensor read; None where it does not depend on the source.
        shapes: Of each tensor read.
        output_shapes: Of each value written.
    """

    op: Op
    name: str
    labels: Labels
    geometries: Sequence[Geometry | None]
    shapes: Sequence[Shape]
    output_shapes: Sequence[Shape]

    @property
    def is_pointwise(self) -> bool:
        """True where it works element by element."""
        return is_pointwise(self.name)

    def dim(self, default: int, rank: int) -> int:
        """The argument `dim`, counted from the front."""
        return int(self.op.arg("dim", default)) % rank


Outputs = Sequence[LabelArray] | None
"""An array for each value written, the last one for all further ones; None where that cannot be told."""
Move = Callable[[MoveContext, int, LabelArray], Outputs]
"""Moves the labels of one tensor read, of the place given among those read."""


# ------------------------------------------------------------------------------ another layout


def stay(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Element by element, broadcast where that is needed."""
    del place
    return [with_rank(array, max(array.ndim, len(op.output_shapes[0])))]


def view(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """The same elements in another shape."""
    return _listed(reshaped(array, op.shapes[place], op.output_shapes[0]))


def permute(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Dimensions in the order named."""
    del place
    return [array.transpose([d % array.ndim for d in op.op.arg("dims")])]


def transpose(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Two dimensions swapped."""
    del place
    return [array.swapaxes(op.op.arg("dim0", 0), op.op.arg("dim1", 1)) if array.ndim > 1 else array]


def repeat(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Copies put together."""
    whole = with_rank(array, len(op.output_shapes[0]))
    sizes = (1,) * (whole.ndim - len(op.shapes[place])) + tuple(op.shapes[place])
    copies = [
        1 if n == 1 else out // size
        for n, size, out in zip(whole.shape, sizes, op.output_shapes[0], strict=True)
    ]
    return [np.tile(whole, copies)]


def pixel_shuffle(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Channels moved into space."""
    *batch, c, h, w = op.shapes[place]
    r, k = op.op.arg("upscale_factor"), len(batch)
    order = [*range(k), k, k + 3, k + 1, k + 4, k + 2]
    return _by_digits(array, op.shapes[place], [*batch, c // r**2, r, r, h, w], order, op.output_shapes[0])


def pixel_unshuffle(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Space moved into channels."""
    *batch, c, h, w = op.shapes[place]
    r, k = op.op.arg("downscale_factor"), len(batch)
    order = [*range(k), k, k + 2, k + 4, k + 1, k + 3]
    digits = [*batch, c, h // r, r, w // r, r]
    return _by_digits(array, op.shapes[place], digits, order, op.output_shapes[0])


def channel_shuffle(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Groups of channels dealt out one by one."""
    n, c, *axes = op.shapes[place]
    groups = op.op.arg("groups")
    order = [0, 2, 1, *range(3, 3 + len(axes))]
    return _by_digits(array, op.shapes[place], [n, groups, c // groups, *axes], order, op.output_shapes[0])


def _by_digits(
    array: LabelArray, shape: Shape, digits: Sequence[int], order: Sequence[int], output_shape: Shape
) -> Outputs:
    """The elements in the order of the digits of their dimensions."""
    parted = reshaped(array, shape, digits)
    if parted is None:
        return None
    permuted_shape = [digits[d] for d in order]
    return _listed(reshaped(parted.transpose(order), permuted_shape, output_shape))


def _listed(array: LabelArray | None) -> Outputs:
    return None if array is None else [array]


def reshaped(array: LabelArray, shape: Sequence[int], new_shape: Sequence[int]) -> LabelArray | None:
    """An array for another shape of its value; None where it would take too many labels."""
    if array.size == 1:
        return array.reshape((1,) * len(new_shape))
    dims: list[int] = []
    sizes: list[int] = []
    for old, new in _groups(shape, new_shape):
        differs = any(array.shape[d] > 1 for d in old)
        dims += old if differs else []
        sizes += [new_shape[d] if differs else 1 for d in new]
    if prod(sizes) > _MOST_ELEMENTS:
        return None
    return thin(full_along(array, dims, tuple(shape)).reshape(sizes))


def _groups(shape: Sequence[int], new_shape: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The dimensions of two shapes in the smallest groups that have as many elements in both."""
    old, new = list(range(len(shape))), list(range(len(new_shape)))
    groups = []
    while old or new:
        left, right = old[:1], new[:1]
        del old[:1], new[:1]
        while (a := prod(shape[d] for d in left)) != (b := prod(new_shape[d] for d in right)):
            (left if a < b else right).append((old if a < b else new).pop(0))
        groups.append((left, right))
    return groups


# ------------------------------------------------------------------------------ parts of a dimension


def slice_of(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """A slice of a dimension."""
    dim = op.dim(0, array.ndim)
    positions = range(op.shapes[place][dim])[op.op.arg("start") : op.op.arg("end") : op.op.arg("step", 1)]
    return [_taken(array, dim, positions)]


def select(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """One position of a dimension, which goes."""
    dim = op.dim(0, array.ndim)
    index = op.op.arg("index", 0) % op.shapes[place][dim]
    return [_taken(array, dim, [index]).squeeze(dim)]


def unbind(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Every position of a dimension, which goes."""
    dim = op.dim(0, array.ndim)
    return [_taken(array, dim, [index]).squeeze(dim) for index in range(op.shapes[place][dim])]


def split(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Pieces of a dimension."""
    del place
    dim = op.dim(0, array.ndim)
    ends = accumulate(shape[dim] for shape in op.output_shapes)
    return [
        _taken(array, dim, range(end - shape[dim], end))
        for end, shape in zip(ends, op.output_shapes, strict=True)
    ]


def flip(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Dimensions read backwards."""
    del place
    return [np.flip(array, op.op.arg("dims"))]


def roll(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Dimensions shifted, the end put at the beginning."""
    del place
    dims = op.op.arg("dims")
    if dims:
        return [np.roll(array, op.op.arg("shifts"), dims)]
    return [array] if array.size == 1 else None


def glu(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """One half of a dimension times a gate made of the other."""
    dim = op.dim(-1, array.ndim)
    half = op.shapes[place][dim] // 2
    halves = [_taken(array, dim, range(start, start + half)) for start in (0, half)]
    return [op.labels.join_arrays(halves, array.ndim)]


def _taken(array: LabelArray, dim: int, positions: Sequence[int]) -> LabelArray:
    """The labels at some positions of a dimension."""
    return array if array.shape[dim] == 1 else thin(array.take(list(positions), axis=dim))


# ------------------------------------------------------------------------------ channels mixed


def convolution(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """All channels of a group mixed; places stay where they are."""
    if place or any(n > 1 for n in array.shape[2:]):
        return None
    groups, out = op.op.arg("groups", 1), op.output_shapes[0][1]
    if array.shape[1] == 1:
        return [array]
    by_group = array.reshape(array.shape[0], groups, -1, *array.shape[2:])
    joined = op.labels.join_over(by_group, [2]).squeeze(2)
    return [thin(np.repeat(joined, out // groups, axis=1))]


def window(axes: int) -> Move:
    """Windows over the last dimensions, which may hold channels, as those of a local response norm do."""

    def move(op: MoveContext, place: int, array: LabelArray) -> Outputs:
        geometry = op.geometries[place]
        for axis, dim in enumerate(range(array.ndim - axes, array.ndim)):
            if array.shape[dim] == 1:
                continue
            if geometry is None or geometry.axes_in([dim]):
                return None
            array = op.labels.join_over(_windows(op, place, array, axis, dim), [array.ndim])
            array = array.squeeze(-1)
        return [thin(array)]

    return move


def _windows(op: MoveContext, place: int, array: LabelArray, axis: int, dim: int) -> LabelArray:
    """The labels that each window along a dimension reads, in one more dimension at the end."""

    def number(name: str, default: int) -> int:
        argument = op.op.arg(name) or default
        return int(argument[axis % len(argument)] if isinstance(argument, tuple) else argument)

    kernel = number("kernel_size", 1)
    taps = axis_ops.window(
        op.shapes[place][dim],
        op.output_shapes[0][dim],
        kernel,
        number("stride", kernel),
        number("padding", 0),
        number("dilation", 1),
        bool(op.op.arg("ceil_mode")),
    ).taps
    edge = np.full([1 if d == dim else n for d, n in enumerate(array.shape)], NOTHING)
    return np.moveaxis(np.concatenate([array, edge], axis=dim).take(taps, axis=dim), dim + 1, -1)


def resized(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Windows over all but the first two dimensions, along which the labels must not differ."""
    del op, place
    return [array] if all(n == 1 for n in array.shape[2:]) else None


def padding(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Constants put before and after; along dimensions where labels do not differ, they count as them."""
    geometry, pads = op.geometries[place], op.op.arg("pad", ())
    for pair, (lead, trail) in enumerate(zip(pads[::2], pads[1::2], strict=True)):
        dim = array.ndim - 1 - pair
        if not (lead or trail) or (array.shape[dim] == 1 and geometry and geometry.axes_in([dim])):
            continue
        if geometry is None or geometry.axes_in([dim]):
            return None
        array = full_along(array, [dim], op.shapes[place])
        array = _cropped(array, dim, max(-lead, 0), max(-trail, 0))
        added = [(max(lead, 0), max(trail, 0)) if d == dim else (0, 0) for d in range(array.ndim)]
        array = thin(np.pad(array, added, constant_values=NOTHING))
    return [array]


def _cropped(array: LabelArray, dim: int, lead: int, trail: int) -> LabelArray:
    return array.take(range(lead, array.shape[dim] - trail), axis=dim)


def over_dim(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """All positions along `dim` mixed, all dimensions where none is named."""
    dims = op.op.arg("dim", range(array.ndim))
    joined = op.labels.join_over(array, _row(dims, array.ndim))
    kept = len(op.output_shapes[0]) == len(op.shapes[place])
    return [joined if kept else joined.reshape(_without(joined.shape, _row(dims, array.ndim)))]


def along_dim(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Each position depends on all of `dim`, which stays."""
    del place
    return [op.labels.join_over(array, [op.op.arg("dim", -1)])]


def _row(dims: object, rank: int) -> list[int]:
    if isinstance(dims, int):
        return [dims % rank] if rank else []
    return [d % rank for d in dims] if isinstance(dims, (tuple, range)) and dims else list(range(rank))


def _without(shape: Sequence[int], dims: Sequence[int]) -> list[int]:
    return [n for d, n in enumerate(shape) if d not in dims]


def product(first: int, second: int) -> Move:
    """Rows of one matrix times columns of another; what stands before them is added.

    Args:
        first: Place of the first factor among the inputs.
        second: Place of the second one.
    """

    def move(op: MoveContext, place: int, array: LabelArray) -> Outputs:
        if place == first:
            return [op.labels.join_over(array, [-1])]
        if place == second:
            return [op.labels.join_over(array, [-2])]
        return stay(op, place, array)

    return move


def vector_product(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """The last two inputs are the matrix and the vector; what stands before them is added."""
    if place < len(op.shapes) - 2:
        return stay(op, place, array)
    joined = op.labels.join_over(array, [-1]).squeeze(-1)
    return [with_rank(joined, len(op.output_shapes[0]))]


def attention(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Each query's result depends on all keys and values."""
    if place == 0:
        return [op.labels.join_over(array, [-1])]
    if place == 1:
        return [op.labels.join_over(array, [-2, -1])]
    return [op.labels.join_over(array, [-2])] if place == 2 else None


def layer_norm(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Statistics over the last dimensions mix them, unless a whole axis is among these.

    Then that dependence is on everything along the axis, apart from the local one.
    """
    geometry = op.geometries[place]
    normalised = op.op.arg("normalized_shape")
    dims = range(array.ndim - len(normalised), array.ndim)
    if place or normalised is None or geometry is None:
        return None
    return [array if geometry.axes_in(dims) else op.labels.join_over(array, dims)]


def embedding(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """A vector for each index."""
    del op
    return [array[..., None]] if place == 1 else None


# ------------------------------------------------------------------------------ values put together


def _as_it_is(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    del op, place
    return [array]


def cat(op: MoveContext, arrays: Sequence[LabelArray]) -> LabelArray | None:
    """Values put together along a dimension; along an axis places would differ."""
    rank = len(op.output_shapes[0])
    dim = op.dim(0, rank)
    # `cat` skips empty tensors of one dimension, whatever the rank of the others
    parts = [(a, shape) for a, shape in zip(arrays, op.shapes, strict=True) if len(shape) == rank]
    if any(geometry is not None and geometry.axes_in([dim]) for geometry in op.geometries):
        return None
    sizes = [max(a.shape[d] for a, _ in parts) for d in range(rank)]
    whole = [
        np.broadcast_to(a, [shape[d] if d == dim else n for d, n in enumerate(sizes)]) for a, shape in parts
    ]
    return thin(np.concatenate(whole, axis=dim))


def stack(op: MoveContext, arrays: Sequence[LabelArray]) -> LabelArray | None:
    """Values put together along a new dimension."""
    rank = len(op.output_shapes[0])
    whole = np.broadcast_arrays(*arrays)
    return thin(np.stack(whole, axis=op.dim(0, rank)))


MOVES: Mapping[str, Move] = {
    "convolution": convolution,
    **dict.fromkeys(("view", "_unsafe_view", "_reshape_alias", "unsqueeze", "squeeze"), view),
    "permute": permute,
    **dict.fromkeys(("transpose", "t"), transpose),
    "repeat": repeat,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), channel_shuffle),
    "slice": slice_of,
    "select": select,
    "unbind": unbind,
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes"), split),
    "flip": flip,
    "roll": roll,
    "glu": glu,
    **dict.fromkeys(("cat", "stack"), _as_it_is),
    "embedding": embedding,
    "constant_pad_nd": padding,
    **dict.fromkeys(("max_pool2d_with_indices", "avg_pool2d"), window(2)),
    **dict.fromkeys(("max_pool3d_with_indices", "avg_pool3d"), window(3)),
    **dict.fromkeys(("mm", "bmm"), product(0, 1)),
    **dict.fromkeys(("addmm", "baddbmm"), product(1, 2)),
    **dict.fromkeys(("mv", "addmv", "dot"), vector_product),
    **dict.fromkeys(("native_layer_norm", "_fused_rms_norm"), layer_norm),
}
"""Rules by base name, those apart of operations that `channels` takes to be element by element."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


LAYOUTS = _names(
    """view _unsafe_view _reshape_alias unsqueeze squeeze permute transpose t repeat pixel_shuffle
    pixel_unshuffle channel_shuffle native_channel_shuffle slice select unbind split split_with_sizes
    unsafe_split unsafe_split_with_sizes flip roll cat stack expand copy clone"""
)
"""Operations that move elements alone, so that none of them depends on more than it did before."""

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
    "reflection_pad",
    "replication_pad",
)


def move_of(op: MoveContext) -> Move:
    """The rule of an operation; that of one that is not known moves labels that are all alike."""
    if op.name in MOVES:
        return MOVES[op.name]
    if op.name in _REDUCTIONS:
        return over_dim
    if op.name in ("_softmax", "_safe_softmax", "_log_softmax"):
        return along_dim
    if op.name.startswith("_scaled_dot_product"):
        return attention
    if op.name.startswith(_RESIZING):
        return resized
    if op.is_pointwise or op.name in _NORMALISATIONS or op.name in _ELEMENT_BY_ELEMENT:
        return stay
    return _all_alike


def _all_alike(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Labels that are the same everywhere."""
    del place
    return [array.reshape((1,) * len(op.output_shapes[0]))] if array.size == 1 else None


def combine(op: MoveContext, arrays: Sequence[LabelArray], rank: int) -> LabelArray | None:
    """The labels of an output by those that each input gives it."""
    if op.name == "cat":
        return cat(op, arrays)
    if op.name == "stack":
        return stack(op, arrays)
    dependent = [array for array in arrays if array.size > 1 or array.flat[0] != NOTHING]
    return op.labels.join_arrays(dependent or [np.full((1,) * rank, NOTHING)], rank)
