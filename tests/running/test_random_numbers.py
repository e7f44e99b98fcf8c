"""Random generators during a run: the same numbers every time, and the user's own afterwards."""

import random

import numpy as np
import pytest
import torch

from inception_lab.running.random_numbers import SEED, DrawWatch, SeededGenerators, seeded


def draw():
    return torch.rand(1).item(), random.random(), np.random.rand()


@pytest.mark.parametrize("torch_alone", [True, False])
def test_generators_are_seeded_and_put_back(torch_alone):
    first = draw()
    generators = SeededGenerators(torch_alone)
    within = draw()
    generators.seed()
    assert (draw() == within) is not torch_alone
    generators.restore()
    torch.manual_seed(SEED)
    random.seed(SEED)
    np.random.seed(SEED)
    assert within[0] == draw()[0]
    assert first != within


@pytest.mark.parametrize("torch_alone", [True, False])
def test_the_users_sequence_goes_on(torch_alone):
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()
    expected = draw()
    torch.set_rng_state(state[0])
    random.setstate(state[1])
    np.random.set_state(state[2])
    generators = SeededGenerators(torch_alone)
    torch.rand(3)
    if not torch_alone:  # else nobody draws from the others
        random.random()
        np.random.randn(3)
    generators.restore()
    assert draw() == expected


@pytest.mark.parametrize(
    ("function", "drawn"),
    [
        (lambda: None, ()),
        (lambda: torch.rand(3), ()),
        (random.random, ("Python",)),
        (lambda: random.choice([1, 2]), ("Python",)),
        (np.random.rand, ("numpy",)),
        (lambda: np.random.shuffle([1, 2]), ("numpy",)),
        (lambda: (np.random.randn(), random.gauss(0, 1)), ("Python", "numpy")),
        (lambda: random.Random(3).random(), ()),
        (lambda: np.random.default_rng(3).random(), ()),
    ],
    ids=["nothing", "torch", "random", "choice", "rand", "shuffle", "both", "own seed", "numpy's own seed"],
)
def test_draws_are_told(function, drawn):
    generators = SeededGenerators(torch_alone=False)
    watch = DrawWatch()
    function()
    assert (generators.drawn(), watch.drawn(), watch.drawn()) == (drawn, drawn, ())
    generators.restore()


def test_generators_made_without_a_seed_give_the_same_numbers_too():
    own_seed, make = random.Random.seed, np.random.default_rng
    numbers = []
    for _ in range(2):
        with seeded():
            numbers.append((random.Random().random(), np.random.default_rng().random()))
    assert numbers[0] == numbers[1]
    assert (random.Random.seed, np.random.default_rng) == (own_seed, make)
    assert random.Random().random() != random.Random().random()
    generators = SeededGenerators(torch_alone=False)
    random.Random()
    np.random.default_rng()
    assert generators.drawn() == ("Python", "numpy")
    generators.restore()
