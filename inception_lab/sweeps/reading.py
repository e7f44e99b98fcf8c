"""The space of a sweep, read from a TOML file or from the same keys in Python."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from inception_lab.arguments import checked
from inception_lab.budgets.budget import Limit
from inception_lab.budgets.budget_metrics import BUDGET_METRICS, TIME
from inception_lab.budgets.limit_syntax import read_limit
from inception_lab.budgets.questions import (
    check_keys,
    check_request,
    check_table,
    read_batch_size,
    read_optimizer,
    read_question,
)
from inception_lab.budgets.toml_source import Place, read_toml, shortened
from inception_lab.errors import InceptionLabError, nearest
from inception_lab.files import path_from
from inception_lab.loading.options import is_factory, model_request, parse_input_size, spec_of
from inception_lab.models.card import Card
from inception_lab.models.cards import CARDS, check_options
from inception_lab.sweeps.columns import OWN_COLUMNS
from inception_lab.sweeps.constraints import Constraint, read_constraint
from inception_lab.sweeps.question import INPUT_SIZE, SETTINGS, TRAIN_BATCH_SIZE
from inception_lab.sweeps.ranges import Points, Range, read_range
from inception_lab.sweeps.space import Direction, Space

_KEYS = [
    "model", "kwargs", "input-size", "arg", "batch-size", "train-batch-size", "mode", "optimizer",
    "parameters", "constraints", "metrics", "budgets", "objectives", "references", "sample", "seed",
]  # fmt: skip
METRICS = tuple(name for name in BUDGET_METRICS if name != TIME)
"""The figures that a variant can be asked for."""

_DEFAULT_METRICS = ("params", "macs", "receptive_field", "peak_bytes")
_DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
_BOUNDS = ("min", "max")
_MOST_OBJECTIVES = 3
"""Of a Pareto front."""
LARGEST_COUNT = 10_000_000
"""Of `sample` and `seed`."""


SpaceSource = Space | str | Path | Mapping[str, Any]
"""A space, its TOML file, or its keys and values in Python."""


@checked
def read_space(source: SpaceSource) -> Space:
    """Read the space of a sweep.

    Args:
        source: A TOML file, or a dictionary with the same keys: `model`, where a function or class of a
            file may stand itself, and `parameters`, and any of `kwargs`, `input-size`, `arg`, `batch-size`,
            `train-batch-size`, `mode`, `optimizer`, `constraints`, `metrics`, `budgets`, `objectives`,
            `references`, `sample` and `seed`; see docs/sweeps.md.

    Raises:
        InceptionLabError: The file cannot be read, or has a fault; file, line and key are named (exit code
            2).

    Example:
        >>> space = read_space({"model": "nin", "parameters": {"num_classes": [10, 100]}})
        >>> space.variants(), space.metrics
        ([{'num_classes': 10}, {'num_classes': 100}], ('params', 'macs', 'peak_bytes', 'receptive_field'))
    """
    if isinstance(source, Space):
        return source
    if isinstance(source, Mapping):
        model = source.get("model")
        return _space({**source, "model": _name_of(model)} if callable(model) else source, Place())
    table, place = read_toml(path_from(source))
    try:
        return _space(table, place)
    except RecursionError as error:
        raise place.refusal("is nested too deeply", "write it flat") from error


def _name_of(factory: Any) -> str:
    """MODEL for a function or class at hand, as other processes find it.

    Raises:
        InceptionLabError: No other process would find it (exit code 2).
    """
    name = getattr(factory, "__qualname__", "")
    module = sys.modules.get(getattr(factory, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    if module is None or file is None or not name or "<" in name:
        what = f"model: {shortened(factory)} is not at the top of a file, where other processes find it"
        raise InceptionLabError(what, hint="write it into mynet.py and pass model='mynet.py:build'")
    return f"{file if module.__name__ == '__main__' else module.__name__}:{name}"


def _space(table: Mapping[str, Any], place: Place) -> Space:
    check_keys(table, _KEYS, place, "is not a key of a space")
    question = read_question(table, place)
    model, kwargs = question["model"], question["kwargs"]
    parameters = dict(_parameters(table, kwargs, place))
    # a keyword within MODEL's own parentheses may vary no more than one of kwargs
    keywords = {name: None for name in parameters if name not in SETTINGS}
    check_request(model, {**kwargs, **keywords}, place.at("model"))
    _check_options(model, kwargs, parameters, place)
    names = [name.replace("-", "_") for name in (*kwargs, *parameters)]
    for name in parameters:
        # constraints know both by one name
        if names.count(name.replace("-", "_")) > 1:
            raise place.at("parameters", name).refusal("is there with - and with _", "let one of them vary")
    budgets = tuple(_budgets(table, place))
    objectives = _objectives(table, place)
    asked = tuple(_metrics(table, place))
    metrics = dict.fromkeys([*asked, *objectives, *(limit.metric for limit in budgets)])
    if not metrics:
        raise place.at("metrics").refusal("is empty", "name one, such as 'params'")
    return Space(
        **question,
        parameters=parameters,
        train_batch_size=(
            read_batch_size(table, place, TRAIN_BATCH_SIZE) if TRAIN_BATCH_SIZE in table else None
        ),
        optimizer=_optimizer(table, metrics, place),
        constraints=tuple(_constraints(table, names, place)),
        metrics=tuple(name for name in METRICS if name in metrics),
        budgets=budgets,
        objectives=objectives,
        references=tuple(_references(table, place)),
        sample=_whole(table, "sample", 1, place),
        seed=_whole(table, "seed", 0, place) or 0,
        place=place,
    )


def _parameters(
    table: Mapping[str, Any], kwargs: Mapping[str, Any], place: Place
) -> Iterator[tuple[str, Range]]:
    ranges, place_of_all = table.get("parameters", {}), place.at("parameters")
    if not check_table(ranges, place_of_all):
        raise place.refusal("has no parameters", "add [parameters] with a list or a range for each")
    for name, value in ranges.items():
        inner = place_of_all.at(name)
        _check_name(name, [*kwargs, *(key for key in SETTINGS if key in table)], inner)
        values = read_range(value, inner)
        if name in SETTINGS:
            _check_settings(name, values, place_of_all)
        yield name, values


def _check_options(
    model: str, kwargs: Mapping[str, Any], parameters: Mapping[str, Range], place: Place
) -> None:
    """Refuse options that a model of the zoo does not take; of other models their code decides."""
    spec = spec_of(model)
    if is_factory(model):
        return
    if spec not in CARDS:
        raise place.at("model").refusal(f"no model {spec!r}", nearest(spec, CARDS))
    for name, value in model_request(model, kwargs).kwargs.items():
        inner = place.at("kwargs", name) if name in kwargs else place.at("model")
        _check_option(CARDS[spec], name, [value], inner)
    for name, values in parameters.items():
        if name not in SETTINGS:
            _check_option(CARDS[spec], name, _extremes(values), place.at("parameters", name))


def _extremes(values: Range) -> Sequence[Any]:
    """All values of a range that has points; of a distribution its ends."""
    return values.values if isinstance(values, Points) else (values.at(0.0), values.at(1.0))


def _check_option(card: Card, name: str, values: Sequence[Any], place: Place) -> None:
    try:
        for value in values:
            check_options(card, {name: value})
    except InceptionLabError as error:
        raise place.refusal(error.what, error.hint) from None


def _check_name(name: object, fixed: Collection[str], place: Place) -> None:
    if name in fixed:
        raise place.refusal("has one value and several", "give it in one place")
    if name in (*BUDGET_METRICS, *OWN_COLUMNS):
        raise place.refusal(
            "is the name of another column of the table", "give the factory's keyword another name"
        )
    if name not in SETTINGS and not (isinstance(name, str) and name.isidentifier()):
        hint = f"name a keyword of the model, {' or '.join(SETTINGS)}"
        raise place.refusal("is not a parameter", hint)


def _check_settings(name: str, values: Range, place: Place) -> None:
    """Refuse input sizes and batch sizes that are none; the place is that of all parameters."""
    inner = place.at(name)
    if not isinstance(values, Points):
        is_right = name != INPUT_SIZE and values.is_whole and values.least >= 1
        if not is_right:
            raise inner.refusal("is not of this kind", "give a list of sizes")
        return
    for value in values.values:
        if name != INPUT_SIZE:
            read_batch_size({name: value}, place, name)
        elif isinstance(value, str):
            _check_input_size(value, inner)
        else:
            raise inner.refusal(f"{shortened(value)} is not an input size", "write it like '3x224x224'")


def _check_input_size(text: str, place: Place) -> None:
    try:
        parse_input_size(text)
    except InceptionLabError as error:
        raise place.refusal(error.what, error.hint) from None


def _constraints(table: Mapping[str, Any], names: Collection[str], place: Place) -> Iterator[Constraint]:
    value, place = table.get("constraints", []), place.at("constraints")
    for text in value if isinstance(value, list | tuple) else [value]:
        yield read_constraint(text, names, place)


def _metrics(table: Mapping[str, Any], place: Place) -> Iterator[str]:
    value, place = table.get("metrics", _DEFAULT_METRICS), place.at("metrics")
    if not isinstance(value, list | tuple):
        raise place.refusal(f"{shortened(value)} is not a list", "write it like ['params', 'macs']")
    for name in value:
        yield _metric(name, place)


def _metric(name: object, place: Place) -> str:
    if not isinstance(name, str) or name not in METRICS:
        raise place.refusal(f"{shortened(name)} is not a metric", nearest(name, METRICS))
    return name


def _budgets(table: Mapping[str, Any], place: Place) -> Iterator[Limit]:
    limits, place = table.get("budgets", {}), place.at("budgets")
    for name, value in check_table(limits, place).items():
        inner = place.at(name)
        _metric(name, inner)
        for key in value if isinstance(value, Mapping) else ():
            if key not in _BOUNDS:
                raise inner.at(str(key)).refusal("is not a bound of a sweep", "give min, max or both")
        yield read_limit(name, value, inner)


def _objectives(table: Mapping[str, Any], place: Place) -> dict[str, Direction]:
    objectives, place = table.get("objectives", {}), place.at("objectives")
    if len(check_table(objectives, place)) > _MOST_OBJECTIVES:
        what = f"has {len(objectives)} objectives, at most {_MOST_OBJECTIVES} make a front"
        raise place.refusal(what, "make budgets of the others")
    return {
        _metric(name, place.at(str(name))): _direction(value, place.at(str(name)))
        for name, value in objectives.items()
    }


def _references(table: Mapping[str, Any], place: Place) -> Iterator[str]:
    value, place = table.get("references", []), place.at("references")
    if not isinstance(value, list | tuple):
        raise place.refusal(f"{shortened(value)} is not a list", "write it like ['googlenet', 'nin']")
    for model in value:
        if not isinstance(model, str):
            raise place.refusal(f"{shortened(model)} is not a model", "write its name as text")
        check_request(model, {}, place)
        if not is_factory(model) and spec_of(model) not in CARDS:
            raise place.refusal(f"no model {model!r}", nearest(spec_of(model), CARDS))
        yield model


def _direction(value: object, place: Place) -> Direction:
    for direction in _DIRECTIONS:
        if value == direction:
            return direction
    raise place.refusal(f"{shortened(value)} is not a direction", "give 'min' or 'max'")


def _optimizer(table: Mapping[str, Any], metrics: Collection[str], place: Place) -> str | None:
    optimizer = read_optimizer(table, place)
    trains = table.get("mode") == "train" or any(BUDGET_METRICS[name].mode == "train" for name in metrics)
    if optimizer and not trains:
        raise place.at("optimizer").refusal(
            "an optimizer takes no step in eval mode", "add metrics = ['train_peak_bytes'], or leave it out"
        )
    return optimizer


def _whole(table: Mapping[str, Any], key: str, least: int, place: Place) -> int | None:
    if key not in table:
        return None
    value = table[key]
    if type(value) is not int or not least <= value <= LARGEST_COUNT:
        raise place.at(key).refusal(
            f"{shortened(value)} is not a whole number from {least} to {LARGEST_COUNT:,}", "give one"
        )
    return value
