"""Set the times of a model's layers beside what this machine allows, and its MACs beside its time.

Usage: python scripts/report_roofline.py [--model MODEL] [--batch-size N] [--side N] [--seconds S]
       [--device cpu|cuda] [--threads N] [-o DIR]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import inception_lab as il
from inception_lab.metrics import format_quantity
from inception_lab.models.cards import CARDS, get_card
from inception_lab.report.document import Heading, Table, document
from inception_lab.report.plots import MACS_AND_TIME_PLOT, macs_and_time_plot
from inception_lab.report.plots.macs_and_time import MacsAndTime
from inception_lab.report.plots.wording import share_text
from inception_lab.report.text import shape_text
from shared import REPORTS, add_output, context_line, threads_text, write_csv, write_text

Facts = Mapping[str, Any]
"""The context of the times, with `totals`, `ceilings` and `note`."""

LAYERS = 25
"""Layers in the table of the page, the longest first."""

INTRODUCTION = (
    "Real runs of one model on one machine, each layer's time beside what the machine was measured to do at "
    "most in the same process. The fewest bytes of a layer or module are what must enter and leave it, "
    "parameters included; its share of the roof is the least time by arithmetic or memory over its own. "
    "Above 100% its data come from a cache, which is faster than the memory. Every number is in "
    "[layers.csv](layers.csv), [modules.csv](modules.csv) and [facts.json](facts.json)."
)
BRANCHES = (
    "The critical path of a module is the longest path through the dataflow of its layers. Were everything "
    "that can run side by side run so, on machines enough and at no cost, the module would take that long: "
    "the last column is what it could gain at most."
)


def ceilings_table(facts: Facts) -> Table:
    """The limits of the machine, and what reached them."""
    limits = facts["ceilings"]
    return Table(
        ("ceiling", "highest", "reached by"),
        [
            ("compute", f"{limits['flops_per_s'] / 1e9:.1f} GFLOP/s", limits["fastest_product"]),
            (
                "memory",
                f"{limits['bytes_per_s'] / 1e9:.1f} GB/s, read and written",
                f"copy of {_bytes(limits['copy_bytes'])}",
            ),
            ("launch", f"{1e6 * limits['operation_s']:.2f} us", "an activation of one element"),
            ("launch", f"{1e6 * limits['product_s']:.2f} us", "a convolution of one element"),
        ],
    )


def bounds_table(layers: pd.DataFrame) -> Table:
    """The share of the time by what bounds it."""
    shares = layers.groupby("bound")["share"].sum().sort_values(ascending=False)
    counts = layers[layers["self_ms"] > 0].groupby("bound").size()
    body = [(str(bound), f"{share:.1f}", str(counts.get(bound, 0))) for bound, share in shares.items()]
    return Table(("bound by", "time, %", "calls"), body)


def layers_table(layers: pd.DataFrame) -> Table:
    """The longest layers."""
    head = (
        "layer",
        "type",
        "time, ms",
        "time, %",
        "FLOPs per byte",
        "GFLOP/s",
        "roof, %",
        "bound by",
        "note",
    )
    body = []
    for row in layers.nlargest(LAYERS, "self_ms").to_dict("records"):
        intensity = f"{row['intensity']:.2f}" if pd.notna(row["intensity"]) else ""
        numbers = [f"{row['self_ms']:.2f}", f"{row['share']:.1f}", intensity, f"{row['gflops_per_s']:.2f}"]
        cells = [f"{row['roof_share']:.1f}", row["bound"], _text(row["note"])]
        body.append((f"`{row['layer']}`", _text(row["type"]), *numbers, *cells))
    return Table(head, body)


def modules_table(modules: pd.DataFrame) -> Table:
    """Every module with its launches, its fewest bytes and its critical path."""
    head = (
        "module", "MACs, %", "time, %", "launches", "fewest bytes", "time, ms", "critical path, ms",
        "gain at most",
    )  # fmt: skip
    body = [
        (f"`{row['module']}`", f"{row['macs_share']:.1f}", f"{row['share']:.1f}", str(row["launches"]),
         _bytes(row["compulsory_bytes"]), f"{row['self_ms']:.2f}",
         f"{row['critical_path_ms']:.2f}", f"{row['side_by_side_gain']:.2f}")
        for row in modules.to_dict("records")
    ]  # fmt: skip
    return Table(head, body)


def summary(layers: pd.DataFrame, facts: Facts) -> str:
    """The run, and the figures of the whole step, in words."""
    totals = facts["totals"]
    above = int((layers["roof_share"] > 100).sum())
    weighted = layers[layers["macs"] > 0]
    achieved = 2 * weighted["macs"].sum() / weighted["self_ms"].sum() / 1e6
    peak = facts["ceilings"]["flops_per_s"] / 1e9
    return (
        f"{facts['model']} on {shape_text(facts['input_shapes'])}, {facts['mode']}, {facts['dtype']}, "
        f"{facts['rounds']} rounds on {facts['machine']}: {totals['step_ms']:.1f} ms. Layers with MACs "
        f"reach {achieved:.1f} GFLOP/s, {share_text(achieved, peak)} of the ceiling, all together. "
        f"{totals['launches']} operations move {_bytes(totals['unfused_bytes'])} one by one at least, and "
        f"{_bytes(totals['compulsory_bytes'])} must move in any case. The critical path of "
        f"the whole net takes {totals['critical_path_ms']:.1f} ms, so that branches side by side would make "
        f"it {totals['side_by_side_gain']:.2f} times as fast at most. {above} calls are above the roof."
        + (f" Note: {facts['note']}." if facts.get("note") else "")
    )


def _text(value: Any) -> str:
    """A cell of a table; an empty one is NaN once it has been in a CSV file."""
    return str(value) if pd.notna(value) else ""


def _bytes(value: float) -> str:
    return format_quantity(value, "bytes")


def subject_of(modules: pd.DataFrame, facts: Facts) -> MacsAndTime:
    """Return what the plot shows."""
    return MacsAndTime(facts, modules[["module", "macs", "macs_share", "share"]], facts.get("note", ""))


def page(layers: pd.DataFrame, modules: pd.DataFrame, facts: Facts, context: str) -> str:
    """Return the roofline in Markdown."""
    return document(
        f"Roofline of {facts['model']}",
        [
            INTRODUCTION,
            summary(layers, facts),
            ceilings_table(facts),
            bounds_table(layers),
            Heading("MACs beside time"),
            MACS_AND_TIME_PLOT.caption(subject_of(modules, facts)),
            "![Share of the MACs and of the time by module](macs_beside_time.svg)",
            Heading("Modules"),
            BRANCHES,
            modules_table(modules),
            Heading(f"The {LAYERS} longest layers"),
            layers_table(layers),
            context,
        ],
    )


def write_report(folder: Path, roofline: il.Roofline, context: str) -> str:
    """Write the tables, the plot and the page; returns the page."""
    facts = {key: value for key, value in roofline.to_dict().items() if key != "layers"}
    write_csv(folder, "layers.csv", roofline.layers, "%.6g")
    write_csv(folder, "modules.csv", roofline.by_module(), "%.6g")
    # the page is made of the files, so that whoever has them can make it again
    layers, modules = (pd.read_csv(folder / f"{name}.csv") for name in ("layers", "modules"))
    write_text(folder, "facts.json", json.dumps(facts, indent=2) + "\n")
    for kind, content in macs_and_time_plot(subject_of(modules, facts)).items():
        (folder / f"macs_beside_time.{kind}").write_bytes(content)
    text = page(layers, modules, facts, context)
    write_text(folder, "README.md", text)
    return text


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Set the times of layers beside what this machine allows.")
    add = parser.add_argument
    add("--model", choices=list(CARDS), default="googlenet", metavar="MODEL", help="default: googlenet")
    add("--batch-size", type=int, default=8, metavar="N", help="default: 8")
    add("--side", type=int, metavar="N", help="side of the input; default: the model's own")
    add("--seconds", type=float, default=60.0, metavar="S", help="budget of the rounds; default: 60")
    add("--device", choices=["cpu", "cuda"], default="cpu", help="default: cpu")
    add("--threads", type=int, default=1, metavar="N", help="default: 1")
    add_output(parser, REPORTS / "roofline")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report into its folder, with ceilings measured anew."""
    options = parse(arguments)
    channels, *sides = get_card(options.model).input_size
    shape = (options.batch_size, channels, *(options.side or side for side in sides))
    ceilings = il.measure_ceilings(
        device=options.device, threads=options.threads, seconds=options.seconds / 10, anew=True
    )
    roofline = il.measure_roofline(
        il.create_model(options.model),
        shape,
        device=options.device,
        threads=options.threads,
        seconds=options.seconds,
        name=options.model,
        ceilings=ceilings,
    )
    print(write_report(options.output, roofline, context_line(threads_text(options.threads))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
