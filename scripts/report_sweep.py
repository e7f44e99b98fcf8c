"""Write reports/sweep: the variants of GoogLeNet that see most and train in least memory, within budgets.

Figures are exact, whatever the machine. What is finished is stored in build/, so that a run that was ended
goes on.

Usage: python scripts/report_sweep.py [--sample N] [--jobs N] [--store FILE] [-o DIR]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import inception_lab as il
from inception_lab.metrics import METRICS, format_quantity
from inception_lab.report.document import Heading, Table, document
from inception_lab.variants.columns import REST
from shared import REPORTS, ROOT, add_output, write_csv, write_text

SPACE = ROOT / "scripts" / "spaces" / "googlenet.toml"
STORE = ROOT / "build" / "sweep.jsonl"
PAPER_SIDE = 224
FIGURES = ("params", "macs", "receptive_field", "train_peak_bytes")
SHOWN = (
    "module_3", "depth_3", "module_4", "depth_4", "module_5", "depth_5", "width", "reduction_3x3",
    "reduction_5x5", "reduction_pool", "input_size", *FIGURES,
)  # fmt: skip

INTRODUCTION = """\
Which GoogLeNet of at most 5 million parameters and 1.2 billion MACs sees most, and which trains in least
memory? The kind and the number of the modules in each stage, the width, the reductions of each branch and
the input vary as [googlenet.toml](../../scripts/spaces/googlenet.toml) says. Of each variant that was drawn:
the parameters, the MACs of one image, the widest receptive field of a feature map, and the peak of a training
step of {batch} images with momentum. Nothing was trained, and nothing is measured. Written by
`python scripts/report_sweep.py`, with PyTorch {torch}."""
FRONT = """\
The front: within the budgets no other variant sees as far in less memory, or further in as little. To the
byte they are in [front.csv](front.csv), and all {count:,} variants in [variants.csv](variants.csv)."""
INFLUENCE = """\
The part of the variance over all complete variants that a parameter explains alone, corrected for the number
of its levels (epsilon squared); what is left is in combinations. The means at the lowest and the highest
value of each are in [influence.csv](influence.csv)."""


def page(space: il.Space, table: pd.DataFrame, influence: pd.DataFrame, references: pd.DataFrame) -> str:
    """Return the report as Markdown."""
    front = il.pareto_front(table, space.objectives)
    within, unlike = int(table["within_budgets"].sum()), int((table["status"] != "complete").sum())
    judged = (
        f"Of {len(table):,} variants {within:,} are within the budgets, and {len(front)} of these are on the "
        f"front; {unlike:,} are partial or failed."
    )
    text = INTRODUCTION.format(batch=space.train_batch_size, torch=torch.__version__.partition("+")[0])
    return document(
        "Which GoogLeNet sees most in least training memory?",
        [
            text,
            judged,
            "![The Pareto front](front.svg)",
            FRONT.format(count=len(table)),
            _front_table(front),
            *_findings(front, references),
            *_edges(table, front),
            Heading(f"At the paper's own input of {PAPER_SIDE}"),
            "The front among the variants that are built for it.",
            _front_table(il.pareto_front(table[table["input_size"] == PAPER_SIDE], space.objectives)),
            Heading("Which parameter moves which figure"),
            INFLUENCE,
            "![The influence of each parameter](influence.svg)",
            _influence_table(influence),
        ],
    )


def _front_table(front: pd.DataFrame) -> Table:
    rows = [[_cell(name, row[name]) for name in SHOWN] for row in front.to_dict("records")]
    return Table([name.replace("_", " ") for name in SHOWN], rows)


def _cell(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if name in METRICS:
        return format_quantity(float(value), METRICS[name].unit)
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _findings(front: pd.DataFrame, references: pd.DataFrame) -> Iterator[str]:
    """What the front says beside the paper's own net."""
    own = references.set_index("model").loc["googlenet"].to_dict()
    far, small = front.iloc[0], front.iloc[-1]
    sight, memory = own["receptive_field"], own["train_peak_bytes"]
    yield (
        f"The paper's own net has {format_quantity(own['params'])} parameters and "
        f"{format_quantity(own['macs'])} MACs, sees {sight:,} pixels and trains in "
        f"{format_quantity(memory, 'bytes')}. The variant that sees most, {far['receptive_field']:,} pixels, "
        f"takes {far['train_peak_bytes'] / memory:.0%} of that memory; the one that trains in least takes "
        f"{small['train_peak_bytes'] / memory:.0%} and sees {small['receptive_field']:,}."
    )
    alike = front[front["receptive_field"] >= sight]
    if len(alike):
        least = alike["train_peak_bytes"].iloc[-1]
        yield (
            f"To see at least as far as the paper's net takes {format_quantity(least, 'bytes')}, "
            f"{least / memory:.0%} of its memory."
        )


def _edges(table: pd.DataFrame, front: pd.DataFrame) -> Iterator[str]:
    """What the objectives leave out, where they drive the front to the edge of the space."""
    sides, widths = front["input_size"], front["width"]
    if sides.nunique() == 1 and sides.iloc[0] == table["input_size"].min():
        yield (
            f"All of them take the smallest input of the space, and widths of {widths.min():.2f} to "
            f"{widths.max():.2f} where {table['width'].min():.2f} to {table['width'].max():.2f} were drawn: "
            "neither objective rewards pixels or channels. What accuracy that costs, no figure here tells."
        )


def _influence_table(influence: pd.DataFrame) -> Table:
    shares = influence.pivot(index="parameter", columns="metric", values="share")[list(FIGURES)]
    order = shares.drop(index=REST).max(axis=1).sort_values(ascending=False).index
    rows = [[name, *(f"{share:.0f}%" for share in shares.loc[name])] for name in [*order, REST]]
    return Table(["parameter", *FIGURES], rows)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sample", type=int, help="variants to draw, in place of those of the space")
    parser.add_argument("--jobs", type=int, help="processes, by default one per core")
    parser.add_argument("--store", type=Path, default=STORE, help="file of finished variants")
    add_output(parser, REPORTS / "sweep")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables, the plots and README.md."""
    options = parse(arguments)
    folder: Path = options.output
    space = il.read_space(SPACE)
    space = replace(space, sample=options.sample or space.sample)
    table = il.sweep(space, store=options.store, jobs=options.jobs, progress=_say)
    influence = il.parameter_influence(table, list(space.parameters), list(space.metrics))
    references = il.reference_variants(space)
    budgets: Mapping[str, Any] = {limit.metric: (limit.least, limit.most) for limit in space.budgets}
    # parameters to the last digit, so that a variant can be built again
    write_text(folder, "variants.csv", _csv(table))
    write_text(folder, "front.csv", _csv(il.pareto_front(table, space.objectives)))
    write_csv(folder, "influence.csv", influence, "%.4g")
    il.plot_pareto(table, space.objectives, folder / "front.svg", budgets=budgets, references=references)
    il.plot_influence(influence, folder / "influence.svg")
    write_text(folder, "README.md", page(space, table, influence, references))
    return 0


def _csv(table: pd.DataFrame) -> str:
    return table.to_csv(index=False, lineterminator="\n")


def _say(done: int, total: int) -> None:
    if done % 100 == 0 or done == total:
        print(f"{done:,} of {total:,} variants", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
