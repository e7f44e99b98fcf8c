"""Worksheets of traced modules: by hand, against the costs of layers, and of nets of all kinds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.branched import I3D, InceptionTime
from support.zoo import heads, image
from torch import nn

import inception_lab as il
from inception_lab.models.cards import CARDS

CLASSIFIERS = sorted(CARDS)


def trace_of(name, **options):
    return il.trace(il.create_model(name, device="meta", **options), image(name), name=name)


@pytest.fixture(scope="module")
def googlenet():
    return trace_of("googlenet")


def rows_of(trace, module):
    """The rows of `layer_costs` for a module and all that is inside of it."""
    costs = il.layer_costs(trace)
    return costs if module == "(model)" else costs[(costs["layer"] + ".").str.startswith(f"{module}.")]


def by_layer(workings):
    return {working.layer: working for working in workings}


def test_inception3a_by_hand(googlenet):
    sheet = il.worksheet(googlenet, "inception3a")
    assert (sheet.input_shape, sheet.output_shape) == ((1, 192, 28, 28), (1, 256, 28, 28))
    naive = {branch.name: branch.naive for branch in sheet.branches}
    reduced = {branch.name: branch.reduced for branch in sheet.branches}
    assert {name: sums.macs for name, sums in reduced.items()} == {
        "branch1": 28 * 28 * 64 * 192,
        "branch2": 28 * 28 * (96 * 192 + 128 * 9 * 96),
        "branch3": 12_443_648,
        "branch4": 28 * 28 * 32 * 192,
    }
    assert {name: sums.macs for name, sums in naive.items()} == {
        "branch1": 28 * 28 * 64 * 192,
        "branch2": 28 * 28 * 128 * 9 * 192,
        "branch3": 120_422_400,
        "branch4": 0,
    }
    assert [reduced["branch3"].weights, reduced["branch3"].biases] == [192 * 16 + 25 * 16 * 32, 16 + 32]
    assert [naive["branch3"].weights, naive["branch3"].biases] == [25 * 192 * 32, 32]
    assert (sheet.joined_channels, sheet.naive_joined_channels) == ((64, 128, 32, 32), (64, 128, 32, 192))
    assert sheet.reduced.params == 163_696


def test_the_factors_are_those_of_the_layer(googlenet):
    branch = il.worksheet(googlenet, "inception3a").branches[2]
    assert by_layer(branch.workings)["conv5x5.conv"].places == (28, 28, 32)
    assert by_layer(branch.workings)["conv5x5.conv"].each == (5, 5, 16)
    (naive,) = branch.naive_workings
    assert (naive.places, naive.each, naive.input_shape) == ((28, 28, 32), (5, 5, 192), (1, 192, 28, 28))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_sums_are_those_of_layer_costs_and_of_the_saving(name):
    trace = trace_of(name, **heads(name))
    saving = il.reduction_saving(trace)
    blocks = [module for module in saving["module"].unique() if module not in ("all modules", "whole net")]
    for module in [*blocks, "(model)"]:
        sheet, rows = il.worksheet(trace, module), rows_of(trace, module)
        assert (sheet.reduced.macs, sheet.reduced.params) == (rows["macs"].sum(), rows["params"].sum())
        inside = [block for block in blocks if module == "(model)" or f"{block}.".startswith(f"{module}.")]
        sides = saving[saving["module"].isin(inside) & (saving["branch"] == "sum")]
        outside = [branch.naive.macs for branch in sheet.branches if not branch.name]
        assert sheet.naive.macs - sum(outside) == sides["naive_macs"].sum()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_product_with_factors_multiplies_to_its_macs(name):
    sheet = il.worksheet(trace_of(name), "(model)")
    for branch in sheet.branches:
        for working in (*branch.workings, *branch.naive_workings):
            assert bool(working.places) == bool(working.sums.macs)
            if working.places:
                product = torch.tensor((*working.places, *working.each)).prod().item()
                assert product == working.sums.macs


def test_split_branches_of_inception_v3():
    sheet = il.worksheet(trace_of("inception_v3"), "mixed_7b")
    assert [branch.name for branch in sheet.branches] == [
        "branch1",
        "branch2",
        "branch2.split.conv1x3",
        "branch2.split.conv3x1",
        "branch3",
        "branch3.split.conv1x3",
        "branch3.split.conv3x1",
        "branch4",
    ]
    assert sheet.joined_channels == (320, 768, 768, 192)
    (one,) = [branch for branch in sheet.branches if branch.name == "branch3.split.conv1x3"]
    assert by_layer(one.workings)["conv"].each == (1, 3, 384)
    assert one.reduced.other_params == 2 * 384


def test_normalisation_goes_with_the_reduction_that_it_follows():
    branch = il.worksheet(trace_of("googlenet_bn"), "inception3a").branches[2]
    assert list(by_layer(branch.workings)) == ["reduce.conv", "reduce.bn", "conv5x5.conv", "conv5x5.bn"]
    assert list(by_layer(branch.naive_workings)) == ["conv5x5.conv", "conv5x5.bn"]
    assert (branch.reduced.other_params, branch.naive.other_params) == (2 * (16 + 32), 2 * 32)


def test_a_module_without_branches_has_its_plain_working(googlenet):
    sheet = il.worksheet(googlenet, "conv2")
    assert not sheet.branched
    assert not sheet.has_reductions
    assert [working.layer for working in sheet.branches[0].workings] == ["conv"]
    assert sheet.reduced.macs == 56 * 56 * 192 * 9 * 64


def test_a_whole_branch_has_its_counterpart_and_a_part_of_one_has_none(googlenet):
    branch = il.worksheet(googlenet, "inception3a.branch3")
    assert (branch.naive.macs, branch.reduced.macs) == (120_422_400, 12_443_648)
    conv = il.worksheet(googlenet, "inception3a.branch3.conv5x5")
    assert conv.naive == conv.reduced
    assert conv.reduced.macs == 10_035_200


def test_the_classifier_is_a_matrix_product(googlenet):
    (working,) = il.worksheet(googlenet, "fc").branches[0].workings
    assert (working.places, working.each) == ((1000,), (1024,))
    assert (working.sums.weights, working.sums.biases) == (1000 * 1024, 1000)


def test_a_batch_is_a_factor():
    trace = il.trace(il.create_model("googlenet", device="meta"), (8, 3, 224, 224))
    branch = il.worksheet(trace, "inception3a").branches[2]
    assert branch.naive_workings[0].places == (8, 28, 28, 32)
    assert branch.naive.macs == 8 * 120_422_400


def test_train_mode_writes_the_forward_down():
    model = il.create_model("googlenet", device="meta", aux_logits=True)
    trace = il.trace(model, (2, 3, 224, 224), mode="train", optimizer="momentum")
    for module in ("inception3a", "aux1"):
        sheet, rows = il.worksheet(trace, module), rows_of(trace, module)
        assert (sheet.reduced.macs, sheet.reduced.params) == (rows["macs"].sum(), rows["params"].sum())


@pytest.mark.parametrize(
    ("net", "shape"), [(InceptionTime(), (2, 2, 50)), (I3D(), (2, 3, 4, 32, 32))], ids=["1-d", "3-d"]
)
def test_other_numbers_of_axes(net, shape):
    trace = il.trace(net, shape)
    sheet = il.worksheet(trace, "(model)")
    costs = il.layer_costs(trace)
    assert (sheet.reduced.macs, sheet.reduced.params) == (costs["macs"].sum(), costs["params"].sum())
    assert sheet.branched


def both(net, shape, module="(model)"):
    """Sums of a worksheet and of the rows of `layer_costs`."""
    trace = il.trace(net, shape)
    rows = rows_of(trace, module)
    sums = il.worksheet(trace, module).reduced
    return (sums.macs, sums.params), (rows["macs"].sum(), rows["params"].sum())


class Twice(nn.Module):
    """One convolution that runs twice, and a weight that two layers share."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.other = nn.Conv2d(4, 4, 3, padding=1)
        self.other.weight = self.conv.weight

    def forward(self, x):
        return self.other(self.conv(self.conv(x)))


def test_a_parameter_counts_once():
    sums, costs = both(Twice(), (1, 4, 6, 6))
    assert sums == costs
    workings = il.worksheet(il.trace(Twice(), (1, 4, 6, 6)), "(model)").branches[0].workings
    assert [working.layer for working in workings] == ["conv", "conv (call 2)", "other"]
    assert [(w.sums.weights, w.sums.biases) for w in workings] == [(144, 4), (0, 0), (0, 4)]


NETS = {
    "attention": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
    "recurrent": (nn.Sequential(nn.LSTM(4, 6)), (5, 2, 4)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2), (1, 4, 5, 5)),
    "grouped": (nn.Conv2d(8, 16, 3, groups=4), (1, 8, 6, 6)),
    "complex": (nn.Conv2d(2, 3, 3, dtype=torch.complex64), (1, 2, 6, 6)),
    "weight norm": (nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), (1, 3, 6, 6)),
    "never called": (nn.Sequential(nn.Linear(3, 4)), (2, 3)),
}


@pytest.mark.parametrize("name", NETS)
def test_layers_of_all_kinds_add_up(name):
    sums, costs = both(*NETS[name])
    assert sums == costs


def test_layers_that_never_ran_keep_their_parameters():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.spare = nn.Linear(3, 4), nn.Linear(3, 5)

        def forward(self, x):
            return self.used(x)

    sheet = il.worksheet(il.trace(Net(), (1, 3)), "(model)")
    assert by_layer(sheet.branches[0].workings)["spare"].operation == "Linear, never called"
    assert sheet.reduced.params == 16 + 20
    with pytest.raises(il.InceptionLabError, match="spare: never ran in eval mode"):
        il.worksheet(il.trace(Net(), (1, 3)), "spare")


def test_transposed_convolutions_multiply_every_input():
    (working,) = (
        il.worksheet(il.trace(nn.ConvTranspose2d(4, 6, 3, stride=2), (1, 4, 5, 7)), "").branches[0].workings
    )
    assert (working.places, working.each, working.transposed) == ((5, 7, 4), (3, 3, 6), True)


def test_a_fork_behind_a_stem_is_of_no_module():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.left, self.right = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1), nn.Conv2d(4, 2, 1)

        def forward(self, x):
            x = self.stem(x)
            return torch.cat([self.left(x), self.right(x)], 1)

    text = il.render_worksheet(il.worksheet(il.trace(Net(), (1, 3, 8, 8)), "(model)"))
    assert "No module in it forks its input into branches" in " ".join(text.split())


def test_what_is_not_counted_is_named():
    class Net(nn.Module):
        def forward(self, x):
            return torch.ops.inception_lab_worksheet.odd(x) @ x

    library = torch.library.Library("inception_lab_worksheet", "DEF")
    library.define("odd(Tensor x) -> Tensor")
    library.impl("odd", lambda x: x * 2, "CompositeExplicitAutograd")
    sheet = il.worksheet(il.trace(Net(), (4, 4)), "(model)")
    assert dict(sheet.uncounted_ops) == {"inception_lab_worksheet.odd.default": 1}
    assert "NOT COUNTED inception_lab_worksheet.odd.default, ran once" in il.render_worksheet(sheet)


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("incepton3a", "googlenet: no module 'incepton3a'; did you mean inception3a"),
        ("inception3a.branch9", "did you mean inception3a.branch"),
        ("zzz", "known: (model), avgpool, conv1, conv2, "),
        ("dropout", "dropout: nothing in it multiplies, pools or has parameters; take a module around it"),
    ],
)
def test_a_wrong_module_is_one_line(googlenet, module, line):
    with pytest.raises(il.InceptionLabError) as raised:
        il.worksheet(googlenet, module)
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_pool_beside_a_dilated_one_tells_its_size():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool = nn.MaxPool2d(3, 2, 1, dilation=2, ceil_mode=True)

        def forward(self, x):
            return self.pool(x)

    sheet = il.worksheet(il.trace(Net(), (1, 3, 20, 20)), "pool")
    (working,) = sheet.branches[0].workings
    assert working.window.positions(0, 20) == working.output_shape[2]
    assert "(20 + 2 x 1 - 5) / 2 + 1, rounded up = 10" in il.render_worksheet(sheet)


def test_local_response_normalisation_is_not_a_pool(googlenet):
    sheet = il.worksheet(googlenet, "(model)")
    pools = [w.layer for branch in sheet.branches for w in branch.workings if "pool" in w.operation]
    assert len(pools) == 4 + 9
    assert not [layer for layer in pools if "norm" in layer or "lrn" in layer]
    pool = nn.Sequential(nn.MaxPool1d(3, 2))
    assert "1x3 max pool" in il.render_worksheet(il.worksheet(il.trace(pool, (1, 1, 9)), "0"))


LAYERS = {
    "1x1": lambda width: nn.Conv2d(width, 4, 1),
    "1x1 without bias": lambda width: nn.Conv2d(width, 6, 1, bias=False),
    "3x3": lambda width: nn.Conv2d(width, 8, 3, padding=1),
    "1x7": lambda width: nn.Conv2d(width, 6, (1, 7), padding=(0, 3)),
    "grouped": lambda width: nn.Conv2d(width, 2 * width, 3, padding=1, groups=2),
    "max pool": lambda _: nn.MaxPool2d(3, 1, 1),
    "average pool": lambda _: nn.AvgPool2d(3, 1, 1),
    "norm": lambda width: nn.BatchNorm2d(width),
    "relu": lambda _: nn.ReLU(),
    "dropout": lambda _: nn.Dropout(0.5),
}


def chain(names, width=8):
    layers = nn.Sequential()
    for name in names:
        layers.append(LAYERS[name](width))
        width = getattr(layers[-1], "out_channels", width)
    return layers


class Joined(nn.Module):
    """Any branches beside each other."""

    def __init__(self, branches):
        super().__init__()
        self.branches = nn.ModuleList(map(chain, branches))

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


BRANCH = st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=5)


@given(st.lists(BRANCH, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_branches_add_up(branches):
    if not any("x" in name or "grouped" in name for branch in branches for name in branch):
        branches = [*branches, ["3x3"]]  # something to work out
    trace = il.trace(Joined(branches), (2, 8, 5, 6))
    sheet, costs, saving = il.worksheet(trace, ""), il.layer_costs(trace), il.reduction_saving(trace)
    assert (sheet.reduced.macs, sheet.reduced.params) == (costs["macs"].sum(), costs["params"].sum())
    if sheet.branched:
        net = saving[saving["module"] == "whole net"].iloc[0]
        assert (sheet.naive.macs, sheet.naive.weights) == (net["naive_macs"], net["naive_weights"])
        assert (sheet.reduced.macs, sheet.reduced.weights) == (net["reduced_macs"], net["reduced_weights"])
    for form in ("table", "markdown", "latex", "json", "csv"):
        assert il.render_worksheet(sheet, form).endswith("\n")
