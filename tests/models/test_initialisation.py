"""Layers without weights are built in the thread that asks for them, and nothing else is changed."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from inception_lab.models.initialisation import shapes_only

LAYERS = [
    lambda: nn.Linear(3, 4), lambda: nn.Conv2d(3, 4, 3), lambda: nn.BatchNorm2d(3), lambda: nn.GRU(3, 4),
    lambda: nn.Embedding(5, 3, padding_idx=0),
]  # fmt: skip


def drawn(build):
    torch.manual_seed(1)
    return build().state_dict()


@pytest.mark.parametrize("build", LAYERS)
def test_a_layer_has_the_shapes_of_one_that_is_drawn(build):
    with shapes_only():
        shapes = {name: tensor.shape for name, tensor in build().state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in build().state_dict().items()}


@pytest.mark.parametrize("build", LAYERS)
def test_another_thread_draws_its_weights_meanwhile(build):
    expected = drawn(build)
    with ThreadPoolExecutor(1) as pool, shapes_only():
        found = pool.submit(drawn, build).result()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_weights_are_drawn_again_afterwards():
    before = nn.Linear.reset_parameters, nn.Conv2d.reset_parameters
    with shapes_only():
        with shapes_only():
            assert nn.Linear.reset_parameters is not before[0]
        assert nn.Linear.reset_parameters is not before[0]
    assert (nn.Linear.reset_parameters, nn.Conv2d.reset_parameters) == before


def test_weights_are_drawn_again_after_an_error():
    before = nn.Linear.reset_parameters
    with pytest.raises(TypeError), shapes_only():
        nn.Linear()
    assert nn.Linear.reset_parameters is before


def test_a_layer_within_draws_no_random_number():
    before = torch.get_rng_state()
    with shapes_only():
        nn.Linear(2, 2)
    assert torch.equal(torch.get_rng_state(), before)
