"""The runs by which ceilings are measured: products, convolutions, a copy, operations on one element."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import inf
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from inception_lab.metrics import format_quantity

Run = Callable[[], object]
Stopwatch = Callable[[Run], float]
"""Seconds of one run."""

FEWEST = 3
"""Runs of each kernel, however long they take."""

SQUARES = {"cpu": (256, 512, 1024, 2048), "cuda": (1024, 2048, 4096, 8192)}
"""Rows and columns of the matrices whose product is timed."""

CONVOLUTIONS = {
    "cpu": ((1, 64, 56), (8, 64, 56), (8, 128, 28), (8, 256, 14), (32, 256, 14)),
    "cuda": ((32, 64, 56), (128, 128, 28), (128, 256, 28), (256, 512, 14)),
}
"""Batch size, channels in and out, and side of the inputs of the convolutions."""

_LEAST_COPY, _MOST_COPY = 2**26, 2**30
_CACHES = 4
"""Size of a copy, in sizes of the last cache: little of it is still there when it is read again."""

_BATCH = 50
"""Operations on one element between two readings of the clock, which takes as long as one of them."""


class Kernel(NamedTuple):
    """A run whose work is known.

    Attributes:
        name: With its size.
        work: Floating-point operations, or bytes.
        run: Makes one.
    """

    name: str
    work: float
    run: Run


class Rate(NamedTuple):
    """The highest rate of some kernels.

    Attributes:
        per_s: Work per second.
        name: Of the kernel that reached it.
    """

    per_s: float
    name: str


def stopwatch(device: torch.device) -> Stopwatch:
    """Return the clock of a device: the processor's own, or events in the stream of a GPU."""
    return _seconds_on_gpu if device.type == "cuda" else _seconds


def _seconds(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _seconds_on_gpu(run: Run) -> float:
    start, end = _event(), _event()
    start.record()
    run()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3


def _event() -> torch.cuda.Event:
    event: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    return event


def least_seconds(run: Run, watch: Stopwatch, seconds: float) -> float:
    """Return the shortest of many runs within a time budget, after one that does not count.

    Whatever disturbs a run makes it longer, so that the shortest comes closest to what the machine can do;
    STREAM and the Empirical Roofline Toolkit report the best too.
    """
    watch(run)
    best, count, deadline = inf, 0, time.monotonic() + seconds
    while count < FEWEST or time.monotonic() < deadline:
        best = min(best, watch(run))
        count += 1
    return best or 1e-9  # a clock too coarse for it


def best_rate(kernels: Iterator[Kernel], count: int, watch: Stopwatch, seconds: float) -> Rate:
    """Return the highest rate among kernels, the small ones first.

    One that would take longer than the whole budget at the best rate so far is left out, as a product in
    a dtype that the processor has to emulate.

    Args:
        kernels: Made one by one, so that the tensors of one are gone before those of the next.
        count: Their number.
        watch: The clock.
        seconds: Budget of all.
    """
    best = Rate(0.0, "")
    for kernel in kernels:
        if best.per_s and FEWEST * kernel.work / best.per_s > max(seconds, 1.0):
            continue
        rate = Rate(kernel.work / least_seconds(kernel.run, watch, seconds / count), kernel.name)
        best = max(best, rate)
    return best


def product_kernels(device: torch.device, dtype: torch.dtype) -> Sequence[Callable[[], Kernel]]:
    """Return makers of matrix products and 3x3 convolutions, whose work is 2 x MACs."""
    squares, shapes = SQUARES[device.type], CONVOLUTIONS[device.type]
    return [
        *(partial(_product, size, device, dtype) for size in squares),
        *(partial(_convolution, shape, device, dtype) for shape in shapes),
    ]  # fmt: skip


def _product(size: int, device: torch.device, dtype: torch.dtype) -> Kernel:
    one, other = _numbers((size, size), device, dtype), _numbers((size, size), device, dtype)
    return Kernel(f"{size}x{size} matrix product", 2.0 * size**3, lambda: torch.mm(one, other))


def _convolution(shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype) -> Kernel:
    batch, channels, side = shape
    inputs = _numbers((batch, channels, side, side), device, dtype)
    weight = _numbers((channels, channels, 3, 3), device, dtype)
    work = 2.0 * 9 * batch * (channels * side) ** 2
    name = f"3x3 convolution of {batch}x{channels}x{side}x{side}"
    return Kernel(name, work, lambda: nn.functional.conv2d(inputs, weight, padding=1))


def copy_kernel(device: torch.device, dtype: torch.dtype) -> Kernel:
    """Return a copy much larger than the last cache; its work is the bytes read and those written.

    What a processor reads of the target before it writes there is not counted, as in STREAM.
    """
    size = min(max(_CACHES * cache_bytes(device), _LEAST_COPY), _MOST_COPY)
    source = _numbers((size // dtype.itemsize,), device, dtype)
    target = torch.empty_like(source)
    return Kernel(f"copy of {format_quantity(size, 'bytes')}", 2.0 * size, lambda: target.copy_(source))


def operation_seconds(module: nn.Module, example: Tensor, watch: Stopwatch, seconds: float) -> float:
    """Return the least time of a module on next to no data: what an operation costs before it computes."""

    def run() -> None:
        for _ in range(_BATCH):
            module(example)

    return least_seconds(run, watch, seconds) / _BATCH


def _numbers(shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    # of a generator of its own, as the user's random numbers are not to change; a GPU is faster on zeros
    generator = torch.Generator(device)
    return torch.rand(shape, generator=generator, device=device, dtype=dtype)


def cache_bytes(device: torch.device) -> int:
    """Return the size of the last cache before the memory, 0 where the system does not tell it."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).L2_cache_size)
    folder = Path("/sys/devices/system/cpu/cpu0/cache")
    sizes = (path.read_text(encoding="utf-8") for path in sorted(folder.glob("index*/size")))
    return max(map(read_cache_size, sizes), default=0)


_SIZE = re.compile(r"(\d+)([KMG]?)\s*")


def read_cache_size(text: str) -> int:
    """Return the bytes that Linux means by a size such as `32768K`; 0 for what is not one.

    Example:
        >>> read_cache_size("512K"), read_cache_size("")
        (524288, 0)
    """
    match = _SIZE.fullmatch(text)
    return int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]] if match else 0
