"""Gradient flow as it is drawn: what stands on a line, where, and what each loss contributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from pandas import DataFrame

from inception_lab.ir.structure import ROOT, in_common_order
from inception_lab.report.plots.curves import Curve, curve_of


@dataclass(frozen=True, eq=False)
class FlowOfModel:
    """The gradient flow of one variant.

    Attributes:
        name: Of the variant.
        table: A row per module: `module`, `type`, and figures with their quartiles as `<figure>_low` and
            `<figure>_high`, as `GradientFlow.by_module` returns it.
        terms: Names of the terms of the loss, the main one first.
        heads: The module behind which a head branches off, by the head's term.
    """

    name: str
    table: DataFrame
    terms: tuple[str, ...]
    heads: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class FlowsPlot:
    """The gradient flow of one or more variants.

    Attributes:
        context: Facts that they share: `input_shapes`, `seeds`, `batches`, `samples`, `machine` and more.
        models: The flow of each.
        figure: The one that is drawn along depth, a name from `FIGURES`.
    """

    context: Mapping[str, Any]
    models: tuple[FlowOfModel, ...]
    figure: str = "weight_gradient"


@dataclass(frozen=True)
class FlowFigure:
    """A figure in words.

    Attributes:
        label: Of its axis.
        of_module: What a sentence calls it, with `{}` in the place of a module.
        is_log: True where ratios of it mean something.
        is_forward: True where it grows from the first module on, false where from the last one back.
        unit: Behind its numbers.
    """

    label: str
    of_module: str
    is_log: bool = True
    is_forward: bool = False
    unit: str = ""


def _percent(label: str, of_module: str) -> FlowFigure:
    return FlowFigure(f"{label}, in percent", of_module, is_log=False, is_forward=True, unit=" %")


FIGURES: Mapping[str, FlowFigure] = MappingProxyType(
    {
        "weight_gradient": FlowFigure("Norm of the gradient of the weights", "gradient of {}'s weights"),
        "relative_gradient": FlowFigure(
            "Norm of the gradient of the weights over the weights'", "relative gradient of {}'s weights"
        ),
        "weight_norm": FlowFigure("Norm of the weights", "norm of {}'s weights"),
        "output_gradient": FlowFigure("Norm of the gradient of the output", "gradient of {}'s output"),
        "output_variance": FlowFigure("Variance of the output", "variance of {}'s output", is_forward=True),
        "output_mean": FlowFigure("Mean of the output", "mean of {}'s output", is_log=False, is_forward=True),
        "zeros": _percent("Zeros among what ReLUs return", "share of zeros of {}'s ReLUs"),
        "dead": _percent("Dead channels of ReLUs", "share of dead channels of {}'s ReLUs"),
    }
)
"""Every figure by its column, read-only."""


def line_rows(model: FlowOfModel, figure: str) -> DataFrame:
    """The rows of the modules that stand on the line: with the figure, and not of a head alone."""
    table = model.table
    if figure not in table:
        return table.iloc[:0]
    is_there = np.isfinite(table[figure].to_numpy(float)) & (table["module"] != ROOT)
    rows: DataFrame = table[is_there & ~table["module"].isin(head_modules(model))]
    return rows


def head_modules(model: FlowOfModel) -> list[str]:
    """The modules whose weights the main loss does not reach, but that of a head does."""
    first, *others = [f"weight_gradient_{term}" for term in model.terms]
    columns = [name for name in others if name in model.table]
    if first not in model.table or not columns:
        return []
    is_of_head = (model.table[first] == 0) & (model.table[columns] > 0).any(axis=1)
    return list(model.table["module"][is_of_head])


@dataclass(frozen=True)
class Depth:
    """The axis of modules in order of execution.

    Attributes:
        lines: The modules on each model's line.
        order: The modules of all models, each with a column; empty where models have different modules,
            whose columns share the axis from 0 to 1 evenly.
    """

    lines: Sequence[Sequence[str]]
    order: Sequence[str]

    @property
    def end(self) -> float:
        """The end of the axis, which begins at 0."""
        return float(len(self.order) or 1)

    def spans(self, number: int) -> list[tuple[float, float]]:
        """The columns of a model's modules."""
        modules = self.lines[number]
        if not self.order:
            return [(place / len(modules), (place + 1) / len(modules)) for place in range(len(modules))]
        places = [self.order.index(module) for module in modules]
        return [(float(place), place + 1.0) for place in places]

    def middles(self, number: int) -> list[float]:
        """The places of a model's points."""
        return [(start + end) / 2 for start, end in self.spans(number)]


def depth_of(subject: FlowsPlot) -> Depth:
    """The axis of a plot: common modules where models share at least half of those of the smallest one."""
    lines = [list(line_rows(model, subject.figure)["module"]) for model in subject.models]
    full = [set(line) for line in lines if line]
    common = set.intersection(*full) if full else set()
    is_common = 2 * len(common) >= min(map(len, full), default=0)
    return Depth(lines, in_common_order(lines) if is_common else ())


def curves_of(subject: FlowsPlot, depth: Depth) -> list[Curve]:
    """The lines of the models; some may have no point."""
    return [
        curve_of(model.name, line_rows(model, subject.figure), subject.figure, depth.middles(number))
        for number, model in enumerate(subject.models)
    ]


@dataclass(frozen=True)
class HeadMark:
    """The place at which a head branches off.

    Attributes:
        name: Of the head.
        place: On the axis.
        number: Of the model.
    """

    name: str
    place: float
    number: int


def head_marks(subject: FlowsPlot, depth: Depth) -> list[HeadMark]:
    """The places of all heads, from left to right; those of several models at one place once."""
    marks: dict[tuple[str, float], HeadMark] = {}
    for number, model in enumerate(subject.models):
        ends = dict(zip(depth.lines[number], [end for _, end in depth.spans(number)], strict=True))
        if not ends:  # nothing of it is drawn
            continue
        for name, module in model.heads.items():
            if module not in set(model.table["module"]):
                continue
            before = [ends[each] for each in _up_to(model, module) if each in ends]
            mark = HeadMark(name, before[-1] if before else 0.0, number)
            marks.setdefault((name, mark.place), mark)
    return sorted(marks.values(), key=lambda mark: mark.place)


def _up_to(model: FlowOfModel, module: str) -> list[str]:
    modules = list(model.table["module"])
    return modules[: modules.index(module) + 1]


def shares_of(model: FlowOfModel, module: str) -> dict[str, float]:
    """Each term's part of the gradient by a module's weights in percent; none where it has no gradient.

    The medians of the parts add up to about 100, the shares exactly.
    """
    columns = [name for term in model.terms if (name := f"contribution_{term}") in model.table]
    (row,) = model.table.loc[model.table["module"] == module, columns].to_numpy(float)
    if not len(row) or not np.isfinite(row).all() or row.sum() <= 0:
        return {}
    names = [name.removeprefix("contribution_") for name in columns]
    return dict(zip(names, map(float, 100 * row / row.sum()), strict=True))


def models_with_heads(subject: FlowsPlot) -> list[int]:
    """The numbers of the models whose loss has several terms that the table has shares of."""
    return [
        number
        for number, model in enumerate(subject.models)
        if len(model.terms) > 1 and len(line_rows(model, f"contribution_{model.terms[0]}"))
    ]
