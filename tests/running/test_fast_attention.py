"""The fast path of attention in parts: the same numbers, to the last bit, and the same memory."""

import pytest
import torch
import torch.overrides
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from inception_lab.running.fast_attention import FAST_PATHS, fast_path_for_fake_tensors

BATCH, LENGTH, WIDTH, HEADS = 3, 10, 16, 4
PADDING = torch.zeros(BATCH, LENGTH, dtype=torch.bool)
PADDING[:, 7:] = True
CAUSAL = torch.triu(torch.ones(LENGTH, LENGTH, dtype=torch.bool), 1)


class InParts(TorchDispatchMode):
    """Runs each fast path as its parts, and counts them."""

    runs = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func not in FAST_PATHS:
            return func(*args, **(kwargs or {}))
        self.runs += 1
        with self:
            return FAST_PATHS[func](*args, **(kwargs or {}))


def both(function):
    """The outputs of the operation and of its parts."""
    torch.manual_seed(0)
    with torch.no_grad():
        whole = function()
        with InParts() as parts:
            apart = function()
    assert parts.runs
    return torch.utils._pytree.tree_leaves(whole), torch.utils._pytree.tree_leaves(apart)


def same(pair):
    return len(pair[0]) == len(pair[1]) and all(
        (a is None and b is None) or torch.equal(a, b) for a, b in zip(*pair, strict=True)
    )


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize(
    "masks", [{}, {"src_key_padding_mask": PADDING}, {"src_mask": CAUSAL}], ids=["plain", "padding", "causal"]
)
def test_an_encoder_layer(norm_first, activation, masks):
    layer = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 24, activation=activation, norm_first=norm_first, batch_first=True
    ).eval()
    x = torch.rand(BATCH, LENGTH, WIDTH)
    assert same(both(lambda: layer(x, **masks)))


@pytest.mark.parametrize(
    "options",
    [{}, {"need_weights": False}, {"average_attn_weights": False}, {"key_padding_mask": PADDING}],
    ids=["plain", "no weights", "weights of heads", "padding"],
)
def test_attention(options):
    layer = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval()
    x = torch.rand(BATCH, LENGTH, WIDTH)
    assert same(both(lambda: layer(x, x, x, **options)))


@pytest.mark.parametrize("values", ["the keys", "the queries"])
def test_attention_to_another_sequence(values):
    layer = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    x, y = torch.rand(2, BATCH, LENGTH, WIDTH)
    weights = (layer.in_proj_weight, layer.in_proj_bias, layer.out_proj.weight, layer.out_proj.bias)
    sources = (x, y, y if values == "the keys" else x)
    assert same(both(lambda: torch._native_multi_head_attention(*sources, WIDTH, HEADS, *weights)))


def test_what_others_ask_is_answered_as_ever():
    class Own(torch.Tensor):
        pass

    own, plain = torch.zeros(2).as_subclass(Own), torch.zeros(2)
    ask = torch.overrides.has_torch_function
    with fast_path_for_fake_tensors():
        assert torch.overrides.has_torch_function((plain, own))
        assert not torch.overrides.has_torch_function((plain,))
    assert torch.overrides.has_torch_function is ask
