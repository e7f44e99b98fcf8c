"""A model made linear and positive: no two paths from an input to an output cancel.

Weights are positive, maxima are means, activations pass gradients on unchanged, and a normalisation is the
sum of what it normalises and of the mean over what its statistics are taken of. Functions are replaced as
they are called, so that no model has to be edited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from inception_lab.running.pytree import tensors_within
from inception_lab.running.stand_ins import cpu_copy, refuse_lazy

Sizes = Sequence[int]


def positive_weights(tensor: Tensor) -> Tensor:
    """Weights whose sum over what comes in is 1; a copy of a buffer, in float64 where it is floating."""
    if isinstance(tensor, nn.Parameter):
        refuse_lazy(tensor)
        weight = torch.full(tensor.shape, 1 / max(prod(tensor.shape[1:]), 1), dtype=torch.float64)
        return nn.Parameter(weight, requires_grad=False)
    copy = cpu_copy(tensor)
    return copy.double() if copy.is_floating_point() else copy


class InFloat64(TorchFunctionMode):
    """Makes what a model makes on the way in float64, so that it holds small gradients too.

    A mode holds for its own thread; the default dtype would change for all of them.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not isinstance(out, Tensor) or out.dtype is not torch.get_default_dtype():
            return out
        # What depends on another floating tensor has that one's dtype; anything else is new, or was whole.
        is_new = not any(tensor.is_floating_point() for tensor in tensors_within((args, kwargs)))
        return out.double() if is_new else out


Fixes = Callable[[Tensor, Tensor], bool]
"""Tells of a statistic, and of what it is taken of, if it is held fixed."""


class Positive(TorchFunctionMode):
    """A mode that runs functions by their replacements, in whatever module they are called.

    Args:
        fixes: Tells of each mean over places, channels or keys if it is held fixed; by default none is.
    """

    def __init__(self, fixes: Fixes | None = None) -> None:
        super().__init__()
        self._fixes = fixes

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        named = kwargs or {}
        if func in STATISTICS:
            return STATISTICS[func](self._statistic, *args, **named)
        out = REPLACEMENTS.get(func, func)(*args, **named)
        if func not in REDUCTIONS:
            return out
        # a product may be a sum over all keys; of two tensors the second has them
        return self._statistic(out, [*tensors_within((args, named))][-1])

    def _statistic(self, statistic: Any, x: Any) -> Any:
        """A statistic as it is handed on: without its gradient where it is held fixed."""
        if isinstance(statistic, tuple):
            # maxima with their indices
            return type(statistic)((self._statistic(statistic[0], x), *statistic[1:]))
        is_fixed = self._fixes and statistic.requires_grad and self._fixes(statistic, x)
        return statistic.detach() if is_fixed else statistic


class _One(torch.autograd.Function):
    """Ones, whose gradient is passed on as it is."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return torch.ones_like(x)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return gradient


def _one(x: Tensor, *_: Any, **__: Any) -> Tensor:
    """An activation or normalisation; its output of ones keeps values from growing along depth."""
    ones: Tensor = _One.apply(x)  # type: ignore[no-untyped-call]
    return ones


Statistic = Callable[[Tensor, Tensor], Tensor]
"""Hands a statistic on, of what it is taken of."""


def _with_mean(statistic: Statistic, x: Tensor, dims: int | list[int] | None) -> Tensor:
    """Each output depends on all that is along the dimensions, and on its own element."""
    return _one(x + statistic(x.mean(dims, keepdim=True), x))


def _softmax(statistic: Statistic, x: Tensor, dim: int | None = -1, *_: Any, **__: Any) -> Tensor:
    return _with_mean(statistic, x, dim)


def _attention(statistic: Statistic, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
    """Each query's result depends on all keys and values."""
    keys, values = statistic(key.mean((-2, -1), True), key), statistic(value.mean(-2, True), value)
    return _one(query.mean(-1, True) + keys + values)


def _group_norm(statistic: Statistic, x: Tensor, num_groups: int, *_: Any, **__: Any) -> Tensor:
    groups = x.reshape(x.shape[0], num_groups, -1, *x.shape[2:])
    return _with_mean(statistic, groups, list(range(2, groups.ndim))).view(x.shape)


def _instance_norm(statistic: Statistic, x: Tensor, *_: Any, **__: Any) -> Tensor:
    return _with_mean(statistic, x, list(range(2, x.ndim)))


def _layer_norm(
    statistic: Statistic, x: Tensor, normalized_shape: Sequence[int], *_: Any, **__: Any
) -> Tensor:
    return _with_mean(statistic, x, list(range(-len(normalized_shape), 0)))


def _normalize(statistic: Statistic, x: Tensor, p: float = 2.0, dim: int = 1, *_: Any, **__: Any) -> Tensor:
    del p
    return _with_mean(statistic, x, dim)


def _deviation(
    statistic: Statistic, x: Tensor, *args: Any, dim: Any = None, keepdim: bool = False, **_: Any
) -> Tensor:
    """A variance or a deviation depends on all that it is taken over."""
    # a flag in the place of the dimensions is the correction of one over everything
    dims = next((arg for arg in args if not isinstance(arg, bool)), dim)
    return statistic(x.mean(dims, keepdim) if dims is not None else x.mean(), x)


def _deviation_and_mean(statistic: Statistic, x: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    deviation = _deviation(statistic, x, *args, **kwargs)
    return deviation, deviation


def _mean_pool(axes: int, with_indices: bool) -> Callable[..., Any]:
    """Means in place of maxima, over the same windows."""
    pool = getattr(F, f"max_pool{axes}d_with_indices")

    def mean_pool(
        x: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        *_: Any,
        **__: Any,
    ) -> Any:
        # the maxima give the shape of the output and the places that a later unpooling asks for
        maxima, places = pool(x.detach(), kernel_size, stride, padding, dilation, ceil_mode)
        sizes = [_row_of(size, axes) for size in (kernel_size, stride or kernel_size, padding, dilation)]
        means = _means(x.reshape(-1, 1, *x.shape[-axes:]), maxima.shape[-axes:], *sizes)
        return (means.reshape(maxima.shape), places) if with_indices else means.reshape(maxima.shape)

    return mean_pool


def _means(x: Tensor, out: Sizes, kernel: Sizes, stride: Sizes, lead: Sizes, dilation: Sizes) -> Tensor:
    """Means over windows of one channel; the last window may hang over the edge, as when rounding up."""
    # enough zeros behind for the window that rounding up adds; outputs that are too many are cut off below
    overhang = [gap * (k - 1) + step for k, step, gap in zip(kernel, stride, dilation, strict=True)]
    # `F.pad` takes the last axis first, its leading side before its trailing one
    sides = [side for before, over in zip(lead, overhang, strict=True) for side in (before + over, before)]
    weight = torch.full((1, 1, *kernel), 1 / prod(kernel), dtype=x.dtype)
    means: Tensor = _CONVOLUTIONS[len(out)](F.pad(x, sides[::-1]), weight, stride=stride, dilation=dilation)
    for axis, size in enumerate(out, 2):
        means = means.narrow(axis, 0, size)
    return means


def _row_of(size: int | Sizes, axes: int) -> Sizes:
    row = [size] if isinstance(size, int) else list(size)
    return row * axes if len(row) == 1 else row


def _adaptive_pool(axes: int) -> Callable[..., Any]:
    pool = getattr(F, f"adaptive_avg_pool{axes}d")
    return lambda x, output_size, *_, **__: pool(x, output_size)


def _extreme(x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """`max` and `min`: over everything, over a dimension, or of two tensors."""
    over_everything = not args and not kwargs
    if over_everything:
        return x.mean()
    if "other" in kwargs or (args and isinstance(args[0], Tensor)):
        return _sum(x, *args, **kwargs)
    return torch.return_types.max((x.mean(*args, **kwargs), torch.max(x, *args, **kwargs)[1]))


def _sum(x: Tensor | float, other: Tensor | float, **_: Any) -> Any:
    return x + other


def _quotient(x: Tensor | float, other: Tensor | float, **_: Any) -> Any:
    """The product by a tensor that depends on the source: it has the same dependence and no sign."""
    return x * other if isinstance(other, Tensor) and other.requires_grad else x / other


def _reversed_quotient(x: Tensor, other: Tensor | float, **_: Any) -> Any:
    return x * other


def _functions(*names: str) -> list[Any]:
    """The functions of these names, wherever torch has them."""
    candidates = [getattr(home, name, None) for home in (torch, F, Tensor) for name in names]
    return [function for function in candidates if function is not None]


def _each(replacement: Callable[..., Any], names: str) -> dict[Any, Callable[..., Any]]:
    """One replacement for functions of these names."""
    return dict.fromkeys(_functions(*names.split()), replacement)


def _in_place_too(names: str) -> str:
    return " ".join(f"{name} {name}_" for name in names.split())


_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}

REPLACEMENTS: dict[Any, Callable[..., Any]] = {
    **_each(
        _one,
        _in_place_too(
            """relu relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish softplus softsign hardswish
        hardsigmoid hardtanh sigmoid logsigmoid tanh threshold tanhshrink softshrink hardshrink clamp
        clamp_min clamp_max clip abs neg exp exp2 expm1 log log1p log2 sqrt rsqrt reciprocal square pow erf
        sin cos floor round dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout"""
        ),
    ),
    **_each(_one, "batch_norm local_response_norm __pow__"),
    **{func: _mean_pool(n, False) for n in _CONVOLUTIONS for func in _functions(f"max_pool{n}d")},
    **{func: _mean_pool(n, True) for n in _CONVOLUTIONS for func in _functions(f"max_pool{n}d_with_indices")},
    **{func: _adaptive_pool(n) for n in _CONVOLUTIONS for func in _functions(f"adaptive_max_pool{n}d")},
    **_each(lambda x, *args, **kwargs: x.mean(*args, **kwargs), "amax amin logsumexp"),
    **_each(_extreme, "max min"),
    **_each(_sum, "maximum minimum fmax fmin sub subtract __rsub__"),
    **_each(lambda x, other, **_: x.add_(other), "sub_ subtract_"),
    **_each(_quotient, "div divide true_divide"),
    **_each(_reversed_quotient, "__rdiv__ __rtruediv__"),
}
"""Replacements by function. To replace one more, add its row."""

STATISTICS: dict[Any, Callable[..., Any]] = {
    **_each(_softmax, "softmax log_softmax softmin"),
    **_each(_attention, "scaled_dot_product_attention"),
    **_each(_group_norm, "group_norm"),
    **_each(_instance_norm, "instance_norm"),
    **_each(_layer_norm, "layer_norm rms_norm"),
    **_each(_normalize, "normalize"),
    **_each(_deviation, "var std"),
    **_each(_deviation_and_mean, "var_mean std_mean"),
}
"""Replacements that take statistics, and hand them on by their first argument."""

REDUCTIONS = frozenset(
    _functions(
        *[
            "mean",
            "sum",
            "amax",
            "amin",
            "max",
            "min",
            "logsumexp",
            "norm",
            "matmul",
            "bmm",
            "einsum",
            "__matmul__",
        ],
        *[f"adaptive_{kind}_pool{axes}d" for kind in ("avg", "max") for axes in _CONVOLUTIONS],
    )
)
"""Functions whose result may be a statistic, or a sum over all keys."""
