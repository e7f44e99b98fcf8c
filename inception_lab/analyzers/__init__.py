"""Analyzers: from a Trace to a table with a row per layer call.

An analyzer is one file here with an `ANALYZER`; the summary, the reports and the contract tests
find it by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame

    from inception_lab.ir.trace import Trace


@dataclass(frozen=True)
class Analyzer:
    """One analysis of a trace.

    Attributes:
        name: What it is called.
        layers: Makes its table: columns `layer` and `call` first, a row for each of
            `structure.layer_calls`, in that order.
        totals: Sums the table up, by metric name.
    """

    name: str
    layers: Callable[[Trace], DataFrame]
    totals: Callable[[Trace, DataFrame], Mapping[str, int]]


@cache
def analyzers() -> tuple[Analyzer, ...]:
    """Every analyzer, by file name."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    return tuple(module.ANALYZER for module in modules)
