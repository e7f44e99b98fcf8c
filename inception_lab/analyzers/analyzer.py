"""An analyzer: from a Trace to a table with a row per layer call, and its totals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

    from inception_lab.ir.trace import Trace


def _no_facts(trace: Trace) -> Mapping[str, Any]:
    del trace
    return {}


@dataclass(frozen=True)
class Analyzer:
    """One analysis of a trace.

    Attributes:
        name: As errors name it.
        layers: Makes its table: columns `layer` and `call` first, a row for each of
            `structure.layer_calls`, in that order. Its other columns have names that no other analyzer has.
        totals: Makes totals of the trace and that table, by metric name; the total of a column is its sum.
        facts: Makes what the context says beside the facts of the trace, by name; none by default.
    """

    name: str
    layers: Callable[[Trace], DataFrame]
    totals: Callable[[Trace, DataFrame], Mapping[str, int]]
    facts: Callable[[Trace], Mapping[str, Any]] = _no_facts
