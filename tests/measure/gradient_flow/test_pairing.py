"""A seed gives the same figures to the last bit, others for another one, and pairs models."""

import random
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from inception_lab.measure.gradient_flow.flow import compare_gradient_flow, gradient_flow
from inception_lab.measure.gradient_flow.shared_weights import share_weights
from inception_lab.measure.gradient_flow.training import compare_training, short_training

SHAPE = (6, 3, 8, 8)


class Net(nn.Module):
    def __init__(self, width=4, log=None, draws=None):
        super().__init__()
        self.conv, self.fc, self.drop = nn.Conv2d(3, width, 3), nn.Linear(width, 5), nn.Dropout()
        self.log, self.draws = log, draws

    def forward(self, x):
        if self.log is not None and not x.is_meta:
            self.log(x.clone())
        if self.draws is not None and not x.is_meta:
            self.draws((torch.rand(()).item(), random.random(), np.random.rand()))
        return self.fc(self.drop(self.conv(x).relu().mean((2, 3))))


class Log:
    """A function that keeps what it is called with, out of reach of what puts a model's objects back."""

    kept: ClassVar = {}

    def __init__(self, name):
        self.name = name
        Log.kept[name] = []

    def __call__(self, value):
        Log.kept[self.name].append(value)

    @property
    def values(self):
        return Log.kept[self.name]


def bits(table):
    return table.select_dtypes("number").to_numpy(float).tobytes()


def test_twice_the_same_call_gives_the_same_bits():
    first, second = (gradient_flow(Net, SHAPE, seeds=2, batches=2) for _ in range(2))
    assert bits(first.runs) == bits(second.runs)
    assert bits(first.losses) == bits(second.losses)
    torch.manual_seed(99)
    first, second = (short_training(Net, SHAPE, 3, seeds=2) for _ in range(2))
    assert bits(first.losses) == bits(second.losses)
    assert bits(first.gradients) == bits(second.gradients)


def test_every_seed_and_batch_gives_others():
    flow = gradient_flow(Net, SHAPE, seeds=3, batches=3)
    assert flow.losses["loss"].nunique() == 9
    norms = flow.runs.query("module == 'conv'").set_index(["seed", "batch"])["weight_norm"]
    assert norms.groupby("seed").nunique().tolist() == [1, 1, 1]  # weights are drawn for a seed
    assert norms.nunique() == 3
    own = gradient_flow(Net(), SHAPE, seeds=3)
    assert own.runs.query("module == 'conv'")["weight_norm"].nunique() == 1
    assert own.losses["loss"].nunique() == 3
    assert (flow.context["weights"], own.context["weights"]) == ("drawn for each seed", "the model's own")


def test_more_seeds_begin_as_fewer_do():
    few, many = (gradient_flow(Net, SHAPE, seeds=seeds).losses for seeds in (1, 2))
    assert bits(many.query("seed == 0")) == bits(few)


def test_a_forward_draws_other_numbers_in_each_run_and_the_same_ones_again():
    model = Net(draws=Log("draws"))
    log = model.draws
    gradient_flow(model, SHAPE, seeds=2, batches=2)
    assert len(log.values) == 4
    for numbers in zip(*log.values, strict=True):  # of torch, Python and numpy
        assert len(set(numbers)) == 4
    gradient_flow(model, SHAPE, seeds=2, batches=2)
    assert log.values[:4] == log.values[4:]


@pytest.mark.parametrize(
    "run",
    [
        lambda models, loss: compare_gradient_flow(models, SHAPE, seeds=2, batches=2, loss=loss),
        lambda models, loss: compare_training(models, SHAPE, 2, seeds=2, loss=loss),
    ],
    ids=["flow", "training"],
)
def test_models_that_are_compared_see_the_same_samples(run):
    logs = [Log("narrow"), Log("wide")]
    run({"narrow": lambda: Net(4, logs[0]), "wide": lambda: Net(8, logs[1])}, lambda y: y.mean())
    narrow, wide = ([x.numpy().tobytes() for x in log.values] for log in logs)
    assert narrow == wide
    assert len(set(narrow)) == 4


def test_models_that_are_compared_see_the_same_labels():
    """Of logits that grow with the class the loss tells the mean of the labels."""

    class Tells(nn.Module):
        def __init__(self, scale):
            super().__init__()
            self.scale = nn.Parameter(torch.full((10,), scale), requires_grad=True)

        def forward(self, x):
            return self.scale * torch.arange(10.0) + 0 * x.mean()

    class Rows(nn.Module):
        def __init__(self, scale):
            super().__init__()
            self.tells = Tells(scale)

        def forward(self, x):
            return torch.stack([self.tells(each) for each in x])

    flows = compare_gradient_flow({"a": lambda: Rows(1.0), "b": lambda: Rows(2.0)}, (6, 3), seeds=3)
    a, b = (flow.losses["loss"].to_numpy() for flow in flows.models)
    # the loss is log sum exp(s k) less s times the mean label
    spans = [np.log(np.exp(scale * np.arange(10)).sum()) for scale in (1, 2)]
    assert spans[0] - a == pytest.approx((spans[1] - b) / 2, rel=1e-4)
    assert len(set(a)) > 1


def test_tables_side_by_side_and_what_only_one_has():
    flows = compare_gradient_flow(
        {"a": Net, "b": lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 5))}, SHAPE
    )
    table = flows.table("weight_norm").set_index("module")
    assert list(table) == ["a", "b"]
    assert table.loc["conv"].notna().tolist() == [True, False]
    assert table.loc["(model)"].notna().all()
    for name, flow in zip("ab", flows.models, strict=True):
        own = flow.by_module().set_index("module")["weight_norm"].dropna()
        assert table[name].dropna().to_dict() == own.to_dict()
    assert flows.context["seeds"] == 3
    assert "model" not in flows.context


def test_medians_and_quartiles_are_those_of_numpy():
    flow = gradient_flow(Net, SHAPE, seeds=3, batches=2)
    table = flow.by_module(None).set_index("module")
    for module, rows in flow.runs.groupby("module"):
        for figure in ("output_mean", "weight_gradient", "zeros"):
            values = rows[figure].to_numpy()
            if np.isnan(values).all():
                assert np.isnan(table.loc[module, figure])
                continue
            columns = [f"{figure}_low", figure, f"{figure}_high"]
            assert table.loc[module, columns].tolist() == pytest.approx(
                np.quantile(values, [0.25, 0.5, 0.75]).tolist(), rel=1e-12
            )


def test_results_name_themselves_on_one_line():
    flow = gradient_flow(nn.Linear(3, 2), (4, 3), seeds=2, name="net")
    assert repr(flow) == "<GradientFlow of net, input 4x3, train: 2 runs>"
    assert (
        repr(short_training(nn.Linear(3, 2), (4, 3), 3)) == "<Training of Linear, input 4x3, train: 3 steps>"
    )


def test_random_numbers_of_one_purpose_are_not_those_of_another():
    """Weights, inputs and the noise of a forward, each of them normal, under the same seed."""
    drawn = {}

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 64))

        def forward(self, x, y):
            drawn.setdefault("all", []).append([self.weight.detach().clone(), x.clone(), torch.randn(4, 64)])
            return (x @ self.weight.T).sum() + y.sum()

    gradient_flow(Net, [(4, 64), (4, 2)], seeds=2, batches=2)
    numbers = [tensor.flatten() for run in drawn["all"] for tensor in run]
    unlike = {id(a): a for a in numbers}
    assert len(unlike) == 12
    for place, one in enumerate(numbers):
        for other in numbers[place + 1 :]:
            if not torch.equal(one, other):  # the weights of two batches are the same
                assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 0.3


def test_models_share_weights_where_they_have_the_same_layers():
    class Net(nn.Module):
        def __init__(self, heads, width=4):
            super().__init__()
            self.stem = nn.Linear(3, width)
            if heads:
                self.aux = nn.Linear(width, 2)
            self.norm = nn.BatchNorm1d(width)
            self.fc = nn.Linear(width, 2)

        def forward(self, x):
            return self.fc(self.norm(self.stem(x)))

    def full():
        return Net(heads=True)

    plain, wide = share_weights(lambda: Net(heads=False), full), share_weights(lambda: Net(True, 8), full)
    flows = compare_gradient_flow({"full": full, "plain": plain, "wide": wide}, (6, 3), seeds=3)
    table = flows.table("weight_norm").set_index("module")
    assert table.loc["fc", "full"] == table.loc["fc", "plain"]
    assert table.loc["stem", "full"] != table.loc["stem", "wide"]
    losses = [flow.losses["loss_main"].tolist() for flow in flows.models]
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 3


def test_what_the_figures_lack_is_said():
    scales = iter([1.0, float("inf"), 1.0])

    def build():
        model = nn.Linear(3, 2)
        model.weight.data *= next(scales)
        return model

    flow = gradient_flow(build, (4, 3), seeds=3)
    assert flow.note == "1 of 3 runs are not finite"
    assert flow.to_dict()["complete"] is False
    assert gradient_flow(lambda: nn.Linear(3, 2), (4, 3), seeds=3).to_dict()["complete"] is True
    one_class = gradient_flow(lambda: nn.Linear(3, 1), (4, 3), seeds=1)
    assert one_class.terms == ("sum",)
    assert one_class.values("weight_gradient", "(model)")[0] > 0


def test_ratios_are_taken_run_by_run():
    flow = gradient_flow(lambda: nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), (4, 3), seeds=3)
    first, second = flow.values("weight_gradient", "0"), flow.values("weight_norm", "1")
    expected = [one / other for one, other in zip(first, second, strict=True)]
    assert flow.paired_ratios(("weight_gradient", "0"), ("weight_norm", "1")) == expected
