"""Records of the models in a lock, which has neither the types of layers nor their order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inception_lab.budgets.lock import LockedBudget, read_lock
from inception_lab.errors import InceptionLabError, nearest
from inception_lab.loading.options import model_request
from inception_lab.metrics import METRICS
from inception_lab.record import Record, Row

ENDING = ".lock"
_HINT = "write it with inception-lab check --update"


def is_lock(path: str) -> bool:
    """True for the name of a lock, with the name of a budget after `#` or without.

    Example:
        >>> [is_lock(text) for text in ("inception-lab.lock", "old.lock#nin", "lock")]
        [True, True, False]
    """
    return path.partition("#")[0].endswith(ENDING)


def locked_records(path: str) -> dict[str, Record]:
    """Return a record for each budget in a lock, by the name of the lock and of the budget.

    Args:
        path: Of the lock; of a single budget with its name, as `inception-lab.lock#googlenet`.

    Raises:
        InceptionLabError: There is no such file or budget, or the lock is damaged (exit code 2).
    """
    file, _, name = path.partition("#")
    lock = read_lock(file)
    if lock is None:
        raise InceptionLabError("there is no such lock", where=file, hint=_HINT)
    if name and name not in lock.budgets:
        raise InceptionLabError(f"no budget {name!r}", where=file, hint=nearest(name, lock.budgets))
    budgets = {name: lock.budgets[name]} if name else lock.budgets
    return {f"{file}#{name}": _record(file, budget) for name, budget in budgets.items()}


def _record(file: str, budget: LockedBudget) -> Record:
    question, totals = budget.question, budget.figures.totals
    model, mode = question.get("model"), question.get("mode")
    if not isinstance(model, str) or not isinstance(mode, str):
        raise _damage(file, "a model without a name or a mode")
    facts = {name: question[name] for name in ("kwargs", "optimizer") if question.get(name)}
    context: dict[str, Any] = {
        "torch": budget.torch,
        "model": _name(file, model, question.get("kwargs", {})),
        "input_shapes": [_shape(file, text) for text in budget.input_shapes],
        "mode": mode,
        # figures of a partial trace are never locked
        "complete": True,
    }
    layers = budget.figures.layers
    in_layers = {name for figures in layers.values() for name in figures}
    metrics = [name for name in METRICS if name in in_layers]
    return Record(
        context | facts,
        {name: total for name, total in totals.items() if name in METRICS},
        (),
        (),
        tuple(_row(path, figures, metrics) for path, figures in layers.items()),
    )


def _name(file: str, model: str, kwargs: Any) -> str:
    """The model's name in results, which tells variants apart."""
    try:
        return model_request(model, kwargs).name
    except (InceptionLabError, AttributeError, TypeError) as error:
        raise _damage(file, f"{model!r} is not a model") from error


def _row(path: str, figures: Mapping[str, int], metrics: list[str]) -> Row:
    """A layer with its figures, and 0 for those that it is locked without."""
    return {"layer": path} | {name: figures.get(name, 0) for name in metrics}


def _shape(file: str, text: str) -> list[int]:
    try:
        return [int(size) for size in text.split("x")] if text else []
    except ValueError as error:
        raise _damage(file, f"{text!r} is not a shape") from error


def _damage(file: str, what: str) -> InceptionLabError:
    return InceptionLabError(f"damaged lock: {what}", where=file, hint=_HINT)
