"""Live bytes beside nets worked out by hand, beside real runs, and beside PyTorch's own memory tracker."""

import copy
import gc

import pytest
import torch
import torch.nn.functional as F
from support.hostile.table import HOSTILE
from support.zoo import image, small_image
from torch import nn
from torch.distributed._tools.mem_tracker import MemTracker
from torch.utils.checkpoint import checkpoint

import inception_lab as il
from inception_lab.analyzers.memory.by_module import memory_by_module
from inception_lab.analyzers.memory.devices import DEVICES
from inception_lab.analyzers.memory.peak import decomposed_on_meta, peak_memory
from inception_lab.analyzers.memory.timeline import KINDS, memory_timeline
from inception_lab.measure.memory import StorageTracker, existing_tensors, prepared_on
from inception_lab.running.gradient_accumulation import SumsInPlace
from inception_lab.running.optimizers import OPTIMIZERS, optimizer_of
from inception_lab.running.step import Request

FLOAT, LONG = 4, 8


@pytest.fixture(autouse=True, scope="module")
def _quick_collections():
    """Each real run begins with a collection, which need not look at all that was ever imported."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def total(y):
    return y.sum()


def tracked(model, inputs, mode="eval", optimizer=None, loss=None):
    """The peak of the storages of a real run; the run before it is there to load every kernel."""
    named = optimizer_of(optimizer) if optimizer else None
    for _ in range(2):
        asked = Request(model, inputs, mode, loss, named)
        with (
            prepared_on(asked, torch.device("cpu")) as step,
            StorageTracker(existing_tensors(step)) as tracker,
            SumsInPlace(),
        ):
            step.run()
    return tracker.peak_bytes


def saved(trace):
    return sorted(s.bytes for s in trace.storages if s.kind == "saved")


def held(trace, kind):
    return {s.name: s.bytes for s in trace.storages if s.kind == kind}


class Doubled(nn.Module):
    """Two products of the input, side by side."""

    def forward(self, x):
        return torch.cat((x * 2, x * 3), 1)


class Calls(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


# ---------------------------------------------------------------------------------- worked out by hand


class TestByHand:
    """Linear 4 -> 3, ReLU, Linear 3 -> 2 at batch 2, the loss the sum of the outputs, plain SGD.

    Bytes of float32: first weight 48, its bias 12, second weight 24, its bias 8: parameters 92. The input x
    has 32, h = first(x) and r = relu(h) have 24 each, y = second(r) has 16, the loss 4.
    """

    STEP = (  # operation, gradients, saved, temporaries; parameters and input are there throughout
        ("t", 0, 0, 0),  # a view of the first weight
        ("addmm", 0, 0, 24),  # h
        ("relu", 0, 24, 24),  # r, which ReLU's backward needs, beside h
        ("detach", 0, 24, 24),  # ReLU saves r as a view of it; then nobody needs h
        ("t", 0, 24, 0),
        ("addmm", 0, 24, 16),  # y, alive to the end
        ("sum", 0, 24, 20),  # the loss, alive to the end
        ("ones_like", 0, 24, 24),  # its gradient, 4 bytes
        ("expand", 0, 24, 24),  # gradient of y: a view
        ("t", 0, 24, 24),
        ("mm", 0, 24, 48),  # gradient of r, 24
        ("t", 0, 24, 48),
        ("mm", 24, 24, 48),  # gradient of the second weight
        ("t", 24, 24, 48),
        ("sum", 32, 24, 48),  # gradient of its bias
        *[(name, 32, 24, 48) for name in ("view", "detach", "t", "detach", "detach")],
        ("threshold_backward", 32, 24, 72),  # gradient of h, 24; then gradient of r and r itself go
        ("t", 32, 0, 48),
        ("mm", 80, 0, 48),  # gradient of the first weight, 48
        ("t", 80, 0, 48),
        ("sum", 92, 0, 48),  # gradient of its bias, 12: the peak; x needs no gradient
        ("view", 92, 0, 48),
        *[(name, 92, 0, 24) for name in ("detach", "t", "detach")],  # the gradient of h is gone
        ("_record_function_enter_new", 92, 0, 20),  # and so is that of the loss
        *[("add_", 92, 0, 20)] * 4,
        ("_record_function_exit", 92, 0, 20),
    )

    @pytest.fixture
    def model(self):
        return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))

    @pytest.fixture
    def step(self, model):
        return il.trace(model, (2, 4), mode="train", loss=total, optimizer="sgd")

    def test_every_operation_of_a_step(self, step):
        found = memory_timeline(step)
        names = [operation.split(".")[1] for operation in found["operation"]]
        assert list(
            zip(names, found["gradients"], found["saved"], found["temporaries"], strict=True)
        ) == list(self.STEP)
        assert set(found["parameters"]) == {92}
        assert set(found["inputs"]) == {32}
        assert set(found["buffers"]) == set(found["optimizer_state"]) == {0}

    def test_the_peak(self, step):
        peak = peak_memory(step)
        assert peak.peak_bytes == 92 + 32 + 92 + 48 == 264
        assert (peak.operation, peak.phase, peak.layer) == ("aten.sum.dim_IntList", "backward", "0")
        assert dict(peak.by_kind) == {
            "parameters": 92, "buffers": 0, "gradients": 92, "optimizer_state": 0, "inputs": 32, "saved": 0,
            "temporaries": 24 + 16 + 4 + 4,
        }  # fmt: skip
        assert list(peak.tensors["bytes"]) == [48, 48, 32, 24, 24, 24, 16, 12, 12, 8, 8, 4, 4]

    def test_inference_keeps_no_more_than_two_activations(self, model):
        found = memory_timeline(il.trace(model, (2, 4)))
        assert list(found["live_bytes"]) == [124, 124 + 24, 124 + 48, 124 + 24, 124 + 24 + 16]
        assert set(found["temporaries"]) == {0, 24, 48, 40}

    def test_a_module_owns_its_parameters_and_their_gradients(self, step):
        rows = memory_by_module(step).set_index("module")
        assert rows.loc["0", ["parameters", "gradients", "bytes"]].tolist() == [60, 60, 60 + 60]
        assert rows.loc["2", ["parameters", "gradients", "temporaries", "bytes"]].tolist() == [32, 32, 16, 80]
        assert rows.loc["1", "temporaries"] == 24

    @pytest.mark.parametrize(
        ("optimizer", "state"),
        [("sgd", 0), ("momentum", 92), ("adam", 2 * 92 + 4 * FLOAT), ("adamw", 2 * 92 + 4 * FLOAT)],
    )
    def test_what_an_optimizer_keeps(self, model, optimizer, state):
        step = il.trace(model, (2, 4), mode="train", loss=total, optimizer=optimizer)
        assert set(memory_timeline(step)["optimizer_state"]) == {state}  # Adam counts the steps per tensor
        if "adam" in optimizer:
            assert held(step, "optimizer state")["0.weight.exp_avg"] == 48
            assert held(step, "optimizer state")["0.weight.step"] == FLOAT

    def test_rounding(self, model):
        model = nn.Linear(10, 20)  # 800 + 80, the input 160, the output 320
        found = il.trace(model, (4, 10))
        assert peak_memory(found).peak_bytes == 800 + 80 + 160 + 320
        assert peak_memory(found, rounding=256).peak_bytes == 1024 + 256 + 256 + 512
        assert peak_memory(found, "cuda").peak_bytes == 1024 + 512 + 512 + 512
        assert peak_memory(found, "cuda", rounding=1).peak_bytes == peak_memory(found).peak_bytes


class TestStorages:
    def test_in_place(self):
        linear = 32 + 4 * (4 * 3 + 3)  # the input, the weight and the bias
        apart, within = (
            il.trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU(flag)), (2, 4)) for flag in (False, True)
        )
        assert peak_memory(apart).peak_bytes == linear + 2 * 24
        assert peak_memory(within).peak_bytes == linear + 24

    def test_views(self):
        found = il.trace(Calls(lambda x: x.transpose(1, 2).flatten(2)[:, ::2].squeeze()), (2, 3, 4, 5))
        assert peak_memory(found).peak_bytes == 2 * 3 * 4 * 5 * FLOAT + 2 * 4 * 3 * 5 * FLOAT
        assert [s.bytes for s in found.storages if s.born is not None] == [
            2 * 4 * 3 * 5 * FLOAT
        ]  # flatten copies

    def test_concatenation(self):
        assert peak_memory(il.trace(Doubled(), (2, 4))).peak_bytes == 32 + 32 + 32 + 64

    def test_pool_indices_are_of_8_bytes(self):
        model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.MaxPool2d(2))
        step = il.trace(model, (1, 1, 4, 4), mode="train", loss=total)
        assert saved(step) == [4 * LONG, 16 * FLOAT]  # the indices, the pool's input

    def test_dropout_masks(self):
        step = il.trace(nn.Sequential(nn.Linear(4, 3), nn.Dropout()), (2, 4), mode="train", loss=total)
        assert saved(step) == [2 * 3 * FLOAT]  # the CPU's mask is of the input's type

    def test_batch_statistics(self):
        model = nn.Sequential(nn.Conv2d(1, 8, 1, bias=False), nn.BatchNorm2d(8))
        step = il.trace(model, (2, 1, 4, 4), mode="train", loss=total)
        assert saved(step) == [8 * FLOAT, 8 * FLOAT, 2 * 8 * 16 * FLOAT]  # mean, deviation, input
        assert set(memory_timeline(step)["buffers"]) == {8 * FLOAT + 8 * FLOAT + LONG}

    def test_tied_weights(self):
        (case,) = [case for case in HOSTILE if case.name == "tied"]
        step = il.trace(case.make(), case.inputs, mode="train", optimizer="momentum")
        peak = peak_memory(step)
        assert held(step, "parameter") == held(step, "gradient") == {"embedding.weight": 10 * 8 * FLOAT}
        assert peak.by_kind["parameters"] == peak.by_kind["optimizer_state"] == 10 * 8 * FLOAT

    def test_frozen_parameters(self):
        model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
        model[0].requires_grad_(False)
        step = il.trace(model, (2, 4), mode="train", loss=total, optimizer="adam")
        assert held(step, "gradient") == {"1.weight": 24, "1.bias": 8}
        assert sum(held(step, "optimizer state").values()) == 2 * 32 + 2 * FLOAT

    def test_an_output_that_is_its_input(self):
        assert peak_memory(il.trace(nn.Identity(), (2, 4))).peak_bytes == 32
        assert peak_memory(il.trace(Calls(lambda x: (x, x.view(-1), x[0])), (2, 4))).peak_bytes == 32


class TestCheckpointing:
    """Four segments of four layers, x -> tanh(x w), of which a tensor x has 65,536 bytes, as much as 4 w."""

    SHAPE, TENSOR = (256, 64), 256 * 64 * FLOAT

    def stack(self, run):
        def segment():
            return nn.Sequential(*(nn.Sequential(nn.Linear(64, 64, bias=False), nn.Tanh()) for _ in range(4)))

        segments = nn.ModuleList(segment() for _ in range(4))

        def forward(x):
            for each in segments:
                x = run(each, x)
            return x

        model = Calls(forward)
        model.segments = segments
        return model

    def test_it_lowers_the_peak_to_that_of_a_real_run(self):
        plain = self.stack(lambda segment, x: segment(x))
        again = self.stack(lambda segment, x: checkpoint(segment, x, use_reentrant=False))
        kept, short = (peak_memory(il.trace(m, self.SHAPE, mode="train", loss=total)) for m in (plain, again))
        assert kept.by_kind["saved"] == 16 * self.TENSOR  # every tanh, that of the output too
        assert kept.peak_bytes == tracked(plain, self.SHAPE, "train", loss=total)
        assert short.peak_bytes == tracked(again, self.SHAPE, "train", loss=total)
        assert short.peak_bytes < kept.peak_bytes - 8 * self.TENSOR


# -------------------------------------------------------------------------------------- what adds up

NETS = pytest.mark.parametrize(
    ("mode", "optimizer"), [("eval", None), ("train", None), ("train", "momentum"), ("train", "adamw")]
)


class TestSums:
    @pytest.fixture
    def found(self, mode, optimizer):
        model = il.create_model("googlenet_bn", device="meta", aux_logits=True)
        return il.trace(model, (2, 3, 224, 224), mode=mode, optimizer=optimizer)

    @NETS
    @pytest.mark.parametrize("device", DEVICES)
    def test_kinds_modules_and_tensors_add_up_to_the_peak(self, found, device):
        timeline, peak = memory_timeline(found, device), peak_memory(found, device)
        assert (timeline[list(KINDS)].sum(axis=1) == timeline["live_bytes"]).all()
        assert (timeline[list(KINDS)] >= 0).all(axis=None)
        assert sum(peak.by_kind.values()) == peak.tensors["bytes"].sum() == timeline["live_bytes"].max()
        for depth in (1, 2):
            modules = memory_by_module(found, depth, device)
            assert modules["bytes"].sum() == peak.peak_bytes
            assert modules[list(KINDS)].sum().to_dict() == dict(peak.by_kind)

    def test_what_inference_leaves_is_the_model_its_input_and_its_output(self):
        model = il.create_model("googlenet_bn")
        found = il.trace(model, image("googlenet_bn"))
        tensors = [
            *model.parameters(),
            *model.buffers(),
            torch.zeros(image("googlenet_bn")),
            torch.zeros(1, 1000),
        ]
        left = sum(s.bytes for s in found.storages if s.dies is None)
        assert left == sum(t.numel() * t.element_size() for t in tensors)


# ------------------------------------------------------------------------------------------ real runs

STEPS = [
    ("googlenet", {}, None),
    ("googlenet", {"aux_logits": True}, "sgd"),
    ("googlenet_bn", {"aux_logits": True}, "momentum"),
    ("inception_resnet_v1", {}, "adam"),
    ("xception", {}, "momentum"),
    ("googlenet_keras", {}, "adamw"),
]


def small(name, options):
    """A model with few classes, and the smallest input with which its heads work."""
    model = il.create_model(name, num_classes=10, init_weights=False, **options)
    return model, image(name, 2) if options else small_image(name, 2)


NORMS = (
    nn.BatchNorm2d(16),
    nn.BatchNorm2d(16, affine=False),
    nn.InstanceNorm2d(16),
    nn.LayerNorm((16, 8, 8)),
    nn.GroupNorm(4, 16),
)


class TestAgainstRealRuns:
    @pytest.mark.parametrize(("name", "options", "optimizer"), STEPS)
    def test_a_step_to_the_byte(self, name, options, optimizer):
        model, shape = small(name, options)
        predicted = peak_memory(il.trace(model, shape, mode="train", optimizer=optimizer)).peak_bytes
        assert predicted == tracked(model, shape, "train", optimizer)

    @pytest.mark.parametrize("name", ["googlenet", "googlenet_bn", "inception_v2", "xception"])
    def test_inference_to_the_byte(self, name):
        model, shape = small(name, {})
        predicted = peak_memory(il.trace(model, shape)).peak_bytes
        assert predicted == tracked(model, shape)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
    @pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_other_types_and_channels_last(self, dtype, layout, mode):
        model = nn.Sequential(
            nn.Conv2d(3, 16, 3), nn.ReLU(True), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, groups=2), nn.ReLU(),
            nn.Dropout(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(32 * 6 * 6, 10),
        ).to(dtype, memory_format=layout)  # fmt: skip
        images = torch.zeros(2, 3, 32, 32, dtype=dtype).to(memory_format=layout)
        predicted = peak_memory(il.trace(model, images, mode=mode)).peak_bytes
        assert predicted == tracked(model, images, mode)

    @pytest.mark.parametrize("norm", NORMS, ids=str)
    @pytest.mark.parametrize("weights", [torch.bfloat16, torch.float32], ids=str)
    @pytest.mark.parametrize("mode", ["eval", "train"])
    def test_statistics_in_half_precision(self, norm, weights, mode):
        """The CPU keeps them in the precision of the weights, and none of batch norm in eval mode."""
        model = nn.Sequential(nn.ReLU(), copy.deepcopy(norm).to(weights), nn.Sigmoid())
        images = torch.zeros(2, 16, 8, 8, dtype=torch.bfloat16)
        predicted = peak_memory(il.trace(model, images, mode=mode)).peak_bytes
        assert predicted == tracked(model, images, mode)


def in_mem_tracker(model, shape, mode, optimizer):
    """The peak that PyTorch's own tracker sees, all that exists before registered with it."""
    model.train(mode == "train")
    images = torch.zeros(shape)
    stepped = [OPTIMIZERS[optimizer](model.parameters())] if optimizer else []
    for made in stepped:
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        made.step()
        made.zero_grad()
    gc.collect()
    gc.disable()
    tracker = MemTracker()
    tracker.track_external(model, images, *stepped)
    try:
        with tracker, SumsInPlace(), torch.set_grad_enabled(mode == "train"):
            outputs = model(images)
            if mode == "train":
                loss = F.cross_entropy(outputs, torch.zeros(len(outputs), dtype=torch.int64))
                loss.backward()
            for made in stepped:
                made.step()
    finally:
        gc.enable()
        model.zero_grad()
    return tracker.get_tracker_snapshot("peak")[torch.device("cpu")]


class TestAgainstMemTracker:
    """It runs on real tensors here. What it counts is what we count: storages by their lives.

    It watches a step in which gradients are added up as if nobody did. It leaves out what is not
    registered with it and no operation returned. Its kinds differ: a gradient is `Temp` until it is
    accumulated, what an optimizer makes on the way is `Optstate`, and activations are not split into saved
    and others; parameters, buffers and inputs (`Other`) can be compared.
    """

    @NETS
    @pytest.mark.parametrize("name", ["googlenet_bn", "nin"])
    def test_the_same_peak(self, name, mode, optimizer):
        model, shape = small(name, {})
        in_mem_tracker(model, shape, mode, optimizer)  # the first run of a kernel may keep tensors
        seen = in_mem_tracker(model, shape, mode, optimizer)
        peak = peak_memory(il.trace(model, shape, mode=mode, optimizer=optimizer))
        assert peak.peak_bytes == seen["Total"]
        kinds = {getattr(kind, "value", kind): size for kind, size in seen.items()}
        assert kinds["Parameter"] == peak.by_kind["parameters"]
        assert kinds["Buffer"] == peak.by_kind["buffers"]
        assert kinds["Other"] == peak.by_kind["inputs"]


@pytest.mark.parametrize("layer", [nn.Mish(), nn.Mish(inplace=True)], ids=str)
def test_what_comes_apart_on_meta_is_traced_as_the_cpu_has_it(layer):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), layer, nn.Conv2d(8, 8, 3), layer)
    found = il.trace(model, (2, 3, 16, 16), mode="train")
    assert decomposed_on_meta(found) == ("the backward pass of Mish",)
    assert "device='cpu'" in peak_memory(found).notes[0]
    assert not decomposed_on_meta(il.trace(model, (2, 3, 16, 16)))
    fused = il.trace(model, (2, 3, 16, 16), mode="train", device="cpu")
    assert peak_memory(fused).peak_bytes == tracked(model, (2, 3, 16, 16), "train")
    assert peak_memory(fused).notes == ()


UNLIKE = {
    ("LSTM", "train"): "what a fused LSTM keeps for its backward pass is known to its kernel alone",
    ("numpy", "eval"): "memory that numpy made is counted from the start",
    ("numpy", "train"): "memory that numpy made is counted from the start",
}
"""Hostile nets whose predicted peak is not the one on the CPU, and why."""
PAIRS = [
    pytest.param(case, mode, id=f"{case.name}-{mode}")
    for case in HOSTILE
    for mode in ("eval", "train")
    if not case.error_in(mode) and not case.not_yet
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("case", "mode"), PAIRS)
def test_hostile_nets(case, mode):
    if (case.name, mode) in UNLIKE:
        pytest.skip(UNLIKE[case.name, mode])
    found = il.trace(case.make(), case.inputs, mode=mode)
    if decomposed_on_meta(found):
        found = il.trace(case.make(), case.inputs, mode=mode, device="cpu")
    assert peak_memory(found).peak_bytes == tracked(case.make(), case.inputs, mode)
