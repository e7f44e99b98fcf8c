"""Times on a real GPU: what `test_cuda` checks without one, on the kernels of CUDA."""

from decimal import Decimal

import pytest
import torch
from support.fingerprints import fingerprint, same
from torch import nn

import inception_lab as il
from inception_lab.measure.profile.ranges import run_with_ranges
from inception_lab.measure.real_runs import prepared_on
from inception_lab.running.exclusion import one_run_at_a_time
from inception_lab.running.request import request_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

SHAPE = (8, 3, 96, 96)
RUNS = [{}, {"mode": "train"}, {"mode": "train", "optimizer": "momentum"}]
LEAST_ATTRIBUTED = 99.0


@pytest.fixture(scope="module", params=RUNS, ids=["eval", "train", "momentum"])
def times(request):
    return il.layer_times(il.create_model("googlenet"), SHAPE, device="cuda", seconds=2, **request.param)


def exact(column):
    return sum(Decimal(repr(float(value))) for value in column)


def test_rows_add_up_to_the_step_and_its_phases(times):
    layers = times.layers
    assert exact(layers["self_ms"]) == Decimal(repr(times.step_ms))
    phases = [f"{name}_ms" for name in ("forward", "loss", "backward", "optimizer") if f"{name}_ms" in layers]
    if phases:
        assert sum(exact(layers[name]) for name in phases) == Decimal(repr(times.step_ms))


def test_kernel_time_is_attributed_and_no_kernel_is_lost(times):
    assert times.totals["attributed_percent"] >= LEAST_ATTRIBUTED
    assert times.totals["kernels"] == times.totals["kernel_launches"]
    assert "launches" not in times.note


def test_every_convolution_has_kernels(times):
    convolutions = times.layers[times.layers["type"] == "Conv2d"]
    assert (convolutions.loc[convolutions["executed"], "kernels"] > 0).all()


def test_the_gpu_and_its_libraries_are_named(times):
    assert times.context["machine"] == torch.cuda.get_device_name()
    assert {"cuda", "matmul_tf32", "convolution_tf32", "l2_flushed"} <= times.context.keys()


def test_a_pass_and_a_step_with_plain_sgd_can_be_captured(times):
    assert times.totals["graph_step_ms"] > 0


def test_the_optimizer_that_cannot_be_captured_is_the_reason():
    times = il.layer_times(nn.Linear(8, 8), (4, 8), mode="train", optimizer="adam", device="cuda", seconds=0)
    assert "graph_step_ms" not in times.totals
    assert "not captured into a CUDA graph" in times.note


def results_of(run, options):
    """Outputs, gradients and the state of both generators after a step."""
    request = request_of(il.create_model("googlenet"), SHAPE, **options)
    with one_run_at_a_time, prepared_on(request, torch.device("cuda")) as step:
        torch.cuda.manual_seed(0)
        torch.default_generator.manual_seed(0)
        outputs = run(step).outputs
        heads = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
        gradients = [parameter.grad for parameter in step.model.parameters.values()]
        tensors = [tensor.detach().cpu() for tensor in [*heads, *gradients] if tensor is not None]
        return [*tensors, torch.get_rng_state(), torch.cuda.get_rng_state()]


@pytest.mark.parametrize("options", RUNS, ids=["eval", "train", "momentum"])
def test_a_recorded_step_computes_what_a_plain_one_does(options, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    plain, again = (results_of(lambda step: step.run(), options) for _ in range(2))
    recorded = results_of(run_with_ranges, options)
    # some kernels add in any order: only what two plain steps have alike can be told to differ
    alike = [number for number, tensor in enumerate(plain) if torch.equal(tensor, again[number])]
    assert len(alike) > len(plain) / 2
    assert {0, len(plain) - 1, len(plain) - 2} <= set(alike)
    assert len(recorded) == len(plain)
    assert all(torch.equal(plain[number], recorded[number]) for number in alike)


def test_the_model_and_the_generators_are_left_as_they_were():
    model = il.create_model("nin")
    before, states = fingerprint(model), (torch.get_rng_state(), torch.cuda.get_rng_state())
    il.layer_times(model, SHAPE, mode="train", device="cuda", seconds=0)
    assert same(before, fingerprint(model))
    assert torch.equal(states[0], torch.get_rng_state())
    assert torch.equal(states[1], torch.cuda.get_rng_state())


def test_models_take_turns_on_the_gpu():
    models = [il.create_model("nin"), il.create_model("alexnet")]
    shape = (2, 3, 224, 224)
    comparison = il.compare_times(models, [shape, shape], device="cuda", seconds=1)
    assert comparison.ratios[0].ratio.low > 0
