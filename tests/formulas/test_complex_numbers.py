"""Products of complex numbers: 4 real multiply-accumulates each, by torch's counter on the real net of them.

A complex number a + bi is the real matrix [[a, -b], [b, a]], so that a product with complex weights is one of
real numbers with twice the rows and columns, or channels, and torch counts that one.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import inception_lab as il

COMPLEX = torch.complex64
SIZES = [(1, {}), (3, {"padding": 1}), (3, {"stride": 2}), (3, {"padding": "same"}), (2, {"padding": "same"})]


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def numbers(*shape):
    return torch.ones(shape, dtype=COMPLEX)


def macs(trace, phase="forward"):
    return sum(op.macs for op in trace.ops if op.phase == phase)


def real_macs(net, shape, training=False):
    """Multiply-accumulates of a net of real numbers, by torch's counter."""
    with FlopCounterMode(display=False) as counter:
        out = net(torch.ones(shape, requires_grad=training))
        if training:
            out.sum().backward()
    return counter.get_total_flops() // 2


def magnitude(out):
    return out.abs().sum()


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_a_linear_layer_and_a_convolution_of_the_same_product(bias, device):
    """3 samples of 4 complex features to 5: 60 products of 4 real ones."""
    linear = il.trace(nn.Linear(4, 5, bias, dtype=COMPLEX), (3, 4), device=device)
    convolution = il.trace(nn.Conv2d(4, 5, 1, bias=bias, dtype=COMPLEX), (3, 4, 1, 1), device=device)
    assert macs(linear) == macs(convolution) == real_macs(nn.Linear(8, 10), (3, 8)) == 3 * 4 * 5 * 4
    assert linear.context.complete
    assert convolution.context.complete


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("kernel", "options"), SIZES)
@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_as_real_ones_of_twice_the_channels(kernel, options, groups):
    layer = nn.Conv2d(4, 6, kernel, groups=groups, dtype=COMPLEX, **options)
    real = nn.Conv2d(8, 12, kernel, groups=groups, **options)
    assert macs(il.trace(layer, (2, 4, 9, 9))) == real_macs(real, (2, 8, 9, 9))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_transposed_convolutions(axes):
    kind = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[axes - 1]
    sizes = (5,) * axes
    trace = il.trace(kind(4, 6, 3, stride=2, dtype=COMPLEX), (2, 4, *sizes))
    assert macs(trace) == real_macs(kind(8, 12, 3, stride=2), (2, 8, *sizes))


@pytest.mark.parametrize("wants_input", [True, False], ids=["input's gradient", "weights alone"])
@pytest.mark.parametrize(
    ("layer", "real"),
    [
        (nn.Linear(4, 5, dtype=COMPLEX), nn.Linear(8, 10)),
        (nn.Conv1d(4, 5, 3, dtype=COMPLEX), nn.Conv1d(8, 10, 3)),
        (nn.Conv1d(4, 5, 3, bias=False, dtype=COMPLEX), nn.Conv1d(8, 10, 3)),
    ],
    ids=["linear", "convolution", "no bias"],
)
def test_backward_passes(layer, real, wants_input):
    sizes = () if isinstance(layer, nn.Linear) else (9,)
    example = numbers(3, 4, *sizes).requires_grad_(wants_input)
    trace = il.trace(layer, example, mode="train", loss=magnitude)
    forward = real_macs(real, (3, 8, *sizes))
    with_both_gradients = real_macs(real, (3, 8, *sizes), training=True)
    assert macs(trace) == forward
    assert macs(trace, "backward") == (with_both_gradients - forward if wants_input else forward)


PRODUCTS = [
    ("mm", torch.mm, [(3, 4), (4, 5)], 60),
    ("bmm", torch.bmm, [(2, 3, 4), (2, 4, 5)], 120),
    ("addmm", torch.addmm, [(3, 5), (3, 4), (4, 5)], 60),
    ("baddbmm", torch.baddbmm, [(2, 3, 5), (2, 3, 4), (2, 4, 5)], 120),
    ("addbmm", torch.addbmm, [(3, 5), (2, 3, 4), (2, 4, 5)], 120),
    ("mv", torch.mv, [(3, 4), (4,)], 12),
    ("addmv", torch.addmv, [(3,), (3, 4), (4,)], 12),
    ("dot", torch.dot, [(4,), (4,)], 4),
    ("vdot", torch.vdot, [(4,), (4,)], 4),
    ("addr", torch.addr, [(3, 5), (3,), (5,)], 15),
    ("matmul", torch.matmul, [(2, 3, 4), (4, 5)], 120),
    ("einsum", lambda x, y: torch.einsum("bixy,ioxy->boxy", x, y), [(3, 4, 2, 2), (4, 5, 2, 2)], 240),
    ("tensordot", lambda x, y: torch.tensordot(x, y, 1), [(2, 3, 4), (4, 5)], 120),
    ("bilinear", F.bilinear, [(2, 3), (2, 4), (5, 3, 4)], 2 * 5 * 3 * 4 + 2 * 5 * 4),
    ("two convolutions", lambda x, w: F.conv1d(x, w) + F.conv1d(x.conj(), w), [(1, 2, 9), (3, 2, 3)], 252),
]


@pytest.mark.parametrize(("name", "function", "shapes", "products"), PRODUCTS)
def test_every_product(name, function, shapes, products):
    del name
    assert macs(il.trace(Function(function), [numbers(*shape) for shape in shapes])) == 4 * products


@pytest.mark.parametrize(("name", "function", "shapes", "products"), PRODUCTS)
def test_other_counters_agree_or_the_difference_is_explained(name, function, shapes, products):
    del name
    result = il.crosscheck(Function(function), [numbers(*shape) for shape in shapes])
    assert result.verdict == "explained"
    assert result.record.context["checked_by"] == ["fvcore", "FlopCounterMode"]
    assert result.record.totals["macs"] == 4 * products


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize(("kernel", "options"), SIZES)
def test_a_training_step_of_complex_layers_is_explained(kernel, options):
    net = nn.Sequential(nn.Conv2d(4, 6, kernel, groups=2, dtype=COMPLEX, **options), nn.Flatten(1, 2))
    shape = (2, 4, 9, 9)
    result = il.crosscheck(net, shape, mode="train", loss=magnitude)
    totals = result.record.totals
    assert result.verdict == "explained"
    with FlopCounterMode(display=False) as counter:
        net(numbers(*shape))
    assert totals["torch_macs"] == counter.get_total_flops() // 2 == totals["macs"] * 3 // 4


def test_what_no_output_depends_on_is_explained_too():
    unused, used = nn.Conv1d(2, 3, 3, dtype=COMPLEX), nn.Conv1d(2, 3, 3, dtype=COMPLEX)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused, self.used = unused, used

        def forward(self, x):
            self.unused(x)
            return self.used(x)

    result = il.crosscheck(Net(), (1, 2, 9))
    assert (result.verdict, result.record.totals["macs"]) == ("explained", 2 * 4 * 3 * 2 * 3 * 7)


class TestRealNumbersOfAComplexNet:
    """What a user multiplies as real numbers counts as it runs."""

    def test_four_real_convolutions_are_four(self):
        real, imaginary = nn.Conv1d(2, 3, 3), nn.Conv1d(2, 3, 3)

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.real, self.imaginary = real, imaginary

            def forward(self, x):
                a, b = x.real, x.imag
                return self.real(a) - self.imaginary(b), self.real(b) + self.imaginary(a)

        assert macs(il.trace(Net(), numbers(1, 2, 9))) == 4 * 3 * 2 * 3 * 7

    def test_three_of_real_weights_are_three(self):
        def product(x, c, d):
            return F.conv1d(x, c), F.conv1d(x, d), F.conv1d(x + x, c + d)

        inputs = [torch.ones(1, 2, 9), torch.ones(3, 2, 3), torch.ones(3, 2, 3)]
        assert macs(il.trace(Function(product), inputs)) == 3 * 3 * 2 * 3 * 7


def test_depth_and_worksheets_hold_for_complex_layers():
    net = nn.Sequential(nn.Conv2d(4, 5, 3, dtype=COMPLEX), nn.Conv2d(5, 6, 1, dtype=COMPLEX))
    record = il.summarise(il.trace(net, (1, 4, 5, 5)))
    assert record.totals["weighted_layers"] == 2
    assert record.totals["macs"] == 4 * (9 * 4 * 5 * 9 + 9 * 5 * 6)
    assert sum(row["macs"] for row in record.layers) == record.totals["macs"]
