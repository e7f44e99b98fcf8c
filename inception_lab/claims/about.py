"""Claims about single models of the zoo, recomputed for whoever reports on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from inception_lab.arguments import checked
from inception_lab.claims.catalogue import ALL
from inception_lab.claims.claim import Claim
from inception_lab.claims.nets import Nets
from inception_lab.claims.recompute import Confirmation, check_claim
from inception_lab.loading.options import model_request, spec_of
from inception_lab.models.cards import CARDS


@checked
def claims_about(names: Sequence[str]) -> dict[str, Confirmation]:
    """Recompute the published claims that are about one model alone, of each of several models.

    A claim is about the models that the arguments of its recipes name. Those about several models, such as
    ratios, and those about real runs alone are left out; `confirm` has them all.

    Args:
        names: Of models of the zoo, with keywords or without. Others have no claims.

    Returns:
        The claims about each model, by its name; networks are traced once for all of them.

    Raises:
        InceptionLabError: A name cannot be read (exit code 2).

    Example:
        >>> claims = claims_about(["googlenet_naive", "mynet:MyNet"])
        >>> [(claim.claim.id, str(claim.verdict)) for claim in claims["googlenet_naive"].claims]
        [('naive_channels', 'confirmed')]
        >>> claims["mynet:MyNet"].claims
        ()
    """
    nets = Nets()
    # names of other nets may hold what only their own code can read
    models = {name: model_request(name).name if spec_of(name) in CARDS else "" for name in names}
    return {
        name: Confirmation(tuple(check_claim(claim, nets) for claim in ALL if _subject(claim) == {model}))
        for name, model in models.items()
    }


def _subject(claim: Claim) -> set[str]:
    """The models that a claim is about, those of real runs apart: these belong to a machine."""
    from inception_lab.claims.recipes import MEASURED

    recipes = [figure.recipe for figure in claim.figures if figure.recipe.name not in MEASURED]
    texts = (text for recipe in recipes for value in recipe.arguments.values() for text in _texts(value))
    return {model_request(text).name for text in texts if spec_of(text) in CARDS}


def _texts(value: Any) -> Iterator[str]:
    """The texts in an argument, which may be one or hold several."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _texts(part)
