"""The spectrum over branches: by hand, and by following all paths of a small net one by one."""

from collections import Counter
from itertools import product

import pytest
import torch
from support.branched import InceptionTime
from torch import nn

import inception_lab as il
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
    from inception_lab.analyzers.receptive_field.channels import channel_fields

    segments = channel_fields(trace)[trace.calls[0].outputs[0]]
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
