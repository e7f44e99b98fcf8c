"""Modules of the user's own, imported so that their names neither hide others nor are hidden."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module, invalidate_caches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from inception_lab.errors import InceptionLabError
from inception_lab.loading.import_settings import settings_of_imports
from inception_lab.loading.namesakes import FOLDERS, forget_namesakes, home, other_owner
from inception_lab.loading.own_files import absent_hint, file_of, module_file
from inception_lab.loading.user_code import user_code

_NEEDED = (
    "pandas", "numpy", "torch", "matplotlib", "fvcore", "rich", "click", "jinja2", "markupsafe", "PIL",
    "dateutil", "pytz", "yaml", "iopath", "yacs", "tabulate", "termcolor", "portalocker", "tqdm", "sympy",
    "mpmath", "networkx", "fsspec", "filelock", "typing_extensions", "packaging", "pyparsing", "cycler",
    "kiwisolver", "contourpy", "fontTools", "pygments", "markdown_it", "mdurl", "six",
)  # fmt: skip
"""Packages that this tool and those that it stands on import when they need them."""

_SITES = ("site-packages", "dist-packages")


def module_named(spec: str, name: str, attribute: str) -> ModuleType:
    """Import a module; those of the current folder are importable.

    Args:
        spec: MODEL, for errors.
        name: As in an import.
        attribute: What is wanted of it, for errors.

    Raises:
        InceptionLabError: There is no such module (exit code 2), or importing it failed (3).
    """
    try:
        return _imported(spec, name, Path.cwd())
    except InceptionLabError as error:
        absent = error.__cause__.name if isinstance(error.__cause__, ModuleNotFoundError) else None
        # A module that the user's own code misses is an error of that code, told as it is.
        if absent is None or not f"{name}.".startswith(f"{absent}."):
            raise
        raise InceptionLabError(
            f"no module {absent!r} in {Path.cwd()}, nor among what is installed",
            where=spec,
            hint=absent_hint(name, attribute),
        ) from error.__cause__


def module_of_file(spec: str, text: str) -> ModuleType:
    """Import the module of a file, as part of its package where it is in one.

    Args:
        spec: MODEL, for errors.
        text: The path of the file, with `.py` or without.

    Raises:
        InceptionLabError: There is no such file (exit code 2), or importing it failed (3).
    """
    file = file_of(Path(text).expanduser())
    if file is None:
        raise InceptionLabError(f"no file {text!r} in {Path.cwd()}", where=spec, hint=_file_hint(spec, text))
    folder, name = _place(file.resolve())
    forget_namesakes(folder)
    top = name.partition(".")[0]
    is_taken = (top in sys.modules and home(sys.modules[top]) != folder) or other_owner(top, folder)
    if is_taken or not all(part.isidentifier() for part in name.split(".")):
        return _loaded_alone(spec, file.resolve())
    return _imported(spec, name, folder)


def _file_hint(spec: str, text: str) -> str:
    name, net = Path(text).name.removesuffix(".py"), spec.rpartition(":")[2]
    return absent_hint(name, net) if name.isidentifier() else f"name a file, as in ./mynet.py:{net}"


def _place(file: Path) -> tuple[Path, str]:
    """The folder to import from, and the name of a file's module there."""
    names, folder = [file.stem], file.parent
    if file.name == "__init__.py":
        names, folder = [folder.name], folder.parent
    while (folder / "__init__.py").is_file():
        names, folder = [folder.name, *names], folder.parent
    return folder, ".".join(names)


def _imported(spec: str, name: str, folder: Path) -> ModuleType:
    forget_namesakes(folder)
    for package in _NEEDED:
        if module_file(folder, package):  # else a file of the user's would take its place
            with suppress(ImportError):
                import_module(package)
    invalidate_caches()
    with _ahead_of_packages(folder), user_code(spec, "importing it"), settings_of_imports(name):
        return import_module(name)


@contextmanager
def _ahead_of_packages(folder: Path) -> Iterator[None]:
    """Have a folder come behind Python's own modules and ahead of packages, and the current one behind it.

    Afterwards they are the last ones: what PyTorch, pandas and this tool import later is not taken from among
    the user's files.
    """
    FOLDERS.update((folder, Path.cwd()))
    own = dict.fromkeys((str(folder), str(Path.cwd())))
    places = [place for place in sys.path if place not in own]
    first = next((i for i, place in enumerate(places) if Path(place).name in _SITES), len(places))
    sys.path[:] = [*places[:first], *own, *places[first:]]
    try:
        yield
    finally:
        sys.path[:] = [*(place for place in sys.path if place not in own), *own]


def _loaded_alone(spec: str, file: Path) -> ModuleType:
    """The module of a file under a name of its own, as another one bears its name."""
    name = re.sub(r"\W", "_", file.stem) + "_py"
    module = sys.modules.get(name)
    if module is not None and getattr(module, "__file__", None) == str(file):
        with settings_of_imports(name):
            return module
    module_spec = spec_from_file_location(name, file)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = module_from_spec(module_spec)
    sys.modules[name] = module  # where dataclasses and pickle look for it
    try:
        with _ahead_of_packages(file.parent), user_code(spec, "importing it"), settings_of_imports(name):
            module_spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module
