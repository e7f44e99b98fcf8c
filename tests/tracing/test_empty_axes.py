"""Empty axes: a trace refuses them where the CPU does."""

import pytest
import torch
import torch.nn.functional as F
from support.field_nets import Net
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError

FORWARDS = {
    "linear": lambda x: F.interpolate(x[0], scale_factor=0.25, mode="linear"),
    "bilinear": lambda x: F.interpolate(x, scale_factor=0.25, mode="bilinear"),
    "bicubic": lambda x: F.interpolate(x, scale_factor=0.25, mode="bicubic"),
    "antialiased": lambda x: F.interpolate(x, scale_factor=0.25, mode="bilinear", antialias=True),
    "trilinear": lambda x: F.interpolate(x[None], scale_factor=0.25, mode="trilinear"),
    "nearest": lambda x: F.interpolate(x, scale_factor=0.25),
    "area": lambda x: F.interpolate(x[..., 2:], size=(2, 2), mode="area"),
    "adaptive pool": lambda x: F.adaptive_avg_pool2d(x[..., 2:], 3),
    "convolution": lambda x: F.conv2d(x[..., 2:], torch.ones(1, 1, 3, 3, device=x.device), padding=2),
    "maximum": lambda x: x[..., 2:].max(),
    "maximum of an axis": lambda x: x[..., 2:].max(-1)[0],
    "maximum of another axis": lambda x: x[..., 2:].max(-2)[0],
    "median": lambda x: x[..., 2:].median(-1)[0],
    "index": lambda x: x[..., 2:][..., [0]],
    "sum": lambda x: x[..., 2:].sum(-1),
    "element by element": lambda x: x[..., 2:].relu(),
    "empty batch": lambda x: F.interpolate(x[1:], scale_factor=2, mode="bilinear"),
}


@pytest.mark.parametrize("name", FORWARDS)
def test_a_trace_refuses_what_the_cpu_refuses(name):
    net, shape = Net(FORWARDS[name]), (1, 1, 2, 2)
    try:
        net(torch.ones(shape))
    except (RuntimeError, IndexError):
        with pytest.raises(InceptionLabError):
            il.trace(net, shape, meta_only=True)
    else:
        il.trace(net, shape, meta_only=True)


@pytest.mark.parametrize(
    ("scale", "mode", "smallest"),
    [(0.5, "nearest", 2), (0.25, "bilinear", 4), (0.3, "bicubic", 4), (0.4, "bilinear", 3)],
)
def test_the_smallest_input_leaves_a_resize_a_pixel(scale, mode, smallest):
    net = Net(lambda x, a: a(F.interpolate(x, scale_factor=scale, mode=mode)), nn.Conv2d(1, 1, 1))
    assert il.smallest_input(net, (1, 1, 16, 16)) == (smallest, smallest)
    net(torch.ones(1, 1, smallest, smallest))
    with pytest.raises(RuntimeError):
        net(torch.ones(1, 1, smallest - 1, smallest))
