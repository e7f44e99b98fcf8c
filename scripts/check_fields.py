"""Compare the receptive fields of the whole zoo with gradients, and write down the verdict on each.

Each model is made positive and run in float64 on strips that are longer than its field, along each axis.
Layers are taken at even distances along depth, and the last one with spatial axes.

Usage: python scripts/check_fields.py [MODEL ...] [--layers N] [--limit-gib G] [-o DIR]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import nn

import inception_lab as il
from inception_lab.measure.field_gradients import check_fields, strip
from inception_lab.measure.unit_gradients import spatial_layers
from inception_lab.models.cards import CARDS
from inception_lab.report.document import Table, document
from shared import REPORTS, add_output, context_line, write_csv, write_text

FLOAT64_OVER_FLOAT32 = 2
HEADER = (
    "model", "strips", "layers", "units", "agree", "status", "smallest gradient", "CPU seconds", "note"
)  # fmt: skip
INTRODUCTION = (
    "For each layer, along each axis, the first and last input pixel that a unit sees as computed from the "
    "trace, and as shown by the gradient of that unit in a real run: weights positive, means in place of "
    "maxima, {statistics}, float64. The first two units, the middle one "
    "and the last two of each layer are compared, on inputs that are longer than the longest field along one "
    "axis and as narrow as the net takes along the other. Every unit has a row in "
    "[gradients.csv](gradients.csv). A gradient below 5e-324 would be lost."
)
PASSED_THROUGH = "LRN, normalisation and activations passed through"
REAL_AND_HELD = (
    "LRN, batch norm and activations passed through, statistics and gates real, and in a second run "
    "held fixed for what local paths see"
)
"""What is said of statistics by rows of one run and of two."""


@dataclass(frozen=True)
class Outcome:
    """The outcome for one model.

    Attributes:
        model: Its name.
        strips: The inputs that are long along one axis, as text.
        rows: Of `check_fields`, empty where it was left out.
        seconds: CPU time.
        note: The reason why it was left out, or what limits the check.
    """

    model: str
    strips: str
    rows: pd.DataFrame
    seconds: float
    note: str


def check(name: str, layer_count: int, limit: float) -> Outcome:
    """Check one model, unless its activations would not fit into so many GiB."""
    model, shape = il.create_model(name), (1, *CARDS[name].input_size)
    layers = evenly_spaced_layers(model, shape, layer_count)
    strips = [strip(model, shape, axis, layers) for axis in range(len(shape) - 2)]
    strip_sizes = ", ".join("x".join(map(str, sizes[2:])) for sizes in strips)
    need = max(gibibytes(model, sizes) for sizes in strips)
    if need > limit:
        return Outcome(name, strip_sizes, pd.DataFrame(), 0.0, f"about {need:.1f} GiB of activations")
    start = time.process_time()  # the backward pass runs in threads of its own
    rows = check_fields(model, shape, layers)
    return Outcome(name, strip_sizes, rows, time.process_time() - start, edge_note(rows))


def evenly_spaced_layers(model: nn.Module, shape: Sequence[int], count: int) -> list[str]:
    """Layers at even distances along depth, the last one among them."""
    names = spatial_layers(il.trace(model, tuple(shape)))
    # a set: a net of fewer layers than the count has several places at one layer
    places = {round((i + 1) * len(names) / count) - 1 for i in range(count)}
    return [names[place] for place in sorted(places) if place >= 0]


def gibibytes(model: nn.Module, shape: tuple[int, ...]) -> float:
    """Bound of the memory that a forward pass in float64 keeps for the backward pass."""
    costs = il.layer_costs(il.trace(model, shape))
    return float(costs.activation_bytes.sum()) * FLOAT64_OVER_FLOAT32 / 2**30


def edge_note(rows: pd.DataFrame) -> str:
    """The layers of which no unit is free of both edges, because the net takes no longer input."""
    # a field cut off by an edge shows its one end alone; a layer is checked in full by a unit off both
    inner = rows[(rows.gradient_first > 0) & (rows.gradient_last < rows.length - 1)]
    at_edges = [layer for layer in rows.layer.unique() if layer not in set(inner.layer)]
    return f"every unit sees an edge of the largest input it takes: {', '.join(at_edges)}" if at_edges else ""


def page(outcomes: Sequence[Outcome]) -> str:
    """Return the verdicts in Markdown."""
    table = Table(HEADER, [verdict(outcome) for outcome in outcomes])
    ran_twice = all(outcome.rows.empty or "local_first" in outcome.rows for outcome in outcomes)
    introduction = INTRODUCTION.format(statistics=REAL_AND_HELD if ran_twice else PASSED_THROUGH)
    return document(
        "Receptive fields beside gradients",
        [introduction, table, context_line(f"{torch.get_num_threads()} thread")],
    )


def verdict(outcome: Outcome) -> list[str]:
    """One line of the table."""
    rows = outcome.rows
    if rows.empty:
        return [outcome.model, outcome.strips, *("",) * 3, "not run", "", "", outcome.note]
    agree = "all" if rows.agree.all() else f"{int(rows.agree.sum())}"
    numbers = [str(rows.layer.nunique()), str(len(rows)), agree, ", ".join(sorted(rows.status.unique()))]
    smallest = f"{rows.smallest_gradient.min():.0e}"
    return [outcome.model, outcome.strips, *numbers, smallest, f"{outcome.seconds:.1f}", outcome.note]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Compare the receptive fields of the zoo with gradients.")
    add = parser.add_argument
    add("models", nargs="*", metavar="MODEL", help="default: the whole zoo")
    add("--layers", type=int, default=12, metavar="N", help="layers per model; default: 12")
    add("--limit-gib", type=float, default=6.0, metavar="G", help="leave out what needs more; default: 6")
    add_output(parser, REPORTS / "fields")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write gradients.csv and README.md; returns 1 where a computed field disagrees."""
    options = parse(arguments)
    torch.set_num_threads(1)
    outcomes = []
    for name in options.models or il.list_models():
        outcomes.append(check(name, options.layers, options.limit_gib))
        print(" | ".join(verdict(outcomes[-1])), file=sys.stderr, flush=True)
    rows = pd.concat([outcome.rows.assign(model=outcome.model) for outcome in outcomes])
    rows.insert(0, "model", rows.pop("model"))
    write_csv(options.output, "gradients.csv", rows, "%.3g")
    write_text(options.output, "README.md", page(outcomes))
    return 0 if all(outcome.rows.empty or outcome.rows.agree.all() for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
