"""A short training run, for real: the losses and the gradients of each step."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from pandas import DataFrame

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.interrupts import Interrupted, answer, check
from inception_lab.measure.gradient_flow.flow import MOST_SEEDS, Progress, part_of
from inception_lab.measure.gradient_flow.loss_terms import Losses, LossTerms
from inception_lab.measure.gradient_flow.samples import Samples
from inception_lab.measure.gradient_flow.seeded_steps import Model, SeededSteps, check_count
from inception_lab.measure.gradient_flow.training_results import Training, Trainings
from inception_lab.measure.gradient_flow.training_steps import SGD, TrainingSteps
from inception_lab.running.inputs import Inputs
from inception_lab.running.losses import HEAD_WEIGHT

MOST_STEPS = 100_000
LEARNING_RATE, MOMENTUM = 0.01, 0.9


@checked
def short_training(
    model: Model,
    inputs: Inputs,
    steps: int,
    *,
    seeds: int = 1,
    samples: Samples | None = None,
    loss: Losses | None = None,
    head_weight: float = HEAD_WEIGHT,
    learning_rate: float = LEARNING_RATE,
    momentum: float = MOMENTUM,
    device: str = "cpu",
    name: str = "",
    progress: Progress | None = None,
) -> Training:
    """Train a copy of a model for some steps by SGD with momentum, and keep the losses and gradients of each.

    Batches are drawn without replacement, epoch after epoch. On the CPU a seed gives the same figures to the
    last digit under the same number of threads; on CUDA as far as PyTorch's kernels do. Ctrl-C ends the run:
    the steps that are done are returned. The model is left as it was found.

    Args:
        model: As of `gradient_flow`, like all that it has too.
        inputs: See there.
        steps: Number of steps of each seed.
        seeds: See there.
        samples: See there.
        loss: See there; what is trained by is the sum of its terms.
        head_weight: See there.
        learning_rate: Of the optimizer.
        momentum: Of the optimizer.
        device: See there.
        name: See there.
        progress: Called with the part of the steps that is done, from 0 to 1.

    Raises:
        InceptionLabError: As of `gradient_flow`; or the optimizer's numbers are out of range (exit code 2).

    Example:
        >>> import torch
        >>> from torch import nn
        >>> _ = torch.manual_seed(0)
        >>> training = short_training(nn.Linear(8, 4), (16, 8), steps=30, learning_rate=0.1)
        >>> losses = training.by_step()["loss"]
        >>> len(losses), bool(losses.iloc[-1] < losses.iloc[0] / 2)
        (30, True)
    """
    check_count(seeds, "seeds", MOST_SEEDS)
    check_count(steps, "steps", MOST_STEPS)
    prepared_steps = SeededSteps(model, inputs, samples, device, name, loss)
    run = TrainingSteps(
        prepared_steps, LossTerms(head_weight, loss, prepared_steps.classes), SGD(learning_rate, momentum)
    )
    is_interrupted = False
    try:
        with closing(run.run(seeds, steps)) as done_steps:
            for done, _ in enumerate(done_steps, 1):
                if progress is not None:
                    progress(done / (seeds * steps))
                check()  # of what the model may have swallowed
    except (KeyboardInterrupt, Interrupted):
        if not run.losses:
            raise
        is_interrupted = True
        answer()
    facts = {
        **run.context,
        **run.loss.facts(run.terms),
        "optimizer": "momentum" if momentum else "sgd",
        "learning_rate": learning_rate,
        "momentum": momentum,
        "seeds": seeds,
        "planned_steps": steps,
    }
    return Training(facts, run.terms, DataFrame(run.losses), DataFrame(run.gradients), is_interrupted)


@checked
def compare_training(
    models: Mapping[str, Model],
    inputs: Inputs,
    steps: int,
    *,
    seeds: int = 1,
    samples: Samples | None = None,
    loss: Losses | None = None,
    head_weight: float = HEAD_WEIGHT,
    learning_rate: float = LEARNING_RATE,
    momentum: float = MOMENTUM,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Trainings:
    """Train several models one after the other: paired by seed, on the same batches in the same order.

    After Ctrl-C the models that had no step yet are left out.

    Args:
        models: Functions that build models, or models, by the names that they have in the result.
        inputs: As of `short_training`, for all models, as all that follows.
        steps: See there.
        seeds: See there.
        samples: See there.
        loss: See there.
        head_weight: See there.
        learning_rate: See there.
        momentum: See there.
        device: See there.
        progress: Told the part of the work that is done.

    Raises:
        InceptionLabError: As of `short_training`; or there is no model (exit code 2).

    Example:
        >>> from torch import nn
        >>> nets = {"four": lambda: nn.Linear(8, 4), "eight": lambda: nn.Linear(8, 8)}
        >>> list(compare_training(nets, (4, 8), 2).table().columns)
        ['step', 'four', 'eight']
    """
    if not models:
        raise InceptionLabError("no model to train", hint="pass {'name': function that builds one}")
    trainings: list[Training] = []
    for number, (name, model) in enumerate(models.items()):
        try:
            training = short_training(
                model,
                inputs,
                steps,
                seeds=seeds,
                samples=samples,
                loss=loss,
                head_weight=head_weight,
                learning_rate=learning_rate,
                momentum=momentum,
                device=device,
                name=name,
                progress=part_of(progress, number, len(models)),
            )
        except (KeyboardInterrupt, Interrupted):
            if not trainings:
                raise
            answer()
            break
        trainings.append(training)
        if training.is_interrupted:
            break
    return Trainings(tuple(trainings))
