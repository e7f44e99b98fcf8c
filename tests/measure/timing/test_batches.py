"""Times of one model over batch sizes."""

import pytest
import torch
from support.fingerprints import fingerprint, same
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.measure.timing import batches, results
from inception_lab.measure.timing.results import Measurement


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
        self.seen = []

    def forward(self, x):
        self.seen.append(x.shape[0])
        return self.norm(self.linear(x))


def made(monkeypatch, plain):
    """Have rounds take these nanoseconds, by batch size; returns the shapes that were to run."""
    shapes = []

    def measure(requests, *_):
        shapes.extend(request.inputs for request in requests)
        return [
            Measurement(
                results.CpuTimes(
                    {"model": "net", "input_shapes": request.inputs, "threads": 1},
                    None,
                    results.milliseconds_of(times),
                    results.milliseconds_of(times),
                    1.0,
                    results.Interval(1, 1, 1, 1),
                    results.Interval(1, 1, 1, 1),
                    1.0,
                    0,
                ),
                times,
            )
            for request, times in zip(requests, plain, strict=True)
        ]

    monkeypatch.setattr(batches, "measure_requests", measure)
    return shapes


def test_time_per_sample_and_its_ratio_are_those_of_the_rounds(monkeypatch):
    million = 10**6
    shapes = made(
        monkeypatch, [[10 * million, 12 * million, 14 * million], [20 * million, 24 * million, 56 * million]]
    )
    times = il.times_by_batch(nn.Linear(3, 4), (3,), [1, 4])
    assert shapes == [[(1, 3)], [(4, 3)]]
    first, second = times.rows
    assert (first["plain_step_ms"], first["sample_ms"], first["ratio"]) == (12, 12, None)
    # per sample 5 / 10, 6 / 12 and 14 / 14
    assert (second["plain_step_ms"], second["sample_ms"], second["ratio"]) == (24, 6, 0.5)
    assert (second["ratio_low"], second["ratio_high"]) == (0.5, 1.0)
    assert times.context == {"model": "net", "threads": 1}
    assert times.notes == (
        "batch size 1: too noisy to judge: the middle half of the rounds spans 17%, above 10%",
        "batch size 4: too noisy to judge: the middle half of the rounds spans 75%, above 10%",
    )
    assert times.to_dict()["batches"][0] == {
        "batch_size": 1, "plain_step_ms": 12, "plain_step_iqr_ms": 2, "sample_ms": 12
    }  # fmt: skip
    assert list(times.table["batch_size"]) == [1, 4]


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_each_batch_size_really_runs_and_the_model_is_left_as_it_was(mode):
    model = Net()
    before = fingerprint(model)
    sizes = []
    handle = model.register_forward_hook(lambda _module, args, _output: sizes.append(len(args[0])))
    with_hook = fingerprint(model)
    times = il.times_by_batch(model, (3,), [2, 5], mode=mode, seconds=0)
    assert set(sizes) == {2, 5}
    assert same(with_hook, fingerprint(model))
    handle.remove()
    assert same(before, fingerprint(model))
    assert [t.context["input_shapes"] for t in times.times] == [[[2, 3]], [[5, 3]]]
    assert all(round(sum(t.layers["self_ms"]), 6) == t.step_ms for t in times.times)


def test_an_example_gives_the_type():
    times = il.times_by_batch(nn.Embedding(10, 4), torch.zeros(1, 6, dtype=torch.int64), [1, 2], seconds=0)
    assert [t.context["input_shapes"] for t in times.times] == [[[1, 6]], [[2, 6]]]


@pytest.mark.parametrize("sizes", [[], [4], [4, 4], [0, 1], [True, 2], [1, 2.0]], ids=str)
def test_wrong_batch_sizes_are_refused(sizes):
    with pytest.raises(InceptionLabError, match="batch size") as error:
        il.times_by_batch(Net(), (3,), sizes)
    assert error.value.exit_code == 2
