"""Losses, contexts and modes of traced steps."""

from collections import Counter, namedtuple

import pytest
import torch
from support.forwards import SMALL, conv, loss_of, net_of
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.models.registry import create_model
from inception_lab.running.losses import HEAD_WEIGHT

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
