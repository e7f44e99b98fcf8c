"""Budgets in a test of one's own, on nets whose figures are plain arithmetic."""

import re
from functools import partial

import pytest
import torch
from support.budget_nets import Net
from torch import nn

import inception_lab as il
from inception_lab.measure.timing import timing

SHAPE = (1, 1, 4, 4)
FIGURES = {
    "params": 2 * 9 + 32 * 5 + 5,
    "trainable_params": 2 * 9 + 32 * 5 + 5,
    "macs": 16 * 2 * 9 + 32 * 5,
    "flops": 2 * (16 * 2 * 9 + 32 * 5),
    "other_flops": 5,  # the bias
    "activation_bytes": 4 * (32 + 5),
    "receptive_field": 4,  # a kernel of 3 sees 3, and the linear layer the whole side
    "weighted_layers": 2,
}


@pytest.mark.parametrize("metric", FIGURES)
def test_a_limit_is_kept_up_to_the_figure_and_no_further(metric):
    figure = FIGURES[metric]
    verdict = il.check_budget(Net(), SHAPE, **{metric: figure})
    assert (verdict.status, verdict.findings[0].value, verdict.findings[0].allowed) == (
        "passed",
        figure,
        figure,
    )
    assert il.check_budget(Net(), SHAPE, **{metric: {"min": figure}}).status == "passed"
    with pytest.raises(il.BudgetExceeded, match=f"{figure:,} is 1 .* above the maximum of {figure - 1:,}"):
        il.check_budget(Net(), SHAPE, **{metric: figure - 1})
    with pytest.raises(il.BudgetExceeded, match=f"{figure:,} is 1 .* below the minimum of {figure + 1:,}"):
        il.check_budget(Net(), SHAPE, **{metric: {"min": figure + 1}})


def test_frozen_parameters_are_not_trainable():
    net = Net()
    net.fc.weight.requires_grad_(False)
    assert il.check_budget(net, SHAPE, trainable_params=2 * 9 + 5, params=183).status == "passed"
    layers = {"fc": {"trainable_params": 5, "params": 165}}
    assert il.check_budget(net, SHAPE, layers=layers).status == "passed"


def test_the_text_names_the_limit_the_excess_and_the_largest_layers():
    with pytest.raises(il.BudgetExceeded) as failure:
        il.check_budget(Net(), SHAPE, params={"max": 150, "message": "ask the board"})
    assert str(failure.value) == (
        "Net does not keep its budget\n"
        "  params: 183 is 33 (22 %) above the maximum of 150\n"
        "    ask the board\n"
        "    largest: fc 165, conv 18"
    )
    assert failure.value.verdict.status == "failed"


def test_a_model_of_the_zoo_needs_no_inputs():
    net = il.create_model("inception_v3", device="meta")
    verdict = il.check_budget(net, macs={"min": 5_000_000_000})
    assert verdict.findings[0].value == il.check_budget("inception_v3", macs="6 G").findings[0].value


def test_a_model_that_tells_no_size_needs_inputs():
    with pytest.raises(il.InceptionLabError, match="pass inputs="):
        il.check_budget(Net(), params=5)


def test_a_warning_is_one_of_python():
    with pytest.warns(UserWarning, match="183 is 173"):
        verdict = il.check_budget(Net(), SHAPE, params={"max": 10, "severity": "warn"})
    assert verdict.status == "warned"


def test_training_figures_come_from_a_training_step():
    verdict = il.check_budget(Net(), SHAPE, training_macs="1 M", train_peak_bytes="1 MiB", peak_bytes="1 MiB")
    step = il.summarise(il.trace(Net(), SHAPE, mode="train")).totals
    inference = il.summarise(il.trace(Net(), SHAPE)).totals
    expected = [step["training_macs"], step["train_peak_bytes"], inference["peak_bytes"]]
    assert [finding.value for finding in verdict.findings] == expected


class Unknown(nn.Module):
    """An operation that no formula knows."""

    def forward(self, x):
        return torch.cholesky_inverse(x[0, 0] @ x[0, 0].T)


def test_a_partial_trace_fails():
    with pytest.raises(il.BudgetExceeded, match="not counted: "):
        il.check_budget(Unknown(), SHAPE, params=5)


def test_a_model_that_cannot_run_fails():
    with pytest.raises(il.BudgetExceeded, match="cannot run on an input of 1x3x4x4"):
        il.check_budget(Net(), (1, 3, 4, 4), params=500)


def test_a_pattern_that_matches_nothing_fails_with_the_nearest_paths():
    with pytest.raises(il.BudgetExceeded, match=r"no layer matches 'convs\.\*'; did you mean conv\?"):
        il.check_budget(Net(), SHAPE, layers={"convs.*": {"macs": 3}})


class WithIdleHead(Net):
    """A head that inference does not run, as an auxiliary classifier, and one that samples anywhere."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3, 4)
        self.sampled = nn.Conv2d(2, 1, 1)

    def forward(self, x):
        grid = torch.zeros(1, 4, 4, 2)
        return self.sampled(nn.functional.grid_sample(self.conv(x), grid, align_corners=False))


def test_layers_that_never_ran_have_parameters_and_keep_no_limit_on_work():
    assert il.check_budget(WithIdleHead(), SHAPE, layers={"head": {"params": 16}}).status == "passed"
    for pattern in ("head", "he*", "fc"):
        with pytest.raises(il.BudgetExceeded, match=f"no layer that matches {re.escape(repr(pattern))} ran"):
            il.check_budget(WithIdleHead(), SHAPE, layers={pattern: {"macs": 10}})


def test_a_receptive_field_behind_an_unknown_one_is_not_small():
    limit = {"receptive_field": 100}
    for limits, layer in ((limit, "(model)"), ({"layers": {"sampled": limit}}, "sampled")):
        text = f"the receptive field of {layer} is not known: no rule for aten.grid_sampler_2d.default"
        with pytest.raises(il.BudgetExceeded, match=re.escape(text)):
            il.check_budget(WithIdleHead(), SHAPE, **limits)
    assert il.check_budget(WithIdleHead(), SHAPE, receptive_field={"min": 3}).status == "passed"
    assert il.check_budget(WithIdleHead(), SHAPE, layers={"conv": {"receptive_field": 3}}).status == "passed"


class OffCentre(nn.Module):
    """A pool of 2 beside a convolution of 3, whose centres differ by half a pixel, and then one of 3."""

    def __init__(self):
        super().__init__()
        self.left = nn.Conv2d(1, 1, 3, padding=1)
        self.right = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.AvgPool2d(2, stride=1))
        self.both = nn.Conv2d(2, 1, 3)

    def forward(self, x):
        return self.both(torch.cat([self.left(x), self.right(x)], 1))


def test_branches_of_different_centres_are_seen_whole():
    verdict = il.check_budget(OffCentre(), (1, 1, 16, 16), receptive_field=5)
    assert verdict.findings[0].value == 5


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"parms": 3}, "parms: is not a key of a budget; did you mean params?"),
        ({"params": "7 MiB"}, "params: '7 MiB' is not a quantity of count; write it like 7 M"),
        ({"params": -1}, "params: -1 is negative; give 0 or more"),
        ({"params": {"min": 5, "max": 4}}, "params: no figure is at least 5 and at most 4; "
         "let min be below max"),
        ({"params": {"growth": "1 %"}}, "Net: growth is against a lock; pass lock= and name="),
        ({"params": 3, "mode": "training"}, "mode: 'training' is not a mode; give eval or train"),
        ({"layers": {"": {"macs": 3}}}, "layers.'': an empty pattern names no layer; "
         "write one like 'inception5*.branch3.*'"),
    ],
)  # fmt: skip
def test_faults_of_the_limits_are_said(limits, text):
    with pytest.raises(il.InceptionLabError) as failure:
        il.check_budget(Net(), SHAPE, **limits)
    assert (str(failure.value), failure.value.exit_code) == (text, 2)


def test_without_a_limit_nothing_was_checked():
    for limits in ({}, {"layers": {}}, {"mode": "train"}):
        with pytest.raises(il.InceptionLabError, match="Net: has no limit; give it one"):
            il.check_budget(Net(), SHAPE, **limits)


@pytest.mark.parametrize(
    "inputs",
    [
        (3, 1, 5, 5), [3, 1, 5, 5], [(3, 1, 5, 5)], torch.zeros(3, 1, 5, 5), [torch.zeros(3, 1, 5, 5)],
        torch.zeros(3, 1, 5, 5).shape,
    ],
    ids=range(6),
)  # fmt: skip
def test_another_model_has_the_same_inputs(inputs):
    other = "torch.nn:Conv2d(in_channels=1, out_channels=2, kernel_size=1)"
    verdict = il.check_budget(nn.Conv2d(1, 2, 3, padding=1), inputs, macs={"ratio": 9, "to": other})
    assert verdict.findings[0].value == verdict.findings[0].allowed == 3 * 25 * 2 * 9


def test_a_ratio_needs_inputs_that_another_model_can_have():
    limit = {"ratio": 9, "to": "nin"}
    for inputs in (torch.zeros(5), [torch.zeros(1, 2), torch.zeros(2, 2)]):
        with pytest.raises(il.InceptionLabError, match="another model cannot have these inputs"):
            il.check_budget(nn.Linear(2, 2), inputs, macs=limit)


def test_times_of_a_model_at_hand(monkeypatch):
    monkeypatch.setattr(timing, "compare_times", partial(timing.compare_times, seconds=0))
    limit = {"ratio": 1000, "to": "torch.nn:Conv2d(in_channels=1, out_channels=3, kernel_size=1)"}
    (finding,) = il.check_budget(Net(), (1, 1, 4, 4), time=limit).findings
    assert (finding.passed, finding.reason) == (True, "")
