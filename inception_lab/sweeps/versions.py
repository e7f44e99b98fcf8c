"""The versions that the figures of a variant hold for: of this tool, of PyTorch, and of the model's code."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from inception_lab import __version__
from inception_lab.errors import InceptionLabError
from inception_lab.loading.options import is_factory, spec_of
from inception_lab.loading.own_files import is_path, module_file
from inception_lab.sweeps.imports import imported_names

_OWN = Path(__file__).parents[1]
_INSTALLED = ("site-packages", "dist-packages")
_ENGINE = (
    "analyzers/**/*.py", "budgets/traced.py", "formulas/*.py", "ir/*.py", "loading/*.py", "models/**/*.py",
    "running/*.py", "sweeps/figures.py", "sweeps/question.py", "tracing/*.py",
)  # fmt: skip
"""The files of this tool that figures of variants come from."""

_first: WeakKeyDictionary[ModuleType, str] = WeakKeyDictionary()
"""The checksum of each of the user's modules when it was first asked for, soon after it was imported."""


def versions_of(model: str) -> dict[str, str]:
    """Return the versions that the figures of a model hold for.

    Of a model from an installed package that is the package's version; of one of the user's own a checksum of
    every file of the user's that it imports, and the versions of the packages that these import.

    Args:
        model: MODEL; a factory is imported.

    Raises:
        InceptionLabError: There is no such factory (exit code 2), or importing it failed (3).

    Example:
        >>> sorted(versions_of("googlenet"))
        ['inception_lab', 'torch']
    """
    code = _versions_of_code(_module_of(model)) if is_factory(model) else {}
    return code | {"inception_lab": _own_version(), "torch": version("torch")} | _formulas()


@cache
def _own_version() -> str:
    """The version of this tool; with a checksum of what figures come from where its files are worked on."""
    if _is_installed(_OWN):
        return __version__
    files = sorted(file for pattern in _ENGINE for file in _OWN.glob(pattern))
    return f"{__version__}+{_checksum(files)}"


def _formulas() -> dict[str, str]:
    """The formulas of a user's own, which processes that have not registered them do not know."""
    registry = sys.modules.get("inception_lab.formulas.registry")
    formulas = registry.registered_formulas() if registry else {}
    return {f"formula of {name}": _origin(formula) for name, formula in sorted(formulas.items())}


def _origin(function: Callable[..., Any]) -> str:
    """The place of a function, and a checksum of its file."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    file = Path(str(getattr(module, "__file__", None) or ""))
    name = f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', '')}"
    return f"{name} {_checksum([file])}" if file.is_file() else name


def _checksum(files: Iterable[Path]) -> str:
    return sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def loaded_versions_of(model: str) -> dict[str, str]:
    """Return `versions_of`, unless they are not those of the code that this process has imported.

    Raises:
        InceptionLabError: Files have changed since (exit code 2); or as of `versions_of`.
    """
    versions = versions_of(model)
    if (
        "source" in versions
        and _first.setdefault(_module_of(model), versions["source"]) != versions["source"]
    ):
        what = "its code has changed since it was imported"
        raise InceptionLabError(what, where=spec_of(model), hint="start Python anew")
    return versions


@cache
def check_versions(model: str, versions: tuple[tuple[str, str], ...]) -> None:
    """Refuse to run a model in a process that has other code than the one that asks for it.

    Args:
        model: MODEL.
        versions: Of the process that asks.

    Raises:
        InceptionLabError: Versions differ, or this process does not find the model (exit code 2).
    """
    try:
        own = loaded_versions_of(model)
    except InceptionLabError as error:
        raise _worker_error(model, f"a worker does not find it ({error.what})", _HINT) from error
    for name, asked in versions:
        if own.get(name) != asked:
            what = f"a worker has {name} {own.get(name, 'not at all')}, this process has {asked}"
            raise _worker_error(model, what, _FORMULA_HINT if name.startswith("formula") else _HINT)


_HINT = "start workers anew, where they see the same files and packages"
_FORMULA_HINT = "register the formula in the file of the model, which workers import"


def _worker_error(model: str, what: str, hint: str) -> InceptionLabError:
    return InceptionLabError(what, where=spec_of(model), hint=hint)


def located(model: str) -> str:
    """Return MODEL as a process in another folder finds it: one of the user's own by the path of its file.

    Args:
        model: MODEL.

    Example:
        >>> located("googlenet"), located("torch.nn:Linear(in_features=3)")
        ('googlenet', 'torch.nn:Linear(in_features=3)')
    """
    spec = spec_of(model)
    if not is_factory(model) or not _is_own(module := _module_of(model)):
        return model
    return f"{Path(str(module.__file__)).resolve()}:{spec.rpartition(':')[2]}{model.strip()[len(spec) :]}"


def _module_of(model: str) -> ModuleType:
    """The module that is named before the colon, which need not be that where the factory comes from."""
    from inception_lab.loading.factories import find_factory
    from inception_lab.loading.isolation import isolated
    from inception_lab.loading.own_modules import module_named, module_of_file

    spec = spec_of(model)
    place, _, path = spec.rpartition(":")
    with isolated():
        find_factory(spec)
        return module_of_file(spec, place) if is_path(place) else module_named(spec, place, path)


def _versions_of_code(module: ModuleType) -> dict[str, str]:
    if not _is_own(module):
        return _versions_of_packages([module.__name__])
    files, others = _closure(module)
    return {**_versions_of_packages(others), "source": _checksum(files[name] for name in sorted(files))}


def _versions_of_packages(modules: Iterable[str]) -> dict[str, str]:
    names = packages_distributions()
    tops = {module.partition(".")[0] for module in modules}
    packages = {name for top in tops for name in names.get(top, [])}
    return {name: version(name) for name in sorted(packages)}


def _closure(module: ModuleType) -> tuple[Mapping[str, Path], set[str]]:
    """The user's files that make up a module, by module, and the names of all else that they import."""
    name, file = module.__name__, Path(str(module.__file__))
    root = file.parents[name.count(".") + (file.name == "__init__.py")]
    own, others = {name: file}, set()
    queue = [name]
    while queue:
        name = queue.pop()
        for used in imported_names(name, own[name]):
            path = _own_file(used, root)
            if path is None:
                others.add(used)
            elif used not in own:
                own[used] = path
                queue.append(used)
    return own, others


def _own_file(name: str, root: Path) -> Path | None:
    """The file of a module of the user's, which a function may import later; None of any other one."""
    module = sys.modules.get(name)
    if module is None:
        return module_file(root, name)
    return Path(str(module.__file__)) if _is_own(module) else None


def _is_own(module: ModuleType) -> bool:
    """True for a module of the user's: a file that neither Python, nor a package, nor this tool brought."""
    file = getattr(module, "__file__", None)
    if not file or not Path(file).is_file():
        return False
    path = Path(file)
    return not _is_installed(path) and not path.is_relative_to(_OWN)


def _is_installed(path: Path) -> bool:
    """True for what Python or a package brought."""
    standard = Path(sysconfig.get_paths()["stdlib"])
    return any(part in _INSTALLED for part in path.parts) or path.is_relative_to(standard)
