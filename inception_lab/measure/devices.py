"""Which processor a real run ran on."""

import platform
from pathlib import Path

import torch


def device_name(device: str) -> str:
    """Name of the GPU, or of the processor where a run is on the CPU."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
