"""The space of a sweep: a model, what varies of it, and what is asked of each variant."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Literal

from inception_lab.budgets.budget import Limit
from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Mode
from inception_lab.sweeps.constraints import Constraint
from inception_lab.sweeps.ranges import Points, Range

Parameters = Mapping[str, Any]
"""The values of a variant's parameters by name."""

Direction = Literal["min", "max"]

INPUT_SIZE = "input-size"
BATCH_SIZE = "batch-size"
SETTINGS = (INPUT_SIZE, BATCH_SIZE)
"""Parameters that are not keywords of the model."""

_MOST_VARIANTS = 1_000_000
_MOST_DRAWS = 1000
"""For each variant of a sample, of which constraints may refuse most."""


@dataclass(frozen=True)
class Space:
    """The variants of a design, and what is asked of each.

    Attributes:
        model: MODEL as the user names it.
        parameters: The values of each parameter: a keyword of the model, `input-size` or `batch-size`.
        kwargs: Keywords that do not vary.
        input_sizes: Text as for `--input-size`, one per input; empty for the model's own.
        arguments: Text as for `--arg`, of the model's forward.
        batch_size: Images in a batch.
        mode: Of the trace from which metrics come that traces of both modes have.
        optimizer: Name of the one that ends a training step, None without.
        constraints: Conditions on parameters; variants that break one do not exist.
        metrics: Names of the figures of a variant, keys of `BUDGET_METRICS`.
        budgets: Limits that tell the variants within budget.
        objectives: The metrics to minimise or maximise, the first one first.
        references: MODELs to draw beside the variants; empty for the zoo's own choice.
        sample: Number of variants that are drawn; None for the whole grid.
        seed: Of the drawing.
    """

    model: str
    parameters: Mapping[str, Range]
    kwargs: Parameters
    input_sizes: tuple[str, ...]
    arguments: tuple[str, ...]
    batch_size: int
    mode: Mode
    optimizer: str | None
    constraints: tuple[Constraint, ...]
    metrics: tuple[str, ...]
    budgets: tuple[Limit, ...]
    objectives: Mapping[str, Direction]
    references: tuple[str, ...]
    sample: int | None
    seed: int

    def variants(self) -> list[Parameters]:
        """Return the parameters of each variant: of the grid in order, or as they are drawn.

        A larger sample of one seed begins with the variants of a smaller one.

        Raises:
            InceptionLabError: A constraint cannot be judged, or no variant keeps all of them; the grid has
                too many points; or too few variants can be drawn (exit code 2).
        """
        found = self._grid() if self.sample is None else self._sample(self.sample)
        if not found:
            raise InceptionLabError("no variant keeps the constraints", where=self.model, hint="loosen one")
        return found

    @property
    def first(self) -> Parameters:
        """A value of each parameter, whatever constraints say."""
        return {name: values.at(0.0) for name, values in self.parameters.items()}

    def allows(self, parameters: Parameters) -> bool:
        """True for a variant that keeps all constraints."""
        values = {name.replace("-", "_"): value for name, value in {**self.kwargs, **parameters}.items()}
        return all(constraint.holds(values) for constraint in self.constraints)

    @property
    def points(self) -> int | None:
        """The number of points of the grid, with those that constraints refuse; None where it has none."""
        ranges = self.parameters.values()
        if not all(isinstance(values, Points) for values in ranges):
            return None
        return prod(len(values.values) for values in ranges if isinstance(values, Points))

    def _grid(self) -> list[Parameters]:
        if self.points is None:
            raise InceptionLabError("a distribution has no grid", where=self.model, hint="add sample = 1000")
        if self.points > _MOST_VARIANTS:
            what = f"the grid has {self.points:,} points, at most {_MOST_VARIANTS:,} are visited"
            raise InceptionLabError(what, where=self.model, hint="add sample = 10000")
        return [parameters for parameters in self._points() if self.allows(parameters)]

    def _points(self) -> Iterator[Parameters]:
        values = [each.values for each in self.parameters.values() if isinstance(each, Points)]
        for point in product(*values):
            yield dict(zip(self.parameters, point, strict=True))

    def _sample(self, count: int) -> list[Parameters]:
        if self.points is not None and self.points <= count:
            return self._grid()
        # of Python's generator this one method gives the same numbers in every version
        quantile = random.Random(self.seed).random
        drawn: dict[str, Parameters] = {}
        for _ in range(count * _MOST_DRAWS):
            parameters = {name: values.at(quantile()) for name, values in self.parameters.items()}
            key = json.dumps(list(parameters.values()))
            if key not in drawn and self.allows(parameters):
                drawn[key] = parameters
                if len(drawn) == count:
                    return list(drawn.values())
        # constraints leave few points, which the grid has all
        if self.points is not None and self.points <= _MOST_VARIANTS:
            return self._grid()[:count]
        what = f"{len(drawn):,} of {count:,} variants keep the constraints in {count * _MOST_DRAWS:,} draws"
        raise InceptionLabError(what, where=self.model, hint="loosen a constraint, or lower sample")
