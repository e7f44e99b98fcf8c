"""Draws that several operations share."""

import random
from math import gcd

Shape = tuple[int, ...]


def per_axis(rng: random.Random, shape: Shape, choices: list) -> tuple:
    """One choice for each spatial axis; often the same for all."""
    axes = len(shape) - 2
    return (
        (rng.choice(choices),) * axes
        if rng.random() < 0.5
        else tuple(rng.choice(choices) for _ in range(axes))
    )


def axis(rng: random.Random, shape: Shape) -> int:
    """A spatial axis, counted from 0."""
    return rng.randrange(len(shape) - 2)


def some_axes(rng: random.Random, shape: Shape) -> tuple[int, ...]:
    """One or more spatial axes."""
    axes = range(len(shape) - 2)
    return tuple(sorted(rng.sample(axes, rng.randint(1, len(axes)))))


def part(rng: random.Random, size: int) -> tuple[int, int]:
    """The start and the stop of a part of so many places that is not empty."""
    start = rng.randrange(size)
    return start, rng.randint(start + 1, size)


def groups(rng: random.Random, *channels: int) -> int:
    """A number of groups that divides all of these."""
    most = gcd(*channels)
    return rng.choice([n for n in range(1, most + 1) if most % n == 0])


def pads(rng: random.Random, shape: Shape, least: int, most: int) -> tuple[int, ...]:
    """Padding on both sides of each spatial axis, the last one first; of some it is none."""
    sides = []
    for _ in shape[2:]:
        sides += [0, 0] if rng.random() < 0.3 else [rng.randint(least, most), rng.randint(least, most)]
    return tuple(sides)


def places(rng: random.Random, size: int) -> list[int]:
    """Places of an axis in any order, some of them left out or twice."""
    count = rng.randint(1, size + 1)
    return [rng.randrange(size) for _ in range(count)]
