"""The reconstruction of Inception-v2 against every size that 1512.00567 Table 1 prints."""

import io

import pytest
import torch
from support.reference_tables import executed, images, macs, parameters
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.models import inception_v2 as source
from inception_lab.models import networks
from inception_lab.models.blocks import Branches, Outputs
from inception_lab.models.catalogue.inception import CARDS
from inception_lab.models.inception_v3 import inception_v3
from inception_lab.models.initialisation import shapes_only

CARD = next(card for card in CARDS if card.name == "inception_v2")

# Table 1, typed here: the layers of a row, the kernel and stride of its convolution or pool, and its input
TABLE_1 = (
    (("conv1",), (3, 2), (3, 299, 299)),
    (("conv2",), (3, 1), (32, 149, 149)),
    (("conv3",), (3, 1), (32, 147, 147)),
    (("pool1",), (3, 2), (64, 147, 147)),
    (("conv4",), (3, 1), (64, 73, 73)),
    (("conv5",), (3, 2), (80, 71, 71)),
    (("conv6",), (3, 1), (192, 35, 35)),
    (("inception3a", "inception3b", "inception3c"), None, (288, 35, 35)),
    (tuple(f"inception4{letter}" for letter in "abcde"), None, (768, 17, 17)),
    (("inception5a",), None, (1280, 8, 8)),
    (("inception5b",), None, (2048, 8, 8)),  # the second of two: Table 1 prints the input of the first
    (("avgpool",), None, (2048, 8, 8)),
    (("fc",), None, (2048,)),
)


def build(**options):
    with shapes_only():
        return source.inception_v2(**options)


NET = build().eval()
HEADED = build(aux_logits=True, num_classes=7)


class TestAgainstTable1:
    def test_every_input(self):
        sizes = {}
        hooks = [
            layer.register_forward_hook(
                lambda _, x, __, name=name: sizes.update({name: tuple(x[0].shape[1:])})
            )
            for name, layer in NET.named_children()
        ]
        NET(images())
        for hook in hooks:
            hook.remove()
        expected = {name: size for names, _, size in TABLE_1 for name in names}
        assert {name: size for name, size in sizes.items() if name != "dropout"} == expected

    def test_kernels_and_strides_of_the_stem(self):
        for (name,), window, _ in TABLE_1[:7]:
            layer = getattr(NET, name)
            layer = getattr(layer, "conv", layer)
            sizes = (layer.kernel_size, layer.stride)
            assert tuple(size if isinstance(size, int) else size[0] for size in sizes) == window

    def test_totals_are_the_documented_ones(self):
        assert parameters(NET) == CARD.params == 24_027_240
        assert macs(executed(NET, images())) == CARD.macs == 5_576_975_456
        docstring = source.inception_v2.__doc__
        for number in (CARD.params, CARD.macs, parameters(build(aux_logits=True))):
            assert f"{number:,}" in docstring

    def test_it_says_what_it_is(self):
        for text in (
            source.__doc__,
            source.inception_v2.__doc__,
            CARD.notes,
            CARD.follows,
            CARD.error_source,
        ):
            assert "reconstruction" in text

    def test_from_17_x_17_on_it_is_inception_v3(self):
        with shapes_only():
            v3 = inception_v3(last_pool="average").eval()

        def end(net):
            rows = executed(net, images())
            first = next(n for n, row in enumerate(rows) if row["in"] == (768, 17, 17))
            return rows[first:]

        assert end(NET) == end(v3)


class TestModules:
    def test_only_3x3_are_left_at_35_x_35(self):
        for name in ("inception3a", "inception3b", "inception3c"):
            convs = [m for m in NET.get_submodule(name).modules() if isinstance(m, nn.Conv2d)]
            assert {conv.kernel_size for conv in convs} == {(1, 1), (3, 3)}

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
        assert len(widths) == len(joins) == 10 + 4
        assert all(promise == width for promise, width in widths)


class TestOptions:
    def test_they_are_the_card_s(self):
        assert {name: option.default for name, option in CARD.options.items()} == (
            source.inception_v2.__kwdefaults__
        )
        assert build(dropout=0.5).dropout.p == 0.5

    def test_the_head_speaks_in_training_alone(self):
        outputs = HEADED.train()(images(batch=2))
        assert isinstance(outputs, Outputs)
        assert [logits.shape for logits in (outputs.logits, *outputs.aux_logits)] == [(2, 7), (2, 7)]
        assert HEADED.eval()(images(batch=2)).shape == (2, 7)

    def test_the_head_is_not_normalised(self):
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in HEADED.aux.modules())
        assert HEADED.aux.conv5x5.conv.bias is not None

    def test_meta_has_no_memory(self):
        assert all(tensor.is_meta for tensor in HEADED.state_dict().values())


class TestInputs:
    def test_the_smallest_is_the_smallest(self, monkeypatch):
        smallest = CARD.smallest_input
        assert smallest == NET.limits.smallest == 75
        assert NET(images(smallest)).shape == (1, 1000)
        with pytest.raises(InceptionLabError, match="InceptionV2: input 1 x 3 x 74 x 74 is too small"):
            NET(images(smallest - 1))
        monkeypatch.setattr(networks, "check_input", lambda *_, **__: None)
        with pytest.raises(RuntimeError):
            NET(images(smallest - 1))

    @pytest.mark.parametrize("side", [76, 224, 321])
    def test_other_sizes_reach_the_classifier(self, side):
        assert NET(images(side, side + 9)).shape == (1, 1000)

    def test_with_the_head_training_takes_299_and_more(self, monkeypatch):
        assert HEADED.limits.with_heads[0] == 299
        monkeypatch.setattr(networks, "check_input", lambda *_, **__: None)
        with pytest.raises(RuntimeError):
            HEADED.train()(images(298, batch=2))


@pytest.fixture(scope="module")
def trained():
    """A small step on real tensors without the head, which is Inception-v3's and takes 299 pixels."""
    torch.manual_seed(0)
    net = source.inception_v2(num_classes=5)
    nn.functional.cross_entropy(net(torch.randn(2, 3, 107, 107)), torch.tensor([0, 1])).backward()
    return net


def test_gradient_reaches_every_parameter(trained):
    assert [n for n, p in trained.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_gradient_reaches_the_head_and_what_it_looks_at():
    torch.manual_seed(0)
    head = source.SideHead(5, source.PLAIN)
    x = torch.randn(2, 768, 17, 17, requires_grad=True)
    head(x).square().sum().backward()
    assert x.grad.any()
    assert all(p.grad is not None and p.grad.any() for p in head.parameters())


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
