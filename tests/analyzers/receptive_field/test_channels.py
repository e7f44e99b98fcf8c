"""What each channel sees, against the gradient of that channel."""

import pytest
import torch
import torch.nn.functional as F
from support.field_nets import Net
from torch import nn

import inception_lab as il
from inception_lab.analyzers.receptive_field.channels import channels_of

LENGTH = 48


def conv(channels, out, kernel, **options):
    return nn.Conv1d(channels, out, kernel, padding=kernel // 2, **options)


def depthwise(channels, kernel, **options):
    return conv(channels, channels, kernel, groups=channels, **options)


class ByPlace(nn.Module):
    """A layer over the channels of each place."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x.transpose(1, 2)).transpose(1, 2)


def by_gradient(net, shape):
    """The widest span that any inner unit of each channel has a gradient on."""
    for parameter in net.parameters():
        parameter.data = parameter.data.abs() + 0.1
    x = (torch.rand(shape, generator=torch.Generator().manual_seed(0)) + 0.5).requires_grad_()
    y = net.eval()(x)
    fields = []
    for channel in range(y.shape[1]):
        spans = [0]
        for unit in range(y.shape[2]):
            (gradient,) = torch.autograd.grad(y[0, channel, unit], x, retain_graph=True)
            pixels = gradient[0].abs().sum(0).nonzero().flatten().tolist()
            if pixels and pixels[0] > 0 and pixels[-1] < shape[-1] - 1:
                spans.append(pixels[-1] - pixels[0] + 1)
        fields.append(max(spans))
    return fields


def by_trace(net, shape):
    trace = il.trace(net, shape)
    channels = channels_of(trace, trace.calls[0].outputs[0])
    return [segment.field[0] for segment in channels.segments for _ in range(segment.channels)]


def branches(x, *convolutions):
    return torch.cat([convolution(x) for convolution in convolutions], 1)


def three():
    """Eight channels of fields 1, 1, 3, 3, 3, 5, 5, 5."""
    return conv(2, 2, 1), conv(2, 3, 3), conv(2, 3, 5)


def shuffled(x, groups):
    n, c, length = x.shape
    return x.view(n, groups, c // groups, length).transpose(1, 2).reshape(n, c, length)


def then(layer, change=lambda x: x):
    """The three branches, moved as told, and a layer behind them."""
    return Net(lambda x, a, b, c, layer: layer(change(branches(x, a, b, c))), *three(), layer)


def moved(change):
    return Net(lambda x, *convolutions: change(branches(x, *convolutions)), *three())


def written_in_place(x, a, b):
    y = torch.zeros(x.shape[0], 5, x.shape[2])
    y[:, :2] = a(x)
    y[:, 2:] = b(x)
    return y


def written_over(x, a, b):
    y = a(x) * 1.0
    y[:, 1:3] = b(x)[:, :2]
    return y


def every_second_written(x, a, b):
    y = torch.cat([a(x), a(x)], 1) * 1.0
    y[:, ::2] = b(x)
    return y


def written_by_index(x, a, b):
    y = a(x) * 1.0
    y[:, [0, 3]] = b(x)
    return y


def rows_written(x, a, b):
    y = a(x) * 1.0
    y[:, :, :5] = b(x)[:, :, :5]
    return y


def edge_cleared(x, a, b):
    y = a(x) * 1.0
    y[:, :, 0] = 0
    return b(y)


def shifted_in_time(x, a):
    y = a(x)
    return torch.cat([F.pad(y[:, :1, 1:], (0, 1)), y[:, 1:]], 1)


def circular(kernel):
    return nn.Conv1d(2, 2, kernel, padding=kernel // 2, padding_mode="circular")


MASK = torch.tensor([True, False, True, False])[None, :, None]


def normalised_by_neighbours(x):
    squares = F.pad((x * x).unsqueeze(1), (0, 0, 1, 1))
    return x / (1 + F.avg_pool2d(squares, (3, 1), stride=1).squeeze(1))


def up_and_down(x, a, b):
    return torch.cat([a(x), F.interpolate(b(F.avg_pool1d(a(x), 2)), scale_factor=2)], 1)


NETS = {
    "concatenated": moved(lambda x: x),
    "shuffled": moved(lambda x: shuffled(x, 2)),
    "shuffled by torch": moved(lambda x: F.channel_shuffle(x.unsqueeze(-1), 4).squeeze(-1)),
    "shuffled and depthwise": then(depthwise(8, 3), lambda x: shuffled(x, 2)),
    "shuffled and grouped": then(conv(8, 4, 3, groups=2), lambda x: shuffled(x, 2)),
    "halves": then(conv(4, 4, 3), lambda x: x.chunk(2, 1)[0]),
    "sliced": moved(lambda x: x[:, 1:7:2]),
    "reversed": moved(lambda x: x.flip(1)),
    "rolled": moved(lambda x: x.roll(1, 1)),
    "selected": moved(lambda x: torch.stack([x[:, 0], x[:, 5]], 1)),
    "unbound": moved(lambda x: torch.stack(x.unbind(1)[::-1], 1)),
    "repeated": moved(lambda x: x.repeat(1, 2, 1)),
    "each repeated": moved(lambda x: x.repeat_interleave(2, 1)),
    "padded": moved(lambda x: F.pad(x, (0, 0, 1, 2))),
    "cropped": moved(lambda x: F.pad(x, (0, 0, -1, -2))),
    "added": Net(lambda x, a, b, c, d: branches(x, a, b, c) + d(x), *three(), conv(2, 8, 3)),
    "gated by halves": moved(lambda x: F.glu(x, 1)),
    "maxima of pairs": moved(lambda x: x.view(1, 4, 2, -1).sum(2)),
    "pooled": moved(lambda x: F.avg_pool1d(x, 3, 2, 1)),
    "pooled and grouped": then(conv(8, 4, 3, groups=4), lambda x: F.avg_pool1d(x, 3, 2, 1)),
    "upsampled": moved(lambda x: F.interpolate(x, scale_factor=2)),
    "upsampled and depthwise": then(depthwise(8, 5), lambda x: F.interpolate(x, scale_factor=4)),
    "linearly upsampled": then(depthwise(8, 3), lambda x: F.interpolate(x, scale_factor=2, mode="linear")),
    "upsampled by 3/2": then(depthwise(8, 3), lambda x: F.interpolate(x, scale_factor=1.5, mode="linear")),
    "transposed": then(nn.ConvTranspose1d(8, 8, 3, 2, 1, groups=8)),
    "transposed and depthwise": Net(
        lambda x, a, b, c, d, e: e(d(branches(x, a, b, c))),
        *three(),
        nn.ConvTranspose1d(8, 8, 3, 2, 1, groups=8),
        depthwise(8, 3),
    ),
    "down and up": Net(up_and_down, conv(2, 3, 3), conv(3, 4, 3)),
    "down, up and depthwise": Net(
        lambda x, a, b, c: c(up_and_down(x, a, b)), conv(2, 3, 3), conv(3, 4, 3), depthwise(7, 3)
    ),
    "down, up and mixed": Net(
        lambda x, a, b, c: c(up_and_down(x, a, b)), conv(2, 3, 3), conv(3, 4, 3), conv(7, 2, 3)
    ),
    "written in place": Net(written_in_place, conv(2, 2, 3), conv(2, 3, 5)),
    "written over": Net(written_over, conv(2, 4, 3), conv(2, 3, 5)),
    "every second written": Net(every_second_written, conv(2, 2, 3), conv(2, 2, 5)),
    "normalised by neighbours": moved(normalised_by_neighbours),
    "layer norm": then(ByPlace(nn.LayerNorm(8))),
    "linear by place": then(ByPlace(nn.Linear(8, 3))),
    "softmax": moved(lambda x: x.softmax(1)),
    "mean": moved(lambda x: x.mean(1, keepdim=True)),
    "einsum": moved(lambda x: torch.einsum("ncl,dc->ndl", x, torch.ones(3, 8))),
    "prelu": then(nn.PReLU(8)),
    "pixel shuffle": moved(lambda x: F.pixel_shuffle(x.unsqueeze(2).repeat(1, 1, 2, 1), 2)[:, :, 0]),
    "constants beside": Net(lambda x, a: torch.cat([a(x), torch.ones(1, 2, LENGTH)], 1), conv(2, 3, 3)),
    "dense": Net(
        lambda x, a, b: torch.cat([x, a(x), b(torch.cat([x, a(x)], 1))], 1), conv(2, 2, 3), conv(4, 2, 3)
    ),
    "different centres": Net(
        lambda x, a: torch.cat([a(x), F.avg_pool1d(x, 3, 2, 0, ceil_mode=True)], 1), conv(2, 2, 3, stride=2)
    ),
    "different centres mixed": Net(
        lambda x, a, b: b(torch.cat([a(x), F.avg_pool1d(x, 3, 2, 0, ceil_mode=True)], 1)),
        conv(2, 2, 3, stride=2),
        conv(4, 2, 3),
    ),
    "even kernels": Net(lambda x, a, b: torch.cat([a(x), b(x)], 1), conv(2, 2, 2), conv(2, 3, 4)),
    "indexed": moved(lambda x: x[:, [0, 7, 3]]),
    "indexed by a table": moved(lambda x: x[:, torch.tensor([[0, 7], [3, 3]])].flatten(1, 2)),
    "selected by index": moved(lambda x: x.index_select(1, torch.tensor([6, 0]))),
    "written by index": Net(written_by_index, conv(2, 4, 3), conv(2, 2, 5)),
    "copied by index": Net(
        lambda x, a, b: a(x).index_copy(1, torch.tensor([1, 2]), b(x)), conv(2, 4, 3), conv(2, 2, 5)
    ),
    "added by index": Net(
        lambda x, a, b: a(x).index_add(1, torch.tensor([1, 2]), b(x)), conv(2, 4, 3), conv(2, 2, 5)
    ),
    "slice scattered": Net(
        lambda x, a, b: a(x).slice_scatter(b(x), 1, 1, 3), conv(2, 4, 3), conv(2, 2, 5)
    ),
    "chosen by a mask": Net(lambda x, a, b: torch.where(MASK, a(x), b(x)), conv(2, 4, 3), conv(2, 4, 5)),
    "masked": Net(lambda x, a: a(x).masked_fill(MASK, 0.0), conv(2, 4, 3)),
    "rows written": Net(rows_written, conv(2, 4, 3), conv(2, 4, 5)),
    "edge cleared": Net(edge_cleared, conv(2, 4, 3), conv(4, 4, 5)),
    "shifted in time": Net(shifted_in_time, conv(2, 3, 3)),
    "circular": nn.Sequential(circular(3), circular(5)),
    "circular beside": Net(lambda x, a, b: torch.cat([a(x), b(x)], 1), circular(3), conv(2, 2, 5)),
    "circular and mixed": Net(
        lambda x, a, b, c: c(torch.cat([a(x), b(x)], 1)), circular(5), conv(2, 2, 3), conv(4, 2, 3)
    ),
    "parts behind one another": Net(
        lambda x, a, b: b(torch.cat([a(x)[:, :, :20], a(x)[:, :, 20:]], 2)), conv(2, 2, 3), conv(2, 3, 3)
    ),
    "causal": Net(lambda x, a: a(torch.cat([torch.zeros(1, 2, 2), x], 2)), nn.Conv1d(2, 3, 3)),
    "reflected": Net(lambda x, a: a(x), conv(2, 2, 3, padding_mode="reflect")),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_each_channel_sees_what_its_gradient_lies_on(name):
    shape = (1, 2, LENGTH)
    assert by_trace(NETS[name], shape) == by_gradient(NETS[name], shape)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda x: x[:, :, torch.randperm(LENGTH)], id="places in any order"),
        pytest.param(lambda x: x + x[:, :, 9:20].mean(2, keepdim=True), id="mean of a part"),
        pytest.param(lambda x: (x.transpose(1, 2) @ x)[:, :8], id="product of places"),
        pytest.param(lambda x: torch.stack(x.unbind(2), 2), id="places taken one by one"),
        pytest.param(lambda x: x * x.cumsum(2).flip(2), id="prefixes read backwards"),
        pytest.param(lambda x: torch.cat([x[:, :, :9], x[:, :, ::2]], 2), id="strides side by side"),
    ],
)
def test_channels_that_cannot_be_told_have_no_fields(change):
    trace = il.trace(then(depthwise(8, 3), change), (1, 2, LENGTH))
    assert channels_of(trace, trace.calls[0].outputs[0]) is None


def test_no_channels_have_no_fields():
    trace = il.trace(moved(lambda x: x[:, 8:] * 2), (1, 2, LENGTH))
    assert channels_of(trace, trace.calls[0].outputs[0]).segments == ()
