"""Inputs as a user may give them, and the arguments that a model is then called with."""

from collections import UserDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.running.inputs import arguments
from inception_lab.running.stand_ins import cpu_input, meta_input

Pair = namedtuple("Pair", "left right")
SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)


def arguments_of(inputs, likeness=meta_input):
    return arguments(inputs, torch.float32, likeness)


def outline(item):
    """Tensors as shape and dtype, everything else as it is."""
    if isinstance(item, torch.Tensor):
        return tuple(item.shape), item.dtype
    if isinstance(item, dict):
        return {key: outline(value) for key, value in item.items()}
    return type(item)(map(outline, item)) if isinstance(item, (list, tuple)) else item


ONE = (1, 3, 8, 8)
FLOATS = (ONE, torch.float32)


@pytest.mark.parametrize(
    ("inputs", "args", "kwargs"),
    [
        (ONE, (FLOATS,), {}),
        (list(ONE), (FLOATS,), {}),
        (torch.Size(ONE), (FLOATS,), {}),
        (tuple(np.array(ONE)), (FLOATS,), {}),
        (torch.zeros(2, 5, dtype=torch.int64), (((2, 5), torch.int64),), {}),
        ([ONE, (1, 2)], (FLOATS, ((1, 2), torch.float32)), {}),
        ([], (), {}),
        ((), (), {}),
        ({}, (), {}),
        ([ONE, None, "sum"], (FLOATS, None, "sum"), {}),
        ({"x": ONE, "mask": None}, (), {"x": FLOATS, "mask": None}),
        ([{"x": ONE, "scale": 2}], ({"x": FLOATS, "scale": 2},), {}),
        ([[ONE, ONE]], ([FLOATS, FLOATS],), {}),
        ([(ONE, [ONE])], ((FLOATS, [FLOATS]),), {}),
    ],
)
def test_forms_of_inputs(inputs, args, kwargs):
    actual = arguments_of(inputs)
    assert (outline(actual.args), outline(actual.kwargs)) == (args, kwargs)


def test_what_is_neither_shape_nor_tensor_is_passed_on():
    settings = object()
    assert arguments_of([settings, "sum", True, [None, 2]]).args == (settings, "sum", True, [None, 2])


def test_named_tuples_stay_what_they_are():
    pair = arguments_of([Pair(ONE, torch.zeros(3))])
    assert type(pair.args[0]) is Pair
    assert list(pair.tensors) == ["0.0", "0.1"]


def test_places_name_the_tensors():
    keywords = arguments_of({"image": ONE, "extra": {"mask": [ONE, torch.zeros(2)]}})
    assert list(keywords.tensors) == ["image", "extra.mask.0", "extra.mask.1"]


def test_an_example_given_twice_is_one_tensor():
    image = torch.zeros(ONE)
    four = arguments_of([image, image, ONE, ONE])
    assert four.args[0] is four.args[1]
    assert four.args[2] is not four.args[3]
    assert list(four.tensors) == ["0", "2", "3"]


@pytest.mark.parametrize("inputs", [5, "3x224", None, {1, 2}, nn.ReLU()])
def test_what_is_no_input(inputs):
    with pytest.raises(InceptionLabError, match="is not an input"):
        arguments_of(inputs)


@pytest.mark.parametrize("shape", [(1, 0, 3), (1, -2), (True, 3)])
def test_what_is_no_shape(shape):
    for inputs in (shape, [shape, ONE], {"x": shape}):
        with pytest.raises(InceptionLabError, match="not a row of sizes"):
            arguments_of(inputs)


@pytest.mark.parametrize("numbers", [(1.5, 3), (1, 3 + 0j), (2.0,)])
def test_other_numbers_are_no_shape_but_may_be_an_input(numbers):
    with pytest.raises(InceptionLabError, match="not a row of sizes"):
        arguments_of(numbers)
    assert arguments_of([ONE, numbers]).args[1] == numbers


@dataclass(frozen=True)
class Batch:
    image: object
    name: str


class Bag(UserDict):
    """A mapping with attributes, as tokenizers return."""


def test_dataclasses_and_other_mappings_stay_what_they_are():
    examples = Batch(torch.zeros(2, 3), "mine"), Bag(x=torch.zeros(4))
    batch, bag = arguments_of(list(examples)).args
    assert (type(batch), type(bag)) == (Batch, Bag)
    assert (batch.image.is_meta, batch.name, bag["x"].is_meta) == (True, "mine", True)
    assert not examples[0].image.is_meta
    assert not examples[1]["x"].is_meta


def test_a_shape_beyond_memory_addresses():
    with pytest.raises(InceptionLabError, match="too large") as caught:
        arguments_of((2**40, 2**40))
    assert caught.value.exit_code == 3


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.recursive(SHAPES, lambda x: st.lists(x, min_size=1, max_size=3) | st.dictionaries(st.text(), x)))
def test_every_shape_in_any_nesting_becomes_one_tensor(inputs):
    def shapes(item):
        if isinstance(item, dict):
            return [shape for value in item.values() for shape in shapes(value)]
        return [item] if isinstance(item, tuple) else [s for part in item for s in shapes(part)]

    tensors = arguments_of(inputs).tensors.values()
    assert sorted(tuple(t.shape) for t in tensors) == sorted(shapes(inputs))
    assert all(t.is_meta for t in tensors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_a_real_run_draws_numbers_for_shapes(dtype):
    (numbers,) = arguments((4, 5), dtype, cpu_input).args
    assert (numbers.dtype, numbers.device.type) == (dtype, "cpu")
    assert len(numbers.abs().unique()) > 5


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8])
def test_a_real_run_takes_zeros_for_whole_numbers(dtype):
    (zeros,) = arguments_of(torch.empty(3, 4, dtype=dtype, device="meta"), cpu_input).args
    assert torch.equal(zeros, torch.zeros(3, 4, dtype=dtype))


def test_a_real_run_copies_examples():
    image = torch.rand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    (copy,) = arguments_of(image, cpu_input).args
    assert torch.equal(copy, image)
    assert (copy.stride(), copy.requires_grad) == (image.stride(), True)
    assert copy.data_ptr() != image.data_ptr()


class Tagger(nn.Module):
    """Takes tokens, a mask by keyword alone, and a dictionary of more."""

    def __init__(self):
        super().__init__()
        self.embedding, self.linear = nn.Embedding(50, 6), nn.Linear(6, 4, bias=False)

    def forward(self, tokens, more=None, *, mask):
        return {"logits": self.linear(self.embedding(tokens)) * mask, "more": more}


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_model_of_keywords_dictionaries_and_whole_numbers(mode):
    tokens = torch.zeros(2, 5, dtype=torch.int64)
    trace = il.trace(Tagger(), {"tokens": tokens, "mask": (2, 5, 4), "more": {"x": (2, 7)}}, mode=mode)
    assert trace.context.input_shapes == ((2, 5), (2, 5, 4), (2, 7))
    assert (trace.context.device, trace.context.dtype) == ("meta", "float32")
    assert [s.name for s in trace.storages if s.kind == "input"] == ["tokens", "mask", "more.x"]
    assert sum(op.macs for op in trace.ops if op.phase == "forward") == 2 * 5 * 6 * 4
    assert len(trace.calls[0].inputs) == 3
    assert len(trace.calls[0].outputs) == 2


def test_a_model_that_takes_nothing():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, 3))

        def forward(self):
            return self.weight @ self.weight

    trace = il.trace(Constant(), [])
    assert sum(op.macs for op in trace.ops) == 27
    assert (trace.context.input_shapes, trace.context.batch_size) == ((), 1)
