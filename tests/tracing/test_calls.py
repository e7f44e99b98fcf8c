"""Module calls as they are noted: their tree, their values, their autograd nodes, their failures."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.running.exclusion import Gates
from inception_lab.tracing.calls import FAILED_IN, NO_CALL, AutocastMet, Calls


def calls_of(differentiable=False, heeds_autocast=True):
    """Calls whose values are the whole numbers among what a call takes or returns."""
    return Calls(lambda items: tuple(i for i in items if type(i) is int), differentiable, heeds_autocast)


def tree(calls):
    return [(call.path, call.kind, call.parent) for call in calls.states]


def test_calls_within_calls():
    calls = calls_of()
    leaf = calls.reporting(lambda x: x + 1, "a.b", "Leaf")
    branch = calls.reporting(lambda x: leaf(leaf(x)), "a", "Branch")
    root = calls.reporting(lambda x, *, y: leaf(branch(x) + y), "", "Root")
    assert root(1, y=2) == 6
    assert tree(calls) == [
        ("", "Root", None), ("a", "Branch", 0), ("a.b", "Leaf", 1), ("a.b", "Leaf", 1), ("a.b", "Leaf", 0)
    ]  # fmt: skip
    assert [(call.inputs, call.outputs) for call in calls.states] == [
        ((1, 2), (6,)), ((1,), (3,)), ((1,), (2,)), ((2,), (3,)), ((5,), (6,))
    ]  # fmt: skip
    assert [call.id for call in calls.states] == list(range(5))
    assert calls.stack == []


def test_watched_modules_report_under_their_paths():
    calls, model = calls_of(), nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    calls.watch(dict(model.named_modules()), Gates([]))
    x = torch.ones(1, 2)
    assert torch.equal(model(x), type(model[0]).forward(model[0], x).relu())
    assert tree(calls) == [("", "Sequential", None), ("0", "Linear", 0), ("1", "ReLU", 0)]
    assert [call.module for call in calls.states] == [model, *model]


@pytest.mark.parametrize("differentiable", [True, False])
def test_a_failure_is_marked_with_the_innermost_call_and_leaves_no_call_under_way(differentiable):
    calls = calls_of(differentiable)
    leaf = calls.reporting(lambda: 1 / 0, "a.b", "Leaf")
    branch = calls.reporting(leaf, "a", "Branch")
    with pytest.raises(ZeroDivisionError) as failure:
        branch()
    assert getattr(failure.value, FAILED_IN) == "a.b"
    assert calls.stack == []


def test_a_failure_that_is_caught_leaves_the_outer_call_under_way():
    calls = calls_of()
    leaf = calls.reporting(lambda: 1 / 0, "a", "Leaf")
    other = calls.reporting(lambda: None, "b", "Leaf")

    def forward():
        with pytest.raises(ZeroDivisionError):
            leaf()
        other()

    calls.reporting(forward, "", "Root")()
    assert tree(calls) == [("", "Root", None), ("a", "Leaf", 0), ("b", "Leaf", 0)]


def test_an_autograd_node_finds_the_call_that_made_it():
    calls, x = calls_of(differentiable=True), torch.ones(1, requires_grad=True)
    nodes = {}

    def operation(name, y):
        y = y.exp()
        nodes[name] = y.grad_fn
        return y

    leaf = calls.reporting(lambda y: operation("leaf", y), "a", "Leaf")
    root = calls.reporting(lambda y: operation("after", leaf(operation("before", y))), "", "Root")
    first = operation("first", x)
    operation("last", root(first))
    call_of = {name: calls.call_of_node(node._sequence_nr()) for name, node in nodes.items()}
    assert call_of == {"first": NO_CALL, "before": 0, "leaf": 1, "after": 0, "last": NO_CALL}


@pytest.mark.parametrize("heeds_autocast", [True, False])
def test_autocast_ends_a_run_on_tensors_that_do_not_heed_it(heeds_autocast):
    calls = calls_of(heeds_autocast=heeds_autocast)
    function = calls.reporting(lambda: 1, "", "Root")
    with torch.autocast("cpu", torch.bfloat16):
        if heeds_autocast:
            assert function() == 1
        else:
            with pytest.raises(AutocastMet):
                function()
    assert function() == 1


def test_a_call_in_another_thread_is_refused_by_name():
    calls = calls_of()
    function = calls.reporting(lambda: 1, "", "Root")
    with ThreadPoolExecutor(1) as pool, pytest.raises(InceptionLabError, match=r"^Root runs in another") as e:
        pool.submit(function).result()
    assert e.value.exit_code == 3
    assert calls.states == []


def test_release_forgets_the_model():
    calls, model = calls_of(), nn.ReLU()
    calls.watch({"": model}, Gates([]))
    model(torch.ones(1))
    calls.release()
    assert (calls.states, calls.stack) == ([], [])
