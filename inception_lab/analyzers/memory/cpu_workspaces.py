"""Workspaces of convolutions on a CPU, by PyTorch's and oneDNN's rules.

Most memory that PyTorch allocates on a CPU is a storage that outlives its operation. A convolution of
float32 holds more while it runs, as others do by `cpu_temporaries` and `cpu_recurrent`: PyTorch's own kernel
writes out the columns of a product (im2col), and oneDNN reorders source, weights and destination into blocked
layouts, which keep a block of channels side by side, the last one padded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from math import prod
from types import MappingProxyType
from typing import NamedTuple

from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Op, Trace, Value

FLOAT = 4
"""Bytes of a float32."""

ALIGNMENT = 128
"""Bytes by which oneDNN enlarges a buffer of its own, so that it can begin at a round address."""

Shape = tuple[int, ...]
Events = Sequence[int]
"""Bytes allocated (above 0) and freed (below 0), in the order of time."""


class Processor(NamedTuple):
    """The properties of a CPU that decide which kernels run, and what they take.

    Attributes:
        block: Floats in one register: 16 with AVX-512, 8 with AVX2.
        threads: Threads that share an operation.
    """

    block: int
    threads: int


class _Convolution(NamedTuple):
    """A convolution of float32, or the backward pass of one.

    Attributes:
        gradients: True for source and for weight where its gradient is computed; empty in the forward pass.
        copy_bytes: Bytes of the destination where it is copied first, as its elements are scattered.
    """

    processor: Processor
    source: Shape
    weight: Shape
    destination: Shape
    stride: Shape
    padding: Shape
    groups: int
    bias: bool
    gradients: tuple[bool, ...]
    copy_bytes: int

    @property
    def pointwise(self) -> bool:
        return set(self.weight[2:]) == {1}

    @property
    def has_stride(self) -> bool:
        return max(self.stride) > 1

    @property
    def depthwise(self) -> bool:
        return self.groups > 1 and self.groups == self.source[1] == self.weight[0]

    @property
    def image(self) -> bool:
        """True where the source has the few channels of an image."""
        return self.groups == 1 and self.source[1] <= 3 and not self.pointwise

    def pad_channels(self, channels: int) -> int:
        """Channels with the last block padded."""
        return -(-channels // self.processor.block) * self.processor.block


# ------------------------------------------------------------------------------------ sizes of buffers


def _bytes(shape: Sequence[int]) -> int:
    return FLOAT * prod(shape)


def _blocked_bytes(c: _Convolution) -> tuple[int, int, int]:
    """Bytes of source, weight and destination in blocked layouts."""
    out, within, *kernel = c.weight
    # a depthwise weight has one channel within each group, which is not padded
    weight = (c.pad_channels(out), within if c.depthwise else c.pad_channels(within), *kernel)
    source, destination = (
        (batch, c.pad_channels(channels), *size) for batch, channels, *size in (c.source, c.destination)
    )
    return _bytes(source), _bytes(weight), _bytes(destination)


def _reordered_bytes(c: _Convolution) -> tuple[int, int, int]:
    """Bytes of what is reordered: all three, but an image, which is read as it is."""
    source, weight, destination = _blocked_bytes(c)
    out, *others = c.weight
    return (
        (0, _bytes((c.pad_channels(out), *others)), destination) if c.image else (source, weight, destination)
    )


def _padded_bias_bytes(c: _Convolution) -> int:
    """Bytes of a copy of the bias, which is made where its last block is not full."""
    out = c.weight[0]
    return FLOAT * c.pad_channels(out) + ALIGNMENT if c.bias and c.pad_channels(out) > out else 0


def _gathered_bytes(c: _Convolution) -> int:
    """Bytes of what each thread gathers of a strided 1x1 kernel's source, where that ends with a stride."""
    whole = all(y * s == x for y, s, x in zip(c.destination[2:], c.stride, c.source[2:], strict=True))
    if c.groups > 1 or not (c.pointwise and c.has_stride and whole) or any(c.padding):
        return 0
    return _bytes((c.processor.threads, c.pad_channels(c.source[1]), *c.destination[2:])) + ALIGNMENT


# ------------------------------------------------------------------------------------ events of kernels


def _columns(c: _Convolution) -> Events:
    """PyTorch's own kernel: all that each place of the output reads, unless that is the source itself."""
    if (c.pointwise and not c.has_stride and not any(c.padding)) or not all(c.gradients[1:]):
        return []
    columns = _bytes((*c.source[:2], *c.weight[2:], *c.destination[2:]))
    return [columns, -columns]


def _product(c: _Convolution) -> Events:
    """The kernel of columns in oneDNN, of which each thread writes those of one sample at a time."""
    samples = min(c.processor.threads, c.source[0])
    columns = _bytes((samples, c.source[1], *c.destination[2:])) + ALIGNMENT
    destination = _bytes(c.destination)
    return [columns, destination, -columns, destination, -destination]


def _forward(c: _Convolution) -> Events:
    source, weight, destination = _reordered_bytes(c)
    scratchpad = _padded_bias_bytes(c) + _gathered_bytes(c)
    # the output itself comes last: it is reordered from the blocked destination, which is then freed
    return [
        scratchpad, source, weight, destination, -weight, -source, -scratchpad,
        _bytes(c.destination), -destination,
    ]  # fmt: skip


def _backward(c: _Convolution) -> Events:
    of_source = _gradient_of_source if c.depthwise or not c.has_stride else _strided_gradient_of_source
    passes = zip(c.gradients, (of_source, _gradient_of_weight), strict=True)
    return [change for is_needed, events in passes if is_needed for change in events(c)]


def _gradient_of_source(c: _Convolution) -> Events:
    source, weight, destination = _blocked_bytes(c)
    return [destination, weight, source, -weight, -destination, _bytes(c.source), -source]


def _strided_gradient_of_source(c: _Convolution) -> Events:
    """Channels last, and reordered back in two steps."""
    source, weight, destination = map(_bytes, (c.source, c.weight, c.destination))
    return [destination, weight, source, -weight, -destination, source, source, -source, -source]


def _gradient_of_weight(c: _Convolution) -> Events:
    source, weight, destination = _reordered_bytes(c)
    # the gradient of the bias has a buffer in the kernel, and after it the tensor that is returned
    scratchpad = 0 if c.depthwise else _padded_bias_bytes(c)
    bias = c.bias * FLOAT * c.weight[0]
    kernel = [destination, source, weight, scratchpad, bias, -scratchpad, -source, -destination]
    return [*kernel, bias, _bytes(c.weight), -weight, -bias]


# ------------------------------------------------------------------------------------ choice of a kernel


def _by_onednn(c: _Convolution) -> bool:
    """`use_mkldnn` in PyTorch's aten/src/ATen/native/Convolution.cpp, for undilated float32."""
    worthwhile = c.has_stride or not c.pointwise or c.source[0] >= 16 or c.processor.threads > 1
    large = c.groups > 1 or min(c.weight[2:]) > 3 or c.source[0] > 1 or prod(c.source) > 20480
    return worthwhile and large


def _in_whole_blocks(c: _Convolution) -> bool:
    return c.weight[1] % c.processor.block == c.weight[0] // c.groups % c.processor.block == 0


def _by_columns(c: _Convolution) -> bool:
    """True where oneDNN was seen to fall back on its kernel of columns."""
    beyond = any(k > x for k, x in zip(c.weight[2:], c.source[2:], strict=True))
    narrow = (c.weight[-1] > 7 and any(c.padding)) or (beyond and bool(c.gradients))
    padded_1x1 = c.pointwise and any(c.padding)
    whole = max(c.weight[2:]) >= 7 and prod(c.destination[2:]) == 1
    return padded_1x1 or whole or c.padding[-1] > c.destination[-1] or (c.processor.block == 8 and narrow)


_LAYOUTS: Sequence[Callable[[_Convolution], bool]] = (
    lambda c: c.groups == 1 and c.source[1] >= c.processor.block,
    lambda c: c.image and not c.gradients,
    lambda c: (
        c.image and not (c.has_stride and c.gradients[0]) and (c.source[1] == 3 or c.processor.block == 16)
    ),
    lambda c: c.depthwise and (not c.gradients or (set(c.weight[2:]) == {3} and max(c.stride) <= 3)),
    lambda c: _in_whole_blocks(c) and not (c.has_stride and any(c.gradients[:1])),
)
"""Conditions of the layouts that have a rule: dense ones, images (forward and backward), depthwise ones,
groups of whole blocks."""


def _is_blocked(c: _Convolution) -> bool:
    return _by_onednn(c) and not _by_columns(c) and any(has_rule(c) for has_rule in _LAYOUTS)


class _Kernel(NamedTuple):
    runs: Callable[[_Convolution], bool]
    events: Callable[[_Convolution], Events]


_KERNELS = (
    _Kernel(lambda c: c.groups == 1 and not _by_onednn(c), _columns),
    _Kernel(lambda c: c.groups == 1 and c.pointwise and any(c.padding) and not c.gradients, _product),
    _Kernel(lambda c: _is_blocked(c) and not c.gradients, _forward),
    _Kernel(lambda c: _is_blocked(c) and bool(c.gradients), _backward),
)
"""Kernels in the order in which they are tried; the first whose condition holds runs the convolution."""


# ------------------------------------------------------------------------------------ from a trace


_OPERANDS = {
    "convolution": ("source", "weight"),
    "convolution_backward": ("destination", "source", "weight"),
}
"""The first operands of each operation, by base name."""


@once_per_trace
def convolution_workspaces(trace: Trace, processor: Processor) -> Mapping[int, int]:
    """Return the most bytes that each convolution holds beyond what is alive right after it.

    There is no rule for, and the table is without: types other than float32; sources and weights that are not
    row by row; transposed, dilated, 1-d and 3-d convolutions; sources of 4 channels to one less than a block;
    groups of parts of a block, but for one channel each; padding wider than the output; kernels of 7 and more
    that read all of their source at once. In the backward pass also without depthwise kernels other than 3x3
    at strides to 3, padded 1x1 kernels of oneDNN, and strided ones that are grouped or read up to 3 channels,
    where the source needs a gradient. With AVX2 also without padded kernels wider than 7, and the backward
    pass of kernels larger than their source or of weights that read 1 or 2 channels.

    Left out are small buffers of the backward pass: with several threads those in which oneDNN adds up the
    gradient of the weights; of strided kernels what small maps take, and what a 1x1 kernel gathers.

    Args:
        trace: Of any mode.
        processor: The CPU that is to run it.

    Returns:
        Bytes by the operation's id.

    Example:
        >>> import inception_lab as il
        >>> from torch import nn
        >>> trace = il.trace(nn.Conv2d(16, 32, 3, bias=False), (2, 16, 10, 10))
        >>> source, weight, destination = 4 * 2 * 16 * 10 * 10, 4 * 32 * 16 * 3 * 3, 4 * 2 * 32 * 8 * 8
        >>> convolution_workspaces(trace, Processor(block=16, threads=1)) == {0: source + weight}
        True
    """
    sizes = {op.id: _workspace(trace, op, processor) for op in trace.ops if op.base_name in _OPERANDS}
    return MappingProxyType({op: size for op, size in sizes.items() if size is not None})


def _workspace(trace: Trace, op: Op, processor: Processor) -> int | None:
    """The most bytes held at once beyond those that stay; None where there is no rule."""
    c = _convolution(trace, op, processor)
    events = next((kernel.events for kernel in _KERNELS if c and kernel.runs(c)), None)
    if c is None or events is None:
        return None
    changes = [c.copy_bytes, *events(c), -c.copy_bytes]
    # the sum is what stays, such as the output, and is alive right after the operation anyway
    return max(accumulate(changes)) - sum(changes)


def _convolution(trace: Trace, op: Op, processor: Processor) -> _Convolution | None:
    """An operation as the kernels see it; None for types, layouts and shapes without a rule."""
    names = _OPERANDS[op.base_name]
    operands = {name: trace.values[value] for name, value in zip(names, op.reads, strict=False)}
    noncontiguous = {name for name, value in operands.items() if not _row_by_row(value)}
    # the backward pass reads the destination's gradient, the forward pass writes the destination
    destination = operands.setdefault("destination", trace.values[op.writes[0]])
    output_mask = op.arg("output_mask", ())  # source, weight, bias
    if (
        {value.dtype for value in operands.values()} != {"float32"}
        or not noncontiguous <= {"destination"}
        or len(destination.shape) != 4
        or op.arg("transposed")
        or max(op.arg("dilation")) > 1
    ):
        return None
    return _Convolution(
        processor=processor,
        **{name: value.shape for name, value in operands.items()},
        stride=op.arg("stride"),
        padding=op.arg("padding"),
        groups=op.arg("groups"),
        bias=output_mask[2] if output_mask else len(op.reads) > 2,
        gradients=output_mask[:2],
        copy_bytes=_bytes(destination.shape) if noncontiguous else 0,
    )


def _row_by_row(value: Value) -> bool:
    """True where a value is contiguous; the stride of an axis of one element does not matter."""
    return all(
        size == 1 or stride == prod(value.shape[axis + 1 :])
        for axis, (size, stride) in enumerate(zip(value.shape, value.strides, strict=True))
    )
