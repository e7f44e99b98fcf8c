"""From a Trace to a Record: the columns of all analyzers beside one another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import isclose, isnan
from typing import Any, NamedTuple

from pandas import NA, DataFrame, NaT, StringDtype

from inception_lab.analyzers.analyzer import Analyzer
from inception_lab.analyzers.cost import COST
from inception_lab.analyzers.memory.table import MEMORY
from inception_lab.analyzers.receptive_field.table import RECEPTIVE_FIELD
from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.ir.structure import layer_calls, layer_name
from inception_lab.ir.trace import Trace
from inception_lab.metrics import METRICS
from inception_lab.record import Record

ANALYZERS: tuple[Analyzer, ...] = (COST, MEMORY, RECEPTIVE_FIELD)
"""Every analyzer, in the order of their columns. To add one, write its file and list it here."""


class _Claim(NamedTuple):
    """A column, a total or a fact, and the name of the analyzer that it comes from."""

    analyzer: str
    data: Any


@checked
def summarise(trace: Trace, analyzers: Iterable[Analyzer] = ANALYZERS) -> Record:
    """Run analyzers over a trace and set their columns beside one another.

    Args:
        trace: Of any mode.
        analyzers: Those whose columns and totals the record holds, in this order.

    Raises:
        InceptionLabError: An analyzer raises, or gives no table or no totals; two claim one column, total or
            fact; a column holds what JSON has not; the rows of a table are not the layer calls of the trace;
            a metric lacks a value, or its column does not add up to its total; a total is not a metric.

    Example:
        >>> import inception_lab as il
        >>> record = summarise(il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224)))
        >>> record.totals["macs"], record.layers[1]["layer"]
        (1582671872, 'conv1.conv')
    """
    if not isinstance(analyzers, Iterable):
        raise InceptionLabError(
            f"{analyzers!r} is not a list of analyzers", hint="leave it out for all of them"
        )
    calls = layer_calls(trace)
    keys: dict[str, list[Any]] = {"layer": [layer_name(c) for c in calls], "call": [c.number for c in calls]}
    columns: dict[str, _Claim] = {}
    totals: dict[str, _Claim] = {}
    facts = {name: _Claim("context", fact) for name, fact in _context(trace).items()}
    for analyzer in analyzers:
        if not isinstance(analyzer, Analyzer):
            raise InceptionLabError(f"{analyzer!r} is not an analyzer", hint="pass an Analyzer")
        with _faults_of(analyzer):
            # rows go by their place: by an index of its own, pandas would sort a table's rows differently
            table = _table(analyzer, trace).reset_index(drop=True)
            _check_keys(analyzer, table, keys)
            _check_json(analyzer, table)
            _claim(columns, "column", analyzer, table.drop(columns=list(keys)).items())
            sums = _sums(analyzer, trace, table)
            _check_sums(analyzer, table, sums)
            _claim(totals, "total", analyzer, sums.items())
            _claim(facts, "fact", analyzer, analyzer.facts(trace).items())
    return Record(
        context={name: fact.data for name, fact in facts.items()},
        totals={name: total.data for name, total in totals.items()},
        uncounted_ops=tuple(
            {"name": name, "count": times} for name, times in trace.context.uncounted_ops.items()
        ),
        unexecuted_modules=tuple(call.path for call in calls if not call.executed),
        layers=_rows(DataFrame(keys | {name: column.data for name, column in columns.items()})),
    )


@contextmanager
def _faults_of(analyzer: Analyzer) -> Iterator[None]:
    """Turn what an analyzer raises, other than a refusal, into one line with its name."""
    try:
        yield
    except InceptionLabError:
        raise
    except Exception as error:
        raise InceptionLabError(
            f"raised {type(error).__name__}: {error}", where=f"analyzer {analyzer.name!r}"
        ) from error


def _table(analyzer: Analyzer, trace: Trace) -> DataFrame:
    table: object = analyzer.layers(trace)
    if not isinstance(table, DataFrame):
        raise _refusal(analyzer, f"its layers gave {table!r}", "return a DataFrame")
    return table


def _sums(analyzer: Analyzer, trace: Trace, table: DataFrame) -> Mapping[str, int]:
    sums: object = analyzer.totals(trace, table)
    if not isinstance(sums, Mapping):
        raise _refusal(analyzer, f"its totals gave {sums!r}", "return a dictionary, {} for none")
    return sums


def _refusal(analyzer: Analyzer, what: str, hint: str) -> InceptionLabError:
    return InceptionLabError(what, where=f"analyzer {analyzer.name!r}", hint=hint)


def _check_keys(analyzer: Analyzer, table: DataFrame, keys: Mapping[str, list[Any]]) -> None:
    """Refuse a table whose rows are not the layer calls of the trace, in their order."""
    for name, key in keys.items():
        if list(table.columns).count(name) != 1 or table[name].tolist() != key:
            raise _refusal(
                analyzer,
                f"its column {name!r} is not that of the layer calls",
                "make a row for each of structure.layer_calls, in that order",
            )


def _check_json(analyzer: Analyzer, table: DataFrame) -> None:
    """Refuse a column that a record cannot be written with: infinity, sets, arrays."""
    for name, column in table.items():
        if isinstance(column.dtype, StringDtype) or column.dtype.kind in "biu":
            continue  # text and whole numbers always can be
        try:
            # unlike tolist(), to_dict() makes Python's numbers of those of numpy
            json.dumps([v for v in column.to_dict().values() if not _is_missing(v)], allow_nan=False)
        except (TypeError, ValueError) as error:
            what = f"its column {name!r} cannot be written: {error}"
            raise _refusal(analyzer, what, "use finite numbers, text, and lists of them") from error


def _check_sums(analyzer: Analyzer, table: DataFrame, sums: Mapping[str, int]) -> None:
    """Refuse a metric without a value in some row, and a total that is not the sum of its column."""
    for name in [name for name in table.columns if name in METRICS]:
        column = table[name]
        if column.isna().any():
            layer = table["layer"][column.isna()].iloc[0]
            raise _refusal(analyzer, f"{name!r} has no value for {layer!r}", "compute it")
        # a column may be a metric without a total of its own
        if not _is_sum(sums.get(name, column.sum()), column.sum()):
            raise _refusal(
                analyzer,
                f"its total of {name!r} is {sums[name]}, but the rows add up to {column.sum()}",
                "let each row hold its own share",
            )


def _is_sum(total: Any, row_sum: Any) -> bool:
    """True for the same integers, and for floats that differ by rounding alone."""
    if isinstance(total, float) or isinstance(row_sum, float):  # those of numpy are Python's too
        return isclose(total, row_sum)
    return bool(total == row_sum)


def _claim(
    claims: dict[str, _Claim], kind: str, analyzer: Analyzer, named_data: Iterable[tuple[Any, Any]]
) -> None:
    """Add an analyzer's columns, totals or facts to the others; refuse a name that is claimed already."""
    for name, data in named_data:
        if name in claims:
            raise _refusal(
                analyzer,
                f"{kind} {name!r} belongs to analyzer {claims[name].analyzer!r} already",
                "give it another name",
            )
        claims[str(name)] = _Claim(analyzer.name, data)


def _context(trace: Trace) -> dict[str, Any]:
    context = trace.context
    facts = {
        "tool": context.tool,
        "torch": context.torch,
        "model": context.model,
        "input_shapes": [list(shape) for shape in context.input_shapes],
        "mode": context.mode,
        "dtype": context.dtype,
        "complete": context.complete,
    }
    beside = {"arguments": list(context.arguments)}
    step = {**beside, "loss": context.loss, "optimizer": context.optimizer, "autocast": context.autocast}
    real_run = {"device": context.device} if context.fallback else {}
    reasons = [f"ran for real, as on meta: {context.fallback}"] if context.fallback else []
    note = {"note": "; ".join([*reasons, *context.notes])}
    return facts | {k: v for k, v in (step | real_run | note).items() if v}


def _rows(layers: DataFrame) -> tuple[dict[str, Any], ...]:
    """A dictionary per row, without what does not hold there; `call` only where a module is called again."""
    rows = [
        {str(k): _plain(v) for k, v in row.items() if not _is_missing(v)} for row in layers.to_dict("records")
    ]
    return tuple({k: v for k, v in row.items() if k != "call" or v} for row in rows)


def _is_missing(value: object) -> bool:
    """True for None and what pandas has in its place, such as NaN, which JSON has not."""
    return value is None or value is NaT or value is NA or (isinstance(value, float) and isnan(value))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
