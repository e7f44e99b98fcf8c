"""Ceilings of a machine: the fastest arithmetic and copy, and the least time of an operation."""

from __future__ import annotations

from contextlib import nullcontext
from math import inf

import torch
from torch import nn

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.measure.hardware import device_name, float32_precisions
from inception_lab.measure.real_runs import device_of, operation_threads
from inception_lab.measure.roofline import cache, kernels
from inception_lab.measure.roofline.limits import Ceilings
from inception_lab.running.exclusion import one_run_at_a_time
from inception_lab.running.guards import no_modes

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
SECONDS = 3.0
"""Default time budget."""

_FOR_PRODUCTS, _FOR_COPY, _FOR_OPERATION = 0.7, 0.2, 0.05
"""Parts of the time budget; there are two kinds of operation."""


@checked
def measure_ceilings(
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    threads: int | None = None,
    seconds: float = SECONDS,
    anew: bool = False,
) -> Ceilings:
    """Measure in this process what the machine does at most, or take what was measured before.

    The highest rate of matrix products and 3x3 convolutions of several sizes, of a copy several times as
    large as the last cache, and the least time of operations on one element; each the best of its runs, see
    `kernels.least_seconds`. Kept by machine, device, PyTorch, threads, dtype and precision in the user's
    folder for caches, for whoever asks with the same time budget or a smaller one. A damaged file is
    written anew. Autocast around it makes no difference. Other programs that run meanwhile lower the
    ceilings. On CUDA this has never run.

    Args:
        device: `cpu` or `cuda`, with its number where it is not the current one.
        dtype: A floating one.
        threads: PyTorch's threads within an operation; as they are by default, and restored.
        seconds: Time budget; each kernel runs a few times in any case.
        anew: Measure even where there are ceilings from before.

    Raises:
        InceptionLabError: An option is not known, or there is no such device (exit code 2).

    Example:
        >>> ceilings = measure_ceilings(threads=1, seconds=0)
        >>> ceilings.flops_per_s > 1e6, ceilings.bytes_per_s > 1e6, ceilings.dtype
        (True, True, 'float32')
    """
    place = device_of(device, tuple(kernels.SQUARES), "ceilings are not measured")
    check_dtype(dtype)
    if not isinstance(seconds, (int, float)) or not 0 <= seconds < inf:
        raise InceptionLabError(f"a time budget of {seconds!r} seconds", hint="use seconds=3")
    current = torch.cuda.device(place) if place.type == "cuda" else nullcontext()
    with one_run_at_a_time, operation_threads(threads), current:
        key = _key(place, dtype)
        earlier = None if anew else cache.load(key)
        if earlier is not None and earlier.seconds >= seconds:
            return earlier
        # tensors of an inference keep no account of versions, and nothing is differentiated; under an
        # autocast of the caller's, the ceiling of its dtype would be kept as that of another one, and under
        # a dispatch mode, each operation would seem to take the time of the mode too
        with torch.inference_mode(), torch.autocast(place.type, enabled=False), no_modes():
            ceilings = _measure(key, place, dtype, float(seconds))
    cache.save(ceilings)
    return ceilings


def check_dtype(dtype: torch.dtype) -> None:
    """Refuse a dtype in which nothing is measured.

    Raises:
        InceptionLabError: It is none of `DTYPES` (exit code 2).
    """
    if dtype not in DTYPES:
        raise InceptionLabError(f"no ceilings of {dtype}", hint="use dtype=torch.float32")


def _key(device: torch.device, dtype: torch.dtype) -> tuple[object, ...]:
    """The values of `cache.KEY`."""
    precisions = float32_precisions(device.type)
    return (
        device_name(str(device)),
        device.type,
        torch.__version__.partition("+")[0],
        torch.get_num_threads(),
        str(dtype).removeprefix("torch."),
        device.type == "cuda" and "tf32" in precisions,
        ", ".join(precisions),
    )


def _measure(key: tuple[object, ...], device: torch.device, dtype: torch.dtype, seconds: float) -> Ceilings:
    watch = kernels.stopwatch(device)
    makers = kernels.product_kernels(device, dtype)
    product = kernels.best_rate((make() for make in makers), len(makers), watch, _FOR_PRODUCTS * seconds)
    copy = kernels.copy_kernel(device, dtype)
    pixel = torch.ones(1, 1, 1, 1, device=device, dtype=dtype)
    # a new convolution would draw its weight from the user's random numbers
    convolution = nn.Conv2d(1, 1, 1, bias=False, device="meta", dtype=dtype).to_empty(device=device)
    nn.init.ones_(convolution.weight)
    operation_s, product_s = (
        kernels.operation_seconds(module, pixel, watch, _FOR_OPERATION * seconds)
        for module in (nn.ReLU(), convolution)
    )
    facts = dict(zip(cache.KEY, key, strict=True))
    return Ceilings(
        **facts,  # type: ignore[arg-type]
        seconds=seconds,
        flops_per_s=product.per_s,
        fastest_product=product.name,
        bytes_per_s=copy.work / kernels.least_seconds(copy.run, watch, _FOR_COPY * seconds),
        copy_bytes=int(copy.work) // 2,
        cache_bytes=kernels.cache_bytes(device),
        operation_s=operation_s,
        product_s=product_s,
    )
