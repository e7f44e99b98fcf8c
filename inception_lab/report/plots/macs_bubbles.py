"""Models by their MACs and one more figure, as bubbles of their peak memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from inception_lab.record import Record
from inception_lab.report.plots.bubbles import Bubble, Bubbles, Guide, Scale, draw_bubbles
from inception_lab.report.plots.families import colour_of, family_colours
from inception_lab.report.sizes import PlotSize
from inception_lab.report.tables import is_reconstruction, model_labels, peak_of


@dataclass(frozen=True)
class Model:
    """A model with its figures.

    Attributes:
        name: Its name.
        macs: Of one forward, or of the step that the other figure is of.
        value: The other figure.
        peak_bytes: The most that the pass or step holds; 0 where that is unknown.
        colour: Of its family.
    """

    name: str
    macs: int
    value: float
    peak_bytes: int
    colour: str

    @property
    def rate(self) -> float:
        """MACs to one of the other figure."""
        return self.macs / self.value


Figures = Callable[[Record], tuple[int, float]]


def models_of(records: Sequence[Record], figures: Figures) -> list[Model]:
    """The models with MACs and another figure, those with the largest peak first.

    Args:
        records: One per model.
        figures: The MACs of a record and the other figure; 0 where it has none.
    """
    colours, labels = family_colours(records), model_labels(records)
    models = [
        Model(label, *figures(record), peak_of(record), colour_of(record, colours))
        for label, record in zip(labels, records, strict=True)
        if all(figures(record))
    ]
    return sorted(models, key=lambda model: (-model.peak_bytes, model.name))


def draw_models(
    records: Sequence[Record],
    models: Sequence[Model],
    heading: tuple[str, str],
    scales: tuple[Scale, Scale],
    guides: Sequence[Guide],
    size: PlotSize,
) -> Figure:
    """A bubble per model: across its MACs, upwards the other figure, by area its peak memory."""
    has_peaks = all(model.peak_bytes for model in models)
    plot = Bubbles(
        heading=heading,
        models=[_bubble(model, model.peak_bytes * has_peaks) for model in models],
        x=scales[0],
        y=scales[1],
        key=list(family_colours(records).items()),
        notes=["*: a reconstruction"] * any(map(is_reconstruction, records)),
        guides=guides,
    )
    return draw_bubbles(plot, size)


def _bubble(model: Model, peak_bytes: int) -> Bubble:
    style = {"facecolor": f"{model.colour}cc", "edgecolor": "white", "linewidth": 1.0}
    return Bubble(model.name, (model.macs, model.value), style, peak_bytes)
