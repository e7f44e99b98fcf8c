"""The rule of each operation: how it passes the source's axes on."""

from __future__ import annotations

from functools import cache

import torch

from inception_lab.analyzers.receptive_field.rules import (
    arithmetic,
    lookups,
    recurrent,
    views,
    windows,
    writes,
)
from inception_lab.analyzers.receptive_field.rules.context import Rule


def _each(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


RULES: dict[str, Rule] = {
    "convolution": windows.convolution,
    **_each(windows.pool(2), "max_pool2d_with_indices avg_pool2d"),
    **_each(windows.pool(3), "max_pool3d_with_indices avg_pool3d"),
    **_each(windows.adaptive_pool(2), "_adaptive_avg_pool2d adaptive_max_pool2d"),
    **_each(windows.adaptive_pool(3), "_adaptive_avg_pool3d adaptive_max_pool3d"),
    **_each(
        windows.interpolation(1, half_pixel=False),
        "upsample_nearest1d upsample_nearest2d upsample_nearest3d",
    ),
    **_each(
        windows.interpolation(1),
        """_upsample_nearest_exact1d _upsample_nearest_exact2d
        _upsample_nearest_exact3d""",
    ),
    **_each(windows.interpolation(2), "upsample_linear1d upsample_bilinear2d upsample_trilinear3d"),
    "upsample_bicubic2d": windows.interpolation(4),
    **_each(arithmetic.matrix_product(0, 1), "mm bmm"),
    **_each(arithmetic.matrix_product(1, 2), "addmm baddbmm"),
    **_each(arithmetic.matrix_vector, "mv addmv dot"),
    **_each(
        arithmetic.attention,
        """_scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu
        _scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention
        _scaled_dot_product_fused_attention_overrideable""",
    ),
    **_each(
        arithmetic.reduction,
        """mean sum nansum prod amax amin max min aminmax argmax argmin any all median var std var_mean
        std_mean logsumexp linalg_vector_norm""",
    ),
    **_each(arithmetic.softmax, "_softmax _safe_softmax _log_softmax"),
    **_each(arithmetic.mixing, "sort topk kthvalue"),
    **_each(arithmetic.transform, "_fft_r2c _fft_c2c _fft_c2r"),
    **_each(arithmetic.addition, "add sub"),
    **_each(arithmetic.multiplication, "mul"),
    "masked_fill": arithmetic.masked_fill,
    "where": arithmetic.where,
    "tril": arithmetic.triangle(keep_lower=True),
    "triu": arithmetic.triangle(keep_lower=False),
    **_each(arithmetic.batch_norm, "native_batch_norm _native_batch_norm_legit cudnn_batch_norm"),
    **_each(arithmetic.layer_norm, "native_layer_norm _fused_rms_norm"),
    "native_group_norm": arithmetic.group_norm,
    "mkldnn_rnn_layer": recurrent.recurrent_layer,
    **_each(arithmetic.running, "cumsum cumprod logcumsumexp cummax cummin"),
    **_each(
        arithmetic.first_input_alone,
        "_native_batch_norm_legit_no_training native_dropout rrelu_with_noise",
    ),
    **_each(
        arithmetic.elementwise,
        """clone _to_copy detach alias lift_fresh _conj _neg_view resolve_conj resolve_neg hardswish
        leaky_relu log_sigmoid_forward _prelu_kernel __and__ __or__ __xor__""",
    ),
    **_each(
        views.no_dependence,
        """empty_like zeros_like ones_like full_like rand_like randn_like new_empty new_empty_strided
        new_zeros new_ones new_full zero""",
    ),
    **_each(views.overwrite, "copy fill"),
    **_each(views.view, "view _unsafe_view _reshape_alias unsqueeze squeeze"),
    **_each(views.expand, "expand"),
    "view_as_real": views.with_parts,
    "view_as_complex": views.of_parts,
    **_each(views.transpose, "transpose t"),
    **_each(views.split, "split split_with_sizes unsafe_split unsafe_split_with_sizes"),
    **_each(windows.edge_padding("reflection"), "reflection_pad1d reflection_pad2d reflection_pad3d"),
    **_each(windows.edge_padding("replication"), "replication_pad1d replication_pad2d replication_pad3d"),
    "constant_pad_nd": windows.zero_padding,
    "permute": views.permute,
    "select": views.select,
    "slice": views.slice_of,
    "unbind": views.unbind,
    "cat": views.cat,
    "stack": views.stack,
    "flip": views.flip,
    "roll": views.roll,
    "repeat": views.repeat,
    "pixel_shuffle": views.pixel_shuffle,
    "pixel_unshuffle": views.pixel_unshuffle,
    **_each(views.channel_shuffle, "channel_shuffle native_channel_shuffle"),
    "rot90": views.rot90,
    "slice_scatter": views.slice_scatter,
    "select_scatter": views.select_scatter,
    "glu": views.glu,
    "embedding": lookups.embedding,
    "index_select": lookups.index_select,
    "index": lookups.index,
    "gather": lookups.gather,
    "unfold": windows.unfolding,
    "im2col": windows.im2col,
    "col2im": windows.col2im,
    **_each(windows.max_unpool, "max_unpool2d max_unpool3d"),
    "_upsample_bilinear2d_aa": windows.antialiased(1),
    "_upsample_bicubic2d_aa": windows.antialiased(2),
    **_each(writes.index_put, "index_put _index_put_impl _unsafe_index_put"),
    **_each(writes.index_write, "index_copy index_add index_fill"),
    **_each(writes.scatter, "scatter scatter_add"),
}
"""Rules by base name, those apart that PyTorch tags as element-wise. To pass one more on, add its row."""

IN_PLACE_RULES: dict[str, Rule] = _each(views.overwrite, "bernoulli uniform normal")
"""Rules of in-place operations that do not read the tensor that they write, where others of their name do."""


@cache
def rule_of(name: str, in_place: bool) -> Rule | None:
    """The rule of an operation; None where there is none.

    Args:
        name: Its base name.
        in_place: True where it writes to its first input.
    """
    rule = (IN_PLACE_RULES.get(name) if in_place else None) or RULES.get(name)
    return rule or (arithmetic.elementwise if is_pointwise(name) else None)


@cache
def is_pointwise(name: str) -> bool:
    """True where PyTorch tags an operation as element-wise."""
    packet = getattr(torch.ops.aten, name, None)
    overloads = [getattr(packet, overload) for overload in packet.overloads()] if packet else []
    return any(torch.Tag.pointwise in overload.tags for overload in overloads)
