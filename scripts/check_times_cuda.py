"""Check what `time --device cuda` claims on this machine's GPU: sums, attribution, launches, cost, repeat.

Each run is one model as an inference pass or a training step. It is timed twice by `il.layer_times`, and
between the two by a wall clock alone. Checked are the own times against the step and against that plain run,
kernels against launches, the kernel time that calls own, the time under the profiler, the shares of the first
run against those of the second, the replay from a CUDA graph, and that a step with ranges computes what a
plain one does. A profile is recorded too. Times beside the device's roofline are in a table of their own.

Usage: python scripts/check_times_cuda.py [--models MODEL ...] [--batch-size N] [--seconds S] [-o DIR]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import isnan, nan
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import pandas as pd
import torch
from torch import Tensor

import inception_lab as il
from check_times import LEAST_SHARE, worst_change
from inception_lab.ir.trace import Mode
from inception_lab.measure.hardware import device_name
from inception_lab.measure.profile.ranges import run_with_ranges
from inception_lab.measure.real_runs import prepared_on
from inception_lab.measure.timing.results import NOISY
from inception_lab.models.cards import CARDS, get_card
from inception_lab.report.document import Heading, Table, document
from inception_lab.running.exclusion import one_run_at_a_time
from inception_lab.running.request import Request, request_of
from inception_lab.running.step import Step, StepResult
from shared import REPORTS, add_output, write_csv, write_text

DEVICE: Final = "cuda"
MODES: Final = ("eval", "train")
OPTIMIZER: Final = "momentum"
PLAIN_STEPS, WARM_UP = 20, 5
FLUSH_BYTES = 2**28
"""Written before each plain step; more than the L2 cache of any GPU so far."""


class Check(NamedTuple):
    """A figure that a run must reach.

    Attributes:
        name: In words.
        unit: Of the figure.
        most: Its largest value.
        least: Its smallest value; the same below zero by default.
        noise_free: True where other programs on the machine make no difference to it.
    """

    name: str
    unit: str
    most: float
    least: float | None = None
    noise_free: bool = False

    def reached_by(self, figure: float) -> bool:
        """True where a figure lies within the bounds; one that is missing does not."""
        return (-self.most if self.least is None else self.least) <= figure <= self.most

    @property
    def goal(self) -> str:
        """The bounds in words."""
        if self.least is None:
            return f"within {self.most:g} {self.unit}"
        return f"{self.least:g} to {self.most:g} {self.unit}"


CHECKS: Mapping[str, Check] = {
    "sum": Check("sum of own times less the step, as written in digits", "ns", 0, noise_free=True),
    "plain": Check("step by events against a plain run by the wall clock", "%", 5),
    "attributed": Check("kernel time that calls, loss or optimizer own", "%", 100, 99, noise_free=True),
    "launches": Check("kernels less launches in a step", "kernels", 0, noise_free=True),
    "gaps": Check("share of the step in which the GPU was idle", "%", 100, 0),
    "overhead": Check("step under the profiler against the one without", "%", 5),
    "repeat": Check(f"shares above {LEAST_SHARE:g}% against a second run, the worst layer", "%", 10),
    "replay": Check("replay from a CUDA graph against the step", "%", 2, -100),
    "equal": Check("outputs and gradients that differ under ranges", "tensors", 0, noise_free=True),
    "profile": Check("kernel time of a recorded profile that layers own", "%", 100, 99, noise_free=True),
}

INTRODUCTION = (
    "Real runs on one GPU. `il.layer_times` times each step twice, and a wall clock times it alone between "
    "the two. No verdict is given where the middle half of the rounds spans more than "
    f"{NOISY:.0%} of their median and the figure missed its goal. Every number is in "
    "[times.csv](times.csv), [layers.csv](layers.csv) and [roofline.csv](roofline.csv)."
)

Figures = Mapping[str, float]
Row = Mapping[str, Any]
Shape = tuple[int, ...]


def check(name: str, mode: Mode, shape: Shape, seconds: float) -> tuple[list[Row], pd.DataFrame]:
    """The rows of the checks of one run, and its layers in both runs."""
    model = il.create_model(name)
    options: dict[str, Any] = {"mode": mode, "optimizer": OPTIMIZER if mode == "train" else None}
    first = il.layer_times(model, shape, device=DEVICE, seconds=seconds, name=name, **options)
    request = request_of(model, shape, **options)
    plain_ms, different = run_plain(request), count_differences(request)
    second = il.layer_times(model, shape, device=DEVICE, seconds=seconds, name=name, **options)
    layers = shares(first, second)
    figures = figures_of(first, plain_ms, worst_change(layers, "share"), different)
    if mode == "eval":
        figures = {**figures, "profile": profile_share(name, shape)}
    about = {
        "model": name,
        "mode": mode,
        "batch": shape[0],
        "spread_percent": 100 * max(times.step.relative for times in (first, second)),
        "note": first.note,
    }
    rows: list[Row] = [about | {"check": key, "figure": figure} for key, figure in figures.items()]
    return rows, layers.assign(model=name, mode=mode)


def figures_of(times: il.LayerTimes, plain_ms: float, repeat: float, different: int) -> Figures:
    """The figure of each check; not a number where there is none."""
    totals = times.totals
    own = sum(Decimal(repr(float(value))) for value in times.layers["self_ms"])
    gaps = times.layers.loc[times.layers["layer"] == "(gaps)", "share"].sum()
    return {
        "sum": float((own - Decimal(repr(times.step_ms))) * 10**6),
        "plain": 100 * (times.step_ms / plain_ms - 1),
        "attributed": totals.get("attributed_percent", nan),
        "launches": totals["kernels"] - totals["kernel_launches"],
        "gaps": float(gaps),
        "overhead": totals["overhead_percent"],
        "repeat": repeat,
        "replay": 100 * (totals.get("graph_step_ms", nan) / times.step_ms - 1),
        "equal": different,
    }


def profile_share(name: str, shape: Shape) -> float:
    """The kernel time in percent that a recorded profile gives to layers; not a number without kernels."""
    with TemporaryDirectory() as folder:
        profile = il.record_profile(il.create_model(name), shape, folder=folder, device=DEVICE)
    kernel_ms = profile.totals["kernel_ms"]
    return 100 * float(profile.layers["device_ms"].sum()) / kernel_ms if kernel_ms else nan


def shares(first: il.LayerTimes, second: il.LayerTimes) -> pd.DataFrame:
    """The shares of each call in percent in both runs, and its kernels in the first one."""
    keys = ["layer", "call", "type"]
    return first.layers[[*keys, "share", "device_ms", "kernels"]].merge(
        second.layers[[*keys, "share"]], on=keys, suffixes=("_first", "_second")
    )


def run_plain(request: Request) -> float:
    """Milliseconds of a step by the wall clock, from an idle GPU with a cold cache; the median of several."""
    times = []
    with one_run_at_a_time, prepared_on(request, torch.device(DEVICE)) as step:
        filler = torch.empty(FLUSH_BYTES, dtype=torch.uint8, device=DEVICE)
        for _ in range(WARM_UP + PLAIN_STEPS):
            _drop_gradients(step)
            filler.zero_()
            torch.cuda.synchronize()
            began = time.perf_counter()
            result = step.run()
            torch.cuda.synchronize()
            times.append(1000 * (time.perf_counter() - began))
            del result
    return median(times[WARM_UP:])


def _drop_gradients(step: Step) -> None:
    for parameter in step.model.parameters.values():
        parameter.grad = None


def count_differences(request: Request) -> int:
    """The number of outputs and gradients that a step with ranges has other than a plain one.

    Some kernels add in any order: only what two plain steps have alike can be told to differ.
    """
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        runs = [_tensors_of(request, run) for run in (Step.run, Step.run, run_with_ranges)]
    finally:
        torch.backends.cudnn.deterministic = before
    return sum(
        torch.equal(plain, repeat) and not torch.equal(plain, with_ranges)
        for plain, repeat, with_ranges in zip(*runs, strict=True)
    )


def _tensors_of(request: Request, run: Any) -> list[Tensor]:
    with one_run_at_a_time, prepared_on(request, torch.device(DEVICE)) as step:
        torch.manual_seed(0)
        result: StepResult = run(step)
        outputs = [result.outputs] if isinstance(result.outputs, Tensor) else list(result.outputs)
        gradients = [parameter.grad for parameter in step.model.parameters.values()]
        return [t.detach().cpu() for t in [*outputs, *gradients] if isinstance(t, Tensor)]


def roofline_rows(name: str, shape: Shape, seconds: float, ceilings: il.Ceilings) -> pd.DataFrame:
    """The layers of an inference pass beside the ceilings of the GPU."""
    roofline = il.measure_roofline(
        il.create_model(name), shape, device=DEVICE, seconds=seconds, name=name, ceilings=ceilings
    )
    return roofline.layers.assign(model=name)


def verdict(row: Mapping[Any, Any]) -> str:
    """Tell if a figure reaches its goal, as far as the noise lets that be told."""
    goal = CHECKS[row["check"]]
    if goal.reached_by(row["figure"]):
        return "reached"
    noisy = row["spread_percent"] > 100 * NOISY and not goal.noise_free
    return "too noisy to judge" if noisy and not isnan(row["figure"]) else "missed"


def page(checks: pd.DataFrame, layers: pd.DataFrame, roofline: pd.DataFrame, context: str) -> str:
    """Return the verdicts in Markdown, the largest shares and the largest layers below their roof."""
    return document(
        "Times of layers on a GPU, checked",
        [
            INTRODUCTION,
            checks_table(checks),
            *notes(checks),
            Heading("The largest shares"),
            shares_table(layers),
            Heading("Beside the roofline"),
            roofline_table(roofline),
            context,
        ],
    )


def checks_table(checks: pd.DataFrame) -> Table:
    """Each check with its figure, its goal and its verdict."""
    body = []
    for row in checks.to_dict("records"):
        goal = CHECKS[row["check"]]
        figure = "none" if isnan(row["figure"]) else f"{row['figure']:+.2f} {goal.unit}"
        run = (row["model"], row["mode"], str(row["batch"]))
        body.append((*run, goal.name, figure, goal.goal, verdict(row)))
    return Table(("model", "mode", "batch", "check", "figure", "goal", "verdict"), body)


def notes(checks: pd.DataFrame) -> list[str]:
    """The faults that the results themselves show."""
    rows = checks[["model", "mode", "note"]].drop_duplicates().fillna("").to_dict("records")
    return [f"{row['model']}, {row['mode']}: {row['note']}." for row in rows if row["note"]]


def shares_table(layers: pd.DataFrame) -> Table:
    """The layers above the least share, in both runs."""
    large = layers[layers["share_first"] > LEAST_SHARE]
    large = large.sort_values(["model", "mode", "share_first"], ascending=[True, True, False])
    body = [
        (
            row["model"], row["mode"], f"`{row['layer']}`", str(row["type"]), str(row["kernels"]),
            f"{row['device_ms']:.4f}", f"{row['share_first']:.2f}", f"{row['share_second']:.2f}",
        )
        for row in large.fillna({"type": ""}).to_dict("records")
    ]  # fmt: skip
    return Table(
        ("model", "mode", "layer", "type", "kernels", "kernel time, ms", "first run, %", "second run, %"),
        body,
    )


def roofline_table(roofline: pd.DataFrame) -> Table:
    """The layers with the largest shares beside their roof."""
    large = roofline[roofline["share"] > LEAST_SHARE].sort_values("share", ascending=False)
    body = [
        (
            row["model"], f"`{row['layer']}`", f"{row['share']:.2f}", f"{row['gflops_per_s']:,.0f}",
            f"{row['attainable_gflops_per_s']:,.0f}", f"{row['roof_share']:.1f}", str(row["bound"]),
        )
        for row in large.to_dict("records")
    ]  # fmt: skip
    return Table(("model", "layer", "share, %", "GFLOP/s", "attainable", "of the roof, %", "bound"), body)


def context_line() -> str:
    """The GPU, its libraries and their settings as a sentence."""
    tf32 = torch.backends.cudnn.conv.fp32_precision == "tf32"  # type: ignore[attr-defined]
    return (
        f"{device_name(DEVICE)}, torch {torch.__version__}, CUDA {torch.version.cuda}, TF32 in convolutions "
        f"{'on' if tf32 else 'off'}."
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Check the times of layers on a CUDA device.")
    add = parser.add_argument
    default = ["googlenet", "vgg16"]
    add("--models", nargs="+", choices=list(CARDS), metavar="MODEL", default=default, help="default: both")
    add("--batch-size", type=int, default=8, metavar="N", help="default: 8")
    add("--side", type=int, metavar="N", help="side of the input; default: the model's own")
    add("--seconds", type=float, default=5.0, metavar="S", help="budget of each timing; default: 5")
    add_output(parser, REPORTS / "gpu")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write three tables and times.md; returns 1 where a check misses, 2 where there is no CUDA device."""
    options = parse(arguments)
    if not torch.cuda.is_available():
        print("this machine has no CUDA device", file=sys.stderr)
        return 2
    shapes = {name: _shape(name, options.batch_size, options.side) for name in options.models}
    results = [check(name, mode, shape, options.seconds) for name, shape in shapes.items() for mode in MODES]
    ceilings = il.measure_ceilings(device=DEVICE, seconds=options.seconds, anew=True)
    checks = pd.DataFrame([row for rows, _ in results for row in rows])
    layers = pd.concat([table for _, table in results])
    roofline = pd.concat([roofline_rows(n, shape, options.seconds, ceilings) for n, shape in shapes.items()])
    write_csv(options.output, "times.csv", checks, "%.6g")
    write_csv(options.output, "layers.csv", layers, "%.6g")
    write_csv(options.output, "roofline.csv", roofline, "%.6g")
    text = page(checks, layers, roofline, context_line())
    write_text(options.output, "times.md", text)
    print(text)
    return 0 if all(verdict(row) == "reached" for row in checks.to_dict("records")) else 1


def _shape(name: str, batch_size: int, side: int | None) -> Shape:
    channels, *sides = get_card(name).input_size
    return (batch_size, channels, *(side or own for own in sides))


if __name__ == "__main__":
    sys.exit(main())
