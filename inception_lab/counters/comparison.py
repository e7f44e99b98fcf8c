"""Our counts beside those of fvcore and of torch, each difference explained by a rule or reported."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from torch import nn

from inception_lab.analyzers.cost import layer_costs
from inception_lab.analyzers.summary import summarise
from inception_lab.arguments import checked
from inception_lab.counters.counts import CannotRunError, Count
from inception_lab.counters.fvcore_counts import fvcore_counts
from inception_lab.counters.torch_counts import flop_counter_mode_counts
from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Mode, Phase, Trace
from inception_lab.record import Record, Row
from inception_lab.running.inputs import Inputs, with_arguments
from inception_lab.running.losses import Loss
from inception_lab.running.request import Request
from inception_lab.tracing import tracer
from inception_lab.tracing.backends import CPU, META, Backend, fake_backend, is_soon_run

if TYPE_CHECKING:
    from pandas import DataFrame

Verdict = Literal["agree", "explained", "unexplained"]
_FROM_BEST: tuple[Verdict, ...] = ("agree", "explained", "unexplained")

COUNTERS: Mapping[str, Callable[[Trace, Request, Sequence[Backend]], list[Count]]] = MappingProxyType(
    {"fvcore": fvcore_counts, "FlopCounterMode": flop_counter_mode_counts}
)
"""The other counters by name, read-only: functions of our trace, the request that it answers, and the
backends that may run the model again. One raises `CannotRunError` where it cannot. To compare with one more,
add its row and its columns."""


class Column(NamedTuple):
    """A column of another counter.

    Attributes:
        name: As it stands in rows and totals.
        counter: The counter that gives the figures.
        ours: The column of ours that it is compared with.
        phase: The part of the step whose operations are in it.
    """

    name: str
    counter: str
    ours: str
    phase: Phase


COLUMNS = (
    Column("fvcore_macs", "fvcore", "macs", "forward"),
    Column("torch_macs", "FlopCounterMode", "macs", "forward"),
    Column("torch_backward_macs", "FlopCounterMode", "backward_macs", "backward"),
)

Ledger = Mapping[Column, Mapping[str, Sequence[Count]]]
"""Counts by column and layer."""


@dataclass(frozen=True)
class Crosscheck:
    """Our counts beside those of other counters.

    Attributes:
        trace: The trace that was compared.
        record: Context and totals of the trace's summary, with the other counters' totals, and a row per
            layer, its calls summed up: `layer`, `type`, `macs`, `fvcore_macs`, `torch_macs`, in train mode
            `backward_macs` and `torch_backward_macs`, then `verdict` (`agree`, `explained` or
            `unexplained`) and `explanation`. The context adds the worst `verdict`; `checked_by`, the
            counters that ran the model; `differences`, a row per rule that explains some: `column`,
            `why`, `macs`, `layers`; and `not_run`, the reason by counter, where one could not run it.
            Its columns are then absent.

    Example:
        >>> answer = crosscheck(nn.Conv2d(3, 8, 3), (1, 3, 10, 10))
        >>> answer.verdict, answer.record.totals["macs"], answer.record.totals["fvcore_macs"]
        ('agree', 13824, 13824)
    """

    trace: Trace
    record: Record

    @property
    def verdict(self) -> Verdict:
        """The worst of all layers."""
        verdict: Verdict = self.record.context["verdict"]
        return verdict

    @property
    def unexplained(self) -> tuple[Row, ...]:
        """The layers in which a count differs and no rule says why."""
        return tuple(row for row in self.record.layers if row["verdict"] == "unexplained")

    def frame(self) -> DataFrame:
        """The layers as a DataFrame."""
        from pandas import DataFrame

        return DataFrame(list(self.record.layers))


@checked
def crosscheck(
    model: nn.Module,
    inputs: Inputs,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    mode: Mode = "eval",
    loss: Loss | None = None,
    name: str = "",
    meta_only: bool = False,
) -> Crosscheck:
    """Count a model's multiply-accumulates, and have fvcore and torch's FlopCounterMode count them too.

    Both run the model by themselves, on stand-ins for its weights, and each gives the figures that it
    gives everybody; layers are told apart the same way for all. A difference counts
    as explained where rules about single operations, worked out from their shapes and not from our
    figure, add up to exactly that difference. The loss's own operations are not compared.

    Args:
        model: Any module, on any device; it is left as it was found.
        inputs: As for `trace`.
        args: As for `trace`.
        kwargs: As for `trace`.
        mode: `eval` or `train`.
        loss: A function of the model's outputs that gives a scalar, in place of the default.
        name: Name of the model in the result; its class where none is given.
        meta_only: Never run the model for real: raise an error where our trace has to, and leave out a
            counter that has to.

    Raises:
        InceptionLabError: The model cannot be traced (exit code 3), or no other counter can run it (1).

    Example:
        >>> import inception_lab as il
        >>> result = crosscheck(il.create_model("googlenet_bn", device="meta"), (1, 3, 64, 64))
        >>> result.verdict
        'explained'
    """
    inputs = with_arguments(inputs, args, kwargs)
    trace = tracer.trace(model, inputs, mode=mode, loss=loss, name=name, meta_only=meta_only)
    request = Request(model, inputs, mode, loss, name=trace.context.model)
    backends = _backends(trace, meta_only)
    counts: dict[str, list[Count]] = {}
    not_run: dict[str, str] = {}
    for counter, count in COUNTERS.items():
        try:
            counts[counter] = count(trace, request, backends)
        except CannotRunError as error:
            not_run[counter] = str(error)
    if not counts:
        reasons = "; ".join(f"{counter} could not run it: {why}" for counter, why in not_run.items())
        raise InceptionLabError(reasons, where=trace.context.model, exit_code=1)
    return _comparison(trace, counts, not_run)


def _backends(trace: Trace, meta_only: bool) -> tuple[Backend, ...]:
    """Backends for the other counters: the one that ran our trace, then the CPU if that is soon done."""
    if trace.context.device == CPU.name:
        return (CPU,)
    state_bytes = sum(storage.bytes for storage in trace.storages if storage.born is None)
    # jit's tracer follows some models on data alone; a minute for a cross-check would be too much
    soon_done = is_soon_run(state_bytes, sum(op.macs for op in trace.ops))
    without_data = META if trace.context.device == META.name else fake_backend()
    return (without_data, CPU) if soon_done and not meta_only else (without_data,)


def _comparison(
    trace: Trace, counts: Mapping[str, Sequence[Count]], not_run: Mapping[str, str]
) -> Crosscheck:
    phases = ("forward", "backward") if trace.context.mode == "train" else ("forward",)
    columns = [column for column in COLUMNS if column.counter in counts and column.phase in phases]
    ledger = {column: _by_layer(counts[column.counter], column.phase) for column in columns}
    ours = _our_counts(trace)
    layers = dict.fromkeys([*ours, *(layer for by_layer in ledger.values() for layer in by_layer)])
    rows = [_row(layer, ours.get(layer, {}), ledger) for layer in layers]
    totals = {column.name: sum(row[column.name] for row in rows) for column in ledger}
    facts: dict[str, Any] = {
        "verdict": _worst([row["verdict"] for row in rows]),
        "checked_by": list(counts),
        "differences": list(_differences(ledger)),
    }
    facts |= {"not_run": dict(not_run)} if not_run else {}
    record = summarise(trace).with_context(**facts)
    return Crosscheck(trace, replace(record, totals={**record.totals, **totals}, layers=tuple(rows)))


def _by_layer(counts: Sequence[Count], phase: Phase) -> dict[str, list[Count]]:
    """The counts of a phase that are not nothing, by layer."""
    by_layer: dict[str, list[Count]] = defaultdict(list)
    for count in counts:
        if count.phase == phase and (count.macs or count.surplus):
            by_layer[count.layer].append(count)
    return by_layer


def _our_counts(trace: Trace) -> dict[str, dict[str, Any]]:
    """Type and MACs of each layer, its calls summed up."""
    costs = layer_costs(trace)
    sums = {name: "sum" for name in ("macs", "backward_macs") if name in costs.columns}
    table = costs.groupby("layer", sort=False).agg({"type": "first", **sums})
    return {
        str(layer): {str(name): row[name] if name == "type" else int(row[name]) for name in row}
        for layer, row in table.to_dict("index").items()
    }


def _row(layer: str, ours: Mapping[str, Any], ledger: Ledger) -> Row:
    row: dict[str, Any] = {"layer": layer, "type": ours.get("type", "")}
    judgements: list[tuple[Verdict, str]] = []
    for column, by_layer in ledger.items():
        counts = by_layer.get(layer, [])
        row[column.ours] = ours.get(column.ours, 0)
        row[column.name] = sum(count.macs for count in counts)
        judgements.append(_judgement(column.name, row[column.name] - row[column.ours], counts))
    verdicts, texts = zip(*judgements, strict=True)
    return row | {"verdict": _worst(verdicts), "explanation": "; ".join(filter(None, texts))}


def _judgement(column: str, difference: int, counts: Sequence[Count]) -> tuple[Verdict, str]:
    """The verdict on a difference, and the rules whose surpluses add up to exactly that, or fail to."""
    if not difference:
        return "agree", ""
    by_rule: Counter[str] = Counter()
    for count in counts:
        by_rule[count.why] += count.surplus
    surplus_by_rules = by_rule.total()
    if surplus_by_rules == difference:
        return "explained", "; ".join(f"{why} ({surplus:+,})" for why, surplus in by_rule.items() if why)
    return "unexplained", f"{column} differs by {difference:+,}, of which rules explain {surplus_by_rules:+,}"


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    return max(verdicts, key=_FROM_BEST.index, default="agree")


def _differences(ledger: Ledger) -> Iterator[Row]:
    """A row for each rule, with the MACs that it explains in all layers together."""
    for column, by_layer in ledger.items():
        macs: Counter[str] = Counter()
        layers: dict[str, set[str]] = defaultdict(set)
        for layer, counts in by_layer.items():
            for count in filter(attrgetter("why"), counts):
                macs[count.why] += count.surplus
                layers[count.why].add(layer)
        for why, surplus in macs.items():
            yield {"column": column.name, "why": why, "macs": surplus, "layers": len(layers[why])}
