"""The fewest bytes, by hand and against a count of the addresses that real tensors have."""

from collections import defaultdict
from contextlib import contextmanager
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import inception_lab as il
from inception_lab.measure.roofline.dataflow import dataflow
from inception_lab.measure.roofline.traffic import compulsory_bytes


class Branches(nn.Module):
    """A stem with an activation in place, two branches, a normalisation over channels, a view and a head."""

    def __init__(self):
        super().__init__()
        self.stem, self.act = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True)
        self.left = nn.Conv2d(4, 2, 1)
        self.right = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(4, 6, 1))
        self.norm, self.drop = nn.LocalResponseNorm(3), nn.Dropout()
        self.head = nn.Linear(4 * 64, 5)

    def forward(self, x):
        x = self.act(self.stem(x))
        x = self.norm(torch.cat([self.left(x), self.right(x)], 1))
        return self.head(self.drop(x[:, ::2].flatten(1)))


class Writes(nn.Module):
    """Parts of one tensor written one by one, a product with repeats, and a result that nobody reads."""

    def forward(self, x):
        y = torch.empty(4, 6)
        y[:, :3] = x
        y[:, 3:] = x.mul(2)
        y[:2].add_(1)
        x.exp()
        torch.add(x, 1, out=y[:, :3])
        return (y.T @ x.expand(2, 4, 3)).sum(), x.new_zeros(3) + x.sum(0)


def by_layer(trace):
    return compulsory_bytes(trace, {op.id: op.call for op in trace.ops})


def layer_bytes(model, *shape):
    trace = il.trace(model, shape)
    moved = by_layer(trace)
    return {trace.calls[call].path: moved[call] for call in moved}


def test_bytes_by_hand():
    """Float32 of 2 images: 2 x 3 x 64 in, 2 x 4 x 64 after the stem, 2 x 8 x 64 after the concatenation."""
    images, stem, joined = 4 * 2 * 3 * 64, 4 * 2 * 4 * 64, 4 * 2 * 8 * 64
    assert layer_bytes(Branches(), 2, 3, 8, 8) == {
        "stem": images + 4 * (4 * 27 + 4) + stem,
        "act": 2 * stem,
        "left": stem + 4 * (2 * 4 + 2) + stem // 2,
        "right.0": 2 * stem,
        "right.1": stem + 4 * (6 * 4 + 6) + 6 * stem // 4,
        # reads both branches and writes one tensor; flattens every second channel of what norm wrote
        "": 2 * joined + 2 * joined // 2,
        # every second channel is read by somebody
        "norm": joined + joined // 2,
        "head": joined // 2 + 4 * (256 * 5 + 5) + 4 * 2 * 5,
    }


def test_what_is_used_up_within_a_group_does_not_move():
    trace = il.trace(Branches(), (2, 3, 8, 8))
    whole = compulsory_bytes(trace, dict.fromkeys(range(len(trace.ops)), 7))
    parameters = sum(p.nbytes for p in Branches().parameters())
    assert whole == {7: 4 * 2 * 3 * 64 + parameters + 4 * 2 * 5}


def test_a_look_up_reads_what_it_writes():
    model = nn.Embedding(1000, 8)
    trace = il.trace(model, {"input": torch.zeros(2, 5, dtype=torch.int64)})
    assert sum(by_layer(trace).values()) == 8 * 10 + 2 * 4 * 8 * 10


def test_statistics_that_a_normalisation_updates_are_written():
    step = il.trace(nn.BatchNorm2d(4), (2, 4, 8, 8), mode="train")
    forward = {op.id: 0 for op in step.ops if op.phase == "forward"}
    activations, channels = 2 * 4 * 64 * 4, 4 * 4
    # in: images, weight, bias, mean, variance, count; out: result, mean and variance twice, count
    expected = 2 * activations + 4 * channels + 8 + 4 * channels + 8
    assert compulsory_bytes(step, forward) == {0: expected}


@pytest.mark.parametrize(("mode", "index_bytes"), [("eval", 0), ("train", 8)])
def test_indices_of_a_pool_count_where_the_backward_pass_reads_them(mode, index_bytes):
    """A quarter of the elements comes out."""
    trace = il.trace(nn.Sequential(nn.Conv2d(4, 4, 1), nn.MaxPool2d(2)), (2, 4, 8, 8), mode=mode)
    (pool,) = [call.id for call in trace.calls if call.path == "1"]
    forward = {op.id: 0 for op in trace.ops if op.phase == "forward" and op.call == pool}
    assert compulsory_bytes(trace, forward) == {0: 4 * 2 * 4 * 64 + (4 + index_bytes) * 2 * 4 * 16}


def test_views_and_allocations_are_no_launches():
    trace = il.trace(Writes(), (4, 3))
    names = [op.base_name for op in trace.ops if op.id in dataflow(trace).launches]
    assert not {"empty", "slice", "t", "transpose", "expand", "view", "numpy_T"} & set(names)
    assert {"copy", "mul", "add", "exp", "sum"} <= set(names)
    assert names.count("add") == 3


class ViewsInPlace(nn.Module):
    """Views that change a tensor itself, which they do not move."""

    def forward(self, x):
        y = x + 1
        y.unsqueeze_(0)
        y.squeeze_(0)
        y.t_()
        y.transpose_(0, 1)
        return y.mul_(2)


def test_views_in_place_move_nothing():
    trace = il.trace(ViewsInPlace(), (4, 3))
    names = [op.base_name for op in trace.ops if op.id in dataflow(trace).launches]
    assert names == ["add", "mul"]
    assert by_layer(trace) == {0: 2 * 4 * 12}


class Draws(nn.Module):
    """Numbers drawn by probabilities and means, which are read, and in place, where they are not."""

    def forward(self, x):
        return torch.bernoulli(x), torch.normal(x, 1.0), torch.empty(2, 6).bernoulli_(0.5)


def test_what_is_drawn_by_is_read():
    trace = il.trace(Draws(), (4, 3))
    moved = {op.name: compulsory_bytes(trace, {op.id: 0}).get(0, 0) for op in trace.ops}
    tensor = 4 * 12
    assert moved["aten.bernoulli.default"] == moved["aten.normal.Tensor_float"] == 2 * tensor
    assert moved["aten.bernoulli_.float"] == tensor
    assert by_layer(trace) == {0: tensor + 3 * tensor}


def optimizer_bytes(optimizer):
    trace = il.trace(nn.Linear(4, 3), (2, 4), mode="train", optimizer=optimizer)
    return compulsory_bytes(trace, {op.id: 0 for op in trace.ops if op.phase == "optimizer"})[0]


@pytest.mark.parametrize(
    ("make", "foreach", "expected"),
    [
        (partial(torch.optim.SGD, momentum=0.9), False, 5 * 60),
        (partial(torch.optim.SGD, momentum=0.9), True, 5 * 60),
        (torch.optim.Adam, False, 7 * 60 + 2 * 8),
        (torch.optim.Adam, True, 7 * 60 + 2 * 8 + 4),
    ],
    ids=["momentum", "momentum on lists", "Adam", "Adam on lists"],
)
def test_an_optimizer_reads_gradients_and_does_not_write_them(make, foreach, expected):
    """15 elements are 60 bytes. Momentum reads parameters, gradients, buffers, and writes two of these.

    Adam has two buffers; it counts the steps of each parameter, and on lists adds a constant to them.
    """
    assert optimizer_bytes(partial(make, lr=0.1, foreach=foreach)) == expected


class Addresses(TorchDispatchMode):
    """Collects the addresses that each module reads and writes, by real tensors and PyTorch's schemas."""

    def __init__(self):
        super().__init__()
        self.module = ""
        self.reads, self.writes = defaultdict(list), defaultdict(list)
        self.kept = []  # no address is given out twice
        self.clock = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        del types
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        inputs = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        self.kept += [*inputs, *(t for t in tree_leaves(out) if isinstance(t, torch.Tensor))]
        returns = func._schema.returns
        if not func._schema.is_mutable and any(r.alias_info is not None for r in returns):
            return out  # a view
        if func._schema.name in ("aten::empty", "aten::new_zeros", "aten::copy_"):
            inputs = inputs[1:]
        self.clock += 1
        for tensor in inputs:
            self.reads[self.module].append((self.clock, addresses(tensor)))
        if func._schema.name != "aten::empty":
            for tensor in tree_leaves(out):
                self.writes[self.module].append((self.clock, addresses(tensor)))
        return out

    @contextmanager
    def within(self, model):
        handles = []
        for path, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(lambda *_, path=path: self.enter(path)))
            handles.append(module.register_forward_hook(lambda *_, path=path: self.leave(path)))
        self.stack = []
        with self:
            yield
        for handle in handles:
            handle.remove()

    def enter(self, path):
        self.stack.append(self.module)
        self.module = path

    def leave(self, path):
        assert self.module == path
        self.module = self.stack.pop()

    def fewest(self, outputs):
        """By replaying every access of a byte in its order."""
        accesses = sorted(
            (clock, kind, module, block)
            for kind, table in enumerate((self.reads, self.writes))
            for module, blocks in table.items()
            for clock, block in blocks
        )
        accesses.append((self.clock + 1, 0, None, set().union(*map(addresses, outputs))))
        writer, moved = {}, defaultdict(set)
        for clock, kind, module, block in accesses:
            for byte in block:
                if kind:
                    writer[byte] = module, clock
                else:
                    producer, moment = writer.get(byte, (None, 0))
                    if producer != module:
                        moved[producer].add((byte, moment))
                        moved[module].add((byte, moment))
        return {module: len(places) for module, places in moved.items() if module is not None}


def addresses(tensor):
    grid = torch.arange(tensor.untyped_storage().nbytes() // tensor.itemsize)
    places = grid.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()).flatten().tolist()
    base = tensor.untyped_storage().data_ptr()
    return {base + tensor.itemsize * place + byte for place in places for byte in range(tensor.itemsize)}


@pytest.mark.parametrize("model", [Branches().eval(), Writes()], ids=["branches", "writes"])
def test_bytes_are_those_of_the_addresses_of_real_tensors(model):
    shape = (2, 3, 8, 8) if isinstance(model, Branches) else (4, 3)
    counter, inputs = Addresses(), torch.ones(shape)
    with torch.no_grad(), counter.within(model):
        outputs = model(inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    expected = counter.fewest([*outputs])
    assert layer_bytes(model, *shape) == expected
