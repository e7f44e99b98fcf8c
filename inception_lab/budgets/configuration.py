"""The configuration of budgets: a table of pyproject.toml, or a TOML file of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import float_info
from typing import Any, NamedTuple, get_args

from inception_lab.budgets.budget import Budget, Limit
from inception_lab.budgets.budget_metrics import BUDGET_METRICS
from inception_lab.budgets.limit_syntax import read_limit, read_limits
from inception_lab.budgets.toml_source import KeyPath, Place, read_toml, shortened
from inception_lab.errors import InceptionLabError, nearest
from inception_lab.files import path_from
from inception_lab.ir.trace import Mode
from inception_lab.loading.options import (
    forward_arguments,
    model_request,
    parse_argument,
    parse_input_size,
)

PYPROJECT = "pyproject.toml"
OWN_FILE = "inception-lab.toml"
LOCK = "inception-lab.lock"
OPTIMIZERS = ("sgd", "momentum", "adam", "adamw")
"""Keys of `running.optimizers.OPTIMIZERS`, which imports torch."""

_SETTINGS = ("model", "kwargs", "input-size", "arg", "batch-size", "mode", "optimizer")
_LAYERS = "layers"
_MODES: tuple[Mode, ...] = get_args(Mode)
_MOST_IMAGES = 2**31
_GLOB_CHARACTERS = frozenset(".*?[")
_MOST_LEVELS = 20


@dataclass(frozen=True)
class Configuration:
    """The budgets of a file.

    Attributes:
        file: Its path.
        budgets: In its order.
    """

    file: Path
    budgets: tuple[Budget, ...]

    @property
    def lock(self) -> Path:
        """The path of the lock beside it, which need not exist.

        A configuration of another name than the two has a lock of its own name, so that several of one folder
        do not overwrite each other's.
        """
        if self.file.name in (PYPROJECT, OWN_FILE):
            return self.file.parent / LOCK
        # with another ending than .toml kept, as a.conf is another file than a.toml
        return self.file.parent / f"{self.file.name.removesuffix('.toml')}.lock"


def read_configuration(path: str | Path | None = None) -> Configuration:
    """Read budgets.

    Args:
        path: A TOML file with tables `[budgets.NAME]`, or a `pyproject.toml` with tables
            `[tool.inception-lab.budgets.NAME]`; or a folder with an `inception-lab.toml` or such a
            `pyproject.toml`, by default the current one.

    Raises:
        InceptionLabError: There are no budgets, or the file has a fault; it names file, line and key (exit
            code 2).
    """
    section = _section(Path() if path is None else path_from(path))
    try:
        budgets = tuple(
            read_budget(name, table, section.place.at(name)) for name, table in section.budgets.items()
        )
    except RecursionError as error:
        raise section.place.refusal("is nested too deeply", "write it flat") from error
    return Configuration(Path(section.place.file), budgets)


class _Section(NamedTuple):
    """The table of budgets, and its place."""

    budgets: Mapping[str, Any]
    place: Place


def _section(path: Path) -> _Section:
    files = [path / name for name in (OWN_FILE, PYPROJECT)] if path.is_dir() else [path]
    sections = [s for file in files if file.is_file() or len(files) == 1 if (s := _section_of(file))]
    if not sections:
        raise InceptionLabError(
            "has no budgets",
            where=str(path.absolute() if path.is_dir() else path),
            hint=f"write [tool.inception-lab.budgets.NAME] in {PYPROJECT}, or [budgets.NAME] in {OWN_FILE}",
        )
    if len(sections) > 1:
        raise sections[0].place.refusal(f"{PYPROJECT} beside it has budgets too", "keep one of them")
    return sections[0]


def _section_of(file: Path) -> _Section | None:
    """The table of budgets in a file; None where it has none."""
    data, place = read_toml(file)
    keys: KeyPath = ("tool", "inception-lab", "budgets") if file.name == PYPROJECT else ("budgets",)
    for depth, key in enumerate(keys, 1):
        # other tools own the other tables of pyproject.toml, and we all of our own
        if depth == len(keys):
            _check_keys(data, [key], place, "is not a key of the configuration")
        if key not in data:
            return None
        data, place = data[key], place.at(key)
        _check_table(data, place)
    return _Section(data, place) if data else None


def _check_table(value: object, place: Place) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise place.refusal(f"{shortened(value)} is not a table", "write its keys under a [header]")
    return value


def _check_keys(table: Mapping[str, Any], names: list[str], place: Place, what: str) -> None:
    for key in table:
        if key not in names:
            raise place.at(key).refusal(what, nearest(key, names))


def read_budget(name: object, table: object, place: Place) -> Budget:
    """Read one budget.

    Args:
        name: Of the budget.
        table: Its settings and limits.
        place: Of the table.

    Raises:
        InceptionLabError: The table has a fault (exit code 2).
    """
    table = _check_table(table, place)
    if not isinstance(name, str) or not name.strip() or "\n" in name:
        raise place.refusal(f"{shortened(name)} is not the name of a budget", "give it one of letters")
    model, kwargs = _model(table, place), _kwargs(table, place)
    _check_request(model, kwargs, place.at("model"))
    limits = tuple(_limits(table, place))
    _check_ratios(name, limits, place)
    mode, optimizer = _mode(table, place), _optimizer(table, place)
    trains = mode == "train" or any(BUDGET_METRICS[limit.metric].mode == "train" for limit in limits)
    if optimizer and not trains:
        raise place.at("optimizer").refusal("an optimizer takes no step in eval mode", "add mode = 'train'")
    return Budget(
        name=name,
        model=model,
        kwargs=kwargs,
        input_sizes=tuple(_input_sizes(table, place)),
        batch_size=_batch_size(table, place),
        mode=mode,
        optimizer=optimizer,
        limits=limits,
        line=place.line,
        arguments=tuple(_arguments(table, place)),
    )


def _check_ratios(name: str, limits: Iterable[Limit], place: Place) -> None:
    """Refuse a ratio of a budget to itself, as one that is named after a model of the zoo may have."""
    for limit in limits:
        if place.file and limit.ratio and limit.ratio.to == name:
            raise InceptionLabError(
                f"the {limit.metric} of {shortened(name)} would be a ratio to itself",
                where=f"{place.file}:{limit.line}",
                hint="give the budget another name",
            )


def _limits(table: Mapping[str, Any], place: Place) -> Iterator[Limit]:
    """The limits of a budget, in its order."""
    patterns: set[str] = set()
    for key, value in table.items():
        if key in _SETTINGS:
            continue
        if key in BUDGET_METRICS:
            yield read_limit(key, value, place.at(key))
            continue
        tables = _layer_tables(key, value, place)
        for pattern, limits in tables.items():
            inner = place.at(key, pattern) if key == _LAYERS else place.at(key)
            if pattern in patterns:
                raise inner.refusal("is there twice", "give all limits of a pattern in one table")
            patterns.add(pattern)
            yield from _layer_limits(pattern, limits, inner)


def _layer_tables(key: str, value: Any, place: Place) -> Mapping[str, Any]:
    """Limits by pattern of a key that is neither a setting nor a metric."""
    if key == _LAYERS:
        _check_table(value, place.at(key))
        return dict(value)
    # a bare word is more likely a misspelt key than the path of a layer, which `layers` takes
    if key and not _GLOB_CHARACTERS.intersection(key):
        names = [*_SETTINGS, _LAYERS, *BUDGET_METRICS]
        raise place.at(key).refusal("is not a key of a budget", nearest(key, names))
    return {key: value}


def _layer_limits(pattern: object, table: object, place: Place) -> list[Limit]:
    if not isinstance(pattern, str) or not pattern.strip():
        raise place.refusal("an empty pattern names no layer", "write one like 'inception5*.branch3.*'")
    if not isinstance(table, Mapping) or not table:
        raise place.refusal(f"{shortened(table)} is not a table of limits", "write { macs = '20 M' }")
    return list(read_limits(table, place, pattern))


def _model(table: Mapping[str, Any], place: Place) -> str:
    if "model" not in table:
        raise place.refusal("has no model", "add model = 'googlenet', or 'package.module:factory'")
    model = table["model"]
    if not isinstance(model, str) or not model.strip():
        raise place.at("model").refusal(f"{shortened(model)} is not a model", "write model = 'googlenet'")
    return model


def _check_request(model: str, kwargs: Mapping[str, Any], place: Place) -> None:
    """Refuse keywords in MODEL that cannot be read, or that are there twice."""
    try:
        model_request(model, kwargs)
    except InceptionLabError as error:
        raise place.refusal(error.what, error.hint) from None


def _kwargs(table: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
    kwargs, place = table.get("kwargs", {}), place.at("kwargs")
    _check_table(kwargs, place)
    for name, value in kwargs.items():
        if not name.isidentifier():
            raise place.at(name).refusal("is not a keyword", "name a parameter of the model")
        _check_literal(value, place.at(name))
    return dict(kwargs)


def _check_literal(value: object, place: Place, levels: int = 0) -> None:
    """Refuse dates, and values that are nested too deeply."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    is_huge = isinstance(value, int) and abs(value) > float_info.max
    if levels > _MOST_LEVELS or is_huge or not isinstance(value, str | int | float | dict | list):
        raise place.refusal(
            f"{shortened(value)} is not a value for a model", "give text, numbers, true, false or lists"
        )
    for child in children:
        _check_literal(child, place, levels + 1)


def _input_sizes(table: Mapping[str, Any], place: Place) -> Iterator[str]:
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


def _arguments(table: Mapping[str, Any], place: Place) -> Iterator[str]:
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


def _batch_size(table: Mapping[str, Any], place: Place) -> int:
    value = table.get("batch-size", 1)
    if type(value) is not int or not 1 <= value <= _MOST_IMAGES:
        raise place.at("batch-size").refusal(f"{shortened(value)} is not a batch size", "give 1 or more")
    return value


def _mode(table: Mapping[str, Any], place: Place) -> Mode:
    value = table.get("mode", _MODES[0])
    for mode in _MODES:
        if value == mode:
            return mode
    raise place.at("mode").refusal(f"{shortened(value)} is not a mode", "give eval or train")


def _optimizer(table: Mapping[str, Any], place: Place) -> str | None:
    if "optimizer" not in table:
        return None
    value = table["optimizer"]
    if not isinstance(value, str) or value not in OPTIMIZERS:
        raise place.at("optimizer").refusal(
            f"{shortened(value)} is not an optimizer", nearest(shortened(value), OPTIMIZERS)
        )
    return value
