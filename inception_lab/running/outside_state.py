"""State outside of the attributes of modules that a forward or a hook may change.

A hook collects features in a dictionary of its owner's, a forward counts its calls in a global variable or
in an array. What the code of hooks and of a model's own classes refers to is looked for: closures, globals
by name, defaults, attributes of classes, and the objects there, a few steps deep. Variables, arrays and
generators are put back, and containers that hold tensors without data; what else a program notes in a list or
dictionary of its own, such as what a real run gave, stays there.
"""

from __future__ import annotations

import dis
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from itertools import chain
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from inception_lab.running import torch_internals
from inception_lab.running.pytree import tensors_within
from inception_lab.running.random_numbers import FoundGenerator, find_generator
from inception_lab.running.stand_ins import is_fake

DEEPEST = 4
"""Steps from a function or a module to what is looked for."""

MOST_ITEMS = 10_000
"""Of a container whose items are looked at; a larger one is put back itself."""

MOST_BYTES = 2**26
"""Of an array or a tensor that is copied, outside of a model's attributes."""

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_LIBRARIES = ("site-packages", "dist-packages")
_OF_OTHERS = frozenset({*sys.stdlib_module_names, "torch", "numpy", "inception_lab"}) - {"__main__"}
_ATOMS = frozenset({int, float, complex, str, bytes, bool, type(None), torch.Size, torch.dtype, torch.device})
_MODULE_ATTRIBUTES = frozenset(vars(nn.Module()))

Undo = Callable[[], None]


class _Names(NamedTuple):
    """The global names in a piece of code and in the functions within it."""

    read: frozenset[str]
    written: frozenset[str]


@cache
def _global_names(code: CodeType) -> _Names:
    read: set[str] = set()
    written: set[str] = set()
    for instruction in dis.get_instructions(code):
        if instruction.opname == "LOAD_GLOBAL":
            read.add(instruction.argval)
        elif instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            written.add(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = _global_names(constant)
            read |= inner.read
            written |= inner.written
    return _Names(frozenset(read), frozenset(written))


@cache
def _is_of_others(home: str) -> bool:
    """True for a module of Python's, of PyTorch's or of another library: its state is its own business."""
    if home.partition(".")[0] in _OF_OTHERS:
        return True
    file = getattr(sys.modules.get(home), "__file__", None) or ""
    return any(name in file for name in _LIBRARIES)


class OutsideState:
    """What a run may change beyond the attributes of modules, as it was before.

    Args:
        modules: Those that run.

    Attributes:
        generators: Those of random numbers that it came across.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._undo: list[Undo] = []
        self._visited: set[int] = set()
        self.generators: list[FoundGenerator] = []
        classes: dict[type, None] = {}
        for module in modules:
            classes |= dict.fromkeys(type(module).__mro__)
            self._visit_attributes(module)
            for function in chain(_hooks(module), filter(None, [module.__dict__.get("forward")])):
                self._visit(function, 0)
        for function in _global_hooks():
            self._visit(function, 0)
        for kind in classes:
            if not _is_of_others(kind.__module__):
                self._visit_class(kind)

    def restore(self) -> None:
        """Put back what has changed."""
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()

    def _visit_attributes(self, module: nn.Module) -> None:
        for name, value in module.__dict__.items():
            if name not in _MODULE_ATTRIBUTES and value.__class__ not in _ATOMS and name != "forward":
                self._visit(value, 1, of_model=True)

    def _visit(self, value: Any, depth: int, of_model: bool = False) -> None:
        kind = value.__class__
        if kind in _ATOMS or depth > DEEPEST or id(value) in self._visited:
            return
        self._visited.add(id(value))
        if isinstance(value, (FunctionType, MethodType, partial)):
            self._visit_function(value, depth)
        elif (undo := _undo_of(value, of_model)) is not None:
            self._undo.append(undo)
            for item in _items(value):
                self._visit(item, depth + 1, of_model)
        elif kind is tuple:
            for item in value:
                self._visit(item, depth, of_model)
        elif not isinstance(value, (type, nn.Module, Tensor)):
            self._visit_other(value, depth, of_model)

    def _visit_other(self, value: Any, depth: int, of_model: bool) -> None:
        if (generator := find_generator(value)) is not None:
            self.generators.append(generator)
            self._undo.append(generator.restore)
        elif not _is_of_others(str(value.__class__.__module__)):
            self._visit_object(value, depth, of_model)

    def _visit_object(self, value: Any, depth: int, of_model: bool) -> None:
        attributes = getattr(value, "__dict__", None)
        if attributes is not None:
            self._visit(attributes, depth, of_model)
        for name in _slots(type(value)):
            if hasattr(value, name):
                item = getattr(value, name)
                self._undo.append(partial(_put_attribute, value, name, item, of_model))
                self._visit(item, depth + 1, of_model)
        if callable(value):
            self._visit(type(value).__call__, depth)

    def _visit_function(self, function: Any, depth: int) -> None:
        if isinstance(function, partial):
            for value in (function.func, *function.args, *function.keywords.values()):
                self._visit(value, depth + 1)
        elif isinstance(function, MethodType):
            self._visit(function.__self__, depth)
            self._visit(function.__func__, depth)
        elif not _is_of_others(str(function.__module__)):
            self._visit_code(function, depth)

    def _visit_code(self, function: FunctionType, depth: int) -> None:
        variables, names = function.__globals__, _global_names(function.__code__)
        for name in names.written:
            self._undo.append(partial(_put_item, variables, name, variables.get(name, _MISSING)))
        values = [variables[name] for name in (*names.read, *names.written) if name in variables]
        values += function.__defaults__ or ()
        values += (function.__kwdefaults__ or {}).values()
        for cell in function.__closure__ or ():
            if (content := _content(cell)) is not _MISSING:
                self._undo.append(partial(_put_content, cell, content))
                values.append(content)
        for value in values:
            self._visit(value, depth + 1)

    def _visit_class(self, kind: type) -> None:
        own = dict(vars(kind))
        self._undo.append(partial(_put_class_attributes, kind, own))
        for name, value in own.items():
            if isinstance(value, (staticmethod, classmethod)):
                value = value.__func__
            if name not in ("__init__", "__dict__", "__weakref__"):
                self._visit(value, 1)


_MISSING: Any = object()


def _hooks(module: nn.Module) -> Iterator[Any]:
    for name in _HOOKS:
        yield from module.__dict__.get(name, {}).values()


def _global_hooks() -> Iterator[Any]:
    for hooks in (
        torch_internals.global_forward_hooks,
        torch_internals.global_forward_pre_hooks,
        torch_internals.global_backward_hooks,
        torch_internals.global_backward_pre_hooks,
    ):
        yield from hooks.values()


def _items(value: Any) -> list[Any]:
    if isinstance(value, (dict, list, set, deque)) and len(value) <= MOST_ITEMS:
        return list(dict.values(value) if isinstance(value, dict) else value)
    return []


def _slots(kind: type) -> Iterator[str]:
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        yield from (slots,) if isinstance(slots, str) else slots


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # an empty cell
        return _MISSING


def _undo_of(value: Any, of_model: bool) -> Undo | None:
    """What puts a container or an array back; None for anything else."""
    if isinstance(value, dict):
        return partial(_put_mapping, value, dict(dict.items(value)), of_model)
    if isinstance(value, (list, deque)):
        return partial(_put_sequence, value, list(value), of_model)
    if isinstance(value, set):
        return partial(_put_set, value, set(value), of_model)
    if isinstance(value, bytearray):
        return partial(_put_bytes, value, bytes(value))
    if isinstance(value, np.ndarray):
        is_small = of_model or value.nbytes <= MOST_BYTES
        return partial(_put_array, value, value.copy()) if is_small and value.flags.writeable else None
    if isinstance(value, Tensor):
        return None if of_model else _undo_of_tensor(value)
    return None


def _undo_of_tensor(tensor: Tensor) -> Undo | None:
    plain = type(tensor) is Tensor and tensor.layout is torch.strided and not tensor.is_meta
    if not plain or tensor.is_inference() or tensor.nbytes > MOST_BYTES:
        return None
    return partial(_put_tensor, tensor, tensor._version, tensor.detach().clone())


def _is_to_be_undone(now: Iterable[Any], before: Iterable[Any], of_model: bool) -> bool:
    """True where contents have changed: any of a model's own, elsewhere those that hold tensors without data.

    A program may well note what was called in a list that it keeps for itself, or what a real run gave.
    Contents are compared by identity, and what has not changed is not touched, as another thread may be at
    work on it.
    """
    items, former_ids = list(now), list(map(id, before))
    if list(map(id, items)) == former_ids:
        return False
    new = set(former_ids)
    return of_model or any(_holds_no_data(item) for item in items if id(item) not in new)


def _holds_no_data(item: Any) -> bool:
    return any(tensor.is_meta or is_fake(tensor) for tensor in tensors_within(item))


def _put_mapping(mapping: dict[Any, Any], before: dict[Any, Any], of_model: bool) -> None:
    now = chain(dict.keys(mapping), dict.values(mapping))
    if _is_to_be_undone(now, chain(before, before.values()), of_model):
        dict.clear(mapping)
        dict.update(mapping, before)


def _put_sequence(sequence: Any, before: list[Any], of_model: bool) -> None:
    if _is_to_be_undone(sequence, before, of_model):
        kind = deque if isinstance(sequence, deque) else list
        kind.clear(sequence)
        kind.extend(sequence, before)


def _put_set(members: set[Any], before: set[Any], of_model: bool) -> None:
    if members != before and (of_model or any(map(_holds_no_data, members - before))):
        set.clear(members)
        set.update(members, before)


def _put_bytes(array: bytearray, before: bytes) -> None:
    array[:] = before


def _put_array(array: Any, before: Any) -> None:
    if array.shape == before.shape and array.flags.writeable:
        array[...] = before


def _put_tensor(tensor: Tensor, version: int, before: Tensor) -> None:
    if tensor._version != version and tensor.shape == before.shape:
        with torch.no_grad():
            tensor.detach().copy_(before)


def _put_attribute(value: Any, name: str, item: Any, of_model: bool) -> None:
    if _is_to_be_undone([getattr(value, name, None)], [item], of_model):
        object.__setattr__(value, name, item)


def _put_item(mapping: dict[str, Any], name: str, item: Any) -> None:
    if item is _MISSING:
        mapping.pop(name, None)
    else:
        mapping[name] = item


def _put_content(cell: CellType, content: Any) -> None:
    if _content(cell) is not content:
        cell.cell_contents = content


def _put_class_attributes(kind: type, before: dict[str, Any]) -> None:
    now = dict(vars(kind))
    for name in now.keys() - before.keys():
        delattr(kind, name)
    for name, value in before.items():
        if now.get(name, _MISSING) is not value:
            setattr(kind, name, value)
