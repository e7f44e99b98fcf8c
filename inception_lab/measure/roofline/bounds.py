"""The time of a piece of work beside what the ceilings allow, and what bounds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from inception_lab.measure.roofline.joining import Work
from inception_lab.measure.roofline.limits import Ceilings
from inception_lab.metrics import format_quantity

Bound = Literal["compute", "memory", "launch", "none"]

BOUND_SHARE = 50.0
"""Percent of the time that a limit has to explain to be what bounds it."""

_LAUNCH_SHARES = {"cpu": BOUND_SHARE, "cuda": 100.0}
"""The same of launches. On a GPU they are not a part of the time in which it is busy: it waits for them where
they take longer than what it does meanwhile."""


class LeastTimes(NamedTuple):
    """Milliseconds that a piece of work takes at least by each limit alone.

    Attributes:
        compute: Its arithmetic at the highest rate.
        memory: Its fewest bytes at the rate of a copy.
        launch: Its operations, if none computed anything.
    """

    compute: float
    memory: float
    launch: float

    @property
    def roof(self) -> float:
        """By arithmetic and memory at once, as the roofline has it."""
        return max(self.compute, self.memory)


def least_times(work: Work, ceilings: Ceilings) -> LeastTimes:
    """Return the least times of some work by the ceilings of a machine.

    The time of launches beside the two of the roofline is that of Wang, Yang, Farrell et al., Time-Based
    Roofline for Deep Learning Performance Analysis (2020).
    """
    launch = work.products * ceilings.product_s + work.others * ceilings.operation_s
    return LeastTimes(
        1e3 * work.flops / ceilings.flops_per_s,
        1e3 * work.compulsory_bytes / ceilings.bytes_per_s,
        1e3 * launch,
    )


def bound_of(least: LeastTimes, self_ms: float, device: str = "cpu") -> Bound:
    """Return the limit that explains the largest part of a time, `none` where that is not half of it.

    Args:
        least: By each limit alone.
        self_ms: The time.
        device: `cpu`, or `cuda`, where the time is that in which the GPU is busy. Launches then bound it only
            where they take all of it.

    Example:
        >>> bound_of(LeastTimes(6, 1, 0), 10), bound_of(LeastTimes(2, 3, 1), 10)
        ('compute', 'none')
        >>> bound_of(LeastTimes(6, 1, 8), 10), bound_of(LeastTimes(6, 1, 8), 10, "cuda")
        ('launch', 'compute')
    """
    if not self_ms > 0:
        return "none"
    limits: Mapping[Bound, tuple[float, float]] = {
        "compute": (least.compute, BOUND_SHARE),
        "memory": (least.memory, BOUND_SHARE),
        "launch": (least.launch, _LAUNCH_SHARES[device]),
    }
    bounds = {name: ms for name, (ms, share) in limits.items() if 100 * ms / self_ms >= share}
    return max(bounds, key=lambda name: bounds[name], default="none")


def roofline_columns(work: Work, self_ms: float, ceilings: Ceilings, all_macs: int) -> dict[str, Any]:
    """Return the columns of the roofline for some work and the time that it took.

    Args:
        work: Of a layer or a module.
        self_ms: Its time.
        ceilings: Of the machine.
        all_macs: Those of the whole step.
    """
    least = least_times(work, ceilings)
    intensity = work.flops / work.compulsory_bytes if work.compulsory_bytes else None
    attainable = ceilings.flops_per_s
    if intensity is not None:
        attainable = min(attainable, intensity * ceilings.bytes_per_s)
    share = 100 * least.roof / self_ms if self_ms else 0.0
    bound = bound_of(least, self_ms, ceilings.device)
    return {
        "macs": work.macs,
        "macs_share": 100 * work.macs / (all_macs or 1),
        "other_flops": work.other_flops,
        "launches": work.launches,
        "compulsory_bytes": work.compulsory_bytes,
        "unfused_bytes": work.unfused_bytes,
        "intensity": intensity,
        "gflops_per_s": work.flops / self_ms / 1e6 if self_ms else 0.0,
        "attainable_gflops_per_s": attainable / 1e9 if work.flops else 0.0,
        "roof_share": share,
        "bound": bound,
        "note": _note(work, share, bound, self_ms, ceilings),
    }


def _note(work: Work, share: float, bound: Bound, self_ms: float, ceilings: Ceilings) -> str:
    """The reason for a time below what the ceilings allow, or for one that no limit explains; else empty."""
    if share > 100:
        in_cache = bound == "memory" and work.compulsory_bytes <= ceilings.cache_bytes
        return "above the roof" + ": its data fit into the cache" * in_cache
    moved_ms = 1e3 * work.unfused_bytes / ceilings.bytes_per_s
    if bound == "none" and self_ms and 100 * moved_ms / self_ms >= BOUND_SHARE:
        together = format_quantity(work.compulsory_bytes, "bytes")
        one_by_one = format_quantity(work.unfused_bytes, "bytes")
        return f"memory between its operations: they move {one_by_one}, fused {together} at least"
    return ""
