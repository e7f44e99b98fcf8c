"""The fit of a net to a resolution: its smallest input, and its fields beside the size of the input."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from inception_lab.analyzers.receptive_field.axes import source_of
from inception_lab.analyzers.receptive_field.axis_layout import Geometry
from inception_lab.analyzers.receptive_field.field import Field, fields
from inception_lab.analyzers.receptive_field.propagation import geometry_of, propagate
from inception_lab.analyzers.receptive_field.sizes import Sizes
from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.structure import layer_calls, layer_name
from inception_lab.ir.trace import Trace


@dataclass(frozen=True)
class ResolutionFit:
    """The fit of a net to the input that it was traced with.

    Attributes:
        input_size: Of the input along its spatial axes.
        smallest_input: The smallest that the net takes, up to the size traced, by its geometry alone.
        exceeding: Layers whose field on local paths is larger than the input along some axis, as they end.
        last_layer: The last layer with several units along every axis that do not see everything, or None.
        seen_by_centre: Share of the input within the field of that layer's centre unit, on local paths.
        axes: The dimensions of the input that are its spatial axes.
        input_shape: Of the whole input.
        global_context: Layers through which that unit also sees all of an axis.
    """

    input_size: tuple[int, ...]
    smallest_input: tuple[int, ...]
    exceeding: tuple[str, ...]
    last_layer: str | None
    seen_by_centre: float | None
    axes: tuple[int, ...] = ()
    input_shape: tuple[int, ...] = ()
    global_context: tuple[str, ...] = ()


@checked
def resolution_fit(trace: Trace) -> ResolutionFit:
    """Compare a net's fields with the resolution that it was traced at.

    Args:
        trace: Of any mode.

    Raises:
        InceptionLabError: The input has no spatial axes.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> fit = resolution_fit(trace)
        >>> fit.smallest_input, fit.exceeding[0], fit.seen_by_centre
        ((31, 31), 'inception4b.branch3.conv5x5.conv', 1.0)
    """
    value, axes = source_of(trace)
    shape = trace.values[value].shape
    size = tuple([shape[d] for d in axes])
    layers = _fields_in_order(trace)
    spatial = [(name, field) for name, field in layers if field.spatial]
    last_layer, last_field = spatial[-1] if spatial else (None, None)
    return ResolutionFit(
        input_size=size,
        smallest_input=smallest_by_geometry(trace),
        exceeding=tuple([name for name, field in layers if _exceeds(field, size)]),
        last_layer=last_layer,
        seen_by_centre=_share(last_field, size) if last_field else None,
        axes=axes,
        input_shape=shape,
        global_context=last_field.global_context if last_field else (),
    )


def _fields_in_order(trace: Trace) -> list[tuple[str, Field]]:
    """Each layer call and its field, in the order in which they end."""
    by_value = fields(trace)
    calls = [call for call in layer_calls(trace) if call.outputs and call.outputs[0] in by_value]
    calls.sort(key=lambda call: trace.values[call.outputs[0]].op or 0)
    return [(layer_name(call), by_value[call.outputs[0]]) for call in calls]


@once_per_trace
def smallest_by_geometry(trace: Trace) -> tuple[int, ...]:
    """The smallest size along each spatial axis that every operation of the trace can take.

    Sizes above the one traced are not tried. What a model checks by itself, or what depends on data, is
    not known here.

    Raises:
        InceptionLabError: The input has no spatial axes.
    """
    source, axes = source_of(trace)
    dependences = propagate(
        trace, source, geometry_of(trace.values[source].shape, axes, Sizes.up_to)
    ).values()
    smallest = []
    for axis in range(len(axes)):
        maps = [dependence.maps[axis] for dependence in dependences if isinstance(dependence, Geometry)]
        fits = reduce(np.logical_and, [m.fits for m in maps if isinstance(m, Sizes)])
        if not fits.any():
            raise InceptionLabError(
                "the trace contradicts itself: its operations refuse the size that it was traced at",
                where=trace.context.model,
                hint="trace the model again",
            )
        # the first candidate is a size of 1
        smallest.append(int(np.flatnonzero(fits)[0]) + 1)
    return tuple(smallest)


def _exceeds(field: Field, size: tuple[int, ...]) -> bool:
    return field.widest is not None and any(r > n for r, n in zip(field.widest, size, strict=True))


def _share(field: Field, size: tuple[int, ...]) -> float:
    """Share of the source within the field of the centre unit, on local paths."""
    extent = field.local_extent(field.middle)
    return float(np.prod([(last - first + 1) / n for (first, last), n in zip(extent, size, strict=True)]))
