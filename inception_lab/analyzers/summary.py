"""From a Trace to a Record: every analyzer's columns beside one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pandas import DataFrame

from inception_lab.analyzers.analyzer import Analyzer
from inception_lab.analyzers.cost import COST
from inception_lab.analyzers.memory.timeline import MEMORY
from inception_lab.analyzers.receptive_field.table import RECEPTIVE_FIELD
from inception_lab.ir.structure import layer_calls
from inception_lab.ir.trace import Trace
from inception_lab.record import Record

ANALYZERS: tuple[Analyzer, ...] = (COST, MEMORY, RECEPTIVE_FIELD)
"""Every analyzer, in the order of their columns. To add one, write its file and list it here."""


def summarise(trace: Trace, analyzers: Sequence[Analyzer] = ANALYZERS) -> Record:
    """Run analyzers over a trace.

    Args:
        trace: Of any mode.
        analyzers: Which ones; fields of any other are absent from the record.

    Example:
        >>> import inception_lab as il
        >>> record = summarise(il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224)))
        >>> record.totals["macs"], record.layers[1]["layer"]
        (1582671872, 'conv1.conv')
    """
    totals: dict[str, int] = {}
    columns: dict[str, Any] = {}
    for analyzer in analyzers:
        layers = analyzer.layers(trace)
        totals.update(analyzer.totals(trace, layers))
        columns |= {str(name): column for name, column in layers.items()}
    return Record(
        context=_context(trace),
        totals=totals,
        uncounted_ops=tuple(
            {"name": name, "count": times} for name, times in trace.context.uncounted_ops.items()
        ),
        unexecuted_modules=tuple(call.path for call in layer_calls(trace) if not call.executed),
        layers=_rows(DataFrame(columns)),
    )


def _context(trace: Trace) -> dict[str, Any]:
    context = trace.context
    found = {
        "tool": context.tool,
        "torch": context.torch,
        "model": context.model,
        "input_shapes": [list(shape) for shape in context.input_shapes],
        "mode": context.mode,
        "dtype": context.dtype,
        "complete": context.complete,
    }
    real = {"device": context.device, "note": f"ran for real, as on meta: {context.fallback}"}
    step = {"loss": context.loss, "optimizer": context.optimizer, "autocast": context.autocast}
    return found | {k: v for k, v in step.items() if v} | (real if context.fallback else {})


def _rows(layers: DataFrame) -> tuple[dict[str, Any], ...]:
    """A dictionary a row without what does not hold; the call number only of a module called again."""
    rows = [{str(k): _plain(v) for k, v in row.items() if v is not None} for row in layers.to_dict("records")]
    return tuple({k: v for k, v in row.items() if k != "call" or v} for row in rows)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
