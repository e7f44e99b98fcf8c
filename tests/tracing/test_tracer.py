"""The trace against real runs on the CPU, hooks, and networks small enough to follow by hand."""

import gc
import weakref
from collections import Counter

import pytest
import torch
from support.forwards import SMALL, conv, loss_of, net_of
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import inception_lab as il
from inception_lab.models.registry import create_model
from inception_lab.running.gradient_accumulation import SumsInPlace

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
