"""What ran, how and on which machine, as it stands in every result."""

from __future__ import annotations

from typing import Any

import torch

from inception_lab import __version__
from inception_lab.measure.hardware import device_name
from inception_lab.running.step import Step


def run_context(step: Step, rounds: int, warm_up: int) -> dict[str, Any]:
    """Return the facts about a run: the step, the machine and the software.

    Args:
        step: Prepared.
        rounds: That count.
        warm_up: Rounds before these.
    """
    request = step.request
    facts = {
        "tool": f"inception_lab {__version__}",
        "torch": torch.__version__.partition("+")[0],
        "model": request.name,
        "input_shapes": [list(tensor.shape) for tensor in step.arguments.tensors.values()],
        "mode": request.mode,
        "dtype": str(step.dtype).removeprefix("torch."),
        "memory_format": _memory_format(step),
        "execution": "eager",
        "device": "cpu",
        "machine": device_name("cpu"),
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "warm_up_rounds": warm_up,
    }
    if request.optimizer is not None:
        facts["optimizer"] = request.optimizer.name
    if request.autocast is not None:
        facts["autocast"] = str(request.autocast).removeprefix("torch.")
    return facts


def _memory_format(step: Step) -> str:
    """`channels_last` where a weight or an input of four axes is so and not contiguous too."""
    tensors = [*step.model.parameters.values(), *step.arguments.tensors.values()]
    last = (t.is_contiguous(memory_format=torch.channels_last) for t in tensors if t.dim() == 4
            and not t.is_contiguous())  # fmt: skip
    return "channels_last" if any(last) else "contiguous"
