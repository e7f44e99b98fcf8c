"""Times on a GPU, by traces that are written event by event, and by a GPU that the CPU plays."""

from decimal import Decimal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fake_gpu import FakeGpu, measured_on, times_on
from support.fingerprints import fingerprint, same
from support.profile_traces import (
    AUTOGRAD,
    annotation,
    complete,
    flow,
    kernel,
    launch,
    operator,
    write_trace,
)
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.measure.profile.events import LAYER_RANGE, PHASE_RANGE
from inception_lab.measure.profile.profile import read_events
from inception_lab.measure.timing import cuda_device, timing
from inception_lab.measure.timing.clock import BACKWARD, OUTSIDE, Frame
from inception_lab.measure.timing.cuda_profile import (
    PROFILED_STEPS,
    STEP_RANGE,
    UNLAUNCHED,
    LaunchCounts,
    StepWork,
    steps_of,
)
from inception_lab.measure.timing.cuda_rounds import replay_step
from inception_lab.measure.timing.cuda_table import cuda_table
from inception_lab.measure.timing.rounds import FEWEST
from inception_lab.metrics import METRICS

KINDS = {"": "Net", "a": "Conv2d", "b": "ReLU", "(loss)": "sum"}
A, B, ROOT_CALL = Frame("a", 0, "Conv2d"), Frame("b", 0, "ReLU"), Frame("", 0, "Net")


def layer(path, start, end, thread=(100, 100)):
    return annotation(LAYER_RANGE + path, start, end, thread)


def phase(name, start, end):
    return annotation(PHASE_RANGE + name, start, end)


def step(start, end, number=0):
    return annotation(f"{STEP_RANGE}{number}", start, end)


def works_of(tmp_path, *events):
    return steps_of(read_events(write_trace(tmp_path / "trace.json", list(events))), KINDS)


def busy(work):
    """Microseconds by path and phase."""
    return {(frame.path, phase): time / 1000 for (frame, phase), time in work.busy.items() if time}


class TestWorkOfAStep:
    def test_work_belongs_to_the_innermost_call_around_its_launch(self, tmp_path):
        (work,) = works_of(
            tmp_path,
            step(0, 100),
            phase("forward", 1, 90),
            launch(1, 2),
            layer("(model)", 10, 50),
            layer("a", 11, 20),
            launch(2, 12),
            launch(3, 30),
            launch(4, 32, category="cuda_driver"),
            kernel(1, 3, 4),
            kernel(2, 13, 16),
            kernel(3, 31, 36),
            kernel(4, 36, 38, category="gpu_memcpy"),
        )
        assert busy(work) == {("(outside)", "forward"): 1, ("a", "forward"): 3, ("", "forward"): 7}
        assert work.kernel_times == {OUTSIDE: 1000, A: 3000, ROOT_CALL: 5000}
        assert work.kernels == {OUTSIDE: 1, A: 1, ROOT_CALL: 1}
        assert work.frames == [OUTSIDE, ROOT_CALL, A]

    def test_a_moment_belongs_to_the_work_that_began_first(self, tmp_path):
        (work,) = works_of(
            tmp_path,
            step(0, 100),
            layer("a", 1, 5),
            launch(1, 2),
            launch(2, 3),
            layer("b", 6, 9),
            launch(3, 7),
            kernel(1, 10, 20, stream=7),
            kernel(3, 15, 40, stream=8),
            kernel(2, 20, 30, stream=7),
        )
        assert busy(work) == {("a", "forward"): 10, ("b", "forward"): 20}
        assert work.kernel_times == {A: 20_000, B: 25_000}

    def test_backward_work_and_sums_of_gradients_belong_to_the_call_that_made_the_node(self, tmp_path):
        wrapper = "autograd::engine::evaluate_function: ConvolutionBackward0"
        accumulate = "autograd::engine::evaluate_function: torch::autograd::AccumulateGrad"
        (work,) = works_of(
            tmp_path,
            step(0, 100),
            phase("forward", 1, 20),
            layer("a", 2, 9),
            operator("aten::conv2d", 3, 8),
            launch(1, 4),
            phase("backward", 20, 90),
            operator(wrapper, 30, 50, AUTOGRAD),
            operator("ConvolutionBackward0", 31, 40, AUTOGRAD),
            launch(2, 32, AUTOGRAD),
            operator("aten::add_", 41, 45, AUTOGRAD),
            launch(3, 42, AUTOGRAD),
            operator(accumulate, 51, 60, AUTOGRAD),
            launch(4, 52, AUTOGRAD),
            *flow(1, 3, 31),
            *(kernel(n, 10 * n, 10 * n + n) for n in (1, 2, 3, 4)),
        )
        assert busy(work) == {("a", "forward"): 1, ("a", "backward"): 2 + 3, ("(backward)", "backward"): 4}
        assert work.frames == [A, BACKWARD]

    def test_a_sum_after_a_checkpoint_belongs_to_the_node_and_not_to_what_ran_again_in_it(self, tmp_path):
        (work,) = works_of(
            tmp_path,
            step(0, 100),
            layer("a", 2, 9),
            operator("aten::mul", 3, 8),
            phase("backward", 20, 90),
            operator("autograd::engine::evaluate_function: MulBackward0", 30, 60, AUTOGRAD),
            operator("MulBackward0", 31, 50, AUTOGRAD),
            layer("b", 32, 40, AUTOGRAD),
            launch(1, 33, AUTOGRAD),
            launch(2, 45, AUTOGRAD),
            operator("aten::add_", 51, 55, AUTOGRAD),
            launch(3, 52, AUTOGRAD),
            *flow(1, 3, 31),
            *(kernel(n, 60 + 10 * n, 60 + 10 * n + n) for n in (1, 2, 3)),
        )
        assert busy(work) == {("b", "backward"): 1, ("a", "backward"): 2 + 3}

    def test_the_backward_pass_has_a_row_even_where_calls_own_all_of_it(self, tmp_path):
        (work,) = works_of(
            tmp_path, step(0, 9), layer("a", 1, 2), phase("backward", 3, 4), layer("(optimizer)", 6, 7)
        )
        assert [frame.path for frame in work.frames] == ["a", "(backward)", "(optimizer)"]

    def test_calls_of_one_module_are_told_apart_in_each_step(self, tmp_path):
        def one(at, number):
            yield step(at, at + 100, number)
            for call in (0, 1):
                start = at + 10 * call
                yield layer("a", start + 1, start + 9)
                yield launch(100 * number + call + 1, start + 2)
                yield kernel(100 * number + call + 1, start + 3, start + 4 + call + number)

        works = works_of(tmp_path, *one(0, 0), *one(1000, 1))
        assert [work.kernel_times for work in works] == [
            {A: 1000, A._replace(number=1): 2000},
            {A: 2000, A._replace(number=1): 3000},
        ]

    def test_work_around_the_steps_is_nobodys(self, tmp_path):
        (work,) = works_of(
            tmp_path,
            layer("a", 1, 5),
            launch(1, 2),
            step(10, 50),
            launch(2, 60),
            kernel(1, 20, 30),
            kernel(2, 61, 70),
        )
        assert not work.busy
        assert work.counts == LaunchCounts(0, 0, 0, 0)

    def test_a_kernel_without_a_launch_is_in_the_phase_of_the_work_before_it(self, tmp_path):
        (work,) = works_of(
            tmp_path,
            step(0, 100),
            phase("loss", 1, 9),
            launch(1, 2),
            kernel(1, 3, 4),
            kernel(0, 5, 7),
        )
        assert busy(work) == {("(outside)", "loss"): 1, ("(no launch)", "loss"): 2}
        assert work.counts == LaunchCounts(1, 0, 2, 0)

    def test_launches_of_all_kinds_are_counted_and_graphs_apart(self, tmp_path):
        def call(name, correlation, start, category="cuda_runtime"):
            return complete(category, name, start, start + 1, correlation=correlation)

        names = [
            "cudaLaunchKernel", "cudaLaunchKernelExC", "cudaLaunchCooperativeKernel", "cuLaunchKernel",
            "cuLaunchKernelEx", "hipLaunchKernel", "hipExtModuleLaunchKernel",
        ]  # fmt: skip
        others = ["cudaMemcpyAsync", "cudaDeviceSynchronize", "cudaGraphLaunch", "cudaStreamIsCapturing"]
        launches = [call(name, number, number) for number, name in enumerate([*names, *others], 1)]
        graph = len(names) + 1 + others.index("cudaGraphLaunch")
        (work,) = works_of(
            tmp_path,
            step(0, 200),
            *launches,
            call("cuLaunchKernel", 1, 1.2, "cuda_driver"),  # within the runtime's call
            *(kernel(number, 100 + number, 100.5 + number) for number in range(1, len(names))),
            kernel(graph, 150, 151),
            kernel(graph, 151, 152),
        )
        assert work.counts == LaunchCounts(len(names), 1, len(names) - 1, 1)


def table_of(rounds, works, training=False):
    return cuda_table(rounds, works, {"a": nn.Conv2d(1, 1, 1), "b": nn.ReLU()}, training)


def work_of(busy_times, frames=(A, B)):
    kernel_times = {frame: busy_times.get((frame, "forward"), 0) for frame in frames}
    return StepWork(frames, busy_times, kernel_times, dict.fromkeys(frames, 2), LaunchCounts(4, 0, 4, 0))


class TestTable:
    def test_rows_are_busy_times_and_what_is_left_of_the_step(self):
        table = table_of([{"forward": 10_000_000}], [work_of({(A, "forward"): 6_000_000})], training=False)
        assert list(table["layer"]) == ["a", "b", "(outside)", "(gaps)"]
        assert list(table["self_ms"]) == [6, 0, 0, 4]
        assert list(table["share"]) == [60, 0, 0, 40]
        assert list(table["kernels"]) == [2, 2, 0, 0]
        assert "forward_ms" not in table

    def test_each_phase_closes(self):
        rounds = [{"forward": 10_000, "loss": 1_000, "backward": 20_000}]
        work = work_of(
            {(A, "forward"): 4_000, (A, "backward"): 5_000, (BACKWARD, "backward"): 7_000}, (A, BACKWARD)
        )
        table = table_of(rounds, [work], training=True).set_index("layer")
        assert table.loc["(gaps)", ["forward_ms", "loss_ms", "backward_ms"]].tolist() == [0.006, 0.001, 0.008]
        assert table["backward_ms"].sum() == pytest.approx(0.02)
        assert table.loc["a", "self_ms"] == 0.009

    def test_work_without_a_launch_has_a_row_where_there_is_some(self):
        work = work_of({(A, "forward"): 4, (UNLAUNCHED, "forward"): 2}, (A, UNLAUNCHED))
        table = table_of([{"forward": 10}], [work])
        assert list(table["layer"]) == ["a", "b", "(no launch)", "(outside)", "(gaps)"]

    def test_a_module_that_never_ran_has_a_row_of_zeros(self):
        table = table_of([{"forward": 10}], [work_of({(A, "forward"): 4}, (A,))]).set_index("layer")
        assert not table.loc["b", "executed"]
        assert table.loc["b", ["self_ms", "device_ms", "kernels"]].tolist() == [0, 0, 0]


PATHS = ["(model)", "a", "b"]
KERNELS = st.lists(
    st.tuples(
        st.sampled_from(PATHS),
        st.integers(0, 5000),  # start of the kernel, in nanoseconds since the launch
        st.integers(0, 3000),  # its length
        st.sampled_from([7, 8, 9]),
        st.booleans(),  # True where the launch is in the trace
    ),
    max_size=12,
)


def random_step(number, kernels):
    """A step in which each call of a layer launches one kernel."""
    base = 1000.0 * number
    yield step(base, base + 999, number)
    for place, (path, delay, length, stream, launched) in enumerate(kernels):
        correlation, start = 100 * number + place + 1, base + 10 * (place + 1)
        yield layer(path, start, start + 9)
        if launched:
            yield launch(correlation, start + 1)
        begin = start + 1 + delay / 1000
        yield kernel(correlation, round(begin, 3), round(begin + length / 1000, 3), stream=stream)


def moments(kernels):
    """Every nanosecond in which a kernel runs."""
    covered = set()
    for place, (_, delay, length, *_) in enumerate(kernels):
        begin = 10_000 * (place + 1) + 1000 + delay
        covered.update(range(begin, begin + length))
    return len(covered)


@settings(deadline=None, max_examples=60)
@given(st.lists(KERNELS, min_size=1, max_size=3), st.lists(st.integers(0, 10**6), min_size=1, max_size=5))
def test_rows_of_any_trace_add_up_to_the_step(tmp_path_factory, steps, rounds):
    events = [event for number, kernels in enumerate(steps) for event in random_step(number, kernels)]
    works = works_of(tmp_path_factory.mktemp("traces"), *events)
    assert [sum(work.busy.values()) for work in works] == [moments(kernels) for kernels in steps]
    assert [sum(work.kernels.values()) for work in works] == list(map(len, steps))
    times = [sum(length for _, _, length, *_ in kernels) for kernels in steps]
    assert [sum(work.kernel_times.values()) for work in works] == times
    lost = [sum(not launched for *_, launched in kernels) for kernels in steps]
    assert [w.counts.kernels - w.counts.launches for w in works] == lost
    table = table_of([{"forward": time} for time in rounds], works)
    total = sorted(rounds)[(len(rounds) - 1) // 2]
    assert exact(table["self_ms"]) * 10**6 == total
    assert exact(table["device_ms"]) * 10**6 == sorted(times)[(len(times) - 1) // 2]


def exact(column):
    """The sum of a column's numbers as they are written, in decimals."""
    return sum(Decimal(repr(float(value))) for value in column)


class Net(nn.Module):
    """Branches, a module called twice, one never called, random numbers; keeps what it gave."""

    def __init__(self):
        super().__init__()
        self.stem, self.left, self.right = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
        self.block = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU())
        self.idle = nn.Linear(3, 3)
        self.drop, self.fc = nn.Dropout(), nn.Linear(4, 5)

    def forward(self, x):
        x = self.stem(x)
        x = self.block(self.left(x)) + self.block(self.right(x))
        x = self.fc(self.drop(x.mean((2, 3))))
        OUTPUTS.append(x.detach().clone())
        return x


SHAPE = (2, 3, 8, 8)
OUTPUTS = []


class TestOnAGpuThatTheCpuPlays:
    @pytest.mark.parametrize("options", [{}, {"mode": "train"}, {"mode": "train", "optimizer": "adamw"}])
    def test_rows_add_up_and_all_kernels_of_calls_are_attributed(self, options):
        times = times_on(FakeGpu(), Net(), SHAPE, **options)
        layers = times.layers
        assert exact(layers["self_ms"]) == Decimal(repr(times.step_ms))
        columns = [name for name in layers if name.endswith("_ms") and name not in ("self_ms", "device_ms")]
        if options:
            assert [exact(row[columns]) for _, row in layers.iterrows()] == [
                Decimal(repr(float(value))) for value in layers["self_ms"]
            ]
            assert {name: exact(layers[name]) for name in columns} == dict.fromkeys(columns, 1000)
        elsewhere = layers[layers["layer"].isin(["(no launch)", "(outside)"])]
        assert not elsewhere["kernels"].sum()
        assert exact(layers["device_ms"]) == Decimal(repr(float(times.totals["kernel_ms"])))
        assert set(times.totals) <= set(METRICS)
        assert times.note == ""

    def test_a_convolution_owns_its_kernels_forward_and_backward(self):
        layers = times_on(FakeGpu(), Net(), SHAPE, mode="train").layers
        calls = layers.set_index(["layer", "call"])
        for path in ("stem", "left", "right"):
            assert (calls.loc[(path, 0), ["forward_ms", "backward_ms"]] > 0).all()
        assert (calls.loc["block.0", "backward_ms"] > 0).all()
        assert list(calls.loc["block.0"].index) == [0, 1]
        assert calls.loc[("(loss)", 0), "type"] == "cross_entropy"
        assert not calls.loc[("idle", 0), "executed"]

    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_every_run_is_a_plain_one(self, mode):
        model = Net()
        before, state = fingerprint(model), torch.get_rng_state()
        OUTPUTS.clear()
        times_on(FakeGpu(), model, SHAPE, mode=mode)
        # to warm up and to throw away, rounds, profiled steps, and two for the graph
        assert len(OUTPUTS) == 1 + FEWEST + 1 + PROFILED_STEPS + 2
        assert all(torch.equal(output, OUTPUTS[0]) for output in OUTPUTS)
        assert same(before, fingerprint(model))
        assert torch.equal(state, torch.get_rng_state())

    def test_gradients_of_every_round_are_those_of_one_backward_pass(self):
        gradients, left = [], []

        class Linear(nn.Linear):
            def forward(self, x):
                left.append(self.weight.grad)
                weight = self.weight * 1
                weight.register_hook(gradients.append)
                return nn.functional.linear(x, weight)

        times_on(FakeGpu(), Linear(3, 2), (2, 3), mode="train")
        assert len(gradients) == 1 + FEWEST + 1 + PROFILED_STEPS + 2
        assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)
        assert left == [None] * len(gradients)

    def test_each_round_begins_on_an_idle_gpu_and_is_waited_for(self):
        gpu = FakeGpu()
        times_on(gpu, nn.Linear(3, 3), (2, 3))
        runs = 1 + FEWEST + 1 + PROFILED_STEPS
        replays = 1 + FEWEST
        assert gpu.log[: 2 * runs] == ["settle", "synchronize"] * runs
        assert gpu.log[2 * runs :] == ["settle", "settle", "capture"] + [
            "settle", "replay", "synchronize"
        ] * replays  # fmt: skip

    def test_events_tell_the_phases(self):
        gpu = FakeGpu(tick=0)

        class Slow(nn.Module):
            def forward(self, x):
                gpu.now += 3_000_000
                return x * 1

        def loss(outputs):
            gpu.now += 5_000_000
            return outputs.sum()

        table = times_on(gpu, nn.Sequential(Slow(), nn.Linear(2, 2)), (2, 2), mode="train", loss=loss).layers
        assert [table[f"{name}_ms"].sum().round(6) for name in ("forward", "loss", "backward")] == [3, 5, 0]

    def test_replay_and_launch_overhead(self):
        totals = times_on(FakeGpu(tick=10**6), nn.Linear(3, 3), (2, 3), mode="train").totals
        assert (totals["step_ms"], totals["graph_step_ms"], totals["launch_overhead_ms"]) == (3, 1, 2)

    def test_a_step_that_cannot_be_captured_has_no_replay_and_says_why(self):
        times = times_on(FakeGpu(capture_error=RuntimeError("not permitted\nwhen")), nn.Linear(3, 3), (2, 3))
        assert not {"graph_step_ms", "launch_overhead_ms"} & times.totals.keys()
        assert times.note == "not captured into a CUDA graph: RuntimeError: not permitted"
        assert times.to_dict()["note"] == times.note

    def test_the_first_error_of_a_capture_is_the_reason(self):
        gpu = FakeGpu()

        class Fails(nn.Linear):
            def forward(self, x):
                if gpu.log and gpu.log[-1] == "capture":
                    raise ValueError("no item while capturing")
                return super().forward(x)

        note = times_on(gpu, Fails(3, 3), (2, 3)).note
        assert note == "not captured into a CUDA graph: ValueError: no item while capturing"

    def test_lost_kernels_are_said(self):
        def lose(events):
            kernels = [event for event in events if event.get("cat") == "kernel"]
            return [event for event in events if event not in kernels[-2:]]

        note = times_on(FakeGpu(edit=lose), nn.Linear(3, 3), (2, 3)).note
        assert "2 launches without a kernel, 0 kernels without a launch" in note

    def test_kernels_without_a_launch_have_a_row_and_are_said(self):
        def forget(events):
            return [event for event in events if event.get("cat") != "cuda_runtime"]

        times = times_on(FakeGpu(edit=forget), nn.Linear(3, 3), (2, 3))
        rows = times.layers.set_index("layer")
        assert rows.loc["(no launch)", "device_ms"] == times.totals["kernel_ms"] > 0
        assert times.totals["attributed_percent"] == 0
        assert "0 launches without a kernel" in times.note

    def test_a_profiler_that_records_no_kernel_is_said_to(self):
        times = times_on(FakeGpu(edit=lambda events: [e for e in events if e.get("pid") != 0]), Net(), SHAPE)
        assert "the profiler recorded no kernel" in times.note
        assert "attributed_percent" not in times.totals
        assert times.layers.set_index("layer").loc["(gaps)", "self_ms"] == times.step_ms

    def test_a_negative_gap_is_shown_and_said(self):
        times = times_on(FakeGpu(tick=100), Net(), SHAPE, mode="train")
        assert times.layers.set_index("layer").loc["(gaps)", "self_ms"] < 0
        assert exact(times.layers["self_ms"]) == Decimal(repr(times.step_ms))
        assert "(gaps) is negative in self_ms, forward_ms, loss_ms, backward_ms" in times.note
        assert times.totals["busy_ms"] > times.step_ms

    def test_steps_take_turns_and_their_rounds_stand_side_by_side(self):
        order = []

        class Notes(nn.Module):
            def __init__(self, name):
                super().__init__()
                self.name = name

            def forward(self, x):
                order.append(self.name)
                return x * 1

        first, second = measured_on(FakeGpu(), [Notes("a"), Notes("b")], [(1, 3), (1, 4)])
        assert "".join(order[: 2 * (1 + FEWEST)]) == "ab" + "baab" * (FEWEST // 2)
        assert len(first.plain) == len(second.plain) == FEWEST

    def test_modules_are_sums_of_their_layers(self):
        times = times_on(FakeGpu(), Net(), SHAPE)
        modules = times.by_module(1).set_index("module")
        rows = times.layers[times.layers["layer"].str.startswith("block")]
        assert modules.loc["block", "kernels"] == rows["kernels"].sum()
        assert exact(modules["self_ms"]) == Decimal(repr(times.step_ms))


def test_a_replay_leaves_no_gradients_in_the_memory_of_the_graph():
    class Runner:
        class step:  # noqa: N801
            class model:  # noqa: N801
                parameters = {"w": nn.Parameter(torch.ones(1))}  # noqa: RUF012

    Runner.step.model.parameters["w"].grad = torch.ones(1)
    assert replay_step(Runner(), 0).reason.startswith("AttributeError")
    assert Runner.step.model.parameters["w"].grad is None


class Recorder:
    """Plays torch: every call is noted by its path."""

    def __init__(self, log, path=""):
        self._log, self._path = log, path

    def __getattr__(self, name):
        return Recorder(self._log, f"{self._path}.{name}".lstrip("."))

    def __call__(self, *args, **kwargs):
        self._log.append((self._path, args, kwargs))
        return Recorder(self._log, f"{self._path}()")

    def __enter__(self):
        self._log.append((f"{self._path}.__enter__", (), {}))
        return self

    def __exit__(self, *_):
        self._log.append((f"{self._path}.__exit__", (), {}))

    def __mul__(self, other):
        return self

    __rmul__ = __mul__

    def __gt__(self, other):
        return True


@pytest.fixture
def torch_calls(monkeypatch):
    log = []
    monkeypatch.setattr(cuda_device, "torch", Recorder(log))
    return log


def names(log):
    return [name for name, *_ in log]


class TestCallsOfTorch:
    def test_settling_seeds_then_flushes_then_waits(self, torch_calls):
        device = cuda_device.Cuda()
        torch_calls.clear()
        device.settle()
        assert names(torch_calls) == ["cuda.manual_seed", "empty().zero_", "cuda.synchronize"]

    def test_events_have_a_clock(self, torch_calls):
        cuda_device.Cuda().event()
        assert torch_calls[-1] == ("cuda.Event", (), {"enable_timing": True})

    def test_the_side_stream_waits_for_the_current_one_and_the_other_way_round(self, torch_calls):
        device = cuda_device.Cuda()
        torch_calls.clear()
        with device.side_stream():
            torch_calls.append(("work", (), {}))
        order = names(torch_calls)
        assert order.index("cuda.Stream().wait_stream") < order.index("cuda.stream().__enter__")
        assert order.index("work") < order.index("cuda.stream().__exit__")
        assert order[-1] == "cuda.current_stream().wait_stream"

    def test_a_capture_gives_its_graph(self, torch_calls):
        device = cuda_device.Cuda()
        with device.capture() as graph:
            torch_calls.append(("work", (), {}))
        graph.replay()
        order = names(torch_calls)
        assert (
            order.index("cuda.graph().__enter__") < order.index("work") < order.index("cuda.graph().__exit__")
        )
        assert order[-1] == "cuda.CUDAGraph().replay"


def test_cuda_is_in_the_table_of_device_kinds(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert timing.timed_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(InceptionLabError, match="no CUDA device 2; use device='cuda'"):
        timing.timed_device("cuda:2")
