"""The arithmetic of own times, by a clock that a test turns by hand."""

import time
from threading import Thread

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint

from inception_lab.measure.timing.clock import BACKWARD, OUTSIDE, CallClock, run_clocked
from inception_lab.running.request import request_of
from inception_lab.running.stand_ins import cpu_copy, cpu_input
from inception_lab.running.step import Placement, prepared, settled_by_running

CPU = Placement("cpu", cpu_copy, cpu_input)


class Hands:
    """A clock that stands still unless somebody moves it."""

    def __init__(self):
        self.now = 0

    def move(self, by):
        self.now += by

    def read(self):
        return self.now


class Spends(torch.autograd.Function):
    """Takes no time forward, and some backward."""

    @staticmethod
    def forward(context, x, move, by):
        context.spend = lambda: move(by)
        return x * 1

    @staticmethod
    def backward(context, gradient):
        context.spend()
        return gradient, None, None


class Node(nn.Module):
    """Takes some time, backward twice that, and calls each child so often, with more time after each call."""

    def __init__(self, move, before, children):
        super().__init__()
        self.move, self.before = move, before
        self.calls = [(calls, after) for calls, after, _ in children]
        self.inner = nn.ModuleList(child for *_, child in children)

    def forward(self, x):
        self.move(self.before)
        x = Spends.apply(x, self.move, 2 * self.before) if x.requires_grad else x
        for (calls, after), child in zip(self.calls, self.inner, strict=True):
            for _ in range(calls):
                x = child(x)
                self.move(after)
        return x

    def own(self):
        """Nanoseconds of one call in itself."""
        return self.before + sum(calls * after for calls, after in self.calls)


def trees(move):
    times = st.integers(0, 10**9)

    def node(children):
        several = st.lists(st.tuples(st.integers(0, 3), times, children), max_size=3)
        return st.builds(lambda before, inner: Node(move, before, inner), times, several)

    return st.recursive(st.builds(lambda before: Node(move, before, []), times), node, max_leaves=8)


def own_times(model, clock, inputs=(2, 3), **options):
    with prepared(request_of(model, inputs, **options), CPU, settled_by_running) as step:
        run_clocked(step, clock)
    return clock.times()


def by_path(times):
    sums = {}
    for (frame, _), elapsed in times.own.items():
        sums[frame.path] = sums.get(frame.path, 0) + elapsed.wall
    return sums


HANDS = Hands()


@settings(deadline=None, max_examples=60)
@given(trees(HANDS.move))
def test_own_times_are_those_of_each_node_and_add_up_to_the_last_nanosecond(model):
    times = own_times(model, CallClock(HANDS.read, HANDS.read))
    assert sum(elapsed.wall for elapsed in times.own.values()) == times.total.wall
    assert sum(elapsed.cpu for elapsed in times.own.values()) == times.total.cpu
    nodes = {path: node for path, node in model.named_modules() if isinstance(node, Node)}
    for frame, _ in times.own:
        if frame != OUTSIDE:
            elapsed = times.own[frame, "forward"]
            assert elapsed.wall == elapsed.cpu == nodes[frame.path].own()
    calls = count_calls(model)
    assert {path: sum(f.path == path for f, _ in times.own if f != OUTSIDE) for path in calls} == calls


def count_calls(node, path="", times=1):
    """The number of calls of each node that is called at all."""
    calls = {path: times} if times else {}
    for place, (count, child) in enumerate(zip(node.calls, node.inner, strict=True)):
        calls |= count_calls(child, f"{path}.inner.{place}".lstrip("."), times * count[0])
    return calls


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_whatever_the_clock_shows_own_times_add_up(ticks):
    readings = iter([sum(ticks[:place]) for place in range(1, len(ticks) + 1)] + [sum(ticks)] * 1000)
    times = own_times(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), CallClock(lambda: next(readings), lambda: 0))
    assert sum(elapsed.wall for elapsed in times.own.values()) == times.total.wall


@settings(deadline=None, max_examples=60)
@given(trees(HANDS.move))
def test_the_backward_pass_of_each_call_is_its_own(model):
    chain = nn.Sequential(nn.Linear(3, 3), model)
    times = own_times(chain, CallClock(HANDS.read, HANDS.read), mode="train")
    assert sum(elapsed.wall for elapsed in times.own.values()) == times.total.wall
    backward = {frame: e.wall for (frame, phase), e in times.own.items() if phase == "backward" and e.wall}
    nodes = {path: node for path, node in chain.named_modules() if isinstance(node, Node)}
    frames = [frame for frame, phase in times.own if phase == "forward" and frame.path in nodes]
    assert backward == {f: 2 * nodes[f.path].before for f in frames if nodes[f.path].before}


def test_a_graph_made_before_the_step_and_one_in_a_layer_belong_to_no_layer_and_to_that_one():
    hands = Hands()

    class Penalised(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, x):
            y = Spends.apply(self.linear(x), hands.move, 7)
            (gradient,) = torch.autograd.grad(y.sum(), self.linear.weight, create_graph=True)
            return y + gradient.sum()

    times = own_times(Penalised(), CallClock(hands.read, lambda: 0), mode="train")
    assert {(f.path, phase): e.wall for (f, phase), e in times.own.items() if e.wall} == {
        ("", "forward"): 7,
        ("", "backward"): 7,
    }


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_layers_spend_their_backward_pass_in_themselves_or_in_the_one_around(reentrant):
    hands = Hands()

    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.node = nn.Linear(3, 3), Node(hands.move, 50, [])

        def forward(self, x):
            return checkpoint(lambda y: self.node(y).relu(), self.linear(x), use_reentrant=reentrant)

    times = own_times(Checkpointed(), CallClock(hands.read, lambda: 0), mode="train")
    backward = {(f.path, f.number): e.wall for (f, p), e in times.own.items() if p == "backward" and e.wall}
    # again forward, which is the second call; a reentrant one has a graph that is made while another runs
    assert backward == {("node", 1): 50, (("", 0) if reentrant else ("node", 0)): 100}


def test_nodes_that_several_threads_made_are_not_told_apart():
    hands = Hands()

    class Threaded(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.node = nn.Linear(3, 3), Node(hands.move, 5, [])

        def forward(self, x):
            outputs = []
            x = self.linear(x)
            thread = Thread(target=lambda: outputs.append(self.node(x)))
            thread.start()
            thread.join()
            return outputs[0]

    times = own_times(Threaded(), CallClock(hands.read, lambda: 0), mode="train")
    assert {(f.path, phase): e.wall for (f, phase), e in times.own.items() if e.wall} == {
        ("", "forward"): 5,
        ("(backward)", "backward"): 10,
    }


def test_calls_of_one_module_are_told_apart():
    hands = Hands()
    leaf = Node(hands.move, 5, [])
    model = Node(hands.move, 7, [(2, 3, leaf)])
    times = own_times(model, CallClock(hands.read, lambda: 0))
    found = {(frame.path, frame.number): elapsed.wall for (frame, _), elapsed in times.own.items()}
    assert found == {("(outside)", 0): 0, ("", 0): 7 + 3 + 3, ("inner.0", 0): 5, ("inner.0", 1): 5}


def test_each_phase_has_its_own_time():
    hands = Hands()

    def loss(outputs):
        hands.move(100)
        return Spends.apply(outputs, hands.move, 1000).sum()

    class Optimizer(torch.optim.SGD):
        def step(self, closure=None):
            hands.move(10_000)
            return super().step(closure)

    def make(parameters):
        return Optimizer(parameters, lr=0.1)

    model = nn.Sequential(Node(hands.move, 1, []), nn.Linear(3, 3))
    hook = model.register_forward_hook(lambda *_: hands.move(20))
    times = own_times(model, CallClock(hands.read, lambda: 0), mode="train", loss=loss, optimizer=make)
    hook.remove()
    found = {(f.path, phase): elapsed.wall for (f, phase), elapsed in times.own.items() if elapsed.wall}
    assert found == {
        ("0", "forward"): 1,
        ("(outside)", "forward"): 20,  # a hook of the model itself
        ("(loss)", "loss"): 100,
        ("(loss)", "backward"): 1000,
        ("(optimizer)", "optimizer"): 10_000,
    }


def test_what_is_computed_again_in_the_backward_pass_belongs_to_its_layer():
    hands = Hands()

    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.node, self.linear = Node(hands.move, 50, []), nn.Linear(3, 3)

        def forward(self, x):
            return checkpoint(lambda y: self.node(self.linear(y)).relu(), x, use_reentrant=False)

    times = own_times(Checkpointed(), CallClock(hands.read, lambda: 0), mode="train")
    found = {(f.path, f.number, phase): e.wall for (f, phase), e in times.own.items() if f.path == "node"}
    again, own = ("node", 1, "backward"), ("node", 0, "backward")
    assert found == {("node", 0, "forward"): 50, again: 50, own: 100}
    assert BACKWARD in {frame for frame, _ in times.own}


def test_a_generator_runs_where_it_is_exhausted():
    hands = Hands()

    class Yields(nn.Module):
        def __init__(self):
            super().__init__()
            self.node = Node(hands.move, 5, [])

        def forward(self, x):
            hands.move(3)
            yield self.node(x)

    times = own_times(Yields(), CallClock(hands.read, lambda: 0))
    assert by_path(times) == {"(outside)": 3, "": 0, "node": 5}


def test_a_call_in_another_thread_belongs_to_the_call_that_waits_for_it():
    hands = Hands()

    class Threaded(nn.Module):
        def __init__(self):
            super().__init__()
            self.node = Node(hands.move, 5, [])

        def forward(self, x):
            thread = Thread(target=self.node, args=(x,))
            thread.start()
            thread.join()
            return x

    times = own_times(Threaded(), CallClock(hands.read, lambda: 0))
    assert by_path(times) == {"(outside)": 0, "": 5}


def test_a_forward_of_the_users_own_is_put_back():
    model = nn.Linear(3, 3)
    forward = model.forward
    model.forward = lambda x: forward(x) * 2
    own, clock = model.forward, CallClock()
    with prepared(request_of(model, (2, 3)), CPU) as step:
        run_clocked(step, clock)
        assert model.__dict__["forward"] is own
    assert model.__dict__["forward"] is own


def test_the_stack_is_whole_after_a_call_that_raises_and_is_caught():
    hands = Hands()

    class Raises(nn.Module):
        def forward(self, x):
            hands.move(4)
            raise ValueError(f"no {x.shape}")

    class Catches(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Raises()

        def forward(self, x):
            with pytest.raises(ValueError, match="no "):
                self.inner(x)
            hands.move(2)
            return x

    assert by_path(own_times(Catches(), CallClock(hands.read, lambda: 0))) == {
        "(outside)": 0,
        "": 2,
        "inner": 4,
    }


def test_real_clocks_never_run_backwards():
    times = own_times(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), CallClock())
    assert all(elapsed.wall >= 0 and elapsed.cpu >= 0 for elapsed in times.own.values())
    assert 0 < times.total.wall < time.perf_counter_ns()
