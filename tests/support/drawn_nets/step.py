"""An operation of a drawn net: its options as drawn, its weights, and what it does to the spatial axes."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from support.dependence_oracle import held, is_held, uneven

Shape = tuple[int, ...]
Options = dict[str, Any]

LAYOUT: ContextVar[tuple[int, ...]] = ContextVar("LAYOUT", default=())
"""The source axis that lies along each spatial axis of the step that runs."""


class Operation(NamedTuple):
    """An operation as nets are drawn from it.

    Attributes:
        run: Of the tensor, its weights and its options.
        draw: The options for an input of a shape, None where it has no such input.
        weights: The shapes of its weights, by the shape of the input and the options.
        ranks: Numbers of spatial axes that it takes.
        digits: "kept"; "spread" where places become channels, "joined" where all channels are summed.
        reduces: True where it reduces whole axes.
        is_mixing: True where it mixes a whole axis by weights, which is neither local nor a statistic.
        turns: Spatial axes are put in this order, by the options; None where they keep theirs.
    """

    run: Callable[..., Tensor]
    draw: Callable[[random.Random, Shape], Options | None]
    weights: Callable[..., Sequence[Shape]]
    ranks: tuple[int, ...]
    digits: str
    reduces: bool
    is_mixing: bool
    turns: Callable[..., tuple[int, ...]] | None


OPERATIONS: dict[str, Operation] = {}
"""By name. To draw one more, define it with `operation`."""


def operation(
    draw: Callable[[random.Random, Shape], Options | None] = lambda _rng, _shape: {},
    weights: Callable[..., Sequence[Shape]] = lambda _shape, **_: (),
    ranks: tuple[int, ...] = (1, 2, 3),
    digits: str = "kept",
    reduces: bool = False,
    is_mixing: bool = False,
    turns: Callable[..., tuple[int, ...]] | None = None,
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Add a function to the operations, under its name."""

    def add(run: Callable[..., Tensor]) -> Callable[..., Tensor]:
        assert run.__name__ not in OPERATIONS
        OPERATIONS[run.__name__] = Operation(run, draw, weights, ranks, digits, reduces, is_mixing, turns)
        return run

    return add


def whole(statistic: Tensor, *axes: int) -> Tensor:
    """A reduction over the whole of spatial axes of the step's input."""
    return held(statistic, *[LAYOUT.get()[axis] for axis in axes])


def is_fixed(*axes: int) -> bool:
    """True where reductions over the whole of one of these axes of the step's input are held fixed."""
    return is_held(*[LAYOUT.get()[axis] for axis in axes])


@contextmanager
def layout(axes: tuple[int, ...]) -> Iterator[None]:
    """Let statistics be taken over these axes of the source."""
    token = LAYOUT.set(axes)
    try:
        yield
    finally:
        LAYOUT.reset(token)


class Step(nn.Module):
    """One operation with its options.

    Args:
        name: Of the operation.
        options: As drawn.
        shape: Of the input.
        axes: The source axis along each spatial axis of the input.
        generator: Of its weights.
    """

    def __init__(
        self, name: str, options: Options, shape: Shape, axes: tuple[int, ...], generator: torch.Generator
    ) -> None:
        super().__init__()
        self.operation, self.options, self.axes = OPERATIONS[name], options, axes
        shapes = self.operation.weights(shape, **options)
        self.weights = nn.ParameterList([weight(size, generator) for size in shapes])

    def forward(self, x: Tensor) -> Tensor:
        with layout(self.axes):
            return uneven(self.operation.run(x, *self.weights, **self.options))


def weight(shape: Shape, generator: torch.Generator) -> nn.Parameter:
    """A weight whose entries are away from zero, of either sign."""
    size = torch.rand(shape, generator=generator) * 0.5 + 0.25
    sign = torch.where(torch.rand(shape, generator=generator) < 0.5, -1.0, 1.0)
    return nn.Parameter(size * sign)
