"""Rules of arithmetic: element by element, over whole axes, matrix products, attention."""

from __future__ import annotations

from inception_lab.analyzers.receptive_field import axis_ops
from inception_lab.analyzers.receptive_field.axis_layout import Geometry, merge, none
from inception_lab.analyzers.receptive_field.rules.context import (
    Dependence,
    Rule,
    RuleContext,
    Shape,
    Unknown,
)


def same(op: RuleContext) -> Dependence:
    """Element by element, the inputs broadcast to the output."""
    found = merge([g for g in op.given if g is not None], op.out)
    for given, shape in zip(op.given, op.shapes, strict=True):
        if given is None:
            found = _of_the_size_of(shape, found)
    return found


def _of_the_size_of(shape: Shape, found: Geometry) -> Geometry:
    """The same, where a tensor of this shape that does not depend on the source fixes the sizes of axes."""
    for dim, size in zip(range(-len(shape), 0), shape, strict=True):
        if size > 1 and len(found.axes_in([len(found.dims) + dim])) == 1:
            found = found.along(dim, axis_ops.fixed, size)
    return found


def first_alone(op: RuleContext) -> Dependence:
    """Element by element of the first input; the others are statistics, weights or shapes."""
    if any(given is not None for given in op.given[1:]):
        return Unknown(f"weights of {op.name} depend on the input")
    return op.given[0]


def reduction(op: RuleContext) -> Dependence:
    """Over the axes named `dim`, all of them where none is."""
    rank, named = len(op.shapes[0]), op.args.get("dim")
    dims = range(rank) if named in (None, ()) else named if isinstance(named, tuple) else (named,)
    gone = {dim % rank for dim in dims}
    found = op.first.collapse(gone)
    if len(op.out) == rank:
        return found
    return found._replace(dims=tuple([dim for d, dim in enumerate(found.dims) if d not in gone]))


def mixing(op: RuleContext) -> Dependence:
    """Each output depends on all positions along `dim`, which stays."""
    dim = op.args.get("dim", -1) % len(op.out)
    return op.first.collapse([dim]).with_dim(dim, none(op.out[dim]))


def matrix_product(left: int, right: int) -> Rule:
    """The rows of one matrix times the columns of another; the axis between them is summed over."""

    def rule(op: RuleContext) -> Dependence:
        a, b = op.given[left], op.given[right]
        whole = axis_ops.contracted if a is None or b is None else axis_ops.collapsed
        parts = [a.collapse([-1], whole)] if a is not None else []
        parts += [b.collapse([-2], whole)] if b is not None else []
        parts += [added for added in op.given[:left] if added is not None]
        found = merge(parts, op.out)
        return found._replace(uneven=False) if len(op.out) == 2 else found

    return rule


def matrix_vector(op: RuleContext) -> Dependence:
    """The last two inputs are the matrix and the vector; what stands before them is added."""
    parts = [added for added in op.given[:-2] if added is not None]
    factors = [factor for factor in op.given[-2:] if factor is not None]
    whole = axis_ops.contracted if len(factors) == 1 else axis_ops.collapsed
    parts += [factor.collapse([-1], whole)._replace(dims=factor.dims[:-1]) for factor in factors]
    return merge(parts, op.out)


def attention(op: RuleContext) -> Dependence:
    """Each query's result depends on all keys and values."""
    parts = [g.collapse([-1]) for g in op.given[:1] if g is not None]
    parts += [g.collapse([-2, -1]) for g in op.given[1:3] if g is not None]
    found = merge([p.with_dim(len(p.dims) - 1, ()) for p in parts], op.out)
    masked = op.args.get("is_causal") or len(op.shapes) > 3
    return found.as_bound("attention is masked") if masked else found


def running(op: RuleContext) -> Dependence:
    """Each output depends on the positions along `dim` up to its own; all of them are the bound."""
    found = mixing(op)
    return found.as_bound("a running sum sees what is before it") if isinstance(found, Geometry) else found
