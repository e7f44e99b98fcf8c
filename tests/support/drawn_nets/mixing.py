"""Operations on channels and values: activations, normalisations, statistics, gates, attention, products."""

import math
import random
from collections.abc import Callable
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from support.dependence_oracle import gated, is_asked
from support.drawn_nets.draws import Shape, axis, groups, part, some_axes
from support.drawn_nets.step import Options, is_fixed, operation, whole


def _all_axes(x: Tensor) -> range:
    return range(x.ndim - 2)


# ------------------------------------------------------------------------------ value by value

ACTIVATIONS = {
    "relu": F.relu,
    "relu in place": lambda x: F.relu(x * 1.0, inplace=True),
    "leaky": F.leaky_relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "hardswish": F.hardswish,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "elu": F.elu,
    "clamp": lambda x: x.clamp(0, 1),
    "square": lambda x: x * x + x,
    "logsigmoid": F.logsigmoid,
    "rsub": lambda x: 1 - x,
    "division": lambda x: x / (x * x + 1),
    "clone": lambda x: x.clone().mul_(2),
    "dropout": lambda x: F.dropout(x, 0.5, training=False),
}


@operation(lambda rng, _: {"kind": rng.choice(sorted(ACTIVATIONS))})
def activation(x, *, kind):
    return ACTIVATIONS[kind](x)


def _glu(x: Tensor, dim: int) -> Tensor:
    return gated(*x.chunk(2, dim)) if is_asked() else F.glu(x, dim)


@operation(lambda _, shape: {} if shape[1] % 2 == 0 else None)
def glu(x):
    return _glu(x, 1)


@operation(lambda rng, shape: {"axis": n} if shape[2 + (n := axis(rng, shape))] % 2 == 0 else None)
def glu_of_axis(x, *, axis):
    """One half of an axis times a gate that is made of the other."""
    return _glu(x, 2 + axis)


@operation(weights=lambda shape: [(shape[1],)])
def prelu(x, w):
    return F.prelu(x, w)


# ------------------------------------------------------------------------------ normalisations


def _norm(function: Callable[[Tensor], Tensor], x: Tensor, *dims: int) -> Tensor:
    """A normalisation over dimensions; its statistics held fixed, where those of their axes are.

    Over one value it would be constant, which no net has on purpose.
    """
    assert prod([x.shape[dim] for dim in dims]) > 1
    axes = [dim - 2 for dim in dims if dim > 1]
    return x * 1.5 if is_fixed(*axes) else function(x)


def _draw_dim(rng: random.Random, shape: Shape) -> Options:
    return {"dim": rng.randrange(1, len(shape))}


@operation(weights=lambda shape: [(shape[1],), (shape[1],)])
def batch_norm(x, scale, shift):
    """In eval mode, by running statistics."""
    mean, var = x.new_zeros(x.shape[1]), x.new_ones(x.shape[1])
    return F.batch_norm(x, mean, var, scale, shift)


def _scale_and_shift(shape: Shape, **_) -> list[Shape]:
    return [(shape[1],)] * 2


@operation(lambda rng, shape: {"groups": groups(rng, shape[1])}, _scale_and_shift, reduces=True)
def group_norm(x, scale, shift, *, groups):
    assert prod(x.shape[1:]) > groups
    return _norm(lambda x: F.group_norm(x, groups, scale, shift), x, *range(1, x.ndim))


@operation(weights=_scale_and_shift, reduces=True)
def instance_norm(x, scale, shift):
    return _norm(lambda x: F.instance_norm(x, weight=scale, bias=shift), x, *range(2, x.ndim))


@operation(reduces=True)
def layer_norm(x):
    """Over channels and places."""
    return _norm(lambda x: F.layer_norm(x, x.shape[1:]), x, *range(1, x.ndim))


@operation(reduces=True)
def layer_norm_of_last(x):
    """Over the last axis alone."""
    return _norm(lambda x: F.layer_norm(x, x.shape[-1:]), x, x.ndim - 1)


@operation()
def layer_norm_of_channels(x):
    """Of each place, as ConvNeXt does."""
    return _norm(lambda x: F.layer_norm(x.movedim(1, -1), x.shape[1:2]).movedim(-1, 1), x, 1)


@operation()
def local_response_norm(x):
    return F.local_response_norm(x, 3)


@operation(_draw_dim, reduces=True)
def normalize(x, *, dim):
    return _norm(lambda x: F.normalize(x, dim=dim), x, dim)


@operation(_draw_dim, reduces=True)
def softmax(x, *, dim):
    return _norm(lambda x: F.softmax(x, dim), x, dim)


@operation(_draw_dim, reduces=True)
def log_softmax(x, *, dim):
    return _norm(lambda x: F.log_softmax(x, dim), x, dim)


# ------------------------------------------------------------------------------ statistics and gates

STATISTICS = {
    "mean": lambda x, dims: x.mean(dims, keepdim=True),
    "sum": lambda x, dims: x.sum(dims, keepdim=True),
    "amax": lambda x, dims: x.amax(dims, keepdim=True),
    "std": lambda x, dims: x.std(dims, keepdim=True),
    "var": lambda x, dims: x.var(dims, keepdim=True),
    "logsumexp": lambda x, dims: x.logsumexp(dims, keepdim=True),
    "norm": lambda x, dims: torch.linalg.vector_norm(x, dim=dims, keepdim=True),
}


def _draw_statistic(rng: random.Random, shape: Shape) -> Options:
    axes = some_axes(rng, shape)
    is_one = prod([shape[2 + n] for n in axes]) == 1
    # the deviation of one value has no derivative
    kinds = set(STATISTICS) - ({"std", "var"} if is_one else set())
    return {"kind": rng.choice(sorted(kinds)), "axes": axes}


def _statistic(x: Tensor, kind: str, axes: tuple[int, ...]) -> Tensor:
    return whole(STATISTICS[kind](x, [2 + n for n in axes]), *axes)


@operation(_draw_statistic, reduces=True)
def statistic_added(x, *, kind, axes):
    return x + _statistic(x, kind, axes)


@operation(_draw_statistic, reduces=True)
def statistic_alone(x, *, kind, axes):
    """The axes reduced to one place."""
    return _statistic(x, kind, axes)


@operation(lambda rng, shape: {"axes": some_axes(rng, shape), "part": part(rng, shape[2])}, reduces=True)
def statistic_written(x, *, axes, part):
    """A mean written over a part of the first axis."""
    y = x * 1.0
    y[:, :, slice(*part)] = whole(x.mean([2 + n for n in axes], keepdim=True), *axes).expand_as(y)[
        :, :, slice(*part)
    ]
    return y


@operation(weights=lambda shape: [(shape[1], shape[1]), (shape[1],)], reduces=True)
def squeeze_excitation(x, w, b):
    """A gate for each channel (1709.01507), as a factor about one."""
    axes = _all_axes(x)
    gate = torch.sigmoid(F.linear(whole(x.mean([2 + n for n in axes]), *axes), w, b))
    return gated(x, gate.view(*gate.shape, *[1] * len(axes)))


@operation(weights=lambda shape: [(1, 2, *[3] * (len(shape) - 2))])
def spatial_gate(x, w):
    """A gate for each place (1807.06521)."""
    pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
    gate = torch.sigmoid(getattr(F, f"conv{x.ndim - 2}d")(pooled, w, padding=1))
    return gated(x, gate)


@operation(weights=lambda shape: [(shape[1], shape[1], 1, 1)], ranks=(2,), reduces=True)
def coordinate_attention(x, w):
    """Gates along each axis, from means over the other (2103.02907)."""
    rows = whole(x.mean(3, keepdim=True), 1)
    columns = whole(x.mean(2, keepdim=True), 0)
    return gated(gated(x, torch.sigmoid(F.conv2d(rows, w))), torch.sigmoid(F.conv2d(columns, w)))


@operation(weights=lambda shape: [(1, shape[1], *[1] * (len(shape) - 2))], reduces=True)
def global_context(x, w):
    """A weighted mean over all places, added to each (1904.11492)."""
    weights = getattr(F, f"conv{x.ndim - 2}d")(x, w).flatten(2).softmax(-1)
    context = whole(x.flatten(2) @ weights.transpose(1, 2), *_all_axes(x))
    return x + context.view(*context.shape[:2], *[1] * (x.ndim - 2))


# ------------------------------------------------------------------------------ attention


def _attend(query: Tensor, key: Tensor, value: Tensor, is_fused: bool, is_causal: bool) -> Tensor:
    """Attention of tokens N x L x C, by the fused function or written by hand."""
    if is_fused:
        return F.scaled_dot_product_attention(query, key, value, is_causal=is_causal)
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if is_causal:
        length = scores.shape[-1]
        mask = torch.ones(length, length, dtype=torch.bool, device=query.device).triu(1)
        scores = scores.masked_fill(mask, float("-inf"))
    return scores.softmax(-1) @ value


def _heads(x: Tensor, w: Tensor) -> list[Tensor]:
    """Query, key and value of tokens N x L x C."""
    return list(F.linear(x, w).chunk(3, -1))


def _qkv(shape: Shape, **_) -> list[Shape]:
    return [(3 * shape[1], shape[1])]


@operation(
    lambda rng, _: {"is_fused": rng.random() < 0.5}, _qkv, digits="joined", reduces=True, is_mixing=True
)
def attention(x, w, *, is_fused):
    """Attention of all places to all."""
    tokens = _attend(*_heads(x.flatten(2).transpose(1, 2), w), is_fused, False)
    return x + tokens.transpose(1, 2).reshape(x.shape)


@operation(lambda rng, _: {"is_fused": rng.random() < 0.5}, _qkv, ranks=(1,), digits="joined", is_mixing=True)
def causal_attention(x, w, *, is_fused):
    """Attention of a place to itself and those before."""
    return _attend(*_heads(x.transpose(1, 2), w), is_fused, True).transpose(1, 2)


@operation(
    lambda rng, _: {"is_fused": rng.random() < 0.5},
    _qkv,
    ranks=(2,),
    digits="joined",
    reduces=True,
    is_mixing=True,
)
def axial_attention(x, w, *, is_fused):
    """Attention along the rows (1912.12180)."""
    n, c, h, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(n * h, width, c)
    return x + _attend(*_heads(rows, w), is_fused, False).view(n, h, width, c).permute(0, 3, 1, 2)


def _draw_windows(rng: random.Random, shape: Shape) -> Options | None:
    sizes = [k for k in (2, 3, 4) if all(n % k == 0 and n > k for n in shape[2:])]
    if not sizes:
        return None
    side = rng.choice(sizes)
    return {"side": side, "shift": rng.choice([0, 0, side // 2]), "is_fused": rng.random() < 0.5}


@operation(_draw_windows, _qkv, ranks=(2,), digits="joined")
def window_attention(x, w, *, side, shift, is_fused):
    """Attention within windows, shifted or not (2103.14030), without the mask at the seam."""
    n, c, h, width = x.shape
    assert min(h, width) > side
    x = x.roll((-shift, -shift), (2, 3)) if shift else x
    tiles = x.view(n, c, h // side, side, width // side, side).permute(0, 2, 4, 3, 5, 1)
    tokens = _attend(*_heads(tiles.reshape(-1, side * side, c), w), is_fused, False)
    out = tokens.view(n, h // side, width // side, side, side, c).permute(0, 5, 1, 3, 2, 4).reshape(x.shape)
    return out.roll((shift, shift), (2, 3)) if shift else out


# ------------------------------------------------------------------------------ running and products


@operation(
    lambda rng, shape: {
        "axis": axis(rng, shape),
        "kind": rng.choice(["cumsum", "cumsum", "cumprod", "logcumsumexp"]),
    }
)
def running(x, *, axis, kind):
    """Over all places up to each."""
    return getattr(torch, kind)(x, 2 + axis)


@operation(lambda rng, shape: {"axis": axis(rng, shape)})
def running_maximum(x, *, axis):
    return x.cummax(2 + axis).values


@operation(lambda rng, shape: {"axis": axis(rng, shape)}, is_mixing=True)
def in_order(x, *, axis):
    return x.sort(dim=2 + axis).values


@operation(weights=lambda shape: [(shape[-1], shape[-1] + 1)], reduces=True, is_mixing=True)
def product_of_last_axis(x, w):
    """Weights that mix the places of the last axis, as an MLP-Mixer has them."""
    return x @ w


@operation(weights=lambda shape: [(shape[1], 3)], digits="joined")
def einsum_of_channels(x, w):
    return torch.einsum("nc...,cd->nd...", x, w)


@operation(ranks=(2,), reduces=True, is_mixing=True)
def product_of_rows(x):
    """Every row with every row."""
    return torch.einsum("nchw,ncgw->nchg", x, x) if x.shape[2] == x.shape[3] else x @ x.transpose(2, 3) @ x


@operation(weights=lambda shape: [(shape[1], shape[1] + 1)], digits="joined")
def linear_of_channels(x, w):
    return (x.movedim(1, -1) @ w).movedim(-1, 1)
