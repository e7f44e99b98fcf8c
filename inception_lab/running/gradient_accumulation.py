"""Gradients that autograd's engine adds up, in place where nobody watches.

The engine adds a further gradient of a tensor to the one that it has: in place where it holds the last
reference to that one, but into a new tensor under a dispatch mode and on meta tensors
(torch/csrc/autograd/input_buffer.cpp, `accumulate`). Whoever watches has to add in place himself for the
step to hold what it holds unwatched.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from inception_lab.formulas.sparse_layouts import dense_parts, is_sparse
from inception_lab.running import torch_internals
from inception_lab.running.backward_formulas import REWRITTEN, in_place_form
from inception_lab.running.bare_mode import BareMode
from inception_lab.running.pytree import tensors_within

if TYPE_CHECKING:
    from torch._ops import OpOverload

ADD = torch.ops.aten.add.Tensor
ADD_IN_PLACE = torch.ops.aten.add_.Tensor

_OF_A_TENSOR_AND_PYTHON = 2
"""References to a storage that one tensor holds, and that Python looks at."""


class LastReference:
    """Tells a dispatch mode whether the engine holds the last reference to a gradient.

    To be made anywhere but in a mode's own handler.
    """

    def __init__(self) -> None:
        self._engine_alone = _references_seen()

    def is_to(self, args: Sequence[Any]) -> bool:
        """Tell if the engine calls an `ADD`, and could as well add in place.

        Whoever calls from Python holds references of his own.

        Args:
            args: What the mode was given, to which nothing but it refers.
        """
        # Python code that adds runs with gradients on, or holds the tensor under a name of its own: then the
        # counts differ. A view of the storage, and gaps between elements, keep the engine from writing there.
        return (
            not any(map(is_sparse, tensors_within(args)))
            and not torch.is_grad_enabled()
            and _references(args) == self._engine_alone
            and torch_internals.storage_use_count(args[0].untyped_storage()._cdata) == _OF_A_TENSOR_AND_PYTHON
            and _without_gaps(args[0])
        )


class SumsInPlace(BareMode):
    """Has the modes below it see a backward pass that adds gradients up as if nobody watched.

    A sum of gradients is told from one within a backward formula by its first term, which the autograd node
    that runs did not make, unless that has several gradients for one tensor.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last_reference = LastReference()
        self._makers: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, in place where it is a sum of gradients."""
        running: Any = torch_internals.current_autograd_node()
        if running is None:
            return func(*args, **(kwargs or {}))
        node = running._sequence_nr()
        if func is ADD and (self._makers.get(_address(args[0])) != node or goes_twice(running)):
            out = (ADD_IN_PLACE if self._last_reference.is_to(args) else ADD)(*args, **(kwargs or {}))
            self._makers.pop(_address(out), None)
            return out
        if func in REWRITTEN and self._makers.get(_address(args[0])) == node:
            func = in_place_form(running, func) or func
        out = func(*args, **(kwargs or {}))
        self._makers.update((_address(tensor), node) for tensor in tensors_within(out))
        return out


def _references(args: Sequence[Any]) -> tuple[int, int]:
    """Of C++ and of Python, to the tensor of which an operation was called."""
    return args[0]._use_count(), sys.getrefcount(args[0])


def goes_twice(node: Any) -> bool:
    """Tell if a node has two gradients for one tensor, as that of `x * x`."""
    edges = [edge for edge in node.next_functions if edge[0] is not None]
    return len(set(edges)) < len(edges)


def _address(tensor: Tensor) -> int:
    return int(dense_parts(tensor)[0].untyped_storage()._cdata)


def _without_gaps(tensor: Tensor) -> bool:
    """Tell if the elements fill one stretch of memory, in whatever order, each once."""
    dense_stride = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1:
            if stride != dense_stride:
                return False
            dense_stride *= size
    return True


@cache
def _references_seen() -> tuple[int, int]:
    """References that a dispatch mode counts to a gradient to which the engine alone refers, tried out."""
    probe = _Probe()
    with torch_internals.disable_current_modes(), torch.inference_mode(False), torch.enable_grad():
        x = torch.zeros(1, requires_grad=True)
        total = x * 2 + x * 3
        with probe:
            total.backward()  # type: ignore[no-untyped-call]
    return probe.references


class _Probe(BareMode):
    references = (0, 0)

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is ADD:
            self.references = _references(args)
        return func(*args, **(kwargs or {}))
