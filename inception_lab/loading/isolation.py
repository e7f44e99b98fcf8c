"""The state of the process around the code of one model, which the next one does not find."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

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

    A model that is built within another one's use begins in the same state as that one did.
    """
    state = _initial[0] if _initial else _ProcessState()
    _initial.append(state)
    try:
        state.restore()
        yield
    finally:
        _initial.pop()
        state.restore()
