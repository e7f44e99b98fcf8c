"""Threads beside a run: they take turns, wait at the gates of a model, and find everything as it was."""

import asyncio
import pickle
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from queue import SimpleQueue
from time import sleep

import pytest
import torch
from support.fingerprints import fingerprint, same
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.running import exclusion
from inception_lab.running.exclusion import Gates, private_copy
from inception_lab.running.stand_ins import meta_twin
from inception_lab.running.substitution import substituted

TIMEOUT = 20


@contextmanager
def another_thread():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()  # so that the thread is there
        yield pool


class Paused(nn.Module):
    """A forward that waits for a sign between its two layers."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.entered, self.go_on = threading.Event(), threading.Event()

    def forward(self, x):
        x = self.first(x)
        self.entered.set()
        assert self.go_on.wait(TIMEOUT)
        return self.second(x)


class TestGates:
    def test_a_call_from_another_thread_waits_and_then_has_the_models_own_weights(self):
        model, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU()), torch.ones(1, 3)
        expected = model(x)
        with another_thread() as pool:
            with substituted(model, False, meta_twin):
                answer = pool.submit(model, x)
                sleep(0.1)  # at work, where a wait in `threading` would be for a thread of the model's own
                assert not answer.done()
                assert model(x.to("meta")).is_meta
            assert torch.equal(answer.result(TIMEOUT), expected)

    @pytest.mark.parametrize(
        "read",
        [
            lambda model: model.state_dict().values(),
            lambda model: list(model.parameters()),
            lambda model: list(model[0].buffers()) + [p for _, p in model[0].named_parameters()],
            lambda model: model.double().state_dict().values(),
            lambda model: (
                model.load_state_dict({n: t + 1 for n, t in model.state_dict().items()})
                and model.parameters()
            ),
        ],
        ids=["state_dict", "parameters", "of a layer", "conversion", "load_state_dict"],
    )
    def test_state_that_is_read_or_changed_in_another_thread_is_the_models_own(self, read):
        model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 4))
        with another_thread() as pool:
            with substituted(model, False, meta_twin):
                tensors = pool.submit(read, model)
                sleep(0.1)  # at work, where a wait in `threading` would be for a thread of the model's own
                assert not tensors.done()
                assert all(parameter.is_meta for parameter in model.parameters())
            assert not any(tensor.is_meta for tensor in tensors.result(TIMEOUT))
        assert {"forward", "state_dict", "_apply"}.isdisjoint(vars(model[0]))

    def test_a_call_that_is_under_way_is_waited_for_and_may_enter_its_other_layers(self):
        model, x = Paused(), torch.ones(1, 3)
        with another_thread() as pool:
            under_way = pool.submit(model, x)
            assert model.entered.wait(TIMEOUT)
            threading.Timer(0.1, model.go_on.set).start()
            with substituted(model, False, meta_twin):
                assert under_way.done()
            assert torch.equal(under_way.result(TIMEOUT), model(x))

    def test_a_call_that_goes_on_for_too_long_is_one_clear_line(self, monkeypatch):
        monkeypatch.setattr(exclusion, "PATIENCE", 0.05)
        model = Paused()
        with another_thread() as pool:
            under_way = pool.submit(model, torch.ones(1, 3))
            assert model.entered.wait(TIMEOUT)
            before = fingerprint(model)
            refused = pytest.raises(
                InceptionLabError, match="is running in another thread; wait until it is done"
            )
            with refused, substituted(model, False, meta_twin):
                pass
            assert same(before, fingerprint(model))
            model.go_on.set()
            under_way.result(TIMEOUT)

    def test_the_model_has_no_gates_afterwards_and_keeps_a_forward_of_its_own(self):
        model = nn.Sequential(nn.Linear(3, 3))
        model[0].forward = own = lambda x: 2 * x
        with another_thread(), substituted(model, False, meta_twin):
            assert model[0].forward is not own
        assert model[0].forward is own
        assert "forward" not in vars(model)

    def test_a_thread_that_the_owner_waits_for_passes(self):
        """As where a forward has another thread run one of its layers."""
        model = nn.Linear(3, 3)
        with another_thread() as pool:
            with substituted(model, False, torch.clone):
                answer = pool.submit(model, torch.ones(1, 3)).result(TIMEOUT)
            assert torch.equal(answer, model(torch.ones(1, 3)))

    def test_a_program_of_one_thread_has_no_gates(self):
        """They cost time at every call of a module, and nobody is there whom they could keep out."""
        code = (
            "from torch import nn\n"
            "from inception_lab.running.exclusion import Gates\n"
            "model = nn.Linear(3, 3)\n"
            "gates = Gates([model])\n"
            "gates.close()\n"
            "print('forward' in vars(model))\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "False\n"
        model = nn.Linear(3, 3)
        with another_thread():
            gates = Gates([model])
            gates.close()
            assert "forward" in vars(model)
            gates.open()


class Counting(nn.Linear):
    """A layer whose hook counts its calls, as weights that are computed anew before each one are."""

    def __init__(self):
        super().__init__(3, 3)
        self.calls = 0
        self.register_forward_pre_hook(lambda module, _: setattr(module, "calls", module.calls + 1))


class TestOtherWays:
    """To a model's tensors and attributes, from another thread during a run."""

    def test_hooks_run_behind_the_gate(self):
        model = nn.Sequential(Counting())
        with another_thread() as pool:
            with substituted(model, False, meta_twin):
                answer = pool.submit(model, torch.ones(1, 3))
                sleep(0.1)
            answer.result(TIMEOUT)
        assert model[0].calls == 1

    def test_a_copy_is_one_of_the_models_own(self):
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        with another_thread() as pool:
            with substituted(model, False, meta_twin):
                copies = pool.submit(deepcopy, model), pool.submit(pickle.dumps, model)
                sleep(0.1)
                assert not any(made.done() for made in copies)
            copied = [copies[0].result(TIMEOUT), pickle.loads(copies[1].result(TIMEOUT))]
        for copied_model in copied:
            assert [vars(layer).keys() for layer in copied_model] == [vars(layer).keys() for layer in model]
            pairs = zip(copied_model.parameters(), model.parameters(), strict=True)
            assert all(torch.equal(one, other) for one, other in pairs)

    def test_copies_beside_many_runs_have_nothing_of_ours(self):
        model = nn.Sequential(*[nn.Linear(3, 3) for _ in range(20)])
        expected = {"forward", "__deepcopy__", "_call_impl", "state_dict"}
        with another_thread() as pool:
            copies = pool.submit(lambda: [deepcopy(model) for _ in range(20)])
            while not copies.done():
                with substituted(model, False, meta_twin):
                    pass
        for copied_model in copies.result(TIMEOUT):
            assert not any(parameter.is_meta for parameter in copied_model.parameters())
            assert all(expected.isdisjoint(vars(layer)) for layer in copied_model)

    def test_a_copy_that_had_a_modules_attributes_before_the_gates_is_its_own(self):
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model[1].forward = own_forward = partial(torch.mul, 2)
        with another_thread(), substituted(model, False, meta_twin):
            # its owner passes every gate, so that the copy sees the gates among the attributes
            twin = deepcopy(model)
            assert not vars(model[0]).keys() <= vars(twin[0]).keys()
        assert [vars(layer).keys() for layer in twin] == [vars(layer).keys() for layer in model]
        assert twin[1].forward.args == own_forward.args
        assert twin(torch.ones(1, 3, device="meta")).shape == (1, 3)

    def test_gradients_are_taken_off_the_models_own_parameters(self):
        model = nn.Linear(3, 3)
        model(torch.ones(1, 3)).sum().backward()
        with another_thread() as pool:
            with substituted(model, True, meta_twin):
                done = pool.submit(model.zero_grad)
                sleep(0.1)
                assert not done.done()
            done.result(TIMEOUT)
        assert all(parameter.grad is None for parameter in model.parameters())


class Service:
    """A thread that was there before and calls what comes through a queue, which is not followed."""

    def __init__(self):
        self.tasks = SimpleQueue()
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while (task := self.tasks.get()) is not None:
            function, x, answer = task
            try:
                answer.set_result(function(x))
            except Exception as error:
                answer.set_exception(error)


class Served(nn.Module):
    """A layer that a service calls, whose result may be thrown away."""

    def __init__(self, waits):
        super().__init__()
        self.inner, self.outer, self.waits = nn.Linear(3, 3), nn.Linear(3, 3), waits
        self.service = Service()

    def forward(self, x):
        answer = Future()
        self.service.tasks.put((self.inner, x, answer))
        if self.waits:
            answer.result(TIMEOUT)
        else:
            answer.exception(TIMEOUT)
        return self.outer(x)


class InLoop(nn.Module):
    """A layer that an event loop has another thread run."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)

    def forward(self, x):
        async def run():
            return await asyncio.to_thread(self.inner, x)

        return asyncio.run(run())


class TestThreadsThatAreNotFollowed:
    """A trace without their operations would look complete."""

    @pytest.mark.parametrize("waits", [True, False])
    @pytest.mark.parametrize("options", [{}, {"device": "cpu"}, {"mode": "train"}])
    def test_a_trace_is_refused_although_the_error_is_lost(self, waits, options):
        model = Served(waits)
        with pytest.raises(InceptionLabError, match="inner runs in another thread"):
            il.trace(model, (1, 3), **options)
        model.service.tasks.put(None)

    def test_a_real_run_has_them_run(self):
        with another_thread():
            assert il.measure_memory(InLoop(), (1, 3)).tracked_bytes > 0

    def test_a_thread_that_holds_what_the_run_waits_for_is_told(self, monkeypatch):
        monkeypatch.setattr(exclusion, "STUCK", 0.3)
        lock, model = threading.Lock(), nn.Linear(3, 3)
        own_forward = model.forward

        def locked(x):
            with lock:
                return own_forward(x)

        with another_thread() as pool:
            model.forward = locked
            lock.acquire()
            tracing = pool.submit(il.trace, model, (1, 3))
            while "state_dict" not in vars(model):
                sleep(0.001)
            with pytest.raises(InceptionLabError, match="waits for this thread; release what it waits for"):
                model(torch.ones(1, 3))
            lock.release()
            tracing.result(TIMEOUT)


class TestTurns:
    def test_two_runs_of_one_model_take_turns(self):
        model, inside, most = nn.Linear(3, 3), [], []

        def run():
            for _ in range(20):
                with substituted(model, False, meta_twin):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()

        with ThreadPoolExecutor(4) as pool:
            for answer in [pool.submit(run) for _ in range(4)]:
                answer.result(TIMEOUT)
        assert set(most) == {1}

    def test_a_run_within_a_run_of_the_same_thread(self):
        model = nn.Linear(3, 3)
        with another_thread(), substituted(model, False, meta_twin), substituted(model, True, meta_twin):
            assert model.weight.is_meta
        assert not model.weight.is_meta


def test_modules_that_a_copy_shares_with_its_model_keep_their_gates():
    class Shares(nn.Module):
        def __init__(self):
            super().__init__()
            self.own, self.shared = nn.Linear(2, 2), nn.Linear(2, 2)

        def __deepcopy__(self, memo):
            twin = Shares()
            twin.shared = self.shared
            return twin

    model = Shares()
    copy = private_copy(model)
    gates = Gates(list(copy.modules()))
    assert gates._modules == [model.shared]
