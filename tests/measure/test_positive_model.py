"""Tensors that a model makes on the way are of float64, in the thread that asks for it alone."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from inception_lab.measure.positive_model import InFloat64

HALF = torch.ones(2, dtype=torch.bfloat16)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.zeros(3),
        lambda: torch.tensor([0.5]),
        lambda: torch.arange(4) / 4,
        lambda: torch.linspace(0, 1, 3),
        lambda: torch.rand(2, 2).sqrt(),
        lambda: torch.ones(3, dtype=torch.int64).float(),
        lambda: torch.ones(2, dtype=torch.float64) * torch.zeros(2),
    ],
)
def test_new_floating_tensors(make):
    with InFloat64():
        assert make().dtype is torch.float64


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (lambda: torch.arange(4), torch.int64),
        (lambda: HALF + 1, torch.bfloat16),
        (lambda: torch.ones(2) > 0, torch.bool),
        (lambda: torch.zeros(2, dtype=torch.float16), torch.float16),
    ],
)
def test_other_tensors_keep_their_dtype(make, dtype):
    with InFloat64():
        assert make().dtype is dtype


def test_other_threads_make_what_they_always_make():
    with InFloat64(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: torch.zeros(1).dtype).result() is torch.float32
    assert torch.zeros(1).dtype is torch.float32
