"""BN-Inception against the published figures, counted here by hooks alone."""

import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reference_tables import executed, images, macs, parameters, published
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.models import bn_inception as source
from inception_lab.models import networks
from inception_lab.models.blocks import Branches
from inception_lab.models.catalogue.inception import CARDS
from inception_lab.models.initialisation import shapes_only

CARD = next(card for card in CARDS if card.name == "bn_inception")

# 1502.03167 figure 5, typed here again: 1x1, 3x3 reduce, 3x3, double reduce, double 3x3, pool, projection
FIGURE = {
    "3a": (64, 64, 64, 64, 96, "avg", 32),
    "3b": (64, 64, 96, 64, 96, "avg", 64),
    "3c": (0, 128, 160, 64, 96, "max", 0),
    "4a": (224, 64, 96, 96, 128, "avg", 128),
    "4b": (192, 96, 128, 96, 128, "avg", 128),
    "4c": (160, 128, 160, 128, 160, "avg", 96),
    "4d": (96, 128, 192, 160, 192, "avg", 96),
    "4e": (0, 128, 192, 192, 256, "max", 0),
    "5a": (352, 192, 320, 160, 224, "avg", 128),
    "5b": (352, 192, 320, 192, 224, "max", 128),
}


def build(**options):
    with shapes_only():
        return source.bn_inception(**options)


NET = build().eval()


class TestAgainstTheReference:
    def test_every_layer(self):
        assert executed(NET, images(224)) == published("bn_inception")

    def test_totals(self):
        assert parameters(NET) == CARD.params == 11_194_984
        assert macs(executed(NET, images(224))) == CARD.macs == 2_018_851_840

    def test_rows_are_the_figure_s(self):
        fields = (
            "conv1x1",
            "conv3x3_reduce",
            "conv3x3",
            "double3x3_reduce",
            "double3x3",
            "pool",
            "pool_proj",
        )
        assert {row.name: tuple(getattr(row, f) for f in fields) for row in source.TABLE} == FIGURE

    def test_widths_of_the_modules(self):
        outputs = []
        modules = [layer for layer in NET.modules() if isinstance(layer, Branches)]
        hooks = [
            m.register_forward_hook(lambda m, _, y: outputs.append((m.out_channels, y.shape[1:])))
            for m in modules
        ]
        NET(images(224))
        for hook in hooks:
            hook.remove()
        assert [tuple(shape) for _, shape in outputs] == [
            (256, 28, 28), (320, 28, 28), (576, 14, 14), (576, 14, 14), (576, 14, 14),
            (576, 14, 14), (576, 14, 14), (1024, 7, 7), (1024, 7, 7), (1024, 7, 7),
        ]  # fmt: skip
        assert all(promise == shape[0] for promise, shape in outputs)

    def test_batch_norm_in_place_of_biases(self):
        convs = [layer for layer in NET.modules() if isinstance(layer, nn.Conv2d)]
        norms = [layer for layer in NET.modules() if isinstance(layer, nn.BatchNorm2d)]
        assert len(convs) == len(norms) == 69
        assert all(conv.bias is None for conv in convs)
        assert not any(layer.inplace for layer in NET.modules() if isinstance(layer, nn.ReLU))


class TestNames:
    def test_top_level_in_execution_order(self):
        names = ["conv1", "pool1", "conv2_reduce", "conv2", "pool2"]
        names += [f"inception{name}" for name in FIGURE] + ["avgpool", "dropout", "fc"]
        assert [name for name, _ in NET.named_children()] == names

    @pytest.mark.parametrize(
        ("module", "expected"),
        [
            (
                "inception3a",
                "branch1 branch2.reduce branch2.conv3x3 branch3.reduce branch3.conv3x3_1 branch3.conv3x3_2 "
                "branch4.proj",
            ),
            (
                "inception3c",
                "branch2.reduce branch2.conv3x3 branch3.reduce branch3.conv3x3_1 branch3.conv3x3_2",
            ),
        ],
    )
    def test_convolutions_of_a_module(self, module, expected):
        layers = NET.get_submodule(module).named_modules()
        convs = [path for path, layer in layers if isinstance(layer, nn.Conv2d)]
        assert convs == [f"{block}.conv" for block in expected.split()]


class TestOptions:
    def test_they_are_the_card_s(self):
        assert {name: option.default for name, option in CARD.options.items()} == (
            source.bn_inception.__kwdefaults__
        )
        net = build(num_classes=7, dropout=0.5)
        assert net.dropout.p == 0.5
        assert net(images(64, batch=2)).shape == net.eval()(images(64, batch=2)).shape == (2, 7)

    def test_initialisation_is_optional(self):
        torch.manual_seed(0)
        net = source.bn_inception(init_weights=False)
        torch.manual_seed(0)
        assert torch.equal(net.conv1.conv.weight, nn.Conv2d(3, 64, 7, bias=False).weight)

    def test_meta_has_no_memory(self):
        assert all(tensor.is_meta for tensor in NET.state_dict().values())


class TestInputs:
    def test_the_smallest_is_the_smallest(self, monkeypatch):
        smallest = CARD.smallest_input
        assert smallest == NET.limits.smallest == 7
        assert NET(images(smallest)).shape == (1, 1000)
        message = f"BNInception: input 1 x 3 x {smallest - 1} x 224 is too small"
        with pytest.raises(InceptionLabError, match=message) as error:
            NET(images(smallest - 1, 224))
        assert error.value.exit_code == 3
        monkeypatch.setattr(networks, "check_input", lambda *_, **__: None)
        with pytest.raises(RuntimeError):
            NET(images(smallest - 1))

    @settings(max_examples=6, deadline=None)
    @given(st.integers(7, 320), st.integers(7, 320))
    def test_any_other_is_taken(self, height, width):
        with torch.no_grad():
            assert NET(images(height, width)).shape == (1, 1000)

    @pytest.mark.parametrize("sides", [(28, 14), (37, 14), (28, 37), (7, 19), (1, 1)])
    def test_zeros_at_an_odd_side_are_never_the_maximum(self, sides):
        torch.manual_seed(0)
        x = torch.rand(1, 3, *sides)
        even = source.EvenSides()(x)
        assert (even is x) == (sides == (28, 14))
        centred = nn.functional.max_pool2d(x, 3, 2, padding=tuple(side % 2 for side in sides), ceil_mode=True)
        pooled = source.grid_pool()(even)
        assert pooled.shape == centred.shape == (1, 3, *(-(-side // 2) for side in sides))
        assert (pooled <= x.max()).all()
        assert pooled.min() >= x.min()


@pytest.fixture(scope="module")
def trained():
    """A small step on real tensors: gradients in place, and statistics that are no longer the first."""
    torch.manual_seed(0)
    net = source.bn_inception(num_classes=5)
    nn.functional.cross_entropy(net(torch.randn(2, 3, 70, 64)), torch.tensor([0, 1])).backward()
    return net


def test_gradient_reaches_every_parameter(trained):
    assert [n for n, p in trained.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_state_dict_goes_round(trained):
    file = io.BytesIO()
    torch.save(trained.state_dict(), file)
    file.seek(0)
    other = build(num_classes=5)
    other.load_state_dict(torch.load(file, weights_only=True), assign=True)
    x = torch.randn(1, 3, 45, 64)
    with torch.no_grad():
        logits = trained.eval()(x)
        assert logits.isfinite().all()
        assert torch.equal(other.eval()(x), logits)
