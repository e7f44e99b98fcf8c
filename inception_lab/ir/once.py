"""Each analysis of a trace computed once, however many readers ask."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, Protocol, Self, TypeVar
from weakref import ref

from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Trace


class _Table(Protocol):
    """A result that its readers may change, such as a DataFrame."""

    def copy(self) -> Self: ...


Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
TableT = TypeVar("TableT", bound=_Table)


def once_per_trace(analysis: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Keep the results of an analysis for as long as their trace lives.

    All readers share one result, so it has to be frozen; see `table_once_per_trace` for tables. A result
    that refers to its trace would keep both alive for ever.

    Args:
        analysis: A pure function of a trace, its first parameter, and of hashable options.

    Raises:
        InceptionLabError: The function returned is called with what is not a trace (exit code 2).

    Example:
        >>> import inception_lab as il, torch
        >>> paths = once_per_trace(lambda trace: tuple(call.path for call in trace.calls))
        >>> trace = il.trace(torch.nn.Linear(2, 2), (1, 2))
        >>> paths(trace) is paths(trace)
        True
    """
    results: dict[int, tuple[ref[Trace], dict[object, Result]]] = {}
    parameters = signature(analysis)
    defaults = tuple([parameter.default for parameter in parameters.parameters.values()][1:])

    @wraps(analysis)
    def cached_analysis(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        trace: Any
        # by place alone, as binding takes longer than a small analysis
        if not kwargs and 0 < len(args) <= len(defaults) + 1:
            trace, choice = args[0], (*args[1:], *defaults[len(args) - 1 :])
        else:
            bound = parameters.bind(*args, **kwargs)
            bound.apply_defaults()
            trace, *options = bound.arguments.values()
            choice = tuple(options)
        key = id(trace)  # a Trace is compared by value, which would read all of it
        if key not in results:
            if not isinstance(trace, Trace):
                raise InceptionLabError(
                    f"a {type(trace).__name__} is not a trace",
                    hint="pass il.trace(model, (1, 3, 224, 224))",
                )
            # the callback runs before another object can take the same id
            results[key] = ref(trace, lambda _: results.pop(key, None)), {}
        by_options = results[key][1]
        try:
            is_new = choice not in by_options
        except TypeError:  # cannot be hashed: the analysis may refuse it in words of its own
            return analysis(*args, **kwargs)
        if is_new:
            by_options[choice] = analysis(*args, **kwargs)
        return by_options[choice]

    return cached_analysis


def table_once_per_trace(analysis: Callable[Arguments, TableT]) -> Callable[Arguments, TableT]:
    """Compute a table once per trace, and give each reader a copy, which may be changed.

    Args:
        analysis: As for `once_per_trace`; what it returns has a `copy()`.
    """
    cached_analysis = once_per_trace(analysis)

    @wraps(analysis)
    def table_copy(*args: Arguments.args, **kwargs: Arguments.kwargs) -> TableT:
        return cached_analysis(*args, **kwargs).copy()

    return table_copy
