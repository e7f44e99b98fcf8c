"""The promises of every card of the zoo, kept by its entry."""

import pytest
import torch

from inception_lab.errors import InceptionLabError
from inception_lab.models.blocks import Outputs
from inception_lab.models.cards import CARDS
from inception_lab.models.registry import create_model, list_models

OWN_HABITS = {"googlenet_notebook"}
"""Entries that return what their tutorial returns."""


def images(name, side=None, batch=2):
    channels, *sides = CARDS[name].input_size
    return torch.empty(batch, channels, *([side, side] if side else sides), device="meta")


@pytest.mark.parametrize("name", list_models())
def test_classes_are_an_option_and_eval_gives_the_logits_alone(name):
    out = create_model(name, device="meta", num_classes=7).eval()(images(name))
    first = out[0] if name in OWN_HABITS else out
    assert first.shape == (2, 7)


@pytest.mark.parametrize("name", [n for n in list_models() if "aux_logits" in CARDS[n].options])
def test_heads_train_and_come_back_in_the_same_tuple(name):
    model = create_model(name, device="meta", num_classes=7, aux_logits=True)
    out = model(images(name))
    if name in OWN_HABITS:
        assert len(out) == 3
    else:
        assert isinstance(out, Outputs)
        assert all(head.shape == (2, 7) for head in (out.logits, *out.aux_logits))
        assert isinstance(model.eval()(images(name)), torch.Tensor)


@pytest.mark.parametrize("name", list_models())
def test_the_smallest_input_is_the_card_s(name):
    model, smallest = create_model(name, device="meta").eval(), CARDS[name].smallest_input
    model(images(name, smallest))
    with pytest.raises(InceptionLabError) as caught:
        model(images(name, smallest - 1) if smallest > 1 else torch.empty(2, 3, 0, 5, device="meta"))
    assert caught.value.exit_code == 3
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", list_models())
def test_a_card_says_where_it_is_from(name):
    card = CARDS[name]
    assert card.title
    assert card.paper
    assert card.follows
    assert 2012 <= card.year <= 2017
    assert bool(card.error_source) == (card.top1_error is not None or card.top5_error is not None)
    assert card.reconstructed == ("reconstruction" in card.notes)
