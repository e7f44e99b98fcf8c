"""Operators that take functions, such as `torch.cond`: run as what they stand for, operation by operation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from threading import get_ident
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.running import torch_internals


def _cond(
    predicate: Any, true: Callable[..., Any], false: Callable[..., Any], operands: Sequence[Any] = ()
) -> Any:
    """The branch that the predicate chooses; PyTorch's own does not run within a mode."""
    return true(*operands) if predicate else false(*operands)


def _scan(combine: Callable[..., Any], init: Any, xs: Any, additional: Any = ()) -> Any:
    return torch_internals.generic_scan(combine, init, xs, additional_inputs=additional)


_OWN: Mapping[str, Callable[..., Any]] = MappingProxyType({"cond": _cond, "scan": _scan})
"""Operators by name that are run in another way than by their dense kernel, which refuses modes."""

_DENSE = frozenset({"while_loop", "map_impl", "flex_attention", "associative_scan"})
"""Operators by name whose dense kernel is made of operations."""


@contextmanager
def taken_apart() -> Iterator[None]:
    """Have operators that take functions call these in this thread, and nothing compiled on the way."""
    operator, flex_attention = (
        torch_internals.HigherOrderOperator,
        sys.modules.get(torch_internals.FLEX_ATTENTION),
    )
    places = [(operator, "__call__", _call), (torch, "compile", _compiled)]
    if flex_attention is not None:
        places.append((flex_attention, torch_internals.FLEX_DEVICES, _any_device))
    thread, before = get_ident(), [(home, name, getattr(home, name)) for home, name, _ in places]
    for (home, name, make), (*_, original) in zip(places, before, strict=True):
        setattr(home, name, _in_thread(thread, make(original), original))
    try:
        yield
    finally:
        for home, name, original in before:
            setattr(home, name, original)


def _in_thread(thread: int, own: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    """A function of one thread, in all others the original."""

    @wraps(original)
    def either(*args: Any, **kwargs: Any) -> Any:
        return (own if get_ident() == thread else original)(*args, **kwargs)

    return either


def _call(dispatch: Callable[..., Any]) -> Callable[..., Any]:
    def call(operator: Any, /, *args: Any, **kwargs: Any) -> Any:
        return _run(operator, dispatch, args, kwargs)

    return call


def _compiled(compile_: Callable[..., Any]) -> Callable[..., Any]:
    """As `torch.compile`, of a function or as a decorator, without compiling."""
    del compile_

    def compiled(model: Any = None, **options: Any) -> Any:
        del options
        return model if model is not None else (lambda function: function)

    return compiled


def _any_device(check: Callable[..., None]) -> Callable[..., None]:
    """The check of flex attention, which takes tensors without data for those of a GPU."""

    def checked(query: Tensor, *others: Tensor) -> None:
        if not (query.is_meta or isinstance(query, torch_internals.FakeTensor)):
            check(query, *others)

    return checked


def _run(operator: Any, dispatch: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    name = operator.name()
    if own := _OWN.get(name):
        return own(*args, **kwargs)
    if name in _DENSE:
        return operator.py_kernels[torch_internals.DispatchKey.CompositeExplicitAutograd](*args, **kwargs)
    try:
        return dispatch(operator, *args, **kwargs)
    except NotImplementedError as error:
        raise InceptionLabError(
            f"the operator {name} hides what it runs", hint="call its function itself", exit_code=MODEL_FAILED
        ) from error
