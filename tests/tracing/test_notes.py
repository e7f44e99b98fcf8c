"""Notes on the weights of a model."""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import inception_lab as il
from inception_lab.models.registry import create_model


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 10)
    )  # 200 and 640 elements


def notes(model, shape=(1, 2, 8, 8), **options):
    return il.trace(model, shape, **options).context.notes


def test_masks_of_pruned_weights_are_noted():
    model = net()
    prune.random_unstructured(model[0], "weight", amount=50)
    prune.ln_structured(model[3], "weight", amount=3, n=2, dim=0)
    [note] = notes(model)
    assert note.startswith(f"{100 * (50 + 3 * 64) / 840:.1f} % of the weights are zeros")
    assert note.endswith(": 0.weight 25.0 %, 3.weight 30.0 %")


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_zeros_written_into_weights_are_noted(mode):
    model = net()
    prune.l1_unstructured(model[3], "weight", amount=0.4)
    prune.remove(model[3], "weight")
    [note] = notes(model, mode=mode)
    assert note.startswith(f"{100 * 256 / 840:.1f} % ")
    assert "3.weight 40.0 %" in note
    assert "0.weight" not in note


def test_a_channel_of_many_is_found():
    model = nn.Sequential(nn.Linear(500, 500, bias=False))
    model[0].weight.data[123] = 0
    assert notes(model, (1, 500)) == (
        "0.2 % of the weights are zeros, counted as any others: 0.weight 0.2 %",
    )


def test_many_pruned_weights_are_counted():
    model = nn.Sequential(*[nn.Linear(4, 4, bias=False) for _ in range(6)])
    for layer in model[:5]:
        layer.weight.data[0] = 0
    [note] = notes(model, (1, 4))
    assert note == "20.8 % of the weights are zeros, counted as any others: in 5 of 6 weights"


def test_zeros_that_every_net_has_are_not_noted():
    model = nn.Sequential(nn.Embedding(10, 4, padding_idx=0), nn.Flatten(), nn.Linear(20, 3))
    nn.init.zeros_(model[2].bias)
    assert notes(model, torch.zeros(2, 5, dtype=torch.int64)) == ()
    assert notes(nn.BatchNorm2d(3), (1, 3, 8, 8)) == ()


def test_weights_without_data_have_no_note():
    assert notes(create_model("googlenet", device="meta"), (1, 3, 64, 64)) == ()
    assert notes(create_model("googlenet", device="cpu"), (1, 3, 64, 64)) == ()


def test_a_note_is_in_the_record():
    model = net()
    model[0].weight.data[:2] = 0
    trace = il.trace(model, (1, 2, 8, 8))
    assert il.summarise(trace).context["note"] == trace.context.notes[0]
    assert il.summarise(trace).context["complete"]


class Scaled(torch.Tensor):
    """Integers and a scale, which say that they are floating numbers, as quantized weights do."""

    @staticmethod
    def __new__(cls, integers, scale):
        return torch.Tensor._make_wrapper_subclass(cls, integers.shape, dtype=scale.dtype)

    def __init__(self, integers, scale):
        self.integers, self.scale = integers, scale

    def __tensor_flatten__(self):
        return ["integers", "scale"], None

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.detach.default:
            return cls(args[0].integers, args[0].scale)
        plain = [a.integers * a.scale if isinstance(a, cls) else a for a in args]
        return func(*plain, **(kwargs or {}))


def test_weights_that_wrap_other_tensors():
    layer = nn.Linear(8, 8)
    weight = Scaled(torch.ones(8, 8, dtype=torch.int8), torch.ones(()))
    layer.weight = nn.Parameter(weight, requires_grad=False)
    [note] = notes(layer, (1, 8))
    assert note == "what the class of weight wraps counts in memory as one plain tensor of its type"


def test_optimizers_that_step_within_the_backward_pass():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[0].bias.register_post_accumulate_grad_hook(lambda _: None)
    assert notes(net, (1, 4)) == ()
    [note] = notes(net, (1, 4), mode="train")
    assert note.startswith("hooks on 0.bias do not run")
    for weight in net.parameters():
        weight.register_post_accumulate_grad_hook(lambda _: None)
    [note] = notes(net, (1, 4), mode="train")
    assert note.startswith("hooks on 4 parameters do not run")
