"""Evidence for the role of a source axis: operations slide over places, contract features, run over samples.

Every operation that tells one from the other has a row in `EVIDENCE`. The dataflow tells which axes lie
in which of its dimensions, so that a layout of the input is never assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import partial
from typing import Any, Literal, NamedTuple

from inception_lab.analyzers.receptive_field.axis_layout import Geometry
from inception_lab.analyzers.receptive_field.axis_positions import Positions
from inception_lab.analyzers.receptive_field.digits import NO_AXIS, Factor
from inception_lab.analyzers.receptive_field.rules import arithmetic
from inception_lab.analyzers.receptive_field.rules.context import Shape
from inception_lab.analyzers.receptive_field.rules.registry import RULES

Role = Literal["place", "feature", "sample"]


class Reading(NamedTuple):
    """An operation, and the places of a source's axes among the dimensions of what it reads.

    Attributes:
        name: Its base name.
        args: Its arguments that are not tensors, by name.
        inputs: Of each tensor read; at least one depends on the source.
        shapes: Shapes of the tensors read.
        output_shape: Shape of the first value written.
    """

    name: str
    args: Mapping[str, Any]
    inputs: Sequence[Geometry | None]
    shapes: Sequence[Shape]
    output_shape: Shape

    @property
    def first(self) -> Geometry:
        """The first of the inputs that depends on the source."""
        return next(geometry for geometry in self.inputs if geometry is not None)


class Strength(IntEnum):
    """The weight of a piece of evidence; of several, the first of the strongest decides."""

    PARTIAL = 0
    """A part of an axis, or several axes as one, times weights."""
    BATCH = 1
    """The axis runs along as a batch."""
    STATISTIC = 2
    """Reduced, normalised or moved, as features and places both are."""
    OPERATION = 3
    """A window without weights, a linear layer, attention."""
    CONVOLUTION = 4
    """The dimensions of a convolution, whose roles are fixed."""


class Evidence(NamedTuple):
    """One sign of the role of a source axis.

    Attributes:
        axis: The axis; -1 where weights contract what has none of the source's axes any more.
        role: The role that it speaks for.
        strength: Its weight.
    """

    axis: int
    role: Role
    strength: Strength


def _is_in_patches(geometry: Geometry, axis: int) -> bool:
    axis_map = geometry.maps[axis]
    return isinstance(axis_map, Positions) and axis_map.in_patches


EvidenceRule = Callable[[Reading, Sequence[bool]], Iterable[Evidence]]
"""The evidence of an operation, and for each of its inputs if it is made of parameters alone."""


def evidence_of(op: Reading, weights: Sequence[bool]) -> list[Evidence]:
    """All evidence that one operation gives, the most certain first.

    Args:
        op: The operation, its inputs followed with every dimension of the source as an axis.
        weights: True for each input that is made of parameters alone.
    """
    rule = EVIDENCE.get(op.name, _meeting_places)
    try:
        return list(rule(op, weights))
    # arguments that a rule does not foresee are no evidence
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return []


def _places(geometry: Geometry | None, dims: Iterable[int], strength: Strength) -> Iterator[Evidence]:
    """Evidence that the axes in these dimensions are places."""
    for axis in geometry.axes_in(dims) if geometry else ():
        yield Evidence(axis, "place", strength)


def _digits(geometry: Geometry, axis: int, dims: Iterable[int]) -> list[Factor]:
    """The digits that tell positions of an axis apart, as far as they lie in these dimensions."""
    return [f for d in dims for f in geometry.dims[d] if f.axis == axis and f.size > 1]


def _outside(geometry: Geometry, axis: int, dim: int) -> list[Factor]:
    """The digits of an axis outside of a dimension."""
    return _digits(geometry, axis, set(range(len(geometry.dims))) - {dim % len(geometry.dims)})


# ------------------------------------------------------------------------------ windows


def _convolution(op: Reading, weights: Sequence[bool]) -> Iterator[Evidence]:
    del weights
    source = op.inputs[0]
    if source is None:
        return
    yield from (
        # patches among the channels have been places before
        Evidence(axis, "feature", Strength.PARTIAL if _is_in_patches(source, axis) else Strength.CONVOLUTION)
        for axis in source.axes_in([1])
        if _is_among_channels(source, axis)
    )
    yield from _places(source, range(2, len(source.dims)), Strength.CONVOLUTION)
    yield from _samples(source, Strength.CONVOLUTION)


def _is_among_channels(source: Geometry, axis: int) -> bool:
    """True where the channels carry the slowest digit of an axis; the fast ones may be pixels unshuffled."""
    steps = [f.step for f in _outside(source, axis, 1)]
    return not steps or max([f.step for f in _digits(source, axis, [1])], default=0) > max(steps)


def _samples(source: Geometry, strength: Strength) -> Iterator[Evidence]:
    """The first dimension as a batch: for certain only where the source's own first one lies there alone."""
    axes = source.axes_in([0])
    is_batch = axes == [0] and not _outside(source, 0, 0)
    for axis in axes:
        yield Evidence(axis, "sample", strength if is_batch else Strength.BATCH)


def _window(dims: int) -> EvidenceRule:
    """Windows without weights over the last dimensions."""

    def rule(op: Reading, weights: Sequence[bool]) -> Iterator[Evidence]:
        del weights
        source = op.first
        yield from _places(source, range(1 - dims, 0), Strength.OPERATION)
        # a local response is a window over channels, written as the places of one channel
        is_over_channels = _is_along_first(op, dims) and op.shapes[0][-dims - 1 : -dims] == (1,)
        strength = Strength.STATISTIC if is_over_channels else Strength.OPERATION
        yield from _places(source, [-dims], strength)
        if len(source.dims) == dims + 2:
            yield from _samples(source, Strength.OPERATION)

    return rule


def _is_along_first(op: Reading, dims: int) -> bool:
    """True where a window of several dimensions has one pixel along all but the first."""
    kernel = op.args.get("kernel_size")
    return isinstance(kernel, tuple) and len(kernel) == dims > 1 and kernel[0] > 1 and set(kernel[1:]) == {1}


def _unfolding(op: Reading, weights: Sequence[bool]) -> Iterator[Evidence]:
    del weights
    return _places(op.first, [op.args["dimension"]], Strength.OPERATION)


def _padding(op: Reading, weights: Sequence[bool]) -> Iterator[Evidence]:
    del weights
    pads = op.args.get("pad") or op.args["padding"]
    # PyTorch lists the last dimension first, a pair each
    padded_dims = [-1 - i // 2 for i in range(0, len(pads), 2) if pads[i] or pads[i + 1]]
    return _places(op.first, padded_dims, Strength.STATISTIC)


# ------------------------------------------------------------------------------ statistics


def _over_dims(op: Reading, weights: Sequence[bool]) -> Iterator[Evidence]:
    """Over the dimensions named; the sum of everything says nothing, as a loss is one."""
    del weights
    if op.output_shape == ():
        return iter(())
    dims = op.args.get("dims", op.args.get("dim"))
    if dims in (None, ()):
        dims = tuple(range(len(op.first.dims))) if op.name in _REDUCTIONS else (-1,)
    return _places(op.first, dims if isinstance(dims, tuple) else (dims,), Strength.STATISTIC)


def _normalisation(op: Reading, weights: Sequence[bool]) -> Iterator[Evidence]:
    """Normalisation of N x C x places, whatever its statistics are taken over."""
    del weights
    return _places(op.first, range(2, len(op.first.dims)), Strength.STATISTIC)


def _layer_normalisation(op: Reading, weights: Sequence[bool]) -> Iterator[Evidence]:
    """Normalisation over the last dimensions, features or places."""
    del weights
    normalised_dims = range(-len(op.args.get("normalized_shape", (0,))), 0)
    return _places(op.first, normalised_dims, Strength.STATISTIC)


# ------------------------------------------------------------------------------ products


def _matrix_product(first: int, second: int, op: Reading, weights: Sequence[bool]) -> Iterator[Evidence]:
    rows, columns = op.inputs[first], op.inputs[second]
    if rows is not None and columns is not None:
        yield from _product_of_activations(rows, columns)
    elif rows is not None:
        # x times a matrix contracts features, even where the matrix is not a parameter
        yield from _contraction(rows, -1, True)
    elif columns is not None:
        yield from _contraction(columns, -2, weights[first])


def _matrix_vector(op: Reading, weights: Sequence[bool]) -> Iterator[Evidence]:
    del weights
    factors = [factor for factor in op.inputs[-2:] if factor is not None]
    if len(factors) == 1:
        yield from _contraction(factors[0], -1, True)


def _product_of_activations(rows: Geometry, columns: Geometry) -> Iterator[Evidence]:
    """Two values that depend on the source: each place of one meets each place of the other."""
    pairs = set(rows.axes_in([-2])) & set(columns.axes_in([-1]))
    for axis in sorted(pairs):
        yield Evidence(axis, "place", Strength.OPERATION)
    # a similarity of places sums over features, any other product over places
    for axis in sorted({*rows.axes_in([-1]), *columns.axes_in([-2])}):
        if pairs:
            yield Evidence(axis, "feature", Strength.OPERATION)
        else:
            yield Evidence(axis, "place", Strength.STATISTIC)
    for factor in (rows, columns):
        yield from _batches(factor)


def _batches(factor: Geometry) -> Iterator[Evidence]:
    for axis in factor.axes_in(range(len(factor.dims) - 2)):
        yield Evidence(axis, "sample", Strength.BATCH)


def _contraction(source: Geometry, dim: int, by_weights: bool) -> Iterator[Evidence]:
    """A dimension summed over with a factor for each position."""
    axes = source.axes_in([dim])
    if not axes:
        yield Evidence(NO_AXIS, "feature", Strength.PARTIAL)
    for axis in axes:
        if _outside(source, axis, dim):
            # the same weights at each of the other digits: a window that moves by its own size
            in_batch = len(source.dims) > 2 and _digits(source, axis, [0])
            yield Evidence(axis, "feature" if in_batch else "place", Strength.PARTIAL)
        elif len(axes) == 1 and not _is_in_patches(source, axis):
            role: Role = "feature" if by_weights else "place"
            yield Evidence(axis, role, Strength.OPERATION if by_weights else Strength.STATISTIC)
        else:
            yield Evidence(axis, "feature", Strength.PARTIAL)


def _attention(op: Reading, weights: Sequence[bool]) -> Iterator[Evidence]:
    del weights
    factors = [factor for factor in op.inputs[:3] if factor is not None]
    for factor in factors:
        yield from _places(factor, [-2], Strength.OPERATION)
        yield from (Evidence(axis, "feature", Strength.OPERATION) for axis in factor.axes_in([-1]))
        yield from _batches(factor)


def _distances(op: Reading, weights: Sequence[bool]) -> Iterator[Evidence]:
    """Distances of the rows of one value to those of another."""
    del weights
    for factor in op.inputs[:2]:
        yield from _places(factor, [-2], Strength.OPERATION)
        for axis in factor.axes_in([-1]) if factor else ():
            yield Evidence(axis, "feature", Strength.OPERATION)


def _recurrence(op: Reading, weights: Sequence[bool]) -> Iterator[Evidence]:
    """A recurrent layer as one operation; that of the CPU takes time first, whatever `batch_first` says."""
    del weights
    batch_first = op.name != "mkldnn_rnn_layer" and bool(op.args.get("batch_first"))
    yield from _places(op.inputs[0], [int(batch_first)], Strength.OPERATION)
    yield from (Evidence(axis, "feature", Strength.OPERATION) for axis in op.first.axes_in([-1]))


def _layer_of_tokens(op: Reading, weights: Sequence[bool]) -> Iterator[Evidence]:
    """A whole attention or encoder layer as one operation, of N x L x C."""
    del weights
    yield from _places(op.inputs[0], [-2], Strength.OPERATION)
    yield from (Evidence(axis, "feature", Strength.OPERATION) for axis in op.first.axes_in([-1]))


# ------------------------------------------------------------------------------ values that meet


def _meeting_places(op: Reading, weights: Sequence[bool]) -> Iterator[Evidence]:
    """Axes of which different positions meet, as in the difference of neighbours or in a recurrent net."""
    del weights
    geometries = [g for g in op.inputs if g is not None and not g.bound_reason]
    if len(geometries) < 2 or op.name in _NOT_MEETING:
        return
    first, *others = geometries
    joined = joined_axes(op)
    for axis in range(len(first.maps)):
        if axis not in joined and any(_differ(first, other, axis) for other in others):
            yield Evidence(axis, "place", Strength.STATISTIC)


def joined_axes(op: Reading) -> Sequence[int]:
    """The axes whose positions an operation puts one after the other, which is no meeting."""
    if op.name not in ("cat", "stack"):
        return ()
    in_dimension = op.first.axes_in([op.args.get("dim", 0)]) if op.name == "cat" else []
    geometries = [geometry for geometry in op.inputs if geometry is not None]
    return in_dimension or selected_axes(geometries)


def selected_axes(parts: Sequence[Geometry]) -> list[int]:
    """The axes of which each part stands for one position, and different parts for different ones."""
    return [
        axis
        for axis in range(len(parts[0].maps))
        if len({selected_position(part, axis) for part in parts}) > 1
        and all(selected_position(part, axis) is not None for part in parts)
    ]


def selected_position(part: Geometry, axis: int) -> int | None:
    """The one position of an axis that a value stands for; None where there are several, or some met."""
    axis_map = part.maps[axis]
    positions = axis_map.positions if isinstance(axis_map, Positions) and len(axis_map) == 1 else None
    return int(positions[0]) if positions is not None else None


def _differ(one: Geometry, other: Geometry, axis: int) -> bool:
    """True where two values hold an axis at other positions, or in another place."""
    first, second = one.maps[axis], other.maps[axis]
    same = isinstance(first, Positions) and isinstance(second, Positions) and first.is_same(second)
    return not same or _digit_places(one, axis) != _digit_places(other, axis)


def _digit_places(geometry: Geometry, axis: int) -> list[tuple[int, Factor]]:
    """The digits of an axis, each with its dimension counted from the last."""
    rank = len(geometry.dims)
    return [(d - rank, f) for d in range(rank) for f in _digits(geometry, axis, [d])]


# ------------------------------------------------------------------------------ the table


def _each(rule: EvidenceRule, names: Iterable[str]) -> dict[str, EvidenceRule]:
    return dict.fromkeys(names, rule)


def _names_of(*rules: object) -> list[str]:
    """The operations that the rules of dependence treat alike."""
    return [name for name, rule in RULES.items() if rule in rules]


_REDUCTIONS = frozenset(_names_of(arithmetic.reduction))

_NOT_MEETING = frozenset(["copy", "fill"])
"""Operations that write one of their inputs over another."""

EVIDENCE: dict[str, EvidenceRule] = {
    "convolution": _convolution,
    **_each(_window(2), ["max_pool2d_with_indices", "avg_pool2d", "im2col", "max_unpool2d"]),
    **_each(_window(2), ["_adaptive_avg_pool2d", "adaptive_max_pool2d", "pixel_shuffle", "pixel_unshuffle"]),
    **_each(_window(3), ["max_pool3d_with_indices", "avg_pool3d", "max_unpool3d"]),
    **_each(_window(3), ["_adaptive_avg_pool3d", "adaptive_max_pool3d"]),
    **_each(_window(1), ["upsample_nearest1d", "_upsample_nearest_exact1d", "upsample_linear1d"]),
    **_each(_window(2), ["upsample_nearest2d", "_upsample_nearest_exact2d", "upsample_bilinear2d"]),
    **_each(_window(2), ["upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"]),
    **_each(_window(3), ["upsample_nearest3d", "_upsample_nearest_exact3d", "upsample_trilinear3d"]),
    **_each(_window(2), ["grid_sampler_2d"]),
    **_each(_window(3), ["grid_sampler_3d"]),
    "unfold": _unfolding,
    **_each(_padding, ["constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d"]),
    **_each(_padding, ["replication_pad1d", "replication_pad2d", "replication_pad3d"]),
    **_each(_over_dims, _names_of(arithmetic.reduction, arithmetic.mixing, arithmetic.running)),
    **_each(_over_dims, ["index_add", "scatter_add", "scatter_reduce"]),
    **_each(_over_dims, ["flip", "roll", "_fft_r2c", "_fft_c2c", "_fft_c2r", "kthvalue", "mode"]),
    **_each(_normalisation, ["native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm"]),
    **_each(_normalisation, ["_native_batch_norm_legit_no_training", "native_group_norm"]),
    **_each(_layer_normalisation, ["native_layer_norm", "_fused_rms_norm"]),
    **_each(partial(_matrix_product, 0, 1), ["mm", "bmm"]),
    **_each(partial(_matrix_product, 1, 2), ["addmm", "baddbmm", "_sparse_addmm"]),
    **_each(_matrix_vector, ["mv", "addmv", "dot"]),
    **_each(_distances, ["_euclidean_dist", "_cdist_forward"]),
    **_each(_recurrence, ["mkldnn_rnn_layer", "_cudnn_rnn", "miopen_rnn"]),
    **_each(_layer_of_tokens, ["_native_multi_head_attention", "_transformer_encoder_layer_fwd"]),
    **_each(_attention, _names_of(arithmetic.attention)),
}
"""The evidence of each operation that gives any, by base name."""
