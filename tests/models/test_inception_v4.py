"""Inception-v4 against the published figures, counted here by hooks alone."""

import io

import pytest
import torch
from support.reference_tables import executed, images, macs, parameters, published
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.models import inception_v4 as source
from inception_lab.models import networks
from inception_lab.models.blocks import Branches
from inception_lab.models.catalogue.residual import CARDS
from inception_lab.models.initialisation import shapes_only

CARD = next(card for card in CARDS if card.name == "inception_v4")


def build(**options):
    with shapes_only():
        return source.inception_v4(**options)


NET = build().eval()


class TestAgainstTheReference:
    def test_every_layer(self):
        assert executed(NET, images()) == published("inception_v4")

    def test_totals(self):
        assert parameters(NET) == CARD.params == 42_679_816
        assert macs(published("inception_v4")) == CARD.macs == 12_253_974_624

    def test_details_of_the_port(self):
        assert {layer.eps for layer in NET.modules() if isinstance(layer, nn.BatchNorm2d)} == {1e-3}
        pools = [layer for layer in NET.modules() if isinstance(layer, nn.AvgPool2d)]
        assert len(pools) == 14
        assert not any(pool.count_include_pad for pool in pools)
        assert not any(layer.inplace for layer in NET.modules() if isinstance(layer, nn.ReLU))
        assert all(layer.bias is None for layer in NET.modules() if isinstance(layer, nn.Conv2d))


class TestModules:
    def test_top_level_in_execution_order(self):
        names = ["conv1", "conv2", "conv3", "split1", "split2", "split3"]
        names += [f"inception_a{n}" for n in range(1, 5)] + ["reduction_a"]
        names += [f"inception_b{n}" for n in range(1, 8)] + ["reduction_b"]
        names += [f"inception_c{n}" for n in range(1, 4)] + ["avgpool", "dropout", "fc"]
        assert [name for name, _ in NET.named_children()] == names

    def test_every_join_is_as_wide_as_it_says(self):
        widths = []

        def note(module, _, out):
            widths.append((module.out_channels, out.shape[1]))

        joins = [module for module in NET.modules() if isinstance(module, Branches)]
        hooks = [module.register_forward_hook(note) for module in joins]
        NET(images(75))
        for hook in hooks:
            hook.remove()
        assert len(widths) == len(joins) == 3 + 4 + 7 + 3 + 2 + 6
        assert all(promise == width for promise, width in widths)

    @pytest.mark.parametrize(
        ("module", "branch", "layers"),
        [
            ("split2", "branch2", "reduce conv1x7 conv7x1 conv3x3"),
            ("inception_a1", "branch3", "reduce conv3x3_1 conv3x3_2"),
            ("reduction_a", "branch2", "reduce conv3x3_1 conv3x3_2"),
            ("inception_b7", "branch3", "reduce conv7x1_1 conv1x7_1 conv7x1_2 conv1x7_2"),
            ("inception_c1", "branch3", "reduce conv3x1 conv1x3 split"),
            ("inception_c1", "branch4", "pool proj"),
        ],
    )
    def test_layers_of_a_branch(self, module, branch, layers):
        children = NET.get_submodule(f"{module}.{branch}").named_children()
        assert [name for name, _ in children] == layers.split()


class TestOptions:
    def test_they_are_the_card_s(self):
        net = build(num_classes=7, dropout=0.5)
        assert (net.fc.out_features, net.dropout.p) == (7, 0.5)
        defaults = {name: option.default for name, option in CARD.options.items()}
        assert source.inception_v4.__kwdefaults__ == defaults

    def test_initialisation_is_optional(self):
        torch.manual_seed(0)
        first = next(source.stem())[1].conv.weight
        torch.manual_seed(0)
        assert torch.equal(source.inception_v4(init_weights=False).conv1.conv.weight, first)


class TestInputs:
    def test_the_smallest_is_the_smallest(self, monkeypatch):
        smallest = CARD.smallest_input
        assert smallest == NET.limits.smallest == 75
        assert NET(images(smallest)).shape == (1, 1000)
        message = f"InceptionV4: input 1 x 3 x 299 x {smallest - 1} is too small"
        with pytest.raises(InceptionLabError, match=message) as error:
            NET(images(299, smallest - 1))
        assert error.value.exit_code == 3
        monkeypatch.setattr(networks, "check_input", lambda *_, **__: None)
        with pytest.raises(RuntimeError):
            NET(images(299, smallest - 1))

    @pytest.mark.parametrize("side", [224, 321])
    def test_other_sizes_reach_the_classifier(self, side):
        assert NET(images(side, side + 9)).shape == (1, 1000)


def test_it_is_built_on_meta():
    assert all(tensor.is_meta for tensor in NET.state_dict().values())


def test_gradients_and_the_state_dict():
    """A step of training reaches every parameter, and what it leaves behind survives a save and a load."""
    torch.manual_seed(0)
    net, x = source.inception_v4(num_classes=5), torch.randn(2, 3, 107, 107)
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
