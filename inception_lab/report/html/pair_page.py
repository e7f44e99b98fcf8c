"""The page of two nets side by side as HTML that needs nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.record import Record, Row
from inception_lab.report.html.assets import rendered
from inception_lab.report.html.pair_table import Growth, PairTable, cost_of, signed
from inception_lab.report.plots.wording import change_text, ratio_text
from inception_lab.report.tables import readable_columns
from inception_lab.report.text import input_text, label_within, step_text

MOST_ROWS = 40
"""Layers above which the script folds the table at first."""


class Comparison(Protocol):
    """The result of `il.compare`, as far as it is shown."""

    @property
    def records(self) -> tuple[Record, ...]:
        """Of each net."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those in which layers can be compared."""

    def to_dict(self) -> dict[str, Any]:
        """Contexts, totals, ratios and notes."""

    def outline(self) -> list[Row]:
        """Modules that answer to each other, branches and layers."""


def pair_page(comparison: Comparison) -> str:
    """Return the page of two nets.

    Args:
        comparison: Of two.
    """
    data, outline, metrics = comparison.to_dict(), comparison.outline(), comparison.metrics
    table = PairTable(outline, metrics[0]) if metrics and outline else None
    return rendered(
        "pair.html.j2",
        _data(table, metrics),
        {},
        ("page", "pair") if table else ("page",),
        models=[_model(model) for model in data["models"]],
        lead=headline(data["models"], outline, metrics),
        cards=[*_cards(*data["models"])],
        notes=data["notes"],
        sections=[("modules", "Modules"), ("runs", "Runs")],
        metrics=[METRICS[name] for name in metrics],
        groups=table.groups if table else [],
        files=[],
        tool=data["tool"],
    )


def headline(models: Sequence[Mapping[str, Any]], outline: Sequence[Row], metrics: Sequence[str]) -> str:
    """Return how the second net compares with the first, and where it differs, in a few sentences."""
    return " ".join(
        filter(None, [_totals_text(*models), _changes_text(outline), _extremes_text(outline, metrics)])
    )


def _totals_text(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """The ratios of what people ask for first."""
    ratios = second["ratios"]
    names = [name for name in _FIRST if name in ratios]
    names = [name for name in names if name != "macs" or "training_macs" not in ratios]
    if not names:
        return ""
    if all(ratios[name] == 1 for name in names):
        same = _listing([label_within(name) for name in names])
        return f"{second['label']} has the same {same} as {first['label']}."
    parts = _listing([f"{ratio_text(ratios[name])} the {label_within(name)}" for name in names])
    return f"{second['label']} has {parts} of {first['label']}."


def _listing(texts: Sequence[str]) -> str:
    *most, last = texts
    return f"{', '.join(most)} and {last}" if most else last


def _changes_text(outline: Sequence[Row]) -> str:
    """The number of modules with each kind of change."""
    if not outline:
        return ""
    counts = Counter(row["change"] for row in outline)
    if counts.keys() == {"unchanged"}:
        return "No module differs."
    parts = [f"{count} {change}" for change in _CHANGES if (count := counts[change])]
    return f"Of {len(outline)} modules, {', '.join(parts)}."


_CHANGES = ("changed", "added", "removed", "renamed", "unchanged")


def _extremes_text(outline: Sequence[Row], metrics: Sequence[str]) -> str:
    """The modules with the largest growth and with the largest drop."""
    if not metrics:
        return ""
    growths = [cost_of(row, "second", metrics[0]) - cost_of(row, "first", metrics[0]) for row in outline]
    label, parts = METRICS[metrics[0]].label, []
    for what, sign in (("growth", 1), ("drop", -1)):
        most = max([sign * growth for growth in growths], default=0)
        if most > 0:
            name = _name(outline[growths.index(sign * most)])
            parts.append(f"the largest {what} is that of {name}, {signed(sign * most, metrics[0])} {label}")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _name(row: Row) -> str:
    return str(row["first"] if row["second"] is None else row["second"])


def _model(model: Mapping[str, Any]) -> dict[str, Any]:
    """The name of a net and the run that its figures are of."""
    facts = [f"input {input_text(model)}", step_text(model), model.get("dtype", "")]
    torch = f"torch {model['torch']}" if "torch" in model else ""
    return {"label": model["label"], "facts": ", ".join(filter(None, facts)), "torch": torch}


def _cards(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The totals that both nets have, what people ask for first at the head, with their ratios."""
    both = [name for name in readable_columns([first["totals"], second["totals"]]) if name in METRICS]
    names = dict.fromkeys([name for name in _FIRST if name in both] + both)
    for name in names:
        if name in first["totals"] and name in second["totals"] and name != "flops":
            yield _card(name, first["totals"][name], second["totals"][name], second["ratios"].get(name))


_FIRST = ("training_macs", "macs", "params", "peak_bytes", "train_peak_bytes")


def _card(metric: str, before: float, after: float, ratio: float | None) -> dict[str, str]:
    before_text, after_text = (format_quantity(total, METRICS[metric].unit) for total in (before, after))
    growth = Growth(before, after, metric)
    return {
        "label": METRICS[metric].label,
        "ratio": "" if ratio is None else ratio_text(ratio),
        "change": change_text(before_text, after_text) if growth.text else after_text,
        "exactly": change_text(f"{before:,}", f"{after:,}"),
        "growth": growth.text or "the same",
        "direction": growth.direction,
    }


def _data(table: PairTable | None, metrics: Sequence[str]) -> dict[str, Any]:
    """The data that the script reads."""
    if table is None:
        return {}
    facts = [
        {"name": name, "label": METRICS[name].label, "unit": METRICS[name].unit, **table.values(name)}
        for name in metrics
    ]
    return {"rows": len(table.layers), "most_rows": MOST_ROWS, "pair": facts}
