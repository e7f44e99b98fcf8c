"""The names of variants: one text for a model with all its keywords, however these were given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inception_lab.errors import checksum

_LONGEST_VALUE = 60
_LONGEST_KEYWORDS = 240
"""Characters of one value, and of all keywords, beyond which a checksum stands for the rest."""


def model_name(spec: str, kwargs: Mapping[str, Any]) -> str:
    """Return a model's name in results: with its keywords in alphabetical order, as `model_request` reads it.

    Long values are cut, and a checksum of the whole tells one from another.

    Args:
        spec: MODEL without keywords.
        kwargs: Its keywords.

    Example:
        >>> model_name("nin", {}), model_name("mynet:MyNet", {"width": 0.5, "act": "relu", "se": False})
        ('nin', "mynet:MyNet(act='relu', se=False, width=0.5)")
        >>> model_name("mynet:MyNet", {"text": "x" * 200})
        "mynet:MyNet(text='xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…dc5e2491)"
    """
    keywords = [f"{name}={_cut(repr(kwargs[name]), _LONGEST_VALUE)}" for name in sorted(kwargs)]
    return f"{spec}({_cut(', '.join(keywords), _LONGEST_KEYWORDS)})" if keywords else spec


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 9]}…{checksum(text)}"
