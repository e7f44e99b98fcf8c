"""Names, cards and options, and the promise that none of them needs torch."""

import inspect
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.models import googlenet, registry
from inception_lab.models.card import Option
from inception_lab.models.cards import CARDS, check_options, get_card
from inception_lab.models.registry import create_model, list_models
from inception_lab.tracing.tracer import trace

NAMES = list_models()
ROOT = Path(registry.__file__).parents[2]


def fresh(code):
    """The output of `code` in an interpreter of its own."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    return process.stdout.strip()


class TestCards:
    @pytest.mark.parametrize("name", NAMES)
    def test_the_costs_are_those_of_the_network(self, name):
        card, macs = CARDS[name], []
        net = create_model(name, device="meta").eval()

        def note(layer, _, out):
            macs.append(out[0].numel() * layer.weight[0].numel())

        for layer in net.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                layer.register_forward_hook(note)
        net(torch.empty(1, *card.input_size, device="meta"))
        assert card.params == sum(p.numel() for p in net.parameters())
        assert card.macs == sum(macs)

    @pytest.mark.parametrize(
        ("name", "variant"), [(n, v) for n in NAMES for v in CARDS[n].variants], ids=lambda x: str(x)[:20]
    )
    def test_the_costs_of_a_variant_are_those_of_the_network(self, name, variant):
        net = create_model(name, device="meta", **variant.options)
        assert variant.params == sum(p.numel() for p in net.parameters())
        assert variant.macs == sum(op.macs for op in trace(net, (1, *variant.input_size)).ops)

    @pytest.mark.parametrize("name", NAMES)
    def test_the_options_are_those_of_the_entry(self, name):
        file, function = CARDS[name].entry.split(":")
        build = getattr(import_module(f"inception_lab.models.{file}"), function)
        entry = {n: p.default for n, p in inspect.signature(build).parameters.items() if n != "options"}
        if file == "googlenet":
            common = inspect.signature(googlenet.GoogLeNet).parameters
            entry |= {n: p.default for n, p in common.items() if n != "design"}
            assert set(googlenet.Options.__annotations__) == set(common) - {"design"}
        assert entry == {n: option.default for n, option in CARDS[name].options.items()}

    @pytest.mark.parametrize("name", NAMES)
    def test_every_default_is_one_that_is_taken(self, name):
        card = CARDS[name]
        assert card.name == name
        assert all(option.accepts(option.default) and option.meaning for option in card.options.values())
        check_options(card, {n: option.default for n, option in card.options.items()})

    @pytest.mark.parametrize("name", NAMES)
    def test_every_choice_builds(self, name):
        for key, option in CARDS[name].options.items():
            for choice in option.choices:
                assert isinstance(create_model(name, device="meta", **{key: choice}), nn.Module)

    def test_they_cannot_be_changed(self):
        with pytest.raises(AttributeError):
            CARDS["googlenet"].params = 7
        with pytest.raises(TypeError):
            CARDS["googlenet"] = None
        with pytest.raises(TypeError):
            CARDS["googlenet"].options["num_classes"] = None

    def test_they_can_be_keys(self):
        assert len(set(CARDS.values())) == len(CARDS)


class TestNames:
    def test_listing(self):
        assert list_models() == list(CARDS)
        assert list_models("googlenet") == [
            "googlenet",
            "googlenet_bn",
            "googlenet_3x3",
            "googlenet_naive",
            "googlenet_v2",
            "googlenet_v3",
        ]

    @pytest.mark.parametrize(
        ("ask", "message"),
        [
            (lambda: create_model("gogglenet"), "no model 'gogglenet'; did you mean googlenet"),
            (lambda: get_card("zzz"), "no model 'zzz'; known: alexnet, "),
            (lambda: list_models("gogglenet"), "no family 'gogglenet'; did you mean googlenet or alexnet?"),
            (lambda: create_model("googlenet", device="cdua"), "device is 'cdua'; it takes cpu, cuda"),
        ],
    )
    def test_an_unknown_one_is_refused_with_what_is_near(self, ask, message):
        with pytest.raises(InceptionLabError) as error:
            ask()
        assert str(error.value).startswith(message)
        assert error.value.exit_code == 2


def values_of(option):
    """Values that an option takes; of integers without a limit no large ones."""
    if option.choices:
        return st.sampled_from(option.choices)
    values = {
        "count": st.integers(1, option.most or 3000),
        "fraction": st.floats(0, 1, exclude_max=True) | st.just(0),
        "multiplier": st.floats(0, option.most or 1000, exclude_min=True),
        "flag": st.booleans(),
    }
    return values[option.kind] | st.none() if option.default is None else values[option.kind]


class TestOptions:
    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("googlenet", {"num_clases": 10}, "no option 'num_clases'; did you mean num_classes?"),
            (
                "googlenet",
                {"middle": "input"},
                "no option 'middle'; known: aux_logits, batch_norm, depth_3, ",
            ),
            ("googlenet", {"module_3": "nave"}, "module_3 is 'nave'; it takes reduced or naive or 3x3 or "),
            ("googlenet", {"depth_4": 27}, "depth_4 is 27; it takes an integer of 1 or more, up to 26"),
            ("googlenet", {"depth_4": 0}, "depth_4 is 0; "),
            ("googlenet", {"width": 0}, "width is 0; it takes a finite number above 0, up to 10"),
            ("googlenet", {"width": 10.5}, "width is 10.5; "),
            ("googlenet", {"width": None}, "width is None; "),
            ("googlenet", {"reduction_3x3": 0.0}, "reduction_3x3 is 0.0; "),
            (
                "googlenet",
                {"reduction_pool": 1.5},
                "reduction_pool is 1.5; it takes a finite number above 0, up to 1, or None",
            ),
            ("googlenet", {"input_size": 224.0}, "input_size is 224.0; it takes an integer of 1 or more, "),
            ("googlenet", {"input_size": 10**9}, "input_size is 1000000000; "),
            ("googlenet_bn", {"batch_norm": True}, "no option 'batch_norm'; "),
            ("googlenet", {"num_classes": 0}, "num_classes is 0; it takes an integer of 1 or more"),
            ("googlenet", {"num_classes": True}, "num_classes is True; "),
            ("googlenet", {"num_classes": 10.0}, "num_classes is 10.0; "),
            ("googlenet", {"num_classes": "10"}, "num_classes is '10'; "),
            ("googlenet", {"dropout": 1}, "dropout is 1; it takes a number from 0 up to"),
            ("googlenet", {"dropout": -0.1}, "dropout is -0.1; "),
            ("googlenet", {"dropout": float("nan")}, "dropout is nan; "),
            ("googlenet", {"dropout": False}, "dropout is False; "),
            ("googlenet", {"aux_logits": 1}, "aux_logits is 1; it takes True or False"),
            ("googlenet", {"init_weights": None}, "init_weights is None; "),
            ("googlenet_v2", {"middle": "wide"}, "middle is 'wide'; it takes output or input or geometric"),
            ("googlenet_v3", {"middle": None}, "middle is None; "),
            (
                "inception_resnet_v1",
                {"scale": -0.1},
                "scale is -0.1; it takes a finite number of 0 or more, or None",
            ),
            ("inception_resnet_v2", {"scale": float("inf")}, "scale is inf; "),
            ("inception_resnet_v2", {"scale": float("nan")}, "scale is nan; "),
            ("inception_resnet_v2", {"scale": True}, "scale is True; "),
            ("inception_resnet_v2", {"scale": "1.0"}, "scale is '1.0'; "),
            ("inception_resnet_v2", {"scale": 10**309}, "scale is 1000"),
            ("inception_v4", {"scale": 1.0}, "no option 'scale'; "),
        ],
    )
    def test_a_wrong_one_is_refused(self, name, options, message):
        with pytest.raises(InceptionLabError) as error:
            create_model(name, device="meta", **options)
        assert str(error.value).startswith(f"{name}: {message}")
        assert error.value.exit_code == 2

    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def test_whatever_the_card_takes_builds_and_runs(self, data):
        name = data.draw(st.sampled_from([n for n in NAMES if CARDS[n].family == "googlenet"]))
        takes = CARDS[name].options
        strategies = {n: values_of(option) for n, option in takes.items() if n != "input_size"}
        options = data.draw(st.fixed_dictionaries({}, optional=strategies))
        net = create_model(name, device="meta", **options).eval()
        side = CARDS[name].smallest_input
        with torch.no_grad():
            logits = net(torch.empty(2, 3, side, side, device="meta"))
        assert logits.shape == (2, options.get("num_classes", 1000))

    @given(
        st.one_of(st.integers(), st.floats(), st.booleans(), st.text(), st.none(), st.lists(st.integers()))
    )
    def test_what_is_accepted_is_what_is_said(self, value):
        kinds = ("count", "fraction", "factor", "multiplier", "flag")
        count, share, factor, multiplier, flag = (Option(0, kind, "") for kind in kinds)
        few = Option(0, "count", "", most=26)
        optional = Option(None, "factor", "")
        assert count.accepts(value) == (type(value) is int and value >= 1)
        assert share.accepts(value) == (type(value) in (int, float) and 0 <= value < 1)
        assert factor.accepts(value) == (type(value) in (int, float) and 0 <= value < float("inf"))
        assert multiplier.accepts(value) == (factor.accepts(value) and value > 0)
        assert few.accepts(value) == (type(value) is int and 1 <= value <= 26)
        assert optional.accepts(value) == (value is None or factor.accepts(value))
        assert flag.accepts(value) == (type(value) is bool)
        assert Option("a", "choice", "", choices=("a", "b")).accepts(value) == (value in ("a", "b"))


class TestNoTorch:
    def test_listing_and_refusing_import_neither_torch_nor_pandas(self):
        code = """
import sys
from inception_lab.models.registry import create_model, list_models
assert list_models()
for options in ({"num_clases": 1}, {"num_classes": 0}):
    try:
        create_model("googlenet", device="meta", **options)
    except ValueError:
        pass
print(sorted({"torch", "pandas", "numpy"} & set(sys.modules)))
"""
        assert fresh(code) == "[]"
