"""Recurrent nets, attention, and caches."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Recurrent(nn.Module):
    """A recurrent layer, and a classifier on its last step."""

    def __init__(self, kind: type[nn.RNNBase], **options: Any) -> None:
        super().__init__()
        self.cells = kind(6, 8, batch_first=True, **options)
        width = 16 if self.cells.bidirectional else 8
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.cells(x)[0][:, -1])


def rnn() -> nn.Module:
    """A plain recurrent layer."""
    return Recurrent(nn.RNN)


def lstm() -> nn.Module:
    """A bi-directional LSTM."""
    return Recurrent(nn.LSTM, bidirectional=True)


def gru() -> nn.Module:
    """Two layers of bi-directional GRU."""
    return Recurrent(nn.GRU, bidirectional=True, num_layers=2)


class Packed(nn.Module):
    """An LSTM over two sequences of unequal length; packing them needs their lengths as data."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.LSTM(6, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        sequences = nn.utils.rnn.pack_padded_sequence(x, [5, 3], batch_first=True)
        return self.cells(sequences)[0].data


class CellByCell(nn.Module):
    """An LSTM cell in a Python loop."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for step in x.unbind(1):
            state = self.cell(step, state)
        return state[0]


class SelfAttention(nn.Module):
    """PyTorch's multi-head attention of a sequence to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


def encoder() -> nn.Module:
    """Two layers of PyTorch's own encoder, which has a fast path in eval mode."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.TransformerEncoder(layer, 2)


class Causal(nn.Module):
    """Causal scaled-dot-product attention as a function."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


class KeyCache(nn.Module):
    """Attention of one new step to the keys kept in a buffer, written to in place."""

    def __init__(self) -> None:
        super().__init__()
        self.key, self.steps = nn.Linear(8, 8, bias=False), 2
        self.register_buffer("keys", torch.ones(2, 5, 8))

    def forward(self, x: Tensor) -> Tensor:
        self.keys[:, self.steps] = self.key(x).detach()
        self.steps += 1
        return x.unsqueeze(1) @ self.keys.transpose(1, 2)


class Memory:
    """A cache that is not a module."""

    def __init__(self) -> None:
        self.keys: list[Tensor] = []
        self.last: Tensor | None = None


class KeepsInAnObject(nn.Module):
    """Results stay in an object of its own, as in language models' caches."""

    def __init__(self) -> None:
        super().__init__()
        self.key, self.memory = nn.Linear(8, 8), Memory()

    def forward(self, x: Tensor) -> Tensor:
        self.memory.last = self.key(x)
        self.memory.keys.append(self.memory.last)
        return self.memory.last + len(self.memory.keys)


_cache: dict[str, Tensor] = {}


class GlobalCache(nn.Module):
    """A table of positions made once and kept in a variable of the Python module."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        if "positions" not in _cache:
            _cache["positions"] = torch.arange(8.0, device=x.device)
        return self.linear(x + _cache["positions"].to(x.device))


class BiasCache(nn.Module):
    """Attention biases picked once per device and kept, as timm's LeViT does in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.biases = nn.Parameter(torch.zeros(2, 4))
        self.register_buffer("places", torch.arange(16).remainder(4).view(4, 4), persistent=False)
        self.attention_bias_cache: dict[str, Tensor] = {}

    def bias(self, device: torch.device) -> Tensor:
        if self.training:
            return self.biases[:, self.places]
        key = str(device)
        if key not in self.attention_bias_cache:
            self.attention_bias_cache[key] = self.biases[:, self.places]
        return self.attention_bias_cache[key]

    def forward(self, x: Tensor) -> Tensor:
        return (x @ x.transpose(-1, -2) + self.bias(x.device)).softmax(-1) @ x
