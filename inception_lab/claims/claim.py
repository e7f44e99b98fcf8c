"""A published claim: who says it, the figures in it, and the recipe that recomputes each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from inception_lab.claims.quantity import Quantity
from inception_lab.claims.units import UNITS, claimed_text


@dataclass(frozen=True, slots=True)
class Source:
    """A paper, a course or a tutorial.

    Attributes:
        name: Its arXiv number, or its short name.
        title: Its title, or its kind where it has none.
    """

    name: str
    title: str

    def __str__(self) -> str:
        return f"{self.title} ({self.name})" if self.title else self.name


@dataclass(frozen=True, slots=True)
class Recipe:
    """The name of a function of traces and models, and its arguments.

    Attributes:
        name: One of `recipes.RECIPES`.
        arguments: Its keywords.
    """

    name: str
    arguments: Mapping[str, Any] = field(hash=False)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in self.arguments.items())})"


def by(name: str, /, **arguments: Any) -> Recipe:
    """Return the recipe of that name with these arguments.

    Example:
        >>> print(by("params", model="googlenet"))
        params(model='googlenet')
    """
    return Recipe(name, MappingProxyType(arguments))


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a claim.

    Attributes:
        claimed: The value with its tolerance.
        recipe: Recomputes it.
        label: Its name within the claim; empty where the claim has no other.

    Raises:
        ValueError: The unit is unknown.
    """

    claimed: Quantity
    recipe: Recipe
    label: str = ""

    def __post_init__(self) -> None:
        if self.claimed.unit not in UNITS:
            raise ValueError(f"no unit {self.claimed.unit!r}")

    def __str__(self) -> str:
        text = claimed_text(self.claimed.text, self.claimed.unit)
        return f"{self.label}: {text}" if self.label else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim that somebody published.

    Attributes:
        id: A short name of its own.
        claim: The claim in one sentence.
        source: The first that says it.
        place: Section, table or figure; empty where the source has none.
        also: Others that say it.
        figures: The figures in it, all of which have to hold.
        note: The reason for the outcome, for the reader.
        expected_verdict: The verdict that was last reviewed, to which the computed one is compared. It
            decides nothing; a verdict on times is not compared, as it belongs to a machine.

    Raises:
        ValueError: It has no figure.
    """

    id: str
    claim: str
    source: Source
    place: str = ""
    also: tuple[str, ...] = ()
    figures: tuple[Figure, ...]
    note: str
    expected_verdict: str

    def __post_init__(self) -> None:
        if not self.figures:
            raise ValueError(f"{self.id} has no figure")

    @property
    def sources(self) -> str:
        """All that say it, such as `1409.4842 section 5; tutorial C`."""
        return "; ".join((f"{self.source.name} {self.place}".strip(), *self.also))

    @property
    def claimed(self) -> str:
        """The figures as they are claimed."""
        return "; ".join(map(str, self.figures))
