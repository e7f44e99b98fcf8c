"""Attention as PyTorch runs it in inference, operation by operation.

Without gradients, in eval mode, `nn.MultiheadAttention` and `nn.TransformerEncoderLayer` hand all of their
work to one operation each, the fast path. Here is what these do within themselves on the CPU, in their order,
with the same storages made, written over and released, for dense tensors. They are
`native_multi_head_attention_cpu` of attention.cpp and `transformer_encoder_layer_forward` of transformer.cpp
in aten/src/ATen/native/transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import sqrt
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
import torch.overrides
from torch import Tensor

from inception_lab.running import torch_internals
from inception_lab.running.exclusion import one_run_at_a_time

if TYPE_CHECKING:
    from torch._ops import OpOverload

aten = torch.ops.aten


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim: int,
    num_head: int,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    mask: Tensor | None = None,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    mask_type: int | None = None,
) -> tuple[Tensor, Tensor | None]:
    heads = _heads(_projected(query, key, value, embed_dim, qkv_weight), qkv_bias, num_head)
    q, k, v = heads.flatten(1, 2).unbind()
    # of what the three projections share, nothing is released before the end
    weights: Tensor | None = _softmax(
        torch.bmm(q, k.transpose(2, 1)).view(*heads.shape[1:4], -1), mask, mask_type
    )
    # the queries are done with, so that the context takes their place
    torch.bmm(weights.flatten(0, 1), v, out=q)  # type: ignore[union-attr]
    if not need_weights:
        weights = None
    output = _output_projection(heads[0], proj_weight, proj_bias)
    if weights is not None and average_attn_weights:
        weights = weights.sum(1)
        weights /= num_head
    return output, weights


def _projected(query: Tensor, key: Tensor, value: Tensor, embed_dim: int, weight: Tensor) -> Tensor:
    """Queries, keys and values side by side: N x L x 3 E."""
    if key is value and query is key:
        return query @ weight.t()
    if key is value:
        query_weight, other_weight = weight[:embed_dim], weight[embed_dim:]
        return torch.cat([query @ query_weight.t(), key @ other_weight.t()], 2)
    sources = zip((query, key, value), weight.chunk(3), strict=True)
    return torch.cat([source @ part.t() for source, part in sources], 2)


def _heads(projected: Tensor, bias: Tensor, count: int) -> Tensor:
    """All three by head, 3 x N x H x L x E / H, biases added and queries scaled: one kernel, one storage."""
    batch, length, width = projected.shape
    size = width // 3 // count
    heads = projected.new_empty(3, batch, count, length, size)
    by_place = heads.permute(1, 3, 0, 2, 4)
    by_place.copy_(projected.view(batch, length, 3, count, size)).add_(bias.view(3, count, size))
    heads[0].mul_(1 / sqrt(size))
    return heads


def _softmax(scores: Tensor, mask: Tensor | None, mask_type: int | None) -> Tensor:
    if mask is not None:
        masked: Tensor = torch_internals.masked_softmax(scores, mask.bool(), 3, mask_type)
        return masked
    return aten._softmax.out(scores, 3, False, out=scores)  # type: ignore[no-any-return]


def _output_projection(context: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    batch, _, length, _ = context.shape
    rows = context.transpose(1, 2).contiguous().view(batch * length, -1)
    return F.linear(rows, weight, bias).view(batch, length, -1)


def _encoder_layer(
    src: Tensor,
    embed_dim: int,
    num_heads: int,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    use_gelu: bool,
    norm_first: bool,
    eps: float,
    norm_weight_1: Tensor,
    norm_bias_1: Tensor,
    norm_weight_2: Tensor,
    norm_bias_2: Tensor,
    ffn_weight_1: Tensor,
    ffn_bias_1: Tensor,
    ffn_weight_2: Tensor,
    ffn_bias_2: Tensor,
    mask: Tensor | None = None,
    mask_type: int | None = None,
) -> Tensor:
    first, second = (norm_weight_1, norm_bias_1, eps), (norm_weight_2, norm_bias_2, eps)
    x = F.layer_norm(src, (embed_dim,), *first) if norm_first else src
    x = _attention(
        x, x, x, embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight, proj_bias,
        mask, need_weights=False, mask_type=mask_type,
    )[0]  # fmt: skip
    x.add_(src)
    if not norm_first:
        x = F.layer_norm(x, (embed_dim,), *first)
    residual = x
    if norm_first:
        x = F.layer_norm(x, (embed_dim,), *second)
    x = _feed_forward(x, (ffn_weight_1, ffn_bias_1), (ffn_weight_2, ffn_bias_2), use_gelu)
    x.add_(residual)
    return x if norm_first else F.layer_norm(x, (embed_dim,), *second)


def _feed_forward(
    x: Tensor, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], use_gelu: bool
) -> Tensor:
    hidden = F.linear(x.view(-1, x.shape[2]), *first)
    # within `_addmm_activation`, over its result
    hidden = aten.gelu_(hidden) if use_gelu else hidden.relu_()
    return F.linear(hidden, *second).view(x.shape)


FAST_PATHS: Mapping[OpOverload, Callable[..., Any]] = {
    aten._native_multi_head_attention.default: _attention,
    aten._transformer_encoder_layer_fwd.default: _encoder_layer,
}
"""Each operation of a fast path, with what it is made of."""


@contextmanager
def fast_path_for_fake_tensors() -> Iterator[None]:
    """Have modules take the fast path on fake tensors too, though these are of a class of their own.

    What others ask of other tensors meanwhile is answered as ever.
    """
    # two at once would each put back what the other has put there
    with one_run_at_a_time:
        ask = torch.overrides.has_torch_function

        def has_torch_function(args: Iterable[Any]) -> bool:
            return ask([each for each in args if not isinstance(each, torch_internals.FakeTensor)])

        torch.overrides.has_torch_function = has_torch_function
        try:
            yield
        finally:
            torch.overrides.has_torch_function = ask
