"""The field of a layer's output: the part of the input, or of another layer's output, that its units see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from inception_lab.analyzers.receptive_field.axes import call_of, source_of
from inception_lab.analyzers.receptive_field.axis_field import AxisField, Span
from inception_lab.analyzers.receptive_field.axis_layout import Geometry
from inception_lab.analyzers.receptive_field.axis_maps import Interiors
from inception_lab.analyzers.receptive_field.cells import Cells, Shape
from inception_lab.analyzers.receptive_field.elements import Elements
from inception_lab.analyzers.receptive_field.global_context import layers_between, ways_of
from inception_lab.analyzers.receptive_field.numbers import Followed, numbers_of
from inception_lab.analyzers.receptive_field.propagation import geometry_of, propagate
from inception_lab.analyzers.receptive_field.rules.context import Dependence, Unknown
from inception_lab.analyzers.receptive_field.units import Layout, extents_of, layout_of
from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Call, Trace

Status = Literal["exact", "misaligned", "bound", "unknown"]
Number = int | float

EVERYTHING = "sees everything"
"""The reason of a field that is the whole source along an axis, and so has no stride."""


@dataclass(frozen=True)
class Field:
    """The part of the source that the units of one value see, axis by axis.

    Attributes:
        status: `exact`; `misaligned` where branches of unequal strides or shifted centres have met, so
            that no one number describes it, though the extents are exact; `bound` where the extents may
            be too large; `unknown`.
        reason: Why it is not exact, or that it sees everything.
        receptive_field: Source pixels from the first to the last that an inner unit sees on local paths.
        stride: Source pixels between the fields of neighbours.
        padding: Pixels by which the first unit's field begins before the first pixel.
        global_context: Layers through which a unit also sees all of an axis, beside its local paths.
        grid: Units along each axis; along each dimension that holds places, where one holds several axes.
        axes: The extents along each axis, and its numbers.
        spatial: True where each axis is a dimension of its own with several units, none of which has a
            field that is everything; not so after flattening.

    Example:
        >>> import inception_lab as il, torch
        >>> trace = il.trace(torch.nn.MaxPool2d(3, stride=2, padding=1), (1, 1, 8, 8))
        >>> field = field_of(trace, "(model)")
        >>> field.status, field.receptive_field, field.stride, field.padding, field.grid
        ('exact', (3, 3), (2, 2), (1, 1), (4, 4))
    """

    status: Status
    reason: str
    receptive_field: tuple[int, ...] | None
    stride: tuple[Number, ...] | None
    padding: tuple[Number, ...] | None
    grid: tuple[int, ...] = ()
    axes: tuple[AxisField, ...] = field(default=(), repr=False, compare=False)
    spatial: bool = False
    global_context: tuple[str, ...] = ()

    @property
    def widest(self) -> tuple[int, ...] | None:
        """Pixels from the first to the last of an inner unit, over branches of different centres too.

        None where strides differ, and where units see everything.
        """
        interiors = [axis.interior for axis in self.axes if axis.interior]
        is_complete = len(interiors) == len(self.axes) > 0
        return tuple([interior.field for interior in interiors]) if is_complete else None

    def extent(self, unit: Sequence[int]) -> tuple[Span, ...]:
        """First and last source pixel that a unit sees along each axis, exact at the borders too.

        Args:
            unit: Its position in the grid.

        Returns:
            A pair per axis; (0, -1) where the unit sees nothing but padding.

        Raises:
            InceptionLabError: There is no such unit, or its field is not known.
        """
        self._check(unit)
        return tuple([axis.span(unit) for axis in self.axes])

    def local_extent(self, unit: Sequence[int]) -> tuple[Span, ...]:
        """First and last source pixel that a unit sees along each axis without what it sees of all of it.

        That is by paths on which no layer has reduced over the whole axis; all paths where there are no
        others.

        Args:
            unit: Its position in the grid.

        Returns:
            A pair per axis; (0, -1) where the unit sees nothing but padding.

        Raises:
            InceptionLabError: There is no such unit, or its field is not known.

        Example:
            >>> import inception_lab as il, torch
            >>> net = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, padding=1), torch.nn.GroupNorm(2, 4))
            >>> field = field_of(il.trace(net, (1, 4, 8, 8)), "1")
            >>> field.local_extent((4, 0)), field.extent((4, 0)), field.global_context
            (((3, 5), (0, 1)), ((0, 7), (0, 7)), ('1',))
        """
        self._check(unit)
        return tuple([axis.local_span(unit) for axis in self.axes])

    def _check(self, unit: Sequence[int]) -> None:
        if len(unit) != len(self.grid) or not self.axes:
            raise InceptionLabError(f"unit {tuple(unit)} is none of {self.grid}", hint=self.reason)
        if any(not 0 <= place < n for place, n in zip(unit, self.grid, strict=True)):
            raise InceptionLabError(f"unit {tuple(unit)} is none of {self.grid}", hint="count from 0")

    def centre(self, unit: Sequence[int]) -> tuple[float, ...]:
        """The middle of a unit's local field in source pixels; beyond the edge where most of the field is.

        Raises:
            InceptionLabError: There is no such unit, or its field is not known.
        """
        spans = self.local_extent(unit)
        by_place = len(self.grid) == len(self.axes)
        return tuple(
            float(axis.interior.centre(unit[k])) if axis.interior and by_place else (first + last) / 2
            for k, (axis, (first, last)) in enumerate(zip(self.axes, spans, strict=True))
        )

    @property
    def middle(self) -> tuple[int, ...]:
        """The centre unit."""
        return tuple(n // 2 for n in self.grid)


INDEPENDENT = Field("unknown", "it does not depend on the first input", None, None, None)
"""The field of what does not depend on the source."""


@once_per_trace
def fields(trace: Trace, source: str = "") -> Fields:
    """The field of every value of the forward pass that depends on the source.

    Args:
        trace: Of any mode.
        source: Path of the layer from whose output on fields are computed; empty for the input.

    Returns:
        By value id.

    Raises:
        InceptionLabError: There is no such layer, or neither it nor the input has spatial axes.
    """
    return Fields(trace, *source_of(trace, source))


class Fields(Mapping[int, Field]):
    """Fields by value id, each described when it is first asked for."""

    def __init__(self, trace: Trace, source: int, axes: Sequence[int]) -> None:
        shape = trace.values[source].shape
        elements = propagate(trace, source, Elements.identity(shape, axes))
        # not the trace itself, which its own fields would keep alive for ever
        self._calls, self._axes, self._size = trace.calls, axes, tuple([shape[d] for d in axes])
        self._elements = {value: each for value, each in elements.items() if each is not None}
        self._numbers = propagate(trace, source, geometry_of(shape, axes, Interiors.identity))
        self._fields: dict[int, Field] = {}
        self._described: dict[tuple[int, int], Field] = {}

    def __getitem__(self, value: int) -> Field:
        if value not in self._fields:
            self._fields[value] = self._field(self._elements[value], self._numbers.get(value))
        return self._fields[value]

    def _field(self, elements: Dependence, geometry: Dependence) -> Field:
        if not isinstance(elements, Elements):
            return (
                replace(INDEPENDENT, reason=elements.reason) if isinstance(elements, Unknown) else INDEPENDENT
            )
        # element-wise operations hand on both
        key = id(elements), id(geometry)
        if key not in self._described:
            units = layout_of(elements, geometry, self._axes).units(elements)
            self._described[key] = _describe(self._calls, units, geometry, self._size)
        return self._described[key]

    def layout(self, value: int) -> Layout | None:
        """The places of the units of a value among its dimensions; None where its field is not known."""
        elements = self._elements.get(value)
        if not isinstance(elements, Elements):
            return None
        return layout_of(elements, self._numbers.get(value), self._axes)

    def __contains__(self, value: object) -> bool:
        return value in self._elements

    def __iter__(self) -> Iterator[int]:
        return iter(self._elements)

    def __len__(self) -> int:
        return len(self._elements)


@checked
def field_of(trace: Trace, layer: str, source: str = "") -> Field:
    """The field of a layer's output.

    Args:
        trace: Of any mode.
        layer: Its path, as in the tables.
        source: Layer from whose output on the field is computed; empty for the input.

    Raises:
        InceptionLabError: There is no such layer, or the source has no spatial axes.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> field = field_of(trace, "pool3")
        >>> field.receptive_field, field.extent((0, 13)), field.centre((0, 0))
        ((107, 107), ((0, 67), (169, 223)), (14.0, 14.0))
        >>> field_of(trace, "inception3b", source="inception3a").receptive_field
        (5, 5)
    """
    outputs = call_of(trace, layer).outputs
    return fields(trace, source).get(outputs[0], INDEPENDENT) if outputs else INDEPENDENT


# ------------------------------------------------------------------------------ from dependences


def _describe(calls: Sequence[Call], units: Elements, geometry: Dependence, size: tuple[int, ...]) -> Field:
    """The field of a value by what its units depend on, and by the numbers of its local paths."""
    has_grid = len(units.shape) == len(size)
    followed = Followed.of_units(geometry) if has_grid and isinstance(geometry, Geometry) else None
    described = (_field_of_small if units.is_small else _field_of)(units, followed, size)
    ways = ways_of(units)
    return replace(described, global_context=layers_between(calls, ways)) if ways else described


def _field_of(units: Elements, followed: Followed | None, size: tuple[int, ...]) -> Field:
    """The same but for the layers by which a unit sees all of an axis, which are those of one trace."""
    spans, local_spans = extents_of(units)
    grid = units.shape if len(units.shape) == len(size) else None
    axes = _axes(followed, spans, local_spans, grid, size)
    local = all(along is not None for along in local_spans)
    described = Field(
        status="exact",
        reason="",
        receptive_field=tuple([axis.widest for axis in axes]),
        stride=None,
        padding=None,
        grid=units.shape,
        axes=axes,
        spatial=grid is not None and local and all(n > 1 for n in grid),
    )
    if units.bound_reason:
        return replace(described, status="bound", reason=units.bound_reason)
    # one unit stands for all along such an axis, so that a stride would say nothing
    return _with_numbers(described) if local else replace(described, reason=EVERYTHING)


_field_of_small = lru_cache(4096)(_field_of)
"""Nets share the spans of their units, however many channels each of them has."""


def _axes(
    followed: Followed | None,
    spans: Sequence[Cells],
    local: Sequence[Cells | None],
    grid: Shape | None,
    size: tuple[int, ...],
) -> tuple[AxisField, ...]:
    """The fields along each axis, with their numbers where its units are a dimension of the grid."""
    if grid is None:
        return tuple([AxisField(*ends, None, None, 1) for ends in zip(spans, local, strict=True)])
    axes: list[AxisField] = []
    for axis, n in enumerate(size):
        along = AxisField(spans[axis], local[axis], None, axis, grid[axis])
        like = next((k for k, other in enumerate(axes) if other.is_like(along) and size[k] == n), None)
        numbers = followed.maps[axis] if followed is not None else None
        if like is not None and (followed is None or followed.maps[like] == numbers):
            along = along._replace(interior=axes[like].interior)
        elif along.local_spans is not None:
            along = along._replace(interior=numbers_of(followed, along, n))
        axes.append(along)
    return tuple(axes)


def _with_numbers(field: Field) -> Field:
    """A field with its three numbers, where such numbers hold along every axis."""
    numbers = [axis.interior for axis in field.axes if axis.interior]
    if len(numbers) < len(field.axes):
        reason = "positions are unevenly spaced"
        return replace(field, status="misaligned", reason=reason, receptive_field=None)
    if not all(interior.is_aligned for interior in numbers):
        reason = "branches of different centres meet"
        return replace(field, status="misaligned", reason=reason, receptive_field=None)
    return replace(
        field,
        receptive_field=tuple([interior.field for interior in numbers]),
        stride=tuple([_number(interior.stride) for interior in numbers]),
        padding=tuple([_number(interior.padding) for interior in numbers]),
    )


def _number(value: Fraction) -> Number:
    return int(value) if value.denominator == 1 else float(value)
