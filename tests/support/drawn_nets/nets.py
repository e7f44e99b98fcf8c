"""Nets of drawn operations, in chains and branches: drawn by seed, built of a description, made smaller."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from support.dependence_oracle import uneven
from support.drawn_nets import mixing, places, windows  # noqa: F401 - they fill the table
from support.drawn_nets.step import OPERATIONS, Shape, Step

MOST_ELEMENTS = 1200
"""Of a value without its batch."""


@dataclass(frozen=True)
class Do:
    """One operation."""

    name: str
    options: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value!r}' for key, value in self.options.items())})"


@dataclass(frozen=True)
class Branches:
    """Chains on one value, whose results are joined."""

    paths: tuple[tuple[Do | Branches, ...], ...]
    join: str

    def __str__(self) -> str:
        return f"{self.join}[{' | '.join(' > '.join(map(str, path)) or 'x' for path in self.paths)}]"


@dataclass(frozen=True)
class Spec:
    """A net as data.

    Attributes:
        shape: Of its input.
        steps: In order.
        seed: Of its weights.
    """

    shape: Shape
    steps: tuple[Do | Branches, ...]
    seed: int

    def __str__(self) -> str:
        return f"{'x'.join(map(str, self.shape))}: {' > '.join(map(str, self.steps))}"


@dataclass(frozen=True)
class State:
    """A value within a net.

    Attributes:
        shape: Of the value.
        axes: The source axis along each of its spatial axes.
        is_spread: True where places lie among its channels.
        has_local: False where what is local of it is a matter of definition.
    """

    shape: Shape
    axes: tuple[int, ...]
    is_spread: bool = False
    has_local: bool = True


# ------------------------------------------------------------------------------ joins


def _cut(parts: list[Tensor]) -> list[Tensor]:
    """The parts without what one has more than the others."""
    sizes = [min(part.shape[dim] for part in parts) for dim in range(2, parts[0].ndim)]
    at = (slice(None), slice(None), *[slice(0, size) for size in sizes])
    return [part[at] for part in parts]


def _resized(parts: list[Tensor]) -> list[Tensor]:
    size = parts[0].shape[2:]
    return [parts[0], *[F.interpolate(part, size=size) for part in parts[1:]]]


def _padded(parts: list[Tensor]) -> list[Tensor]:
    sizes = [max(part.shape[dim] for part in parts) for dim in range(2, parts[0].ndim)]
    sides = [
        [side for n, m in zip(reversed(part.shape[2:]), reversed(sizes), strict=True) for side in (0, m - n)]
        for part in parts
    ]
    return [F.pad(part, pads) for part, pads in zip(parts, sides, strict=True)]


def _sum(parts: list[Tensor]) -> Tensor:
    channels = min(part.shape[1] for part in parts)
    total = parts[0][:, :channels]
    for part in parts[1:]:
        total = total + 0.7 * part[:, :channels]
    return total


def _along(parts: list[Tensor], dim: int) -> Tensor:
    channels = min(part.shape[1] for part in parts)
    return torch.cat([part[:, :channels] for part in parts], dim)


JOINS = {
    "sum": lambda parts: _sum(_cut(parts)),
    "sum as it is": _sum,
    "sum of padded": lambda parts: _sum(_padded(parts)),
    "sum of resized": lambda parts: _sum(_resized(parts)),
    "cat": lambda parts: torch.cat(_cut(parts), 1),
    "cat as it is": lambda parts: torch.cat(parts, 1),
    "cat of resized": lambda parts: torch.cat(_resized(parts), 1),
    "cat along the first axis": lambda parts: _along(parts, 2),
    "cat along the last axis": lambda parts: _along(parts, -1),
    "larger": lambda parts: torch.maximum(*_cut([part[:, :1] for part in parts[:2]])),
}


class Joined(nn.Module):
    """Branches as a module."""

    def __init__(self, paths: list[nn.Module], join: str) -> None:
        super().__init__()
        self.paths, self.join = nn.ModuleList(paths), join

    def forward(self, x: Tensor) -> Tensor:
        return uneven(JOINS[self.join]([path(x) for path in self.paths]))


# ------------------------------------------------------------------------------ building


class Builder:
    """Builds the modules of a net, and keeps what is known of the value that each of them returns."""

    def __init__(self, spec: Spec) -> None:
        self.generator = torch.Generator().manual_seed(spec.seed)
        self.states: dict[str, State] = {}

    def chain(
        self, steps: tuple[Do | Branches, ...], state: State, x: Tensor, path: str = ""
    ) -> tuple[nn.Sequential, State, Tensor]:
        """The modules of a chain, the state behind it, and its result."""
        modules = []
        for n, step in enumerate(steps):
            module, state, x = self.step(step, state, x, f"{path}{n}")
            modules.append(module)
        return nn.Sequential(*modules), state, x

    def step(
        self, step: Do | Branches, state: State, x: Tensor, path: str = ""
    ) -> tuple[nn.Module, State, Tensor]:
        """The module of a step, the state behind it, and its result."""
        if isinstance(step, Branches):
            module, state, y = self._branches(step, state, x, path)
        else:
            module = Step(step.name, dict(step.options), state.shape, state.axes, self.generator)
            y = module(x)
            state = _behind(step, state, tuple(y.shape))
        self.states[path] = state
        return module, state, y

    def _branches(
        self, step: Branches, state: State, x: Tensor, path: str
    ) -> tuple[nn.Module, State, Tensor]:
        built = [self.chain(steps, state, x, f"{path}.paths.{n}.") for n, steps in enumerate(step.paths)]
        ends = [end for _, end, _ in built]
        if len({end.axes for end in ends}) > 1:
            raise ValueError("branches of different axes")
        module = Joined([module for module, _, _ in built], step.join)
        y = JOINS[step.join]([y for _, _, y in built])
        is_spread, has_local = any(e.is_spread for e in ends), all(e.has_local for e in ends)
        return module, State(tuple(y.shape), ends[0].axes, is_spread, has_local), y


def _behind(step: Do, state: State, shape: Shape) -> State:
    operation = OPERATIONS[step.name]
    axes = state.axes
    if operation.turns:
        axes = tuple(axes[n] for n in operation.turns(**step.options))
    # a statistic over a part of an axis, or over weighted places, is called local or not by definition
    is_whole_window = any(m == 1 < n for n, m in zip(state.shape[2:], shape[2:], strict=True))
    is_odd = state.is_spread or 1 in state.shape[2:] if operation.reduces else is_whole_window
    unclear = operation.is_mixing or is_odd
    is_spread = operation.digits == "spread" or (state.is_spread and operation.digits == "kept")
    return State(shape, axes, is_spread, state.has_local and not unclear)


def start_of(spec: Spec) -> State:
    """The input of a net."""
    return State(spec.shape, tuple(range(len(spec.shape) - 2)))


def _image(spec: Spec) -> Tensor:
    return torch.rand(spec.shape, generator=torch.Generator().manual_seed(spec.seed)) + 0.5


class Slid(nn.Sequential):
    """A net over whose input a window slides too, so that all of its spatial axes are known to be such."""

    def __init__(self, net: nn.Sequential, shape: Shape) -> None:
        super().__init__(*net)
        self.window = nn.Parameter(torch.ones(1, shape[1], *[3] * (len(shape) - 2)))

    def forward(self, x: Tensor) -> Tensor:
        windows.CONV[x.ndim - 2](x, self.window, padding=1)
        return super().forward(x)


@dataclass(frozen=True)
class Built:
    """A net, and what is known of each of its steps.

    Attributes:
        net: In float32.
        states: Of the value that each step returns, by path of its module.
    """

    net: nn.Sequential
    states: dict[str, State]


def build(spec: Spec) -> Built:
    """The net of a description.

    Raises:
        Exception: It does not run, as torch says.
    """
    builder = Builder(spec)
    with torch.no_grad():
        net, _, _ = builder.chain(spec.steps, start_of(spec), _image(spec))
    return Built(net.eval(), builder.states)


# ------------------------------------------------------------------------------ drawing

UNCERTAIN = ("bound", "unknown")
"""The statuses of fields of which too much or nothing is said."""

OFTEN = {"conv": 8, "conv_transpose": 3, "max_pool": 3, "avg_pool": 2, "interpolate": 2, "activation": 2}
"""Operations that are drawn more often than others, as nets are mostly made of them."""

SHAPES = {1: [(8, 12)], 2: [(8, 12), (8, 12)], 3: [(3, 5), (4, 5), (4, 6)]}


def draw(seed: int, names: tuple[str, ...] = ()) -> Spec:
    """The net of a seed, which runs.

    Args:
        seed: Of the net and of its weights.
        names: Operations of which a chain without branches is drawn; any operations and branches by default.
    """
    rng = random.Random(seed)
    rank = rng.choice([1, 1, 2, 2, 2, 2, 2, 2, 3])
    shape = (1, rng.choice([1, 2, 2, 3, 4]), *[rng.randint(*bounds) for bounds in SHAPES[rank]])
    spec = Spec(shape, (), seed)
    steps = Drawer(rng, Builder(spec), start_of(spec), _image(spec), names).chain(rng.randint(1, 6))
    return replace(spec, steps=tuple(steps))


class Drawer:
    """Draws steps one after another, each by the value that comes in.

    Args:
        rng: Draws.
        builder: Runs what was drawn.
        state: Of the value.
        x: The value.
        names: Operations to draw from, all by default.
        depth: Of the branches in which the steps are.
    """

    def __init__(
        self,
        rng: random.Random,
        builder: Builder,
        state: State,
        x: Tensor,
        names: tuple[str, ...] = (),
        depth: int = 0,
    ) -> None:
        self.rng, self.builder, self.state, self.x, self.depth = rng, builder, state, x, depth
        self.names = names

    def chain(self, length: int) -> list[Do | Branches]:
        """So many steps, or fewer where none goes on."""
        steps = []
        for _ in range(length):
            step = self._next()
            if step is None:
                break
            steps.append(step)
        return steps

    def _next(self) -> Do | Branches | None:
        if 0 in self.state.shape:
            return None
        for _ in range(20):
            is_branch = not self.names and self.depth < 2 and self.rng.random() < 0.25
            step = self._branches() if is_branch else self._operation()
            if step is not None and self._runs(step):
                return step
        return None

    def _operation(self) -> Do | None:
        rank = len(self.state.shape) - 2
        names = [name for name in self.names or OPERATIONS if rank in OPERATIONS[name].ranks]
        if not names:
            return None
        (name,) = self.rng.choices(names, [OFTEN.get(name, 1) for name in names])
        options = OPERATIONS[name].draw(self.rng, self.state.shape)
        return None if options is None else Do(name, options)

    def _branches(self) -> Branches:
        paths = []
        for _ in range(self.rng.choice([2, 2, 3])):
            drawer = Drawer(self.rng, self.builder, self.state, self.x, depth=self.depth + 1)
            paths.append(tuple(drawer.chain(self.rng.choice([0, 1, 1, 2, 3]))))
        return Branches(tuple(paths), self.rng.choice(sorted(JOINS)))

    def _runs(self, step: Do | Branches) -> bool:
        try:
            with torch.no_grad():
                _, state, x = self.builder.step(step, self.state, self.x)
        # torch refuses what does not go together in as many ways
        except (RuntimeError, ValueError, IndexError, TypeError, AssertionError):
            return False
        if x[0].numel() > MOST_ELEMENTS or (not x.numel() and self.rng.random() < 0.9):
            return False
        self.state, self.x = state, x
        return True


# ------------------------------------------------------------------------------ smaller ones


def smaller(spec: Spec) -> Iterator[Spec]:
    """Nets with one step less, or with a branch in place of all."""
    for steps in _fewer(spec.steps):
        yield replace(spec, steps=steps)


def _fewer(steps: tuple[Do | Branches, ...]) -> Iterator[tuple[Do | Branches, ...]]:
    for n, step in enumerate(steps):
        before, after = steps[:n], steps[n + 1 :]
        if before or after:
            yield before + after
        if isinstance(step, Branches):
            for simpler in _simpler(step):
                yield before + simpler + after


def _simpler(branches: Branches) -> Iterator[tuple[Do | Branches, ...]]:
    """One path in place of all; one path less; one path shorter."""
    yield from branches.paths
    for n, path in enumerate(branches.paths):
        before, after = branches.paths[:n], branches.paths[n + 1 :]
        if len(branches.paths) > 2:
            yield (replace(branches, paths=before + after),)
        for shorter in (*_fewer(path), *[()] * bool(path)):
            yield (replace(branches, paths=(*before, shorter, *after)),)


def uncertain_steps(spec: Spec, statuses: Mapping[str, str]) -> dict[str, str]:
    """The steps behind which a field is bound or unknown though it was certain before, with their names."""
    return dict(_uncertain(spec.steps, "", True, statuses))


def _uncertain(
    steps: tuple[Do | Branches, ...], path: str, was_certain: bool, statuses: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for n, step in enumerate(steps):
        at = f"{path}{n}"
        is_certain = statuses.get(at) not in UNCERTAIN
        if isinstance(step, Branches):
            inner = [f"{at}.paths.{m}." for m in range(len(step.paths))]
            for branch, prefix in zip(step.paths, inner, strict=True):
                yield from _uncertain(branch, prefix, was_certain, statuses)
            ends = [
                f"{prefix}{len(branch) - 1}"
                for branch, prefix in zip(step.paths, inner, strict=True)
                if branch
            ]
            was_certain = was_certain and all(statuses.get(end) not in UNCERTAIN for end in ends)
        if was_certain and not is_certain:
            yield at, step.join if isinstance(step, Branches) else step.name
        was_certain = is_certain


def operations_of(steps: tuple[Do | Branches, ...]) -> Iterator[Do]:
    """Each operation of a net."""
    for step in steps:
        if isinstance(step, Branches):
            for path in step.paths:
                yield from operations_of(path)
        else:
            yield step
