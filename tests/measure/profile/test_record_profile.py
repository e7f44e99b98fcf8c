"""A recorded pass or step: its files, its tables against the trace itself, and the model left as it was."""

import csv
import errno
import gzip
import json
import os

import pytest
import torch
from support.fingerprints import fingerprint, same
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.measure.profile import record
from inception_lab.measure.timing.module_state import ModuleState
from inception_lab.running.request import request_of
from inception_lab.running.stand_ins import cpu_copy, cpu_input
from inception_lab.running.step import Placement, prepared


class Net(nn.Module):
    """A block, a layer that is called twice, and a counter that a forward leaves behind."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Conv2d(4, 4, 1)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        assert self.calls <= 2  # one is left by the step that settles the optimizer
        return self.head(self.head(self.block(x))).mean((2, 3))


SHAPE = (2, 3, 8, 8)
LAYERS = {"(model)", "block", "block.0", "block.1", "block.2", "head"}


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile")
    profile = il.record_profile(
        Net(), SHAPE, folder=folder, mode="train", optimizer="momentum", name="my.net:build", active=2
    )
    return folder, profile


def events_of(folder):
    with gzip.open(folder / "my_net_build.trace.json.gz") as file:
        return json.load(file)["traceEvents"]


def test_the_files(recording):
    folder, _ = recording
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == [
        "kernels.csv", "layers.csv", "memory.csv", "my_net_build.trace.json.gz", "operators.csv",
        "overview.csv", "summary.json", "tensorboard", "tensorboard/my_net_build.pt.trace.json.gz",
    ]  # fmt: skip


def test_it_is_what_reading_the_trace_gives(recording):
    folder, profile = recording
    again = il.read_profile(folder / "my_net_build.trace.json.gz")
    assert (profile.rows, profile.totals) == (again.rows, again.totals)
    assert profile.context.items() >= again.context.items()


def test_the_context_says_what_ran_where(recording):
    folder, profile = recording
    expected = {
        "model": "my.net:build", "input_shapes": [list(SHAPE)], "mode": "train", "optimizer": "momentum",
        "dtype": "float32", "memory_format": "contiguous", "device": "cpu", "rounds": 2,
        "warm_up_rounds": 2, "layers_from": "ranges of inception_lab", "complete": True,
    }  # fmt: skip
    assert profile.context.items() >= expected.items()
    assert profile.context["threads"] == torch.get_num_threads()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary == {"schema": 1, **profile.context, "totals": profile.totals}


def test_every_layer_has_its_time_in_forward_and_backward(recording):
    _, profile = recording
    rows = {(row["layer"], row["phase"]) for row in profile.rows["layers"] if row["self_host_ms"] > 0}
    leaves = {"block.0", "block.1", "block.2", "head"}
    assert rows >= {(layer, "forward") for layer in LAYERS} | {(layer, "backward") for layer in leaves}
    assert {("(loss)", "loss"), ("(optimizer)", "optimizer")} <= rows


def test_own_times_are_those_of_the_trace(recording):
    """Forward: of ranges less those within, from the events themselves."""
    folder, profile = recording
    spans = {}
    for event in events_of(folder):
        if event["name"].startswith("inception_lab.layer: "):
            path = event["name"].partition(": ")[2]
            spans[path] = spans.get(path, 0) + event["dur"] / 1000
    own = {row["layer"]: row["self_host_ms"] for row in profile.rows["layers"] if row["phase"] == "forward"}
    for path, within in {
        "(model)": ["block", "head"], "block": ["block.0", "block.1", "block.2"], "block.1": [], "head": []
    }.items():  # fmt: skip
        # the file has doubles of times since the machine began, good to a nanosecond or two
        assert own[path] == pytest.approx(spans[path] - sum(spans[name] for name in within), abs=1e-4)


def test_tables_add_up(recording):
    folder, profile = recording
    steps = [event["dur"] / 1000 for event in events_of(folder) if event["name"].startswith("ProfilerStep#")]
    assert len(steps) == 2
    assert profile.overview["duration_ms"].tolist() == pytest.approx(steps, abs=1e-5)
    own = sum(profile.layers["self_host_ms"]) + sum(profile.unattributed["self_host_ms"])
    assert own == pytest.approx(profile.totals["host_ms"]) == pytest.approx(sum(steps), abs=1e-4)
    operators = sum(profile.operators["self_host_ms"])
    assert operators == pytest.approx(sum(profile.overview["operator_part_ms"]), abs=1e-4)


def test_the_memory_curve_ends_where_it_began(recording):
    _, profile = recording
    assert profile.memory["device"].unique().tolist() == ["cpu"]
    curve = profile.memory["allocated_bytes"]
    # all of a step is freed, gradients too; PyTorch counts on from earlier profiles of the process
    assert curve.iloc[-1] == curve.min()
    activations = 3 * 2 * 4 * 8 * 8 * 4  # of the block, kept for the backward pass
    assert curve.max() - curve.min() > activations


def test_csv_files_hold_the_tables(recording):
    folder, profile = recording
    with (folder / "layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(profile.layers) + len(profile.unattributed)
    own = sum(float(row["self_host_ms"]) for row in rows)
    assert own == pytest.approx(profile.totals["host_ms"])
    assert [row["reason"] for row in rows].count("") == len(profile.layers)
    for name in ("operators", "memory", "overview"):
        with (folder / f"{name}.csv").open() as file:
            assert len(list(csv.DictReader(file))) == len(getattr(profile, name))
    assert (folder / "kernels.csv").read_text() == "kernel,device_ms,kernels\n"


def test_the_model_and_the_settings_stay_as_they_were(tmp_path):
    model = Net().eval()
    before, state = fingerprint(model), torch.get_rng_state()
    reports = []
    il.record_profile(
        model, SHAPE, folder=tmp_path / "new" / "folder", mode="train", active=1, threads=1,
        progress=reports.append,
    )  # fmt: skip
    assert same(before, fingerprint(model))
    assert torch.equal(state, torch.get_rng_state())
    assert model.calls == 0
    assert reports == pytest.approx([1 / 3, 2 / 3, 1])


def test_an_inference_pass_has_one_phase(tmp_path):
    profile = il.record_profile(Net(), SHAPE, folder=tmp_path, active=1)
    assert set(profile.layers["phase"]) == {"forward"}
    assert set(profile.layers["layer"]) == LAYERS
    assert (tmp_path / "Net.trace.json.gz").exists()


class Raising(nn.Module):
    def forward(self, x):
        raise ValueError(f"{x.shape[0]} of them")


@pytest.mark.parametrize("existed", [False, True])
def test_a_model_that_raises_leaves_nothing(tmp_path, existed):
    folder = tmp_path / "profile"
    if existed:
        folder.mkdir()
        (folder / "layers.csv").write_text("old")
    model = nn.Sequential(nn.Linear(4, 4), Raising())
    with pytest.raises(InceptionLabError, match="net: cannot run: ValueError in 1: 2 of them") as error:
        il.record_profile(model, (2, 4), folder=folder, name="net")
    assert error.value.exit_code == 3
    assert [path.name for path in tmp_path.rglob("*")] == (["profile", "layers.csv"] if existed else [])
    # and the profiler is free for the next one
    il.record_profile(nn.Linear(4, 4), (2, 4), folder=folder, active=1)


def test_a_full_disk_is_not_the_models_fault(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch.profiler.profile, "export_chrome_trace", fail)
    with pytest.raises(InceptionLabError, match="cannot be written: No space left on device") as error:
        il.record_profile(nn.Linear(4, 4), (2, 4), folder=tmp_path / "new", active=1)
    assert error.value.exit_code == 2
    assert not (tmp_path / "new").exists()


def test_steps_on_a_gpu_begin_from_the_same_random_numbers(monkeypatch):
    """With fakes of CUDA's functions: the real ones have never run here."""
    calls = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append(f"wait for {device}"))
    monkeypatch.setattr(torch.cuda, "manual_seed", lambda seed: calls.append(f"seed {seed}"))
    with prepared(request_of(nn.Linear(4, 4), (2, 4)), Placement("cpu", cpu_copy, cpu_input)) as step:
        state = ModuleState(step.model.modules.values())
        for device in ("cpu", "cuda"):
            record._end_step(step, state, torch.device(device))
    assert calls == ["wait for cuda", "seed 0"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "tpu"}, "profiles are not recorded on 'tpu'; use device='cpu' or device='cuda'"),
        ({"warm_up": 0}, "warm_up=0 steps; use warm_up=1 or more"),
        ({"wait": -1}, "wait=-1 steps; use wait=0 or more"),
        ({"threads": 0}, "0 threads; use threads=1 or more"),
        ({"threads": "2"}, "'2' threads; use threads=1 or more"),
        ({"threads": 10**6}, "1000000 threads; use threads=1024 or fewer"),
        ({"active": 1.5}, "active=1.5 steps; use active=1 or more"),
        ({"optimizer": "sgd"}, "an optimizer takes no step in eval mode"),
        ({"folder": "{file}"}, "cannot be written"),
        ({"folder": None}, "None is not a path"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(*value),
)
def test_options_that_make_no_sense(tmp_path, options, words):
    (tmp_path / "file").write_text("")
    arguments = {"folder": tmp_path / "new", **options}
    if arguments["folder"] == "{file}":
        arguments["folder"] = tmp_path / "file"
    with pytest.raises(InceptionLabError, match=words.split(";")[0]) as error:
        il.record_profile(nn.Linear(4, 4), (2, 4), **arguments)
    assert str(error.value).endswith(words.partition("; ")[2])
    assert error.value.exit_code == 2
    assert not (tmp_path / "new").exists()


def test_a_profiler_of_the_user_goes_on(tmp_path):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        with pytest.raises(InceptionLabError, match="another profiler runs; record outside its with block"):
            il.record_profile(nn.Linear(4, 4), (2, 4), folder=tmp_path / "new")
        torch.ones(3).square()
    assert "aten::square" in {event.key for event in profiler.key_averages()}
    assert not (tmp_path / "new").exists()


class NamingARange(nn.Module):
    def forward(self, x):
        with torch.profiler.record_function('a "range"'):
            return x + 1


def test_a_trace_that_is_no_json_names_the_model(tmp_path):
    with pytest.raises(InceptionLabError, match=r"^net: torch\.profiler wrote .*not JSON") as error:
        il.record_profile(NamingARange(), (2, 4), folder=tmp_path / "new", name="net", active=1)
    assert "name no record_function with a quotation mark" in str(error.value)
    assert error.value.exit_code == 3
    assert not (tmp_path / "new").exists()
