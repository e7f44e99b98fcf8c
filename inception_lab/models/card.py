"""The card of an entry of the zoo, with the values that the entry's options take."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, TypeGuard


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_fraction(value: object) -> bool:
    return _is_number(value) and 0 <= value < 1


def _is_multiplier(value: object) -> bool:
    return _is_factor(value) and value != 0


def _is_factor(value: object) -> bool:
    return _is_number(value) and 0 <= value <= sys.float_info.max  # an integer may be larger than any float


_KINDS = {
    "count": (_is_count, "an integer of 1 or more"),
    "fraction": (_is_fraction, "a number from 0 up to, but not including, 1"),
    "factor": (_is_factor, "a finite number of 0 or more"),
    "multiplier": (_is_multiplier, "a finite number above 0"),
    "flag": (lambda value: isinstance(value, bool), "True or False"),
}


@dataclass(frozen=True, slots=True)
class Option:
    """One keyword that an entry takes.

    Args:
        default: The value it has when it is not given; an option takes None where this is its default.
        kind: Of the values that it takes: `count` (an integer >= 1), `fraction` (a number in [0, 1)),
            `factor` (a finite number >= 0), `multiplier` (one above 0), `flag` (a bool) or `choice` (one
            of `choices`).
        meaning: Its effect, in one line.
        choices: The names that an option of kind `choice` takes.
        most: The largest number that it takes; None for no limit but that of its kind.

    Example:
        >>> width = Option("wide", "choice", "how wide it is", choices=("wide", "narrow"))
        >>> width.accepts("narrow"), width.accepts("broad"), width.takes
        (True, False, 'wide or narrow')
    """

    default: int | float | bool | str | None
    kind: str
    meaning: str
    choices: tuple[str, ...] = ()
    most: int | None = None

    @property
    def takes(self) -> str:
        """The values it takes, as an error message says them."""
        values = " or ".join(self.choices) or _KINDS[self.kind][1]
        if self.most is not None:
            values += f", up to {self.most}"
        return f"{values}, or None" if self.default is None else values

    def accepts(self, value: object) -> bool:
        """True where it takes `value`."""
        if value is None:
            return self.default is None
        if self.choices:
            return isinstance(value, str) and value in self.choices
        fits = _KINDS[self.kind][0](value)
        return fits and (self.most is None or (_is_number(value) and value <= self.most))


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """An entry with other options than the default.

    Args:
        options: The options that differ from the defaults.
        params: Parameters with them, auxiliary heads included where they are built.
        macs: Multiply-accumulates of one forward in eval mode with them.
        input_size: The input of these multiply-accumulates, channels x height x width.
    """

    options: Mapping[str, int | float | bool | str] = field(hash=False)
    params: int
    macs: int
    input_size: tuple[int, int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The facts of an entry that are known before it is built.

    Args:
        name: As `create_model` takes it.
        family: The architecture that it is a version of.
        title: The paper's title.
        paper: The paper's arXiv number.
        follows: The table or figure of the paper that it follows.
        year: Of the paper.
        input_size: The default input, channels x height x width, without the batch.
        params: Parameters with the default options, auxiliary heads apart.
        macs: Multiply-accumulates of one forward of one default input in eval mode, heads apart.
        smallest_input: Side of the smallest square input, in pixels, that it takes in eval mode.
        entry: The file in `models/` and the function in it, as `file:function`.
        options: The keywords that the entry takes, by name.
        notes: Points that a reader of the paper would not expect.
        variants: The entry with other options, where their figures are published or known.
        reconstructed: True where the paper leaves open what this entry had to choose, so that its numbers
            are a reading of the paper and not the paper's.
        top1_error: Published error of the first guess on ImageNet's validation images, in percent.
        top5_error: Published error of the first five guesses, in percent.
        error_evaluation: The way in which one net was evaluated: `one crop`, `ten crops` or
            `dense evaluation`.
        error_images: The images that the errors were measured on, where these are not all validation images.
        error_source: The table that publishes the errors, and the number of crops and nets.

    Example:
        >>> from inception_lab.models.cards import get_card
        >>> card = get_card("googlenet")
        >>> card.paper, card.params, card.options["num_classes"].default
        ('1409.4842', 6998552, 1000)
    """

    name: str
    family: str
    title: str
    paper: str
    follows: str
    year: int
    input_size: tuple[int, int, int]
    params: int
    macs: int
    smallest_input: int
    entry: str
    options: Mapping[str, Option] = field(hash=False)
    notes: str = ""
    variants: tuple[Variant, ...] = ()
    reconstructed: bool = False
    top1_error: float | None = None
    top5_error: float | None = None
    error_evaluation: str = ""
    error_images: str = ""
    error_source: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The card as plain data, its options by name with their defaults; without the entry's place."""
        plain = {part.name: getattr(self, part.name) for part in fields(self) if part.name != "entry"}
        options = {name: option.default for name, option in self.options.items()}
        variants = [
            {"options": dict(v.options), "params": v.params, "macs": v.macs, "input_size": v.input_size}
            for v in self.variants
        ]
        return plain | {"options": options, "variants": variants}
