"""The answer of an audit as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from inception_lab.report.terminal import PATH_PART, Column, fitted_table
from inception_lab.report.text import escape_markdown, heading, one_line, render
from inception_lab.report.view import View

if TYPE_CHECKING:
    from inception_lab.audits.audit import Audit, AuditRow

_MOST_NAMED = 3
"""Places that a line names one by one; of more it names the first and the last."""
_MANY = 3
"""Layers of a module whose channels one line says."""
_COLUMNS = ("severity", "place", "property", "value", "reference", "layer", "reference_layer")
_NOTHING = "none"

_SPOKEN = frozenset(
    {
        "bias", "normalisation", "activation", "dropout", "other operation", "operation", "order", "layer",
        "branch", "branches", "head",
    }
)  # fmt: skip
"""Properties whose values need no name in front."""
_OUTCOMES = ("output grid", "receptive field")
_GROWTHS = {"more parameters": "parameters", "more MACs": "MACs"}
"""Columns of growth, with the property of each."""


class _Line(NamedTuple):
    """Departures that are said at once.

    Attributes:
        modules: In which they are.
        layers: Of each module, as `branch 3, layer 2`; empty for the module itself.
        sentence: Behind the place.
    """

    modules: tuple[str, ...]
    layers: tuple[str, ...]
    sentence: str


def audit_text(audit: Audit, view: View) -> str:
    """Departures as sentences, those that are alike as one, then what comes of them module by module.

    Args:
        audit: The answer.
        view: Of the tables; `csv` has a row for each property and layer.
    """
    if view.form == "json":
        return json.dumps(audit.to_dict(), indent=2)
    if view.form == "csv":
        return render([row._asdict() for row in audit.rows], _COLUMNS, "csv")
    return "\n".join(_lines(audit, view)).rstrip() + "\n"


def summary_line(audit: Audit) -> str:
    """Return the answer in one line."""
    number = _count(len(audit.departures), "property", "properties")
    return f"{audit.model} departs from {audit.reference} in {number}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _lines(audit: Audit, view: View) -> Iterator[str]:
    yield from _paragraph(_answer(audit), view, bullet="")
    yield ""
    for line in _merged(audit.departures):
        yield from _paragraph(f"{_place(line)}: {line.sentence}", view, bullet="* ")
    for row in audit.notes:
        yield from _paragraph(_note(row), view, bullet="* Note: ")
    if audit.departures or audit.notes:
        yield ""
    yield from _effect_lines(audit.effects, view)


def _answer(audit: Audit) -> str:
    if audit.departures:
        return f"{summary_line(audit)}:"
    if audit.departs:
        return f"{audit.model} and {audit.reference} differ in figures alone, for a reason that is not known."
    return f"{audit.model} does not depart from {audit.reference}."


def _paragraph(text: str, view: View, bullet: str) -> Iterator[str]:
    if view.form == "markdown":
        yield bullet + escape_markdown(text)
    else:
        yield from view.screen.lines(bullet + text, below=len(bullet[:2]))


def _note(row: AuditRow) -> str:
    if row.property == "dropout layers":
        return (
            f"{row.value} dropout layers where the reference has {row.reference}; a dropout that is a "
            "function leaves no mark in eval mode, train mode shows it."
        )
    if row.property == "input":
        return f"inputs {row.value} and {row.reference}: grids and MACs are not compared."
    return f"{row.property} {row.value} where the reference has {row.reference}."


def _merged(rows: Sequence[AuditRow]) -> list[_Line]:
    """Lines of departures: those of the same sentence at once, first by module and then by layer."""
    modules: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for line in _by_module(rows):
        modules.setdefault((line.layers, line.sentence), []).extend(line.modules)
    layers: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for (parts, sentence), names in modules.items():
        layers.setdefault((tuple(names), sentence), []).extend(parts)
    return [_Line(names, tuple(parts), sentence) for (names, sentence), parts in layers.items()]


def _by_module(rows: Sequence[AuditRow]) -> Iterator[_Line]:
    """A line for each departure, but for one for all the channels of a module where many differ."""
    groups: dict[tuple[str, str], list[AuditRow]] = {}
    for n, row in enumerate(rows):
        module, _, layer = row.place.partition(", ")
        is_of_many = row.property == "channels" and bool(layer)
        groups.setdefault((module, "channels" if is_of_many else str(n)), []).append(row)
    for (module, _), own in groups.items():
        if len(own) < _MANY or len({_sentence(row) for row in own}) == 1:
            yield from (_Line((module,), (row.place.partition(", ")[2],), _sentence(row)) for row in own)
        else:
            value, reference = map(_each, zip(*((row.value, row.reference) for row in own), strict=True))
            layers = tuple(row.place.partition(", ")[2] for row in own)
            yield _Line((module,), layers, f"channels {value} where the reference has {reference}")


def _each(values: Sequence[str]) -> str:
    return _joined(values) if len({*values}) > 1 else f"{values[0]} each"


def _sentence(row: AuditRow) -> str:
    name = "" if row.property in _SPOKEN else f"{row.property} "
    value = f"no {row.property}" if row.value == _NOTHING else name + row.value
    if row.reference == _NOTHING:
        return f"{value} where the reference has none"
    return f"{value} where the reference has {row.reference}"


def _place(line: _Line) -> str:
    modules = _listed(line.modules, "modules" if line.layers != ("",) else "places")
    layers = [layer for layer in line.layers if layer]
    branches = [*_by_branch(layers)]
    if len(branches) > 1:
        of_each = " of each" if len(line.modules) > 1 else ""
        return f"{modules}, {len(layers)} layers{of_each} ({'; '.join(branches)})"
    return ", ".join([modules, *branches])


def _listed(names: Sequence[str], kind: str) -> str:
    if len(names) > _MOST_NAMED:
        return f"{len(names)} {kind} from {names[0]} to {names[-1]}"
    return _joined(names)


def _joined(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _by_branch(layers: Iterable[str]) -> Iterator[str]:
    """Layers, those of one branch together: `branch 2, layers 1 and 2`."""
    branches: dict[str, list[str]] = {}
    for layer in layers:
        branch, _, number = layer.partition(", layer ")
        branches.setdefault(branch, []).append(number)
    for branch, numbers in branches.items():
        word = "layer" if len(numbers) == 1 else "layers"
        yield f"{branch}, {word} {_joined(numbers)}" if numbers != [""] else branch


def _effect_lines(rows: Sequence[AuditRow], view: View) -> Iterator[str]:
    """A table of what comes of departures, module by module; its columns of growth add up to the last row."""
    if not rows:
        return
    modules: dict[str, list[AuditRow]] = {}
    for row in rows:
        modules.setdefault(row.place.partition(", ")[0], []).append(row)
    cells = [{"place": module, **_effect_cells(own)} for module, own in modules.items()]
    columns = [name for name in (*_OUTCOMES, *_GROWTHS) if any(name in row for row in cells)]
    yield "What comes of it (in parentheses what the reference has):"
    yield ""
    if not view.is_fitted:
        yield render(_aligned(cells, columns), ["place", *columns], view.form)
        return
    table = [_effect_column(cells, name) for name in ("place", *columns)]
    yield fitted_table(table, ("place", *_GROWTHS), view.screen)


def _effect_column(cells: Sequence[Mapping[str, str]], name: str) -> Column:
    texts = [one_line(row.get(name, "")) for row in cells]
    is_number = name in _GROWTHS
    return Column(
        name, heading(name), texts, is_number, not is_number, PATH_PART if name == "place" else None
    )


def _effect_cells(rows: Sequence[AuditRow]) -> dict[str, str]:
    cells = {}
    for row in rows:
        # what stands in a branch is not what the module gives in the end
        if row.property in _OUTCOMES and ", branch " not in row.place:
            cells[row.property] = f"{row.value} ({row.reference})"
    for name, metric in _GROWTHS.items():
        growth = sum(_number(r.value) - _number(r.reference) for r in rows if r.property == metric)
        if growth:
            cells[name] = f"{growth:+,}"
    return cells


def _aligned(cells: Sequence[Mapping[str, str]], columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows whose numbers are aligned to the right."""
    rows = [dict(row) for row in cells]
    for name in filter(columns.__contains__, _GROWTHS):
        width = max(len(name), *(len(row.get(name, "")) for row in rows))
        for row in rows:
            row[name] = row.get(name, "").rjust(width)
    return rows


def _number(text: str) -> int:
    return int(text.replace(",", ""))
