"""Inception-v3 against the released network's layers, counted here by hooks alone."""

import io

import pytest
import torch
from support.reference_tables import executed, images, macs, parameters, published
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.models import inception_v3 as source
from inception_lab.models import networks
from inception_lab.models.blocks import Branches, Outputs
from inception_lab.models.catalogue.inception import CARDS
from inception_lab.models.initialisation import shapes_only

CARD = next(card for card in CARDS if card.name == "inception_v3")


def build(**options):
    with shapes_only():
        return source.inception_v3(**options)


NET = build().eval()
AVERAGE = build(last_pool="average").eval()
HEADED = build(aux_logits=True, num_classes=7)


def without_rounding(rows):
    """At 299 every window fits, so that rounding up, which the table has, is rounding down."""
    return [{name: value for name, value in row.items() if name != "round_up"} for row in rows]


def reference():
    """The table, its last pool written as the global average that it is, its linear layer flat."""
    *rows, last_pool, linear = without_rounding(published("inception_v3"))
    assert last_pool["kernel"] == last_pool["in"][1:] == (8, 8)
    end = {"layer": "adaptiveavgpool", "in": last_pool["in"], "out": last_pool["out"]}
    return [*rows, end, linear | {"in": (2048,), "out": (1000,)}]


class TestAgainstTheReference:
    def test_every_layer(self):
        assert without_rounding(executed(NET, images())) == reference()

    def test_with_an_average_one_pool_differs(self):
        ours = without_rounding(executed(AVERAGE, images()))
        differing = [(a["layer"], b["layer"]) for a, b in zip(ours, reference(), strict=True) if a != b]
        assert differing == [("avgpool", "maxpool")]

    def test_rounding_matters_nowhere_at_the_published_size(self):
        pools = [row for row in executed(NET, images()) if row["layer"] == "maxpool"]
        assert all((row["in"][1] + 2 * row["padding"][0] - 3) % row["stride"][0] == 0 for row in pools)

    def test_totals(self):
        assert parameters(NET) == parameters(AVERAGE) == CARD.params == 23_834_568
        assert macs(executed(NET, images())) == CARD.macs == 5_713_216_096
        assert parameters(build(aux_logits=True)) == 27_161_264

    def test_details_of_the_release(self):
        assert {layer.eps for layer in HEADED.modules() if isinstance(layer, nn.BatchNorm2d)} == {1e-3}
        pools = [layer for layer in AVERAGE.modules() if isinstance(layer, nn.AvgPool2d)]
        assert len(pools) == 9
        assert all(pool.count_include_pad for pool in pools)
        assert all(layer.bias is None for layer in HEADED.modules() if isinstance(layer, nn.Conv2d))
        assert not any(layer.inplace for layer in HEADED.modules() if isinstance(layer, nn.ReLU))


class TestNames:
    def test_top_level_in_execution_order(self):
        assert " ".join(name for name, _ in HEADED.named_children()) == (
            "conv_1a conv_2a conv_2b pool_3a conv_3b conv_4a pool_5a mixed_5b mixed_5c mixed_5d mixed_6a "
            "mixed_6b mixed_6c mixed_6d mixed_6e aux mixed_7a mixed_7b mixed_7c avgpool dropout fc"
        )

    @pytest.mark.parametrize(
        ("branch", "layers"),
        [
            ("mixed_5b.branch2", "reduce conv5x5"),
            ("mixed_5b.branch3", "reduce conv3x3_1 conv3x3_2"),
            ("mixed_5b.branch4", "pool proj"),
            ("mixed_6a", "branch1 branch2 branch3"),
            ("mixed_6b.branch2", "reduce conv1x7 conv7x1"),
            ("mixed_6b.branch3", "reduce conv7x1_1 conv1x7_1 conv7x1_2 conv1x7_2"),
            ("mixed_7a.branch2", "reduce conv1x7 conv7x1 conv3x3"),
            ("mixed_7b.branch3", "reduce conv3x3 split"),
            ("mixed_7b.branch3.split", "conv1x3 conv3x1"),
        ],
    )
    def test_layers_of_a_branch(self, branch, layers):
        assert [name for name, _ in NET.get_submodule(branch).named_children()] == layers.split()

    def test_every_join_is_as_wide_as_it_says(self):
        widths = []
        joins = [layer for layer in NET.modules() if isinstance(layer, Branches)]
        hooks = [
            join.register_forward_hook(lambda join, _, y: widths.append((join.out_channels, y.shape[1])))
            for join in joins
        ]
        NET(images())
        for hook in hooks:
            hook.remove()
        assert len(widths) == len(joins) == 11 + 4
        assert all(promise == width for promise, width in widths)


class TestOptions:
    def test_they_are_the_card_s(self):
        assert {name: option.default for name, option in CARD.options.items()} == (
            source.inception_v3.__kwdefaults__
        )
        assert build(dropout=0.5).dropout.p == 0.5

    def test_the_head_speaks_in_training_alone(self):
        outputs = HEADED.train()(images(batch=2))
        assert isinstance(outputs, Outputs)
        assert outputs.logits.shape == (2, 7)
        assert [aux.shape for aux in outputs.aux_logits] == [(2, 7)]
        assert HEADED.eval()(images(batch=2)).shape == (2, 7)
        assert NET.train()(images(batch=2)).shape == (2, 1000)
        NET.eval()

    def test_the_head_s_layers(self):
        rows = executed(HEADED.train().aux, torch.empty(2, 768, 17, 17, device="meta"))
        assert [(row["layer"], row["out"]) for row in rows] == [
            ("avgpool", (768, 5, 5)),
            ("conv", (128, 5, 5)),
            ("conv", (768, 1, 1)),
            ("adaptiveavgpool", (768, 1, 1)),
            ("linear", (7,)),
        ]

    def test_meta_has_no_memory(self):
        assert all(tensor.is_meta for tensor in HEADED.state_dict().values())


class TestInputs:
    def test_the_smallest_is_the_smallest(self, monkeypatch):
        smallest = CARD.smallest_input
        assert smallest == NET.limits.smallest == 75
        assert NET(images(smallest)).shape == (1, 1000)
        message = f"InceptionV3: input 1 x 3 x 299 x {smallest - 1} is too small"
        with pytest.raises(InceptionLabError, match=message) as error:
            NET(images(299, smallest - 1))
        assert error.value.exit_code == 3
        monkeypatch.setattr(networks, "check_input", lambda *_, **__: None)
        with pytest.raises(RuntimeError):
            NET(images(smallest - 1))

    @pytest.mark.parametrize("side", [76, 224, 321])
    def test_other_sizes_reach_the_classifier(self, side):
        assert NET(images(side, side + 9)).shape == (1, 1000)

    def test_with_the_head_training_takes_299_and_more(self, monkeypatch):
        net = HEADED.train()
        assert net(images(299, 342, batch=2)).aux_logits[0].shape == (2, 7)
        message = (
            r"^InceptionV3: input 2 x 3 x 298 x 299 does not fit the auxiliary heads; "
            r"they train on sides 299 or more$"
        )
        with pytest.raises(InceptionLabError, match=message):
            net(images(298, 299, batch=2))
        assert net.eval()(images(75)).shape == (1, 7)
        monkeypatch.setattr(networks, "check_input", lambda *_, **__: None)
        with pytest.raises(RuntimeError):
            net.train()(images(298, batch=2))


@pytest.fixture(scope="module")
def trained():
    """A small step on real tensors without the head: gradients in place, statistics no longer the first."""
    torch.manual_seed(0)
    net = source.inception_v3(num_classes=5)
    nn.functional.cross_entropy(net(torch.randn(2, 3, 107, 107)), torch.tensor([0, 1])).backward()
    return net


def test_gradient_reaches_every_parameter(trained):
    assert [n for n, p in trained.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_gradient_reaches_the_head_and_what_it_looks_at():
    torch.manual_seed(0)
    head = source.SideHead(5)
    x = torch.randn(4, 768, 17, 17, requires_grad=True)
    head(x).square().sum().backward()
    assert x.grad.any()
    assert [n for n, p in head.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_both_losses_reach_what_they_look_at():
    outputs = HEADED.train()(images(batch=2))
    outputs.aux_logits[0].sum().backward()
    gradients = {name: p.grad for name, p in HEADED.named_parameters()}
    trained_layers = {name.partition(".")[0] for name, grad in gradients.items() if grad is not None}
    layers = [name for name, layer in HEADED.named_children() if any(True for _ in layer.parameters())]
    assert trained_layers == set(layers) - {"mixed_7a", "mixed_7b", "mixed_7c", "fc"}
    HEADED(images(batch=2)).logits.sum().backward()
    assert all(p.grad is not None for p in HEADED.parameters())


def test_state_dict_goes_round(trained):
    file = io.BytesIO()
    torch.save(trained.state_dict(), file)
    file.seek(0)
    other = build(num_classes=5)
    other.load_state_dict(torch.load(file, weights_only=True), assign=True)
    x = torch.randn(1, 3, 80, 90)
    with torch.no_grad():
        logits = trained.eval()(x)
        assert logits.isfinite().all()
        assert torch.equal(other.eval()(x), logits)
