"""The lock: every deterministic figure of each budget's model, a line a module, reviewed in a diff."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from inception_lab.budgets.budget import Budget
from inception_lab.budgets.budget_metrics import BUDGET_METRICS
from inception_lab.budgets.figures import RecordedFigures
from inception_lab.budgets.toml_source import BARE_KEY, Place, read_toml, shortened
from inception_lab.errors import InceptionLabError
from inception_lab.files import path_from, write_text

SCHEMA = 1
_HINT = "write it again with update_lock(), or inception-lab check --update"
_HEAD = "# Written by `inception-lab check --update`, to be reviewed and committed; not to be edited."
_DIGEST_LENGTH = 16
_QUESTION_KEYS = ("model", "kwargs", "input-size", "arg", "batch-size", "mode", "optimizer")


@dataclass(frozen=True)
class LockedBudget:
    """The figures of a budget's model when the lock was written.

    Attributes:
        question: The model and the step that they are of, as `question_of` tells them.
        input_shapes: With the batch, such as `1x3x224x224`.
        torch: The version of PyTorch.
        figures: Of the model and of its layers.
    """

    question: Mapping[str, Any]
    input_shapes: tuple[str, ...]
    torch: str
    figures: RecordedFigures


@dataclass(frozen=True)
class Lock:
    """The figures of all budgets of a configuration.

    Attributes:
        budgets: By name.
    """

    budgets: Mapping[str, LockedBudget]


def question_of(budget: Budget) -> Mapping[str, Any]:
    """Return what determines the figures of a budget's model: all that stands in the configuration on it."""
    facts = {
        "model": budget.model,
        "kwargs": dict(budget.kwargs),
        "input-size": list(budget.input_sizes),
        "arg": list(budget.arguments),
        "batch-size": budget.batch_size,
        "mode": budget.mode,
        "optimizer": budget.optimizer,
    }
    return {name: value for name, value in facts.items() if value}


def differences(question: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the keys in which two questions differ.

    Example:
        >>> differences({"model": "nin", "batch-size": 1}, {"model": "nin", "batch-size": 8})
        ['batch-size']
    """
    # as text, as NaN is not equal to itself
    return [key for key in _QUESTION_KEYS if _canonical(question.get(key)) != _canonical(other.get(key))]


def _canonical(data: object) -> str:
    return json.dumps(data, sort_keys=True, default=repr)


def lock_text(lock: Lock) -> str:
    """Return a lock as TOML: sorted, a line for each total and for each layer.

    The figures of each budget have a digest of their own, so that branches of a repository which change
    different budgets can be merged. The last table tells that nothing is missing at the end.
    """
    lines = [_HEAD, f"schema = {SCHEMA}"]
    for name, locked in sorted(lock.budgets.items()):
        lines += ["", *_budget_lines(name, locked)]
    lines += ["", "[end]", "complete = true"]
    return "\n".join(lines) + "\n"


def _budget_lines(name: str, locked: LockedBudget) -> Iterable[str]:
    header = f"budgets.{_key(name)}"
    yield f"[{header}]"
    for key, value in _head_of(locked).items():
        yield f"{key} = {_toml(value)}"
    yield f"digest = {_toml(_digest(name, locked))}"
    yield f"\n[{header}.totals]"
    for metric in BUDGET_METRICS:
        if metric in locked.figures.totals:
            yield f"{metric} = {locked.figures.totals[metric]}"
    yield f"\n[{header}.layers]"
    for path, row in sorted(locked.figures.layers.items()):
        figures = {metric: row[metric] for metric in BUDGET_METRICS if row.get(metric)}
        yield f"{_toml(path)} = {_toml(figures)}"


def _head_of(locked: LockedBudget) -> dict[str, Any]:
    question = {key: locked.question[key] for key in _QUESTION_KEYS if key in locked.question}
    return {**question, "input-shapes": list(locked.input_shapes), "torch": locked.torch}


def _digest(name: str, locked: LockedBudget) -> str:
    layers = {path: {k: v for k, v in row.items() if v} for path, row in locked.figures.layers.items()}
    data = [name, _head_of(locked), dict(locked.figures.totals), layers]
    return sha256(_canonical(data).encode()).hexdigest()[:_DIGEST_LENGTH]


def _toml(value: Any) -> str:
    """A value as TOML on one line."""
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # the escapes of JSON are TOML's too, which wants one more
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _key(key: str) -> str:
    return key if BARE_KEY.fullmatch(key) else _toml(key)


def write_lock(path: str | Path, lock: Lock) -> None:
    """Write a lock at once or not at all; one that is the same already is left alone.

    Raises:
        InceptionLabError: It cannot be written.
    """
    file, text = path_from(path), lock_text(lock)
    if not (file.is_file() and file.read_bytes() == text.encode()):
        write_text(file, text)


def read_lock(path: str | Path) -> Lock | None:
    """Read a lock.

    Args:
        path: Of the file.

    Returns:
        The lock; None where there is no such file.

    Raises:
        InceptionLabError: It is damaged, was edited by hand, has merge conflict marks, or is of another
            schema (exit code 2).
    """
    file = path_from(path)
    if not file.exists():
        return None
    try:
        data, place = read_toml(file)
        _check_frame(data, place)
        budgets = data.get("budgets", {})
        _expect(isinstance(budgets, dict), place.at("budgets"))
        place = place.at("budgets")
        locked = {name: _locked_budget(name, table, place.at(name)) for name, table in budgets.items()}
    except InceptionLabError as error:
        error.hint = _HINT  # also for conflict marks: nobody has to resolve figures by hand
        raise
    except (RecursionError, ValueError) as error:  # numbers of thousands of digits
        raise _damage(Place(str(file))) from error
    return Lock(locked)


def _damage(place: Place) -> InceptionLabError:
    return place.refusal("damaged lock", _HINT)


def _expect(condition: bool, place: Place) -> None:
    if not condition:
        raise _damage(place)


def _check_frame(data: Mapping[str, Any], place: Place) -> None:
    """Refuse a lock of another schema, and one that does not end as it should."""
    schema = data.get("schema")
    if type(schema) is int and schema != SCHEMA:
        raise place.at("schema").refusal(
            f"a lock of schema {shortened(schema)}, and this version reads {SCHEMA}", _HINT
        )
    _expect(schema == SCHEMA and type(schema) is int, place.at("schema"))
    if data.get("end") != {"complete": True}:
        raise place.refusal("damaged lock: its end is missing", _HINT)
    _expect(data.keys() <= {"schema", "budgets", "end"}, place)


def _locked_budget(name: str, table: Any, place: Place) -> LockedBudget:
    _expect(isinstance(table, dict), place)
    rest = dict(table)
    digest, torch, shapes = (rest.pop(key, None) for key in ("digest", "torch", "input-shapes"))
    totals, layers = rest.pop("totals", None), rest.pop("layers", None)
    _expect(isinstance(shapes, list) and all(isinstance(shape, str) for shape in shapes), place)
    _expect(isinstance(layers, dict), place.at("layers"))
    _check_figures(totals, place.at("totals"))
    for path, row in layers.items():
        _check_figures(row, place.at("layers", path))
    _expect(isinstance(torch, str) and rest.keys() <= {*_QUESTION_KEYS}, place)
    locked = LockedBudget(rest, tuple(shapes), torch, RecordedFigures(totals, layers))
    if _digest(name, locked) != digest:
        raise place.refusal("damaged lock: its figures are not those that were written", _HINT)
    return locked


def _check_figures(row: object, place: Place) -> None:
    if not isinstance(row, dict):
        raise _damage(place)
    for value in row.values():
        _expect(type(value) is int, place)
