"""The model of a configuration, its inputs and its step, read from a table of TOML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from sys import float_info
from typing import Any, get_args

from inception_lab.budgets.toml_source import Place, shortened
from inception_lab.errors import InceptionLabError, nearest
from inception_lab.ir.trace import Mode
from inception_lab.loading.options import (
    forward_arguments,
    model_request,
    parse_argument,
    parse_input_size,
)

OPTIMIZERS = ("sgd", "momentum", "adam", "adamw")
"""Keys of `running.optimizers.OPTIMIZERS`, which imports torch."""

_MODES: tuple[Mode, ...] = get_args(Mode)
_MOST_IMAGES = 2**31
_MOST_LEVELS = 20


def check_table(value: object, place: Place) -> Mapping[str, Any]:
    """Refuse what is not a table; returns it."""
    if not isinstance(value, Mapping):
        raise place.refusal(f"{shortened(value)} is not a table", "write its keys under a [header]")
    return value


def check_keys(table: Mapping[str, Any], names: list[str], place: Place, what: str) -> None:
    """Refuse a key of a table that is not among some names."""
    for key in table:
        if key not in names:
            raise place.at(key).refusal(what, nearest(key, names))


def read_model(table: Mapping[str, Any], place: Place) -> str:
    """Read the MODEL of a table."""
    if "model" not in table:
        raise place.refusal("has no model", "add model = 'googlenet', or 'package.module:factory'")
    model = table["model"]
    if not isinstance(model, str) or not model.strip():
        raise place.at("model").refusal(f"{shortened(model)} is not a model", "write model = 'googlenet'")
    return model


def check_request(model: str, kwargs: Mapping[str, Any], place: Place) -> None:
    """Refuse keywords in MODEL that cannot be read, or that are there twice."""
    try:
        model_request(model, kwargs)
    except InceptionLabError as error:
        raise place.refusal(error.what, error.hint) from None


def read_kwargs(table: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
    """Read the keywords of a table's model."""
    kwargs, place = table.get("kwargs", {}), place.at("kwargs")
    check_table(kwargs, place)
    for name, value in kwargs.items():
        if not name.isidentifier():
            raise place.at(name).refusal("is not a keyword", "name a parameter of the model")
        check_literal(value, place.at(name))
    return dict(kwargs)


def check_literal(value: object, place: Place, levels: int = 0) -> None:
    """Refuse dates, and values that are nested too deeply."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    is_huge = isinstance(value, int) and abs(value) > float_info.max
    if levels > _MOST_LEVELS or is_huge or not isinstance(value, str | int | float | dict | list):
        raise place.refusal(
            f"{shortened(value)} is not a value for a model", "give text, numbers, true, false or lists"
        )
    for child in children:
        check_literal(child, place, levels + 1)


def read_input_sizes(table: Mapping[str, Any], place: Place) -> Iterator[str]:
    """Read the input sizes of a table, as text."""
    value, place = table.get("input-size", []), place.at("input-size")
    hint = "write it like '3x224x224', of several inputs a list"
    if "input-size" in table and value in ("", []):
        raise place.refusal("is empty", hint)
    for size in value if isinstance(value, list) else [value]:
        if not isinstance(size, str):
            raise place.refusal(f"{shortened(size)} is not an input size", hint)
        try:
            parse_input_size(size)
        except InceptionLabError as error:
            raise place.refusal(error.what, error.hint) from None
        yield size


def read_arguments(table: Mapping[str, Any], place: Place) -> Iterator[str]:
    """Read the arguments of a table's forward, as text."""
    value, place = table.get("arg", []), place.at("arg")
    texts = value if isinstance(value, list) else [value]
    pairs = [_argument(text, place) for text in texts]
    try:
        forward_arguments(pairs)
    except InceptionLabError as error:
        raise place.refusal(error.what, error.hint) from None
    yield from texts


def _argument(text: object, place: Place) -> tuple[str, Any]:
    if not isinstance(text, str):
        raise place.refusal(
            f"{shortened(text)} is not an argument", "write it like 'out_indices=[1,3]', of several a list"
        )
    try:
        return parse_argument(text)
    except InceptionLabError as error:
        raise place.refusal(error.what, error.hint) from None


def read_batch_size(table: Mapping[str, Any], place: Place, key: str = "batch-size") -> int:
    """Read a batch size of a table, 1 by default."""
    value = table.get(key, 1)
    if type(value) is not int or not 1 <= value <= _MOST_IMAGES:
        raise place.at(key).refusal(f"{shortened(value)} is not a batch size", "give 1 or more")
    return value


def read_mode(table: Mapping[str, Any], place: Place) -> Mode:
    """Read the mode of a table, eval by default."""
    value = table.get("mode", _MODES[0])
    for mode in _MODES:
        if value == mode:
            return mode
    raise place.at("mode").refusal(f"{shortened(value)} is not a mode", "give eval or train")


def read_optimizer(table: Mapping[str, Any], place: Place) -> str | None:
    """Read the optimizer of a table, None by default."""
    if "optimizer" not in table:
        return None
    value = table["optimizer"]
    if not isinstance(value, str) or value not in OPTIMIZERS:
        raise place.at("optimizer").refusal(
            f"{shortened(value)} is not an optimizer", nearest(shortened(value), OPTIMIZERS)
        )
    return value


def read_question(table: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """Read what a table asks a trace of, by the names of a `Budget`'s attributes, but for the optimizer.

    Args:
        table: Of a budget, or of the space of a sweep.
        place: Of the table.

    Raises:
        InceptionLabError: A setting has a fault (exit code 2).
    """
    return {
        "model": read_model(table, place),
        "kwargs": read_kwargs(table, place),
        "input_sizes": tuple(read_input_sizes(table, place)),
        "arguments": tuple(read_arguments(table, place)),
        "batch_size": read_batch_size(table, place),
        "mode": read_mode(table, place),
    }
