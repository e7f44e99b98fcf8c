"""Gradient flow on a GPU: the figures of the CPU, up to what float32 rounds."""

import pytest
import torch
from torch import nn

from inception_lab.measure.gradient_flow.flow import gradient_flow
from inception_lab.measure.gradient_flow.training import short_training

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

SHAPE = (4, 3, 16, 16)


@pytest.fixture(autouse=True)
def whole_float32(monkeypatch):
    """No TF32, which rounds to 10 bits."""
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def net():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )


def test_the_figures_are_those_of_the_cpu():
    tables = [gradient_flow(net, SHAPE, seeds=2, device=device).by_module(None) for device in ("cpu", "cuda")]
    figures = [name for name in tables[0].columns if name not in ("module", "type")]
    for name in figures:
        one, other = (table[name].tolist() for table in tables)
        assert other == pytest.approx(one, rel=1e-3, abs=1e-6, nan_ok=True), name


def test_a_seed_gives_the_same_run_again():
    first, second = (short_training(net, SHAPE, 5, device="cuda") for _ in range(2))
    assert first.context["device"] == "cuda"
    assert first.losses["loss"].tolist() == pytest.approx(second.losses["loss"].tolist(), rel=1e-6)


def test_the_users_generator_on_the_gpu_is_left_as_it_was():
    before = torch.cuda.get_rng_state()
    gradient_flow(net, SHAPE, seeds=1, device="cuda")
    assert torch.equal(torch.cuda.get_rng_state(), before)
