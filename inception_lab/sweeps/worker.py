"""A process that runs variants, made ready for thousands of them."""

from __future__ import annotations

import gc
import signal
from importlib import import_module


def prepare_process() -> None:
    """Import what variants need, and leave requests to end to the process that asks for results."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    import_module("inception_lab.budgets.traced")

    torch.set_num_threads(1)
    # what is imported lives as long as the process: collections need not look at it again
    gc.collect()
    gc.freeze()
