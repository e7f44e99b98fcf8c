"""Budgets checked: all of a configuration, or one in anyone's own test."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeGuard, Unpack

from inception_lab.arguments import checked
from inception_lab.budgets.budget import Budget
from inception_lab.budgets.configuration import Configuration, read_budget, read_configuration
from inception_lab.budgets.judge import UPDATE_HINT, Models, Reference, judge
from inception_lab.budgets.lock import Lock, question_of, read_lock
from inception_lab.budgets.toml_source import Place
from inception_lab.budgets.verdict import Check, Verdict
from inception_lab.budgets.wording import BudgetExceeded, failure_text
from inception_lab.errors import InceptionLabError, nearest
from inception_lab.ir.trace import Mode
from inception_lab.loading.options import argument_text

if TYPE_CHECKING:
    from torch import nn

    from inception_lab.running.inputs import Inputs

LimitValue = str | float | Mapping[str, Any]
"""A maximum as text ("7 M") or as a number, or a table of bounds as in a configuration."""

_STEP = ("mode", "optimizer")
"""The part of a question that does not name the model or its inputs."""


@checked
def check_budgets(path: str | Path | None = None, names: Sequence[str] = ()) -> Check:
    r"""Check the budgets of a configuration against their models, and against the lock beside it.

    Args:
        path: A TOML file with tables `[budgets.NAME]`, or a `pyproject.toml` with tables
            `[tool.inception-lab.budgets.NAME]`; or a folder with an `inception-lab.toml` or such a
            `pyproject.toml`, by default the current one.
        names: Of the budgets to check, all by default.

    Returns:
        A verdict on each budget. A model that cannot be built fails its own budget alone.

    Raises:
        InceptionLabError: The configuration or the lock has a fault; file, key and line are named (exit
            code 2). Or it has no budget of one of the names.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder, "budgets.toml")
        ...     _ = file.write_text("[budgets.small]\nmodel = 'googlenet'\nparams = '6 M'\n")
        ...     check = check_budgets(file)
        >>> check.passed, check.verdicts[0].findings[0].reason
        (False, '6,998,552 is 998,552 (16.6 %) above the maximum of 6,000,000')
    """
    configuration = read_configuration(path)
    budgets = _selected(configuration, names)
    lock = read_lock(configuration.lock)

    from inception_lab.budgets.traced import NamedModels

    models = NamedModels()
    by_name = {budget.name: budget for budget in configuration.budgets}
    verdicts = tuple(judge(budget, models, _reference(budget, lock, by_name)) for budget in budgets)
    return Check(configuration.file, verdicts, configuration.lock if lock else None)


def _selected(configuration: Configuration, names: Sequence[str]) -> list[Budget]:
    """The budgets of these names, in the order of the configuration; all without names."""
    budgets = {budget.name: budget for budget in configuration.budgets}
    for name in names:
        if name not in budgets:
            hint = nearest(name, budgets)
            raise InceptionLabError(f"no budget {name!r}", where=str(configuration.file), hint=hint)
    return [budget for budget in configuration.budgets if not names or budget.name in names]


def _reference(budget: Budget, lock: Lock | None, budgets: Mapping[str, Budget]) -> Reference:
    if lock is None:
        return Reference(budgets)
    return Reference(budgets, lock.budgets.get(budget.name), has_lock=True)


class MetricLimits(TypedDict, total=False):
    """Limits by metric, each as in a configuration; see `check_budget`."""

    params: LimitValue
    trainable_params: LimitValue
    macs: LimitValue
    flops: LimitValue
    other_flops: LimitValue
    backward_macs: LimitValue
    training_macs: LimitValue
    activation_bytes: LimitValue
    saved_bytes: LimitValue
    peak_bytes: LimitValue
    train_peak_bytes: LimitValue
    receptive_field: LimitValue
    weighted_layers: LimitValue
    time: LimitValue


@checked
def check_budget(
    model: nn.Module | str,
    inputs: Inputs | None = None,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    layers: Mapping[str, Mapping[str, LimitValue]] | None = None,
    mode: Mode = "eval",
    optimizer: str | None = None,
    name: str = "",
    lock: str | Path | None = None,
    **limits: Unpack[MetricLimits],
) -> Verdict:
    """Check a model against limits in a test of your own: it raises where one is not kept.

    Args:
        model: Any module, or MODEL as the command line names it.
        inputs: As for `trace`; by default what the card of the zoo, or the model itself, says. For a model
            that is named, a shape with the batch.
        args: As for `trace`; of a model that is named, literals of Python alone.
        kwargs: As for `args`.
        layers: Limits on layers, by metric, for each pattern of their paths.
        mode: `eval` or `train`.
        optimizer: Ends a training step; by name.
        name: Of the budget in the failure, and in the lock; the model's own by default.
        lock: An `inception-lab.lock` that has a budget of this name, for growth against it.
        **limits: By metric, such as `params="7 M"`: the maximum as text or as a number, or a dictionary of
            `max`, `min`, `growth`, `ratio` with `to`, `severity` and `message`, as in a configuration.

    Returns:
        The verdict, where the budget is kept. A broken limit of severity `warn` is a warning of Python's.

    Raises:
        BudgetExceeded: A limit is broken, or the trace is partial; the text says by how much, and what grew.
            Or the model cannot be built or traced.
        InceptionLabError: A limit, the inputs or the lock have a fault (exit code 2).

    Example:
        >>> check_budget("googlenet", params="7 M", layers={"inception3a.branch3": {"macs": "12.5 M"}}).status
        'passed'
        >>> check_budget("googlenet", params="6 M")
        Traceback (most recent call last):
        inception_lab.budgets.wording.BudgetExceeded: googlenet does not keep its budget
          params: 6,998,552 is 998,552 (16.6 %) above the maximum of 6,000,000
            largest: fc 1.02 M, ...
    """
    table: dict[str, Any] = {**limits, "layers": {} if layers is None else layers, "mode": mode}
    table |= {"optimizer": optimizer} if optimizer is not None else {}
    _check_arguments(args, kwargs)
    table |= _argument_settings(model, args, kwargs or {})
    budget = _budget(model, inputs, table, name)
    if not budget.limits:
        raise InceptionLabError("has no limit", where=budget.name, hint="give it one, such as params='7 M'")
    _check_comparable(budget, inputs, len(args) + len(kwargs or {}))
    reference = _locked_reference(budget, lock, is_named=isinstance(model, str))
    verdict = judge(budget, _models(model, inputs, args, kwargs, budget), reference)
    if verdict.status in ("failed", "error"):
        raise BudgetExceeded(verdict)
    if verdict.status == "warned":
        warnings.warn(failure_text(verdict), stacklevel=3)  # past `checked`
    return verdict


def _budget(model: nn.Module | str, inputs: Inputs | None, table: Mapping[str, Any], name: str) -> Budget:
    """The budget of a test."""
    spec = model if isinstance(model, str) else type(model).__name__
    if isinstance(model, str) and inputs is not None and not _is_shape(inputs):
        raise InceptionLabError(
            f"{inputs!r} is not a shape", where=model, hint="write it like inputs=(1, 3, 224, 224)"
        )
    return read_budget(name or spec, {"model": spec, **_input_settings(inputs), **table}, Place())


def _check_arguments(args: object, kwargs: object) -> None:
    if not isinstance(args, list | tuple):
        raise InceptionLabError(f"args={args!r} is not a row of arguments", hint="write args=(value,)")
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise InceptionLabError(
            f"kwargs={kwargs!r} are not arguments by name", hint="write kwargs={'name': value}"
        )


def _argument_settings(
    model: nn.Module | str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a forward as text; of a model at hand those that text can tell."""
    pairs = [*(("", value) for value in args), *kwargs.items()]
    texts = [argument_text(name, value) for name, value in pairs]
    for (name, value), text in zip(pairs, texts, strict=True):
        if text is None and isinstance(model, str):
            raise InceptionLabError(
                f"{name or 'an argument'} of a {type(value).__name__} is not a literal",
                where=model,
                hint="build the model and pass it",
            )
    return {"arg": [text for text in texts if text is not None]} if pairs else {}


def _input_settings(inputs: Any) -> dict[str, Any]:
    """The batch size and the sizes of inputs, for other models too; empty where these are of another form."""
    parts = [inputs] if _is_shape(inputs) or hasattr(inputs, "shape") else inputs
    shapes = [_shape_and_dtype(part) for part in parts] if isinstance(parts, list | tuple) else []
    if len({shape[:1] for shape, _ in shapes}) != 1 or not all(len(shape) > 1 for shape, _ in shapes):
        return {}
    sizes = ["x".join(map(str, shape[1:])) + dtype for shape, dtype in shapes]
    return {"input-size": sizes, "batch-size": shapes[0][0][0]}


def _shape_and_dtype(value: Any) -> tuple[tuple[int, ...], str]:
    """A shape, or that of a tensor with its dtype as of an input size; an empty one of anything else."""
    if _is_shape(value):
        return tuple(value), ""
    shape, dtype = tuple(getattr(value, "shape", ())), str(getattr(value, "dtype", ""))
    return shape, dtype.replace("torch.", ":")


def _check_comparable(budget: Budget, inputs: Inputs | None, arguments: int) -> None:
    """Refuse a ratio where another model cannot have the same inputs, or as many arguments beside them."""
    untold = (inputs is not None and not budget.input_sizes) or len(budget.arguments) < arguments
    if untold and any(limit.ratio for limit in budget.limits):
        raise InceptionLabError(
            "another model cannot have these inputs",
            where=budget.name,
            hint="for a ratio, pass shapes or tensors of one batch size",
        )


def _is_shape(inputs: Any) -> TypeGuard[Sequence[int]]:
    """True for sizes with the batch, at least one of them behind it."""
    return isinstance(inputs, Sequence) and len(inputs) > 1 and all(type(size) is int for size in inputs)


def _models(
    model: nn.Module | str,
    inputs: Inputs | None,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None,
    budget: Budget,
) -> Models:
    from inception_lab.budgets.traced import ModelAtHand, NamedModels, own_shape

    if isinstance(model, str):
        return NamedModels()

    from inception_lab.running.inputs import with_arguments

    inputs = with_arguments(own_shape(model) if inputs is None else inputs, args, kwargs)
    return ModelAtHand(model, inputs, budget, NamedModels())


def _locked_reference(budget: Budget, path: str | Path | None, *, is_named: bool) -> Reference:
    """The figures of a test's budget in a lock, where it names one."""
    if path is None:
        if any(limit.growth for limit in budget.limits):
            raise InceptionLabError(
                "growth is against a lock", where=budget.name, hint="pass lock= and name="
            )
        return Reference()
    lock = read_lock(path)
    if lock is None:
        raise InceptionLabError("there is no such lock", where=str(path), hint=UPDATE_HINT)
    if budget.name not in lock.budgets:
        hint = nearest(budget.name, lock.budgets)
        raise InceptionLabError(f"no budget {budget.name!r}", where=str(path), hint=hint)
    reference = _reference(budget, lock, {})
    return reference if is_named else _for_any_name(reference, budget)


def _for_any_name(reference: Reference, budget: Budget) -> Reference:
    """The locked figures as those of a model at hand, of which the step and the shapes can be compared."""
    locked = reference.locked
    if locked is None:
        return reference
    step = {key: value for key, value in locked.question.items() if key in _STEP}
    model = {key: value for key, value in question_of(budget).items() if key not in _STEP}
    return replace(reference, locked=replace(locked, question=model | step))
