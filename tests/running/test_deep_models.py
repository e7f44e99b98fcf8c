"""Models as deep as Python's stack allows, with gates and clocks around each module."""

import sys
from threading import Event, Thread

import pytest
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.running.guards import FRAMES_PER_FRAME


def test_a_model_as_deep_as_python_lets_it_be_runs_with_gates_and_clocks():
    """Beside another thread, each call of a module has two gates and the clock around it."""
    model = nn.Linear(2, 2)
    for _ in range(250):
        model = nn.Sequential(model)
    stop = Event()
    thread = Thread(target=stop.wait)
    thread.start()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)  # Python's own
    try:
        assert len(il.layer_times(model, (1, 2), seconds=0).layers) == 251 + 1
        assert il.summarise(il.trace(model, (1, 2))).totals["params"] == 6
    finally:
        stop.set()
        thread.join()
        deepest = sys.getrecursionlimit()
        sys.setrecursionlimit(limit)
    assert deepest == 1000


def test_many_models_side_by_side_leave_the_stack_as_high_as_one_does():
    limits = []

    class Looks(nn.Module):
        def forward(self, x):
            limits.append(sys.getrecursionlimit())
            return x

    models = [nn.Sequential(nn.Linear(2, 2), Looks()) for _ in range(16)]
    limit = sys.getrecursionlimit()
    il.compare_times(models, [(1, 2)] * 16, seconds=0)
    assert set(limits) == {FRAMES_PER_FRAME * limit}
    assert sys.getrecursionlimit() == limit


def test_a_runaway_recursion_still_ends_in_one_line():
    class Endless(nn.Module):
        def forward(self, x):
            return self(x)

    for run in (il.layer_times, il.trace):
        with pytest.raises(InceptionLabError, match="RecursionError"):
            run(nn.Sequential(nn.Linear(2, 2), Endless()), (1, 2))
