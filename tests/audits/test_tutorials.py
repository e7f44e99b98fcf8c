"""Audits of the zoo's tutorials and ports, whose departures their own pages list."""

from functools import cache

import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.models.googlenet_modules import TABLE

IMAGE = (1, 3, 224, 224)
MODULES = [f"inception{row.name}" for row in TABLE]
BRANCH_LAYERS = ["branch 1", *(f"branch {b}, layer {n}" for b in (2, 3) for n in (1, 2)), "branch 4, layer 2"]
CONVOLUTIONS = [f"{module}, {layer}" for module in MODULES for layer in BRANCH_LAYERS]
FIVES = [f"{module}, branch 3, layer 2" for module in MODULES]


@cache
def traced(name, shape=IMAGE, mode="eval", **options):
    return il.trace(il.create_model(name, device="meta", **options), shape, mode=mode)


@cache
def departures(name, reference="googlenet", shape=IMAGE):
    return il.audit(traced(name, shape), traced(reference, shape)).departures


def places(rows, property, value, reference):
    """The places at which a property departs in this way."""
    return [row.place for row in rows if row[2:5] == (property, value, reference)]


@pytest.mark.parametrize(
    ("name", "kernel"),
    [("googlenet_3x3", "3x3"), ("inception_v1_two_class", "3x3"), ("googlenet_keras", "1x1")],
)  # fmt: skip
def test_every_5x5_that_is_smaller_is_named(name, kernel):
    assert places(departures(name), "kernel", kernel, "5x5") == FIVES


def test_the_port_departs_from_googlenet_with_batch_norm_in_kernels_and_eps_alone():
    rows = departures("googlenet_3x3", "googlenet_bn")
    assert {row.property for row in rows} == {"kernel", "eps of normalisation"}
    assert places(rows, "kernel", "2x2", "3x3") == ["pool4"]
    assert len(rows) == len(FIVES) + 1 + len(CONVOLUTIONS) + len(["conv1", "conv2_reduce", "conv2"])


def test_the_notebook_has_no_relu_in_modules_and_runs_its_heads():
    rows = departures("googlenet_notebook")
    assert places(rows, "activation", "none", "ReLU") == CONVOLUTIONS
    assert [row.place for row in rows if row.property == "head"] == ["aux1", "aux2"]
    assert places(rows, "channels", "192", "64") == ["conv2_reduce"]
    assert places(rows, "rounding", "down", "up") == ["pool1", "pool2", "pool3"]
    assert places(rows, "padding", "1", "0") == ["pool4"]
    rest = {"bias", "normalisation"}  # of the stem
    assert {row.place for row in rows if row.property in rest} == {"conv1", "pool1", "conv2_reduce", "conv2"}


def test_heads_of_the_notebook_cost_what_its_card_says():
    main, whole = 7_228_504, 13_608_488
    heads = [row.value for row in departures("googlenet_notebook") if row.property == "head"]
    costs = [int(text.split(": ")[1].split(" ")[0].replace(",", "")) for text in heads]
    assert sum(costs) == whole - main


def test_the_skin_blog_pads_a_1x1_and_has_pools_of_2x2():
    rows = departures("inception_v1_two_class")
    assert places(rows, "padding", "1", "0") == ["conv2_reduce"]
    assert places(rows, "kernel", "2x2", "3x3") == ["pool1", "pool2", "pool3", "pool4"]
    assert places(rows, "normalisation", "batch norm", "none") == CONVOLUTIONS
    assert places(rows, "normalisation", "none", "local response norm") == ["pool1", "conv2"]
    assert places(rows, "layer", "linear layer to 2 channels with softmax", "none") == ["fc2"]


def test_the_chapter_lacks_the_1x1_of_the_stem():
    rows = departures("googlenet_keras")
    assert places(rows, "layer", "none", "convolution 1x1 to 64 channels with ReLU") == ["conv2_reduce"]
    assert places(rows, "padding", "2+3", "3") == ["conv1"]
    assert not [row for row in rows if row.place.startswith("pool") and row.property != "normalisation"]
    assert places(rows, "channels", "64", "16") == ["inception3a, branch 3, layer 1"]


def test_both_softmaxes_at_the_end_are_named():
    for name, channels in (("inception_v1_two_class", "2"), ("googlenet_keras", "1,000")):
        added = [row.value for row in departures(name) if row.place == "fc2" and row.property == "layer"]
        assert added == [f"linear layer to {channels} channels with softmax"]


def test_the_chapter_normalises_behind_relu():
    rows = departures("googlenet_keras", "googlenet_bn")
    reversed_places = places(rows, "order", "ReLU, then batch norm", "batch norm, then ReLU")
    assert reversed_places == ["conv1", "conv2", *CONVOLUTIONS]


def test_the_cifar_blog_has_two_3x3_for_the_5x5_and_one_convolution_for_the_stem():
    rows = departures("googlenet_cifar10", shape=(1, 3, 32, 32))
    missing = [row.place for row in rows if row.property == "layer" and row.value == "none"]
    assert missing == ["conv1", "pool1", "conv2_reduce", "pool2"]
    added = [row for row in rows if row.property == "layer" and row.reference == "none"]
    text = "convolution 3x3 to {} channels with batch norm, then ReLU"
    assert [row.value for row in added] == [text.format(row.conv5x5) for row in TABLE]
    assert places(rows, "kernel", "3x3", "5x5") == FIVES
    assert places(rows, "padding", "1", "0") == ["pool3", "pool4"]


@pytest.mark.parametrize(
    "name",
    ["googlenet", "googlenet_naive", "inception_v3", "inception_v4", "xception", "inception_resnet_v2"],
)
def test_a_net_does_not_depart_from_itself(name):
    shape = (1, 3, 299, 299)
    answer = il.audit(traced(name, shape), traced(name, shape))
    assert answer.rows == ()
    assert not answer.departs


def test_heads_are_compared_layer_by_layer_in_train_mode():
    shape = (2, 3, 224, 224)
    nets = [traced(name, shape, "train", aux_logits=True) for name in ("googlenet_bn", "googlenet")]
    rows = il.audit(*nets).departures
    assert {row.property for row in rows} == {"normalisation", "bias"}
    assert [row.place for row in rows if "aux" in row.place and row.property == "bias"] == [
        "aux1.conv",
        "aux2.conv",
    ]


def test_heads_that_the_reference_has_and_the_net_lacks_are_named():
    shape = (2, 3, 224, 224)
    nets = [traced("googlenet", shape, "train", aux_logits=flag) for flag in (False, True)]
    rows = il.audit(*nets).departures
    assert [(row.place, row.property, row.value) for row in rows] == [
        ("aux1", "head", "none"),
        ("aux2", "head", "none"),
    ]


def test_a_missing_dropout_departs_in_training_and_is_noted_in_eval_mode():
    layers = [nn.Flatten(), nn.Linear(12, 5), nn.Dropout(0.5), nn.Linear(5, 2)]
    net, reference = nn.Sequential(*layers[:2], layers[3]), nn.Sequential(*layers)
    shape = (2, 3, 2, 2)
    noted = il.audit(il.trace(net, shape), il.trace(reference, shape))
    assert [row[2:5] for row in noted.notes] == [("dropout layers", "0", "1")]
    assert not noted.departs
    trained = il.audit(*(il.trace(model, shape, mode="train") for model in (net, reference)))
    assert [row[2:5] for row in trained.departures] == [("dropout", "none", "dropout")]


def test_effects_of_a_change_are_those_that_arithmetic_gives():
    def net(kernel):
        return nn.Sequential(
            nn.Conv2d(3, 4, kernel, padding=kernel // 2), nn.MaxPool2d(2), nn.Conv2d(4, 2, 1)
        )

    answer = il.audit(*(il.trace(net(kernel), (1, 3, 8, 8)) for kernel in (3, 5)))
    assert [row[1:5] for row in answer.departures] == [("0", "kernel", "3x3", "5x5")]
    assert [row[1:5] for row in answer.effects] == [
        ("0", "parameters", str(3 * 4 * 9 + 4), str(3 * 4 * 25 + 4)),
        ("0", "MACs", f"{3 * 4 * 9 * 64:,}", f"{3 * 4 * 25 * 64:,}"),
        ("0", "receptive field", "3x3", "5x5"),
        ("1", "receptive field", "4x4", "6x6"),
        ("2", "receptive field", "4x4", "6x6"),
        ("whole net", "parameters", str(3 * 4 * 9 + 14), str(3 * 4 * 25 + 14)),
        ("whole net", "MACs", f"{3 * 4 * 9 * 64 + 128:,}", f"{3 * 4 * 25 * 64 + 128:,}"),
    ]


def test_a_stride_in_another_layer_is_named_there_and_nowhere_else():
    def net(first, second):
        return nn.Sequential(nn.Conv2d(3, 4, 3, first, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, second, 1))

    answer = il.audit(*(il.trace(net(*strides), (1, 3, 8, 8)) for strides in ((1, 2), (2, 1))))
    assert [row[1:5] for row in answer.departures] == [
        ("0", "stride", "1x1", "2x2"),
        ("2", "stride", "2x2", "1x1"),
    ]
    assert ("0", "output grid", "8x8", "4x4") in [row[1:5] for row in answer.effects]


def test_groups_and_dilation_are_named():
    convs = [nn.Conv2d(4, 8, 3, padding=1, groups=2), nn.Conv2d(4, 8, 3, padding=2, dilation=2)]
    answer = il.audit(*(il.trace(conv, (1, 4, 8, 8)) for conv in convs))
    assert [row[2:5] for row in answer.departures] == [("dilation", "1x1", "2x2"), ("groups", "2", "1")]


class Shortcut(nn.Module):
    def __init__(self, layers, adds=True):
        super().__init__()
        self.body, self.adds = nn.Sequential(*layers), adds

    def forward(self, x):
        return self.body(x) + x if self.adds else self.body(x)


def test_a_missing_shortcut_is_a_missing_block():
    layers = [nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)]
    with_, without = Shortcut(layers), Shortcut(layers, adds=False)
    assert il.audit(il.trace(with_, (1, 4, 8, 8)), il.trace(with_, (1, 4, 8, 8))).rows == ()
    rows = il.audit(il.trace(without, (1, 4, 8, 8)), il.trace(with_, (1, 4, 8, 8))).departures
    assert ("layer", "none", "addition") in [row[2:5] for row in rows]


def test_branches_in_another_order_answer_to_those_they_are_like():
    class Net(nn.Module):
        def __init__(self, kernels):
            super().__init__()
            self.branches = nn.ModuleList(nn.Conv2d(3, 4, k, padding=k // 2) for k in kernels)

        def forward(self, x):
            return torch.cat([branch(x) for branch in self.branches], 1)

    answer = il.audit(*(il.trace(Net(kernels), (1, 3, 8, 8)) for kernels in ((5, 1, 3), (1, 3, 5))))
    assert answer.rows == ()


def test_transposed_convolutions_are_compared_too():
    convs = [nn.ConvTranspose2d(4, 8, 2, 2), nn.ConvTranspose2d(4, 6, 4, 2, 1)]
    answer = il.audit(*(il.trace(conv, (1, 4, 8, 8)) for conv in convs))
    assert [row[2:5] for row in answer.departures] == [("channels", "8", "6"), ("kernel", "2x2", "4x4")]
