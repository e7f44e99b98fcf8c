"""Python files of the user's own: where they are, and which nets are in them, told without running them."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from inception_lab.errors import nearest

PACKAGES = {
    name: name.replace("_", "-")
    for name in (
        "torchvision", "torchaudio", "timm", "transformers", "diffusers", "segmentation_models_pytorch",
        "pretrainedmodels", "monai", "ultralytics", "torch_geometric", "pytorchcv", "mmcv", "mmpretrain",
        "mmdet", "detectron2", "efficientnet_pytorch", "einops", "kornia", "lightning",
    )
} | {"open_clip": "open_clip_torch"}  # fmt: skip
"""Published packages of models by the name to import, and the name to install."""

_DEEPEST = 3
_MOST_FOLDERS = 2000
"""Of those below this one that are searched for a file."""
_MOST_PARENTS = 6
_OF_OTHERS = ("site-packages", "node_modules", "__pycache__")
_MOST_NETS = 3
_MOST_FILES = 100


def is_path(text: str) -> bool:
    """True where what stands before the colon of MODEL is the path of a file rather than a module's name.

    Example:
        >>> [is_path(text) for text in ("mynet.py", "./mynet", "old/mynet.py", "torchvision.models")]
        [True, True, True, False]
    """
    return text.endswith(".py") or text.startswith((".", "~")) or "/" in text or os.sep in text


def file_of(path: Path) -> Path | None:
    """Return the file that a path means: itself, with `.py`, or that of a package; None without one."""
    candidates = (path, path.parent / f"{path.name}.py", path / "__init__.py")
    return next((file for file in candidates if file.name.endswith(".py") and _is_file(file)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long, or a folder is closed
        return False


def module_file(folder: Path, module: str) -> Path | None:
    """Return the file of a module in a folder; None where there is none.

    Args:
        folder: As on `sys.path`.
        module: As in an import, with dots.
    """
    return file_of(folder.joinpath(*module.split("."))) if module.strip(".") else None


def elsewhere(module: str) -> Path | None:
    """Return the file of a module in a folder below this one, or above it; None where it is not near."""
    here = Path.cwd()
    folders = (*_folders_below(here), *here.parents[:_MOST_PARENTS])
    file = next(filter(None, (module_file(folder, module) for folder in folders)), None)
    return file and Path(os.path.relpath(file, here))


def _folders_below(folder: Path) -> Iterator[Path]:
    for count, (place, names, files) in enumerate(os.walk(folder)):
        depth = len(Path(place).relative_to(folder).parts)
        if count > _MOST_FOLDERS:
            return
        is_closed = depth >= _DEEPEST or "pyvenv.cfg" in files
        names[:] = [] if is_closed else sorted(n for n in names if n[0] != "." and n not in _OF_OTHERS)
        if depth:
            yield Path(place)


def nets_in(file: Path) -> list[str]:
    """Return the names of the nets that a file defines: the modules that no other one there is made of.

    Args:
        file: Of Python; it is read and not run.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    definitions = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    modules: list[str] = []
    for node in definitions:
        if isinstance(node, ast.ClassDef) and any(_is_module(base, modules) for base in node.bases):
            modules.append(node.name)
    # a base class is no part of another net
    inner = (inner for node in definitions for line in node.body for inner in ast.walk(line))
    parts = {node.id for node in inner if isinstance(node, ast.Name)}
    return [name for name in modules if name not in parts] or modules


def _is_module(base: ast.expr, modules: list[str]) -> bool:
    name = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
    is_of_torch = isinstance(base, ast.Attribute) and ast.unparse(base.value).endswith("nn")
    return name in modules or name.endswith("Module") or is_of_torch


def nets_to_type(place: str, file: Path) -> str:
    """Return MODEL for each net of a file, as text to type.

    Args:
        place: What stands before the colon.
        file: The file.
    """
    nets = nets_in(file) or ["NAME"]
    return "type " + " or ".join(f"{place}:{net}" for net in nets[:_MOST_NETS])


def own_net_hint(spec: str) -> str:
    """Return what to type for a MODEL without a colon, where it names a file or a module; else nothing.

    Args:
        spec: As the user typed it.
    """
    if is_path(spec):
        file = file_of(Path(spec).expanduser())
        return nets_to_type(spec, file) if file else f"there is no file {spec}"
    if file := module_file(Path.cwd(), spec):
        return f"for the file {os.path.relpath(file)} {nets_to_type(spec, file)}"
    module, _, name = spec.rpartition(".")
    if module and (module_file(Path.cwd(), module) or _is_installed(module.partition(".")[0])):
        return f"type {module}:{name}"
    if _is_installed(spec):
        return f"for the package {spec} type {spec}:NAME"
    if not spec.isidentifier():
        return ""
    if homes := [file.stem for file in _files_here() if spec in nets_in(file)]:
        return f"type {' or '.join(f'{home}:{spec}' for home in homes[:_MOST_NETS])}"
    file = elsewhere(spec)
    return nets_to_type(str(file), file) if file else ""


def _files_here() -> list[Path]:
    return sorted(Path.cwd().glob("*.py"))[:_MOST_FILES]


def _is_installed(top: str) -> bool:
    return top in PACKAGES or (top.isidentifier() and find_spec(top) is not None)


def absent_hint(module: str, name: str) -> str:
    """Return what to type where there is no module of a name.

    Args:
        module: As in an import.
        name: What was to be found in it.
    """
    if file := elsewhere(module):
        return f"type {file}:{name}, or run in {file.parent}"
    top = module.partition(".")[0]
    if top in PACKAGES:
        return f"install it (pip install {PACKAGES[top]}), or run in the folder that holds it"
    close = nearest(module, [file.stem for file in _files_here()])
    if close.startswith("did you mean"):
        return close
    return f"run in the folder that holds it, or type its path: path/to/{module.replace('.', '/')}.py:{name}"
