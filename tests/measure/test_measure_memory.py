"""Real runs and the peak of their memory: by hand, for models that are hard to run, and afterwards."""

import pytest
import torch
from support.fingerprints import fingerprint, same
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.measure.memory import StorageTracker, measure_memory

LINEAR = 4 * (10 * 20 + 20)


def two_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 20), nn.BatchNorm1d(20), nn.Dropout(), nn.Linear(20, 5))


class TestByHand:
    def test_inference(self):
        found = measure_memory(nn.Linear(10, 20), (4, 10))
        assert found.tracked_bytes == found.allocator_bytes == LINEAR + 4 * 4 * 10 + 4 * 4 * 20
        assert (found.reserved_bytes, found.workspaces) == (None, {})
        assert found.device

    @pytest.mark.parametrize(("optimizer", "state"), [("sgd", 0), ("momentum", LINEAR)])
    def test_a_step(self, optimizer, state):
        """Output 320, the loss, its gradient and that of the bias; the gradient of the output is a view."""
        found = measure_memory(
            nn.Linear(10, 20), (4, 10), mode="train", loss=lambda y: y.sum(), optimizer=optimizer
        )
        assert found.tracked_bytes == LINEAR + state + 160 + 320 + 4 + 4 + LINEAR

    def test_an_optimizer_of_ones_own(self):
        with_state, without = (
            measure_memory(
                nn.Linear(10, 20), (4, 10), mode="train",
                optimizer=lambda p, m=momentum: torch.optim.SGD(p, lr=0.1, momentum=m),
            ).tracked_bytes
            for momentum in (0.9, 0)
        )  # fmt: skip
        assert with_state - without == LINEAR


class TestTracker:
    def test_storages_are_counted_once_and_forgotten(self):
        x = torch.zeros(8)
        with StorageTracker([x, x[:4]]) as tracker:
            assert tracker.live_bytes == 32
            y = x * 2
            assert tracker.live_bytes == 64
            z = y.view(2, 4)
            del y
            assert tracker.live_bytes == 64
            z.add_(1)
            del z
            assert tracker.live_bytes == 32
        assert tracker.peak_bytes == 64

    def test_tensors_met_on_the_way_are_counted(self):
        x, unregistered = torch.zeros(8), torch.zeros(4, 8)
        with StorageTracker([x]) as tracker:
            (unregistered * x).sum()
        assert tracker.peak_bytes == 32 + 128 + 128 + 4


class TestAround:
    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_the_model_is_left_as_it_was_found(self, mode):
        model = two_layers()
        before, random = fingerprint(model), torch.get_rng_state()
        measure_memory(model, (4, 10), mode=mode, optimizer="adamw" if mode == "train" else None)
        assert same(before, fingerprint(model))
        assert torch.equal(random, torch.get_rng_state())
        assert all(parameter.grad is None for parameter in model.parameters())

    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_twice_the_same(self, mode):
        first, second = (measure_memory(two_layers(), (4, 10), mode=mode) for _ in range(2))
        assert first == second

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"device": "tpu"}, "cannot be measured on 'tpu'"),
            ({"device": "meta"}, "use device='cpu' or device='cuda'"),
            ({"device": None}, "cannot be measured on None"),
            ({"mode": "test"}, "mode 'test'"),
            ({"optimizer": "sgd"}, "use mode='train'"),
            ({"mode": "train", "optimizer": "sdg"}, "did you mean sgd"),
        ],
        ids=str,
    )
    def test_wrong_usage(self, options, words):
        with pytest.raises(InceptionLabError, match=words) as raised:
            measure_memory(two_layers(), (4, 10), **options)
        assert raised.value.exit_code == 2

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
    @pytest.mark.parametrize("device", ["cuda", "cuda:3"])
    def test_no_cuda_device(self, device):
        with pytest.raises(InceptionLabError, match="no CUDA device") as raised:
            measure_memory(two_layers(), (4, 10), device=device)
        assert "\n" not in str(raised.value)

    def test_a_model_that_raises_or_has_no_data(self):
        with pytest.raises(InceptionLabError, match="RuntimeError: mat1 and mat2") as raised:
            measure_memory(two_layers(), (4, 11))
        assert raised.value.exit_code == 3
        assert raised.value.hint == ""
        assert "\n" not in str(raised.value)
        with pytest.raises(InceptionLabError, match="build it on cpu"):
            measure_memory(two_layers().to("meta"), (4, 10))


@pytest.mark.parametrize(
    ("raise_it", "hint"),
    [
        (lambda x: x.is_meta or x.new_empty(2**55), "try a smaller batch"),
        (lambda _: bytearray(2**62), "try a smaller batch"),
        (lambda x: x.bool() - x.bool(), ""),
    ],
    ids=["torch", "python", "dtype"],
)
def test_a_smaller_batch_is_advised_where_memory_ran_out(raise_it, hint):
    class Raising(nn.Module):
        def forward(self, x):
            raise_it(x)
            return x

    with pytest.raises(InceptionLabError, match="cannot run on cpu") as raised:
        measure_memory(Raising(), (2, 3))
    assert (raised.value.hint, raised.value.exit_code) == (hint, 3)


def test_an_optimizer_keeps_nothing_for_what_no_gradient_reaches():
    """Two copies of the used layer alone, and Adam's counters: as predicted."""

    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Linear(40, 40), nn.Linear(100, 100)

        def forward(self, x):
            return self.used(x)

    step = il.trace(Idle(), (2, 40), mode="train", optimizer="adam")
    measured = measure_memory(Idle(), (2, 40), mode="train", optimizer="adam")
    assert measured.tracked_bytes == il.peak_memory(step).peak_bytes
