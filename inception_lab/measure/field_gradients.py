"""Receptive fields by gradient: the source pixels that a unit has a gradient to, beside computed ones.

A model made positive has a gradient above zero exactly where an output depends on an input. One backward
pass from one unit shows its field. Statistics and gates are real in one run; in a second one those that see a
whole axis are held fixed, so that the local paths remain. No rule of `analyzers.receptive_field` takes part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pandas import DataFrame
from torch import Tensor, nn
from torch.autograd.graph import allow_mutation_on_saved_tensors

from inception_lab.analyzers.receptive_field.field import Field
from inception_lab.arguments import checked
from inception_lab.measure.positive_model import InFloat64, Positive, positive_weights
from inception_lab.measure.room import refuse_gradients_without_room
from inception_lab.measure.unit_gradients import Probes, Unit, errors_in_one_line, fields_of_layers
from inception_lab.running.guards import guarded, plain_tensors
from inception_lab.running.higher_order import taken_apart
from inception_lab.running.inputs import Inputs, arguments, beside_shape, with_arguments
from inception_lab.running.request import request_of
from inception_lab.running.stand_ins import cpu_input
from inception_lab.tracing.tracer import takes, trace

Span = tuple[int, int]
NOTHING: Span = (0, -1)
"""The span of a unit that sees nothing but padding."""


@checked
@plain_tensors()
def check_fields(
    model: nn.Module,
    input_shape: Sequence[int],
    layers: Sequence[str] = (),
    source: str = "",
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> DataFrame:
    """Compare computed fields with gradients, axis by axis, on strips that are longer than the fields.

    Along each axis the first two units of a layer, the middle one and the last two are checked: all that
    they see, and what they see on local paths alone, without statistics and gates taken of the whole axis.

    Args:
        model: Any module; it is left as it was found. Its weights do not matter.
        input_shape: N x C x spatial axes, as the net takes it; `strip` makes the inputs of it.
        layers: Paths of layers with spatial axes; by default the last one that has any and does not see
            everything.
        source: Path of the layer from whose output on fields are meant; empty for the input.
        args: Positional arguments behind the input, as for `trace`.
        kwargs: Keyword arguments, as for `trace`.

    Returns:
        A row per layer, axis and unit: `layer`, `axis`, `unit` (position along the axis), `length` (of the
        source along the axis), `status` of the computed field, its `first` and `last` pixel (0 and -1 where
        a unit sees nothing but padding), `gradient_first` and `gradient_last` (the same by gradient),
        `smallest_gradient` (the smallest above zero; float64 holds nothing below 5e-324), `local_first`,
        `local_last`, `local_gradient_first` and `local_gradient_last` (the same of local paths; of all paths
        where there are no others), and `agree`.

    Raises:
        InceptionLabError: The net does not run, or a layer has no spatial axes.

    Example:
        >>> bool(check_fields(nn.Conv2d(3, 8, 3, padding=1), (1, 3, 32, 32)).agree.all())
        True
    """
    rows: list[dict[str, Any]] = []
    for axis in range(len(input_shape) - 2):
        beside = with_arguments([], args, kwargs)
        shape = strip(model, input_shape, axis, layers, source, beside)
        fields = fields_of_layers(trace(model, shape, args=args, kwargs=kwargs), layers, source)
        request = request_of(model, with_arguments(shape, args, kwargs))
        refuse_gradients_without_room(request, torch.device("cpu"), torch.float64)
        units = [Unit(layer, place) for layer, field in fields.items() for place in _places(field, axis)]
        gradients = input_gradients(model, shape, units, source, beside)
        local_gradients = gradients
        # without a statistic over a whole axis all paths are local
        if any(field.global_context for field in fields.values()):
            local_gradients = input_gradients(model, shape, units, source, beside, held_axis=axis)
        for unit, gradient, local in zip(units, gradients, local_gradients, strict=True):
            # where no path is local, all of them are meant
            local_or_all = local if local.any() else gradient
            rows.append(_row(unit, axis, fields[unit.layer], gradient, local_or_all))
    return DataFrame(rows)


def strip(
    model: nn.Module,
    input_shape: Sequence[int],
    axis: int,
    layers: Sequence[str] = (),
    source: str = "",
    beside: Inputs = (),
) -> tuple[int, ...]:
    """An input that is longer than the layers' fields along one axis, and else as narrow as the net takes.

    It has four strides more than the longest field, so that some unit sees no edge. A net that takes no
    such input keeps its own.

    Args:
        model: Any module.
        input_shape: An input that it takes, N x C x spatial axes.
        axis: The axis along which the strip is long, counted from 0.
        layers: Whose fields count; by default the last layer's.
        source: Path of the layer from whose output on fields are meant; empty for the input.
        beside: Other arguments of the model.
    """
    shape = tuple(input_shape)
    fields = fields_of_layers(trace(model, beside_shape(shape, beside)), layers, source).values()
    interiors = [field.axes[axis].interior for field in fields]
    lengths = [int(inner.field + 4 * inner.stride) for inner in interiors if inner]
    long = _with_size(shape, axis, max(lengths, default=0))
    # from a layer on, the length would be in that layer's positions, not in pixels of the input
    if long[axis + 2] > shape[axis + 2] and not source and takes(model, beside_shape(long, beside)):
        shape = long
    for other in set(range(len(shape) - 2)) - {axis}:
        shape = _narrow(model, shape, other, beside)
    return shape


@plain_tensors()
def input_gradients(
    model: nn.Module,
    input_shape: Sequence[int],
    units: Sequence[Unit],
    source: str = "",
    beside: Inputs = (),
    held_axis: int | None = None,
) -> list[NDArray[np.float64]]:
    """The gradient of units by the source, positive where they depend on it.

    One forward pass in float64 on the CPU, and a backward pass for each unit, its channels added up.

    Args:
        model: Any module; it is left as it was found.
        input_shape: N x C x spatial axes.
        units: Of the layers' first calls.
        source: Path of the layer by whose output is differentiated; empty for the input.
        beside: Other arguments of the model.
        held_axis: The axis of which statistics that see all of it are held fixed; by default none is.

    Returns:
        For each unit, an array of the source's spatial axes: the gradient added up over batch and channels.

    Raises:
        InceptionLabError: The net does not run, or there is no such layer.
    """
    probes = Probes(units, source)
    images = torch.ones(tuple(input_shape), dtype=torch.float64)
    with (
        guarded(model, False, positive_weights) as substitutes,
        taken_apart(),
        probes.attached(substitutes.modules),
        errors_in_one_line(model, input_shape),
        InFloat64(),
        torch.enable_grad(),
        allow_mutation_on_saved_tensors(),
    ):
        others = arguments(beside, torch.float64, cpu_input)
        with Positive(None if held_axis is None else partial(_sees_all, probes, held_axis)):
            model(images if source else probes.begin(images), *others.args, **others.kwargs)
        return [probes.gradient(unit).sum((0, 1)).numpy() for unit in units]


def _sees_all(probes: Probes, axis: int, statistic: Tensor, x: Tensor) -> bool:
    """True where a statistic sees as much of an axis of the source as all that it is taken of."""
    if probes.leaf is None:
        return False
    # any element will do: each of those along other axes is taken of all of this one
    one, everything = statistic.flatten()[statistic.numel() // 2], x.sum()
    spans = [span(probes.gradient_of(output).sum((0, 1)).numpy(), axis) for output in (one, everything)]
    return spans[0] == spans[1] and spans[0][0] < spans[0][1]


def span(gradient: NDArray[np.float64], axis: int) -> Span:
    """First and last position along an axis where a gradient is not zero, `NOTHING` where it is nowhere.

    Example:
        >>> span(np.array([0.0, 0.5, 0.0, 0.1]), 0)
        (1, 3)
    """
    places = np.flatnonzero(gradient.any(axis=tuple(set(range(gradient.ndim)) - {axis})))
    return (int(places[0]), int(places[-1])) if len(places) else NOTHING


def _row(
    unit: Unit, axis: int, field: Field, gradient: NDArray[np.float64], local: NDArray[np.float64]
) -> dict[str, Any]:
    computed_span, gradient_span = field.extent(unit.position)[axis], span(gradient, axis)
    local_span, local_gradient_span = field.local_extent(unit.position)[axis], span(local, axis)
    return {
        "layer": unit.layer,
        "axis": axis,
        "unit": unit.position[axis],
        "length": gradient.shape[axis],
        "status": field.status,
        "first": computed_span[0],
        "last": computed_span[1],
        "gradient_first": gradient_span[0],
        "gradient_last": gradient_span[1],
        "smallest_gradient": min(gradient[gradient > 0], default=0.0),
        "local_first": local_span[0],
        "local_last": local_span[1],
        "local_gradient_first": local_gradient_span[0],
        "local_gradient_last": local_gradient_span[1],
        "agree": (computed_span, local_span) == (gradient_span, local_gradient_span),
    }


# ------------------------------------------------------------------------------ layers and strips


def _places(field: Field, axis: int) -> list[tuple[int, ...]]:
    """First, second, middle, last but one and last position along an axis, in the middle of the others."""
    size = field.grid[axis]
    places = sorted({0, 1, size // 2, size - 2, size - 1} & set(range(size)))
    return [(*field.middle[:axis], place, *field.middle[axis + 1 :]) for place in places]


def _with_size(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[: axis + 2], size, *shape[axis + 3 :])


def _narrow(model: nn.Module, shape: tuple[int, ...], axis: int, beside: Inputs) -> tuple[int, ...]:
    """The same with the smallest size along an axis that the net takes, found by halving."""
    # a net that takes some size is held to take every larger one, up to its own
    least, enough = 1, shape[axis + 2]
    while least < enough:
        middle = (least + enough) // 2
        if takes(model, beside_shape(_with_size(shape, axis, middle), beside)):
            enough = middle
        else:
            least = middle + 1
    return _with_size(shape, axis, enough)
