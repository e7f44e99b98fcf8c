"""Parameters and MACs: the size of several models against their work, and what each of them holds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from matplotlib.figure import Figure

from inception_lab.metrics import format_quantity
from inception_lab.record import Record
from inception_lab.report.plots.bubbles import Guide, Scale
from inception_lab.report.plots.fitting import headline
from inception_lab.report.plots.macs_bubbles import Model, draw_models, models_of
from inception_lab.report.plots.wording import leader, partial_text, ratio_text, several_text
from inception_lab.report.sizes import PAGE, PlotSize

GUIDES = tuple(Guide(1 / macs, f"{macs:,} MACs per parameter") for macs in (1, 10, 100, 1000, 10_000))


def _models(records: Sequence[Record]) -> list[Model]:
    return models_of(records, lambda record: (record.totals.get("macs", 0), record.totals.get("params", 0)))


def has_content(records: Sequence[Record]) -> bool:
    """True where two models have MACs and parameters."""
    return len(_models(records)) > 1


def caption(records: Sequence[Record]) -> str:
    """The ends of MACs per parameter and of peaks with their models, in one sentence."""
    models = _models(records)
    names, rates = [model.name for model in models], [model.rate for model in models]
    least, most = leader(names, [-rate for rate in rates]), leader(names, rates)
    missing = len(records) - len(models)
    return (
        f"Each parameter takes part in {format_quantity(min(rates))} MACs in {least} and in "
        f"{format_quantity(max(rates))} in {most}{_peak_text(models)}"
        f"{f'; {missing} without MACs or parameters left out' * bool(missing)}."
    )


def _peak_text(models: Sequence[Model]) -> str:
    """The smallest and the largest area with their models; empty where a peak is unknown."""
    names, peaks = [model.name for model in models], [model.peak_bytes for model in models]
    if not all(peaks):
        return ""
    low, high = (format_quantity(peak, "bytes") for peak in (min(peaks), max(peaks)))
    least = leader(names, [-peak for peak in peaks])
    return f"; areas are peaks, from {low} in {least} to {high} in {leader(names, peaks)}"


def _title(models: Sequence[Model]) -> str:
    """The two models whose parameters and MACs contradict each other most, or the smallest and largest."""
    large, small = max(permutations(models, 2), key=lambda pair: _contrast(*pair))
    if _contrast(large, small):
        params, macs = ratio_text(large.value / small.value), ratio_text(small.macs / large.macs)
        return f"{headline(large.name)}: {params} the parameters of {headline(small.name)}, {macs} fewer MACs"
    large, small = max(models, key=_size), min(models, key=_size)
    params, macs = ratio_text(large.value / small.value), ratio_text(large.macs / small.macs)
    return f"{headline(large.name)}: {params} the parameters and {macs} the MACs of {headline(small.name)}"


def _contrast(one: Model, other: Model) -> float:
    """The smaller of two ratios: how many times more parameters, and how many times fewer MACs; or 0."""
    smaller = min(one.value / other.value, other.macs / one.macs)
    return smaller if smaller > 1 else 0


def _size(model: Model) -> tuple[int, float]:
    return model.macs, model.value


def draw(records: Sequence[Record], size: PlotSize = PAGE) -> Figure:
    """A bubble per model: across its MACs, upwards its parameters, by area its peak memory."""
    models = _models(records)
    subtitle = f"Parameters against MACs · {several_text(records)}{partial_text(records)}"
    scales = Scale("MACs of one forward (log)"), Scale("Parameters (log)")
    return draw_models(records, models, (_title(models), subtitle), scales, GUIDES, size)
