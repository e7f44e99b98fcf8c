"""What a forward or a hook writes to, beyond the attributes of modules, is as it was after a run."""

import collections
import functools
import os
import random

import numpy as np
import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.running.outside_state import MOST_ITEMS, OutsideState
from inception_lab.running.settings import Settings

SEEN, BY_NAME, COUNT, ARRAY, TENSOR = [], {}, 0, np.zeros(3), torch.zeros(3)
MODES = pytest.mark.parametrize(
    "options", [{}, {"mode": "train"}, {"device": "cpu"}], ids=["eval", "train", "cpu"]
)


class Net(nn.Module):
    """A layer whose forward writes to something first."""

    def __init__(self, write=None):
        super().__init__()
        self.layer, self.write = nn.Linear(4, 4), write

    def forward(self, x):
        if self.write:
            self.write(x)
        return self.layer(x)


def trace(model, **options):
    result = il.trace(model, (2, 4), **options)
    assert sum(op.macs for op in result.ops if op.phase == "forward") == 2 * 4 * 4


class Mapping(dict):
    pass


class Sequence(list):
    pass


class Slotted:
    __slots__ = ("count", "items")

    def __init__(self):
        self.count, self.items = 0, []


@MODES
class TestAttributes:
    def test_arrays(self, options):
        class Arrays(Net):
            def __init__(self):
                super().__init__()
                self.array, self.box, self.raw = (
                    np.zeros(3),
                    [np.ones(2), {"inner": np.ones(2)}],
                    bytearray(2),
                )

            def forward(self, x):
                self.array += 1
                self.box[0][:] = self.box[1]["inner"][0] = 7
                self.raw[0] = 5
                return super().forward(x)

        model = Arrays()
        array = model.array
        trace(model, **options)
        assert model.array is array
        assert (array.tolist(), model.box[0].tolist(), model.box[1]["inner"].tolist()) == (
            [0] * 3,
            [1] * 2,
            [1] * 2,
        )
        assert model.raw == bytearray(2)

    def test_generators(self, options):
        class Drawing(Net):
            def __init__(self):
                super().__init__()
                self.python, self.numpy = random.Random(3), np.random.default_rng(3)
                self.older, self.torch = np.random.RandomState(3), torch.Generator().manual_seed(3)

            def draw(self):
                numbers = self.python.random(), self.numpy.random(), self.older.rand()
                return *numbers, torch.rand(1, generator=self.torch, device="cpu")

            def forward(self, x):
                self.draw()
                return super().forward(x)

        model = Drawing()
        trace(model, **options)
        assert model.draw() == Drawing().draw()

    def test_containers_of_the_users_own_classes_and_slots(self, options):
        class Keeping(Net):
            def __init__(self):
                super().__init__()
                self.mapping, self.sequence, self.slotted = Mapping(a=1), Sequence("b"), Slotted()

            def forward(self, x):
                self.mapping["x"] = x
                self.sequence.append(x)
                self.slotted.count = 3
                self.slotted.items.append(x)
                return super().forward(x)

        model = Keeping()
        trace(model, **options)
        assert (model.mapping, model.sequence) == (Mapping(a=1), Sequence("b"))
        assert (model.slotted.count, model.slotted.items) == (0, [])

    def test_attributes_of_the_class(self, options):
        class Counting(Net):
            calls, seen = 0, []

            def forward(self, x):
                type(self).calls += 1
                type(self).last = x
                self.seen.append(x)
                return super().forward(x)

        trace(Counting(), **options)
        assert (Counting.calls, Counting.seen, hasattr(Counting, "last")) == (0, [], False)


def to_globals(x):
    global COUNT
    COUNT += 1
    SEEN.append(x)
    helper(x)
    ARRAY[:] = 5


def helper(x):
    BY_NAME["x"] = x


def to_a_default(x, seen=[]):  # noqa: B006 - this is what is tested
    seen.append(x)
    return seen


@MODES
class TestFunctions:
    def test_globals_and_what_helpers_refer_to(self, options):
        trace(Net(to_globals), **options)
        assert (COUNT, SEEN, BY_NAME, ARRAY.tolist()) == (0, [], {}, [0, 0, 0])

    def test_defaults(self, options):
        trace(Net(to_a_default), **options)
        assert to_a_default.__defaults__ == ([],)

    def test_closures(self, options):
        count, seen, by_name = 0, collections.deque(), {"a": [1]}

        def write(x):
            nonlocal count
            count += 1
            seen.append(x)
            by_name["a"].append(x)

        trace(Net(write), **options)
        assert (count, list(seen), by_name) == (0, [], {"a": [1]})

    def test_a_tensor_that_a_real_run_writes_to(self, options):
        def write(x):
            if x.sum() > -1e9:  # which meta tensors cannot tell
                TENSOR.add_(1)

        trace(Net(write), **options)
        assert TENSOR.tolist() == [0, 0, 0]


class Collector:
    def __init__(self):
        self.features = []

    def __call__(self, *call):
        self.features.append(call)

    def method(self, *call):
        self.features.append(call)


@MODES
class TestHooks:
    """Features that a user's hooks collect: none of a run's tensors stay there, and the user's own do."""

    @pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
    def test_of_layers(self, register, options):
        features, calls = {}, 0

        def hook(module, *_):
            nonlocal calls
            calls += 1
            features[module] = _

        model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        getattr(model[0], register)(hook)
        trace(model, **options)
        assert (features, calls) == ({}, 0)
        kept = model(torch.ones(2, 4))
        before = dict(features)
        trace(model, **options)
        assert (features, calls) == (before, 1)
        assert kept.shape == (2, 4)

    def test_objects_methods_and_partial_functions(self, options):
        collector, features = Collector(), []
        model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        model[0].register_forward_hook(collector)
        model[1].register_forward_hook(collector.method)
        model[1].register_forward_hook(functools.partial(lambda to, *call: to.append(call), features))
        trace(model, **options)
        assert (collector.features, features) == ([], [])

    def test_of_all_modules(self, options):
        features = []
        handle = nn.modules.module.register_module_forward_hook(lambda *call: features.append(call))
        try:
            trace(nn.Sequential(nn.Linear(4, 4)), **options)
        finally:
            handle.remove()
        assert features == []


def change_settings(_):
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(not torch.is_grad_enabled())
    torch.set_autocast_enabled("cuda", True)
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
    np.seterr(all="raise")
    os.environ["INCEPTION_LAB_TEST"] = "1"


def settings():
    return (
        torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(),
        torch.is_autocast_enabled("cuda"), torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark, np.geterr(), dict(os.environ),
    )  # fmt: skip


def test_a_default_device_that_was_set_within_another_one():
    """The outer one's end takes it out of effect; PyTorch keeps it, and ended later it brings that back."""
    state = Settings()
    with torch.device("meta"):
        torch.set_default_device("meta")
    state.restore()
    trace(Net(change_settings))
    assert torch.get_default_device() == torch.device("cpu")


def test_settings_of_the_process():
    before = settings()
    trace(Net(change_settings))
    assert settings() == before
    state = Settings()
    change_settings(None)
    assert settings() != before
    state.restore()
    assert settings() == before


def test_what_has_not_changed_is_not_touched():
    """Another thread may be in the middle of it."""
    queue = collections.deque([1, 2])

    def hook(*_):
        return queue

    model = nn.Linear(4, 4)
    model.register_forward_hook(hook)
    state, places = OutsideState([model]), iter(queue)
    assert next(places) == 1
    state.restore()
    assert next(places) == 2  # a queue that was written to meanwhile would refuse


def test_large_containers_are_put_back_too():
    large = list(range(MOST_ITEMS + 1))
    model = nn.Linear(4, 4)
    model.register_forward_hook(lambda *call: large.append(call))
    trace(nn.Sequential(model))
    assert len(large) == MOST_ITEMS + 1


def test_what_a_real_run_gave_is_the_programs_own():
    features = []
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    model[0].register_forward_hook(lambda *call: features.append(call[-1]))
    il.crosscheck(model, (2, 4))
    assert not any(feature.is_meta for feature in features)
    il.measure_memory(model, (2, 4))
    assert all(feature.shape == (2, 4) and not feature.is_meta for feature in features)
    assert features
