"""The names that a file of Python imports, told without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import resolve_name
from itertools import accumulate
from pathlib import Path


def imported_names(module: str, file: Path) -> set[str]:
    """Return the names that a module imports anywhere in its file, with the packages around them.

    Args:
        module: Its name.
        file: Of Python; of any other kind nothing is told.

    Returns:
        Names of modules, and of what is imported from them, which may be modules too.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return set()
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    names = {module, *(name for node in ast.walk(tree) for name in _names_of(node, package))}
    return {outer for name in names for outer in accumulate(name.split("."), "{}.{}".format)}


def _names_of(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        # further up than the package there is nothing, as running it would tell
        with suppress(ImportError):
            base = resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{base}.{alias.name}" for alias in node.names)
