"""Both Inception-ResNets against the published figures, counted here by hooks alone."""

import io

import pytest
import torch
from support.reference_tables import executed, images, macs, parameters, published
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.models import inception_resnet as source
from inception_lab.models import networks
from inception_lab.models.blocks import Branches
from inception_lab.models.catalogue.residual import CARDS
from inception_lab.models.inception_resnet import ResidualBlock
from inception_lab.models.initialisation import shapes_only

BY_NAME = {card.name: card for card in CARDS}
V1, V2 = BY_NAME["inception_resnet_v1"], BY_NAME["inception_resnet_v2"]


def build(name, **options):
    with shapes_only():
        return getattr(source, name)(**options)


READINGS = {
    "inception_resnet_v1": ("inception_resnet_v1", {}),
    "inception_resnet_v2": ("inception_resnet_v2", {}),
    "inception_resnet_v2_paper": ("inception_resnet_v2", {"reading": "paper"}),
}
NETS = {name: build(entry, **options).eval() for name, (entry, options) in READINGS.items()}
TOTALS = {
    "inception_resnet_v1": (22_756_328, 6_206_361_696),
    "inception_resnet_v2": (55_843_464, 13_155_794_016),
    "inception_resnet_v2_paper": (32_433_928, 9_257_953_632),
}
CHANNELS = {
    "inception_resnet_v1": (256, 896, 1792),
    "inception_resnet_v2": (320, 1088, 2080),
    "inception_resnet_v2_paper": (384, 1152, 2144),
}
REPEATS = {
    "inception_resnet_v1": (5, 10, 5),
    "inception_resnet_v2": (10, 20, 10),
    "inception_resnet_v2_paper": (5, 10, 5),
}

each = pytest.mark.parametrize("name", NETS)


def residual_blocks(net):
    return {name: layer for name, layer in net.named_children() if isinstance(layer, ResidualBlock)}


class TestAgainstTheReference:
    @each
    def test_every_layer(self, name):
        assert executed(NETS[name], images()) == published(name)

    @each
    def test_totals(self, name):
        assert (parameters(NETS[name]), macs(published(name))) == TOTALS[name]

    def test_cards(self):
        assert (V1.params, V1.macs) == TOTALS["inception_resnet_v1"]
        assert (V2.params, V2.macs) == TOTALS["inception_resnet_v2"]
        assert all(f"{total:,}" in V2.notes for total in TOTALS["inception_resnet_v2_paper"])

    @each
    def test_details_of_the_release(self, name):
        layers = list(NETS[name].modules())
        assert {layer.eps for layer in layers if isinstance(layer, nn.BatchNorm2d)} == {1e-3}
        assert not any(layer.inplace for layer in layers if isinstance(layer, nn.ReLU))
        assert not any(layer.count_include_pad for layer in layers if isinstance(layer, nn.AvgPool2d))
        biased = [n for n, m in NETS[name].named_modules() if isinstance(m, nn.Conv2d) and m.bias is not None]
        assert biased == [f"{block}.expand" for block in residual_blocks(NETS[name])]


class TestBlocks:
    @each
    def test_their_number_and_their_scales(self, name):
        blocks = residual_blocks(NETS[name])
        grids = zip("abc", REPEATS[name], (0.17, 0.10, 0.20), strict=True)
        expected = {f"block_{grid}{n}": scale for grid, many, scale in grids for n in range(1, many + 1)}
        if name == "inception_resnet_v2":
            expected["block_c10"] = 1.0
        assert {n: block.scale for n, block in blocks.items()} == expected
        bare = [n for n, block in blocks.items() if block.relu is None]
        assert bare == (["block_c10"] if name == "inception_resnet_v2" else [])

    @each
    def test_their_channels(self, name):
        net = NETS[name]
        assert tuple(net.get_submodule(f"block_{g}1").expand.out_channels for g in "abc") == CHANNELS[name]
        assert net.fc.in_features == (1536 if name == "inception_resnet_v2" else CHANNELS[name][2])

    @each
    def test_every_join_is_as_wide_as_it_says(self, name):
        widths = []
        joins = [module for module in NETS[name].modules() if isinstance(module, Branches)]
        hooks = [
            join.register_forward_hook(lambda join, _, out: widths.append((join.out_channels, out.shape[1])))
            for join in joins
        ]
        NETS[name](images(75))
        for hook in hooks:
            hook.remove()
        assert len(widths) == len(joins)
        assert all(promise == width for promise, width in widths)

    @pytest.mark.parametrize("relu", [True, False])
    def test_the_arithmetic(self, relu):
        block = ResidualBlock(4, Branches(4, branch1=nn.Identity()), scale=0.5, relu=relu)
        x = torch.randn(2, 4, 3, 3)
        expected = x + 0.5 * block.expand(x)
        assert torch.allclose(block(x), expected.relu() if relu else expected)

    @pytest.mark.parametrize(
        ("module", "expected"),
        [
            ("mixed_5b", "branch1 branch2.reduce branch2.conv5x5 branch3.reduce branch3.conv3x3_1 "
                         "branch3.conv3x3_2 branch4.proj"),
            ("block_a1.branches", "branch1 branch2.reduce branch2.conv3x3 branch3.reduce branch3.conv3x3_1 "
                                  "branch3.conv3x3_2"),
            ("reduction_a", "branch1 branch2.reduce branch2.conv3x3_1 branch2.conv3x3_2"),
            ("block_b1.branches", "branch1 branch2.reduce branch2.conv1x7 branch2.conv7x1"),
            ("reduction_b", "branch1.reduce branch1.conv3x3 branch2.reduce branch2.conv3x3 branch3.reduce "
                            "branch3.conv3x3_1 branch3.conv3x3_2"),
            ("block_c1.branches", "branch1 branch2.reduce branch2.conv1x3 branch2.conv3x1"),
        ],
    )  # fmt: skip
    def test_convolutions_of_a_module(self, module, expected):
        layers = NETS["inception_resnet_v2"].get_submodule(module).named_modules()
        convs = [path for path, layer in layers if isinstance(layer, nn.Conv2d)]
        assert convs == [f"{block}.conv" for block in expected.split()]


class TestOptions:
    @pytest.mark.parametrize("card", [V1, V2], ids=lambda card: card.name)
    def test_they_are_the_card_s(self, card):
        net = build(card.name, num_classes=7, dropout=0.5)
        assert (net.fc.out_features, net.dropout.p) == (7, 0.5)
        defaults = getattr(source, card.name).__kwdefaults__
        assert defaults == {name: option.default for name, option in card.options.items()}

    @each
    @pytest.mark.parametrize("scale", [0, 0.3, 1.0, 5])
    def test_a_scale_is_that_of_every_block(self, name, scale):
        entry, options = READINGS[name]
        net = build(entry, scale=scale, **options)
        blocks = residual_blocks(net)
        assert [block.scale for block in blocks.values()] == [scale] * sum(REPEATS[name])
        bare = [n for n, block in blocks.items() if block.relu is None]
        assert bare == (["block_c10"] if name == "inception_resnet_v2" else [])

    @each
    def test_a_scale_changes_neither_layers_nor_keys(self, name):
        entry, options = READINGS[name]
        net = build(entry, scale=1.0, **options).eval()
        assert executed(net, images()) == published(name)
        shapes = {key: value.shape for key, value in net.state_dict().items()}
        assert shapes == {key: value.shape for key, value in NETS[name].state_dict().items()}

    def test_a_scale_leaves_the_weights_drawn_from_a_seed(self):
        torch.manual_seed(3)
        published_scales = source.inception_resnet_v1(num_classes=3)
        torch.manual_seed(3)
        plain_sums = source.inception_resnet_v1(num_classes=3, scale=1.0).state_dict()
        assert all(torch.equal(plain_sums[k], v) for k, v in published_scales.state_dict().items())

    @pytest.mark.parametrize("scale", [0, 0.3, 1, 10**30])
    def test_a_block_multiplies_its_residual_by_it(self, scale):
        torch.manual_seed(0)
        block = source.inception_resnet_v1(scale=scale, init_weights=False).eval().block_a1.double()
        x = torch.randn(2, 256, 5, 5, dtype=torch.float64)
        residual = torch.cat([branch(x) for branch in block.branches.children()], 1)
        weight, bias = block.expand.weight[:, :, 0, 0], block.expand.bias
        residual = torch.einsum("oc,nchw->nohw", weight, residual) + bias[:, None, None]
        assert torch.allclose(block(x), (float(scale) * residual + x).clamp(min=0))

    def test_the_readings_are_the_card_s(self):
        assert V2.options["reading"].choices == tuple(source.READINGS)

    def test_an_unknown_reading_is_refused(self):
        with pytest.raises(InceptionLabError, match="no reading 'papr'; did you mean paper") as error:
            source.inception_resnet_v2(reading="papr")
        assert error.value.exit_code == 2


class TestInputs:
    @each
    def test_the_smallest_is_the_smallest(self, name, monkeypatch):
        net, smallest = NETS[name], 75
        assert smallest == net.limits.smallest == V1.smallest_input == V2.smallest_input
        assert net(images(smallest)).shape == (1, 1000)
        with pytest.raises(InceptionLabError, match=r"InceptionResNet: input 1 x 3 x 299 x 74 is too small"):
            net(images(299, smallest - 1))
        monkeypatch.setattr(networks, "check_input", lambda *_, **__: None)
        with pytest.raises(RuntimeError):
            net(images(299, smallest - 1))

    @each
    def test_other_sizes_reach_the_classifier(self, name):
        assert NETS[name](images(160, 224)).shape == (1, 1000)


@each
def test_they_are_built_on_meta(name):
    assert all(tensor.is_meta for tensor in NETS[name].state_dict().values())


@each
def test_gradients_and_the_state_dict(name):
    """A step of training reaches every parameter, and what it leaves behind survives a save and a load."""
    torch.manual_seed(0)
    entry, options = READINGS[name]
    net, x = getattr(source, entry)(num_classes=5, **options), torch.randn(2, 3, 107, 107)
    nn.functional.cross_entropy(net(x), torch.tensor([0, 1])).backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []

    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other = build(entry, num_classes=5, **options)
    other.load_state_dict(torch.load(file, weights_only=True), assign=True)
    with torch.no_grad():
        logits = net.eval()(x)
        assert logits.isfinite().all()
        assert torch.equal(other.eval()(x), logits)
