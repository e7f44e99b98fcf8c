"""Attention under masks, and indexing by constants: what is seen, by hand and by gradients of a real run."""

import math

import pytest
import torch
import torch.nn.functional as F
from support.masked_tokens import (
    EVERYTHING,
    TOKENS,
    WIDTH,
    attend,
    band,
    causal,
    check,
    everything,
    lower,
    minus_infinity,
    near,
    told_extents,
)
from torch import nn

import inception_lab as il
from inception_lab.analyzers.receptive_field.field import field_of


def causal_band(reach):
    return lambda i: (max(i - reach, 0), i)


def blocks(size):
    return lambda i: (i - i % size, i - i % size + size - 1)


class Tokens(nn.Module):
    """A function of tokens, 1 x L x C, behind a projection."""

    def __init__(self, function, **buffers):
        super().__init__()
        self.function, self.into = function, nn.Linear(WIDTH, WIDTH)
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)

    def forward(self, x):
        return self.function(self, self.into(x))


def by_hand(x, allowed, fill=-math.inf):
    """Attention as it is written by hand, with masked_fill."""
    scores = x @ x.transpose(-2, -1) / math.sqrt(x.shape[-1])
    return scores.masked_fill(~allowed.bool(), fill).softmax(-1) @ x


def heads(x, function, count=2):
    """A function on several heads."""
    n, tokens, width = x.shape
    parted = x.view(n, tokens, count, width // count).transpose(1, 2)
    return function(parted).transpose(1, 2).reshape(n, tokens, width)


def added(x, mask):
    return (x @ x.transpose(1, 2) + mask).softmax(-1) @ x


def chosen(x, allowed):
    scores = x @ x.transpose(1, 2)
    return torch.where(allowed, scores, torch.tensor(-math.inf, dtype=x.dtype)).softmax(-1) @ x


def filled_in_place(x):
    scores = x @ x.transpose(1, 2)
    scores.masked_fill_(torch.ones(TOKENS, TOKENS).triu(1).bool(), float("-inf"))
    return scores.softmax(dim=-1) @ x


def written(x):
    scores = x @ x.mT
    scores[:, ~lower().bool()] = -math.inf
    return scores.softmax(-1) @ x


def written_by_slices(x):
    scores = x @ x.mT
    for query in range(TOKENS - 1):
        scores[:, query, query + 1 :] = -math.inf
    return scores.softmax(-1) @ x


def by_einsum(x):
    scores = torch.einsum("bqc,bkc->bqk", x, x)
    weights = scores.masked_fill(torch.triu(torch.ones(TOKENS, TOKENS), 1) == 1, -1e9).softmax(-1)
    return torch.einsum("bqk,bkc->bqc", weights, x)


def by_weights(x):
    return (x @ x.mT).masked_fill(~lower().bool(), -math.inf).softmax(-1)


def by_two_masks(x):
    scores = (x @ x.mT).masked_fill(~lower().bool(), -math.inf)
    return scores.masked_fill(~near(1), -1e9).softmax(-1) @ x


def renormalised(weights):
    return weights / weights.sum(-1, keepdim=True)


def with_a_sink(x):
    """One more key that every query may look at instead."""
    scores = (x @ x.mT).masked_fill(~lower().bool(), -math.inf)
    scores = torch.cat([torch.zeros_like(scores[..., :1]), scores], -1)
    return scores.softmax(-1)[..., 1:] @ x


def chunked(x):
    """Attention within blocks of two tokens."""
    parts = x.view(1, TOKENS // 2, 2, WIDTH)
    return attend(parts).reshape(1, TOKENS, WIDTH)


def linear_causal(x):
    """Linear attention by cumulative sums."""
    return (x * x).cumsum(1) / x.abs().cumsum(1)


def softmax_over_columns(x):
    """Keys along the rows: token i is seen by those before it."""
    scores = (x @ x.transpose(1, 2)).masked_fill(~lower().bool().t(), -math.inf).softmax(1)
    return scores.transpose(1, 2) @ x


def token_shift(x):
    """RWKV's: half of the channels from the token before."""
    shifted = F.pad(x, (0, 0, 1, -1))
    mask = (torch.arange(WIDTH) < WIDTH // 2).to(x.dtype)
    return x * mask + shifted * (1 - mask)


def mixed_by_matrix(x):
    """A causal average by a triangular matrix."""
    weights = lower() / lower().sum(1, keepdim=True)
    return weights.to(x.dtype) @ x


def padded(x):
    """Tokens after the fourth are padding: no query sees them."""
    return attend(x, (torch.arange(TOKENS) < 4)[None, None].expand(1, TOKENS, TOKENS))


CASES = {
    "is_causal": (lambda _, x: attend(x, is_causal=True), causal),
    "is_causal, heads": (lambda _, x: heads(x, lambda h: attend(h, is_causal=True)), causal),
    "no mask": (lambda _, x: attend(x), everything),
    "boolean attn_mask": (lambda _, x: attend(x, lower().bool()), causal),
    "float attn_mask": (lambda _, x: attend(x, minus_infinity(lower()).to(x.dtype)), causal),
    "attn_mask of heads": (lambda _, x: heads(x, lambda h: attend(h, lower().bool()[None, None])), causal),
    "a mask a head": (
        lambda _, x: heads(x, lambda h: attend(h, torch.stack([near(1), near(0)])[None])),
        band(1),
    ),
    "batched masks": (lambda _, x: attend(x, near(2)[None].expand(1, TOKENS, TOKENS)), band(2)),
    "band": (lambda _, x: attend(x, near(1)), band(1)),
    "causal band": (lambda _, x: attend(x, near(2) & lower().bool()), causal_band(2)),
    "padding": (lambda _, x: padded(x), lambda i: (0, 3) if i < 4 else (0, max(i, 3))),
    "masked_fill": (lambda _, x: by_hand(x, lower()), causal),
    "masked_fill, large number": (lambda _, x: by_hand(x, lower(), -1e9), causal),
    "masked_fill, least number": (lambda _, x: by_hand(x, lower(), torch.finfo(x.dtype).min), causal),
    "masked_fill in place": (lambda _, x: filled_in_place(x), causal),
    "heads by hand": (lambda _, x: heads(x, lambda h: by_hand(h, lower())), causal),
    "added": (lambda _, x: added(x, minus_infinity(lower())), causal),
    "added, large numbers": (lambda _, x: added(x, (1 - lower()) * -10000.0), causal),
    "subtracted": (lambda _, x: (x @ x.mT - (1 - lower()) * 1e9).softmax(-1) @ x, causal),
    "two masks one after the other": (
        lambda _, x: by_two_masks(x),
        causal_band(1),
    ),
    "masked and biased": (
        lambda _, x: (
            ((x @ x.mT).masked_fill(~lower().bool(), -math.inf) * 0.5 + x[:, :, :1] @ x[:, :, :1].mT).softmax(
                -1
            )
            @ x
        ),
        causal,
    ),
    "masked by a product": (lambda _, x: ((x @ x.mT) * lower()) @ x, causal),
    "weights scaled": (lambda _, x: renormalised(by_weights(x)) @ x, causal),
    "with a sink": (lambda _, x: with_a_sink(x), causal),
    "additive, then cut": (lambda _, x: added(x, minus_infinity(lower(8))[2:, 2:]), causal),
    "where": (lambda _, x: chosen(x, lower().bool()), causal),
    "written": (lambda _, x: written(x), causal),
    "written by slices": (lambda _, x: written_by_slices(x), causal),
    "einsum": (lambda _, x: by_einsum(x), causal),
    "blocks": (lambda _, x: chunked(x), blocks(2)),
    "anticausal": (lambda _, x: by_hand(x, lower().t()), lambda i: (i, TOKENS - 1)),
    "over columns": (lambda _, x: softmax_over_columns(x), causal),
    "cumulative": (lambda _, x: linear_causal(x), causal),
    "triangular matrix": (lambda _, x: mixed_by_matrix(x), causal),
    "token shift": (lambda _, x: token_shift(x), causal_band(1)),
    "strided": (
        lambda _, x: by_hand(x, (torch.arange(TOKENS)[:, None] - torch.arange(TOKENS)) % 3 == 0),
        lambda i: (i % 3, i % 3 + 3),
    ),
    "diagonal": (lambda _, x: by_hand(x, torch.eye(TOKENS)), lambda i: (i, i)),
    "two layers of a band": (lambda _, x: attend(attend(x, near(1)), near(1)), band(2)),
    "band and norm": (lambda _, x: F.layer_norm(attend(x, near(1)), (WIDTH,)) + x, band(1)),
    "local then global": (lambda _, x: attend(attend(x, near(1))), everything),
    "dropout": (lambda _, x: F.dropout(attend(x, near(1)), 0.5, training=False), band(1)),
}
WITH_BUFFERS = {
    "registered": (lambda net, x: by_hand(x, net.mask), {"mask": lower()}, causal),
    "registered, larger": (
        lambda net, x: by_hand(x, net.mask[:, : x.shape[1], : x.shape[1]]),
        {"mask": lower(32)[None]},
        causal,
    ),
    "registered boolean": (lambda net, x: attend(x, net.mask), {"mask": near(1)}, band(1)),
    "registered float": (lambda net, x: added(x, net.mask), {"mask": minus_infinity(near(1))}, band(1)),
}


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("name", CASES)
def test_attention_under_a_mask(name, device):
    function, expected = CASES[name]
    check(Tokens(function), expected, device)


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("name", WITH_BUFFERS)
def test_a_mask_that_is_registered(name, device):
    function, buffers, expected = WITH_BUFFERS[name]
    check(Tokens(function, **buffers), expected, device)


class Modules(nn.Module):
    """A module of torch under a mask that the forward makes or is handed."""

    def __init__(self, module, call):
        super().__init__()
        self.module, self.call = module, call

    def forward(self, x, *args, **kwargs):
        return self.call(self.module, x, *args, **kwargs)


def attention_module(**options):
    return nn.MultiheadAttention(WIDTH, 2, **{"batch_first": True} | options)


def encoder_layer(**options):
    return nn.TransformerEncoderLayer(WIDTH, 2, 16, batch_first=True, **options)


def square(x, size=TOKENS):
    return nn.Transformer.generate_square_subsequent_mask(size, dtype=x.dtype)


def later(x):
    """True where a query must not look, as modules of torch take it."""
    return torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)


def banned(reach):
    return ~near(reach)


MODULES = {
    "MultiheadAttention": (attention_module, lambda m, x: m(x, x, x)[0], everything),
    "attn_mask": (attention_module, lambda m, x: m(x, x, x, attn_mask=later(x))[0], causal),
    "attn_mask, no weights": (
        attention_module,
        lambda m, x: m(x, x, x, attn_mask=later(x), need_weights=False)[0],
        causal,
    ),
    "float attn_mask": (attention_module, lambda m, x: m(x, x, x, attn_mask=square(x))[0], causal),
    "is_causal": (
        attention_module,
        lambda m, x: m(x, x, x, attn_mask=square(x), is_causal=True, need_weights=False)[0],
        causal,
    ),
    "band": (attention_module, lambda m, x: m(x, x, x, attn_mask=banned(1))[0], band(1)),
    "key_padding_mask": (
        attention_module,
        lambda m, x: m(x, x, x, key_padding_mask=(torch.arange(TOKENS) > 3)[None])[0],
        lambda i: (0, max(i, 3)),
    ),
    "both masks": (
        attention_module,
        lambda m, x: m(
            x, x, x, attn_mask=later(x), key_padding_mask=(torch.arange(TOKENS) > 3)[None], need_weights=False
        )[0],
        causal,
    ),
    "with bias_kv": (
        lambda: attention_module(add_bias_kv=True),
        lambda m, x: m(x, x, x, attn_mask=later(x))[0],
        causal,
    ),
    "with zero attention": (
        lambda: attention_module(add_zero_attn=True),
        lambda m, x: m(x, x, x, attn_mask=later(x))[0],
        causal,
    ),
    "a mask a head": (
        attention_module,
        lambda m, x: m(x, x, x, attn_mask=torch.stack([banned(0), banned(2)]))[0],
        band(2),
    ),
    "not batch_first": (
        lambda: attention_module(batch_first=False),
        lambda m, x: m(x.transpose(0, 1), x.transpose(0, 1), x.transpose(0, 1), attn_mask=later(x))[
            0
        ].transpose(0, 1),
        causal,
    ),
    "encoder layer": (encoder_layer, lambda m, x: m(x, src_mask=later(x)), causal),
    "encoder layer, is_causal": (encoder_layer, lambda m, x: m(x, square(x), is_causal=True), causal),
    "encoder layer, norm first": (
        lambda: encoder_layer(norm_first=True),
        lambda m, x: m(x, later(x)),
        causal,
    ),
    "encoder": (
        lambda: nn.TransformerEncoder(encoder_layer(), 2, enable_nested_tensor=False),
        lambda m, x: m(x, mask=banned(1)),
        band(2),
    ),
    "decoder": (
        lambda: nn.TransformerDecoderLayer(WIDTH, 2, 16, batch_first=True),
        lambda m, x: m(x, x, tgt_mask=later(x), memory_mask=later(x)),
        causal,
    ),
    "decoder of everything": (
        lambda: nn.TransformerDecoderLayer(WIDTH, 2, 16, batch_first=True),
        lambda m, x: m(x, x, tgt_mask=later(x)),
        everything,
    ),
    "LSTM": (lambda: nn.LSTM(WIDTH, WIDTH, batch_first=True), lambda m, x: m(x)[0], causal),
    "bidirectional LSTM": (
        lambda: nn.LSTM(WIDTH, WIDTH, batch_first=True, bidirectional=True),
        lambda m, x: m(x)[0],
        everything,
    ),
    "LSTM backwards": (
        lambda: nn.LSTM(WIDTH, WIDTH, batch_first=True, bidirectional=True),
        lambda m, x: m(x)[0][..., WIDTH:],
        lambda i: (i, TOKENS - 1),
    ),
    "GRU": (lambda: nn.GRU(WIDTH, WIDTH, batch_first=True), lambda m, x: m(x)[0], causal),
    "causal convolution": (
        lambda: nn.Conv1d(WIDTH, WIDTH, 3, padding=2),
        lambda m, x: m(x.transpose(1, 2))[:, :, :-2].transpose(1, 2),
        causal_band(2),
    ),
}


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("name", MODULES)
def test_modules_of_torch(name, device):
    make, call, expected = MODULES[name]
    check(Modules(make(), call), expected, device)


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize(
    ("mask", "expected"),
    [(lower().bool(), causal), (minus_infinity(near(1)), band(1)), (near(1)[None], band(1))],
    ids=["boolean", "float", "batched"],
)
def test_a_mask_that_is_handed_over(mask, expected, device):
    """A tensor beside the input counts as it is."""
    net = Modules(nn.Linear(WIDTH, WIDTH), lambda m, x, mask: attend(m(x), mask))
    units = [expected(place) for place in range(TOKENS)]
    assert told_extents(net, (1, TOKENS, WIDTH), device, kwargs={"mask": mask}) == units
    trace = il.trace(net, [(1, TOKENS, WIDTH), mask], device=device)
    assert [field_of(trace, "(model)").extent((place,))[0] for place in range(TOKENS)] == units


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_mask_that_is_not_known_is_not_exact(device):
    """One made on meta, of the input, or of chance may let through what it likes."""
    for mask in (lambda x: x[..., 0] > 0, lambda _: torch.rand(TOKENS) > 0.5):
        net = Modules(nn.Linear(WIDTH, WIDTH), lambda m, x, mask=mask: by_hand(m(x), mask(x)[..., None, :]))
        field = field_of(il.trace(net, (1, TOKENS, WIDTH), device=device), "(model)")
        assert all(field.extent((place,)) == (EVERYTHING,) for place in range(TOKENS))


def test_a_step_of_training():
    net = Tokens(lambda _, x: by_hand(x, lower()))
    assert told_extents(net, (1, TOKENS, WIDTH), "meta", mode="train") == [*map(causal, range(TOKENS))]


def test_autocast():
    net = Tokens(lambda _, x: by_hand(x, lower()))
    units = told_extents(net, (1, TOKENS, WIDTH), "meta", autocast=torch.bfloat16)
    assert units == [*map(causal, range(TOKENS))]


def test_several_samples():
    net = Tokens(lambda _, x: by_hand(x, lower()))
    assert told_extents(net, (3, TOKENS, WIDTH), "meta") == [*map(causal, range(TOKENS))]
