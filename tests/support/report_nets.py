"""Nets as plain data: no torch is needed to draw what they cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pandas import DataFrame

from inception_lab.analyzers.reductions import ALL_MODULES, SUM, WHOLE_NET
from inception_lab.record import Record
from inception_lab.report.contents import ReportData

COSTS = ("params", "macs", "flops", "other_flops", "activation_bytes")
SAVING = ("naive_weights", "reduced_weights", "naive_macs", "reduced_macs")


def layer(
    module: str,
    branch: str = "",
    macs: int = 0,
    params: int = 0,
    naive: int | None = None,
    executed: bool = True,
    sees: dict[str, Any] | None = None,
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
    } | (sees or {})


def traced(trace: Any) -> ReportData:
    """What the report of a traced net shows, as the command puts it together."""
    import inception_lab as il
    from inception_lab.cli.report import _held, _seen

    costs = il.module_costs(trace), il.branch_costs(trace), il.reduction_saving(trace)
    timeline, peak, tensors, held = _held(trace)
    return ReportData(il.summarise(trace), *costs, *_seen(trace), timeline, peak, tensors, held)


def field(*pixels: int, stride: int = 2) -> dict[str, Any]:
    """What a layer sees along each axis."""
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
    mixed: Sequence[tuple[str, int, dict[int, int]]] = (),
    fit: dict[str, Any] | None = None,
    holds: Sequence[dict[str, Any]] = (),
    **context: Any,
) -> ReportData:
    """What the report of a net with these layers shows.

    Args:
        layers: Its layers.
        name: Of the model.
        mixed: Module, axis, and how many channels carry each field, the smallest field first.
        fit: How it fits its input.
        holds: What it holds after each operation, as of `moment`.
        context: What else the record says.
    """
    table = DataFrame([{"module": m["place"][0], "branch": m["place"][1]} | m for m in layers])
    costs = list(COSTS)
    modules = table.groupby("module", sort=False)[costs].sum().reset_index()
    branches = table.groupby(["module", "branch"], sort=False)[costs].sum().reset_index()
    totals = {name: int(table[name].sum()) for name in costs} | {"weighted_layers": len(layers)}
    uncounted = tuple(context.pop("uncounted", ()))
    record = Record(
        context={
            "tool": "inception_lab 0.1.0",
            "torch": "2.13.0",
            "model": name,
            "input_shapes": [[1, 3, 8, 8]],
            "mode": "eval",
            "dtype": "float32",
            "complete": not uncounted,
        }
        | context,
        totals=totals,
        uncounted_ops=uncounted,
        unexecuted_modules=tuple(m["layer"] for m in layers if not m["executed"]),
        layers=tuple({k: v for k, v in m.items() if k not in ("place", "naive")} for m in layers),
    )
    spectrum, seen = _fields(mixed)
    memory = _memory(holds)
    return ReportData(record, modules, branches, _saving(layers), spectrum, seen, fit or {}, *memory)


KINDS = ("parameters", "buffers", "gradients", "optimizer_state", "inputs", "saved", "temporaries")


def moment(layer: str, phase: str = "forward", **held: int) -> dict[str, Any]:
    """What is held after an operation of a layer."""
    kinds = dict.fromkeys(KINDS, 0) | held
    place = {"operation": "aten.relu.default", "phase": phase, "layer": layer}
    return place | kinds | {"live_bytes": sum(held.values())}


def _memory(holds: Sequence[dict[str, Any]]) -> tuple[DataFrame, dict[str, Any], DataFrame, DataFrame]:
    """The timeline, its peak, and a tensor and a row for each kind that is held at the peak."""
    if not holds:
        return DataFrame(), {}, DataFrame(), DataFrame()
    top = max(holds, key=lambda m: m["live_bytes"])
    kinds = {kind: top[kind] for kind in KINDS}
    peak = {name: top[name] for name in ("operation", "phase", "layer")}
    tensors = [
        {"layer": top["layer"], "shape": (size // 4,), "dtype": "float32", "kind": kind, "bytes": size}
        for kind, size in kinds.items()
        if size
    ]
    held = [{"module": top["layer"].split(".")[0], **kinds, "bytes": top["live_bytes"]}]
    peak |= {"peak_bytes": top["live_bytes"], "by_kind": kinds}
    return DataFrame(holds), peak, DataFrame(tensors), DataFrame(held)


def _fields(mixed: Sequence[tuple[str, int, dict[int, int]]]) -> tuple[DataFrame, DataFrame]:
    """The spectrum and its summary."""
    spectrum = [
        {"module": module, "axis": axis, "field": pixels, "channels": count, "paths": 1}
        for module, axis, channels in mixed
        for pixels, count in channels.items()
    ]
    seen = [
        {"module": module, "axis": axis, "smallest": min(channels), "median": _median(channels),
         "largest": max(channels)}
        for module, axis, channels in mixed
    ]  # fmt: skip
    return DataFrame(spectrum), DataFrame(seen)


def _median(channels: dict[int, int]) -> int:
    """The field of the channel in the middle, the lower one of two."""
    every = sorted(pixels for pixels, count in channels.items() for _ in range(count))
    return every[(len(every) - 1) // 2]


def fit(*size: int, beyond: Sequence[str] = (), last: str | None = "last.conv") -> dict[str, Any]:
    """How a net fits an input of this size."""
    return {
        "input_size": size,
        "smallest_input": tuple(1 for _ in size),
        "exceeding": tuple(beyond),
        "last_layer": last,
        "seen_by_centre": 1.0 if last else None,
    }


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
    naive, reduced = sum(m["naive"] for m in layers), sum(m["macs"] for m in layers)
    return naive // 64, reduced // 64, naive, reduced


def inception(number: int = 3) -> list[dict[str, Any]]:
    """A stem, modules of four branches with reductions, a classifier."""
    modules = [
        part
        for n in range(number)
        for part in (
            layer(f"mix{n}", "branch1", 6400 * (n + 1), 100, sees=field(7 + 8 * n, 7 + 8 * n)),
            layer(f"mix{n}", "branch2", 12800, 200, naive=25600, sees=field(11 + 8 * n, 11 + 8 * n)),
            layer(f"mix{n}", "branch3", 1280, 20, naive=12800, sees=field(15 + 8 * n, 15 + 8 * n)),
            layer(f"mix{n}", "branch4", 640, 10, naive=0, sees=field(11 + 8 * n, 11 + 8 * n)),
        )
    ]
    stem = layer("stem", macs=32000, params=50, sees=field(7, 7))
    return [stem, *modules, layer("fc", macs=640, params=9000, sees=EVERYTHING)]


def tiny(number: int = 3, name: str = "net", **context: Any) -> ReportData:
    """The net above with its fields: a quarter of the channels sees least, a quarter most."""
    mixed = [
        (f"mix{n}", axis, {7: 0, 7 + 8 * n: 4, 11 + 8 * n: 8, 15 + 8 * n: 4})
        for n in range(number)
        for axis in (0, 1)
    ]
    beyond = [f"mix{n}.branch1.conv" for n in range(number)]
    size = fit(8, 8, beyond=beyond, last=f"mix{number - 1}.branch3.conv")
    layers = inception(number)
    holds = [
        moment(m["layer"], parameters=4000, inputs=768, temporaries=256 * (n % 5 + 1))
        for n, m in enumerate(layers)
    ]
    return net(layers, name, mixed, size, holds, **context)


LONG = "a_module_whose_name_is_far_longer_than_there_is_room_for_in_any_plot_number_"


def step(layers: Sequence[str], updates: int) -> list[dict[str, Any]]:
    """A training step: each layer forward and backward, a loss, and an optimizer's operations."""
    count, kept = len(layers), {"parameters": 4096, "optimizer_state": 8192, "inputs": 512}
    forward = [moment(name, **kept, saved=512 * n, temporaries=64) for n, name in enumerate(layers)]
    loss = [moment("(loss)", "loss", **kept, saved=512 * count)]
    backward = [
        moment(
            name, "backward", **kept, saved=512 * (count - n), gradients=4096 * n // count, temporaries=640
        )
        for n, name in enumerate(reversed(layers))
    ]
    optimizer = [
        moment("(optimizer)", "optimizer", **kept, gradients=4096, temporaries=64 * (n % 7))
        for n in range(updates)
    ]
    return [*forward, *loss, *backward, *optimizer]


WEIRD: dict[str, Callable[[], ReportData]] = {
    "chain": lambda: net([layer("features", macs=640, params=10), layer("classifier", macs=64, params=90)]),
    "one layer": lambda: net([layer("(model)", macs=64, params=2)]),
    "500 layers": lambda: net([layer(str(n), macs=64, params=n) for n in range(500)]),
    "long names": lambda: net(
        [layer(f"{LONG}{n}", f"{LONG}{b}", 640, 9, naive=6400 * n) for n in range(3) for b in range(9)],
        LONG * 3,
    ),
    "no MACs": lambda: net([layer("embed", params=90), layer("norm", params=2)]),
    "no parameters": lambda: net([layer("product", macs=640)]),
    "nothing": lambda: net([layer("relu"), layer("pool")]),
    "markup": lambda: net(
        [layer("$x_1^2$ | *a* <b>\n", "`$", 64, 1, naive=640), layer("$", "%", 64, 1)], "a|b $c$"
    ),
    "unexecuted": lambda: net([layer("stem", macs=64, params=1), layer("aux_head", executed=False)]),
    "partial": lambda: net([layer("stem", macs=64)], uncounted=[{"name": "aten.fft", "count": 3}]),
    "dearer with reductions": lambda: net([layer("m", b, 640, 9, naive=64) for b in "ab"]),
    "many branches": lambda: net(
        [layer(f"m{n}", f"b{n}_{b}", 64, 9, naive=640) for n in range(45) for b in range(3)]
    ),
    "misaligned": lambda: net(
        [layer("stem", macs=9, sees=field(3, 3)), layer("mix", "a", 9, sees=MISALIGNED)],
        fit=fit(8, 8, beyond=["mix.a.conv"], last="mix.a.conv"),
        mixed=[("mix", axis, {3: 1, 300: 1}) for axis in (0, 1)],
    ),
    "nothing known": lambda: net([layer("mix", "a", 9, sees=MISALIGNED)], fit=fit(8, 8, last=None)),
    "no convolution": lambda: net(
        [layer("embed", params=9, sees=field(1, stride=1))], fit=fit(8), mixed=[("embed", 0, {1: 4})]
    ),
    "sees everything": lambda: net([layer("fc", macs=9, sees=EVERYTHING)], fit=fit(8, 8, last=None)),
    "1-d": lambda: net(
        [layer("stem", macs=9, sees=field(3, stride=1)), layer("mix", "a", 9, sees=field(19, stride=1))],
        fit=fit(500, last="mix.a.conv"),
        mixed=[("mix", 0, {3: 32, 19: 32, 39: 32})],
    ),
    "3-d": lambda: net(
        [layer("stem", macs=9, sees=field(1, 7, 7)), layer("mix", "a", 9, sees=field(3, 11, 11))],
        fit=fit(16, 112, 113, beyond=["mix.a.conv"], last="mix.a.conv"),
        mixed=[("mix", 0, {1: 2, 3: 2}), ("mix", 1, {7: 2, 11: 2}), ("mix", 2, {7: 2, 11: 2})],
    ),
    "3 axes that differ": lambda: net(
        [layer("mix", "a", 9, sees=field(3, 5, 7)), layer("mix", "b", 9, sees=field(9, 9, 9))],
        fit=fit(15, 16, 17, last="mix.b.conv"),
        mixed=[("mix", axis, {3 + axis: 2, 9: 2}) for axis in range(3)],
    ),
    "many fields": lambda: net(
        [layer(f"{LONG}{n}", "a", 9, sees=field(9 + n, 5 + n)) for n in range(62)],
        LONG * 2,
        [
            (f"{LONG}{n}", axis, {2 * k + axis + 1: k + 1 for k in range(n % 9 + 2)})
            for n in range(62)
            for axis in (0, 1)
        ],
        fit(99999, 99998),
    ),
    "one operation": lambda: net([layer("fc", macs=9)], holds=[moment("fc", parameters=36)]),
    "one layer's step": lambda: net([layer("fc", macs=9)], holds=step(["fc.act"], 1), mode="train"),
    "a long step": lambda: net(
        [layer(f"m{n}", macs=9) for n in range(90)],
        holds=step([f"m{n // 10}.conv{n}" for n in range(900)], 9000),
        mode="train",
        optimizer="adamw",
    ),
    "a step of long names": lambda: net(
        [layer(f"{LONG}{n}", macs=9) for n in range(9)],
        LONG,
        holds=step([f"{LONG}{n % 9}.{LONG * 2}" for n in range(9)], 9),
        mode="train",
        optimizer=LONG,
    ),
    "peaks first": lambda: net(
        [layer("a", macs=9)], holds=[moment("a.b", temporaries=2**40 - n) for n in range(99)]
    ),
    "peaks last": lambda: net(
        [layer("a", macs=9)], holds=[moment(f"{LONG}.b", temporaries=n + 1) for n in range(99)]
    ),
    "holds nothing": lambda: net([layer("a")], holds=[moment("a")]),
}
