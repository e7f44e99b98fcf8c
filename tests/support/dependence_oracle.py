"""The source pixels on which each unit of a layer's output depends, taken from a real run.

Forward-mode differentiation in float64: one copy of the input for each pixel, with a tangent at that pixel
alone. A unit depends on the pixels whose copies give it a tangent. Every tap of a maximum counts, activations
pass tangents on, and taps of an interpolation whose weight is nothing but rounding do not count. Neither the
package nor its rules take part.

A net that is to be asked must not mix the samples of a batch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod
from typing import Any

import numpy as np
import torch
import torch.autograd.forward_ad as forward_ad
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

Span = tuple[int, int]
NOTHING: Span = (0, -1)
"""The span of what sees nothing."""

HELD_AXIS: ContextVar[int | None] = ContextVar("HELD_AXIS", default=None)
"""The source axis whose whole reductions are held fixed in this run; None outside of such a run."""

IS_ASKED: ContextVar[bool] = ContextVar("IS_ASKED", default=False)
"""True in a run that is made for its dependence."""

NOT_ZERO = 0.37
"""Stands for zeros, by which the gradient of a product would vanish."""

ROUNDING = 1e-9
"""The weight of a tap of an interpolation up to which it is rounding."""


def held(statistic: Tensor, *axes: int) -> Tensor:
    """A reduction over the whole of source axes; without its tangent where it is held fixed."""
    return forward_ad.unpack_dual(statistic).primal if is_held(*axes) else statistic


def gated(x: Tensor, gate: Tensor) -> Tensor:
    """A product, as a net has it; where dependence is asked for the sum, which no zero hides."""
    return x + gate if IS_ASKED.get() else x * gate


def uneven(x: Tensor) -> Tensor:
    """The same; where dependence is asked for, other values and tangents, which are zero where they were.

    Copies of one value would cancel in a softmax or a normalisation, and large values would saturate it.
    """
    tangent = forward_ad.unpack_dual(x).tangent if is_asked() else None
    if tangent is None:
        return x
    generator = _generator()
    values, factors = (torch.rand(x.shape[1:], dtype=x.dtype, generator=generator) + 0.5 for _ in range(2))
    return forward_ad.make_dual(values.expand(x.shape).clone(), (tangent != 0) * factors)


def is_asked() -> bool:
    """True in a run that is made for its dependence."""
    return IS_ASKED.get()


def is_held(*axes: int) -> bool:
    """True where reductions over the whole of one of these source axes are held fixed."""
    return HELD_AXIS.get() in axes


# ------------------------------------------------------------------------------ dependence


def dependence(net: nn.Module, shape: tuple[int, ...], held_axis: int | None = None) -> dict[str, np.ndarray]:
    """The pixels on which each unit depends, by layer.

    Args:
        net: In float64; its weights must not be zero.
        shape: Of its one input, 1 x C x spatial axes.
        held_axis: The axis along which whole reductions are held fixed.

    Returns:
        For the first call of each layer that returns a tensor of a batch: an array of booleans, of the
        spatial axes of the output and then of those of the source. Channels are joined.
    """
    pixels, outputs = shape[2:], {}
    with torch.no_grad(), forward_ad.dual_level(), _hooks(net, outputs):
        source = _one_pixel_each(shape)
        with _set(HELD_AXIS, held_axis), _set(IS_ASKED, True), sdpa_kernel(SDPBackend.MATH), EveryTap():
            net(source)
    return {
        path: _units_by_pixels(tangent, pixels)
        for path, tangent in outputs.items()
        if tangent.ndim > 2 and tangent.shape[0] == prod(pixels)
    }


@contextmanager
def _set(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def _one_pixel_each(shape: tuple[int, ...]) -> Tensor:
    """Copies of one random input, each with a tangent at one pixel, different in every channel."""
    _, channels, *pixels = shape
    count = prod(pixels)
    image = torch.rand(1, channels, *pixels, dtype=torch.float64, generator=_generator()) + 0.5
    one_hot = torch.eye(count, dtype=torch.float64).reshape(count, 1, *pixels)
    scale = torch.rand(1, channels, *[1] * len(pixels), dtype=torch.float64, generator=_generator()) + 0.5
    return forward_ad.make_dual(image.repeat(count, *[1] * (len(shape) - 1)), one_hot * scale)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@contextmanager
def _hooks(net: nn.Module, outputs: dict[str, Tensor]) -> Iterator[None]:
    """Keep the tangent of the first output of each layer, as it is before anything is written over it."""

    def keep(path: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            first = tree_leaves(output)[0]
            if path not in outputs and isinstance(first, Tensor):
                tangent = forward_ad.unpack_dual(first).tangent
                outputs[path] = torch.zeros(first.shape) if tangent is None else tangent.clone()

        return hook

    handles = [module.register_forward_hook(keep(path or "(model)")) for path, module in net.named_modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _units_by_pixels(tangent: Tensor, pixels: tuple[int, ...]) -> np.ndarray:
    reached = (tangent != 0).any(1)
    return reached.movedim(0, -1).reshape(*reached.shape[1:], *pixels).numpy()


# ------------------------------------------------------------------------------ spans


def spans(reached: np.ndarray) -> tuple[Span, ...]:
    """First and last position along each axis, `NOTHING` along each where there are none.

    Example:
        >>> spans(np.array([[False, True, True], [False, False, False]]))
        ((0, 0), (1, 2))
    """
    places = np.nonzero(reached)
    return tuple((int(p.min()), int(p.max())) if len(p) else NOTHING for p in places)


def extents(reached: np.ndarray, axes: int) -> Iterator[tuple[tuple[int, ...], tuple[Span, ...]]]:
    """Each unit of a layer with the spans of what it depends on, along so many source axes."""
    for unit in np.ndindex(reached.shape[:-axes]):
        yield unit, spans(reached[unit])


def projection(reached: np.ndarray, pixel: tuple[int, ...]) -> tuple[Span, ...]:
    """The spans of the units that a pixel reaches."""
    return spans(reached[(..., *pixel)])


# ------------------------------------------------------------------------------ where gradients are blind


class EveryTap(TorchFunctionMode):
    """Runs functions whose gradient leaves out a part of what they depend on by replacements that do not."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        replacement = _REPLACEMENTS.get(func)
        if replacement is None:
            return func(*args, **(kwargs or {}))
        return replacement(func, *args, **(kwargs or {}))


def _maximum(func: Callable[..., Any], x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Maxima, whose tangent is the largest of all tangents in their window."""
    if isinstance(args[0] if args else kwargs.get("other"), Tensor):
        return x + 0.7 * (args[0] if args else kwargs["other"])
    primal, tangent = forward_ad.unpack_dual(x)
    out = func(primal, *args, **kwargs)
    if tangent is None:
        return out
    # of magnitudes the largest tells if any is there, also where the smallest values are asked for
    name = func.__name__
    largest = getattr(torch, name.replace("min", "max")) if name in ("amin", "min", "cummin") else func
    reached = tree_leaves(largest(tangent.abs(), *args, **kwargs))[0]
    # of padding alone the largest is minus infinity
    return _with_tangent(out, reached.clamp(min=0))


def _order(func: Callable[..., Any], x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Values put in order: each may come from anywhere along the dimension."""
    primal, tangent = forward_ad.unpack_dual(x)
    out = func(primal, *args, **kwargs)
    if tangent is None:
        return out
    largest = tangent.abs().amax(kwargs["dim"], keepdim=True)
    values = tree_leaves(out)[0]
    return _with_tangent(out, (largest if values.ndim == x.ndim else largest.squeeze(kwargs["dim"])))


def _with_tangent(out: Any, tangent: Tensor) -> Any:
    """What a function returned, its values with a tangent."""
    values, *rest = tree_leaves(out)
    # by a factor of its own, as a maximum of magnitudes would cancel a value of the other sign
    factor = torch.rand((), dtype=values.dtype, generator=_generator()) + 0.5
    tangent = tangent.expand(values.shape) * factor
    dual = forward_ad.make_dual(values.contiguous(), tangent.contiguous())
    # indices of maxima stay as they are
    return tree_unflatten([dual, *rest], tree_flatten(out)[1])


def _same(_func: Callable[..., Any], x: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    """An activation that may be flat, as if it passed its input on; also in place."""
    return x


def _copy(_func: Callable[..., Any], x: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    """The same as a new tensor, which may be written over."""
    return x.clone()


def _either(_func: Callable[..., Any], x: Tensor, other: Tensor, **_kwargs: Any) -> Tensor:
    """The larger or the smaller of two: it may be each of them."""
    return x + 0.7 * other


def _interpolation(func: Callable[..., Any], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Interpolation as a product by the weights of each axis."""
    weights = [_weights(func, tuple(x.shape[2:]), axis, args, kwargs) for axis in range(x.ndim - 2)]
    for dim, table in enumerate(weights, 2):
        x = torch.tensordot(x, table, dims=([dim], [1])).movedim(-1, dim)
    return x


def _unpooled(
    func: Callable[..., Any],
    x: Tensor,
    indices: Tensor,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Maxima put back: each may go to any place of its window."""
    primal, tangent = forward_ad.unpack_dual(x)
    out = func(primal, indices, kernel, stride, padding, output_size) + NOT_ZERO
    if tangent is None:
        return out
    axes = out.ndim - 2
    spread = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
    window = torch.ones(1, 1, *([kernel] * axes if isinstance(kernel, int) else kernel), dtype=x.dtype)
    reached = spread(tangent.abs().flatten(0, 1)[:, None], window, stride=stride or kernel, padding=padding)
    reached = reached.unflatten(0, tangent.shape[:2]).squeeze(2)
    # places that no window holds are behind those that one does
    sides = [side for n, m in zip(reached.shape[:1:-1], out.shape[:1:-1], strict=True) for side in (0, m - n)]
    return _with_tangent(out, F.pad(reached, sides))


def _padding(
    func: Callable[..., Any], x: Tensor, pad: Any, mode: str = "constant", value: float | None = None
) -> Tensor:
    """Padding by a constant that is not zero, as a product by zero would hide its other factor."""
    return func(x, pad, mode, value or NOT_ZERO) if mode == "constant" else func(x, pad, mode)


def _triangle(func: Callable[..., Any], x: Tensor, *args: Any) -> Tensor:
    """A triangle whose other half is not zero."""
    triangle = func(x, *args)
    return triangle if x.dtype is torch.bool else triangle + (1 - func(torch.ones_like(x), *args)) * NOT_ZERO


def _contiguous(func: Callable[..., Any], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """A normalisation, whose tangent torch views as if it were laid out as its input."""
    primal, tangent = forward_ad.unpack_dual(x)
    if tangent is not None:
        x = forward_ad.make_dual(primal.contiguous(), tangent.contiguous())
    return func(x, *args, **kwargs)


def _shifted(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Tensor:
    """A result whose zeros would hide other factors."""
    return func(*args, **kwargs) + NOT_ZERO


def _weights(func: Callable[..., Any], sizes: tuple[int, ...], axis: int, args: Any, kwargs: Any) -> Tensor:
    """The weight of each pixel along an axis in each unit along it, by interpolating one pixel at a time."""
    size = sizes[axis]
    shape = [size, 1] + [size if other == axis else 1 for other in range(len(sizes))]
    pixel = torch.eye(size, dtype=torch.float64).reshape(shape).expand(size, 1, *sizes)
    # weights along the other axes add up to one
    unit = func(pixel, *args, **kwargs).movedim(axis + 2, 0).flatten(2)[:, :, 0]
    return torch.where(unit.abs() > ROUNDING, unit, 0.0)


def _replacements(replacement: Callable[..., Any], names: str) -> dict[Any, Callable[..., Any]]:
    """One replacement for the functions of these names, wherever torch has them."""
    homes = (torch, F, Tensor, torch._C._nn)
    functions = [getattr(home, name, None) for name in names.split() for home in homes]
    return {function: replacement for function in functions if function is not None}


_REPLACEMENTS: dict[Any, Callable[..., Any]] = {
    **_replacements(
        _maximum,
        """max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices
        max_pool3d_with_indices adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
        adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices adaptive_max_pool3d_with_indices
        amax amin max min cummax cummin""",
    ),
    **_replacements(_order, "sort topk median kthvalue"),
    **_replacements(_copy, "relu relu6 hardswish hardsigmoid hardtanh threshold clamp abs square"),
    **_replacements(_same, "relu_ relu6_ hardtanh_ clamp_ abs_"),
    **_replacements(_either, "maximum minimum fmax fmin"),
    **_replacements(_interpolation, "interpolate"),
    **_replacements(_unpooled, "max_unpool1d max_unpool2d max_unpool3d"),
    F.pad: _padding,
    **_replacements(_triangle, "tril triu"),
    **_replacements(_contiguous, "group_norm instance_norm layer_norm"),
    **_replacements(_shifted, "fold zeros_like"),
}
