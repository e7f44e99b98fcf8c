"""From MODEL on the command line to a model, its inputs and its Trace."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import torch

from inception_lab import create_model, trace
from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.ir.trace import Trace
from inception_lab.loading.factories import build_from, find_factory, is_factory, users_code, users_traceback
from inception_lab.loading.options import InputSize, Tracing
from inception_lab.models.cards import CARDS, check_options, get_card
from inception_lab.record import Record
from inception_lab.running.inputs import of_shape
from inception_lab.tracing.tracer import TraceError

if TYPE_CHECKING:
    from torch import nn

    from inception_lab.running.inputs import Inputs

Result = TypeVar("Result")
Use = Callable[["nn.Module", "Inputs"], Result]


def traced(spec: str, how: Tracing) -> Trace:
    """Build MODEL and trace it.

    Raises:
        InceptionLabError: No such model or keyword (exit code 2), or it could not be built, or cannot
            run on this input (3).
    """

    def use(model: nn.Module, inputs: Inputs) -> Trace:
        return trace(
            model, inputs, mode=how.mode, optimizer=how.optimizer, name=spec, meta_only=how.meta_only
        )

    return with_model(spec, how, use)


def with_model(spec: str, how: Tracing, use: Use[Result]) -> Result:
    """Build MODEL without weights and do something with it and its inputs.

    A model of another package that fails without weights is built again, as its author builds it.

    Raises:
        InceptionLabError: No such model or keyword (exit code 2), or it could not be built (3).
    """
    try:
        return _with_factory(spec, how, use) if is_factory(spec) else _with_entry(spec, how, use)
    except InceptionLabError as error:
        if error.__cause__ is not None and how.traceback:
            click.echo(users_traceback(error.__cause__), err=True)
        elif error.__cause__ is not None and is_factory(spec):
            error.hint = error.hint or "--traceback shows where"
        raise


def _with_entry(name: str, how: Tracing, use: Use[Result]) -> Result:
    card = get_card(name)
    check_options(card, how.kwargs)
    sizes = how.input_sizes or (InputSize(card.input_size),)
    return use(create_model(name, device="meta", **how.kwargs), _inputs(sizes, how))


def _with_factory(spec: str, how: Tracing, use: Use[Result]) -> Result:
    factory = find_factory(spec)

    def attempt(where: AbstractContextManager[object]) -> Result:
        with where:
            model = build_from(spec, factory, how.kwargs)
        sizes = how.input_sizes or _told_by(spec, model)
        with users_code(spec, "running it"):
            return use(model, _inputs(sizes, how))

    try:
        return attempt(torch.device("meta"))
    except InceptionLabError as error:
        if error.exit_code != MODEL_FAILED or (isinstance(error, TraceError) and not error.blames_meta):
            raise
    return attempt(nullcontext())


def _told_by(spec: str, model: nn.Module) -> tuple[InputSize, ...]:
    """The size of the input that a model itself tells, as those of timm do."""
    told = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", None)
    size = told.get("input_size") if isinstance(told, Mapping) else None
    if not isinstance(size, (list, tuple)) or not size:
        raise InceptionLabError(
            "it does not say how large its input is", where=spec, hint="give --input-size, such as 3x224x224"
        )
    return (InputSize(tuple(size)),)


def _inputs(sizes: tuple[InputSize, ...], how: Tracing) -> Inputs:
    return [_input((how.batch_size, *size.sizes), size.dtype) for size in sizes]


def _input(shape: tuple[int, ...], dtype: str) -> Any:
    return of_shape(shape, getattr(torch, dtype)) if dtype else shape


def with_weights(spec: str, how: Tracing, weights: Path | None, use: Use[Result]) -> Result:
    """Build MODEL with weights, its author's or those in a file, and do something with it and its inputs.

    Raises:
        InceptionLabError: No such model or keyword (exit code 2), it could not be built (3), or the
            weights do not fit it (2).
    """
    if is_factory(spec):
        model = build_from(spec, find_factory(spec), how.kwargs)
        sizes = how.input_sizes or _told_by(spec, model)
    else:
        card = get_card(spec)
        check_options(card, how.kwargs)
        model, sizes = create_model(spec, **how.kwargs), how.input_sizes or (InputSize(card.input_size),)
    if weights is not None:
        _load(model, spec, weights)
    with users_code(spec, "running it"):
        return use(model, _inputs(sizes, how))


def _load(model: nn.Module, spec: str, weights: Path) -> None:
    """Load a state dict; nothing but tensors is unpickled."""
    try:
        model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InceptionLabError(f"{weights} does not fit: {reason[0]}", where=spec) from error


def said_of(spec: str, how: Tracing, record: Record) -> Record:
    """The record with what no trace can tell: keywords, and that a model is a reconstruction."""
    facts: dict[str, Any] = {"kwargs": {k: _plain(v) for k, v in how.kwargs.items()}} if how.kwargs else {}
    if spec in CARDS and CARDS[spec].reconstructed:
        notes = (record.context.get("note"), CARDS[spec].notes)
        facts["note"] = "; ".join(filter(None, notes))
    return record.with_context(**facts) if facts else record


def with_published_error(record: Record) -> Record:
    """The record with the error that its model's paper publishes, where its card has one."""
    card = CARDS.get(record.context["model"])
    return record.with_context(top5_error=card.top5_error) if card and card.top5_error else record


def _plain(value: Any) -> Any:
    """The value as JSON keeps it, or else its text."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        return repr(value)


def refuse_partial(found: Trace, how: Tracing) -> None:
    """Fail under `--strict` where an operation could not be counted.

    Raises:
        InceptionLabError: The trace is partial (exit code 1).
    """
    if how.strict and not found.context.complete:
        uncounted = ", ".join(f"{name} ({times}x)" for name, times in found.context.uncounted_ops.items())
        raise InceptionLabError(f"not counted: {uncounted}", where=found.context.model, exit_code=1)
