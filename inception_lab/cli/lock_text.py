"""The answer of `inception-lab check --update` as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from inception_lab.budgets.budget_metrics import BUDGET_METRICS
from inception_lab.budgets.update import LockChange, LockUpdate
from inception_lab.budgets.wording import FEW, change_text, percent_text, quantity_texts
from inception_lab.report.text import one_line


def update_text(update: LockUpdate, every_layer: bool) -> str:
    """The changes of a lock, budget by budget, and why a budget is not in it; FLOPs are those of the MACs.

    Args:
        update: The lock that was written.
        every_layer: Show all layers that changed, not the first ones alone.
    """
    lines = [f"wrote {update.path}"]
    if update.note:
        lines.append(f"the lock before could not be read: {update.note}")
    totals = [change for change in update.changes if change.metric != "flops"]
    for budget, changes in groupby(totals, key=lambda change: change.budget):
        lines += _budget_lines(budget, list(changes), None if every_layer else FEW)
    for budget, keys in update.conditions.items():
        lines.append(f"changed  {budget}  {', '.join(keys)}")
    lines += [f"error    {budget}: {reason}" for budget, reason in update.errors.items()]
    if len(lines) == 1:
        lines.append("nothing changed")
    return "".join(f"{one_line(line)}\n" for line in lines)


def _budget_lines(budget: str, changes: Sequence[LockChange], most: int | None) -> Iterator[str]:
    """A line for a budget that is new or gone; one per total that changed, with its layers, for another."""
    if all(change.before is None for change in changes):
        yield f"new      {budget}  {', '.join(map(_total_text, changes))}"
    elif all(change.after is None for change in changes):
        yield f"removed  {budget}"
    else:
        yield f"changed  {budget}"
        for change in changes:
            yield f"         {_total_text(change)}"
            yield from (f"           {text}" for text in _layer_texts(change, most))


def _total_text(change: LockChange) -> str:
    """A total as it is now, and as it was."""
    if change.after is None:
        return f"{change.metric} no more"
    if change.before is None:
        return f"{change.metric} {quantity_texts(change.metric, change.after)[0]}"
    before, after = quantity_texts(change.metric, change.before, change.after)
    if change.before == change.after:
        return f"{change.metric} {after}, in other layers"
    if not change.before:
        return f"{change.metric} {before} -> {after}"
    sign, part = "-+"[change.after > change.before], change.after / change.before - 1
    return f"{change.metric} {before} -> {after} ({sign}{percent_text(part)})"


def _layer_texts(change: LockChange, most: int | None) -> Iterator[str]:
    metric = BUDGET_METRICS[change.metric].explained_by
    largest = sorted(change.layers, key=lambda layer: -abs(layer.after - layer.before))
    yield from (change_text(metric, layer) for layer in largest[:most])
    if rest := len(largest[len(largest) if most is None else most :]):
        yield f"and {rest} more"
