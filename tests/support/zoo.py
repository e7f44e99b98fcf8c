"""Inputs and options that hold for every model of the zoo, read off its card."""

from inception_lab.models.cards import CARDS


def image(name, batch=1):
    """The default input of a model."""
    return (batch, *CARDS[name].input_size)


def small_image(name, batch=1):
    """A cheap input that leaves every model a grid of more than one cell where it can."""
    card = CARDS[name]
    side = min(card.input_size[1], card.smallest_input + 40)
    return (batch, card.input_size[0], side, side)


def heads(name):
    """The option that builds auxiliary heads, where a model has it."""
    return {"aux_logits": True} if "aux_logits" in CARDS[name].options else {}
