"""Drawn nets of any operations beside oracles; scripts/check_random_nets.py does it for thousands."""

from itertools import islice

import pytest
from support.drawn_nets.comparison import compare_fields, faults_of_macs
from support.drawn_nets.nets import Branches, Do, Spec, build, draw, smaller
from support.drawn_nets.step import OPERATIONS


def faults(spec):
    return [f"{spec}: {fault}" for fault in compare_fields(spec).faults]


def chains_of(name, count):
    """Chains of one operation."""
    chains = (draw(seed, (name,)) for seed in range(1000))
    return list(islice((chain for chain in chains if chain.steps), count))


@pytest.mark.parametrize("name", OPERATIONS)
def test_chains_of_one_operation(name):
    chains = chains_of(name, 2)
    assert len(chains) == 2
    comparisons = [compare_fields(chain) for chain in chains]
    assert [f"{comparison.spec}: {fault}" for comparison in comparisons for fault in comparison.faults] == []
    statuses = {status for comparison in comparisons for status, _ in comparison.statuses.values()}
    assert not {"bound", "unknown"} & statuses


@pytest.mark.parametrize("first", range(1000, 1045, 15))
def test_nets_of_any_operations(first):
    specs = [draw(seed) for seed in range(first, first + 15)]
    assert [fault for spec in specs for fault in faults(spec)] == []


def test_few_fields_are_uncertain():
    statuses = [s for seed in range(2000, 2030) for s, _ in compare_fields(draw(seed)).statuses.values()]
    assert sum(status in ("bound", "unknown") for status in statuses) <= 0.05 * len(statuses)


@pytest.mark.parametrize("first", range(3000, 3020, 20))
def test_macs_are_those_of_torchs_own_counter(first):
    specs = [draw(seed) for seed in range(first, first + 20)]
    assert [f"{spec}: {fault}" for spec in specs for fault in faults_of_macs(spec)] == []


def test_a_net_is_that_of_its_seed():
    assert draw(7) == draw(7)
    assert str(draw(7)) != str(draw(8))


def test_smaller_nets_have_fewer_operations():
    chain = Spec((1, 1, 8), (Do("flip", {"axes": (0,)}), Branches(((Do("glu", {}),), ()), "sum")), 0)
    texts = [str(spec).partition(": ")[2] for spec in smaller(chain)]
    flip = "flip(axes=(0,))"
    assert texts == ["sum[glu() | x]", flip, f"{flip} > glu()", flip, f"{flip} > sum[x | x]"]


def test_axes_are_followed_through_a_transposition():
    spec = Spec((1, 1, 4, 6), (Do("transpose", {}), Do("rot90", {"turns": 1}), Do("rot90", {"turns": 1})), 0)
    assert [state.axes for state in build(spec).states.values()] == [(1, 0), (0, 1), (1, 0)]
