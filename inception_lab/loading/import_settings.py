"""Settings that modules change when they run, made anew for a model that finds them imported already."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from importlib.util import resolve_name
from itertools import accumulate
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from inception_lab.running.settings import Settings

_Steps = list[tuple[Callable[[Any], Any], Any] | str]
"""Settings, each as what writes it and its value, and names of modules."""

_steps: WeakKeyDictionary[ModuleType, _Steps] = WeakKeyDictionary()
"""The settings that each module changed and the modules that it imported when it ran, in that order."""


@contextmanager
def settings_of_imports(name: str) -> Iterator[None]:
    """Import a module within: settings are as if it and all that it imports ran here for the first time.

    Args:
        name: Of the module, as in an import.
    """
    recorder = _Recorder()
    run, import_ = SourceFileLoader.exec_module, builtins.__import__

    def recorded_run(loader: SourceFileLoader, module: ModuleType) -> None:
        with recorder.running(module):
            run(loader, module)

    def recorded_import(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        for module in _named(name, globals or {}, fromlist or (), level):
            recorder.meet(module)
        return import_(name, globals, locals, fromlist, level)

    SourceFileLoader.exec_module = recorded_run  # type: ignore[method-assign, assignment]
    builtins.__import__ = recorded_import
    try:
        for module in _with_parents(name):
            recorder.meet(module)
        yield
    finally:
        SourceFileLoader.exec_module, builtins.__import__ = run, import_  # type: ignore[method-assign]


def _named(name: str, importer: Mapping[str, object], members: Sequence[str], level: int) -> list[str]:
    """The modules that an import statement names, and members that may be some."""
    package = importer.get("__package__")
    if level and not package:  # which Python refuses
        return []
    module = resolve_name("." * level + name, str(package)) if level else name
    return [*_with_parents(module), *(f"{module}.{member}" for member in members)]


def _with_parents(module: str) -> list[str]:
    return list(accumulate(module.split("."), "{}.{}".format))


class _Recorder:
    """Records the steps of modules that run, and repeats those of modules that ran for an earlier model."""

    def __init__(self) -> None:
        self._settings = Settings()
        self._open: list[_Steps] = [[]]
        self._done: set[ModuleType] = set()

    @contextmanager
    def running(self, module: ModuleType) -> Iterator[None]:
        self._note(module.__name__)
        self._done.add(module)
        self._open.append(_steps.setdefault(module, []))
        try:
            yield
        finally:
            self._note()
            self._open.pop()

    def meet(self, name: str) -> None:
        """Take note of an import; the module takes its steps now if it ran for an earlier model alone."""
        if _steps_of(name) is not None:
            self._note(name)
            places = sys.path.copy()
            self._repeat(name)
            sys.path += [place for place in places if place not in sys.path]  # those of the folders in use
            self._settings = Settings()

    def _note(self, *names: str) -> None:
        self._open[-1] += [*self._settings.changes(), *names]
        self._settings = Settings()

    def _repeat(self, name: str) -> None:
        steps = _steps_of(name)
        if steps is None or sys.modules[name] in self._done:
            return
        self._done.add(sys.modules[name])
        for step in steps:
            if isinstance(step, str):
                self._repeat(step)
            else:
                write, value = step
                write(value)


def _steps_of(name: str) -> _Steps | None:
    module = sys.modules.get(name)
    return _steps.get(module) if isinstance(module, ModuleType) else None
