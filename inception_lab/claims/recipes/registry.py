"""The recipes by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from inception_lab.claims.verdict import Result

RECIPES: dict[str, Callable[..., Result]] = {}
"""Every recipe: a function of `Nets` and of keywords."""

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
