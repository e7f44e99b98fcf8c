"""Layouts of outputs beside the CPU's own kernels, for inputs whose axes lie in every order."""

from itertools import permutations

import pytest
import torch

from inception_lab.running.layouts import layout_of
from inception_lab.tracing.kernel_layouts import RULES, cpu_layouts, suggests_channels_last

aten = torch.ops.aten

FLAT, IMAGES, VOLUMES = (4, 3), (2, 4, 6, 5), (2, 3, 4, 3, 2)
BYTES = torch.empty(0, dtype=torch.uint8)
EVERY_GRADIENT, NOT_OF_INPUT = [True, True, True], [False, True, True]


def channels(x):
    return torch.rand(x.shape[1])


def like(x):
    return torch.rand(x.shape)


def statistics(x):
    return [channels(x) for _ in range(4)]


def convolution(x, weight, padding=1, dilation=1, transposed=False):
    axes = x.dim() - 2
    sizes = ([1] * axes, [padding] * axes, [dilation] * axes, transposed, [0] * axes, 1)
    return (x, weight.to(x.dtype), None, *sizes)


def last(*shape):
    return torch.rand(shape).to(memory_format=torch.channels_last)


CASES = [
    ("native_batch_norm", lambda x: (x, *statistics(x), True, 0.1, 1e-5), (FLAT, IMAGES, VOLUMES)),
    ("_native_batch_norm_legit.no_stats", lambda x: (x, None, None, True, 0.1, 1e-5), (FLAT, IMAGES)),
    (
        "native_batch_norm_backward",
        lambda x: (like(x), x, channels(x), *statistics(x), True, 1e-5, EVERY_GRADIENT),
        (FLAT, IMAGES),
    ),
    (
        "native_batch_norm_backward",
        lambda x: (x, like(x), channels(x), *statistics(x), True, 1e-5, NOT_OF_INPUT),
        (FLAT, IMAGES),
    ),
    (
        "batch_norm_backward",
        lambda x: (
            like(x), x, channels(x), *statistics(x), True, 1e-5, NOT_OF_INPUT, BYTES
        ),
        (IMAGES,),
    ),
    (
        "native_group_norm_backward",
        lambda x: (
            like(x).bfloat16(), x.bfloat16(), torch.rand(2, 2), torch.rand(2, 2), channels(x), 2, 4, 30, 2,
            EVERY_GRADIENT,
        ),
        (IMAGES,),
    ),
    ("convolution", lambda x: convolution(x, torch.rand(8, x.shape[1], 3, 3)), (IMAGES,)),
    ("convolution", lambda x: convolution(x, last(8, x.shape[1], 3, 3)), (IMAGES,)),
    ("convolution", lambda x: convolution(x, torch.rand(8, x.shape[1], 3, 3), 2, 2), (IMAGES,)),
    ("convolution", lambda x: convolution(x, torch.rand(x.shape[1], 8, 3, 3), transposed=True), (IMAGES,)),
    ("convolution", lambda x: convolution(x.double(), torch.rand(8, x.shape[1], 3, 3)), (IMAGES,)),
    ("convolution", lambda x: convolution(x, torch.rand(8, x.shape[1], 1, 1), 0), (IMAGES, (1, *IMAGES[1:]))),
    ("convolution", lambda x: convolution(x, torch.rand(8, x.shape[1], 3, 3, 3)), (VOLUMES,)),
    ("convolution", lambda x: convolution(x.double(), torch.rand(8, x.shape[1], 3, 3, 3)), (VOLUMES,)),
    ("log_sigmoid_forward", lambda x: (x,), (FLAT, IMAGES)),
    ("_log_softmax_backward_data", lambda x: (x, like(x), 1, torch.float32), (FLAT, IMAGES)),
    ("_log_softmax_backward_data", lambda x: (like(x), x, 1, torch.float32), (FLAT, IMAGES)),
    ("mse_loss_backward", lambda x: (torch.tensor(1.0), x, like(x), 1), (FLAT, IMAGES)),
    ("huber_loss_backward", lambda x: (torch.tensor(1.0), x, like(x), 1, 1.0), (FLAT, IMAGES)),
    ("smooth_l1_loss_backward", lambda x: (torch.tensor(1.0), x, like(x), 1, 1.0), (FLAT, IMAGES)),
    ("pow.Scalar", lambda x: (2, x), (FLAT, IMAGES)),
    ("native_dropout_backward", lambda x: (x, like(x) > 0.5, 2.0), (FLAT, IMAGES)),
    ("pixel_shuffle", lambda x: (x, 2), (IMAGES,)),
    ("channel_shuffle", lambda x: (x, 2), (IMAGES,)),
    ("roll", lambda x: (x, [1], [2]), (IMAGES,)),
    ("max_unpool2d", lambda x: (x, torch.zeros(x.shape, dtype=torch.int64), [12, 10]), (IMAGES,)),
    *[
        (f"{kind}_pad{axes}d", lambda x, axes=axes: (x, [1] * 2 * axes), shapes)
        for kind in ("reflection", "replication")
        for axes, shapes in ((2, (IMAGES,)), (3, (VOLUMES, IMAGES)))
    ],
    *[
        (
            f"{kind}_pad{axes}d_backward",
            lambda x, kind=kind, axes=axes: (
                getattr(aten, f"{kind}_pad{axes}d")(like(x), [1] * 2 * axes), x, [1] * 2 * axes
            ),
            shapes,
        )
        for kind in ("reflection", "replication")
        for axes, shapes in ((2, (IMAGES,)), (3, (VOLUMES,)))
    ],
]  # fmt: skip


def overload(name):
    packet, _, kind = name.partition(".")
    return getattr(getattr(aten, packet), kind or "default")


def inputs(shape):
    """Tensors of this shape whose axes lie in memory in any order; with gaps; one element for many."""
    for order in permutations(range(len(shape))):
        back = [order.index(axis) for axis in range(len(shape))]
        yield torch.rand([shape[axis] for axis in order]).permute(back)
    *others, width = shape
    yield torch.rand(*others, 2 * width)[..., ::2]
    yield torch.rand(*others, 1).expand(shape)
    if len(shape) == 4:
        batch, depth, *size = shape
        yield last(batch, 2 * depth, *size)[:, :depth]


def on_meta(args):
    return [
        torch.empty_strided(a.shape, a.stride(), dtype=a.dtype, device="meta")
        if isinstance(a, torch.Tensor)
        else a
        for a in args
    ]


def as_tuple(out):
    return out if isinstance(out, tuple) else (out,)


def layout_row(layout):
    """Shape, strides and dtype; the stride of an axis of one element does not matter."""
    if layout is None:
        return None
    strides = [stride for size, stride in zip(layout.shape, layout.strides, strict=True) if size > 1]
    return layout.shape, strides, layout.dtype


@pytest.mark.parametrize(
    ("name", "arguments", "shapes"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)]
)
def test_outputs_lie_as_those_of_the_kernel(name, arguments, shapes):
    func = overload(name)
    for x in (x for shape in shapes for x in inputs(shape)):
        args = arguments(x)
        kernels = as_tuple(func(*args))
        meta = as_tuple(func(*on_meta(args)))
        rules = cpu_layouts(func, on_meta(args), tuple(t if t is None else layout_of(t) for t in meta))
        # statistics of mixed precision are a matter of each device
        places = 1 if "group_norm" in name else len(kernels)
        rows = [layout_row(t if t is None else layout_of(t)) for t in kernels[:places]]
        assert [layout_row(layout) for layout in rules[:places]] == rows, x.stride()


def test_every_rule_is_needed_and_tested():
    """But for one that is another name of batch norm's kernel, and an LSTM, which memory confirms."""
    tested = {overload(name) for name, *_ in CASES}
    untested = {aten._native_batch_norm_legit_no_training.default, aten.mkldnn_rnn_layer_backward.default}
    assert set(RULES) - tested == untested


def test_operations_without_a_rule_are_as_they_were():
    layouts = (layout_of(torch.zeros(2, 3, device="meta")),)
    assert cpu_layouts(aten.relu.default, [torch.zeros(2, 3)], layouts) is layouts


PADS = {4: (aten.replication_pad2d.default, [1, 1, 0, 0]), 5: (aten.replication_pad3d.default, [1] * 6)}


@pytest.mark.parametrize("shape", [(2, 4, 6, 5), (2, 4, 1, 1), (1, 2, 1, 5), (2, 3, 4, 3, 2)], ids=str)
def test_channels_last_is_suggested_as_by_a_kernel(shape):
    """Pads ask PyTorch's own `suggest_memory_format`, and write as it says."""
    pad, sizes = PADS[len(shape)]
    for x in inputs(shape):
        assert suggests_channels_last(x) == (pad(x, sizes).stride(1) == 1), x.stride()
