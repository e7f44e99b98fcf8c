"""Traces in a program that has other threads, as every notebook has, are those of one without."""

from threading import Event, Thread

import pytest
import torch
from torch import nn

import inception_lab as il


class Adds(nn.Module):
    """Adds what a function makes of Python's data on the device of the input."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, x):
        return x + self.make(x)


MAKERS = {
    "tensor": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "as_tensor": lambda x: torch.as_tensor([1, 2], device=x.device),
    "asarray": lambda x: torch.asarray([1, 2], device=x.device),
    "new_tensor": lambda x: x.new_tensor([1, 2]),
    "two of them": lambda x: x.new_tensor([1, 2]) * torch.tensor(3.0, device=x.device),
    "read by another operation": lambda x: torch.tensor([1, 2], device=x.device).cumsum(dim=0),
    "a list as index": lambda x: x[:, [1, 0]],
    "lists as indices": lambda x: x[[[0], [1], [2]], [[1, 0]]],
    "of the CPU, moved": lambda x: torch.tensor([1, 2]).to(x.device),
}


def frozen():
    return torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Linear(2, 3), nn.ReLU()).eval()))


NETS = {**{name: (lambda make=make: Adds(make)) for name, make in MAKERS.items()}, "frozen": frozen}


@pytest.fixture
def other_thread():
    stop = Event()
    thread = Thread(target=stop.wait)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_nothing_differs(net, mode, request):
    model = net()
    alone = il.trace(model, (3, 2), mode=mode)
    assert alone.context.complete
    assert net is not frozen or len(alone.context.notes) == 1
    request.getfixturevalue("other_thread")
    beside = il.trace(model, (3, 2), mode=mode)
    assert beside.context == alone.context
    assert beside.ops == alone.ops
    assert beside.contents == alone.contents
