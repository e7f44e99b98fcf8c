"""Weights that are packed in objects of PyTorch's own, as those of 8-bit layers: no tensors of a module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from inception_lab.formulas.quantised import packed_tensors
from inception_lab.ir.strides import row_major
from inception_lab.ir.trace import Storage, Value
from inception_lab.running.scripted import is_scripted

_WITHOUT = ("torch.nn.modules.", "inception_lab.models.")
"""Homes of classes that pack nothing."""


class PackedWeight(NamedTuple):
    """A tensor within a packed object.

    Attributes:
        holder: Path of the module that has the object.
        name: Path of the object, with the tensor's place in it.
        tensor: The tensor, unpacked.
    """

    holder: str
    name: str
    tensor: Tensor


def packed_weights(modules: Mapping[str, nn.Module]) -> Iterator[PackedWeight]:
    """The packed weights of a model, each object once.

    Args:
        modules: By path.
    """
    visited: set[int] = set()
    for path, module in modules.items():
        if is_scripted(module) or type(module).__module__.startswith(_WITHOUT):
            continue  # the code of a scripted one is such an object too
        for name, value in module.__dict__.items():
            if isinstance(value, torch.ScriptObject) and id(value) not in visited:
                visited.add(id(value))
                prefix = f"{path}.{name}" if path else name
                for place, tensor in enumerate(packed_tensors(value)):
                    yield PackedWeight(path, f"{prefix}.{place}", tensor)


def layer_of(holder: str, called: Mapping[str, int]) -> str:
    """Path of the innermost called module around one that holds weights; of the model where none was called.

    Example:
        >>> layer_of("net.fc._packed_params", {"": 1, "net": 1, "net.fc": 1})
        'net.fc'
    """
    while holder and holder not in called:
        holder = holder.rpartition(".")[0]
    return holder


def elements_by_layer(weights: Sequence[PackedWeight], called: Mapping[str, int]) -> Mapping[str, int]:
    """Elements of packed weights by the layer that computes with them."""
    elements: dict[str, int] = {}
    for weight in weights:
        layer = layer_of(weight.holder, called)
        elements[layer] = elements.get(layer, 0) + weight.tensor.numel()
    return elements


def storages_of(weights: Sequence[PackedWeight], first: int) -> Iterator[Storage]:
    """A storage of a parameter for each packed weight, which is there all the time.

    Args:
        weights: Packed ones.
        first: Id of the first storage.
    """
    for id, weight in enumerate(weights, start=first):
        size = weight.tensor.numel() * weight.tensor.element_size()
        yield Storage(id, size, "parameter", weight.name, None, None)


def values_of(weights: Sequence[PackedWeight], first: int, first_storage: int) -> Iterator[Value]:
    """A value for each packed weight.

    Args:
        weights: Packed ones.
        first: Id of the first value.
        first_storage: Id of the storage that the first one lies in.
    """
    for place, weight in enumerate(weights):
        shape, dtype = tuple(weight.tensor.shape), str(weight.tensor.dtype).removeprefix("torch.")
        yield Value(first + place, first_storage + place, None, shape, row_major(shape), 0, dtype)


def packed_notes(weights: Sequence[PackedWeight]) -> Iterator[str]:
    """The note on packed weights, where there are any."""
    if weights:
        layers = len({weight.holder for weight in weights})
        elements = sum(weight.tensor.numel() for weight in weights)
        yield f"{elements:,} weights of {layers} layers are packed objects, and counted as parameters"
