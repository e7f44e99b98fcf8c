"""Spatial axes found through the dataflow, against nets whose layout is known by construction."""

import pytest
import torch
import torch.nn.functional as F
from support.zoo import image
from torch import nn

import inception_lab as il
from inception_lab.analyzers.receptive_field.axes import NoSpatialAxes, source_of
from inception_lab.errors import InceptionLabError


class Net(nn.Module):
    """A function of the inputs and of some layers."""

    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, *inputs):
        return self.function(*inputs, *self.layers)


def encoder(**options):
    return nn.TransformerEncoderLayer(8, 2, 16, **options)


def of_frames(x, conv):
    """The mean over time of convolutions of N x T frames."""
    n, t = x.shape[:2]
    return conv(x.reshape(n * t, *x.shape[2:])).mean((2, 3)).view(n, t, -1).mean(1)


def attention(x, query, key, value):
    scores = query(x) @ key(x).transpose(-1, -2)
    return scores.softmax(-1) @ value(x)


def attention_with_token(x, *layers):
    return attention(torch.cat([torch.zeros_like(x[:, :1]), x], 1), *layers)


def shared_heads(x, projection, output):
    """Two heads of 4 features each, by the same weights."""
    n, length, _ = x.shape
    heads = projection(x.view(n, length, 2, 4)).transpose(1, 2)
    return output(attention(heads, *[nn.Identity()] * 3).transpose(1, 2).reshape(n, length, 8))


def patches(x):
    """N x C x 16 x 16 as N x 16 patches of 4 x 4 pixels."""
    n, c, _, _ = x.shape
    return x.view(n, c, 4, 4, 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(n, 16, c * 16)


def shifted(x, conv):
    """Each frame beside the one after it."""
    after = torch.cat([x[:, 1:], torch.zeros_like(x[:, :1])], 1)
    return conv((x + after).flatten(0, 1))


def written(x, linear):
    """Features of each token, written one by one."""
    y = torch.zeros_like(x)
    for place in range(x.shape[1]):
        y[:, place] = linear(x[:, place])
    return y


def stacked(x, layer):
    """A layer of each of the parts along the second dimension, put together again."""
    return torch.stack([layer(part) for part in x.unbind(1)], 1)


def linears(count, width=8):
    return [nn.Linear(width, width) for _ in range(count)]


def tokens(n):
    return torch.ones(n, 6, dtype=torch.long)


CONV, LINEAR, ENCODER = nn.Conv2d(3, 4, 3), nn.Linear(8, 4), encoder(batch_first=True)

IMAGES = [
    ("convolution", CONV),
    ("kernel of 1", nn.Conv2d(3, 4, 1)),
    ("channels padded", Net(lambda x, conv: conv(F.pad(x, (1, 1, 1, 1, 0, 1))), nn.Conv2d(4, 4, 3))),
    ("mean of channels", Net(lambda x, conv: conv(x.mean(1, keepdim=True)), nn.Conv2d(1, 4, 3))),
    ("pool along one", nn.MaxPool2d((2, 1))),
    ("global pool", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))),
    ("local response", nn.Sequential(CONV, nn.LocalResponseNorm(3), nn.Conv2d(4, 4, 3))),
    ("local response first", nn.Sequential(nn.LocalResponseNorm(3), CONV)),
    (
        "local response, then linear",
        Net(lambda x, n, a: a(n(x).movedim(1, -1)).mean((1, 2)), nn.LocalResponseNorm(3), nn.Linear(3, 4)),
    ),
    ("local response alone", nn.LocalResponseNorm(3)),
    ("norm over all", nn.LayerNorm((3, 16, 16))),
    ("softmax of channels", nn.Softmax2d()),
    ("group norm", nn.GroupNorm(1, 3)),
    ("instance norm", nn.InstanceNorm2d(3)),
    ("batch norm", nn.BatchNorm2d(3)),
    ("patches and attention", Net(lambda x, p, a: a(p(patches(x))), nn.Linear(48, 8), ENCODER)),
    ("patches mixed", Net(lambda x, p, m: m(p(patches(x))), nn.Linear(48, 8), nn.Conv1d(16, 4, 1))),
    ("mixer", Net(lambda x, p, m: m(p(x).flatten(2)), nn.Conv2d(3, 8, 4, 4), nn.Linear(16, 16))),
    ("neighbours", Net(lambda x: x[:, :, 1:] - x[:, :, :-1])),
    ("unshuffled", nn.PixelUnshuffle(2)),
    ("unshuffled, then mixed", nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 1))),
    ("views alone", Net(lambda x: x[..., None].expand(*x.shape, 2).reshape(*x.shape[:-1], -1))),
    ("running sum along one", Net(lambda x: x.cumsum(3))),
    ("frequencies", Net(lambda x: torch.fft.rfft2(x).abs())),
    ("loss within", Net(lambda x, conv: conv(x).square().mean(), CONV)),
    ("rows as channels", Net(lambda x, a, b: b(a(x).flatten(1, 2)), CONV, nn.Conv1d(4 * 14, 4, 3))),
]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("net", [net for _, net in IMAGES], ids=[name for name, _ in IMAGES])
def test_images_have_two_axes(net, batch):
    assert source_of(il.trace(net, (batch, 3, 16, 16))).axes == (2, 3)


LAYOUTS = [
    ("no batch", CONV, (3, 32, 40), (1, 2)),
    ("no batch, one channel", nn.Conv2d(1, 4, 3), (1, 32, 40), (1, 2)),
    ("no batch, pool", nn.MaxPool2d(2), (3, 32, 40), (1, 2)),
    ("no batch, tokens", ENCODER, (5, 8), (0,)),
    ("channels last", Net(lambda x, conv: conv(x.permute(0, 3, 1, 2)), CONV), (2, 16, 12, 3), (1, 2)),
    ("time first", Net(lambda x, c: c(x.mT), nn.Conv1d(8, 4, 3)), (2, 5, 8), (1,)),
    ("time summed up", Net(lambda x: x.cumsum(1)), (2, 5, 8), (1,)),
    ("audio", Net(lambda x, c: c(x.unsqueeze(1)), nn.Conv1d(1, 4, 3)), (2, 30), (1,)),
    ("grid of tokens", Net(lambda x, c: c(x.mT.unflatten(2, (4, 4))), nn.Conv2d(8, 4, 3)), (2, 16, 8), (1,)),
    ("encoder", ENCODER, (2, 5, 8), (1,)),
    ("encoder of one sample", ENCODER, (1, 5, 8), (1,)),
    ("encoder, batch second", encoder(), (5, 2, 8), (0,)),
    ("encoder, norm first", encoder(batch_first=True, norm_first=True), (2, 5, 8), (1,)),
    ("attention", Net(attention, *linears(3)), (2, 5, 8), (1,)),
    ("attention without weights", Net(attention, *[nn.Identity()] * 3), (2, 5, 8), (1,)),
    ("attention with a token", Net(attention_with_token, *linears(3)), (2, 5, 8), (1,)),
    ("fused attention", Net(lambda x: F.scaled_dot_product_attention(x, x, x)), (2, 2, 5, 8), (2,)),
    ("shared heads", Net(shared_heads, nn.Linear(4, 4), LINEAR), (2, 5, 8), (1,)),
    ("frames", Net(of_frames, CONV), (2, 4, 3, 16, 16), (1, 3, 4)),
    ("frames of one sample", Net(of_frames, CONV), (1, 4, 3, 16, 16), (1, 3, 4)),
    ("frames apart", Net(lambda x, c: c(x.flatten(0, 1)), CONV), (2, 4, 3, 16, 16), (3, 4)),
    ("frames added", Net(lambda x, c: sum(c(y) for y in x.unbind(1)), CONV), (2, 4, 3, 16, 16), (1, 3, 4)),
    ("frames stacked", Net(stacked, CONV), (2, 4, 3, 16, 16), (3, 4)),
    (
        "frames stacked, then averaged",
        Net(lambda x, c: stacked(x, c).mean(1), CONV),
        (2, 4, 3, 16, 16),
        (1, 3, 4),
    ),
    ("tokens written", Net(lambda x, a: written(x, a).cumsum(1), nn.Linear(8, 8)), (2, 5, 8), (1,)),
    ("frames shifted", Net(shifted, CONV), (2, 4, 3, 16, 16), (1, 3, 4)),
    ("points", Net(lambda x, a: a(x).amax(1), nn.Linear(3, 8)), (2, 7, 3), (1,)),
    ("points by convolution", Net(lambda x, a: a(x).amax(2), nn.Conv1d(3, 8, 1)), (2, 3, 7), (2,)),
    ("points without a batch", Net(lambda x, a: a(x).amax(0), nn.Linear(3, 8)), (7, 3), (0,)),
    ("recurrent", nn.LSTM(4, 5, batch_first=True), (2, 3, 4), (1,)),
    ("recurrent, batch second", nn.LSTM(4, 5), (3, 2, 4), (0,)),
    ("gated", nn.GRU(4, 5, batch_first=True), (2, 3, 4), (1,)),
    ("graph", Net(lambda x, a: torch.eye(6, device=x.device) @ a(x), LINEAR), (6, 8), (0,)),
    ("samples compared", Net(lambda x, a, b: b(a(x).mT).mT, ENCODER, encoder()), (5, 8, 8), (1,)),
]


@pytest.mark.parametrize(
    ("net", "shape", "axes"), [layout[1:] for layout in LAYOUTS], ids=[layout[0] for layout in LAYOUTS]
)
def test_axes_of_other_layouts(net, shape, axes):
    assert source_of(il.trace(net, shape)).axes == axes


NO_AXES = [
    ("linear", LINEAR, (2, 5, 8)),
    ("linear of normalised features", nn.Sequential(nn.LayerNorm(8), LINEAR), (2, 5, 8)),
    ("linear of centred features", Net(lambda x, a: a(x - x.mean(-1, keepdim=True)), LINEAR), (2, 5, 8)),
    ("linear of each", Net(stacked, LINEAR), (2, 5, 8)),
    ("linear of each, written", Net(written, nn.Linear(8, 8)), (2, 5, 8)),
    ("features alone", LINEAR, (2, 8)),
    ("batch norm of features", nn.Sequential(LINEAR, nn.BatchNorm1d(4)), (2, 8)),
    ("flattened image", nn.Sequential(nn.Flatten(), nn.Linear(256, 4)), (2, 1, 16, 16)),
    ("loss within", Net(lambda x, a: a(x).square().sum(1).mean(), LINEAR), (2, 8)),
    (
        "generator",
        nn.Sequential(nn.Linear(6, 64), nn.Unflatten(1, (4, 4, 4)), nn.ConvTranspose2d(4, 3, 4)),
        (2, 6),
    ),
]


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(
    ("net", "shape"), [layout[1:] for layout in NO_AXES], ids=[layout[0] for layout in NO_AXES]
)
def test_where_nothing_slides_or_mixes_there_are_no_axes(net, shape, mode):
    with pytest.raises(NoSpatialAxes, match="no window slides along it and no places mix"):
        il.receptive_field(il.trace(net, shape, mode=mode))


def test_embedded_tokens():
    mixed = nn.Sequential(nn.Embedding(20, 8), ENCODER)
    assert source_of(il.trace(mixed, [tokens(2)])).axes == (1,)
    with pytest.raises(NoSpatialAxes):
        source_of(il.trace(nn.Sequential(nn.Embedding(20, 8), LINEAR), [tokens(2)]))


def test_the_first_input_with_axes_is_the_source():
    net = Net(lambda t, x, a, c: c(x) + a(t)[:, :, None, None], nn.Linear(6, 4), CONV)
    trace = il.trace(net, [(2, 6), (2, 3, 16, 16)])
    source = source_of(trace)
    assert trace.values[source.value].shape == (2, 3, 16, 16)
    assert source.axes == (2, 3)
    assert il.field_of(trace, "layers.1").receptive_field == (3, 3)


@pytest.mark.parametrize("name", il.list_models())
def test_the_axes_of_the_zoo(name):
    assert source_of(il.trace(il.create_model(name, device="meta"), image(name))).axes == (2, 3)


# ------------------------------------------------------------------------------ layers as the source


LAYERS = [
    ("before a convolution", nn.Sequential(CONV, nn.Conv2d(4, 4, 3)), (2, 3, 16, 16), "0", (2, 3)),
    ("last", nn.Sequential(CONV, nn.ReLU()), (2, 3, 16, 16), "1", (2, 3)),
    ("last of tokens", nn.Sequential(ENCODER, LINEAR), (2, 5, 8), "0", (1,)),
    ("last of tokens, batch second", nn.Sequential(encoder(), LINEAR), (5, 2, 8), "0", (0,)),
    (
        "where the input has none",
        nn.Sequential(nn.Linear(6, 64), nn.Unflatten(1, (4, 4, 4)), nn.ConvTranspose2d(4, 3, 4)),
        (2, 6),
        "1",
        (2, 3),
    ),
]


@pytest.mark.parametrize(
    ("net", "shape", "layer", "axes"), [row[1:] for row in LAYERS], ids=[row[0] for row in LAYERS]
)
def test_axes_of_a_layer(net, shape, layer, axes):
    assert source_of(il.trace(net, shape), layer).axes == axes


def test_a_layer_behind_the_places_has_no_axes():
    net = nn.Sequential(CONV, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(NoSpatialAxes, match="Sequential: 3 has no spatial axes"):
        source_of(il.trace(net, (2, 3, 16, 16)), "3")
    with pytest.raises(InceptionLabError, match="no layer '9'"):
        source_of(il.trace(net, (2, 3, 16, 16)), "9")


# ------------------------------------------------------------------------------ the fields along them


def test_an_input_without_a_batch_has_the_field_of_one_with():
    fields = [il.field_of(il.trace(CONV, shape), "(model)") for shape in ((3, 32, 40), (1, 3, 32, 40))]
    assert fields[0] == fields[1]
    assert fields[0].receptive_field == (3, 3)
    assert fields[0].extent((5, 30)) == fields[1].extent((5, 30)) == ((5, 7), (30, 32))


def test_channels_last_have_the_field_of_channels_first():
    net = Net(lambda x, conv: conv(x.permute(0, 3, 1, 2)), nn.Conv2d(3, 4, (3, 5), stride=(1, 2)))
    field = il.field_of(il.trace(net, (1, 16, 12, 3)), "(model)")
    assert (field.receptive_field, field.stride) == ((3, 5), (1, 2))


def test_a_sequence_that_is_transposed_has_one_field():
    net = Net(lambda x, conv: conv(x.mT).mT, nn.Conv1d(8, 4, 3))
    field = il.field_of(il.trace(net, (2, 9, 8)), "(model)")
    assert (field.receptive_field, field.extent((4,))) == ((3,), ((4, 6),))


def test_each_token_of_an_encoder_sees_all():
    field = il.field_of(il.trace(ENCODER, (2, 5, 8)), "(model)")
    assert (field.status, field.receptive_field, field.extent((2,))) == ("exact", (1,), ((0, 4),))
    assert field.global_context == ("self_attn",)


def test_the_smallest_input_where_channels_come_last():
    net = Net(lambda x, conv: conv(x.permute(0, 3, 1, 2)), CONV)
    assert il.smallest_input(net, (1, 16, 12, 3)) == (3, 3)
    assert il.smallest_input(CONV, (3, 16, 12)) == (3, 3)
