"""Check what `time` claims on this machine: that times add up, cost little to measure and repeat.

In inference and in training, with memory as the C library treats it and with memory that it keeps, a model
runs twice through `inception-lab time`, each time in a process of its own, and between the two under
torch.profiler. Checked are the own times against the step and against a plain run, the cost of measuring, the
shares of the first run against those of the second, and the share of convolutions against the profiler's own
table of the same step.

Usage: python scripts/check_times.py [--model MODEL] [--batch-size N] [--side N] [--seconds S] [-o DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from statistics import median
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import inception_lab as il
from inception_lab.ir.trace import Mode
from inception_lab.measure.real_runs import SILENT, prepared_on
from inception_lab.measure.timing.module_state import ModuleState
from inception_lab.measure.timing.results import NOISY
from inception_lab.measure.timing.rounds import fresh
from inception_lab.models.cards import CARDS, get_card
from inception_lab.report.document import Heading, Table, document
from inception_lab.running.exclusion import one_run_at_a_time
from inception_lab.running.request import request_of
from shared import REPORTS, ROOT, add_output, context_line, write_csv, write_text

Times = Mapping[str, Any]
"""The output of `inception-lab time --format json`."""

PROFILED_STEPS = 6
CONVOLUTIONS = ("aten::conv2d", "aten::convolution_backward")


class Setting(NamedTuple):
    """A way to run the model.

    Attributes:
        title: In words.
        mode: Of the step.
        optimizer: That ends a training step.
        environment: Variables of the processes that run it.
    """

    title: str
    mode: Mode
    optimizer: str | None = None
    environment: Mapping[str, str] = MappingProxyType({})


KEEPS_MEMORY = {f"MALLOC_{name}_THRESHOLD_": "4000000000" for name in ("TRIM", "MMAP")}
"""Has glibc keep what a step has freed for the next one."""

SETTINGS = (
    Setting("Inference", "eval"),
    Setting("Inference, memory kept", "eval", environment=KEEPS_MEMORY),
    Setting("A training step", "train", "momentum"),
    Setting("A training step, memory kept", "train", "momentum", KEEPS_MEMORY),
)
LEAST_SHARE = 1.0
"""Percent of the step from which on the share of a layer is to repeat."""


class Check(NamedTuple):
    """A figure that a run must reach.

    Attributes:
        name: In words.
        unit: Of the figure.
        most: Its largest absolute value.
        noise_free: True where other programs on the machine make no difference to it.
    """

    name: str
    unit: str
    most: float
    noise_free: bool = False


CHECKS: Mapping[str, Check] = {
    "sum": Check("sum of own times less the step, as written in digits", "ns", 0, noise_free=True),
    "plain": Check("own times against a plain run", "%", 5),
    "overhead": Check("cost of measuring", "%", 5),
    "cpu_overhead": Check("cost of measuring, by CPU time", "%", 5),
    "repeat": Check(f"shares above {LEAST_SHARE:g}% against a second run, the worst layer", "%", 10),
    "cpu_repeat": Check("the same by CPU time", "%", 10),
    "convolutions": Check("share of convolutions less the profiler's", "points", 3),
}
INTRODUCTION = (
    "Real runs of one model on one machine: `inception-lab time` in two processes, one after the other, and "
    "torch.profiler between them. No verdict is given where the middle half of the plain rounds spans more "
    f"than {NOISY:.0%} of their median and the figure missed its goal. Figures by CPU time are of the "
    "thread's clock, which other programs disturb less. Every number is in [checks.csv](checks.csv) and "
    "[layers.csv](layers.csv)."
)

PAGES = (
    "Memory that the C library hands back to the system after one step is faulted in anew by the next one, "
    "and the layers that touch it first pay for that; which ones, differs from process to process. Where "
    f"memory is kept, glibc is told so by {' and '.join(f'`{k}={v}`' for k, v in KEEPS_MEMORY.items())}."
)
"""A part of the times that depends on the process and not on the model."""


def run_profiled(model: nn.Module, shape: tuple[int, ...], setting: Setting) -> float:
    """The share of convolutions in percent by torch.profiler's own table, the median of several steps."""
    os.environ.setdefault("KINETO_LOG_LEVEL", SILENT)
    shares: list[float] = []
    request = request_of(model, shape, mode=setting.mode, optimizer=setting.optimizer)
    with one_run_at_a_time, prepared_on(request, torch.device("cpu")) as step:
        state = ModuleState(step.model.modules.values())
        step.run()
        for _ in range(PROFILED_STEPS):
            with fresh(step, state), profile(activities=[ProfilerActivity.CPU]) as profiler:
                step.run()
            table = profiler.key_averages()
            whole = float(sum(row.self_cpu_time_total for row in table))
            convolutions = float(sum(row.cpu_time_total for row in table if row.key in CONVOLUTIONS))
            shares.append(100 * convolutions / whole)
    return median(shares)


def run_timed(name: str, shape: Sequence[int], setting: Setting, seconds: float) -> Times:
    """The answer of `inception-lab time` in a process of its own, where memory is as fresh as for a user."""
    size = "x".join(map(str, shape[1:]))
    options = {"--input-size": size, "--batch-size": shape[0], "--seconds": seconds, "--threads": 1}
    options |= {"--mode": setting.mode} | ({"--optimizer": setting.optimizer} if setting.optimizer else {})
    words = [str(word) for option in options.items() for word in option]
    command = [sys.executable, "-m", "inception_lab", "time", name, *words, "--format", "json"]
    environment = {**os.environ, **setting.environment}
    process = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT, env=environment)
    answer: Times = json.loads(process.stdout)
    return answer


def layer_rows(first: Times, second: Times) -> pd.DataFrame:
    """The shares of each call in percent in both runs, by both clocks."""
    keys = ["layer", "call", "type"]
    return _shares(first, keys).merge(_shares(second, keys), on=keys, suffixes=("_first", "_second"))


def _shares(times: Times, keys: list[str]) -> pd.DataFrame:
    rows = pd.DataFrame([{"call": 0} | row for row in times["layers"]])
    cpu_share = 100 * rows["self_cpu_ms"] / times["totals"]["step_cpu_ms"]
    return rows[[*keys, "share"]].assign(cpu_share=cpu_share)


def worst_change(layers: pd.DataFrame, column: str) -> float:
    """The largest change in percent of a share from the first run to the second, small ones left out."""
    pairs = zip(layers[f"{column}_first"], layers[f"{column}_second"], strict=True)
    changes = [100 * (second / first - 1) for first, second in pairs if first > LEAST_SHARE]
    return float(max(changes, key=abs, default=0.0))


def check_rows(
    first: Times, second: Times, layers: pd.DataFrame, profiled_share: float | None
) -> pd.DataFrame:
    """The figure of every check, with the spread of the plain rounds in percent."""
    totals = first["totals"]
    own = sum(Decimal(repr(row["self_ms"])) for row in first["layers"])
    convolutions = sum(row["share"] for row in first["layers"] if row["type"] == "Conv2d")
    figures = {
        "sum": float((own - Decimal(repr(totals["step_ms"]))) * 10**6),
        "plain": 100 * (totals["step_ms"] / totals["plain_step_ms"] - 1),
        "overhead": totals["overhead_percent"],
        "cpu_overhead": totals["cpu_overhead_percent"],
        "repeat": worst_change(layers, "share"),
        "cpu_repeat": worst_change(layers, "cpu_share"),
    }
    if profiled_share is not None:
        figures["convolutions"] = convolutions - profiled_share
    about = {
        "model": first["model"],
        "input": "x".join(map(str, first["input_shapes"][0])),
        "rounds": f"{first['rounds']} and {second['rounds']}",
        "spread_percent": max(map(_spread, (first, second))),
        "plain_ms": totals["plain_step_ms"],
        "page_faults": totals["page_faults"],
    }
    return pd.DataFrame([about | {"check": name, "figure": figure} for name, figure in figures.items()])


def _spread(times: Times) -> float:
    """The interquartile range of the plain rounds in percent of their median."""
    spread: float = 100 * times["totals"]["plain_step_iqr_ms"] / times["totals"]["plain_step_ms"]
    return spread


def verdict(row: Mapping[Any, Any]) -> str:
    """Tell if a figure reaches its goal, as far as the noise lets that be told."""
    check = CHECKS[row["check"]]
    if abs(row["figure"]) <= check.most:
        return "reached"
    noisy = row["spread_percent"] > 100 * NOISY and not check.noise_free
    return "too noisy to judge" if noisy else "missed"


def page(checks: pd.DataFrame, layers: pd.DataFrame, context: str) -> str:
    """Return the verdicts in Markdown, and the largest shares."""
    parts = [part for setting in SETTINGS for part in setting_parts(setting, checks, layers)]
    return document("Times of layers, checked", [INTRODUCTION, *parts, PAGES, context])


def setting_parts(
    setting: Setting, checks: pd.DataFrame, layers: pd.DataFrame
) -> list[str | Heading | Table]:
    """The part of the page that tells of one setting."""
    checks, layers = (table[table["setting"] == setting.title] for table in (checks, layers))
    about = checks.iloc[0]
    step = f"a training step with {setting.optimizer}" if setting.optimizer else "inference"
    return [
        Heading(setting.title),
        f"{about['model']} on {about['input']}, {step}, {about['rounds']} rounds; the middle half of "
        f"the plain rounds spans {about['spread_percent']:.1f}% of their median. A plain step takes "
        f"{about['plain_ms']:.0f} ms and has {about['page_faults']:,.0f} page faults.",
        checks_table(checks),
        "The largest shares:",
        shares_table(layers),
    ]


def checks_table(checks: pd.DataFrame) -> Table:
    """Each check with its figure, its goal and its verdict."""
    body = []
    for row in checks.to_dict("records"):
        check = CHECKS[row["check"]]
        figure, goal = f"{row['figure']:+.2f} {check.unit}", f"at most {check.most:g} {check.unit}"
        body.append((check.name, figure, goal, verdict(row)))
    return Table(("check", "figure", "goal", "verdict"), body)


def shares_table(layers: pd.DataFrame) -> Table:
    """The layers above the least share, in both runs and by both clocks."""
    names = ["share_first", "share_second", "cpu_share_first", "cpu_share_second"]
    large = layers[layers["share_first"] > LEAST_SHARE].sort_values("share_first", ascending=False)
    body = [
        (f"`{row['layer']}`", row["type"], *(f"{row[name]:.2f}" for name in names))
        for row in large.to_dict("records")
    ]
    return Table(("layer", "type", "first run, %", "second run, %", "first, CPU %", "second, CPU %"), body)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Check the times of layers on this machine.")
    add = parser.add_argument
    add("--model", choices=list(CARDS), default="googlenet", metavar="MODEL", help="default: googlenet")
    add("--batch-size", type=int, default=8, metavar="N", help="default: 8")
    add("--side", type=int, metavar="N", help="side of the input; default: the model's own")
    add("--seconds", type=float, default=40.0, metavar="S", help="budget of each of eight runs; default: 40")
    add_output(parser, REPORTS / "times")
    return parser.parse_args(arguments)


def check_setting(
    name: str, shape: tuple[int, ...], setting: Setting, seconds: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run a model in one setting, twice and under the profiler; rows of the checks, and those of layers."""
    first = run_timed(name, shape, setting, seconds)
    # the profiler runs in this process, whose memory is as the C library treats it
    share = None if setting.environment else run_profiled(il.create_model(name), shape, setting)
    second = run_timed(name, shape, setting, seconds)
    layers = layer_rows(first, second)
    checks = check_rows(first, second, layers, share)
    return checks.assign(setting=setting.title), layers.assign(setting=setting.title)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write checks.csv, layers.csv and README.md; returns 1 where a check does not reach its goal."""
    options = parse(arguments)
    torch.set_num_threads(1)
    channels, *sides = get_card(options.model).input_size
    shape = (options.batch_size, channels, *(options.side or side for side in sides))
    pairs = [check_setting(options.model, shape, setting, options.seconds) for setting in SETTINGS]
    checks, layers = (pd.concat(tables, ignore_index=True) for tables in zip(*pairs, strict=True))
    write_csv(options.output, "checks.csv", checks, "%.6g")
    write_csv(options.output, "layers.csv", layers, "%.6g")
    text = page(checks, layers, context_line(f"{torch.get_num_threads()} thread"))
    write_text(options.output, "README.md", text)
    print(text)
    return 0 if all(verdict(row) == "reached" for row in checks.to_dict("records")) else 1


if __name__ == "__main__":
    sys.exit(main())
