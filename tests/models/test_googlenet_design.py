"""Variants of GoogLeNet's design: parameters and MACs from Table 1 by formulas of the test's own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reference_tables import executed, images, macs, parameters
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.loading.model import trace_model
from inception_lab.loading.options import InputSize, model_request
from inception_lab.loading.variants import variant_words
from inception_lab.models import googlenet as source
from inception_lab.models.blocks import Outputs
from inception_lab.models.cards import CARDS
from inception_lab.models.registry import create_model

# 1409.4842 Table 1, typed here again: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj
STAGES = {
    "3": [(64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)],
    "4": [
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ],
    "5": [(256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)],
}
DEPTHS = {"3": 2, "4": 5, "5": 2}
KINDS = ("reduced", "naive", "3x3", "stacked", "asymmetric")


def net_of(name="googlenet", **options):
    return create_model(name, device="meta", **options)


def all_stages(kind):
    return {f"module_{stage}": kind for stage in STAGES}


# --------------------------------------------------------------------------- the formula of a design


def times(channels, factor):
    return max(1, round(channels * factor))


def module_convs(kind, row, before, options):
    """Input, output and kernel cells of each convolution of a module, and the module's output."""
    one, three_reduce, three, five_reduce, five, proj = (times(n, options.get("width", 1)) for n in row)
    if kind == "naive":
        return [(before, one, 1), (before, three, 9), (before, five, 25)], one + three + five + before
    shares = [options.get(f"reduction_{branch}") for branch in ("3x3", "5x5", "pool")]
    three_reduce, five_reduce, proj = (
        n if share is None else times(before, share)
        for n, share in zip((three_reduce, five_reduce, proj), shares, strict=True)
    )
    small = [(three_reduce, three, 9)]
    large = {
        "reduced": [(five_reduce, five, 25)],
        "3x3": [(five_reduce, five, 9)],
        "stacked": [(five_reduce, five, 9), (five, five, 9)],
        "asymmetric": [(five_reduce, five, 5), (five, five, 5)],
    }[kind]
    if kind == "asymmetric":
        small = [(three_reduce, three, 3), (three, three, 3)]
    reduces = [(before, n, 1) for n in (one, three_reduce, five_reduce, proj)]
    return [*reduces, *small, *large], one + three + five + proj


def grids(side):
    """Sides behind conv1, pool1 and pool2 to pool4: a stride of 2, then halves that round down from even."""
    first = -(-side // 2)
    return [first, first // 2, first // 4, first // 8, first // 16]


def head_side(grid):
    """A window of 5, a step of 3, the last window not full: none of 2, one up to 5, two up to 8."""
    return 0 if grid < 3 else 1 + -(-max(grid - 5, 0) // 3)


def expected(options):
    """Parameters, with heads, and multiply-accumulates in eval mode."""
    side = options.get("input_size", 224)
    at_conv1, at_conv2, *at_stages = grids(side)
    norm = 2 if options.get("batch_norm") else 1
    classes = options.get("num_classes", 1000)
    params = work = heads = 0

    def conv(before, after, cells, grid):
        nonlocal params, work
        params += before * after * cells + after * norm
        work += before * after * cells * grid**2

    first, channels = times(64, options.get("width", 1)), times(192, options.get("width", 1))
    conv(3, first, 49, at_conv1)
    conv(first, first, 1, at_conv2)
    conv(first, channels, 9, at_conv2)
    for (stage, rows), grid in zip(STAGES.items(), at_stages, strict=True):
        depth = options.get(f"depth_{stage}", DEPTHS[stage])
        for place in range(depth):
            row, kind = rows[min(place, len(rows) - 1)], options.get(f"module_{stage}", "reduced")
            convs, channels = module_convs(kind, row, channels, options)
            for before, after, cells in convs:
                conv(before, after, cells, grid)
            if options.get("aux_logits") and stage == "4" and place in {0, min(3, depth - 1)}:
                heads += channels * 128 + 128 * norm
                heads += 128 * head_side(grid) ** 2 * 1024 + 1024 + 1024 * classes + classes
    return params + heads + channels * classes + classes, work + channels * classes


shares = st.none() | st.floats(0.01, 1)
designs = st.fixed_dictionaries(
    {},
    optional={f"module_{stage}": st.sampled_from(KINDS) for stage in STAGES}
    | {f"depth_{stage}": st.integers(1, 8) for stage in STAGES}
    | {f"reduction_{branch}": shares for branch in ("3x3", "5x5", "pool")}
    | {
        "width": st.floats(0.01, 2),
        "batch_norm": st.booleans(),
        "input_size": st.integers(47, 500),
        "aux_logits": st.booleans(),
        "num_classes": st.integers(1, 50),
    },
)


class TestDrawnDesigns:
    @settings(max_examples=60, deadline=None)
    @given(designs)
    def test_parameters_and_macs_are_those_of_the_formula(self, options):
        net = net_of(**options).eval()
        side = net.default_cfg["input_size"][-1]
        assert (parameters(net), macs(executed(net, images(side)))) == expected(options)

    @settings(max_examples=40, deadline=None)
    @given(designs)
    def test_it_trains_and_infers_at_its_size(self, options):
        net = net_of(**options)
        channels, height, width = net.default_cfg["input_size"]
        assert (channels, height, width) == (3, *[options.get("input_size", 224)] * 2)
        classes, batch = options.get("num_classes", 1000), images(height, batch=2)
        assert net.eval()(batch).shape == (2, classes)
        out = net.train()(batch)
        if not options.get("aux_logits"):
            assert out.shape == (2, classes)
        else:
            assert isinstance(out, Outputs)
            heads = 1 if options.get("depth_4") == 1 else 2
            assert [logits.shape for logits in (out.logits, *out.aux_logits)] == [(2, classes)] * (heads + 1)

    def test_the_formula_knows_the_paper_s_net(self):
        assert expected({}) == (6_998_552, 1_582_671_872)
        assert expected({"aux_logits": True})[0] == 13_378_280


class TestAgainstTheCounterparts:
    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            ("reduced", "googlenet"),
            ("naive", "googlenet_naive"),
            ("stacked", "googlenet_v2"),
            ("asymmetric", "googlenet_v3"),
        ],
    )
    def test_one_kind_throughout(self, kind, name):
        net = net_of(**all_stages(kind)).eval()
        assert (parameters(net), macs(executed(net, images(224)))) == (CARDS[name].params, CARDS[name].macs)
        assert [n for n, _ in net.named_parameters()] == [n for n, _ in net_of(name).named_parameters()]

    def test_3x3_with_normalisation_is_torchvision_s_but_for_pool_and_eps(self):
        net = net_of(batch_norm=True, **all_stages("3x3")).eval()
        card = CARDS["googlenet_3x3"]
        assert (parameters(net), macs(executed(net, images(224)))) == (card.params, card.macs)

    def test_batch_norm_is_googlenet_bn(self):
        here, there = net_of(batch_norm=True, aux_logits=True), net_of("googlenet_bn", aux_logits=True)
        assert {n: p.shape for n, p in here.state_dict().items()} == {
            n: p.shape for n, p in there.state_dict().items()
        }

    def test_defaults_that_are_given_change_no_weight(self):
        defaults = {n: option.default for n, option in CARDS["googlenet"].options.items()}
        torch.manual_seed(0)
        plain = create_model("googlenet").state_dict()
        torch.manual_seed(0)
        explicit = create_model("googlenet", **defaults).state_dict()
        assert list(plain) == list(explicit)
        assert all(torch.equal(plain[name], explicit[name]) for name in plain)


class TestByHand:
    def module(self, name, **options):
        net = net_of(**options)
        convs = net.get_submodule(f"inception{name}").named_modules()
        return {path: tuple(m.weight.shape[:2]) for path, m in convs if isinstance(m, nn.Conv2d)}

    def test_half_the_width(self):
        assert self.module("3a", width=0.5) == {
            "branch1.conv": (32, 96),
            "branch2.reduce.conv": (48, 96),
            "branch2.conv3x3.conv": (64, 48),
            "branch3.reduce.conv": (8, 96),
            "branch3.conv5x5.conv": (16, 8),
            "branch4.proj.conv": (16, 96),
        }
        net = net_of(width=0.5)
        assert [net.conv1.conv.out_channels, net.conv2_reduce.conv.out_channels] == [32, 32]

    def test_reductions_are_shares_of_the_module_s_input(self):
        shares = {"reduction_3x3": 0.25, "reduction_5x5": 0.125, "reduction_pool": 0.5}
        assert self.module("3a", **shares) == {
            "branch1.conv": (64, 192),
            "branch2.reduce.conv": (48, 192),
            "branch2.conv3x3.conv": (128, 48),
            "branch3.reduce.conv": (24, 192),
            "branch3.conv5x5.conv": (32, 24),
            "branch4.proj.conv": (96, 192),
        }
        # 3a now gives 64 + 128 + 32 + 96 channels
        assert self.module("3b", **shares)["branch2.reduce.conv"] == (80, 320)

    def test_no_width_is_below_one(self):
        net = net_of(width=1e-6, reduction_3x3=1e-6).eval()
        assert {m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d)} == {1}
        assert net(images(64)).shape == (1, 1000)

    def test_each_stage_has_its_kind(self):
        net = net_of(module_3="stacked", module_4="asymmetric", module_5="3x3")
        assert hasattr(net.inception3b.branch3, "conv3x3_2")
        assert hasattr(net.inception4e.branch3, "conv5x1")
        assert hasattr(net.inception5b.branch3, "conv3x3")


class TestDepths:
    def modules(self, **options):
        names = [n for n, _ in net_of(**options).named_children()]
        return " ".join(n for n in names if n.startswith(("inception", "pool3", "pool4", "aux")))

    def test_names_go_on_with_letters(self):
        assert self.modules(depth_3=3, depth_4=7, depth_5=1, aux_logits=True) == (
            "inception3a inception3b inception3c pool3 inception4a aux1 inception4b inception4c inception4d "
            "aux2 inception4e inception4f inception4g pool4 inception5a"
        )

    @pytest.mark.parametrize(
        ("depth", "expected"),
        [
            (1, "pool3 inception4a aux1 pool4"),
            (2, "pool3 inception4a aux1 inception4b aux2 pool4"),
            (3, "pool3 inception4a aux1 inception4b inception4c aux2 pool4"),
        ],
    )
    def test_heads_of_a_short_stage(self, depth, expected):
        assert expected in self.modules(depth_4=depth, aux_logits=True)

    def test_the_last_row_comes_again(self):
        net = net_of(depth_5=4)
        assert [net.get_submodule(f"inception5{x}").out_channels for x in "abcd"] == [832, 1024, 1024, 1024]

    def test_26_letters(self):
        assert net_of(depth_4=26).inception4z.out_channels == 832


def runs(net, x):
    try:
        net(x)
    except (InceptionLabError, RuntimeError):
        return False
    return True


class TestSizes:
    @pytest.mark.parametrize(
        ("side", "heads", "message"),
        [
            (30, False, "it takes 31 or more"),
            (46, True, "it takes 47 or more with auxiliary heads"),
            (1, True, "it takes 47 or more with auxiliary heads"),
        ],
    )
    def test_one_that_is_too_small_is_refused(self, side, heads, message):
        with pytest.raises(InceptionLabError) as error:
            net_of(input_size=side, aux_logits=heads)
        assert str(error.value) == f"GoogLeNet: input_size is {side}; {message}"
        assert error.value.exit_code == 2

    @pytest.mark.parametrize(("smallest", "heads"), [(31, False), (47, True)])
    def test_the_smallest_that_is_taken_runs(self, smallest, heads):
        net = net_of(input_size=smallest, aux_logits=heads)
        assert runs(net, images(smallest, batch=2))
        assert runs(net.eval(), images(smallest, batch=2))

    def test_sides_are_counted_as_torch_counts_them(self):
        net, grid_of = net_of(), {}
        for name in ("conv1", "pool1", "pool2", "pool3", "pool4"):
            net.get_submodule(name).register_forward_hook(
                lambda _, __, out, name=name: grid_of.__setitem__(name, out.shape[-1])
            )
        for side in (31, 32, 47, 97, 160, 191, 238, 299):
            net(images(side, batch=2))
            assert [*grid_of.values()] == grids(side)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(47, 400), st.integers(-20, 20), st.integers(1, 6))
    def test_heads_take_what_torch_takes(self, side, offset, depth):
        net = net_of(input_size=side, aux_logits=True, depth_4=depth, width=0.1)
        batch = images(max(side + offset, 32), batch=2)
        guarded = runs(net, batch)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(source, "check_input", lambda *_, **__: None)
            assert runs(net, batch) == guarded
        assert guarded or offset

    def test_the_paper_s_heads_are_as_they_were(self):
        assert net_of(aux_logits=True).limits.with_heads == range(191, 239)
        assert net_of(aux_logits=True, input_size=238).aux1.fc1.in_features == 128 * 16

    def test_gradient_reaches_every_parameter(self):
        torch.manual_seed(0)
        design = {"width": 0.25, "module_3": "naive", "module_4": "asymmetric", "reduction_pool": 0.1}
        net = create_model("googlenet", aux_logits=True, num_classes=5, input_size=96, depth_4=2, **design)
        out = net(torch.randn(4, 3, 96, 96))
        sum(logits.square().sum() for logits in (out.logits, *out.aux_logits)).backward()
        assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


class TestDefaultInput:
    def test_a_trace_from_the_name_has_it(self):
        trace = trace_model(model_request("googlenet(input_size=160, width=0.25)"))
        assert trace.context.input_shapes == ((1, 3, 160, 160),)

    def test_so_has_one_by_the_factory(self):
        request = model_request("inception_lab.models.googlenet:googlenet(input_size=96, width=0.25)")
        assert trace_model(request).context.input_shapes == ((1, 3, 96, 96),)

    def test_the_name_of_a_folder_tells_other_inputs_alone(self):
        def words(side):
            request = model_request("googlenet(input_size=160)", input_sizes=(InputSize((3, side, side)),))
            return variant_words(request)

        assert words(160) == ()
        assert words(224) == ("3x224x224",)

    def test_an_audit_has_it(self):
        def rows(*sizes):
            audited = model_request("googlenet(input_size=96)", input_sizes=sizes)
            return il.audit_models(audited, "googlenet_v2").rows

        assert rows() == rows(InputSize((3, 96, 96))) != rows(InputSize((3, 224, 224)))
