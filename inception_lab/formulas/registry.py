"""Cost of each operation: multiply-accumulates, or other operations by a published convention.

A MAC is one multiplication and one addition of a convolution, a linear layer or a matrix product.
Attention and recurrent layers are the matrix products inside them, by whichever kernel they run, see
`formulas.sequences`. A MAC of complex numbers is 4 of real ones, by whichever kernel too. Everything
else is counted apart, never as MACs:

* an operation per output element for element-wise work, transcendental functions included, as XLA's
  HloCostAnalysis and DeepSpeed's flops profiler count them; the bias of a convolution or linear
  layer is one addition per output element;
* a window of k elements costs k operations per output: k - 1 comparisons or additions and, for the
  average, the division; the maximum pays the same for keeping the index; an interpolation pays for
  each neighbour it weighs, as fvcore counts it, and nothing for the nearest;
* batch normalisation in eval mode is one multiplication and one addition per element, since mean,
  variance, weight and bias fold into a scale and a shift; in train mode 5 per element with the
  affine part, 4 without, as fvcore's `norm_flop_counter` counts every normalisation;
* softmax is 5 per element (maximum, subtraction, exponential, sum, division) and its logarithm the same;
* a reduction or scan is one per input element, a norm and a loss 2, a variance 3; a sort compares
  each element as often as all can be halved, as XLA counts it.

Views, copies, look-ups, factories and random numbers cost nothing, and in a backward pass only products
count. Training a recurrent layer costs the same by every kernel: the gradients that are required, of weights
and inputs, and that of every state but the first, unless that one is learned.

A sparse tensor costs what the elements that it stores cost, see `formulas.sparse`.

Fourier transforms, factorisations, solvers of linear algebra and quantised recurrent layers have no formula;
`register_formula` adds one.

Sources: fvcore `jit_handles.py`, XLA `hlo_cost_analysis.cc`, `torch.utils.flop_counter`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.utils.flop_counter import flop_registry

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.formulas.free import FREE_OPS, is_free
from inception_lab.formulas.nested import NESTED_COSTS, has_nested
from inception_lab.formulas.other_flops import OTHER_FLOPS
from inception_lab.formulas.products import PRODUCTS
from inception_lab.formulas.quantised import QUANTISED
from inception_lab.formulas.sequences import SEQUENCES
from inception_lab.formulas.sparse import SPARSE_COSTS, has_sparse
from inception_lab.formulas.terms import (
    FREE,
    Cost,
    Formula,
    aten,
    in_real_macs,
    per_element,
    tensors_of,
)

if TYPE_CHECKING:
    from torch._ops import OpOverload, OpOverloadPacket

__all__ = [
    "FORMULAS", "FREE_OPS", "Cost", "Formula", "RegisteredFormula", "aten", "cost_of", "formulas_version",
    "register_formula", "registered_formulas",
]  # fmt: skip

FORMULAS: Mapping[OpOverloadPacket, Formula] = MappingProxyType(
    {**PRODUCTS, **SEQUENCES, **OTHER_FLOPS, **QUANTISED}
)
"""Formulas by operation, read-only. To count one more, add its row to the table of its kind."""

_OPERATION = type(aten.add)  # the type itself has a private name
_element_wise = per_element(1)


@dataclass(frozen=True, eq=False)
class RegisteredFormula:
    """A formula of a user's own; as a context manager it is taken out at the end of the block.

    Attributes:
        operation: The operation that it gives the cost of.
        formula: Called with the operation's arguments and `out_val`; returns a `Cost`.
    """

    operation: OpOverloadPacket
    formula: Callable[..., Cost]

    def remove(self) -> None:
        """Take the formula out again; a second time does nothing."""
        _REGISTRY.discard(self)

    def __enter__(self) -> RegisteredFormula:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def cost(self, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> Cost:
        """Return the cost of one run.

        Raises:
            InceptionLabError: The formula raised, or did not return a `Cost` of non-negative whole numbers.
        """
        where = f"formula of {self.operation}"
        try:
            cost = self.formula(*args, **kwargs, out_val=out)
        except Exception as error:
            raise InceptionLabError(f"raised {type(error).__name__}: {error}", where=where) from error
        if not isinstance(cost, Cost) or not all(type(size) is int and size >= 0 for size in cost[:2]):
            hint = "return il.Cost(macs=..., other_flops=...) of non-negative whole numbers"
            raise InceptionLabError(f"returned {cost!r}", where=where, hint=hint)
        return cost


class _Registry:
    """The formulas that are registered, by operation, and how often that has changed."""

    def __init__(self) -> None:
        self.entries: dict[OpOverloadPacket, RegisteredFormula] = {}
        self.changes = 0
        self._lock = Lock()

    def of(self, packet: OpOverloadPacket) -> RegisteredFormula | None:
        """Return the formula of an operation."""
        return self.entries.get(packet)

    def add(self, entry: RegisteredFormula) -> bool:
        """Take a formula in, and return True, where there is none for its operation."""
        with self._lock:
            self.changes += 1
            return self.entries.setdefault(entry.operation, entry) is entry

    def discard(self, entry: RegisteredFormula) -> None:
        """Take a formula out where it is in."""
        with self._lock:
            self.changes += 1
            if self.entries.get(entry.operation) is entry:
                del self.entries[entry.operation]


_REGISTRY = _Registry()


@checked
def register_formula(operation: OpOverloadPacket, formula: Callable[..., Cost]) -> RegisteredFormula:
    """Register what an operation costs, for every trace from now on.

    It comes before one registered with `torch.utils.flop_counter`, which knows multiply-accumulates alone,
    and before PyTorch's tags. The counters that `crosscheck` compares with know only torch's.

    Args:
        operation: All overloads of an operation as PyTorch dispatches it, such as
            `torch.ops.my_library.roi_align`; operations that dispatch others, such as
            `torch.ops.aten.linear`, are never met themselves.
        formula: Called with the operation's own arguments, positional and keyword, those left at their
            default absent, and what it returned as `out_val`, as `register_flop_formula` calls a raw
            formula; meta tensors among them have shapes but no data. It returns an `il.Cost`: `macs`, where 1
            multiplication and 1 addition are 1, and `other_flops`.

    Returns:
        The registered formula: `remove()` takes it out, and so does the end of a `with` block.

    Raises:
        InceptionLabError: It is not an operation, or has a formula already (exit code 2).

    Example:
        The real Fourier transform of N numbers, 2.5 N log2 N operations where N is a power of two, as
        FFTW's benchmark counts it:

        >>> import torch
        >>> import inception_lab as il
        >>> class Spectrum(torch.nn.Module):
        ...     def forward(self, x):
        ...         return torch.fft.rfft(x)
        >>> def real_fourier(x, dim, *_, out_val):
        ...     length = x.shape[dim[-1]]
        ...     return il.Cost(other_flops=5 * x.numel() * (length.bit_length() - 1) // 2)
        >>> il.trace(Spectrum(), (4, 256)).context.complete
        False
        >>> with il.register_formula(torch.ops.aten._fft_r2c, real_fourier):
        ...     sum(op.other_flops for op in il.trace(Spectrum(), (4, 256)).ops)
        20480
    """
    if not isinstance(operation, _OPERATION):
        raise InceptionLabError(
            f"{operation!r} is not an operation of torch.ops",
            hint="pass one such as torch.ops.my_library.my_operation",
        )
    entry = RegisteredFormula(operation, formula)
    if _out_of_place(operation) in FORMULAS or _out_of_place(operation) in FREE_OPS:
        raise InceptionLabError(f"{operation} has a formula already", hint="see inception_lab/formulas")
    if not _REGISTRY.add(entry):
        raise InceptionLabError(f"{operation} has a formula already", hint="remove() that one first")
    return entry


def registered_formulas() -> dict[str, Callable[..., Any]]:
    """Return the formulas of users' own by the name of their operation, registered here or with torch."""
    with_torch = {
        str(packet): formula
        for packet, formula in flop_registry.items()
        if not getattr(formula, "__module__", "").startswith("torch.")
    }
    return with_torch | {str(packet): entry.formula for packet, entry in _REGISTRY.entries.items()}


def formulas_version() -> tuple[object, ...]:
    """Return a value that differs once a formula has been registered or taken out, here or with torch."""
    # torch keeps no count of changes, so its formulas stand for themselves
    return (_REGISTRY.changes, *flop_registry, *flop_registry.values())


def cost_of(func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any], out: Any) -> Cost:
    """Return the cost of one operation.

    A formula of a user's own comes first, then one of the tables, then what is free by name, a formula
    registered with `torch.utils.flop_counter`, PyTorch's tag of element-wise operations, the same
    operation out of place, and what is free by kind. The tables hold for the in-place form of an operation
    too. Where a sparse or nested tensor is read or made, its own tables take the place of the others.

    Args:
        func: The operation.
        args: Its positional arguments; tensors on any device.
        kwargs: Its keyword arguments.
        out: What it returned.

    Raises:
        InceptionLabError: A formula of a user's own failed.
    """
    packet = func.overloadpacket
    base = _out_of_place(packet)
    if entry := _REGISTRY.of(packet) or _REGISTRY.of(base):
        return entry.cost(args, kwargs, out)
    if (cost := _cost_of_other_layouts(func, base, args, out)) is not None:
        return cost
    if formula := FORMULAS.get(base):
        return in_real_macs(formula(args, out), args)
    if base in FREE_OPS or func.is_view:
        return FREE
    if packet in flop_registry:
        return Cost(macs=flop_registry[packet](*args, **kwargs, out_val=out) // 2)
    if torch.Tag.pointwise in func.tags:
        return _element_wise(args, out)
    # beyond the tables, which hold for all overloads, only the same overload has the same arguments
    if base is not packet and (functional := getattr(base, func._overloadname, None)):
        return cost_of(functional, args, kwargs, out)
    return FREE if is_free(func) else Cost(counted=False)


def _cost_of_other_layouts(
    func: OpOverload, packet: OpOverloadPacket, args: Sequence[Any], out: Any
) -> Cost | None:
    """The cost where a tensor is sparse or nested, which its shape does not tell; None elsewhere."""
    if all(tensor.layout is torch.strided and not tensor.is_nested for tensor in tensors_of((*args, out))):
        return None
    if has_sparse(args, out):
        cost = SPARSE_COSTS.cost(func, packet, args, out)
    elif has_nested(args, out) and packet not in SEQUENCES:  # whose formulas know of components
        cost = NESTED_COSTS.cost(func, packet, args, out)
    else:
        return None
    return FREE if not cost.counted and is_free(func) else cost


@cache
def _out_of_place(packet: OpOverloadPacket) -> OpOverloadPacket:
    """The operation of which this one is the in-place form, `squeeze` for `squeeze_`; else itself."""
    # No schema links the two forms, only PyTorch's convention for their names. `ir.operation_name` reads it
    # too, for names in a trace that may come from a file; formulas import nothing of ir.
    namespace, _, name = packet._qualified_op_name.partition("::")
    if namespace != "aten" or not name.endswith("_"):
        return packet
    if not name.endswith("__"):
        return cast("OpOverloadPacket", getattr(aten, name[:-1], packet))
    # Python's operators mark it in front, such as `__irshift__`
    functional = getattr(aten, f"__{name[3:]}", packet) if name.startswith("__i") else packet
    return cast("OpOverloadPacket", functional)
