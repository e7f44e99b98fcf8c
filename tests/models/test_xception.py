"""Xception against the published figures, counted here by hooks alone."""

import io

import pytest
import torch
from support.reference_tables import executed, images, macs, parameters, published
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.models import networks
from inception_lab.models import xception as source
from inception_lab.models.catalogue.residual import CARDS
from inception_lab.models.initialisation import shapes_only

CARD = next(card for card in CARDS if card.name == "xception")


def build(**options):
    with shapes_only():
        return source.xception(**options)


NET = build().eval()


class TestAgainstTheReference:
    def test_every_layer(self):
        assert executed(NET, images()) == published("xception")

    def test_totals(self):
        assert parameters(NET) == CARD.params == 22_855_952
        assert macs(published("xception")) == CARD.macs == 8_357_403_496

    def test_published_errors_are_the_published_accuracies(self):
        assert (CARD.top1_error, CARD.top5_error) == pytest.approx((100 - 79.0, 100 - 94.5))

    def test_every_convolution_is_normalised_but_the_depthwise(self):
        convs = [layer for layer in NET.modules() if isinstance(layer, nn.Conv2d)]
        norms = [layer for layer in NET.modules() if isinstance(layer, nn.BatchNorm2d)]
        assert all(conv.bias is None for conv in convs)
        assert len(norms) == sum(conv.groups == 1 for conv in convs)
        assert {norm.eps for norm in norms} == {1e-5}
        assert not any(layer.inplace for layer in NET.modules() if isinstance(layer, nn.ReLU))


class TestBlocks:
    def test_top_level_in_execution_order(self):
        blocks_ = [f"block{n}" for n in range(1, 13)]
        names = ["conv1", "conv2", *blocks_, "conv3", "conv4", "avgpool", "dropout", "fc"]
        assert [name for name, _ in NET.named_children()] == names

    def test_shortcuts_are_the_identity_in_the_middle_flow(self):
        plain = [n for n, b in NET.named_children() if isinstance(getattr(b, "shortcut", None), nn.Identity)]
        assert plain == [f"block{n}" for n in range(4, 12)]

    def test_layers_of_a_block(self):
        def names(path):
            return [name for name, _ in NET.get_submodule(path).named_children()]

        assert names("block1.body") == ["conv1", "conv2", "pool"]
        assert names("block1.body.conv1") == ["depthwise", "pointwise", "bn"]
        assert names("block2.body.conv1") == ["relu", "depthwise", "pointwise", "bn"]
        assert names("block4.body") == ["conv1", "conv2", "conv3"]
        assert names("block12.shortcut") == ["conv", "bn"]
        assert names("conv4") == ["depthwise", "pointwise", "bn", "relu"]

    def test_the_shortcut_sees_what_the_first_relu_does_not(self):
        block = source.ResidualBlock(source.Row("block", (4, 4), 1), 4).eval()
        x = -torch.rand(1, 4, 5, 5)
        assert torch.allclose(block(x), x)


class TestOptions:
    def test_they_are_the_card_s(self):
        net = build(num_classes=7, dropout=0.25)
        assert (net.fc.out_features, net.dropout.p) == (7, 0.25)
        defaults = {name: option.default for name, option in CARD.options.items()}
        assert source.xception.__kwdefaults__ == defaults


class TestInputs:
    def test_the_smallest_is_the_smallest(self, monkeypatch):
        smallest = CARD.smallest_input
        assert smallest == NET.limits.smallest == 7
        assert NET(images(smallest)).shape == (1, 1000)
        with pytest.raises(InceptionLabError, match=r"Xception: input 1 x 3 x 64 x 6 is too small") as error:
            NET(images(64, smallest - 1))
        assert error.value.exit_code == 3
        monkeypatch.setattr(networks, "check_input", lambda *_, **__: None)
        with pytest.raises(RuntimeError):
            NET(images(64, smallest - 1))

    @pytest.mark.parametrize("side", [8, 71, 224, 321])
    def test_other_sizes_reach_the_classifier(self, side):
        assert NET(images(side, side + 9)).shape == (1, 1000)


def test_it_is_built_on_meta():
    assert all(tensor.is_meta for tensor in NET.state_dict().values())


def test_gradients_and_the_state_dict():
    """A step of training reaches every parameter, and what it leaves behind survives a save and a load."""
    torch.manual_seed(0)
    net, x = source.xception(num_classes=5), torch.randn(2, 3, 64, 64)
    nn.functional.cross_entropy(net(x), torch.tensor([0, 1])).backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []

    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other = build(num_classes=5)
    other.load_state_dict(torch.load(file, weights_only=True), assign=True)
    with torch.no_grad():
        logits = net.eval()(x)
        assert logits.isfinite().all()
        assert torch.equal(other.eval()(x), logits)
