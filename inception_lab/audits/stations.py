"""Stations of a net: its weighted layers, pools and joins as the dataflow links them, whatever their names.

Normalisation, activation and dropout belong to the station whose output they alone read. Padding that is an
operation of its own belongs to the window behind it; local response normalisation is one operation, though
PyTorch runs it as many.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from inception_lab.analyzers.receptive_field.axes import NoSpatialAxes
from inception_lab.analyzers.receptive_field.field import fields
from inception_lab.ir.trace import Op, Trace

INPUT = -1
"""Stands for the inputs of a net among the sources of a station."""

CONVOLUTION, TRANSPOSED, LINEAR = "convolution", "transposed convolution", "linear layer"
MAX_POOL, AVERAGE_POOL = "max pool", "average pool"
CONCATENATION, ADDITION = "concatenation", "addition"

Sides = tuple[tuple[int, int], ...]
"""Padding of each axis, before and after."""

_POOLS: Mapping[str, str] = {
    "max_pool2d_with_indices": MAX_POOL,
    "max_pool3d_with_indices": MAX_POOL,
    "mkldnn_max_pool2d": MAX_POOL,
    "adaptive_max_pool2d": MAX_POOL,
    "avg_pool2d": AVERAGE_POOL,
    "avg_pool3d": AVERAGE_POOL,
    "_adaptive_avg_pool2d": AVERAGE_POOL,
    "_adaptive_avg_pool3d": AVERAGE_POOL,
    "mkldnn_adaptive_avg_pool2d": AVERAGE_POOL,
}
_JOINS: Mapping[str, str] = {"cat": CONCATENATION, "add": ADDITION}
_VIEWS = frozenset(
    {
        "view", "_unsafe_view", "reshape", "_reshape_alias", "flatten", "squeeze", "unsqueeze", "expand",
        "permute", "transpose", "t", "clone", "contiguous", "detach", "alias", "_to_copy",
    }
)  # fmt: skip
"""Operations that pass their operand on."""
_LIKE_OPERAND = frozenset(("empty_like", "zeros_like", "ones_like", "full_like"))
"""Operations that take the shape of their operand, and nothing else; with one of these dropout begins."""
_UNREAD = _LIKE_OPERAND | {"detach"}
"""Operations that take nothing out of their operand, or that autograd adds."""

NORMALISATION, ACTIVATION, DROPOUT, OTHER = "normalisation", "activation", "dropout", "other operation"
_LOCAL_RESPONSE = "local response norm"
_FOLLOWERS: Mapping[str, tuple[str, str]] = {
    "native_batch_norm": (NORMALISATION, "batch norm"),
    "native_layer_norm": (NORMALISATION, "layer norm"),
    "native_group_norm": (NORMALISATION, "group norm"),
    "relu": (ACTIVATION, "ReLU"),
    "hardtanh": (ACTIVATION, "hardtanh or ReLU6"),
    "leaky_relu": (ACTIVATION, "leaky ReLU"),
    "_prelu_kernel": (ACTIVATION, "PReLU"),
    "_softmax": (ACTIVATION, "softmax"),
    "_log_softmax": (ACTIVATION, "log-softmax"),
    "native_dropout": (DROPOUT, "dropout"),
    **{
        name: (ACTIVATION, name)
        for name in ("sigmoid", "tanh", "gelu", "silu", "elu", "hardswish", "hardsigmoid", "mish", "softplus")
    },
}


@dataclass(frozen=True)
class Follower:
    """An operation on the output of a station, and nothing else.

    Attributes:
        kind: `normalisation`, `activation`, `dropout` or `other operation`.
        name: Such as `batch norm`.
        eps: Added to the variance; None where there is none.
    """

    kind: str
    name: str
    eps: float | None = None


@dataclass(frozen=True)
class Window:
    """The window of a convolution or pool; empty for what has none.

    Attributes:
        kernel: Its size along each axis.
        stride: Its step.
        dilation: Distance of neighbours in it.
        padding: Of the input, before and after.
        rounds_up: True where it makes one more step for a remainder.
    """

    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    padding: Sides = ()
    rounds_up: bool = False


@dataclass(frozen=True, eq=False)
class Station:
    """A weighted layer, a pool or a join.

    Attributes:
        id: Of its operation.
        kind: Such as `convolution`.
        layer: Path of the module that ran it; empty for the model itself.
        sources: Ids of the stations whose outputs it reads, in the order of its operands.
        window: Of a convolution or pool.
        is_global: True for an average over the whole grid.
        groups: Of a convolution, 1 for everything else.
        has_bias: True where a convolution or linear layer has one.
        input_grid: Sizes of its input but for batch and channels.
        grid: Those of its output.
        channels: Of its output.
        followers: Normalisation, activation and the like behind it, in order.
        params: Elements of its parameters and of those of its followers.
        macs: Multiply-accumulates.
        receptive_field: Of its output; None where there is none that one number says.
    """

    id: int
    kind: str
    layer: str
    sources: tuple[int, ...]
    window: Window
    is_global: bool
    groups: int
    has_bias: bool
    input_grid: tuple[int, ...]
    grid: tuple[int, ...]
    channels: int
    followers: tuple[Follower, ...]
    params: int
    macs: int
    receptive_field: tuple[int, ...] | None

    @property
    def is_weighted(self) -> bool:
        """True for a convolution or linear layer."""
        return self.kind in (CONVOLUTION, TRANSPOSED, LINEAR)


@dataclass(frozen=True, eq=False)
class Net:
    """The stations of a net, in order of execution.

    Attributes:
        stations: By id.
        outputs: Ids of the stations whose outputs the net returns.
    """

    stations: Mapping[int, Station]
    outputs: tuple[int, ...]


def read_net(trace: Trace) -> Net:
    """Return the stations of a traced net.

    Args:
        trace: Of any mode; its forward pass counts.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("nin", device="meta"), (1, 3, 224, 224))
        >>> [(station.kind, station.window.kernel) for station in read_net(trace).stations.values()][:2]
        [('convolution', (11, 11)), ('convolution', (1, 1))]
    """
    reader = _Reader(trace)
    for op in trace.ops:
        if op.phase == "forward":
            reader.read(op)
    return reader.net()


@dataclass
class _Draft:
    """A station while followers still come."""

    op: Op
    kind: str
    sources: tuple[int, ...]
    padding: tuple[int, ...]
    followers: list[Follower] = field(default_factory=list)
    parameters: list[int] = field(default_factory=list)


class _Reader:
    """Goes through the operations of a forward pass in order."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        inputs = {s.id for s in trace.storages if s.kind == "input"}
        self.station_of = {v.id: INPUT for v in trace.values if v.op is None and v.storage in inputs}
        self.drafts: dict[int, _Draft] = {}
        self.explicit_padding: dict[int, tuple[int, ...]] = {}
        self.constants = _Constants(trace)
        self.response_norms = dict(_response_norms(trace))
        self.readers = self._count_readers()
        try:
            self.fields: Mapping[int, Any] = fields(trace)
        except NoSpatialAxes:
            self.fields = {}

    def _count_readers(self) -> Mapping[int, int]:
        readers: dict[int, int] = defaultdict(int)
        for op in self.trace.ops:
            inside = op.id in self.response_norms and self.response_norms[op.id] is None
            if op.phase == "forward" and not inside and op.base_name not in _UNREAD:
                for value in set(op.reads):
                    readers[value] += 1
        return readers

    def read(self, op: Op) -> None:
        """Make a station of an operation, or make it a part of one."""
        operands = [*dict.fromkeys(value for value in op.reads if value in self.station_of)]
        inside_norm = op.id in self.response_norms and self.response_norms[op.id] is None
        if not operands or inside_norm or op.base_name in _LIKE_OPERAND:
            self.constants.read(op)
        elif op.id in self.response_norms:
            self._follow(op, self.response_norms[op.id] or 0, Follower(NORMALISATION, _LOCAL_RESPONSE))
        elif op.base_name in _VIEWS:
            self._pass_on(op, operands[0], self.explicit_padding.get(operands[0], ()))
        elif op.base_name == "constant_pad_nd":
            before = self.explicit_padding.get(operands[0], ())
            self._pass_on(op, operands[0], _added(before, op.arg("pad", ())))
        elif op.writes:  # a check of values gives nothing
            self._compute(op, operands)

    def _compute(self, op: Op, operands: Sequence[int]) -> None:
        kind = self._kind(op, operands)
        if kind:
            self._station(op, kind, operands)
        else:
            self._follow(op, operands[0], self._follower(op))

    def _kind(self, op: Op, operands: Sequence[int]) -> str:
        """The kind of station that an operation makes; empty for one that may follow a station."""
        if op.macs and len(operands) == 1:
            if op.base_name != CONVOLUTION:
                return LINEAR
            return TRANSPOSED if op.arg("transposed") else CONVOLUTION
        if op.base_name in _POOLS:
            return _POOLS[op.base_name]
        if op.base_name == "mean" and self._is_over_grid(op):
            return AVERAGE_POOL
        return _JOINS.get(op.base_name, op.base_name) if len(operands) > 1 else ""

    def _is_over_grid(self, op: Op) -> bool:
        rank = len(self.trace.values[op.reads[0]].shape)
        return {dim % rank for dim in op.arg("dim") or ()} == {*range(2, rank)} and rank > 2

    def _follower(self, op: Op) -> Follower:
        if op.base_name == "mul" and self.constants.are_random(op.reads):
            return Follower(DROPOUT, "dropout")
        kind, name = _FOLLOWERS.get(op.base_name, (OTHER, op.base_name))
        return Follower(kind, name, op.arg("eps") if kind == NORMALISATION else None)

    def _pass_on(self, op: Op, operand: int, padding: tuple[int, ...]) -> None:
        for value in op.writes:
            self.station_of[value] = self.station_of[operand]
            if padding:
                self.explicit_padding[value] = padding

    def _follow(self, op: Op, operand: int, follower: Follower) -> None:
        # of two readers of one value, each sees it without the other
        station = self.drafts.get(self.station_of[operand])
        if station is None or self.readers[operand] > 1:
            self._station(op, follower.name, [operand])
            return
        station.followers.append(follower)
        station.parameters += self.constants.parameters_of(op.reads)
        self._pass_on(op, operand, ())

    def _station(self, op: Op, kind: str, operands: Sequence[int]) -> None:
        sources = [source for value in operands for source in self._sources(kind, value)]
        padding = self.explicit_padding.get(operands[0], ())
        parameters = self.constants.parameters_of(op.reads)
        self.drafts[op.id] = _Draft(op, kind, tuple(sources), padding, [], parameters)
        self.station_of.update(dict.fromkeys(op.writes, op.id))

    def _sources(self, kind: str, value: int) -> tuple[int, ...]:
        """The station behind an operand; for a concatenation within another one, those behind it."""
        source = self.station_of[value]
        inner = self.drafts.get(source)
        if inner is None or not kind == inner.kind == CONCATENATION:
            return (source,)
        is_part = not inner.followers and self.readers[value] == 1 and inner.op.args == inner.op.args
        return self.drafts.pop(source).sources if is_part else (source,)

    def net(self) -> Net:
        """The stations, complete."""
        returned = self.trace.calls[0].outputs if self.trace.calls else ()
        outputs = dict.fromkeys(self.station_of[value] for value in returned if value in self.station_of)
        params = self._params_by_station()
        stations = {id: self._finished(draft, params[id]) for id, draft in self.drafts.items()}
        return Net(stations, tuple(outputs))

    def _params_by_station(self) -> Mapping[int, int]:
        """Elements of parameters, each at the station that reads it first."""
        by_station: dict[int, int] = defaultdict(int)
        counted: set[int] = set()
        for id, draft in self.drafts.items():
            for value in draft.parameters:
                storage = self.trace.values[value].storage
                if storage not in counted:
                    counted.add(storage)
                    by_station[id] += prod(self.trace.values[value].shape)
        return by_station

    def _finished(self, draft: _Draft, params: int) -> Station:
        op, values = draft.op, self.trace.values
        source, output = values[self._data_operand(op)].shape, values[op.writes[0]].shape
        window = self._window(draft, len(output) - 2)
        padded = _sides(draft.padding, max(len(source) - 2, 0))
        input_grid = tuple(n - a - b for n, (a, b) in zip(source[2:], padded, strict=True))
        seen = self.fields.get(op.writes[0])
        return Station(
            op.id, draft.kind, self.trace.calls[op.call].path, draft.sources, window,
            self._is_global(draft, window, input_grid, output[2:]), op.arg("groups", 1),
            self._has_bias(op), input_grid, output[2:], output[1] if len(output) > 1 else 1,
            tuple(draft.followers), params, op.macs, seen.receptive_field if seen else None,
        )  # fmt: skip

    def _data_operand(self, op: Op) -> int:
        return next(value for value in op.reads if value in self.station_of)

    def _has_bias(self, op: Op) -> bool:
        if op.base_name == CONVOLUTION:
            return len(op.reads) > 2
        return op.base_name == "addmm"

    def _is_global(
        self, draft: _Draft, window: Window, input_grid: tuple[int, ...], grid: tuple[int, ...]
    ) -> bool:
        if draft.kind != AVERAGE_POOL or prod(grid) != 1:
            return False
        return not window.kernel or (window.kernel == input_grid and not any(map(any, window.padding)))

    def _window(self, draft: _Draft, rank: int) -> Window:
        op = draft.op
        kernel = op.arg("kernel_size", ())
        if op.base_name == CONVOLUTION:
            kernel = self.trace.values[op.reads[1]].shape[2:]
        if not kernel:
            return Window()
        kernel = _per_axis(kernel, rank)
        own = _per_axis(op.arg("padding", 0), rank)
        explicit = _sides(draft.padding, rank)
        padding = tuple((p + a, p + b) for p, (a, b) in zip(own, explicit, strict=True))
        stride = _per_axis(op.arg("stride") or kernel, rank)
        dilation = _per_axis(op.arg("dilation", 1), rank)
        return Window(kernel, stride, dilation, padding, bool(op.arg("ceil_mode", False)))


class _Constants:
    """The values that no input reaches: the parameters that each is made of, and those that are random."""

    def __init__(self, trace: Trace) -> None:
        kinds = {s.id: s.kind for s in trace.storages}
        self.parameters = {
            v.id: [v.id] for v in trace.values if v.op is None and kinds[v.storage] == "parameter"
        }
        self.random: set[int] = set()

    def read(self, op: Op) -> None:
        """Note what an operation on constants makes."""
        parameters = self.parameters_of(op.reads)
        self.parameters.update((value, parameters) for value in op.writes)
        if op.base_name == "bernoulli" or self.are_random(op.reads):
            self.random |= {*op.writes}

    def parameters_of(self, values: Iterable[int]) -> list[int]:
        """The values of the parameters that some values are made of."""
        return [parameter for value in values for parameter in self.parameters.get(value, ())]

    def are_random(self, values: Iterable[int]) -> bool:
        """True where one of these values was drawn."""
        return not self.random.isdisjoint(values)


def _response_norms(trace: Trace) -> Iterator[tuple[int, int | None]]:
    """The operations of local response normalisation: the last with what is normalised, the others with None.

    PyTorch divides a tensor by a power of the average of its squares over neighbouring channels.
    """
    for op in trace.ops:
        if op.phase == "forward" and op.base_name == "div" and len(op.reads) == 2:
            inside = _operations_between(trace, *op.reads)
            names = {trace.ops[id].base_name for id in inside}
            if "pow" in names and names & {"avg_pool2d", "avg_pool3d"}:
                yield from ((id, None) for id in inside)
                yield op.id, op.reads[0]


def _operations_between(trace: Trace, source: int, value: int) -> set[int]:
    """The operations by which a value is made of another; nothing where it is made of others, too."""
    inside: set[int] = set()
    pending = [value]
    while pending:
        current = pending.pop()
        if current == source:
            continue
        producer = trace.values[current].op
        if producer is None or trace.values[source].op is None or producer <= (trace.values[source].op or 0):
            return set()
        if producer not in inside:
            inside.add(producer)
            pending += trace.ops[producer].reads
    return inside


def _per_axis(sizes: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """One size for each axis, of one that stands for all."""
    if isinstance(sizes, int):
        return (sizes,) * rank
    return tuple(sizes) if len(sizes) == rank else (sizes[0],) * rank


def _sides(pad: Sequence[int], rank: int) -> Sides:
    """Padding of each axis, of what `constant_pad_nd` takes: the last axis first."""
    pairs = [(pad[n], pad[n + 1]) for n in range(0, len(pad), 2)][:rank]
    return (*reversed([*pairs, *[(0, 0)] * (rank - len(pairs))]),)


def _added(first: Sequence[int], second: Sequence[int]) -> tuple[int, ...]:
    length = max(len(first), len(second))
    return tuple(sum(pad[n] if n < len(pad) else 0 for pad in (first, second)) for n in range(length))
