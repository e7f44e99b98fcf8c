"""A traced model is left exactly as it was found, whatever its forward does, and nothing is kept of it."""

import collections
import gc
import random
import tracemalloc
import weakref
from queue import SimpleQueue

import numpy as np
import pytest
import torch
from support.fingerprints import assert_left_as_found, fingerprint, same
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.models.registry import create_model
from inception_lab.tracing import recorder as recorder_module
from inception_lab.tracing.storages import MARK

MODES = pytest.mark.parametrize("mode", ["eval", "train"])


class Busy(nn.Module):
    """Its forward writes to everything that it can reach."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("nothing", None)
        self.register_parameter("none", None)
        self.list, self.empty, self.dict, self.set = [1], [], {"a": 1}, {1}
        self.ordered_dict = collections.OrderedDict(a=1)
        self.plain = torch.ones(())
        self.short_lived, self.full_list = "here", [1, 2]
        self.same_list = self.list

    def forward(self, x):
        x = self.norm(self.conv(self.drop(x))) * self.plain
        self.count += 1
        self.last = x
        self.list.append(x)
        self.empty.append(x)
        self.dict["x"] = x
        self.set.add(2)
        self.ordered_dict["x"] = x
        self.full_list.clear()
        del self.short_lived
        self.count = self.count + 1
        self.conv.training = not self.conv.training
        self.conv.extra = x
        self.conv.weight.requires_grad_(False)
        return x


class Raising(Busy):
    def forward(self, x):
        super().forward(x)
        raise RuntimeError("on purpose")


class TestLeftAsFound:
    @MODES
    def test_a_model_whose_forward_writes_everywhere(self, mode):
        assert_left_as_found(Busy(), mode=mode)

    @MODES
    def test_a_model_whose_forward_raises(self, mode):
        model = Raising()
        before = fingerprint(model)
        with pytest.raises(InceptionLabError, match="on purpose"):
            il.trace(model, (2, 3, 8, 8), mode=mode)
        assert same(before, fingerprint(model))

    @MODES
    @pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
    def test_the_zoo(self, name, mode):
        assert_left_as_found(create_model(name, num_classes=10), (1, 3, 64, 64), mode)

    @MODES
    def test_an_input_that_does_not_fit(self, mode):
        model = Busy()
        before = fingerprint(model)
        with pytest.raises(InceptionLabError):
            il.trace(model, (2, 5, 8, 8), mode=mode)
        with pytest.raises(InceptionLabError):
            il.trace(model, (0, 3, 8, 8), mode=mode)
        assert same(before, fingerprint(model))

    @MODES
    def test_mixed_training_flags(self, mode):
        model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.Dropout(), nn.ReLU()))
        model[1].eval()
        model[2].training = False
        assert_left_as_found(model, mode=mode)
        assert [m.training for m in model.modules()] == [True, True, False, False, True, True]

    @MODES
    def test_gradients_that_are_there(self, mode):
        model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1))
        model[0](torch.ones(1, 3, 4, 4)).sum().backward()
        gradient = model[0].weight.grad
        assert_left_as_found(model, mode=mode)
        assert model[0].weight.grad is gradient
        assert model[1].weight.grad is None

    def test_frozen_tied_and_odd_parameters(self):
        model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
        model[1].weight = model[0].weight
        model[2].requires_grad_(False)
        model[2].weight = nn.Parameter(torch.randn(3, 1, 1, 3).permute(0, 3, 1, 2), requires_grad=False)
        assert_left_as_found(model)
        assert model[1].weight is model[0].weight

    def test_hooks_run_and_are_left(self):
        model, ran = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), []
        model[1].register_forward_hook(lambda *_: ran.append("forward"))
        model[1].register_forward_pre_hook(lambda *_: ran.append("before"))
        model[1].register_full_backward_hook(lambda *_: ran.append("backward"))
        model.register_forward_pre_hook(lambda *_: ran.append("with kwargs"), with_kwargs=True)
        assert_left_as_found(model)
        assert ran == ["with kwargs", "before", "forward", "backward"]

    def test_hooks_that_take_themselves_off_or_put_others_on(self):
        model = nn.Conv2d(3, 4, 1)
        once = model.register_forward_hook(lambda *_: once.remove())
        model.register_forward_pre_hook(
            lambda module, _: module.register_forward_hook(lambda *_: None) and None
        )
        assert_left_as_found(model)
        assert len(model._forward_hooks) == 1

    def test_a_forward_of_the_instance_is_left(self):
        model = nn.Conv2d(3, 4, 1)
        model.forward = lambda x: x.relu()
        trace = assert_left_as_found(model, mode="eval")
        assert [op.name for op in trace.ops] == ["aten.relu.default"]

    def test_a_model_that_trained_on_still_trains(self):
        torch.manual_seed(0)
        model, images = create_model("googlenet_bn", num_classes=3), torch.randn(2, 3, 64, 64)
        first = model.eval()(images)
        il.trace(model, (4, 3, 64, 64), mode="train")
        assert torch.equal(model(images), first)
        model.train()(images).sum().backward()
        assert all(p.grad is not None and not p.grad.is_meta for p in model.parameters())

    @MODES
    def test_random_state(self, mode):
        class Random(nn.Module):
            def forward(self, x):
                torch.manual_seed(1)
                np.random.seed(1)
                random.seed(1)
                return x + torch.randn(()) + np.random.rand() + random.random()

        torch.rand(1), np.random.rand(), random.random()
        before = torch.get_rng_state(), np.random.get_state(), random.getstate()
        il.trace(Random(), (2, 3), mode=mode)
        assert torch.equal(before[0], torch.get_rng_state())
        assert all(np.array_equal(a, b) for a, b in zip(before[1], np.random.get_state(), strict=True))
        assert before[2] == random.getstate()

    @pytest.mark.parametrize("switch", [True, False])
    @pytest.mark.parametrize("model", [nn.ReLU(), Raising()])
    def test_global_switches(self, model, switch):
        forward, call = nn.Module.__dict__.get("forward"), nn.Module.__call__
        attributes = dict(vars(nn.Module))
        gc_was = gc.isenabled()
        (gc.enable if switch else gc.disable)()
        try:
            for mode in ("eval", "train"):
                with torch.set_grad_enabled(switch):
                    try:
                        il.trace(model, (2, 3, 8, 8), mode=mode)
                    except InceptionLabError:
                        assert isinstance(model, Raising)
                    assert torch.is_grad_enabled() is switch
                assert gc.isenabled() is switch
        finally:
            (gc.enable if gc_was else gc.disable)()
        assert dict(vars(nn.Module)) == attributes
        assert (nn.Module.__dict__.get("forward"), nn.Module.__call__) == (forward, call)

    def test_a_forward_that_switches_gradients_off(self):
        class Off(nn.Module):
            def forward(self, x):
                torch.set_grad_enabled(False)
                return x

        il.trace(Off(), (2, 3), mode="train")
        assert torch.is_grad_enabled()

    @pytest.mark.parametrize(
        "container",
        [{"a": []}, [[]], collections.deque(), collections.defaultdict(list), collections.Counter()],
    )
    def test_other_containers(self, container):
        class Keeping(nn.Module):
            def forward(self, x):
                inner = (
                    container[next(iter(container), 0)] if isinstance(container, dict) and container else None
                )
                if isinstance(container, dict):
                    (inner.append(1) if inner is not None else container.update({"new": [1]}))
                else:
                    (container[0] if isinstance(container, list) else container).append(1)
                return x

        model = Keeping()
        model.container = container
        assert_left_as_found(model)


class TestMarks:
    def test_none_on_the_models_own_tensors_and_idle_ones_on_stand_ins(self):
        model, collected = Busy(), SimpleQueue()  # from which a run takes nothing out again
        model.plain_tensor = torch.ones(3)
        model.register_forward_pre_hook(lambda module, _: collected.put(list(module.parameters())))
        il.trace(model, (2, 3, 8, 8), mode="train")
        stand_ins = collected.get()
        own = [*model.parameters(), *model.buffers(), model.plain, model.plain_tensor]
        assert len(stand_ins) == 4
        assert all(stand_in.is_meta and stand_in.grad is None for stand_in in stand_ins)
        assert not any(hasattr(t, MARK) for t in own)
        assert all(getattr(t, MARK).storage.storages is None for t in stand_ins)

    def test_none_on_an_example_input_nor_on_a_tensor_of_the_loss(self):
        images, weights = torch.zeros(2, 3), torch.ones(())
        il.trace(nn.Linear(3, 3), images, mode="train", loss=lambda out: (out * weights).sum())
        assert not any(hasattr(t, MARK) for t in (images, weights))

    def test_one_on_what_a_hook_kept_leads_to_no_recorder(self):
        outputs, model = SimpleQueue(), nn.Sequential(nn.Linear(3, 3))
        model[0].register_forward_hook(lambda *args: outputs.put(args[-1]))
        il.trace(model, (2, 3))
        assert getattr(outputs.get(), MARK).storage.storages is None


class TestMemory:
    @MODES
    @pytest.mark.parametrize("model", [nn.Linear(3, 3), Raising()])
    def test_the_recorder_dies_with_the_trace(self, model, mode, monkeypatch):
        recorders = []
        original = recorder_module.Recorder.__init__

        def with_reference(self, *args, **kwargs):
            original(self, *args, **kwargs)
            recorders.append(weakref.ref(self))

        monkeypatch.setattr(recorder_module.Recorder, "__init__", with_reference)
        try:
            il.trace(model, (2, 3, 8, 3), mode=mode)
        except InceptionLabError:
            assert isinstance(model, Raising)
        gc.collect()
        assert recorders
        assert not any(ref() for ref in recorders)

    @MODES
    def test_repeated_traces_do_not_grow(self, mode):
        """A leak adds to every round; what is kept of the last trace alone settles in some of them."""
        model = create_model("googlenet_bn", device="meta")
        il.trace(model, (1, 3, 64, 64), mode=mode)  # imports what it needs
        tracemalloc.start()
        try:
            start = self.bytes_in_use()
            trace = il.trace(model, (1, 3, 64, 64), mode=mode)
            size = self.bytes_in_use() - start
            del trace
            assert min(self.growth(model, mode) for _ in range(5)) < size / 10
        finally:
            tracemalloc.stop()

    def growth(self, model, mode):
        """Bytes that two traces leave behind."""
        start = self.bytes_in_use()
        for _ in range(2):
            il.trace(model, (1, 3, 64, 64), mode=mode)
        return self.bytes_in_use() - start

    def bytes_in_use(self):
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    @MODES
    def test_deleting_a_model_frees_its_parameters_and_their_stand_ins(self, mode):
        model, stand_ins = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), []
        model.register_forward_pre_hook(
            lambda module, _: stand_ins.extend(map(weakref.ref, module.parameters()))
        )
        for _ in range(2):
            il.trace(model, (1, 3, 8, 8), mode=mode)
        assert stand_ins[:4] == stand_ins[4:]  # the same one every time
        references = [weakref.ref(t) for t in (model, *model.parameters(), *model.buffers())] + stand_ins
        del model
        gc.collect()
        assert [ref() for ref in references] == [None] * len(references)

    def test_a_stand_in_is_made_anew_when_its_tensor_changed(self):
        model = nn.Linear(3, 3)
        assert il.trace(model, (1, 3), mode="train").ops[-1].phase == "backward"
        model.requires_grad_(False)
        assert not any(op.phase == "backward" for op in il.trace(model, (1, 3), mode="train").ops)
        model.weight.data = torch.zeros(5, 3)
        model.bias.data = torch.zeros(5, dtype=torch.float32)
        trace = il.trace(model, (1, 3))
        assert trace.values[trace.calls[0].outputs[0]].shape == (1, 5)
        assert {value.dtype for value in il.trace(model.double(), (1, 3)).values} == {"float64"}


class TestAfterwards:
    """Changes that a forward makes to the stand-ins do not reach the model or the next trace."""

    @staticmethod
    def backward_macs(model):
        step = il.trace(model, (2, 3, 8, 8), mode="train")
        return [op.macs for op in step.ops if op.phase == "backward" and op.macs]

    def test_a_forward_that_freezes_a_weight_does_not_freeze_the_next_trace(self):
        class Freezing(nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.conv, self.frozen = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), False

            def forward(self, x):
                if self.frozen:
                    self.conv.weight.requires_grad_(False)
                return self.conv(self.first(x))

        model = Freezing()
        expected = self.backward_macs(model)
        model.frozen = True
        assert self.backward_macs(model) != expected
        model.frozen = False
        assert self.backward_macs(model) == expected
        assert all(p.requires_grad for p in model.parameters())

    def test_a_train_method_that_freezes_leaves_the_weights_as_they_were(self):
        class Backbone(nn.Sequential):
            def train(self, mode=True):
                super().train(mode)
                for parameter in self[0].parameters():
                    parameter.requires_grad = False
                return self

        model = Backbone(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
        il.trace(model, (2, 3, 8, 8), mode="train")
        assert all(p.requires_grad for p in model.parameters())

    def test_what_a_parent_does_to_its_children_is_undone(self):
        class Meddling(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv, self.layers = nn.Conv2d(3, 4, 3), nn.ModuleList([nn.ReLU()])

            def forward(self, x):
                self.conv.register_buffer("mask", torch.ones(1, device=x.device))
                self.conv.register_forward_hook(lambda *_: None)
                self.layers.append(nn.Linear(2, 2))
                return self.layers[0](self.conv(x))

        model = Meddling()
        keys = list(model.state_dict())
        il.trace(model, (2, 3, 8, 8))
        assert list(model.state_dict()) == keys
        assert not model.conv._forward_hooks
        assert len(model.layers) == 1

    def test_what_a_subclass_of_torchs_own_layer_keeps_is_taken_out(self):
        class Keeping(nn.Conv2d):
            def _conv_forward(self, x, weight, bias):
                self.last = super()._conv_forward(x, weight, bias)
                return self.last

        model = nn.Sequential(Keeping(3, 4, 3))
        il.trace(model, (2, 3, 8, 8))
        assert not hasattr(model[0], "last")
