"""The space of a sweep: a model, what varies of it, and what is asked of each variant."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import islice
from math import floor, prod
from typing import Any, Literal

from inception_lab.budgets.budget import Limit
from inception_lab.budgets.toml_source import Place
from inception_lab.sweeps.constraints import Constraint
from inception_lab.sweeps.question import Parameters, Question
from inception_lab.sweeps.ranges import Points, Range

Direction = Literal["min", "max"]

_MOST_VARIANTS = 1_000_000
_MOST_DRAWS = 100_000
"""In a row that give no variant, as constraints refuse them all."""


@dataclass(frozen=True)
class Space(Question):
    """The variants of a design, and what is asked of each.

    Attributes:
        parameters: The values of each parameter: a keyword of the model, or one of `SETTINGS`.
        constraints: Conditions on parameters; variants that break one do not exist.
        budgets: Limits that tell the variants within budget.
        objectives: The metrics to minimise or maximise, the first one first.
        references: MODELs to draw beside the variants; empty for the zoo's own choice.
        sample: Number of variants that are drawn; None for the whole grid.
        seed: Of the drawing.
        place: Of the whole, for errors.
    """

    parameters: Mapping[str, Range]
    constraints: tuple[Constraint, ...]
    budgets: tuple[Limit, ...]
    objectives: Mapping[str, Direction]
    references: tuple[str, ...]
    sample: int | None
    seed: int
    place: Place = field(default_factory=Place, compare=False, repr=False)

    @property
    def question(self) -> Question:
        """What is asked of each variant, without what makes the variants."""
        return Question(**{each.name: getattr(self, each.name) for each in fields(Question)})

    def variants(self) -> list[Parameters]:
        """Return the parameters of each variant: of the grid in order, or as they are drawn.

        A larger sample of one seed begins with the variants of a smaller one. It has fewer than were asked
        for where the grid has no more.

        Raises:
            InceptionLabError: A constraint cannot be judged, or no variant keeps all of them; the grid has
                too many points; or too few variants can be drawn (exit code 2).
        """
        found = self._grid() if self.sample is None else self._sample(self.sample)
        if not found:
            raise self.place.at("constraints").refusal("no variant keeps all of them", "loosen one")
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
        return prod(map(len, self._axes)) if len(self._axes) == len(self.parameters) else None

    @property
    def _axes(self) -> list[tuple[Any, ...]]:
        """The values of each parameter that has points."""
        return [values.values for values in self.parameters.values() if isinstance(values, Points)]

    def _grid(self) -> list[Parameters]:
        if self.points is None:
            names = [name for name, values in self.parameters.items() if not isinstance(values, Points)]
            place = self.place.at("parameters", names[0])
            raise place.refusal("a distribution has no grid", "add sample = 1000")
        if self.points > _MOST_VARIANTS:
            what = f"the grid has {self.points:,} points, at most {_MOST_VARIANTS:,} are visited"
            raise self.place.at("parameters").refusal(what, "add sample = 10000")
        return list(filter(self.allows, map(self._point, range(self.points))))

    def _point(self, number: int) -> Parameters:
        """A point of the grid, of which the last parameter changes first."""
        values = []
        for axis in reversed(self._axes):
            number, place = divmod(number, len(axis))
            values.append(axis[place])
        return dict(zip(self.parameters, reversed(values), strict=True))

    def _sample(self, count: int) -> list[Parameters]:
        # of Python's generator this one method gives the same numbers in every version
        quantile = random.Random(self.seed).random
        if self.points is not None and self.points <= _MOST_VARIANTS:
            points = map(self._point, _shuffled(self.points, quantile))
            return list(islice(filter(self.allows, points), count))
        found = list(islice(self._draws(quantile), count))
        if len(found) < count:
            what = f"{len(found):,} of {count:,} variants were found, and none in {_MOST_DRAWS:,} more draws"
            hint = "loosen a constraint, or lower sample"
            raise self.place.at("constraints").refusal(what, hint)
        return found

    def _draws(self, quantile: Callable[[], float]) -> Iterator[Parameters]:
        """Variants that differ, until many draws in a row give no other one."""
        drawn: set[str] = set()
        idle = 0
        while idle < _MOST_DRAWS:
            parameters = {name: values.at(quantile()) for name, values in self.parameters.items()}
            key = json.dumps(list(parameters.values()))
            idle += 1
            if key not in drawn and self.allows(parameters):
                drawn.add(key)
                idle = 0
                yield parameters


def _shuffled(count: int, quantile: Callable[[], float]) -> Iterator[int]:
    """The numbers below a count in random order, by the shuffle of Fisher and Yates, one at a time."""
    moved: dict[int, int] = {}
    for last in reversed(range(count)):
        place = floor(quantile() * (last + 1))
        yield moved.get(place, place)
        moved[place] = moved.get(last, last)
