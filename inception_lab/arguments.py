"""Arguments of public functions, held against their annotations before anything is done with them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from inspect import Parameter, signature
from math import isfinite
from numbers import Integral, Real
from typing import Any, NamedTuple, ParamSpec, TypeVar

from inception_lab.errors import InceptionLabError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


_OWN_WORDS = frozenset(
    {"device", "threads", "seconds", "wait", "warm_up", "active", "start", "batch_size", "batch_sizes"}
)
"""Parameters that all functions with them refuse in words that say more than these rules can."""


class _Rule(NamedTuple):
    """The values that an annotation allows.

    Attributes:
        allows: Tells if a value may be passed.
        noun: What it has to be, in words.
        hint: What to type; `{name}` is the parameter.
    """

    allows: Callable[[Any], bool]
    noun: str
    hint: str


def checked(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Refuse arguments of another type than a public function declares, in one line.

    Ranges, and values whose types say little, are left to the function.

    Args:
        function: Its annotations are text, as `from __future__ import annotations` makes them.

    Raises:
        InceptionLabError: The function returned is called with a wrong argument (exit code 2).

    Example:
        >>> @checked
        ... def half(number: int) -> float:
        ...     return number / 2
        >>> half("4")
        Traceback (most recent call last):
        ...
        inception_lab.errors.InceptionLabError: a str is not a whole number; give one to number=
    """
    parameters = signature(function).parameters
    annotations = {p.name: str(p.annotation) for p in parameters.values() if p.name not in _OWN_WORDS}
    rules = {name: _RULES[text] for name, text in annotations.items() if text in _RULES}
    by_place = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    names = tuple([name for name, parameter in parameters.items() if parameter.kind in by_place])

    @wraps(function)
    def checked_function(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        for name, value in (*zip(names, args, strict=False), *kwargs.items()):
            if name in rules and not rules[name].allows(value):
                raise _refusal(name, value, rules[name])
        return function(*args, **kwargs)

    return checked_function


def _refusal(name: str, value: Any, rule: _Rule) -> InceptionLabError:
    if rule.noun == _NAMES.noun and isinstance(value, str):
        return InceptionLabError(f"{name} is the text {value!r}", hint=f"pass [{value!r}]")
    is_finite = not isinstance(value, float) or isfinite(value)
    what = f"a {type(value).__name__}" if is_finite else str(value)
    return InceptionLabError(f"{what} is not {rule.noun}", hint=rule.hint.format(name=name))


def _instance(module: str, name: str, noun: str, hint: str) -> _Rule:
    """The rule of an instance of a class, which need not be imported: without its module there are none."""

    def allows(value: Any) -> bool:
        return module in sys.modules and isinstance(value, getattr(sys.modules[module], name))

    return _Rule(allows, noun, hint)


def _optional(rule: _Rule) -> _Rule:
    return rule._replace(allows=lambda value: value is None or rule.allows(value))


def _or_text(rule: _Rule) -> _Rule:
    return rule._replace(allows=lambda value: isinstance(value, str) or rule.allows(value))


def _is_whole(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral)


def _is_number(value: Any) -> bool:
    # NaN alone is not equal to itself
    return not isinstance(value, bool) and isinstance(value, Real) and bool(value == value)


def _is_list_of_text(value: Any) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    return is_list and all(isinstance(item, str) for item in value)


def _is_list_of_whole(value: Any) -> bool:
    # a range holds nothing else, and may be endless for all that matters
    return isinstance(value, range) or (
        isinstance(value, Collection) and not isinstance(value, (str, bytes)) and all(map(_is_whole, value))
    )


def _is_mapping_by_name(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


_TEXT = _Rule(lambda value: isinstance(value, str), "text", "give text to {name}=")
_WHOLE = _Rule(_is_whole, "a whole number", "give one to {name}=")
_CEILINGS = _instance(
    "inception_lab.measure.roofline.limits", "Ceilings", "ceilings", "pass il.measure_ceilings()"
)
_REQUEST = _instance(
    "inception_lab.loading.options", "ModelRequest", "a model's name", 'pass text such as {name}="nin"'
)
_MODULE = _instance("torch.nn", "Module", "a torch.nn.Module", "pass a model")
_TABLE = _instance("pandas", "DataFrame", "a table", "pass a pandas DataFrame")
_NAMES = _Rule(_is_list_of_text, "a list of names", 'pass {name}=["name"]')
_FUNCTION = _Rule(callable, "a function", "pass one, or leave out {name}=")
_RULES: Mapping[str, _Rule] = {
    "Trace": _instance(
        "inception_lab.ir.trace", "Trace", "a trace", "pass il.trace(model, (1, 3, 224, 224))"
    ),
    "Comparison": _instance(
        "inception_lab.comparison.side_by_side",
        "Comparison",
        "a comparison",
        "pass il.compare(first, second)",
    ),
    "nn.Module": _MODULE,
    "nn.Module | str": _or_text(_MODULE),
    "ModelRequest | str": _or_text(_REQUEST),
    "LayerTimes": _instance(
        "inception_lab.measure.timing.results",
        "LayerTimes",
        "a table of times",
        "pass il.layer_times(model, (1, 3, 224, 224))",
    ),
    "Ceilings": _CEILINGS,
    "Ceilings | None": _optional(_CEILINGS),
    "Worksheet": _instance(
        "inception_lab.worksheets.sheet", "Worksheet", "a worksheet", "pass il.worksheet(trace, module)"
    ),
    "DataFrame": _TABLE,
    "DataFrame | None": _optional(_TABLE),
    "Mapping[str, Bounds] | None": _optional(
        _Rule(_is_mapping_by_name, "budgets by metric", 'pass {{"macs": (None, 1.2e9)}}')
    ),
    "Objectives": _Rule(
        _is_mapping_by_name, "objectives by metric", 'pass {{"macs": "min", "receptive_field": "max"}}'
    ),
    "str": _TEXT,
    "str | None": _optional(_TEXT),
    "int": _WHOLE,
    "int | None": _optional(_WHOLE),
    "float": _Rule(_is_number, "a number", "give one to {name}="),
    "Sequence[str]": _NAMES,
    "Sequence[int]": _Rule(_is_list_of_whole, "a list of whole numbers", "pass {name}=(number, number)"),
    "str | Sequence[int]": _Rule(
        lambda value: isinstance(value, str) or _is_list_of_whole(value),
        "text or a list of whole numbers",
        "give text to {name}=",
    ),
    "Loss | None": _optional(_FUNCTION),
    "Losses | None": _optional(_FUNCTION),
    "Samples | None": _optional(
        _Rule(
            lambda value: callable(getattr(value, "batch", None)),
            "labelled samples",
            'pass folder_samples(Path("flowers"), (3, 224, 224))',
        )
    ),
    "Mapping[str, Model]": _Rule(
        _is_mapping_by_name, "models by name", 'pass {{"name": function that builds one}}'
    ),
    "Callable[..., Cost]": _FUNCTION,
    "Progress": _FUNCTION,
    "Progress | None": _optional(_FUNCTION),
}
"""The rule of each annotation."""
