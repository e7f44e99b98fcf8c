"""The zoo as records: every model whose error is published, analysed on the input that its card names."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.loading.options import ModelRequest
from inception_lab.models.cards import CARDS, get_card
from inception_lab.models.registry import list_models
from inception_lab.record import Record

Progress = Callable[[float], None]


def _silent(part: float) -> None:
    """Show no progress."""


@checked
def zoo_records(
    names: Iterable[str] | None = None, progress: Progress = _silent, *, family: str | None = None
) -> list[Record]:
    """The records of models of the zoo in one inference pass, each with the error that its paper publishes.

    Args:
        names: Of models; by default all with a published error, in the order of the zoo.
        progress: Called with the part that is done, from 0 to 1.
        family: Only those of this architecture, such as `inception`.

    Returns:
        A record per model. Where its card has them, its context holds `top5_error`, `error_evaluation` and
        `error_images`, and `reconstructed` where its numbers are a reading of the paper.

    Raises:
        InceptionLabError: There is no such model or family (exit code 2).

    Example:
        >>> (record,) = zoo_records(["googlenet"])
        >>> record.totals["macs"], record.context["top5_error"], record.context["error_evaluation"]
        (1582671872, 10.07, 'one crop')
    """
    in_family = list_models(family)
    if names is None:
        names = [name for name in in_family if CARDS[name].top5_error is not None]
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise InceptionLabError(f"names={names!r} is not a list of models", hint="pass names=['nin']")
    cards = [card for card in map(get_card, names) if card.name in in_family]
    records = []
    for number, card in enumerate(cards):
        records.append(_record(card.name))
        progress((number + 1) / len(cards))
    return records


def _record(name: str) -> Record:
    # brings torch and pandas, which importing the package does not
    from inception_lab.analyzers.summary import summarise
    from inception_lab.loading.model import trace_model, with_card_facts, with_model_facts

    request = ModelRequest(name)
    return with_card_facts(with_model_facts(summarise(trace_model(request)), request))
