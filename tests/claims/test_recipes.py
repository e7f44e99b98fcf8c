"""Recipes against arithmetic by hand and against torch itself."""

import pytest
from torch import nn

import inception_lab as il
from inception_lab.claims.claim import Figure, by
from inception_lab.claims.nets import Nets
from inception_lab.claims.quantity import about
from inception_lab.claims.recipes import RECIPES
from inception_lab.claims.recipes.costs import layers_total
from inception_lab.claims.recipes.layers import call_of
from inception_lab.claims.recompute import CheckedFigure
from inception_lab.claims.verdict import Unavailable, judge
from inception_lab.errors import InceptionLabError


@pytest.fixture(scope="module")
def nets():
    return Nets()


def values(nets, name, **arguments):
    return {reading.name: reading.value for reading in RECIPES[name](nets, **arguments)}


def modules(name, kind, **options):
    return [m for m in il.create_model(name, device="meta", **options).modules() if isinstance(m, kind)]


def test_parameters_under_every_reading(nets):
    net = il.create_model("googlenet", device="meta")
    total = sum(p.numel() for p in net.parameters())
    heads = sum(p.numel() for p in il.create_model("googlenet", device="meta", aux_logits=True).parameters())
    separable = 3 * 8 * 49 + 24 * 64
    assert values(nets, "params", model="googlenet") == {
        "as built": total,
        "without the classifier": total - 1024 * 1000 - 1000,
        "weights alone": sum(p.numel() for p in net.parameters() if p.dim() > 1),
        "with its auxiliary heads": heads,
        "first layer as a separable 7x7": total - 64 * (3 * 49 + 1) + separable,
    }


def test_parameters_with_running_statistics(nets):
    net = il.create_model("inception_v3", device="meta")
    total = sum(p.numel() for p in net.parameters())
    channels = sum(norm.num_features for norm in modules("inception_v3", nn.BatchNorm2d))
    readings = values(nets, "params", model="inception_v3")
    assert readings["with the running statistics"] == total + 2 * channels
    assert readings["with the running statistics, without factors"] == total + channels


def test_multiply_accumulates_with_a_separable_first_layer(nets):
    readings = values(nets, "macs", model="googlenet")
    grid = 112 * 112
    dense, separable = grid * 64 * 3 * 49, grid * (3 * 8 * 49 + 24 * 64)
    total = readings["multiply-accumulates"]
    assert readings["first layer as a separable 7x7"] == total - dense + separable
    assert readings["convolutions alone"] == total - 1024 * 1000
    assert readings["FLOPs, two to a multiply-accumulate"] == 2 * total


def test_a_ratio_takes_each_reading_of_both(nets):
    readings = values(nets, "ratio", metric="params", of="alexnet", to="googlenet")
    assert readings["as built"] == pytest.approx(61_100_840 / 6_998_552)
    assert readings["without the classifier"] == pytest.approx(
        (61_100_840 - 4_097_000) / (6_998_552 - 1_025_000)
    )
    assert readings["with its auxiliary heads"] == pytest.approx(61_100_840 / 13_378_280)


def test_rows_of_table_1_by_hand(nets):
    weights = 192 * (64 + 96 + 16 + 32) + 96 * 128 * 9 + 16 * 32 * 25
    biases = 64 + 96 + 128 + 16 + 32 + 32
    assert values(nets, "row_params", layers=("inception3a",)) == {
        "with biases": weights + biases,
        "biases apart, K of 1024": pytest.approx(weights / 1.024),
        "biases apart": weights,
        "with biases, K of 1024": pytest.approx((weights + biases) / 1.024),
    }
    assert values(nets, "row_macs", layers=("inception3a",))["multiply-accumulates"] == weights * 28 * 28
    first = values(nets, "row_params", layers=("conv1",))
    assert first["separable"] == 2712


def test_the_branch_of_the_tutorial_by_hand(nets):
    branch = {"module": "inception3a", "branch": "branch3"}
    naive = 28 * 28 * 32 * 25 * 192
    reduced = 28 * 28 * 16 * 192 + 28 * 28 * 32 * 25 * 16
    assert values(nets, "branch_macs", **branch, side="naive") == {"weights at every position": naive}
    assert values(nets, "branch_macs", **branch, side="reduced") == {"weights at every position": reduced}
    assert values(nets, "saving", **branch)["branch3 of inception3a"] == naive / reduced


def test_the_module_of_the_lecture_by_hand(nets):
    grid = 28 * 28
    naive = 256 * 128 + 9 * 256 * 192 + 25 * 256 * 96
    reduced = 256 * 128 + 256 * 64 + 9 * 64 * 192 + 256 * 64 + 25 * 64 * 96 + 256 * 64
    assert values(nets, "free_module_macs", kind="naive")["multiply-accumulates"] == grid * naive
    assert values(nets, "free_module_macs", kind="reduced")["multiply-accumulates"] == grid * reduced
    readings = values(nets, "free_module_saving")
    assert readings["the whole module"] == naive / reduced
    assert readings["the 5x5 alone, its reduction apart"] == 4


def test_kernels_by_hand(nets):
    assert values(nets, "kernel_ratio", kernels=((5, 5),), over=((3, 3),)) == {"equal widths": 25 / 9}
    saving = values(nets, "kernel_saving", kernels=((3, 1), (1, 3)), over=((3, 3),))
    assert saving == {"equal widths": pytest.approx(100 / 3)}
    own = values(nets, "kernel_saving", kernels=((3, 3), (3, 3)), over=((5, 5),))
    assert own["equal widths"] == pytest.approx(28)
    assert own["the widths of GoogLeNet"] < 0


def test_halving_the_grid_first_leaves_a_quarter(nets):
    assert values(nets, "grid_saving") == {"reduced by": 75, "reduced to": 25}
    assert values(nets, "grid_ratio") == {"times as expensive": 4, "times more expensive": 3}


def test_doubling_by_building_the_double_net(nets):
    """Against VGG-16 with twice the filters, built by hand."""
    convs, linears = modules("vgg16", nn.Conv2d), modules("vgg16", nn.Linear)
    layers = [(m.weight.shape, m.weight.numel()) for m in [*convs, *linears]]
    shapes = [shape for shape, _ in layers]
    wide = [
        (2 if n < len(shapes) - 1 else 1) * (2 if n else 1) * count for n, (_, count) in enumerate(layers)
    ]
    ratio = sum(wide) / sum(count for _, count in layers)
    assert values(nets, "doubled", metric="params", model="vgg16")["whole net"] == pytest.approx(ratio)


def test_sizes_of_files_in_both_megabytes(nets):
    assert values(nets, "file_size", model="nin") == {
        "MB of 1,000,000 bytes": 4 * 7_595_176,
        "MB of 1,048,576 bytes": pytest.approx(4 * 7_595_176 / 1.048576),
    }


def test_share_of_linear_layers(nets):
    linear = sum(p.numel() for m in modules("vgg16", nn.Linear) for p in m.parameters())
    assert values(nets, "linear_share", models=("vgg16",)) == {
        "vgg16": pytest.approx(100 * linear / 138_357_544)
    }


def test_depths(nets):
    assert values(nets, "depth", models=("googlenet", "vgg16")) == {"googlenet": 22, "vgg16": 16}
    assert values(nets, "depth_with_pools", model="googlenet") == {"pools counted": 27}
    assert values(nets, "depth_with_pools", model="vgg16") == {"pools counted": 16 + 5 + 1}
    assert values(nets, "added_depth", pairs=(("googlenet_v2", "googlenet"),)) == {
        "googlenet_v2 over googlenet": 9
    }


def test_building_blocks_by_torch_itself(nets):
    kinds = (
        nn.Conv2d,
        nn.Linear,
        nn.MaxPool2d,
        nn.AvgPool2d,
        nn.AdaptiveAvgPool2d,
        nn.LocalResponseNorm,
        nn.Dropout,
    )
    count = len(modules("googlenet", kinds))
    readings = values(nets, "building_blocks", model="googlenet")
    assert readings["all layers but activations"] == count + 9
    assert readings["layers with weights"] == len(modules("googlenet", (nn.Conv2d, nn.Linear)))


def test_counts_of_kernels_and_layers(nets):
    fives = sum(conv.kernel_size == (5, 5) for conv in modules("inception_v3", nn.Conv2d))
    assert values(nets, "kernels", model="inception_v3", size=(5, 5)) == {"in the whole net": fives}
    assert values(nets, "linear_layer_count", model="vgg16") == {
        "linear layers": 3,
        "without the classifier": 2,
    }
    assert set(values(nets, "linear_layer_count", model="nin").values()) == {0}
    assert values(nets, "module_count", model="googlenet") == {"modules with branches": 9}
    assert values(nets, "modules_at", models=("googlenet",), side=14) == {"googlenet": 5}


def test_modules_under_the_numbers_of_two_figures(nets):
    answers = [
        list(values(nets, "modules_by_figure", model="googlenet", sides=sides).values())
        for sides in ((28, 14), (14, 7))
    ]
    assert answers == [[2, 5], [5, 2]]


def test_where_flat_kernels_are(nets):
    options = {"grids": (12, 20), "length": 7, "side": 17}
    assert values(nets, "factors_on_grid", model="inception_v3", **options) == {"traced": True}
    assert values(nets, "factors_on_grid", model="googlenet", **options) == {"traced": False}
    # nine modules with 1x3 and 1x5 at 14x14 among them
    assert values(nets, "factors_on_grid", model="googlenet_v3", **options) == {"traced": False}


def test_networks_beside_a_claim_decide_nothing(nets):
    pairs = (("vgg16", "alexnet"),)
    result = RECIPES["ratios_beside"](nets, metric="params", pairs=pairs, what="the widths")
    assert [reading.value for reading in result.readings] == [138_357_544 / 61_100_840]
    for claimed in (about(2.26), about(100)):
        assert str(judge(claimed, result)) == "not checkable here: the widths"
        figure = CheckedFigure(Figure(claimed, by("ratios_beside")), result, judge(claimed, result))
        assert (figure.deciding, figure.computed) == (None, "not computed")
        assert figure.to_dict()["readings"]


def test_separable_convolutions_count_once(nets):
    readings = values(nets, "convolution_count", model="xception")
    convs = modules("xception", nn.Conv2d)
    assert readings["every convolution"] == len(convs)
    depthwise = sum(conv.groups > 1 for conv in convs)
    assert readings["a separable one as one, shortcuts apart"] == len(convs) - depthwise - 4


def test_branches_of_unequal_size_are_told(nets):
    assert values(nets, "equal_sizes", model="googlenet") == {"traced": True}
    # its reductions have strides of two
    assert values(nets, "equal_sizes", model="inception_v3") == {"traced": False}


def test_heads_and_their_losses(nets):
    layers = ("inception4a", "inception4d")
    assert values(nets, "head_inputs", model="googlenet", layers=layers) == {"traced": True}
    assert values(nets, "head_inputs", model="googlenet", layers=("inception4b", "inception4d")) == {
        "traced": False
    }
    assert values(nets, "loss_weight", model="googlenet") == {"traced": 0.3}


def test_blocks_are_told_apart_by_kernels(nets):
    both = {"first": "inception_resnet_v1", "second": "inception_v4"}
    same = values(nets, "same_blocks", **both, pairs=(("reduction_a", "reduction_a"),))
    other = values(nets, "same_blocks", **both, pairs=(("reduction_b", "reduction_b"),))
    assert (same, other) == ({"kernels and strides": True}, {"kernels and strides": False})


def test_neurons_of_the_net_on_its_own_input(nets):
    readings = values(nets, "neurons", model="alexnet(grouped=True)")
    layers = 96 * 55**2 + 256 * 27**2 + (384 + 384 + 256) * 13**2 + 4096 + 4096 + 1000
    assert readings == {"outputs of layers": layers, "with the input": layers + 3 * 227**2}


def test_a_field_with_no_centre_is_not_computed(nets):
    result = RECIPES["receptive_field"](nets, model="bn_inception", layer="inception3c", fact="stride")
    assert isinstance(result, Unavailable)


def test_layers_that_are_not_there_are_named(nets):
    trace = nets.trace("nin")
    with pytest.raises(InceptionLabError, match="nin: no layer 'inception3a'"):
        layers_total(trace, "params", "inception3a")
    with pytest.raises(InceptionLabError, match="nin: no layer 'inception3a' ran"):
        call_of(trace, "inception3a")
