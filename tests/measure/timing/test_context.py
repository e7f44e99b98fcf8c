"""Facts about a run, as they stand in its result."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.measure.timing import context
from inception_lab.measure.timing.context import run_context
from inception_lab.running.request import request_of
from inception_lab.running.stand_ins import cpu_copy, cpu_input
from inception_lab.running.step import Placement, prepared

CPU = Placement("cpu", cpu_copy, cpu_input)
SOFTWARE = {
    "cuda", "cudnn", "matmul_tf32", "convolution_tf32", "cudnn_benchmark", "cudnn_deterministic"
}  # fmt: skip


def context_on(device):
    with prepared(request_of(nn.Linear(3, 3), (2, 3)), CPU) as step:
        return run_context(replace(step, placement=CPU._replace(device=device)), 6, 1)


@pytest.fixture
def precisions():
    """The settings of TF32, put back afterwards."""
    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = matmul.fp32_precision, convolution.fp32_precision
    yield matmul, convolution
    matmul.fp32_precision, convolution.fp32_precision = before


def test_the_cpu_has_no_facts_of_cudas_libraries():
    facts = context_on("cpu")
    assert facts["device"] == "cpu"
    assert not SOFTWARE & facts.keys()


def test_cuda_names_its_libraries_and_the_gpu(monkeypatch):
    monkeypatch.setattr(context, "device_name", lambda device: f"a GPU, as {device}")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    facts = context_on("cuda")
    assert facts.keys() >= SOFTWARE
    assert (facts["machine"], facts["device"], facts["cuda"]) == ("a GPU, as cuda", "cuda", "13.0")


@pytest.mark.parametrize(("matmul_precision", "convolution_precision"), [("tf32", "ieee"), ("ieee", "tf32")])
def test_tf32_is_read_where_the_older_flags_raise(
    monkeypatch, precisions, matmul_precision, convolution_precision
):
    monkeypatch.setattr(context, "device_name", lambda _: "a GPU")
    matmul, convolution = precisions
    matmul.fp32_precision, convolution.fp32_precision = matmul_precision, convolution_precision
    facts = context_on("cuda")
    assert facts["matmul_tf32"] == (matmul_precision == "tf32")
    assert facts["convolution_tf32"] == (convolution_precision == "tf32")


def test_an_autocast_around_the_call_is_said():
    with torch.autocast("cpu", torch.bfloat16):
        times = il.layer_times(nn.Linear(2, 2), (1, 2), seconds=0)
    assert times.context["autocast"] == "bfloat16"
    assert "autocast" not in il.layer_times(nn.Linear(2, 2), (1, 2), seconds=0).context


def test_fewer_bits_of_products_on_the_cpu_are_said():
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    assert "matmul_precision" not in context_on("cpu")
    matmul.fp32_precision = "bf16"
    try:
        assert context_on("cpu")["matmul_precision"] == "bf16"
    finally:
        matmul.fp32_precision = before
