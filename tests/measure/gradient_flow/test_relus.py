"""Zeros and dead channels, of ReLUs of every kind."""

import pytest
import torch
import torch.nn.functional as F
from support.flow_nets import GivenSamples
from torch import nn
from torch.utils.checkpoint import checkpoint

from inception_lab.measure.gradient_flow.flow import gradient_flow

# of three samples the first feature is never above zero, the second one in one of them
ROWS = GivenSamples([[-1.0, -1.0], [-2.0, 3.0], [-3.0, 5.0]], [0, 1, 0])
ZEROS, DEAD = 100 * 4 / 6, 50


class Does(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x + 0)  # no view of the input


def figures(model, samples=ROWS, **options):
    flow = gradient_flow(model, (3, *samples.shape), seeds=1, samples=samples, **options)
    table = flow.runs.set_index("module")
    return table.reindex(columns=["zeros", "dead"])


@pytest.mark.parametrize(
    "relu",
    [
        F.relu,
        torch.relu_,
        F.relu6,
        lambda x: x.clamp(min=0),
        lambda x: x.clamp_(0),
        lambda x: x.clamp_min(0.0),
        lambda x: torch.clip(x, min=0),
        lambda x: F.threshold(x, 0, 0),
        lambda x: F.hardtanh(x, 0, 9),
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.ReLU6(),
    ],
)
def test_what_is_a_relu_whoever_calls_it(relu):
    assert figures(Does(relu)).loc["(model)"].tolist() == pytest.approx([ZEROS, DEAD])


@pytest.mark.parametrize(
    "function",
    [
        F.leaky_relu,
        F.gelu,
        F.elu,
        F.hardtanh,
        F.normalize,  # clamps a norm from below
        lambda x: x.clamp(min=-1),
        lambda x: x.clamp_min(1e-6),
        lambda x: x.clamp(max=0),
        lambda x: F.threshold(x, 1, 0),
        lambda x: x.clamp(min=torch.tensor([-9.0, 1.0])),
        lambda x: x + x.long().clamp(min=0),
        lambda x: x + torch.relu(x[:, :0]).sum(),
        lambda x: torch.relu(x.to_sparse()).to_dense(),
    ],
)
def test_what_is_none(function):
    assert figures(Does(function)).isna().all(axis=None)


def test_a_channel_is_dead_where_it_is_zero_at_every_place_of_every_sample():
    images = torch.full((3, 3, 2, 2), -1.0)
    images[1, 1, 0, 1] = 1  # one place of one sample of channel 1
    images[:, 2] = 2
    relu = figures(nn.Sequential(nn.ReLU()), GivenSamples(images.tolist(), [0, 1, 0])).loc["0"]
    assert relu.tolist() == pytest.approx([100 * (12 + 11) / 36, 100 / 3])


@pytest.mark.parametrize(("layers", "axis"), [("linear", -1), ("convolution", 1), ("norm", -1)])
def test_channels_are_those_of_the_layer_before(layers, axis):
    """Of tokens channels are last, of images second."""
    layer = {"linear": nn.Linear(4, 4), "convolution": nn.Conv1d(4, 4, 1), "norm": nn.LayerNorm(4)}[layers]
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([-1.0, -1, -1, 1]))
    samples = GivenSamples([[[1.0] * 4] * 4] * 3, [0, 1, 0])
    assert figures(nn.Sequential(layer, nn.ReLU()), samples).loc["1"].tolist() == [75, 75], axis


def test_a_module_has_those_within_it_and_a_function_counts_to_the_module_that_calls_it():
    inner = nn.Sequential(Does(F.relu), nn.Identity())  # 4 of 6 zeros
    outer = nn.Sequential(inner, Does(lambda x: F.relu(x + 1)), Does(F.gelu))  # 0 of 6
    found = figures(outer)
    assert found["zeros"].dropna().to_dict() == pytest.approx(
        {"(model)": 100 * 4 / 12, "0": ZEROS, "0.0": ZEROS, "1": 0}
    )
    assert found["dead"].dropna().to_dict() == pytest.approx({"(model)": 25, "0": 50, "0.0": 50, "1": 0})


def test_all_calls_of_one_module_count():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x):
            return self.act(x) + self.act(-x)

    # of -x channel 1 is zero in two samples
    assert figures(Twice()).loc["act"].tolist() == pytest.approx([100 * (4 + 2) / 12, 25])


def test_a_relu_after_a_child_is_its_parents_own():
    class Parent(nn.Module):
        def __init__(self):
            super().__init__()
            self.child = nn.Sequential(nn.ReLU())

        def forward(self, x):
            return F.relu(self.child(x) + 1)  # none of the six is zero

    assert figures(Parent())["zeros"].tolist() == pytest.approx([100 * 4 / 12, ZEROS, ZEROS])


class Saves(nn.Module):
    """Two layers, the second one and its ReLU within a checkpoint: None for none."""

    def __init__(self, reentrant):
        super().__init__()
        self.stem, self.fc, self.act, self.reentrant = nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(), reentrant

    def forward(self, x):
        x = self.stem(x)
        if self.reentrant is None:
            return self.block(x)
        return checkpoint(self.block, x, use_reentrant=self.reentrant)

    def block(self, x):
        return self.act(self.fc(x))


@pytest.mark.parametrize("reentrant", [False, True])
def test_what_a_checkpoint_runs_again_counts_once(reentrant):
    torch.manual_seed(0)
    model = Saves(None)
    expected = gradient_flow(model, (3, 2), seeds=1).runs
    model.reentrant = reentrant
    found = gradient_flow(model, (3, 2), seeds=1).runs
    if reentrant:  # whose forward is not differentiated, so that no gradient comes back to its modules
        within = expected["module"].isin(["fc", "act"])
        expected.loc[within, ["output_gradient", "output_gradient_main"]] = float("nan")
    assert found.equals(expected)
