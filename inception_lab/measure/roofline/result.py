"""Times of a model, its trace and the ceilings of the machine, and all that follows from the three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, cast

import torch
from pandas import DataFrame
from torch import nn

from inception_lab.arguments import checked
from inception_lab.ir.trace import Mode, Trace
from inception_lab.measure.device_trace import Device, trace_for_device
from inception_lab.measure.roofline.ceilings import check_dtype, measure_ceilings
from inception_lab.measure.roofline.limits import Ceilings
from inception_lab.measure.roofline.tables import (
    macs_beside_time,
    roofline,
    roofline_by_module,
    roofline_totals,
)
from inception_lab.measure.timing.context import ambient_autocast
from inception_lab.measure.timing.results import LayerTimes
from inception_lab.measure.timing.rounds import Progress
from inception_lab.measure.timing.timing import SECONDS, layer_times, timed_device
from inception_lab.record import Row
from inception_lab.running.inputs import Inputs, with_arguments
from inception_lab.running.losses import Loss
from inception_lab.running.optimizers import MakeOptimizer, NamedOptimizer


@dataclass(frozen=True, eq=False)
class Roofline:
    """The times of a model beside what its trace and the machine allow.

    Attributes:
        times: Of the model.
        trace: Of the same step.
        ceilings: Of the same machine.
    """

    times: LayerTimes
    trace: Trace
    ceilings: Ceilings

    @property
    def layers(self) -> DataFrame:
        """The table of `roofline`.

        Raises:
            InceptionLabError: As of `roofline`.
        """
        return roofline(self.times, self.trace, self.ceilings)

    def by_module(self, depth: int = 1) -> DataFrame:
        """Return the table of `roofline_by_module`.

        Args:
            depth: Levels below the model at which a module may stand.

        Raises:
            InceptionLabError: As of `roofline_by_module`.
        """
        return roofline_by_module(self.times, self.trace, self.ceilings, depth)

    def macs_beside_time(self, depth: int = 1) -> DataFrame:
        """Return the table of `macs_beside_time`.

        Args:
            depth: Levels below the model at which a module may stand.

        Raises:
            InceptionLabError: As of `macs_beside_time`.
        """
        return macs_beside_time(self.times, self.trace, depth)

    @property
    def totals(self) -> Mapping[str, float]:
        """The figures of the whole step: those of its times, then those of `roofline_totals`."""
        return {**self.times.totals, **roofline_totals(self.times, self.trace)}

    def to_dict(self, depth: int | None = None) -> dict[str, Any]:
        """Return the JSON that other programs read: that of the times, with more columns, and `ceilings`.

        Args:
            depth: Levels below the model at which `modules` stand in place of `layers`, None for layers.

        Raises:
            InceptionLabError: As of `roofline`; or the depth is below 1 (exit code 2).
        """
        name, table = ("layers", self.layers) if depth is None else ("modules", self.by_module(depth))
        facts = {k: v for k, v in self.times.to_dict().items() if k not in ("totals", "layers")}
        rows = cast("list[Row]", table.to_dict("records"))
        return facts | {
            "totals": dict(self.totals),
            "ceilings": {k: v for k, v in self.ceilings.to_dict().items() if k != "schema"},
            name: [_with_values(row) for row in rows],
        }


def _with_values(row: Row) -> dict[str, Any]:
    """A row without a note that says nothing, the number of a first call, and figures that there are not."""
    values = {k: v for k, v in row.items() if v or k not in ("call", "note")}
    # a table has None where no row has such a figure, else NaN, which JSON has not
    return {k: v for k, v in values.items() if v is not None and not (isinstance(v, float) and isnan(v))}


@checked
def measure_roofline(
    model: nn.Module,
    inputs: Inputs,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    mode: Mode = "eval",
    loss: Loss | None = None,
    optimizer: str | NamedOptimizer | MakeOptimizer | None = None,
    autocast: torch.dtype | None = None,
    device: str = "cpu",
    threads: int | None = None,
    seconds: float = SECONDS,
    name: str = "",
    ceilings: Ceilings | None = None,
    progress: Progress | None = None,
) -> Roofline:
    """Trace a model, time it as `layer_times`, and measure the ceilings of the machine.

    Args:
        model: As for `layer_times`, like all others that it has too.
        inputs: Of its forward.
        args: As for `trace`.
        kwargs: As for `trace`.
        mode: `eval` or `train`.
        loss: In place of the default.
        optimizer: Train mode only.
        autocast: The dtype of autocast; that of the caller's own by default.
        device: As for `layer_times`.
        threads: PyTorch's threads within an operation.
        seconds: Time budget for the rounds.
        name: Of the model.
        ceilings: Of this machine, dtype, precision and number of threads; measured, or taken from the cache,
            by default.
        progress: Told the part of the rounds that is done.

    Raises:
        InceptionLabError: As of `layer_times`, `trace` and `roofline`; or there are no ceilings of its dtype
            (exit code 2).

    Example:
        >>> model = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
        >>> ceilings = measure_ceilings(threads=1, seconds=0)
        >>> result = measure_roofline(model, (4, 8), threads=1, seconds=0, ceilings=ceilings)
        >>> list(result.layers["layer"]), result.totals["launches"]
        (['(model)', '0', '1', '(outside)'], 2)
    """
    # what can be refused is refused before the rounds, which take their time
    place = timed_device(device)
    inputs = with_arguments(inputs, args, kwargs)
    # operations for real heed the caller's own, those on meta tensors do not
    autocast = autocast or ambient_autocast(place.type)
    trace = trace_for_device(
        model,
        inputs,
        mode=mode,
        loss=loss,
        optimizer=optimizer,
        autocast=autocast,
        device=cast("Device", place.type),
        name=name,
    )
    dtype = getattr(torch, trace.context.autocast or trace.context.dtype)
    if ceilings is None:
        check_dtype(dtype)
    times = layer_times(
        model,
        inputs,
        mode=mode,
        loss=loss,
        optimizer=optimizer,
        autocast=autocast,
        device=device,
        threads=threads,
        seconds=seconds,
        name=name,
        progress=progress,
    )
    if ceilings is None:
        ceilings = measure_ceilings(device=device, dtype=dtype, threads=times.context["threads"])
    return Roofline(times, trace, ceilings)
