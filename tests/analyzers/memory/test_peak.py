"""Predicted peaks beside real runs, and beside PyTorch's own memory tracker."""

import copy
import gc

import pytest
import torch
import torch.nn.functional as F
from support.counting import Net
from support.hostile.table import HOSTILE
from support.zoo import image, small_image
from torch import nn
from torch.distributed._tools.mem_tracker import MemTracker
from torch.utils.checkpoint import checkpoint

import inception_lab as il
from inception_lab.analyzers.memory.peak import decomposed_on_meta, peak_memory
from inception_lab.measure.memory import _tracked
from inception_lab.running.gradient_accumulation import SumsInPlace
from inception_lab.running.optimizers import OPTIMIZERS, optimizer_of
from inception_lab.running.request import Request

FLOAT = 4


def tracked(model, inputs, mode="eval", optimizer=None, loss=None):
    """The peak of the storages of a real run; the run before it is there to load every kernel."""
    stepper = optimizer_of(optimizer) if optimizer else None
    request = Request(model, inputs, mode, loss, stepper)
    for _ in range(2):
        tracker = _tracked(request, torch.device("cpu"))
    return tracker.peak_bytes


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

        model = Net(forward)
        model.segments = segments
        return model

    def test_it_lowers_the_peak_to_that_of_a_real_run(self):
        plain = self.stack(lambda segment, x: segment(x))
        again = self.stack(lambda segment, x: checkpoint(segment, x, use_reentrant=False))
        steps = [il.trace(net, self.SHAPE, mode="train", loss=torch.sum) for net in (plain, again)]
        whole, short = map(peak_memory, steps)
        assert whole.by_kind["saved"] == 16 * self.TENSOR  # every tanh, that of the output too
        assert whole.peak_bytes == tracked(plain, self.SHAPE, "train", loss=torch.sum)
        assert short.peak_bytes == tracked(again, self.SHAPE, "train", loss=torch.sum)
        assert short.peak_bytes < whole.peak_bytes - 8 * self.TENSOR


NETS = pytest.mark.parametrize(
    ("mode", "optimizer"), [("eval", None), ("train", None), ("train", "momentum"), ("train", "adamw")]
)


def in_mem_tracker(model, shape, mode, optimizer):
    """The peak that PyTorch's own tracker sees, all that exists before registered with it."""
    model.train(mode == "train")
    images = torch.zeros(shape)
    steppers = [OPTIMIZERS[optimizer](model.parameters())] if optimizer else []
    for stepper in steppers:
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        stepper.step()
        stepper.zero_grad()
    gc.collect()
    gc.disable()
    tracker = MemTracker()
    tracker.track_external(model, images, *steppers)
    try:
        with tracker, SumsInPlace(), torch.set_grad_enabled(mode == "train"):
            outputs = model(images)
            if mode == "train":
                loss = F.cross_entropy(outputs, torch.zeros(len(outputs), dtype=torch.int64))
                loss.backward()
            for stepper in steppers:
                stepper.step()
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
        reference = in_mem_tracker(model, shape, mode, optimizer)
        peak = peak_memory(il.trace(model, shape, mode=mode, optimizer=optimizer))
        assert peak.peak_bytes == reference["Total"]
        kinds = {getattr(kind, "value", kind): size for kind, size in reference.items()}
        assert kinds["Parameter"] == peak.by_kind["parameters"]
        assert kinds["Buffer"] == peak.by_kind["buffers"]
        assert kinds["Other"] == peak.by_kind["inputs"]


class Product(nn.Module):
    def forward(self, x, y=None):
        return x[0] * x[1] if y is None else x * y


@pytest.mark.parametrize(
    ("net", "inputs", "names"),
    [
        (nn.Linear(3, 4), (2, 3), ["(input)"]),
        (nn.Sequential(nn.Linear(3, 4)), {"input": (2, 3)}, ["(input)"]),
        (Product(), {"x": (2, 3), "y": (2, 3)}, ["(input x)", "(input y)"]),
        (Product(), [[(2, 3), (2, 3)]], ["(input 0.0)", "(input 0.1)"]),
    ],
    ids=["one", "keyword", "keywords", "nested"],
)
def test_an_input_is_not_named_like_a_layer(net, inputs, names):
    tensors = peak_memory(il.trace(net, inputs)).tensors
    assert tensors.query("kind == 'inputs'")["layer"].tolist() == names


@pytest.mark.parametrize("layer", [nn.Mish(), nn.Mish(inplace=True)], ids=str)
def test_what_comes_apart_on_meta_is_traced_as_the_cpu_has_it(layer):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), layer, nn.Conv2d(8, 8, 3), layer)
    trace = il.trace(model, (2, 3, 16, 16), mode="train")
    assert decomposed_on_meta(trace) == ("the backward pass of Mish",)
    assert "device='cpu'" in peak_memory(trace).notes[0]
    assert not decomposed_on_meta(il.trace(model, (2, 3, 16, 16)))
    fused = il.trace(model, (2, 3, 16, 16), mode="train", device="cpu")
    assert peak_memory(fused).peak_bytes == tracked(model, (2, 3, 16, 16), "train")
    assert peak_memory(fused).notes == ()


UNLIKE = {
    ("lazy", "eval"): "a lazy layer has no shape to be copied with for a real run",
    ("lazy", "train"): "a lazy layer has no shape to be copied with for a real run",
    ("numpy", "eval"): "memory that numpy made is counted from the start",
    ("numpy", "train"): "memory that numpy made is counted from the start",
}
"""Hostile nets whose predicted peak is not the one on the CPU, and why."""
PAIRS = [
    pytest.param(case, mode, id=f"{case.name}-{mode}")
    for case in HOSTILE
    for mode in ("eval", "train")
    if not case.error_in(mode)
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("case", "mode"), PAIRS)
def test_hostile_nets(case, mode):
    if (case.name, mode) in UNLIKE:
        pytest.skip(UNLIKE[case.name, mode])
    trace = il.trace(case.make(), case.inputs, mode=mode)
    if decomposed_on_meta(trace):
        trace = il.trace(case.make(), case.inputs, mode=mode, device="cpu")
    assert peak_memory(trace).peak_bytes == tracked(case.make(), case.inputs, mode)
