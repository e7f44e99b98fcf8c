"""Gradient flow of a model, and of several side by side, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any, cast

from pandas import DataFrame, concat

from inception_lab.errors import InceptionLabError, listed, nearest
from inception_lab.ir.structure import ROOT, check_depth, in_common_order
from inception_lab.measure.timing.results import shared_context
from inception_lab.record import SCHEMA, Row
from inception_lab.short_forms import subject_of

_ROUNDING = {"float64": 1e-9, "float32": 1e-3}
"""The most that rounding leaves of a gradient, by dtype; of those of 16 bits a tenth."""


@dataclass(frozen=True, eq=False, repr=False)
class GradientFlow:
    """Gradients and activations of each module of a model, over several seeds and batches.

    Attributes:
        context: Facts about the runs: `model`, `input_shapes`, `dtype`, `machine`, `torch`, `weights`,
            `samples`, `seeds`, `batches` and more.
        terms: Names of the terms that the loss is made of: `main`, and those of the auxiliary heads.
        losses: A row per run: `seed`, `batch`, `loss`, `loss_<term>` for each term with its weight, and
            `mismatch`, what rounding leaves of the sum of the terms' gradients less that of the whole loss,
            as a part of the latter.
        runs: A row per run and module, in the order in which modules were first called: `seed`, `batch`,
            `module`, `type`, and the figures of the module.

            `output_mean`, `output_variance`: of all elements that it returns.
            `output_gradient`: Euclidean norm of the gradient of the loss by what it returns.
            `zeros`, `dead`: percent of the elements of the ReLUs within it that are zero; of their channels
            that are zero at every place of every sample of the batch.
            `weight_norm`, `weight_gradient`, `relative_gradient`: Euclidean norms of the weights within it
            that are trained, and of the gradient by them; the latter over the former.
            `output_gradient_<term>`, `weight_gradient_<term>`: norms of the gradient of one term alone.
            `contribution_<term>`: the term's part of the gradient by the weights, in percent: its inner
            product with the gradient of the whole loss, over the square of that. They add up to 100; one
            that pulls the other way is negative.
    """

    context: Mapping[str, Any]
    terms: tuple[str, ...]
    losses: DataFrame
    runs: DataFrame

    def __repr__(self) -> str:
        """The model, its input and the number of runs."""
        return f"<{subject('GradientFlow', self.context)}: {len(self.losses):,} runs>"

    def by_module(self, depth: int | None = 1) -> DataFrame:
        """Return the median of each figure over all runs, with its quartiles.

        Args:
            depth: Levels below the model at which a module may stand, None for all modules.

        Returns:
            A row per module: `module`, `type`, and for each figure of `runs` its median, and its quartiles
            as `<figure>_low` and `<figure>_high`; NaN where a module has none.

        Raises:
            InceptionLabError: The depth is below 1 (exit code 2).
        """
        return with_spread(_of_depth(self.runs, depth), ["module", "type"], ["seed", "batch"])

    @property
    def heads(self) -> dict[str, str]:
        """The last module whose weights both a head's loss and the main loss reach, by the head's term."""
        has_heads = self.context.get("loss") == "cross_entropy"
        return _heads(self.by_module(1), self.terms) if has_heads else {}

    @property
    def note(self) -> str:
        """Says what the figures lack; empty where they lack nothing."""
        facts = (self._not_finite(), self._no_gradient(), self._not_added_up(), self._not_in_all())
        return "; ".join(filter(None, facts))

    def _no_gradient(self) -> str:
        has_gradient = "weight_gradient" in self.runs and (self.runs["weight_gradient"] != 0).any()
        return "" if has_gradient else "no gradient of the loss reaches a weight"

    def _not_finite(self) -> str:
        whole = self.runs[self.runs["module"] == ROOT]
        figures = [whole[name] for name in ("output_variance", "weight_gradient") if name in whole]
        finite = [self.losses["loss"].abs().lt(inf), *(~figure.isin([inf, -inf]) for figure in figures)]
        broken = sum(not all(run) for run in zip(*map(list, finite), strict=False))
        return f"{broken} of {len(self.losses)} runs are not finite" if broken else ""

    def _not_added_up(self) -> str:
        worst = self.losses["mismatch"].max()
        if not worst > _ROUNDING.get(self.context["dtype"], 0.1):
            return ""
        return f"the gradients of the terms miss that of the whole loss by {worst:.2g} of its norm"

    def _not_in_all(self) -> str:
        counts = self.runs.groupby("module", sort=False).size()
        some = list(counts[counts < len(self.losses)].index)
        return f"not in all runs: {listed(some)}" if some else ""

    def paired_ratios(self, first: tuple[str, str], other: tuple[str, str]) -> list[float]:
        """Return the ratio of two figures in each run.

        Args:
            first: A figure of `runs` and a module.
            other: Those that it is divided by.
        """
        pairs = zip(self.values(*first), self.values(*other), strict=True)
        return [one / divisor if divisor else nan for one, divisor in pairs]

    def values(self, figure: str, module: str) -> list[float]:
        """Return a figure of a module in each run."""
        return [float(value) for value in self.runs.loc[self.runs["module"] == module, figure]]

    def to_dict(self, depth: int | None = 1) -> dict[str, Any]:
        """Return the flow as the JSON that other programs read; what a module has not is absent.

        Args:
            depth: As of `by_module`.
        """
        return {
            "schema": SCHEMA,
            **self.context,
            "complete": not self.note,
            **({"note": self.note} if self.note else {}),
            "terms": list(self.terms),
            "heads": self.heads,
            "losses": plain_rows(self.losses),
            "modules": plain_rows(self.by_module(depth)),
        }


@dataclass(frozen=True, eq=False)
class GradientFlows:
    """Gradient flow of several models, run with the same seeds, samples and labels.

    Attributes:
        models: The flow of each.
    """

    models: tuple[GradientFlow, ...]

    @property
    def context(self) -> Mapping[str, Any]:
        """Facts that are the same of all models."""
        return shared_context([flow.context for flow in self.models])

    @property
    def notes(self) -> tuple[str, ...]:
        """The models whose figures lack something."""
        return tuple(f"{_name(flow)}: {flow.note}" for flow in self.models if flow.note)

    def by_module(self, depth: int | None = 1) -> DataFrame:
        """Return every figure of all models, a row per model and module.

        Args:
            depth: As of `GradientFlow.by_module`.

        Returns:
            `model`, then the columns of `GradientFlow.by_module`.
        """
        return one_below_another([(_name(flow), flow.by_module(depth)) for flow in self.models])

    def table(self, figure: str = "weight_gradient", depth: int | None = 1) -> DataFrame:
        """Return one figure of each model's modules side by side.

        Args:
            figure: A column of `GradientFlow.runs`.
            depth: As of `GradientFlow.by_module`.

        Returns:
            A row per module, with the median of each model; NaN where it has no such module or figure.

        Raises:
            InceptionLabError: No model has such a figure (exit code 2).
        """
        figures = [name for flow in self.models for name in flow.runs.columns[4:]]
        if figure not in figures:
            raise InceptionLabError(f"no figure {figure!r}", hint=nearest(figure, dict.fromkeys(figures)))
        columns = [
            flow.by_module(depth).set_index("module").reindex(columns=[figure])[figure].rename(_name(flow))
            for flow in self.models
        ]
        order = in_common_order([list(column.index) for column in columns])
        return concat(columns, axis=1).reindex(order).rename_axis("module").reset_index()

    def to_dict(self, depth: int | None = 1) -> dict[str, Any]:
        """Return the flows as the JSON that other programs read: `models`, each with its `modules`.

        Args:
            depth: As of `GradientFlow.by_module`.
        """
        return {"schema": SCHEMA, "models": [flow.to_dict(depth) for flow in self.models]}


def one_below_another(tables: Sequence[tuple[str, DataFrame]]) -> DataFrame:
    """Return tables of several models as one, which begins with the column `model`."""
    named = [table.assign(model=name) for name, table in tables]
    whole = concat(named, ignore_index=True)
    return whole[["model", *(column for column in whole.columns if column != "model")]]


def subject(kind: str, context: Mapping[str, Any]) -> str:
    """Return the words that name a result of real runs."""
    return subject_of(kind, context["model"], context["input_shapes"], context["mode"])


def _name(flow: GradientFlow) -> str:
    return str(flow.context["model"])


def _heads(table: DataFrame, terms: Sequence[str]) -> dict[str, str]:
    """Return, by term other than the first, the last module that it shares with the first one."""
    first, *others = terms
    if f"weight_gradient_{first}" not in table:
        return {}
    reached = {term: table[f"weight_gradient_{term}"].fillna(0) > 0 for term in terms}
    shared = {
        term: table["module"][reached[term] & reached[first] & (table["module"] != ROOT)] for term in others
    }
    return {term: str(modules.iloc[-1]) for term, modules in shared.items() if len(modules)}


def _of_depth(runs: DataFrame, depth: int | None) -> DataFrame:
    if depth is None:
        return runs
    check_depth(depth)
    levels = runs["module"].str.count(r"\.") + 1
    return runs[levels <= depth]


def with_spread(table: DataFrame, keys: Sequence[str], numbers: Sequence[str]) -> DataFrame:
    """Return medians and quartiles of a table's figures.

    Args:
        table: A row per run.
        keys: Columns by which rows belong together, in the order of their first row.
        numbers: Columns that number the runs.
    """
    figures = [name for name in table.columns if name not in (*keys, *numbers)]
    groups = table.groupby(list(keys), sort=False)[figures]
    parts = {"": groups.quantile(0.5), "_low": groups.quantile(0.25), "_high": groups.quantile(0.75)}
    columns = {f"{name}{end}": part[name] for name in figures for end, part in parts.items()}
    return DataFrame(columns).reset_index()


def plain_rows(table: DataFrame) -> list[Row]:
    """Return the rows of a table without what is not a finite number."""
    rows = cast("list[dict[str, Any]]", table.to_dict("records"))
    return [
        {name: value for name, value in row.items() if not isinstance(value, float) or isfinite(value)}
        for row in rows
    ]
