"""Threads beside a run: they take turns, wait at the gates of a model, and find everything as it was."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import sleep

import pytest
import torch
from support.fingerprints import fingerprint, same
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.running import exclusion
from inception_lab.running.exclusion import Gates
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
