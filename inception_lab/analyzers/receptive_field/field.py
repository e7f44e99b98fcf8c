"""The field of a layer's output: the part of the input, or of another layer's output, that its units see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from inception_lab.analyzers.receptive_field.axes import call_of, source_of
from inception_lab.analyzers.receptive_field.axis_layout import Geometry
from inception_lab.analyzers.receptive_field.axis_maps import Extents
from inception_lab.analyzers.receptive_field.propagation import propagate
from inception_lab.analyzers.receptive_field.rules.context import Unknown
from inception_lab.errors import InceptionLabError
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Trace

Status = Literal["exact", "misaligned", "bound", "unknown"]
Number = int | float


@dataclass(frozen=True)
class Field:
    """The part of the source that the units of one value see, axis by axis.

    Attributes:
        status: `exact`; `misaligned` where branches of unequal strides or shifted centres have met, so
            that no one number describes it, though the extents are exact; `bound` where the extents may
            be too large; `unknown`.
        reason: Why it is not exact, or that it sees everything.
        receptive_field: Source pixels from the first to the last that an inner unit sees.
        stride: Source pixels between the fields of neighbours.
        padding: Pixels by which the first unit's field begins before the first pixel.
        axes: The map of each axis.
        spatial: True where each axis is a dimension of its own with several units, none of which sees
            everything; not so after flattening.

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
    axes: tuple[Extents, ...] = field(repr=False, compare=False)
    spatial: bool = False

    @property
    def grid(self) -> tuple[int, ...]:
        """Units along each axis."""
        return tuple(map(len, self.axes))

    @property
    def widest(self) -> tuple[int, ...] | None:
        """Pixels from the first to the last of an inner unit, over branches of different centres too.

        None where strides differ, and where units see everything.
        """
        interiors = [axis.interior for axis in self.axes if axis.interior]
        is_complete = len(interiors) == len(self.axes) > 0
        return tuple([interior.field for interior in interiors]) if is_complete else None

    def extent(self, unit: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """First and last source pixel that a unit sees along each axis, exact at the borders too.

        Args:
            unit: Its position along each axis.

        Returns:
            A pair per axis; (0, -1) where the unit sees nothing but padding.

        Raises:
            InceptionLabError: There is no such unit, or its field is not known.
        """
        if len(unit) != len(self.axes) or not self.axes:
            raise InceptionLabError(f"unit {tuple(unit)} is none of {self.grid}", hint=self.reason)
        if any(not 0 <= place < n for place, n in zip(unit, self.grid, strict=True)):
            raise InceptionLabError(f"unit {tuple(unit)} is none of {self.grid}", hint="count from 0")
        spans = [
            (int(axis.first[place]), int(axis.last[place]))
            for axis, place in zip(self.axes, unit, strict=True)
        ]
        return tuple([(first, last) if first <= last else NOTHING for first, last in spans])

    def centre(self, unit: Sequence[int]) -> tuple[float, ...]:
        """The middle of a unit's field in source pixels; beyond the edge where most of the field is.

        Raises:
            InceptionLabError: There is no such unit, or its field is not known.
        """
        return tuple(
            float(axis.interior.centre(place)) if axis.interior else (first + last) / 2
            for axis, place, (first, last) in zip(self.axes, unit, self.extent(unit), strict=True)
        )

    @property
    def middle(self) -> tuple[int, ...]:
        """The centre unit."""
        return tuple(n // 2 for n in self.grid)


NOTHING = (0, -1)
"""The span of a unit that sees nothing but padding."""

INDEPENDENT = Field("unknown", "it does not depend on the first input", None, None, None, ())
"""The field of what does not depend on the source."""


@once_per_trace
def fields(trace: Trace, source: str = "") -> Mapping[int, Field]:
    """The field of every value of the forward pass that depends on the source.

    Args:
        trace: Of any mode.
        source: Path of the layer from whose output on fields are computed; empty for the input.

    Returns:
        By value id.

    Raises:
        InceptionLabError: There is no such layer, or neither it nor the input has spatial axes.
    """
    value, axes = source_of(trace, source)
    size = tuple([trace.values[value].shape[dim] for dim in axes])
    dependences = propagate(trace, value, axes, Extents.identity)
    return _Fields({value: d for value, d in dependences.items() if d is not None}, size)


class _Fields(Mapping[int, Field]):
    """Fields by value id, each described when it is first asked for."""

    def __init__(self, dependences: Mapping[int, Geometry | Unknown], size: tuple[int, ...]) -> None:
        self._dependences, self._size = dependences, size
        self._fields: dict[int, Field] = {}

    def __getitem__(self, value: int) -> Field:
        if value not in self._fields:
            self._fields[value] = _describe(self._dependences[value], self._size)
        return self._fields[value]

    def __contains__(self, value: object) -> bool:
        return value in self._dependences

    def __iter__(self) -> Iterator[int]:
        return iter(self._dependences)

    def __len__(self) -> int:
        return len(self._dependences)


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


# ------------------------------------------------------------------------------ from a geometry


def _describe(dependence: Geometry | Unknown, size: tuple[int, ...]) -> Field:
    if isinstance(dependence, Unknown):
        return Field("unknown", dependence.reason, None, None, None, ())
    # positions that a view wrote among the channels belong to the unit that holds those channels
    geometry = dependence.per_position()
    axes = tuple([m for m in geometry.maps if isinstance(m, Extents)])
    if geometry.bound_reason:
        return Field("bound", geometry.bound_reason, _spans(axes), None, None, axes)
    # one unit stands for all along such an axis, so that a stride would say nothing
    if any(axis.everything for axis in axes):
        return Field("exact", "sees everything", _spans(axes), None, None, axes)
    spatial = all(geometry.is_whole(axis) for axis in range(len(axes)))
    return _with_numbers(axes, size, spatial)


def _with_numbers(axes: tuple[Extents, ...], size: tuple[int, ...], spatial: bool) -> Field:
    """A field with its three numbers, where such numbers hold along every axis."""
    interiors = [axis.exact_interior(n) for axis, n in zip(axes, size, strict=True)]
    numbers = [interior for interior in interiors if interior]
    if len(numbers) < len(axes):
        return Field("misaligned", "positions are unevenly spaced", None, None, None, axes, spatial)
    if not all(interior.is_aligned for interior in numbers):
        return Field("misaligned", "branches of different centres meet", None, None, None, axes, spatial)
    return Field(
        "exact",
        "",
        tuple([interior.field for interior in numbers]),
        tuple([_number(interior.stride) for interior in numbers]),
        tuple([_number(interior.padding) for interior in numbers]),
        axes,
        spatial,
    )


def _spans(axes: Sequence[Extents]) -> tuple[int, ...]:
    """The field along each axis, where no one stride goes with it."""
    return tuple([axis.interior.field if axis.interior else _span(axis) for axis in axes])


def _span(axis: Extents) -> int:
    """The pixels between the first and the last that any unit sees."""
    return int(axis.last.max() - axis.first.min()) + 1


def _number(value: Fraction) -> Number:
    return int(value) if value.denominator == 1 else float(value)
