"""Pairs of public functions that run a model, from two threads at once, on one model and on two.

Afterwards the models are as they were, the settings of the process too, and every answer is the one that the
function gives alone. Real forwards of a user's own run beside each of them, and a training beside traces.
"""

import gc
import inspect
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations_with_replacement
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from support.fingerprints import fingerprint, same
from support.made_times import CEILINGS
from torch import nn

import inception_lab as il
from inception_lab.measure.hardware import device_name

SHAPE = (2, 3, 12, 12)
ROUNDS = int(os.environ.get("INCEPTION_LAB_THREAD_ROUNDS", "1"))
"""Runs of each function in a test; scripts/test_threads.sh takes many, and then of every pair."""
TIMEOUT = 600


class Net(nn.Module):
    """Two branches, a norm with statistics, attention with a fast path, and what a forward keeps."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 8, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 3)
        self.kept = []

    def forward(self, x):
        x = self.norm(torch.cat([self.left(x), self.right(x)], 1)).relu()
        self.kept.append(1)
        x = x + torch.zeros(8, 1, 1, device=x.device)  # of the default dtype
        x = self.encoder(x.flatten(2).transpose(1, 2)).mean(1)
        self.kept.pop()
        return self.head(x)


def plain(result):
    """A result as something that can be compared."""
    if isinstance(result, il.Trace):
        return result.ops, result.values, result.storages, result.calls
    if isinstance(result, il.Crosscheck):
        return result.record.to_dict()
    if hasattr(result, "weight"):  # of each pixel in an effective field
        return result.weight.tolist()
    return result.to_dict("list") if hasattr(result, "columns") else result


def own_forward(model):
    with torch.no_grad():
        return model(torch.ones(SHAPE))


FUNCTIONS = {
    "trace": lambda model: il.trace(model, SHAPE),
    "step": lambda model: il.trace(model, SHAPE, mode="train", optimizer="adamw"),
    "autocast": lambda model: il.trace(model, SHAPE, autocast=torch.bfloat16),
    "trace_for_device": lambda model: il.trace_for_device(model, SHAPE, device="cuda"),
    "check_budget": lambda model: il.check_budget(model, SHAPE, params="1 M", macs={"min": 1}).findings,
    "crosscheck": lambda model: il.crosscheck(model, SHAPE),
    "measure_memory": lambda model: (
        il.measure_memory(model, SHAPE, mode="train", optimizer="sgd").tracked_bytes
    ),
    "compare_memory": lambda model: il.compare_memory(model, SHAPE).errors["tracked_bytes"],
    "layer_times": lambda model: timed_layers(il.layer_times(model, SHAPE, seconds=0)),
    "measure_roofline": lambda model: traffic(
        il.measure_roofline(model, SHAPE, seconds=0, ceilings=limits())
    ),
    "compare_times": lambda model: list(
        map(timed_layers, il.compare_times([model, RIVAL], [SHAPE, (1, 3)], seconds=0).models)
    ),
    "times_by_batch": lambda model: list(
        map(timed_layers, il.times_by_batch(model, SHAPE[1:], [2, 3], seconds=0).times)
    ),
    "record_profile": lambda model: recorded_layers(il.record_profile, model),
    "effective_field": lambda model: il.effective_field(model, SHAPE, layer="norm", seeds=[0], samples=2),
    "check_fields": lambda model: il.check_fields(model, SHAPE, ["norm"]),
    "gradient_flow": lambda model: il.gradient_flow(model, SHAPE, seeds=1).losses,
    "compare_gradient_flow": lambda model: (
        il.compare_gradient_flow({"one": model, "other": OTHER}, SHAPE, seeds=1).models[0].losses
    ),
    "short_training": lambda model: il.short_training(model, SHAPE, 2).losses,
    "compare_training": lambda model: il.compare_training({"one": model, "other": OTHER}, SHAPE, 2).table(),
    "smallest_input": lambda model: il.smallest_input(model, SHAPE),
    "tried_resolution_fit": lambda model: il.tried_resolution_fit(model, il.trace(model, SHAPE)),
    "largest_batch": lambda model: il.largest_batch(model, SHAPE[1:], limit="128 KiB"),
    "create_model": lambda _: {p.dtype for p in il.create_model("googlenet_cifar10").parameters()},
    "forward": own_forward,
}
BESIDE_ALL = {"trace", "step", "measure_memory", "layer_times", "forward"}
"""One function of each kind: beside these every other one runs in the default tests."""
PAIRS = [
    pair
    for pair in combinations_with_replacement(FUNCTIONS, 2)
    if ROUNDS > 1 or pair[0] == pair[1] or not BESIDE_ALL.isdisjoint(pair)
]
SET_BY_TORCH = {"TORCHINDUCTOR_CACHE_DIR"}
"""Variables of the environment that PyTorch itself sets when it imports its compiler."""
DRAWING = {"create_model"}
"""Those that draw random numbers for their caller."""
NOT_RUN = {"load_timm_state_dict", "load_torchvision_state_dict"}
"""Public functions that take a model and do not run it: they write weights for good, as its owner asks."""


def settings(draws=False):
    """Everything that all threads share; the random states only where nobody draws."""
    generators = () if draws else (torch.get_rng_state().tolist(), random.getstate(), np.random.get_state())
    return (
        str(generators),
        {name: hash(value) for name, value in os.environ.items() if name not in SET_BY_TORCH},
        torch.backends.mha.get_fastpath_enabled(),
        torch.get_default_dtype(),
        torch.is_autocast_enabled("cpu"),
        torch.is_grad_enabled(),
        gc.isenabled(),
        torch.autograd.profiler._is_profiler_enabled,
    )


def timed_layers(times):
    """The layers of a run that was timed, without their times."""
    return times.layers[["layer", "type", "executed"]].to_dict("list")


def traffic(result):
    """The figures of a roofline that are of no time."""
    return result.layers[["layer", "macs", "launches", "compulsory_bytes"]].to_dict("list")


def limits():
    """Ceilings of this machine, made by hand."""
    version, threads = torch.__version__.partition("+")[0], torch.get_num_threads()
    return replace(CEILINGS, machine=device_name("cpu"), torch=version, threads=threads)


def recorded_layers(record_profile, model):
    """The layers of a profile, without their times."""
    with TemporaryDirectory() as folder:
        profile = record_profile(model, SHAPE, folder=folder, active=1)
    return sorted(profile.layers["layer"])


RIVAL, OTHER = nn.Linear(3, 3), nn.Conv2d(3, 2, 3)
"""Timed beside a model; by several threads at once."""


def models():
    torch.manual_seed(0)
    return [Net().eval(), Net().eval()]


@pytest.fixture(scope="module")
def alone():
    """The answer of each function for each model, with nobody beside it; it leaves the process as it was."""
    nets, answers = models(), {}
    for name, function in FUNCTIONS.items():
        before = settings(draws=name in DRAWING)
        answers |= {(name, place): plain(function(net)) for place, net in enumerate(nets)}
        assert settings(draws=name in DRAWING) == before, name
    return answers


def is_answer(name, result, expected):
    if name == "forward":  # the fast path of attention is off while somebody traces, and rounds otherwise
        return torch.allclose(result, expected, atol=1e-5)
    return plain(result) == expected


def run_at_once(calls, rounds=ROUNDS):
    """Results of calls, each from a thread of its own, all begun together."""
    barrier = threading.Barrier(len(calls))

    def begin(function, model):
        barrier.wait(TIMEOUT)
        return [function(model) for _ in range(rounds)]

    with ThreadPoolExecutor(len(calls)) as pool:
        answers = [pool.submit(begin, function, model) for function, model in calls]
        return [answer.result(TIMEOUT) for answer in answers]


@pytest.mark.parametrize("second_model", [0, 1], ids=["one model", "two models"])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_every_pair(first, second, second_model, alone):
    nets, draws = models(), not DRAWING.isdisjoint({first, second})
    before = settings(draws)
    prints = list(map(fingerprint, nets))
    results = run_at_once([(FUNCTIONS[first], nets[0]), (FUNCTIONS[second], nets[second_model])])
    assert settings(draws) == before
    assert all(same(one, fingerprint(net)) for one, net in zip(prints, nets, strict=True))
    for (name, place), answers in zip([(first, 0), (second, second_model)], results, strict=True):
        assert all(is_answer(name, answer, alone[name, place]) for answer in answers), name


def make_optimizer(model):
    return torch.optim.SGD(model.train().parameters(), lr=1e-3, momentum=0.9)


def train(model, optimizer, steps):
    """A user's own training."""
    for _ in range(steps):
        loss = model(torch.linspace(-1, 1, 864).view(SHAPE)).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def weights_of(model):
    """Weights, statistics and gradients."""
    return {**model.state_dict(), **{f"{name}.grad": p.grad for name, p in model.named_parameters()}}


@pytest.mark.parametrize("second_model", [0, 1], ids=["one model", "two models"])
@pytest.mark.parametrize("name", ["trace", "step", "layer_times"])
def test_a_training_beside_traces(name, second_model):
    steps, training_is_over = 20 * ROUNDS, threading.Event()
    alone, nets = models()[0], models()
    train(alone, make_optimizer(alone), steps)
    optimizer = make_optimizer(nets[0])  # beforehand: a model that is traced lends its parameters out

    def train_to_the_end(model):
        try:
            train(model, optimizer, steps)
        finally:
            training_is_over.set()

    def run_until_then(model):
        FUNCTIONS[name](model)
        while not training_is_over.is_set():
            FUNCTIONS[name](model)

    run_at_once([(train_to_the_end, nets[0]), (run_until_then, nets[second_model])], rounds=1)
    weights, expected = weights_of(nets[0]), weights_of(alone)
    assert not torch.equal(expected["left.weight"], models()[0].left.weight)
    assert all(value.isfinite().all() for value in expected.values())
    assert weights.keys() == expected.keys()
    assert [key for key, value in expected.items() if not torch.equal(weights[key], value)] == []


def test_every_function_that_runs_a_model_is_here():
    """Each under its own name, so that a new one cannot be forgotten."""
    public = {name: getattr(il, name) for name in il.__all__}
    of_a_model = {
        name for name, value in public.items()
        if inspect.isfunction(value) and {"model", "models"} & inspect.signature(value).parameters.keys()
    }  # fmt: skip
    assert of_a_model - FUNCTIONS.keys() == NOT_RUN
    assert [name for name in of_a_model - NOT_RUN if name not in FUNCTIONS[name].__code__.co_names] == []


def test_many_readers_of_one_trace():
    trace = il.trace(models()[0], SHAPE, mode="train", optimizer="momentum")
    readers = [
        il.layer_costs, il.module_costs, il.branch_costs, il.receptive_field, il.field_spectrum,
        il.resolution_fit, il.memory_timeline, il.memory_by_module, il.reduction_saving, il.reserved_memory,
        lambda trace: il.peak_memory(trace).peak_bytes, lambda trace: il.summarise(trace).to_dict(),
    ]  # fmt: skip
    fresh = il.Trace.from_dict(trace.to_dict())
    expected = [plain(reader(fresh)) for reader in readers]
    for answers, answer in zip(run_at_once([(r, trace) for r in readers]), expected, strict=True):
        assert all(str(plain(again)) == str(answer) for again in answers)
