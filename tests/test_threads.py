"""Every pair of public functions that run a model, from two threads at once, on one model and on two.

Afterwards the models are as they were, the settings of the process too, and every answer is the one that the
function gives alone. Real forwards of a user's own run beside each of them.
"""

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations_with_replacement

import pytest
import torch
from support.fingerprints import fingerprint, same
from torch import nn

import inception_lab as il

SHAPE = (2, 3, 12, 12)
ROUNDS = int(os.environ.get("INCEPTION_LAB_THREAD_ROUNDS", "1"))
"""How often each function runs in a test; scripts/test_threads.sh takes many."""
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
    "crosscheck": lambda model: il.crosscheck(model, SHAPE),
    "measure_memory": lambda model: (
        il.measure_memory(model, SHAPE, mode="train", optimizer="sgd").tracked_bytes
    ),
    "layer_times": lambda model: il.layer_times(model, SHAPE, seconds=0).layers[
        ["layer", "type", "executed"]
    ],
    "effective_field": lambda model: il.effective_field(model, SHAPE, layer="norm", seeds=[0], samples=2),
    "check_fields": lambda model: il.check_fields(model, SHAPE, ["norm"]),
    "smallest_input": lambda model: il.smallest_input(model, SHAPE),
    "largest_batch": lambda model: il.largest_batch(model, SHAPE[1:], limit="1 MiB"),
    "create_model": lambda _: {p.dtype for p in il.create_model("googlenet_cifar10").parameters()},
    "forward": own_forward,
}


def settings():
    """What all threads share."""
    return (
        torch.backends.mha.get_fastpath_enabled(),
        torch.get_default_dtype(),
        torch.is_autocast_enabled("cpu"),
        torch.is_grad_enabled(),
        gc.isenabled(),
        torch.autograd.profiler._is_profiler_enabled,
    )


def models():
    torch.manual_seed(0)
    return [Net().eval(), Net().eval()]


@pytest.fixture(scope="module")
def alone():
    """The answer of each function for each model, with nobody beside it."""
    nets = models()
    return {(name, place): plain(f(net)) for name, f in FUNCTIONS.items() for place, net in enumerate(nets)}


def is_answer(name, result, expected):
    if name == "forward":  # the fast path of attention is off while somebody traces, and rounds otherwise
        return torch.allclose(result, expected, atol=1e-5)
    return plain(result) == expected


def run_at_once(calls):
    """Results of calls, each from a thread of its own, all begun together."""
    barrier = threading.Barrier(len(calls))

    def begin(function, model):
        barrier.wait(TIMEOUT)
        return [function(model) for _ in range(ROUNDS)]

    with ThreadPoolExecutor(len(calls)) as pool:
        answers = [pool.submit(begin, function, model) for function, model in calls]
        return [answer.result(TIMEOUT) for answer in answers]


@pytest.mark.parametrize("second_model", [0, 1], ids=["one model", "two models"])
@pytest.mark.parametrize(("first", "second"), combinations_with_replacement(FUNCTIONS, 2))
def test_every_pair(first, second, second_model, alone):
    nets, before = models(), settings()
    prints = list(map(fingerprint, nets))
    results = run_at_once([(FUNCTIONS[first], nets[0]), (FUNCTIONS[second], nets[second_model])])
    assert settings() == before
    assert all(same(one, fingerprint(net)) for one, net in zip(prints, nets, strict=True))
    for (name, place), answers in zip([(first, 0), (second, second_model)], results, strict=True):
        assert all(is_answer(name, answer, alone[name, place]) for answer in answers), name


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
