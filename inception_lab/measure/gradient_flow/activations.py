"""Statistics of what each module returns, and of the gradients that come back to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial, wraps
from typing import Any
from weakref import ref

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from inception_lab.ir.trace import Phase
from inception_lab.measure.gradient_flow.relus import ReluWatch
from inception_lab.measure.real_runs import failure_in
from inception_lab.running import torch_internals
from inception_lab.running.pytree import tensors_within
from inception_lab.running.step import Function

_WIDE = torch.float64

_PIECE = 2**18
"""Elements of a piece; a copy of millions costs seven times as much for each of them."""


@dataclass
class OutputSums:
    """Sums over what a module returned in all of its calls, and over the gradients by it.

    Attributes:
        kind: Class of the module.
        count: Elements.
        total: Of the elements.
        squares: Of their squares.
        gradients: Squared norms of the gradients, by term of the loss.
    """

    kind: str
    count: int = 0
    total: Tensor | float = 0.0
    squares: Tensor | float = 0.0
    gradients: dict[str, Tensor | float] = field(default_factory=lambda: defaultdict(float))


@dataclass(frozen=True)
class _Returned:
    """A tensor that modules return: often one does what its last child did.

    Attributes:
        tensor: The tensor, for as long as the model keeps it.
        state: Tells if it is still what it was.
        moments: Of its elements.
        modules: The sums of the modules that returned it, to which its gradients are added.
    """

    tensor: ref[Tensor]
    state: tuple[int, bool]
    moments: tuple[int, Tensor, Tensor]
    modules: list[OutputSums]


class Activations:
    """An observer of one forward: it looks at what modules return, and at gradients when they come back.

    Attributes:
        term: The term of the loss whose gradients come back; set before each backward pass.
        outputs: By path of the module, in the order in which modules were first called.
        relus: Those that the modules ran.
    """

    def __init__(self) -> None:
        self.term = ""
        self.outputs: dict[str, OutputSums] = {}
        self.relus = ReluWatch()
        self._watching = False
        self._returned: dict[int, _Returned] = {}
        self._hooks: list[RemovableHandle] = []

    def begin(self, phase: Phase) -> None:
        """Take no notice."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at the forward that runs meanwhile; a checkpoint runs it once more in the backward pass."""
        self._watching = True
        try:
            with self.relus:
                yield
        finally:
            self._watching = False

    def reporting(self, function: Function, path: str, kind: str) -> Function:
        """The forward of a module, what it returns looked at."""

        @wraps(function)
        def observed(*args: Any, **kwargs: Any) -> Any:
            if not self._watching:
                return function(*args, **kwargs)
            sums = self.outputs.setdefault(path, OutputSums(kind))
            with failure_in(path), self.relus.within(path):
                result = function(*args, **kwargs)
            for tensor in map(_unwrapped, tensors_within(result)):
                if _is_plain(tensor):
                    self._add(sums, tensor)
            return result

        return observed  # type: ignore[return-value]

    def _add(self, sums: OutputSums, tensor: Tensor) -> None:
        returned = self._returned.get(id(tensor))
        if returned is None or returned.tensor() is not tensor or returned.state != _state(tensor):
            returned = self._returned[id(tensor)] = self._observed(tensor)
        count, total, squares = returned.moments
        sums.count += count
        # in place it could not be outside of an inference mode in which the first ones were made
        sums.total = sums.total + total
        sums.squares = sums.squares + squares
        returned.modules.append(sums)

    def _observed(self, tensor: Tensor) -> _Returned:
        """A tensor, its gradients added to the sums of those that will have returned it."""
        returned = _Returned(ref(tensor), _state(tensor), moments_of(tensor.detach()), [])
        if tensor.requires_grad:
            hook = partial(self._gradient, returned.modules)
            self._hooks.append(tensor.register_hook(hook))  # type: ignore[no-untyped-call]
        return returned

    def release(self) -> None:
        """Take the hooks off: a module may return a tensor that lives on, as a parameter does."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def _gradient(self, modules: list[OutputSums], gradient: Tensor) -> None:
        square = squared_norm(gradient)
        for sums in modules:
            sums.gradients[self.term] += square


def _unwrapped(tensor: Tensor) -> Tensor:
    """The tensor within those of `torch.func`, which are dead where its functions end: of `vmap` all rows."""
    while torch_internals.is_functorch_wrapped(tensor):
        tensor = torch_internals.unwrap_functorch(tensor)
    return tensor


def _state(tensor: Tensor) -> tuple[int, bool]:
    """Another one where a tensor was written to, or is differentiated from now on."""
    return -1 if tensor.is_inference() else tensor._version, tensor.requires_grad


def _is_plain(tensor: Tensor) -> bool:
    """True for a dense tensor of real numbers, with elements."""
    return (
        tensor.is_floating_point()
        and tensor.layout is torch.strided
        and not tensor.is_nested
        and bool(tensor.numel())
    )


def moments_of(tensor: Tensor) -> tuple[int, Tensor, Tensor]:
    """Return the number of elements, their sum, and the sum of their squares, in double precision."""
    total = torch.stack([piece.sum(dtype=_WIDE) for piece in _pieces(tensor)]).sum()
    return tensor.numel(), total, squared_norm(tensor)


def squared_norm(gradient: Tensor) -> Tensor:
    """Return the squared Euclidean norm of a gradient, dense or sparse, in double precision."""
    values = gradient.coalesce().values() if gradient.layout is torch.sparse_coo else gradient
    values = torch.view_as_real(values) if values.is_complex() else values
    norms = [torch.linalg.vector_norm(piece, dtype=_WIDE) for piece in _pieces(values.detach())]
    return torch.stack(norms).square().sum()


def _pieces(tensor: Tensor) -> Sequence[Tensor]:
    """The elements, few enough at a time for the copy in double precision that PyTorch makes on the CPU."""
    flat = tensor.reshape(-1)
    return torch.split(flat, _PIECE) if flat.device.type == "cpu" else (flat,)
