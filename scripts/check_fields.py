"""Compare the receptive fields of the whole zoo with gradients, and write down what came of each.

Each model is made positive and run in float64 on strips that are longer than its field, along each axis.
Layers are taken at even distances along depth, and the last one with spatial axes.

Usage: python scripts/check_fields.py [MODEL ...] [--layers N] [--limit-gib G] [-o DIR]
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import nn

import inception_lab as il
from inception_lab.measure.field_gradients import check_fields, strip
from inception_lab.measure.hardware import device_name
from inception_lab.measure.unit_gradients import spatial_layers
from inception_lab.models.cards import CARDS

DEFAULT_OUTPUT = Path(__file__).parents[1] / "reports" / "fields"
FLOAT64_OVER_FLOAT32 = 2


@dataclass(frozen=True)
class Outcome:
    """What came of one model.

    Attributes:
        model: Its name.
        strips: The inputs that are long along one axis, as text.
        rows: Of `check_fields`, empty where it was left out.
        seconds: CPU time.
        why: Why it was left out, or what limits the check.
    """

    model: str
    strips: str
    rows: pd.DataFrame
    seconds: float
    why: str


def checked(name: str, count: int, limit: float) -> Outcome:
    """Check one model, unless its activations would not fit."""
    model, shape = il.create_model(name), (1, *CARDS[name].input_size)
    layers = chosen(model, shape, count)
    strips = [strip(model, shape, axis, layers) for axis in range(len(shape) - 2)]
    written = ", ".join("x".join(map(str, sizes[2:])) for sizes in strips)
    needed = max(gibibytes(model, sizes) for sizes in strips)
    if needed > limit:
        return Outcome(name, written, pd.DataFrame(), 0.0, f"about {needed:.1f} GiB of activations")
    started = time.process_time()
    rows = check_fields(model, shape, layers)
    return Outcome(name, written, rows, time.process_time() - started, limits(rows))


def chosen(model: nn.Module, shape: Sequence[int], count: int) -> list[str]:
    """Layers at even distances along depth, the last one among them."""
    names = spatial_layers(il.trace(model, tuple(shape)))
    places = {round((i + 1) * len(names) / count) - 1 for i in range(count)}
    return [names[place] for place in sorted(places) if place >= 0]


def gibibytes(model: nn.Module, shape: tuple[int, ...]) -> float:
    """What a forward pass in float64 keeps for the backward pass, at the most."""
    costs = il.layer_costs(il.trace(model, shape))
    return float(costs.activation_bytes.sum()) * FLOAT64_OVER_FLOAT32 / 2**30


def limits(rows: pd.DataFrame) -> str:
    """The layers of which no unit is free of both edges, because the net takes no longer input."""
    inner = rows[(rows.gradient_first > 0) & (rows.gradient_last < rows.length - 1)]
    edged = [layer for layer in rows.layer.unique() if layer not in set(inner.layer)]
    return f"every unit sees an edge of the largest input it takes: {', '.join(edged)}" if edged else ""


def page(outcomes: Sequence[Outcome]) -> str:
    """The verdicts in Markdown."""
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    lines += ["| " + " | ".join(verdict(outcome)) + " |" for outcome in outcomes]
    parts = ["# Receptive fields beside gradients", INTRODUCTION, "\n".join(lines), context()]
    return "\n\n".join(parts) + "\n"


def verdict(outcome: Outcome) -> list[str]:
    """One line of the table."""
    rows = outcome.rows
    if rows.empty:
        return [outcome.model, outcome.strips, *("",) * 3, "not run", "", "", outcome.why]
    agree = "all" if rows.agree.all() else f"{int(rows.agree.sum())}"
    numbers = [str(rows.layer.nunique()), str(len(rows)), agree, ", ".join(sorted(rows.status.unique()))]
    smallest = f"{rows.smallest_gradient.min():.0e}"
    return [outcome.model, outcome.strips, *numbers, smallest, f"{outcome.seconds:.1f}", outcome.why]


HEADER = (
    "model", "strips", "layers", "units", "agree", "status", "smallest gradient", "CPU seconds", "note"
)  # fmt: skip
INTRODUCTION = (
    "For each layer, along each axis, the first and last input pixel that a unit sees as computed from the "
    "trace, and as shown by the gradient of that unit in a real run: weights positive, means in place of "
    "maxima, LRN, normalisation and activations passed through, float64. The first two units, the middle one "
    "and the last two of each layer are compared, on inputs that are longer than the longest field along one "
    "axis and as narrow as the net takes along the other. Every unit has a row in "
    "[gradients.csv](gradients.csv). A gradient below 5e-324 would be lost."
)


def context() -> str:
    """What ran where."""
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{device_name('cpu')}, {torch.get_num_threads()} thread, {versions}."


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Compare the receptive fields of the zoo with gradients.")
    add = parser.add_argument
    add("models", nargs="*", metavar="MODEL", help="default: the whole zoo")
    add("--layers", type=int, default=12, metavar="N", help="layers per model; default: 12")
    add("--limit-gib", type=float, default=6.0, metavar="G", help="leave out what needs more; default: 6")
    add("-o", "--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR", help="default: reports/fields")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write gradients.csv and README.md; returns 1 where a computed field disagrees."""
    options = parse(arguments)
    torch.set_num_threads(1)
    outcomes = []
    for name in options.models or il.list_models():
        outcomes.append(checked(name, options.layers, options.limit_gib))
        print(" | ".join(verdict(outcomes[-1])), file=sys.stderr, flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    rows = pd.concat([o.rows.assign(model=o.model) for o in outcomes])
    rows.insert(0, "model", rows.pop("model"))
    rows.to_csv(options.output / "gradients.csv", index=False, float_format="%.3g", lineterminator="\n")
    (options.output / "README.md").write_text(page(outcomes), encoding="utf-8")
    return 0 if all(o.rows.empty or o.rows.agree.all() for o in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
