"""Race the receptive fields against TorchLens: the same layers, values and time side by side.

Both compute the field of every module of a net. TorchLens (pip install torchlens) traces a real forward on
real weights, so that is what both are given; CPU time of one thread, rounds interleaved, medians.

Usage: python scripts/bench_torchlens.py [--models NAME ...] [--rounds N] [-o DIR]
"""

from __future__ import annotations

import argparse
import csv
import io
import platform
import sys
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn

import inception_lab as il
from inception_lab.measure.hardware import device_name
from inception_lab.models.cards import CARDS
from inception_lab.report.document import Table, document
from shared import REPORTS, add_output, time_run, write_text

MODELS = ("googlenet", "googlenet_3x3", "bn_inception", "inception_v3", "inception_v4", "xception", "vgg16")
HEADER = (
    "Model", "Layers", "Ours", "TorchLens", "Exact in both", "Unequal", "Ours (ms)", "Forward (ms)",
    "TorchLens (ms)", "Ratio",
)  # fmt: skip
INTRODUCTION = """\
Written by `python scripts/bench_torchlens.py --rounds {rounds}`. Every layer that ran an operation of
its own; field and stride compared where TorchLens calls its answer exact. Times are CPU time of one
thread: of our trace and analysis, of a plain forward, and of TorchLens's trace and answers, medians of
{rounds} interleaved rounds after one to warm up."""
Numbers = tuple[tuple[int, ...], tuple[float, ...]]
"""Field and stride along each axis."""
Fields = Mapping[str, tuple[str, Numbers | None]]
"""Status and numbers of each layer, by path."""


class Comparison(NamedTuple):
    """Both on one net."""

    model: str
    modules: int
    ours: Counter[str]
    theirs: Counter[str]
    compared: int
    unequal: tuple[str, ...]
    our_seconds: float
    forward_seconds: float
    their_seconds: float


def our_fields(model: nn.Module, shape: tuple[int, ...]) -> Fields:
    """The fields of all layers by this project."""
    table = il.receptive_field(il.trace(model, shape))
    return {
        row["layer"]: (row["status"], (row["receptive_field"], row["stride"]) if row["stride"] else None)
        for row in table.to_dict("records")
    }


def their_fields(model: nn.Module, image: Tensor, layers: Sequence[str]) -> Fields:
    """The same by TorchLens, which may raise anything for a layer."""
    import torchlens

    trace = torchlens.trace(model, image)
    fields: dict[str, tuple[str, Numbers | None]] = {}
    for layer in layers:
        try:
            view = trace.modules[layer].receptive_field
            status = view.status.name.lower()
            fields[layer] = status, (tuple(map(int, view.size)), tuple(map(float, view.jump)))
        except Exception as error:
            fields[layer] = f"no answer ({type(error).__name__})", None
    return fields


def compare(name: str, rounds: int) -> Comparison:
    """Run both in turn, after a warm-up of each."""
    shape = (1, *CARDS[name].input_size)
    model, image = il.create_model(name).eval(), torch.rand(shape)
    ours = our_fields(model, shape)
    layers = [layer for layer in ours if layer != "(model)"]
    theirs = their_fields(model, image, layers)
    # an upper bound may be any number above ours; only what TorchLens calls exact can contradict
    exact = [layer for layer in layers if theirs[layer][0] == "exact" and theirs[layer][1] and ours[layer][1]]
    return Comparison(
        name,
        len(layers),
        Counter(ours[layer][0] for layer in layers),
        Counter(theirs[layer][0] for layer in layers),
        len(exact),
        tuple(layer for layer in exact if theirs[layer][1] != ours[layer][1]),
        *_median_seconds(model, image, layers, rounds),
    )


def _median_seconds(
    model: nn.Module, image: Tensor, layers: Sequence[str], rounds: int
) -> tuple[float, float, float]:
    """CPU seconds of our fields, of a plain forward, and of TorchLens's fields."""
    times: list[tuple[float, float, float]] = []
    for _ in range(rounds):
        ours, _fields = time_run(lambda: our_fields(model, tuple(image.shape)))
        with torch.no_grad():
            forward, _output = time_run(lambda: model(image))
        theirs, _fields = time_run(lambda: their_fields(model, image, layers))
        times.append((ours, forward, theirs))
    our_times, forward_times, their_times = zip(*times, strict=True)
    return median(our_times), median(forward_times), median(their_times)


def page(comparisons: Sequence[Comparison], rounds: int, version: str) -> str:
    """Return the result as Markdown, with the version of TorchLens."""
    context = (
        f"torch {torch.__version__.partition('+')[0]}, torchlens {version},\n"
        f"Python {platform.python_version()}, {device_name('cpu')}, one thread."
    )
    return document(
        "Receptive fields: this project beside TorchLens",
        [
            INTRODUCTION.format(rounds=rounds),
            Table(HEADER, [_cells(comparison) for comparison in comparisons]),
            context,
        ],
    )


def _cells(comparison: Comparison) -> tuple[str, ...]:
    times = (comparison.our_seconds, comparison.forward_seconds, comparison.their_seconds)
    return (
        comparison.model,
        str(comparison.modules),
        _counts(comparison.ours),
        _counts(comparison.theirs),
        str(comparison.compared),
        str(len(comparison.unequal)),
        *(f"{1e3 * seconds:.1f}" for seconds in times),
        f"{comparison.their_seconds / comparison.our_seconds:.0f}",
    )


def _counts(statuses: Counter[str]) -> str:
    return ", ".join(f"{number} {status}" for status, number in statuses.most_common())


def csv_text(comparisons: Sequence[Comparison]) -> str:
    """Return the comparisons as CSV."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(Comparison._fields)
    writer.writerows([_counts(x) if isinstance(x, Counter) else x for x in row] for row in comparisons)
    return text.getvalue()


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Receptive fields beside TorchLens: values and time.")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=il.list_models(), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3)
    add_output(parser, REPORTS / "benchmarks")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print and write; returns 1 where an exact value differs, 2 where TorchLens is missing."""
    options = parse(arguments)
    try:
        import torchlens
    except ImportError:
        print("torchlens is not installed: pip install torchlens", file=sys.stderr)
        return 2
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    comparisons = [compare(name, options.rounds) for name in options.models]
    text = page(comparisons, options.rounds, torchlens.__version__)
    write_text(options.output, "torchlens.md", text)
    write_text(options.output, "torchlens.csv", csv_text(comparisons))
    print(text)
    return int(any(comparison.unequal for comparison in comparisons))


if __name__ == "__main__":
    sys.exit(main())
