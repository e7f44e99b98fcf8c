"""Attention and recurrent layers: kernels that hide products which other devices dispatch one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from inception_lab.formulas.terms import Cost, Formula, rows

if TYPE_CHECKING:
    from torch._ops import OpOverloadPacket

_SOFTMAX = 5


# --------------------------------------------------------------------------------------- attention


def _attention(args: Sequence[Any], _: Any) -> Cost:
    """Queries by keys, scores by values; queries of batch x heads x length x width.

    Every query meets every key: a mask, causal or not, saves nothing, as in torch's own formula.
    Heads are the queries': grouped queries share keys, not products.
    """
    query, key, value = args[:3]
    scores = prod(query.shape[:-1]) * key.shape[-2]
    return Cost(scores * (query.shape[-1] + value.shape[-1]), _SOFTMAX * scores)


def _attention_of_tokens(offsets_arg: int, query_arg: int = 0) -> Formula:
    """Formula for attention on batch x length x heads x width, or on sequences laid end to end."""

    def formula(args: Sequence[Any], _: Any) -> Cost:
        query, key, value = args[query_arg : query_arg + 3]
        if args[offsets_arg] is None:
            pairs = query.shape[0] * query.shape[1] * key.shape[1]
        else:
            lengths = (_lengths(args[at], args[at + 2]) for at in (offsets_arg, offsets_arg + 1))
            pairs = sum(q * k for q, k in zip(*lengths, strict=True))
        scores = pairs * query.shape[-2]
        return Cost(scores * (query.shape[-1] + value.shape[-1]), _SOFTMAX * scores)

    return formula


def _lengths(offsets: Tensor, longest: int) -> list[int]:
    """Lengths between offsets; the longest for each where the offsets have no data."""
    if offsets.is_meta:  # an upper bound, as no length is there to be read
        return [longest] * (offsets.numel() - 1)
    return [int(length) for length in offsets.diff()]


def _backward(forward: Formula) -> Formula:
    """Formula for the gradients of queries, keys, values and scores: four products, twice the forward.

    A fused kernel computes the scores once more, for it has not kept them. That fifth product, which
    `torch.utils.flop_counter` adds, is left out here: training costs the same by every kernel that
    PyTorch may choose, and as much as the decomposition on other devices, which saves a product or two
    only where queries, keys or values have no gradient at all.
    """
    return lambda args, out: Cost(macs=2 * forward(args[1:], out).macs)


def _multi_head(args: Sequence[Any], _: Any) -> Cost:
    """Projections of queries, keys and values, the attention, and the projection of the result."""
    query, key, value, width, heads = args[:5]
    pairs = sum(q * k for q, k in zip(_sizes(query), _sizes(key), strict=True))
    projection_rows = 2 * query.numel() + key.numel() + value.numel()
    return Cost(width * (projection_rows + 2 * pairs), _SOFTMAX * heads * pairs + projection_rows)


def _sizes(tokens: Tensor) -> list[int]:
    """Length of each sequence of a batch, nested or not."""
    if tokens.is_nested:
        return [sequence.shape[0] for sequence in tokens.unbind()]
    return [tokens.shape[1]] * tokens.shape[0]


def _encoder_layer(args: Sequence[Any], out: Any) -> Cost:
    """Attention and two linear layers; two norms of 5, two sums, and an activation in the middle."""
    source, width, heads = args[:3]
    attention = _multi_head((source, source, source, width, heads), out)
    hidden, tokens = args[14].shape[0], source.numel() // width
    other = source.numel() * (2 * 5 + 2 + 1) + 2 * tokens * hidden
    return Cost(attention.macs + 2 * hidden * source.numel(), attention.other_flops + other)


# --------------------------------------------------------------------------------- recurrent layers


class _Cell(NamedTuple):
    """Gates, and element-wise operations per hidden unit and step: sums of gates, activations, state."""

    gates: int
    operations: int


_RNN, _LSTM, _GRU = _Cell(1, 2), _Cell(4, 13), _Cell(3, 10)
_CUDNN_MODES = (_RNN, _RNN, _LSTM, _GRU)


def _recurrent(tokens: Tensor, weights: Iterable[Tensor], cell: _Cell) -> Cost:
    """Every matrix by every row of the input once, padding excluded where sequences are packed.

    That holds for any number of layers, directions and projections: each has matrices of its own. A
    second or reverse layer reads as many rows as the first. The bias is an addition per output.
    """
    rows = tokens.numel() // tokens.shape[-1]
    weights = list(weights)
    matrices = [w for w in weights if w.dim() == 2]
    gates = max(w.shape[0] for w in matrices)
    # a projection has fewer rows than the gates; the other matrices come in pairs, from input and from state
    units = sum(w.shape[0] for w in matrices if w.shape[0] == gates) // 2 // cell.gates
    biases = sum(w.numel() for w in weights if w.dim() == 1)
    return Cost(rows * sum(w.numel() for w in matrices), rows * (units * cell.operations + biases))


def _weights_in_lists(args: Sequence[Any]) -> Iterable[Tensor]:
    """Weights and biases among the lists of tensors; states have three axes."""
    lists = (arg for arg in args if isinstance(arg, (list, tuple)))
    return [w for items in lists for w in items if isinstance(w, Tensor) and w.dim() < 3]


def _layers(cell: _Cell) -> Formula:
    return lambda args, _: _recurrent(args[0], _weights_in_lists(args), cell)


def _layers_of_mode(mode_arg: int) -> Formula:
    """Formula by cuDNN's and MIOpen's number for ReLU, tanh, LSTM or GRU."""
    return lambda args, _: _recurrent(args[0], _weights_in_lists(args), _CUDNN_MODES[args[mode_arg]])


def _layers_backward(args: Sequence[Any], _: Any) -> Cost:
    """Cost of the forward for inputs and states, and once more for the weights, as the output mask asks.

    Without the gradient of the first layer's input, and that of the first state, which each sequence of the
    batch has once, where the mask does not ask for them.
    """
    x, weights, per_layer, _, state = args[:5]
    needs_input, needs_state, _, needs_weights = args[-1]
    layers = [weights[at : at + per_layer] for at in range(0, len(weights), per_layer)]
    bidirectional = args[-5]
    first_layers = layers[: 1 + bidirectional]
    forward = _recurrent(x, _weights_in_lists(args), _RNN).macs
    of_input = x.numel() // x.shape[-1] * sum(layer[0].numel() for layer in first_layers)
    of_state = state.shape[-2] * sum(layer[1].numel() for layer in layers)
    skipped_macs = of_input * (not needs_input) + of_state * (not needs_state)
    return Cost(macs=forward * (1 + needs_weights) - skipped_macs)


def _mkldnn_layer(args: Sequence[Any], _: Any) -> Cost:
    """One LSTM layer in one direction; biases are passed as zeros where there are none."""
    has_biases = args[12]
    return _recurrent(args[0], args[1 : 5 if has_biases else 3], _LSTM)


def _mkldnn_layer_backward(args: Sequence[Any], _: Any) -> Cost:
    """The gradients that are required, and that of every state but the first.

    The kernel makes the others too and has no mask; the tensors themselves tell which are required.
    """
    x, from_input, from_state, _, _, state = args[:6]
    rows = x.numel() // x.shape[-1]
    states = rows if state.requires_grad else rows - state.shape[-2]
    of_input = rows * from_input.numel() * (x.requires_grad + from_input.requires_grad)
    return Cost(macs=of_input + from_state.numel() * (states + rows * from_state.requires_grad))


def _fused_cell(cell: _Cell) -> Formula:
    """Formula for the work after the two products of a step: their biases, gates and the new state."""

    def formula(args: Sequence[Any], _: Any) -> Cost:
        state, *biases = args[2:]
        bias_sums = args[0].numel() * sum(bias is not None for bias in biases)
        return Cost(other_flops=cell.operations * state.numel() + bias_sums)

    return formula


SEQUENCES: dict[OpOverloadPacket, Formula] = {
    **rows(
        _attention,
        """scaled_dot_product_attention _scaled_dot_product_attention_math
        _scaled_dot_product_attention_math_for_mps _scaled_dot_product_flash_attention
        _scaled_dot_product_flash_attention_for_cpu
        _scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention
        _scaled_dot_product_fused_attention_overrideable _triton_scaled_dot_attention""",
    ),
    **rows(
        _backward(_attention),
        """_scaled_dot_product_flash_attention_backward _scaled_dot_product_flash_attention_for_cpu_backward
        _scaled_dot_product_efficient_attention_backward _scaled_dot_product_cudnn_attention_backward
        _scaled_dot_product_fused_attention_overrideable_backward""",
    ),
    **rows(_attention_of_tokens(3), "_flash_attention_forward"),
    **rows(_attention_of_tokens(4, 1), "_flash_attention_forward_no_dropout_inplace"),
    **rows(_attention_of_tokens(4), "_efficient_attention_forward"),
    **rows(_backward(_attention_of_tokens(5)), "_flash_attention_backward _efficient_attention_backward"),
    **rows(_multi_head, "_native_multi_head_attention _triton_multi_head_attention"),
    **rows(_encoder_layer, "_transformer_encoder_layer_fwd"),
    **rows(_layers(_RNN), "rnn_tanh rnn_relu"),
    **rows(_layers(_LSTM), "lstm _lstm_mps"),
    **rows(_layers(_GRU), "gru"),
    **rows(_layers_of_mode(6), "_cudnn_rnn"),
    **rows(_layers_of_mode(5), "miopen_rnn"),
    **rows(_layers_backward, "_cudnn_rnn_backward miopen_rnn_backward"),
    **rows(_mkldnn_layer, "mkldnn_rnn_layer"),
    **rows(_mkldnn_layer_backward, "mkldnn_rnn_layer_backward"),
    **rows(_fused_cell(_LSTM), "_thnn_fused_lstm_cell"),
    **rows(_fused_cell(_GRU), "_thnn_fused_gru_cell"),
}
