"""The saving of 1x1 reductions, against naive modules that were really traced, and by hand."""

import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.models.googlenet_modules import TABLE, input_channels, naive_module, reduced_module

SIDE = {"3": 28, "4": 14, "5": 7}


@pytest.fixture(scope="module")
def saving():
    trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
    return il.reduction_saving(trace).set_index(["module", "branch"])


def test_the_figures_that_the_project_is_named_for(saving):
    row = saving.loc[("inception3a", "branch3")]
    assert (row["naive_macs"], row["reduced_macs"]) == (120_422_400, 12_443_648)
    assert row["macs_ratio"] == pytest.approx(9.68, abs=0.005)
    assert saving.loc[("inception3a", "sum"), "weights_ratio"] == pytest.approx(2.37, abs=0.005)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_branch_equals_the_naive_module_on_the_same_input(saving, row):
    channels, side = input_channels(row.name), SIDE[row.name[0]]
    with torch.device("meta"):
        module = naive_module(row, channels)
    costs = il.layer_costs(il.trace(module, (1, channels, side, side)))
    for branch in ("branch1", "branch2", "branch3", "branch4"):
        layers = costs[costs["layer"].str.startswith(branch)]
        assert saving.loc[(f"inception{row.name}", branch), "naive_macs"] == layers["macs"].sum()
        weights = sum(p.numel() for n, p in module.named_parameters() if n.startswith(branch) and p.dim() > 1)
        assert saving.loc[(f"inception{row.name}", branch), "naive_weights"] == weights


def test_the_reduced_side_is_the_net_itself(saving):
    model = il.create_model("googlenet", device="meta")
    assert saving.loc[("whole net", "sum"), "reduced_macs"] == 1_582_671_872
    assert saving.loc[("whole net", "sum"), "reduced_weights"] == sum(
        p.numel() for p in model.parameters() if p.dim() > 1
    )


def test_sums_add_up(saving):
    numbers = saving.drop(columns=["weights_ratio", "macs_ratio"])
    modules = [f"inception{row.name}" for row in TABLE]
    for module in modules:
        inside = numbers.loc[[(module, f"branch{n}") for n in (1, 2, 3, 4)]]
        assert (inside.sum() == numbers.loc[(module, "sum")]).all()
    assert (numbers.loc[[(m, "sum") for m in modules]].sum() == numbers.loc[("all modules", "sum")]).all()


def test_train_mode_saves_the_same(saving):
    model = il.create_model("googlenet", device="meta", aux_logits=True)
    trained = il.reduction_saving(il.trace(model, (2, 3, 224, 224), mode="train")).set_index(
        ["module", "branch"]
    )
    assert (trained.loc["inception4a", "naive_macs"] == 2 * saving.loc["inception4a", "naive_macs"]).all()


def test_the_naive_net_has_nothing_to_save():
    table = il.reduction_saving(il.trace(il.create_model("googlenet_naive", device="meta"), (1, 3, 224, 224)))
    assert (table["naive_macs"] == table["reduced_macs"]).all()


def test_a_plain_net_has_no_table():
    assert il.reduction_saving(
        il.trace(nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3)), (1, 3, 8, 8))
    ).empty


def test_one_1x1_that_feeds_two_convolutions_widens_both():
    class Split(nn.Module):
        def __init__(self):
            super().__init__()
            self.reduce = nn.Conv2d(16, 4, 1, bias=False)
            self.tall = nn.Conv2d(4, 6, (3, 1), padding=(1, 0), bias=False)
            self.wide = nn.Conv2d(4, 6, (1, 3), padding=(0, 1), bias=False)

        def forward(self, x):
            x = torch.relu(self.reduce(x))
            return torch.cat([self.tall(x), self.wide(x)], 1)

    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.split, self.plain = Split(), nn.Conv2d(16, 5, 1, bias=False)

        def forward(self, x):
            return torch.cat([self.split(x), self.plain(x)], 1)

    table = il.reduction_saving(il.trace(Module(), (1, 16, 4, 4))).set_index("branch")
    assert table.loc["split", "reduced_weights"] == 16 * 4 + 2 * (4 * 6 * 3)
    assert table.loc["split", "naive_weights"] == 2 * (16 * 6 * 3)
    assert table.loc["plain", "naive_weights"] == table.loc["plain", "reduced_weights"] == 80


def test_a_grouped_convolution_keeps_the_1x1_before_it():
    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.deep = nn.Sequential(nn.Conv2d(16, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=8))
            self.plain = nn.Conv2d(16, 5, 1)

        def forward(self, x):
            return torch.cat([self.deep(x), self.plain(x)], 1)

    table = il.reduction_saving(il.trace(Module(), (1, 16, 4, 4)))
    assert (table["naive_macs"] == table["reduced_macs"]).all()


POOLS = [
    (nn.MaxPool1d(2), 1), (nn.MaxPool2d(2), 2), (nn.MaxPool3d(2), 3),
    (nn.AvgPool1d(2), 1), (nn.AvgPool2d(2), 2), (nn.AvgPool3d(2), 3),
    (nn.AdaptiveMaxPool1d(4), 1), (nn.AdaptiveMaxPool2d(4), 2), (nn.AdaptiveMaxPool3d(4), 3),
    (nn.AdaptiveAvgPool1d(4), 1), (nn.AdaptiveAvgPool2d(4), 2), (nn.AdaptiveAvgPool3d(4), 3),
    (nn.FractionalMaxPool2d(2, 4), 2), (nn.FractionalMaxPool3d(2, 4), 3),
]  # fmt: skip
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class Beside(nn.Module):
    """A branch beside a plain convolution that halves the image as well."""

    def __init__(self, branch, axes=2):
        super().__init__()
        self.branch, self.plain = branch, CONVOLUTIONS[axes](16, 5, 2, stride=2, bias=False)

    def forward(self, x):
        return torch.cat([self.branch(x), self.plain(x)], 1)


@pytest.mark.parametrize(("pool", "axes"), POOLS, ids=str)
def test_a_1x1_behind_any_pool_is_a_reduction(pool, axes):
    net = Beside(nn.Sequential(pool, CONVOLUTIONS[axes](16, 4, 1, bias=False)), axes)
    table = il.reduction_saving(il.trace(net, (1, 16, *[8] * axes))).set_index("branch")
    assert table.loc["branch", ["naive_weights", "reduced_weights"]].tolist() == [0, 16 * 4]


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.BatchNorm2d(16), nn.Upsample(scale_factor=1)], ids=str)
def test_a_1x1_behind_anything_else_stays(layer):
    net = Beside(nn.Sequential(layer, nn.Conv2d(16, 4, 1, bias=False), nn.MaxPool2d(2)))
    table = il.reduction_saving(il.trace(net, (1, 16, 8, 8))).set_index("branch")
    assert table.loc["branch", ["naive_weights", "reduced_weights"]].tolist() == [16 * 4, 16 * 4]


@pytest.mark.parametrize(
    "layers",
    [
        [nn.ConvTranspose2d(16, 4, 1), nn.Conv2d(4, 8, 2, stride=2)],
        [nn.Conv2d(16, 4, 1), nn.ConvTranspose2d(4, 4, 3, padding=1), nn.MaxPool2d(2)],
    ],
)
def test_transposed_convolutions_are_left_as_they_are(layers):
    table = il.reduction_saving(il.trace(Beside(nn.Sequential(*layers)), (1, 16, 8, 8)))
    assert (table["naive_weights"] == table["reduced_weights"]).all()


def test_reduced_module_alone_gives_the_same_row(saving):
    row = TABLE[0]
    with torch.device("meta"):
        module = reduced_module(row, 192)
    table = il.reduction_saving(il.trace(module, (1, 192, 28, 28))).set_index("branch")
    assert table.loc["branch3", "naive_macs"] == saving.loc[("inception3a", "branch3"), "naive_macs"]
