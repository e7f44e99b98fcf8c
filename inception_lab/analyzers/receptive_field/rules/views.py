"""Rules of what moves elements: views, slices, concatenation, shuffles, look-ups."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from math import prod

import numpy as np

from inception_lab.analyzers.receptive_field import axis_ops
from inception_lab.analyzers.receptive_field.axis_layout import Geometry, Map, merge, none
from inception_lab.analyzers.receptive_field.rules.context import Dependence, RuleContext, Unknown


def unrelated(op: RuleContext) -> None:
    """A tensor of the same kind, whose content is another."""
    del op


def view(op: RuleContext) -> Dependence:
    """The same elements in another shape."""
    return op.first.reshaped(op.out)


def permute(op: RuleContext) -> Dependence:
    """Dimensions in the order named."""
    rank = len(op.out)
    return op.first.permuted([d % rank for d in op.args["dims"]])


def transpose(op: RuleContext) -> Dependence:
    """Two dimensions swapped."""
    order = list(range(len(op.out)))
    one, other = (op.args.get("dim0", 0), op.args.get("dim1", 1)) if order else (0, 0)
    if len(order) > 1:
        order[one], order[other] = order[other], order[one]
    return op.first.permuted(order)


def expand(op: RuleContext) -> Dependence:
    """Dimensions of size 1 repeated."""
    return merge([op.first], op.out)


def select(op: RuleContext) -> Dependence:
    """One position of a dimension, which goes."""
    dim, index = op.args.get("dim", 0) % len(op.shapes[0]), op.args.get("index", 0)
    start = index % op.shapes[0][dim]
    make = partial(axis_ops.sliced, start=start, stop=start + 1, stride=1)
    found = _of_a_part(op.first, dim).along(dim, make, 1)
    return found._replace(dims=found.dims[:dim] + found.dims[dim + 1 :])


def _of_a_part(found: Geometry, dim: int) -> Geometry:
    """What a part of a dimension is taken from; parts of an axis are told apart, others may not be."""
    return found if found.axes_in([dim]) else found.parted()


def cut(op: RuleContext) -> Dependence:
    """A slice of a dimension."""
    dim = op.args.get("dim", 0) % len(op.out)
    size = op.shapes[0][dim]
    start, stop, _ = slice(op.args.get("start"), op.args.get("end")).indices(size)
    step = op.args.get("step", 1)
    if (start, step) == (0, 1) and stop == size:
        return op.first
    make = partial(axis_ops.sliced, start=start, stop=max(stop, start), stride=step)
    return _of_a_part(op.first, dim).along(dim, make, op.out[dim])


def split(op: RuleContext) -> list[Dependence]:
    """Pieces of a dimension."""
    dim = op.args.get("dim", 0) % len(op.shapes[0])
    size = op.shapes[0][dim]
    given = op.args.get("split_size", op.args.get("split_sizes"))
    sizes = list(given) if isinstance(given, tuple) else [min(given, size - s) for s in range(0, size, given)]
    ends, whole = list(accumulate(sizes)), _of_a_part(op.first, dim)
    return [
        whole.along(dim, partial(axis_ops.sliced, start=end - width, stop=end, stride=1), width)
        for width, end in zip(sizes, ends, strict=True)
    ]


def unbind(op: RuleContext) -> list[Dependence]:
    """Every position of a dimension, which goes."""
    dim = op.args.get("dim", 0) % len(op.shapes[0])
    return [select(op._replace(args={"dim": dim, "index": index})) for index in range(op.shapes[0][dim])]


def cat(op: RuleContext) -> Dependence:
    """Values put together along a dimension; along an axis, an upper bound."""
    dim = op.args.get("dim", 0) % len(op.out)
    parts = [(g, s) for g, s in zip(op.given, op.shapes, strict=True) if len(s) == len(op.out)]
    dependent = [g for g, _ in parts if g is not None]
    if not any(g.axes_in([dim]) for g in dependent):
        found = merge([g.with_dim(dim, none(op.out[dim])) for g in dependent], op.out)
        return found._replace(uneven=found.uneven or len(dependent) < len(parts) or not _alike(dependent))
    whole = [g.collapse([dim]).with_dim(dim, none(op.out[dim])) for g in dependent]
    found = merge(whole, op.out)
    return found.as_bound("pieces of an axis are put together")


def stack(op: RuleContext) -> Dependence:
    """Values put together along a new dimension."""
    dim = op.args.get("dim", 0) % len(op.out)
    parts = [g._replace(dims=(*g.dims[:dim], (), *g.dims[dim:])) for g in op.given if g is not None]
    found = merge(parts, op.out)
    if _alike(parts):
        return found
    selected = [[m for m in part.maps if len(m) == 1] for part in parts]
    if _all_cover(selected):
        return found._replace(uneven=True)
    return found.as_bound("selected positions are put together")


def _alike(parts: Sequence[Geometry]) -> bool:
    """Whether all of them see the same."""
    return _all_cover([part.maps for part in parts])


def _all_cover(rows: Sequence[Sequence[Map]]) -> bool:
    """Whether the maps of every row see what those of the first row see."""
    return all(
        len(row) == len(rows[0])
        and all(a.covers(b) and b.covers(a) for a, b in zip(rows[0], row, strict=True))
        for row in rows
    )


def gated(op: RuleContext) -> Dependence:
    """One half of a dimension times a gate made of the other."""
    dim = op.args.get("dim", -1) % len(op.out)
    found = op.first.collapse([dim]).with_dim(dim, none(op.out[dim]))
    return found.as_bound("halves of an axis are multiplied") if op.first.axes_in([dim]) else found


def flip(op: RuleContext) -> Dependence:
    """Dimensions read backwards."""
    found = op.first
    for dim in op.args["dims"]:
        found = found.along(dim, _flipped, op.out[dim])
    return found


def _flipped(size: int) -> axis_ops.AxisOp:
    return axis_ops.picked(np.arange(size)[::-1])


def _rolled(shift: int, size: int) -> axis_ops.AxisOp:
    return axis_ops.picked(np.roll(np.arange(size), shift))


def roll(op: RuleContext) -> Dependence:
    """Dimensions shifted, the end put at the beginning."""
    found, dims = op.first, op.args.get("dims") or ()
    if not dims:
        return Unknown("all axes are rolled as one")
    for shift, dim in zip(op.args["shifts"], dims, strict=True):
        found = found.along(dim, partial(_rolled, shift), op.out[dim])
    return found


def repeat(op: RuleContext) -> Dependence:
    """Copies put together."""
    found = op.first
    found = found._replace(dims=((),) * (len(op.out) - len(found.dims)) + found.dims)
    dims = [none(n // prod(f.size for f in dim)) + dim for n, dim in zip(op.out, found.dims, strict=True)]
    return found._replace(dims=tuple(dims))


def pixel_shuffle(op: RuleContext) -> Dependence:
    """Channels moved into space."""
    *batch, c, h, w = op.shapes[0]
    r = op.args["upscale_factor"]
    k = len(batch)
    found = op.first.reshaped([*batch, c // r**2, r, r, h, w])
    return found.permuted([*range(k), k, k + 3, k + 1, k + 4, k + 2]).reshaped(op.out)


def pixel_unshuffle(op: RuleContext) -> Dependence:
    """Space moved into channels."""
    *batch, c, h, w = op.shapes[0]
    r = op.args["downscale_factor"]
    k = len(batch)
    found = op.first.reshaped([*batch, c, h // r, r, w // r, r])
    return found.permuted([*range(k), k, k + 2, k + 4, k + 1, k + 3]).reshaped(op.out)


def embedding(op: RuleContext) -> Dependence:
    """A vector for each index."""
    weight, index = op.given[:2]
    if weight is not None:
        return Unknown("a table that depends on the input")
    return index and index._replace(dims=(*index.dims, none(op.out[-1])))


def overwrite(op: RuleContext) -> Dependence:
    """What is written over the first input, broadcast to its shape; None where that is a number."""
    source = op.given[1] if len(op.given) > 1 else None
    return source and merge([source], op.out)
