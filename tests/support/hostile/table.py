"""Expected figures of each hostile net, worked out by hand."""

import torch

from support.branched import I3D, InceptionTime
from support.hostile import data, not_on_meta, sequences, structure, weights, wrapped
from support.hostile.case import Hostile

IMAGE, ROWS = (2, 3, 8, 8), (2, 8)
TOKENS = torch.zeros(2, 5, dtype=torch.int64)
PLAIN = {"inputs": IMAGE, "macs": 2 * 64 * 4 * 27 + 2 * 256 * 5, "params": 112 + 8 + 1285, "rows": 4}
LINEAR = {"inputs": ROWS, "macs": 2 * 8 * 4, "params": 36, "rows": 1}
TWO = {"inputs": ROWS, "macs": 2 * (64 + 32), "params": 72 + 36}
LSTM = {
    "inputs": (2, 5, 6),
    "macs": 2 * (2 * 5 * 4 * 8 * (6 + 8) + 16 * 3),
    "params": 2 * 4 * 8 * (6 + 8 + 2) + 51,
}
ATTENTION = {  # four projections, and two products of 5 x 5 x 4 in each of 2 heads
    "inputs": (2, 5, 8),
    "macs": 2 * (5 * 4 * 64 + 2 * 2 * 5 * 5 * 4),
    "params": 4 * 72,
}
ENCODER = {
    "inputs": (2, 5, 8),
    "macs": 2 * (ATTENTION["macs"] + 2 * 5 * 2 * 8 * 16),
    "params": 2 * (4 * 72 + 8 * 16 + 16 + 16 * 8 + 8 + 2 * 16),
}

STRUCTURE = (
    Hostile("functional only", structure.FunctionalOnly, IMAGE, 2 * 64 * 4 * 27 + 2 * 20, params=128, rows=1),
    Hostile("shared module", structure.shared_module, IMAGE, 2 * 2 * 64 * 3 * 27, params=84, rows=3),
    Hostile(
        "reused at several sizes",
        structure.ReusedAtSeveralSizes,
        IMAGE,
        macs=2 * (64 + 16 + 4) * 6,
        params=8,
        rows=1 + 3,  # the pooling is the model's own
    ),
    Hostile("empty", structure.empty, IMAGE),
    Hostile("no parameters", structure.no_parameters, IMAGE, rows=2),
    Hostile("never called", structure.NeverCalled, ROWS, macs=2 * 32, params=36 + 144, rows=2),
    Hostile("gaps", structure.Gaps, **TWO, rows=2),
    Hostile("calls itself", structure.CallsItself, ROWS, macs=3 * 2 * 64, params=72, rows=3),
    Hostile("very deep", structure.very_deep, (1, 2), macs=1200 * 4, params=1200 * 4, rows=1200),
    Hostile("nested", structure.nested, (1, 2), macs=4, params=6, rows=1),
    Hostile("yielded", structure.Yielded, **TWO, rows=2),
    Hostile("unregistered", structure.Unregistered, ROWS, macs=2 * 32, rows=1),
)

DATA = (
    Hostile("in-place chain", data.InPlaceChain, IMAGE, macs=2 * 64 * 12, params=16, rows=2),
    Hostile("writes to its input", data.WritesToItsInput, **LINEAR | {"rows": 2}),
    Hostile(
        "channel shuffle",
        data.ChannelShuffle,
        (2, 4, 8, 8),
        macs=2 * 64 * 2 * 9,
        params=18,
        rows=2,
        unlike_torch_in_train="it leaves the groups of a convolution out",
    ),
    Hostile("views", data.Views, IMAGE, macs=2 * 6 * 4, params=28, rows=2),
    Hostile("several inputs", data.SeveralInputs, [ROWS, (2, 6)], macs=2 * (32 + 24), params=64, rows=3),
    Hostile("an optional input", data.SeveralInputs, [ROWS, (2, 6), None], 2 * (32 + 24), params=64, rows=3),
    Hostile("nested inputs", data.NestedInputs, [{"levels": [ROWS, ROWS]}], 4 * 32, params=36, rows=3),
    Hostile("keyword-only inputs", data.KeywordOnly, {"image": ROWS, "scale": (2, 1)}, 64, params=36, rows=2),
    Hostile("no input", data.NoInput, [], macs=2 * 32, params=16 + 36, rows=2),
    Hostile("integers", data.integers, TOKENS, macs=2 * 40 * 4, params=80 + 164, rows=3),
    # two elements of the adjacency meet eight columns each
    Hostile(
        "sparse",
        data.Sparse,
        **LINEAR | {"macs": 2 * 32 + 2 * 8, "rows": 2},
        device="cpu",
        unlike_torch="it has no formula for a sparse product",
    ),
    Hostile(
        "sparse gradient",
        data.sparse_gradient,
        TOKENS,
        macs=2 * 40 * 4,
        params=80 + 164,
        rows=3,
        device_in_train="cpu",
    ),
    Hostile("several outputs", data.several_outputs, **LINEAR),
    Hostile("dict output", data.dict_output, **LINEAR),
    Hostile("dataclass output", data.dataclass_output, **LINEAR),
    Hostile("its input", data.its_input, **LINEAR),
    Hostile("nothing", data.nothing, **LINEAR, train_error="no floating tensor"),
    Hostile("text", data.text, **LINEAR, train_error="no floating tensor"),
    Hostile("number", data.number, **LINEAR, train_error="no floating tensor"),
)

WEIGHTS = (
    Hostile("frozen", weights.frozen, **PLAIN),
    Hostile("all frozen", weights.all_frozen, **PLAIN),
    Hostile("tied", weights.Tied, TOKENS, macs=2 * 5 * 80, params=80, rows=2),
    Hostile("half", weights.half, **PLAIN),
    Hostile("bfloat16", weights.bfloat16, **PLAIN),
    Hostile("float64", weights.float64, **PLAIN),
    Hostile(
        "complex",
        weights.Complex,
        torch.zeros(2, 8, dtype=torch.complex64),
        macs=4 * 2 * 32,
        params=32,
        rows=1,
        unlike_torch="it takes a product of complex numbers for one of real ones",
    ),
    Hostile(
        "Fourier",
        weights.Fourier,
        IMAGE,
        params=3 * 8 * 5 * 2,
        rows=1,
        uncounted=("aten._fft_c2r.default", "aten._fft_r2c.default"),
    ),
    Hostile("weight norm", weights.weight_normalised, ROWS, macs=2 * 32, params=4 + 32 + 4, rows=3),
    Hostile("weight norm by hook", weights.weight_normalised_by_hook, ROWS, 2 * 32, params=40, rows=1),
    Hostile(
        "spectral norm",
        weights.spectrally_normalised,
        ROWS,
        macs=2 * 32 + 32 + 4,  # the layer; u W v as a product of matrix and vector, and of two vectors
        macs_in_train=2 * 32 + 32 + 4 + 2 * 32,  # one step of the power iteration: W v and u W
        params=36,
        rows=3,
        unlike_torch="it does not count products with a vector",
    ),
    Hostile("marked", weights.Marked, **LINEAR | {"rows": 2}),
    Hostile("replacing", weights.Replacing, **LINEAR | {"rows": 2}),
    Hostile("freezes itself", weights.FreezesItself, **TWO, rows=2),
    Hostile("lazy", weights.lazy, **LINEAR),
)

SEQUENCES = (
    Hostile("RNN", sequences.rnn, (2, 5, 6), 2 * (5 * 8 * (6 + 8) + 24), params=128 + 27, rows=3),
    Hostile("LSTM", sequences.lstm, **LSTM, rows=3),
    Hostile(
        "GRU",
        sequences.gru,
        (2, 5, 6),
        macs=2 * (2 * 5 * 3 * 8 * ((6 + 8) + (16 + 8)) + 16 * 3),
        params=2 * 3 * 8 * ((6 + 8 + 2) + (16 + 8 + 2)) + 51,
        rows=3,
    ),
    Hostile(
        "cell by cell", sequences.CellByCell, (2, 5, 6), 2 * 5 * 4 * 8 * (6 + 8), params=32 * 16, rows=1 + 5
    ),
    Hostile(
        "packed", sequences.Packed, (2, 5, 6), (5 + 3) * 32 * (6 + 8), params=32 * 16, rows=2, device="cpu"
    ),
    Hostile("attention", sequences.SelfAttention, **ATTENTION, rows=2),
    Hostile("encoder", sequences.encoder, **ENCODER, rows=2 * 7),
    Hostile("causal", sequences.Causal, [(2, 2, 5, 4)] * 3, macs=2 * 2 * 2 * 5 * 5 * 4, rows=1),
    Hostile("key cache", sequences.KeyCache, ROWS, macs=2 * 64 + 2 * 5 * 8, params=64, rows=2),
    Hostile(
        "keeps in an object",
        sequences.KeepsInAnObject,
        ROWS,
        macs=2 * 64,
        params=72,
        rows=2,
    ),
    Hostile("global cache", sequences.GlobalCache, **LINEAR | {"rows": 2}),
    Hostile("bias cache", sequences.BiasCache, (2, 2, 4, 8), macs=2 * 4 * 4 * 4 * 8, params=8, rows=1),
)

NOT_ON_META = (
    Hostile("branching", not_on_meta.Branching, ROWS, macs=2 * 32, params=72, rows=3, device="cpu"),
    Hostile(
        "LSTM for real",
        not_on_meta.lstm_for_real,
        **LSTM,
        rows=1 + 3,
        device="cpu",
        unlike_torch_in_train="the fused backward makes all gradients, needed or not",
    ),
    Hostile("attention for real", not_on_meta.attention_for_real, **ATTENTION, rows=1 + 2, device="cpu"),
    Hostile("encoder for real", not_on_meta.encoder_for_real, **ENCODER, rows=1 + 2 * 7, device="cpu"),
    Hostile("masked", not_on_meta.Masked, ROWS, macs=2 * 32, params=36, rows=2, device="cpu"),
    Hostile(
        "own kernel",
        not_on_meta.OwnKernel,
        ROWS,
        macs=2 * 32,
        params=36,
        rows=2,
        device="cpu",
        uncounted=("hostile.doubled.default",),
    ),
    Hostile("numpy", not_on_meta.Numpy, **TWO, rows=3, device="cpu"),
    Hostile("plain tensor", not_on_meta.PlainTensor, **LINEAR | {"rows": 2}),
    Hostile("on the CPU by name", not_on_meta.CpuOnly, **LINEAR | {"rows": 2}),
)

WRAPPED = (
    Hostile("hooked", wrapped.hooked, **TWO, rows=3),
    Hostile("changed by a hook", wrapped.changed_by_a_hook, **TWO, rows=4),
    Hostile("compiled", wrapped.compiled, **TWO, rows=3),
    Hostile("compiled in place", wrapped.compiled_in_place, **TWO, rows=3),
    Hostile("compiled inside", wrapped.compiled_inside, **TWO, rows=2),
    Hostile("DataParallel", wrapped.data_parallel, **TWO, rows=1 + 3),  # its own: a profiler mark
    Hostile("checkpointed", wrapped.Checkpointed, **TWO, rows=3),
    Hostile("frozen by context", wrapped.FrozenByContext, **TWO, rows=2),
    Hostile("own function", wrapped.OwnFunction, **LINEAR | {"rows": 2}),
    Hostile(
        "inner gradient",
        wrapped.InnerGradient,
        ROWS,
        macs=2 * 2 * 32,
        params=36,
        rows=2,
        unlike_torch="it raises within autograd.grad",
    ),
    Hostile("functional call", wrapped.Functional, **LINEAR | {"rows": 2}),
    Hostile("vmap", wrapped.Vectorised, **LINEAR),
    Hostile("autocast", wrapped.Autocast, **LINEAR | {"rows": 2}, device="fake"),
    Hostile("threaded", wrapped.Threaded, **LINEAR, unlike_torch="it sees one thread alone"),
    Hostile("scripted", wrapped.scripted, **TWO, rows=1),
    Hostile("raising", wrapped.Raising, ROWS, error="on purpose"),
)

_BLOCK = 4 * 4 * (9 + 19 + 39)  # the three convolutions, per step
_INFLATED = 4 * 4 + (4 * 3 + 27 * 3 * 6) + (4 * 2 + 27 * 2 * 4) + 4 * 2  # the four branches, per place
BRANCHED = (
    Hostile(
        "InceptionTime",
        InceptionTime,
        (2, 2, 64),
        macs=2 * (64 * (2 * 8 + 2 * 2 * 4 * 16 + 3 * _BLOCK + 2 * 16) + 16 * 3),
        params=2 * 8 + 2 * 2 * 4 * 16 + 3 * _BLOCK + 2 * 16 + 4 * 32 + 51,
        rows=3 * 8 + 2 + 1 + 1,  # a module's own row holds its ReLU, the model's own the sum and the mean
    ),
    Hostile(
        "I3D",
        I3D,
        (2, 3, 8, 32, 32),
        macs=2 * (4 * 16 * 16 * 4 * 3 * 343 + 4 * 8 * 8 * _INFLATED + 16 * 5),
        params=4 * 3 * 343 + _INFLATED + 2 * (4 + 4 + 3 + 6 + 2 + 4 + 2) + 85,
        rows=7 * 3 + 2 + 1 + 1 + 1 + 1,  # 7 units, two poolings, mean, head, concatenation, flattening
    ),
)

HOSTILE = STRUCTURE + DATA + WEIGHTS + SEQUENCES + NOT_ON_META + WRAPPED + BRANCHED
