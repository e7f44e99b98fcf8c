"""The findings of a plot of gradient flow, in words."""

from __future__ import annotations

from typing import NamedTuple

from inception_lab.report.plots.fitting import headline
from inception_lab.report.plots.flow_models import (
    FIGURES,
    FlowFigure,
    FlowsPlot,
    depth_of,
    line_rows,
    models_with_heads,
    shares_of,
)
from inception_lab.report.plots.wording import (
    TIMES,
    number_text,
    part_text,
    ratio_text,
    runs_text,
    share_text,
    variants_text,
)


class _Value(NamedTuple):
    """A figure of one module of one variant."""

    model: str
    module: str
    value: float


def _values(subject: FlowsPlot, number: int) -> list[_Value]:
    """The figures on a model's line, in order of execution."""
    model = subject.models[number]
    rows = line_rows(model, subject.figure)
    pairs = zip(rows["module"], rows[subject.figure] if len(rows) else (), strict=True)
    return [_Value(model.name, str(module), float(value)) for module, value in pairs]


def title(subject: FlowsPlot) -> str:
    """The main finding: of one model its first module beside its last, of several how far they are apart."""
    figure = FIGURES[subject.figure]
    lines = [values for number in range(len(subject.models)) if (values := _values(subject, number))]
    sentence = _of_one(figure, lines[0]) if len(lines) == 1 else _of_several(figure, _at_end(subject, lines))
    return f"{sentence[0].upper()}{sentence[1:]}"


def _of_one(figure: FlowFigure, values: list[_Value]) -> str:
    first, last = values[0], values[-1]
    start = f"the {figure.of_module.format(headline(first.module))} is"
    if first is last:
        return f"{start} {_text(figure, first)}"
    if figure.is_log and first.value > 0 and last.value > 0:
        return f"{start} {part_text(first.value / last.value)} that of {headline(last.module)}'s"
    return f"{start} {_text(figure, first)}, of {headline(last.module)}'s {_text(figure, last)}"


def _text(figure: FlowFigure, value: _Value) -> str:
    return f"{number_text(value.value)}{figure.unit}"


def _at_end(subject: FlowsPlot, lines: list[list[_Value]]) -> list[_Value]:
    """The value of each model where what flows has come farthest: a gradient at the first module."""
    end = -1 if FIGURES[subject.figure].is_forward else 0
    order = depth_of(subject).order
    for module in order[::-1] if end else order:
        values = [value for line in lines for value in line if value.module == module]
        if len(values) == len(lines):
            return values
    return [line[end] for line in lines]


def _of_several(figure: FlowFigure, values: list[_Value]) -> str:
    low, high = (pick(values, key=lambda value: value.value) for pick in (min, max))
    is_same = len({value.module for value in values}) == 1
    module = headline(low.module) if is_same else f"the {'last' if figure.is_forward else 'first'} module"
    start = f"the {figure.of_module.format(module)} is"
    if number_text(low.value) == number_text(high.value):
        return f"{start} {_text(figure, low)} in {variants_text(len(values))}"
    if figure.is_log and low.value > 0:
        ratio = high.value / low.value
        times = ratio_text(ratio) if ratio < 1e6 else f"{number_text(ratio)}{TIMES}"
        return f"{start} {times} as large in {headline(high.model)} as in {headline(low.model)}"
    ends = [f"{headline(value.model)} ({_text(figure, value)})" for value in (low, high)]
    return f"{start} smallest in {ends[0]}, largest in {ends[1]}"


def subtitle(subject: FlowsPlot) -> str:
    """The kind of plot, and the runs that it is of."""
    facts = subject.context
    names = [model.name for model in subject.models if len(line_rows(model, subject.figure))]
    seeds = f"{facts['seeds']} seed{'s' * (facts['seeds'] != 1)}"
    batches = f" of {facts['batches']} batches" if facts["batches"] > 1 else ""
    return f"Gradient flow along depth · {runs_text(names, facts, f'{seeds}{batches}')}"


def caption(subject: FlowsPlot) -> str:
    """The range of the figure along the models that are farthest apart, and what heads contribute."""
    figure = FIGURES[subject.figure]
    lines = [values for number in range(len(subject.models)) if (values := _values(subject, number))]
    ends = _at_end(subject, lines)
    farthest = dict.fromkeys(pick(ends, key=lambda value: value.value).model for pick in (min, max))
    parts = [_range_text(figure, line) for line in lines if line[0].model in farthest]
    return f"{figure.label}: {'; '.join([*parts, *_heads_text(subject)])}."


def _range_text(figure: FlowFigure, values: list[_Value]) -> str:
    low, high = (pick(values, key=lambda value: value.value) for pick in (min, max))
    if low is high:
        return f"{_text(figure, low)} in {low.module} of {low.model}"
    return f"from {_text(figure, low)} ({low.module}) to {_text(figure, high)} ({high.module}) in {low.model}"


def _heads_text(subject: FlowsPlot) -> list[str]:
    """The most that the losses of the heads make up of a module's gradient, in the first such model."""
    heads = models_with_heads(subject)
    if not heads:
        return []
    model = subject.models[heads[0]]
    rows = line_rows(model, f"contribution_{model.terms[0]}")
    shares = {str(each): 100 - shares_of(model, each).get(model.terms[0], 100.0) for each in rows["module"]}
    most = max(shares, key=lambda module: shares[module])
    share = share_text(shares[most], 100)
    return [
        f"in {model.name} the losses of the heads make up at most {share} of a module's gradient, in {most}"
    ]
