"""Empty axes that the kernels of real devices refuse, where a meta kernel takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from torch._ops import OpOverload

Check = Callable[[Sequence[Any], Any], bool]
"""True for arguments, and the output of the meta kernel, that a real kernel refuses."""


def check_empty_axes(func: OpOverload, args: Sequence[Any], out: Any) -> None:
    """Refuse what a kernel with data would refuse.

    Args:
        func: The operation.
        args: Its arguments.
        out: What the meta kernel made of them.

    Raises:
        RuntimeError: An axis is empty over which it cannot work, as in a resize to no pixels.
    """
    name = func.overloadpacket.__name__
    check = REFUSALS.get(name)
    if check and args and isinstance(args[0], Tensor) and check(args, out):
        shapes = [tuple(x.shape) for x in (args[0], out) if isinstance(x, Tensor)]
        raise RuntimeError(f"{name}(): an axis is empty: {' to '.join(map(str, shapes))}")


def _empty_places(axes: int) -> Check:
    """Empty along one of the last axes, before or after."""

    def check(args: Sequence[Any], out: Any) -> bool:
        return 0 in args[0].shape[-axes:] or 0 in out.shape[-axes:]

    return check


def _empty_convolution(args: Sequence[Any], out: Any) -> bool:
    del out
    return 0 in args[0].shape[2:]


def _empty_reduction(args: Sequence[Any], out: Any) -> bool:
    """Over an empty axis, or over everything where there is nothing."""
    del out
    dim = args[1] if len(args) > 1 else None
    if isinstance(dim, int) and args[0].dim():
        return bool(args[0].shape[dim] == 0)
    return dim is None and args[0].numel() == 0


def _empty_lookup(args: Sequence[Any], out: Any) -> bool:
    """Positions of an axis that has none."""
    return bool(out.numel() and not args[0].numel())


REFUSALS: Mapping[str, Check] = {
    "upsample_linear1d": _empty_places(1),
    **dict.fromkeys(
        ("upsample_bilinear2d", "upsample_bicubic2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
        _empty_places(2),
    ),
    "upsample_trilinear3d": _empty_places(3),
    "_adaptive_avg_pool2d": _empty_places(2),
    "_adaptive_avg_pool3d": _empty_places(3),
    "grid_sampler_2d": _empty_places(2),
    "grid_sampler_3d": _empty_places(3),
    "convolution": _empty_convolution,
    **dict.fromkeys(("max", "min", "median", "nanmedian", "mode"), _empty_reduction),
    **dict.fromkeys(("gather", "index_select", "index"), _empty_lookup),
}
"""By the name of an operation; of all others the meta kernels refuse what the CPU's do."""
