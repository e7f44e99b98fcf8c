"""Every layer of torch.nn is counted, on meta tensors and on the CPU, with the same MACs."""

import inspect

import pytest
import torch
import torch.nn.functional as F
from support.pricing import Function, Prices, example, price
from torch import nn

from inception_lab.tracing.tracer import trace

MAPS = (2, 6, 8, 8)
ROWS = (4, 5)
PER_AXES = {1: (2, 6, 16), 2: MAPS, 3: (1, 6, 8, 8, 8)}
SEQUENCE = (3, 2, 5)
BATCH = (2, 5, 8)


def whole(limit, *shape):
    return torch.randint(0, limit, shape)


def places(*shape):
    """An element of each window of two along every axis, as a pool would have named it."""
    return torch.zeros(shape, dtype=torch.int64)


ON_MAPS = [
    nn.Identity(), nn.Flatten(), nn.Unflatten(1, (2, 3)), nn.Linear(8, 5), nn.Linear(8, 5, bias=False),
    nn.ReLU(), nn.ReLU6(), nn.ELU(), nn.CELU(), nn.SELU(), nn.GELU(), nn.GELU("tanh"), nn.GLU(1),
    nn.Hardshrink(), nn.Hardsigmoid(), nn.Hardswish(), nn.Hardtanh(), nn.LeakyReLU(), nn.LogSigmoid(),
    nn.Mish(), nn.PReLU(), nn.PReLU(6), nn.RReLU(), nn.SiLU(), nn.Sigmoid(), nn.Softmax(1), nn.Softmin(1),
    nn.Softmax2d(), nn.LogSoftmax(1), nn.Softplus(), nn.Softshrink(), nn.Softsign(), nn.Tanh(),
    nn.Tanhshrink(), nn.Threshold(0.1, 0.0), nn.Dropout(), nn.AlphaDropout(), nn.FeatureAlphaDropout(),
    nn.GroupNorm(2, 6), nn.LayerNorm(8), nn.LayerNorm(8, elementwise_affine=False), nn.RMSNorm(8),
    nn.SyncBatchNorm(6), nn.LocalResponseNorm(3), nn.CrossMapLRN2d(3), nn.Conv2d(6, 6, 3, padding="same"),
    nn.Conv2d(6, 6, 3, padding=1, padding_mode="circular"), nn.PixelUnshuffle(2), nn.ChannelShuffle(2),
    nn.Unfold(3), nn.Upsample(scale_factor=2, mode="bicubic"), nn.UpsamplingNearest2d(scale_factor=2),
    nn.UpsamplingBilinear2d(scale_factor=2), nn.FractionalMaxPool2d(2, output_size=4),
    nn.utils.parametrizations.weight_norm(nn.Conv2d(6, 4, 3)),
    nn.utils.parametrizations.spectral_norm(nn.Conv2d(6, 4, 3)),
]  # fmt: skip

LINEAR_UPSAMPLING = {1: "linear", 2: "bilinear", 3: "trilinear"}
IN_AXES = [
    (layer, shape)
    for n, shape in PER_AXES.items()
    for layer in [
        getattr(nn, f"BatchNorm{n}d")(6), getattr(nn, f"BatchNorm{n}d")(6, track_running_stats=False),
        getattr(nn, f"InstanceNorm{n}d")(6), getattr(nn, f"InstanceNorm{n}d")(6, affine=True),
        getattr(nn, f"Conv{n}d")(6, 4, 3), getattr(nn, f"Conv{n}d")(6, 6, 3, groups=3),
        getattr(nn, f"ConvTranspose{n}d")(6, 4, 3, stride=2), getattr(nn, f"MaxPool{n}d")(2),
        getattr(nn, f"AvgPool{n}d")(2), getattr(nn, f"LPPool{n}d")(2, 2),
        getattr(nn, f"AdaptiveAvgPool{n}d")(3), getattr(nn, f"AdaptiveMaxPool{n}d")(3),
        getattr(nn, f"ReflectionPad{n}d")(1), getattr(nn, f"ReplicationPad{n}d")(1),
        getattr(nn, f"ZeroPad{n}d")(1), getattr(nn, f"ConstantPad{n}d")(1, 1.0),
        getattr(nn, f"CircularPad{n}d")(1), getattr(nn, f"Dropout{n}d")(), nn.Upsample(scale_factor=2),
        nn.Upsample(scale_factor=2, mode=LINEAR_UPSAMPLING[n]),
    ]
]  # fmt: skip

WITH_INPUTS = [
    (nn.PixelShuffle(2), (2, 8, 4, 4)),
    (nn.Fold((8, 8), 3), (2, 27, 36)),
    (nn.MaxUnpool1d(2), (2, 6, 8), places(2, 6, 8)),
    (nn.MaxUnpool2d(2), (2, 3, 4, 4), places(2, 3, 4, 4)),
    (nn.MaxUnpool3d(2), (1, 2, 2, 2, 2), places(1, 2, 2, 2, 2)),
    (nn.Bilinear(5, 6, 7), (4, 3, 5), (4, 3, 6)),
    (nn.CosineSimilarity(), ROWS, ROWS),
    (nn.PairwiseDistance(), ROWS, ROWS),
    (nn.Embedding(10, 6), whole(10, 2, 5)),
    (nn.Embedding(10, 6, max_norm=1.0), whole(10, 2, 5)),
    *((nn.EmbeddingBag(10, 6, mode=mode), whole(10, 2, 5)) for mode in ("sum", "mean", "max")),
    (nn.RNN(5, 7), SEQUENCE),
    (nn.RNN(5, 7, nonlinearity="relu"), SEQUENCE),
    (nn.LSTM(5, 7, num_layers=2, bidirectional=True), SEQUENCE),
    (nn.GRU(5, 7, batch_first=True), SEQUENCE),
    (nn.RNNCell(5, 7), ROWS),
    (nn.LSTMCell(5, 7), ROWS),
    (nn.GRUCell(5, 7), ROWS),
    (nn.MultiheadAttention(8, 2, kdim=6, vdim=4, batch_first=True), BATCH, (2, 3, 6), (2, 3, 4)),
    (nn.MultiheadAttention(8, 2, add_bias_kv=True, add_zero_attn=True), BATCH, BATCH, BATCH),
    (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), BATCH),
    (nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2), BATCH),
    (nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), BATCH, (2, 4, 8)),
    (nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2), BATCH, (2, 5, 8)),
    (nn.Transformer(8, 2, 1, 1, 16, batch_first=True), BATCH, (2, 4, 8)),
    *(
        (loss, ROWS, ROWS)
        for loss in [
            nn.L1Loss(), nn.MSELoss(), nn.SmoothL1Loss(), nn.HuberLoss(), nn.KLDivLoss("batchmean"),
            nn.PoissonNLLLoss(), nn.BCEWithLogitsLoss(pos_weight=torch.ones(5)), nn.HingeEmbeddingLoss(),
            nn.MultiLabelSoftMarginLoss(), nn.CrossEntropyLoss(label_smoothing=0.1), nn.BCELoss(),
        ]
    ),
    (nn.SoftMarginLoss(), ROWS, whole(2, *ROWS) * 2 - 1),
    (nn.CrossEntropyLoss(weight=torch.ones(5), ignore_index=2), ROWS, whole(5, 4)),
    (nn.CrossEntropyLoss(), (2, 5, 3, 3), whole(5, 2, 3, 3)),
    (nn.NLLLoss(), ROWS, whole(5, 4)),
    (nn.NLLLoss(), (2, 5, 3, 3), whole(5, 2, 3, 3)),
    (nn.TripletMarginLoss(), ROWS, ROWS, ROWS),
    (nn.TripletMarginWithDistanceLoss(), ROWS, ROWS, ROWS),
    (nn.CosineEmbeddingLoss(), ROWS, ROWS, (4,)),
    (nn.MarginRankingLoss(), ROWS, ROWS, ROWS),
]  # fmt: skip

if hasattr(nn, "LinearCrossEntropyLoss"):  # since PyTorch 2.13
    WITH_INPUTS.append((nn.LinearCrossEntropyLoss(8, 5), (4, 8), whole(5, 4)))

ON_META = [*((layer, MAPS) for layer in ON_MAPS), *IN_AXES, *WITH_INPUTS]

NOT_ON_META = [
    (nn.FractionalMaxPool3d(2, output_size=4), PER_AXES[3]),
    (nn.Embedding(10, 6, sparse=True), whole(10, 2, 5)),
    (nn.MultiMarginLoss(), ROWS, whole(5, 4)),
    (nn.MultiLabelMarginLoss(), ROWS, whole(5, 4, 5)),
    (nn.AdaptiveLogSoftmaxWithLoss(8, 10, [4]), (4, 8), whole(10, 4)),
    (nn.GaussianNLLLoss(), ROWS, ROWS, ROWS),
    (nn.CTCLoss(), (6, 2, 5), whole(4, 2, 3) + 1, whole(1, 2) + 6, whole(1, 2) + 3),
]
"""PyTorch has no meta kernel for these, or for their backward, or they read a number from a tensor."""

NOT_LAYERS = {
    "Module", "Container", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict",
    "DataParallel", "RNNBase", "RNNCellBase", "NLLLoss2d",
}  # fmt: skip
"""Containers and bases, which do no work of their own, and a deprecated name."""


def layer_cases(cases):
    return [pytest.param(layer, inputs, id=type(layer).__name__) for layer, *inputs in cases]


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(("layer", "inputs"), layer_cases(ON_META))
def test_a_layer_is_counted_on_meta_tensors_and_on_the_cpu(layer, inputs, mode):
    tensors = [example(x) for x in inputs]
    on_meta = trace(
        layer, [x.requires_grad_(x.is_floating_point()) for x in tensors], mode=mode, meta_only=True
    )
    forward, backward = price(layer, *inputs, mode=mode)
    assert dict(on_meta.context.uncounted_ops) == forward.uncounted + backward.uncounted == {}
    assert sum(op.macs for op in on_meta.ops if op.phase == "forward") == forward.total.macs


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(("layer", "inputs"), layer_cases(NOT_ON_META))
def test_a_layer_without_a_meta_form_is_counted_on_the_cpu(layer, inputs, mode):
    forward, backward = price(layer, *inputs, mode=mode)
    assert forward.uncounted + backward.uncounted == {}


def test_no_layer_of_torch_is_left_out():
    classes = {
        name: kind for name, kind in vars(nn).items() if inspect.isclass(kind) and issubclass(kind, nn.Module)
    }
    tested = {type(layer) for layer, *_ in ON_META + NOT_ON_META}
    missing = {name for name, kind in classes.items() if kind not in tested and not name.startswith("Lazy")}
    assert missing <= NOT_LAYERS


def add_in_profiler_block(x):
    with torch.profiler.record_function("block"):
        return x + 1


def first_rows(x):
    return x[:, 0].long()


FUNCTIONS = {
    "reductions": lambda x: (x.max(1)[0], x.min(), x.argmax(1), x.median(1)[0], x.prod(1), x.nansum()),
    "moments": lambda x: (x.std(1), x.var(), *torch.std_mean(x, 1), *torch.var_mean(x), x.mean()),
    "norms": lambda x: (x.norm(), x.norm(p=1, dim=1), torch.linalg.vector_norm(x), x.dist(x)),
    "exponentials": lambda x: (x.logsumexp(1), x.logcumsumexp(1), F.gumbel_softmax(x)),
    "scans": lambda x: (x.cumsum(1), x.cumprod(1), torch.cummax(x, 1)[0], x.diff()),
    "orders": lambda x: (x.sort()[0], x.argsort(), x.topk(2)[0], x.kthvalue(2)[0], x.quantile(0.5, 1)),
    "triangles": lambda x: (x.tril(), x.triu(1), x.diag_embed(), torch.block_diag(x, x), x.diagonal()),
    "masks": lambda x: (x.masked_fill(x > 0, 0.0), x.where(x > 0, 0.0), x.masked_scatter(x > 0, x)),
    "in place": lambda x: (
        x.clone().masked_fill_(x > 0, 0.0).transpose_(0, 1).unsqueeze_(0).squeeze_(0).clamp_(0, 1),
        x.clone().normal_(),
        x.clone().index_fill_(0, first_rows(x), 1.0),
    ),
    "look-ups": lambda x: (
        x[[0, 1]],
        x.gather(1, x.long()),
        x.take(first_rows(x)),
        x.index_select(0, first_rows(x)),
    ),
    "writes": lambda x: (
        x.scatter(1, x.long(), x),
        x.scatter_add(1, x.long(), x),
        x.scatter_reduce(1, x.long(), x, "amax"),
        x.index_add(0, first_rows(x), x),
        x.index_copy(0, first_rows(x), x),
    ),
    "factories": lambda x: (
        x + torch.eye(4, 5, device=x.device),
        x + torch.linspace(0, 1, 5, device=x.device),
        x + torch.randint(3, (5,), device=x.device),
        x[torch.randperm(4, device=x.device)],
        torch.bernoulli(x),
    ),
    "distances": lambda x: (torch.cdist(x, x), torch.cdist(x, x, p=1), F.pdist(x)),
    "casts": lambda x: (x.double(), x.half(), x.long().float(), x.detach(), x.bfloat16()),
    "copies": lambda x: (x.flip(0), x.roll(1), x.repeat(2, 1), x.repeat_interleave(2, 0), x.rot90()),
    "questions": lambda x: 2 * x if torch.is_same_size(x, x) else x,
    "profiled": add_in_profiler_block,
    "dropout": lambda x: F.dropout(x) + torch.native_dropout(x, 0.5, True)[0],
    "resizing": lambda x: (
        *(F.interpolate(x[None], 9, mode=mode) for mode in ("nearest", "nearest-exact", "linear", "area")),
        F.interpolate(x[None, None], (9, 9), mode="bicubic", antialias=True),
        F.interpolate(x[None, None], (9, 9), mode="bilinear", antialias=True),
    ),
    "sampling": lambda x: (
        F.grid_sample(x[None, None], x[None, :, :2, None].expand(1, 4, 2, 2), align_corners=False),
        F.grid_sample(
            x[None, None, None], x[None, :, :3, None, None].expand(1, 4, 3, 2, 3), align_corners=False
        ),
    ),
}


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_what_functions_dispatch_is_counted(function, mode):
    model = Function(function)
    on_meta = trace(model, [torch.rand(ROWS, requires_grad=True)], mode=mode, meta_only=True)
    forward, backward = price(model, ROWS, mode=mode)
    assert dict(on_meta.context.uncounted_ops) == forward.uncounted + backward.uncounted == {}
    assert sum(op.macs for op in on_meta.ops) == forward.total.macs + backward.total.macs == 0


class TestOptimizers:
    @pytest.mark.parametrize("foreach", [False, True])
    @pytest.mark.parametrize(
        "optimizer",
        [
            lambda p, **kw: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.1, **kw),
            lambda p, **kw: torch.optim.Adam(p, 0.1, amsgrad=True, **kw),
            lambda p, **kw: torch.optim.AdamW(p, 0.1, **kw),
            lambda p, **kw: torch.optim.RMSprop(p, 0.1, **kw),
        ],
        ids=["SGD", "Adam", "AdamW", "RMSprop"],
    )
    def test_a_step_has_no_macs_and_is_counted(self, optimizer, foreach):
        assert self.step(optimizer, foreach=foreach).total.macs == 0

    @pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
    def test_a_fused_step_too(self, optimizer):
        assert self.step(optimizer, fused=True).total.macs == 0

    def step(self, optimizer, **options):
        layer = nn.Linear(4, 3)
        layer(torch.rand(2, 4)).sum().backward()
        stepping = optimizer(layer.parameters(), **options)
        with Prices() as prices:
            nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
            stepping.step()
        assert prices.runs
        assert prices.uncounted == {}
        return prices
