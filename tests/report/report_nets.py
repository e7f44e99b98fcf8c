"""Nets as plain data: no torch is needed to draw what they cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pandas import DataFrame

from inception_lab.record import Record
from inception_lab.report.data import ReportData
from inception_lab.saving import ALL_MODULES, SUM, WHOLE_NET

COSTS = ("params", "macs", "flops", "other_flops", "activation_bytes")
SAVING = ("naive_weights", "reduced_weights", "naive_macs", "reduced_macs")


def layer(
    module: str,
    branch: str = "",
    macs: int = 0,
    params: int = 0,
    naive: int | None = None,
    executed: bool = True,
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
    }


def net(layers: Sequence[dict[str, Any]], name: str = "net", **context: Any) -> ReportData:
    """What the report of a net with these layers shows."""
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
    return ReportData(record, modules, branches, _saving(layers))


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
            layer(f"mix{n}", "branch1", 6400 * (n + 1), 100),
            layer(f"mix{n}", "branch2", 12800, 200, naive=25600),
            layer(f"mix{n}", "branch3", 1280, 20, naive=12800),
            layer(f"mix{n}", "branch4", 640, 10, naive=0),
        )
    ]
    return [layer("stem", macs=32000, params=50), *modules, layer("fc", macs=640, params=9000)]


LONG = "a_module_whose_name_is_far_longer_than_there_is_room_for_in_any_plot_number_"

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
}
