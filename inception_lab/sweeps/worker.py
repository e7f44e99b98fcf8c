"""A process that runs variants, made ready for thousands of them."""

from __future__ import annotations

import gc
import signal
from importlib import import_module

_NEW_OBJECTS = 50_000
"""Those after which a collection looks for rings among them."""


def prepare_process() -> None:
    """Import what variants need, and leave requests to end to the process that asks for results."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    import_module("inception_lab.budgets.traced")

    torch.set_num_threads(1)
    # what is imported lives as long as the process: collections need not look at it again. A variant makes
    # a hundred thousand objects, nearly all of them freed at once: looking for rings of them after every 700
    # takes a quarter of its time
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
