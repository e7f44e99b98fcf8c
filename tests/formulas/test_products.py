"""Costs of matrix products and of kernels of single backends: sums of ones, torch's counter, by hand."""

import pytest
import torch
from support.pricing import Function, Prices
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from inception_lab.formulas.registry import Cost, cost_of
from inception_lab.tracing.tracer import trace

aten = torch.ops.aten


def meta(*shape):
    return torch.empty(shape, device="meta")


def cost(op, *args, **kwargs):
    return cost_of(op, args, kwargs, op(*args, **kwargs))


class TestMatrixProducts:
    @pytest.mark.parametrize(
        ("layer", "shape", "macs", "bias"),
        [
            (nn.Linear(10, 20), (4, 10), 4 * 10 * 20, 4 * 20),
            (nn.Linear(10, 20, bias=False), (4, 10), 4 * 10 * 20, 0),
            (nn.Linear(10, 20), (2, 3, 10), 6 * 10 * 20, 6 * 20),
            (nn.Linear(10, 20), (2, 3, 5, 10), 30 * 10 * 20, 30 * 20),
            (nn.Linear(10, 20), (10,), 10 * 20, 20),
            (nn.Conv2d(3, 4, 1), (3, 5, 5), 3 * 4 * 25, 4 * 25),
        ],
    )
    def test_linear_layers(self, layer, shape, macs, bias):
        ops = trace(layer, shape).ops
        assert (sum(op.macs for op in ops), sum(op.other_flops for op in ops)) == (macs, bias)

    @pytest.mark.parametrize(
        ("op", "shapes", "macs"),
        [
            (aten.mm.default, [(2, 3), (3, 4)], 24),
            (aten.bmm.default, [(5, 2, 3), (5, 3, 4)], 120),
            (aten.mv.default, [(2, 3), (3,)], 6),
            (aten.dot.default, [(7,), (7,)], 7),
            (aten._int_mm.default, [(32, 16), (16, 8)], 32 * 16 * 8),
            (aten.matmul.default, [(2, 1, 3, 4), (5, 4, 6)], 10 * 3 * 4 * 6),
            (aten.affine_grid_generator.default, [(2, 2, 3)], 2 * 6 * 3 * 2),
        ],
    )
    def test_products(self, op, shapes, macs):
        rest = ([2, 1, 3, 2], False) if "grid" in str(op) else ()
        tensors = [meta(*shape).to(torch.int8 if "int" in str(op) else torch.float32) for shape in shapes]
        assert cost(op, *tensors, *rest) == Cost(macs)

    @pytest.mark.parametrize("shapes", [[(30, 5), (7, 5)], [(3, 5), (26, 5)], [(2, 3, 30, 5), (3, 7, 5)]])
    def test_distances_by_a_product(self, shapes):
        """Step by step as `_euclidean_dist` of `Distance.cpp` computes them."""
        (op,) = [op for op in trace(Function(torch.cdist), shapes).ops if op.base_name == "_euclidean_dist"]
        batch = torch.broadcast_shapes(*(x[:-2] for x in shapes))
        a, b = (torch.rand(*batch, *x[-2:]) for x in shapes)
        with Prices() as steps:
            norms = [x.pow(2).sum(-1, keepdim=True) for x in (a, b)]
            first = torch.cat([a.mul(-2), norms[0], torch.ones_like(norms[0])], -1)
            second = torch.cat([b, torch.ones_like(norms[1]), norms[1]], -1)
            out = (first @ second.mT).clamp_min(0).sqrt()
        assert torch.allclose(out, torch.cdist(a, b), atol=1e-5)
        assert Cost(op.macs, op.other_flops) == steps.total
        assert not steps.uncounted

    @pytest.mark.parametrize(
        ("op", "shapes", "macs", "sums"),
        [
            (aten.addmm.default, [(2, 4), (2, 3), (3, 4)], 24, 8),
            (aten.addmv.default, [(2,), (2, 3), (3,)], 6, 2),
            (aten.addbmm.default, [(2, 4), (5, 2, 3), (5, 3, 4)], 120, 8),
            (aten.baddbmm.default, [(5, 2, 4), (5, 2, 3), (5, 3, 4)], 120, 40),
            (aten.addr.default, [(2, 4), (2,), (4,)], 8, 8),
        ],
    )
    def test_products_that_are_added_to_something(self, op, shapes, macs, sums):
        ones = [torch.ones(shape) for shape in shapes]
        products = op(torch.zeros(shapes[0]), *ones[1:]).sum()
        assert cost(op, *(x.to("meta") for x in ones)) == Cost(macs, sums)
        assert products == macs

    @pytest.mark.parametrize("equation", ["bij,bjk->bik", "bhqd,bhkd->bhqk", "ij,ij->", "bn,anm,bm->ba"])
    def test_einsum(self, equation):
        sizes = dict(zip("abdhijkmnq", range(2, 12), strict=True))
        factors = [[sizes[axis] for axis in factor] for factor in equation.split("->")[0].split(",")]
        model = Function(lambda *tensors: torch.einsum(equation, *tensors))
        with FlopCounterMode(display=False) as counter:
            model(*map(torch.ones, factors))
        assert sum(op.macs for op in trace(model, factors).ops) == counter.get_total_flops() / 2 > 0

    def test_a_bilinear_layer_contracts_one_input_after_the_other(self):
        """4 samples, weight of 7 x 5 x 6: first 4 x 7 x 5 x 6 with 5 summed, then 4 x 7 x 6."""
        ops = trace(nn.Bilinear(5, 6, 7), [(4, 5), (4, 6)]).ops
        assert sum(op.macs for op in ops) == 4 * 7 * 5 * 6 + 4 * 7 * 6

    def test_grouped_products(self):
        half = {"dtype": torch.bfloat16, "device": "meta"}
        ends = torch.empty(3, dtype=torch.int32, device="meta")
        rows, columns = torch.empty(16, 8, **half), torch.empty(8, 32, **half)
        experts = torch.empty(3, 8, 32, **half)
        assert cost(aten._grouped_mm.default, rows, experts, ends) == Cost(16 * 8 * 32)
        assert cost(aten._grouped_mm.default, rows.mT.contiguous().mT, columns, ends) == Cost(16 * 8 * 32)


class TestKernelsOfOneBackend:
    """The shapes of a convolution decide, whichever kernel runs it."""

    X, WEIGHT, BIAS = meta(2, 4, 6, 6), meta(8, 2, 3, 3), meta(8)
    ONE, NONE = [1, 1], [0, 0]

    @pytest.mark.parametrize(
        ("op", "args"),
        [
            (aten.mkldnn_convolution.default, (NONE, ONE, ONE, 2)),
            (aten.miopen_convolution.default, (NONE, ONE, ONE, 2, False, False)),
        ],
    )
    def test_with_a_bias(self, op, args):
        out = meta(2, 8, 4, 4)
        for bias, sums in ((self.BIAS, 2 * 8 * 16), (None, 0)):
            assert cost_of(op, (self.X, self.WEIGHT, bias, *args), {}, out) == Cost(2 * 8 * 16 * 2 * 9, sums)

    def test_without_and_transposed(self):
        rest = (self.NONE, self.ONE, self.ONE, 2, False, False, False)
        out = meta(2, 8, 4, 4)
        assert cost_of(aten.cudnn_convolution.default, (self.X, self.WEIGHT, *rest), {}, out).macs == 4608
        weight, grown = meta(4, 4, 3, 3), meta(2, 8, 8, 8)
        args = (self.X, weight, self.NONE, *rest)
        assert cost_of(aten.cudnn_convolution_transpose.default, args, {}, grown) == Cost(2 * 36 * 4 * 4 * 9)

    def test_kernels_that_run_on_the_cpu(self):
        x, weight = torch.ones(1, 3, 5, 5), torch.ones(2, 3, 3, 3)
        out = aten.slow_conv_dilated2d.default(x, weight, [3, 3])
        assert cost_of(aten.slow_conv_dilated2d.default, (x, weight, [3, 3]), {}, out) == Cost(int(out.sum()))
        transpose = weight.transpose(0, 1)
        out = aten.slow_conv_transpose2d.default(x, transpose, [3, 3])
        assert cost_of(aten.slow_conv_transpose2d.default, (x, transpose, [3, 3]), {}, out).macs == out.sum()
        out = aten.conv_tbc.default(torch.ones(6, 2, 4), torch.ones(3, 4, 5), torch.zeros(5))
        assert cost(aten.conv_tbc.default, meta(6, 2, 4), meta(3, 4, 5), meta(5)) == Cost(
            int(out.sum()), 4 * 2 * 5
        )
