"""Short training runs as they are drawn: the main loss by step, and the gradients of modules by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pandas import DataFrame

from inception_lab.ir.structure import ROOT
from inception_lab.report.plots.curves import Curve, Numbers, curve_of


@dataclass(frozen=True, eq=False)
class RunOfModel:
    """The run of one variant.

    Attributes:
        name: Of the variant.
        steps: A row per step: `step`, `loss`, `loss_<term>` for each term of it, the main one first, and
            their quartiles, as `Training.by_step` returns it.
        gradients: A row per step and module: `step`, `module`, `weight_gradient`, as
            `Training.gradients_by_step` returns it.
    """

    name: str
    steps: DataFrame
    gradients: DataFrame


@dataclass(frozen=True, eq=False)
class TrainingPlot:
    """Short training runs of one or more variants.

    Attributes:
        context: Facts that they share: `input_shapes`, `optimizer`, `seeds`, `samples`, `machine` and more.
        models: The run of each.
        note: Says what the figures lack; empty where they lack nothing.
    """

    context: Mapping[str, Any]
    models: tuple[RunOfModel, ...]
    note: str = ""


def main_loss(run: RunOfModel) -> str:
    """The column of the main term of the loss, which variants with and without heads have alike."""
    spread = ("loss_low", "loss_high")
    names = [name for name in run.steps.columns if name.startswith("loss_") and name not in spread]
    return names[0] if names else "loss"


def loss_curves(subject: TrainingPlot) -> list[Curve]:
    """The main loss of each model; some may have no point."""
    return [curve_of(run.name, run.steps, main_loss(run), list(run.steps["step"])) for run in subject.models]


@dataclass(frozen=True, eq=False)
class GradientMap:
    """The gradients of a model.

    Attributes:
        name: Of the model.
        modules: In order of execution.
        steps: The numbers of the steps.
        norms: A row per module, a column per step; NaN where a norm is not finite, or not above 0.
    """

    name: str
    modules: tuple[str, ...]
    steps: tuple[int, ...]
    norms: Numbers

    @property
    def has_gaps(self) -> bool:
        """True where a norm is missing."""
        return not np.isfinite(self.norms).all()


def gradient_maps(subject: TrainingPlot) -> list[GradientMap]:
    """The gradients of the models that have any."""
    maps = [_map_of(run) for run in subject.models]
    return [each for each in maps if np.isfinite(each.norms).any()]


def _map_of(run: RunOfModel) -> GradientMap:
    rows = run.gradients[run.gradients["module"] != ROOT]
    modules, steps = tuple(dict.fromkeys(rows["module"])), tuple(dict.fromkeys(rows["step"]))
    table = rows.pivot_table("weight_gradient", "module", "step", "first", dropna=False)
    norms = table.reindex(index=list(modules), columns=list(steps)).to_numpy(float)
    return GradientMap(run.name, modules, steps, np.where(np.isfinite(norms) & (norms > 0), norms, np.nan))
