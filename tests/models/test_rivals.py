"""AlexNet, VGG and NIN against the published figures and against arithmetic by hand."""

import inspect
import io
from importlib import import_module

import pytest
import torch
from support.reference_tables import executed, images, macs, parameters, published
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.models import alexnet, networks, nin
from inception_lab.models.catalogue.rivals import CARDS
from inception_lab.models.initialisation import shapes_only

BY_NAME = {card.name: card for card in CARDS}
NAMES = list(BY_NAME)


def entry(name):
    file, function = BY_NAME[name].entry.split(":")
    return getattr(import_module(f"inception_lab.models.{file}"), function)


def meta(name, **options):
    with shapes_only():
        return entry(name)(**options)


NETS = {name: meta(name).eval() for name in NAMES}


def square(before, after, kernel, side):
    """Parameters and multiply-accumulates of a convolution with bias on a grid of `side` x `side`."""
    weights = before * after * kernel**2
    return weights + after, weights * side**2


def total_cost(layers):
    return tuple(map(sum, zip(*layers, strict=True)))


class TestAgainstTheReference:
    @pytest.mark.parametrize("name", ["alexnet", "vgg16"])
    def test_every_layer(self, name):
        assert executed(NETS[name], images(224)) == published(name)

    @pytest.mark.parametrize(
        ("name", "params", "work"),
        [
            ("alexnet", 61_100_840, 714_188_480),
            ("vgg16", 138_357_544, 15_470_264_320),
            ("vgg19", 143_667_240, 19_632_062_464),
            ("nin", 7_595_176, 1_100_188_800),
        ],
    )
    def test_totals(self, name, params, work):
        card = BY_NAME[name]
        assert parameters(NETS[name]) == card.params == params
        assert macs(executed(NETS[name], images(224))) == card.macs == work
        assert card.input_size == (3, 224, 224)

    def test_published_errors_are_those_of_the_papers(self):
        errors = {card.name: (card.top1_error, card.top5_error) for card in CARDS if card.error_source}
        assert errors == {"alexnet": (40.7, 18.2), "vgg16": (25.6, 8.1), "vgg19": (25.5, 8.0)}


class TestByHand:
    def test_vgg19_has_three_convolutions_more_than_vgg16(self):
        more = total_cost([square(256, 256, 3, 56), square(512, 512, 3, 28), square(512, 512, 3, 14)])
        less, work = (BY_NAME["vgg16"].params, BY_NAME["vgg16"].macs)
        assert (BY_NAME["vgg19"].params, BY_NAME["vgg19"].macs) == (less + more[0], work + more[1])
        counts = [
            sum(name.startswith(f"conv{stage}_") for name, _ in NETS["vgg19"].named_children())
            for stage in range(1, 6)
        ]
        assert counts == [2, 2, 4, 4, 4]

    def test_nin_layer_by_layer(self):
        plan = [
            (3, 96, 11, 54), (96, 96, 1, 54), (96, 96, 1, 54),
            (96, 256, 5, 27), (256, 256, 1, 27), (256, 256, 1, 27),
            (256, 384, 3, 13), (384, 384, 1, 13), (384, 384, 1, 13),
            (384, 1024, 3, 6), (1024, 1024, 1, 6), (1024, 1000, 1, 6),
        ]  # fmt: skip
        convs = [row for row in executed(NETS["nin"], images(224)) if row["layer"] == "conv"]
        assert [(r["in"][0], r["out"][0], r["kernel"][0], r["out"][1]) for r in convs] == plan
        assert total_cost(square(*layer) for layer in plan) == (BY_NAME["nin"].params, BY_NAME["nin"].macs)

    def test_nin_has_its_relus_and_its_pools(self):
        layers = list(NETS["nin"].modules())
        pools = [layer for layer in layers if isinstance(layer, nn.MaxPool2d)]
        assert [(p.kernel_size, p.stride, p.padding, p.ceil_mode) for p in pools] == [(3, 2, 0, True)] * 3
        assert sum(isinstance(layer, nn.ReLU) for layer in layers) == 12
        assert all(layer.bias is not None for layer in layers if isinstance(layer, nn.Conv2d))
        names = [name for name, _ in NETS["nin"].named_children()]
        assert names.index("dropout") == names.index("mlpconv4") - 1

    def test_the_grouped_net_of_caffe(self):
        net = meta("alexnet", grouped=True).eval()
        rows = executed(net, images(227))
        #        in of a group, out, kernel, grid
        plan = [(3, 96, 11, 55), (48, 256, 5, 27), (256, 384, 3, 13), (192, 384, 3, 13), (192, 256, 3, 13)]
        dense = [(9216, 4096, 1, 1), (4096, 4096, 1, 1), (4096, 1000, 1, 1)]
        total, work = total_cost(square(*layer) for layer in plan + dense)
        assert parameters(net) == total == 60_965_224
        assert macs(rows) == work == 724_406_816
        assert f"{total:,} parameters and {work:,} MACs" in BY_NAME["alexnet"].notes
        sides = [row["out"][1] for row in rows if row["layer"] in ("conv", "maxpool")]
        assert sides == [55, 27, 27, 13, 13, 13, 13, 6]
        norms = [layer for layer in net.modules() if isinstance(layer, nn.LocalResponseNorm)]
        assert [(n.size, n.alpha, n.beta, n.k) for n in norms] == [(5, 1e-4, 0.75, 1.0)] * 2

    def test_one_column_has_no_normalisation(self):
        assert not any(isinstance(layer, nn.LocalResponseNorm) for layer in NETS["alexnet"].modules())

    def test_names_are_those_of_caffe(self):
        tail = "avgpool flatten fc6 relu6 dropout6 fc7 relu7 dropout7 fc8"
        grouped = " ".join(name for name, _ in meta("alexnet", grouped=True).named_children())
        assert grouped == f"conv1 norm1 pool1 conv2 norm2 pool2 conv3 conv4 conv5 pool5 {tail}"
        names = " ".join(name for name, _ in NETS["vgg16"].named_children())
        assert names.startswith("conv1_1 conv1_2 pool1 conv2_1 conv2_2 pool2 conv3_1 conv3_2 conv3_3 pool3 ")
        assert names.endswith(f"pool5 {tail}")


@torch.no_grad()
def runs_unguarded(net, x):
    """True where torch itself runs the network on `x`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "check_input", lambda *_, **__: None)
        try:
            net(x)
        except RuntimeError:
            return False
        return True


SMALLEST = [(name, {}) for name in NAMES] + [("alexnet", {"grouped": True})]


class TestInputs:
    @pytest.mark.parametrize(("name", "options"), SMALLEST)
    def test_the_smallest_input_is_the_smallest(self, name, options):
        net = meta(name, **options).eval()
        smallest = 67 if options else BY_NAME[name].smallest_input
        assert net.limits.smallest == smallest
        assert net(images(smallest)).shape == (1, 1000)
        with pytest.raises(InceptionLabError, match="is too small") as error:
            net(images(smallest - 1))
        assert error.value.exit_code == 3
        assert not runs_unguarded(net, images(smallest - 1))
        assert f"{smallest} x {smallest}" in type(net).__doc__

    @pytest.mark.parametrize("name", NAMES)
    def test_other_sizes_reach_the_classifier(self, name):
        for height, width in ((96, 130), (256, 256), (299, 299)):
            assert NETS[name](images(height, width, batch=2)).shape == (2, 1000)

    @pytest.mark.parametrize(("name", "grid", "side"), [("alexnet", 6, 224), ("vgg16", 7, 224)])
    def test_the_adaptive_pool_copies_at_the_net_s_own_size(self, name, grid, side):
        shapes = []
        pool = NETS[name].avgpool
        hook = pool.register_forward_hook(lambda _, args, out: shapes.append((args[0].shape, out.shape)))
        NETS[name](images(side))
        hook.remove()
        assert [tuple(shape[2:]) for shape in shapes[0]] == [(grid, grid)] * 2

    def test_a_refusal_is_one_clear_line(self):
        with pytest.raises(InceptionLabError) as error:
            NETS["vgg16"](images(31, 224))
        assert str(error.value) == (
            "VGG: input 1 x 3 x 31 x 224 is too small; the smallest is N x 3 x 32 x 32"
        )


class TestOptions:
    @pytest.mark.parametrize("name", NAMES)
    def test_they_are_those_of_the_card(self, name):
        signature = inspect.signature(entry(name)).parameters
        assert {n: p.default for n, p in signature.items()} == {
            n: option.default for n, option in BY_NAME[name].options.items()
        }

    @pytest.mark.parametrize("name", NAMES)
    def test_classes_and_dropout(self, name):
        net = meta(name, num_classes=7, dropout=0.25)
        assert net(images(96, batch=2)).shape == (2, 7)
        assert {layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)} == {0.25}

    def test_initialisation_is_optional(self):
        torch.manual_seed(0)
        net = nin.nin(init_weights=False)
        torch.manual_seed(0)
        assert torch.equal(net.mlpconv1.conv.conv.weight, nn.Conv2d(3, 96, 11).weight)
        assert not nin.nin().mlpconv1.conv.conv.bias.any()

    @pytest.mark.parametrize("name", NAMES)
    def test_on_meta_nothing_is_drawn(self, name):
        before = torch.get_rng_state()
        assert all(tensor.is_meta for tensor in meta(name).state_dict().values())
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", NAMES)
def test_weights_go_round_and_gradients_reach_them(name, monkeypatch):
    monkeypatch.setattr(alexnet, "HIDDEN", 64)  # 4096 would be 100 million weights to draw
    torch.manual_seed(0)
    net, again = entry(name)(num_classes=3), meta(name, num_classes=3).to_empty(device="cpu")
    x, file = torch.randn(2, 3, 64, 64), io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    with torch.no_grad():
        again.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(net.eval()(x), again.eval()(x))
    net.train()(x).square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []
