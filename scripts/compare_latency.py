"""Set the MACs of GoogLeNet, its counterparts and VGG-16 beside their measured time on this machine.

The models' rounds take turns in one process, on one thread by default. Each model's ratio to GoogLeNet is the
median of the rounds' ratios, with its interval.

Usage: python scripts/compare_latency.py [--models MODEL...] [--batch-size N] [--side N] [--seconds S]
       [--threads N] [-o DIR]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

import inception_lab as il
from inception_lab.metrics import format_quantity
from inception_lab.models.cards import CARDS, get_card
from inception_lab.report.document import Table, document
from inception_lab.report.plots import LATENCY_PLOT, macs_and_latency_plot
from inception_lab.report.plots.macs_and_latency import MacsAndLatency, Ratios
from inception_lab.report.plots.wording import ratio_text
from shared import REPORTS, add_output, context_line, threads_text, write_csv, write_text

BASELINE = "googlenet"
MODELS = ("googlenet_naive", "googlenet_bn", "googlenet_3x3", "googlenet_v2", "googlenet_v3", "vgg16")

INTRODUCTION = (
    "Multiply-accumulates are what a paper counts; time is what a user waits for. Each model's rounds take "
    f"turns with those of {BASELINE}, in one process; the ratio of the times is the median of the rounds' "
    "ratios, its interval is distribution-free and holds the true median in at least 95% of cases, where "
    "there are rounds enough. Every number is in [latency.csv](latency.csv)."
)


def latency_rows(comparison: il.TimesComparison, macs: Mapping[str, int]) -> pd.DataFrame:
    """A row per model: MACs and time, and their ratios to the baseline, which stands first."""
    first = comparison.models[0].context["model"]
    ratios: Iterable[dict[str, Any]] = ({}, *(ratio.to_dict() for ratio in comparison.ratios))
    facts = ("input_shapes", "mode", "dtype", "machine", "threads", "rounds")
    rows = []
    for times, ratio in zip(comparison.models, ratios, strict=True):
        name = times.context["model"]
        shapes = ["x".join(map(str, shape)) for shape in times.context["input_shapes"]]
        rows.append(
            {"model": name, "macs": macs[name], "macs_ratio": macs[name] / macs[first]}
            | {key: times.totals[key] for key in ("plain_step_ms", "plain_step_iqr_ms")}
            | {key: ratio.get(key, 1.0) for key in ("ratio", "ratio_low", "ratio_high", "confidence")}
            | {"verdict": ratio.get("verdict", ""), "note": times.note}
            | {key: times.context[key] for key in facts}
            | {"input_shapes": " ".join(shapes)}
        )
    return pd.DataFrame(rows)


def measure(names: Sequence[str], shape: Sequence[int], seconds: float, threads: int) -> pd.DataFrame:
    """Time the models in turns, and count their MACs from traces of the same step."""
    nets = [il.create_model(name) for name in names]
    macs = {
        name: sum(op.macs for op in il.trace(net, tuple(shape)).ops)
        for name, net in zip(names, nets, strict=True)
    }
    comparison = il.compare_times(
        nets, [tuple(shape)] * len(nets), names=names, threads=threads, seconds=seconds
    )
    return latency_rows(comparison, macs)


def subject_of(rows: pd.DataFrame) -> MacsAndLatency:
    """Return what the plot shows."""
    baseline, *others = rows.to_dict("records")
    context = {str(k): v for k, v in baseline.items()}
    context["input_shapes"] = [text.split("x") for text in str(baseline["input_shapes"]).split()]
    models = [
        Ratios(row["model"], row["macs_ratio"], row["ratio"], row["ratio_low"], row["ratio_high"])
        for row in others
    ]
    return MacsAndLatency(context, str(baseline["model"]), models)


def latency_table(rows: pd.DataFrame) -> Table:
    """MACs and time of each model, with their ratios to the first one."""
    head = (
        "model",
        "MACs",
        "MACs, ratio",
        "step, ms",
        "time, ratio",
        "interval",
        "time over MACs",
        "verdict",
    )
    body = []
    for place, row in enumerate(rows.assign(verdict=rows["verdict"].fillna("")).to_dict("records")):
        cells = [f"`{row['model']}`", format_quantity(row["macs"]), ratio_text(row["macs_ratio"])]
        cells.append(f"{row['plain_step_ms']:.1f}")
        ratios = [ratio_text(row["ratio"]), f"{row['ratio_low']:.3f} to {row['ratio_high']:.3f}"]
        ratios.append(ratio_text(row["ratio"] / row["macs_ratio"]))
        body.append((*cells, *(ratios if place else ["1", "", "1"]), str(row["verdict"])))
    return Table(head, body)


def page(rows: pd.DataFrame, context: str) -> str:
    """Return the comparison in Markdown."""
    about = rows.iloc[0]
    noisy = [f"`{name}`" for name in rows["model"][rows["note"].notna() & (rows["note"] != "")]]
    threads = int(about["threads"])
    return document(
        "MACs are not latency",
        [
            INTRODUCTION,
            f"Inference on {about['input_shapes']}, {about['dtype']}, {threads_text(threads)}, "
            f"{about['rounds']} rounds. "
            f"{LATENCY_PLOT.caption(subject_of(rows))}",
            "![MACs and time of each model beside those of GoogLeNet](latency.svg)",
            latency_table(rows),
            f"Rounds differ by too much to judge: {', '.join(noisy)}." if noisy else "",
            context,
        ],
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Set MACs beside measured time on this machine.")
    add = parser.add_argument
    models = [name for name in CARDS if name != BASELINE]
    add("--models", nargs="+", choices=models, default=list(MODELS), metavar="MODEL", help="beside GoogLeNet")
    add("--batch-size", type=int, default=1, metavar="N", help="default: 1")
    add("--side", type=int, metavar="N", help="side of the input; default: GoogLeNet's own")
    add("--seconds", type=float, default=50.0, metavar="S", help="budget of each model; default: 50")
    add("--threads", type=int, default=1, metavar="N", help="default: 1")
    add_output(parser, REPORTS / "latency")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write latency.csv, the plot and README.md."""
    options = parse(arguments)
    channels, *sides = get_card(BASELINE).input_size
    shape = (options.batch_size, channels, *(options.side or side for side in sides))
    rows = measure([BASELINE, *options.models], shape, options.seconds, options.threads)
    write_csv(options.output, "latency.csv", rows, "%.6g")
    # the page is made of the file, so that whoever has it can make it again
    rows = pd.read_csv(options.output / "latency.csv")
    for kind, content in macs_and_latency_plot(subject_of(rows)).items():
        (options.output / f"latency.{kind}").write_bytes(content)
    text = page(rows, context_line(threads_text(options.threads)))
    write_text(options.output, "README.md", text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
