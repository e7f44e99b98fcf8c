"""The configuration of budgets: a table of pyproject.toml, or a TOML file of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from inception_lab.budgets.budget import Budget, Limit
from inception_lab.budgets.budget_metrics import BUDGET_METRICS
from inception_lab.budgets.limit_syntax import read_limit, read_limits
from inception_lab.budgets.questions import (
    check_keys,
    check_request,
    check_table,
    read_optimizer,
    read_question,
)
from inception_lab.budgets.toml_source import KeyPath, Place, read_toml, shortened
from inception_lab.errors import InceptionLabError, nearest
from inception_lab.files import path_from

PYPROJECT = "pyproject.toml"
OWN_FILE = "inception-lab.toml"
LOCK = "inception-lab.lock"

_SETTINGS = ("model", "kwargs", "input-size", "arg", "batch-size", "mode", "optimizer")
_LAYERS = "layers"
_GLOB_CHARACTERS = frozenset(".*?[")


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
            check_keys(data, [key], place, "is not a key of the configuration")
        if key not in data:
            return None
        data, place = data[key], place.at(key)
        check_table(data, place)
    return _Section(data, place) if data else None


def read_budget(name: object, table: object, place: Place) -> Budget:
    """Read one budget.

    Args:
        name: Of the budget.
        table: Its settings and limits.
        place: Of the table.

    Raises:
        InceptionLabError: The table has a fault (exit code 2).
    """
    table = check_table(table, place)
    if not isinstance(name, str) or not name.strip() or "\n" in name:
        raise place.refusal(f"{shortened(name)} is not the name of a budget", "give it one of letters")
    question = read_question(table, place)
    check_request(question["model"], question["kwargs"], place.at("model"))
    limits = tuple(_limits(table, place))
    _check_ratios(name, limits, place)
    optimizer = read_optimizer(table, place)
    trains = question["mode"] == "train" or any(
        BUDGET_METRICS[limit.metric].mode == "train" for limit in limits
    )
    if optimizer and not trains:
        raise place.at("optimizer").refusal("an optimizer takes no step in eval mode", "add mode = 'train'")
    return Budget(name=name, optimizer=optimizer, limits=limits, line=place.line, **question)


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
        check_table(value, place.at(key))
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
