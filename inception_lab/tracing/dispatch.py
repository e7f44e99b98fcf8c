"""Executors of dispatched operations: by a cache, by shape rules, or by the kernel itself."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from inception_lab.formulas.registry import Cost, cost_of, formulas_version
from inception_lab.ir.trace import TENSOR
from inception_lab.running import torch_internals
from inception_lab.running.layouts import Layout, forget_layouts, layout_of
from inception_lab.tracing.dtype_checks import check_dtypes
from inception_lab.tracing.empty_axes import check_empty_axes
from inception_lab.tracing.kernel_layouts import RULES, cpu_layouts
from inception_lab.tracing.shape_rules import OutputLayouts, output_layouts

if TYPE_CHECKING:
    from torch._ops import OpOverload

Key = tuple[Any, ...]
CACHE_LIMIT = 1 << 15


def _check_convolution(*args: Any) -> None:
    torch_internals.select_convolution_backend(*args, bias_sizes=None)


CHECKS: Mapping[OpOverload, Callable[..., None]] = MappingProxyType(
    {torch.ops.aten.convolution.default: _check_convolution}
)
"""Refuse arguments that the kernels of real devices refuse, where a meta kernel may take them.

PyTorch 2.11 makes an empty tensor of a convolution whose kernel is larger than its input along some axes.
"""


class KnownOperation(NamedTuple):
    """An operation on arguments of these layouts and values.

    Attributes:
        func: The overload; held, so that its identity can stand for it in the cache.
        name: Its name.
        outputs: Layouts of the outputs; None where the operation has to run, because its outputs
            share storage with its inputs.
        args: The arguments that are not tensors, by name.
        cost: What one run costs.
        writes_to: Place and name of each argument that it writes to.
        returns_first: True where it writes to its first argument element by element and returns it, which
            on meta changes nothing.
    """

    func: OpOverload
    name: str
    outputs: Layout | tuple[Layout | None, ...] | None
    args: tuple[tuple[str, Any], ...]
    cost: Cost
    writes_to: tuple[tuple[int, str], ...]
    returns_first: bool


class KernelExecutor:
    """Runs every operation by its own kernel, on meta or for real; tests compare the caching one with it."""

    def __call__(
        self, func: OpOverload, key: Key, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[KnownOperation, Any]:
        """Run one operation; returns what there is to know of it, and its output."""
        del key
        out = _as_on_cpu(func, args, func(*args, **kwargs))
        return _describe(func, args, kwargs, None, out), out


class FakeExecutor(KernelExecutor):
    """Runs every operation by its own kernel on tensors without data, element types checked first."""

    def __init__(self) -> None:
        self._checked: set[Key] = set()

    def __call__(
        self, func: OpOverload, key: Key, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[KnownOperation, Any]:
        """Run one operation; returns what there is to know of it, and its output."""
        if _is_new(key, self._checked):
            check_dtypes(func, args, kwargs)
        if _is_fused_step(func):
            return _describe(func, args, kwargs, None, None), None
        return super().__call__(func, key, args, kwargs)


def _is_new(key: Key, keys: set[Key]) -> bool:
    """Tell if a key is not among these, and add it; False where it cannot be hashed."""
    try:
        size = len(keys)
        keys.add(key)
    except TypeError:
        return False
    return len(keys) > size


class CachingExecutor:
    """Asks a cache first, then the shape rules, then the kernel.

    Views always run, and in-place work that may move data.
    """

    def __init__(self) -> None:
        self.cache: dict[Key, KnownOperation] = {}
        self.formulas_version = formulas_version()

    def __call__(
        self, func: OpOverload, key: Key, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[KnownOperation, Any]:
        """Run one operation; returns what there is to know of it, and its output."""
        try:
            operation = self.cache.get(key)
        except TypeError:  # an argument that cannot be hashed
            return KernelExecutor()(func, key, args, kwargs)
        if operation is None:
            return self._first_time(func, key, args, kwargs)
        outputs = operation.outputs
        if outputs is None:
            return operation, args[0] if operation.returns_first else _run(func, args, kwargs)
        return operation, outputs.make() if isinstance(outputs, Layout) else _make(outputs)

    def _first_time(
        self, func: OpOverload, key: Key, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[KnownOperation, Any]:
        layouts: OutputLayouts = output_layouts(func, args, kwargs)
        if layouts is None:
            check_dtypes(func, args, kwargs)
        if layouts is None and not func._schema.is_mutable and not func.is_view:
            layouts = _probe_layouts(func, args, kwargs)
        out = _run(func, args, kwargs) if layouts is None else _make(layouts)
        operation = self.cache[key] = _describe(func, args, kwargs, layouts, out)
        return operation, out


def _run(func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Run a kernel, or what comes of one that meta tensors have not."""
    tensors = tensors_in(args[:1])
    if _is_fused_step(func) and tensors and all(tensor.is_meta for tensor in tensors):
        return None
    return func(*args, **kwargs)


def _is_fused_step(func: OpOverload) -> bool:
    """True for the kernels of a whole step of an optimizer, which change numbers alone and return nothing."""
    return func.overloadpacket.__name__.startswith("_fused_") and not func._schema.returns


def forget_when_full() -> None:
    """Start afresh where traces of many shapes have filled the cache; not to be called during a trace."""
    if len(CACHING_EXECUTOR.cache) > CACHE_LIMIT:
        CACHING_EXECUTOR.cache.clear()
        forget_layouts()


def forget_old_costs() -> None:
    """Start afresh where a formula was registered or taken out since; safe within another trace, too."""
    version = formulas_version()
    if version != CACHING_EXECUTOR.formulas_version:
        CACHING_EXECUTOR.cache.clear()
        CACHING_EXECUTOR.formulas_version = version


def _probe_layouts(func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> OutputLayouts:
    """The outputs' layouts by running the kernel on stand-ins, None where it has to run for real.

    The first run of a kernel written in Python may import modules, and an error caught on the way
    leaves cycles that hold the frames of all callers with the tensors in them. These cycles are
    collected at once, so that they are not seen in the tensors' lifetimes.
    """
    tensors = tensors_in((*args, *kwargs.values()))
    # tensors with data: the model may read what comes of them, so that it has to be computed
    if tensors and not any(tensor.is_meta for tensor in tensors):
        return None
    probe_args = _meta_copies(args)
    probe_kwargs = dict(zip(kwargs, _meta_copies(tuple(kwargs.values())), strict=True))
    modules_before = len(sys.modules)
    # before the kernel, whose meta version may take what those of real devices refuse
    if check := CHECKS.get(func):
        check(*probe_args, **probe_kwargs)
    out = _as_on_cpu(func, probe_args, func(*probe_args, **probe_kwargs))
    check_empty_axes(func, probe_args, out)
    layouts = _fresh_layouts(out, (*probe_args, *probe_kwargs.values()))
    if len(sys.modules) > modules_before:
        gc.collect()
    return layouts


def _meta_copies(args: Sequence[Any]) -> list[Any]:
    """The arguments with a new meta tensor for each tensor."""
    return [
        torch.empty_strided(arg.shape, arg.stride(), dtype=arg.dtype, device="meta")
        if isinstance(arg, Tensor)
        else _meta_copies(arg)
        if isinstance(arg, (list, tuple))
        else arg
        for arg in args
    ]


def _as_on_cpu(func: OpOverload, args: Sequence[Any], out: Any) -> Any:
    """The outputs of a meta or fake kernel, laid out as by the CPU's; those of the CPU's own as they are."""
    if func not in RULES:
        return out
    outputs = out if isinstance(out, tuple) else (out,)
    layouts = tuple(None if t is None else layout_of(t) for t in outputs)
    cpu = cpu_layouts(func, args, layouts)
    sources = {t.untyped_storage()._cdata for t in tensors_in(args)}
    tensors = tuple(
        # a kernel never returns one tensor twice, nor a view of an argument, as decompositions do
        tensor
        if layout is other and not _is_among(tensor, outputs[:place]) and not _lies_in(tensor, sources)
        else other and other.make()
        for place, (tensor, layout, other) in enumerate(zip(outputs, layouts, cpu, strict=True))
    )
    return tensors if isinstance(out, tuple) else tensors[0]


def _is_among(tensor: Tensor | None, others: Sequence[Tensor | None]) -> bool:
    return tensor is not None and any(tensor is other for other in others)


def _lies_in(tensor: Tensor | None, storages: Set[int]) -> bool:
    return tensor is not None and tensor.untyped_storage()._cdata in storages


def _make(layouts: Layout | tuple[Layout | None, ...]) -> Any:
    if isinstance(layouts, Layout):
        return layouts.make()
    return tuple([x.make() if x is not None else None for x in layouts])


def _describe(
    func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any], outputs: OutputLayouts, out: Any
) -> KnownOperation:
    cost = cost_of(func, args, kwargs, out)
    writes_to = _writes_to(func)
    # on meta such a write changes neither data nor layout, so that from now on its argument is returned
    element_wise = writes_to and torch.Tag.pointwise in func.tags and bool(args)
    returns_first = bool(element_wise) and out is args[0] and isinstance(out, Tensor) and out.is_meta
    return KnownOperation(
        func, str(func), outputs, _plain_args(func, args, kwargs), cost, writes_to, returns_first
    )


@cache
def _writes_to(func: OpOverload) -> tuple[tuple[int, str], ...]:
    return tuple(
        (place, argument.name)
        for place, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    )


def _fresh_layouts(out: Any, args: Sequence[Any]) -> OutputLayouts:
    """The outputs' layouts, where each is a meta tensor alone in a storage that no input shares."""
    outputs = out if isinstance(out, tuple) else (out,)
    tensors = [t for t in outputs if t is not None]
    if not all(isinstance(t, Tensor) and t.is_meta for t in tensors):
        return None
    storages = [t.untyped_storage() for t in tensors]
    addresses = {s._cdata for s in storages}
    inputs = {t.untyped_storage()._cdata for t in tensors_in(args)}
    # From now on a tensor of this layout is made in place of running the kernel, in a storage as large as the
    # layout: a part of a larger storage would then be counted with fewer bytes than it holds.
    exact = all(s.nbytes() == layout_of(t).nbytes for s, t in zip(storages, tensors, strict=True))
    # made anew, outputs that share a storage, or an input's, would be counted twice
    if len(addresses) < len(tensors) or addresses & inputs or not exact:
        return None
    layouts = tuple(None if t is None else layout_of(t) for t in outputs)
    return layouts if isinstance(out, tuple) else layouts[0]


def tensors_in(args: Sequence[Any]) -> list[Tensor]:
    """The tensors among arguments, those in lists and tuples included."""
    tensors: list[Tensor] = []
    for arg in args:
        if isinstance(arg, Tensor):
            tensors.append(arg)
        elif isinstance(arg, (list, tuple)):
            tensors += tensors_in(arg)
    return tensors


@cache
def _argument_names(func: OpOverload) -> tuple[str, ...]:
    return tuple(argument.name for argument in func._schema.arguments)


def _plain_args(func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    by_name = [*zip(_argument_names(func), args, strict=False), *kwargs.items()]
    return tuple([(name, _plain(value)) for name, value in by_name if not _is_in_values_read(value)])


def _is_in_values_read(value: Any) -> bool:
    """True for a tensor, and for a list of them; where None is among these, the values do not tell where."""
    if isinstance(value, (list, tuple)):
        return bool(tensors_in(value)) and not any(x is None for x in value)
    return isinstance(value, Tensor)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(map(_plain, value))
    if isinstance(value, Tensor):
        return TENSOR
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


CACHING_EXECUTOR = CachingExecutor()
"""The process-wide cache: a second trace of a model finds every operation known."""
