"""Import matplotlib, whatever the user's settings of it are: nothing of them shows in a plot."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from inception_lab import interrupts

_PARTS = ("matplotlib.style", "matplotlib.font_manager", "matplotlib.figure")
"""Modules that read files of the user's as they are imported: settings, styles, a cache of fonts; and the one
that imports nearly all others."""


def import_matplotlib() -> None:
    """Import matplotlib where it is not imported yet.

    Importing it raises where `MPLBACKEND` names a backend that is not installed, as within Jupyter's
    kernel in another environment, or where a `matplotlibrc` or a style cannot be read; it warns of
    folders that cannot be written to. A backend that is there holds for the user's own plots. Requests to
    end wait for its end.
    """
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.get("MPLBACKEND")
    # it takes what is raised in it for a broken installation, and warns of that
    with interrupts.deferred(), _variables(MPLBACKEND=None), without_warnings():
        try:
            _import_parts()
        except Exception:  # whatever a broken file raises; what is not its fault is raised again
            _import_without_files()
    if backend:
        with suppress(ValueError):
            import_module("matplotlib").rcParams["backend"] = backend


def _import_parts() -> None:
    for name in _PARTS:
        import_module(name)


def _import_without_files() -> None:
    """Import it where it finds an empty file of settings and no styles."""
    # modules of a first try that failed halfway would lack their place in the package
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        del sys.modules[name]
    with TemporaryDirectory() as folder, _variables(MPLCONFIGDIR=folder, MATPLOTLIBRC=None), chdir(folder):
        Path("matplotlibrc").touch()
        _import_parts()


@contextmanager
def _variables(**values: str | None) -> Iterator[None]:
    """Set variables of the environment, or unset those that are None, for a while."""
    before = {name: os.environ.get(name) for name in values}
    try:
        _set_variables(values)
        yield
    finally:
        _set_variables(before)


def _set_variables(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep what matplotlib has to say about folders, files and fonts from standard error."""
    log = logging.getLogger("matplotlib")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


import_matplotlib()
