"""Write reports/gradient-flow: heads, batch normalisation, module kinds and residual scales, in real passes.

Every model of a comparison is built and run with the same seeds, on the same made images and labels.

Usage: python scripts/report_gradient_flow.py [--seeds N] [--steps N] [--threads N] [-o DIR]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch
from torch import nn

import inception_lab as il
from inception_lab.report.document import Heading, Table, document
from shared import REPORTS, add_output, context_line, threads_text, write_csv, write_text

Build = Callable[[], nn.Module]


def zoo(name: str, **keywords: Any) -> Build:
    """A function that builds an entry of the zoo for ten classes."""
    return partial(il.create_model, name, num_classes=10, **keywords)


DRAWN, DEFAULT = "googlenet", "default weights"
NORMALISED, NORMALISED_DEFAULT = "batch norm", "batch norm, default weights"
HEADLESS = "no heads"


def alike(name: str, reference: Build, **keywords: Any) -> Build:
    """The same with the weights of another model, where both have a tensor of the same path and shape."""
    return il.share_weights(zoo(name, **keywords), reference)


FULL = zoo("googlenet", aux_logits=True)
FULL_DEFAULT = zoo("googlenet", aux_logits=True, init_weights=False)
COUNTERPARTS: Mapping[str, Build] = {
    DRAWN: FULL,
    DEFAULT: FULL_DEFAULT,
    NORMALISED: alike("googlenet_bn", FULL, aux_logits=True),
    NORMALISED_DEFAULT: alike("googlenet_bn", FULL_DEFAULT, aux_logits=True, init_weights=False),
    HEADLESS: alike("googlenet", FULL),
    "naive": alike("googlenet_naive", FULL, aux_logits=True),
    "v2": alike("googlenet_v2", FULL, aux_logits=True),
    "v3": alike("googlenet_v3", FULL, aux_logits=True),
}
"""But for the default weights of PyTorch's layers, weights are drawn for ReLUs; all but one have heads."""
TRAINED: Mapping[str, Build] = {
    "heads": FULL,
    HEADLESS: alike("googlenet", FULL),
    "no heads, default weights": alike("googlenet", FULL_DEFAULT, init_weights=False),
    "heads, default weights": FULL_DEFAULT,
    "no heads, batch norm": alike("googlenet_bn", FULL),
}
RELEASED, UNSCALED = "0.17, 0.10, 0.20", "scale 1.0"
RESIDUALS: Mapping[str, Build] = {
    "scale 0.1": zoo("inception_resnet_v1", scale=0.1),
    "scale 0.3": zoo("inception_resnet_v1", scale=0.3),
    RELEASED: zoo("inception_resnet_v1"),
    UNSCALED: zoo("inception_resnet_v1", scale=1.0),
}
BATCH, TRAINING_BATCH, SIDE, RESIDUAL_SIDE, RATE = 4, 8, 224, 107, 0.003
LAST = 10


def flows_of(builds: Mapping[str, Build], side: int, seeds: int) -> il.GradientFlows:
    """The gradient flow of each model, told on standard error when it is there."""
    flows = []
    for name, build in builds.items():
        flows.append(il.gradient_flow(build, (BATCH, 3, side, side), seeds=seeds, name=name))
        print(f"{name}: measured", file=sys.stderr)
    return il.GradientFlows(tuple(flows))


def runs_of(builds: Mapping[str, Build], steps: int, seeds: int) -> il.Trainings:
    """A short training run of each model."""
    runs = []
    for name, build in builds.items():
        shape = (TRAINING_BATCH, 3, SIDE, SIDE)
        runs.append(il.short_training(build, shape, steps, seeds=seeds, learning_rate=RATE, name=name))
        print(f"{name}: trained", file=sys.stderr)
    return il.Trainings(tuple(runs))


def value(table: pd.DataFrame, model: str, module: str) -> float:
    """A figure of a table with a column for each model."""
    return float(table.loc[table["module"] == module, model].iloc[0])


def beside(table: pd.DataFrame, modules: Sequence[str]) -> Table:
    """The figures of some modules, a row for each model."""
    models = [str(name) for name in table.columns[1:]]
    body = [(f"`{name}`", *(f"{value(table, name, module):.3g}" for module in modules)) for name in models]
    return Table(("model", *modules), body)


def spread(ratios: Sequence[float]) -> str:
    """The median of ratios, with the least and the greatest."""
    return f"{median(ratios):.3g} ({min(ratios):.3g} to {max(ratios):.3g})"


def over(flow: il.GradientFlow, first: tuple[str, str], other: tuple[str, str]) -> str:
    """The ratio of two figures, run by run."""
    return spread(flow.paired_ratios(first, other))


def relative(flow: il.GradientFlow) -> str:
    """The main loss's gradient of the first module, relative to its weights, over that of the last one."""
    modules = ("conv1", "inception5b")
    ends = [flow.paired_ratios(("weight_gradient_main", m), ("weight_norm", m)) for m in modules]
    return spread([one / other for one, other in zip(*ends, strict=True)])


def change(one: il.GradientFlow, other: il.GradientFlow, figure: str, module: str) -> list[float]:
    """The ratio of a figure in two models, run by run."""
    pairs = zip(one.values(figure, module), other.values(figure, module), strict=True)
    return [value / divisor for value, divisor in pairs]


def findings(flows: il.GradientFlows, residuals: il.GradientFlows) -> list[str]:
    """A paragraph for each subject on what the figures at initialisation show."""
    by_name = {flow.context["model"]: flow for flow in (*flows.models, *residuals.models)}
    drawn, default = by_name[DRAWN], by_name[DEFAULT]
    whole, main = ("weight_gradient", "conv1"), ("weight_gradient_main", "conv1")
    returned = [("output_gradient_main", module) for module in ("conv1", "inception5b")]
    changes = [
        median(change(by_name[one], by_name[other], *main))
        for one, other in ((NORMALISED_DEFAULT, NORMALISED), (DEFAULT, DRAWN))
    ]
    unscaled, released = by_name[UNSCALED], by_name[RELEASED]
    growth = spread(change(unscaled, released, *whole))
    places = ("block_a5", "block_c5")
    ends = [median(f.values("output_variance", m)) for f in (unscaled, released) for m in places]
    return [
        "**Heads.** Relative to the weights, the main loss's gradient of the first convolution is "
        f"{relative(drawn)} times that of the last module with weights drawn for ReLUs, and the gradient of "
        f"what they return {over(drawn, *returned)} times: nothing vanishes, and the heads at 0.3 make the "
        f"gradient {over(drawn, whole, main)} times as large. With PyTorch's default weights, which shrink "
        f"activations from layer to layer, it is {relative(default)} times, and the heads make it "
        f"{over(default, whole, main)} times as large: they are nearly all that the first layers get there.",
        "**Batch normalisation** makes it matter less how weights are drawn: between the two it changes the "
        f"first convolution's gradient {fold(changes[0])}, without it {fold(changes[1])}.",
        f"**Residual scales.** Without them (scale 1.0) that gradient is {growth} times as large as with "
        "those that the network was released with, and the variance of activations reaches "
        f"{ends[0]:.2g} after five blocks and {ends[1]:.2g} in the last one, where it is {ends[2]:.2g} and "
        f"{ends[3]:.2g} with them.",
        "Ratios are medians of the runs, with the least and the greatest.",
    ]


def fold(change: float) -> str:
    """A change in words, whichever way it goes."""
    return f"{max(change, 1 / change):,.3g}-fold"


def training_text(runs: il.Trainings) -> str:
    """The losses at both ends of the runs."""
    losses = runs.table()
    ends = [
        f"{name} from {losses[name].iloc[0]:.2f} to {losses[name].iloc[-LAST:].median():.2f}"
        for name in losses.columns[1:]
    ]
    return (
        f"The classifier's loss at the first step and, in the median, over the last {LAST} of {len(losses)} "
        f"steps of SGD (learning rate {RATE}, momentum 0.9, batches of {TRAINING_BATCH}, "
        f"{runs.context['seeds']} seeds): {', '.join(ends)}. That of ten classes told apart by chance is "
        "2.30. Those with and without heads begin with the same weights; the dropout of the heads shifts the "
        "random numbers of that before the classifier."
    )


def page(flows: il.GradientFlows, residuals: il.GradientFlows, runs: il.Trainings, context: str) -> str:
    """The page of the figures and of what they show, in Markdown."""
    facts = flows.context
    return document(
        "Gradient flow",
        [
            "Tutorials give one reason for the two auxiliary heads of GoogLeNet and for batch normalisation "
            "after it: gradients vanish in a deep network. These are the figures, for GoogLeNet, its "
            "counterparts and Inception-ResNet-v1, at initialisation and along a short training run.",
            *findings(flows, residuals),
            "What this cannot show is how well a network learns in the end, on real images, in many epochs.",
            Heading("The counterparts of GoogLeNet"),
            "Norm of the gradient of the whole loss by the weights of each module. Layers that two models "
            "have in common, by path and shape, begin with the same weights.",
            "![Gradient of the weights along depth](counterparts.svg)",
            beside(flows.table(), ("conv1", "conv2", "inception3a", "inception4a", "inception5b", "fc")),
            "Two ways to draw weights, and what each loss contributes:",
            "![Contribution of each loss](heads.svg)",
            Heading("Residual scales"),
            "Variance of what each module of Inception-ResNet-v1 returns, and norms of gradients by weights.",
            "![Variance of the outputs of each module](residuals.svg)",
            beside(residuals.table(), ("conv1", "block_a1", "block_a5", "block_b10", "block_c5", "fc")),
            Heading("A short training run"),
            training_text(runs),
            "![Losses and gradients along training](training.svg)",
            "Every figure: [counterparts.csv](counterparts.csv), [residuals.csv](residuals.csv), "
            f"[training.csv](training.csv). Medians of {facts['seeds']} seeds, {facts['samples']}, batches "
            f"of {BATCH} at {SIDE}x{SIDE}, of Inception-ResNet-v1 at {RESIDUAL_SIDE}x{RESIDUAL_SIDE}.",
            context,
        ],
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Measure gradient flow of GoogLeNet's counterparts.")
    add = parser.add_argument
    add("--seeds", type=int, default=5, metavar="N", help="default: 5")
    add("--steps", type=int, default=40, metavar="N", help="of training, of two seeds at most; default: 40")
    add("--threads", type=int, default=1, metavar="N", help="default: 1")
    add_output(parser, REPORTS / "gradient-flow")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables, the plots and README.md."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    folder: Path = options.output
    flows = flows_of(COUNTERPARTS, SIDE, options.seeds)
    residuals = flows_of(RESIDUALS, RESIDUAL_SIDE, options.seeds)
    runs = runs_of(TRAINED, options.steps, seeds=min(2, options.seeds))
    write_csv(folder, "counterparts.csv", flows.by_module(2), "%.4g")
    write_csv(folder, "residuals.csv", residuals.by_module(2), "%.4g")
    losses = [run.losses.assign(model=run.context["model"]) for run in runs.models]
    write_csv(folder, "training.csv", pd.concat(losses, ignore_index=True), "%.4g")
    il.plot_gradient_flow(flows.models, folder / "counterparts.svg")
    il.plot_gradient_flow(flows.models[:2], folder / "heads.svg")
    il.plot_gradient_flow(residuals.models, folder / "residuals.svg", "output_variance")
    il.plot_training(runs.models, folder / "training.svg")
    write_text(folder, "README.md", page(flows, residuals, runs, context_line(threads_text(options.threads))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
