"""Each analysis of a trace computed once, however many readers ask."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Concatenate, ParamSpec, TypeVar
from weakref import ref

from inception_lab.ir.trace import Trace

Options = ParamSpec("Options")
Result = TypeVar("Result")
Analysis = Callable[Concatenate[Trace, Options], Result]


def once_per_trace(analysis: Analysis[Options, Result]) -> Analysis[Options, Result]:
    """Keep what an analysis gives for as long as its trace lives.

    All readers share one result, which none may change: a table that is handed to a user is a copy.

    Args:
        analysis: A pure function of a trace and hashable options.

    Example:
        >>> import inception_lab as il, torch
        >>> calls = once_per_trace(lambda trace: [call.path for call in trace.calls])
        >>> trace = il.trace(torch.nn.Linear(2, 2), (1, 2))
        >>> calls(trace) is calls(trace)
        True
    """
    results: dict[int, tuple[ref[Trace], dict[object, Result]]] = {}
    parameters = signature(analysis)

    @wraps(analysis)
    def remembered(trace: Trace, /, *args: Options.args, **kwargs: Options.kwargs) -> Result:
        key = id(trace)  # a Trace is compared by value, which would read all of it
        if key not in results:
            results[key] = ref(trace, lambda _: results.pop(key, None)), {}
        known = results[key][1]
        bound = parameters.bind(trace, *args, **kwargs)
        bound.apply_defaults()
        options = tuple(bound.arguments.items())[1:]
        if options not in known:
            known[options] = analysis(trace, *args, **kwargs)
        return known[options]

    return remembered
