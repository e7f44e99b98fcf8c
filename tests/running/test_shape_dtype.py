"""Numbers that a shape stands for, where a model's parameters are complex."""

import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.loading.model import trace_model
from inception_lab.loading.options import ModelRequest, parse_input_size

COMPLEX, DOUBLE = torch.complex64, torch.complex128
WIDTH, OUT, MODES, LENGTH = 4, 5, 6, 16


class Spectral(nn.Module):
    """A Fourier operator's layer: 6 modes of 4 channels to 5."""

    def __init__(self, dtype=COMPLEX):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH, OUT, MODES, dtype=dtype))

    def forward(self, x):
        modes = torch.fft.rfft(x)
        out = torch.zeros(len(x), OUT, modes.shape[-1], dtype=modes.dtype, device=x.device)
        out[..., :MODES] = torch.einsum("bix,iox->box", modes[..., :MODES], self.weight)
        return torch.fft.irfft(out, n=x.shape[-1])


class Operator(nn.Module):
    """Its complex weights come first, and its real layers after them."""

    def __init__(self):
        super().__init__()
        self.spectral, self.lift, self.project = Spectral(), nn.Conv1d(1, WIDTH, 1), nn.Conv1d(OUT, 1, 1)

    def forward(self, x):
        return self.project(self.spectral(self.lift(x)).relu())


class ComplexBehindReal(nn.Module):
    """A real layer first, while its first parameter is complex; meta kernels take either input."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH, OUT, dtype=COMPLEX))
        self.lift = nn.Linear(3, WIDTH)

    def forward(self, x):
        return (self.lift(x).to(COMPLEX) @ self.weight).abs()


def macs(trace):
    return sum(op.macs for op in trace.ops)


@pytest.mark.parametrize(
    ("model", "shape", "dtype"),
    [
        (Spectral(), (2, WIDTH, LENGTH), "float32"),
        (Spectral(DOUBLE), (2, WIDTH, LENGTH), "float64"),
        (Operator(), (2, 1, LENGTH), "float32"),
        (nn.Linear(3, 2, dtype=COMPLEX), (2, 3), "complex64"),
        (nn.Conv1d(3, 2, 3, dtype=DOUBLE), (2, 3, 9), "complex128"),
        (nn.Linear(3, 2), (2, 3), "float32"),
        (ComplexBehindReal(), (2, 3), "float32"),
    ],
    ids=[
        "operator's layer",
        "of double precision",
        "operator",
        "linear",
        "convolution",
        "real",
        "behind real",
    ],
)
def test_shapes_stand_for_what_the_model_takes(model, shape, dtype):
    assert il.trace(model, shape).context.dtype == dtype


def test_a_fourier_operator_by_shape_by_tensor_and_in_training():
    spectral, real = 4 * 2 * WIDTH * OUT * MODES, 2 * LENGTH * (WIDTH + OUT)
    by_shape = il.trace(Operator(), (2, 1, LENGTH))
    assert macs(by_shape) == macs(il.trace(Operator(), torch.zeros(2, 1, LENGTH))) == spectral + real
    step = il.trace(Operator(), (2, 1, LENGTH), mode="train")
    assert macs(step) == 3 * (spectral + real) - 2 * LENGTH * WIDTH  # the input takes no gradient
    # transforms have no formula
    assert not by_shape.context.complete


def test_on_the_command_line_an_element_type_can_be_written():
    keywords = {"in_features": LENGTH, "out_features": 2, "dtype": COMPLEX}
    request = ModelRequest("torch.nn:Linear", keywords, (parse_input_size(f"{LENGTH}:complex64"),))
    assert trace_model(request).context.dtype == "complex64"


def test_real_runs_take_the_same():
    model = Operator()
    assert il.measure_memory(model, (2, 1, LENGTH)).tracked_bytes > 0
    assert il.crosscheck(model, (2, 1, LENGTH)).verdict == "explained"
    field = il.effective_field(model, (1, 1, LENGTH), layer="lift", seeds=[0], samples=1)
    assert field.theoretical == ((LENGTH // 2, LENGTH // 2),)


def test_what_the_model_refuses_both_ways_is_said_for_its_own_dtype():
    with pytest.raises(il.InceptionLabError, match="cannot run on an input of 2x7"):
        il.trace(nn.Linear(3, 2, dtype=COMPLEX), (2, 7))
