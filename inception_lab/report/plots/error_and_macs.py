"""Error and MACs: the published error of several models against their MACs, and the best of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from inception_lab.record import Record
from inception_lab.report.plots.bubbles import Bubble, Bubbles, Line, Scale, draw_bubbles
from inception_lab.report.plots.fitting import headline
from inception_lab.report.plots.pareto_line import corners_of
from inception_lab.report.plots.style import INK, MACS, PALETTE
from inception_lab.report.plots.wording import ratio_text, spaced_steps
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.tables import (
    EVALUATION,
    IMAGES,
    PUBLISHED,
    is_reconstruction,
    model_labels,
    peak_of,
)
from inception_lab.report.text import shape_text
from inception_lab.variants.dominance import front_ranks

COLOURS = (MACS, "#e69f00", PALETTE[5], PALETTE[1], PALETTE[4], PALETTE[7])
"""Of the inputs, the most frequent one first; the last one is that of all further ones."""


@dataclass(frozen=True)
class Point:
    """A model with a published error.

    Attributes:
        name: Its name.
        error: In percent.
        macs: Of one forward.
        peak_bytes: The most that the pass or step holds.
        input: The shapes of its inputs.
        evaluation: The way in which the error was measured, such as one crop; empty where that is unknown.
        images: Those that the error was measured on, where not all validation images.
        reconstructed: True where the error is that of the paper's network and the MACs those of a reading.
    """

    name: str
    error: float
    macs: int
    peak_bytes: int
    input: str
    evaluation: str
    images: str
    reconstructed: bool


def points_of(records: Sequence[Record]) -> list[Point]:
    """The models with an error, MACs and a peak, those with the largest peak first."""
    labels = model_labels(records)
    points = [
        Point(
            label.removesuffix(" *"),
            record.context[PUBLISHED],
            record.totals["macs"],
            peak_of(record),
            shape_text(record.context["input_shapes"]),
            record.context.get(EVALUATION, ""),
            record.context.get(IMAGES, ""),
            is_reconstruction(record),
        )
        for label, record in zip(labels, records, strict=True)
        if record.context.get(PUBLISHED) and record.totals.get("macs") and peak_of(record)
    ]
    return sorted(points, key=lambda point: (-point.peak_bytes, point.name))


def common_evaluation(points: Sequence[Point]) -> str:
    """The evaluation of most of them."""
    return Counter(point.evaluation for point in points).most_common(1)[0][0]


def comparable(points: Sequence[Point]) -> list[Point]:
    """Those whose errors were measured alike and on the network whose MACs are shown."""
    common = common_evaluation(points)
    return [point for point in points if point.evaluation == common and not point.reconstructed]


def pareto(points: Sequence[Point]) -> list[Point]:
    """The comparable ones that none of these beats in MACs or error without losing in the other.

    Returns:
        From the fewest MACs to the lowest error.
    """
    alike = sorted(comparable(points), key=_cost)
    ranks = front_ranks(np.array([_cost(point) for point in alike]).reshape(-1, 2), deepest=1)
    return [point for point, rank in zip(alike, ranks, strict=True) if rank == 1]


def _cost(point: Point) -> tuple[int, float]:
    return point.macs, point.error


def has_content(records: Sequence[Record]) -> bool:
    """True where errors of two models can be compared."""
    points = points_of(records)
    return bool(points) and len(comparable(points)) > 1


def caption(records: Sequence[Record]) -> str:
    """The models on the Pareto line, in one sentence, and those that are not drawn."""
    points = points_of(records)
    names = ", ".join(point.name for point in pareto(points))
    missing = len(records) - len(points)
    rest = f"; {missing} without a published error are left out" * bool(missing)
    return f"No other model{_alike(points)} has both fewer MACs and a lower error than these: {names}{rest}."


def _alike(points: Sequence[Point]) -> str:
    """The evaluation that the line is of, as a part of a sentence; empty where it is unknown."""
    common = common_evaluation(points)
    return f" measured with {common}" if common else ""


def _title(points: Sequence[Point]) -> str:
    first, *others = pareto(points)
    if not others:
        return f"{headline(first.name)} has both the fewest MACs and the lowest error"
    last = others[-1]
    return (
        f"{headline(last.name)}: {last.error:g} % error with {ratio_text(last.macs / first.macs)} the MACs "
        f"of {headline(first.name)}, {first.error:g} %"
    )


def _subtitle(records: Sequence[Record]) -> str:
    modes = dict.fromkeys(str(record.context["mode"]) for record in records if PUBLISHED in record.context)
    return f"Published top-5 error on ImageNet against MACs · {' and '.join(modes)}"


def draw(records: Sequence[Record], size: PlotSize = PAGE) -> Figure:
    """A bubble per model: across its MACs, upwards its error, by area its peak memory."""
    points = points_of(records)
    front = Line(
        corners_of([_cost(point) for point in pareto(points)]),
        {"color": INK, "lw": 1.1, "zorder": 2, "gid": "pareto"},
    )
    plot = Bubbles(
        heading=(_title(points), _subtitle(records)),
        models=[_bubble(point, points) for point in points],
        x=Scale("MACs of one forward (log)"),
        y=Scale("Top-5 error in % (log)", _error_ticks),
        key=_colours(points),
        notes=notes_of(points),
        lines=[front],
    )
    return draw_bubbles(plot, size)


def _bubble(point: Point, points: Sequence[Point]) -> Bubble:
    other = point.evaluation if point.evaluation != common_evaluation(points) else ""
    facts = ", ".join(filter(None, [other, "a reconstruction" * point.reconstructed]))
    return Bubble(point.name, (point.macs, point.error), _style(point, points), point.peak_bytes, facts)


def _colours(points: Sequence[Point]) -> list[tuple[str, str]]:
    """The inputs, the most frequent first, and their colours."""
    inputs = [name for name, _ in Counter(point.input for point in points).most_common()]
    return [(f"input {name}", _colour(number)) for number, name in enumerate(inputs)]


def _colour(number: int) -> str:
    return COLOURS[min(number, len(COLOURS) - 1)]


def notes_of(points: Sequence[Point]) -> list[str]:
    """The meaning of line, rings and dashes, as far as there are any."""
    common = common_evaluation(points)
    notes = [f"line and dark rims: no other model{_alike(points)} has both fewer MACs and a lower error"]
    if common:
        notes.append(f"filled: {common}, one net")
    if any(point.evaluation != common for point in points):
        notes.append("ring: another evaluation, not on the line")
    if any(point.reconstructed for point in points):
        notes.append("dashed: a reconstruction with the error of its paper, not on the line")
    return notes + _image_notes(points)


def _image_notes(points: Sequence[Point]) -> list[str]:
    """The models whose errors were measured on a part of the validation images, by these."""
    kinds = sorted({point.images for point in points if point.images})
    return [f"errors on {kind}: {', '.join(p.name for p in points if p.images == kind)}" for kind in kinds]


def _error_ticks(low: float, high: float, inches: float) -> Mapping[float, str]:
    """Round numbers of percent on an axis, as many as there is room for."""
    return {step: f"{step:g}" for step in spaced_steps(low, high, inches, 0.17)}


def _style(point: Point, points: Sequence[Point]) -> dict[str, Any]:
    """Filled, or a ring for another evaluation; dashed for a reconstruction."""
    inputs = [name.removeprefix("input ") for name, _ in _colours(points)]
    colour = _colour(inputs.index(point.input))
    is_alike = point.evaluation == common_evaluation(points) and not point.reconstructed
    rim = INK if point in pareto(points) else "white"
    if is_alike:
        return {"facecolor": f"{colour}cc", "edgecolor": rim, "linewidth": 1.0}
    dashes = (0, (2.5, 1.5)) if point.reconstructed else "-"
    return {"facecolor": "#ffffff99", "edgecolor": colour, "linewidth": 1.6, "linestyle": dashes}
