"""Limits found by many traces: the smallest input that a model takes, the largest batch that memory holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import inf
from numbers import Real
from typing import Any

import torch
from torch import nn

from inception_lab.analyzers.memory.batch_growth import StoragesOf, even_growth
from inception_lab.analyzers.memory.cuda_allocator import OutOfMemory, reserved_for
from inception_lab.analyzers.memory.devices import DEVICES, check_device, on_device
from inception_lab.analyzers.memory.peak import peak_memory
from inception_lab.analyzers.receptive_field.axes import source_of
from inception_lab.analyzers.receptive_field.resolution import (
    ResolutionFit,
    resolution_fit,
    smallest_by_geometry,
)
from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Mode, Storage, Trace
from inception_lab.measure.device_trace import Device, trace_for_device
from inception_lab.metrics import parse_quantity
from inception_lab.running.batches import InputSizes, with_batch
from inception_lab.running.inputs import with_arguments
from inception_lab.running.losses import Loss
from inception_lab.running.optimizers import MakeOptimizer, NamedOptimizer
from inception_lab.tracing.tracer import takes, trace

BATCH_LIMIT = 2**31
"""The search for a batch that does not fit ends here."""


@checked
def smallest_input(
    model: nn.Module,
    shape: Sequence[int],
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    mode: Mode = "eval",
) -> tuple[int, ...]:
    """Return the smallest input that a model takes, at which one pixel less along any axis fails.

    The geometry of one trace tells where to look. What it cannot know (padding that a model computes
    from the size, sizes that a model refuses by itself) is found by tracing at the sizes next to it.

    Args:
        model: Any module that takes one tensor and runs on meta tensors.
        shape: A shape that it takes, such as N x C, then the spatial axes.
        args: Positional arguments behind the input, the same at every size, as for `trace`.
        kwargs: Keyword arguments, the same at every size, as for `trace`.
        mode: `eval` or `train`.

    Returns:
        The size along each spatial axis.

    Raises:
        InceptionLabError: The model cannot run on `shape`, or that has no spatial axes.

    Example:
        >>> import inception_lab as il
        >>> smallest_input(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        (31, 31)
    """
    first = trace(model, shape, args=args, kwargs=kwargs, mode=mode, meta_only=True)
    return _smallest(model, first, args, kwargs)


@checked
def tried_resolution_fit(
    model: nn.Module,
    trace: Trace,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> ResolutionFit:
    """Return the `resolution_fit` of a trace with its smallest input found by more traces of the model.

    The geometry alone decides where that cannot be tried: where the model did not run on meta tensors, or
    takes anything but one input of floating numbers.

    Args:
        model: The module that was traced.
        trace: Its trace, of any mode.
        args: Those with which it was traced.
        kwargs: Those with which it was traced.

    Raises:
        InceptionLabError: The input has no spatial axes.

    Example:
        >>> import inception_lab as il
        >>> model = il.create_model("bn_inception", device="meta")
        >>> trace = il.trace(model, (1, 3, 224, 224))
        >>> resolution_fit(trace).smallest_input, tried_resolution_fit(model, trace).smallest_input
        ((23, 23), (7, 7))
    """
    fit = resolution_fit(trace)
    # with other arguments than those of the trace another net would be tried
    if not _can_be_tried(trace) or (with_arguments([], args, kwargs) == [] and trace.context.arguments):
        return fit
    return replace(fit, smallest_input=_smallest(model, trace, args, kwargs))


def _can_be_tried(trace: Trace) -> bool:
    """True where more traces are cheap, and a shape alone says what the input is."""
    if trace.context.device != "meta" or len(trace.context.input_shapes) != 1:
        return False  # for real, each of the many traces would take as long as a run of the model
    # the context names the floating dtype, which tokens have not
    return trace.values[source_of(trace).value].dtype == trace.context.dtype


def _smallest(
    model: nn.Module, first: Trace, args: Sequence[Any], kwargs: Mapping[str, Any] | None
) -> tuple[int, ...]:
    shape, axes = first.context.input_shapes[0], source_of(first).axes
    traced_size = tuple([shape[dim] for dim in axes])

    def fits(size: tuple[int, ...]) -> bool:
        resized = dict(zip(axes, size, strict=True))
        input_shape = tuple([resized.get(dim, n) for dim, n in enumerate(shape)])
        inputs = with_arguments(input_shape, args, kwargs)
        return min(size) > 0 and takes(model, inputs, first.context.mode)

    size = by_geometry = smallest_by_geometry(first)
    # Up first: padding that a model computes from the size can make the geometry's answer too small.
    while not fits(size):
        if size == traced_size:  # an input by keyword, say, which a shape alone does not make
            return by_geometry
        size = tuple([min(n + 1, limit) for n, limit in zip(size, traced_size, strict=True)])
    # then down, as what the geometry takes for granted may not hold at smaller sizes
    while smaller := next(filter(fits, _one_less(size)), None):
        size = smaller
    return size


def _one_less(size: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Sizes to try next: a pixel less along all axes, then along each."""
    alone = [tuple([n - (axis == place) for place, n in enumerate(size)]) for axis in range(len(size))]
    return [tuple([n - 1 for n in size]), *alone]


@dataclass(frozen=True)
class RequestedBatch:
    """The batch that was asked about.

    Attributes:
        batch_size: Its size.
        fits: True where its pass or step fits into the limit.
        peak_bytes: Its peak as of `peak_memory`.
        reserved_bytes: Bytes that CUDA's allocator reserves for it; None on the CPU and where it runs out.
    """

    batch_size: int
    fits: bool
    peak_bytes: int
    reserved_bytes: int | None = None

    def to_dict(self) -> dict[str, int | bool]:
        """The answer as plain data."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class LargestBatch:
    """The largest batch that fits into a limit of memory.

    Attributes:
        limit_bytes: The limit.
        batch_size: Of the largest batch that fits, 0 where not even one image does.
        peak_bytes: Its peak as of `peak_memory`; None where none fits.
        reserved_bytes: Bytes that CUDA's allocator reserves for it; None on the CPU and where none fits.
        one_more_bytes: The peak of a batch that is larger by one. On CUDA it may be below the limit and
            still out of reach of the allocator, whose free blocks may be too small for it.
        context_bytes: Bytes of the limit that are left free for what is beside tensors.
        requested: The answer for the batch that was asked about, None where none was.

    Example:
        >>> largest_batch(nn.Linear(10, 20), (10,), limit=2048).to_dict()
        {'limit_bytes': 2048, 'batch_size': 9, 'peak_bytes': 1960, 'one_more_bytes': 2080}
    """

    limit_bytes: int
    batch_size: int
    peak_bytes: int | None
    reserved_bytes: int | None
    one_more_bytes: int
    context_bytes: int = 0
    requested: RequestedBatch | None = None

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain data; where none fits, limit and batch size without the peaks."""
        names = ("batch_size", "peak_bytes", "reserved_bytes", "one_more_bytes")
        values = {name: getattr(self, name) for name in (names if self.batch_size else names[:1])}
        row = {"limit_bytes": self.limit_bytes}
        row |= {"context_bytes": self.context_bytes} if self.context_bytes else {}
        row |= {name: value for name, value in values.items() if value is not None}
        return row | ({"requested": self.requested.to_dict()} if self.requested else {})


@checked
def largest_batch(
    model: nn.Module,
    inputs: InputSizes,
    limit: str | float,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    mode: Mode = "eval",
    loss: Loss | None = None,
    optimizer: str | NamedOptimizer | MakeOptimizer | None = None,
    autocast: torch.dtype | None = None,
    device: Device = "cpu",
    start: int = 1,
    batch_size: int | None = None,
    context: str | float | None = None,
    progress: Progress | None = None,
) -> LargestBatch:
    """Return the largest batch whose pass or training step fits into memory, from traces alone.

    Peaks grow with the batch, so that bisection finds the last below the limit. On CUDA a batch fits where
    the allocator, followed block by block, gets through within the limit too. The model is left as it was
    found, and is not converted: for half precision pass `model.half()`.

    Args:
        model: Any module that runs on meta tensors; no device has to be there.
        inputs: Size of the input without the batch, such as `(3, 224, 224)`, or an example tensor whose
            first axis is the batch, for another dtype than the model's own; a list of these for several
            positional inputs, a dictionary for keyword inputs.
        args: As for `trace`.
        kwargs: As for `trace`.
        limit: Bytes, or text with a unit such as `"80 GiB"`.
        mode: `eval` or `train`.
        loss: As for `trace`.
        optimizer: As for `trace`; by name with the defaults that it has on the device.
        autocast: As for `trace`.
        device: Whose rules count: `cpu` for storages alone, `cuda` for blocks of its caching allocator.
        start: A batch size that the model takes; smaller ones are tried only where it does not fit.
        batch_size: A batch to be judged too, which the model takes.
        context: Bytes of the limit, or text with a unit, to leave to what is beside tensors: on CUDA the
            driver's context and loaded kernels. By default 512 MiB on CUDA and nothing on the CPU.
        progress: Called with the part of the search that is done, from 0 to 1.

    Raises:
        InceptionLabError: Limit or context is not a quantity of bytes, `start` or `batch_size` is not a batch
            size, `inputs` holds what is neither a size nor a tensor, or no batch reaches the limit (exit
            code 2); the model cannot run on such inputs (3).

    Example:
        >>> net = nn.Linear(10, 20)  # 880 bytes of parameters, 120 for each row in and out
        >>> answer = largest_batch(net, (10,), limit="2 KiB", batch_size=32)
        >>> answer.batch_size, answer.peak_bytes, answer.one_more_bytes
        (9, 1960, 2080)
        >>> answer.requested
        RequestedBatch(batch_size=32, fits=False, peak_bytes=4720, reserved_bytes=None)
    """
    check_device(device)
    limit_bytes = _in_bytes(limit, "limit")
    context_bytes = DEVICES[device].context if context is None else _in_bytes(context, "context")
    _check_batch_size(start, "start")
    inputs = with_arguments(inputs, args, kwargs)
    trace_step = partial(
        trace_for_device,
        model,
        mode=mode,
        loss=loss,
        optimizer=optimizer,
        autocast=autocast,
        device=device,
        meta_only=True,
    )
    search = _Search(lambda size: trace_step(with_batch(inputs, size)), limit_bytes - context_bytes, device)
    requested = None
    if batch_size is not None:
        _check_batch_size(batch_size, "batch_size")
        requested = search.judged(batch_size)
    largest = search.largest(start, progress or _silent)
    answer = search.judged(largest) if largest else None
    return LargestBatch(
        limit_bytes=int(limit_bytes),
        batch_size=largest,
        peak_bytes=answer.peak_bytes if answer else None,
        reserved_bytes=answer.reserved_bytes if answer else None,
        one_more_bytes=search.judged(largest + 1).peak_bytes,
        context_bytes=int(context_bytes),
        requested=requested,
    )


Progress = Callable[[float], None]


def _silent(part: float) -> None:
    """Show no progress."""


class _Search:
    """The search for the largest batch by traces, one for each batch that is tried.

    Args:
        step: Traces a pass or step of a batch size.
        room: Bytes into which a batch has to fit.
        device: Whose rules count.
    """

    def __init__(self, step: Callable[[int], Trace], room: float, device: Device) -> None:
        self._step, self._room, self._device = step, room, device
        self._answers: dict[int, RequestedBatch] = {}
        self._storages: dict[int, Sequence[Storage]] = {}

    def judged(self, batch_size: int) -> RequestedBatch:
        """The answer for one batch."""
        if batch_size not in self._answers:
            self._answers[batch_size] = self._judge(batch_size, self._step(batch_size))
        return self._answers[batch_size]

    def largest(self, start: int, progress: Progress) -> int:
        """The largest batch that fits, 0 where none does."""
        if self._device != "cuda":
            return _bisected(self._below, start, progress)
        bound = _bisected(self._below, start, partial(_part_of, progress, 0, _BISECTION))
        batch_size = self._largest_up_to(bound, progress) if bound else 0
        progress(1.0)
        return batch_size

    def _largest_up_to(self, bound: int, progress: Progress) -> int:
        # What the allocator reserves need not grow with the batch, so that bisection could miss the largest.
        if storages_of := even_growth(self._storages, bound):
            batch_size = _first_down(
                lambda size: self._reserved(storages_of(size)) is not None,
                bound, partial(_part_of, progress, _BISECTION, _FORETOLD),
            )  # fmt: skip
            if self._confirms(storages_of, batch_size):
                return batch_size
        return _first_down(
            lambda size: self.judged(size).fits, bound, partial(_part_of, progress, _FORETOLD, 1)
        )

    def _confirms(self, storages_of: StoragesOf, batch_size: int) -> bool:
        """True where traces of the batch that fits and of the next one have the storages foretold."""
        sizes = (batch_size, batch_size + 1) if batch_size else (1,)
        for size in sizes:
            self.judged(size)
        return all(storages_of(size) == [*self._storages[size]] for size in sizes)

    def _below(self, batch_size: int) -> bool:
        return self.judged(batch_size).peak_bytes <= self._room

    def _judge(self, batch_size: int, step: Trace) -> RequestedBatch:
        peak_bytes = peak_memory(step, self._device).peak_bytes
        if self._device == "cuda":
            self._storages[batch_size] = on_device(step, self._device, rounding=1).storages
        if self._device != "cuda" or peak_bytes > self._room:
            return RequestedBatch(batch_size, peak_bytes <= self._room, peak_bytes)
        reserved_bytes = self._reserved(self._storages[batch_size])
        return RequestedBatch(batch_size, reserved_bytes is not None, peak_bytes, reserved_bytes)

    def _reserved(self, storages: Sequence[Storage]) -> int | None:
        """Bytes that CUDA's allocator reserves; None where it runs out."""
        with suppress(OutOfMemory):
            return reserved_for(storages, self._room)
        return None


_BISECTION, _FORETOLD = 0.5, 0.75
"""Parts of the progress of a search on CUDA at which bisection ends, and the way down without traces."""


def _part_of(progress: Progress, first: float, last: float, part: float) -> None:
    """Tell how far a search is that begins at one part of the progress and ends at another."""
    progress(first + (last - first) * part)


def _first_down(fits: Callable[[int], bool], bound: int, progress: Progress) -> int:
    """Return the first batch size that fits, from a bound downwards, 0 where none does."""
    for batch_size in range(bound, 0, -1):
        if fits(batch_size):
            return batch_size
        progress((bound - batch_size + 1) / bound)
    return 0


def _in_bytes(amount: str | float, name: str) -> float:
    size = parse_quantity(amount, "bytes") if isinstance(amount, str) else amount
    # NaN is in no range, so that this refuses it too
    if not _is_number(size) or not 0 <= size < inf:
        raise InceptionLabError(
            f"{name} {amount!r} is not a number of bytes", hint='give bytes, or text such as "80 GiB"'
        )
    return size


def _is_number(value: object) -> bool:
    """True for a number, which a bool is to Python alone."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_batch_size(size: int, name: str) -> None:
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= BATCH_LIMIT:
        hint = f"give a whole number from 1 to {BATCH_LIMIT}"
        raise InceptionLabError(f"{name}={size!r} is not a batch size", hint=hint)


def _bisected(fits: Callable[[int], bool], start: int, progress: Progress = _silent) -> int:
    """Return the largest batch size that fits, 0 where none does.

    Args:
        fits: Tells if a batch size fits; none that is larger than one that does not.
        start: Doubled until it does not fit.
        progress: Called with the part that is done.

    Raises:
        InceptionLabError: Memory does not grow with the batch (exit code 2).
    """
    fitting, beyond, tried = 0, start, 0
    while fits(beyond):
        fitting, beyond, tried = beyond, 2 * beyond, tried + 1
        progress(tried / (2 * tried + 1))  # as each doubling is one more bisection
        if beyond > BATCH_LIMIT:
            raise InceptionLabError(
                f"a batch of {fitting:,} still fits",
                hint="name a smaller size, or check that inputs= is right",
            )
    while beyond - fitting > 1:
        middle, tried = (fitting + beyond) // 2, tried + 1
        fitting, beyond = (middle, beyond) if fits(middle) else (fitting, middle)
        progress(tried / (tried + (beyond - fitting).bit_length() - 1))
    return fitting
