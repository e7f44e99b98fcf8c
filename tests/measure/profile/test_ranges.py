"""Ranges around phases and module calls: in a trace of torch.profiler, and closed whatever happens."""

import gzip
import json
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.profiler import ProfilerActivity, profile

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.measure.profile.events import layer_of, layer_range
from inception_lab.measure.profile.ranges import run_with_ranges
from inception_lab.measure.real_runs import failure_named, prepared_on
from inception_lab.running.request import request_of


class Net(nn.Module):
    """A layer called twice, and a block with a layer of its own."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.head = nn.Linear(4, 4)

    def forward(self, x):
        return self.head(self.head(self.block(x)))


class Raising(nn.Module):
    def forward(self, _):
        raise ValueError("no")


def ranges_of(path):
    """The ranges of ours in a trace: name, start and end, in order of their starts."""
    events = json.loads(path.read_text())["traceEvents"]
    ours = [e for e in events if e["name"].startswith("inception_lab.") and e["cat"] == "user_annotation"]
    ours.sort(key=lambda e: (e["ts"], -e["dur"]))
    return [(e["name"].removeprefix("inception_lab."), e["ts"], e["ts"] + e["dur"]) for e in ours]


def recorded(model, path, run=run_with_ranges, **options):
    request = request_of(model, (2, 4), **options)
    with prepared_on(request, torch.device("cpu")) as step:
        with profile(activities=[ProfilerActivity.CPU]) as recorder:
            run(step)
        recorder.export_chrome_trace(str(path))
    return ranges_of(path)


FORWARD = ["phase: forward", "layer: (model)", "layer: block", "layer: block.0", "layer: block.1"] + [
    "layer: head"
] * 2


def test_every_call_of_a_module_has_a_range_with_its_path(tmp_path):
    ranges = recorded(Net(), tmp_path / "trace.json")
    assert [name for name, *_ in ranges] == FORWARD


def test_phases_of_a_training_step_follow_one_another(tmp_path):
    ranges = recorded(Net(), tmp_path / "trace.json", mode="train", optimizer="momentum")
    assert [name for name, *_ in ranges] == [
        *FORWARD, "phase: loss", "layer: (loss)", "phase: backward", "phase: optimizer", "layer: (optimizer)",
    ]  # fmt: skip
    phases = [(start, end) for name, start, end in ranges if name.startswith("phase")]
    assert all(end <= start for (_, end), (start, _) in pairwise(phases))
    assert all(start < end for start, end in phases)


def test_a_layer_lies_within_the_module_that_called_it(tmp_path):
    spans = {name: (start, end) for name, start, end in recorded(Net(), tmp_path / "trace.json")}
    outer = ["phase: forward", "layer: (model)", "layer: block", "layer: block.0"]
    for parent, child in pairwise(outer):
        assert spans[parent][0] <= spans[child][0] <= spans[child][1] <= spans[parent][1]


def test_ranges_end_where_the_model_raises(tmp_path):
    def run(step):
        with pytest.raises(InceptionLabError, match=r"ValueError in 1: no"), failure_named("net"):
            run_with_ranges(step)
        torch.ones(1).neg()

    model = nn.Sequential(nn.Linear(4, 4), Raising())
    recorded(model, tmp_path / "trace.json", run)
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    after = next(e["ts"] for e in events if e["name"] == "aten::neg")
    ranges = ranges_of(tmp_path / "trace.json")
    assert [name for name, *_ in ranges] == ["phase: forward", "layer: (model)", "layer: 0", "layer: 1"]
    assert all(start <= end <= after for _, start, end in ranges)


def test_the_model_has_its_own_forward_back():
    with prepared_on(request_of(nn.Linear(4, 4), (2, 4)), torch.device("cpu")) as step:
        run_with_ranges(step)
        assert "forward" not in step.request.model.__dict__


def test_ranges_change_no_number():
    model = Net()
    with prepared_on(request_of(model, (2, 4), mode="train"), torch.device("cpu")) as step:
        plain = step.run()
        with profile(activities=[ProfilerActivity.CPU]):
            ranged = run_with_ranges(step)
    assert torch.equal(plain.loss, ranged.loss)


class Named(nn.Module):
    """A layer under a name."""

    def __init__(self, name):
        super().__init__()
        self.add_module(name, nn.Linear(4, 4))
        self.name = name

    def forward(self, x):
        return self.get_submodule(self.name)(x)


# what torch.profiler drops, replaces or writes as it is, which then is no JSON
@pytest.mark.parametrize(
    "name",
    ["ünï🙂", 'a"b', "a\\b", "a\\", "a\nb", "a\tb", "\x1b[31mred", "\x00", "%41", "a b/c(d)", "n" * 3000],
    ids=["letters", "quote", "backslash", "end", "line", "tab", "escape", "null", "percent", "plain", "long"],
)
def test_every_name_of_a_module_comes_back(tmp_path, name):
    profile = il.record_profile(Named(name), (2, 4), folder=tmp_path, active=1, name="net")
    assert sorted(profile.layers["layer"]) == sorted(["(model)", name])
    copy = json.loads(gzip.decompress((tmp_path / "tensorboard/net.pt.trace.json.gz").read_bytes()))
    assert f"nn.Module: {name}" in {event["name"] for event in copy["traceEvents"]}


@given(st.text(st.characters(exclude_categories=[])))
def test_names_of_ranges_are_of_plain_characters(path):
    name = layer_range(path)
    assert name.isascii()
    assert name.isprintable()
    assert not {'"', "\\"} & set(name)
    # half of a pair of UTF-16 is no character that anything could show
    assert layer_of(name) == path.encode(errors="surrogatepass").decode(errors="backslashreplace")
