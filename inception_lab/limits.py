"""Limits found by many traces: the smallest input that a model takes, the largest batch that memory holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from math import inf
from numbers import Real
from typing import Any

import torch
from torch import nn

from inception_lab.analyzers.memory.cuda_allocator import OutOfMemory, reserved_memory
from inception_lab.analyzers.memory.peak import peak_memory
from inception_lab.analyzers.receptive_field.axes import source_of
from inception_lab.analyzers.receptive_field.resolution import (
    ResolutionFit,
    resolution_fit,
    smallest_by_geometry,
)
from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Mode, Trace
from inception_lab.measure.prediction import Device, trace_for_device
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
class LargestBatch:
    """The largest batch that fits into a limit of memory.

    Attributes:
        limit_bytes: The limit.
        batch_size: Of the largest batch that fits, 0 where not even one image does.
        peak_bytes: Its peak as of `peak_memory`; None where none fits.
        reserved_bytes: Bytes that CUDA's allocator reserves for it; None on the CPU and where none fits.
        one_more_bytes: The peak of a batch that is larger by one. On CUDA it may be below the limit and
            still out of reach of the allocator, whose free blocks may be too small for it.

    Example:
        >>> largest_batch(nn.Linear(10, 20), (10,), limit=2048).to_dict()
        {'limit_bytes': 2048, 'batch_size': 9, 'peak_bytes': 1960, 'one_more_bytes': 2080}
    """

    limit_bytes: int
    batch_size: int
    peak_bytes: int | None
    reserved_bytes: int | None
    one_more_bytes: int

    def to_dict(self) -> dict[str, int]:
        """The answer as plain data; where none fits, limit and batch size alone."""
        if not self.batch_size:
            return {"limit_bytes": self.limit_bytes, "batch_size": 0}
        return {name: value for name, value in asdict(self).items() if value is not None}


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

    Raises:
        InceptionLabError: The limit is not a quantity of bytes, `start` is not a batch size, `inputs` holds
            what is neither a size nor a tensor, or no batch reaches the limit (exit code 2); the model
            cannot run on such inputs (3).

    Example:
        >>> net = nn.Linear(10, 20)  # 880 bytes of parameters, 120 for each row in and out
        >>> answer = largest_batch(net, (10,), limit="2 KiB")
        >>> answer.batch_size, answer.peak_bytes, answer.one_more_bytes
        (9, 1960, 2080)
    """
    limit_bytes = _limit_in_bytes(limit)
    _check_start(start)
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

    def step(batch_size: int) -> Trace:
        return trace_step(with_batch(inputs, batch_size))

    @cache
    def peak(batch_size: int) -> int:
        return peak_memory(step(batch_size), device).peak_bytes

    batch_size, reserved_bytes = _bisected(lambda size: peak(size) <= limit_bytes, start), None
    if device == "cuda":
        batch_size, reserved_bytes = _reservable(step, batch_size, limit_bytes)
    return LargestBatch(
        limit_bytes=int(limit_bytes),
        batch_size=batch_size,
        peak_bytes=peak(batch_size) if batch_size else None,
        reserved_bytes=reserved_bytes,
        one_more_bytes=peak(batch_size + 1),
    )


def _limit_in_bytes(limit: str | float) -> float:
    limit_bytes = parse_quantity(limit, "bytes") if isinstance(limit, str) else limit
    # NaN is in no range, so that this refuses it too
    if not _is_number(limit_bytes) or not 0 <= limit_bytes < inf:
        raise InceptionLabError(
            f"limit {limit!r} is not a number of bytes", hint='give bytes, or text such as "80 GiB"'
        )
    return limit_bytes


def _is_number(value: object) -> bool:
    """True for a number, which a bool is to Python alone."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_start(start: int) -> None:
    if not isinstance(start, int) or isinstance(start, bool) or start < 1:
        raise InceptionLabError(f"start={start!r} is not a batch size", hint="give a whole number from 1 on")


def _bisected(fits: Callable[[int], bool], start: int) -> int:
    """Return the largest batch size that fits, 0 where none does.

    Args:
        fits: Tells if a batch size fits; none that is larger than one that does not.
        start: Doubled until it does not fit.

    Raises:
        InceptionLabError: Memory does not grow with the batch (exit code 2).
    """
    fitting, beyond = 0, start
    while fits(beyond):
        fitting, beyond = beyond, 2 * beyond
        if beyond > BATCH_LIMIT:
            raise InceptionLabError(
                f"a batch of {fitting:,} still fits",
                hint="name a smaller size, or check that inputs= is right",
            )
    while beyond - fitting > 1:
        middle = (fitting + beyond) // 2
        fitting, beyond = (middle, beyond) if fits(middle) else (fitting, middle)
    return fitting


def _reservable(step: Callable[[int], Trace], bound: int, limit: float) -> tuple[int, int | None]:
    """The largest batch up to a bound through which CUDA's allocator gets, and the bytes it reserves."""
    # What the allocator reserves need not grow with the batch, so that bisection could miss the largest.
    for batch_size in range(bound, 0, -1):
        with suppress(OutOfMemory):
            return batch_size, reserved_memory(step(batch_size), limit)
    return 0, None
