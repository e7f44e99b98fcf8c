"""The Trace and its parts: one run of a model as data, free of tensors, linked by ids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any, Literal, NamedTuple

from inception_lab.errors import InceptionLabError
from inception_lab.files import path_from, write_text
from inception_lab.ir.checks import MOST, check_types, damage
from inception_lab.ir.contents import unpacked
from inception_lab.ir.operation_name import parse_operation_name
from inception_lab.metrics import format_quantity
from inception_lab.short_forms import html_table, subject_of

Phase = Literal["forward", "loss", "backward", "optimizer"]
Mode = Literal["eval", "train"]
Kind = Literal[
    "parameter", "buffer", "gradient", "optimizer state", "input", "activation", "saved", "temporary"
]
SCHEMA = 1
_DIGEST = "digest"
"""Of the rest of a file, which shows damage that no check of types sees, such as another padding."""
TENSOR = "Tensor"
"""Stands for each tensor in a list argument that holds None too, such as the indices of `x[:, index]`."""


class Op(NamedTuple):
    """One operation as PyTorch dispatched it.

    Attributes:
        id: Its place in the order of execution.
        name: The overload, such as `aten.convolution.default`.
        phase: The part of the step in which it ran.
        call: The innermost module call it belongs to; for a backward operation the call whose
            forward made the autograd node, -1 where there is none.
        reads: Ids of the values read, in argument order.
        writes: Ids of the values written.
        args: The arguments that are not tensors, by name; of a list of tensors and None, which are which.
        macs: Multiply-accumulates of convolutions and matrix products.
        other_flops: Operations of everything else, in the forward pass.
        counted: False where no formula knows the operation.
    """

    id: int
    name: str
    phase: Phase
    call: int
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    args: tuple[tuple[str, Any], ...]
    macs: int
    other_flops: int
    counted: bool

    def arg(self, name: str, default: Any = None) -> Any:
        """Return the argument of that name, or `default` where the operation was called without it."""
        return dict(self.args).get(name, default)

    @property
    def base_name(self) -> str:
        """Its name as tables spell it, without overload: `relu` for `aten.relu_.default`."""
        return parse_operation_name(self.name).base

    @property
    def in_place(self) -> bool:
        """True where it writes to its first argument."""
        return parse_operation_name(self.name).in_place


class Value(NamedTuple):
    """One version of a tensor: an in-place operation writes a new value into the same storage.

    Attributes:
        id: Its index in `Trace.values`.
        storage: The storage it lies in.
        op: The operation that wrote it, or None for what existed before the first one.
        shape: Elements along each axis.
        strides: Distance of neighbours along each axis, in elements; -1 of a sparse tensor, which has none.
        offset: First element within the storage.
        dtype: Such as `float32`.
    """

    id: int
    storage: int
    op: int | None
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    dtype: str

    @property
    def is_sparse(self) -> bool:
        """True of a tensor of a sparse layout, whose storage is that of its values."""
        return -1 in self.strides


class Storage(NamedTuple):
    """One block of memory.

    Attributes:
        id: Its index in `Trace.storages`.
        bytes: Its size.
        kind: The purpose of its content.
        name: Path of the parameter or buffer that it belongs to, place of the input, else empty.
        born: The operation that made it, or None where it existed before the first one.
        dies: The operation after which it is released, or None where it outlives the trace.
        device: `cpu` where the model puts it there by name, as `save_on_cpu` does, whatever it runs on; empty
            for the device that the model runs on.
    """

    id: int
    bytes: int
    kind: Kind
    name: str
    born: int | None
    dies: int | None
    device: str = ""


class Call(NamedTuple):
    """One call of one module, or a module that was never called.

    Attributes:
        id: Its index in `Trace.calls`.
        path: Path of the module within the model, empty for the model itself; in parentheses for
            what is not a part of it, such as `(loss)`.
        type: Class of the module.
        number: 0 for the module's first call, 1 for its second.
        parent: The call from within which it was called, or None.
        params: Elements of the module's own parameters, each shared tensor at its first owner only.
        leaf: True where the module has no children.
        executed: False for a module that was never called, and whose parameters no other module used.
        inputs: Values of the tensors passed in.
        outputs: Values of the tensors returned.
        trainable_params: Elements of these parameters that require a gradient.
    """

    id: int
    path: str
    type: str
    number: int
    parent: int | None
    params: int
    leaf: bool
    executed: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    trainable_params: int


class Content(NamedTuple):
    """The numbers in a storage that were there before the first operation, so that none of them makes them.

    Kept for what the forward pass reads of buffers and of constants made of Python's data, such as masks
    and indices, where it is small enough. Weights and inputs have none.

    Attributes:
        storage: The storage.
        data: All of its bytes, packed, see `contents.unpacked`.
    """

    storage: int
    data: str


@dataclass(frozen=True)
class Context:
    """The model, the run and the versions that the numbers of a trace hold for.

    Attributes:
        model: Name of the model.
        input_shapes: One shape per input, batch included.
        mode: `eval` for one inference pass, `train` for forward, loss and backward.
        loss: Name of the differentiated function, or None in eval mode.
        optimizer: Name of the optimizer, or None where the step ends with the backward pass.
        autocast: Element type of autocast, or None without it.
        dtype: Element type of the first floating input, of the parameters where there is none.
        memory_format: `contiguous`, `channels_last` or `strided`, of the first floating input.
        device: Kind of tensors that ran: `meta`, `fake` for those without data that say they are on the
            CPU, or `cpu` for a real run.
        fallback: The reason for which the model could not run on meta; empty where it did.
        torch: Version of PyTorch.
        tool: Name and version of this tool.
        uncounted_ops: Number of runs of each operation that no formula knows.
        notes: What a reader of the figures has to know, a sentence each.
        arguments: Those beside the inputs that are not tensors, such as `out_indices=(1, 3)`.
    """

    model: str
    input_shapes: tuple[tuple[int, ...], ...]
    mode: Mode
    loss: str | None
    optimizer: str | None
    autocast: str | None
    dtype: str
    memory_format: str
    device: str
    fallback: str
    torch: str
    tool: str
    uncounted_ops: Mapping[str, int]
    notes: tuple[str, ...]
    arguments: tuple[str, ...] = ()

    @property
    def batch_size(self) -> int:
        """First axis of the first input, 1 where there is none."""
        return self.input_shapes[0][0] if self.input_shapes and self.input_shapes[0] else 1

    @property
    def complete(self) -> bool:
        """True where every operation could be counted."""
        return not self.uncounted_ops


@dataclass(frozen=True)
class Trace:
    """One run of a model: its operations, values, storages and module calls.

    The ids of operations, values, storages and calls are their places in these tuples.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> sum(op.macs for op in trace.ops)
        1582671872
    """

    context: Context
    ops: tuple[Op, ...]
    values: tuple[Value, ...]
    storages: tuple[Storage, ...]
    calls: tuple[Call, ...]
    contents: tuple[Content, ...] = ()

    def __repr__(self) -> str:
        """The model, the step and how much there is of it."""
        counts = [f"{count} {label}" for label, count in self._counts().items()]
        return f"<{self._subject()}: {', '.join(counts)}>"

    def _repr_html_(self) -> str:
        """The same as a table, for a notebook."""
        return html_table(self._subject(), self._counts())

    def _subject(self) -> str:
        return subject_of("Trace", self.context.model, self.context.input_shapes, self.context.mode)

    def _counts(self) -> dict[str, str]:
        executed = sum(call.executed for call in self.calls)
        macs = sum(op.macs for op in self.ops if op.phase == "forward")
        return {"calls": f"{executed:,}", "ops": f"{len(self.ops):,}", "MACs": format_quantity(macs)}

    def to_dict(self) -> dict[str, Any]:
        """Return the trace as plain data: the context, and each part as its field names and its rows."""
        parts = {name: _table(part, getattr(self, name)) for name, part in _ALL_PARTS.items()}
        return {"schema": SCHEMA, "context": asdict(self.context), **parts}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Trace:
        """Make a trace of the data that `to_dict` returned.

        Raises:
            InceptionLabError: The data is not a trace of this schema, or an id leads nowhere.
        """
        try:
            if data["schema"] != SCHEMA:
                raise InceptionLabError(
                    f"trace of schema {data['schema']!r}, this version reads {SCHEMA}", hint="trace it again"
                )
            facts = {"arguments": [], **data["context"]}  # which a trace of an older version has not
            context = {f.name: _tuples(facts[f.name]) for f in fields(Context)}
            parts = {name: _rows(part, data[name]) for name, part in _PARTS.items()}
            _check_ids(**parts)
            parts |= {name: _rows(part, data[name]) for name, part in _LATER_PARTS.items() if name in data}
            check_types(context.values(), Context, "the context")
            for name, rows in parts.items():
                for place, row in enumerate(rows):
                    check_types(row, _ALL_PARTS[name], f"row {place} of {name}")
            _check_order(parts)
            _check_contents(parts.get("contents", ()), parts["storages"])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            if isinstance(error, InceptionLabError):
                raise
            raise InceptionLabError(f"not a trace: {error!r}", hint="trace the model again") from error
        return cls(Context(**context), **parts)

    def save(self, path: str | Path) -> None:
        """Write the trace as JSON, at once or not at all.

        Raises:
            InceptionLabError: The file cannot be written.
        """
        data = self.to_dict()
        write_text(path_from(path), json.dumps({**data, _DIGEST: _digest(data)}))

    @classmethod
    def load(cls, path: str | Path) -> Trace:
        """Read a trace that `save` wrote.

        Raises:
            InceptionLabError: The file cannot be read, is not a trace of this schema, or is damaged.
        """
        file = path_from(path)
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InceptionLabError(f"cannot be read as a trace: {error}", where=str(file)) from error
        try:
            trace = cls.from_dict(data)
            _check_digest(data)
            return trace
        except InceptionLabError as error:
            raise InceptionLabError(error.what, where=str(file), hint=error.hint) from error


_PARTS: Mapping[str, Any] = {"ops": Op, "values": Value, "storages": Storage, "calls": Call}
_LATER_PARTS: Mapping[str, Any] = {"contents": Content}
"""Parts that traces of earlier versions do not have."""
_LATER_COLUMNS: Mapping[Any, int] = {Storage: 1}
"""Number of columns at the end of a part, with defaults, that traces of earlier versions do not have."""
_ALL_PARTS: Mapping[str, Any] = {**_PARTS, **_LATER_PARTS}


def _table(part: Any, rows: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    return {"columns": list(part._fields), "rows": [list(row) for row in rows]}


def _rows(part: Any, table: Mapping[str, Any]) -> tuple[Any, ...]:
    earlier = part._fields[: len(part._fields) - _LATER_COLUMNS.get(part, 0)]
    if tuple(table["columns"]) not in (part._fields, earlier):
        raise TypeError(f"columns of {part.__name__}: {table['columns']}")
    return tuple(part(*map(_tuples, row)) for row in table["rows"])


def _check_ids(
    ops: Sequence[Op], values: Sequence[Value], storages: Sequence[Storage], calls: Sequence[Call]
) -> None:
    """Refuse rows that are not in the order of their ids, and ids that lead to no row."""
    tables: Mapping[str, Sequence[Any]] = {
        "ops": ops, "values": values, "storages": storages, "calls": calls
    }  # fmt: skip
    for name, rows in tables.items():
        if [row.id for row in rows] != list(range(len(rows))):
            raise damage(f"{name} are not in order")
    links: Mapping[str, set[Any]] = {
        "ops": {value.op for value in values} | {op for s in storages for op in (s.born, s.dies)},
        "values": {id for op in ops for id in (*op.reads, *op.writes)}
        | {id for call in calls for id in (*call.inputs, *call.outputs)},
        "storages": {value.storage for value in values},
        "calls": {op.call for op in ops} | {call.parent for call in calls},
    }
    # what stands for no row: before the first operation or after the last, outside of any call
    nowhere: Mapping[str, set[Any]] = {"ops": {None}, "calls": {None, -1}}
    for name, ids in links.items():
        for id in ids - nowhere.get(name, set()):
            if type(id) is not int or not 0 <= id < len(tables[name]):
                raise damage(f"{name} have no row {id!r}")


def _check_order(parts: Mapping[str, Any]) -> None:
    """Refuse calls before the one around them, storages that die unborn, and strides of other axes."""
    for call in parts["calls"]:
        if call.parent is not None and not 0 <= call.parent < call.id:
            raise damage(f"call {call.id} stands before the call {call.parent} around it")
    for storage in parts["storages"]:
        if storage.dies is not None and storage.dies < (storage.born or 0):
            raise damage(f"storage {storage.id} dies before it is made")
    for value in parts["values"]:
        if len(value.shape) != len(value.strides):
            raise damage(f"value {value.id} has {len(value.shape)} axes and {len(value.strides)} strides")
        # no array of 64-bit numbers has more elements, as of labels of the units
        if prod(value.shape) * 8 >= MOST:
            raise damage(f"value {value.id} has {prod(value.shape):,} elements")


def _check_contents(contents: Sequence[Content], storages: Sequence[Storage]) -> None:
    """Refuse contents of no storage, and those that do not fill it."""
    for storage, data in contents:
        if not storage < len(storages):
            raise damage(f"contents of storage {storage!r}, which is not there")
        try:
            unpacked(data, storages[storage].bytes)
        except ValueError as error:
            raise damage(f"contents of storage {storage}: {error}") from error


def _check_digest(data: Mapping[str, Any]) -> None:
    """Refuse data that is another than was written; that of an older version tells no digest."""
    content = {name: part for name, part in data.items() if name != _DIGEST}
    if data.get(_DIGEST, digest := _digest(content)) != digest:
        raise damage("its content is not what was written")


def _digest(data: Mapping[str, Any]) -> str:
    return sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _tuples(data: Any) -> Any:
    return tuple(map(_tuples, data)) if isinstance(data, list) else data
