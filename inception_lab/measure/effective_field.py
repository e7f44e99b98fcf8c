"""The effective receptive field: the share of each input pixel in the centre unit's gradient.

Luo, Li, Urtasun & Zemel, "Understanding the Effective Receptive Field in Deep Convolutional Neural
Networks", 2016 (arXiv 1701.04128): the input gradient of the centre unit, over random inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.measure.bounds import MOST_SAMPLES, MOST_SEEDS
from inception_lab.measure.hardware import device_name
from inception_lab.measure.room import refuse_gradients_without_room
from inception_lab.measure.unit_gradients import Probes, Unit, errors_in_one_line, fields_of_layers
from inception_lab.running.guards import guarded, plain_tensors
from inception_lab.running.higher_order import taken_apart
from inception_lab.running.inputs import Inputs, arguments, with_arguments
from inception_lab.running.request import request_of
from inception_lab.running.stand_ins import cpu_copy, cpu_input
from inception_lab.tracing.tracer import trace

Progress = Callable[[float], None]
SHARES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class Area:
    """The smallest set of pixels that holds a share of the gradient.

    Attributes:
        share: Of the whole gradient.
        pixels: Number of pixels.
        side: Of a square of as many pixels, of a cube in 3-d.
    """

    share: float
    pixels: int
    side: float


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """The gradient of a layer's centre unit, as it is spread over the input.

    Attributes:
        unit: The layer and its centre unit.
        weight: Share of each input pixel in the mean absolute gradient: an array of the input's spatial
            axes whose sum is 1, read-only.
        areas: The areas that hold 50%, 95% and 99%.
        theoretical: First and last pixel of the unit's theoretical field along each axis.
        inputs: Random inputs averaged over.
        device: Name of the processor or GPU.
    """

    unit: Unit
    weight: NDArray[np.float64]
    areas: tuple[Area, ...]
    theoretical: tuple[tuple[int, int], ...]
    inputs: int
    device: str

    @property
    def theoretical_area(self) -> Area:
        """The theoretical field within the input, which holds everything."""
        pixels = prod(last - first + 1 for first, last in self.theoretical)
        return _area(1.0, pixels, len(self.theoretical))

    def to_dict(self) -> dict[str, Any]:
        """The field as plain data, its areas beside the theoretical one, without the weight of each pixel."""
        pixels = self.theoretical_area.pixels
        return {
            "layer": self.unit.layer,
            "unit": list(self.unit.position),
            "inputs": self.inputs,
            "device": self.device,
            "theoretical_extent": [list(pair) for pair in self.theoretical],
            "theoretical_pixels": pixels,
            "areas": [
                {"share": area.share, "pixels": area.pixels, "side": round(area.side, 1),
                 "of_theoretical": round(area.pixels / pixels, 4)}
                for area in self.areas
            ],
        }  # fmt: skip


@checked
@plain_tensors()
def effective_field(
    model: nn.Module,
    input_shape: Sequence[int],
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    layer: str = "",
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    samples: int = 4,
    device: str = "cpu",
    progress: Progress | None = None,
) -> EffectiveField:
    """Average the absolute input gradient of a layer's centre unit over random inputs.

    The model runs in eval mode with the weights that it has, and is left as it was found. Inputs are drawn
    from a standard normal distribution on the CPU, so that every device sees the same ones.

    Args:
        model: Any module with one floating input.
        input_shape: N x C x spatial axes; N inputs run at a time, which changes nothing but rounding.
        args: Positional arguments behind the input, as for `trace`.
        kwargs: Keyword arguments, as for `trace`.
        layer: Path of a layer with spatial axes; by default the last one that does not see everything.
        seeds: Seeds of the random inputs, at most 1000.
        samples: Inputs for each seed, at most 1000.
        device: `cpu` or `cuda`.
        progress: Called with the part of the inputs that is done, from 0 to 1.

    Raises:
        InceptionLabError: The device is not a name or not there, there are too many inputs, they and the run
            cannot fit into the free memory of the machine, the net does not run on it, the layer has no
            spatial axes, or its centre unit has no gradient.

    Example:
        >>> field = effective_field(nn.Conv2d(3, 8, 3), (1, 3, 9, 9), samples=1)
        >>> field.theoretical, field.theoretical_area.pixels
        (((3, 5), (3, 5)), 9)
    """
    device = _device(device)
    shape = tuple(input_shape)
    _check_inputs(len(seeds), samples)
    traced_pass = trace(model, shape, args=args, kwargs=kwargs)
    ((layer, field),) = fields_of_layers(traced_pass, [layer] if layer else []).items()
    dtype: torch.dtype = getattr(torch, traced_pass.context.dtype)
    unit = Unit(layer, field.middle)
    drawn_bytes = len(seeds) * samples * prod(shape[1:]) * dtype.itemsize
    request = request_of(model, with_arguments(shape, args, kwargs))
    with errors_in_one_line(model, shape):  # no device has this name
        refuse_gradients_without_room(request, torch.device(device), beside=drawn_bytes)
    inputs = [image.to(dtype) for seed in seeds for image in _random_inputs(shape, seed, samples)]
    with errors_in_one_line(model, shape):
        beside = with_arguments([], args, kwargs)
        total = torch.zeros(shape[2:])
        for number, gradient in enumerate(_gradients(model, shape[0], inputs, beside, unit, device), start=1):
            total = total + gradient
            if progress is not None:
                progress(min(1.0, number * shape[0] / len(inputs)))
        name = device_name(device)
    weight = _shares(total.numpy(), layer)
    areas = tuple(area(weight, share) for share in SHARES)
    return EffectiveField(unit, weight, areas, field.extent(unit.position), len(inputs), name)


def _check_inputs(seeds: int, samples: int) -> None:
    """Refuse a number of seeds, or of samples for each, that leaves no inputs or never ends."""
    if seeds < 1 or samples < 1:
        raise InceptionLabError("no inputs to average over", hint="give seeds, and samples of 1 or more")
    if seeds > MOST_SEEDS:
        raise InceptionLabError(f"{seeds:,} seeds", hint=f"take {MOST_SEEDS:,} or fewer")
    if samples > MOST_SAMPLES:
        raise InceptionLabError(f"{samples:,} samples", hint=f"take samples={MOST_SAMPLES} or fewer")


def _device(value: object) -> str:
    """Return the name of a device that is there as far as CUDA goes, of a name or a `torch.device`."""
    if not isinstance(value, (str, torch.device)):
        raise InceptionLabError(f"device {value!r} is not a name", hint="use device='cpu' or 'cuda'")
    if str(value).partition(":")[0] == "cuda" and not torch.cuda.is_available():
        raise InceptionLabError("there is no CUDA device here", hint="use device='cpu'")
    return str(value)


def _shares(total: NDArray[np.float64], layer: str) -> NDArray[np.float64]:
    """The share of each pixel in a total, read-only."""
    # also where a gradient is nan, which is not above zero
    if not total.sum() > 0:
        raise InceptionLabError("the centre unit has no gradient", where=layer, hint="name another layer")
    weight: NDArray[np.float64] = total / total.sum()
    weight.setflags(write=False)
    return weight


def area(weight: NDArray[np.float64], share: float) -> Area:
    """The smallest area that holds a share of the weight.

    Args:
        weight: Of each pixel, not negative.
        share: Between 0 and 1.

    Example:
        >>> area(np.array([[0.1, 0.6], [0.0, 0.3]]), 0.9)
        Area(share=0.9, pixels=2, side=1.4142135623730951)
    """
    cumulative = np.cumsum(np.sort(weight, axis=None)[::-1])
    pixels = int(np.searchsorted(cumulative, share * cumulative[-1] * (1 - _ROUNDING))) + 1
    return _area(share, pixels, weight.ndim)


_ROUNDING = 1e-12
"""Share of the weight that may be missing, as sums of floats do not come out even."""


def _area(share: float, pixels: int, axes: int) -> Area:
    return Area(share, pixels, pixels ** (1 / axes))


def _random_inputs(shape: tuple[int, ...], seed: int, samples: int) -> Iterator[Tensor]:
    """Inputs one by one, so that they do not depend on how many run at a time."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(samples):
        yield torch.randn(shape[1:], generator=generator)


def _gradients(
    model: nn.Module, batch: int, inputs: list[Tensor], beside: Inputs, unit: Unit, device: str
) -> Iterator[Tensor]:
    """For each batch, absolute gradients added up over inputs and channels, in float64 on the CPU."""
    with (
        guarded(model, False, partial(_weights, device)) as substitutes,
        taken_apart(),
        torch.enable_grad(),
    ):
        others = arguments(beside, inputs[0].dtype, lambda example: cpu_input(example).to(device))
        for start in range(0, len(inputs), batch):
            images = torch.stack(inputs[start : start + batch])
            probes = Probes([unit])
            with probes.attached(substitutes.modules):
                model(probes.begin(images.to(device)), *others.args, **others.kwargs)
            yield probes.gradient(unit).abs().double().sum((0, 1)).cpu()


def _weights(device: str, tensor: Tensor) -> Tensor:
    """A copy on the device, without a gradient by weights."""
    copy = cpu_copy(tensor).detach().to(device)
    return nn.Parameter(copy, requires_grad=False) if isinstance(tensor, nn.Parameter) else copy
