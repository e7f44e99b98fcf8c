"""Gradient flow at initialisation: real passes over seeds and batches, a backward pass for each loss."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any, NamedTuple

from pandas import DataFrame

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.measure.gradient_flow.loss_terms import Losses, LossTerms
from inception_lab.measure.gradient_flow.passes import PassFigures, measure_pass
from inception_lab.measure.gradient_flow.results import GradientFlow, GradientFlows
from inception_lab.measure.gradient_flow.samples import Samples
from inception_lab.measure.gradient_flow.seeded_steps import Model, SeededSteps, check_count
from inception_lab.running.inputs import Inputs
from inception_lab.running.losses import HEAD_WEIGHT

Progress = Callable[[float], None]

MOST_SEEDS, MOST_BATCHES = 1000, 1000


@checked
def gradient_flow(
    model: Model,
    inputs: Inputs,
    *,
    seeds: int = 3,
    batches: int = 1,
    samples: Samples | None = None,
    loss: Losses | None = None,
    head_weight: float = HEAD_WEIGHT,
    device: str = "cpu",
    name: str = "",
    progress: Progress | None = None,
) -> GradientFlow:
    """Run a model in train mode, and measure activations and the gradients that come back to each module.

    The backward pass runs once for the whole loss and, where it has several terms, once for each of them, on
    one graph: their gradients add up. By default the terms are the cross-entropies of the classifier and of
    the auxiliary heads. The model is left as it was found.

    Args:
        model: A function without arguments that builds a model, which is called for each seed; or a model,
            whose own weights are taken for all of them.
        inputs: As for `trace`, batch included. In the place of the one shape of a model stand labelled
            samples; where there are other inputs, shapes are normal random numbers and labels random.
        seeds: Number of seeds, from 0 on: of the weights, the order of the samples and the random numbers of
            a forward, such as those of dropout.
        batches: Of each seed.
        samples: Labelled samples of the shape; made ones of ten classes by default.
        loss: A function of the model's outputs that gives a scalar, or several by name, in place of the
            default.
        head_weight: Weight of the auxiliary heads' losses (1409.4842 section 5).
        device: `cpu` or `cuda`.
        name: Name of the model in the result; its class by default.
        progress: Called with the part of the work that is done, from 0 to 1.

    Raises:
        InceptionLabError: A number is out of range, the device not there, or the samples do not fit the model
            (exit code 2); the run cannot fit into free memory, or the model raised or has no data (3).

    Example:
        >>> import torch
        >>> from torch import nn
        >>> flow = gradient_flow(lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), (16, 4))
        >>> flow.terms, list(flow.by_module()["module"])
        (('main',), ['(model)', '0', '1', '2'])
    """
    check_count(seeds, "seeds", MOST_SEEDS)
    check_count(batches, "batches", MOST_BATCHES)
    steps = SeededSteps(model, inputs, samples, device, name, loss)
    terms = LossTerms(head_weight, loss, steps.classes)
    passes = []
    with closing(_passes(steps, seeds, batches, terms)) as measured_passes:
        for done, each in enumerate(measured_passes, 1):
            passes.append(each)
            if progress is not None:
                progress(done / (seeds * batches))
    first = passes[0]
    facts = {**first.context, **terms.facts(first.figures.terms), "seeds": seeds, "batches": batches}
    losses = [each.run | each.figures.losses for each in passes]
    rows = [each.run | row for each in passes for row in each.figures.rows]
    return GradientFlow(facts, passes[0].figures.terms, DataFrame(losses), DataFrame(rows))


class _Pass(NamedTuple):
    """A pass, the facts about it, and the numbers of its seed and batch."""

    run: dict[str, Any]
    context: Mapping[str, Any]
    figures: PassFigures


def _passes(steps: SeededSteps, seeds: int, count: int, terms: LossTerms) -> Generator[_Pass]:
    for seed in range(seeds):
        with steps.prepared(seed) as (step, batches):
            for number in range(count):
                labels = next(batches)
                figures = measure_pass(step, labels, terms)
                yield _Pass({"seed": seed, "batch": number}, steps.context(step), figures)


@checked
def compare_gradient_flow(
    models: Mapping[str, Model],
    inputs: Inputs,
    *,
    seeds: int = 3,
    batches: int = 1,
    samples: Samples | None = None,
    loss: Losses | None = None,
    head_weight: float = HEAD_WEIGHT,
    device: str = "cpu",
    progress: Progress | None = None,
) -> GradientFlows:
    """Measure several models one after the other: paired by seed, on the same samples and labels.

    Args:
        models: Functions that build models, or models, by the names that they have in the result.
        inputs: As of `gradient_flow`, for all models, as all that follows.
        seeds: See there.
        batches: See there.
        samples: See there.
        loss: See there.
        head_weight: See there.
        device: See there.
        progress: Told the part of the work that is done.

    Raises:
        InceptionLabError: As of `gradient_flow`; or there is no model (exit code 2).

    Example:
        >>> from torch import nn
        >>> def net(width):
        ...     return lambda: nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))
        >>> flows = compare_gradient_flow({"narrow": net(4), "wide": net(64)}, (16, 4))
        >>> list(flows.table("weight_norm").columns)
        ['module', 'narrow', 'wide']
    """
    if not models:
        raise InceptionLabError("no model to measure", hint="pass {'name': function that builds one}")
    flows = []
    for number, (name, model) in enumerate(models.items()):
        flows.append(
            gradient_flow(
                model,
                inputs,
                seeds=seeds,
                batches=batches,
                samples=samples,
                loss=loss,
                head_weight=head_weight,
                device=device,
                name=name,
                progress=part_of(progress, number, len(models)),
            )
        )
    return GradientFlows(tuple(flows))


def part_of(progress: Progress | None, number: int, count: int) -> Progress | None:
    """The progress of one of several parts that are equally long."""
    return None if progress is None else lambda part: progress((number + part) / count)
