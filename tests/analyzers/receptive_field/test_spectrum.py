"""The spectrum over branches: by hand, and by following all paths of a small net one by one."""

from collections import Counter
from itertools import product
from math import comb

import pytest
import torch
from support.branched import InceptionTime
from torch import nn

import inception_lab as il
from inception_lab.analyzers.receptive_field.channels import channels_of
from inception_lab.analyzers.receptive_field.spectrum import spectrum_summary


class Block(nn.Module):
    """Branches of several kernels, each as wide as told."""

    def __init__(self, channels, branches):
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(channels, w, k, padding=k // 2) for k, w in branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


BRANCHES = [(1, 2), (3, 4), (5, 3), (5, 1)]


def rows(net, shape, module, axis=0):
    spectrum = il.field_spectrum(il.trace(net, shape)).query(f"module == {module!r} and axis == {axis}")
    return spectrum[["field", "channels", "paths"]].to_numpy().tolist()


def test_one_block():
    assert rows(nn.Sequential(Block(3, BRANCHES)), (1, 3, 9, 9), "0") == [[1, 2, 1], [3, 4, 1], [5, 4, 2]]


@pytest.mark.parametrize("depth", [2, 3])
def test_paths_through_several_blocks(depth):
    """Paths: all combinations of branches. Channels: the last branch, on the widest of what is before."""
    width = sum(w for _, w in BRANCHES)
    net = nn.Sequential(*[Block(3 if not i else width, BRANCHES) for i in range(depth)])
    paths = Counter(1 + sum(k - 1 for k in ways) for ways in product([k for k, _ in BRANCHES], repeat=depth))
    channels = Counter()
    for k, w in BRANCHES:
        channels[1 + 4 * (depth - 1) + k - 1] += w
    expected = [[f, channels[f], paths[f]] for f in sorted(paths)]
    assert rows(net, (1, 3, 40, 40), str(depth - 1)) == expected


def test_a_shortcut_is_a_path():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 1)

        def forward(self, x):
            return x + self.left(x) + self.right(x)

    net = nn.Sequential(Residual(), Residual())
    assert rows(net, (1, 2, 9, 9), "1") == [[1, 0, 4], [3, 0, 4], [5, 2, 1]]


def test_depthwise_convolutions_and_slices_keep_channels_apart():
    class Apart(nn.Module):
        def __init__(self):
            super().__init__()
            self.block, self.depthwise = Block(3, [(1, 2), (3, 4)]), nn.Conv2d(4, 8, 3, padding=1, groups=4)

        def forward(self, x):
            return self.depthwise(self.block(x)[:, 1:5])

    net = nn.Sequential(Apart(), nn.ReLU())
    trace = il.trace(net, (1, 3, 9, 9))
    segments = channels_of(trace, trace.calls[0].outputs[0]).segments
    assert [tuple(segment) for segment in segments] == [(2, (3, 3)), (6, (5, 5))]


def test_asymmetric_kernels_have_a_spectrum_per_axis():
    class Crossed(nn.Module):
        def __init__(self):
            super().__init__()
            self.row, self.column = (
                nn.Conv2d(1, 2, (1, 7), padding=(0, 3)),
                nn.Conv2d(1, 3, (3, 1), padding=(1, 0)),
            )

        def forward(self, x):
            return torch.cat([self.row(x), self.column(x)], 1)

    net = nn.Sequential(Crossed())
    assert rows(net, (1, 1, 20, 20), "0", 0) == [[1, 2, 1], [3, 3, 1]]
    assert rows(net, (1, 1, 20, 20), "0", 1) == [[1, 3, 1], [7, 2, 1]]


def test_one_dimension_and_strides():
    spectrum = il.field_spectrum(il.trace(InceptionTime(width=4), (2, 2, 60))).query("module == 'blocks.0'")
    assert spectrum[["field", "channels"]].to_numpy().tolist() == [[3, 4], [9, 4], [19, 4], [39, 4]]


def test_the_summary():
    spectrum = il.field_spectrum(il.trace(nn.Sequential(Block(3, BRANCHES)), (1, 3, 9, 9)))
    summary = spectrum_summary(spectrum).iloc[0]
    assert summary[["smallest", "median", "largest"]].tolist() == [1, 3, 5]


@pytest.mark.parametrize(
    "name", ["googlenet", "inception_v4", "inception_resnet_v2", "bn_inception", "xception"]
)
def test_channels_add_up_and_the_largest_is_the_field(name):
    from support.zoo import image

    trace = il.trace(il.create_model(name, device="meta"), image(name))
    spectrum = il.field_spectrum(trace)
    widths = {c.path: trace.values[c.outputs[0]].shape[1] for c in trace.calls if c.outputs}
    for (module, _), part in spectrum.groupby(["module", "axis"]):
        assert part["channels"].sum() == widths[module]
    for module, part in spectrum.groupby("module"):
        field = il.field_of(trace, module)
        if field.status == "exact":
            assert part["field"].max() == max(field.receptive_field)


def test_a_net_without_branches_shows_its_own_modules():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 5, 3))
    spectrum = il.field_spectrum(il.trace(net, (1, 1, 9, 9))).query("axis == 0")
    assert spectrum[["module", "field", "channels", "paths"]].to_numpy().tolist() == [
        ["0", 3, 2, 1],
        ["1", 5, 5, 1],
    ]


def test_channels_of_other_centres_keep_their_own_field():
    """A convolution that begins a pixel before the edge beside a pool that begins at it: 3 pixels each."""

    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.pool = nn.Conv2d(3, 4, 3, 2, 1), nn.MaxPool2d(3, 2, 0, ceil_mode=True)

        def forward(self, x):
            return torch.cat([self.conv(x), self.pool(x)], 1)

    assert rows(nn.Sequential(Beside()), (1, 3, 16, 16), "0") == [[3, 7, 2]]
    # behind it a convolution sees 8 pixels: two strides of 2, and the pixel by which the branches differ
    net = nn.Sequential(Beside(), Block(7, [(3, 2), (1, 1)]))
    assert rows(net, (1, 3, 16, 16), "1") == [[3, 0, 2], [4, 1, 0], [7, 0, 2], [8, 2, 0]]


class Gate(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(channels, 2, 1), nn.Conv2d(2, channels, 1)

    def forward(self, x):
        return x * self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


@pytest.mark.parametrize("normalisation", [nn.Identity, lambda: nn.GroupNorm(2, 10), lambda: Gate(10)])
def test_gates_leave_the_local_fields_as_they_are(normalisation):
    """Through a gate or statistics a unit sees everything, which is no field of a path."""
    net = nn.Sequential(Block(3, BRANCHES), normalisation(), Block(10, BRANCHES))
    plain = nn.Sequential(Block(3, BRANCHES), Block(10, BRANCHES))
    assert rows(net, (1, 3, 40, 40), "2") == rows(plain, (1, 3, 40, 40), "1")


def test_paths_are_those_of_the_channels_that_are_left():
    """Of fields 1, 3 and 5, in channels 0 to 1, 2 to 5 and 6 to 9, a slice holds those of the last two."""

    class Halves(nn.Module):
        def __init__(self):
            super().__init__()
            self.branches = Block(3, [(1, 2), (3, 4), (5, 4)]).branches
            self.left, self.right = nn.Conv2d(4, 3, 3, padding=1), nn.Conv2d(4, 1, 1)

        def forward(self, x):
            first, last = torch.cat([branch(x) for branch in self.branches], 1)[:, 2:].split(4, 1)
            return torch.cat([self.left(first), self.right(last)], 1)

    assert rows(nn.Sequential(Halves()), (1, 3, 20, 20), "0") == [[5, 4, 2]]


def test_a_layer_that_keeps_channels_apart_continues_each_path_once():
    """Channels 0 and 1 of x + y hold x's paths beside y's; a pool after it has the one path over y once."""

    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.block, self.other = Block(1, [(1, 1), (3, 1)]), nn.Conv2d(1, 2, 5, padding=2)

        def forward(self, x):
            return nn.functional.max_pool2d(self.block(x) + self.other(x), 3, 1, 1)

    assert rows(nn.Sequential(Pooled()), (1, 1, 20, 20), "0") == [[3, 0, 1], [5, 0, 1], [7, 2, 1]]


def test_numbers_of_paths_are_exact_beyond_64_bits():
    """Each of 70 shortcuts doubles the paths, as binomials: of 2**70 in all, C(70, 35) add 35 x 2 pixels."""

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x):
            return x + self.conv(x)

    trace = il.trace(nn.Sequential(*[Residual() for _ in range(70)]), (1, 1, 8, 8))
    spectrum = il.field_spectrum(trace).query("module == '69' and axis == 0")
    assert sum(spectrum["paths"]) == 2**70
    assert dict(zip(spectrum["field"], spectrum["paths"], strict=True))[71] == comb(70, 35)
