"""Refusal of products of unlike element types, which kernels of meta tensors let pass."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from inception_lab.running.bare_mode import BareMode

_PRODUCTS = frozenset({"mm", "addmm", "bmm", "baddbmm", "mv", "dot", "convolution"})


class RefuseUnlikeTypes(BareMode):
    """While it is entered, a product of real by complex numbers fails, as it does with data."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, or raise where it is a product that no kernel computes."""
        dtypes = {value.dtype for value in args if isinstance(value, Tensor)}
        if func.overloadpacket.__name__ in _PRODUCTS and len(dtypes) > 1:
            raise TypeError(f"a product of {' and '.join(sorted(map(str, dtypes)))}")
        return func(*args, **(kwargs or {}))
