"""The projective field: the units of a layer that a source pixel can reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.axes import call_of, source_of
from inception_lab.analyzers.receptive_field.cells import nothing_of
from inception_lab.analyzers.receptive_field.elements import Elements
from inception_lab.analyzers.receptive_field.field import fields
from inception_lab.analyzers.receptive_field.joining import as_one
from inception_lab.analyzers.receptive_field.propagation import dependence_of
from inception_lab.analyzers.receptive_field.rules.context import Dependence, Unknown
from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Trace


@checked
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
    reached = _reached(trace, layer, source, [slice(p, p + 1) for p in pixel])
    if reached.any():
        return tuple([_ends(along) for along in np.nonzero(reached)])
    # a pixel that reaches nothing may lie in a line that does, along the other axes
    lines = [
        [slice(p, p + 1) if k == axis else slice(None) for k, p in enumerate(pixel)]
        for axis in range(len(pixel))
    ]
    along = [np.nonzero(_reached(trace, layer, source, line)) for line in lines]
    spans = [_ends(places[axis]) if axis < len(places) else None for axis, places in enumerate(along)]
    return (None,) * len(spans) if all(spans) else tuple(spans)


def _ends(places: NDArray[np.int64]) -> tuple[int, int] | None:
    return (int(places.min()), int(places.max())) if len(places) else None


def _reached(trace: Trace, layer: str, source: str, pixels: Sequence[slice]) -> NDArray[np.bool_]:
    """True for units of a layer that a box of pixels reaches, a dimension for each of its grid."""
    value, axes = source_of(trace, source)
    outputs = call_of(trace, layer).outputs
    start = Elements.reach(trace.values[value].shape, axes, pixels)
    reached = dependence_of(trace, outputs[0], value, start) if outputs else None
    layout = fields(trace, source).layout(outputs[0]) if outputs else None
    if layout is None or not isinstance(reached, Elements):
        raise _not_known(trace, layer, reached)
    units = layout.units(reached)
    (cells,) = as_one(units.parts, units.shape).cells
    # whatever differs along no dimension is reached everywhere along it
    data = cells.over(list(range(len(units.shape))), units.shape)
    return np.asarray(data[..., 0] != nothing_of(cells.data))


def _not_known(trace: Trace, layer: str, dependence: Dependence) -> InceptionLabError:
    reason = dependence.reason if isinstance(dependence, Unknown) else "it does not depend on the source"
    return InceptionLabError(
        f"what {layer} sees is not known: {reason}",
        where=trace.context.model,
        hint="name a layer that receptive_field gives a field",
    )
