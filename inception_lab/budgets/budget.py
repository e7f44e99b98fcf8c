"""A budget as data: a model, and limits on its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from inception_lab.ir.trace import Mode

Severity = Literal["error", "warn"]


class Growth(NamedTuple):
    """The growth against the lock that a limit allows: the larger of the two counts.

    Attributes:
        percent: Of the locked value; None where only an amount is given.
        amount: In the unit of the metric; None where only percent are given.
    """

    percent: float | None
    amount: float | None


class Ratio(NamedTuple):
    """A limit on a metric as a multiple of another model's.

    Attributes:
        most: The largest multiple.
        to: The other MODEL, or the name of another budget in the same configuration.
    """

    most: float
    to: str


@dataclass(frozen=True)
class Limit:
    """A limit on one metric of a model, or of the layers that a pattern names.

    Attributes:
        metric: Its name, a key of `metrics.METRICS`, or `time`.
        layers: Glob of the paths of layers whose sum is limited; empty for the whole model.
        most: The largest value allowed.
        least: The smallest value allowed.
        growth: Against the lock.
        ratio: To another model.
        severity: `error` fails the check, `warn` is said.
        message: Text of the user's own for a failure.
        line: In the configuration, from 1; None where there is no file.
    """

    metric: str
    layers: str = ""
    most: float | None = None
    least: float | None = None
    growth: Growth | None = None
    ratio: Ratio | None = None
    severity: Severity = "error"
    message: str = ""
    line: int | None = None

    def keeps(self, value: float | None) -> bool:
        """True for a figure between the smallest and the largest value; not so for a missing one."""
        if value is None:
            return False
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)


@dataclass(frozen=True)
class Budget:
    """Limits on one model.

    Attributes:
        name: Of the budget.
        model: MODEL as the user names it.
        kwargs: Keywords of the model.
        input_sizes: Text as for `--input-size`, one per input; empty for the card's.
        batch_size: Images in a batch.
        mode: `eval` or `train`.
        optimizer: Name of the one that ends a training step, None without.
        limits: In the order of the configuration.
        line: Of the budget's table in the configuration, from 1; None where there is no file.
        arguments: Text as for `--arg`, of the model's forward.
    """

    name: str
    model: str
    kwargs: Mapping[str, Any]
    input_sizes: tuple[str, ...]
    batch_size: int
    mode: Mode
    optimizer: str | None
    limits: tuple[Limit, ...]
    line: int | None = None
    arguments: tuple[str, ...] = ()
