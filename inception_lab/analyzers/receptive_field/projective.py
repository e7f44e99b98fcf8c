"""The projective field: which units of a layer a source pixel can reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inception_lab.analyzers.receptive_field.axis_layout import Geometry
from inception_lab.analyzers.receptive_field.axis_maps import Support
from inception_lab.analyzers.receptive_field.field import output_of, source_of
from inception_lab.analyzers.receptive_field.propagation import propagate
from inception_lab.errors import InceptionLabError
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
    outputs = output_of(trace, layer).outputs
    found = propagate(trace, value, axes, Support.identity).get(outputs[0]) if outputs else None
    if not isinstance(found, Geometry):
        why = found.why if found is not None else "it does not depend on the source"
        raise InceptionLabError(f"what {layer} sees is not known: {why}", where=trace.context.model)
    return tuple([_reached(m, place) for m, place in zip(found.maps, pixel, strict=True)])


def _reached(support: object, place: int) -> tuple[int, int] | None:
    assert isinstance(support, Support)
    units = np.flatnonzero(support.sees[:, place])
    return (int(units[0]), int(units[-1])) if len(units) else None
