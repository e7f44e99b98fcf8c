"""Attributes of modules put back, and which modules need none of it."""

import random
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from inception_lab.running.snapshots import (
    Snapshot,
    TrainingFlags,
    are_trusted,
    containers_of,
    modules_in_attributes,
)


class Cache:
    def __init__(self):
        self.items, self.length = [], 0


class Callable(Cache):
    def __call__(self):
        self.length += 1


class OwnConv(nn.Conv2d):
    """Code of one's own, which may keep whatever it likes."""


class OwnTrain(nn.Sequential):
    def train(self, mode=True):
        return super().train(mode)


class TestSnapshot:
    def test_attributes_are_back(self):
        module = nn.Linear(2, 2)
        module.first, module.second = object(), None
        before = dict(vars(module))
        snapshot = Snapshot(module)
        module.first, module.third = None, 3
        del module.second
        module.bias = None
        snapshot.restore()
        assert vars(module).items() == before.items()
        assert [vars(module)[name] is value for name, value in before.items()] == [True] * len(before)

    @pytest.mark.parametrize(
        ("container", "change"),
        [
            ([1, [2]], lambda c: (c.append(3), c[1].clear())),
            ([], lambda c: c.append(1)),
            ({"a": [1]}, lambda c: (c["a"].append(2), c.pop("a"))),
            ({}, lambda c: c.update(a=1)),
            ({1}, lambda c: c.add(2)),
            (deque([1, 2], maxlen=2), lambda c: c.append(3)),
            (([1], {"a": 1}), lambda c: (c[0].append(2), c[1].clear())),
            (SimpleNamespace(a=[1]), lambda c: (c.a.append(2), setattr(c, "b", 1))),
            (Cache(), lambda c: (c.items.append(1), setattr(c, "length", 1))),
        ],
        ids=lambda item: type(item).__name__,
    )
    def test_contents_of_containers_are_back(self, container, change):
        def content(item):
            return repr(vars(item) if hasattr(item, "__dict__") else item)

        module, before = nn.Module(), content(container)
        module.container = container
        snapshot = Snapshot(module)
        change(container)
        assert content(container) != before
        snapshot.restore()
        assert module.container is container
        assert content(container) == before


def test_training_flags_are_back_and_forwards_of_the_instance_gone():
    modules = [nn.ReLU().train(), nn.ReLU().eval()]
    flags = TrainingFlags(modules)
    for module in modules:
        module.training = not module.training
        module.forward = None
    flags.restore()
    assert [module.training for module in modules] == [True, False]
    assert not ["forward" for module in modules if "forward" in vars(module)]


class TestTrusted:
    @pytest.mark.parametrize("module", [nn.Conv2d(1, 1, 1), nn.Sequential(nn.ReLU()), nn.BatchNorm2d(1)])
    def test_layers_of_torch(self, module):
        assert are_trusted(module.modules())

    @pytest.mark.parametrize(
        "module",
        [OwnConv(1, 1, 1), OwnTrain(nn.ReLU()), nn.LSTM(1, 1), nn.Sequential(nn.ReLU(), OwnConv(1, 1, 1))],
        ids=lambda module: type(module).__name__,
    )
    def test_what_may_keep_something_is_not(self, module):
        assert not are_trusted(module.modules())

    @pytest.mark.parametrize(
        "register",
        ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
         "register_full_backward_pre_hook"],
    )  # fmt: skip
    def test_a_hook_is_not_until_it_is_removed(self, register):
        module = nn.ReLU()
        handle = getattr(module, register)(lambda *_: None)
        assert not are_trusted([module])
        handle.remove()
        assert are_trusted([module])

    @pytest.mark.parametrize(
        "register",
        ["register_module_forward_hook", "register_module_forward_pre_hook",
         "register_module_full_backward_hook", "register_module_full_backward_pre_hook"],
    )  # fmt: skip
    def test_a_hook_of_all_modules_neither(self, register):
        handle = getattr(nn.modules.module, register)(lambda *_: None)
        try:
            assert not are_trusted([nn.ReLU()])
        finally:
            handle.remove()
        assert are_trusted([nn.ReLU()])

    def test_a_forward_of_the_instance_neither(self):
        module = nn.ReLU()
        module.forward = torch.relu
        assert not are_trusted([module])


class TestContainers:
    def test_each_once_however_they_refer_to_each_other(self):
        module, circle = nn.Module(), [1]
        circle.append(circle)
        module.circle, module.again, module.within = circle, circle, {"circle": circle}
        own = [c for c in containers_of(module) if c is circle or c is module.within]
        assert own == [circle, module.within]

    def test_tensors_functions_and_objects_of_libraries_are_left_alone(self):
        module, before = nn.Module(), list(containers_of(nn.Module()))
        module.tensor, module.function, module.array = torch.ones(1), print, np.ones(1)
        module.random, module.kind, module.callable = random.Random(0), Cache, Callable()
        assert list(containers_of(module)) == before

    def test_modules_that_are_not_registered(self):
        owner, first, second, registered = nn.Module(), nn.ReLU(), nn.ReLU(), nn.ReLU()
        owner.registered, owner.list, owner.cache = registered, [first], Cache()
        owner.cache.items = {"key": second}
        assert modules_in_attributes([owner]) == [first, second]
