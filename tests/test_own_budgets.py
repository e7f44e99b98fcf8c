"""The budgets that this project holds itself to."""

from pathlib import Path

from inception_lab.budgets.configuration import read_configuration
from inception_lab.budgets.lock import read_lock
from inception_lab.models.cards import CARDS

ROOT = Path(__file__).parents[1]


def test_every_net_of_the_zoo_has_a_budget_for_its_parameters_and_macs():
    budgets = read_configuration(ROOT).budgets
    assert {budget.model for budget in budgets} == set(CARDS)
    for budget in budgets:
        assert {"params", "macs"} <= {limit.metric for limit in budget.limits if not limit.layers}, (
            budget.name
        )


def test_the_lock_has_the_figures_of_the_cards():
    lock = read_lock(ROOT / "inception-lab.lock")
    assert lock is not None
    for name, card in CARDS.items():
        totals = lock.budgets[name].figures.totals
        assert (totals["params"], totals["macs"]) == (card.params, card.macs), name
