"""Facts that have to be the same for a ratio of two models to tell anything about these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from inception_lab.errors import listed
from inception_lab.metrics import METRICS
from inception_lab.record import Record

_PASS = ("mode", "batch_size", "complete")
_TENSORS = ("mode", "batch_size", "dtype", "autocast")
_EVERYTHING = (*_TENSORS, "complete", "loss", "optimizer", "device")

_FACTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "params": (),
        "trainable_params": (),
        "weighted_layers": ("mode",),
        "receptive_field": (),
        **dict.fromkeys(("macs", "flops", "other_flops"), _PASS),
        **dict.fromkeys(("backward_macs", "training_macs"), (*_PASS, "loss")),
        **dict.fromkeys(("activation_bytes", "peak_bytes"), _TENSORS),
        "saved_bytes": (*_TENSORS, "loss"),
        "train_peak_bytes": (*_TENSORS, "loss", "optimizer"),
    }
)
"""The facts that the metrics of a trace depend on; any other metric is taken to depend on all of them.

A different size of the images is not among these: a net is compared at its own.
"""


_NOT_IN_LOCKS = frozenset({"dtype", "loss"})
"""Facts that a lock has not: there they are those of the model itself."""


def facts_of(record: Record) -> dict[str, Any]:
    """The facts of a model's context that metrics depend on.

    Example:
        >>> context = {"input_shapes": [[8, 3, 9, 9]], "mode": "eval", "dtype": "float32", "complete": True}
        >>> facts_of(Record(context, {}, (), (), ()))["batch_size"]
        8
    """
    shapes: Sequence[Sequence[int]] = record.context["input_shapes"]
    batch_size = shapes[0][0] if shapes and shapes[0] else 1
    facts = {name: record.context.get(name) for name in _EVERYTHING}
    return facts | {"batch_size": batch_size}


def is_comparable(metric: str, first: Record, second: Record) -> bool:
    """True where two models ran so that a ratio of this metric tells about the models.

    Args:
        metric: A key of `metrics.METRICS`.
        first: One model.
        second: The other one.

    Example:
        >>> shape = {"input_shapes": [[1, 3, 9, 9]], "dtype": "float32", "complete": True}
        >>> one, other = (Record(shape | {"mode": mode}, {}, (), (), ()) for mode in ("eval", "train"))
        >>> is_comparable("params", one, other), is_comparable("macs", one, other)
        (True, False)
    """
    facts, others = facts_of(first), facts_of(second)
    dependencies = _FACTS.get(metric, _EVERYTHING)
    # two partial counts leave out different operations
    is_counted = "complete" not in dependencies or bool(facts["complete"] and others["complete"])
    return is_counted and not any(_differs(name, facts, others) for name in dependencies)


def _differs(name: str, facts: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    fact, other = facts[name], others[name]
    return fact != other and not (name in _NOT_IN_LOCKS and (fact is None or other is None))


def ratio(metric: str, first: Record, second: Record) -> float | None:
    """A total of the second model by that of the first; None where there is none, or it would tell nothing.

    Args:
        metric: A key of `metrics.METRICS`.
        first: The model that ratios are to.
        second: Any model.
    """
    before, after = first.totals.get(metric), second.totals.get(metric)
    if not before or after is None or not is_comparable(metric, first, second):
        return None
    return after / before


def notes(labels: Sequence[str], records: Sequence[Record]) -> Iterator[str]:
    """Lines about what keeps models from being compared, or has to be known about them.

    Args:
        labels: A name per model.
        records: One per model.
    """
    first, *others = records
    for label, other in zip(labels[1:], others, strict=True):
        yield from _differences(labels[0], label, first, other)
        versions = [record.context.get("torch") for record in (other, first)]
        if None not in versions and versions[0] != versions[1]:
            yield f"{label} is of torch {versions[0]}, {labels[0]} of torch {versions[1]}"
    for label, record in zip(labels, records, strict=True):
        if record.uncounted_ops:
            operations = listed(f"{row.get('name')} ({row.get('count')}x)" for row in record.uncounted_ops)
            yield f"{label} is partial, not counted: {operations}"
        elif not record.context["complete"]:
            yield f"{label} is partial"
        if "note" in record.context:
            yield f"{label}: {record.context['note']}"


def _differences(label: str, other_label: str, first: Record, other: Record) -> Iterator[str]:
    facts, others = facts_of(first), facts_of(other)
    names = [name for name in _EVERYTHING if name != "complete" and _differs(name, facts, others)]
    if "mode" in names:  # which a loss and an optimizer go with
        names = [name for name in names if name not in ("loss", "optimizer")]
    if not names:
        return
    texts = [
        f"{name.replace('_', ' ')} {others[name] or 'none'}, not {facts[name] or 'none'}" for name in names
    ]
    metrics = _without_ratio(first, other)
    rest = f"; no ratios of {_listing(metrics)}" if metrics else ""
    yield f"{other_label} differs from {label}: {'; '.join(texts)}{rest}"


def _without_ratio(first: Record, other: Record) -> list[str]:
    both = [name for name in first.totals if name in other.totals]
    return [METRICS[name].label for name in both if not is_comparable(name, first, other)]


def _listing(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
