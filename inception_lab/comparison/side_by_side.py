"""Models side by side: totals with ratios of any number, and of two also module by module."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inception_lab import __version__
from inception_lab.arguments import checked
from inception_lab.comparison.alignment import Pair, align
from inception_lab.comparison.branch_rows import BranchRow, branch_rows
from inception_lab.comparison.comparability import is_comparable, notes, ratio
from inception_lab.comparison.module_rows import ModuleRow, module_rows
from inception_lab.comparison.module_tree import ModuleNode, module_tree
from inception_lab.comparison.outline import outline
from inception_lab.comparison.subjects import ComparedModel, Step, models_of
from inception_lab.errors import InceptionLabError, nearest
from inception_lab.ir.trace import Mode, Trace
from inception_lab.loading.options import ModelRequest
from inception_lab.record import SCHEMA, Record, Row, check_context

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import nn

    from inception_lab.running.inputs import Inputs


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two models or more, side by side.

    Attributes:
        models: Two or more. Ratios are to the first one.

    Example:
        >>> import inception_lab as il, torch
        >>> narrow, wide = torch.nn.Linear(3, 2), torch.nn.Linear(3, 4)
        >>> comparison = il.compare(narrow, wide, inputs=(1, 3), names=["narrow", "wide"])
        >>> comparison.totals[["model", "params", "params_ratio"]].to_dict("list")
        {'model': ['narrow', 'wide'], 'params': [8, 16], 'params_ratio': [1.0, 2.0]}
    """

    models: tuple[ComparedModel, ...]

    @property
    def records(self) -> tuple[Record, ...]:
        """The record of each model."""
        return tuple(model.record for model in self.models)

    @property
    def labels(self) -> tuple[str, ...]:
        """The name of each model; where two share one, with the file that it is from or its place."""
        names = [str(record.context["model"]) for record in self.records]
        pairs = zip(names, self.models, strict=True)
        longer = [f"{name} in {model.source}" if model.source else name for name, model in pairs]
        names = [name if names.count(name) == 1 else long for name, long in zip(names, longer, strict=True)]
        return tuple(
            name if names.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names, 1)
        )

    @property
    def complete(self) -> bool:
        """True where every operation of every model could be counted."""
        return all(record.context["complete"] for record in self.records)

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines about what keeps models from being compared, or has to be known about them."""
        return tuple(notes(self.labels, self.records))

    @property
    def totals(self) -> DataFrame:
        """A row per model: what ran, its totals, and the ratio of each to that of the first model.

        A ratio is NaN where there is none, or where the two ran so differently that it would tell nothing of
        the models; see `notes`.
        """
        from pandas import DataFrame

        return DataFrame([*self.total_rows()])

    def total_rows(self) -> Iterator[Row]:
        """The rows of `totals` as plain data; a ratio that would tell nothing is absent."""
        for label, record in zip(self.labels, self.records, strict=True):
            facts = {name: record.context[name] for name in ("input_shapes", "mode", "complete")}
            yield {"model": label, **facts, **self._totals_with_ratios(record)}

    def _totals_with_ratios(self, record: Record) -> dict[str, float]:
        totals: dict[str, float] = {}
        for metric, total in record.totals.items():
            totals[metric] = total
            value = ratio(metric, self.records[0], record)
            if value is not None:
                totals[f"{metric}_ratio"] = value
        return totals

    @property
    def modules(self) -> DataFrame:
        """The layers of two models; see `by_module`."""
        return self.by_module()

    def by_module(self, depth: int | None = None) -> DataFrame:
        """Return the modules of two models side by side.

        Args:
            depth: Levels below the model at which a module may stand; deeper layers count towards it. By
                default every layer has a row; what is added, removed or renamed as a whole has one.

        Returns:
            A row per module: `change` (`unchanged`, `changed`, `renamed`, `added`, `removed`), its path and
            class in both models (`first_module`, `first_type`, `second_module`, `second_type`), and of every
            comparable metric the cost in both and its growth, such as `first_macs`, `second_macs`,
            `macs_growth`. Columns add up to the totals of the models.

        Raises:
            InceptionLabError: There are more than two models, the depth is below 1, or a record is damaged.
        """
        from pandas import DataFrame

        rows = [row.to_dict(self.metrics) for row in self.module_rows(depth)]
        return DataFrame(rows)

    @property
    def branches(self) -> DataFrame:
        """The parallel branches of two models side by side, and the layers of each module in no branch.

        A row per branch: `change`, the module that holds it and its name in both models (`first_module`,
        `first_branch`, `second_module`, `second_branch`; no name for layers in no branch), and costs as of
        `by_module`. Columns add up to the totals of the models.

        Raises:
            InceptionLabError: There are more than two models, or one of them has no trace, as a saved record
                has none.
        """
        from pandas import DataFrame

        return DataFrame([row.to_dict(self.metrics) for row in self.branch_rows()])

    def branch_rows(self) -> tuple[BranchRow, ...]:
        """Return the rows of `branches` as data."""
        self._two()
        first, second = (model.places for model in self.models)
        if first is None or second is None:
            raise InceptionLabError(
                "branches of a saved record are not known", hint="compare models or traces"
            )
        return tuple(branch_rows(self.pair, (first, second), self.metrics))

    def changes(self, metric: str | None = None, depth: int | None = None) -> DataFrame:
        """Return the modules of two models that are not the same in both, the largest growth first.

        Args:
            metric: The metric whose growth counts; by default the first of `metrics`: MACs, or parameters
                where MACs cannot be compared.
            depth: As of `by_module`.

        Returns:
            Rows as of `by_module`, without those that are unchanged.

        Raises:
            InceptionLabError: As of `by_module`, or the metric is not one of `metrics`.
        """
        from pandas import DataFrame

        metric = self.check_metric(metric)
        rows = [row for row in self.module_rows(depth) if row.change != "unchanged"]
        rows.sort(key=lambda row: -row.growth(metric))
        # two models that are the same have no rows, but columns all the same
        columns = self.module_rows(depth)[0].to_dict(self.metrics)
        return DataFrame([row.to_dict(self.metrics) for row in rows], columns=[*columns])

    def check_metric(self, metric: str | None) -> str:
        """Return the metric by which changes are sorted.

        Raises:
            InceptionLabError: The layers of the two models have no such metric that can be compared.
        """
        if not self.metrics:
            raise InceptionLabError("layers have nothing to compare", hint="see the totals")
        if metric is None:
            return self.metrics[0]
        if metric not in self.metrics:
            raise InceptionLabError(
                f"layers have no {metric!r} to compare", hint=nearest(metric, self.metrics)
            )
        return metric

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """The metrics in which the modules of two models can be compared, MACs first."""
        first, second = self._two()
        first_costs, second_costs = map(_costs, self.records, self.pair.nodes)
        common = [name for name in first_costs if name in second_costs]
        comparable = [name for name in common if is_comparable(name, first, second)]
        return tuple(sorted(comparable, key=lambda name: name != "macs"))

    def module_rows(self, depth: int | None = None) -> tuple[ModuleRow, ...]:
        """Return the rows of `by_module` as data, with the modules themselves."""
        if depth is not None and depth < 1:
            raise InceptionLabError(f"depth {depth} is below 1", hint="use 1 for the models' own children")
        return tuple(module_rows(self.pair, self.metrics, depth))

    @cached_property
    def pair(self) -> Pair:
        """Two models, aligned: which module of one answers to which of the other.

        Raises:
            InceptionLabError: There are more than two models, or a record is damaged.
        """
        self._two()
        layers = [record.layers for record in self.records]
        # a lock has neither types nor an order of execution: without these both are as one
        if not all(any("type" in row for row in rows) for rows in layers if rows):
            layers = [_by_path(rows) for rows in layers]
        first, second = map(module_tree, layers, self.labels)
        return align(first, second)

    def outline(self) -> list[Row]:
        """Return two models as modules, with the branches in them and the layers in these, as plain data.

        Returns:
            Rows in order of execution: `change` as of `by_module`; `first` and `second`, the path of a module
            or layer in each model or the name of a branch, None where nothing answers to it; `first_type` and
            `second_type` of a layer; `first_costs` and `second_costs` by metric; `children`, the rows within
            it. Each layer of both is in one module, and the costs of modules add up to the totals.

        Raises:
            InceptionLabError: There are more than two models, or a record is damaged.

        Example:
            >>> import inception_lab as il
            >>> rows = il.compare("googlenet", "googlenet_v2").outline()
            >>> [(row["first"], row["change"]) for row in rows if row["change"] != "unchanged"][:2]
            [('inception3a', 'changed'), ('inception3b', 'changed')]
        """
        pair = self.pair
        first, second = (model.places for model in self.models)
        return [row.to_dict() for row in outline(pair, (first, second), self.metrics)]

    def _two(self) -> tuple[Record, Record]:
        if len(self.records) != 2:
            raise InceptionLabError(
                f"{len(self.records)} models are not compared module by module", hint="compare two"
            )
        return self.records[0], self.records[1]

    def to_dict(self, depth: int | None = None) -> dict[str, object]:
        """Return the comparison as the JSON that other programs read.

        `models` has for each model its context, `totals` and `ratios` to the first one. Of two models
        `modules` has the rows of `by_module`, and `branches` those of `branches` where both were traced.

        Args:
            depth: As of `by_module`.
        """
        models = [
            {**_without_layers(record), "label": label, "ratios": self._ratios(record)}
            for label, record in zip(self.labels, self.records, strict=True)
        ]
        data = {
            "schema": SCHEMA,
            "tool": f"inception_lab {__version__}",
            "notes": list(self.notes),
            "models": models,
        }
        return data | (self._rows_of_two(depth) if len(self.models) == 2 else {})

    def _ratios(self, record: Record) -> dict[str, float]:
        values = {metric: ratio(metric, self.records[0], record) for metric in record.totals}
        return {metric: value for metric, value in values.items() if value is not None}

    def _rows_of_two(self, depth: int | None) -> dict[str, list[Row]]:
        rows = {"modules": self._plain(self.module_rows(depth))}
        is_traced = all(model.places is not None for model in self.models)
        return rows | ({"branches": self._plain(self.branch_rows())} if is_traced else {})

    def _plain(self, rows: Iterable[ModuleRow | BranchRow]) -> list[Row]:
        """Rows without what is absent."""
        plain = (row.to_dict(self.metrics) for row in rows)
        return [{name: value for name, value in row.items() if value is not None} for row in plain]


def _costs(record: Record, net: ModuleNode) -> Mapping[str, float]:
    """The costs of all layers; without layers, those that are 0 in all."""
    if record.layers:
        return net.costs
    # other totals are of layers that the record was saved without
    return {name: total for name, total in record.totals.items() if total == 0}


def _by_path(layers: Sequence[Row]) -> tuple[Row, ...]:
    """Layers without their types, in the order of their paths, numbers in these as numbers."""
    plain = ({name: value for name, value in row.items() if name != "type"} for row in layers)
    return tuple(sorted(plain, key=lambda row: _natural(str(row.get("layer")))))


def _natural(path: str) -> list[tuple[int, str]]:
    return [(len(name), name) if name.isdigit() else (0, name) for name in path.split(".")]


def _without_layers(record: Record) -> Row:
    return {name: value for name, value in record.to_dict().items() if name not in ("schema", "layers")}


@checked
def compare(
    *subjects: Record | Trace | nn.Module | ModelRequest | str | Path,
    inputs: Inputs | None = None,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    mode: Mode = "eval",
    optimizer: str | None = None,
    names: Sequence[str] | None = None,
    meta_only: bool = False,
) -> Comparison:
    """Set models side by side: their totals, and of two which module of one answers to which of the other.

    Args:
        subjects: Two or more; ratios are to the first one. Records, traces, modules, names of models such as
            `"googlenet"` or `"mynet:MyNet(width=0.5)"`, files that hold a record, as `"before.json"`, and
            locks, one budget or all of them: `"inception-lab.lock#googlenet"`, `"inception-lab.lock"`.
        inputs: Those of each nn.Module, as of `trace`. Models that are named have their own size.
        args: Those of each nn.Module, as of `trace`.
        kwargs: Those of each nn.Module, as of `trace`.
        mode: That of models that have no trace yet: `eval` or `train`.
        optimizer: Name of the one that ends their training step, None for a step without.
        names: A name per subject, in place of its own.
        meta_only: Raise an error where a model would have to run for real.

    Returns:
        Totals and modules as tables, and what keeps models from being compared.

    Raises:
        InceptionLabError: There are fewer than two subjects; one is not of these kinds, has no inputs, cannot
            be read (exit code 2), built or traced (3); or something is said about runs and nothing is run.

    Example:
        >>> import inception_lab as il
        >>> comparison = il.compare("googlenet", "googlenet(num_classes=10)")
        >>> comparison.changes()[["change", "first_module", "macs_growth"]].to_dict("records")
        [{'change': 'changed', 'first_module': 'fc', 'macs_growth': -1013760}]
    """
    models = models_of(subjects, Step(_beside(inputs, args, kwargs), mode, optimizer, meta_only))
    if len(models) < 2:
        raise InceptionLabError("fewer than two models to compare", hint="name two or more")
    for model in models:
        check_context(model.record.context)
    return Comparison(models if names is None else _with_names(models, names))


def _beside(inputs: Inputs | None, args: Sequence[Any], kwargs: Mapping[str, Any] | None) -> Inputs | None:
    """The inputs beside other arguments, where there are any."""
    if isinstance(args, list | tuple) and not args and not kwargs:
        return inputs
    if inputs is None:
        raise InceptionLabError("args= and kwargs= without inputs=", hint="give inputs=(1, 3, 224, 224)")

    from inception_lab.running.inputs import with_arguments  # brings torch

    return with_arguments(inputs, args, kwargs)


def _with_names(models: Sequence[ComparedModel], names: Sequence[str]) -> tuple[ComparedModel, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence) or len(names) != len(models):
        raise InceptionLabError(f"{len(models)} models and names={names!r}", hint="give a name for each")
    return tuple(
        replace(model, record=model.record.with_context(model=str(name)))
        for model, name in zip(models, names, strict=True)
    )
