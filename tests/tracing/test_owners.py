"""The module call that each operation of a trace belongs to, against hooks and small nets."""

import pytest
import torch
import torch.nn.functional as F
from support.forwards import SMALL, conv, net_of, owners
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import inception_lab as il
from inception_lab.models.registry import create_model


def by_hooks(model, shape):
    """Path of the innermost call of each operation of a forward, told by hooks alone."""
    stack, paths, images = [], [], torch.empty(shape, device="meta")

    class PathLog(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            paths.append((str(func), stack[-1]))
            return func(*args, **(kwargs or {}))

    hooks = []
    for path, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, path=path: stack.append(path)))
        hooks.append(module.register_forward_hook(lambda *_: stack.__delitem__(-1)))
    with PathLog():
        model(images)
    for hook in hooks:
        hook.remove()
    return paths


def assert_backward_belongs(trace):
    """Each backward operation has a call, and a convolution's is that of the forward on the same values."""
    backward = [op for op in trace.ops if op.phase == "backward"]
    assert backward[0].name == "aten.ones_like.default"
    assert [op.name for op in backward[1:] if op.call < 0] == []
    forward = {(op.call, *op.reads[:2]) for op in trace.ops if op.name == "aten.convolution.default"}
    gradients = [(op.call, *op.reads[1:3]) for op in backward if op.base_name == "convolution_backward"]
    assert len(set(gradients)) == len(gradients)
    assert set(gradients) <= forward
    return len(gradients)


class TestForwardCalls:
    @pytest.mark.parametrize("name", ["googlenet", "googlenet_bn", "googlenet_v3"])
    def test_every_operation_belongs_to_the_innermost_call(self, name):
        model = create_model(name, device="meta", aux_logits=True).train()
        trace = il.trace(model, (1, 3, 191, 191), mode="train")
        calls = [(op.name, trace.calls[op.call].path) for op in trace.ops if op.phase == "forward"]
        assert calls == by_hooks(model, (1, 3, 191, 191))

    def test_parents(self):
        trace = il.trace(nn.Sequential(nn.Sequential(conv(), nn.ReLU()), nn.Identity()), SMALL)
        rows = [(c.path, c.type, c.parent, c.leaf, c.params) for c in trace.calls]
        assert rows == [
            ("", "Sequential", None, False, 0),
            ("0", "Sequential", 0, False, 0),
            ("0.0", "Conv2d", 1, True, 12),
            ("0.1", "ReLU", 1, True, 0),
            ("1", "Identity", 0, True, 0),
        ]
        assert trace.calls[4].inputs == trace.calls[4].outputs == trace.calls[1].outputs

    def test_functions_of_a_container_are_its_own(self):
        trace = il.trace(net_of(lambda net, x: F.relu(net.a(x)) + 1, conv()), SMALL)
        assert owners(trace) == [("convolution", "a", 0), ("relu", "", 0), ("add", "", 0)]

    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_a_module_called_twice_has_two_rows_and_its_parameters_once(self, mode):
        trace = il.trace(net_of(lambda net, x: net.a(net.a(x)), conv()), SMALL, mode=mode)
        rows = [(c.path, c.number, c.params) for c in trace.calls if c.path == "a"]
        assert rows == [("a", 0, 12), ("a", 1, 0)]
        assert owners(trace, "forward") == [("convolution", "a", 0), ("convolution", "a", 1)]
        if mode == "train":
            assert assert_backward_belongs(trace) == 2

    def test_a_module_under_two_names_is_one(self):
        layer = conv()
        trace = il.trace(net_of(lambda net, x: net.b(net.a(x)), layer, layer), SMALL)
        assert [(c.path, c.number, c.params, c.executed) for c in trace.calls] == [
            ("", 0, 0, True), ("a", 0, 12, True), ("a", 1, 0, True),
        ]  # fmt: skip

    def test_a_module_at_several_sizes(self):
        net = net_of(lambda net, x: net.a(x).sum() + net.a(F.avg_pool2d(x, 2)).sum(), conv())
        trace = il.trace(net, SMALL, mode="train")
        outputs = [trace.values[c.outputs[0]].shape for c in trace.calls if c.path == "a"]
        assert outputs == [(2, 3, 64, 64), (2, 3, 32, 32)]
        assert [op.macs for op in trace.ops if op.name == "aten.convolution.default"] == [9 * 8192, 9 * 2048]
        assert assert_backward_belongs(trace) == 2

    def test_a_module_never_called_is_listed(self):
        trace = il.trace(net_of(lambda net, x: net.a(x), conv(), nn.Sequential(conv())), SMALL)
        rows = [(c.path, c.params, c.executed, c.leaf, c.inputs) for c in trace.calls if not c.executed]
        assert rows == [("b", 0, False, False, ()), ("b.0", 12, False, True, ())]
        assert {op.call for op in trace.ops} == {1}

    def test_tied_weights_count_once(self):
        net = net_of(lambda net, x: net.b(net.a(x)), conv(), conv())
        net.b.weight = net.a.weight
        trace = il.trace(net, SMALL, mode="train")
        assert [(c.path, c.params) for c in trace.calls] == [
            ("", 0),
            ("a", 12),
            ("b", 3),
            ("(loss)", 0),
            ("(backward)", 0),
        ]
        assert sorted(s.name for s in trace.storages if s.kind == "parameter") == [
            "a.bias",
            "a.weight",
            "b.bias",
        ]
        assert sorted(s.name for s in trace.storages if s.kind == "gradient") == [
            "a.bias",
            "a.weight",
            "b.bias",
        ]
        assert assert_backward_belongs(trace) == 2

    def test_a_call_by_forward_is_a_call(self):
        trace = il.trace(net_of(lambda net, x: net.a.forward(x), nn.Sequential(conv())), SMALL)
        assert [(c.path, c.parent) for c in trace.calls] == [("", None), ("a", 0), ("a.0", 1)]
        assert owners(trace) == [("convolution", "a.0", 0)]

    def test_arguments_by_name_and_nested_results(self):
        def inner(_, x=None, more=None):
            return {"a": [x + 1, (more["y"], None)], "b": "text"}

        def outer(net, x, y):
            out = net.a(x=x, more={"y": y})
            return out["a"][0] + out["a"][1][0]

        module = net_of(inner)
        module.forward = lambda **kwargs: inner(module, **kwargs)
        trace = il.trace(net_of(outer, module), [(2, 3), (2, 3)])
        call = trace.calls[1]
        assert call.inputs == trace.calls[0].inputs
        assert call.outputs == (trace.ops[0].writes[0], trace.calls[0].inputs[1])


class TestBackwardCalls:
    @pytest.mark.parametrize(("name", "convolutions"), [("googlenet", 59), ("googlenet_bn", 59)])
    def test_every_operation_finds_its_call(self, name, convolutions):
        model = create_model(name, device="meta", aux_logits=True)
        trace = il.trace(model, (1, 3, 191, 191), mode="train")
        assert assert_backward_belongs(trace) == convolutions
        for op in trace.ops:
            if op.name == "aten.convolution_backward.default":
                weight = trace.storages[trace.values[op.reads[2]].storage].name
                assert weight == f"{trace.calls[op.call].path}.weight"

    @pytest.mark.parametrize(
        ("function", "convolutions"),
        [
            (lambda net, x: net.b(net.a(x).relu_()), 2),
            (lambda net, x: torch.cat([net.a(x), net.b(x)], 1), 2),
            (lambda net, x: net.a(x) + net.b(x) + net.a(x), 3),
            (lambda net, x: net.b(net.a(x).detach()), 1),
            (lambda net, x: F.dropout(net.b(F.interpolate(net.a(x), scale_factor=2))), 2),
            (lambda net, x: [net.a(x), {"b": (net.b(x).flatten(1), 1)}], 2),
        ],
    )
    def test_forks_and_merges(self, function, convolutions):
        assert (
            assert_backward_belongs(il.trace(net_of(function, conv(), conv()), SMALL, mode="train"))
            == convolutions
        )

    def test_frozen_parameters_have_no_gradient(self):
        net = nn.Sequential(conv(), conv(), conv())
        net[0].requires_grad_(False)
        net[1].weight.requires_grad_(False)
        trace = il.trace(net, SMALL, mode="train")
        assert assert_backward_belongs(trace) == 2
        assert sorted(s.name for s in trace.storages if s.kind == "gradient") == [
            "1.bias",
            "2.bias",
            "2.weight",
        ]
        assert sum(op.macs for op in trace.ops if op.phase == "backward") == 2 * 9 * 8192

    def test_a_wholly_frozen_net_has_no_backward(self):
        trace = il.trace(conv().requires_grad_(False), SMALL, mode="train")
        assert {op.phase for op in trace.ops} == {"forward", "loss"}

    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_a_model_without_parameters(self, mode):
        trace = il.trace(nn.ReLU(), SMALL, mode=mode)
        assert [op.name for op in trace.ops if op.phase == "forward"] == ["aten.relu.default"]
        assert not any(op.phase == "backward" for op in trace.ops)
        assert trace.context.dtype == "float32"

    @pytest.mark.parametrize(
        "layer", [nn.Hardswish(inplace=True), net_of(lambda _, x: x[:, :1].mul_(2) + x[:, 1:])]
    )
    def test_in_place_operations(self, layer):
        assert_backward_belongs(il.trace(nn.Sequential(conv(), layer), SMALL, mode="train"))

    def test_a_weight_that_its_parent_uses(self):
        net = net_of(lambda net, x: F.conv2d(x, net.a.weight, net.a.bias), conv())
        assert_backward_belongs(il.trace(net, SMALL, mode="train"))
