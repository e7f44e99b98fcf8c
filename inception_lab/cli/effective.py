"""The effective receptive field on the command line: part of `inception-lab receptive-field`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from inception_lab.cli.options import TracingOptions, typed_options
from inception_lab.cli.plot_options import check_plot, plot_options
from inception_lab.cli.progress import progress_bar
from inception_lab.errors import InceptionLabError
from inception_lab.files import write_bytes
from inception_lab.measure.bounds import MOST_SAMPLES, MOST_SEEDS
from inception_lab.record import Row
from inception_lab.report.sizes import plot_kind, size_of

if TYPE_CHECKING:
    from torch import nn

    from inception_lab.loading.model import ModelInputs
    from inception_lab.measure.effective_field import EffectiveField


@dataclass(frozen=True)
class EffectiveOptions:
    """Options of the measurement of an effective field, and of its drawing.

    Attributes:
        effective: Measure it at all.
        layer: Path of the layer; empty for the last spatial one.
        samples: Inputs for each seed.
        seeds: Number of seeds.
        weights: A file with a state dict to load.
        device: `cpu` or `cuda`.
        plot: A file to draw it into.
        size: Name of the size that it is drawn for.
    """

    effective: bool
    layer: str
    samples: int
    seeds: int
    weights: Path | None
    device: str
    plot: Path | None
    size: str


effective_options: Callable[[Callable[..., Any]], Callable[..., Any]] = typed_options(
    EffectiveOptions,
    "options",
    (
        click.option("--effective", is_flag=True, help="Average input gradients too: a real run."),
        click.option(
            "--layer", default="", help="Whose centre unit's gradient.  [default: the last spatial one]"
        ),
        click.option(
            "--samples",
            type=click.IntRange(1, MOST_SAMPLES),
            default=4,
            help=f"Inputs for each seed, at most {MOST_SAMPLES}.  [default: 4]",
        ),
        click.option(
            "--seeds",
            type=click.IntRange(1, MOST_SEEDS),
            default=5,
            help=f"How many seeds, at most {MOST_SEEDS}.  [default: 5]",
        ),
        click.option(
            "--weights", type=click.Path(path_type=Path), help="A state dict to load for --effective."
        ),
        click.option(
            "--device",
            type=click.Choice(["cpu", "cuda"]),
            default="cpu",
            help="Where --effective runs.  [default: cpu]",
        ),
        *plot_options("--effective"),
    ),
)
"""Adds the options of the effective field, which arrive as `options`."""


def check_options(options: EffectiveOptions) -> None:
    """Refuse a plot that cannot be drawn, and options without `--effective`.

    Raises:
        InceptionLabError: Such an option was typed (exit code 2).
    """
    check_plot(options.plot)
    source = click.get_current_context().get_parameter_source
    names = [name for name in ("layer", "samples", "seeds", "device", "weights", "plot")
             if source(name) is ParameterSource.COMMANDLINE]  # fmt: skip
    if names and not options.effective:
        flags = ", ".join(f"--{name}" for name in names)
        raise InceptionLabError(f"{flags} without --effective", hint="add --effective")


def measure_field(model: str, tracing: TracingOptions, options: EffectiveOptions) -> EffectiveField:
    """Measure the effective field of MODEL, built with weights.

    Raises:
        InceptionLabError: MODEL has not one floating input (exit code 2), or as of `effective_field`.
    """
    from inception_lab import effective_field
    from inception_lab.loading.model import apply_with_weights, only_shape

    def measure(net: nn.Module, inputs: ModelInputs) -> EffectiveField:
        shape = only_shape(inputs)
        if shape is None:
            raise InceptionLabError(
                "--effective takes a model with one floating input", where=model, hint="leave out --effective"
            )
        return effective_field(
            net,
            shape,
            args=tracing.arguments.args,
            kwargs=tracing.arguments.kwargs,
            layer=options.layer,
            seeds=range(options.seeds),
            samples=options.samples,
            device=options.device,
            progress=progress,
        )

    with progress_bar(f"gradients of {model}") as progress:
        return apply_with_weights(tracing.request(model), measure, options.weights)


def draw(model: str, field: EffectiveField, path: Path, size: str) -> None:
    """Draw an effective field, for a size, into a file of the kind that its ending names."""
    from inception_lab.report.plots import effective_field_plot
    from inception_lab.report.plots.effective import Effective

    if len(field.theoretical) != 2:
        raise InceptionLabError("only a field of two axes is drawn", hint="leave out --plot")
    (top, bottom), (left, right) = field.theoretical
    areas = {area.share: area.pixels for area in field.areas}
    subject = Effective(
        model,
        field.unit.layer,
        field.device,
        field.inputs,
        field.weight,
        ((top, bottom), (left, right)),
        areas,
    )
    kind = plot_kind(path)
    write_bytes(path, effective_field_plot(subject, size_of(size), [kind])[kind])


def effective_facts(row: Row) -> Iterator[tuple[str, str]]:
    """The effective field as lines.

    Args:
        row: As of `EffectiveField.to_dict`.
    """
    for area in row["areas"]:
        yield (
            "",
            f"{area['share']:.0%} of the gradient of {row['layer']}'s centre unit lies in "
            f"{area['pixels']:,} pixels, {area['of_theoretical']:.0%} of its theoretical field",
        )
    yield "", f"Mean of {row['inputs']} random inputs on {row['device']}"
