"""The page of one model's report as HTML that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from inception_lab.metrics import METRICS, Unit, format_quantity
from inception_lab.report import answers
from inception_lab.report.branch_colours import NO_BRANCH
from inception_lab.report.branch_series import series_colours
from inception_lab.report.contents import ReportContents
from inception_lab.report.html.assets import rendered
from inception_lab.report.html.cells import page_table
from inception_lab.report.html.inline_svg import Figure, inline_svg
from inception_lab.report.html.layer_groups import ModuleGroup, layer_groups, layer_kinds
from inception_lab.report.html.layer_table import LayerTable
from inception_lab.report.html.map_facts import MapFacts, MapMetric, box_data, map_metrics
from inception_lab.report.html.optional_sections import Section, optional_sections
from inception_lab.report.map.drawing import map_svg
from inception_lab.report.map.layout import DISTANCES, laid_out
from inception_lab.report.map.units import units
from inception_lab.report.text import alike_text, input_text, step_text, subject_text

MOST_BOXES, MOST_ROWS = 150, 300
"""Boxes of the map and rows of the table above which the script folds them at first."""
_BYTES: Mapping[str, Unit] = {"bytes": "bytes"}
_COUNTS: Mapping[str, Unit] = {
    f"{side}_{what}": "count" for side in ("naive", "reduced") for what in ("weights", "macs")
}


def model_page(contents: ReportContents, figures: Mapping[str, Figure], files: Sequence[str]) -> str:
    """Return the page of one model's report.

    Args:
        contents: The results to show.
        figures: The plots, by name.
        files: Names of the files that stand beside it.
    """
    groups = layer_groups(contents)
    colours = {name: colour for name, colour in series_colours(contents).items() if name != NO_BRANCH}
    kinds = {name: number for number, name in enumerate(colours)}
    metrics = map_metrics(contents.record, _layer_times(contents))
    table = LayerTable(contents.record.layers, metrics, kinds)
    drawn = _map(contents, groups, metrics, kinds)
    more, context = [*optional_sections(contents)], contents.record.context
    return rendered(
        "page.html.j2",
        _data(contents, metrics, drawn),
        colours,
        record=contents.record,
        subject=f"input {input_text(context)}, {step_text(context)}, {context['dtype']}",
        cards=[*_cards(contents)],
        sections=[*_sections(contents, more)],
        more=more,
        made=_made_text(contents, groups),
        map=drawn.svg,
        most=drawn.most,
        metrics=metrics,
        figures={name: Markup(inline_svg(figure.svg, name)) for name, figure in figures.items()},
        captions={name: figure.caption for name, figure in figures.items()},
        columns=table.columns,
        groups=[table.rows(group, number) for number, group in enumerate(groups)],
        files=files,
        **_answers(contents),
    )


def _answers(contents: ReportContents) -> dict[str, Any]:
    """The text and tables under each question."""
    peak = f"At the peak: {answers.peak_text(contents)}."
    return {
        "lead": answers.headline(contents),
        "unexecuted": ", ".join(contents.record.unexecuted_modules),
        "saving": page_table(
            "Costs without reductions and with them", answers.saving_rows(contents), _COUNTS
        ),
        "sees": answers.sight_text(contents) if contents.fit.input_size else "",
        "last_field": page_table("Field of the last layer", answers.last_field_rows(contents)),
        "field_ranges": page_table("Fields within each module", answers.field_range_rows(contents)),
        "holds": " ".join(filter(None, [peak, answers.step_note(contents.record)])),
        "memory_kinds": page_table("Memory at the peak", answers.kind_rows(contents), _BYTES),
        "tensors": page_table("The largest tensors at the peak", answers.tensor_rows(contents, 10), _BYTES),
    }


@dataclass(frozen=True)
class _Map:
    """The map as SVG, the most that any box has of the first metric, and what the script needs."""

    svg: Markup
    most: str
    boxes: list[dict[str, Any]]


def _map(
    contents: ReportContents,
    groups: Sequence[ModuleGroup],
    metrics: Sequence[MapMetric],
    kinds: Mapping[str, int],
) -> _Map:
    if contents.dataflow is None:
        return _Map(Markup(), "", [])
    root = laid_out(units(contents.dataflow, contents.record.layers))
    links = {group.name: f"m{number}" for number, group in enumerate(groups)}
    facts = MapFacts(contents.record, metrics, root, layer_kinds(groups, kinds), links)
    most = f"{metrics[0].label} {format_quantity(facts.largest, metrics[0].unit)}" if metrics else ""
    title = f"Map of {subject_text(contents.record.context)}"
    return _Map(Markup(map_svg(root, title, facts)), most, box_data(root))


def _cards(contents: ReportContents) -> Iterator[dict[str, str]]:
    """The headline figures."""
    totals = contents.record.totals
    for name in ("params", "macs", "training_macs", "peak_bytes", "train_peak_bytes", "weighted_layers"):
        if name in totals:
            metric = METRICS[name]
            value = format_quantity(totals[name], metric.unit)
            yield {
                "label": metric.label,
                "value": value,
                "exactly": f"{totals[name]:,}",
                "more": metric.meaning,
            }
    field = answers.last_field_rows(contents)
    if field and "receptive_field" in field[0]:
        sizes = alike_text([row["receptive_field"] for row in field])
        more = f"pixels that a unit of {contents.fit.last_layer} sees along an axis"
        yield {"label": "Receptive field", "value": sizes, "exactly": sizes, "more": more}


def _sections(contents: ReportContents, more: Sequence[Section]) -> Iterator[tuple[str, str]]:
    """Place and short title of each section."""
    if contents.dataflow is not None:
        yield "made", "Map"
    yield "cost", "Cost"
    if contents.fit.input_size:
        yield "sees", "Field"
    yield "holds", "Memory"
    yield from ((section.id, section.short) for section in more)
    yield "files", "Files"


def _layer_times(contents: ReportContents) -> list[float]:
    """The time of each layer of the record; nothing where none was measured."""
    if contents.times is None:
        return []
    times = {(row["layer"], row.get("call", 0)): row["self_ms"] for row in contents.times.layers}
    return [times.get((row["layer"], row.get("call", 0)), 0.0) for row in contents.record.layers]


def _made_text(contents: ReportContents, groups: Sequence[ModuleGroup]) -> str:
    """The number of modules, and of those with branches."""
    forking = [group for group in groups if any(branch.name for branch in group.branches)]
    layers = sum(len(group.rows) for group in groups)
    text = f"{layers:,} layers in {len(groups):,} modules"
    if not forking:
        is_chain = contents.dataflow is not None and contents.dataflow.is_chain
        return f"{text}, one behind the other." if is_chain else f"{text}."
    most = max(sum(bool(branch.name) for branch in group.branches) for group in forking)
    return f"{text}; {len(forking):,} of these fork, into up to {most} branches."


def _data(contents: ReportContents, metrics: Sequence[MapMetric], drawn: _Map) -> dict[str, Any]:
    """The data that the script reads."""
    return {
        "rows": len(contents.record.layers),
        "most_rows": MOST_ROWS,
        "most_boxes": MOST_BOXES,
        "metrics": [metric.to_dict() for metric in metrics],
        "boxes": drawn.boxes,
        "distances": DISTANCES,
    }
