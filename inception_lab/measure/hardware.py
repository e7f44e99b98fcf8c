"""The processor or GPU of a real run."""

import os
import platform
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch

from inception_lab.analyzers.memory.cpu_workspaces import Processor


def device_name(device: str) -> str:
    """Name of the GPU, or of the processor where a run is on the CPU."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def count_page_faults() -> int:
    """Pages of memory that the system has given to this process so far; 0 where it does not tell."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


class Precisions(NamedTuple):
    """The arithmetic that float32 may be rounded to: `ieee` (not at all), `tf32` or `bf16`.

    Attributes:
        product: Of matrix products.
        convolution: Of convolutions.
    """

    product: str
    convolution: str


def float32_precisions(device: str) -> Precisions:
    """Read the settings of a kind of device by which float32 may be rounded.

    They are those that PyTorch has for each library; the older ones, for all at once, raise where these are
    set.

    Example:
        >>> float32_precisions("cpu")
        Precisions(product='ieee', convolution='ieee')
    """
    libraries: Any = torch.backends
    on_gpu = torch.device(device).type == "cuda"
    product, convolution = (
        (libraries.cuda.matmul, libraries.cudnn.conv)
        if on_gpu
        else (libraries.mkldnn.matmul, libraries.mkldnn.conv)
    )
    # where nobody has chosen it is `none`, which does not round either
    precisions = (library.fp32_precision.replace("none", "ieee") for library in (product, convolution))
    return Precisions(*precisions)


_BLOCKS = {"AVX512": 16, "AVX2": 8}
"""Floats in a register, by the name that PyTorch has for an instruction set."""

_LIMITED_BLOCKS = {"": 16, "ALL": 16, "DEFAULT": 16, "AVX10": 16, "AVX512": 16, "AVX2": 8}
"""The same by the first word of what the environment may keep oneDNN to; empty where it does not."""

_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


def this_processor() -> Processor | None:
    """The features of this machine's CPU that decide its kernels, None where no rule knows them.

    PyTorch names the instruction set; the environment may keep oneDNN to an older one.
    """
    limits = [os.environ.get(name, "").upper().partition("_")[0] for name in _LIMITS]
    blocks = [
        _BLOCKS.get(torch.backends.cpu.get_cpu_capability()),
        *(_LIMITED_BLOCKS.get(limit) for limit in limits),
    ]
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if None in blocks or not available:
        return None
    return Processor(min(block for block in blocks if block), torch.get_num_threads())
