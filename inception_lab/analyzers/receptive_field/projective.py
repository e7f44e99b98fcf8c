"""The projective field: the units of a layer that a source pixel can reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inception_lab.analyzers.receptive_field.axes import call_of, source_of
from inception_lab.analyzers.receptive_field.axis_layout import Geometry
from inception_lab.analyzers.receptive_field.axis_maps import Support
from inception_lab.analyzers.receptive_field.propagation import propagate
from inception_lab.errors import InceptionLabError
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Trace


def projective_field(
    trace: Trace, pixel: Sequence[int], layer: str, source: str = ""
) -> tuple[tuple[int, int] | None, ...]:
    """The first and the last unit of a layer that a source pixel reaches, along each axis.

    Args:
        trace: Of any mode.
        pixel: Position along each spatial axis of the source.
        layer: The layer whose units are asked for.
        source: Layer whose output the pixel is part of; empty for the input.

    Returns:
        A pair per axis, None along an axis where it reaches no unit.

    Raises:
        InceptionLabError: There is no such layer or pixel, or what the layer sees is not known.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> projective_field(trace, (112, 112), "conv1.conv")
        ((55, 57), (55, 57))
    """
    value, axes = source_of(trace, source)
    shape = tuple([trace.values[value].shape[d] for d in axes])
    if len(pixel) != len(shape) or any(not 0 <= p < n for p, n in zip(pixel, shape, strict=True)):
        raise InceptionLabError(f"pixel {tuple(pixel)} is none of {shape}", hint="count from 0")
    supports = _supports(trace, layer, source)
    return tuple([_reached_units(support, place) for support, place in zip(supports, pixel, strict=True)])


@once_per_trace
def _supports(trace: Trace, layer: str, source: str) -> tuple[Support, ...]:
    """The pixels that each unit of a layer sees, along each axis.

    Those of one layer are kept, not those of all values: a table of units x pixels each would add up.
    """
    value, axes = source_of(trace, source)
    outputs = call_of(trace, layer).outputs
    dependence = propagate(trace, value, axes, Support.identity).get(outputs[0]) if outputs else None
    if not isinstance(dependence, Geometry):
        reason = dependence.reason if dependence is not None else "it does not depend on the source"
        raise InceptionLabError(
            f"what {layer} sees is not known: {reason}",
            where=trace.context.model,
            hint="name a layer that receptive_field gives a field",
        )
    return tuple([support for support in dependence.maps if isinstance(support, Support)])


def _reached_units(support: Support, place: int) -> tuple[int, int] | None:
    # the inverse of a field: a column of the table; strides and dilation may leave holes between its ends
    units = np.flatnonzero(support.pixels[:, place])
    return (int(units[0]), int(units[-1])) if len(units) else None
