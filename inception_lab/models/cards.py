"""The frozen card of every entry of the zoo: no torch is needed to read or to check one."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from inception_lab.errors import USAGE, InceptionLabError, nearest
from inception_lab.models.card import Card
from inception_lab.models.catalogue import ALL

CARDS: Mapping[str, Card] = MappingProxyType({card.name: card for card in ALL})
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
