"""The nets that tutorials build, against arithmetic by hand on rows that are typed here again."""

import inspect
import io
import math
from importlib import import_module

import pytest
import torch
from support.reference_tables import executed, images, macs, parameters
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.models import googlenet_keras, googlenet_notebook, networks
from inception_lab.models.blocks import AuxiliaryHead, Branches, ConvBlock
from inception_lab.models.catalogue.tutorials import CARDS
from inception_lab.models.initialisation import shapes_only

BY_NAME = {card.name: card for card in CARDS}
NAMES = list(BY_NAME)

# 1409.4842 Table 1: input, 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj
ROWS = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}
EQUAL = {"3a": 64, "3b": 120, "4a": 128, "4b": 128, "4c": 128, "4d": 132, "4e": 208, "5a": 208, "5b": 256}


def entry(name):
    file, function = BY_NAME[name].entry.split(":")
    return getattr(import_module(f"inception_lab.models.{file}"), function)


def meta(name, **options):
    with shapes_only():
        return entry(name)(**options)


def default_images(name, batch=1):
    return images(*BY_NAME[name].input_size[1:], batch=batch)


def first(outputs):
    return outputs[0] if isinstance(outputs, tuple) else outputs


NETS = {name: meta(name).eval() for name in NAMES}

# ------------------------------------------------------------------------------------ by hand


def conv(before, after, kernel, side, *, bias=True, norm=False):
    """Parameters and multiply-accumulates of one convolution on a grid of `side` x `side`."""
    weights = before * after * kernel**2
    return weights + after * (bias + 2 * norm), weights * side**2


def linear(before, after):
    return before * after + after, before * after


def table_module(row, side, third, *, norm=False):
    """The convolutions of a module; `third` are the kernels that stand for the 5x5."""
    before, single, reduce3, out3, reduce5, out5, proj = row
    sizes = [(before, single, 1), (before, reduce3, 1), (reduce3, out3, 3), (before, reduce5, 1)]
    widths = [reduce5, *[out5] * len(third)]
    sizes += zip(widths, widths[1:], third, strict=False)
    return [conv(*size, side, norm=norm) for size in [*sizes, (before, proj, 1)]]


def table_modules(sides, third, *, norm=False):
    """Of all nine, on the grid that the first figure of their name has."""
    modules = [table_module(row, sides[name[0]], third, norm=norm) for name, row in ROWS.items()]
    return [layer for module in modules for layer in module]


def head(before):
    return [
        conv(before, 128, 1, 4, bias=False, norm=True),
        linear(128 * 16, 1024),
        linear(1024, 1000),
    ]


def notebook():
    stem = [(3, 64, 7, 112), (64, 192, 1, 55), (192, 192, 3, 55)]
    return [
        *(conv(*size, bias=False, norm=True) for size in stem),
        *table_modules({"3": 27, "4": 13, "5": 7}, (5,)),
        *head(512),
        *head(528),
        linear(1024, 1000),
    ]


def keras():
    layers, before = [(3, 64, 7, 112), (64, 192, 3, 56)], 192
    for name, width in EQUAL.items():
        side = {"3": 28, "4": 14, "5": 7}[name[0]]
        layers += [(before, width, 1, side)] * 4 + [(width, width, 3, side), (width, width, 1, side)]
        before = 4 * width
    return [*(conv(*size, norm=True) for size in layers), linear(1024, 1000), linear(1000, 1000)]


def two_class():
    stem = [(3, 64, 7, 112), (64, 64, 1, 58), (64, 192, 3, 58)]
    return [
        *(conv(*size) for size in stem),
        *table_modules({"3": 29, "4": 14, "5": 7}, (3,), norm=True),
        linear(1024, 1024),
        linear(1024, 2),
    ]


def cifar10():
    modules = table_modules({"3": 32, "4": 16, "5": 8}, (3, 3), norm=True)
    return [conv(3, 192, 3, 32, norm=True), *modules, linear(1024, 10)]


BY_HAND = {
    "googlenet_notebook": notebook,
    "googlenet_keras": keras,
    "inception_v1_two_class": two_class,
    "googlenet_cifar10": cifar10,
}


class TestByHand:
    @pytest.mark.parametrize("name", NAMES)
    def test_totals(self, name):
        total, work = map(sum, zip(*BY_HAND[name](), strict=True))
        card, net = BY_NAME[name], NETS[name]
        assert parameters(net) == card.params == total
        assert macs(executed(net, default_images(name))) == card.macs == work

    @pytest.mark.parametrize(
        ("name", "params", "work"),
        [
            ("googlenet_notebook", 13_608_488, 2_166_099_200),
            ("googlenet_keras", 7_738_728, 1_381_017_280),
            ("inception_v1_two_class", 6_658_194, 1_552_714_240),
            ("googlenet_cifar10", 6_166_250, 1_521_756_160),
        ],
    )
    def test_what_the_cards_say(self, name, params, work):
        assert (BY_NAME[name].params, BY_NAME[name].macs) == (params, work)

    def test_what_the_notebook_s_card_says_of_its_heads(self):
        heads = [sum(column) for column in zip(*head(512), *head(528), strict=True)]
        card = BY_NAME["googlenet_notebook"]
        without = (card.params - heads[0], card.macs - heads[1])
        assert parameters(meta("googlenet_notebook", aux_logits=False)) == without[0]
        assert "{:,} parameters and {:,} MACs".format(*without) in card.notes

    @pytest.mark.parametrize("name", NAMES)
    def test_no_errors_are_published(self, name):
        card = BY_NAME[name]
        assert (card.family, card.top1_error, card.top5_error, card.error_source) == (
            "tutorial", None, None, "",
        )  # fmt: skip


GRIDS = {
    "googlenet_notebook": {"conv1": 112, "pool1": 55, "conv2_reduce": 55, "conv2": 55, "pool2": 27,
                           "inception3b": 27, "pool3": 13, "inception4e": 13, "pool4": 7, "inception5b": 7},
    "googlenet_keras": {"conv1": 112, "pool1": 56, "conv2": 56, "pool2": 28, "inception3b": 28, "pool3": 14,
                        "inception4e": 14, "pool4": 7, "inception5b": 7},
    "inception_v1_two_class": {"conv1": 112, "pool1": 56, "conv2_reduce": 58, "conv2": 58, "pool2": 29,
                               "inception3b": 29, "pool3": 14, "inception4e": 14, "pool4": 7,
                               "inception5b": 7},
    "googlenet_cifar10": {"conv1": 32, "inception3b": 32, "pool3": 16, "inception4e": 16, "pool4": 8,
                          "inception5b": 8, "avgpool": 1},
}  # fmt: skip


class TestGrids:
    @pytest.mark.parametrize("name", NAMES)
    def test_each_has_its_own(self, name):
        net, grids = NETS[name], {}
        hooks = [
            net.get_submodule(layer).register_forward_hook(
                lambda _, __, out, layer=layer: grids.__setitem__(layer, tuple(out.shape[2:]))
            )
            for layer in GRIDS[name]
        ]
        net(default_images(name))
        for hook in hooks:
            hook.remove()
        assert grids == {layer: (side, side) for layer, side in GRIDS[name].items()}

    @pytest.mark.parametrize("name", NAMES)
    def test_modules_give_what_the_paper_s_give(self, name):
        widths = [layer.out_channels for layer in NETS[name].children() if isinstance(layer, Branches)]
        assert widths == [256, 480, 512, 512, 512, 528, 832, 832, 1024]

    def test_pools_of_each(self):
        def pools(name):
            layers = NETS[name].named_modules()
            pools = [p for n, p in layers if isinstance(p, nn.MaxPool2d) and n.startswith("pool")]
            assert not any(pool.ceil_mode for pool in pools)
            return [(pool.kernel_size, pool.stride, pool.padding) for pool in pools]

        assert pools("googlenet_notebook") == [(3, 2, 0)] * 3 + [(3, 2, 1)]
        assert pools("googlenet_keras") == [(3, 2, 0)] * 4
        assert pools("inception_v1_two_class") == [(2, 2, 0)] * 4
        assert pools("googlenet_cifar10") == [(3, 2, 1)] * 2
        average = NETS["googlenet_cifar10"].avgpool
        assert (average.kernel_size, average.stride) == (8, 1)


# ------------------------------------------------------------------------------- their habits


def kinds(module):
    return [type(layer).__name__ for layer in module.children()]


class TestNotebook:
    def test_it_returns_three_in_every_mode(self):
        net = meta("googlenet_notebook", num_classes=7)
        order = []
        for name in ("fc", "aux2", "aux1"):
            net.get_submodule(name).register_forward_hook(lambda _, __, out: order.append(id(out)))
        for mode in (net.train(), net.eval()):
            order.clear()
            outputs = mode(images(224, batch=2))
            assert [logits.shape for logits in outputs] == [(2, 7)] * 3
            assert [id(logits) for logits in outputs] == [order[2], order[1], order[0]]

    @pytest.mark.parametrize("training", [True, False])
    def test_without_heads_its_forward_fails(self, training):
        net = meta("googlenet_notebook", aux_logits=False).train(training)
        with pytest.raises(InceptionLabError) as error:
            net(images(224))
        assert str(error.value) == (
            "GoogLeNetNotebook: built without heads, which its forward asks for in every mode; "
            "build it with aux_logits=True"
        )
        assert error.value.exit_code == 3

    def test_what_follows_a_convolution(self):
        net = NETS["googlenet_notebook"]
        stem = [net.conv1, net.conv2_reduce, net.conv2, net.aux1.conv, net.aux2.conv]
        assert [kinds(block) for block in stem] == [["Conv2d", "BatchNorm2d", "ReLU"]] * 5
        assert all(block.conv.bias is None and block.bn.eps == 1e-3 for block in stem)
        inside = [block for block in net.inception3a.modules() if isinstance(block, ConvBlock)]
        assert [kinds(block) for block in inside] == [["Conv2d"]] * 6
        assert all(block.conv.bias is not None for block in inside)
        assert not any(isinstance(layer, nn.LocalResponseNorm) for layer in net.modules())

    def test_dropouts(self):
        net = NETS["googlenet_notebook"]
        assert (net.dropout.p, net.aux1.dropout.p, net.aux2.dropout.p) == (0.7, 0.4, 0.4)
        head = AuxiliaryHead(8, 10)
        assert head.dropout.p == 0.7

    def test_logits_start_near_a_guess(self):
        torch.manual_seed(0)
        net = entry("googlenet_notebook")().eval()
        with torch.no_grad():
            for logits in net(torch.randn(1, 3, 205, 205)):
                loss = nn.functional.cross_entropy(logits, torch.zeros(1, dtype=torch.long))
                assert loss.item() == pytest.approx(math.log(1000), rel=0.3)


class TestKeras:
    def test_what_follows_a_convolution(self):
        net = NETS["googlenet_keras"]
        assert kinds(net.conv1) == ["SamePad", "Conv2d", "ReLU", "BatchNorm2d"]
        assert kinds(net.conv2) == ["Conv2d", "ReLU", "BatchNorm2d"]
        assert kinds(net.pool1) == ["SamePad", "MaxPool2d"]
        assert {layer.eps for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)} == {1e-3}
        kernels = [conv.kernel_size[0] for conv in net.inception3a.modules() if isinstance(conv, nn.Conv2d)]
        assert kernels == [1, 1, 3, 1, 1, 1]

    def test_the_tail(self):
        tail = list(NETS["googlenet_keras"].named_children())[-7:]
        assert " ".join(name for name, _ in tail) == "avgpool flatten dropout fc1 relu fc2 softmax"
        assert meta("googlenet_keras", num_classes=5).fc1.out_features == 1000

    @pytest.mark.parametrize(
        ("kernel", "side", "before", "after"),
        [(3, 224, 0, 1), (3, 2, 0, 1), (3, 55, 1, 1), (3, 1, 1, 1), (7, 224, 2, 3), (7, 33, 3, 3)],
    )
    def test_same_padding_halves_and_rounds_up(self, kernel, side, before, after):
        output = googlenet_keras.SamePad(kernel, 2)(torch.ones(1, 1, side, side))
        line = torch.cat([torch.zeros(before), torch.ones(side), torch.zeros(after)])
        assert torch.equal(output[0, 0, before], line)
        assert torch.equal(output[0, 0, :, before], line)
        assert (len(line) - kernel) // 2 + 1 == math.ceil(side / 2)

    def test_pools_pad_the_right_and_the_bottom_with_what_never_wins(self):
        x = -torch.arange(1.0, 17.0).reshape(1, 1, 4, 4)
        assert googlenet_keras.pool()(x)[0, 0].tolist() == [[-1.0, -3.0], [-9.0, -11.0]]
        output = googlenet_keras.SamePad(3, 2, float("-inf"))(x)
        assert torch.equal(output[..., :4, :4], x)
        assert output.shape == (1, 1, 5, 5)


class TestBlogs:
    @pytest.mark.parametrize("name", ["inception_v1_two_class", "googlenet_cifar10"])
    def test_what_follows_a_convolution_of_a_module(self, name):
        module = NETS[name].inception4a
        inside = [block for block in module.modules() if isinstance(block, ConvBlock)]
        assert {tuple(kinds(block)) for block in inside} == {("Conv2d", "BatchNorm2d", "ReLU")}
        assert all(block.conv.bias is not None for block in inside)
        last = [layer for layer in module.branch3.modules() if isinstance(layer, nn.Conv2d)]
        sizes = [3] if name == "inception_v1_two_class" else [3, 3]
        assert [layer.kernel_size[0] for layer in last] == [1, *sizes]

    def test_the_two_class_stem_and_tail(self):
        net = NETS["inception_v1_two_class"]
        stem = [net.conv1, net.conv2_reduce, net.conv2]
        assert [kinds(block) for block in stem] == [["Conv2d", "ReLU"]] * 3
        assert net.conv2_reduce.conv.padding == (1, 1)
        tail = [name for name, _ in net.named_children()][-7:]
        assert " ".join(tail) == "avgpool flatten dropout fc1 relu fc2 softmax"

    @pytest.mark.parametrize("name", ["googlenet_keras", "inception_v1_two_class"])
    def test_softmax_gives_probabilities(self, name):
        with torch.no_grad():
            outputs = entry(name)(num_classes=4).eval()(torch.randn(2, 3, 32, 32))
        assert outputs.shape == (2, 4)
        assert torch.allclose(outputs.sum(dim=1), torch.ones(2))
        assert (outputs > 0).all()


# ------------------------------------------------------------------------------- what all take


@torch.no_grad()
def runs_unguarded(net, x):
    """True where torch itself runs the network on `x`."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (networks, googlenet_notebook):
            patch.setattr(module, "check_input", lambda *_, **__: None)
        try:
            net(x)
        except RuntimeError:
            return False
        return True


class TestInputs:
    @pytest.mark.parametrize("name", NAMES)
    def test_the_smallest_input_is_the_smallest(self, name):
        net, smallest = NETS[name], BY_NAME[name].smallest_input
        assert net.limits.smallest == smallest
        assert first(net(images(smallest))).shape[0] == 1
        with pytest.raises(InceptionLabError, match="is too small") as error:
            net(images(smallest - 1))
        assert error.value.exit_code == 3
        assert not runs_unguarded(net, images(smallest - 1))

    @pytest.mark.parametrize(("name", "largest"), [("googlenet_notebook", 252), ("googlenet_cifar10", 32)])
    def test_the_largest_input_is_the_largest(self, name, largest):
        net, smallest = NETS[name], BY_NAME[name].smallest_input
        assert f"sides of {smallest} to {largest}" in BY_NAME[name].notes
        assert first(net(images(largest))).shape[0] == 1
        assert not runs_unguarded(net, images(largest + 1))
        with pytest.raises(InceptionLabError) as error:
            net(images(largest, largest + 1))
        assert str(error.value) == (
            f"{type(net).__name__}: input 1 x 3 x {largest} x {largest + 1} is too large; "
            f"sides {smallest} to {largest} fit; the smallest is N x 3 x {smallest} x {smallest}"
        )

    @pytest.mark.parametrize("name", ["googlenet_keras", "inception_v1_two_class"])
    def test_any_larger_one_is_taken(self, name):
        for height, width in ((64, 97), (256, 256), (299, 331)):
            assert NETS[name](images(height, width)).shape[0] == 1

    @pytest.mark.parametrize("name", NAMES)
    def test_other_channels_are_refused(self, name):
        with pytest.raises(InceptionLabError, match="is not N x 3 x H x W"):
            NETS[name](torch.empty(1, 1, 32, 32, device="meta"))


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
        assert first(net(default_images(name, batch=2))).shape == (2, 7)
        assert net.dropout.p == 0.25

    @pytest.mark.parametrize("name", NAMES)
    def test_initialisation_is_optional(self, name):
        torch.manual_seed(0)
        net = entry(name)(init_weights=False)
        torch.manual_seed(0)
        conv = net.conv1.conv
        same = nn.Conv2d(3, conv.out_channels, conv.kernel_size, bias=conv.bias is not None)
        assert torch.equal(conv.weight, same.weight)

    @pytest.mark.parametrize("name", NAMES)
    def test_on_meta_nothing_is_drawn(self, name):
        before = torch.get_rng_state()
        assert all(tensor.is_meta for tensor in meta(name).state_dict().values())
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("name", "batch", "side"),
    [
        ("googlenet_notebook", 1, 205),
        ("googlenet_keras", 2, 64),
        ("inception_v1_two_class", 2, 64),
        ("googlenet_cifar10", 1, 29),
    ],
)
def test_weights_go_round_and_gradients_reach_them(name, batch, side):
    torch.manual_seed(0)
    net, again = entry(name)(num_classes=3), meta(name, num_classes=3).to_empty(device="cpu")
    x = torch.randn(batch, 3, side, side)
    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        assert torch.equal(first(net.eval()(x)), first(again.eval()(x)))
    outputs = net.train()(x)
    sum(out.square().sum() for out in (outputs if isinstance(outputs, tuple) else (outputs,))).backward()
    assert all(p.grad is not None for p in net.parameters())
    silent = {name for name, p in net.named_parameters() if not p.grad.any()}
    assert silent <= biases_before_norm(net)


def biases_before_norm(net):
    """The biases that a batch normalisation right after them takes away again."""
    blocks = [(name, block) for name, block in net.named_modules() if isinstance(block, ConvBlock)]
    return {f"{name}.conv.bias" for name, block in blocks if hasattr(block, "bn")}
