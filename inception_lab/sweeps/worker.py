"""A process that runs variants, made ready for thousands of them."""

from __future__ import annotations

import gc
import signal
import sys
from importlib import import_module
from threading import Event

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


def stop_profiler() -> None:
    """Stop the profiler of the Dask worker that this runs in, where it runs in one.

    It looks at the frames of running tasks, whose tensors live on for as long as it holds them: the peak of a
    trace would be too high.
    """
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return
    try:
        worker = distributed.get_worker()
    except ValueError:  # outside of a worker
        return
    profiler = worker.periodic_callbacks.get("profile")
    if profiler is None or not profiler.is_running():
        return
    stopped = Event()

    def stop() -> None:
        profiler.stop()
        stopped.set()

    # on the worker's own thread, between two looks
    worker.loop.add_callback(stop)
    stopped.wait()
