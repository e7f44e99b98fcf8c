"""Contents of reports from plain data: nothing is traced to draw them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pandas import DataFrame

from inception_lab.analyzers.memory.peak import PeakMemory
from inception_lab.analyzers.receptive_field.resolution import ResolutionFit
from inception_lab.analyzers.reductions import ALL_MODULES, SUM, WHOLE_NET
from inception_lab.record import Record
from inception_lab.report.contents import ReportContents

COSTS = ("params", "macs", "flops", "other_flops", "activation_bytes")
SAVING = ("naive_weights", "reduced_weights", "naive_macs", "reduced_macs")


def layer(
    module: str,
    branch: str = "",
    macs: int = 0,
    params: int = 0,
    naive: int | None = None,
    executed: bool = True,
    fields: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One layer of a net that a test makes up; `naive` are its MACs without reductions."""
    return {
        "place": (module, branch),
        "naive": macs if naive is None else naive,
        "layer": ".".join(part for part in (module, branch, "conv") if part),
        "type": "Conv2d",
        "executed": executed,
        "input_shape": [1, 3, 8, 8],
        "output_shape": [1, 4, 8, 8],
        "params": params,
        "macs": macs,
        "flops": 2 * macs,
        "other_flops": 3 * params,
        "activation_bytes": 1024,
    } | (fields or {})


def field(*pixels: int, stride: int = 2) -> dict[str, Any]:
    """The columns of a layer's receptive field, from its pixels along each axis."""
    return {
        "receptive_field": list(pixels),
        "stride": [stride] * len(pixels),
        "padding": [size // 2 for size in pixels],
    }


EVERYTHING = {"receptive_field": [8, 8]}
MISALIGNED = {"status": "misaligned"}


def net(
    layers: Sequence[dict[str, Any]],
    name: str = "net",
    mixing: Sequence[tuple[str, int, dict[int, int]]] = (),
    resolution: ResolutionFit | None = None,
    moments: Sequence[dict[str, Any]] = (),
    **context: Any,
) -> ReportContents:
    """The contents of the report of a net with these layers.

    Args:
        layers: Its layers.
        name: Of the model.
        mixing: Module, axis, and the number of channels that carry each field, the smallest field first.
        resolution: Its fit to its input, as of `fit`; none where the input has no spatial axes.
        moments: Live bytes after each operation, as of `moment`.
        context: Other entries of the record's context.
    """
    table = DataFrame([{"module": m["place"][0], "branch": m["place"][1]} | m for m in layers])
    costs = list(COSTS)
    modules = table.groupby("module", sort=False)[costs].sum().reset_index()
    branches = table.groupby(["module", "branch"], sort=False)[costs].sum().reset_index()
    totals = {name: int(table[name].sum()) for name in costs} | {"weighted_layers": len(layers)}
    uncounted_ops = tuple(context.pop("uncounted_ops", ()))
    record = Record(
        context={
            "tool": "inception_lab 0.1.0",
            "torch": "2.13.0",
            "model": name,
            "input_shapes": [[1, 3, 8, 8]],
            "mode": "eval",
            "dtype": "float32",
            "complete": not uncounted_ops,
        }
        | context,
        totals=totals,
        uncounted_ops=uncounted_ops,
        unexecuted_modules=tuple(m["layer"] for m in layers if not m["executed"]),
        layers=tuple({k: v for k, v in m.items() if k not in ("place", "naive")} for m in layers),
    )
    costs_by_part = modules, branches, _saving(layers)
    return ReportContents(
        record, *costs_by_part, *_fields(mixing), resolution or fit(last=None), *_memory(moments)
    )


KINDS = ("parameters", "buffers", "gradients", "optimizer_state", "inputs", "saved", "temporaries")


def moment(layer: str, phase: str = "forward", **sizes: int) -> dict[str, Any]:
    """A row of the timeline: the bytes of each kind after an operation of a layer."""
    kinds = dict.fromkeys(KINDS, 0) | sizes
    place = {"operation": "aten.relu.default", "phase": phase, "layer": layer}
    return place | kinds | {"live_bytes": sum(sizes.values())}


def _memory(moments: Sequence[dict[str, Any]]) -> tuple[DataFrame, PeakMemory, DataFrame]:
    """The timeline, its peak with a tensor for each kind alive then, and the module of the peak."""
    if not moments:
        return DataFrame(), PeakMemory(0, "", "", "", {}, DataFrame()), DataFrame()
    top = max(moments, key=lambda m: m["live_bytes"])
    kinds = {kind: top[kind] for kind in KINDS}
    tensors = [
        {"layer": top["layer"], "shape": (size // 4,), "dtype": "float32", "kind": kind, "bytes": size}
        for kind, size in kinds.items()
        if size
    ]
    place = top["operation"], top["phase"], top["layer"]
    peak = PeakMemory(top["live_bytes"], *place, kinds, DataFrame(tensors))
    modules = [{"module": top["layer"].split(".")[0], **kinds, "bytes": top["live_bytes"]}]
    return DataFrame(moments), peak, DataFrame(modules)


def _fields(mixing: Sequence[tuple[str, int, dict[int, int]]]) -> tuple[DataFrame, DataFrame]:
    """The spectrum and its summary."""
    spectrum = [
        {"module": module, "axis": axis, "field": pixels, "channels": count, "paths": 1}
        for module, axis, channels in mixing
        for pixels, count in channels.items()
    ]
    ranges = [
        {"module": module, "axis": axis, "smallest": min(channels), "median": _median(channels),
         "largest": max(channels)}
        for module, axis, channels in mixing
    ]  # fmt: skip
    return DataFrame(spectrum), DataFrame(ranges)


def _median(channels: dict[int, int]) -> int:
    """The field of the channel in the middle, the lower one of two."""
    every = sorted(pixels for pixels, count in channels.items() for _ in range(count))
    return every[(len(every) - 1) // 2]


def fit(*size: int, beyond: Sequence[str] = (), last: str | None = "last.conv") -> ResolutionFit:
    """The fit of a net to an input of this size, `last` the layer whose centre unit sees all of it."""
    return ResolutionFit(size, tuple(1 for _ in size), tuple(beyond), last, 1.0 if last else None)


def _saving(layers: Sequence[dict[str, Any]]) -> DataFrame:
    inside = [m for m in layers if m["place"][1]]
    rows: list[tuple[Any, ...]] = []
    for module in dict.fromkeys(m["place"][0] for m in inside):
        here = [m for m in inside if m["place"][0] == module]
        rows += [(module, m["place"][1], *_sides([m])) for m in here]
        rows.append((module, SUM, *_sides(here)))
    if rows:
        rows += [(ALL_MODULES, SUM, *_sides(inside)), (WHOLE_NET, SUM, *_sides(layers))]
    table = DataFrame(rows, columns=["module", "branch", *SAVING])
    for side in ("weights", "macs"):
        table[f"{side}_ratio"] = table[f"naive_{side}"] / table[f"reduced_{side}"]
    return table


def _sides(layers: Sequence[dict[str, Any]]) -> tuple[int, int, int, int]:
    naive_macs, macs = sum(m["naive"] for m in layers), sum(m["macs"] for m in layers)
    return naive_macs // 64, macs // 64, naive_macs, macs


def inception(number: int = 3) -> list[dict[str, Any]]:
    """A stem, modules of four branches with reductions, a classifier."""
    modules = [
        part
        for n in range(number)
        for part in (
            layer(f"mix{n}", "branch1", 6400 * (n + 1), 100, fields=field(7 + 8 * n, 7 + 8 * n)),
            layer(f"mix{n}", "branch2", 12800, 200, naive=25600, fields=field(11 + 8 * n, 11 + 8 * n)),
            layer(f"mix{n}", "branch3", 1280, 20, naive=12800, fields=field(15 + 8 * n, 15 + 8 * n)),
            layer(f"mix{n}", "branch4", 640, 10, naive=0, fields=field(11 + 8 * n, 11 + 8 * n)),
        )
    ]
    stem = layer("stem", macs=32000, params=50, fields=field(7, 7))
    return [stem, *modules, layer("fc", macs=640, params=9000, fields=EVERYTHING)]


def tiny(number: int = 3, name: str = "net", **context: Any) -> ReportContents:
    """The net above with its fields: a quarter of the channels sees least, a quarter most."""
    mixing = [
        (f"mix{n}", axis, {7: 0, 7 + 8 * n: 4, 11 + 8 * n: 8, 15 + 8 * n: 4})
        for n in range(number)
        for axis in (0, 1)
    ]
    beyond = [f"mix{n}.branch1.conv" for n in range(number)]
    size = fit(8, 8, beyond=beyond, last=f"mix{number - 1}.branch3.conv")
    layers = inception(number)
    moments = [
        moment(m["layer"], parameters=4000, inputs=768, temporaries=256 * (n % 5 + 1))
        for n, m in enumerate(layers)
    ]
    return net(layers, name, mixing, size, moments, **context)


def step(layers: Sequence[str], updates: int) -> list[dict[str, Any]]:
    """A training step: each layer forward and backward, a loss, and an optimizer's operations."""
    count, lasting = len(layers), {"parameters": 4096, "optimizer_state": 8192, "inputs": 512}
    forward = [moment(name, **lasting, saved=512 * n, temporaries=64) for n, name in enumerate(layers)]
    loss = [moment("(loss)", "loss", **lasting, saved=512 * count)]
    backward = [
        moment(
            name, "backward", **lasting, saved=512 * (count - n), gradients=4096 * n // count, temporaries=640
        )
        for n, name in enumerate(reversed(layers))
    ]
    optimizer = [
        moment("(optimizer)", "optimizer", **lasting, gradients=4096, temporaries=64 * (n % 7))
        for n in range(updates)
    ]
    return [*forward, *loss, *backward, *optimizer]
