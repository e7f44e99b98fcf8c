"""The trace against real runs on the CPU, hooks, and networks small enough to follow by hand."""

import gc
import weakref
from collections import Counter, namedtuple

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import inception_lab as il
from inception_lab.errors import MODEL_FAILED, InceptionLabError, InputRefused
from inception_lab.models.registry import create_model
from inception_lab.running.gradient_accumulation import SumsInPlace
from inception_lab.running.losses import HEAD_WEIGHT
from inception_lab.tracing.tracer import takes

SMALL = (2, 3, 64, 64)


# ------------------------------------------------------------------------------------- a real run


class OperationLog(TorchDispatchMode):
    """Operations of a real run: each with its outputs, and the bytes alive once it is done."""

    def __init__(self, *tensors):
        super().__init__()
        self.ops, self.alive, self.bytes_alive = [], {}, []
        for tensor in tensors:
            self.watch(tensor)

    def watch(self, tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in self.alive:
            death = weakref.ref(storage, lambda _, address=storage._cdata: self.alive.pop(address))
            self.alive[storage._cdata] = storage.nbytes(), death

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        outputs = out if isinstance(out, (tuple, list)) else [out]
        tensors = [t for t in outputs if isinstance(t, torch.Tensor)]
        for tensor in tensors:
            self.watch(tensor)
        self.ops.append((str(func), tuple((tuple(t.shape), t.stride()) for t in tensors)))
        self.bytes_alive.append(sum(size for size, _ in self.alive.values()))
        return out


def loss_of(outputs):
    """Cross-entropy with heads at 0.3, of a target that real and meta tensors can both have."""
    logits, heads = (outputs.logits, outputs.aux_logits) if hasattr(outputs, "logits") else (outputs, ())
    target = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    loss = F.cross_entropy(logits, target)
    for head in heads:
        loss = loss + 0.3 * F.cross_entropy(head, target)
    return loss


def run_for_real(model, shape, mode):
    images = torch.zeros(shape)
    model.train(mode == "train")
    gc.collect()
    gc.disable()
    try:
        log = OperationLog(*model.parameters(), *model.buffers(), images)
        with log, SumsInPlace(), torch.set_grad_enabled(mode == "train"):
            outputs = model(images)
            if mode == "train":
                loss = loss_of(outputs)
                loss.backward()
    finally:
        gc.enable()
    return log


def operations(trace):
    """Name of each operation, with shapes and strides of its outputs."""

    def outputs(op):
        return tuple((trace.values[v].shape, trace.values[v].strides) for v in op.writes)

    return [(op.name, outputs(op)) for op in trace.ops]


def bytes_alive(trace):
    """Bytes alive after each operation, from births and deaths."""
    change = Counter()
    for storage in trace.storages:
        change[storage.born or 0] += storage.bytes
        if storage.dies is not None:
            change[storage.dies + 1] -= storage.bytes
    alive, total = [], 0
    for op in trace.ops:
        total += change[op.id]
        alive.append(total)
    return alive


CASES = [
    ("googlenet", {}, SMALL),
    ("googlenet_bn", {}, SMALL),
    ("googlenet_bn", {"aux_logits": True}, (1, 3, 191, 191)),
]


class TestAgainstRealRuns:
    @pytest.fixture(params=CASES, ids=["plain", "batch norm", "heads"])
    def net(self, request):
        name, options, shape = request.param
        return create_model(name, num_classes=10, init_weights=False, **options), shape

    def both(self, net, mode):
        model, shape = net
        il.trace(model, shape, mode=mode, loss=loss_of)  # so that every kernel has run once, here
        run_for_real(model, shape, mode)  # and there
        trace = il.trace(model, shape, mode=mode, loss=loss_of)
        for parameter in model.parameters():
            parameter.grad = None
        return trace, run_for_real(model, shape, mode)

    def test_a_training_step(self, net):
        trace, real = self.both(net, "train")
        assert operations(trace) == real.ops
        assert bytes_alive(trace) == real.bytes_alive

    def test_inference(self, net):
        """The CPU's batch norm saves empty statistics in eval mode: 2 x 4 bytes per channel differ."""
        trace, real = self.both(net, "eval")

        def without_statistics(ops):
            return [(name, out[:1] if "batch_norm" in name else out) for name, out in ops]

        assert without_statistics(operations(trace)) == without_statistics(real.ops)
        assert max(bytes_alive(trace)) == pytest.approx(max(real.bytes_alive), abs=2 * 4 * 1024)

    def test_gradients_are_named_and_survive(self, net):
        model, shape = net
        trace = il.trace(model, shape, mode="train")
        gradients = {s.name: s.bytes for s in trace.storages if s.kind == "gradient"}
        assert gradients == {path: p.numel() * 4 for path, p in model.named_parameters()}
        assert all(s.dies is None for s in trace.storages if s.kind == "gradient")


class TestStorages:
    def test_kinds(self):
        step = il.trace(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU()), SMALL, mode="train")
        sizes = Counter(
            (s.kind, s.name, s.bytes) for s in step.storages if s.kind in ("parameter", "buffer", "input")
        )
        assert sizes == Counter(
            [("parameter", "0.weight", 48), ("parameter", "0.bias", 16), ("input", "0", 2 * 3 * 64 * 64 * 4)]
            + [("parameter", f"1.{name}", 16) for name in ("weight", "bias")]
            + [("buffer", f"1.{name}", 16) for name in ("running_mean", "running_var")]
            + [("buffer", "1.num_batches_tracked", 8)]
        )

    def test_what_exists_before_has_no_birth_and_what_outlives_no_death(self):
        trace = il.trace(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), SMALL)
        first, last = [s for s in trace.storages if s.born is not None]
        assert [s.born for s in trace.storages if s.kind in ("parameter", "input")] == [None] * 3
        assert (first.born, first.dies) == (0, 1)
        assert (last.born, last.dies, last.kind) == (1, None, "activation")

    def test_a_batch_of_512_is_a_batch_of_1_scaled(self):
        model = create_model("googlenet_bn", device="meta")
        one, many = (il.trace(model, (n, 3, 64, 64)) for n in (1, 512))
        assert [op.name for op in one.ops] == [op.name for op in many.ops]
        assert [512 * op.macs for op in one.ops] == [op.macs for op in many.ops]
        state = {s.id for s in one.storages if s.kind in ("parameter", "buffer")}
        for a, b in zip(one.values, many.values, strict=True):
            without_batch = a.storage in state or len(a.shape) < 2
            assert b.shape == (a.shape if without_batch else (512 * a.shape[0], *a.shape[1:]))
        assert many.context.batch_size == 512
        assert [(s.born, s.dies) for s in one.storages] == [(s.born, s.dies) for s in many.storages]


# -------------------------------------------------------------------------------------- whose op it is


def net_of(function, *layers):
    """A network of these layers, called `a`, `b`, `c`, with this forward."""

    class Net(nn.Module):
        def forward(self, *args):
            return function(self, *args)

    net = Net()
    for name, layer in zip("abc", layers, strict=False):
        net.add_module(name, layer)
    return net


def conv():
    return nn.Conv2d(3, 3, 1)


def owners(trace, *phases):
    """The path and call number that each operation belongs to."""
    return [
        (op.base_name, call.path if call else None, call.number if call else None)
        for op in trace.ops
        if not phases or op.phase in phases
        for call in (trace.calls[op.call],)
    ]


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


class TestValues:
    def test_an_in_place_operation_after_a_fork_writes_a_new_version(self):
        def forward(net, x):
            x = net.a(x)
            y = x * 2
            x.relu_()
            return x + y

        trace = il.trace(net_of(forward, conv()), SMALL)
        conv_op, mul_op, relu_op, add_op = trace.ops
        before, after = trace.values[conv_op.writes[0]], trace.values[relu_op.writes[0]]
        assert before.id != after.id
        assert before.storage == after.storage
        assert (before.op, after.op) == (conv_op.id, relu_op.id)
        assert mul_op.reads == (before.id,)
        assert add_op.reads == (after.id, mul_op.writes[0])

    def test_a_view_shares_its_storage_and_reads_the_last_version(self):
        def forward(net, x):
            x = net.a(x)
            view = x[:, 1:]
            x.add_(1)
            return view * 1

        trace = il.trace(net_of(forward, conv()), SMALL)
        view = trace.values[next(op for op in trace.ops if op.base_name == "slice").writes[0]]
        last = trace.ops[-1]
        read = trace.values[last.reads[0]]
        assert read.storage == view.storage == trace.values[trace.ops[0].writes[0]].storage
        assert read.op == next(op.id for op in trace.ops if op.name == "aten.add_.Tensor")
        assert (read.offset, read.shape) == (view.offset, view.shape)
        assert view.offset == 64 * 64

    def test_a_write_through_a_view_is_a_write_to_the_base(self):
        def forward(net, x):
            x = net.a(x)
            x[:, :1].zero_()
            return x.relu()

        trace = il.trace(net_of(forward, conv()), SMALL)
        zero, relu = (next(op for op in trace.ops if op.base_name == name) for name in ("zero", "relu"))
        assert trace.values[relu.reads[0]].op == zero.id

    def test_a_buffer_written_is_a_new_version_of_the_same_storage(self):
        net = net_of(lambda net, x: x + net.steps.add_(1))
        net.register_buffer("steps", torch.zeros(()))
        trace = il.trace(net, (2, 3))
        before, after = trace.values[trace.ops[0].reads[0]], trace.values[trace.ops[0].writes[0]]
        assert (before.op, after.op, before.storage) == (None, 0, after.storage)
        assert trace.storages[after.storage].kind == "buffer"

    def test_a_value_read_is_never_older_than_the_last_write_to_its_storage(self):
        trace = il.trace(create_model("googlenet_bn", device="meta"), SMALL, mode="train")
        last_write = {}
        for op in trace.ops:
            read = [trace.values[value] for value in op.reads]
            assert all((-1 if v.op is None else v.op) >= last_write.get(v.storage, -1) for v in read)
            for value in map(trace.values.__getitem__, op.writes):
                assert value.op == op.id
                if op.in_place or value.storage not in {v.storage for v in read}:
                    last_write[value.storage] = op.id
        assert len(last_write) > len(trace.ops) / 3


# --------------------------------------------------------------------------------- losses and errors

Heads = namedtuple("Heads", ["logits", "aux1", "aux2"])


class TestLoss:
    def test_logits_alone(self):
        trace = il.trace(nn.Linear(3, 5), (2, 3), mode="train")
        assert trace.context.loss == "cross_entropy"
        assert [c.path for c in trace.calls] == ["", "(loss)", "(backward)"]
        assert {op.name for op in trace.ops if op.phase == "loss"} >= {"aten._log_softmax.default"}

    @pytest.mark.parametrize("heads", ["tuple", "fields", "some"])
    def test_heads_weigh_three_tenths(self, heads):
        """The factor that multiplies each loss, forward and backward."""
        outputs = namedtuple("Outputs", ["logits", "aux_logits"])

        def forward(net, x):
            main, *rest = net.a(x), net.b(x), net.b(x + 1)
            if heads == "tuple":
                return outputs(main, tuple(rest))
            return Heads(main, *rest) if heads == "fields" else Heads(main, rest[0], None)

        trace = il.trace(net_of(forward, nn.Linear(3, 5), nn.Linear(3, 5)), (2, 3), mode="train")
        assert trace.context.loss == "cross_entropy"
        count = 1 if heads == "some" else 2
        scalings = [op for op in trace.ops if op.name == "aten.mul.Tensor"]
        assert [op.arg("other") for op in scalings] == [HEAD_WEIGHT] * 2 * count
        assert [op.phase for op in scalings] == ["loss"] * count + ["backward"] * count
        assert sum(op.base_name == "nll_loss_forward" for op in trace.ops) == 1 + count

    def test_the_zoo_heads_as_a_real_loss_would_weigh_them(self):
        model = create_model("googlenet", device="meta", aux_logits=True, num_classes=7)
        default = il.trace(model, (2, 3, 191, 191), mode="train")
        by_hand = il.trace(model, (2, 3, 191, 191), mode="train", loss=loss_of)
        target = {"aten.empty.memory_format", "aten.zeros.default"}

        def names(trace):
            return Counter((op.phase, op.name) for op in trace.ops if op.name not in target)

        assert names(default) == names(by_hand)
        scales = [
            op.arg("other") for op in default.ops if op.phase == "backward" and op.name == "aten.mul.Tensor"
        ]
        assert scales.count(0.3) == 2

    @pytest.mark.parametrize(
        ("function", "sums"),
        [
            (lambda net, x: net.a(x)[None], 1),
            (lambda net, x: [net.a(x), {"b": net.a(x), "c": x.argmax(), "d": "text"}], 3),
            (lambda net, x: (net.a(x), None), 1),
            (lambda net, x: net.a(x).sum(), 1),
        ],
    )
    def test_else_the_sum_of_what_is_floating(self, function, sums):
        trace = il.trace(net_of(function, nn.Linear(3, 5)), (2, 3), mode="train")
        assert trace.context.loss == "sum"
        assert sum(op.name == "aten.sum.default" for op in trace.ops if op.phase == "loss") == sums
        assert any(op.phase == "backward" for op in trace.ops)

    def test_nothing_floating(self):
        with pytest.raises(InceptionLabError, match="no floating tensor; pass loss="):
            il.trace(net_of(lambda _, x: x.argmax(1)), (2, 3), mode="train")
        trace = il.trace(net_of(lambda _, x: x.argmax(1)), (2, 3))
        assert (trace.context.loss, trace.context.mode) == (None, "eval")

    def test_a_loss_of_ones_own(self):
        def half_sum(outputs):
            return outputs.sum() / 2

        class MeanSquare(nn.Module):
            def forward(self, outputs):
                return outputs.square().mean()

        net = nn.Linear(3, 5)
        assert il.trace(net, (2, 3), mode="train", loss=half_sum).context.loss == "half_sum"
        trace = il.trace(net, (2, 3), mode="train", loss=MeanSquare())
        assert trace.context.loss == "MeanSquare"
        assert [op.name for op in trace.ops if op.phase == "loss"] == [
            "aten.pow.Tensor_Scalar",
            "aten.mean.default",
        ]
        assert il.trace(net, (2, 3), loss=half_sum).context.loss is None

    def test_a_loss_that_is_not_a_scalar(self):
        with pytest.raises(InceptionLabError, match="scalar"):
            il.trace(nn.Linear(3, 5), (2, 3), mode="train", loss=lambda out: out)


class TestContext:
    def test_what_was_traced(self):
        net = nn.Bilinear(3, 4, 5).double()
        context = il.trace(net, [(2, 3), (2, 4)], name="mine").context
        assert (context.model, context.input_shapes, context.mode) == ("mine", ((2, 3), (2, 4)), "eval")
        assert (context.dtype, context.device, context.batch_size) == ("float64", "meta", 2)
        assert context.torch == torch.__version__.partition("+")[0]
        assert il.trace(nn.ReLU(), (2, 3)).context.model == "ReLU"

    def test_an_example_in_place_of_a_shape(self):
        images = torch.zeros(SMALL).contiguous(memory_format=torch.channels_last)
        trace = il.trace(conv(), images)
        assert trace.context.memory_format == "channels_last"
        assert trace.values[trace.calls[0].inputs[0]].strides == images.stride()
        assert il.trace(conv(), SMALL).context.memory_format == "contiguous"
        tokens = il.trace(nn.Embedding(10, 4), torch.zeros(2, 3, dtype=torch.int64))
        assert tokens.values[tokens.calls[0].outputs[0]].shape == (2, 3, 4)


class TestInferenceMode:
    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_a_forward_that_enters_it_is_traced_operation_by_operation(self, mode):
        class Inferring(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Dropout(), nn.Flatten())

            @torch.inference_mode()
            def forward(self, x):
                return self.net(x)

        model = Inferring()
        inside = il.trace(model, SMALL, mode=mode)
        with torch.no_grad():
            outside = il.trace(model.net, SMALL)
        assert inside.context.complete
        names = [op.name for op in inside.ops if op.phase == "forward"]
        assert {"aten.convolution.default", "aten.max_pool2d_with_indices.default"} <= set(names)
        assert sum(op.macs for op in inside.ops) == sum(op.macs for op in outside.ops) > 0


class TestErrors:
    def error_of(self, model, inputs=SMALL, **options):
        with pytest.raises(InceptionLabError) as info:
            il.trace(model, inputs, **options)
        assert len(str(info.value).splitlines()) == 1
        return info.value

    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_a_forward_that_raises(self, mode):
        def fail(*_):
            raise KeyError("the reason\nand more")

        error = self.error_of(
            nn.Sequential(conv(), nn.Sequential(conv(), net_of(fail))), mode=mode, name="mine"
        )
        assert error.exit_code == 3
        for part in ("mine", "2x3x64x64", "KeyError", "1.1", "the reason"):
            assert part in str(error)
        assert isinstance(error.__cause__, KeyError)

    def test_an_operation_that_refuses(self):
        error = self.error_of(nn.Sequential(conv(), nn.Sequential(nn.Conv2d(5, 6, 1))))
        assert error.exit_code == 3
        assert "in 1.0:" in str(error)
        assert "RuntimeError" in str(error)

    def test_an_error_without_words(self):
        def fail(*_):
            raise NotImplementedError

        assert "NotImplementedError" in str(self.error_of(net_of(fail)))

    def test_a_window_that_does_not_fit(self):
        error = self.error_of(create_model("googlenet", device="meta"), (1, 3, 8, 8))
        assert error.exit_code == 3

    @pytest.mark.parametrize("shape", [(0, 3, 8, 8), (1, -3, 8, 8), (0,), (1, 3, 8.0, 8), (True, 3, 8, 8)])
    def test_shapes_that_are_none(self, shape):
        error = self.error_of(conv(), shape)
        assert (error.exit_code, str(shape) in str(error)) == (2, True)

    def test_a_second_shape_that_is_none(self):
        error = self.error_of(conv(), [(1, 3, 8, 8), (0,)])
        assert (error.exit_code, "input shape (0,)" in str(error)) == (2, True)

    @pytest.mark.parametrize("inputs", ["wrong", 224, None])
    def test_inputs_of_another_kind(self, inputs):
        error = self.error_of(conv(), inputs)
        assert (error.exit_code, error.what) == (2, f"{inputs!r} is not an input")

    @pytest.mark.parametrize("inputs", [(), []])
    def test_an_input_that_is_missing(self, inputs):
        error = self.error_of(conv(), inputs)
        assert error.exit_code == 3
        assert "Conv2d: cannot run without an input: TypeError" in str(error)

    def test_a_mode_and_a_model_that_are_none(self):
        assert self.error_of(conv(), mode="test").exit_code == 2
        assert "'eval' or 'train'" in str(self.error_of(conv(), mode="test"))
        for model in ("googlenet", conv, None):
            assert "torch.nn.Module" in str(self.error_of(model))

    def test_an_error_that_the_model_caught_is_not_blamed(self):
        def forward(net, x):
            try:
                net.a(x)
            except RuntimeError:
                return net.b(x)

        assert "in b:" in str(self.error_of(net_of(forward, nn.Conv2d(5, 5, 1), nn.Conv2d(7, 7, 1))))

    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_inference_mode_around_it_changes_nothing(self, mode):
        with torch.inference_mode():
            trace = il.trace(conv(), SMALL, mode=mode)
        assert trace.ops == il.trace(conv(), SMALL, mode=mode).ops

    def test_a_trace_in_inference_mode_does_not_spoil_the_next(self):
        model, reference = conv(), conv()
        with torch.inference_mode():
            il.trace(model, SMALL)
        for mode in ("eval", "train"):
            assert il.trace(model, SMALL, mode=mode).ops == il.trace(reference, SMALL, mode=mode).ops

    def test_autocast_for_the_cpu_around_it(self):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            trace = il.trace(conv(), SMALL)
        assert {value.dtype for value in trace.values} == {"float32", "bfloat16"}
        assert (trace.context.device, trace.context.fallback) == ("fake", "")

    def test_a_trace_within_a_trace_and_after_a_failure(self):
        inner = []

        def forward(net, x):
            inner.append(il.trace(conv(), SMALL))
            return net.a(x)

        outer = il.trace(net_of(forward, conv()), SMALL)
        assert [op.name for op in inner[0].ops] == ["aten.convolution.default"]
        assert owners(outer)[-1] == ("convolution", "a", 0)
        self.error_of(nn.Conv2d(5, 5, 1))
        assert il.trace(conv(), SMALL).ops == inner[0].ops


class TestTakes:
    """The one question of whether a model runs on a shape."""

    def raising(self, error):
        def forward(net, x):
            if x.shape[2] < 8:
                raise error
            return net.a(x)

        return net_of(forward, conv())

    @pytest.mark.parametrize(
        "error", [ValueError("too small"), InputRefused("too small", exit_code=MODEL_FAILED)]
    )
    def test_no_where_the_model_raises_or_refuses(self, error):
        model = self.raising(error)
        assert [takes(model, (1, 3, side, side)) for side in (7, 8)] == [False, True]

    def test_any_other_error_is_raised(self):
        model = self.raising(InceptionLabError("heads are missing", exit_code=MODEL_FAILED))
        assert takes(model, (1, 3, 8, 8))
        with pytest.raises(InceptionLabError, match="heads are missing"):
            takes(model, (1, 3, 7, 7))

    def test_the_mode_counts(self):
        model = nn.BatchNorm1d(3)  # one value per channel has no variance
        assert [takes(model, (1, 3), mode) for mode in ("eval", "train")] == [True, False]
