"""Costs of operations against torch's and fvcore's counters, real sums of ones, and arithmetic by hand."""

import re
from collections import Counter
from itertools import compress

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from support.pricing import Function
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, flop_registry, register_flop_formula

from inception_lab.errors import InceptionLabError
from inception_lab.formulas.free import is_free
from inception_lab.formulas.registry import FORMULAS, FREE_OPS, Cost, cost_of, register_formula
from inception_lab.formulas.terms import ABSENT
from inception_lab.models.registry import create_model
from inception_lab.tracing.tracer import trace

aten = torch.ops.aten
SMALL = 64


def meta(*shape):
    return torch.empty(shape, device="meta")


def cost(op, *args, **kwargs):
    return cost_of(op, args, kwargs, op(*args, **kwargs))


def total(steps, *phases):
    return sum(op.macs for op in steps.ops if op.phase in phases)


def other(layer, *shape, mode="eval"):
    """Other operations in the forward pass of one layer, by operation."""
    flops = Counter()
    for op in trace(layer, shape, mode=mode).ops:
        if op.phase == "forward" and op.other_flops:
            flops[op.base_name] += op.other_flops
    return dict(flops)


class TestZoo:
    def test_a_training_step_is_three_forwards_less_the_gradient_of_the_image(self):
        step = trace(create_model("googlenet", device="meta"), (2, 3, SMALL, SMALL), mode="train")
        forward = [op.macs for op in step.ops if op.phase == "forward" and op.macs]
        assert total(step, "backward") == 2 * sum(forward) - forward[0]

    def test_backward_macs_of_an_ungrouped_net_are_those_of_torch(self):
        model, images = create_model("googlenet_bn", num_classes=10), torch.zeros(2, 3, SMALL, SMALL)
        step = trace(model, tuple(images.shape), mode="train")
        with FlopCounterMode(display=False) as counter:
            model(images).sum().backward()
        assert total(step, "forward", "backward") == counter.get_total_flops() / 2


# ------------------------------------------------------------------------- convolutions by counting


@st.composite
def convolutions(draw):
    """Arguments of a 1-d, 2-d or 3-d convolution without padding, transposed or not."""
    axes, transposed = draw(st.integers(1, 3)), draw(st.booleans())
    groups, inside, outside = (draw(st.integers(1, 3)) for _ in range(3))
    kernel, dilation, stride = ([draw(st.integers(1, 3)) for _ in range(axes)] for _ in range(3))
    image = [d * (k - 1) + draw(st.integers(1, 6 - axes)) for k, d in zip(kernel, dilation, strict=True)]
    channels = (inside * groups, outside) if transposed else (outside * groups, inside)
    x = torch.ones(draw(st.integers(1, 2)), inside * groups, *image, dtype=torch.float64)
    weight = torch.ones(*channels, *kernel, dtype=torch.float64)
    return x, weight, (stride, [0] * axes, dilation, transposed, [0] * axes, groups)


class TestConvolutions:
    """With ones everywhere, and no padding, a sum of products is the number of products."""

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(convolutions())
    def test_macs_are_the_products_that_were_summed(self, convolution):
        x, weight, rest = convolution
        out = aten.convolution.default(x, weight, None, *rest)
        assert cost_of(aten.convolution.default, (x, weight, None, *rest), {}, out) == Cost(int(out.sum()), 0)

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(convolutions(), st.tuples(st.booleans(), st.booleans(), st.booleans()))
    def test_backward_macs_are_the_products_that_were_summed(self, convolution, mask):
        x, weight, rest = convolution
        grad = torch.ones_like(aten.convolution.default(x, weight, None, *rest))
        bias = [grad.shape[1]]
        args = (grad, x, weight, bias, *rest, list(mask))
        out = aten.convolution_backward.default(*args)
        products = sum(int(gradient.sum()) for gradient in compress(out, mask[:2]))
        assert cost_of(aten.convolution_backward.default, args, {}, out) == Cost(products, 0)

    def test_products_with_the_padding_count(self):
        x, weight = torch.ones(1, 2, 5, 5), torch.ones(3, 2, 3, 3)
        with_zeros = cost(aten.convolution.default, x, weight, None, [1], [1], [1], False, [0], 1)
        assert with_zeros.macs == F.conv2d(F.pad(x, (1, 1, 1, 1), value=1.0), weight).sum()

    def test_the_bias_is_an_addition_per_output(self):
        args = (meta(2, 4, 6, 6), meta(8, 4, 3, 3), meta(8), [1], [0], [1], False, [0], 1)
        assert cost(aten.convolution.default, *args) == Cost(2 * 8 * 16 * 36, 2 * 8 * 16)


class Separable(nn.Sequential):
    """A dense stem, then depthwise and pointwise convolutions, strided every second time."""

    def __init__(self):
        super().__init__(nn.Conv2d(3, 16, 3, padding=1, bias=False))
        for block in range(4):
            depthwise = nn.Conv2d(16, 16, 3, stride=1 + block % 2, padding=1, groups=16, bias=False)
            self.extend([depthwise, nn.Conv2d(16, 16, 1, bias=False), nn.ReLU()])


class TestDepthwise:
    SHAPE = (2, 3, 32, 32)

    def test_training_costs_three_forwards(self):
        step = trace(Separable(), self.SHAPE, mode="train")
        first = next(op.macs for op in step.ops if op.macs)
        rest, training = total(step, "forward") - first, total(step, "forward", "backward") - 2 * first
        assert training == pytest.approx(3 * rest, rel=0.01)

    def test_torch_counts_the_weight_gradient_of_a_group_as_if_it_were_dense(self):
        """`conv_backward_flop` leaves the groups out: 16 times too much for 16 groups."""
        step, model = trace(Separable(), self.SHAPE, mode="train"), Separable()
        with FlopCounterMode(display=False) as counter:
            model(torch.zeros(self.SHAPE)).sum().backward()
        depthwise = sum(op.macs for op in step.ops if op.phase == "forward" and op.arg("groups") == 16)
        excess = counter.get_total_flops() / 2 - total(step, "forward", "backward")
        assert excess == 15 * depthwise


# ------------------------------------------------------------------------------ by hand: all the rest

ELEMENTS = 2 * 6 * 8 * 8


class TestOtherFlops:
    @pytest.mark.parametrize(
        ("layer", "eval_cost", "train_cost"),
        [
            (nn.BatchNorm2d(6), 2 * ELEMENTS, 5 * ELEMENTS),
            (nn.BatchNorm2d(6, affine=False), 2 * ELEMENTS, 4 * ELEMENTS),
            (nn.BatchNorm2d(6, track_running_stats=False), 5 * ELEMENTS, 5 * ELEMENTS),
            (nn.BatchNorm2d(6, affine=False, track_running_stats=False), 4 * ELEMENTS, 4 * ELEMENTS),
        ],
    )
    def test_batch_norm(self, layer, eval_cost, train_cost):
        assert other(layer, 2, 6, 8, 8)["native_batch_norm"] == eval_cost
        assert other(layer, 2, 6, 8, 8, mode="train")["native_batch_norm"] == train_cost

    def test_train_mode_counts_the_batches_too(self):
        assert other(nn.BatchNorm2d(6), 2, 6, 8, 8, mode="train")["add"] == 1

    @pytest.mark.parametrize("layer", [nn.GroupNorm(2, 6), nn.LayerNorm(8)])
    def test_a_normalisation_that_cannot_be_folded(self, layer):
        assert sum(other(layer, 2, 6, 8, 8).values()) == 5 * ELEMENTS
        assert sum(other(layer, 2, 6, 8, 8, mode="train").values()) == 5 * ELEMENTS

    def test_the_same_without_weights(self):
        assert sum(other(nn.GroupNorm(2, 6, affine=False), 2, 6, 8, 8).values()) == 4 * ELEMENTS
        assert sum(other(nn.LayerNorm(8, elementwise_affine=False), 2, 6, 8, 8).values()) == 4 * ELEMENTS

    @pytest.mark.parametrize(
        "layer",
        [
            nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.LeakyReLU(), nn.ELU(), nn.PReLU(), nn.SiLU(),
            nn.GELU(), nn.Sigmoid(), nn.Tanh(), nn.Hardswish(), nn.Hardswish(inplace=True), nn.Hardsigmoid(),
            nn.Mish(), nn.Softplus(), nn.Threshold(0.1, 0.0), nn.Threshold(0.1, 0.0, inplace=True),
        ],
        ids=str,
    )  # fmt: skip
    def test_an_activation_is_one_per_element(self, layer):
        assert sum(other(layer, 2, 6, 8, 8).values()) == ELEMENTS

    @pytest.mark.parametrize(
        ("layer", "windows", "size"),
        [
            (nn.MaxPool2d(3, 2), 3 * 3, 9),
            (nn.MaxPool2d(3, 2, ceil_mode=True), 4 * 4, 9),
            (nn.MaxPool2d((1, 3), (1, 2), (0, 1)), 8 * 4, 3),
            (nn.AvgPool2d(2), 4 * 4, 4),
            (nn.AvgPool2d(3, 2, 1, ceil_mode=True), 5 * 5, 9),
            (nn.AvgPool2d((2, 4)), 4 * 2, 8),
        ],
        ids=str,
    )
    def test_a_pool_is_its_window_per_output(self, layer, windows, size):
        """By hand on 8 x 8: floor((8 - 3) / 2) + 1 = 3, rounded up 4, with padding 5."""
        assert sum(other(layer, 2, 6, 8, 8).values()) == 2 * 6 * windows * size

    @pytest.mark.parametrize(
        ("op", "shape", "expected"),
        [
            (aten.avg_pool2d.default, (2, 6, 8, 8), 2 * 6 * 16 * 4),
            (aten.max_pool2d_with_indices.default, (2, 6, 8, 8), 2 * 6 * 16 * 4),
            (aten.avg_pool3d.default, (1, 2, 4, 4, 4), 2 * 8 * 8),
            (aten.max_pool3d_with_indices.default, (1, 2, 4, 4, 4), 2 * 8 * 8),
        ],
    )
    @pytest.mark.parametrize("kernel", [2, [2]])
    def test_one_number_is_a_kernel_for_every_axis(self, op, shape, expected, kernel):
        assert cost(op, meta(*shape), kernel) == Cost(0, expected)

    def test_the_other_dimensions(self):
        assert sum(other(nn.AvgPool1d(4), 2, 6, 16).values()) == 2 * 6 * 4 * 4
        assert sum(other(nn.MaxPool1d(2), 2, 6, 16).values()) == 2 * 6 * 8 * 2
        assert sum(other(nn.MaxPool3d(2), 1, 2, 4, 4, 4).values()) == 2 * 8 * 8

    @pytest.mark.parametrize("size", [1, 4])
    def test_an_adaptive_mean_reads_every_element_once(self, size):
        assert sum(other(nn.AdaptiveAvgPool2d(size), 2, 6, 8, 8).values()) == ELEMENTS

    def test_softmax_is_five_per_element(self):
        assert other(nn.Softmax(1), 2, 6, 8, 8) == {"_softmax": 5 * ELEMENTS}
        assert other(nn.LogSoftmax(1), 2, 6, 8, 8) == {"_log_softmax": 5 * ELEMENTS}

    def test_local_response_norm(self):
        """Square, mean of 5 channels, times alpha, plus k, to the power of beta, divide."""
        flops = {"mul": 2, "avg_pool3d": 5, "add": 1, "pow": 1, "div": 1}
        by_hand = {name: times * ELEMENTS for name, times in flops.items()}
        assert other(nn.LocalResponseNorm(5), 2, 6, 8, 8) == by_hand

    def test_a_sum_of_branches_is_one_per_element_and_broadcasting_counts_the_result(self):
        x = meta(2, 6, 8, 8)
        assert cost(aten.add.Tensor, x, x) == Cost(0, ELEMENTS)
        assert cost(aten.add.Tensor, meta(6, 1, 1), x) == Cost(0, ELEMENTS)
        assert cost(aten.add_.Tensor, x, meta(6, 1, 1)) == Cost(0, ELEMENTS)

    @pytest.mark.parametrize(
        "layer",
        [
            nn.Flatten(), nn.Identity(), nn.Dropout(), nn.PixelShuffle(1), nn.ChannelShuffle(2),
            nn.ZeroPad2d(1), nn.ReflectionPad2d(1), nn.ReplicationPad2d(1), nn.Upsample(scale_factor=2),
        ],
        ids=str,
    )  # fmt: skip
    def test_moves_are_free_and_known(self, layer):
        moves = trace(layer, (2, 6, 8, 8))
        assert moves.context.complete
        assert not any(op.macs or op.other_flops for op in moves.ops)

    def test_a_training_dropout_scales_its_mask_and_applies_it(self):
        assert sum(other(nn.Dropout(0.5), 2, 6, 8, 8, mode="train").values()) == 2 * ELEMENTS

    def test_the_question_of_equality_compares_and_joins(self):
        model = Function(lambda x: x.detach() if torch.equal(x, x) else -x)
        assert other(model, 2, 3) == {"equal": 2 * 2 * 3}

    def test_only_the_forward_and_the_loss_have_other_flops(self):
        step = trace(
            nn.Sequential(nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6), nn.ReLU()), (2, 6, 8, 8), mode="train"
        )
        assert {op.phase for op in step.ops if op.other_flops} == {"forward", "loss"}


class TestTables:
    def test_no_operation_is_both_free_and_counted(self):
        assert not FREE_OPS & set(FORMULAS)

    def test_operations_have_one_spelling(self):
        """A form in place has no row of its own where the form out of place exists."""
        names = {packet.__name__ for packet in (*FREE_OPS, *FORMULAS)}
        assert not [name for name in names if name.endswith("_") and hasattr(aten, name[:-1])]

    @pytest.mark.parametrize(
        ("op", "args"),
        [
            (aten.copy_.default, (meta(4), meta(4))),
            (aten.fill_.Scalar, (meta(4), 1)),
            (aten.zero_.default, (meta(4),)),
            (aten.normal_.default, (meta(4),)),
            (aten.transpose_.default, (meta(4, 5), 0, 1)),
            (aten.set_.source_Tensor, (meta(4), meta(4))),
        ],
    )
    def test_what_is_free_out_of_place_is_free_in_place(self, op, args):
        assert cost(op, *args) == Cost()

    def test_a_formula_holds_in_place_too(self):
        assert cost(aten.cumsum_.default, meta(4, 5), 0) == cost(aten.cumsum.default, meta(4, 5), 0)
        assert cost(aten.floor_divide_.Tensor, meta(4), meta(4)) == Cost(other_flops=4)

    @pytest.mark.parametrize("operation", [aten.copy_, aten.cumsum_])
    def test_a_form_in_place_has_the_formula_of_its_base(self, operation):
        with pytest.raises(InceptionLabError, match="has a formula already"):
            register_formula(operation, lambda *_, **__: Cost())

    def test_an_unknown_operation_is_said_to_be_unknown(self):
        op = aten.linalg_inv_ex.default
        assert cost(op, meta(4, 4)) == Cost(counted=False)

    def test_an_operation_of_another_library_is_unknown_until_it_registers_a_formula(self):
        with torch.library._scoped_library("formulas_test", "DEF") as library:
            library.define("scale_(Tensor(a!) x) -> ()")
            library.define("product_backward(Tensor x) -> Tensor")
            library.impl("product_backward", lambda x: x.clone(), "CompositeExplicitAutograd")
            ops = torch.ops.formulas_test
            assert cost_of(ops.scale_.default, (meta(2),), {}, None) == Cost(counted=False)
            assert cost(ops.product_backward.default, meta(3)) == Cost(counted=False)
            register_flop_formula(ops.product_backward)(lambda shape, **_: 2 * 7 * shape[0])
            assert cost(ops.product_backward.default, meta(3)) == Cost(21)
            del flop_registry[ops.product_backward]

    def test_an_in_place_operation_costs_what_the_other_form_does(self):
        assert cost(aten.addmm_.default, meta(2, 4), meta(2, 3), meta(3, 4)) == Cost(24, 8)
        assert cost(aten.cumsum_.default, meta(2, 4), 1) == Cost(0, 8)
        assert cost(aten.squeeze_.dim, meta(2, 1), 1) == Cost()

    @pytest.mark.parametrize(
        ("op", "args", "expected"),
        [
            (aten.transpose_.default, (0, 1), Cost()),
            (aten.bernoulli_.float, (0.5,), Cost()),
            (aten.normal_.default, (), Cost()),
            (aten.floor_divide_.Tensor, (meta(2, 4),), Cost(0, 8)),
        ],
        ids=str,
    )
    def test_an_in_place_operation_whose_other_form_has_other_overloads(self, op, args, expected):
        assert op._overloadname not in getattr(aten, op.overloadpacket.__name__[:-1]).overloads()
        assert cost(op, meta(2, 4), *args) == expected

    @pytest.mark.parametrize("name", ["__irshift__", "__ilshift__", "__ixor__"])
    def test_an_in_place_operator_of_python_costs_what_the_other_form_does(self, name):
        """PyTorch tags all of these as element-wise but `__irshift__`."""
        bits = meta(2, 4).to(torch.int32)
        assert cost(getattr(aten, name).Tensor, bits, bits) == Cost(0, 8)
        assert cost(getattr(aten, name).Scalar, bits, 1) == Cost(0, 8)

    def test_an_overload_that_exists_in_place_alone_is_free_as_all_others(self):
        op = aten._index_put_impl_.hacked_twin
        assert not hasattr(aten._index_put_impl, "hacked_twin")
        assert cost_of(op, (meta(2), [], meta(2)), {}, meta(2)) == Cost()

    def test_no_backward_that_multiplies_matrices_is_free_by_its_name(self):
        names = {name[6:].partition(".")[0] for name in torch._C._dispatch_get_all_op_names()}
        of_products = re.compile(
            "(conv|matmul|matrix|mm_|rnn|lstm_mps|attention|(?<!bi|ri)linear_).*backward"
        )
        packets = [getattr(aten, name) for name in names if of_products.search(name) and hasattr(aten, name)]
        assert len(packets) > 20
        for packet in packets:
            assert packet in FORMULAS or not is_free(getattr(packet, packet.overloads()[0])), packet

    @pytest.mark.parametrize(
        "layer",
        [
            nn.ReLU6(), nn.LeakyReLU(), nn.ELU(), nn.PReLU(), nn.SiLU(), nn.GELU(), nn.Hardswish(), nn.Mish(),
            nn.Hardsigmoid(), nn.Softplus(), nn.GroupNorm(2, 6), nn.LayerNorm(8), nn.InstanceNorm2d(6),
            nn.Dropout2d(), nn.Upsample(scale_factor=2), nn.AdaptiveAvgPool2d(3), nn.LPPool2d(2, 2),
            nn.ReflectionPad2d(1), nn.LocalResponseNorm(3), nn.ConvTranspose2d(6, 6, 3), nn.Softmax2d(),
            nn.Conv2d(6, 6, 3, padding="same"), nn.Conv2d(6, 6, 3, padding=1, padding_mode="reflect"),
        ],
        ids=str,
    )  # fmt: skip
    def test_a_training_step_of_a_usual_layer_is_complete(self, layer):
        step = trace(nn.Sequential(nn.Conv2d(6, 6, 1), layer), (2, 6, 8, 8), mode="train")
        assert dict(step.context.uncounted_ops) == {}


def test_the_tables_name_operations_that_exist():
    newer_than_2_11 = {"_foreach_mm", "_flash_attention_forward_no_dropout_inplace"}
    assert newer_than_2_11 >= ABSENT
