"""Short training runs as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pandas import DataFrame, Series, concat

from inception_lab.errors import InceptionLabError, nearest
from inception_lab.measure.gradient_flow.results import one_below_another, plain_rows, subject, with_spread
from inception_lab.measure.timing.results import shared_context
from inception_lab.record import SCHEMA


@dataclass(frozen=True, eq=False, repr=False)
class Training:
    """Losses and gradients of a short training run.

    Attributes:
        context: Facts about the run, as of `GradientFlow`; `optimizer`, `learning_rate`,
            `momentum`, `seeds`, `planned_steps`.
        terms: Names of the terms that the loss is made of.
        losses: A row per seed and step, of the weights before the step: `seed`, `step`, `loss`,
            `loss_<term>` for each term with its weight, and `accuracy` in percent of the batch where the
            model tells classes apart.
        gradients: A row per seed, step and module, the model's own children and the model as a whole:
            `seed`, `step`, `module`, `weight_gradient`, `weight_norm`.
        is_interrupted: True where the run was ended before its last step.
    """

    context: Mapping[str, Any]
    terms: tuple[str, ...]
    losses: DataFrame
    gradients: DataFrame
    is_interrupted: bool = False

    def __repr__(self) -> str:
        """The model, its input and the number of steps."""
        return f"<{subject('Training', self.context)}: {len(self.losses):,} steps>"

    @property
    def note(self) -> str:
        """Says what the figures lack; empty where they lack nothing."""
        notes = []
        if self.is_interrupted:
            wanted = self.context["seeds"] * self.context["planned_steps"]
            notes.append(f"interrupted after {len(self.losses)} of {wanted} steps")
        diverged = self.losses[~self.losses["loss"].abs().lt(float("inf"))]
        if len(diverged):
            first = diverged.iloc[0]
            notes.append(
                f"the loss is not finite from step {first['step']:.0f} of seed {first['seed']:.0f} on"
            )
        return "; ".join(notes)

    def by_step(self) -> DataFrame:
        """Return the median of each loss over the seeds, with its quartiles.

        Returns:
            A row per step: `step`, and for each figure of `losses` its median, and its quartiles as
            `<figure>_low` and `<figure>_high`.
        """
        return with_spread(self.losses, ["step"], ["seed"])

    def figure(self, name: str) -> Series[float]:
        """Return the median of one figure by step, under the model's name; NaN where there is none."""
        medians = self.by_step().set_index("step").reindex(columns=[name])[name]
        return medians.rename(self.context["model"])

    def gradients_by_step(self) -> DataFrame:
        """Return the median over the seeds of each module's figures at each step, with quartiles."""
        return with_spread(self.gradients, ["step", "module"], ["seed"])

    def to_dict(self) -> dict[str, Any]:
        """Return the run as the JSON that other programs read: `steps`, and `modules` of each step."""
        return {
            "schema": SCHEMA,
            **self.context,
            "complete": not self.is_interrupted,
            **({"note": self.note} if self.note else {}),
            "terms": list(self.terms),
            "steps": plain_rows(self.losses),
            "modules": plain_rows(self.gradients),
        }


@dataclass(frozen=True, eq=False)
class Trainings:
    """Short training runs of several models on the same batches.

    Attributes:
        models: The run of each.
    """

    models: tuple[Training, ...]

    @property
    def context(self) -> Mapping[str, Any]:
        """Facts that are the same of all models."""
        return shared_context([training.context for training in self.models])

    @property
    def notes(self) -> tuple[str, ...]:
        """The models whose figures lack something."""
        return tuple(f"{run.context['model']}: {run.note}" for run in self.models if run.note)

    def by_step(self) -> DataFrame:
        """Return every loss of all models, a row per model and step.

        Returns:
            `model`, then the columns of `Training.by_step`.
        """
        return one_below_another([(run.context["model"], run.by_step()) for run in self.models])

    def table(self, figure: str = "") -> DataFrame:
        """Return one figure of each model side by side.

        Args:
            figure: A column of `Training.losses`; of each model the first term of its loss by default, as
                those with heads have more of them.

        Returns:
            A row per step, with the median of each model; NaN where it has none.

        Raises:
            InceptionLabError: No model has such a figure (exit code 2).
        """
        figures = [name for run in self.models for name in run.losses.columns[2:]]
        if figure and figure not in figures:
            raise InceptionLabError(f"no figure {figure!r}", hint=nearest(figure, dict.fromkeys(figures)))
        columns = [run.figure(figure or f"loss_{run.terms[0]}") for run in self.models]
        return concat(columns, axis=1).rename_axis("step").reset_index()

    def to_dict(self) -> dict[str, Any]:
        """Return the runs as the JSON that other programs read: `models`, each with its `steps`."""
        return {"schema": SCHEMA, "models": [run.to_dict() for run in self.models]}
