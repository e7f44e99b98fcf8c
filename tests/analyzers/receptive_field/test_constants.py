"""Contents of values against the tensors of a real run, and against nothing where there must be none."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.analyzers.receptive_field.constants import _constants, constant_of
from inception_lab.errors import InceptionLabError
from inception_lab.ir.contents import packed
from inception_lab.ir.trace import TENSOR, Trace


class Probed(nn.Module):
    """Makes tensors of its input; each is handed to a module of its own, where real runs are watched."""

    def __init__(self, make, **buffers):
        super().__init__()
        self.make, self.probe = make, nn.Identity()
        self.weight = nn.Parameter(torch.rand(4))
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)

    def forward(self, x):
        made = self.make(self, x)
        for tensor in made if isinstance(made, tuple) else (made,):
            self.probe(tensor)
        return x * self.weight


def contents(net, device="meta", **options):
    """What the trace tells of each tensor that was handed to the probe."""
    trace = il.trace(net, (2, 3, 4, 4), device=device, **options)
    return [constant_of(trace, call.inputs[0]) for call in trace.calls if call.path == "probe"]


def real(net, x=None):
    """The same tensors in a real run."""
    x = torch.rand(2, 3, 4, 4) if x is None else x
    tensors = []
    with torch.no_grad():
        handle = net.probe.register_forward_pre_hook(lambda _, args: tensors.append(args[0].clone()))
        net(x)
    handle.remove()
    return [tensor.numpy() for tensor in tensors]


TRIL = torch.tril(torch.ones(4, 4))


def shifted_windows(*_):
    """The mask of Swin's shifted windows, as the paper's own code makes it."""
    image = torch.zeros(1, 8, 8, 1)
    spans = (slice(0, -4), slice(-4, -2), slice(-2, None))
    count = 0
    for h in spans:
        for w in spans:
            image[:, h, w, :] = count
            count += 1
    windows = image.view(1, 2, 4, 2, 4, 1).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 16)
    mask = windows.unsqueeze(1) - windows.unsqueeze(2)
    return mask.masked_fill(mask != 0, -100.0).masked_fill(mask == 0, 0.0)


def relative_index(*_):
    coords = torch.stack(torch.meshgrid(torch.arange(3), torch.arange(3), indexing="ij")).flatten(1)
    relative = (coords[:, :, None] - coords[:, None, :]).permute(1, 2, 0).contiguous()
    relative[:, :, 0] += 2
    relative[:, :, 1] += 2
    relative[:, :, 0] *= 5
    return relative.sum(-1)


def written_by_rows(*_):
    mask = torch.empty(4, 4)
    for row in range(4):
        mask[row] = row
        mask[row, : row + 1] += 10
    return mask


def out_of_place(*_):
    mask = torch.zeros(4, 4)
    before = mask * 1
    torch.add(mask, 2, out=mask)
    return before, mask, mask.t()[1:, ::2]


def after_probe(net, _):
    """The same storage before and after a write."""
    mask = torch.ones(4)
    net.probe(mask)
    mask[2:] = 7
    return mask, mask[1:3]


NETS = {
    "tril": lambda *_: torch.ones(4, 4).tril(),
    "triu of full": lambda *_: torch.triu(torch.full((4, 4), float("-inf")), diagonal=1),
    "generated causal mask": lambda *_: nn.Transformer.generate_square_subsequent_mask(5),
    "comparison": lambda *_: torch.arange(4)[:, None] >= torch.arange(4)[None],
    "band": lambda *_: (torch.arange(6)[:, None] - torch.arange(6)).abs() <= 1,
    "where": lambda *_: torch.where(torch.eye(4) > 0, 0.0, float("-inf")),
    "on the input's device": lambda _, x: torch.arange(4, device=x.device).float() / 2,
    "of the input's shape": lambda _, x: torch.ones_like(x[0, 0]).cumsum(0) + x.new_zeros(4),
    "python list": lambda *_: torch.tensor([[0, 2], [1, 3]]),
    "python scalar": lambda *_: torch.tensor(-1e9),
    "numpy": lambda *_: torch.from_numpy(np.arange(6).reshape(2, 3)).t(),
    "numpy, copied": lambda *_: torch.as_tensor(np.arange(6) % 4),
    "of dtype": lambda *_: (torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.int32)),
    "shifted windows": shifted_windows,
    "relative index": relative_index,
    "written by rows": written_by_rows,
    "out": out_of_place,
    "out of nothing": lambda *_: torch.arange(3, out=torch.empty(3, dtype=torch.int64)),
    "before and after a write": after_probe,
    "repeat_interleave": lambda *_: torch.arange(3).repeat_interleave(2),
    "sorted": lambda *_: torch.tensor([3, 1, 2]).sort(),
    "gathered": lambda *_: torch.arange(8).view(2, 4).gather(1, torch.tensor([[3, 0], [1, 1]])),
    "scattered": lambda *_: torch.zeros(3, 4).scatter_(1, torch.tensor([[0], [2], [3]]), 1.0),
    "indexed": lambda *_: torch.arange(8).view(2, 4)[:, torch.tensor([2, 0])],
    "index_put": lambda *_: torch.zeros(4).index_put_((torch.tensor([1, 3]),), torch.tensor(5.0)),
    "rolled and unfolded": lambda *_: torch.arange(8).roll(3).unfold(0, 4, 2),
    "one_hot": lambda *_: nn.functional.one_hot(torch.tensor([0, 2]), 3),
    "cat and stack": lambda *_: torch.stack([torch.cat([torch.ones(2), torch.zeros(2)])] * 2),
    "linspace grid": lambda *_: torch.cartesian_prod(torch.linspace(-1, 1, 3), torch.ones(2)),
    "affine grid": lambda *_: nn.functional.affine_grid(
        torch.eye(2, 3)[None], [1, 1, 3, 3], align_corners=False
    ),
    "filled views": lambda *_: torch.zeros(2, 3, 4).transpose(0, 2)[1:3].fill_(3).clone(),
    "masked in place": lambda *_: torch.zeros(4, 4).masked_fill_(torch.ones(4, 4).triu(1).bool(), -1.0),
    "logical": lambda *_: ~(torch.eye(4).bool() | torch.ones(4, 4).tril(-2).bool()),
    "padded": lambda *_: nn.functional.pad(torch.ones(2, 2), (1, 0, 0, 1), value=4.0),
    "half": lambda *_: torch.full((3,), -1.5, dtype=torch.float16),
    "empty": lambda *_: torch.zeros(0, 3),
    "split": lambda *_: torch.arange(6).split([1, 5]),
    "bits": lambda *_: torch.ones(2).view(torch.int32),
    "overwritten by a constant": lambda _, x: (x[0, 0] * 1).fill_(2.0),
}
WITH_BUFFERS = {
    "float mask": (lambda net, _: net.mask == 0, {"mask": TRIL}),
    "part of a mask": (lambda net, _: net.mask[None, :2, 1:].expand(3, 2, 3), {"mask": TRIL.bool()}),
    "infinite": (lambda net, _: net.mask + 0, {"mask": torch.full((4, 4), float("-inf")).triu(1)}),
    "index": (lambda net, _: net.index.flip(0), {"index": torch.tensor([2, 0, 1])}),
    "transposed buffer": (lambda net, _: net.mask * 1, {"mask": TRIL.t()}),
    "expanded buffer": (lambda net, _: net.mask * 1, {"mask": torch.arange(4).expand(3, 4)}),
    "a part of other storage": (lambda net, _: net.mask * 1, {"mask": torch.arange(9)[4:8]}),
    "written to": (lambda net, _: (net.mask.add_(1) * 1, net.mask), {"mask": torch.tensor([1, 2])}),
    "scalar": (lambda net, _: torch.where(torch.eye(2) > 0, 0.0, net.low), {"low": torch.tensor(-1e9)}),
    "half": (lambda net, _: net.mask * 1, {"mask": TRIL.half()}),
}


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("name", [*NETS, *WITH_BUFFERS])
def test_as_in_a_real_run(name, device):
    make, buffers = WITH_BUFFERS.get(name) or (NETS[name], {})
    net = Probed(make, **buffers)
    told = contents(net, device)
    expected = real(net)
    assert len(told) == len(expected) > 0
    for array, tensor in zip(told, expected, strict=True):
        assert array is not None
        np.testing.assert_array_equal(array, tensor, strict=True)


NET_LIST = {
    "list": lambda _, x: x[:, [2, 0]],
    "two lists": lambda _, x: x[:, [2, 0], [[1], [0]]],
    "array": lambda _, x: x[..., np.array([1, 3])],
    "range": lambda _, x: x[:, :, range(2)],
    "tensor on the input's device": lambda _, x: x[:, torch.tensor([2, 0, 1], device=x.device)],
    "new tensor": lambda _, x: x[:, x.new_tensor([1, 0], dtype=torch.int64)],
    "as tensor": lambda _, x: x[:, torch.as_tensor(np.array([2, 1]), device=x.device)],
    "after others": lambda _, x: x[:, [1, 0]] + x[:, torch.tensor([1, 2], device=x.device)] + x[:, [2, 2]],
    "kept by the model": lambda net, x: kept(net, x),
    "one number": lambda _, x: x[:, torch.tensor(1, device=x.device)[None]],
}


def kept(net, x):
    """Makes an index in the first run alone."""
    if not hasattr(net, "index"):
        net.index = torch.tensor([1, 0], device=x.device)
    return x[:, net.index]


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("name", NET_LIST)
def test_indices_of_python_data(name, device, mode):
    """The index that each operation reads gives what the net gives."""
    net = Probed(NET_LIST[name])
    trace = il.trace(net, (2, 3, 4, 4), device=device, mode=mode)
    x = torch.rand(2, 3, 4, 4)
    parts = []
    for op in trace.ops:
        if op.base_name == "index" and op.phase == "forward":
            indices = [torch.from_numpy(constant_of(trace, read).copy()) for read in op.reads[1:]]
            places = op.arg("indices", (TENSOR,) * len(indices))
            parts.append(x[tuple([indices.pop(0) if place else slice(None) for place in places])])
    (expected,) = real(net, x)
    np.testing.assert_array_equal(sum(parts).numpy(), expected)


def test_one_list_of_two_calls():
    """A net whose second call makes another list has them in the order of its calls."""
    net = Probed(lambda net, x: x[:, net.lists.pop()])
    net.lists = [[0, 1], [2, 0]]
    trace = il.trace(nn.Sequential(net, nn.Identity()), (2, 3, 4, 4))
    (op,) = [op for op in trace.ops if op.base_name == "index"]
    assert constant_of(trace, op.reads[1]).tolist() == [2, 0]
    assert net.lists == [[0, 1], [2, 0]]


def test_a_net_that_goes_another_way_the_second_time():
    steps = iter([[0, 1], [2, 0, 1]])
    trace = il.trace(Probed(lambda _, x: fork(x, next(steps))), (2, 3, 4, 4))
    (op,) = [op for op in trace.ops if op.base_name == "index"]
    assert constant_of(trace, op.reads[1]) is None


def fork(x, places):
    """Runs more operations the longer its list is."""
    for _ in places:
        x = x + 1
    return x[:, places]


NOT_CONSTANT = {
    "the input": lambda _, x: x,
    "of the input": lambda _, x: (x > 0).float().tril(),
    "a weight": lambda net, _: net.weight,
    "of a weight": lambda net, _: torch.ones(4) + net.weight,
    "random": lambda *_: torch.rand(4),
    "a random permutation": lambda *_: torch.randperm(4) + 0,
    "random in place": lambda *_: torch.zeros(4).uniform_(),
    "uninitialised": lambda *_: torch.empty(4) + 0,
    "partly uninitialised": lambda *_: written_in_part(),
    "partly the input": lambda _, x: written_with(x),
    "a mask times the input": lambda _, x: torch.zeros(4, 4) * x,
    "large": lambda *_: torch.ones(3000, 2000),
    "conjugated": lambda *_: torch.ones(2, dtype=torch.complex64).conj().imag,
}


def written_in_part():
    mask = torch.empty(4)
    mask[:3] = 1
    return mask


def written_with(x):
    mask = torch.ones(4, 4)
    mask[2] = x[0, 0, 0]
    return mask


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("name", NOT_CONSTANT)
def test_not_constant(name, device):
    assert contents(Probed(NOT_CONSTANT[name]), device) == [None]


def test_parts_around_what_is_not_constant():
    """A write of the input leaves the rest of a mask as it was."""

    def parts(_, x):
        mask = torch.ones(4, 4)
        mask[2] = x[0, 0, 0]
        mask[:, 0] = 5
        return mask, mask[:2], mask[2:, 0], mask[2]

    whole, rest, column, row = contents(Probed(parts))
    assert whole is None
    assert row is None
    assert rest.tolist() == [[5, 1, 1, 1], [5, 1, 1, 1]]
    assert column.tolist() == [5, 5]


def test_a_model_on_meta_has_no_contents():
    with torch.device("meta"):
        net = Probed(lambda net, x: (net.mask == 0, torch.ones(2, 2, device=x.device)), mask=TRIL.to("meta"))
    mask, ones = contents(net)
    assert mask is None
    assert ones.tolist() == [[1, 1], [1, 1]]


def test_an_attribute_that_is_not_registered():
    net = Probed(lambda net, _: net.index + 1)
    net.index = torch.tensor([2, 0])
    assert contents(net)[0].tolist() == [3, 1]


def test_a_weight_that_is_not_registered():
    net = Probed(lambda net, _: net.hidden[0] + 1)
    net.hidden = [torch.ones(2, requires_grad=True)]
    assert contents(net) == [None]


def test_whole_parameters_are_not_trained():
    net = Probed(lambda net, _: net.index + 1)
    net.index = nn.Parameter(torch.tensor([2, 0]), requires_grad=False)
    assert contents(net)[0].tolist() == [3, 1]


def test_the_buffers_before_and_after_a_step():
    """What a forward writes into a buffer is not there before it has run, nor in the model afterwards."""
    net = Probed(lambda net, _: (net.mask * 1, net.mask.add_(1) * 1), mask=torch.tensor([1, 2]))
    before, after = contents(net, mode="train", optimizer="sgd")
    assert before.tolist() == [1, 2]
    assert after.tolist() == [2, 3]
    assert net.mask.tolist() == [1, 2]


class Chosen(Probed):
    """Cannot run without data: a branch depends on the input."""

    def forward(self, x):
        if x.sum() > -1:
            self.probe(torch.tensor([int(x.argmax()), 2]))
        self.probe(self.mask * 1)
        return x * self.weight


def test_python_data_of_a_run_for_real_may_come_from_the_input():
    made, buffer = contents(Chosen(None, mask=TRIL))
    assert made is None
    np.testing.assert_array_equal(buffer, TRIL.numpy())


class Masked(nn.Module):
    """Is handed its mask, and what is made of it to a module of its own."""

    def __init__(self):
        super().__init__()
        self.probe = nn.Identity()

    def forward(self, x, mask):
        return x + self.probe(mask * 1).sum() + self.probe(x * 1).sum()


class TestInputs:
    def contents(self, inputs, sourced=True, **options):
        trace = il.trace(Masked(), inputs, **options)
        source = next(value.id for value in trace.values if trace.storages[value.storage].name in ("0", "x"))
        probes = [call.inputs[0] for call in trace.calls if call.path == "probe"]
        return [constant_of(trace, value, source if sourced else None) for value in probes]

    @pytest.mark.parametrize("device", ["meta", "cpu"])
    @pytest.mark.parametrize(
        "mask",
        [TRIL.bool(), TRIL.bool().t(), torch.full((4, 4), float("-inf")).triu(1), torch.tensor([2, 0, 1])],
    )
    def test_masks_and_indices_beside_the_source_count_as_they_are(self, mask, device):
        told, of_the_source = self.contents([(2, 3, 4, 4), mask], device=device)
        np.testing.assert_array_equal(told, mask.numpy() * 1, strict=True)
        assert of_the_source is None

    def test_by_keyword(self):
        options = {"kwargs": {"mask": TRIL.bool()}}
        np.testing.assert_array_equal(self.contents((2, 3, 4, 4), **options)[0], TRIL.numpy() > 0)

    def test_no_input_counts_without_a_source(self):
        assert self.contents([(2, 3, 4, 4), TRIL.bool()], sourced=False) == [None, None]

    @pytest.mark.parametrize(
        "placeholder", [torch.zeros(4, 4, dtype=torch.bool), torch.zeros(4, dtype=torch.int64), torch.ones(4)]
    )
    def test_placeholders_do_not(self, placeholder):
        assert self.contents([(2, 3, 4, 4), placeholder])[0] is None

    def test_features_do_not(self):
        assert self.contents([(2, 3, 4, 4), torch.rand(4, 4)])[0] is None

    def test_a_source_with_data_does_not(self):
        assert self.contents([torch.arange(4) % 2, TRIL.bool()])[1] is None

    def test_tokens_alone_are_not_kept(self):
        assert il.trace(nn.Embedding(9, 2), torch.tensor([[3, 1, 2]])).contents == ()


class TestTrace:
    def trace(self):
        return il.trace(Probed(lambda net, _: net.mask == 0, mask=TRIL), (2, 3, 4, 4))

    def test_saved_and_loaded(self, tmp_path):
        trace = self.trace()
        trace.save(tmp_path / "trace.json")
        loaded = Trace.load(tmp_path / "trace.json")
        assert loaded == trace
        value = next(call for call in loaded.calls if call.path == "probe").inputs[0]
        np.testing.assert_array_equal(constant_of(loaded, value), TRIL.numpy() == 0)

    def test_a_trace_of_before_has_none(self):
        data = self.trace().to_dict()
        del data["contents"]
        trace = Trace.from_dict(data)
        assert trace.contents == ()
        assert all(constant_of(trace, value.id) is None for value in trace.values)

    @pytest.mark.parametrize(
        "row", [[0, "eJw"], [0, "eJwrSS0uAQAEXQHB"], [0, 5], [0, "ä"], [99, "eJw="], ["0", "eJw="], [0]]
    )
    def test_damaged_contents(self, row):
        data = json.loads(json.dumps(self.trace().to_dict()))
        data["contents"]["rows"] = [row]
        with pytest.raises(InceptionLabError) as caught:
            Trace.from_dict(data)
        assert len(str(caught.value).splitlines()) == 1

    def test_what_unpacks_to_more_than_the_storage(self):
        data = self.trace().to_dict()
        data["contents"]["rows"] = [[0, packed(bytes(1 << 24))]]
        with pytest.raises(InceptionLabError, match="contents of storage 0"):
            Trace.from_dict(data)

    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_the_zoo_keeps_none(self, mode):
        model = il.create_model("bn_inception", device="cpu", num_classes=10)
        assert il.trace(model, (2, 3, 128, 128), mode=mode, optimizer=None).contents == ()

    def test_large_contents_are_left_out(self):
        torch.manual_seed(0)
        net = Probed(lambda net, _: net.table + 1, table=torch.rand(1000, 1000))
        assert il.trace(net, (2, 3, 4, 4)).contents == ()

    def test_a_large_mask_is_small(self):
        net = Probed(lambda net, _: net.mask == 0, mask=torch.ones(1024, 1024).tril())
        (content,) = il.trace(net, (2, 3, 4, 4)).contents
        assert len(content.data) < 40_000

    def test_it_cannot_be_written_to(self):
        (array,) = contents(Probed(NETS["tril"]))
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


def test_growth():
    """Slices added to one by one: what is computed grows as their number."""
    work = []
    for rows in (100, 200):

        def made(*_, rows=rows):
            mask = torch.zeros(rows)
            for row in range(rows):
                mask[row] += row
            return mask

        trace = il.trace(Probed(made), (2, 3, 4, 4))
        value = next(call for call in trace.calls if call.path == "probe").inputs[0]
        assert constant_of(trace, value).tolist() == list(range(rows))
        work.append(_constants(trace, None).work)
    assert work[1] == pytest.approx(2 * work[0], rel=0.1)
