"""From `package.module:factory` to a model, and to what its author sees when it fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from traceback import TracebackException
from typing import TYPE_CHECKING, Any

import inception_lab
from inception_lab.errors import MODEL_FAILED, InceptionLabError, nearest

if TYPE_CHECKING:
    from torch import nn

_PACKAGE = Path(inception_lab.__file__).parent
_MISSING = object()
_MACHINERY = ("torch/nn/modules/module.py", "<frozen importlib", "importlib/__init__.py")


def is_factory(spec: str) -> bool:
    """Whether MODEL names a factory rather than an entry of the zoo."""
    return ":" in spec


def find_factory(spec: str) -> Any:
    """Import what `package.module:factory` names; the current folder is importable.

    Raises:
        InceptionLabError: There is no such module or name, or importing it failed (exit code 3).
    """
    module_name, _, path = spec.partition(":")
    if not module_name or not path:
        raise InceptionLabError(f"no model {spec!r}", hint="write it like package.module:factory")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    if module_name.startswith(".") or "/" in module_name:
        raise InceptionLabError(
            f"{module_name!r} is no module", hint="name it as in an import: package.module"
        )
    found = _imported(spec, module_name)
    for name in path.split("."):
        with users_code(spec, "looking it up"):
            inner = getattr(found, name, _MISSING)
        if inner is _MISSING:
            public = [known for known in dir(found) if not known.startswith("_")]
            raise _failed(spec, f"{module_name} has no {path!r}", nearest(name, public))
        found = inner
    return found


def _imported(spec: str, module_name: str) -> Any:
    try:
        with users_code(spec, "importing it"):
            return import_module(module_name)
    except InceptionLabError as error:
        missing = error.__cause__.name if isinstance(error.__cause__, ModuleNotFoundError) else None
        if missing is None or not f"{module_name}.".startswith(f"{missing}."):
            raise
        top = missing.partition(".")[0]
        get = f"install it (pip install {top}), or " if sys.modules.get(top) is None else ""
        hint = f"{get}run in the folder that holds it"
        raise _failed(spec, f"no module named {missing!r}", hint) from error.__cause__


def build_from(spec: str, factory: Any, kwargs: Mapping[str, Any]) -> nn.Module:
    """Build a model of any package.

    Args:
        spec: How the user named the factory.
        factory: A function or class that makes the model, or the model itself.
        kwargs: Keywords of the factory.

    Raises:
        InceptionLabError: It could not be built (exit code 3); a model was given keywords (2).
    """
    from torch import nn

    if isinstance(factory, nn.Module):
        if kwargs:
            raise InceptionLabError(
                "a model that is built takes no --kwargs", where=spec, hint="name its class"
            )
        return factory
    if not callable(factory):
        raise _failed(spec, f"what it names is no model and makes none ({type(factory).__name__})")
    with users_code(spec, "building it"):
        model = factory(**kwargs)
    if not isinstance(model, nn.Module):
        raise _failed(spec, f"what it made is no torch.nn.Module ({type(model).__name__})")
    return model


@contextmanager
def users_code(spec: str, doing: str) -> Iterator[None]:
    """Run code of the user: what it prints goes to standard error, what it raises is one line.

    Raises:
        InceptionLabError: The code raised, or left the program (exit code 3).
    """
    try:
        with redirect_stdout(sys.stderr), _descriptor_redirected():
            yield
    except InceptionLabError:
        raise
    except (Exception, SystemExit) as error:
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        raise _failed(spec, f"{doing} failed: {reason}") from error


@contextmanager
def _descriptor_redirected() -> Iterator[None]:
    """What is written to the standard output past Python goes to standard error too."""
    try:
        kept = os.dup(1)
    except OSError:  # there is none
        yield
        return
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def users_traceback(error: BaseException) -> str:
    """The traceback of what a model raised and of what led to it, without the frames of this tool."""
    told = TracebackException.from_exception(error)
    _without_ours(told)
    return "".join(told.format()).rstrip()


def _without_ours(told: TracebackException | None) -> None:
    if told is not None:
        kept = [frame for frame in told.stack if not _is_ours(Path(frame.filename))]
        told.stack[:] = kept or told.stack
        _without_ours(told.__cause__)
        _without_ours(told.__context__)


def _is_ours(file: Path) -> bool:
    own = file.is_relative_to(_PACKAGE) and not file.is_relative_to(_PACKAGE / "models")
    return own or any(part in file.as_posix() for part in _MACHINERY)


def _failed(spec: str, what: str, hint: str = "") -> InceptionLabError:
    return InceptionLabError(what, where=spec, hint=hint, exit_code=MODEL_FAILED)
