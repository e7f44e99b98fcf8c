"""The smallest input and the largest batch: by hand, and by what a limit is."""

from contextlib import suppress
from itertools import count, takewhile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fingerprints import fingerprint, same
from torch import nn

import inception_lab as il
from inception_lab import limits
from inception_lab.analyzers.memory.cuda_allocator import OutOfMemory
from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.limits import _bisected

FLOAT = 4


def linear_peak(batch, inward, outward):
    """Bytes of a linear layer with its input and output alive at once."""
    return FLOAT * (inward * outward + outward + batch * (inward + outward))


def branched():
    """A convolution, then two branches that are joined."""

    class Branched(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3)
            self.left, self.right = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 3, padding=1)

        def forward(self, x):
            x = self.stem(x).relu()
            return torch.cat([self.left(x), self.right(x)], 1)

    return Branched()


class TestLargestBatch:
    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 5000), st.integers(1, 40))
    def test_of_a_linear_layer_by_hand(self, inward, outward, limit, start):
        answer = il.largest_batch(nn.Linear(inward, outward), (inward,), limit=limit, start=start)
        room = limit - linear_peak(0, inward, outward)
        largest = max(0, room // (FLOAT * (inward + outward)))
        assert (answer.limit_bytes, answer.batch_size) == (limit, largest)
        assert answer.peak_bytes == (linear_peak(largest, inward, outward) if largest else None)
        assert answer.one_more_bytes == linear_peak(largest + 1, inward, outward)
        assert answer.reserved_bytes is None

    def test_a_limit_is_text_with_a_unit_or_bytes(self):
        net = nn.Linear(10, 20)
        assert il.largest_batch(net, (10,), limit="2 KiB") == il.largest_batch(net, (10,), limit=2048)
        with pytest.raises(InceptionLabError, match="40 MiB"):
            il.largest_batch(net, (10,), limit="7 lightyears")

    @pytest.mark.parametrize("limit", [float("nan"), float("inf"), -1, -0.5, "1e999 GiB", None, [1], True])
    def test_a_limit_that_is_not_a_number_of_bytes(self, limit):
        with pytest.raises(InceptionLabError) as caught:
            il.largest_batch(nn.Linear(2, 2), (2,), limit)
        message = f'limit {limit!r} is not a number of bytes; give bytes, or text such as "80 GiB"'
        assert (str(caught.value), caught.value.exit_code) == (message, 2)

    @pytest.mark.parametrize("size", [0, -3, 1.5, True, 2**31 + 1, 10**30])
    @pytest.mark.parametrize("name", ["start", "batch_size"])
    def test_a_number_that_is_not_a_batch_size(self, size, name):
        with pytest.raises(InceptionLabError, match=f"{name}={size} is not a batch size"):
            il.largest_batch(nn.Linear(2, 2), (2,), 1000, **{name: size})

    @pytest.mark.parametrize(("batch_size", "fits"), [(1, True), (9, True), (10, False), (10**6, False)])
    def test_a_batch_that_was_asked_about_is_judged_by_its_own_trace(self, batch_size, fits):
        net = nn.Linear(10, 20)
        answer = il.largest_batch(net, (10,), limit="2 KiB", batch_size=batch_size)
        peak_bytes = il.peak_memory(il.trace(net, (batch_size, 10))).peak_bytes
        assert answer.batch_size == 9
        assert answer.to_dict()["requested"] == {
            "batch_size": batch_size, "fits": fits, "peak_bytes": peak_bytes
        }  # fmt: skip
        assert (batch_size <= answer.batch_size) == (peak_bytes <= 2048) == fits

    def test_where_none_fits_the_batch_that_was_asked_about_does_not(self):
        answer = il.largest_batch(nn.Linear(10, 20), (10,), limit=10, batch_size=3)
        assert answer.to_dict() == {
            "limit_bytes": 10, "batch_size": 0,
            "requested": {"batch_size": 3, "fits": False, "peak_bytes": 880 + 3 * 120},
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("context", "batch_size"), [(0, 9), (120, 8), ("0.5 KiB", 5), (2048, 0), ("1 GiB", 0)]
    )
    def test_room_for_a_context_is_left_free(self, context, batch_size):
        answer = il.largest_batch(nn.Linear(10, 20), (10,), limit=2048, context=context)
        assert answer.batch_size == batch_size
        assert answer.limit_bytes == 2048
        assert answer.to_dict().get("context_bytes", 0) == answer.context_bytes

    def test_on_cuda_the_context_has_a_default_and_on_the_cpu_none(self):
        net, limit = branched(), "600 MiB"
        answers = {
            context: il.largest_batch(net, (3, 12, 12), limit, device="cuda", context=context, start=4096)
            for context in (None, "512 MiB", "256 MiB")
        }
        assert answers[None] == answers["512 MiB"]
        assert answers[None].context_bytes == 2**29
        assert answers[None].batch_size < answers["256 MiB"].batch_size
        assert il.largest_batch(net, (3, 12, 12), "1 MiB").context_bytes == 0

    def test_on_cuda_the_allocator_decides_about_the_batch_that_was_asked_about(self):
        how = {"mode": "train", "optimizer": "adam", "device": "cuda"}
        answer = il.largest_batch(branched(), (3, 12, 12), 64 * 2**20, context=0, **how)
        for batch_size, fits in ((answer.batch_size, True), (answer.batch_size + 1, False)):
            requested = il.largest_batch(
                branched(), (3, 12, 12), 64 * 2**20, context=0, batch_size=batch_size, **how
            ).requested
            assert (requested.fits, requested.reserved_bytes is not None) == (fits, fits)

    @pytest.mark.parametrize("context", [float("nan"), -1, "much", [1], True])
    def test_a_context_that_is_not_a_number_of_bytes(self, context):
        with pytest.raises(InceptionLabError, match=r"is not a (number|quantity) of bytes"):
            il.largest_batch(nn.Linear(2, 2), (2,), 1000, context=context)

    def test_the_search_tells_how_far_it_is(self):
        parts = []
        il.largest_batch(nn.Linear(10, 20), (10,), limit="1 MiB", progress=parts.append)
        assert parts == sorted(parts)
        assert 0 < parts[0] < parts[-1] == 1

    @pytest.mark.parametrize("batch_size", [None, 7])
    def test_on_cuda_each_batch_is_traced_once_and_the_way_down_tells_how_far_it_is(
        self, batch_size, monkeypatch
    ):
        traced, parts = [], []

        def trace(model, inputs, **options):
            traced.append(inputs[0])
            return il.trace_for_device(model, inputs, **options)

        monkeypatch.setattr(limits, "trace_for_device", trace)
        answer = il.largest_batch(
            branched(), (3, 64, 64), "64 MiB", device="cuda", context=0,
            batch_size=batch_size, progress=parts.append,
        )  # fmt: skip
        assert len(traced) == len(set(traced))
        assert parts == sorted(parts)
        assert parts[-1] == 1
        # of those on the way down, each that the allocator does not get through is told, then the end
        below = answer.batch_size
        while il.peak_memory(il.trace(branched(), (below + 1, 3, 64, 64)), "cuda").peak_bytes <= 64 << 20:
            below += 1
        assert below > answer.batch_size
        assert len([part for part in parts if part > 0.5]) == below - answer.batch_size + 1

    @pytest.mark.parametrize(
        ("inputs", "value"),
        [
            (10, 10),
            (None, None),
            ("10", "10"),
            ([torch.zeros(3, 2), 5], 5),
            ((10.5,), (10.5,)),
            ([None], [None]),
            ({"input": 2}, 2),
            ((True,), (True,)),
        ],
    )
    def test_an_input_that_is_neither_a_size_nor_a_tensor(self, inputs, value):
        with pytest.raises(InceptionLabError) as caught:
            il.largest_batch(nn.Linear(2, 2), inputs, 1000)
        assert str(caught.value).startswith(
            f"{value!r} is not the size of an input; give it without the batch"
        )
        assert caught.value.exit_code == 2

    @pytest.mark.parametrize("autocast", [None, torch.bfloat16])
    @pytest.mark.parametrize(("mode", "optimizer"), [("eval", None), ("train", None), ("train", "adamw")])
    def test_it_fits_and_one_more_does_not(self, mode, optimizer, autocast):
        net, how = branched(), {"mode": mode, "optimizer": optimizer, "autocast": autocast}

        def peak(batch):
            return il.peak_memory(il.trace(net, (batch, 3, 12, 12), **how)).peak_bytes

        answer = il.largest_batch(net, (3, 12, 12), limit="1 MiB", **how)
        assert answer.peak_bytes == peak(answer.batch_size) <= 2**20
        assert answer.one_more_bytes == peak(answer.batch_size + 1) > 2**20

    def test_the_loss_counts(self):
        def wasteful(outputs):
            return sum((outputs.exp() for _ in range(9)), outputs).sum()

        plain, dear = (
            il.largest_batch(branched(), (3, 12, 12), limit="1 MiB", mode="train", loss=loss)
            for loss in (torch.sum, wasteful)
        )
        assert dear.batch_size < plain.batch_size

    def test_on_cuda_the_allocator_gets_through_within_the_limit(self):
        net, limit = branched(), 64 * 2**20
        how = {"mode": "train", "optimizer": "adam", "device": "cuda"}
        answer = il.largest_batch(net, (3, 12, 12), limit=limit, context=0, **how)
        step = il.trace_for_device(net, (answer.batch_size, 3, 12, 12), **how)
        assert il.peak_memory(step, "cuda").peak_bytes == answer.peak_bytes
        assert answer.peak_bytes <= answer.reserved_bytes == il.reserved_memory(step, limit) <= limit
        more = il.trace_for_device(net, (answer.batch_size + 1, 3, 12, 12), **how)
        assert il.peak_memory(more, "cuda").peak_bytes == answer.one_more_bytes
        with pytest.raises(OutOfMemory):
            il.reserved_memory(more, limit)

    def test_on_cuda_none_fits_where_not_even_a_segment_may_be_reserved(self):
        answer = il.largest_batch(nn.ReLU(), (100_000,), limit=2**20, device="cuda", context=0)
        assert (answer.batch_size, answer.peak_bytes, answer.reserved_bytes) == (0, None, None)
        assert answer.one_more_bytes == 2 * 782 * 512 < 2**20  # 400,000 bytes in and out, in whole blocks
        assert answer.to_dict() == {"limit_bytes": 2**20, "batch_size": 0}

    def test_several_inputs_and_their_types(self):
        class Two(nn.Module):
            def __init__(self):
                super().__init__()
                self.table = nn.Embedding(10, 6)

            def forward(self, x, words):
                return x + self.table(words)

        net, limit = Two(), 2000
        words = torch.zeros(1, dtype=torch.int64)
        row = FLOAT * 6 + 8 + 2 * FLOAT * 6  # floats in, a whole number in, its vector, their sum
        for inputs in ([(6,), words], {"x": (6,), "words": words}):
            answer = il.largest_batch(net, inputs, limit=limit)
            assert answer.batch_size == (limit - FLOAT * 60) // row

    def test_an_example_keeps_its_layout(self):
        example = torch.zeros(3, 4, 6, 5).to(memory_format=torch.channels_last)

        class Asking(nn.Module):
            def forward(self, x):
                assert x.is_contiguous(memory_format=torch.channels_last)
                assert not x.is_contiguous()
                return x.contiguous()

        answer = il.largest_batch(Asking(), example, limit=10_000)
        assert answer.batch_size == 10_000 // (2 * FLOAT * 4 * 6 * 5)
        with pytest.raises(InceptionLabError, match="has no batch"):
            il.largest_batch(Asking(), torch.tensor(1.0), limit=10_000)

    def test_the_model_is_left_as_it_was_found(self):
        net = branched().eval()
        before = fingerprint(net)
        il.largest_batch(net, (3, 12, 12), limit="1 MiB", mode="train", optimizer="momentum")
        assert same(fingerprint(net), before)

    def test_a_device_without_rules(self):
        with pytest.raises(InceptionLabError, match="no memory rules for device 'tpu'"):
            il.largest_batch(nn.Linear(2, 2), (2,), limit=1000, device="tpu")

    def test_what_the_model_raises_is_passed_on(self):
        with pytest.raises(InceptionLabError, match="cannot run on an input of 1x5"):
            il.largest_batch(nn.Linear(2, 2), (5,), limit=1000)


class Uneven(nn.Module):
    """A convolution, and another one beside it that depends on the size of the batch."""

    def __init__(self, beside, width=8):
        super().__init__()
        self.conv, self.beside = nn.Conv2d(3, width, 3), beside

    def forward(self, x):
        return self.conv(x).relu(), self.beside(self.conv, x)


def limit_by_all_traces(net, size, limit, **how):
    """The largest batch that the allocator gets through, of all whose peak is within the limit."""
    steps = (il.trace_for_device(net, (batch, *size), device="cuda", **how) for batch in count(1))
    within = takewhile(lambda step: il.peak_memory(step, "cuda").peak_bytes <= limit, steps)
    largest = 0
    for batch, step in enumerate(within, 1):
        with suppress(OutOfMemory):
            il.reserved_memory(step, limit)
            largest = batch
    return largest


class TestTheWayDownOnCuda:
    """Batches whose storages are foretold, and those that have to be traced, against a trace of each."""

    @settings(max_examples=10, deadline=None)
    @given(
        st.integers(1, 40), st.integers(40, 70), st.integers(8, 48), st.integers(1, 9),
        st.sampled_from([("eval", None), ("train", None), ("train", "adamw")]),
    )  # fmt: skip
    def test_of_nets_that_grow_evenly(self, width, side, mebibytes, start, how):
        net = nn.Sequential(branched(), nn.Conv2d(8, width, 3), nn.Dropout(), nn.Conv2d(width, 2, 1))
        how, limit = dict(zip(("mode", "optimizer"), how, strict=True)), mebibytes << 20
        answer = il.largest_batch(net, (3, side, side), limit, context=0, start=start, device="cuda", **how)
        assert answer.batch_size == limit_by_all_traces(net, (3, side, side), limit, **how)

    @pytest.mark.parametrize(
        "beside",
        [
            lambda conv, x: torch.cat([conv(part) for part in x.split(7)]),
            lambda conv, x: conv(conv.weight.new_zeros(len(x) ** 2 // 9 + 1, 3, 9, 9)),
            lambda conv, x: conv(x[: (len(x) + 1) // 2]),
            lambda conv, x: conv(x).exp() if len(x) > 60 else None,
        ],
        ids=["split", "squared", "half", "branch"],
    )
    @pytest.mark.parametrize("mebibytes", [16, 23, 41])
    def test_of_nets_that_do_not(self, beside, mebibytes):
        net, limit = Uneven(beside), mebibytes << 20
        answer = il.largest_batch(net, (3, 64, 64), limit, context=0, device="cuda")
        assert answer.batch_size == limit_by_all_traces(net, (3, 64, 64), limit)

    def test_of_a_net_that_needs_more_at_the_very_batch_that_was_foretold(self):
        def answer_of(net):
            return il.largest_batch(net, (3, 64, 64), 64 << 20, context=0, device="cuda").batch_size

        foretold = answer_of(Uneven(lambda *_: None))
        net = Uneven(lambda conv, x: conv(x).exp() if len(x) == foretold else None)
        assert answer_of(net) == limit_by_all_traces(net, (3, 64, 64), 64 << 20) < foretold

    def test_few_are_traced(self, monkeypatch):
        traced = []

        def trace(model, inputs, **options):
            traced.append(inputs[0])
            return il.trace_for_device(model, inputs, **options)

        monkeypatch.setattr(limits, "trace_for_device", trace)
        answer = il.largest_batch(branched(), (3, 16, 16), "256 MiB", device="cuda", context=0)
        beyond = il.trace(branched(), (answer.batch_size + 100, 3, 16, 16))
        assert il.peak_memory(beyond, "cuda").peak_bytes < 256 << 20  # and it was not traced
        assert len(traced) < 100


@pytest.mark.parametrize("limit", [106, 107, 113, 114, 799, 800, 801])
@pytest.mark.parametrize("start", [1, 2, 5, 64])
def test_bisection_finds_the_last_that_fits(limit, start):
    assert _bisected(lambda batch: 100 + 7 * batch <= limit, start) == max(0, (limit - 100) // 7)


def test_a_limit_that_no_batch_reaches():
    with pytest.raises(InceptionLabError, match="still fits"):
        _bisected(lambda _: True, 1)


class Raising(nn.Module):
    """A convolution of 3 pixels that raises below 6, for a reason that is not the size."""

    def __init__(self, raises):
        super().__init__()
        self.conv, self.raises = nn.Conv2d(1, 1, 3), raises

    def forward(self, x):
        if x.shape[2] < 6:
            self.raises(self.conv, x)
        return self.conv(x)


def refuse(*_):
    raise InceptionLabError("heads are missing", exit_code=MODEL_FAILED)


def test_an_error_that_is_not_about_the_size_is_raised():
    with pytest.raises(InceptionLabError, match="heads are missing"):
        il.smallest_input(Raising(refuse), (1, 1, 20, 20))


def test_the_fit_has_the_smallest_input_that_was_tried():
    model = il.create_model("googlenet_keras", device="meta")
    first = il.trace(model, (1, 3, 224, 224))
    by_geometry, fit = il.resolution_fit(first), il.tried_resolution_fit(model, first)
    assert fit.smallest_input == il.smallest_input(model, (1, 3, 224, 224)) != by_geometry.smallest_input
    assert fit.exceeding == by_geometry.exceeding


def test_the_fit_of_a_model_that_runs_for_real_is_its_geometry():
    class Asking(nn.Conv2d):
        def forward(self, x):
            return super().forward(x) if x.sum() > -1 else x

    model = Asking(1, 1, 3)
    first = il.trace(model, (1, 1, 9, 9))
    assert first.context.device == "cpu"
    assert il.tried_resolution_fit(model, first) == il.resolution_fit(first)


class ByKeyword(nn.Module):
    """Takes its image by keyword alone."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3)

    def forward(self, *, image):
        return self.conv(image)


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (ByKeyword(), {"image": (1, 1, 9, 9)}),
        (nn.Embedding(9, 4), torch.zeros(1, 8, dtype=torch.int64)),
        (nn.Bilinear(4, 4, 2), [(1, 5, 4), (1, 5, 4)]),
    ],
    ids=["keyword", "tokens", "two inputs"],
)
def test_the_fit_of_inputs_that_a_shape_does_not_make_is_their_geometry(model, inputs):
    first = il.trace(model, inputs)
    assert il.tried_resolution_fit(model, first) == il.resolution_fit(first)
