"""Computed fields beside gradients, unit by unit."""

from itertools import product

import inception_lab as il
from inception_lab.analyzers.receptive_field.field import fields
from inception_lab.measure.field_gradients import NOTHING, input_gradients, span
from inception_lab.measure.unit_gradients import Unit


def output_field(net, shape):
    """The field of a net's output."""
    return _with_grid(net, shape)[0]


def _with_grid(net, shape):
    trace = il.trace(net, shape)
    output = trace.calls[0].outputs[0]
    return fields(trace)[output], trace.values[output].shape[2:]


def gradient_spans(net, shape, grid):
    """The span along each axis of every unit of a net's output, by gradient."""
    places = list(product(*map(range, grid)))
    gradients = input_gradients(net, shape, [Unit("(model)", place) for place in places])
    return {p: tuple(span(g, d) for d in range(len(grid))) for p, g in zip(places, gradients, strict=True)}


def differences(net, shape):
    """Units whose computed extent is not what their gradient shows; both, by unit.

    Where a field has one unit along an axis, it stands for all of them.
    """
    (field, grid), wrong = _with_grid(net, shape), {}
    assert all(n in (1, size) for n, size in zip(field.grid, grid, strict=True)), (field.grid, grid)
    for place, spans in gradient_spans(net, shape, grid).items():
        unit = tuple(min(i, n - 1) for i, n in zip(place, field.grid, strict=True))
        extent = tuple((a, b) if a <= b else NOTHING for a, b in field.extent(unit))
        blind = NOTHING in extent, NOTHING in spans
        if blind[0] != blind[1] or (extent != spans and not any(blind)):
            wrong[place] = extent, spans
    return wrong


def odd_ones(net, shape):
    """Inner units whose extent is not what field, stride and padding make of it; whole strides only."""
    field = output_field(net, shape)
    if field.stride is None:
        return []
    odd_units = []
    for axis, extents in enumerate(field.axes):
        size, stride, padding = field.receptive_field[axis], field.stride[axis], field.padding[axis]
        for unit, span_of_unit in enumerate(zip(extents.first, extents.last, strict=True)):
            first = unit * stride - padding
            inside = first >= 0 and first + size <= shape[axis + 2]
            if inside and stride == int(stride) and span_of_unit != (first, first + size - 1):
                odd_units.append((axis, unit, span_of_unit))
    return odd_units


def verdict(net, shape):
    """Everything that is wrong with a computed field; none of it, where it is exact."""
    field = output_field(net, shape)
    return field.status, differences(net, shape), odd_ones(net, shape)
