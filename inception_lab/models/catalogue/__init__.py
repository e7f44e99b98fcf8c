"""The cards as data, a file for each family; they appear in the order of `ALL`."""

from inception_lab.models.card import Card
from inception_lab.models.catalogue import googlenet

ALL: tuple[Card, ...] = (*googlenet.CARDS,)
