"""The cards as data, a file for each family; they appear in the order of `ALL`."""

from inception_lab.models.card import Card
from inception_lab.models.catalogue import googlenet, inception, residual, rivals, tutorials

ALL: tuple[Card, ...] = (
    *googlenet.CARDS,
    *inception.CARDS,
    *residual.CARDS,
    *rivals.CARDS,
    *tutorials.CARDS,
)
