"""Time and MACs: the measured time of several models against their work, and what each of them holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from inception_lab.metrics import format_quantity
from inception_lab.record import Record
from inception_lab.report.plots.bubbles import Guide, Scale, decade_ticks
from inception_lab.report.plots.fitting import headline
from inception_lab.report.plots.macs_bubbles import Model, draw_models, models_of
from inception_lab.report.plots.wording import leader, partial_text, ratio_text, several_text, tick_text
from inception_lab.report.sizes import PAGE, PlotSize

MEASURED = ("plain_step_ms", "step_ms")
"""The totals that hold the time of a step; the first one is without the cost of measuring."""
GUIDES = tuple(Guide(1000 / 10.0**power, f"{tick_text(10**power)}MACs per second") for power in range(8, 15))


def _models(records: Sequence[Record]) -> list[Model]:
    return models_of(records, lambda record: (_macs(record), _time(record)))


def _macs(record: Record) -> int:
    """The MACs of the step that is timed: of a training step those of its backward pass too."""
    name = "training_macs" if record.context["mode"] == "train" else "macs"
    return record.totals.get(name, 0)


def _time(record: Record) -> float:
    """Milliseconds of a step; 0 where it was not measured."""
    return next((float(record.totals[name]) for name in MEASURED if record.totals.get(name)), 0.0)


def has_content(records: Sequence[Record]) -> bool:
    """True where the times of two models were measured."""
    return len(_models(records)) > 1


def caption(records: Sequence[Record]) -> str:
    """The fastest and the slowest model for its MACs, in one sentence."""
    models = _models(records)
    names, rates = [model.name for model in models], [1000 * model.rate for model in models]
    least, most = leader(names, [-rate for rate in rates]), leader(names, rates)
    missing = len(records) - len(models)
    return (
        f"Per second of a step, {most} does {format_quantity(max(rates))} MACs and {least} "
        f"{format_quantity(min(rates))}{f'; {missing} that were not measured left out' * bool(missing)}."
    )


def _title(models: Sequence[Model]) -> str:
    """The model that is slowest for its MACs, beside the one that is fastest."""
    slow, fast = min(models, key=lambda model: model.rate), max(models, key=lambda model: model.rate)
    macs, time = ratio_text(slow.macs / fast.macs), ratio_text(slow.value / fast.value)
    return f"{headline(slow.name)}: {macs} the MACs of {headline(fast.name)}, {time} the time"


def draw(records: Sequence[Record], size: PlotSize = PAGE) -> Figure:
    """A bubble per model: across its MACs, upwards the time of the step, by area its peak memory."""
    models = _models(records)
    runs = [record for record in records if _macs(record) and _time(record)]
    subtitle = f"Time against MACs · {several_text(runs)}, {_machines(runs)}{partial_text(runs)}"
    scales = Scale("MACs of the step (log)"), Scale("Time of the step (log)", _time_ticks)
    return draw_models(records, models, (_title(models), subtitle), scales, GUIDES, size)


def _machines(records: Sequence[Record]) -> str:
    """The machines and threads that the times are of."""
    return " and ".join(dict.fromkeys(map(_machine, records)))


def _machine(record: Record) -> str:
    facts, count = record.context, record.context.get("threads")
    threads = [f"{count} thread{'s' * (count != 1)}"] if count else []
    return ", ".join([str(facts.get("machine", "an unknown machine")), *threads])


def _time_ticks(low: float, high: float, inches: float) -> Mapping[float, str]:
    """Round numbers of milliseconds, and their texts with units."""
    return {step: _short(format_quantity(step, "milliseconds")) for step in decade_ticks(low, high, inches)}


def _short(text: str) -> str:
    number, unit = text.split()
    return f"{float(number.replace(',', '')):g} {unit}"
