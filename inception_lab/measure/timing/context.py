"""Facts about a run, as they stand in every result: the step, the machine and the software."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from inception_lab import __version__
from inception_lab.formulas.sparse_layouts import is_sparse, shape_of
from inception_lab.measure.hardware import Precisions, device_name, float32_precisions
from inception_lab.running.step import Step


def run_context(step: Step, rounds: int, warm_up: int) -> dict[str, Any]:
    """Return the facts about a run: the step, the machine, the software, and the rounds.

    Args:
        step: Prepared.
        rounds: That count.
        warm_up: Rounds before these.
    """
    return {**step_context(step), "rounds": rounds, "warm_up_rounds": warm_up}


def step_context(step: Step) -> dict[str, Any]:
    """Return the facts about a prepared step: what it runs, the machine and the software."""
    request, device = step.request, step.placement.device
    facts = {
        "tool": f"inception_lab {__version__}",
        "torch": torch.__version__.partition("+")[0],
        "model": request.name,
        "input_shapes": [list(shape_of(tensor)) for tensor in step.arguments.tensors.values()],
        "mode": request.mode,
        "dtype": str(step.dtype).removeprefix("torch."),
        "memory_format": _memory_format(step),
        "execution": request.execution,
        "device": device,
        "machine": device_name(device),
        "threads": torch.get_num_threads(),
        **_SOFTWARE.get(device, dict)(),
    }
    if step.arguments.plain:
        facts["arguments"] = list(step.arguments.plain)
    if request.optimizer is not None:
        facts["optimizer"] = request.optimizer.name
    autocast = request.autocast or ambient_autocast(device)
    if autocast is not None:
        facts["autocast"] = str(autocast).removeprefix("torch.")
    return facts


def ambient_autocast(device: str) -> torch.dtype | None:
    """Return the dtype of an autocast that the caller runs in, which a step heeds; None without it."""
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None


def precisions_of(context: Mapping[str, Any]) -> Precisions:
    """Return the formats that float32 was rounded to in a run, by the facts about it.

    Example:
        >>> precisions_of({"matmul_tf32": True, "convolution_tf32": False})
        Precisions(product='tf32', convolution='ieee')
    """

    def precision(user: str) -> str:
        on_gpu = "tf32" if context.get(f"{user}_tf32") else "ieee"
        return str(context.get(f"{user}_precision", on_gpu))

    return Precisions(precision("matmul"), precision("convolution"))


def _cuda_software() -> dict[str, Any]:
    """Versions of CUDA and cuDNN, and the settings that choose among their kernels."""
    precisions = float32_precisions("cuda")
    facts = {
        "cuda": torch.version.cuda or f"hip {torch.version.hip}",
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "matmul_tf32": precisions.product == "tf32",
        "convolution_tf32": precisions.convolution == "tf32",
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
    }
    return {name: fact for name, fact in facts.items() if fact is not None}


def _cpu_software() -> dict[str, Any]:
    """The settings by which oneDNN may compute products of float32 in fewer bits, where one is chosen."""
    product, convolution = float32_precisions("cpu")
    settings = {"matmul_precision": product, "convolution_precision": convolution}
    return {name: value for name, value in settings.items() if value != "ieee"}


_SOFTWARE: Mapping[str, Callable[[], dict[str, Any]]] = {"cpu": _cpu_software, "cuda": _cuda_software}
"""The facts about the libraries of a kind of device, where it has libraries of its own."""


def _memory_format(step: Step) -> str:
    """`channels_last` where a weight or an input of four axes is so and not contiguous too."""
    tensors = [*step.model.parameters.values(), *step.arguments.tensors.values()]
    strided = (tensor for tensor in tensors if not (is_sparse(tensor) or tensor.is_nested))
    images = [tensor for tensor in strided if tensor.dim() == 4]
    last = (t.is_contiguous(memory_format=torch.channels_last) for t in images if not t.is_contiguous())
    return "channels_last" if any(last) else "contiguous"
