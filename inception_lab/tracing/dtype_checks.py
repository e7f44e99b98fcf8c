"""Refusal of element types that kernels of the CPU refuse, where those of meta tensors take them.

Meta kernels know shapes; many of them let a product of float32 and float64 pass, or a softmax of integers.
The kernel itself is the only table of what it takes, so that it is asked, on tensors of one element.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from inception_lab.running import torch_internals

if TYPE_CHECKING:
    from torch._ops import OpOverload

_SPEAKS_OF_DTYPES = re.compile(r"dtype|types?\b|floating point|Boolean|not implemented for '")
_TAKES_INTEGERS = re.compile(
    r"bitwise_|gcd|lcm|__i?(and|or|xor|lshift|rshift)__|.*(index|gather|scatter|take|put|embedding|nll_loss|mask)"
)
_NOT_IMPLEMENTED = re.compile(r"not implemented for '(\w+)'")
_BEYOND_ANY_DEVICE = frozenset(
    {
        "Bool", "Byte", "Char", "Short", "Int", "Long", "Float", "Double",
        "ComplexHalf", "ComplexFloat", "ComplexDouble",
    }
)  # fmt: skip
"""Element types that a kernel lacks everywhere where it lacks them on the CPU; half precision is not one."""

_CHECKED_PRIVATE = frozenset(
    {
        "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "_cdist_forward", "_embedding_bag",
        "_embedding_bag_forward_only", "_log_softmax", "_native_batch_norm_legit", "_pdist_forward",
        "_prelu_kernel", "_safe_softmax", "_softmax",
        "_scaled_dot_product_flash_attention_for_cpu", "_trilinear", "_upsample_bicubic2d_aa",
        "_upsample_bilinear2d_aa", "_upsample_nearest_exact1d",
        "_upsample_nearest_exact2d", "_upsample_nearest_exact3d",
    }
)  # fmt: skip
"""Operations behind public functions, in spite of their names; others have element types of their own."""

_AS_LARGE = frozenset({"normalized_shape", "N", "C", "HxW"})
_ONE = frozenset({"kernel_size", "output_size", "group", "groups"})
_ZERO = frozenset({"padding", "output_padding"})
_SIZES = frozenset({"size", "repeats", "pad", "minlength", "num_classes", "sizes"})
"""Arguments that are set to the size of small tensors, to 1 or to 0; those that make large outputs."""

_LAST_AXIS_COUNTS: Mapping[str, int] = MappingProxyType({"grid_sampler_2d": 1, "grid_sampler_3d": 1})
"""Operations with an argument, by its place, whose last axis has one length alone."""


def check_dtypes(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raise what the kernel of the CPU raises about the element types of these arguments, if it does.

    Tensors of one floating dtype pass without a look, unless integers belong there; so do those of half
    precision, for which a CPU lacks kernels that a GPU has.

    Args:
        func: The operation.
        args: Its positional arguments; tensors without data.
        kwargs: Its keyword arguments.
    """
    tensors = _tensors_in((*args, *kwargs.values()))
    dtypes = {tensor.dtype for tensor in tensors}
    name = func.overloadpacket.__name__
    plain = len(dtypes) == 1 and next(iter(dtypes)).is_floating_point and not _TAKES_INTEGERS.match(name)
    if not tensors or plain or not _is_checked(func) or not all(map(_is_plain, tensors)):
        return
    names = [argument.name for argument in func._schema.arguments[: len(args)]]
    if not _SIZES.isdisjoint([*names, *kwargs]):
        return
    with torch_internals.disable_current_modes():  # a mode of fake tensors would make more of them
        for size in (1, 2):
            _raise_about_dtypes(func, *_small_arguments(func, names, args, kwargs, size))


def _small_arguments(
    func: OpOverload, names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any], size: int
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments with real tensors of at most this size along each axis."""
    last = _LAST_AXIS_COUNTS.get(func.overloadpacket.__name__)
    positional = enumerate(zip(names, args, strict=True))
    small_args = [_small(value, name, size, place == last) for place, (name, value) in positional]
    return small_args, {name: _small(value, name, size) for name, value in kwargs.items()}


def _is_checked(func: OpOverload) -> bool:
    """False for views, for random numbers, which would be drawn, and for what no public function calls.

    A backward operation follows from a forward one that has passed; meta kernels of norms save statistics of
    another element type than real ones, so that its arguments may differ from real ones.
    """
    name = func.overloadpacket.__name__
    return (
        func.namespace == "aten"
        and not func.is_view
        and "backward" not in name
        and torch.Tag.nondeterministic_seeded not in func.tags
        and (not name.startswith("_") or name in _CHECKED_PRIVATE)
    )


def _is_plain(tensor: Tensor) -> bool:
    """True for a dense tensor of numbers of at least a byte that kernels compute with."""
    return tensor.layout is torch.strided and not tensor.is_quantized and "float8" not in str(tensor.dtype)


def _small(value: Any, name: str, size: int, keep_last: bool = False) -> Any:
    """The argument for small tensors; their data is zeros, which are valid indices."""
    if isinstance(value, Tensor):
        shape = [min(length, size) for length in value.shape]
        if keep_last:
            shape[-1] = value.shape[-1]
        return torch.zeros(shape, dtype=value.dtype, device="cpu")
    number = size if name in _AS_LARGE else 1 if name in _ONE else 0 if name in _ZERO else None
    if isinstance(value, (list, tuple)):
        return [_small(item, name, size) for item in value]
    return number if number is not None and type(value) is int else value


def _raise_about_dtypes(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    try:
        with warnings.catch_warnings(action="ignore"):  # as of a variance of one element
            func(*args, **kwargs)
    except Exception as error:
        # any other complaint is about sizes, which here are not those of the model
        if _is_about_dtypes(str(error)):
            raise


def _is_about_dtypes(message: str) -> bool:
    lacking = _NOT_IMPLEMENTED.search(message)
    if lacking:
        return lacking[1] in _BEYOND_ANY_DEVICE
    return _SPEAKS_OF_DTYPES.search(message) is not None


def _tensors_in(items: Sequence[Any]) -> list[Tensor]:
    tensors = [item for item in items if isinstance(item, Tensor)]
    lists = [item for item in items if isinstance(item, (list, tuple))]
    return tensors + [tensor for item in lists for tensor in _tensors_in(item)]
