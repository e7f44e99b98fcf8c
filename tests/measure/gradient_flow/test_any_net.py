"""Gradient flow of hostile nets, and of what is no net: figures, or one line that says why not."""

import json

import pytest
import torch
from support.fingerprints import fingerprint, same
from support.hostile.table import HOSTILE
from torch import nn

from inception_lab.errors import MODEL_FAILED, USAGE, InceptionLabError
from inception_lab.measure.gradient_flow.flow import compare_gradient_flow, gradient_flow
from inception_lab.measure.gradient_flow.samples import MadeSamples
from inception_lab.measure.gradient_flow.training import compare_training, short_training

UNTRAINED = {
    "empty": "no parameter takes a gradient",
    "no parameters": "no parameter takes a gradient",
    "unregistered": "no parameter takes a gradient",
    "all frozen": "no parameter takes a gradient",
    "causal": "no parameter takes a gradient",
    "its input": "the loss depends on no parameter",
    "key cache": "the loss depends on no parameter",
}
"""Nets with nothing to train, and what is said of them."""


@pytest.mark.parametrize(
    "case",
    [case for case in HOSTILE if not case.error_in("train") and case.name != "lazy"],
    ids=lambda case: case.name,
)
def test_hostile_nets_have_figures_and_are_left_as_found(case):
    model = case.make()
    before = fingerprint(model)
    flow = gradient_flow(model, case.inputs, seeds=1)
    assert same(before, fingerprint(model))
    json.dumps(flow.to_dict(), allow_nan=False)
    figures = flow.runs.set_index("module")
    # one net freezes a layer in its forward, another one puts other weights in the place of the first
    if case.name in ("freezes itself", "replacing"):
        return
    trained = [p.detach() for p in model.parameters() if p.requires_grad]
    assert ("weight_norm" in figures) == bool(trained)
    if trained:
        assert figures.loc["(model)", "weight_norm"] == pytest.approx(norm_of(trained), rel=1e-3)
        assert flow.losses["mismatch"].tolist() == [0]


def norm_of(tensors):
    return sum(float(x.abs().double().square().sum()) for x in tensors) ** 0.5


def test_weights_are_those_of_after_the_forward():
    cases = {case.name: case for case in HOSTILE}
    model = cases["replacing"].make()  # doubles its weight
    flow = gradient_flow(model, cases["replacing"].inputs, seeds=1)
    expected = norm_of([2 * model.linear.weight.detach(), model.linear.bias.detach()])
    row = flow.runs.set_index("module").loc["linear"]
    assert row["weight_norm"] == pytest.approx(expected, rel=1e-6)
    model = cases["freezes itself"].make()
    rows = gradient_flow(model, cases["freezes itself"].inputs, seeds=1).runs.set_index("module")
    assert rows["weight_norm"].isna().to_dict() == {"(model)": False, "first": True, "second": False}


@pytest.mark.parametrize(
    "case",
    [case for case in HOSTILE if not case.error_in("train") and case.name not in ("lazy", "very deep")],
    ids=lambda case: case.name,
)
def test_hostile_nets_are_trained_and_left_as_found(case):
    model = case.make()
    before = fingerprint(model)
    if case.name in UNTRAINED:
        with pytest.raises(InceptionLabError, match=UNTRAINED[case.name]):
            short_training(model, case.inputs, 2)
    else:
        assert len(short_training(model, case.inputs, 2).losses) == 2
    assert same(before, fingerprint(model))


@pytest.mark.parametrize(
    ("model", "inputs", "message", "exit_code"),
    [
        (lambda: nn.LazyLinear(3), (2, 4), "a lazy layer has no shape yet", MODEL_FAILED),
        (lambda: nn.Linear(4, 3, device="meta"), (2, 4), "on meta cannot run for real", MODEL_FAILED),
        (lambda: nn.BatchNorm1d(4), (1, 4), "ValueError: Expected more than 1", MODEL_FAILED),
        (lambda: nn.Linear(5, 3), (2, 4), "Linear: cannot run: RuntimeError", MODEL_FAILED),
        (lambda: nn.Sequential(nn.ReLU(), nn.Linear(5, 3)), (2, 4), "RuntimeError in 1: ", MODEL_FAILED),
        (lambda: None, (2, 4), "a NoneType is not a torch.nn.Module", USAGE),
        (lambda: 1 / 0, (2, 4), "cannot be built: ZeroDivisionError: division by zero", MODEL_FAILED),
        (nn.Linear, (2, 4), r"cannot be built: TypeError: .* missing", MODEL_FAILED),
        (lambda: nn.Linear(4, 3), (0, 4), r"input shape \(0, 4\)", USAGE),
    ],
)  # fmt: skip
@pytest.mark.parametrize("runs", [gradient_flow, lambda *args: short_training(*args, 1)])
def test_what_cannot_run_is_refused_in_one_line(runs, model, inputs, message, exit_code):
    with pytest.raises(InceptionLabError, match=message) as raised:
        runs(model, inputs)
    assert len(str(raised.value).splitlines()) == 1
    assert raised.value.exit_code == exit_code


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 0}, "0 seeds; use 1 to 1,000"),
        ({"seeds": 1.5}, "not a whole number; give one to seeds="),
        ({"head_weight": -1}, "a weight of -1 for heads; use head_weight=0.3"),
        ({"head_weight": float("nan")}, "nan is not a number"),
        ({"head_weight": float("inf")}, "a weight of inf"),
        ({"device": "tpu"}, "not measured on 'tpu'; use device='cpu' or device='cuda'"),
        ({"device": None}, "not measured on None"),
        ({"device": "cuda"}, "no CUDA device; use device='cpu'"),
        ({"samples": "flowers"}, "a str is not labelled samples"),
        ({"samples": MadeSamples((5,))}, r"samples of \(5,\) for inputs of \(4,\)"),
        ({"loss": 3}, "not a function; pass one, or leave out loss="),
        ({"name": 3}, "not text"),
        ({"progress": 3}, "not a function"),
    ],
)
@pytest.mark.parametrize(
    "runs", [gradient_flow, lambda *args, **options: short_training(*args, 1, **options)]
)
def test_options_out_of_range(monkeypatch, runs, options, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InceptionLabError, match=message) as raised:
        runs(nn.Linear(4, 3), (2, 4), **options)
    assert raised.value.exit_code == USAGE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "0 steps; use 1 to 100,000"),
        ({"steps": "3"}, "not a whole number"),
        ({"learning_rate": 0}, "a learning rate of 0; use 0.01"),
        ({"learning_rate": float("inf")}, "a learning rate of inf"),
        ({"momentum": 1}, "a momentum of 1; use 0.9"),
        ({"momentum": -0.1}, "a momentum of -0.1"),
    ],
)
def test_options_of_training_out_of_range(options, message):
    with pytest.raises(InceptionLabError, match=message) as raised:
        short_training(nn.Linear(4, 3), (2, 4), **{"steps": 1} | options)
    assert raised.value.exit_code == USAGE


def test_batches_out_of_range():
    with pytest.raises(InceptionLabError, match="0 batches; use 1 to 1,000"):
        gradient_flow(nn.Linear(4, 3), (2, 4), batches=0)


@pytest.mark.parametrize("runs", [compare_gradient_flow, lambda *args: compare_training(*args, 1)])
@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({}, "no model to "),
        ([nn.Linear(4, 3)], "a list is not models by name"),
        ({1: nn.Linear(4, 3)}, "a dict is not models by name"),
        ({"a": "googlenet"}, "a str is not a torch.nn.Module"),
    ],
)
def test_what_cannot_be_compared(runs, models, message):
    with pytest.raises(InceptionLabError, match=message) as raised:
        runs(models, (2, 4))
    assert raised.value.exit_code == USAGE


def test_samples_stand_in_the_place_of_one_shape():
    two = nn.Bilinear(4, 4, 3)
    with pytest.raises(InceptionLabError, match="Bilinear: samples stand in the place of one shape"):
        gradient_flow(two, [(2, 4), (2, 4)], samples=MadeSamples((4,)))
    assert gradient_flow(two, [(2, 4), (2, 4)], seeds=1).terms == ("main",)


class Calls(nn.Module):
    """A linear layer, and a function that calls it."""

    def __init__(self, function):
        super().__init__()
        self.linear, self.function = nn.Linear(4, 3), function

    def forward(self, x):
        return self.function(self.linear, x)


@pytest.mark.parametrize(
    "function",
    [
        lambda linear, x: torch.vmap(linear)(x),
        lambda linear, x: torch.vmap(torch.vmap(linear))(x[:, None])[:, 0],
        lambda linear, x: torch.func.vjp(linear, x)[0],
    ],
    ids=["vmap", "vmap within vmap", "vjp"],
)
def test_modules_within_functions_of_torch_func_have_the_figures_of_plain_calls(function):
    torch.manual_seed(0)
    plain = Calls(lambda linear, x: linear(x))
    expected = gradient_flow(plain, (5, 4), seeds=1).runs.set_index("module").drop(columns="type")
    plain.function = function
    found = gradient_flow(plain, (5, 4), seeds=1).runs.set_index("module").drop(columns="type")
    assert list(found.index) == list(expected.index) == ["(model)", "linear"]
    for figure in expected:
        assert found[figure].tolist() == pytest.approx(expected[figure].tolist(), rel=1e-5), figure


def test_a_part_that_runs_in_inference_mode_has_moments_and_no_gradient():
    def function(linear, x):
        with torch.inference_mode():
            frozen = linear(x).relu()
        return linear(x).relu() + frozen.sum().item()

    rows = gradient_flow(Calls(function), (5, 4), seeds=1).runs.set_index("module")
    assert rows["zeros"].notna().tolist() == [True, False]
    assert {"output_mean", "output_gradient", "weight_gradient"} <= set(rows.loc["linear"].dropna().index)


def test_figures_that_are_not_finite_are_absent_and_not_zero():
    flow = gradient_flow(Calls(lambda linear, x: linear(x) * float("nan")), (5, 4))
    model, linear = flow.to_dict()["modules"]
    json.dumps(flow.to_dict(), allow_nan=False)
    assert not [name for name in model if name.startswith(("output", "weight_gradient", "contribution"))]
    assert linear["output_variance"] > 0
