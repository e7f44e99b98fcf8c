"""GoogLeNet and its counterparts against the published figures, counted here by hooks alone."""

import copy
import csv
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from inception_lab.errors import InceptionLabError
from inception_lab.models import googlenet as source
from inception_lab.models import googlenet_modules as modules
from inception_lab.models.blocks import Outputs
from inception_lab.models.cards import CARDS
from inception_lab.models.registry import create_model, list_models

REFERENCE = Path(__file__).parents[1] / "reference" / "layers" / "googlenet.csv"
NAMES = list_models("googlenet")
LEAVES = (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)

# 1409.4842 Table 1, typed here again: input, 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj
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
AREA = {"3": 28 * 28, "4": 14 * 14, "5": 7 * 7}
MIDDLE = {
    "output": lambda _first, last: last,
    "input": lambda first, _last: first,
    "geometric": lambda first, last: round(math.sqrt(first * last)),
}


def meta(name, **options):
    return create_model(name, device="meta", **options)


def images(height=224, width=None, batch=1):
    return torch.empty(batch, 3, height, width or height, device="meta")


def params(net):
    return sum(p.numel() for p in net.parameters())


def pair(size):
    return size if isinstance(size, tuple) else (size, size)


def sides(shape):
    return tuple(shape[2:]) or (1, 1)


def describe(layer, image, output):
    """One executed layer in the words of the reference table."""
    row = {"in": tuple(image.shape[1:]), "out": (output.shape[1], *sides(output.shape))}
    if isinstance(layer, nn.Linear):
        return row | {
            "layer": "linear",
            "weights": layer.weight.numel(),
            "macs": output[0].numel() * layer.in_features,
        }
    if isinstance(layer, nn.AdaptiveAvgPool2d):
        return row | {"layer": "avgpool", "kernel": sides(image.shape), "stride": (1, 1), "padding": (0, 0)}
    row |= {
        name: pair(getattr(layer, f"{name}_size" if name == "kernel" else name))
        for name in ("kernel", "stride", "padding")
    }
    if isinstance(layer, nn.Conv2d):
        per_output = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
        return row | {
            "layer": "conv",
            "groups": layer.groups,
            "weights": layer.weight.numel(),
            "macs": output[0].numel() * per_output,
        }
    kind = "maxpool" if isinstance(layer, nn.MaxPool2d) else "avgpool"
    return row | (
        {"layer": kind, "round_up": layer.ceil_mode} if row["stride"] != (1, 1) else {"layer": kind}
    )


@torch.no_grad()
def executed(net, x):
    """The layers that one forward runs, in order."""
    rows = []

    def note(layer, args, output):
        rows.append(describe(layer, args[0], output))

    hooks = [layer.register_forward_hook(note) for layer in net.modules() if isinstance(layer, LEAVES)]
    try:
        net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return rows


def macs(net, x=None):
    return sum(row.get("macs", 0) for row in executed(net, images() if x is None else x))


def published(part=("net", "head")):
    with REFERENCE.open() as file:
        return [_parse(row) for row in csv.DictReader(file) if row["part"] in part]


def _parse(row):
    def size(text):
        return tuple(int(side) for side in text.split("x"))

    layer = {"layer": row["layer"], "out": (int(row["out_channels"]), *size(row["out_size"]))}
    size_in = (int(row["in_channels"]), *size(row["in_size"]))
    layer["in"] = (math.prod(size_in),) if row["layer"] == "linear" else size_in
    layer |= {name: size(row[name]) for name in ("kernel", "stride", "padding") if row[name]}
    layer |= {name: int(row[name]) for name in ("groups", "weights", "macs") if row[name]}
    if row["layer"].endswith("pool") and layer["stride"] != (1, 1):
        layer["round_up"] = row["round_up"] == "yes"
    return layer


class TestAgainstTheReference:
    def test_every_layer_of_inference(self):
        assert executed(meta("googlenet").eval(), images()) == published(part=("net",))

    def test_every_layer_of_training_with_heads(self):
        assert executed(meta("googlenet", aux_logits=True), images()) == published()

    def test_every_layer_of_the_normalised_net(self):
        assert executed(meta("googlenet_bn", aux_logits=True), images()) == published()

    @pytest.mark.parametrize(
        ("name", "options", "expected"),
        [
            ("googlenet", {}, 6_998_552),
            ("googlenet", {"aux_logits": True}, 13_378_280),
            ("googlenet_3x3", {}, 6_624_904),
            ("googlenet_3x3", {"aux_logits": True}, 13_004_888),
            ("googlenet_naive", {}, 97_526_008),
        ],
    )
    def test_parameters(self, name, options, expected):
        assert params(meta(name, **options)) == expected

    def test_parameters_of_the_heads(self):
        net = meta("googlenet", aux_logits=True)
        assert (params(net.aux1), params(net.aux2)) == (3_188_840, 3_190_888)

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("googlenet", 1_582_671_872),
            ("googlenet_3x3", 1_498_376_192),
            ("googlenet_naive", 12_568_061_056),
        ],
    )
    def test_macs(self, name, expected):
        assert macs(meta(name).eval()) == expected

    def test_widths_of_the_naive_modules(self):
        net = meta("googlenet_naive").eval()
        outputs = []
        for row in modules.TABLE:
            module = net.get_submodule(f"inception{row.name}")
            module.register_forward_hook(
                lambda module, _, out: outputs.append((module.out_channels, out.shape[1]))
            )
        net(images())
        widths = [416, 832, 1280, 1728, 2176, 2640, 3344, 4048, 4944]
        assert outputs == [(width, width) for width in widths]

    def test_the_port_has_its_eps_and_its_last_pool(self):
        net = meta("googlenet_3x3", aux_logits=True)
        assert {layer.eps for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)} == {1e-3}
        assert (net.pool4.kernel_size, net.pool4.stride, net.pool3.kernel_size) == (2, 2, 3)

    def test_local_response_norm_is_the_paper_s(self):
        for norm in (meta("googlenet").norm1, meta("googlenet").norm2):
            assert (norm.size, norm.alpha, norm.beta, norm.k) == (5, 1e-4, 0.75, 1.0)


class TestTheTable:
    def test_rows_are_the_paper_s(self):
        fields = ("conv1x1", "conv3x3_reduce", "conv3x3", "conv5x5_reduce", "conv5x5", "pool_proj")
        ours = {
            row.name: (modules.input_channels(row.name), *(getattr(row, f) for f in fields))
            for row in modules.TABLE
        }
        assert ours == ROWS

    @pytest.mark.parametrize("row", modules.TABLE, ids=lambda row: row.name)
    @pytest.mark.parametrize("build", [modules.reduced_module, modules.naive_module])
    def test_a_module_stands_alone(self, row, build):
        width = modules.input_channels(row.name)
        module = _on_meta(build, row, width)
        assert [name for name, _ in module.named_children()] == ["branch1", "branch2", "branch3", "branch4"]
        out = module(torch.empty(2, width, 14, 9, device="meta"))
        assert out.shape == (2, module.out_channels, 14, 9)

    def test_an_unknown_module_is_refused(self):
        with pytest.raises(InceptionLabError, match=r"no module '3c'; known: 3a, 3b, 4a") as error:
            modules.get_row("3c")
        assert error.value.exit_code == 2


def _on_meta(build, row, width):
    with torch.device("meta"):
        return build(row, width)


def square(before, after, area):
    """Parameters and multiply-accumulates of a convolution with bias whose kernel has `area` cells."""
    return before * after * area + after, before * after * area


def factored(first, last, middle, area):
    width = MIDDLE[middle](first, last)
    return [square(first, width, area), square(width, last, area)]


class TestFactorisedByHand:
    """The paper's net less the layers that are replaced, plus those that replace them."""

    def expected(self, exchange):
        total, work = 6_998_552, 1_582_671_872
        for name, row in ROWS.items():
            old, new = exchange(row)
            total += sum(p for p, _ in new) - sum(p for p, _ in old)
            work += (sum(m for _, m in new) - sum(m for _, m in old)) * AREA[name[0]]
        return total, work

    @pytest.mark.parametrize("middle", MIDDLE)
    def test_two_3x3_for_each_5x5(self, middle):
        def exchange(row):
            return [square(row[4], row[5], 25)], factored(row[4], row[5], middle, 9)

        net = meta("googlenet_v2", middle=middle).eval()
        assert (params(net), macs(net)) == self.expected(exchange)

    @pytest.mark.parametrize("middle", MIDDLE)
    def test_rows_and_columns_for_each_square(self, middle):
        def exchange(row):
            old = [square(row[2], row[3], 9), square(row[4], row[5], 25)]
            return old, factored(row[2], row[3], middle, 3) + factored(row[4], row[5], middle, 5)

        net = meta("googlenet_v3", middle=middle).eval()
        assert (params(net), macs(net)) == self.expected(exchange)

    @pytest.mark.parametrize(
        ("name", "middle", "total", "work"),
        [
            ("googlenet_v2", "output", 7_284_232, 1_639_721_984),
            ("googlenet_v2", "input", 6_690_456, 1_514_971_904),
            ("googlenet_v2", "geometric", 6_901_739, 1_559_946_848),
            ("googlenet_v3", "output", 6_843_928, 1_509_615_616),
            ("googlenet_v3", "input", 5_088_088, 1_194_949_376),
            ("googlenet_v3", "geometric", 5_798_471, 1_324_063_200),
        ],
    )
    def test_the_totals_that_the_docstrings_name(self, name, middle, total, work):
        net = meta(name, middle=middle).eval()
        assert (params(net), macs(net)) == (total, work)
        assert f"{work:,}" in getattr(source, name).__doc__

    def test_the_weights_that_the_docstrings_name(self):
        def weights(name, *branches, **options):
            parameters = meta(name, **options).named_parameters()
            inside = tuple(f".branch{branch}.conv" for branch in branches)
            return sum(
                p.numel() for n, p in parameters if n.endswith("weight") and any(b in n for b in inside)
            )

        v2, v3 = source.googlenet_v2.__doc__, source.googlenet_v3.__doc__
        assert f"{weights('googlenet', 3):,}" in v2
        assert f"{weights('googlenet', 2, 3):,}" in v3
        for middle in MIDDLE:
            assert f"{weights('googlenet_v2', 3, middle=middle):,}" in v2
            assert f"{weights('googlenet_v3', 2, 3, middle=middle):,}" in v3

    def test_the_famous_savings_hold_at_equal_widths(self):
        row = modules.Row("x", 8, 64, 64, 64, 64, 8)
        module = _on_meta(lambda r, w: modules.reduced_module(r, w, filters=modules.STACKED), row, 8)
        split = _on_meta(lambda r, w: modules.reduced_module(r, w, filters=modules.ASYMMETRIC), row, 8)

        def weights(branch):
            return sum(
                p.numel() for n, p in branch.named_parameters() if n.startswith("conv") and p.dim() == 4
            )

        assert weights(module.branch3) / (25 * 64 * 64) == 1 - 0.28
        assert weights(split.branch2) / (9 * 64 * 64) == pytest.approx(1 - 1 / 3)


class TestNames:
    def test_top_level_in_execution_order(self):
        assert " ".join(name for name, _ in meta("googlenet", aux_logits=True).named_children()) == (
            "conv1 pool1 norm1 conv2_reduce conv2 norm2 pool2 inception3a inception3b pool3 inception4a aux1 "
            "inception4b inception4c inception4d aux2 inception4e pool4 inception5a inception5b "
            "avgpool dropout fc"
        )

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            (
                "googlenet",
                "branch1 branch2.reduce branch2.conv3x3 branch3.reduce branch3.conv5x5 branch4.proj",
            ),
            (
                "googlenet_bn",
                "branch1 branch2.reduce branch2.conv3x3 branch3.reduce branch3.conv5x5 branch4.proj",
            ),
            (
                "googlenet_3x3",
                "branch1 branch2.reduce branch2.conv3x3 branch3.reduce branch3.conv3x3 branch4.proj",
            ),
            ("googlenet_naive", "branch1 branch2 branch3"),
            (
                "googlenet_v2",
                "branch1 branch2.reduce branch2.conv3x3 "
                "branch3.reduce branch3.conv3x3_1 branch3.conv3x3_2 branch4.proj",
            ),
            (
                "googlenet_v3",
                "branch1 branch2.reduce branch2.conv1x3 branch2.conv3x1 "
                "branch3.reduce branch3.conv1x5 branch3.conv5x1 branch4.proj",
            ),
        ],
    )
    def test_convolutions_of_a_module(self, name, expected):
        module = meta(name).inception3a
        convs = [path for path, layer in module.named_modules() if isinstance(layer, nn.Conv2d)]
        assert convs == [f"{block}.conv" for block in expected.split()]

    def test_pools_of_a_module(self):
        assert isinstance(meta("googlenet").inception3a.branch4.pool, nn.MaxPool2d)
        assert isinstance(meta("googlenet_naive").inception3a.branch4, nn.MaxPool2d)


class TestNormalisation:
    normalised = pytest.mark.parametrize(
        ("name", "options"),
        [("googlenet_bn", {}), ("googlenet_3x3", {})]
        + [(name, {"batch_norm": True}) for name in ("googlenet_naive", "googlenet_v2", "googlenet_v3")],
    )

    @normalised
    def test_it_takes_the_place_of_biases_and_lrn(self, name, options):
        net = meta(name, aux_logits=True, **options)
        convs = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
        norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
        assert len(convs) == len(norms)
        assert all(conv.bias is None for conv in convs)
        assert not any(isinstance(layer, nn.LocalResponseNorm) for layer in net.modules())

    @normalised
    def test_heads_train_with_it_and_leave_the_rest_as_it_is(self, name, options):
        plain, net = meta(name, **options), meta(name, aux_logits=True, **options)
        assert [head.shape for head in net(images(batch=2)).aux_logits] == [(2, 1000), (2, 1000)]
        assert {n for n, _ in net.named_parameters() if not n.startswith(("aux1.", "aux2."))} == {
            n for n, _ in plain.named_parameters()
        }

    @pytest.mark.parametrize("name", ["googlenet", "googlenet_naive", "googlenet_v2", "googlenet_v3"])
    def test_without_it_every_convolution_has_a_bias(self, name):
        net = meta(name)
        assert all(layer.bias is not None for layer in net.modules() if isinstance(layer, nn.Conv2d))
        assert sum(isinstance(layer, nn.LocalResponseNorm) for layer in net.modules()) == 2

    @pytest.mark.parametrize("name", NAMES)
    def test_no_relu_overwrites_what_a_hook_saw(self, name):
        relus = [layer for layer in meta(name, aux_logits=True).modules() if isinstance(layer, nn.ReLU)]
        assert relus
        assert not any(relu.inplace for relu in relus)


class TestOutputs:
    @pytest.mark.parametrize("name", NAMES)
    def test_heads_speak_in_training_alone(self, name):
        net = meta(name, aux_logits=True, num_classes=7)
        outputs = net(images(batch=2))
        assert isinstance(outputs, Outputs)
        assert outputs.logits.shape == (2, 7)
        assert [aux.shape for aux in outputs.aux_logits] == [(2, 7), (2, 7)]
        assert net.eval()(images(batch=2)).shape == (2, 7)

    def test_without_heads_training_gives_logits(self):
        assert meta("googlenet")(images(batch=2)).shape == (2, 1000)

    def test_heads_come_in_network_order(self):
        net = meta("googlenet", aux_logits=True)
        calls = []
        for name in ("aux2", "aux1", "fc"):
            net.get_submodule(name).register_forward_hook(lambda *_, name=name: calls.append(name))
        net(images())
        assert calls == ["aux1", "aux2", "fc"]

    def test_dropout_is_the_main_classifier_s(self):
        net = meta("googlenet", aux_logits=True, dropout=0.25)
        assert (net.dropout.p, net.aux1.dropout.p, net.aux2.dropout.p) == (0.25, 0.7, 0.7)
        assert meta("googlenet").dropout.p == 0.4

    @pytest.mark.parametrize("name", ["googlenet", "googlenet_3x3", "googlenet_v3"])
    def test_gradient_reaches_every_parameter(self, name):
        torch.manual_seed(0)
        net = create_model(name, aux_logits=True, num_classes=5)
        outputs = net(torch.randn(2, 3, 191, 191))
        sum(logits.square().sum() for logits in (outputs.logits, *outputs.aux_logits)).backward()
        silent = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
        assert silent == []


class TestWeights:
    def test_state_dict_goes_round(self):
        one = create_model("googlenet", aux_logits=True, num_classes=3).eval()
        two = create_model("googlenet", aux_logits=True, num_classes=3).eval()
        x = torch.randn(1, 3, 64, 64)
        assert not torch.equal(one(x), two(x))
        two.load_state_dict(one.state_dict())
        assert torch.equal(one(x), two(x))

    def test_a_copy_is_as_good(self):
        net = create_model("googlenet", num_classes=3).eval()
        x = torch.randn(1, 3, 40, 40)
        assert torch.equal(copy.deepcopy(net)(x), net(x))

    def test_initialisation(self):
        net = create_model("googlenet", num_classes=10)
        assert not any(layer.bias.any() for layer in net.modules() if isinstance(layer, nn.Conv2d))
        fan_in = 64 * 9
        assert net.conv2.conv.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.02)
        assert net.fc.weight.std().item() == pytest.approx(0.01, rel=0.05)

    def test_initialisation_is_optional(self):
        torch.manual_seed(0)
        net = create_model("googlenet", init_weights=False)
        torch.manual_seed(0)
        assert torch.equal(net.conv1.conv.weight, nn.Conv2d(3, 64, 7).weight)
        assert net.conv1.conv.bias.any()

    def test_logits_start_near_a_guess(self):
        torch.manual_seed(0)
        net = create_model("googlenet").eval()
        loss = nn.functional.cross_entropy(net(torch.randn(4, 3, 96, 96)), torch.arange(4))
        assert loss.item() == pytest.approx(math.log(1000), rel=0.3)


class Dispatched(TorchDispatchMode):
    """Notes every operation that reaches a tensor."""

    def __init__(self):
        super().__init__()
        self.ops = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.ops.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


class TestMeta:
    @pytest.mark.parametrize("name", NAMES)
    def test_no_memory_and_no_initialisation(self, name):
        with Dispatched() as calls:
            net = meta(name, aux_logits=True)
        assert all(tensor.is_meta for tensor in net.state_dict().values())
        assert calls.ops <= {"empty", "zeros", "ones"}

    def test_the_random_state_is_left_alone(self):
        before = torch.get_rng_state()
        meta("googlenet_bn")
        assert torch.equal(torch.get_rng_state(), before)

    def test_torch_s_default_device_is_respected(self):
        with torch.device("meta"):
            assert create_model("googlenet").fc.weight.is_meta
        assert create_model("googlenet", device=torch.device("meta")).fc.weight.is_meta
        assert create_model("googlenet", device="cpu").fc.weight.device.type == "cpu"


@torch.no_grad()
def runs_unguarded(net, x):
    """True where torch itself runs the network on `x`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "check_input", lambda *_, **__: None)
        try:
            net(x)
        except RuntimeError:
            return False
        return True


@torch.no_grad()
def runs_guarded(net, x):
    try:
        net(x)
    except InceptionLabError:
        return False
    return True


PLAIN_EVAL = {name: meta(name, num_classes=2).eval() for name in NAMES}
TRAINED = {name: meta(name, num_classes=2, aux_logits=True) for name in NAMES}


class TestInputs:
    @pytest.mark.parametrize("name", NAMES)
    def test_the_smallest_input_is_the_smallest(self, name):
        net, smallest = PLAIN_EVAL[name], CARDS[name].smallest_input
        assert net.limits.smallest == smallest
        assert runs_guarded(net, images(smallest))
        assert not runs_guarded(net, images(smallest - 1))
        assert not runs_unguarded(net, images(smallest - 1))

    @pytest.mark.parametrize(("name", "smallest"), [("googlenet", 31), ("googlenet_3x3", 15)])
    def test_on_real_tensors_too(self, name, smallest):
        net = create_model(name, num_classes=2).eval()
        assert net(torch.randn(1, 3, smallest, smallest)).isfinite().all()
        assert not runs_unguarded(net, torch.randn(1, 3, smallest - 1, smallest - 1))

    @pytest.mark.parametrize("name", NAMES)
    def test_heads_take_what_leads_to_4x4(self, name):
        net = TRAINED[name]
        accepted_sides = [
            side for side in (190, 191, 224, 238, 239) if runs_guarded(net, images(side, batch=2))
        ]
        possible = [side for side in (190, 191, 224, 238, 239) if runs_unguarded(net, images(side, batch=2))]
        assert accepted_sides == possible == [191, 224, 238]

    @settings(max_examples=20, deadline=None)
    @given(st.sampled_from(["googlenet", "googlenet_3x3"]), st.integers(1, 300), st.integers(1, 300))
    def test_the_guard_is_as_strict_as_torch(self, name, height, width):
        x = images(height, width)
        assert runs_guarded(PLAIN_EVAL[name], x) == runs_unguarded(PLAIN_EVAL[name], x)

    @settings(max_examples=20, deadline=None)
    @given(st.integers(170, 260), st.integers(170, 260))
    def test_with_heads_too(self, height, width):
        x = images(height, width, batch=2)
        assert runs_guarded(TRAINED["googlenet"], x) == runs_unguarded(TRAINED["googlenet"], x)

    @pytest.mark.parametrize(
        ("shape", "message"),
        [
            ((1, 3, 30, 224), "input 1 x 3 x 30 x 224 is too small; the smallest is N x 3 x 31 x 31"),
            ((1, 1, 64, 64), "input 1 x 1 x 64 x 64 is not N x 3 x H x W; the smallest is N x 3 x 31 x 31"),
            ((3, 64, 64), "input 3 x 64 x 64 is not N x 3 x H x W; the smallest is N x 3 x 31 x 31"),
            ((), "input of no dimension is not N x 3 x H x W; the smallest is N x 3 x 31 x 31"),
        ],
    )
    def test_a_refusal_is_one_clear_line(self, shape, message):
        with pytest.raises(InceptionLabError) as error:
            PLAIN_EVAL["googlenet"](torch.empty(shape, device="meta"))
        assert str(error.value) == f"GoogLeNet: {message}"
        assert error.value.exit_code == 3

    def test_a_refusal_for_the_heads(self):
        with pytest.raises(InceptionLabError) as error:
            TRAINED["googlenet"](images(224, 256, batch=2))
        assert str(error.value) == (
            "GoogLeNet: input 2 x 3 x 224 x 256 does not fit the auxiliary heads; "
            "they train on sides 191 to 238"
        )

    def test_other_sizes_reach_the_classifier(self):
        for side in (96, 256, 299):
            assert PLAIN_EVAL["googlenet"](images(side, batch=3)).shape == (3, 2)
