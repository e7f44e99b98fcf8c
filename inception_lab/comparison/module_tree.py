"""The modules of a model as a tree, made from the layers of its record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from sys import float_info
from typing import Any, cast

from inception_lab.errors import InceptionLabError
from inception_lab.metrics import METRICS
from inception_lab.record import Row

ROOT = "(model)"
"""Path of the model itself, as in the rows of a record."""

_DEEPEST = 100
"""Levels of the tree; what is nested deeper has a name with dots."""


@dataclass(frozen=True, eq=False)
class ModuleNode:
    """A module of a model and all that is in it.

    Attributes:
        path: Its path, `(model)` for the model itself.
        type: Its class; empty for a container that computes nothing itself, which has no row in a record.
        own: What it costs itself, by metric; None where it has no row.
        output_shape: Of its first call; empty where there is none.
        children: In order of execution.
    """

    path: str
    type: str
    own: Mapping[str, float] | None
    output_shape: tuple[int, ...]
    children: tuple[ModuleNode, ...]

    @property
    def name(self) -> str:
        """Its name within the module around it."""
        return self.path.split(".", _DEEPEST - 1)[-1]

    @cached_property
    def costs(self) -> Mapping[str, float]:
        """The costs of it and of all that is in it, by metric."""
        costs: dict[str, float] = {}
        for part in (self.own or {}, *(child.costs for child in self.children)):
            for metric, cost in part.items():
                costs[metric] = costs.get(metric, 0) + cost
        return costs

    @cached_property
    def layer_types(self) -> tuple[str, ...]:
        """The classes of the layers in it, and of itself, in order of execution."""
        own = (self.type,) if self.own is not None else ()
        return sum((child.layer_types for child in self.children), own)

    @cached_property
    def content(self) -> tuple[Any, ...]:
        """Equal for two modules of the same structure, types and parameters, whatever their names."""
        params = None if self.own is None else self.own.get("params")
        return (self.type, params, *(child.content for child in self.children))

    def nodes(self) -> Iterator[ModuleNode]:
        """It and all modules in it, in order of execution."""
        yield self
        for child in self.children:
            yield from child.nodes()


def module_tree(layers: Iterable[Row], label: str = "") -> ModuleNode:
    """Return the modules of a model as a tree.

    Several calls of one module are added up.

    Args:
        layers: The rows of a record.
        label: Of the record, for the error.

    Raises:
        InceptionLabError: A row is damaged: it has no path, or a metric in it is not a finite number.

    Example:
        >>> rows = [{"layer": "stem.conv", "type": "Conv2d", "macs": 8}, {"layer": "fc", "type": "Linear"}]
        >>> tree = module_tree(rows)
        >>> [node.path for node in tree.nodes()], tree.costs
        (['(model)', 'stem', 'stem.conv', 'fc'], {'macs': 8})
    """
    branch = _Branch(ROOT)
    try:
        for row in layers:
            branch.place(row)
    except InceptionLabError as error:
        raise InceptionLabError(error.what, where=label, hint=error.hint) from error
    return branch.node()


class _Branch:
    """A module while its tree is made."""

    def __init__(self, path: str) -> None:
        self.path, self.type = path, ""
        self.output_shape: tuple[int, ...] = ()
        self.own: dict[str, float] | None = None
        self.children: dict[str, _Branch] = {}

    def place(self, row: Row) -> None:
        """Put a row into the module that it is of, made where it is missing."""
        path, branch = row.get("layer"), self
        if not isinstance(path, str) or not isinstance(row.get("type", ""), str):
            raise InceptionLabError("damaged record: a layer without a path or a type", hint="write it again")
        names = path.split(".", _DEEPEST - 1) if path != ROOT else []
        for depth, name in enumerate(names, 1):
            branch = branch.children.setdefault(name, _Branch(".".join(names[:depth])))
        branch.add(row)

    def add(self, row: Row) -> None:
        """Add a call of this module."""
        if self.own is None:
            self.type, self.own = row.get("type", ""), {}
            self.output_shape = _shape(row.get("output_shape", ()))
        for metric in filter(METRICS.__contains__, row):
            self.own[metric] = self.own.get(metric, 0) + _number(row, metric)

    def node(self) -> ModuleNode:
        """The module, complete."""
        children = tuple(child.node() for child in self.children.values())
        return ModuleNode(self.path, self.type, self.own, self.output_shape, children)


def _number(row: Row, metric: str) -> float:
    number = row[metric]
    # not a bool, and no number of JSON that is beyond all floats
    if type(number) not in (int, float) or not abs(number) <= float_info.max:
        what = f"damaged record: {metric} of {row['layer']!r} is not a finite number"
        raise InceptionLabError(what, hint="write it again")
    return cast("float", number)


def _shape(sizes: Any) -> tuple[int, ...]:
    is_shape = isinstance(sizes, Sequence) and all(type(size) is int for size in sizes)
    return tuple(sizes) if is_shape else ()
