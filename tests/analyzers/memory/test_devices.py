"""Storages that other devices hold: by hand, and beside what PyTorch's own CUDA operations return."""

import pytest
import torch
from support.zoo import small_image
from torch import nn

import inception_lab as il
from inception_lab.analyzers.memory.devices import DEVICES, on_device
from inception_lab.analyzers.memory.peak import peak_memory
from inception_lab.errors import InceptionLabError
from inception_lab.models.cards import CARDS
from inception_lab.running.optimizers import optimizer_of
from inception_lab.running.request import Request
from inception_lab.tracing.backends import fake_backend
from inception_lab.tracing.tracer import trace_on

ELEMENTS = 2 * 8 * 4 * 4
SHAPE = (2, 8, 4, 4)


def changed(trace, device):
    """Bytes before and after, of the storages that a device holds otherwise; its block set aside."""
    there = on_device(trace, device, rounding=1)
    pairs = zip(trace.storages, there.storages, strict=True)
    return [(a.bytes, b.bytes) for a, b in pairs if a != b]


def step(*layers):
    return il.trace(nn.Sequential(*layers), SHAPE, mode="train", loss=torch.sum)


class TestByHand:
    def test_a_dropout_mask_has_one_byte_an_element_on_cuda(self):
        trace = step(nn.Dropout(), nn.ReLU())
        assert changed(trace, "cuda") == [(4 * ELEMENTS, ELEMENTS)]
        assert changed(trace, "cpu") == []

    @pytest.mark.parametrize("layer", [nn.Dropout(inplace=True), nn.Dropout2d(), nn.AlphaDropout()], ids=str)
    def test_other_masks_are_floating_there_too(self, layer):
        assert changed(step(nn.Conv2d(8, 8, 1), layer), "cuda") == []

    def test_a_mask_drawn_by_tensors_is_not_dropout(self):
        class Masked(nn.Module):
            def forward(self, x):
                chance = torch.full_like(x, 0.5)
                return x * torch.empty_like(x).bernoulli_(chance).div_(chance)

        trace = step(nn.Conv2d(8, 8, 1), Masked())
        names = [op.base_name for op in trace.ops]
        assert names[2:6] == ["empty_like", "bernoulli", "div", "mul"]
        assert changed(trace, "cuda") == []

    @pytest.mark.parametrize("device", DEVICES)
    def test_batch_norm_keeps_its_statistics_in_train_mode_alone(self, device):
        model = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU())
        assert changed(il.trace(model, SHAPE), device) == [(32, 0), (32, 0)]
        assert changed(step(*model), device) == []

    def test_half_precision_statistics_are_of_full_precision_on_cuda(self):
        model = nn.Sequential(nn.BatchNorm2d(8)).half()
        trace = il.trace(model, SHAPE, mode="train", loss=torch.sum)
        assert changed(trace, "cuda") == []
        assert changed(trace, "cpu") == [(32, 16), (32, 16)]

    def test_adam_counts_on_the_host(self):
        trace = il.trace(nn.Linear(3, 2), (1, 3), mode="train", optimizer="adam")
        assert changed(trace, "cuda") == [(4, 0), (4, 0)]

    def test_every_storage_takes_whole_blocks(self):
        trace = on_device(step(nn.Conv2d(8, 3, 1)), "cuda")
        assert {s.bytes % 512 for s in trace.storages} == {0}
        assert {s.bytes % 100 for s in on_device(trace, "cuda", rounding=100).storages} == {0}

    def test_an_unknown_device(self):
        with pytest.raises(InceptionLabError, match="did you mean cuda") as raised:
            on_device(step(nn.ReLU()), "cud")
        assert raised.value.exit_code == 2

    def test_no_multiples_of_nothing(self):
        with pytest.raises(InceptionLabError, match="rounding is 1 or more"):
            peak_memory(step(nn.ReLU()), rounding=0)

    @pytest.mark.parametrize("device", DEVICES)
    def test_every_rule_says_what_and_where(self, device):
        assert all(rule.what and "/" in rule.source for rule in DEVICES[device].rules)


class Dropped(nn.Module):
    """In eval mode too: dropout, a batch norm, and what is one operation on any device."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16)

    def forward(self, x):
        x = torch.dropout(self.norm(self.conv(x)).relu(), 0.5, True)
        return torch.max_pool2d(x, 2)


@pytest.mark.skipif(torch.version.cuda is None, reason="this PyTorch was built without CUDA")
class TestBesideCudasOwnOperations:
    """Traces on fake CUDA tensors need no GPU in the forward pass; PyTorch chooses as for a real one."""

    def both(self, model, shape, mode="eval", optimizer=None):
        stepped = optimizer_of(optimizer, **DEVICES["cuda"].optimizer_options) if optimizer else None
        there = trace_on(fake_backend("cuda"), Request(model, shape, mode, optimizer=stepped))
        here = il.trace(model, shape, mode=mode, optimizer=stepped)
        return peak_memory(here, "cuda"), peak_memory(there, "cuda")

    @pytest.mark.parametrize("name", CARDS)
    def test_inference(self, name):
        here, there = self.both(il.create_model(name, device="meta"), small_image(name, batch=2))
        assert here.peak_bytes == there.peak_bytes
        assert dict(here.by_kind) == dict(there.by_kind)

    def test_dropout(self):
        here, there = self.both(Dropped(), (2, 3, 32, 32))
        assert here.peak_bytes == there.peak_bytes
        without = peak_memory(il.trace(Dropped(), (2, 3, 32, 32)), "cpu", DEVICES["cuda"].block)
        assert without.peak_bytes > there.peak_bytes

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="the backward pass needs a GPU")
    @pytest.mark.parametrize("optimizer", ["momentum", "adamw"])
    @pytest.mark.parametrize("name", CARDS)
    def test_a_training_step(self, name, optimizer):
        model, shape = il.create_model(name, device="meta"), small_image(name, batch=2)
        here, there = self.both(model, shape, "train", optimizer)
        assert here.peak_bytes == there.peak_bytes


@pytest.mark.parametrize("device", ["mps", None, 5, ["cpu"], torch.device("cpu")], ids=str)
def test_a_device_without_rules_is_named(device):
    trace = il.trace(nn.Linear(2, 2), (1, 2))
    with pytest.raises(il.InceptionLabError) as caught:
        il.peak_memory(trace, device)
    assert str(caught.value).startswith(f"no memory rules for device {device!r}; ")
    assert "cpu" in caught.value.hint
