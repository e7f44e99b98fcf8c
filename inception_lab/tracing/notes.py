"""Facts about a model's weights that a reader of the figures has to know, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from inception_lab.running.distributed import is_data_parallel, is_shard
from inception_lab.running.scripted import frozen_elements
from inception_lab.running.substitution import Substituted

_SAMPLE = 4096
"""Elements of a weight that are looked at first; one that has lost whole channels has zeros among them."""
_FEW = 3
_PLAIN = (Tensor, nn.Parameter)
"""Classes of weights that are one tensor, on one device."""
_OF_NUMPY = (torch.float32, torch.float64)
"""Element types that numpy has too."""


def weight_notes(model: Substituted) -> Iterator[str]:
    """The notes on a model, from its own weights, for which others stand in."""
    yield from _pruning_notes(model)
    of_other_classes = [(path, weight) for path, weight in _originals(model) if type(weight) not in _PLAIN]
    if any(is_shard(weight) for _, weight in of_other_classes):
        yield "parameters in shards are counted as a whole, as if on one device"
    if wrapped := [path for path, weight in of_other_classes if _wraps_others(weight)]:
        yield f"what the class of {_some(wrapped)} wraps counts in memory as one plain tensor of its type"
    for path, module in model.modules.items():
        if elements := frozen_elements(module):
            name = path or "the model"
            yield f"{name} is frozen: its {elements:,} weights are constants of its code, and no parameters"


def training_notes(model: Substituted) -> Iterator[str]:
    """The notes on a training step."""
    weights = _originals(model)
    if hooked := [path for path, weight in weights if weight._post_accumulate_grad_hooks]:
        yield (
            f"hooks on {_some(hooked)} do not run: where an optimizer steps in them, a gradient is gone "
            "before the next ones are there, and memory holds fewer"
        )
    if any(map(is_data_parallel, model.modules.values())):
        yield (
            "DistributedDataParallel keeps buckets as large as all gradients, which memory leaves out, "
            "as it does what goes on between processes"
        )


def _originals(model: Substituted) -> list[tuple[str, Tensor]]:
    """The model's own parameters by path."""
    return [(path, model.originals.get(id(weight), weight)) for path, weight in model.parameters.items()]


def _wraps_others(weight: Tensor) -> bool:
    """True for a weight of a class that keeps its data in other tensors, as quantized ones do."""
    return hasattr(weight, "__tensor_flatten__") and not is_shard(weight)


def _some(paths: Sequence[str]) -> str:
    return ", ".join(paths) if len(paths) <= _FEW else f"{len(paths)} parameters"


def _pruning_notes(model: Substituted) -> Iterator[str]:
    weights = dict(_weights(model))
    zeros = {path: zeros for path, weight in weights.items() if (zeros := _zeros(weight))}
    if not zeros:
        return
    whole = sum(weight.numel() for weight in weights.values())
    parts = [f"{path} {100 * count / weights[path].numel():.1f} %" for path, count in zeros.items()]
    names = ", ".join(parts) if len(parts) <= _FEW else f"in {len(parts)} of {len(weights)} weights"
    share = 100 * sum(zeros.values()) / whole
    yield f"{share:.1f} % of the weights are zeros, counted as any others: {names}"


def _weights(model: Substituted) -> Iterator[tuple[str, Tensor]]:
    """The weights of two axes or more that have data, by path; of a pruned one its mask."""
    for path, stand_in in model.parameters.items():
        if stand_in.dim() < 2:
            continue
        owner, _, name = path.rpartition(".")
        mask = model.buffers.get(path.removesuffix("_orig") + "_mask") if name.endswith("_orig") else None
        shown = stand_in if mask is None else mask
        weight = model.originals.get(id(shown), shown)
        if _has_plain_data(weight) and weight.numel():
            name = path if mask is None else path.removesuffix("_orig")
            yield name, _without_padding(weight.detach(), model.modules.get(owner))


def _has_plain_data(weight: Tensor) -> bool:
    plain = not weight.is_meta and type(weight) in _PLAIN
    return plain and weight.layout is torch.strided and not weight.is_quantized


def _without_padding(weight: Tensor, module: nn.Module | None) -> Tensor:
    """The rows of an embedding without that of padding, which is zero from the beginning."""
    # not by getattr, which takes long where a module has no such attribute
    padding = None if module is None else module.__dict__.get("padding_idx")
    if padding is None or len(weight) < 2:
        return weight
    return torch.cat([weight[:padding], weight[padding + 1 :]])


def _zeros(weight: Tensor) -> int:
    """The zeros of a weight; none where a sample has none."""
    flat = weight.reshape(-1)
    if _is_without_zeros(flat[:: max(1, flat.numel() // _SAMPLE)]):
        return 0
    return flat.numel() - int(flat.count_nonzero())


def _is_without_zeros(sample: Tensor) -> bool:
    # of each weight in each trace, for which torch takes several times as long as numpy
    if sample.device.type == "cpu" and sample.dtype in _OF_NUMPY:
        return int(np.count_nonzero(sample.numpy())) == sample.numel()
    return bool(sample.all())
