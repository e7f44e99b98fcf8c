"""Time of one model over batch sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from pandas import DataFrame
from torch import nn

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Mode
from inception_lab.measure.timing.results import (
    LayerTimes,
    TimeRatio,
    ratio_columns,
    shared_context,
    step_columns,
)
from inception_lab.measure.timing.rounds import Progress
from inception_lab.measure.timing.statistics import median_ratio
from inception_lab.measure.timing.timing import SECONDS, measure_requests
from inception_lab.record import SCHEMA, Row
from inception_lab.running.batches import InputSizes, with_batch
from inception_lab.running.exclusion import one_run_at_a_time, private_copy
from inception_lab.running.inputs import with_arguments
from inception_lab.running.losses import Loss
from inception_lab.running.optimizers import MakeOptimizer, NamedOptimizer
from inception_lab.running.request import Execution, request_of


@dataclass(frozen=True, eq=False)
class BatchTimes:
    """Times of one model over batch sizes, whose rounds took turns in one process.

    Attributes:
        batch_sizes: In the order in which they were given.
        times: Of the step at each.
        ratios: Time per sample at each batch size after the first one, to that at the first one.
    """

    batch_sizes: tuple[int, ...]
    times: tuple[LayerTimes, ...]
    ratios: tuple[TimeRatio, ...]

    @property
    def context(self) -> Mapping[str, Any]:
        """Facts that are the same at all batch sizes: the model, the step and the machine."""
        return shared_context([times.context for times in self.times])

    @property
    def rows(self) -> list[Row]:
        """A row per batch size: its step, the time per sample, and the ratio of that with its interval."""
        return [
            {
                "batch_size": batch_size,
                **step_columns(times),
                "sample_ms": round(times.totals["plain_step_ms"] / batch_size, 6),
                **ratio,
            }
            for batch_size, times, ratio in zip(
                self.batch_sizes, self.times, ratio_columns(self.ratios), strict=True
            )
        ]

    @property
    def table(self) -> DataFrame:
        """The rows as a DataFrame."""
        return DataFrame(self.rows)

    @property
    def notes(self) -> tuple[str, ...]:
        """Batch sizes whose rounds differ by too much."""
        pairs = zip(self.batch_sizes, self.times, strict=True)
        return tuple(f"batch size {size}: {times.note}" for size, times in pairs if times.note)

    def to_dict(self) -> dict[str, Any]:
        """Return the times as the JSON that other programs read: context and `batches`."""
        batches = [{k: v for k, v in row.items() if v is not None} for row in self.rows]
        notes = {"notes": list(self.notes)} if self.notes else {}
        return {"schema": SCHEMA, **self.context, **notes, "batches": batches}


@checked
def times_by_batch(
    model: nn.Module,
    inputs: InputSizes,
    batch_sizes: Sequence[int],
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    mode: Mode = "eval",
    loss: Loss | None = None,
    optimizer: str | NamedOptimizer | MakeOptimizer | None = None,
    autocast: torch.dtype | None = None,
    execution: Execution = "eager",
    device: str = "cpu",
    threads: int | None = None,
    seconds: float = SECONDS,
    name: str = "",
    progress: Progress | None = None,
) -> BatchTimes:
    """Time one model at several batch sizes whose rounds take turns, and the time that a sample takes.

    Each batch size has a copy of the model to itself. Ratios are of the time per sample, round by round.

    Args:
        model: Any module that has data; it is left as it was found.
        inputs: Sizes without the batch, or examples; as for `largest_batch`.
        args: As for `trace`.
        kwargs: As for `trace`.
        batch_sizes: Two or more.
        mode: As for `layer_times`, like all others that it has too.
        loss: For all batch sizes.
        optimizer: For all batch sizes.
        autocast: For all batch sizes.
        execution: For all batch sizes.
        device: `cpu` or `cuda`.
        threads: PyTorch's threads within an operation.
        seconds: Time budget for each batch size.
        name: Name of the model in the result; its class by default.
        progress: Told the part of the work that is done.

    Raises:
        InceptionLabError: As of `layer_times`; or there are not two batch sizes or more, each once (exit
            code 2); or the model cannot be copied (3).

    Example:
        >>> times = times_by_batch(nn.Linear(8, 8), (8,), [1, 4], seconds=0)
        >>> list(times.table["batch_size"]), times.ratios[0].model
        ([1, 4], 'batch size 4')
    """
    _check_batch_sizes(batch_sizes)
    inputs = with_arguments(inputs, args, kwargs)
    one = request_of(
        model,
        with_batch(inputs, batch_sizes[0]),
        mode=mode,
        loss=loss,
        optimizer=optimizer,
        autocast=autocast,
        name=name,
        execution=execution,
    )
    with one_run_at_a_time:  # while another run goes on, a copy would be one of its stand-ins
        others = [
            replace(one, model=private_copy(model), inputs=with_batch(inputs, size))
            for size in batch_sizes[1:]
        ]
        measurements = measure_requests([one, *others], device, threads, seconds, progress)
    samples = [
        [elapsed / size for elapsed in measurement.plain]
        for size, measurement in zip(batch_sizes, measurements, strict=True)
    ]
    ratios = [
        TimeRatio(f"batch size {size}", f"batch size {batch_sizes[0]}", median_ratio(times, samples[0]))
        for size, times in zip(batch_sizes[1:], samples[1:], strict=True)
    ]
    return BatchTimes(tuple(batch_sizes), tuple(m.times for m in measurements), tuple(ratios))


def _check_batch_sizes(batch_sizes: Sequence[int]) -> None:
    if not isinstance(batch_sizes, Sequence) or isinstance(batch_sizes, (str, bytes)):
        raise InceptionLabError(f"batch_sizes={batch_sizes!r} is not a list", hint="give it as [1, 8]")
    wrong = [size for size in batch_sizes if type(size) is not int or size < 1]
    if wrong:
        raise InceptionLabError(f"{wrong[0]!r} is not a batch size", hint="give whole numbers from 1 on")
    if len(batch_sizes) < 2 or len(set(batch_sizes)) < len(batch_sizes):
        raise InceptionLabError(
            f"batch sizes {list(batch_sizes)} have nothing to compare", hint="give two or more, each once"
        )
