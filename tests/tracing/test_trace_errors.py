"""Errors of traces, in one line each, and the question of what a model takes."""

import pytest
import torch
from support.forwards import SMALL, conv, net_of, owners
from torch import nn

import inception_lab as il
from inception_lab.errors import MODEL_FAILED, InceptionLabError, InputRefused
from inception_lab.models.registry import create_model
from inception_lab.tracing.tracer import takes


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
