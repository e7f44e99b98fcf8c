"""Values written over through views of them, beside PyTorch's own writes of numbers."""

import numpy as np
import pytest
import torch

from inception_lab.analyzers.receptive_field.cells import nothing_of
from inception_lab.analyzers.receptive_field.elements import Elements
from inception_lab.analyzers.receptive_field.in_place_writes import Region, Write, after_writes, region_of
from inception_lab.analyzers.receptive_field.joining import as_one
from inception_lab.ir.trace import Value

NUMBERS = torch.arange(240)


def value_of(tensor):
    return Value(0, 0, 0, tuple(tensor.shape), tensor.stride(), tensor.storage_offset(), "int64")


def pixels(elements):
    """The pixel of the flat source that each element sees, -1 for none."""
    (cells,) = as_one(elements.parts, elements.shape).cells
    data = cells.over(list(range(len(elements.shape))), elements.shape)
    before, last = data[..., 0], data[..., 1]
    nothing = last == nothing_of(data)
    assert (nothing | (last == -before)).all()
    return np.where(nothing, -1, last)


def elements_of(numbers):
    """Elements that see the pixels of these numbers."""
    source = Elements.identity((1, 1, len(NUMBERS)), (2,))
    return source.take(2, numbers.numpy()).drop([0, 1])


def written_over(view, of_value, patch_is_seen=True):
    """A value after a write through a view: as followed, and as PyTorch does it."""
    memory = NUMBERS.clone()
    value, target = of_value(memory), view(memory)
    base = elements_of(value.clone())
    patch = torch.arange(target.numel()).flip(0).reshape(target.shape) % 240
    number = patch if patch_is_seen else torch.full_like(patch, -1)
    target.copy_(number)
    write = Write(elements_of(patch) if patch_is_seen else None, value_of(target))
    followed = after_writes(base, value_of(value), [write])
    # what does not depend on the source any more sees nothing
    return np.full(value.shape, -1) if followed is None else pixels(followed), value.numpy()


def whole(memory):
    return memory.view(4, 6, 10)


def block(memory):
    return memory.view(4, 6, 10)[1:, 2:5, ::3]


VALUES = {
    "whole": whole,
    "block": block,
    "turned": lambda memory: whole(memory).permute(2, 0, 1),
    "rows": lambda memory: memory.view(24, 10),
    "one position": lambda memory: whole(memory)[2:3],
}
VIEWS = {
    "slice": lambda memory: whole(memory)[:, 1:3],
    "every second": lambda memory: whole(memory)[:, :, 1::2],
    "position": lambda memory: whole(memory)[2, :, 3],
    "element": lambda memory: whole(memory)[2, 3, 3],
    "turned": lambda memory: whole(memory)[1:3].transpose(0, 2),
    "beyond": lambda memory: whole(memory)[0:3, 1:6, ::2],
    "rows": lambda memory: memory.view(24, 10)[5:15],
    "flat": lambda memory: memory[37:111],
    "flat steps": lambda memory: memory[3::7],
    "diagonal": lambda memory: whole(memory)[0].diagonal(),
    "diagonal of a square": lambda memory: whole(memory)[:, :, :6].diagonal(dim1=1, dim2=2),
    "diagonal of two first": lambda memory: whole(memory).diagonal(dim1=0, dim2=1),
    "columns in pairs": lambda memory: memory.view(4, 6, 5, 2)[:, :, 1:3],
    "single": lambda memory: whole(memory)[1:2, :, 4:5],
    "apart": lambda memory: whole(memory)[3:],
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("value", VALUES)
def test_a_value_after_a_write_through_a_view(value, view):
    followed, real = written_over(VIEWS[view], VALUES[value])
    np.testing.assert_array_equal(followed, real)


@pytest.mark.parametrize("view", VIEWS)
def test_a_value_after_a_number_is_written_through_a_view(view):
    followed, real = written_over(VIEWS[view], block, patch_is_seen=False)
    np.testing.assert_array_equal(followed, real)


SHAPES = ((4, 6, 10), (24, 10), (240,), (4, 6, 5, 2), (4, 60))


def random_view(rng):
    """A view of the memory by a row of slices, transpositions and diagonals."""
    shape = SHAPES[rng.integers(len(SHAPES))]
    numbers = rng.integers(0, 1000, (int(rng.integers(1, 5)), 4)).tolist()

    def view(memory):
        tensor = memory.view(shape)
        for kind, *choices in numbers:
            tensor = view_of(tensor, kind % 6, *choices) if tensor.ndim else tensor
        return tensor

    return view


def view_of(tensor, kind, first, second, third):
    dim, other = first % tensor.ndim, second % tensor.ndim
    size = tensor.shape[dim]
    start = second % size
    if kind == 0:
        return tensor.narrow(dim, start, 1 + third % (size - start))
    if kind == 1:
        return tensor[(slice(None),) * dim + (slice(start, None, 1 + third % 3),)]
    if kind == 2:
        return tensor.select(dim, start)
    if kind == 3:
        return tensor.transpose(dim, other)
    if kind == 4 and dim != other:
        return tensor.diagonal(dim1=dim, dim2=other)
    return tensor.unsqueeze(dim)


@pytest.mark.parametrize("patch_is_seen", [True, False], ids=["a tensor", "a number"])
@pytest.mark.parametrize("seed", range(100))
def test_a_random_value_after_a_write_through_a_random_view(seed, patch_is_seen):
    rng = np.random.default_rng(seed)
    followed, real = written_over(random_view(rng), random_view(rng), patch_is_seen)
    np.testing.assert_array_equal(followed, real)


def test_the_region_of_a_slice():
    memory = NUMBERS.clone()
    value = value_of(whole(memory))
    assert region_of(value, value_of(whole(memory)[1:3, 2, ::5])) == Region(
        (0, None, 1), (1, 2, 0), (1, 1, 5)
    )
    assert region_of(value, value_of(memory.view(4, 60)[:, ::7])) is None
