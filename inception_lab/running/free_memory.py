"""Free memory of this machine, and the refusal of what cannot fit into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.metrics import format_quantity

_MEMINFO, _CGROUPS, _OWN_CGROUPS = Path("/proc/meminfo"), Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_V2 = ("memory.max", "memory.current", "inactive_file")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_SMALL = 16 << 20
"""Bytes below which a single tensor is not worth a look at the system."""
_MAKERS = frozenset({"empty", "zeros", "ones", "full", "rand", "randn", "empty_strided"})
"""Functions of torch by which modules make their weights."""


def free_memory(device: str | torch.device = "cpu") -> int | None:
    """Return the bytes that a device can still give, None where nobody tells.

    On the CPU they are those that Linux takes for available, swap included, or fewer where a control group,
    as of a container, allows fewer. On CUDA, blocks that PyTorch's allocator holds and nothing uses are free.

    Args:
        device: Whose memory is meant.

    Example:
        >>> free = free_memory()
        >>> free is None or free > 0
        True
    """
    device = torch.device(device)
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    amounts = [*_of_the_system(), *_of_control_groups()] if device.type == "cpu" else []
    return min(amounts, default=None)


def refuse_beyond(size: int, device: str | torch.device, where: str) -> None:
    """Refuse a run that takes more memory than a device has free.

    Args:
        size: Bytes that it takes.
        device: The device.
        where: The model.

    Raises:
        InceptionLabError: It does (exit code 3).
    """
    free = free_memory(device)
    if free is not None and size > free:
        takes, has = format_quantity(size, "bytes"), format_quantity(free, "bytes")
        raise InceptionLabError(
            f"cannot run on {device}: it would take {takes} of memory, and {has} are free",
            where=where,
            hint="use smaller inputs= or a smaller batch",
            exit_code=MODEL_FAILED,
        )


class WeightsThatFit(TorchFunctionMode):
    """Refuses a tensor that memory cannot hold before it is made, while a model is built.

    Args:
        name: Of the model.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run a function of torch, if what it makes fits."""
        keywords = dict(kwargs or {})
        if getattr(func, "__name__", "") in _MAKERS and (size := _size_of(func, args, keywords)) > _SMALL:
            self._refuse(size, keywords.get("device"))
        return func(*args, **keywords)

    def _refuse(self, size: int, device: Any) -> None:
        free = free_memory(device or torch.get_default_device())
        if free is not None and size > free:
            takes, has = format_quantity(size, "bytes"), format_quantity(free, "bytes")
            raise InceptionLabError(
                f"building it with weights takes {takes} for one tensor, and {has} are free here",
                where=self._name,
                hint="build a smaller one; tracing needs no weights",
                exit_code=MODEL_FAILED,
            )


def _size_of(function: Any, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> int:
    """Bytes of what a function makes, found on meta tensors; 0 where it cannot be tried there."""
    with suppress(Exception):
        plain = {name: value for name, value in keywords.items() if name not in ("out", "pin_memory")}
        made = function(*args, **{**plain, "device": "meta"})
        return int(made.untyped_storage().nbytes())
    return 0


def _of_the_system() -> Iterator[int]:
    with suppress(OSError, ValueError):
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines() if ":" in line)
        kilobytes = [int(lines[name].split()[0]) for name in ("MemAvailable", "SwapFree") if name in lines]
        if "MemAvailable" in lines:
            yield sum(kilobytes) * 1024


def _of_control_groups() -> Iterator[int]:
    """Bytes that the groups around this process have left, the innermost first."""
    for folder in _control_groups():
        for names in (_V2, _V1):
            with suppress(OSError, ValueError):  # no such file; no limit is `max`
                limit, usage = (int((folder / name).read_text()) for name in names[:2])
                yield max(0, limit - usage + _cached(folder, names[2]))


def _cached(folder: Path, name: str) -> int:
    """Bytes of files in memory that the system drops as soon as somebody needs the room."""
    with suppress(OSError, ValueError):
        pairs = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return next((int(size) for key, size in pairs if key == name), 0)
    return 0


def _control_groups() -> Iterator[Path]:
    """The folders of the groups around this process."""
    with suppress(OSError):
        for line in _OWN_CGROUPS.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory") or "memory" in controllers.split(","):
                root = _CGROUPS / "memory" if controllers else _CGROUPS
                group = root / path.lstrip("/")
                # within a container, the path may be that outside of it
                yield from [group, *group.parents][: len(group.relative_to(root).parts) + 1]
