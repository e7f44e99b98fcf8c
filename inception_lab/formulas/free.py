"""Operations that cost nothing: moves of data, look-ups, factories, random numbers, most of a backward."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tag

from inception_lab.formulas.terms import packets

if TYPE_CHECKING:
    from torch._ops import OpOverload

FREE_OPS = frozenset(
    packets("""
        cat stack unsafe_split unsafe_chunk unsafe_split_with_sizes repeat repeat_interleave roll flip rot90
        clone copy _to_copy _unsafe_view _reshape_alias lift lift_fresh complex block_diag diag_embed
        tril triu im2col col2im constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d
        replication_pad1d replication_pad2d replication_pad3d pixel_shuffle pixel_unshuffle channel_shuffle
        native_channel_shuffle transpose max_unpool2d max_unpool3d upsample_nearest1d upsample_nearest2d
        upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d
        select_scatter diagonal_scatter as_strided_scatter _chunk_cat _pack_padded_sequence
        _pad_packed_sequence resize resize_as set _cudnn_rnn_flatten_weight mkldnn_reorder_conv2d_weight
        mkldnn_reorder_conv3d_weight to_mkldnn _to_dense _sparse_coo_tensor_with_dims_and_tensors

        embedding index _unsafe_index _unsafe_masked_index index_select gather take masked_select nonzero
        nonzero_static index_put _unsafe_index_put _index_put_impl index_copy index_fill scatter
        masked_scatter put nll_loss_forward nll_loss2d_forward

        empty empty_like empty_strided zeros zeros_like ones ones_like full full_like arange new_empty
        new_empty_strided new_zeros new_ones new_full fill zero

        rand rand_like randn randn_like randint_like bernoulli binomial cauchy exponential
        geometric log_normal multinomial normal normal_functional poisson random uniform
        _standard_gamma _sample_dirichlet
    """)
)
"""Operations without arithmetic, in this order: moves, look-ups, factories, random numbers.

Each stands for all its overloads and those of its in-place form.
"""

GRADIENTS_OF_PRODUCTS = frozenset(
    packets("""
        _convolution_double_backward conv_tbc_backward _slow_conv2d_backward mps_convolution_backward
        mps_convolution_transpose_backward lstm_mps_backward _cudnn_attention_backward
        _sparse_mm_reduce_impl_backward matrix_exp_backward
    """)
)
"""Backward operations that multiply matrices and that have no formula."""

_TORCH = frozenset({"aten", "prim", "prims", "profiler"})
_COMMUNICATION = frozenset({"c10d", "_c10d_functional", "c10d_functional", "fsdp"})
"""Operations that move tensors between processes."""

_OF_OPTIMIZERS = ("_foreach_", "_fused_sgd", "_fused_adam", "_fused_adagrad", "_amp_")


def is_free(func: OpOverload) -> bool:
    """Tell if an operation of PyTorch's own is free by its kind.

    That is a view as a copy; a factory, which reads no tensor; a question, such as a size or a value,
    which returns no tensor; communication between processes; an operation on lists of tensors, which
    optimizers run; and a backward without a formula, for in that phase only products count.

    Example:
        >>> import torch
        >>> is_free(torch.ops.aten.eye.default), is_free(torch.ops.aten.relu.default)
        (True, False)
    """
    if func.namespace in _COMMUNICATION:
        return True
    if func.namespace not in _TORCH:
        return False
    name, schema = func.overloadpacket.__name__, func._schema
    # Types are compared as text, which finds the tensors in lists and optional arguments too. So are names:
    # no tag marks operations of optimizers or of the backward pass, and each release of PyTorch adds some.
    return (
        Tag.view_copy in func.tags
        or name.startswith(_OF_OPTIMIZERS)
        or ("_backward" in name and func.overloadpacket not in GRADIENTS_OF_PRODUCTS)
        or not any("Tensor" in str(argument.type) for argument in schema.arguments)
        or not (schema.is_mutable or any("Tensor" in str(output.type) for output in schema.returns))
    )
