"""What a model puts on the host by name: on the CPU no copy, on a GPU a copy while it is read."""

import pytest
import torch
from torch import nn
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks

import inception_lab as il
from inception_lab.ir.trace import Trace

BATCH, WIDTH, LAYERS = 512, 32, 6
INPUT = (BATCH, WIDTH)
OUTPUT = 4 * BATCH * WIDTH


class Saved(nn.Module):
    """Layers whose saved tensors go to the host; their weights are small beside the outputs."""

    def __init__(self, context):
        super().__init__()
        self.layers = nn.Sequential(
            *[nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Sigmoid()) for _ in range(LAYERS)]
        )
        self.context = context

    def forward(self, x):
        with self.context():
            return self.layers(x)


class Nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def by_hand():
    def pack(tensor):
        return tensor.device, tensor.to("cpu")

    return saved_tensors_hooks(pack, lambda packed: packed[1].to(packed[0]))


def pinned():
    return save_on_cpu(pin_memory=True)


def step(context):
    return il.trace(Saved(context), INPUT, mode="train", loss=torch.sum)


@pytest.mark.parametrize("context", [save_on_cpu, by_hand])
def test_on_the_cpu_a_move_there_makes_no_copy(context):
    trace = step(context)
    measured = il.measure_memory(Saved(context), INPUT, mode="train", loss=torch.sum)
    assert il.peak_memory(trace, "cpu").peak_bytes == measured.tracked_bytes == measured.allocator_bytes
    assert il.peak_memory(trace, "cpu").peak_bytes == il.peak_memory(step(Nothing)).peak_bytes


def test_pinned_copies_are_made_on_the_cpu_too():
    measured = il.measure_memory(Saved(pinned), INPUT, mode="train", loss=torch.sum)
    assert il.peak_memory(step(pinned), "cpu").peak_bytes == measured.tracked_bytes


@pytest.mark.parametrize("context", [save_on_cpu, by_hand, pinned])
def test_a_gpu_holds_nothing_saved_but_what_it_reads(context):
    """Input, the output that the caller has, two gradients, and a copy of what the running operation reads;
    without, an output for each layer."""
    without, offloaded = (il.peak_memory(step(each), "cuda", 1) for each in (Nothing, context))
    weights = 4 * LAYERS * (WIDTH * WIDTH + WIDTH)
    assert without.peak_bytes >= weights + (LAYERS + 2) * OUTPUT
    assert 4 * OUTPUT < offloaded.peak_bytes <= 2 * weights + 5 * OUTPUT + 16


def test_a_storage_knows_its_device():
    trace = step(save_on_cpu)
    assert {s.device for s in trace.storages} == {"", "cpu"}
    assert all(s.born is not None for s in trace.storages if s.device)
    assert {s.device for s in step(Nothing).storages} == {""}


def test_what_is_never_read_again_takes_nothing_on_a_gpu():
    class Looked(nn.Module):
        def forward(self, x):
            self.last = (x * 2).cpu()
            return x + 1

    trace = il.trace(Looked(), INPUT)
    assert il.peak_memory(trace, "cuda", 1).peak_bytes == 2 * OUTPUT
    # on the CPU the module keeps the product itself
    assert il.peak_memory(trace, "cpu").peak_bytes == 3 * OUTPUT
    assert il.measure_memory(Looked(), INPUT).tracked_bytes == 3 * OUTPUT


def test_traces_of_an_earlier_version_can_be_read():
    trace = step(Nothing)
    data = trace.to_dict()
    table = data["storages"]
    earlier = {"columns": table["columns"][:-1], "rows": [row[:-1] for row in table["rows"]]}
    assert table["columns"][-1] == "device"
    assert Trace.from_dict(data | {"storages": earlier}) == trace
    with pytest.raises(il.InceptionLabError, match="columns of Storage"):
        Trace.from_dict(data | {"storages": {"columns": ["id"], "rows": []}})
