"""Modules of the same name: which one is in use, and which one it hides."""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from inception_lab.loading.own_files import module_file

FOLDERS: set[Path] = set()
"""The folders of the user's modules that were imported so far."""


def home(module: ModuleType) -> Path | None:
    """Return the folder from which a module at the top was imported; None of one that is built in."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        return None
    path = Path(file)
    return path.parent.parent if path.name == "__init__.py" else path.parent


def forget_namesakes(folder: Path) -> None:
    """Forget modules of the user's other folders that have a namesake in this one."""
    tops = {name: module for name, module in sys.modules.items() if "." not in name}
    for top, module in tops.items():
        place = home(module)
        if place is not None and place != folder and place in FOLDERS and module_file(folder, top):
            for name in [name for name in sys.modules if name.partition(".")[0] == top]:
                del sys.modules[name]


def hiding_hint(error: BaseException) -> str:
    """Return a hint where an error is about a module with a namesake, which may be the one that was meant.

    Args:
        error: As code of the user raised it.
    """
    top = _module_in_question(error).partition(".")[0]
    module = sys.modules.get(top)
    return namesake_hint(module, top) if module is not None else ""


def _module_in_question(error: BaseException) -> str:
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        return error.obj.__name__
    return (error.name or "") if isinstance(error, ImportError) else ""


def namesake_hint(module: ModuleType, top: str, name: str = "NAME") -> str:
    """Return a hint where a module of the user's hides another one or is hidden by it, else nothing.

    Args:
        module: The one in use.
        top: Its name.
        name: What was looked for in it.
    """
    place = home(module)
    if place in FOLDERS:
        other = other_owner(top, place)
        return f"{_shown(module_file(place, top))} hides {other} {top}: rename it" if other else ""
    own = next(filter(None, (module_file(folder, top) for folder in FOLDERS)), None)
    if own is None:
        return ""
    owner = "Python's own" if top in sys.stdlib_module_names else "the installed"
    return f"{_shown(own)} is hidden by {owner} {top}: rename it, or type {_shown(own)}:{name}"


def other_owner(top: str, folder: Path) -> str:
    """Return the owner of a module that has the name of one in a folder of the user's; nothing without one.

    Args:
        top: The name.
        folder: Of the user's module.
    """
    if top in sys.stdlib_module_names:
        return "Python's own"
    others = [place for place in sys.path if Path(place or ".").resolve() != folder]
    return "the installed" if PathFinder.find_spec(top, others) else ""


def _shown(file: Path | None) -> str:
    path = os.path.relpath(file or "")
    return path if os.sep in path else f".{os.sep}{path}"
