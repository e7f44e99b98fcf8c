"""Tokens under masks: which of them each sees, as told and as the gradient of a real run says."""

import math

import torch
import torch.nn.functional as F

import inception_lab as il
from inception_lab.analyzers.receptive_field.field import field_of

TOKENS, WIDTH = 6, 8
NOTHING = (0, -1)
EVERYTHING = (0, TOKENS - 1)


def causal(i):
    return (0, i)


def everything(_):
    return EVERYTHING


def band(reach):
    return lambda i: (max(i - reach, 0), min(i + reach, TOKENS - 1))


def gradient_extents(net, shape, axis=1):
    """First and last token of which each output token has a gradient, in float64."""
    torch.manual_seed(0)
    net = net.double().eval()
    x = torch.rand(shape, dtype=torch.float64, requires_grad=True)
    out = net(x)
    extents = []
    for place in range(out.shape[axis]):
        # a random projection, as the plain sum of a softmax has no gradient
        unit = out.select(axis, place)
        (gradient,) = torch.autograd.grad((unit * torch.rand_like(unit)).sum(), x, retain_graph=True)
        others = [d for d in range(x.dim()) if d != axis]
        seen = torch.nonzero(gradient.abs().amax(others)).flatten().tolist()
        extents.append((seen[0], seen[-1]) if seen else NOTHING)
    return extents


def told_extents(net, shape, device, **options):
    trace = il.trace(net, shape, device=device, **options)
    field = field_of(trace, "(model)")
    assert field.status in ("exact", "misaligned"), field.reason
    assert len(field.grid) == 1
    return [field.extent((place,))[0] for place in range(field.grid[0])]


def check(net, expected, device, shape=(1, TOKENS, WIDTH), **options):
    units = [expected(place) for place in range(TOKENS)]
    assert gradient_extents(net, shape) == units
    assert told_extents(net.float(), shape, device, **options) == units


def lower(size=TOKENS, **options):
    return torch.ones(size, size).tril(**options)


def minus_infinity(allowed):
    return torch.zeros(allowed.shape).masked_fill(~allowed.bool(), -math.inf)


def attend(x, mask=None, **options):
    return F.scaled_dot_product_attention(x, x, x, attn_mask=mask, **options)


def near(reach):
    places = torch.arange(TOKENS)
    return (places[:, None] - places[None]).abs() <= reach
