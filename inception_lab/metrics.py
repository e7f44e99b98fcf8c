"""The one table of metrics, and quantities as people write them: 7 M, 40 MiB, 1.6 G."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from inception_lab.errors import InceptionLabError

Unit = Literal["count", "bytes", "percent", "milliseconds", "number"]

_DECIMAL = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_BINARY = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50}
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_BYTES = {"B": 1, "KB": 10**3, **{f"{suffix}B": scale for suffix, scale in _DECIMAL.items()}, **_BINARY}
_READ_SCALES: Mapping[Unit, Mapping[str, float]] = {
    "count": {**_DECIMAL, "K": 10**3, "B": 10**9},
    "bytes": _BYTES,
    "percent": {},
    "milliseconds": _MILLISECONDS,
    "number": {},
}
_SCALES: Mapping[Unit, Mapping[str, float]] = {
    "count": {"": 1, **_DECIMAL},
    "bytes": {"B": 1, **_BINARY},
    "milliseconds": _MILLISECONDS,
}
"""The suffixes with which each unit is written, the smallest first."""

_EXAMPLES: Mapping[Unit, str] = {
    "count": "7 M",
    "bytes": "40 MiB",
    "percent": "6.67",
    "milliseconds": "12 ms",
    "number": "0.3",
}

# digits with separators and a fraction, or a fraction alone; an exponent; a suffix
_QUANTITY = re.compile(r"\s*(\d[\d_,]*(?:\.\d+)?|\.\d+)(?:e([+-]?\d+))?\s*([A-Za-z]*)\s*")


@dataclass(frozen=True)
class Metric:
    """One quantity that is computed or measured.

    Attributes:
        name: Its name in tables, records and budgets.
        label: Its name in headings and plots.
        unit: The unit that it is counted in; `number` has none, and any order of magnitude.
        better: The better direction; empty where there is none.
        meaning: Its definition, in one line.
    """

    name: str
    label: str
    unit: Unit
    better: Literal["lower", "higher", ""]
    meaning: str


_ALL = (
    Metric("params", "Parameters", "count", "lower", "elements of parameters, each shared tensor once"),
    Metric("trainable_params", "Trainable parameters", "count", "lower", "of these, those with a gradient"),
    Metric("macs", "MACs", "count", "lower", "multiply-accumulates of one forward"),
    Metric("flops", "FLOPs", "count", "lower", "2 x macs"),
    Metric("other_flops", "Other FLOPs", "count", "lower", "operations of everything else in one forward"),
    Metric("backward_macs", "Backward MACs", "count", "lower", "multiply-accumulates of the backward pass"),
    Metric("training_macs", "Training MACs", "count", "lower", "multiply-accumulates of a whole step"),
    Metric("fvcore_macs", "fvcore MACs", "count", "", "macs as fvcore counts them"),
    Metric("torch_macs", "torch MACs", "count", "", "macs as torch's FlopCounterMode counts them"),
    Metric("torch_backward_macs", "torch backward MACs", "count", "", "backward_macs as it counts them"),
    Metric("activation_bytes", "Activations", "bytes", "lower", "bytes that a forward newly allocates"),
    Metric("saved_bytes", "Kept for backward", "bytes", "lower", "bytes that the backward pass needs"),
    Metric("peak_bytes", "Peak memory", "bytes", "lower", "highest sum of live storages in a pass"),
    Metric("train_peak_bytes", "Training peak", "bytes", "lower", "highest sum of live storages in one step"),
    Metric("device_ms", "Device time", "milliseconds", "lower", "time of the kernels that a layer launched"),
    Metric("self_host_ms", "Own host time", "milliseconds", "lower", "of a layer or an operator on the CPU"),
    Metric("kernels", "Kernels", "count", "lower", "kernels that ran on a GPU"),
    Metric("kernel_ms", "Kernel time", "milliseconds", "lower", "times of all GPU kernels added up"),
    Metric("busy_ms", "Busy", "milliseconds", "lower", "time in which a kernel, copy or memset ran on a GPU"),
    Metric("span_ms", "Span", "milliseconds", "lower", "from the first start of these to the last end"),
    Metric("idle_share", "Idle", "percent", "lower", "part of the span in which none of these ran"),
    Metric("host_ms", "Host time", "milliseconds", "lower", "time that ranges cover on threads of the CPU"),
    Metric("duration_ms", "Duration", "milliseconds", "lower", "of a step, up to the end of its last kernel"),
    Metric("kernel_part_ms", "Kernels", "milliseconds", "", "part of a step in which a kernel ran"),
    Metric("copy_part_ms", "Copies", "milliseconds", "", "of the rest, in which a copy ran"),
    Metric("memset_part_ms", "Memsets", "milliseconds", "", "of the rest, in which a memset ran"),
    Metric("runtime_part_ms", "Runtime", "milliseconds", "", "of the rest, in calls of CUDA or the like"),
    Metric("data_loader_part_ms", "Data loader", "milliseconds", "", "of the rest, waiting for a batch"),
    Metric("operator_part_ms", "Operators", "milliseconds", "", "of the rest, in operators on the CPU"),
    Metric("other_part_ms", "Other", "milliseconds", "", "the rest"),
    Metric("top1_error", "Top-1 error", "percent", "lower", "ImageNet error as published"),
    Metric("top5_error", "Top-5 error", "percent", "lower", "ImageNet error as published"),
    Metric("weighted_layers", "Weighted layers", "count", "", "convolutions and linears on the longest path"),
    Metric("self_ms", "Own time", "milliseconds", "lower", "median time in a layer, its children apart"),
    Metric("share", "Share", "percent", "", "a layer's own time as a part of the step's"),
    Metric("self_iqr_ms", "Own time, IQR", "milliseconds", "lower", "interquartile range of self_ms"),
    Metric("self_cpu_ms", "Own CPU time", "milliseconds", "lower", "the same by the thread's CPU clock"),
    Metric("forward_ms", "Forward", "milliseconds", "lower", "part of self_ms in the forward pass"),
    Metric("loss_ms", "Loss", "milliseconds", "lower", "part of self_ms in the loss"),
    Metric("backward_ms", "Backward", "milliseconds", "lower", "part of self_ms in the backward pass"),
    Metric("optimizer_ms", "Optimizer", "milliseconds", "lower", "part of self_ms in the optimizer's step"),
    Metric("step_ms", "Step", "milliseconds", "lower", "median time of a step, timed layer by layer"),
    Metric("step_iqr_ms", "Interquartile range", "milliseconds", "lower", "of step_ms"),
    Metric("step_cpu_ms", "CPU time", "milliseconds", "lower", "median CPU time of the thread in a step"),
    Metric("plain_step_ms", "Step without clocks", "milliseconds", "lower", "median time of a plain step"),
    Metric("plain_step_iqr_ms", "Interquartile range", "milliseconds", "lower", "of plain_step_ms"),
    Metric("sample_ms", "Per sample", "milliseconds", "lower", "plain_step_ms by the batch size"),
    Metric("overhead_percent", "Cost of measuring", "percent", "lower", "time with clocks over that without"),
    Metric("page_faults", "Page faults", "count", "lower", "pages of memory that a plain step gets anew"),
    Metric("cpu_overhead_percent", "Cost in CPU time", "percent", "lower", "the same by the CPU clock"),
    Metric("launches", "Launches", "count", "lower", "operations that compute or move anything"),
    Metric("compulsory_bytes", "Fewest bytes moved", "bytes", "lower", "bytes that must enter and leave"),
    Metric("unfused_bytes", "Moved one by one", "bytes", "lower", "the same, each operation on its own"),
    Metric("intensity", "FLOPs per byte", "count", "", "FLOPs of any kind per byte that must move"),
    Metric("gflops_per_s", "GFLOP/s", "count", "higher", "FLOPs of any kind per second"),
    Metric("attainable_gflops_per_s", "Attainable GFLOP/s", "count", "", "at most, at this intensity"),
    Metric("side_by_side_gain", "Side by side gain", "count", "", "time over that of the critical path"),
    Metric("roof_share", "Share of the roof", "percent", "higher", "the roofline's least time over its own"),
    Metric("critical_path_ms", "Critical path", "milliseconds", "lower", "longest path through the dataflow"),
    Metric("macs_share", "Share of MACs", "percent", "", "a module's MACs as a part of the step's"),
    Metric("time_per_macs", "Time over MACs", "count", "lower", "share of the time over that of the MACs"),
    Metric("kernel_launches", "Kernel launches", "count", "lower", "calls that launch a kernel on a GPU"),
    Metric("graph_launches", "Graph launches", "count", "lower", "calls that launch a graph of kernels"),
    Metric("attributed_percent", "Attributed", "percent", "higher", "part of the kernel time that calls own"),
    Metric("graph_step_ms", "Replay of a graph", "milliseconds", "lower", "a step from a CUDA graph"),
    Metric("launch_overhead_ms", "Launch overhead", "milliseconds", "lower", "step_ms less graph_step_ms"),
    Metric("output_mean", "Output mean", "number", "", "of all elements that a module returns"),
    Metric("output_variance", "Output variance", "number", "", "of all elements that a module returns"),
    Metric("output_gradient", "Gradient of outputs", "number", "", "norm of the loss's gradient by them"),
    Metric("weight_gradient", "Gradient of weights", "number", "", "norm of the loss's gradient by them"),
    Metric("weight_norm", "Weights", "number", "", "norm of the weights that are trained"),
    Metric("relative_gradient", "Gradient over weights", "number", "", "weight_gradient over weight_norm"),
    Metric("zeros", "ReLU zeros", "percent", "", "elements of ReLUs that are zero"),
    Metric("dead", "Dead ReLUs", "percent", "lower", "channels of ReLUs that are zero in a whole batch"),
    Metric("loss", "Loss", "number", "lower", "sum of its terms, each with its weight"),
    Metric("accuracy", "Accuracy", "percent", "higher", "samples of a batch that are told right"),
    Metric("mismatch", "Mismatch", "number", "lower", "gradients of the terms less that of the whole"),
)  # fmt: skip

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})
"""Every metric by its name, read-only."""

RECEPTIVE_FIELD = Metric(
    "receptive_field",
    "Receptive field",
    "count",
    "",
    "pixels that a unit sees along its longest side, at most",
)
"""Of a whole net; not in the table, as layer tables have a column of this name that holds tuples."""


def metric_of(name: str) -> Metric:
    """Return the metric of a column; one that is not ours is a number that bears the column's name.

    Example:
        >>> metric_of("macs").label, metric_of("my_score").label, metric_of("my_score").unit
        ('MACs', 'my_score', 'number')
    """
    known = {**METRICS, RECEPTIVE_FIELD.name: RECEPTIVE_FIELD}
    return known.get(name) or Metric(name, name, "number", "", "")


def parse_quantity(text: str, unit: Unit = "count") -> float:
    """Return the number that a quantity stands for.

    Args:
        text: Such as `7 M`, `1.6G`, `6,998,552`, `1e9`; for bytes `40 MiB`, `2 GB`, `512`; for times `12 ms`.
        unit: Counts have suffixes that are powers of 1000, bytes those and powers of 1024; times are in
            milliseconds, or end in `us`, `ms` or `s`.

    Raises:
        InceptionLabError: The text is not a quantity of this unit.

    Example:
        >>> parse_quantity("7 M"), parse_quantity("40 MiB", "bytes")
        (7000000.0, 41943040.0)
    """
    scales: dict[str, float] = {"": 1, **_READ_SCALES[unit]}
    match = _QUANTITY.fullmatch(text)
    if match is None or match[3] not in scales:
        example = _EXAMPLES[unit]
        raise InceptionLabError(f"{text!r} is not a quantity of {unit}", hint=f"write it like {example}")
    digits = match[1].replace(",", "").replace("_", "")
    return float(f"{digits}e{match[2] or 0}") * scales[match[3]]


def format_quantity(value: float, unit: Unit = "count") -> str:
    """Return a number as people read it, to three significant digits.

    Args:
        value: The number.
        unit: Its unit; bytes are written with powers of 1024.

    Example:
        >>> format_quantity(1_582_671_872), format_quantity(0), format_quantity(53_000_000, "bytes")
        ('1.58 G', '0', '50.5 MiB')
        >>> format_quantity(25_600), format_quantity(3.2e15), format_quantity(0.0000321, "number")
        ('25.6 k', '3.20 P', '3.21e-05')
    """
    if unit == "percent":
        return f"{value:.1f} %"
    if unit == "number":
        return f"{value:.3g}"
    scales = _SCALES[unit]
    # from 999.5 on, three digits are those of the next suffix
    suffixes = [(suffix, scale) for suffix, scale in scales.items() if abs(value) >= 0.9995 * scale]
    suffix, scale = suffixes[-1] if suffixes else next(iter(scales.items()))
    number = value / scale
    digits = f"{number:,.0f}" if scale == 1 and float(value).is_integer() else _three_digits(number)
    return f"{digits} {suffix}".strip() if value else "0"


def _three_digits(value: float) -> str:
    return f"{value:.{2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0}f}"
