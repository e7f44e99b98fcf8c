"""Short training against a plain loop with `torch.optim.SGD`, and what becomes of runs that end badly."""

import copy
import json
import warnings
from itertools import islice
from math import sqrt

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.flow_nets import CHANNELS, CLASSES, SHAPE, Branches, Net, conv
from torch import nn

from inception_lab.errors import USAGE, InceptionLabError
from inception_lab.measure.gradient_flow.samples import MadeSamples, batches
from inception_lab.measure.gradient_flow.training import compare_training, short_training


def net(has_head=True):
    torch.manual_seed(5)
    stem = nn.Sequential(conv(3), nn.BatchNorm2d(CHANNELS), nn.ReLU(inplace=True))
    return Net(stem, Branches(conv(), conv(3), nn.AvgPool2d(3, 1, 1)), has_head)


def plain_loop(model, steps, learning_rate, momentum, seed=0):
    """The losses, gradient norms and accuracies of a training loop as everybody writes it."""
    model = copy.deepcopy(model).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=learning_rate, momentum=momentum)
    made = batches(MadeSamples(SHAPE[1:]), SHAPE[0], seed)
    for batch in islice(made, steps):
        outputs = model(batch.samples)
        labels = batch.labels % CLASSES
        main = F.cross_entropy(outputs.logits, labels)
        aux = 0.3 * F.cross_entropy(outputs.aux_logits, labels)
        optimizer.zero_grad()
        (main + aux).backward()
        yield {
            "loss_main": main.item(),
            "loss_aux": aux.item(),
            "accuracy": 100 * (outputs.logits.argmax(1) == labels).double().mean().item(),
            "gradients": {name: norms(module) for name, module in children(model)},
        }
        optimizer.step()


def children(model):
    return [("(model)", model), *model.named_children()]


def norms(module):
    """Of the gradients and of the weights, in double precision."""
    trained = [p for p in module.parameters() if p.requires_grad]
    gradients = [p.grad.double() for p in trained if p.grad is not None]
    weights = [p.detach().double() for p in trained]
    return [sqrt(sum(float(x.square().sum()) for x in tensors)) for tensors in (gradients, weights)]


def test_every_step_is_that_of_a_plain_loop():
    model = net()
    training = short_training(model, SHAPE, 8, learning_rate=0.05, momentum=0.9, seeds=2)
    assert training.terms == ("main", "aux")
    for seed in range(2):
        expected = list(plain_loop(model, 8, 0.05, 0.9, seed))
        losses = training.losses.query(f"seed == {seed}")
        for name in ("loss_main", "loss_aux", "accuracy"):
            assert losses[name].tolist() == [step[name] for step in expected], name  # to the last bit
        assert losses["loss"].tolist() == [step["loss_main"] + step["loss_aux"] for step in expected]
        for number, step in enumerate(expected):
            rows = training.gradients.query(f"seed == {seed} and step == {number}").set_index("module")
            # in the order of calls, and at the end the one that is never called
            assert list(rows.index) == ["(model)", "first", "second", "fc", "aux", "idle"]
            for module, found in rows[["weight_gradient", "weight_norm"]].iterrows():
                assert found.tolist() == pytest.approx(step["gradients"][module], rel=1e-12), module


def test_a_step_sees_what_the_one_before_left_in_the_model():
    """A running mean that is put into a buffer's place, and a rate that grows with a counter."""

    class Remembers(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.calls = nn.Linear(3, 2), 0
            self.register_buffer("mean", torch.zeros(3))

        def forward(self, x):
            self.calls += x.device.type == "cpu"
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
            return self.fc(x - self.mean) * self.calls

    model = Remembers()
    losses = short_training(model, (4, 3), 5, learning_rate=0.01, momentum=0).losses["loss"].tolist()
    own, expected = copy.deepcopy(model), []
    optimizer = torch.optim.SGD(own.parameters(), 0.01)
    for batch in islice(batches(MadeSamples((3,)), 4, 0), 5):
        loss = F.cross_entropy(own(batch.samples), batch.labels % 2)
        expected.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses == expected
    assert model.calls == 0


def test_frozen_weights_stay_and_have_no_part_in_the_norms():
    model = net()
    model.first.requires_grad_(False)
    model.second.project.weight.requires_grad_(False)
    training = short_training(model, SHAPE, 3, learning_rate=0.5)
    assert set(training.gradients["module"]) == {"(model)", "second", "aux", "fc", "idle"}
    first = training.gradients.query("step == 0").set_index("module")
    assert first.loc["second", "weight_norm"] == pytest.approx(norms(model.second)[1], rel=1e-12)
    idle = training.gradients.query("module == 'idle'")
    assert idle["weight_norm"].nunique() == 1
    assert (idle["weight_gradient"] == 0).all()


def test_a_frozen_model_is_refused_in_one_line():
    with pytest.raises(InceptionLabError, match="Linear: no parameter takes a gradient; unfreeze") as raised:
        short_training(nn.Linear(3, 2).requires_grad_(False), (4, 3), 2)
    assert raised.value.exit_code == USAGE


class Interrupts(nn.Module):
    """Ctrl-C in the forward of a step."""

    def __init__(self, step):
        super().__init__()
        self.fc, self.step, self.calls = nn.Linear(3, 2), step, 0

    def forward(self, x):
        if not x.is_meta:
            if self.calls == self.step:
                raise KeyboardInterrupt
            self.calls += 1
        return self.fc(x)


class TestInterruption:
    def test_the_steps_that_are_done_are_kept(self):
        model = Interrupts(3)
        training = short_training(model, (4, 3), 5)
        assert training.is_interrupted
        assert training.note == "interrupted after 3 of 5 steps"
        assert training.losses["step"].tolist() == sorted(set(training.gradients["step"])) == [0, 1, 2]
        assert training.to_dict()["complete"] is False
        assert training.to_dict()["note"] == training.note
        model.step = 9
        whole = short_training(model, (4, 3), 5)
        assert whole.losses.head(3).equals(training.losses)
        assert (whole.note, whole.is_interrupted) == ("", False)
        assert "note" not in whole.to_dict()
        assert model.calls == 0

    def test_of_several_seeds_the_whole_ones_too(self):
        training = short_training(lambda: Interrupts(3), (4, 3), 3, seeds=2)
        assert not training.is_interrupted
        seeds = []

        def model():
            seeds.append(len(seeds))
            return Interrupts(9 if len(seeds) == 1 else 1)

        training = short_training(model, (4, 3), 3, seeds=3)
        assert training.losses[["seed", "step"]].to_numpy().tolist() == [[0, 0], [0, 1], [0, 2], [1, 0]]
        assert training.note == "interrupted after 4 of 9 steps"
        assert training.by_step()["step"].tolist() == [0, 1, 2]

    def test_before_the_first_step_there_is_nothing_to_keep(self):
        with pytest.raises(KeyboardInterrupt):
            short_training(Interrupts(0), (4, 3), 5)

    def test_progress_may_be_interrupted(self):
        def progress(part):
            if part > 0.5:
                raise KeyboardInterrupt

        model = nn.Linear(3, 2)
        weight = model.weight
        assert len(short_training(model, (4, 3), 4, progress=progress).losses) == 3
        assert model.weight is weight

    def test_models_without_a_step_are_left_out_of_a_comparison(self):
        nets = {"a": lambda: nn.Linear(3, 2), "b": lambda: Interrupts(2), "c": lambda: nn.Linear(3, 2)}
        found = compare_training(nets, (4, 3), 3)
        assert [(run.context["model"], len(run.losses)) for run in found.models] == [("a", 3), ("b", 2)]
        assert found.notes == ("b: interrupted after 2 of 3 steps",)
        assert np.isnan(found.table()["b"]).tolist() == [False, False, True]
        nets["b"] = lambda: Interrupts(0)
        assert [run.context["model"] for run in compare_training(nets, (4, 3), 3).models] == ["a"]
        nets["a"] = lambda: Interrupts(0)
        with pytest.raises(KeyboardInterrupt):
            compare_training(nets, (4, 3), 3)


@pytest.mark.parametrize("loss", [None, lambda y: y.square().mean()], ids=["cross-entropy", "squares"])
def test_a_run_that_diverges_says_so_and_stays_json(loss):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        training = short_training(model, (4, 3), 30, learning_rate=1e6, loss=loss, seeds=2)
        rows = training.to_dict()
        medians = training.by_step(), training.gradients_by_step()
    json.dumps(rows, allow_nan=False)
    assert len(training.losses) == 60
    assert not training.is_interrupted
    finite = np.isfinite(training.losses["loss"])
    first = training.losses[~finite].iloc[0]
    assert (
        training.note
        == f"the loss is not finite from step {first['step']:.0f} of seed {first['seed']:.0f} on"
    )
    assert ["loss" in row for row in rows["steps"]] == finite.tolist()
    assert [len(table["step"].unique()) for table in medians] == [30, 30]


def test_progress_comes_to_an_end():
    parts = []
    short_training(lambda: nn.Linear(3, 2), (4, 3), 3, seeds=2, progress=parts.append)
    assert parts == pytest.approx([number / 6 for number in range(1, 7)])
    parts.clear()
    nets = {"a": lambda: nn.Linear(3, 2), "b": lambda: nn.Linear(3, 4)}
    compare_training(nets, (4, 3), 2, progress=parts.append)
    assert parts == pytest.approx([0.25, 0.5, 0.75, 1])


def test_a_net_learns_made_samples():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
    samples = MadeSamples((4, 4, 4), class_count=4, count=64)
    losses = short_training(model, (32, 4, 4, 4), 40, samples=samples, learning_rate=0.1).losses
    assert losses["accuracy"].tail(5).mean() > 90 > losses["accuracy"].iloc[0]
    assert losses["loss"].tail(5).mean() < losses["loss"].iloc[0] / 2
