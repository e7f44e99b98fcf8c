"""Models of other packages, named as `package.module:factory`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inception_lab.errors import InceptionLabError, nearest
from inception_lab.loading.user_code import model_error, user_code

if TYPE_CHECKING:
    from torch import nn

_MISSING = object()


def is_factory(spec: str) -> bool:
    """True where MODEL, with keywords or without, names a factory rather than an entry of the zoo.

    Example:
        >>> is_factory("torchvision.models:resnet50"), is_factory("googlenet")
        (True, False)
    """
    return ":" in spec.partition("(")[0]


def find_factory(spec: str) -> Any:
    """Import what `package.module:factory` names; the current folder is importable.

    Raises:
        InceptionLabError: There is no such module or name, or importing it failed (exit code 3); it is
            not written like that (2).

    Example:
        >>> find_factory("torch.nn:Linear")
        <class 'torch.nn.modules.linear.Linear'>
    """
    module_name, _, path = spec.partition(":")
    if not module_name or not path:
        raise InceptionLabError(f"no model {spec!r}", hint="write it like package.module:factory")
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    if module_name.startswith(".") or "/" in module_name:
        raise InceptionLabError(
            f"{module_name!r} is not a module", hint="name it as in an import: package.module"
        )
    factory = _import(spec, module_name)
    for name in path.split("."):
        with user_code(spec, "looking it up"):  # a module may have a __getattr__ of its own
            attribute = getattr(factory, name, _MISSING)
        if attribute is _MISSING:
            public = [other for other in dir(factory) if not other.startswith("_")]
            raise model_error(spec, f"{module_name} has no {path!r}", nearest(name, public))
        factory = attribute
    return factory


def _import(spec: str, module_name: str) -> Any:
    try:
        with user_code(spec, "importing it"):
            return import_module(module_name)
    except InceptionLabError as error:
        absent = error.__cause__.name if isinstance(error.__cause__, ModuleNotFoundError) else None
        # A module that the user's own code misses is an error of that code, told as it is.
        if absent is None or not f"{module_name}.".startswith(f"{absent}."):
            raise
        top = absent.partition(".")[0]
        install = f"install it (pip install {top}), or " if sys.modules.get(top) is None else ""
        hint = f"{install}run in the folder that holds it"
        raise model_error(spec, f"no module named {absent!r}", hint) from error.__cause__


def build_from(spec: str, factory: Any, kwargs: Mapping[str, Any]) -> nn.Module:
    """Build a model of any package.

    Args:
        spec: Name of the factory, as `package.module:factory`.
        factory: A function or class that makes the model, or the model itself.
        kwargs: Keywords of the factory.

    Raises:
        InceptionLabError: It could not be built (exit code 3); a model was given keywords (2).

    Example:
        >>> from torch import nn
        >>> build_from("torch.nn:Linear", nn.Linear, {"in_features": 3, "out_features": 2})
        Linear(in_features=3, out_features=2, bias=True)
    """
    from torch import nn

    if isinstance(factory, nn.Module):
        if kwargs:
            raise InceptionLabError(
                "a model that is built takes no keywords",
                where=spec,
                hint="name its class, or leave out kwargs=",
            )
        return factory
    if not callable(factory):
        raise model_error(spec, f"what it names is not a model and makes none ({type(factory).__name__})")
    with user_code(spec, "building it"):
        model = factory(**kwargs)
    if not isinstance(model, nn.Module):
        raise model_error(spec, f"what it made is not a torch.nn.Module ({type(model).__name__})")
    return model
