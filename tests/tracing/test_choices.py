"""Forwards that go one way of several: the same one every time, and said so, with the layers."""

import copy
import random

import numpy as np
import pytest
import torch
from support.fingerprints import fingerprint, same
from torch import nn

import inception_lab as il

PRODUCT = 2 * 8 * 8
"""Multiply-accumulates of one layer."""


class Choosing(nn.Module):
    """Sixteen layers, each of which runs or not."""

    def __init__(self, choose):
        super().__init__()
        self.choose = choose
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(16)])

    def forward(self, x):
        for layer in self.layers:
            if self.choose(x):
                x = layer(x)
        return x


class Outer(nn.Module):
    def __init__(self, *parts):
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.parts = nn.ModuleList(parts)

    def forward(self, x):
        x = self.first(x)
        for part in self.parts:
            x = part(x)
        return x


def macs(trace):
    return sum(op.macs for op in trace.ops if op.phase == "forward")


def by_python(_):
    return random.random() < 0.5


def by_numpy(_):
    return np.random.rand() < 0.5


def by_torch(_):
    return torch.rand(1) < 0.5


def by_new_generator(_):
    return np.random.default_rng().random() < 0.5


def by_data(x):
    return x.sum() > 0


def by_weights(_):
    return torch.ones(1).sum() > 0


DRAW, INPUT = "another draw may run other operations", "another input may run other operations"
CHANCE = [
    (by_python, f"random numbers of Python may decide in parts.0: {DRAW}"),
    (by_numpy, f"random numbers of numpy may decide in parts.0: {DRAW}"),
    (by_torch, f"random numbers may decide in parts.0: {DRAW}"),
]


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(("choose", "note"), CHANCE)
class TestChance:
    def test_the_same_way_every_time_and_said(self, choose, note, mode):
        model = Outer(Choosing(choose))
        traces = [il.trace(model, (2, 8), mode=mode) for _ in range(4)]
        assert len({macs(trace) for trace in traces}) == 1
        assert macs(traces[0]) % PRODUCT == 0
        assert traces[0].context.notes == (note,)
        assert note in il.summarise(traces[0]).context["note"]

    def test_generators_and_model_are_as_they_were(self, choose, note, mode):
        del note
        model = Outer(Choosing(choose))
        before = fingerprint(model)
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        il.trace(model, (2, 8), mode=mode)
        assert same(before, fingerprint(model))
        assert random.getstate() == states[0]
        assert all(map(np.array_equal, np.random.get_state(), states[1]))
        assert torch.equal(torch.get_rng_state(), states[2])


@pytest.mark.parametrize("choose", [by_python, by_numpy, by_torch, by_new_generator])
def test_other_counters_and_real_runs_go_the_same_way(choose):
    model = Outer(Choosing(choose))
    count = macs(il.trace(model, (2, 8)))
    totals = il.crosscheck(model, (2, 8)).record.totals
    assert totals["torch_macs"] == count
    peak = il.peak_memory(il.trace(model, (2, 8), device="cpu")).peak_bytes
    assert il.measure_memory(model, (2, 8)).tracked_bytes == peak


def test_a_generator_without_a_seed_is_said():
    notes = il.trace(Outer(Choosing(by_new_generator)), (2, 8)).context.notes
    assert [note.partition(" may ")[0] for note in notes] == ["random numbers of numpy"]


class OwnGenerator(nn.Module):
    """Draws once and twice, so that a second pass with no generator put back takes another way."""

    def __init__(self, generator):
        super().__init__()
        self.generator = generator
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(8))

    def forward(self, x):
        for layer in self.layers:
            if self.generator.random() < 0.5:
                x = layer(x)
        return x


@pytest.mark.parametrize("library", ["Python", "numpy"])
def test_a_generator_of_the_models_own_is_said_and_drawn_from_in_the_same_way(library):
    model = OwnGenerator(random.Random(7) if library == "Python" else np.random.default_rng(7))
    expected = sum(copy.deepcopy(model.generator).random(8) < 0.5) if library == "numpy" else None
    trace = il.trace(model, (2, 8))
    assert trace.context.notes == (f"random numbers of {library} may decide in (model): {DRAW}",)
    if expected is not None:
        assert macs(trace) == expected * PRODUCT
    assert macs(il.trace(model, (2, 8), mode="train", optimizer="adam")) == macs(trace)
    assert il.crosscheck(model, (2, 8)).record.totals["torch_macs"] == macs(trace)


def by_a_number(_):
    return bool(torch.bernoulli(torch.tensor(0.5)))


def test_a_number_drawn_on_the_cpu_is_said_though_the_net_is_on_meta():
    trace = il.trace(Outer(Choosing(by_a_number)), (2, 8))
    assert trace.context.device == "meta"
    assert trace.context.notes == (f"random numbers may decide in parts.0: {DRAW}",)


def test_each_layer_by_what_it_draws():
    model = Outer(Choosing(by_numpy), Choosing(by_python), nn.Sequential(Choosing(by_python)))
    assert il.trace(model, (2, 8)).context.notes == (
        f"random numbers of Python may decide in parts.1, parts.2.0: {DRAW}",
        f"random numbers of numpy may decide in parts.0: {DRAW}",
    )


class TestData:
    def test_a_choice_by_the_inputs_data_is_said(self):
        trace = il.trace(Outer(Choosing(by_data)), (2, 8))
        assert trace.context.notes == (f"its input's data may decide in parts.0: {INPUT}",)

    def test_sizes_by_data_are_said(self):
        class Selecting(nn.Module):
            def forward(self, x):
                return x[x.sum(1) > 0]

        trace = il.trace(Outer(Selecting()), torch.ones(2, 8))
        assert trace.context.notes == (f"its input's data may decide in parts.0: {INPUT}",)

    def test_what_no_input_reaches_is_no_choice(self):
        trace = il.trace(Outer(Choosing(by_weights)), (2, 8))
        assert (macs(trace), trace.context.notes) == (17 * PRODUCT, ())

    def test_an_index_of_whole_numbers_is_no_choice(self):
        class Indexing(nn.Module):
            def forward(self, x):
                assert float(self.weight.sum()) == 4  # has it run for real
                return x[:, x.sum(1).long().clamp(0, 1)]

        part = Indexing()
        part.register_buffer("weight", torch.ones(4))
        assert il.trace(Outer(part), (2, 8)).context.notes == ()


@pytest.mark.parametrize(
    "model", [nn.Sequential(nn.Linear(8, 8), nn.Dropout()), nn.Sequential(nn.Linear(8, 8), nn.RReLU())]
)
def test_dropout_chooses_nothing(model):
    assert il.trace(model, (2, 8), mode="train").context.notes == ()


def test_a_loss_that_draws_leaves_the_users_sequence():
    state = random.getstate()
    il.trace(nn.Linear(8, 8), (2, 8), mode="train", loss=lambda out: out.sum() * random.random())
    assert random.getstate() == state


def test_what_a_library_draws_as_it_is_imported_is_no_choice(tmp_path, monkeypatch):
    (tmp_path / "drawing_library.py").write_text("import random\nGENERATOR = random.Random()\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    class Importing(nn.Module):
        def forward(self, x):
            import drawing_library  # noqa: F401

            return x * 2

    assert il.trace(Importing(), (1, 3)).context.notes == ()
