"""`inception-lab gradient-flow`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from inception_lab import interrupts
from inception_lab.cli.gradient_flow_text import flow_text, flows_text, training_text, trainings_text
from inception_lab.cli.model import traceback_shown
from inception_lab.cli.options import (
    MODEL,
    TracingOptions,
    device_option,
    emit,
    table_options,
    train_options,
    typed_options,
)
from inception_lab.cli.plot_options import check_plot, plot_options
from inception_lab.cli.progress import progress_bar
from inception_lab.errors import InceptionLabError
from inception_lab.report.view import View

if TYPE_CHECKING:
    from torch import nn

    from inception_lab.loading.model import ModelInputs
    from inception_lab.loading.options import ModelRequest
    from inception_lab.measure.gradient_flow.results import GradientFlow
    from inception_lab.measure.gradient_flow.samples import Samples
    from inception_lab.measure.gradient_flow.training_results import Training

Result = TypeVar("Result")
Progress = Callable[[float], None]

FIGURES = (
    "weight_gradient", "relative_gradient", "weight_norm",
    "output_gradient", "output_variance", "output_mean", "zeros", "dead",
)  # fmt: skip
"""Those that can be set side by side, and drawn along depth."""

_OF_TRAINING = ("learning_rate", "momentum")
_OF_FLOW = ("batches", "figure", "depth")


@dataclass(frozen=True)
class FlowOptions:
    """Options of the gradient-flow command alone.

    Attributes:
        seeds: Number of seeds.
        batches: Of each seed.
        head_weight: Weight of the auxiliary heads' losses.
        data: Folder of samples, None for made ones.
        same_weights: Give the first model's weights to the others, where both have the same layers.
        figure: The one that is set side by side, and drawn.
        depth: Levels below the model at which modules have rows.
        device: Where models run.
        steps: Of a short training run, None for none.
        learning_rate: Of its optimizer.
        momentum: Of its optimizer.
        plot: File for the plot.
        size: Name of the size that it is drawn for.
    """

    seeds: int
    batches: int
    head_weight: float
    data: Path | None
    same_weights: bool
    figure: str
    depth: int
    device: str
    steps: int | None
    learning_rate: float
    momentum: float
    plot: Path | None
    size: str

    def samples(self, inputs: ModelInputs) -> Samples | None:
        """The samples of the folder in the shape of a model's input; None for made ones.

        Raises:
            InceptionLabError: The folder has none, or the model has other inputs (exit code 2).
        """
        if self.data is None:
            return None
        from inception_lab import folder_samples
        from inception_lab.loading.model import only_shape

        shape = only_shape(inputs)
        if shape is None:
            raise InceptionLabError("--data is of models with one floating input", hint="leave out --data")
        return folder_samples(self.data, shape[1:])


flow_options: Callable[[Callable[..., Any]], Callable[..., Any]] = typed_options(
    FlowOptions,
    "options",
    (
        click.option(
            "--seeds", type=click.IntRange(1, 1000), default=3, show_default=True, help="Seeds, from 0 on."
        ),
        click.option(
            "--batches", type=click.IntRange(1, 1000), default=1, show_default=True, help="Of each seed."
        ),
        click.option(
            "--head-weight",
            type=click.FloatRange(0, 1e6),
            default=0.3,
            show_default=True,
            help="Weight of the auxiliary heads' losses.",
        ),
        click.option(
            "--data",
            type=click.Path(path_type=Path),
            help="Folder of images or tensors, a folder in it for each class.  [default: made samples]",
        ),
        click.option(
            "--same-weights",
            is_flag=True,
            help="Layers of the same path and shape begin with the first model's weights in all others.",
        ),
        click.option(
            "--figure",
            type=click.Choice(FIGURES),
            metavar="FIGURE",
            default="weight_gradient",
            show_default=True,
            help=f"Of several models side by side, and of the plot: {', '.join(FIGURES)}.",
        ),
        click.option(
            "--depth", type=click.IntRange(min=1), default=1, show_default=True, help="Of modules with rows."
        ),
        device_option,
        click.option("--steps", type=click.IntRange(1, 100_000), help="Train for so many steps instead."),
        click.option(
            "--learning-rate",
            type=click.FloatRange(0, min_open=True),
            default=0.01,
            show_default=True,
            help="Of --steps: of SGD.",
        ),
        click.option(
            "--momentum",
            type=click.FloatRange(0, 1, max_open=True),
            default=0.9,
            show_default=True,
            help="Of --steps: of SGD.",
        ),
        *plot_options("gradients along depth, or losses and gradients along training,"),
    ),
)
"""Adds the options of this command alone, which arrive as `options`."""


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=MODEL)
@train_options
@flow_options
@table_options
def command(
    models: Sequence[str], tracing: TracingOptions, options: FlowOptions, view: View, output: Path | None
) -> None:
    """Gradients and activations of each module of MODEL along depth, and what each loss contributes.

    Real passes in train mode, over several seeds, each of which draws weights, samples and random numbers
    anew; several models are paired by seed. With --steps a short training run in their place: SGD with
    momentum on the sum of all losses; Ctrl-C ends it, and what was measured is shown.
    MODEL is an entry of the zoo or package.module:factory, with keywords or without: "nin(num_classes=10)".
    """
    tracing = replace(tracing, mode="train")
    _check([tracing.request(model).name for model in models], options)
    run = _trainings if options.steps else _flows
    run(models, tracing, options, view, output)


def _check(models: Sequence[str], options: FlowOptions) -> None:
    check_plot(options.plot)
    context = click.get_current_context()
    typed = [
        name
        for name in (_OF_FLOW if options.steps else _OF_TRAINING)
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if typed:
        flag = f"--{typed[0].replace('_', '-')}"
        beside = "with" if options.steps else "without"
        hint = f"leave out {flag}" if options.steps else "add --steps, such as --steps 50"
        raise InceptionLabError(f"{flag} {beside} --steps", hint=hint)
    if len(models) == 1:
        _check_one(options, context)
    if len(set(models)) < len(models):
        raise InceptionLabError("a model is named twice", hint="name each once")
    if options.device != "cpu":  # else there is nothing to look for
        from inception_lab.measure.real_runs import device_of

        device_of(options.device, ("cpu", "cuda"), "gradients are not measured")


def _check_one(options: FlowOptions, context: click.Context) -> None:
    if options.same_weights:
        raise InceptionLabError("--same-weights is of several models", hint="name another one too")
    figure = context.get_parameter_source("figure") is ParameterSource.COMMANDLINE
    if figure and options.plot is None:
        raise InceptionLabError(
            "--figure is of several models, or of a plot", hint="add --plot FILE.svg, or --sort FIGURE"
        )


def _flows(
    models: Sequence[str], tracing: TracingOptions, options: FlowOptions, view: View, output: Path | None
) -> None:
    from inception_lab import GradientFlows, gradient_flow, plot_gradient_flow

    def measure(
        build: Callable[[], nn.Module], inputs: ModelInputs, name: str, progress: Progress | None
    ) -> GradientFlow:
        return gradient_flow(
            build,
            inputs,
            seeds=options.seeds,
            batches=options.batches,
            samples=options.samples(inputs),
            head_weight=options.head_weight,
            device=options.device,
            name=name,
            progress=progress,
        )

    flows = _of_each(models, tracing, options, f"gradients of {', '.join(models)}", measure)
    if options.plot is not None:
        plot_gradient_flow(flows, options.plot, options.figure, options.size)
    if len(models) == 1:
        emit(flow_text(flows[0], options.depth, view), output)
    else:
        note, several = _missing(models, flows), GradientFlows(tuple(flows))
        emit(flows_text(several, options.figure, options.depth, view, note), output)


def _trainings(
    models: Sequence[str], tracing: TracingOptions, options: FlowOptions, view: View, output: Path | None
) -> None:
    from inception_lab import Trainings, plot_training, short_training

    def measure(
        build: Callable[[], nn.Module], inputs: ModelInputs, name: str, progress: Progress | None
    ) -> Training:
        return short_training(
            build,
            inputs,
            options.steps or 0,
            seeds=options.seeds,
            samples=options.samples(inputs),
            head_weight=options.head_weight,
            learning_rate=options.learning_rate,
            momentum=options.momentum,
            device=options.device,
            name=name,
            progress=progress,
        )

    runs = _of_each(models, tracing, options, f"training {', '.join(models)}", measure)
    if options.plot is not None:
        plot_training(runs, options.plot, options.size)
    if len(models) == 1:
        emit(training_text(runs[0], view), output)
    else:
        emit(trainings_text(Trainings(tuple(runs)), view, _missing(models, runs)), output)


def _missing(models: Sequence[str], results: Sequence[object]) -> str:
    """Names the models that a request to end has left without a result; empty without any."""
    names = models[len(results) :]
    return f"interrupted: nothing measured of {', '.join(names)}" if names else ""


Measure = Callable[["Callable[[], nn.Module]", "ModelInputs", str, "Progress | None"], Result]
"""Measures a model that a function builds, on its inputs, under a name."""


def _of_each(
    models: Sequence[str],
    tracing: TracingOptions,
    options: FlowOptions,
    description: str,
    measure: Measure[Result],
) -> list[Result]:
    """The result of each model; after a request to end those that are there."""
    from inception_lab.measure.gradient_flow.flow import part_of

    results: list[Result] = []
    first = tracing.request(models[0])
    with progress_bar(description) as progress:
        for number, model in enumerate(models):
            reference = first if options.same_weights and number else None
            part = part_of(progress, number, len(models))
            try:
                results.append(_of_one(model, tracing, reference, measure, part))
            except interrupts.Interrupted:
                if not results:
                    raise
                interrupts.answer()
            if interrupts.is_answered():
                break
    return results


def _of_one(
    model: str,
    tracing: TracingOptions,
    reference: ModelRequest | None,
    measure: Measure[Result],
    progress: Progress | None,
) -> Result:
    from inception_lab import share_weights
    from inception_lab.loading.model import apply_to_builder

    request = tracing.request(model)

    def run(build: Callable[[], nn.Module], inputs: ModelInputs) -> Result:
        if reference is not None:
            build = share_weights(build, partial(_built, reference))
        return measure(build, inputs, request.name, progress)

    with traceback_shown(model, tracing):
        return apply_to_builder(request, run)


def _built(request: ModelRequest) -> nn.Module:
    """A model by itself, drawn from the same random numbers on as one that is built here."""
    import torch

    from inception_lab.loading.model import apply_to_builder

    state = torch.get_rng_state()

    def build_from_here(build: Callable[[], nn.Module], _: ModelInputs) -> nn.Module:
        torch.set_rng_state(state)
        return build()

    return apply_to_builder(request, build_from_here)
