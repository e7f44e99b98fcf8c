"""Predicted peaks beside real runs, to the byte: losses, frozen layers, layouts and other hard cases."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import inception_lab as il

LAST = torch.channels_last


def tracked_error(model, inputs, device="meta", **options):
    """Predicted less measured bytes of the storages alive after any operation."""
    options = {"mode": "train"} | options
    peak = il.peak_memory(il.trace(model, inputs, device=device, **options)).peak_bytes
    return peak - il.measure_memory(model, inputs, **options).tracked_bytes


def classes(rows):
    return torch.zeros(rows, dtype=torch.int64)


def ones(y):
    return torch.ones(len(y))


def windows(y):
    """The output of a linear layer as logits at places, N x C x H x W."""
    return y.view(4, 10, 4, 5)


LOSSES = {
    "l1": lambda y, r: F.l1_loss(y, y.detach() * 0, reduction=r),
    "mse": lambda y, r: F.mse_loss(y, y.detach() * 0, reduction=r),
    "smooth_l1": lambda y, r: F.smooth_l1_loss(y, y.detach() * 0, reduction=r),
    "huber": lambda y, r: F.huber_loss(y, y.detach() * 0, reduction=r),
    "binary_cross_entropy": lambda y, r: F.binary_cross_entropy(y.sigmoid(), y.detach() * 0, reduction=r),
    "weighted_bce": lambda y, r: F.binary_cross_entropy(
        y.sigmoid(), y.detach() * 0, weight=torch.ones(y.shape[1]), reduction=r
    ),
    "bce_with_logits": lambda y, r: F.binary_cross_entropy_with_logits(y, y.detach() * 0, reduction=r),
    "soft_margin": lambda y, r: F.soft_margin_loss(y, y.detach() * 0 + 1, reduction=r),
    "kl_div": lambda y, r: F.kl_div(y, y.detach().softmax(1), reduction=r),
    "log_kl_div": lambda y, r: F.kl_div(y, y.detach().log_softmax(1), log_target=True, reduction=r),
    "poisson": lambda y, r: F.poisson_nll_loss(y, y.detach() * 0, reduction=r),
    "gaussian": lambda y, r: F.gaussian_nll_loss(y, y.detach() * 0, torch.ones_like(y), reduction=r),
    "cosine": lambda y, r: F.cosine_embedding_loss(y, y.detach() + 1, ones(y), reduction=r),
    "triplet": lambda y, r: F.triplet_margin_loss(y, y.detach() + 1, y.detach() * 2, reduction=r),
    "margin_ranking": lambda y, r: F.margin_ranking_loss(y, y.detach(), torch.ones_like(y), reduction=r),
    "hinge": lambda y, r: F.hinge_embedding_loss(y, torch.ones_like(y), reduction=r),
    "multi_margin": lambda y, r: F.multi_margin_loss(y, classes(len(y)), reduction=r),
    "multilabel_margin": lambda y, r: F.multilabel_margin_loss(
        y, torch.full(y.shape, -1, dtype=torch.int64), reduction=r
    ),
    "multilabel_soft_margin": lambda y, r: F.multilabel_soft_margin_loss(y, y.detach() * 0, reduction=r),
    "nll": lambda y, r: F.nll_loss(y, classes(len(y)), reduction=r),
    "nll_2d": lambda y, r: F.nll_loss(windows(y), classes((4, 4, 5)), reduction=r),
    "cross_entropy": lambda y, r: F.cross_entropy(y, classes(len(y)), reduction=r),
    "weighted": lambda y, r: F.cross_entropy(y, classes(len(y)), torch.ones(y.shape[1]), reduction=r),
    "smoothed": lambda y, r: F.cross_entropy(y, classes(len(y)), label_smoothing=0.1, reduction=r),
    "of_probabilities": lambda y, r: F.cross_entropy(y, y.detach().softmax(1), reduction=r),
    "cross_entropy_2d": lambda y, r: F.cross_entropy(windows(y), classes((4, 4, 5)), reduction=r),
    "ctc": lambda y, r: F.ctc_loss(
        y.view(8, 2, 50).log_softmax(2), torch.ones(2, 3, dtype=torch.int64), (8, 8), (3, 3), reduction=r
    ),
}


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, reduction):
    """`none` is summed, so that there is one number to differentiate."""

    def loss(y):
        value = LOSSES[name](y, reduction)
        return value.sum() if reduction == "none" else value

    assert tracked_error(nn.Linear(8, 100), (8, 8), loss=loss, optimizer="adam") == 0


def test_a_mean_squared_error_by_hand():
    """Weights, Adam's two copies and counters of both; the input; then four times the output: itself, the
    target, the terms behind the loss, and its gradient; one scalar is the gradient of the loss."""
    weights, source, output = 4 * (8 * 1000 + 1000), 4 * 64 * 8, 4 * 64 * 1000
    step = il.trace(
        nn.Linear(8, 1000), (64, 8), mode="train", optimizer="adam",
        loss=lambda y: F.mse_loss(y, torch.zeros_like(y)),
    )  # fmt: skip
    assert il.peak_memory(step).peak_bytes == 3 * weights + 2 * 4 + source + 4 * output + 4 == 1_134_060


@pytest.mark.parametrize("shapes", [((8, 1), (8, 100)), ((8, 100), (8, 1))], ids=str)
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_terms_of_broadcast_operands(shapes):
    class Error(nn.Module):
        def forward(self, x, y):
            return F.smooth_l1_loss(x * 2, y)

    assert tracked_error(Error(), list(shapes), loss=lambda y: y) == 0


def frozen(*layers, count=1):
    net = nn.Sequential(*layers)
    net[:count].requires_grad_(False)
    return net


class Transposed(nn.Module):
    """Layers on sequences (N, L, C), which they see as (N, C, L)."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x.transpose(1, 2))


def images(channels=3, memory_format=torch.contiguous_format):
    return torch.rand(4, channels, 12, 12).to(memory_format=memory_format)


NETS = {
    "norm_first": (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), images()),
    "norm_first_last": (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), images(memory_format=LAST)),
    "frozen": (frozen(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), images()),
    "frozen_last": (frozen(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)).to(memory_format=LAST), images()),
    "frozen_eval": (frozen(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8).eval()), images()),
    "frozen_groups": (frozen(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8)), images()),
    "frozen_layers": (frozen(nn.Conv2d(3, 8, 3), nn.LayerNorm([8, 10, 10])), images()),
    "frozen_instances": (frozen(nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8, affine=True)), images()),
    "input_last_alone": (nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), images(memory_format=LAST)),
    "pads_last": (
        nn.Sequential(nn.ReflectionPad2d(2), nn.Conv2d(4, 8, 3), nn.ReplicationPad2d(1), nn.PixelShuffle(2)),
        images(4, LAST),
    ),
    "transposed_batch": (
        Transposed(nn.BatchNorm1d(6), nn.ReLU(), nn.Flatten(), nn.Linear(60, 5)),
        (4, 10, 6),
    ),
    "transposed_groups": (Transposed(nn.GroupNorm(2, 6), nn.ReLU(), nn.Flatten()), (4, 10, 6)),
    "transposed_layers": (Transposed(nn.LayerNorm(10), nn.ReLU(), nn.Flatten()), (4, 10, 6)),
    "transposed_instances": (Transposed(nn.InstanceNorm1d(6), nn.ReLU(), nn.Flatten()), (4, 10, 6)),
    "transposed_softmax": (Transposed(nn.LogSoftmax(1), nn.LogSigmoid(), nn.Flatten()), (4, 10, 6)),
}


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("name", NETS)
def test_nets(name, device):
    model, inputs = NETS[name]
    assert tracked_error(model, inputs, device, loss=lambda y: (y * y).sum()) == 0


NORMS = {
    "batch": nn.BatchNorm2d(8),
    "group": nn.GroupNorm(2, 8),
    "instance": nn.InstanceNorm2d(8, affine=True),
}


@pytest.mark.parametrize("norm", NORMS)
def test_normalisation_under_autocast(norm):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), NORMS[norm], nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
    assert tracked_error(net, (4, 3, 16, 16), autocast=torch.bfloat16, loss=torch.mean) == 0


class Tied(nn.Module):
    """Two layers whose weights lie in one storage, without being one parameter."""

    def __init__(self, weight_of):
        super().__init__()
        self.first, self.second = nn.Linear(50, 50), nn.Linear(50, 50)
        self.second.weight.data = weight_of(self.first.weight.data)

    def forward(self, x):
        return self.second(self.first(x))


TIES = {"same": lambda data: data, "transposed": lambda data: data.t(), "view": lambda data: data[:]}


@pytest.mark.parametrize("tie", TIES)
def test_weights_tied_by_their_data_count_once(tie):
    """By hand: one weight, two biases, input and two outputs; Adam keeps its state for each parameter."""
    net = Tied(TIES[tie])
    trace = il.trace(net, (4, 50))
    assert il.peak_memory(trace).peak_bytes == 4 * (50 * 50 + 2 * 50 + 3 * 4 * 50)
    assert trace == il.trace(net, (4, 50))
    assert il.summarise(trace).totals["params"] == il.summarise(trace).totals["trainable_params"] == 2600
    assert tracked_error(net, (4, 50), mode="eval") == 0
    assert tracked_error(net, (4, 50), optimizer="adam") == 0
    assert net.first.weight.data_ptr() == net.second.weight.data_ptr()


class SelfAttention(nn.Module):
    def __init__(self, need_weights, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True, **options)
        self.need_weights = need_weights

    def forward(self, x):
        return self.attention(x, x, x, need_weights=self.need_weights)


def encoder_layer(width=16, heads=4, **options):
    return nn.TransformerEncoderLayer(width, heads, 24, **{"batch_first": True, **options})


SEQUENCES = (3, 40, 16)
PADDED = torch.zeros(3, 40, dtype=torch.bool)
PADDED[:, 30:] = True
ATTENTION = {
    "weights": (SelfAttention(need_weights=True), SEQUENCES),
    "no_weights": (SelfAttention(need_weights=False), SEQUENCES),
    "no_bias": (SelfAttention(need_weights=False, bias=False), SEQUENCES),
    "layer": (encoder_layer(), SEQUENCES),
    "norm_first": (encoder_layer(norm_first=True, activation="gelu"), SEQUENCES),
    "odd_heads": (encoder_layer(15, 3), (3, 40, 15)),
    "length_first": (encoder_layer(batch_first=False), SEQUENCES),
    "padded": (encoder_layer(), {"src": SEQUENCES, "src_key_padding_mask": PADDED}),
    "encoder": (nn.TransformerEncoder(encoder_layer(), 3), SEQUENCES),
    "decoder": (nn.TransformerDecoderLayer(16, 4, 24, batch_first=True), [SEQUENCES, SEQUENCES]),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_in_inference_is_what_the_user_runs(name):
    """Against the events of the allocator in a run that nobody watches, to the byte."""
    model, inputs = ATTENTION[name]
    comparison = il.compare_memory(model, inputs)
    assert dict(comparison.errors) == {"tracked_bytes": 0, "allocator_bytes": 0}
    assert comparison.notes == ()


def test_the_fast_path_of_attention_by_hand():
    """Its peak is at the product of queries and keys, beside the input: the three projections, and a score
    for each head and each pair of places."""
    batch, length, width, heads = 3, 40, 16, 4
    params = 4 * sum(p.numel() for p in encoder_layer().parameters())
    tensor, scores = 4 * batch * length * width, 4 * batch * heads * length * length
    trace = il.trace_for_device(encoder_layer(), (batch, length, width))
    assert il.peak_memory(trace).peak_bytes == params + tensor + 3 * tensor + scores
    assert sum(op.macs for op in trace.ops) == sum(op.macs for op in il.trace(encoder_layer(), SEQUENCES).ops)
    assert trace.context.complete


def test_a_fast_path_that_the_user_has_switched_off_stays_off():
    operations = []
    for is_enabled in (True, False):
        torch.backends.mha.set_fastpath_enabled(is_enabled)
        try:
            comparison = il.compare_memory(encoder_layer(), SEQUENCES)
            operations.append(comparison.prediction.tracked_bytes)
            assert comparison.errors["allocator_bytes"] == 0
            assert torch.backends.mha.get_fastpath_enabled() is is_enabled
        finally:
            torch.backends.mha.set_fastpath_enabled(True)
    assert operations[0] > operations[1]


def test_what_the_fast_path_holds_unknown_is_said():
    """Padded sequences become nested tensors, whose sizes depend on the padding; autocast goes within."""
    padded = {"src": SEQUENCES, "src_key_padding_mask": PADDED}
    encoder = nn.TransformerEncoder(encoder_layer(), 2)
    trace = il.trace_for_device(encoder, padded)
    assert any("without the fast path" in note for note in trace.context.notes)
    assert il.measure_memory(encoder, padded).allocator_bytes > 0
    mixed = il.trace_for_device(encoder_layer(), SEQUENCES, autocast=torch.bfloat16)
    assert any("the fast path of inference" in note for note in il.peak_memory(mixed).notes)


def test_a_target_that_a_loss_holds_counts_in_a_real_run_too():
    """Before the step no operation makes it and no allocator tells of it; it is there all the same."""
    targets = torch.zeros(8, 100)
    comparison = il.compare_memory(
        nn.Linear(8, 100), (8, 8), mode="train", loss=lambda y: F.huber_loss(y, targets)
    )
    assert comparison.errors["tracked_bytes"] == 0
    assert abs(comparison.errors["allocator_bytes"]) < 64


def first(y):
    return torch.zeros(len(y), 50, dtype=torch.int64)


SELECTIONS = {
    "max": lambda y: y.max(1)[0],
    "min": lambda y: y.min(1, keepdim=True)[0],
    "median": lambda y: y.median(1)[0],
    "nanmedian": lambda y: y.nanmedian(1)[0],
    "mode": lambda y: y.mode(1)[0],
    "topk": lambda y: y.topk(3)[0],
    "cummax": lambda y: y.cummax(1)[0],
    "cummin": lambda y: y.cummin(1)[0],
    "gather": lambda y: y.gather(1, first(y)),
    "index": lambda y: y[classes(5)],
    "index_of_columns": lambda y: y[:, classes(5)],
    "index_select": lambda y: y.index_select(1, classes(5)),
    "take": lambda y: y.take(classes(5)),
    "trace": lambda y: y.trace(),
    "with_weights": lambda y: F.binary_cross_entropy_with_logits(
        y, torch.zeros_like(y), pos_weight=torch.ones(y.shape[1])
    ),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_backward_formulas_that_write_in_place_unless_watched(name):
    """Against the allocator's events in a run that nobody watches."""
    comparison = il.compare_memory(
        nn.Linear(8, 200), (64, 8), mode="train", loss=lambda y: SELECTIONS[name](y).sum()
    )
    assert dict(comparison.errors) == {"tracked_bytes": 0, "allocator_bytes": 0}


def test_a_users_own_backward_that_makes_a_new_tensor_is_left_alone():
    class Select(torch.autograd.Function):
        @staticmethod
        def forward(_, x):
            return x[:, 0]

        @staticmethod
        def backward(_, grad):
            return torch.zeros(64, 200).scatter(1, torch.zeros(64, 1, dtype=torch.int64), grad[:, None])

    comparison = il.compare_memory(
        nn.Linear(8, 200), (64, 8), mode="train", loss=lambda y: Select.apply(y).sum()
    )
    assert dict(comparison.errors) == {"tracked_bytes": 0, "allocator_bytes": 0}


class Clipped(torch.optim.SGD):
    """Clips the norm of all gradients before it steps, as training loops do between the two."""

    def step(self, closure=None):
        parameters = [p for group in self.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        return super().step(closure)


def test_gradient_clipping_in_the_optimizers_step():
    net = nn.Sequential(nn.Linear(8, 300), nn.Linear(300, 8))
    assert tracked_error(net, (2, 8), optimizer=lambda ps: Clipped(ps, lr=0.1, momentum=0.9)) == 0


class Moving(nn.Module):
    """A 1x1 convolution, and what moves its output."""

    def __init__(self, move):
        super().__init__()
        self.conv, self.move = nn.Conv2d(3, 3, 1), move

    def forward(self, x):
        return self.move(self.conv(x))


MOVES = {
    "windows apart": lambda x: F.unfold(x, 2, stride=2, dilation=2),
    "windows that overlap": lambda x: F.unfold(x, 2),
    "folded": lambda x: F.fold(F.unfold(x, 2), (8, 10), 2),
    "each channel a group": lambda x: F.channel_shuffle(x, 3),
    "one group": lambda x: F.channel_shuffle(x, 1),
    "shuffled by one": lambda x: F.pixel_shuffle(x, 1),
    "padded by nothing": lambda x: F.pad(x, (0, 0, 0, 0), mode="reflect"),
}


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", MOVES)
def test_what_moves_elements_holds_what_its_kernel_makes(name, mode, device):
    assert tracked_error(Moving(MOVES[name]), (2, 3, 8, 10), device, mode=mode) == 0
