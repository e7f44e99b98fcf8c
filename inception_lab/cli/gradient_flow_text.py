"""The answer of `inception-lab gradient-flow` as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from inception_lab.ir.structure import ROOT
from inception_lab.metrics import METRICS, Unit, format_quantity
from inception_lab.record import Row
from inception_lab.report.tables import columns_of
from inception_lab.report.terminal import facts_text, page
from inception_lab.report.text import Title, input_text, optimizer_text, render, subject_text
from inception_lab.report.view import Layout, View, table_text

if TYPE_CHECKING:
    from pandas import DataFrame

    from inception_lab.measure.gradient_flow.results import GradientFlow, GradientFlows
    from inception_lab.measure.gradient_flow.training_results import Training, Trainings

MOST_STEPS = 25
"""Rows of a training run in a table for a terminal."""

_IMPORTANCE = ("relative_gradient", "output_gradient", "output_variance", "dead", "zeros", "output_mean")
"""Columns that stay longest, behind the gradients and the contributions."""

_LABEL_WIDTH = 12
_COUNTED = {
    "seeds": ("seed", "seeds"),
    "batches": ("batch each", "batches each"),
    "planned_steps": ("step", "steps"),
}
_LOSSES = {"cross_entropy": "cross-entropy", "sum": "sum of all floating outputs"}


def flow_text(flow: GradientFlow, depth: int, view: View) -> str:
    """The modules of a model in order of execution, and what the losses come to.

    Args:
        flow: Of the model.
        depth: Levels below the model at which modules have rows.
        view: Of the table; `csv` has quartiles too.

    Raises:
        InceptionLabError: The view has a column or a metric that the table has not.
    """
    if view.form == "json":
        return json.dumps(flow.to_dict(depth), indent=2)
    rows = _rows(flow.by_module(depth))
    if view.form == "csv":
        return render(rows, columns_of(rows), view.form)
    contributions = [f"contribution_{term}" for term in flow.terms] if len(flow.terms) > 1 else []
    importance = ("weight_gradient", *contributions, *_IMPORTANCE)
    names = [name for name in columns_of(rows) if not name.endswith(_left_out(flow.terms))]
    columns = names if view.wide else ["module", *importance]
    layout = Layout(columns, "weight_gradient", importance, units=_units(names))
    facts = [*_flow_facts(flow), *_run_facts(flow.context)]
    return _page(subject_text(flow.context), table_text(rows, layout, view), facts, view)


def _left_out(terms: Sequence[str]) -> tuple[str, ...]:
    """The ends of columns that are in CSV alone: of quartiles, and of the one term that is the whole loss."""
    return ("_low", "_high", *(f"_{term}" for term in terms if len(terms) == 1))


def _units(names: Sequence[str]) -> dict[str, Unit]:
    """The units of columns that are of a term of the loss."""
    return {name: "percent" if name.startswith("contribution_") else "number" for name in names[2:]}


def _rows(table: DataFrame) -> list[Row]:
    return cast("list[Row]", table.to_dict("records"))


def _page(subject: str, table: str, facts: Sequence[tuple[str, str]], view: View) -> str:
    return page(subject, table, facts_text(facts, _LABEL_WIDTH, view.prose_screen), view.prose_screen)


def _flow_facts(flow: GradientFlow) -> Iterator[tuple[str, str]]:
    yield from _note_facts([flow.note])
    losses = flow.losses.median(numeric_only=True)
    parts = [f"{term} {losses[f'loss_{term}']:.4g}" for term in flow.terms if len(flow.terms) > 1]
    name = _LOSSES.get(flow.context["loss"], flow.context["loss"])
    yield "Loss", ", ".join([f"{losses['loss']:.4g}", *parts, name])
    if ends := _ends_text(flow):
        yield "Gradient", ends
    if flow.heads:
        yield "Heads", "; ".join(f"{term} leaves after {module}" for term, module in flow.heads.items())
    if len(flow.terms) > 1:
        worst = format_quantity(float(flow.losses["mismatch"].max()), "number")
        yield "Check", f"the gradients of the terms and that of the whole loss differ by {worst} of its norm"


def _ends_text(flow: GradientFlow) -> str:
    """The gradients of the weights of the first and of the last module that run, heads apart."""
    table = flow.by_module(1)
    if "weight_gradient" not in table:
        return ""
    runs = table["output_variance"].notna() & table["weight_gradient"].notna() & (table["module"] != ROOT)
    main = table[f"weight_gradient_{flow.terms[0]}"] > 0
    rows = _rows(table[runs & main])
    if len(rows) < 2:
        return ""
    first, last = ((row["module"], row["weight_gradient"]) for row in (rows[0], rows[-1]))
    texts = [f"{format_quantity(gradient, 'number')} in {module}" for module, gradient in (last, first)]
    ratio = f", {format_quantity(first[1] / last[1], 'number')} times as much" if last[1] else ""
    return f"of weights: {', '.join(texts)}{ratio}"


def _run_facts(context: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    numbers = [(context[name], noun) for name, noun in _COUNTED.items() if name in context]
    counts = [f"{number} {noun if number == 1 else nouns}" for number, (noun, nouns) in numbers]
    yield "Runs", ", ".join([*counts, f"weights {context['weights']}"])
    if "learning_rate" in context:
        yield "Optimizer", optimizer_text(context)
    yield "Samples", context["samples"]
    threads = f"{context['threads']} thread{'s' * (context['threads'] != 1)}"
    yield "Machine", f"{context['machine']}, {threads}, torch {context['torch']}"


def flows_text(flows: GradientFlows, figure: str, depth: int, view: View, note: str = "") -> str:
    """One figure of each model's modules side by side.

    Args:
        flows: Of two models or more.
        figure: Such as `weight_gradient`.
        depth: Levels below the models at which modules have rows.
        view: Of the table; `csv` has every figure of each model, one below another.
        note: Names the models that are missing.

    Raises:
        InceptionLabError: The view has a column or a metric that the table has not.
    """
    if view.form == "json":
        return json.dumps({**flows.to_dict(depth), **_incomplete(note)}, indent=2)
    if view.form == "csv":
        rows = _rows(flows.by_module(depth))
        return render(rows, columns_of(rows), view.form)
    rows = _rows(flows.table(figure, depth))
    columns = columns_of(rows)
    metric = METRICS[figure]
    layout = _of_models(columns, metric.unit)
    unit = ", in percent" if metric.unit == "percent" else ""
    figure_fact = "Figure", f"{metric.label}: {metric.meaning}{unit}; medians"
    facts = [*_note_facts([note, *flows.notes]), figure_fact, *_run_facts(flows.context)]
    return _page(_subject(flows.context, metric.label), table_text(rows, layout, view), facts, view)


def _of_models(columns: Sequence[str], unit: Unit) -> Layout:
    """The layout of a table with a column for each model behind the first one."""
    key, *models = columns
    titles = [Title(name) for name in models]
    return Layout([key, *titles], titles[0], titles, units=dict.fromkeys(titles, unit))


def _subject(context: Mapping[str, Any], label: str) -> str:
    """The figure, and the input where it is the same of all models."""
    shapes = [f"input {input_text(context)}"] if "input_shapes" in context else []
    return ", ".join([label, *shapes, context["mode"]])


def training_text(training: Training, view: View) -> str:
    """The losses of a short training run over its steps.

    Args:
        training: Of a model.
        view: Of the table; `csv` has every step, with quartiles.

    Raises:
        InceptionLabError: The view has a column or a metric that the table has not.
    """
    if view.form == "json":
        return json.dumps(training.to_dict(), indent=2)
    rows = _rows(training.by_step())
    columns = columns_of(rows)
    if view.form == "csv":
        return render(rows, columns, view.form)
    names = [name for name in columns if not name.endswith(("_low", "_high"))]
    importance = [name for name in names if name not in ("step", "loss")]
    terms = importance if len(training.terms) > 1 else [name for name in importance if "loss" not in name]
    layout = Layout(names if view.wide else ["step", "loss", *terms], "loss", terms, units=_loss_units(names))
    facts = [*_note_facts([training.note]), *_thinning(rows, view), *_run_facts(training.context)]
    table = table_text(_thinned(rows, view), layout, view)
    return _page(subject_text(training.context), table, facts, view)


def _loss_units(names: Sequence[str]) -> dict[str, Unit]:
    return {name: "number" for name in names if name.startswith("loss_")}


def _every(rows: Sequence[Row], view: View) -> int:
    """The distance of the steps that are shown, where nobody chooses others."""
    is_chosen = view.sort or view.top or view.wide
    return 1 if len(rows) <= MOST_STEPS or is_chosen else -(-len(rows) // (MOST_STEPS - 1))


def _thinned(rows: Sequence[Row], view: View) -> Sequence[Row]:
    """The rows of steps that are equally far apart, and the last one."""
    every = _every(rows, view)
    return [row for number, row in enumerate(rows) if number % every == 0 or number == len(rows) - 1]


def _thinning(rows: Sequence[Row], view: View) -> Iterator[tuple[str, str]]:
    if (every := _every(rows, view)) > 1:
        yield "Rows", f"{len(rows)} steps, one in {every} shown; --wide shows all"


def _note_facts(notes: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield from (("NOTE", note) for note in notes if note)


def _incomplete(note: str) -> dict[str, Any]:
    return {"complete": False, "note": note} if note else {}


def trainings_text(trainings: Trainings, view: View, note: str = "") -> str:
    """The main losses of several models side by side, over the steps.

    Args:
        trainings: Of two models or more.
        view: Of the table; `csv` has every loss of each model, one below another.
        note: Names the models that are missing.

    Raises:
        InceptionLabError: The view has a column or a metric that the table has not.
    """
    if view.form == "json":
        return json.dumps({**trainings.to_dict(), **_incomplete(note)}, indent=2)
    if view.form == "csv":
        rows = _rows(trainings.by_step())
        return render(rows, columns_of(rows), view.form)
    rows = _rows(trainings.table())
    columns = columns_of(rows)
    layout = _of_models(columns, "number")
    notes = _note_facts([note, *trainings.notes])
    facts = [*notes, *_thinning(rows, view), *_run_facts(trainings.context)]
    table = table_text(_thinned(rows, view), layout, view)
    return _page(_subject(trainings.context, "Main loss"), table, facts, view)
