"""Verdicts on the targets."""

import pytest

from peers.contenders import OURS
from peers.options import parse
from peers.results import Case, Results, Spread, Timing
from peers.targets import Target, batch_512, microseconds_per_operation


@pytest.mark.parametrize(
    ("at_least", "goal", "median", "verdict"),
    [
        (False, None, 0.25, "met"),
        (False, None, 0.26, "missed"),
        (True, 0.5, 0.25, "met, goal of 0.5 missed"),
        (True, 0.5, 0.5, "met, goal of 0.5 met"),
        (True, 0.5, 0.24, "missed"),
    ],
)
def test_a_verdict_compares_the_median(at_least, goal, median, verdict):
    target = Target("", batch_512, 0.25, at_least=at_least, goal=goal)
    assert target.verdict(Spread(0, median, 1)) == verdict


def test_time_per_operation_is_the_time_of_a_trace_over_its_operations():
    timings = {Case("nin", 1, OURS): Timing((2e-3, 4e-3, 6e-3))}
    results = Results(parse([]), timings, {}, {"nin": 100})
    assert microseconds_per_operation(results, "nin") == Spread(30, 40, 50)
