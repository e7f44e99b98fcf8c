"""Times of a step and of its layers on a GPU, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from inception_lab.measure.timing.clock import BACKWARD, OUTSIDE
from inception_lab.measure.timing.cuda_profile import UNLAUNCHED, LaunchCounts
from inception_lab.measure.timing.cuda_table import GAPS
from inception_lab.measure.timing.results import LayerTimes
from inception_lab.measure.timing.statistics import Spread

_NOT_ATTRIBUTED = (UNLAUNCHED.path, OUTSIDE.path, BACKWARD.path)


@dataclass(frozen=True, eq=False)
class CudaTimes(LayerTimes):
    """Times on a GPU: the step by events, and in it the work of each layer by torch.profiler.

    `self_ms` of a call is its part of the time in which the GPU was busy with kernels, copies and memsets. A
    moment in which several of them run counts once, for the one that began first. The rows in parentheses are
    `(loss)`, `(backward)` for what belongs to no call there, `(optimizer)`, `(no launch)` for work whose
    launch the profiler did not record, `(outside)` for what was launched outside every call, and `(gaps)`
    for the part of the step in which the GPU was idle. `layers` has `device_ms`, the sum of the times of
    kernels alone, and `kernels` too. `plain` is the same as `step`: nothing measures layers in it.

    Attributes:
        profiled_step: Milliseconds of the steps under the profiler, by events.
        counts: Launches and kernels of each of these steps.
        replay: Milliseconds of the same step replayed from a CUDA graph; None where it cannot be captured.
        reason: Says why it cannot.
    """

    profiled_step: Spread
    counts: Sequence[LaunchCounts]
    replay: Spread | None
    reason: str

    @property
    def note(self) -> str:
        """Says all that makes the figures doubtful or incomplete; empty where nothing does."""
        return "; ".join([*filter(None, [super().note]), *self._notes()])

    def _notes(self) -> Iterator[str]:
        kernels = sum(counts.kernels for counts in self.counts)
        launches = sum(counts.launches for counts in self.counts)
        lost = sum(counts.lost for counts in self.counts)
        if launches != kernels or lost:
            yield (
                f"{launches} launches and {kernels} kernels in {len(self.counts)} profiled steps: "
                f"{lost} launches without a kernel, {kernels - launches + lost} kernels without a launch"
            )
        if not self._sum("device_ms"):
            yield "the profiler recorded no kernel"
        gaps = self.layers[self.layers["layer"] == GAPS.path].iloc[0]
        negative = [name for name, value in gaps.items() if str(name).endswith("_ms") and value < 0]
        if negative:
            columns = ", ".join(map(str, negative))
            yield (
                f"{GAPS.path} is negative in {columns}: under the profiler the GPU was busy for longer than "
                "the step takes without"
            )
        if self.replay is None:
            yield f"not captured into a CUDA graph: {self.reason}"

    @property
    def totals(self) -> Mapping[str, float]:
        """The figures of the whole step, by metric; those of graphs are absent where there are none.

        `overhead_percent` is of the steps under the profiler, from which shares come and the step does not.
        """
        kernel_ms = self._sum("device_ms")
        unattributed = self.layers["layer"].isin(_NOT_ATTRIBUTED)
        totals = {
            "step_ms": self.step.median,
            "step_iqr_ms": round(self.step.iqr, 6),
            "plain_step_ms": self.plain.median,
            "plain_step_iqr_ms": round(self.plain.iqr, 6),
            "busy_ms": round(self.step.median - self._gaps_ms, 6),
            "kernel_ms": kernel_ms,
            "kernels": int(self.layers["kernels"].sum()),
            "kernel_launches": max(counts.launches for counts in self.counts),
            "overhead_percent": 100 * (self.profiled_step.median / (self.step.median or 1) - 1),
        }
        if kernel_ms:
            elsewhere = float(self.layers.loc[unattributed, "device_ms"].sum())
            totals["attributed_percent"] = 100 * (1 - elsewhere / kernel_ms)
        if graph_launches := max(counts.graph_launches for counts in self.counts):
            totals["graph_launches"] = graph_launches
        if self.replay is not None:
            totals["graph_step_ms"] = round(self.replay.median, 6)
            totals["launch_overhead_ms"] = round(self.step.median - self.replay.median, 6)
        return totals

    @property
    def _gaps_ms(self) -> float:
        return float(self.layers.loc[self.layers["layer"] == GAPS.path, "self_ms"].sum())

    def _sum(self, column: str) -> float:
        return round(float(self.layers[column].sum()), 6)
