"""The caching executor gives the very trace that the kernels give."""

import re
import subprocess
import sys

import pytest
import torch
from support.pricing import Function
from support.zoo import small_image
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.models.registry import create_model, list_models
from inception_lab.running.request import Request
from inception_lab.tracing.backends import META
from inception_lab.tracing.dispatch import CACHE_LIMIT, CACHING_EXECUTOR, CachingExecutor, KernelExecutor
from inception_lab.tracing.tracer import trace_on

aten = torch.ops.aten


def trace_by(executor, model, shape, mode):
    return trace_on(META._replace(executor=executor), Request(model, shape, mode, name="it"))


def assert_same(actual, expected):
    assert actual.ops == expected.ops
    assert actual.values == expected.values
    assert actual.storages == expected.storages
    assert actual.calls == expected.calls
    assert actual.context == expected.context


@pytest.fixture(autouse=True, scope="module")
def kernels_that_ran_before():
    """The first run of some kernels keeps its arguments alive, see `TestFreshProcess`."""
    for mode in ("eval", "train"):
        for name in ("googlenet", "googlenet_bn"):
            trace_by(KernelExecutor(), create_model(name, device="meta"), (1, 3, 64, 64), mode)


TWICE = """
import torch
from torch import nn
import inception_lab as il
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
for mode in ("eval", "train"):
    first, second = (il.trace(net, (1, 3, 8, 8), mode=mode) for _ in range(2))
    assert first == second, [pair for pair in zip(first.storages, second.storages) if pair[0] != pair[1]]
"""


class TestFreshProcess:
    def test_the_first_trace_is_as_the_second(self):
        process = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, check=False)
        assert process.returncode == 0, process.stderr


class TestContract:
    """Cold and warm, over the zoo: rules and cache change nothing but the time."""

    @pytest.mark.parametrize("mode", ["eval", "train"])
    @pytest.mark.parametrize("name", list_models())
    @pytest.mark.parametrize("batch", [1, 2])
    def test_zoo(self, name, mode, batch):
        model, caching = create_model(name, device="meta"), CachingExecutor()
        expected = trace_by(KernelExecutor(), model, small_image(name, batch), mode)
        for _ in range(2):
            assert_same(trace_by(caching, model, small_image(name, batch), mode), expected)

    @pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
    def test_heads(self, name):
        model, caching = create_model(name, device="meta", aux_logits=True), CachingExecutor()
        expected = trace_by(KernelExecutor(), model, (2, 3, 191, 238), "train")
        for _ in range(2):
            assert_same(trace_by(caching, model, (2, 3, 191, 238), "train"), expected)

    @pytest.mark.parametrize("mode", ["eval", "train"])
    @pytest.mark.parametrize(
        ("dtype", "memory_format"),
        [
            (torch.float64, torch.contiguous_format),
            (torch.bfloat16, torch.contiguous_format),
            (torch.float32, torch.channels_last),
        ],
    )
    def test_other_dtypes_and_layouts(self, dtype, memory_format, mode):
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(inplace=True), nn.AvgPool2d(2), nn.Flatten(),
            nn.Linear(32, 5),
        )  # fmt: skip
        net.to(dtype=dtype, memory_format=memory_format)
        images = torch.zeros(2, 3, 16, 16, dtype=dtype).contiguous(memory_format=memory_format)
        caching, expected = CachingExecutor(), trace_by(KernelExecutor(), net, images, mode)
        for _ in range(2):
            assert_same(trace_by(caching, net, images, mode), expected)

    def test_one_cache_for_all_models_and_modes(self):
        """Nothing that one trace leaves behind changes another."""
        caching = CachingExecutor()
        models = [create_model(name, device="meta") for name in ("googlenet", "googlenet_bn")]
        for model in [*models, *models]:
            for mode in ("eval", "train"):
                shape = (1, 3, 64, 64)
                expected = trace_by(KernelExecutor(), model, shape, mode)
                assert_same(trace_by(caching, model, shape, mode), expected)


SAME_KEY_AT_FIRST_SIGHT = [
    (lambda x: x + 1, lambda x: x + 1.0, lambda x: x + True),
    (lambda x: x.sum(1), lambda x: x.sum(1, keepdim=True), lambda x: x.sum(0)),
    (lambda x: torch.cat([x, x]), lambda x: torch.cat([x], 0), lambda x: torch.cat([x, x, x], 1)),
    (lambda x: x.to(torch.float64), lambda x: x.to(torch.float16), lambda x: x.to(torch.float32)),
    (lambda x: x.new_zeros(2, 3), lambda x: x.new_zeros(3, 2), lambda x: x.new_zeros(2, 3, dtype=torch.int8)),
    (lambda x: x.t() @ x, lambda x: x.t().contiguous() @ x, lambda x: x @ x),
    (lambda x: x[[0, 1]], lambda x: x[:, [0, 1]], lambda x: x[[0]]),
    (lambda x: torch.clamp(x, 0), lambda x: torch.clamp(x, max=0), lambda x: torch.clamp(x, 0, 0)),
    (lambda x: x.topk(2).values, lambda x: x.topk(2, 0).values, lambda x: x.topk(3).indices),
    (lambda x: x.amax(), lambda x: x.amax(0), lambda x: x.amax((0, 1), keepdim=True)),
    (lambda x: x[0], lambda x: x[0:1], lambda x: x[:, 0]),
    (lambda x: x.add_(1), lambda x: x.add_(x), lambda x: x.mul_(1).add(1)),
    (lambda x: x.pow(2), lambda x: x.pow(x), lambda x: 2**x),
]


@pytest.mark.parametrize("functions", SAME_KEY_AT_FIRST_SIGHT)
def test_operations_that_resemble_each_other_are_told_apart(functions):
    caching = CachingExecutor()
    for function in [*functions, *functions]:
        for x in (torch.zeros(4, 4), torch.zeros(4, 4, dtype=torch.int64), torch.zeros(4, 4).t()[:]):
            expected = trace_by(KernelExecutor(), Function(function), x, "eval")
            assert_same(trace_by(caching, Function(function), x, "eval"), expected)


class TestCachingExecutor:
    def run(self, caching, func, *args):
        return caching(func, (func, *(a for a in args if not isinstance(a, torch.Tensor))), args, {})

    def test_a_known_operation_is_not_run_again(self):
        caching, x = CachingExecutor(), torch.empty(2, 3, device="meta")
        first, output = self.run(caching, aten.neg.default, x)
        second, next_output = self.run(caching, aten.neg.default, x)
        assert second is first
        assert next_output is not output
        assert next_output.untyped_storage()._cdata != output.untyped_storage()._cdata

    @pytest.mark.parametrize("func", [aten.t.default, aten.relu_.default, aten.detach.default])
    def test_views_and_in_place_operations_always_run(self, func):
        caching, x = CachingExecutor(), torch.empty(2, 3, device="meta")
        for _ in range(3):
            operation, out = self.run(caching, func, x)
            assert operation.outputs is None
            assert out.untyped_storage()._cdata == x.untyped_storage()._cdata

    def test_an_operation_that_may_return_its_argument_is_not_answered_with_a_copy(self):
        """`contiguous` and `to` are views of nothing when they have nothing to do."""
        model = Function(lambda x: x.contiguous().to(torch.float32).reshape(4, 4))
        assert len(trace_by(CachingExecutor(), model, (4, 4), "eval").storages) == 1

    @pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
    def test_a_kernel_larger_than_the_input_along_one_axis_is_refused_as_for_real(self, memory_format):
        layer = nn.Conv2d(3, 4, 3).to(memory_format=memory_format)
        x = torch.zeros(1, 3, 8, 2).contiguous(memory_format=memory_format)
        with pytest.raises(RuntimeError) as real:
            layer(x)
        with pytest.raises(InceptionLabError, match=re.escape(str(real.value))):
            il.trace(layer, x, meta_only=True)

    def test_arguments_that_cannot_be_hashed_are_run_by_the_kernel(self):
        caching, x = CachingExecutor(), torch.empty(2, 3, device="meta")
        for _ in range(2):
            _, out = caching(aten.neg.default, (aten.neg.default, []), (x,), {})
            assert out.shape == x.shape
        assert not caching.cache

    def test_the_cache_does_not_outgrow_its_limit(self, monkeypatch):
        monkeypatch.setattr(CACHING_EXECUTOR, "cache", dict.fromkeys(range(CACHE_LIMIT + 1)))
        il.trace(nn.ReLU(), (2,))
        assert len(CACHING_EXECUTOR.cache) == 1

    def test_the_cache_holds_no_tensor(self):
        caching = CachingExecutor()
        trace_by(caching, create_model("googlenet", device="meta"), (1, 3, 64, 64), "train")
        assert caching.cache
        for key, operation in caching.cache.items():
            assert not any(isinstance(part, torch.Tensor) for part in (*key, *operation))


def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@pytest.fixture(scope="module")
def custom_op():
    """An operation that no formula knows, with a fake kernel, as a user would register it."""
    op = torch.library.custom_op("inception_lab_tests::double", double, mutates_args=())
    op.register_fake(torch.empty_like)
    return op


class TestUncounted:
    def test_a_custom_operation_is_named_with_how_often_it_ran(self, custom_op):
        trace = il.trace(Function(lambda x: custom_op(custom_op(custom_op(x)))), (2, 3))
        assert trace.context.uncounted_ops == {"inception_lab_tests.double.default": 3}
        assert not trace.context.complete
        assert [op.counted for op in trace.ops] == [False] * 3

    def test_an_operation_of_torch_without_a_formula_too(self):
        trace = il.trace(Function(lambda x: x.matrix_exp().matrix_exp().relu()), (3, 3))
        assert trace.context.uncounted_ops == {"aten.linalg_matrix_exp.default": 2}
        assert not trace.context.complete
        assert [op.counted for op in trace.ops] == [False, False, True]

    def test_a_count_of_operations_with_formulas_is_complete(self):
        trace = il.trace(create_model("googlenet_bn", device="meta"), (1, 3, 64, 64), mode="train")
        assert trace.context.complete
        assert not trace.context.uncounted_ops
        assert all(op.counted for op in trace.ops)
