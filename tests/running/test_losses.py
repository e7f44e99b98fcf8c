"""Values of the default loss, worked out by PyTorch's own functions and by hand."""

from collections import namedtuple

import pytest
import torch
import torch.nn.functional as F

from inception_lab.errors import InceptionLabError
from inception_lab.running.losses import default_loss

Outputs = namedtuple("Outputs", ["logits", "aux", "auxiliary_heads"])
Unnamed = namedtuple("Unnamed", ["scores", "aux"])


def logits(seed):
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(seed))


def cross_entropy(x):
    return F.cross_entropy(x, torch.zeros(4, dtype=torch.int64)).item()


def value_of(outputs):
    name, loss = default_loss(outputs)
    return name, loss(outputs).item()


@pytest.mark.parametrize(
    ("outputs", "weights"),
    [
        (logits(0), [1]),
        (Outputs(logits(0), None, None), [1]),
        (Outputs(logits(0), logits(1), None), [1, 0.3]),
        (Outputs(logits(0), None, [logits(1), None, logits(2)]), [1, 0.3, 0.3]),
        (Outputs(logits(0), logits(1), (logits(2),)), [1, 0.3, 0.3]),
    ],
)
def test_cross_entropy_with_heads_at_three_tenths(outputs, weights):
    expected = sum(weight * cross_entropy(logits(seed)) for seed, weight in enumerate(weights))
    assert value_of(outputs) == ("cross_entropy", pytest.approx(expected, rel=1e-6))


@pytest.mark.parametrize(
    ("outputs", "total"),
    [
        (torch.tensor([1.0, 2.0]), 3),
        ([torch.tensor([[1.0, 2.0]])], 3),
        ({"a": torch.tensor(1.5), "b": (torch.tensor([2, 3]), "text", None)}, 1.5),
        ((torch.tensor([1.0]), torch.tensor([[2.0], [4.0]])), 7),
        (torch.tensor([3 + 4j, -5 + 12j]), 18),
        ([torch.tensor([3 + 4j]), torch.tensor([1.0])], 6),
        (Unnamed(torch.ones(2, 3), torch.ones(2, 3)), 12),
        (Outputs(torch.ones(2, 3), torch.ones(2, 3, 1), None), 12),
    ],
)
def test_else_the_sum_of_what_is_floating_and_of_absolute_complex_numbers(outputs, total):
    assert value_of(outputs) == ("sum", total)


@pytest.mark.parametrize(
    "outputs", [torch.zeros(2, 3, dtype=torch.int64), None, [], {"a": torch.ones(2) > 0}]
)
def test_nothing_floating(outputs):
    name, loss = default_loss(outputs)
    assert name == "sum"
    with pytest.raises(InceptionLabError, match="the model returned no floating tensor; pass loss="):
        loss(outputs)
