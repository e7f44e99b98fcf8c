"""Rules of arithmetic: element by element, over whole axes, matrix products, attention."""

from __future__ import annotations

from inception_lab.analyzers.receptive_field import axis_ops
from inception_lab.analyzers.receptive_field.axis_layout import Geometry, merge, plain_dim
from inception_lab.analyzers.receptive_field.rules.context import (
    Dependence,
    Rule,
    RuleContext,
    Shape,
    Unknown,
)


def elementwise(op: RuleContext) -> Dependence:
    """Element by element, the inputs broadcast to the output."""
    geometry = merge([g for g in op.inputs if g is not None], op.output_shape)
    for dependence, shape in zip(op.inputs, op.shapes, strict=True):
        if dependence is None:
            geometry = _with_fixed_sizes(geometry, shape)
    return geometry


def _with_fixed_sizes(geometry: Geometry, shape: Shape) -> Geometry:
    """The same, where a tensor of this shape that does not depend on the source fixes the sizes of axes."""
    for dim, size in zip(range(-len(shape), 0), shape, strict=True):
        if size > 1 and len(geometry.axes_in([len(geometry.dims) + dim])) == 1:
            geometry = geometry.along(dim, axis_ops.fixed_size, size)
    return geometry


def first_input_alone(op: RuleContext) -> Dependence:
    """Element by element of the first input; the others are statistics, weights or shapes."""
    if any(dependence is not None for dependence in op.inputs[1:]):
        return Unknown(f"weights of {op.name} depend on the input")
    return op.inputs[0]


def reduction(op: RuleContext) -> Dependence:
    """Over the axes named `dim`, all of them where none is."""
    rank, dim_argument = len(op.shapes[0]), op.args.get("dim")
    if dim_argument in (None, ()):
        dims = set(range(rank))
    else:
        row = dim_argument if isinstance(dim_argument, tuple) else (dim_argument,)
        dims = {dim % rank for dim in row}
    geometry = op.first.collapse(dims)
    keepdim = len(op.output_shape) == rank
    if keepdim:
        return geometry
    return geometry._replace(dims=tuple([dim for d, dim in enumerate(geometry.dims) if d not in dims]))


def mixing(op: RuleContext) -> Dependence:
    """Each output depends on all positions along `dim`, which stays."""
    return _mix(op)


def _mix(op: RuleContext) -> Geometry:
    dim = op.args.get("dim", -1) % len(op.output_shape)
    return op.first.collapse([dim]).with_dim(dim, plain_dim(op.output_shape[dim]))


def running(op: RuleContext) -> Dependence:
    """Each output depends on the positions along `dim` up to its own; all of them are the bound."""
    return _mix(op).as_bound("a running sum sees what is before it")


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
        parts = [rows.collapse([-1], whole_axis)] if rows is not None else []
        parts += [columns.collapse([-2], whole_axis)] if columns is not None else []
        parts += [summand for summand in op.inputs[:first] if summand is not None]
        product = merge(parts, op.output_shape)
        # of N x C every output channel sees all input channels
        return product._replace(channels_differ=False) if len(op.output_shape) == 2 else product

    return rule


def matrix_vector(op: RuleContext) -> Dependence:
    """The last two inputs are the matrix and the vector; what stands before them is added."""
    parts = [summand for summand in op.inputs[:-2] if summand is not None]
    factors = [factor for factor in op.inputs[-2:] if factor is not None]
    whole_axis = axis_ops.contraction if len(factors) == 1 else axis_ops.reduction
    for factor in factors:
        product = factor.collapse([-1], whole_axis)
        parts.append(product._replace(dims=product.dims[:-1]))
    return merge(parts, op.output_shape)


def attention(op: RuleContext) -> Dependence:
    """Each query's result depends on all keys and values."""
    parts = [query.collapse([-1]) for query in op.inputs[:1] if query is not None]
    parts += [other.collapse([-2, -1]) for other in op.inputs[1:3] if other is not None]
    result = merge([part.with_dim(len(part.dims) - 1, ()) for part in parts], op.output_shape)
    is_masked = op.args.get("is_causal") or len(op.shapes) > 3
    return result.as_bound("attention is masked") if is_masked else result
