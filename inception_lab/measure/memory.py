"""Memory of a real pass or training step, to be set beside what a trace predicts."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from inception_lab.arguments import checked
from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.formulas.sparse_layouts import dense_parts
from inception_lab.ir.operation_name import parse_operation_name
from inception_lab.ir.trace import Mode
from inception_lab.measure.hardware import device_name
from inception_lab.measure.real_runs import device_of, prepared_on, quiet_profiler
from inception_lab.measure.room import refuse_without_room
from inception_lab.running import torch_internals
from inception_lab.running.exclusion import one_run_at_a_time
from inception_lab.running.fast_attention import FAST_PATHS
from inception_lab.running.gradient_accumulation import SumsInPlace
from inception_lab.running.inputs import Inputs, with_arguments
from inception_lab.running.losses import Loss
from inception_lab.running.optimizers import MakeOptimizer
from inception_lab.running.pytree import tensors_within
from inception_lab.running.request import Request, request_of
from inception_lab.running.step import Step
from inception_lab.running.threads import ModeInThread, followed

CONVOLUTIONS = (
    "convolution",
    "convolution_backward",
    "cudnn_convolution",
    "cudnn_convolution_transpose",
    "cudnn_convolution_relu",
    "cudnn_convolution_add_relu",
)
"""Whose workspaces are measured, by base name."""


@dataclass(frozen=True)
class MeasuredMemory:
    """The most that a real run held at once.

    Attributes:
        device: Name of the processor or GPU.
        tracked_bytes: Of the storages alive right after any operation, those of a fast path's parts included.
        allocator_bytes: Of the allocator's blocks at any moment, those within operations too: on the CPU from
            its own events, on CUDA `torch.cuda.max_memory_allocated` less what was allocated before.
        reserved_bytes: `torch.cuda.max_memory_reserved`; None on the CPU.
        workspaces: Parts of `allocator_bytes` by name, on CUDA alone: `cublas`, what cuBLAS keeps between
            operations, and `convolution`, the most that one convolution or its backward took and gave back.
    """

    device: str
    tracked_bytes: int
    allocator_bytes: int
    reserved_bytes: int | None = None
    workspaces: Mapping[str, int] = field(default_factory=dict)


@checked
def measure_memory(
    model: nn.Module,
    inputs: Inputs,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    mode: Mode = "eval",
    loss: Loss | None = None,
    optimizer: str | MakeOptimizer | None = None,
    autocast: torch.dtype | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> MeasuredMemory:
    """Run what `trace` would trace for real, on copies, and measure the peak of its memory.

    Each run starts from new copies of the model's weights and of the inputs, in steady state: the optimizer
    holds what it holds after a step, and the gradients of the step before are gone. The first run
    is not measured, so that every kernel has been loaded. In inference attention takes PyTorch's fast path,
    as it does for a user. The model is left as it was found.

    Args:
        model: Any module that has data.
        inputs: As for `trace`.
        args: As for `trace`.
        kwargs: As for `trace`.
        mode: `eval` or `train`.
        loss: A function of the model's outputs that gives a scalar, in place of the default.
        optimizer: As for `trace`; train mode only.
        autocast: The type in which autocast runs the model, none by default.
        device: `cpu` or `cuda`.
        progress: Called with the part of the runs that is done, from 0 to 1.

    Raises:
        InceptionLabError: The device is not there, the run cannot fit into the free memory of the machine, or
            the model raised on it or has no data.

    Example:
        >>> memory = measure_memory(nn.Linear(10, 20), (4, 10))
        >>> memory.tracked_bytes == 4 * (20 * 10 + 20 + 4 * 10 + 4 * 20)
        True
    """
    inputs = with_arguments(inputs, args, kwargs)
    request = request_of(
        model, inputs, mode=mode, loss=loss, optimizer=optimizer, autocast=autocast, fast_path=True
    )
    place = device_of(device, _MEASURES, "memory cannot be measured")
    refuse_without_room([request], place)
    try:
        with one_run_at_a_time:  # the profiler and the allocator's figures are those of the process
            return _MEASURES[place.type](request, place, progress or _silent)
    except InceptionLabError:
        raise
    except Exception as error:
        raise InceptionLabError(
            f"cannot run on {device}: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}",
            where=request.name,
            hint="try a smaller batch" if _out_of_memory(error) else "",
            exit_code=MODEL_FAILED,
        ) from error


Progress = Callable[[float], None]


def _silent(part: float) -> None:
    """Show no progress."""


def _out_of_memory(error: Exception) -> bool:
    """True where memory ran out; on the CPU its allocator's message alone tells."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "DefaultCPUAllocator" in str(error)


def existing_tensors(step: Step) -> list[Tensor]:
    """The tensors that are there before the first operation."""
    return [tensor for _, tensors in step.tensors for tensor in tensors.values()]


class StorageTracker(torch_internals.TorchDispatchMode):
    """Bytes of the storages alive, and the most of them right after any operation.

    Args:
        existing: The tensors that are there from the start; any others are counted from when they are met.
        others: Further storages that are there from the start.
        is_mixed: True where autocast chooses other types within a fast path, which then stays one operation.
    """

    def __init__(
        self,
        existing: Iterable[Tensor],
        others: Iterable[torch.UntypedStorage] = (),
        is_mixed: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._is_mixed = is_mixed
        self.live_bytes = 0
        self._watches: dict[int, ref[torch.UntypedStorage]] = {}
        self._met: list[ref[torch.UntypedStorage]] = []
        self._count(existing)
        for storage in others:
            self._watch(storage)
        self.peak_bytes = self.live_bytes

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and look at what it read and made."""
        if func in FAST_PATHS and not self._keeps_whole(args[0]):
            with self:
                return FAST_PATHS[func](*args, **(kwargs or {}))
        self._met += self._count(tensors_within((args, kwargs)))
        out = func(*args, **(kwargs or {}))
        self._count(tensors_within(out))
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        return out

    @property
    def met(self) -> list[torch.UntypedStorage]:
        """Storages alive that no operation made and that were not there at the start, as a target's."""
        return [storage for each in self._met if (storage := each()) is not None]

    def _keeps_whole(self, source: Tensor) -> bool:
        """True for a fast path whose parts differ: without the padding, and in mixed precision."""
        return source.is_nested or self._is_mixed

    def _count(self, tensors: Iterable[Tensor]) -> list[ref[torch.UntypedStorage]]:
        """Count the storages that were not known yet; returns these."""
        parts = (part for tensor in tensors for part in dense_parts(tensor))
        watches = [self._watch(part.untyped_storage()) for part in parts]
        return [watch for watch in watches if watch is not None]

    def _watch(self, storage: torch.UntypedStorage) -> ref[torch.UntypedStorage] | None:
        address, size = storage._cdata, storage.nbytes()
        if address in self._watches:
            return None
        self.live_bytes += size
        # a weak reference tells when the storage goes, and does not keep it
        watch = self._watches[address] = ref(storage, self._forget(address, size))
        return watch

    def _forget(self, address: int, size: int) -> Callable[[object], None]:
        def forget(_: object) -> None:
            self.live_bytes -= size
            del self._watches[address]

        return forget


def _tracked(
    request: Request, device: torch.device, others: Sequence[torch.UntypedStorage] = ()
) -> StorageTracker:
    """Run a step under a tracker, which knows other storages that are there from the start."""
    with prepared_on(request, device) as step:
        tracker = StorageTracker(existing_tensors(step), others, is_mixed=request.autocast is not None)
        in_threads = partial(ModeInThread, tracker)
        with tracker, SumsInPlace(), followed(lambda: in_threads, step.model.gates.members):
            step.run()
        return tracker


def _warmed_up(request: Request, device: torch.device) -> list[torch.UntypedStorage]:
    """Run a step for the first time; returns the storages that it met and that outlive it.

    The first run under a dispatch mode keeps tensors alive. What outlives it is somebody else's, such as the
    target that a loss holds: it was there before, which no allocator tells.
    """
    tracker = _tracked(request, device)
    gc.collect()
    return tracker.met


def _on_cpu(request: Request, device: torch.device, progress: Progress) -> MeasuredMemory:
    others = _warmed_up(request, device)
    progress(1 / 3)
    tracked_bytes = _tracked(request, device, others).peak_bytes
    progress(2 / 3)
    with prepared_on(request, device) as step:
        before = StorageTracker(existing_tensors(step), others).live_bytes
        with quiet_profiler(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as events:
            step.run()
        changes = _changes(events)
    return MeasuredMemory(device_name("cpu"), tracked_bytes, before + max(accumulate(changes, initial=0)))


def _changes(events: Any) -> list[int]:
    """Bytes taken (above 0) and given back (below 0) by the CPU's allocator, in the order of time."""
    changes = [e for e in events.profiler.kineto_results.events() if e.name() == "[memory]"]
    return [e.nbytes() for e in sorted(changes, key=lambda e: e.start_ns())]


class ScratchMeter(torch_internals.TorchDispatchMode):
    """The most that one convolution held on CUDA beyond what it left behind."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device, self.most = device, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation between two looks at the allocator."""
        torch.cuda.reset_peak_memory_stats(self.device)
        out = func(*args, **(kwargs or {}))
        if parse_operation_name(str(func)).base in CONVOLUTIONS:
            after = torch.cuda.memory_allocated(self.device)
            self.most = max(self.most, torch.cuda.max_memory_allocated(self.device) - after)
        return out


def _on_cuda(request: Request, device: torch.device, progress: Progress) -> MeasuredMemory:
    """Four runs: to warm up, for the allocator's peak, for the workspaces, and for the storages."""
    _clear_cublas()
    allocated_before = torch.cuda.memory_allocated(device)
    outside = _warmed_up(request, device)
    progress(1 / 4)
    with prepared_on(request, device) as step:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        step.run()
        torch.cuda.synchronize(device)
        allocator_bytes = torch.cuda.max_memory_allocated(device) - allocated_before
        reserved_bytes = torch.cuda.max_memory_reserved(device)
    progress(2 / 4)
    with prepared_on(request, device) as step, ScratchMeter(device) as scratch:
        step.run()
    progress(3 / 4)
    tracked_bytes = _tracked(request, device, outside).peak_bytes
    workspaces = {"cublas": _clear_cublas(device), "convolution": scratch.most}
    return MeasuredMemory(
        device_name(str(device)), tracked_bytes, allocator_bytes, reserved_bytes, workspaces
    )


def _clear_cublas(device: torch.device | None = None) -> int:
    """Release the workspaces that cuBLAS keeps in PyTorch's allocator; returns their bytes."""
    before = torch.cuda.memory_allocated(device)
    torch_internals.clear_cublas_workspaces()
    return before - torch.cuda.memory_allocated(device)


_MEASURES: Mapping[str, Callable[[Request, torch.device, Progress], MeasuredMemory]] = {
    "cpu": _on_cpu,
    "cuda": _on_cuda,
}
