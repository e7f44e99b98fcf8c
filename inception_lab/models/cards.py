"""The frozen card of every entry of the zoo, as data: no torch is needed to read or to check one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from inception_lab.errors import USAGE, InceptionLabError, nearest


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_fraction(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1


_KINDS = {
    "count": (_is_count, "an integer of 1 or more"),
    "fraction": (_is_fraction, "a number from 0 up to, but not including, 1"),
    "flag": (lambda value: isinstance(value, bool), "True or False"),
}


@dataclass(frozen=True, slots=True)
class Option:
    """One keyword that an entry takes.

    Args:
        default: The value it has when it is not given.
        kind: What values it takes: `count` (an integer >= 1), `fraction` (a number in [0, 1)), `flag`
            (a bool) or `choice` (one of `choices`).
        meaning: What it does, in one line.
        choices: The names that an option of kind `choice` takes.

    Example:
        >>> width = Option("wide", "choice", "how wide it is", choices=("wide", "narrow"))
        >>> width.accepts("narrow"), width.accepts("broad"), width.takes
        (True, False, 'wide or narrow')
    """

    default: int | float | bool | str
    kind: str
    meaning: str
    choices: tuple[str, ...] = ()

    @property
    def takes(self) -> str:
        """The values it takes, as an error message says them."""
        return " or ".join(self.choices) or _KINDS[self.kind][1]

    def accepts(self, value: object) -> bool:
        """Whether `value` is one that it takes."""
        if self.choices:
            return isinstance(value, str) and value in self.choices
        return _KINDS[self.kind][0](value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is known of an entry before it is built.

    Args:
        name: What `create_model` calls it.
        family: The architecture that it is a version of.
        title: The paper's title.
        paper: The paper's arXiv number.
        follows: The table or figure of the paper that it follows.
        year: When the paper appeared.
        input_size: The default input, channels x height x width, without the batch.
        params: Parameters with the default options, auxiliary heads apart.
        macs: Multiply-accumulates of one forward of one default input in eval mode, heads apart.
        smallest_input: Side of the smallest square input, in pixels, that it takes in eval mode.
        entry: The file in `models/` and the function in it, as `file:function`.
        options: The keywords that the entry takes, by name.
        notes: What a reader of the paper would not expect.

    Example:
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


_GOOGLENET_OPTIONS = {
    "num_classes": Option(1000, "count", "classes that the classifier and the heads tell apart"),
    "aux_logits": Option(False, "flag", "build the auxiliary heads after 4a and 4d"),
    "dropout": Option(0.4, "fraction", "share dropped before the main classifier"),
    "init_weights": Option(True, "flag", "draw weights for ReLU networks; otherwise torch's own stay"),
}
_STUDY_OPTIONS = _GOOGLENET_OPTIONS | {
    "batch_norm": Option(False, "flag", "normalise after each convolution, without its bias and LRN"),
}
_FACTORS_OPTIONS = _STUDY_OPTIONS | {
    "middle": Option(
        "output",
        "choice",
        "width between two factors: as the output, as the input, or their geometric mean",
        choices=("output", "input", "geometric"),
    ),
}

_googlenet = partial(
    Card,
    family="googlenet",
    title="Going deeper with convolutions",
    paper="1409.4842",
    year=2014,
    input_size=(3, 224, 224),
    smallest_input=31,
    options=MappingProxyType(_GOOGLENET_OPTIONS),
)
_rethought = partial(
    _googlenet,
    title="Rethinking the Inception Architecture for Computer Vision",
    paper="1512.00567",
    year=2015,
    options=MappingProxyType(_FACTORS_OPTIONS),
)

_ALL = (
    _googlenet(
        name="googlenet",
        follows="Table 1 and figure 3",
        params=6_998_552,
        macs=1_582_671_872,
        entry="googlenet:googlenet",
        notes="Biases, LRN and 5x5 branches, as in the paper; its stem is one dense 7x7.",
    ),
    _googlenet(
        name="googlenet_bn",
        follows="Table 1, normalised as in 1502.03167",
        params=7_005_832,
        macs=1_582_671_872,
        entry="googlenet:googlenet_bn",
        notes="Batch norm after each convolution instead of its bias and of LRN; still 5x5.",
    ),
    _googlenet(
        name="googlenet_3x3",
        follows="Table 1, as torchvision builds it",
        params=6_624_904,
        macs=1_498_376_192,
        smallest_input=15,
        entry="googlenet:googlenet_3x3",
        notes="3x3 in the 5x5 branch, batch norm with eps 1e-3, the fourth pool 2x2/2.",
    ),
    _googlenet(
        name="googlenet_naive",
        follows="figure 2a on the rows of Table 1",
        params=97_526_008,
        macs=12_568_061_056,
        entry="googlenet:googlenet_naive",
        options=MappingProxyType(_STUDY_OPTIONS),
        notes="No reductions, and the pool passes its input through: modules widen to 4944 channels.",
    ),
    _rethought(
        name="googlenet_v2",
        follows="figure 5 on the rows of 1409.4842 Table 1",
        params=7_284_232,
        macs=1_639_721_984,
        entry="googlenet:googlenet_v2",
        notes="Each 5x5 as two 3x3 of its width, dearer than the narrow 5x5; all else as googlenet.",
    ),
    _rethought(
        name="googlenet_v3",
        follows="figure 6 on the rows of 1409.4842 Table 1",
        params=6_843_928,
        macs=1_509_615_616,
        entry="googlenet:googlenet_v3",
        notes="Each 3x3 and 5x5 of a module as 1 x n, then n x 1; all else as googlenet.",
    ),
)

CARDS: Mapping[str, Card] = MappingProxyType({card.name: card for card in _ALL})
"""Every card by its name, read-only."""


def get_card(name: str) -> Card:
    """The card of an entry.

    Args:
        name: A name from `CARDS`.

    Raises:
        InceptionLabError: No entry has this name (exit code 2); the nearest names are offered.

    Example:
        >>> get_card("googlenet_v2").follows
        'figure 5 on the rows of 1409.4842 Table 1'
    """
    if name not in CARDS:
        raise InceptionLabError(f"no model {name!r}", hint=nearest(str(name), CARDS), exit_code=USAGE)
    return CARDS[name]


def check_options(card: Card, options: Mapping[str, Any]) -> None:
    """Refuse options that the entry of `card` does not take.

    Args:
        card: The card of the entry.
        options: Keywords as `create_model` would take them.

    Raises:
        InceptionLabError: An option is unknown, or its value is not one that it takes (exit code 2).

    Example:
        >>> check_options(get_card("googlenet"), {"num_classes": 10})
        >>> check_options(get_card("googlenet"), {"num_clases": 10})
        Traceback (most recent call last):
        inception_lab.errors.InceptionLabError: googlenet: no option 'num_clases'; did you mean num_classes?
    """
    for name, value in options.items():
        if name not in card.options:
            raise InceptionLabError(
                f"no option {name!r}", where=card.name, hint=nearest(name, card.options), exit_code=USAGE
            )
        option = card.options[name]
        if not option.accepts(value):
            raise InceptionLabError(
                f"{name} is {value!r}", where=card.name, hint=f"it takes {option.takes}", exit_code=USAGE
            )
