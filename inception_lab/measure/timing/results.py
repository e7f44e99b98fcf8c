"""Times of a step and of its layers, and of several models side by side, as data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from pandas import DataFrame

from inception_lab.ir.structure import module_at_depth
from inception_lab.measure.timing.statistics import CONFIDENCE, Interval, Spread, spread_of
from inception_lab.measure.timing.table import NS_PER_MS
from inception_lab.record import SCHEMA, Record, Row

NOISY = 0.1
"""Interquartile range of the rounds, as a part of their median, above which they are too noisy to judge."""

SPREAD = "self_iqr_ms"
"""The one column of milliseconds that does not add up."""


@dataclass(frozen=True, eq=False)
class LayerTimes(ABC):
    """Times of a step and of its layers, on one machine; see its two kinds, `CpuTimes` and `CudaTimes`.

    Attributes:
        context: Facts about the run: `model`, `input_shapes`, `mode`, `dtype`, `memory_format`,
            `machine`, `threads`, `torch`, `rounds` and more.
        layers: A row per module call in order of execution, then modules that were never called, then rows
            in parentheses for what belongs to no module. Columns `layer`, `call`, `type`, `executed`,
            `self_ms` (in the call itself, its children apart), `share` (percent of the step), and those of
            the kind of device; in train mode `forward_ms`, `loss_ms`, `backward_ms`, `optimizer_ms`.
        step: Milliseconds of a step; `self_ms` adds up to its median.
        plain: Milliseconds of the same step without anything that measures layers.
    """

    context: Mapping[str, Any]
    layers: DataFrame
    step: Spread
    plain: Spread

    @property
    def step_ms(self) -> float:
        """The median step, which the rows add up to."""
        return self.step.median

    @property
    def note(self) -> str:
        """Says where rounds differ by too much; empty where they do not."""
        spread = max(self.step.relative, self.plain.relative)
        if spread <= NOISY:
            return ""
        return f"too noisy to judge: the middle half of the rounds spans {spread:.0%}, above {NOISY:.0%}"

    @property
    @abstractmethod
    def totals(self) -> Mapping[str, float]:
        """The figures of the whole step, by metric."""

    def by_module(self, depth: int = 1) -> DataFrame:
        """Return the times of whole modules.

        Args:
            depth: Levels below the model at which a module may stand; deeper layers count towards it.

        Returns:
            A row per module in order of execution: `module`, then the sums of `layers`.

        Raises:
            InceptionLabError: The depth is below 1 (exit code 2).
        """
        modules = [module_at_depth(layer, depth) for layer in self.layers["layer"]]
        times = [name for name in self.layers.columns if name.endswith("_ms") and name != SPREAD]
        columns = [*times, *(name for name in ("share", "kernels") if name in self.layers.columns)]
        # Sums of milliseconds as binary fractions would be off in the last digit; nanoseconds are whole.
        sums = self.layers[columns].groupby(modules, sort=False).sum().round(6)
        return sums.rename_axis("module").reset_index()

    def to_record(self) -> Record:
        """Return the times as a record, of the run in place of an analysis; `write_report` takes it."""
        rows = cast("list[dict[str, Any]]", self.layers.to_dict("records"))
        context = {**self.context, **({"note": self.note} if self.note else {})}
        layers = tuple({k: v for k, v in row.items() if k != "call" or v} for row in rows)
        return Record(context, cast("dict[str, int]", dict(self.totals)), (), (), layers)

    def to_dict(self) -> dict[str, Any]:
        """Return the times as the JSON that other programs read."""
        record = self.to_record()
        layers = [dict(row) for row in record.layers]
        return {"schema": SCHEMA, **record.context, "totals": dict(record.totals), "layers": layers}


@dataclass(frozen=True, eq=False)
class CpuTimes(LayerTimes):
    """Times on the CPU, by a clock at every call.

    The rows in parentheses are `(loss)`, `(backward)` and `(optimizer)`, and `(outside)` for what belongs to
    none of these, such as the model's own hooks. `layers` has `self_iqr_ms` too, the interquartile range of
    `self_ms` over the rounds, and `self_cpu_ms`, by the CPU clock of the thread.

    Attributes:
        cpu_ms: Median of the thread's CPU time in a step with clocks; `self_cpu_ms` adds up to it. Under
            several threads those of PyTorch's other ones are not in it.
        overhead: The cost of measuring: time with the clocks over that of the round beside it without.
        cpu_overhead: The same by the thread's CPU time, which other programs on the machine disturb less.
        medians_part: Sum of the layers' medians as a part of the median step; each is divided by it in
            `layers`, so that they add up.
        page_faults: Median number of pages of memory that the system gave to the process in a plain step.
            Layers that touch a page first pay for it; the C library decides which ones it hands back.
    """

    cpu_ms: float
    overhead: Interval
    cpu_overhead: Interval
    medians_part: float
    page_faults: float

    @property
    def totals(self) -> Mapping[str, float]:
        """The figures of the whole step, by metric."""
        return {
            "step_ms": self.step.median,
            "step_iqr_ms": round(self.step.iqr, 6),
            "step_cpu_ms": self.cpu_ms,
            "plain_step_ms": round(self.plain.median, 6),
            "plain_step_iqr_ms": round(self.plain.iqr, 6),
            "overhead_percent": 100 * (self.overhead.median - 1),
            "cpu_overhead_percent": 100 * (self.cpu_overhead.median - 1),
            "page_faults": self.page_faults,
        }


class Measurement(NamedTuple):
    """The result of one of several steps whose rounds took turns.

    Attributes:
        times: Of the step and of its layers.
        plain: Nanoseconds of its plain rounds; those of all steps at one place were made one after the other.
    """

    times: LayerTimes
    plain: Sequence[int]


RATIO_COLUMNS = ("ratio", "ratio_low", "ratio_high", "confidence", "verdict")


@dataclass(frozen=True)
class TimeRatio:
    """Time of a model over that of another one, round by round.

    Attributes:
        model: Name of the first.
        baseline: Name of the other.
        ratio: The median of the rounds' ratios, with its interval.
    """

    model: str
    baseline: str
    ratio: Interval

    @property
    def verdict(self) -> str:
        """The answer in words."""
        if self.ratio.confidence < CONFIDENCE:
            return "too few rounds to judge"
        if self.ratio.low <= 1 <= self.ratio.high:
            wide = self.ratio.high - self.ratio.low > NOISY * self.ratio.median
            return "too noisy to judge" if wide else "no difference"
        return "faster" if self.ratio.high < 1 else "slower"

    def to_dict(self) -> dict[str, Any]:
        """Return the ratio as plain data."""
        return {"model": self.model, "baseline": self.baseline, **_interval_data("ratio", self.ratio)} | {
            "verdict": self.verdict
        }


@dataclass(frozen=True, eq=False)
class TimesComparison:
    """Times of several models whose rounds took turns in one process.

    Attributes:
        models: The times of each.
        ratios: Of each model after the first one, to the first one; of steps without clocks.
    """

    models: tuple[LayerTimes, ...]
    ratios: tuple[TimeRatio, ...]

    @property
    def context(self) -> Mapping[str, Any]:
        """Facts that are the same of all models: the step, the machine and the software."""
        return shared_context([times.context for times in self.models])

    @property
    def notes(self) -> tuple[str, ...]:
        """The models whose rounds differ by too much."""
        return tuple(f"{times.context['model']}: {times.note}" for times in self.models if times.note)

    @property
    def rows(self) -> list[Row]:
        """A row per model: its step without clocks, and the ratio of that to the first model's."""
        columns = ratio_columns(self.ratios)
        steps = (step_columns(times) for times in self.models)
        names = (times.context["model"] for times in self.models)
        return [
            {"model": name, **step, **ratio} for name, step, ratio in zip(names, steps, columns, strict=True)
        ]

    @property
    def table(self) -> DataFrame:
        """The rows as a DataFrame."""
        return DataFrame(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as the JSON that other programs read: `models` without layers, `ratios`."""
        models = [{k: v for k, v in times.to_dict().items() if k != "layers"} for times in self.models]
        return {"schema": SCHEMA, "models": models, "ratios": [ratio.to_dict() for ratio in self.ratios]}


def shared_context(contexts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the facts that are the same of several runs."""
    first, *others = contexts
    return {k: v for k, v in first.items() if all(k in other and other[k] == v for other in others)}


def step_columns(times: LayerTimes) -> Row:
    """Return the columns of a table that tell how long a plain step takes."""
    return {name: times.totals[name] for name in ("plain_step_ms", "plain_step_iqr_ms")}


def ratio_columns(ratios: Sequence[TimeRatio]) -> list[Row]:
    """Return the columns of a table that tell ratios to its first row, empty in that one."""
    data: list[dict[str, Any]] = [{}, *(ratio.to_dict() for ratio in ratios)]
    return [{name: ratio.get(name) for name in RATIO_COLUMNS} for ratio in data]


def _interval_data(name: str, interval: Interval) -> dict[str, float]:
    return {
        name: interval.median,
        f"{name}_low": interval.low,
        f"{name}_high": interval.high,
        "confidence": interval.confidence,
    }


def milliseconds_of(nanoseconds: Sequence[int]) -> Spread:
    """Return median and quartiles of times in milliseconds."""
    return spread_of([value / NS_PER_MS for value in nanoseconds])
