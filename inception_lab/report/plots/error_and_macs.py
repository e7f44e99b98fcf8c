"""Error and MACs: the published error of several models against their MACs, and the best of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor, hypot, log, log10, pi, sqrt
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inception_lab.metrics import format_quantity
from inception_lab.record import Record
from inception_lab.report.plots.canvas import Box, Canvas, fitted, key_lines, new_canvas
from inception_lab.report.plots.fitting import headline, shorten, text_width, wrap
from inception_lab.report.plots.placing import Rect, along_line, place_beside
from inception_lab.report.plots.style import FAINT, INK, MACS, MARGIN, MUTED, PALETTE, SMALL
from inception_lab.report.plots.wording import ratio_text, round_decades, tick_text
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.tables import EVALUATION, IMAGES, PUBLISHED, is_reconstruction, model_labels
from inception_lab.report.text import shape_text

COLOURS = (MACS, "#e69f00", PALETTE[5], PALETTE[1], PALETTE[4], PALETTE[7])
"""Of the inputs, the most frequent one first; the last one is that of all further ones."""
LARGEST = 0.42
"""Diameter of the largest bubble, in inches."""
_LEFT, _RIGHT, _HEIGHT, _EDGE, _LINE, _APART = 0.62, 0.2, 4.3, 0.4, 0.2, 0.08


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
            _peak(record),
            shape_text(record.context["input_shapes"]),
            record.context.get(EVALUATION, ""),
            record.context.get(IMAGES, ""),
            is_reconstruction(record),
        )
        for label, record in zip(labels, records, strict=True)
        if record.context.get(PUBLISHED) and record.totals.get("macs") and _peak(record)
    ]
    return sorted(points, key=lambda point: (-point.peak_bytes, point.name))


def _peak(record: Record) -> int:
    """The peak of the pass, or of the step."""
    return int(record.totals.get("peak_bytes") or record.totals.get("train_peak_bytes") or 0)


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
    best: list[Point] = []
    for point in sorted(comparable(points), key=_cost):
        if not best or point.error < best[-1].error or _cost(point) == _cost(best[-1]):
            best.append(point)
    return best


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
    notes = wrap("; ".join(notes_of(points)[: 1 if size.is_slide else None]), size.width - 2 * MARGIN, SMALL)
    colours, sizes = _colours(points), _size_key(points, min(size.width - _LEFT - MARGIN, 0.45 * size.width))
    # the key of the sizes stands behind that of the inputs, or below it where the plot is narrow
    lines = key_lines(size, colours, _LEFT)
    end, name, _ = lines[-1][-1]
    is_beside = len(lines) == 1 and end + text_width(name) + 0.5 + sizes[-1].right < size.width
    key = 0 if is_beside else _LINE * len(lines)
    top, heading = key + LARGEST + 0.4, (_title(points), _subtitle(records))
    fixed = top + 0.62 + 0.18 * len(notes)
    (height,) = fitted(size, heading, fixed, min(_HEIGHT, size.width - 1))
    canvas = new_canvas(size, *heading, fixed + height)
    canvas.key(_LEFT, 0.1 + LARGEST / 2 + 0.04 if is_beside else 0.3, colours)
    _draw_sizes(canvas, sizes, size.width - MARGIN - sizes[-1].right if is_beside else _LEFT, key + 0.1)
    canvas.text(_LEFT, top - 0.08, "Top-5 error in % (log)", weight="bold")
    box = Box(_LEFT, top, size.width - _LEFT - _RIGHT, height)
    _draw_panel(canvas, points, box)
    for number, note in enumerate(notes):
        canvas.text(MARGIN, top + height + 0.62 + 0.18 * number, note, color=MUTED, size=SMALL)
    return canvas.figure


def _draw_panel(canvas: Canvas, points: Sequence[Point], box: Box) -> None:
    axes = canvas.axes(box)
    _scale(axes, points, box)
    _draw_front(axes, points)
    _draw_bubbles(axes, points)
    _name_bubbles(axes, points, box)
    middle, foot = box.left + box.width / 2, box.top + box.height + 0.36
    canvas.text(middle, foot, "MACs of one forward (log)", weight="bold", ha="center")


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


def _scale(axes: Axes, points: Sequence[Point], box: Box) -> None:
    """Logarithmic axes on which every bubble keeps clear of the edges."""
    x = _limits([point.macs for point in points], box.width)
    y = _limits([point.error for point in points], box.height)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*x)
    axes.set_ylim(*y)
    across, upwards = round_decades(*x, most=8), _round_errors(*y, apart=(y[1] / y[0]) ** (0.17 / box.height))
    axes.set_xticks(across, map(tick_text, across))
    axes.set_yticks(upwards, [f"{step:g}" for step in upwards])
    axes.set_xticks([], minor=True)
    axes.set_yticks([], minor=True)
    axes.grid(axis="both", color=FAINT)
    axes.spines["bottom"].set_color(INK)


def _limits(values: Sequence[float], inches: float) -> tuple[float, float]:
    """The ends of a logarithmic axis that leaves `_EDGE` inches beyond the values."""
    spread = max(log(max(values) / min(values)), log(1.5))
    middle = log(max(values) * min(values)) / 2
    half = spread / 2 * inches / (inches - 2 * _EDGE)
    return 10 ** ((middle - half) / log(10)), 10 ** ((middle + half) / log(10))


def _round_errors(low: float, high: float, apart: float) -> list[float]:
    """Round numbers of percent on a logarithmic axis, each at least `apart` times the one before."""
    powers = range(floor(log10(low)), floor(log10(high)) + 1)
    steps: list[float] = []
    for step in [factor * 10.0**power for power in powers for factor in (1, 1.5, 2, 3, 4, 5, 6, 8)]:
        if low <= step <= high and (not steps or step >= apart * steps[-1]):
            steps.append(step)
    return steps


def area_of(peak_bytes: float, points: Sequence[Point]) -> float:
    """The area of a bubble in square points, proportional to its bytes."""
    return (72 * LARGEST) ** 2 * peak_bytes / max(point.peak_bytes for point in points)


def _radius(point: Point, points: Sequence[Point]) -> float:
    """Of a bubble, in inches."""
    return sqrt(area_of(point.peak_bytes, points)) / 72 / 2


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


def _draw_bubbles(axes: Axes, points: Sequence[Point]) -> None:
    """The largest ones first, so that small ones lie in front."""
    for point in points:
        size = area_of(point.peak_bytes, points)
        axes.scatter([point.macs], [point.error], s=size, zorder=3, gid=point.name, **_style(point, points))


def _draw_front(axes: Axes, points: Sequence[Point]) -> None:
    """The line below and left of which no comparable model lies."""
    corners = _corners(points)
    axes.plot(*zip(*corners, strict=True), color=INK, lw=1.1, zorder=2, gid="pareto")


def _corners(points: Sequence[Point]) -> list[tuple[float, float]]:
    """The line from member to member, first across and then down."""
    front = pareto(points)
    corners = [(float(front[0].macs), front[0].error)]
    for before, point in pairwise(front):
        corners += [(float(point.macs), before.error), (float(point.macs), point.error)]
    return corners


def _name_bubbles(axes: Axes, points: Sequence[Point], box: Box) -> None:
    """Names beside the bubbles, with a line to each that stands apart; none covers anything."""
    (low_x, high_x), (low_y, high_y) = axes.get_xlim(), axes.get_ylim()

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = log(x / low_x) / log(high_x / low_x), log(y / low_y) / log(high_y / low_y)
        return across * box.width, up * box.height

    discs = [_Disc(*place(point.macs, point.error), _radius(point, points)) for point in points]
    taken = along_line([place(*corner) for corner in _corners(points)], 0.03)
    bounds = Rect(0.02, 0.05, box.width + _RIGHT - 0.05, box.height)
    # from the smallest bubble on, as it is told apart only by its name
    for point, disc in reversed(list(zip(points, discs, strict=True))):
        text = _label(point, points, box.width)
        # nearer to its own bubble than to any other one
        others = [other.square(_APART) for other in discs if other is not disc]
        size = text_width(text, SMALL), 0.13
        rect = place_beside((disc.x, disc.y), disc.radius + 0.03, size, bounds, [*taken, *others])
        taken.append(rect)
        _write(axes, text, rect, disc, box)


class _Disc(NamedTuple):
    """A bubble in inches."""

    x: float
    y: float
    radius: float

    def square(self, beyond: float) -> Rect:
        """A square of the area of the disc, and so much on each side."""
        half = self.radius * sqrt(pi) / 2 + beyond
        return Rect(self.x - half, self.y - half, self.x + half, self.y + half)


def _write(axes: Axes, text: str, rect: Rect, disc: _Disc, box: Box) -> None:
    """A label in its rectangle, and a line to its bubble's edge where it stands apart."""
    whole: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    place = rect.left / box.width, (rect.bottom + 0.025) / box.height
    axes.text(*place, text, size=SMALL, va="baseline", zorder=5, **whole)
    x, y = min(max(disc.x, rect.left), rect.right), min(max(disc.y, rect.bottom), rect.top)
    away = hypot(x - disc.x, y - disc.y)
    if away > disc.radius + _APART:
        part = disc.radius / away
        across = [(disc.x + (x - disc.x) * part) / box.width, x / box.width]
        upwards = [(disc.y + (y - disc.y) * part) / box.height, y / box.height]
        axes.plot(across, upwards, color=MUTED, lw=0.6, zorder=4, **whole)


def _label(point: Point, points: Sequence[Point], room: float) -> str:
    """The name of a model, and whatever its error cannot be compared for."""
    name = shorten(point.name, min(room / 3, 2.2), SMALL)
    other = point.evaluation if point.evaluation != common_evaluation(points) else ""
    facts = ", ".join(filter(None, [other, "a reconstruction" * point.reconstructed]))
    return f"{name} ({facts})" if facts else name


class _Size(NamedTuple):
    """A bubble of the key of sizes, with its text and the inches up to the end of that."""

    area: float
    left: float
    text: str
    right: float


_SIZE_TEXT = "Peak memory"


def _size_key(points: Sequence[Point], room: float) -> list[_Size]:
    """Bubbles of round sizes, the smallest first; up to three, as there is room for."""
    key = _sized(round_sizes(points), points)
    return key if key[-1].right <= room else _sized(round_sizes(points)[::2], points)


def _sized(sizes: Sequence[int], points: Sequence[Point]) -> list[_Size]:
    """The bubbles of some sizes, next to one another."""
    at, key = text_width(_SIZE_TEXT, weight="bold") + 0.2, []
    for size in sizes:
        number, unit = format_quantity(size, "bytes").split()
        text, area = f"{float(number):g} {unit}", area_of(size, points)
        right = at + sqrt(area) / 72 + 0.06 + text_width(text)
        key.append(_Size(area, at, text, right))
        at = right + 0.2
    return key


def _draw_sizes(canvas: Canvas, key: Sequence[_Size], left: float, top: float) -> None:
    """Bubbles of round sizes with their bytes, around one middle."""
    canvas.text(left, top + LARGEST / 2 + 0.04, _SIZE_TEXT, weight="bold")
    axes = canvas.axes(Box(left, top, key[-1].right, LARGEST))
    axes.set_axis_off()
    axes.set_xlim(0, key[-1].right)
    axes.set_ylim(0, LARGEST)
    for size in key:
        radius, middle = sqrt(size.area) / 72 / 2, LARGEST / 2
        style: dict[str, Any] = {"facecolor": "none", "edgecolor": MUTED, "lw": 0.9, "clip_on": False}
        axes.scatter([size.left + radius], [middle], s=size.area, **style)
        axes.text(size.left + 2 * radius + 0.06, middle, size.text, va="center_baseline")


def round_sizes(points: Sequence[Point]) -> list[int]:
    """Up to three sizes of bubbles, round in MiB or the like, from the smallest to about the largest."""
    most, least = max(p.peak_bytes for p in points), min(p.peak_bytes for p in points)
    unit = next((2**power for power in (40, 30, 20, 10) if most >= 2**power), 1)
    steps = [factor * 10**power * unit for power in range(-3, 4) for factor in (1, 2, 5)]
    largest = max(step for step in steps if step <= most)
    # the last one is there also where all are just below the next round size, as 45 MiB is below 50
    small = [size for size in (largest / 25, largest / 5) if size >= least / 2]
    return [round(size) for size in (*small, largest)]
