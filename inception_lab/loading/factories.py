"""Models of other packages and of the user's own, named as `package.module:factory`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from types import ModuleType
from typing import TYPE_CHECKING, Any

from inception_lab.errors import InceptionLabError, listed, nearest
from inception_lab.loading.namesakes import namesake_hint
from inception_lab.loading.own_files import is_path
from inception_lab.loading.own_modules import module_named, module_of_file
from inception_lab.loading.user_code import model_error, user_code

if TYPE_CHECKING:
    from torch import nn

_MISSING = object()
_BY_KEYWORD = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def find_factory(spec: str) -> Any:
    """Import what `package.module:factory` or `path/to/file.py:factory` names.

    Modules in the current folder are importable.

    Raises:
        InceptionLabError: There is no such module, file or name, or it is not written like that (exit code
            2); importing it failed (3).

    Example:
        >>> find_factory("torch.nn:Linear")
        <class 'torch.nn.modules.linear.Linear'>
    """
    place, _, path = spec.rpartition(":")
    if not place or not path:
        hint = "write it like mynet:MyNet, for a class MyNet in mynet.py, or package.module:factory"
        raise InceptionLabError(f"no model {spec!r}", hint=hint)
    module = module_of_file(spec, place) if is_path(place) else module_named(spec, place, path)
    factory: Any = module
    for name in path.split("."):
        with user_code(spec, "looking it up"):  # a module may have a __getattr__ of its own
            attribute = getattr(factory, name, _MISSING)
        if attribute is _MISSING:
            raise _absence(spec, module, factory, f"{place} has no {path!r}", name)
        factory = attribute
    return factory


def _absence(spec: str, module: ModuleType, owner: Any, what: str, name: str) -> InceptionLabError:
    """The error of a name that a module lacks, which may be in a module of the same name."""
    is_top = "." not in module.__name__
    public = [other for other in dir(owner) if not other.startswith("_")]
    hint = namesake_hint(module, module.__name__, name) if is_top else ""
    hint = hint or nearest(name, public)
    return InceptionLabError(what, where=spec, hint=hint)


def build_from(spec: str, factory: Any, kwargs: Mapping[str, Any]) -> nn.Module:
    """Build a model of any package.

    Args:
        spec: Name of the factory, as `package.module:factory`.
        factory: A function or class that makes the model, or the model itself.
        kwargs: Keywords of the factory.

    Raises:
        InceptionLabError: It could not be built (exit code 3); it takes no such keyword, needs another one,
            or is a model that is built already (2).

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
        what = f"what it names is not a model and makes none ({type(factory).__name__})"
        raise model_error(spec, what)
    with user_code(spec, "building it"):
        check_keywords(spec, factory, kwargs)
        model = factory(**kwargs)
    if not isinstance(model, nn.Module):
        raise model_error(spec, f"what it made is not a torch.nn.Module ({type(model).__name__})")
    return model


def check_keywords(spec: str, factory: Callable[..., Any], kwargs: Mapping[str, Any]) -> None:
    """Refuse keywords that a factory does not take, text for flags, and calls without what it needs.

    Args:
        spec: Name of the factory, for errors.
        factory: A function or class that makes a model.
        kwargs: Its keywords.

    Raises:
        InceptionLabError: A keyword is unknown, wrong or missing (exit code 2).
    """
    try:
        # of a decorated factory what its wrapper takes, which may supply some of the keywords and take others
        parameters = signature(factory, follow_wrapped=False).parameters
    except (TypeError, ValueError):  # written in C, or decorated so that nothing is told
        return
    kinds = {parameter.kind for parameter in parameters.values()}
    named = {name: p for name, p in parameters.items() if p.kind in _BY_KEYWORD}
    unknown = [name for name in kwargs if name not in named]
    if unknown and Parameter.VAR_KEYWORD not in kinds:
        hint = nearest(unknown[0], named) if named else "it takes none"
        raise InceptionLabError(f"no keyword {unknown[0]!r}", where=spec, hint=hint)
    for name, value in kwargs.items():
        # all text is true, a slip such as flase too
        if isinstance(value, str) and name in named and isinstance(named[name].default, bool):
            raise InceptionLabError(f"{name} is the text {value!r}", where=spec, hint="write true or false")
    missing = [name for name, p in named.items() if p.default is Parameter.empty and name not in kwargs]
    if missing:
        what = f"it needs a value of {listed(missing)}"
        raise InceptionLabError(what, where=spec, hint="give it in parentheses or with kwargs=")
