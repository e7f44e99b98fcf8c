"""The units of a value: its elements in the order of the source's axes, channels apart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

from inception_lab.analyzers.receptive_field.axis_layout import Geometry
from inception_lab.analyzers.receptive_field.cells import Cells, Shape
from inception_lab.analyzers.receptive_field.digits import NO_AXIS, Dim, Factor, shape_of
from inception_lab.analyzers.receptive_field.elements import Elements
from inception_lab.analyzers.receptive_field.joining import as_one
from inception_lab.analyzers.receptive_field.parts import CHANNELS


class Layout(NamedTuple):
    """The places of units among the dimensions of a value.

    Attributes:
        sizes: The shape in which each digit of a dimension is one of its own.
        digits: Those that make up the grid, in its order; the others hold channels.
        grid: Units along each of its dimensions.
    """

    sizes: tuple[int, ...]
    digits: tuple[int, ...]
    grid: tuple[int, ...]

    def units(self, elements: Elements) -> Elements:
        """The dependence of units, each of which sees what any of its channels sees."""
        plain = [d for d, n in enumerate(elements.shape) if n != 1]
        if [elements.shape[d] for d in plain] == list(self.sizes):
            # each digit is a dimension
            dims = [plain[k] for k in self.digits]
            return (
                elements.collapse(set(range(len(elements.shape))) - set(dims)).only(dims).reshape(self.grid)
            )
        channels = [d for d in range(len(self.sizes)) if d not in self.digits]
        arranged = elements.reshape(self.sizes).collapse(channels).permute([*self.digits, *channels])
        return arranged.drop(range(len(self.digits), len(self.sizes))).reshape(self.grid)


def layout_of(elements: Elements, geometry: object, axes: Sequence[int]) -> Layout:
    """The units of a value: a dimension of the grid for each axis of the source where it has such.

    Args:
        elements: Of the value.
        geometry: The places of the source's axes among its dimensions, where they are known.
        axes: The dimensions of the source that are followed.
    """
    parts = tuple([PartOutline(part.places, tuple([c.dims for c in part.cells])) for part in elements.parts])
    dims = geometry.dims if isinstance(geometry, Geometry) else None
    return _layout(Outline(elements.shape, parts), dims, tuple(axes))


class PartOutline(NamedTuple):
    """The dimensions of one part.

    Attributes:
        places: Those that hold places of each axis.
        differing: Those along which each axis differs.
    """

    places: tuple[frozenset[int], ...]
    differing: tuple[tuple[int, ...], ...]


class Outline(NamedTuple):
    """All of a dependence that its layout goes by: which dimensions tell elements apart, not what they see.

    Attributes:
        shape: Of the value.
        parts: Of the dependence.
    """

    shape: Shape
    parts: tuple[PartOutline, ...]


@lru_cache(4096)
def _layout(elements: Outline, dims: tuple[Dim, ...] | None, axes: tuple[int, ...]) -> Layout:
    by_axes = _by_axes(elements, dims, axes) if dims is not None else None
    if by_axes is not None:
        return by_axes
    places = tuple(_place_dims(elements, axes))
    return Layout(elements.shape, places, tuple([elements.shape[d] for d in places]))


def _by_axes(elements: Outline, dims: tuple[Dim, ...], axes: Sequence[int]) -> Layout | None:
    """A grid of the source's axes; None where their places are not known."""
    if shape_of(dims) != elements.shape:
        return None
    digits = [(d, f) for d, dim in enumerate(dims) for f in dim]
    rows = [_digits_of(axis, digits) for axis in range(len(axes))]
    for axis, row in enumerate(rows):
        places = {d for part in elements.parts for d in part.places[axis]}
        if places and places.isdisjoint(digits[k][0] for k in row):
            rows[axis] = row = []  # an axis of one position was told of some dimension of size 1
        if _is_among_channels(elements, axis, row, digits) and _is_free(elements, axes[axis]):
            rows[axis] = [k for k, (d, _) in enumerate(digits) if d == axes[axis]]
        elif not _places_beside_channels(elements, axis) <= {digits[k][0] for k in row}:
            return None
    if tuple(axes) == tuple(range(CHANNELS + 1, len(elements.shape))):
        if all(elements.shape[d] == 1 for d in axes):
            # one unit, which holds all channels and what a view wrote among them
            rows = [[] for _ in axes]
        rows = _with_other_dims(rows, digits, axes)
    grid = [prod(digits[k][1].size for k in row) for row in rows]
    return Layout(tuple([f.size for _, f in digits]), tuple([k for row in rows for k in row]), tuple(grid))


def _is_among_channels(
    elements: Outline, axis: int, row: Sequence[int], digits: Sequence[tuple[int, Factor]]
) -> bool:
    """True where all that is left of an axis is what a view wrote among the channels."""
    if not row:
        return _places_beside_channels(elements, axis) == {CHANNELS}
    others = [k for k, (d, f) in enumerate(digits) if d == CHANNELS and f.size > 1 and k not in row]
    return bool(others) and all(digits[k][0] == CHANNELS for k in row)


def _is_free(elements: Outline, dim: int) -> bool:
    """True where a dimension behind that of channels holds no places of an axis along which it differs."""
    places = (
        d
        for part in elements.parts
        for along, dims in zip(part.differing, part.places, strict=True)
        for d in dims & set(along)
    )
    return CHANNELS < dim < len(elements.shape) and dim not in places


def _with_other_dims(
    rows: Sequence[list[int]], digits: Sequence[tuple[int, Factor]], dims: Sequence[int]
) -> list[list[int]]:
    """Axes that nothing tells apart any more have the dimensions that the others leave, in order."""
    used = {digits[k][0] for row in rows for k in row}
    free = iter([[k for k, (d, _) in enumerate(digits) if d == dim] for dim in dims if dim not in used])
    return [row or next(free, []) for row in rows]


def _digits_of(axis: int, digits: Sequence[tuple[int, Factor]]) -> list[int]:
    """The digits that make up the units along an axis, slowest first."""
    # an axis of one position may be told of any dimension of size 1
    own = [k for k, (_, f) in enumerate(digits) if f.axis == axis and f.size > 1]
    # positions that a view wrote among the channels belong to the unit that holds those channels
    dims = _beside_channels({digits[k][0] for k in own})
    if len(dims) == 1:
        (dim,) = dims
        row = [k for k, (d, _) in enumerate(digits) if d == dim]
        # copies that share a dimension with the axis alone are units of it
        if all(digits[k][1].axis in (axis, NO_AXIS) for k in row):
            return row
    own = [k for k in own if digits[k][0] in dims]
    return sorted(own, key=lambda k: -digits[k][1].step)


def _places_beside_channels(elements: Outline, axis: int) -> set[int]:
    """The dimensions that hold several places of an axis, channels apart where there are others."""
    dims = {
        # along places that all see the same no other layout would tell more
        d
        for part in elements.parts
        for d in part.places[axis] & set(part.differing[axis])
        if elements.shape[d] > 1
    }
    return _beside_channels(dims)


def _beside_channels(dims: set[int]) -> set[int]:
    """Dimensions without that of channels, in which a view may have written places of those behind it.

    In windows of tokens the first dimension holds windows, the second tokens: there are no channels there.
    """
    return dims - {CHANNELS} if max(dims, default=0) > CHANNELS else dims


def _place_dims(elements: Outline, axes: Sequence[int]) -> list[int]:
    """The dimensions that hold places of some axis, and not those alone that a view wrote among channels."""
    along = [
        {d for part in elements.parts for d in part.places[axis]}
        for axis in range(len(elements.parts[0].places))
    ]
    if len(elements.shape) > CHANNELS + 1:
        along = [_beside_channels(dims) for dims in along]
        # an axis of which all that is left lies among the channels has its own dimension in the source
        along = [
            {own} if dims == {CHANNELS} and _is_free(elements, own) else dims
            for dims, own in zip(along, axes, strict=True)
        ]
    dims = set().union(*along)
    behind_channels = list(range(CHANNELS + 1, len(elements.shape)))
    # in the source's own layout a dimension may hold an axis that nothing tells apart any more
    beside = [n for d, n in enumerate(elements.shape) if d in axes and d not in dims]
    if behind_channels == list(axes) and (dims <= set(axes) or set(beside) <= {1}):
        return behind_channels
    return sorted(dims)


def extents_of(units: Elements) -> tuple[list[Cells], list[Cells | None]]:
    """The spans of units along each axis: of all parts, and of those that are local along it.

    The second is None along an axis where no part is local.
    """
    everything = as_one(units.parts, units.shape)
    local: list[Cells | None] = []
    for axis in range(len(everything.cells)):
        parts = [part for part in units.parts if part.whole[axis] is None]
        if len(parts) == len(units.parts):
            local.append(everything.cells[axis])
        else:
            local.append(as_one(parts, units.shape).cells[axis] if parts else None)
    for cells in (*everything.cells, *filter(None, local)):
        # readers share them
        cells.data.flags.writeable = False
    return list(everything.cells), local
