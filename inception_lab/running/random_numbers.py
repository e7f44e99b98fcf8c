"""The random generators that a forward may draw from: torch's, Python's and numpy's."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np
import torch

SEED = 0


class _State(NamedTuple):
    """The state of the generators that no dispatch mode sees.

    Attributes:
        python: That of `random`.
        numpy: That of `numpy.random`, as far as its functions draw from one for the whole process.
    """

    python: tuple[Any, ...]
    numpy: Any

    def drawn_since(self, before: _State) -> tuple[str, ...]:
        """The libraries whose generators are in another state than before."""
        names = []
        if self.python != before.python:
            names.append("Python")
        if not all(map(np.array_equal, self.numpy, before.numpy)):
            names.append("numpy")
        return tuple(names)


def _state() -> _State:
    return _State(random.getstate(), np.random.get_state())


def _seed_others() -> None:
    random.seed(SEED)
    np.random.seed(SEED)


@cache
def _seeded_state() -> _State:
    """The state after seeding, of generators of our own."""
    return _State(random.Random(SEED).getstate(), np.random.RandomState(SEED).get_state())


class FoundGenerator:
    """A generator of a model's own, or one that its forward reads, and its state as it was.

    Args:
        library: `Python` or `numpy`; empty for one of torch, whose draws a dispatch mode sees.
        read: Returns its state.
        write: Gives it a state.
    """

    def __init__(self, library: str, read: Callable[[], Any], write: Callable[[Any], object]) -> None:
        self.library = library
        self._read, self._write, self._before = read, write, read()

    def has_drawn(self) -> bool:
        """True where no dispatch mode saw that numbers came from it."""
        # states of numpy hold arrays, which cannot be compared as a whole
        return bool(self.library) and pickle.dumps(self._read()) != pickle.dumps(self._before)

    def restore(self) -> None:
        """Put its state back."""
        self._write(self._before)


def find_generator(value: Any) -> FoundGenerator | None:
    """The generator that an object is, if it is one.

    Example:
        >>> generator = random.Random()
        >>> own = find_generator(generator)
        >>> _ = generator.random()
        >>> own.library, own.has_drawn()
        ('Python', True)
    """
    if type(value) is random.Random:
        return FoundGenerator("Python", value.getstate, value.setstate)
    if isinstance(value, np.random.Generator):
        source = value.bit_generator
        return FoundGenerator("numpy", lambda: source.state, lambda state: setattr(source, "state", state))
    if isinstance(value, np.random.RandomState):
        return FoundGenerator("numpy", value.get_state, value.set_state)
    if isinstance(value, torch.Generator):
        return FoundGenerator("", value.get_state, value.set_state)
    return None


class SeededGenerators:
    """Generators that give the same numbers in every run, until they are put back.

    Args:
        torch_alone: True where no forward draws from those of Python and numpy, whose state is large.
    """

    def __init__(self, torch_alone: bool) -> None:
        self._torch = torch.get_rng_state()
        self._others = None if torch_alone else _state()
        self._new = None if torch_alone else _NewGenerators()
        self._found: tuple[FoundGenerator, ...] = ()
        self.seed()

    def add(self, generators: Iterable[FoundGenerator]) -> None:
        """Have the numbers of these come again as well; whoever found them puts them back."""
        self._found = tuple(generators)

    def seed(self) -> None:
        """Have the same numbers come once more."""
        for generator in self._found:
            generator.restore()
        torch.default_generator.manual_seed(SEED)
        if self._others is not None:
            _seed_others()
        if self._new is not None:
            self._new.libraries.clear()

    def drawn(self) -> tuple[str, ...]:
        """The libraries other than torch from which numbers came since the generators were seeded."""
        if self._others is None or self._new is None:
            return ()
        found = [generator.library for generator in self._found if generator.has_drawn()]
        drawn_since_seed = _state().drawn_since(_seeded_state())
        return tuple(dict.fromkeys([*drawn_since_seed, *self._new.libraries, *found]))

    def restore(self) -> None:
        """Put the generators back."""
        torch.set_rng_state(self._torch)
        if self._others is not None:
            random.setstate(self._others.python)
            np.random.set_state(self._others.numpy)
        if self._new is not None:
            self._new.restore()


class _NewGenerators:
    """Generators that a forward makes without a seed, as of the operating system's entropy: seeded as well.

    Attributes:
        libraries: Whose generators were made so, by this thread.
    """

    def __init__(self) -> None:
        self.libraries: list[str] = []
        self._owner = get_ident()
        self._seed, self._make = random.Random.seed, np.random.default_rng
        random.Random.seed = self._seeding()  # type: ignore[method-assign]
        np.random.default_rng = self._making()

    def _seeding(self) -> Any:
        own_seed = self._seed

        def seed(generator: random.Random, a: Any = None, version: int = 2) -> None:
            own_seed(generator, self._seed_of(a, "Python"), version)

        return seed

    def _making(self) -> Any:
        make = self._make

        def default_rng(seed: Any = None) -> Any:
            return make(self._seed_of(seed, "numpy"))

        return default_rng

    def _seed_of(self, seed: Any, library: str) -> Any:
        if seed is not None or get_ident() != self._owner:
            return seed
        self.libraries.append(library)
        return SEED

    def restore(self) -> None:
        """Put the libraries' own functions back."""
        random.Random.seed = self._seed  # type: ignore[method-assign]
        np.random.default_rng = self._make


class DrawWatch:
    """Tells from which libraries' generators numbers were drawn since the last look."""

    def __init__(self) -> None:
        self._state = _state()

    def drawn(self) -> tuple[str, ...]:
        """The libraries, other than torch."""
        before, self._state = self._state, _state()
        return self._state.drawn_since(before)


@contextmanager
def seeded() -> Iterator[None]:
    """Seed every generator for a while."""
    generators = SeededGenerators(torch_alone=False)
    try:
        yield
    finally:
        generators.restore()


_CPU = torch.device("cpu")


@contextmanager
def seeded_with(seed: int, device: torch.device = _CPU) -> Iterator[None]:
    """Seed the generators of torch, Python and numpy, and put them back afterwards.

    Args:
        seed: For all of them.
        device: Whose generator is one of them, beside that of the CPU; others are not touched.

    Example:
        >>> with seeded_with(1):
        ...     first = torch.rand(2)
        >>> with seeded_with(1):
        ...     torch.equal(torch.rand(2), first)
        True
    """
    before = _state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            reseed(seed, device)
            yield
        finally:
            random.setstate(before.python)
            np.random.set_state(before.numpy)


def stream(seed: int, purpose: str, number: int = 0) -> int:
    """Return a seed of numbers that have nothing to do with those of other purposes under the same seed.

    Args:
        seed: Of a run.
        purpose: Of the numbers, such as `inputs`.
        number: Of the place within the run.

    Example:
        >>> len({stream(0, "inputs"), stream(0, "forward"), stream(0, "forward", 1), stream(1, "inputs")})
        4
    """
    return int(np.random.SeedSequence([seed, number, *purpose.encode()]).generate_state(1)[0])


def reseed(seed: int, device: torch.device) -> None:
    """Seed the generators of Python and numpy, and those of torch on the CPU and on a device.

    `torch.manual_seed` seeds those of all devices, of CUDA even before it is used.

    Args:
        seed: For all of them.
        device: The device.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
