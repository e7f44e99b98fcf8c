"""A chain of layers of one unit, every figure worked out by hand.

Of x = 1, -1, 2, -2 the first layer makes a = 2x = 2, -2, 4, -4, the ReLU r = 2, 0, 4, 0, and the second
layer y = 1 - 3r = -5, 1, -11, 1. The loss has two terms: `first` = sum of y, and `second` = half the sum of
its squares.

| gradient by | first | second | both |
|---|---|---|---|
| y | 1, 1, 1, 1 | y = -5, 1, -11, 1 | -4, 2, -10, 2 |
| r: times -3 | -3, -3, -3, -3 | 15, -3, 33, -3 | 12, -6, 30, -6 |
| a: where r > 0 | -3, 0, -3, 0 | 15, 0, 33, 0 | 12, 0, 30, 0 |
| first weight: sum of x da | -9 | 81 | 72 |
| second weight: sum of r dy | 6 | -54 | -48 |
| its bias: sum of dy | 4 | -14 | -10 |
"""

from math import sqrt

import pytest
import torch
from support.flow_nets import GivenSamples
from torch import nn

from inception_lab.measure.gradient_flow.flow import gradient_flow
from inception_lab.measure.gradient_flow.training import short_training

SAMPLES = GivenSamples([[1.0], [-1.0], [2.0], [-2.0]], [0, 1, 0, 1])

FIGURES = {
    "0": {
        "output_mean": 0,
        "output_variance": (4 + 4 + 16 + 16) / 4,
        "output_gradient": sqrt(144 + 900),
        "output_gradient_first": sqrt(9 + 9),
        "output_gradient_second": sqrt(225 + 1089),
        "weight_norm": 2,
        "weight_gradient": 72,
        "weight_gradient_first": 9,
        "weight_gradient_second": 81,
        "relative_gradient": 36,
        "contribution_first": 100 * -9 / 72,
        "contribution_second": 100 * 81 / 72,
    },
    "1": {
        "output_mean": 1.5,
        "output_variance": (4 + 16) / 4 - 2.25,
        "output_gradient": sqrt(144 + 36 + 900 + 36),
        "output_gradient_first": sqrt(4 * 9),
        "output_gradient_second": sqrt(225 + 9 + 1089 + 9),
        "zeros": 50,
        "dead": 0,
    },
    "2": {
        "output_mean": -3.5,
        "output_variance": (25 + 1 + 121 + 1) / 4 - 12.25,
        "output_gradient": sqrt(16 + 4 + 100 + 4),
        "output_gradient_first": 2,
        "output_gradient_second": sqrt(25 + 1 + 121 + 1),
        "weight_norm": sqrt(9 + 1),
        "weight_gradient": sqrt(48**2 + 10**2),
        "weight_gradient_first": sqrt(6**2 + 4**2),
        "weight_gradient_second": sqrt(54**2 + 14**2),
        "relative_gradient": sqrt((48**2 + 10**2) / 10),
        "contribution_first": 100 * (6 * -48 + 4 * -10) / (48**2 + 10**2),
        "contribution_second": 100 * (54 * 48 + 14 * 10) / (48**2 + 10**2),
    },
}
FIGURES["(model)"] = FIGURES["2"] | {
    "zeros": 50,
    "dead": 0,
    "weight_norm": sqrt(4 + 9 + 1),
    "weight_gradient": sqrt(72**2 + 48**2 + 10**2),
    "weight_gradient_first": sqrt(9**2 + 6**2 + 4**2),
    "weight_gradient_second": sqrt(81**2 + 54**2 + 14**2),
    "relative_gradient": sqrt((72**2 + 48**2 + 10**2) / 14),
    "contribution_first": 100 * (-9 * 72 + 6 * -48 + 4 * -10) / (72**2 + 48**2 + 10**2),
    "contribution_second": 100 * (81 * 72 + 54 * 48 + 14 * 10) / (72**2 + 48**2 + 10**2),
}


def chain():
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 1)).double()
    for parameter, value in zip(net.parameters(), (2, -3, 1), strict=True):
        nn.init.constant_(parameter, value)
    return net


def loss(y):
    return {"first": y.sum(), "second": y.square().sum() / 2}


def test_every_figure_of_a_pass():
    flow = gradient_flow(chain(), (4, 1), seeds=1, samples=SAMPLES, loss=loss)
    assert flow.terms == ("first", "second")
    assert list(flow.runs["module"]) == ["(model)", "0", "1", "2"]
    for module, row in flow.runs.set_index("module").drop(columns=["seed", "batch", "type"]).iterrows():
        assert row.dropna().to_dict() == pytest.approx(FIGURES[module], rel=1e-14), module
    (losses,) = flow.losses.to_dict("records")
    assert losses == {
        "seed": 0, "batch": 0, "loss": 60, "loss_first": -14, "loss_second": 74, "mismatch": 0
    }  # fmt: skip


def test_a_loss_of_one_term_is_the_whole():
    flow = gradient_flow(
        chain(), (4, 1), seeds=1, samples=SAMPLES, loss=lambda y: sum(loss(y).values())
    ).runs.set_index("module")
    assert list(flow["weight_gradient_loss"].dropna()) == list(flow["weight_gradient"].dropna())
    assert list(flow["output_gradient_loss"]) == list(flow["output_gradient"])
    assert list(flow["contribution_loss"].dropna()) == [100, 100, 100]
    assert flow.loc["0", "weight_gradient"] == pytest.approx(72, rel=1e-14)


def test_two_steps_of_training():
    """The step is 0.1 times the gradient; the second adds 0.5 times the first one's gradient."""
    training = short_training(chain(), (4, 1), 3, samples=SAMPLES, loss=loss, learning_rate=0.1, momentum=0.5)
    first = training.gradients.query("step == 0").set_index("module")
    assert first["weight_gradient"].to_dict() == pytest.approx(
        {name: FIGURES[name]["weight_gradient"] for name in ("(model)", "0", "2")}, rel=1e-14
    )
    # weights 2 - 7.2, -3 + 4.8 and 1 + 1, so that a = -5.2x, r = 0, 5.2, 0, 10.4 and y = 1.8r + 2
    second = training.gradients.query("step == 1").set_index("module")
    assert second["weight_norm"].to_dict() == pytest.approx(
        {"(model)": sqrt(5.2**2 + 1.8**2 + 2**2), "0": 5.2, "2": sqrt(1.8**2 + 2**2)}, rel=1e-13
    )
    y = [2, 1.8 * 5.2 + 2, 2, 1.8 * 10.4 + 2]
    assert list(training.losses["loss_first"])[:2] == pytest.approx([-14, sum(y)])
    gradient = -1 * 1.8 * (1 + y[1]) - 2 * 1.8 * (1 + y[3])  # x times the slope times dy, where r > 0
    assert second.loc["0", "weight_gradient"] == pytest.approx(-gradient)
    third = training.gradients.query("step == 2").set_index("module")
    assert third.loc["0", "weight_norm"] == pytest.approx(abs(-5.2 - 0.1 * (gradient + 0.5 * 72)))


def test_moments_are_those_of_all_elements_in_double_precision():
    """Half precision would lose them: the mean of 60 000 elements of 2, their squares beyond 65 504."""

    class Constant(nn.Module):
        def forward(self, x):
            return torch.full((2, 30_000), 2.0, dtype=torch.float16) * x.new_ones(()).half()

    row = gradient_flow(nn.Sequential(Constant()), (2, 3), seeds=1).runs.iloc[0]
    assert (row["output_mean"], row["output_variance"]) == (2, 0)


def test_large_tensors_and_gradients_too_small_to_square_in_single_precision():
    """The gradient by each of 600 000 outputs is 1e-30, whose square single precision takes for 0."""

    class Widens(nn.Module):
        def forward(self, x):
            return (x + torch.arange(300_000.0)).t()

    flow = gradient_flow(
        nn.Sequential(nn.Linear(1, 1), Widens()), (2, 1), seeds=1, loss=lambda y: 1e-30 * y.sum()
    )
    row = flow.runs.set_index("module").loc["1"]
    assert row["output_gradient"] == pytest.approx(1e-30 * sqrt(600_000), rel=1e-6)
    assert row["output_variance"] == pytest.approx((300_000**2 - 1) / 12, rel=1e-6)
    assert row["output_mean"] == pytest.approx(299_999 / 2, rel=1e-4)
