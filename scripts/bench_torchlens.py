"""Race the receptive fields against TorchLens: the same layers, values and time side by side.

    python scripts/bench_torchlens.py [--models NAME...] [--rounds N] [-o FOLDER]

Both compute the field of every module of a net. TorchLens (pip install torchlens) traces a real forward on
real weights, so that is what both are given; CPU time of one thread, rounds interleaved, medians.
"""

from __future__ import annotations

import argparse
import csv
import platform
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import nn

import inception_lab as il
from inception_lab.measure.hardware import device_name
from inception_lab.models.cards import CARDS

sys.path.insert(0, str(Path(__file__).parent))
from bench_peers import table

MODELS = ("googlenet", "googlenet_3x3", "bn_inception", "inception_v3", "inception_v4", "xception", "vgg16")
Numbers = tuple[tuple[int, ...], tuple[float, ...]]


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


def ours(model: nn.Module, shape: tuple[int, ...]) -> dict[str, tuple[str, Numbers | None]]:
    """Status and numbers of each layer, by path."""
    table = il.receptive_field(il.trace(model, shape))
    return {
        row["layer"]: (row["status"], (row["receptive_field"], row["stride"]) if row["stride"] else None)
        for row in table.to_dict("records")
    }


def theirs(
    model: nn.Module, image: torch.Tensor, layers: Sequence[str]
) -> dict[str, tuple[str, Numbers | None]]:
    """The same by TorchLens."""
    import torchlens

    trace = torchlens.trace(model, image)
    found: dict[str, tuple[str, Numbers | None]] = {}
    for layer in layers:
        try:
            view = trace.modules[layer].receptive_field
            status = view.status.name.lower()
            numbers = (tuple(map(int, view.size)), tuple(map(float, view.jump)))
        except Exception as error:
            status, numbers = f"no answer ({type(error).__name__})", None
        found[layer] = status, numbers
    return found


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    """CPU time of one thread, and the result."""
    start = time.thread_time()
    found = run()
    return time.thread_time() - start, found


def compare(name: str, rounds: int) -> Comparison:
    """Run both in turn."""
    shape = (1, *CARDS[name].input_size)
    model, image = il.create_model(name).eval(), torch.rand(shape)
    layers = [layer for layer in ours(model, shape) if layer != "(model)"]
    theirs(model, image, layers)
    times: dict[str, list[float]] = {"ours": [], "forward": [], "theirs": []}
    for _ in range(rounds):
        spent, mine = seconds(lambda: ours(model, shape))
        times["ours"].append(spent)
        with torch.no_grad():
            times["forward"].append(seconds(lambda: model(image))[0])
        spent, other = seconds(lambda: theirs(model, image, layers))
        times["theirs"].append(spent)
    exact = [layer for layer in layers if other[layer][0] == "exact" and other[layer][1] and mine[layer][1]]
    unequal = [layer for layer in exact if other[layer][1] != mine[layer][1]]
    return Comparison(
        name,
        len(layers),
        Counter(mine[layer][0] for layer in layers),
        Counter(other[layer][0] for layer in layers),
        len(exact),
        tuple(unequal),
        *(median(times[who]) for who in ("ours", "forward", "theirs")),
    )


def page(found: Sequence[Comparison], rounds: int) -> str:
    """The result as Markdown."""
    import torchlens

    titles = ("Model", "Layers", "Ours", "TorchLens", "Exact in both", "Unequal", "Ours (ms)",
              "Forward (ms)", "TorchLens (ms)", "Ratio")  # fmt: skip
    body = [
        [one.model, str(one.modules), _counts(one.ours), _counts(one.theirs), str(one.compared)]
        + [str(len(one.unequal))]
        + [f"{1e3 * spent:.1f}" for spent in (one.our_seconds, one.forward_seconds, one.their_seconds)]
        + [f"{one.their_seconds / one.our_seconds:.0f}"]
        for one in found
    ]
    return f"""# Receptive fields: this project beside TorchLens

Written by `python scripts/bench_torchlens.py --rounds {rounds}`. Every layer that ran an operation of
its own; field and stride compared where TorchLens calls its answer exact. Times are CPU time of one
thread: of our trace and analysis, of a plain forward, and of TorchLens's trace and answers, medians of
{rounds} interleaved rounds after one to warm up.

{table(titles, body)}

torch {torch.__version__.partition("+")[0]}, torchlens {torchlens.__version__},
Python {platform.python_version()}, {device_name("cpu")}, one thread.
"""


def _counts(statuses: Counter[str]) -> str:
    return ", ".join(f"{number} {status}" for status, number in statuses.most_common())


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print and write; returns 1 where an exact value differs, 2 where TorchLens is missing."""
    parser = argparse.ArgumentParser(description="Receptive fields beside TorchLens: values and time.")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=il.list_models(), metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, default=Path("reports/benchmarks"))
    given = parser.parse_args(arguments)
    try:
        import torchlens  # noqa: F401
    except ImportError:
        print("torchlens is not installed: pip install torchlens", file=sys.stderr)
        return 2
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    found = [compare(name, given.rounds) for name in given.models]
    text = page(found, given.rounds)
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "torchlens.md").write_text(text, encoding="utf-8")
    with (given.output / "torchlens.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(Comparison._fields)
        writer.writerows([_counts(x) if isinstance(x, Counter) else x for x in one] for one in found)
    print(text)
    return int(any(one.unequal for one in found))


if __name__ == "__main__":
    sys.exit(main())
