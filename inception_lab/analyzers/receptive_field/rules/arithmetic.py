"""Rules of arithmetic: element by element, over whole axes, matrix products."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field import axis_ops
from inception_lab.analyzers.receptive_field.constants import MASKING
from inception_lab.analyzers.receptive_field.rules.context import (
    Constant,
    Dependence,
    Dependent,
    Filling,
    Rule,
    RuleContext,
    Unknown,
)

UNKNOWN_MASK = "what its mask hides is not known"

Pattern = NDArray[np.bool_]

_KEEPS: Mapping[str, tuple[Filling, ...]] = {
    **dict.fromkeys(("mul", "div", "clone", "_to_copy", "detach", "alias"), ("0", "-inf")),
    **dict.fromkeys(("add", "sub"), ("-inf",)),
    **dict.fromkeys(("neg", "relu", "native_dropout"), ("0",)),
}
"""The numbers that an operation leaves as they are, of 0 and minus infinity."""


def elementwise(op: RuleContext) -> Dependent:
    """Element by element, the inputs broadcast to the output."""
    value = op.union(op.inputs)
    for dependence, shape in zip(op.inputs, op.shapes, strict=True):
        if dependence is None:
            value = value.meets(shape)
    return _with_fills(op, value)


def _with_fills(op: RuleContext, value: Dependent) -> Dependent:
    """The value with the elements that hold a known number, which they do in one of the inputs."""
    numbers = _KEEPS.get(op.name, ())
    # a difference has minus infinity, and a quotient zeros, where the first has them
    inputs = op.inputs[:1] if op.name in ("sub", "div") else op.inputs
    filled = [dependence for dependence in inputs if dependence is not None]
    if not filled:
        return value.keeps(())
    for number in numbers:
        value = value.filled_as(filled, number)
    return value.keeps(numbers)


def addition(op: RuleContext) -> Dependence:
    """A sum or difference; what is added to a softmax's input as minus infinity is left out by it."""
    factor = op.args.get("alpha", 1) * (-1 if op.name == "sub" else 1)
    value = elementwise(op)
    for place, dependence in enumerate(op.inputs):
        if dependence is None and (table := op.certain_numbers(place)) is not None:
            return _left_out(value, table * factor if place else table)
    return value


def _left_out(value: Dependent, table: Constant) -> Dependent:
    """A sum with numbers that a softmax leaves out where they are minus infinity."""
    blank = table <= MASKING
    return value.masked(blank, "-inf") if blank.any() else value


def multiplication(op: RuleContext) -> Dependence:
    """A product; what is multiplied by 0 sees nothing."""
    if op.args.get("other") == 0:
        return None
    value = elementwise(op)
    for place, dependence in enumerate(op.inputs):
        if dependence is None and (table := op.certain_numbers(place)) is not None:
            blank = table == 0
            if blank.any():
                return value.masked(blank, "0")
    return value


def masked_fill(op: RuleContext) -> Dependence:
    """A number written wherever a mask is true."""
    if op.inputs[0] is None:
        return elementwise(op)  # the mask alone depends on the source
    blank = op.constant(1) if op.inputs[1] is None else None
    value = op.union(op.inputs)
    if blank is None:
        return value if op.inputs[1] is not None else value.as_bound(UNKNOWN_MASK)
    fill = op.args.get("value", op.constant(2) if len(op.inputs) > 2 else None)
    return value.masked(blank.astype(bool), _number_of(fill))


def where(op: RuleContext) -> Dependence:
    """Elements of two tensors, chosen by a mask."""
    if op.inputs[0] is not None:
        return op.union(op.inputs)
    if (blank := op.constant(0)) is None:
        return op.union(op.inputs).as_bound(UNKNOWN_MASK)
    blank = blank.astype(bool)
    first, second = (_broadcast(value, op) for value in op.inputs[1:3])
    fills = [op.args.get("self", op.constant(1)), op.args.get("other", op.constant(2))]
    branches = []
    # a branch is blank wherever the other is chosen
    if first is not None:
        branches.append(first.masked(~blank, _number_of(fills[1]) if second is None else None))
    if second is not None:
        branches.append(second.masked(blank, _number_of(fills[0]) if first is None else None))
    return op.union(branches)


def _broadcast(value: Dependent | None, op: RuleContext) -> Dependent | None:
    return None if value is None else op.union([value])


def written_number(op: RuleContext) -> Filling | None:
    """The kind of number that an operation writes over a tensor; None where it is not one."""
    if op.name not in ("fill", "copy", "index_put", "_index_put_impl", "_unsafe_index_put"):
        return None
    return _number_of(op.args.get("value", op.constant(len(op.shapes) - 1)))


def _number_of(fill: Constant | float | None) -> Filling | None:
    """The kind of number that is written, where that matters and is the same everywhere."""
    if fill is None or not np.size(fill):
        return None
    numbers = np.asarray(fill)
    return "0" if (numbers == 0).all() else "-inf" if (numbers <= MASKING).all() else None


def triangle(keep_lower: bool) -> Rule:
    """A triangle of the last two dimensions, zeros beside it.

    Args:
        keep_lower: True for `tril`.
    """

    def rule(op: RuleContext) -> Dependence:
        rows, columns = (np.arange(n) for n in op.output_shape[-2:])
        distance = columns[None] - rows[:, None] - op.args.get("diagonal", 0)
        return op.first.masked(distance > 0 if keep_lower else distance < 0, "0")

    return rule


def first_input_alone(op: RuleContext) -> Dependence:
    """Element by element of the first input; the others are statistics or weights."""
    return op.inputs[0] if not _has_dependent_weights(op) else _dependent_weights(op)


def _has_dependent_weights(op: RuleContext) -> bool:
    return any(value is not None for value in op.inputs[1:])


def _dependent_weights(op: RuleContext) -> Unknown:
    return Unknown(f"weights of {op.name} depend on the input")


# ------------------------------------------------------------------------------ over whole axes


def reduction(op: RuleContext) -> Dependence:
    """Over the axes named `dim`, all of them where none is."""
    rank, dim_argument = len(op.shapes[0]), op.args.get("dim")
    if op.inputs[0] is None:
        return op.union(op.inputs)
    if dim_argument in (None, ()):
        dims = set(range(rank))
    else:
        row = dim_argument if isinstance(dim_argument, tuple) else (dim_argument,)
        dims = {dim % rank for dim in row} if rank else set()
    value = op.inputs[0].collapse(dims)
    return value if len(op.output_shape) == rank else value.drop(dims)


def _all_along(value: Dependent, dim: int, size: int) -> Dependent:
    """Each position of a dimension sees all of them."""
    return value.collapse([dim]).spread(dim, size)


def softmax(op: RuleContext) -> Dependence:
    """Each output depends on itself, and by the sum on all positions along `dim`."""
    value, dim = op.first, op.args.get("dim", -1)
    if not op.output_shape or op.output_shape[dim] == 1:
        return None  # of one number it is 1, and its logarithm 0, whatever the number
    mixed = op.union([value, _all_along(value, dim, op.output_shape[dim])])
    return value.masked_as(mixed)


def mixing(op: RuleContext) -> Dependence:
    """Each output depends on all positions along `dim`, of which it is one or another."""
    if not op.output_shape:
        return op.first
    dim = op.args.get("dim", -1)
    return _all_along(op.first, dim, op.output_shape[dim])


def transform(op: RuleContext) -> Dependence:
    """Each output depends on all positions along each of the dimensions that are transformed."""
    value = op.first
    for dim in op.args["dim"]:
        value = _all_along(value, dim, op.output_shape[dim])
    return value


def running(op: RuleContext) -> Dependence:
    """Each output depends on the positions along `dim` up to its own."""
    return op.first.accumulate(op.args.get("dim", -1)) if op.output_shape else op.first


def batch_norm(op: RuleContext) -> Dependence:
    """By given statistics; by those of each sample where instances are normalised.

    Statistics over a batch couple samples, not places, and are left out.
    """
    uses_batch = op.args.get("training")
    # `instance_norm` runs as a batch norm of one sample, each channel of each instance a channel of it
    of_instances = op.module.startswith(("InstanceNorm", "LazyInstanceNorm")) or "running_mean" in op.args
    if not uses_batch or not of_instances or "BatchNorm" in op.module:
        return first_input_alone(op)
    return _by_statistics(op, range(2, len(op.shapes[0])))


def layer_norm(op: RuleContext) -> Dependence:
    """By statistics over the last dimensions."""
    rank = len(op.shapes[0])
    return _by_statistics(op, range(rank - len(op.args["normalized_shape"]), rank))


def _by_statistics(op: RuleContext, dims: range) -> Dependence:
    value = op.inputs[0]
    if value is None or _has_dependent_weights(op):
        return _dependent_weights(op)
    return op.union([value, value.collapse(dims)], op.shapes[0])


def group_norm(op: RuleContext) -> Dependence:
    """By statistics over each group of channels and all places."""
    (n, c, *places), groups, value = op.shapes[0], op.args["group"], op.inputs[0]
    if value is None or _has_dependent_weights(op):
        return _dependent_weights(op)
    parted = [n, groups, c // groups, *places]
    statistics = value.reshape(parted).collapse(range(2, len(parted)))
    return op.union([value, op.union([statistics], parted).reshape(op.shapes[0])], op.shapes[0])


# ------------------------------------------------------------------------------ matrix products


def matrix_product(first: int, second: int) -> Rule:
    """The rows of one matrix times the columns of another; the axis between them is summed over.

    Args:
        first: Place of the first factor among the inputs; what stands before it is added.
        second: Place of the second factor.
    """

    def rule(op: RuleContext) -> Dependence:
        rows, columns = op.inputs[first], op.inputs[second]
        # a weight has one size, two activations may have any that match
        whole_axis = axis_ops.contraction if rows is None or columns is None else axis_ops.reduction
        # what is added may be a mask
        parts = list(op.inputs[:first])
        if rows is not None:
            parts.append(rows.times(_pattern(op, second), whole_axis))
        if columns is not None:
            pattern = _pattern(op, first)
            turned = None if pattern is None else np.swapaxes(pattern, -1, -2)
            parts.append(_transposed(_transposed(columns).times(turned, whole_axis)))
        value = op.union(parts)
        table = op.certain_numbers(0) if first and op.inputs[0] is None else None
        return value if table is None else _left_out(value, table)

    return rule


def _pattern(op: RuleContext, place: int) -> Pattern | None:
    """False for the entries of a matrix that are known to be 0; None where none is."""
    value = op.inputs[place]
    if value is not None:
        pattern: Pattern | None = value.nonzero()
        return pattern
    table = op.certain_numbers(place)
    return None if table is None else table != 0


def _transposed(value: Dependent) -> Dependent:
    rank = len(value.shape)
    return value.permute([*range(rank - 2), rank - 1, rank - 2])


def matrix_vector(op: RuleContext) -> Dependence:
    """The last two inputs are the matrix and the vector; what stands before them is added."""
    parts = list(op.inputs[:-2])
    factors = [factor for factor in op.inputs[-2:] if factor is not None]
    whole_axis = axis_ops.contraction if len(factors) == 1 else axis_ops.reduction
    parts += [factor.collapse([-1], whole_axis).drop([-1]) for factor in factors]
    return op.union(parts)


def attention(op: RuleContext) -> Dependence:
    """Each query's result depends on the keys and values that its mask lets it see."""
    allowed, masks = _allowed(op), [mask for mask in op.inputs[3:] if mask is not None]
    parts = [value and value.collapse([-1]) for value in op.inputs[:1]]
    for value in op.inputs[1:3]:
        if value is not None:
            rows = _transposed(_heads(value, op).collapse([-1]))
            parts.append(_transposed(rows.times(allowed, axis_ops.reduction)))
    parts += [mask.collapse([-1]) for mask in masks]
    value = op.union(parts, (*op.output_shape[:-1], 1)).spread(-1, op.output_shape[-1])
    has_unknown_mask = len(op.shapes) > 3 and not masks and op.certain_numbers(3) is None
    return value.as_bound(UNKNOWN_MASK) if has_unknown_mask else value


def _heads(value: Dependent, op: RuleContext) -> Dependent:
    """Keys or values for each head of the queries, of which several may share one."""
    if len(value.shape) < 4 or value.shape[-3] in (1, op.output_shape[-3]):
        return value
    shared = np.repeat(np.arange(value.shape[-3]), op.output_shape[-3] // value.shape[-3])
    return value.take(len(value.shape) - 3, shared)


def _allowed(op: RuleContext) -> Pattern | None:
    """True where a key, by row, is seen by a query; None where all are, and where the mask is not known."""
    if op.args.get("is_causal"):
        return np.tri(op.shapes[0][-2], op.shapes[1][-2], dtype=np.bool_).T
    if len(op.shapes) > 3 and op.inputs[3] is None and (mask := op.certain_numbers(3)) is not None:
        return np.swapaxes(mask if mask.dtype == np.bool_ else ~(mask <= MASKING), -1, -2)
    return None
