"""Time each analysis on nets of a size and of twice that size, and compare.

Each analysis runs on a copy of the trace that no other one has seen, so that nothing is remembered. CPU time
of one thread, medians. Exits with 1 where twice the net takes more than 2.3 times as long; a dense net has
four times as many edges, and may take 4.6 times as long.

Usage: python scripts/check_growth.py [--size N] [--rounds N] [--nets NET ...] [-o DIR]
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import inception_lab as il
from inception_lab.analyzers.receptive_field.channels import channel_labels
from inception_lab.ir.trace import Trace
from inception_lab.report.collect import collect
from inception_lab.report.document import Table, document
from shared import REPORTS, add_output, context_line, time_run, write_text

MOST = 2.3
MOST_DENSE = 4.6
HEADER = ("Net", "Analysis", "Size", "Median (ms)", "Twice the size (ms)", "Ratio", "Limit")
SHAPE = (1, 4, 64, 64)
INTRODUCTION = """\
Written by `python scripts/check_growth.py --size {size} --rounds {rounds}`. Each analysis of a net of {size}
blocks, layers, branches or slices, and of one of twice as many, on meta tensors; each on a copy of the trace
that nothing has been computed of. CPU time of one thread, medians of {rounds} rounds; a ratio is taken within
each round."""


# ------------------------------------------------------------------------------ nets


class Residual(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Add what the convolutions make of x to it."""
        branch: Tensor = self.second(self.first(x).relu())
        return x + branch


class Branches(nn.Module):
    """Convolutions side by side, concatenated; of the kernels and output channels given."""

    def __init__(self, kernels: Sequence[int], channels: int = 1, in_channels: int = 4) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2) for kernel in kernels
        )

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate what all branches make of x."""
        return torch.cat([branch(x) for branch in self.branches], 1)


class Dense(nn.Module):
    """Layers each of which reads the outputs of all before it."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(4 + 2 * n, 2, 3, padding=1) for n in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate x and all outputs."""
        outputs = [x]
        for layer in self.layers:
            outputs.append(layer(torch.cat(outputs, 1)))
        return torch.cat(outputs, 1)


class Slices(nn.Module):
    """Convolutions that write their outputs into a tensor, one channel or one row each."""

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(4, 1, 3, padding=1) for _ in range(count))
        self.dim, self.last = dim, nn.Conv2d(count if dim == 1 else 1, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Write slice after slice, then mix them."""
        count = len(self.layers)
        canvas = x.new_zeros(x.shape[0], count if self.dim == 1 else 1, *x.shape[2:])
        for place, layer in enumerate(self.layers):
            if self.dim == 1:
                canvas[:, place : place + 1] = layer(x)
            else:
                row = place % x.shape[2]
                canvas[:, :, row] = layer(x)[:, :, row]
        mixed: Tensor = self.last(canvas)
        return mixed


def _chain(size: int) -> nn.Module:
    return nn.Sequential(
        *[layer for _ in range(size) for layer in (nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())]
    )


NETS: Mapping[str, Callable[[int], nn.Module]] = {
    "chain": _chain,
    "residual": lambda size: nn.Sequential(*[Residual() for _ in range(size)]),
    "inception": lambda size: nn.Sequential(*[Branches((1, 3, 5, 3)) for _ in range(size)]),
    "wide": lambda size: nn.Sequential(Branches((1, 3, 5, 7) * (size // 4)), nn.Conv2d(size // 4 * 4, 4, 1)),
    "dense": lambda size: nn.Sequential(Dense(size)),
    "channels written": lambda size: nn.Sequential(Slices(size, 1)),
    "rows written": lambda size: nn.Sequential(Slices(size, 2)),
}


# ------------------------------------------------------------------------------ analyses


def _last_layer(trace: Trace) -> str:
    return [call.path for call in trace.calls if call.executed and call.leaf and call.path][-1]


ANALYSES: Mapping[str, Callable[[Trace], Any]] = {
    "layer_costs": il.layer_costs,
    "receptive_field": il.receptive_field,
    "channel labels": channel_labels,
    "field_spectrum": il.field_spectrum,
    "projective_field": lambda trace: il.projective_field(trace, (32, 32), _last_layer(trace)),
    "resolution_fit": il.resolution_fit,
    "memory_timeline": il.memory_timeline,
    "peak_memory": il.peak_memory,
    "memory_by_module": il.memory_by_module,
    "summarise": il.summarise,
    "report": collect,
}


class Growth(NamedTuple):
    """Seconds of one analysis of one net in every round, of a size and of twice that size."""

    net: str
    analysis: str
    size: int
    once: tuple[float, ...]
    twice: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The time of twice the net over that of one, within a round as the machine may slow down later."""
        return median(two / one for one, two in zip(self.once, self.twice, strict=True))

    @property
    def limit(self) -> float:
        """The most that this may be."""
        return MOST_DENSE if self.net == "dense" else MOST


def measure(nets: Sequence[str], size: int, rounds: int) -> list[Growth]:
    """Time tracing and every analysis of each net."""
    growths = []
    for net in nets:
        models = [_on_meta(NETS[net], count) for count in (size, 2 * size)]
        growths.append(Growth(net, "trace", size, *_seconds([_tracing(m) for m in models], rounds)))
        traces = [il.trace(model, SHAPE) for model in models]
        for name, analysis in ANALYSES.items():
            runs = [_analysing(analysis, trace) for trace in traces]
            growths.append(Growth(net, name, size, *_seconds(runs, rounds)))
    return growths


def _on_meta(make: Callable[[int], nn.Module], size: int) -> nn.Module:
    with torch.device("meta"):
        return make(size).eval()


def _tracing(model: nn.Module) -> Callable[[], Any]:
    return lambda: il.trace(model, SHAPE)


def _analysing(analysis: Callable[[Trace], Any], trace: Trace) -> Callable[[], Any]:
    # a copy is another trace to all that is computed once per trace
    return lambda: analysis(replace(trace))


def _seconds(runs: Sequence[Callable[[], Any]], rounds: int) -> list[tuple[float, ...]]:
    """The CPU times of each run, which take turns after one that fills the caches."""
    runs[0]()
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, times in zip(runs, seconds, strict=True):
            gc.collect()
            # the collector is not to look through the models and traces of this script in every run
            gc.freeze()
            times.append(time_run(run)[0])
            gc.unfreeze()
    return [tuple(times) for times in seconds]


# ------------------------------------------------------------------------------ the page


def page(growths: Sequence[Growth], size: int, rounds: int) -> str:
    """Return the result as Markdown."""
    rows = [
        (g.net, g.analysis, f"{g.size}", f"{1e3 * median(g.once):.1f}", f"{1e3 * median(g.twice):.1f}",
         f"{g.ratio:.2f}", f"{g.limit:g}")
        for g in growths
    ]  # fmt: skip
    over = [f"{g.analysis} of {g.net} ({g.ratio:.2f})" for g in growths if g.ratio > g.limit]
    verdict = f"Over the limit: {', '.join(over)}." if over else "All within their limits."
    introduction = INTRODUCTION.format(size=size, rounds=rounds)
    title = "The time of each analysis as a net grows"
    return document(title, [introduction, verdict, Table(HEADER, rows), context_line("1 thread")])


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="The time of each analysis as a net grows.")
    parser.add_argument("--size", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nets", nargs="+", choices=list(NETS), default=list(NETS), metavar="NET")
    add_output(parser, REPORTS / "benchmarks")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns 1 where an analysis grows faster than its limit."""
    options = parse(arguments)
    torch.set_num_threads(1)
    growths = measure(options.nets, options.size, options.rounds)
    text = page(growths, options.size, options.rounds)
    write_text(options.output, "growth.md", text)
    print(text)
    return int(any(growth.ratio > growth.limit for growth in growths))


if __name__ == "__main__":
    sys.exit(main())
