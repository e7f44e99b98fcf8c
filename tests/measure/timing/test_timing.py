"""Times of layers: they add up, they are complete, and nothing is changed by them."""

import re
import sys
from decimal import Decimal
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.fingerprints import fingerprint, same
from support.hostile.table import HOSTILE
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.measure.timing import results, rounds
from inception_lab.measure.timing.clock import (
    OUTSIDE,
    CallClock,
    Elapsed,
    Frame,
    RoundTimes,
    run_clocked,
    run_plain,
)
from inception_lab.measure.timing.results import NOISY, TimeRatio
from inception_lab.measure.timing.rounds import FEWEST
from inception_lab.measure.timing.statistics import Interval
from inception_lab.measure.timing.table import layer_table, medians_part
from inception_lab.metrics import METRICS
from inception_lab.running.request import request_of
from inception_lab.running.stand_ins import cpu_copy, cpu_input
from inception_lab.running.step import Placement, prepared, settled_by_running

CPU = Placement("cpu", cpu_copy, cpu_input)


class Net(nn.Module):
    """Two branches, a layer called twice, one that is never called, statistics, and random numbers."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)
        self.block = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU())
        self.idle = nn.Linear(3, 3)
        self.drop, self.fc = nn.Dropout(), nn.Linear(4, 5)

    def forward(self, x):
        x = self.block(self.left(x)) + self.block(self.right(x))
        return self.fc(self.drop(x.mean((2, 3))))


SHAPE = (2, 3, 8, 8)


def times_of(model=None, inputs=SHAPE, **options):
    return il.layer_times(Net() if model is None else model, inputs, **{"seconds": 0} | options)


def exact(column):
    """The sum of a column's numbers as they are written, in decimals."""
    return sum(Decimal(repr(float(value))) for value in column)


def frame(path, number=0):
    return Frame(path, number, "T")


def round_of(**own):
    cells = {(frame(path), "forward"): Elapsed(time, time) for path, time in own.items()}
    total = sum(own.values())
    return RoundTimes(Elapsed(total, total), cells)


class TestTable:
    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_rows_add_up_to_the_step_in_every_digit(self, mode):
        times = times_of(mode=mode, optimizer="adam" if mode == "train" else None)
        layers = times.layers
        assert exact(layers["self_ms"]) == Decimal(repr(times.step_ms))
        assert exact(layers["self_cpu_ms"]) == Decimal(repr(times.cpu_ms))
        assert sum(layers["share"]) == pytest.approx(100)
        if mode == "train":
            phases = layers[[f"{phase}_ms" for phase in ("forward", "loss", "backward", "optimizer")]]
            for row, own in zip(phases.itertuples(index=False), layers["self_ms"], strict=True):
                assert exact(row) == Decimal(repr(own))

    def test_a_row_for_every_call_and_every_module_that_is_never_called(self):
        layers = times_of(mode="train", optimizer="sgd").layers
        found = list(zip(layers["layer"], layers["call"], layers["type"], layers["executed"], strict=True))
        assert found == [
            ("(model)", 0, "Net", True),
            ("left", 0, "Conv2d", True),
            ("block", 0, "Sequential", True),
            ("block.0", 0, "BatchNorm2d", True),
            ("block.1", 0, "ReLU", True),
            ("right", 0, "Conv2d", True),
            ("block", 1, "Sequential", True),
            ("block.0", 1, "BatchNorm2d", True),
            ("block.1", 1, "ReLU", True),
            ("drop", 0, "Dropout", True),
            ("fc", 0, "Linear", True),
            ("(loss)", 0, "cross_entropy", True),
            ("(backward)", 0, "backward", True),
            ("(optimizer)", 0, "SGD", True),
            ("idle", 0, "Linear", False),
            ("(outside)", 0, "", True),
        ]
        assert layers.set_index("layer").loc["idle", "self_ms"] == 0
        assert (layers[layers["executed"]]["self_ms"] > 0).all()

    def test_a_pass_has_no_phases_and_a_step_without_an_optimizer_has_three(self):
        assert not [name for name in times_of().layers if name.startswith(("forward", "backward"))]
        columns = list(times_of(mode="train").layers)
        assert columns[-3:] == ["forward_ms", "loss_ms", "backward_ms"]

    def test_every_layer_that_has_costs_has_a_time(self):
        trace = il.trace(Net(), SHAPE, mode="train", optimizer="sgd")
        costs, times = il.layer_costs(trace), times_of(mode="train", optimizer="sgd").layers
        calls = set(zip(times["layer"], times["call"], times["type"], times["executed"], strict=True))
        assert calls >= set(zip(costs["layer"], costs["call"], costs["type"], costs["executed"], strict=True))

    @given(st.lists(st.lists(st.integers(0, 10**10), min_size=3, max_size=3), min_size=1, max_size=9))
    def test_medians_are_split_so_that_they_add_up(self, rounds):
        rounds = [round_of(a=a, b=b, c=c) for a, b, c in rounds]
        layers = layer_table(rounds, {}, training=False)
        totals = sorted(times.total.wall for times in rounds)
        median = totals[(len(totals) - 1) // 2]
        assert exact(layers["self_ms"]) == Decimal(median) / 10**6

    def test_medians_keep_their_proportions(self):
        """Medians 10, 20 and 30 of rounds whose median is 66: each is 1.1 times as long."""
        rounds = [round_of(a=10, b=20, c=30), round_of(a=10, b=26, c=30), round_of(a=10, b=20, c=90)]
        layers = layer_table(rounds, {}, training=False).set_index("layer")
        assert [layers.loc[name, "self_ms"] * 1e6 for name in "abc"] == pytest.approx([11, 22, 33])
        assert medians_part(rounds) == pytest.approx(60 / 66)

    def test_a_call_that_only_some_rounds_make_took_no_time_in_the_others(self):
        rounds = [round_of(a=10), round_of(a=10), round_of(a=10, b=50)]
        layers = layer_table(rounds, {}, training=False).set_index("layer")
        assert dict(layers["self_ms"] * 1e6) == pytest.approx({"a": 10, "b": 0, "(outside)": 0})
        assert OUTSIDE.path in layers.index

    def test_modules_add_up_too(self):
        times = times_of()
        modules = times.by_module(1)
        assert list(modules["module"]) == [
            "(model)", "left", "block", "right", "drop", "fc", "idle", "(outside)"
        ]  # fmt: skip
        assert exact(modules["self_ms"]) == Decimal(repr(times.step_ms))
        with pytest.raises(InceptionLabError, match="below 1"):
            times.by_module(0)

    def test_a_model_without_modules_and_one_that_is_a_layer(self):
        assert list(times_of(nn.Linear(3, 3), (2, 3)).layers["layer"]) == ["(model)", "(outside)"]
        assert list(times_of(nn.Sequential(), (2, 3)).layers["layer"]) == ["(model)", "(outside)"]


class TestResult:
    def test_json_has_context_totals_and_layers(self):
        data = times_of(mode="train", optimizer="momentum", autocast=torch.bfloat16, name="net").to_dict()
        assert (data["schema"], data["model"], data["mode"], data["optimizer"], data["autocast"]) == (
            1, "net", "train", "momentum", "bfloat16"
        )  # fmt: skip
        assert data["input_shapes"] == [list(SHAPE)]
        assert (data["dtype"], data["memory_format"], data["device"]) == ("float32", "contiguous", "cpu")
        assert data["execution"] == "eager"
        assert data["rounds"] == FEWEST
        assert data["warm_up_rounds"] >= 1
        assert data["machine"]
        assert data["threads"] == torch.get_num_threads()
        assert set(data["totals"]) <= set(METRICS)
        assert data["totals"]["step_ms"] == float(exact(row["self_ms"] for row in data["layers"]))
        assert {row.get("call") for row in data["layers"]} == {None, 1}

    def test_memory_format_and_dtype_are_those_of_the_tensors(self):
        model = Net().to(torch.bfloat16, memory_format=torch.channels_last)
        image = torch.zeros(SHAPE, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
        context = times_of(model, image).context
        assert (context["memory_format"], context["dtype"]) == ("channels_last", "bfloat16")

    def test_rounds_that_differ_too_much_are_said_to(self, monkeypatch):
        noisy, quiet = (
            results.CpuTimes({}, None, spread, results.Spread(10, 10, 10), 1, None, None, 1, 0)
            for spread in (results.Spread(10, 9, 10 + 10 * NOISY), results.Spread(10, 10, 10 + 10 * NOISY))
        )
        assert "too noisy to judge" in noisy.note
        assert quiet.note == ""
        monkeypatch.setattr(results, "NOISY", -1.0)
        assert times_of().to_dict()["note"].startswith("too noisy")

    def test_progress_comes_to_an_end(self):
        parts = []
        il.layer_times(nn.Linear(3, 3), (2, 3), seconds=0.05, progress=parts.append)
        assert parts == sorted(parts)
        assert parts[-1] == 1
        assert len(parts) >= FEWEST


class TestNothingIsChanged:
    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_a_timed_step_computes_what_a_plain_one_does(self, mode):
        torch.manual_seed(0)
        model, optimizer = Net(), "momentum" if mode == "train" else None
        results = []
        for clock in (CallClock(), None):
            request = request_of(model, SHAPE, mode=mode, optimizer=optimizer)
            with prepared(request, CPU, settled_by_running) as step:
                result = run_clocked(step, clock) if clock else run_plain(step)[1]
                gradients = [parameter.grad for parameter in step.model.parameters.values()]
                state = [tensor.clone() for _, tensors in step.tensors for tensor in tensors.values()]
                results.append([result.outputs, result.loss, torch.get_rng_state(), gradients, state])
        assert same(*results)

    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_the_model_is_left_as_it_was_found(self, mode):
        model = Net()
        model.fc.register_forward_hook(lambda *_: None)
        before, random, threads = fingerprint(model), torch.get_rng_state(), torch.get_num_threads()
        times_of(model, mode=mode, optimizer="adamw" if mode == "train" else None, threads=threads + 1)
        assert same(before, fingerprint(model))
        assert torch.equal(random, torch.get_rng_state())
        assert torch.get_num_threads() == threads

    def test_threads_are_those_asked_for_while_it_runs(self):
        counts = set()

        class Asks(nn.Module):
            def forward(self, x):
                if not x.is_meta:  # as in the trace that tells whether it fits
                    counts.add(torch.get_num_threads())
                return x

        threads = torch.get_num_threads() + 1
        assert times_of(Asks(), (2, 3), threads=threads).context["threads"] == threads
        assert counts == {threads}

    def test_each_round_begins_alike(self):
        draws = []

        class Draws(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.ones(3))

            def forward(self, x):
                draws.append((torch.rand(()).item(), self.weight.grad))
                return x * self.weight

        times_of(Draws(), (2, 3), mode="train")
        assert len(draws) == 2 * (FEWEST + 1)
        assert set(draws) == {draws[0]}

    def test_what_a_forward_keeps_is_gone_before_the_next_round(self):
        states = []

        class Keeps(nn.Module):
            def __init__(self):
                super().__init__()
                self.steps, self.list, self.dict, self.set = 0, [1], {"a": 1}, {1}
                self.cache = SimpleNamespace(last=None)

            def forward(self, x):
                if not x.is_meta:
                    states.append((self.steps, *self.list, *self.dict.items(), *self.set, self.cache.last,
                                   hasattr(self, "new")))  # fmt: skip
                self.steps += 1
                self.list.append(2)
                self.dict["b"] = self.cache.last = self.new = x
                self.set.add(3)
                return x

        model = Keeps()
        before = fingerprint(model)
        times_of(model, (2, 3))
        assert states == [(0, 1, ("a", 1), 1, None, False)] * (2 * (FEWEST + 1))
        assert same(before, fingerprint(model))

    def test_a_model_that_raises_is_named_with_the_layer_and_left_as_it_was(self):
        model = Net()
        model.block.append(nn.Linear(7, 7))
        before, threads = fingerprint(model), torch.get_num_threads()
        with pytest.raises(InceptionLabError, match=r"net: cannot run: RuntimeError in block\.2: ") as raised:
            times_of(model, name="net", threads=torch.get_num_threads() + 1)
        assert raised.value.exit_code == 3
        assert same(before, fingerprint(model))
        assert torch.get_num_threads() == threads

    def test_a_model_without_data_is_refused(self):
        with pytest.raises(InceptionLabError, match="a model on meta cannot run for real"):
            times_of(Net().to("meta"))


@pytest.mark.parametrize(
    "case",
    [case for case in HOSTILE if not case.error_in("train") and case.name != "lazy"],
    ids=lambda case: case.name,
)
def test_hostile_nets_have_a_time_for_every_row_of_costs_and_are_left_as_found(case, monkeypatch):
    monkeypatch.setattr(rounds, "FEWEST", 2)
    model = case.make()
    before = fingerprint(model)
    times = times_of(model, case.inputs, mode="train")
    assert same(before, fingerprint(model))
    assert exact(times.layers["self_ms"]) == Decimal(repr(times.step_ms))
    costs = il.layer_costs(il.trace(model, case.inputs, mode="train"))
    assert _rows(costs) <= _rows(times.layers)
    # costs also call a layer executed whose parameters another one reads, or that runs in another thread
    assert _rows(times.layers[times.layers.executed]) <= _rows(costs[costs.executed]) | _rows(
        times.layers[times.layers.self_ms > 0]
    )


def _rows(table):
    return set(table[["layer", "call", "type"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda"}, "no CUDA device; use device='cpu'"),
        ({"device": "tpu"}, "not timed on 'tpu'"),
        ({"threads": 0}, "threads"),
        ({"threads": 1.5}, "threads"),
        ({"seconds": "5"}, "a time budget of '5' seconds"),
        ({"seconds": None}, "a time budget of None seconds"),
        ({"mode": "training"}, "unknown mode"),
        ({"optimizer": "adam"}, "no step in eval mode"),
        ({"mode": "train", "optimizer": "adamm"}, "did you mean adam"),
        ({"autocast": torch.float64}, "autocast"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_one_line(monkeypatch, options, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InceptionLabError, match=message) as raised:
        times_of(**options)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_a_time_budget_is_a_number_of_seconds(seconds):
    with pytest.raises(InceptionLabError, match="time budget"):
        il.layer_times(nn.Linear(3, 3), (2, 3), seconds=seconds)


@pytest.mark.parametrize("seconds", ["5", None, [1]], ids=repr)
def test_a_time_budget_of_several_steps_is_checked_as_that_of_one(seconds):
    message = re.escape(f"a time budget of {seconds!r} seconds")
    with pytest.raises(InceptionLabError, match=message):
        il.compare_times([nn.Linear(3, 3), nn.Linear(3, 3)], [(2, 3), (2, 3)], seconds=seconds)
    with pytest.raises(InceptionLabError, match=message):
        il.times_by_batch(nn.Linear(3, 3), (3,), [1, 2], seconds=seconds)


def test_another_default_device_makes_no_difference():
    model = nn.Linear(3, 3)
    with torch.device("meta"):
        assert times_of(model, (2, 3)).step_ms > 0


class TestComparison:
    def test_rounds_take_turns(self):
        order = []

        class Notes(nn.Module):
            def __init__(self, name):
                super().__init__()
                self.name = name

            def forward(self, x):
                if not x.is_meta:
                    order.append(self.name)
                return x

        comparison = il.compare_times([Notes("a"), Notes("b")], [(1, 3), (1, 4)], seconds=0, names=["a", "b"])
        rounds = ["".join(order[at : at + 4]) for at in range(0, len(order), 4)]
        assert rounds[1:] == ["bbaa", "aabb"] * (FEWEST // 2)
        assert [times.context["model"] for times in comparison.models] == ["a", "b"]
        assert [times.context["input_shapes"] for times in comparison.models] == [[[1, 3]], [[1, 4]]]

    def test_the_ratio_is_that_of_rounds_side_by_side(self, monkeypatch):
        """The second model takes three times as long, on a machine that becomes slower with every round."""
        speed = [1]

        def run(step):
            speed[0] += 1
            return Elapsed(speed[0] // 2 * (3 if step.request.name == "b" else 1) * 10**6, 1), None

        monkeypatch.setattr("inception_lab.measure.timing.rounds.run_plain", run)
        nets = [nn.Linear(2, 2), nn.Linear(2, 2)]
        comparison = il.compare_times(nets, [(1, 2)] * 2, seconds=0, names=["a", "b"])
        (ratio,) = comparison.to_dict()["ratios"]
        assert (ratio["model"], ratio["baseline"], ratio["verdict"]) == ("b", "a", "slower")
        assert ratio["ratio"] == pytest.approx(3, rel=0.2)
        assert ratio["ratio_low"] <= ratio["ratio"] <= ratio["ratio_high"]

    @pytest.mark.parametrize(
        ("interval", "verdict"),
        [
            (Interval(0.5, 0.4, 0.9, 0.96), "faster"),
            (Interval(2, 1.1, 3, 0.96), "slower"),
            (Interval(1, 0.99, 1.01, 0.96), "no difference"),
            (Interval(1, 0.8, 1.2, 0.96), "too noisy to judge"),
            (Interval(2, 2, 2, 0.5), "too few rounds to judge"),
        ],
    )
    def test_verdicts(self, interval, verdict):
        assert TimeRatio("b", "a", interval).verdict == verdict

    def test_models_are_left_as_they_were_found(self):
        models = [Net(), Net()]
        before = list(map(fingerprint, models))
        il.compare_times(models, [SHAPE] * 2, mode="train", optimizer="adam", seconds=0)
        assert all(same(one, fingerprint(model)) for one, model in zip(before, models, strict=True))

    def test_what_cannot_be_compared_is_refused(self):
        net = Net()
        for models, inputs, names, message in [
            ([net], [SHAPE], (), "no ratio"),
            ([net, Net()], [SHAPE], (), "one for each model"),
            ([net, Net()], [SHAPE] * 2, ["a"], "one for each model"),
            ([net, net], [SHAPE] * 2, (), "share a module"),
            ([net, net.left], [SHAPE] * 2, (), "share a module"),
        ]:
            with pytest.raises(InceptionLabError, match=message):
                il.compare_times(models, inputs, names=names, seconds=0)


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not tell")
def test_memory_that_each_step_gets_anew_shows_in_its_page_faults():
    class Large(nn.Module):
        def forward(self, x):
            return x + torch.ones(2**24).sum()  # 64 MiB, which the C library maps and hands back each time

    assert il.layer_times(Large(), (2,), seconds=0).page_faults >= 2**26 // 2**21  # of pages at most 2 MiB


def test_the_spread_of_a_layer_is_that_of_its_rounds():
    frame = Frame("a", 0, "Linear")
    rounds = [
        RoundTimes(Elapsed(10**6 * n, 0), {(frame, "forward"): Elapsed(10**6 * n, 0)})
        for n in (1, 2, 3, 4, 100)
    ]
    table = layer_table(rounds, {}, training=False)
    assert table["self_iqr_ms"].to_list() == [2.0, 0.0]


@pytest.mark.parametrize("optimizer", [None, "adamw"])
def test_a_layer_that_fails_is_named_with_an_optimizer_too(optimizer):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(5, 4))
    with pytest.raises(InceptionLabError, match="Sequential: cannot run: RuntimeError in 1: ") as error:
        times_of(model, (2, 4), mode="train", optimizer=optimizer)
    assert error.value.exit_code == 3
    assert [vars(layer).get("forward") for layer in model] == [None, None]
