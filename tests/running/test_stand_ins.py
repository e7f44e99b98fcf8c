"""Stand-ins are what they stand in for, and share no data with it."""

import gc

import pytest
import torch
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.running import stand_ins
from inception_lab.running.stand_ins import cpu_copy, cpu_input, meta_input, meta_twin

TENSORS = [
    torch.ones(2, 3),
    torch.ones(2, 3, requires_grad=True),
    torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last),
    torch.ones(3, 2).T,
    torch.tensor(1, dtype=torch.int64),
    torch.ones(0, 3, dtype=torch.bfloat16),
    nn.Parameter(torch.ones(2)),
    nn.Parameter(torch.ones(2, dtype=torch.int8), requires_grad=False),
    nn.Buffer(torch.ones(2)),
]


def described(tensor):
    return (
        tensor.shape, tensor.stride(), tensor.dtype, tensor.requires_grad, tensor.is_leaf,
        isinstance(tensor, nn.Parameter), isinstance(tensor, nn.Buffer),
    )  # fmt: skip


@pytest.mark.parametrize("stand_in", [meta_twin, cpu_copy])
@pytest.mark.parametrize("tensor", TENSORS)
def test_of_a_weight(stand_in, tensor):
    stand_in_tensor = stand_in(tensor)
    assert described(stand_in_tensor) == described(tensor)
    assert stand_in_tensor.grad is None


def test_attributes_of_a_weight_come_with_it():
    weight = nn.Parameter(torch.ones(2))
    weight.note = ["mine"]
    assert meta_twin(weight).note is cpu_copy(weight).note is weight.note


def test_a_copy_has_the_numbers_and_not_the_memory():
    weight = nn.Parameter(torch.ones(2))
    copy = cpu_copy(weight)
    copy.data.zero_()
    assert weight.tolist() == [1, 1]


@pytest.mark.parametrize(
    "change",
    [
        lambda weight: setattr(weight, "data", weight.data[:1]),
        lambda weight: setattr(weight, "data", weight.data.T),
        lambda weight: setattr(weight, "data", weight.data.double()),
        lambda weight: weight.requires_grad_(False),
    ],
    ids=["shape", "strides", "dtype", "requires_grad"],
)
def test_one_twin_until_the_weight_changes(change):
    weight = nn.Parameter(torch.arange(4.0).view(2, 2))
    twin = meta_twin(weight)
    assert meta_twin(weight) is twin
    change(weight)
    assert meta_twin(weight) is not twin
    assert described(meta_twin(weight)) == described(weight)


def test_a_twin_goes_with_its_weight():
    gc.collect()
    weight, size = nn.Parameter(torch.ones(2)), len(stand_ins._meta_twins)
    meta_twin(weight)
    assert len(stand_ins._meta_twins) == size + 1
    del weight
    assert len(stand_ins._meta_twins) == size


LAZY = "a lazy layer has no shape yet; run the model once on real input"


@pytest.mark.parametrize(
    ("stand_in", "weight", "line"),
    [
        (meta_twin, nn.LazyLinear(3).weight, LAZY),
        (cpu_copy, nn.LazyLinear(3).weight, LAZY),
        (cpu_copy, torch.empty(2, device="meta"), "a model on meta cannot run for real; build it on cpu"),
    ],
)
def test_refusals(stand_in, weight, line):
    with pytest.raises(InceptionLabError) as refusal:
        stand_in(weight)
    assert (str(refusal.value), refusal.value.exit_code) == (line, 3)


@pytest.mark.parametrize("stand_in", [meta_input, cpu_input])
@pytest.mark.parametrize("tensor", TENSORS[:6])
def test_of_an_input(stand_in, tensor):
    assert described(stand_in(tensor)) == described(tensor)
    without_data = torch.empty_like(tensor, device="meta").requires_grad_(tensor.requires_grad)
    assert described(stand_in(without_data)) == described(tensor)
