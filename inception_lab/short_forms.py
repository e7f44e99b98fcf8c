"""Results in one line for a prompt, and as a small table for a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from inception_lab.errors import printable, shortened
from inception_lab.metrics import METRICS, format_quantity

_LONGEST = 60


def subject_of(kind: str, name: object, shapes: object, mode: object) -> str:
    """Return the words that name a result.

    Args:
        kind: Of the result.
        name: Of the model.
        shapes: Of its inputs.
        mode: `eval` or `train`.

    Example:
        >>> subject_of("Trace", "nin", [(1, 3, 224, 224)], "eval")
        'Trace of nin, input 1x3x224x224, eval'
    """
    return f"{kind} of {_text(name)}, input {_shapes_text(shapes)}, {_text(mode)}"


def html_table(title: str, facts: Mapping[str, object]) -> str:
    """Return facts as a table of HTML, escaped, that needs nothing else to be shown.

    Args:
        title: Above the table.
        facts: Text by label.

    Example:
        >>> html_table("<b>", {"MACs": "1.58 G"})
        '<table><caption>&lt;b&gt;</caption><tr><th>MACs</th><td>1.58 G</td></tr></table>'
    """
    rows = "".join(
        f"<tr><th>{escape(_text(label))}</th><td>{escape(_text(text))}</td></tr>"
        for label, text in facts.items()
    )
    return f"<table><caption>{escape(_text(title, 5 * _LONGEST))}</caption>{rows}</table>"


def totals_text(totals: Mapping[str, Any]) -> dict[str, str]:
    """Return totals as people read them, by their labels as these stand in a sentence.

    Args:
        totals: Numbers by the names of metrics.

    Example:
        >>> totals_text({"params": 6_998_552, "peak_bytes": 39_000_000})
        {'parameters': '7.00 M', 'peak memory': '37.2 MiB'}
    """
    metrics = {METRICS[name]: total for name, total in totals.items()}
    return {_within(metric.label): format_quantity(total, metric.unit) for metric, total in metrics.items()}


def _within(label: str) -> str:
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def _text(value: object, longest: int = _LONGEST) -> str:
    return printable(shortened(str(value), longest))


def _shapes_text(shapes: object) -> str:
    if not isinstance(shapes, (list, tuple)) or not shapes:
        return "none"
    texts = [
        "x".join(map(str, shape)) if isinstance(shape, (list, tuple)) else str(shape) for shape in shapes
    ]
    return _text(" and ".join(texts))
