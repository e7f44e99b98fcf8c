"""Real runs within a mode of their caller's: they work, or one line says why not."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import inception_lab as il

SHAPE = (1, 3, 9, 9)
FUNCTIONS = {
    "trace": lambda model: il.trace(model, SHAPE, mode="train", optimizer="adam"),
    "crosscheck": lambda model: il.crosscheck(model, SHAPE),
    "crosscheck of a step": lambda model: il.crosscheck(model, torch.ones(SHAPE), mode="train"),
    "measure_memory": lambda model: il.measure_memory(model, SHAPE, mode="train"),
    "effective_field": lambda model: il.effective_field(model, SHAPE, layer="0", seeds=[0], samples=2),
    "check_fields": lambda model: il.check_fields(model, SHAPE),
    "check_fields from a layer": lambda model: il.check_fields(model, SHAPE, ["2"], source="0"),
    "layer_times": lambda model: il.layer_times(model, SHAPE, seconds=0),
}
FOR_REAL = ["measure_memory", "effective_field", "check_fields", "layer_times"]


def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True))


@pytest.mark.parametrize("name", FUNCTIONS)
class TestModes:
    @pytest.mark.parametrize("made_within", [True, False])
    def test_inference_mode(self, name, made_within):
        model = net()
        with torch.inference_mode():
            FUNCTIONS[name](net() if made_within else model)
            assert torch.is_inference_mode_enabled()

    @pytest.mark.parametrize("allows_data", [True, False])
    def test_fake_mode(self, name, allows_data):
        model = net()
        with FakeTensorMode(allow_non_fake_inputs=allows_data) as mode:
            FUNCTIONS[name](model)
            assert type(torch.ones(1)).__name__ == "FakeTensor"
            assert mode is not None
        assert type(model[0].weight) is nn.Parameter


def test_effective_fields_are_the_same_within_a_mode():
    model = net()
    expected = FUNCTIONS["effective_field"](model)
    with torch.inference_mode():
        inference = FUNCTIONS["effective_field"](model)
    with FakeTensorMode():
        fake = FUNCTIONS["effective_field"](model)
    assert inference.weight.tolist() == fake.weight.tolist() == expected.weight.tolist()


@pytest.mark.parametrize("name", FOR_REAL)
def test_a_model_of_fake_tensors_cannot_run_for_real(name):
    with FakeTensorMode():
        model = net()
        assert il.trace(model, SHAPE).context.complete
        with pytest.raises(
            il.InceptionLabError, match="of fake tensors cannot run for real; build it outside"
        ):
            FUNCTIONS[name](model)
