"""Fields of parts of nets as they are published, by hand arithmetic."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import inception_lab as il


class VisionTransformer(nn.Module):
    """Patches of 4x4 and a class token, one layer, a head on the class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.position = nn.Parameter(torch.zeros(1, 13, 8))
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.head(self.layer(x)[:, 0])


class CoordinateAttention(nn.Module):
    """A gate of the means along rows, times one of those along columns (Hou et al., 2021)."""

    def __init__(self) -> None:
        super().__init__()
        self.pool_h = nn.AdaptiveAvgPool2d((None, 1))
        self.pool_w = nn.AdaptiveAvgPool2d((1, None))
        self.conv1 = nn.Conv2d(4, 4, 1)
        self.conv_h = nn.Conv2d(4, 4, 1)
        self.conv_w = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        sizes = list(x.shape[2:])
        pooled = torch.cat([self.pool_h(x), self.pool_w(x).transpose(2, 3)], 2)
        rows, columns = torch.split(self.conv1(pooled), sizes, 2)
        return x * self.conv_h(rows).sigmoid() * self.conv_w(columns.transpose(2, 3)).sigmoid()


class ResponseNorm(nn.Module):
    """The global response normalisation of ConvNeXt V2, on channels last."""

    def forward(self, x: Tensor) -> Tensor:
        norm = torch.norm(x, dim=(1, 2), keepdim=True)
        return x + x * norm / norm.mean(-1, keepdim=True)


class ChannelsLast(nn.Module):
    """A convolution that sees all rows, then a normalisation on channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, (5, 3), padding=(2, 1))
        self.linear = nn.Linear(6, 6)
        self.norm = ResponseNorm()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.linear(self.conv(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


class Windows(nn.Module):
    """Tokens of 2x2 windows, as windows x tokens x features."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 4, 2, 2)
        self.qkv = nn.Linear(4, 12)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).permute(0, 2, 3, 1)
        n, h, w, c = x.shape
        tokens = x.view(n, h // 2, 2, w // 2, 2, c).transpose(2, 3).reshape(-1, 4, c)
        q, k, v = self.qkv(tokens).chunk(3, -1)
        y = F.softmax(q @ k.transpose(1, 2), -1) @ v
        return y.view(n, h // 2, w // 2, 2, 2, c).transpose(2, 3).reshape(n, h, w, c)


class TextRecogniser(nn.Module):
    """Convolutions, then a recurrent layer over columns."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.rnn = nn.LSTM(16, 3, bidirectional=True, batch_first=True)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.head(self.rnn(x.permute(0, 3, 1, 2).flatten(2))[0])


class Rectified(nn.Module):
    """A rectifier as it is written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        y[y < 0] = 0
        return y


def test_a_number_written_under_a_mask_of_the_value_reads_its_place_alone() -> None:
    field = il.field_of(il.trace(Rectified(), (1, 3, 8, 8)), "(model)")
    assert (field.status, field.receptive_field, field.global_context) == ("exact", (3, 3), ())
    assert field.extent((4, 0)) == ((3, 5), (0, 1))


def test_a_class_token_sees_everything_and_nothing_on_local_paths() -> None:
    field = il.field_of(il.trace(VisionTransformer(), (1, 3, 16, 12)), "head")
    assert (field.status, field.reason, field.global_context) == ("exact", "sees everything", ())
    assert field.extent((0, 0)) == field.local_extent((0, 0)) == ((0, 15), (0, 11))


def test_coordinate_attention_is_one_layer_of_global_context() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), CoordinateAttention(), CoordinateAttention())
    trace = il.trace(net, (1, 3, 8, 6))
    field = il.field_of(trace, "(model)")
    assert (field.status, field.receptive_field, field.global_context) == ("exact", (3, 3), ("1", "2"))
    assert field.extent((4, 3)) == ((0, 7), (0, 5))
    # of a mean along a row only what is seen along columns is local
    pooled = il.field_of(trace, "2.pool_h")
    assert (pooled.status, pooled.local_extent((4, 0))) == ("exact", ((3, 5), (0, 5)))


def test_an_axis_that_nothing_tells_apart_stays_in_its_place() -> None:
    field = il.field_of(il.trace(ChannelsLast(), (1, 3, 3, 8)), "norm")
    assert (field.status, field.grid, field.receptive_field) == ("exact", (3, 8), (5, 3))
    assert field.extent((1, 4)) == ((0, 2), (0, 7))
    assert field.local_extent((1, 4)) == ((0, 2), (3, 5))


def test_tokens_of_windows_are_units() -> None:
    trace = il.trace(Windows(), (1, 3, 8, 8))
    field = il.field_of(trace, "qkv")
    assert (field.grid, field.receptive_field, field.stride) == ((4, 4), (2, 2), (2, 2))
    assert field.extent((1, 2)) == ((2, 3), (4, 5))
    # attention joins those of a window: two rows and two columns of patches
    assert il.field_of(trace, "(model)").extent((1, 2)) == ((0, 3), (4, 7))


@pytest.mark.parametrize("layer", ["rnn", "head"])
def test_a_recurrent_layer_in_both_directions_sees_everything(layer: str) -> None:
    field = il.field_of(il.trace(TextRecogniser(), (1, 1, 4, 6)), layer)
    assert (field.status, field.reason, field.global_context) == ("exact", "sees everything", ())
    assert all(field.extent((k,)) == ((0, 3), (0, 5)) for k in range(field.grid[0]))
