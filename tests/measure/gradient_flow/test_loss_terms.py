"""The terms of a loss: of heads, of the user's own function, and what each contributes."""

from collections import namedtuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.flow_nets import GivenSamples
from torch import nn

from inception_lab.errors import MODEL_FAILED, USAGE, InceptionLabError
from inception_lab.measure.gradient_flow.flow import gradient_flow
from inception_lab.measure.gradient_flow.loss_terms import LossTerms
from inception_lab.measure.gradient_flow.training import short_training

Row = namedtuple("Row", "logits aux")
TorchVision = namedtuple("TorchVision", "logits aux_logits2 aux_logits1")
SHAPE = (6, 4)


class Headed(nn.Module):
    """Three layers, a head behind each of the first two."""

    def __init__(self, outputs=lambda main, first, second: Row(main, (first, second))):
        super().__init__()
        self.stem, self.low, self.high = (nn.Linear(4, 4) for _ in range(3))
        self.head1, self.head2, self.fc = (nn.Linear(4, 3) for _ in range(3))
        self.outputs = outputs

    def forward(self, x):
        x = self.stem(x).tanh()
        first = self.head1(x)
        x = self.low(x).tanh()
        return self.outputs(self.fc(self.high(x).tanh()), first, self.head2(x))


def table(flow):
    return flow.runs.set_index("module")


@pytest.mark.parametrize(
    "outputs",
    [
        lambda main, first, second: Row(main, (first, second)),
        lambda main, first, second: TorchVision(main, second, first),
    ],
    ids=["a row of heads", "fields as torchvision has them"],
)
def test_a_head_feeds_what_is_below_it_and_nothing_else(outputs):
    flow = gradient_flow(Headed(outputs).double(), SHAPE, seeds=1)
    assert sorted(flow.terms) == ["aux1", "aux2", "main"]
    assert flow.terms[0] == "main"
    fed = {
        term: set(table(flow)[f"weight_gradient_{term}"].loc[lambda norms: norms > 0].index)
        for term in flow.terms
    }
    assert fed == {
        "main": {"(model)", "stem", "low", "high", "fc"},
        "aux1": {"(model)", "stem", "head1"},
        "aux2": {"(model)", "stem", "low", "head2"},
    }
    # of what each shares with the main loss the last one that runs
    assert flow.heads == {"aux1": "stem", "aux2": "low"}
    assert table(flow).loc["head1", "contribution_aux1"] == pytest.approx(100, rel=1e-13)
    assert table(flow).loc["head1", "contribution_main"] == 0


def test_the_gradients_of_the_terms_add_up_to_that_of_the_loss():
    double, single = (
        gradient_flow(Headed().to(dtype), SHAPE, batches=2) for dtype in (torch.float64, torch.float32)
    )
    assert double.losses["mismatch"].max() < 1e-15
    assert 1e-9 < single.losses["mismatch"].max() < 1e-6
    for flow in (double, single):
        shares = flow.runs.filter(like="contribution_").dropna(how="all")
        assert len(shares) == len(flow.runs)
        assert np.allclose(shares.sum(axis=1), 100, rtol=1e-5 if flow is single else 1e-13)


@pytest.mark.parametrize("weight", [0, 0.3, 2])
def test_the_weight_of_heads_scales_their_gradients(weight):
    torch.manual_seed(0)
    model = Headed().double()
    one, other = (table(gradient_flow(model, SHAPE, seeds=1, head_weight=w)) for w in (1, weight))
    for term, factor in {"main": 1, "aux1": weight, "aux2": weight}.items():
        for figure in ("weight_gradient", "output_gradient"):
            column = f"{figure}_{term}"
            assert np.allclose(other[column], factor * one[column], rtol=1e-12, equal_nan=True)


def test_a_head_without_weight_contributes_nothing_and_is_not_placed():
    flow = gradient_flow(Headed(), SHAPE, seeds=1, head_weight=0)
    assert flow.heads == {}
    assert (table(flow)["contribution_aux1"].dropna() == 0).all()


def test_the_default_terms_are_cross_entropies_of_the_labels():
    logits = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    heads = Row(logits, (2 * logits, None))
    labels = torch.tensor([3, 0])  # of two classes 1 and 0
    by_hand = [(np.log(1 + np.exp(a)) + np.log(1 + np.exp(b))) / 2 for a, b in ((1, 3), (2, 6))]
    found = LossTerms(0.5)(heads, labels)
    assert [*found] == ["main", "aux1"]
    assert [term.item() for term in found.values()] == pytest.approx([by_hand[0], by_hand[1] / 2])
    assert LossTerms().accuracy(heads, labels) == {"accuracy": 0}
    assert LossTerms().accuracy(heads, torch.tensor([0, 0])) == {"accuracy": 50}


@pytest.mark.parametrize(
    "outputs",
    [
        torch.ones(2, 3, 4),
        {"a": torch.ones(2, 6), "b": [torch.ones(2, 6)]},
        torch.ones(8, 3),  # not of the two samples
        Row(torch.ones(2, 3), torch.ones(18)),
        torch.full((24,), 1j, dtype=torch.complex64),
    ],
    ids=["three axes", "a dictionary", "other rows", "a head of other axes", "complex"],
)
def test_of_other_outputs_the_loss_is_the_sum(outputs):
    terms = LossTerms()(outputs, torch.tensor([0, 1]))
    assert {name: term.item() for name, term in terms.items()} == {"sum": 24}
    assert LossTerms().accuracy(outputs, torch.tensor([0, 1])) == {}


def test_the_labels_of_a_folder_are_not_taken_modulo():
    samples = GivenSamples([[0.0, 1.0]] * 3, [0, 1, 2], class_count=3)
    with pytest.raises(InceptionLabError, match="samples of 3 classes for a model of 2") as raised:
        gradient_flow(nn.Linear(2, 2), (2, 2), samples=samples)
    assert raised.value.exit_code == USAGE
    assert "num_classes=3" in str(raised.value)
    gradient_flow(nn.Linear(2, 4), (2, 2), samples=samples, seeds=1)


def test_an_own_loss_sees_the_outputs_and_its_terms_are_named_by_it():
    def loss(outputs):
        assert isinstance(outputs, Row)
        return {"fit": F.mse_loss(outputs.logits, torch.ones(6, 3)), "size": outputs.aux[0].square().mean()}

    flow = gradient_flow(Headed(), SHAPE, seeds=1, loss=loss)
    assert flow.terms == ("fit", "size")
    assert flow.heads == {}  # its terms are no heads
    assert list(flow.losses) == ["seed", "batch", "loss", "loss_fit", "loss_size", "mismatch"]


def test_a_loss_may_reach_weights_past_the_outputs():
    """An L2 penalty: its gradient is twice the weights."""
    model = nn.Linear(4, 3)
    flow = gradient_flow(
        model,
        SHAPE,
        seeds=1,
        loss=lambda y: {"fit": y.mean(), "decay": sum(p.square().sum() for p in model.parameters())},
    )
    row = table(flow).loc["(model)"]
    assert row["weight_gradient_decay"] == pytest.approx(2 * row["weight_norm"], rel=1e-6)
    assert row["output_gradient_decay"] == 0


@pytest.mark.parametrize(
    ("loss", "message", "exit_code"),
    [
        (lambda y: y, r"gave shape \(6, 3\); return scalar tensors", USAGE),
        (lambda y: {"a": y.sum(), "b": 1.0}, "the loss b gave a float; return", USAGE),
        (lambda _: None, "gave a NoneType", USAGE),
        (lambda _: {}, "gave no term", USAGE),
        (lambda y: {"": y.sum()}, "a term named ''; name each by text", USAGE),
        (lambda y: {1: y.sum()}, "a term named 1", USAGE),
        (lambda _: 1 / 0, "ZeroDivisionError", MODEL_FAILED),
        (lambda y: y.sum().to(torch.complex64), "real scalar", MODEL_FAILED),
    ],
)
@pytest.mark.parametrize(
    "runs", [gradient_flow, lambda *args, **options: short_training(*args, 1, **options)]
)
def test_a_loss_that_is_no_scalar_is_refused_in_one_line(runs, loss, message, exit_code):
    with pytest.raises(InceptionLabError, match=message) as raised:
        runs(nn.Linear(4, 3), SHAPE, loss=loss)
    assert len(str(raised.value).splitlines()) == 1
    assert raised.value.exit_code == exit_code


def test_a_loss_that_no_weight_takes_part_in_has_no_gradients():
    flow = gradient_flow(nn.Linear(4, 3), SHAPE, seeds=1, loss=lambda y: y.detach().sum())
    (row,) = flow.to_dict()["modules"]
    assert row["weight_gradient"] == row["weight_gradient_loss"] == 0
    assert not [name for name in row if name.startswith(("output_gradient", "contribution"))]
    with pytest.raises(InceptionLabError, match="Linear: the loss depends on no parameter"):
        short_training(nn.Linear(4, 3), SHAPE, 1, loss=lambda y: y.detach().sum())


def test_sparse_gradients_of_several_terms_add_up():
    net = nn.Sequential(nn.Embedding(9, 4, sparse=True), nn.Linear(4, 2)).double()
    flow = gradient_flow(
        net,
        torch.tensor([[0, 1, 1], [2, 0, 8]]),
        seeds=1,
        loss=lambda y: {"a": y.sum(), "b": y.square().sum()},
    )
    assert flow.losses["mismatch"].max() < 1e-15
    assert table(flow).filter(like="contribution_").sum(axis=1).tolist() == pytest.approx([100] * 3)
