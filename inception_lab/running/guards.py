"""Guards around a run: settings of the process and modes of PyTorch that it neither feels nor changes."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import torch
from torch import nn

from inception_lab.running import torch_internals
from inception_lab.running.stand_ins import StandIn
from inception_lab.running.substitution import Substituted, substituted

FRAMES_PER_FRAME = 3
"""Frames on the stack, at most, for each frame of a model's own."""


@contextmanager
def guarded(
    model: nn.Module,
    training: bool,
    stand_in: StandIn,
    others: Sequence[nn.Module] = (),
    *,
    fast_path: bool = False,
) -> Iterator[Substituted]:
    """A model on stand-ins, its operations run one by one, out of reach of modes and of other threads.

    Args:
        model: Any module, on any device; it is left as it was found.
        training: The mode to put it into.
        stand_in: Makes what stands in for a parameter or buffer.
        others: Modules that run with it, such as a loss.
        fast_path: See `Request`.
    """
    with (
        plain_tensors(),
        substituted(model, training, stand_in, others) as substitutes,
        _deep_stack(),
        operation_by_operation(substitutes.modules, fast_path=fast_path),
    ):
        yield substitutes


def autocast_to(dtype: torch.dtype | None, device: str) -> AbstractContextManager[object]:
    """Autocast on a kind of device, or nothing without a dtype."""
    return nullcontext() if dtype is None else torch.autocast(device, dtype)


@contextmanager
def operation_by_operation(modules: Mapping[str, nn.Module], *, fast_path: bool = False) -> Iterator[None]:
    """Switch off what hides operations: the fast path of attention unless wanted, compilation, replicas."""
    is_enabled = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        if torch_internals.DYNAMO in sys.modules:  # else nothing is compiled
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        for module in modules.values():
            if isinstance(module, nn.DataParallel):
                module.device_ids = []  # a snapshot puts it back
        torch.backends.mha.set_fastpath_enabled(is_enabled and fast_path)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(is_enabled)


@contextmanager
def no_collection() -> Iterator[None]:
    """No garbage collection, which would release tensors at moments that no program controls."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


_stack_limits: list[int] = []
"""Python's limits before each guard that is in force; runs take turns, so that they are of one thread."""


@contextmanager
def _deep_stack() -> Iterator[None]:
    """Room for gates and observers around the modules of a model as deep as Python lets it be."""
    limit = sys.getrecursionlimit()
    # several models run side by side: the room is the same for all, and a runaway recursion still ends
    _stack_limits.append(limit)
    sys.setrecursionlimit(FRAMES_PER_FRAME * _stack_limits[0])
    try:
        yield
    finally:
        sys.setrecursionlimit(_stack_limits.pop())


@contextmanager
def plain_tensors() -> Iterator[None]:
    """Make tensors that hold data and can be differentiated, whatever mode the caller is in."""
    with no_modes(), torch.inference_mode(False):  # those made in inference mode could not be
        yield


def no_modes() -> AbstractContextManager[object]:
    """Nothing of another trace's or of somebody's dispatch mode."""
    active = torch_internals.current_dispatch_mode() is not None
    return torch_internals.disable_current_modes() if active else nullcontext()
