"""The recipes by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from inception_lab.claims.nets import Nets
from inception_lab.claims.verdict import Result, Unavailable

RECIPES: dict[str, Callable[..., Result]] = {}
"""Every recipe: a function of `Nets` and of keywords."""

MEASURED: set[str] = set()
"""Names of the recipes whose result is that of real runs, on a machine."""

UNMEASURED = "a real run: --measure, in Python measure=True"

Function = TypeVar("Function", bound=Callable[..., Result])


def recipe(function: Function) -> Function:
    """List a function of `Nets` as the recipe of its name.

    Raises:
        ValueError: There is another recipe of this name.
    """
    if function.__name__ in RECIPES:
        raise ValueError(f"there is a recipe {function.__name__!r} already")
    RECIPES[function.__name__] = function
    return function


def measured_recipe(function: Callable[..., Result]) -> Callable[..., Result]:
    """List a function that runs networks as a recipe, which runs none where `Nets` may not.

    Raises:
        ValueError: There is another recipe of this name.
    """

    @wraps(function)
    def guarded(nets: Nets, **arguments: Any) -> Result:
        return function(nets, **arguments) if nets.measure else Unavailable(UNMEASURED)

    MEASURED.add(function.__name__)
    return recipe(guarded)
