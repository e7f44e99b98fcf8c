"""The views of TensorBoard's plugin for torch.profiler, made by its own loader, beside a profile's tables."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from inception_lab.measure.profile.profile import Profile
from inception_lab.measure.profile.tensorboard import tensorboard_copy

INSTALL = 'pip install "inception_lab[tensorboard]"'
TOLERANCE = 1.0
"""Microseconds by which sums may differ: the plugin adds doubles, of times rounded to a nanosecond."""

PARTS = {
    "Kernel": "kernel_part_ms", "Memcpy": "copy_part_ms", "Memset": "memset_part_ms",
    "Runtime": "runtime_part_ms", "DataLoader": "data_loader_part_ms", "CPU Exec": "operator_part_ms",
    "Other": "other_part_ms",
}  # fmt: skip
DEVICES = {"cpu": "CPU", "cuda": "GPU", "hip": "GPU", "xpu": "GPU"}


class Views(NamedTuple):
    """What the plugin makes of a trace.

    Attributes:
        data: Its `RunProfileData`.
        run: Its `RunProfile`.
    """

    data: Any
    run: Any


def plugin_is_there() -> bool:
    """True where the plugin can be imported."""
    return find_spec("torch_tb_profiler") is not None


def views_of_copy(trace: Path) -> Views:
    """Copy a trace for TensorBoard, and return what the plugin makes of the copy."""
    from torch_tb_profiler.profiler.data import RunProfileData
    from torch_tb_profiler.profiler.run_generator import RunGenerator

    # it warns of much that is not wrong, such as a pid that is no device
    logging.getLogger("pytorch_profiler").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        data = RunProfileData.parse("worker", None, str(tensorboard_copy(trace, folder)), folder)
        return Views(data, RunGenerator("worker", None, data).generate_run_profile())


def disagreements(profile: Profile, views: Views) -> list[str]:
    """Return the names of the views that do not show what the profile says."""
    return [name for name, agrees in _VIEWS.items() if not agrees(profile, views)]


def _near(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return one.keys() == other.keys() and all(abs(one[name] - other[name]) <= TOLERANCE for name in one)


def _kernels_agree(profile: Profile, views: Views) -> bool:
    table, stat = profile.rows["kernels"], views.data.kernel_stat
    counts = {} if stat is None else stat["count"].to_dict()
    times = {} if stat is None else stat["sum"].to_dict()
    return counts == {row["kernel"]: row["kernels"] for row in table} and _near(
        times, {row["kernel"]: 1000 * row["device_ms"] for row in table}
    )


def _operators_agree(profile: Profile, views: Views) -> bool:
    calls = {row["operator"]: row["calls"] for row in profile.rows["operators"]}
    theirs = {row.name: row.calls for row in views.data.op_list_groupby_name}
    # an operator within one of its own name, which does nothing else, is no call of its own there
    return calls.keys() == theirs.keys() and all(
        calls[name] >= theirs[name] >= calls[name] / 2 for name in calls
    )


def _kernels_of_operators_agree(profile: Profile, views: Views) -> bool:
    times: dict[str, float] = defaultdict(float)
    for row in views.data.kernel_list_groupby_name_op:
        times[row.op_name] += row.total_duration
    expected = {row["operator"]: 1000 * row["device_ms"] for row in profile.rows["operators"]}
    return all(abs(times[name] - expected[name]) <= TOLERANCE for name in expected)


def overview_steps(views: Views) -> Iterator[dict[str, Any]]:
    """Yield the rows of the overview: `Step`, then microseconds by the plugin's names of the parts."""
    steps = views.run.overview["steps"]
    names = [column["name"] for column in steps["columns"] if "name" in column]
    for row in steps["rows"]:
        # beside each number stands the text that is shown over it
        yield dict(zip(names, [row[0], *row[1::2]], strict=True))


def _overview_agrees(profile: Profile, views: Views) -> bool:
    ours = {str(row["step"]).partition("#")[2] or "0": row for row in profile.rows["overview"]}
    # the plugin leaves out last steps that launched little
    return all(
        step["Step"] in ours
        and _near(
            {
                name: step.get(name, 0.0) + step.get("Communication", 0.0) * (name == "Kernel")
                for name in PARTS
            },
            {name: 1000 * ours[step["Step"]][column] for name, column in PARTS.items()},
        )
        for step in overview_steps(views)
    )


def _memory_agrees(profile: Profile, views: Views) -> bool:
    peaks: Counter[str] = Counter()
    for row in profile.rows["memory"]:
        kind, _, number = row["device"].partition(":")
        name = DEVICES.get(kind, "GPU") + number
        peaks[name] = max(peaks[name], row["allocated_bytes"])
    if views.data.memory_snapshot is None:
        return not peaks
    theirs = views.data.memory_snapshot.get_peak_memory()
    names = {f"GPU{number}" if kind else "CPU": peak for (kind, number), peak in theirs.items()}
    return bool(dict(peaks) == names)


def _modules_are_there(profile: Profile, views: Views) -> bool:
    has_layers = bool(profile.context["layers_from"] != "operators")
    return bool(views.run.module_stats) == has_layers


_VIEWS: Mapping[str, Callable[[Profile, Views], bool]] = {
    "overview": _overview_agrees,
    "operators": _operators_agree,
    "kernels": _kernels_agree,
    "kernels by operator": _kernels_of_operators_agree,
    "memory": _memory_agrees,
    "modules": _modules_are_there,
}
"""The views, with what tells if one shows what a profile says."""
