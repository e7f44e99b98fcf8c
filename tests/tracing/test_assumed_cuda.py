"""CUDA named in a forward, on a machine without a GPU: the trace of the same net that names none."""

import pytest
import torch
from support.fingerprints import assert_left_as_found
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.tracing.assumed_cuda import NOTE

SHAPE = (4, 8)


class Net(nn.Module):
    """Two layers with a place for whatever names a device between them."""

    def __init__(self, between):
        super().__init__()
        self.first, self.last, self.between = nn.Linear(8, 8), nn.Linear(8, 3), [between]

    def forward(self, x):
        return self.last(self.between[0](self, torch.relu(self.first(x))))


MOVES = {
    "cuda()": lambda _, x: x.cuda(),
    "cuda(0)": lambda _, x: x.cuda(0, non_blocking=True),
    "to text": lambda _, x: x.to("cuda"),
    "to device": lambda _, x: x.to(torch.device("cuda:1"), non_blocking=True),
    "to keyword": lambda _, x: x.to(device="cuda"),
    "pinned": lambda _, x: x.pin_memory().cuda(),
    "module": lambda net, x: net.last.cuda() and x.cuda(),
    "module to": lambda net, x: net.last.to("cuda:0") and x.to("cuda:0"),
    "waiting": lambda _, x: torch.cuda.synchronize() or x.cuda(),
}
FACTORIES = {
    "zeros": lambda device: torch.zeros(8, device=device),
    "ones": lambda device: torch.ones(8, device=torch.device(device) if device else None),
    "new": lambda device: torch.empty(0).new_full((8,), 2.0, device=device),
    "arange": lambda device: torch.arange(8.0, device=device),
    "randn": lambda device: torch.randn(8, device=device),
    "like": lambda device: torch.zeros_like(torch.zeros(8), device=device),
    "data": lambda device: torch.tensor([1.0] * 8, device=device),
}


def kernels(trace):
    return [(op.name, op.phase, op.macs) for op in trace.ops]


def assert_alike(trace, plain):
    assert kernels(trace) == kernels(plain)
    assert il.peak_memory(trace).peak_bytes == il.peak_memory(plain).peak_bytes
    assert trace.context.device == plain.context.device
    assert NOTE in trace.context.notes
    assert plain.context.notes == ()


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("move", MOVES)
def test_a_move_to_where_all_is_costs_nothing(move, mode, device):
    options = {"mode": mode, "device": device, "optimizer": "adam" if mode == "train" else None}
    trace = assert_left_as_found(Net(MOVES[move]), SHAPE, **options)
    plain = il.trace(Net(lambda _, x: x), SHAPE, **options)
    if move.startswith("module") and device == "cpu":  # on fake tensors, a module's conversion copies
        assert il.summarise(trace).totals["macs"] == il.summarise(plain).totals["macs"]
    else:
        assert_alike(trace, plain)


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("factory", FACTORIES)
def test_what_is_made_on_a_gpu_is_made_with_the_rest(factory, device):
    make = FACTORIES[factory]
    trace = il.trace(Net(lambda _, x: x + make("cuda")), SHAPE, device=device)
    assert_alike(trace, il.trace(Net(lambda _, x: x + make(None)), SHAPE, device=device))


def test_data_of_python_is_copied_once():
    trace = il.trace(Net(lambda _, x: x + torch.tensor([1.0] * 8).cuda()), SHAPE)
    plain = il.trace(Net(lambda _, x: x + torch.tensor([1.0] * 8).clone()), SHAPE)
    assert_alike(trace, plain)


def test_a_conversion_on_the_way_is_done():
    trace = il.trace(Net(lambda _, x: x.to("cuda", torch.float64).to("cuda", torch.float32)), SHAPE)
    assert_alike(trace, il.trace(Net(lambda _, x: x.to(torch.float64).to(torch.float32)), SHAPE))


def test_a_device_as_a_context():
    def between(_, x):
        with torch.device("cuda"), torch.cuda.device(0):
            return x + torch.zeros(8)

    assert_alike(il.trace(Net(between), SHAPE), il.trace(Net(lambda _, x: x + torch.zeros(8)), SHAPE))


def test_autocast_to_cuda_has_its_effect():
    class Cast(Net):
        def forward(self, x):
            with torch.autocast("cuda", dtype=torch.float16):
                return super().forward(x)

    trace = il.trace(Cast(lambda _, x: x), SHAPE)
    plain = il.trace(Net(lambda _, x: x), SHAPE, autocast=torch.float16)
    assert "float16" in {value.dtype for value in trace.values}
    assert kernels(trace) == kernels(plain)
    assert il.peak_memory(trace).peak_bytes == il.peak_memory(plain).peak_bytes


def test_a_forward_that_asks_if_cuda_is_there_is_told_the_truth():
    answers = []

    def between(_, x):
        answers.append(torch.cuda.is_available())
        return x.cuda()

    il.trace(Net(between), SHAPE)
    assert set(answers) == {torch.cuda.is_available()}


def test_nothing_is_left_of_the_assumption():
    functions = torch.cuda.synchronize, torch.cuda.current_device, torch.autocast.__init__
    il.trace(Net(MOVES["waiting"]), SHAPE)
    assert functions == (torch.cuda.synchronize, torch.cuda.current_device, torch.autocast.__init__)
    if not torch.cuda.is_available():
        with pytest.raises(AssertionError, match="CUDA"):
            torch.zeros(1).cuda()


@pytest.mark.skipif(torch.cuda.is_available(), reason="says that there is no GPU")
@pytest.mark.parametrize("ask", [il.crosscheck, il.measure_memory])
def test_what_runs_for_real_says_in_one_line_that_there_is_no_gpu(ask):
    with pytest.raises(InceptionLabError, match="CUDA"):
        ask(Net(MOVES["cuda()"]), SHAPE)


@pytest.mark.skipif(torch.cuda.is_available(), reason="says that there is no GPU")
def test_what_only_a_gpu_has_is_one_line():
    with pytest.raises(InceptionLabError, match="CUDA"):
        il.trace(Net(lambda *_: torch.cuda.FloatTensor(8)), SHAPE)
