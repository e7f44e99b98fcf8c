"""The private names of fvcore that its counts are read through, looked up when they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from importlib import import_module
from importlib.metadata import version
from typing import Any, cast

from inception_lab.errors import InceptionLabError

Handle = Callable[[list[Any], list[Any]], Any]


def supported_operators() -> Mapping[str, Handle]:
    """Return fvcore's own handle by operator, such as `aten::conv2d`.

    Raises:
        InceptionLabError: This release of fvcore keeps them elsewhere.
    """
    return cast("Mapping[str, Handle]", _private("fvcore.nn.flop_count", "_DEFAULT_SUPPORTED_OPS"))


def ignored_operators() -> Set[str]:
    """Return the operators that fvcore takes for free.

    Raises:
        InceptionLabError: This release of fvcore keeps them elsewhere.
    """
    return cast("Set[str]", _private("fvcore.nn.jit_analysis", "_IGNORED_OPS"))


def _private(module: str, name: str) -> object:
    try:
        return cast("object", getattr(import_module(module), name))
    except (ImportError, AttributeError) as error:
        raise InceptionLabError(
            f"fvcore {version('fvcore')} does not have {module}.{name}",
            hint="install fvcore 0.1.5.post20221221, which does",
        ) from error
