"""Field and depth: the pixels that several models see, against their layers and beside their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from matplotlib.figure import Figure

from inception_lab.record import Record
from inception_lab.report.plots.bubbles import Bubble, Bubbles, Line, Scale, draw_bubbles
from inception_lab.report.plots.families import colour_of, family_colours
from inception_lab.report.plots.fitting import headline
from inception_lab.report.plots.wording import partial_text, ratio_text, several_text
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.tables import field_status, is_reconstruction, model_labels
from inception_lab.report.text import layers_text


@dataclass(frozen=True)
class Reach:
    """A model, or several at one place.

    Attributes:
        names: Of the models.
        layers: Convolutions and linears on the longest path.
        field: The largest one of a layer that looks through a window, in pixels along its longest axis.
        input: Pixels of the input along that axis; 0 where that is unknown.
        colour: Of its family.
    """

    names: tuple[str, ...]
    layers: int
    field: int
    input: int
    colour: str

    @property
    def name(self) -> str:
        """The first model, and the number of others."""
        return layers_text(self.names)


def reaches_of(records: Sequence[Record]) -> list[Reach]:
    """The models with layers and a field, the deepest first; those at one place are one."""
    colours, labels = family_colours(records), model_labels(records)
    single = [
        Reach((label,), record.totals["weighted_layers"], *_field(record), colour_of(record, colours))
        for label, record in zip(labels, records, strict=True)
        if record.totals.get("weighted_layers") and _field(record)[0]
    ]
    groups = groupby(sorted(single, key=_place), key=_place)
    return [_together(list(group)) for _, group in groups]


def _place(reach: Reach) -> tuple[int, int, int]:
    return -reach.layers, -reach.field, reach.input


def _together(group: Sequence[Reach]) -> Reach:
    names = tuple([name for reach in group for name in reach.names])
    first = group[0]
    return Reach(names, first.layers, first.field, first.input, first.colour)


def _field(record: Record) -> tuple[int, int]:
    """The largest field on local paths, and the input along the same axis; zeros where one is not exact."""
    rows = record.layers if all(field_status(row) == "exact" for row in record.layers) else ()
    pairs = [
        (int(n), axis) for row in rows if row.get("stride") for axis, n in enumerate(row["receptive_field"])
    ]
    if not pairs:
        return 0, 0
    pixels, axis = max(pairs, key=lambda pair: pair[0])
    shapes, axes = record.context["input_shapes"], record.context.get("axes", ())
    return pixels, int(shapes[0][axes[axis]]) if len(shapes) == 1 and axes else 0


def has_content(records: Sequence[Record]) -> bool:
    """True where two models have layers and a field."""
    return sum(len(reach.names) for reach in reaches_of(records)) > 1


def caption(records: Sequence[Record]) -> str:
    """The meaning of dots and dashes, and the models that see less than their input, in one sentence."""
    reaches = reaches_of(records)
    dots = "A dot is the largest field of any layer that looks through a window"
    return f"{dots}{_input_text(reaches)}{_left_out(records, reaches)}."


def _input_text(reaches: Sequence[Reach]) -> str:
    """The meaning of the dashes, and the models below theirs; empty where no input is known."""
    if not any(reach.input for reach in reaches):
        return ""
    less = [name for reach in reaches if reach.field < reach.input for name in reach.names]
    beyond = f"{', '.join(less)} see{'s' * (len(less) == 1)} less than that" if less else "none sees less"
    return f", a dash the input along the same axis: {beyond}"


def _left_out(records: Sequence[Record], reaches: Sequence[Reach]) -> str:
    """The models that have no dot, as a part of a sentence; empty where all have one."""
    drawn = {name for reach in reaches for name in reach.names}
    missing = [label for label in model_labels(records) if label not in drawn]
    return f"; left out, as no one number describes a field: {', '.join(missing)}" if missing else ""


def _title(reaches: Sequence[Reach]) -> str:
    """The largest field, beside the input that it is of."""
    most = max(reaches, key=lambda reach: reach.field)
    beside = f", {ratio_text(most.field / most.input)} its input" if most.input else ""
    return f"{headline(most.name)} sees farthest: {most.field:,} pixels through {most.layers} layers{beside}"


def draw(records: Sequence[Record], size: PlotSize = PAGE) -> Figure:
    """A dot per model: across its weighted layers, upwards its field, above or below a dash at its input."""
    reaches = reaches_of(records)
    shared, warning = several_text(records), partial_text(records)
    plot = Bubbles(
        heading=(_title(reaches), f"Largest receptive field against depth · {shared}{warning}"),
        models=[_dot(reach) for reach in reaches],
        x=Scale("Weighted layers on the longest path (log)"),
        y=Scale("Field in pixels (log)"),
        key=list(family_colours(records).items()),
        notes=_notes(records, reaches),
        lines=[_stem(reach) for reach in reaches if reach.input],
    )
    return draw_bubbles(plot, size)


def _dot(reach: Reach) -> Bubble:
    style = {"facecolor": reach.colour, "edgecolor": "white", "linewidth": 1.0}
    return Bubble(reach.name, (reach.layers, reach.field), style)


def _stem(reach: Reach) -> Line:
    """From a dash at the input's size to the dot."""
    corners = [(float(reach.layers), float(pixels)) for pixels in (reach.input, reach.field)]
    dash = {"marker": "_", "markevery": [0], "ms": 9, "mew": 1.8}
    style = {"color": reach.colour, "lw": 1.0, "alpha": 0.6, "zorder": 2, **dash}
    return Line(corners, style, is_free=False)


def _notes(records: Sequence[Record], reaches: Sequence[Reach]) -> list[str]:
    """The meaning of the marks, and the models that share a dot."""
    notes = ["dot: the field; dash: the input"] * any(reach.input for reach in reaches)
    notes += ["*: a reconstruction"] * any(map(is_reconstruction, records))
    notes += ["on local paths, some models also see whole axes"] * any(map(_has_context, records))
    return notes + [f"{r.name}: {', '.join(r.names)}" for r in reaches if len(r.names) > 2]


def _has_context(record: Record) -> bool:
    """True where a layer also sees a whole axis, through a gate or the like."""
    return any(row.get("global_context") for row in record.layers)
