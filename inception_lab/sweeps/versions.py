"""The versions that the figures of a variant hold for: of this tool, of PyTorch, and of the model's code."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import ModuleType
from typing import Any

from inception_lab import __version__
from inception_lab.loading.options import is_factory, spec_of

_OWN = Path(__file__).parents[1]
_INSTALLED = ("site-packages", "dist-packages")


def versions_of(model: str) -> dict[str, str]:
    """Return the versions that the figures of a model hold for.

    Of a model from an installed package that is the package's version; of one of the user's own a checksum of
    every file of the user's that it is made of.

    Args:
        model: MODEL; a factory is imported.

    Raises:
        InceptionLabError: There is no such factory (exit code 2), or importing it failed (3).

    Example:
        >>> sorted(versions_of("googlenet"))
        ['inception_lab', 'torch']
    """
    versions = {"inception_lab": __version__, "torch": version("torch")}
    return versions | _versions_of_factory(model) if is_factory(model) else versions


def _versions_of_factory(model: str) -> dict[str, str]:
    from inception_lab.loading.factories import find_factory
    from inception_lab.loading.isolation import isolated

    with isolated():
        factory = find_factory(spec_of(model))
    home = sys.modules.get(getattr(factory, "__module__", None) or "")
    if home is None:
        return {}
    top = home.__name__.partition(".")[0]
    if not _is_own(home):
        names = packages_distributions().get(top, [])
        return {name: version(name) for name in sorted(set(names))}
    return {"source": _checksum(home)}


def _checksum(module: ModuleType) -> str:
    """The checksum of the files of a module and of all modules of the user's that it uses."""
    files = sorted({Path(str(each.__file__)) for each in _used_modules(module)})
    return sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _used_modules(start: ModuleType) -> Iterator[ModuleType]:
    queue, visited = [start], {start.__name__}
    while queue:
        module = queue.pop()
        yield module
        for value in list(vars(module).values()):
            used = value if isinstance(value, ModuleType) else sys.modules.get(_home_of(value))
            if used is not None and used.__name__ not in visited and _is_own(used):
                visited.add(used.__name__)
                queue.append(used)


def _home_of(value: Any) -> str:
    """The name of the module that a class or function comes from."""
    name = getattr(value, "__module__", None)
    return name if isinstance(name, str) else ""


def _is_own(module: ModuleType) -> bool:
    """True for a module of the user's: a file that neither Python, nor a package, nor this tool brought."""
    file = getattr(module, "__file__", None)
    if not file or not Path(file).is_file():
        return False
    path = Path(file)
    standard = Path(sysconfig.get_paths()["stdlib"])
    is_installed = any(part in _INSTALLED for part in path.parts) or path.is_relative_to(standard)
    return not is_installed and not path.is_relative_to(_OWN)
