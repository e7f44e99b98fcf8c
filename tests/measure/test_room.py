"""Real runs that cannot fit into free memory are refused before they run."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.measure import room
from inception_lab.running import free_memory
from inception_lab.running.request import request_of

MIB = 2**20


class Net(nn.Sequential):
    """Notes each forward with data in a file, as everything in memory is put back after a run."""

    def __init__(self, notes=os.devnull):
        super().__init__(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1))
        self.notes = str(notes)

    def forward(self, x):
        if x.device.type != "meta":
            Path(self.notes).write_text("it ran")
        return super().forward(x)


SHAPE = (1, 3, 64, 64)
RUNS = {
    "memory": lambda model, shape: il.measure_memory(model, shape),
    "compare": lambda model, shape: il.compare_memory(model, shape),
    "time": lambda model, shape: il.layer_times(model, shape, seconds=0),
    "ratio": lambda model, shape: il.times_by_batch(model, shape[1:], [1, 2], seconds=0),
    "effective": lambda model, shape: il.effective_field(model, shape, seeds=(0,), samples=1),
    "fields": lambda model, shape: il.check_fields(model, shape),
}


@pytest.fixture
def free(monkeypatch):
    def set_free(size):
        for module in (room, free_memory):
            monkeypatch.setattr(module, "free_memory", lambda *_: size)

    return set_free


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_cannot_fit_does_not_begin(name, free, tmp_path):
    free(20_000)
    with pytest.raises(il.InceptionLabError) as refusal:
        RUNS[name](Net(tmp_path / "notes"), SHAPE)
    assert not (tmp_path / "notes").exists()
    assert refusal.value.exit_code == 3
    assert "cannot run on cpu: it would take " in str(refusal.value)
    assert "and 19.5 KiB are free; use smaller inputs= or a smaller batch" in str(refusal.value)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("size", [64 * MIB, None], ids=["enough", "unknown"])
def test_a_run_that_fits_runs(name, size, free, tmp_path):
    free(size)
    RUNS[name](Net(tmp_path / "notes"), SHAPE)
    assert (tmp_path / "notes").exists()


def test_a_profile_that_cannot_fit_leaves_no_folder(free, tmp_path):
    free(20_000)
    with pytest.raises(il.InceptionLabError, match="it would take"):
        il.record_profile(Net(), SHAPE, folder=tmp_path / "profile")
    assert list(tmp_path.iterdir()) == []


def test_the_border_is_the_peak_that_the_trace_predicts(free):
    peak = il.peak_memory(il.trace(Net(), SHAPE)).peak_bytes
    free(peak)
    assert il.measure_memory(Net(), SHAPE).tracked_bytes == peak
    free(peak - 1)
    with pytest.raises(il.InceptionLabError, match="would take"):
        il.measure_memory(Net(), SHAPE)


def test_where_nothing_can_be_predicted_nothing_is_refused(free):
    class Asking(nn.Linear):
        def forward(self, x):
            return super().forward(x) if x.sum() > -1e9 else x

    free(1)
    assert il.measure_memory(Asking(4, 2), (1, 4)).tracked_bytes > 1


def test_the_inputs_of_an_effective_field_count(free):
    one = 3 * 64 * 64 * 4
    for samples, fits in ((1, True), (1000, False)):
        free(4 * MIB)
        assert (one * samples < 4 * MIB) == fits
        if fits:
            il.effective_field(Net(), SHAPE, seeds=(0,), samples=samples)
        else:
            with pytest.raises(il.InceptionLabError, match="would take"):
                il.effective_field(Net(), SHAPE, seeds=(0,), samples=samples)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"seeds": range(10**9)}, "1,000,000,000 seeds; take 1,000 or fewer"),
        ({"samples": 10**9}, "1,000,000,000 samples; take samples=1000 or fewer"),
        ({"samples": 0}, "no inputs to average over; give seeds, and samples of 1 or more"),
        ({"samples": -3}, "no inputs to average over; give seeds, and samples of 1 or more"),
        ({"seeds": ()}, "no inputs to average over; give seeds, and samples of 1 or more"),
    ],
)
def test_seeds_and_samples_have_ends(options, line):
    with pytest.raises(il.InceptionLabError) as refusal:
        il.effective_field(Net(), SHAPE, **options)
    assert str(refusal.value) == line


def test_a_measurement_tells_how_far_it_is():
    parts = []
    il.measure_memory(nn.Linear(2, 2), (1, 2), progress=parts.append)
    il.effective_field(nn.Conv2d(1, 1, 3), (2, 1, 9, 9), seeds=(0,), samples=4, progress=parts.append)
    assert parts == [1 / 3, 2 / 3, 0.5, 1.0]


class Huge(nn.Module):
    """Has no weights and a small input, and takes 2 GiB."""

    def forward(self, x):
        assert x.device.type in ("meta", "cpu")
        assert x.device.type == "meta", "it ran"
        return x.repeat(1, 1 << 23, 1, 1).relu()


@pytest.mark.parametrize("name", RUNS)
def test_small_weights_and_inputs_prove_nothing(name, free):
    free(1 << 30)
    with pytest.raises(il.InceptionLabError, match="it would take"):
        RUNS[name](Huge(), (1, 1, 8, 8))


def weights(model):
    return sum(4 * parameter.numel() for parameter in model.parameters())


def test_models_that_take_turns_hold_their_weights_at_the_same_time(free):
    nets = [nn.Linear(1000, 1000), nn.Linear(1000, 1001)]
    peaks = [il.peak_memory(il.trace(net, (1, 1000))).peak_bytes for net in nets]
    least = max(peaks[0] + weights(nets[1]) + 4000, peaks[1] + weights(nets[0]) + 4000)
    free(least)
    il.compare_times(nets, [(1, 1000), (1, 1000)], seconds=0)
    free(least - 1)
    with pytest.raises(il.InceptionLabError, match="would take 7"):
        il.compare_times(nets, [(1, 1000), (1, 1000)], seconds=0)


def test_attention_counts_as_the_cpu_runs_it(free):
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    inputs = ((1, 512, 8),) * 3
    fused = il.compare_memory(attention, inputs).prediction.tracked_bytes
    free(fused)
    il.measure_memory(attention, inputs)
    free(fused - 1)
    with pytest.raises(il.InceptionLabError, match="would take"):
        il.measure_memory(attention, inputs)


def test_what_compiling_makes_of_a_net_is_not_foretold(free):
    free(1)
    with pytest.raises(il.InceptionLabError, match="would take"):
        il.layer_times(nn.ReLU(), (1, 4), seconds=0)
    room.refuse_without_room([request_of(nn.ReLU(), (1, 4), execution="compiled")], torch.device("cpu"))


@pytest.mark.parametrize(("dtype", "times"), [(torch.float32, 2), (torch.float64, 1), (torch.bfloat16, 4)])
def test_gradients_take_float64(dtype, times, free):
    net, x = nn.ReLU().to(dtype), torch.zeros(1, 1, 8, 8, dtype=dtype)
    request = request_of(net, x)
    step = il.memory_timeline(il.trace(net, x, mode="train"))
    peak = times * int((step["live_bytes"] - step["gradients"]).max())
    free(peak)
    room.refuse_gradients_without_room(request, torch.device("cpu"), torch.float64)
    free(peak - 1)
    with pytest.raises(il.InceptionLabError, match="would take"):
        room.refuse_gradients_without_room(request, torch.device("cpu"), torch.float64)
