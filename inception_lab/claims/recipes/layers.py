"""Facts of layers, by trace, that several recipes read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod
from typing import NamedTuple

from inception_lab.errors import InceptionLabError
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.structure import layer_name
from inception_lab.ir.trace import Call, Op, Trace


class Convolution(NamedTuple):
    """One convolution as it ran.

    Attributes:
        layer: Path of its module.
        kernel: Its height and width.
        stride: The same of its step.
        padding: Zeros before height and width.
        groups: Parts of the channels that do not see each other.
        weights: Elements of its kernel.
        input_size: Height and width of its input.
        output_size: The same of its output.
        macs: Its multiply-accumulates.
    """

    layer: str
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    groups: int
    weights: int
    input_size: tuple[int, ...]
    output_size: tuple[int, ...]
    macs: int


@once_per_trace
def convolutions(trace: Trace) -> tuple[Convolution, ...]:
    """Return the convolutions of a forward pass in order of execution."""
    return tuple(_convolution(trace, op) for op in forward_ops(trace) if op.base_name == "convolution")


def forward_ops(trace: Trace) -> Iterable[Op]:
    """Return the operations of the forward pass."""
    return (op for op in trace.ops if op.phase == "forward")


def _convolution(trace: Trace, op: Op) -> Convolution:
    image, weight = (trace.values[value].shape for value in op.reads[:2])
    output = trace.values[op.writes[0]].shape
    return Convolution(
        layer_name(trace.calls[op.call]),
        weight[2:],
        op.arg("stride"),
        op.arg("padding"),
        op.arg("groups"),
        prod(weight),
        image[2:],
        output[2:],
        op.macs,
    )


@once_per_trace
def linear_layers(trace: Trace) -> tuple[Call, ...]:
    """Return the calls of linear layers in order of execution."""
    return tuple(call for call in trace.calls if call.executed and call.type == "Linear")


@once_per_trace
def weight_shapes(trace: Trace) -> Mapping[str, tuple[int, ...]]:
    """Return the shape of each parameter that was read, by its path, each shared tensor once."""
    names = {s.id: s.name for s in trace.storages if s.kind == "parameter"}
    shapes: dict[str, tuple[int, ...]] = {}
    for value in trace.values:
        # the first value of a storage is the parameter itself, later ones are views of it
        if value.storage in names:
            shapes.setdefault(names[value.storage], value.shape)
    return shapes


def call_of(trace: Trace, layer: str) -> Call:
    """Return the first call of a layer.

    Raises:
        InceptionLabError: The layer never ran.
    """
    for call in trace.calls:
        if call.path == layer and call.executed:
            return call
    raise InceptionLabError(f"no layer {layer!r} ran", where=trace.context.model)


def output_shape(trace: Trace, layer: str) -> tuple[int, ...]:
    """Return the shape of what a layer gives, batch apart."""
    return trace.values[call_of(trace, layer).outputs[0]].shape[1:]


def input_shape(trace: Trace, layer: str) -> tuple[int, ...]:
    """Return the shape of what a layer takes, batch apart."""
    return trace.values[call_of(trace, layer).inputs[0]].shape[1:]
