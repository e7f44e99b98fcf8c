"""The state of the process around the code of one model, which the next one does not find."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from inception_lab.errors import InceptionLabError
from inception_lab.running.settings import Settings


class _ProcessState:
    """Settings of the process and of PyTorch, and its random generators, as they were."""

    def __init__(self) -> None:
        self._settings = Settings()
        self._python, self._numpy, self._torch = (
            random.getstate(),
            np.random.get_state(),
            torch.get_rng_state(),
        )

    def restore(self) -> None:
        self._settings.restore()
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._torch)


_initial: list[_ProcessState] = []
"""The state before the first of the models that are in use, once for each of them."""


@contextmanager
def isolated() -> Iterator[None]:
    """Import, build and run one model in the state that the process is in, and put that back afterwards.

    A model that is built within another one's use begins in the same state as that one did, and leaves it
    the state that it had made for itself.
    """
    found = _ProcessState()
    _initial.append(_initial[0] if _initial else found)
    try:
        _initial[0].restore()
        yield
    finally:
        _initial.pop()
        found.restore()


def check_same_settings(used: Sequence[tuple[str, Settings]], free: Collection[str] = ()) -> None:
    """Refuse models that are to run in turns where they set PyTorch differently, as all run with one setting.

    Args:
        used: The name of each model, with the settings that it was built with.
        free: Names of settings that may differ, as they are set for the runs.

    Raises:
        InceptionLabError: A setting differs.

    Example:
        >>> check_same_settings([("nin", Settings()), ("alexnet", Settings())])
    """
    name, settings = used[0]
    for other, others in used[1:]:
        theirs = others.of_torch()
        for setting, value in settings.of_torch().items():
            if setting not in free and theirs[setting] != value:
                what = f"{setting} is {value} of {name} and {theirs[setting]} of {other}"
                hint = "they would run in turns: set the same in both, or run each alone"
                raise InceptionLabError(what, hint=hint)
