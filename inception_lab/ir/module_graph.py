"""The dataflow of a forward pass, module by module: what feeds what within each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Op, Trace, Value

SOURCE = -1
"""Stands among the edges of a module for what comes from outside of it."""

_VIEWS = frozenset(
    ("view", "reshape", "_unsafe_view", "alias", "detach", "t", "transpose", "permute", "unsqueeze",
     "squeeze", "expand", "as_strided", "contiguous", "clone", "_to_copy", "lift_fresh", "flatten",
     "unflatten", "select", "slice")
)  # fmt: skip
"""Operations on one value that compute nothing, which the edge behind them passes over."""


@dataclass(frozen=True)
class Node:
    """A module call, or an operation that the model or a module with children runs itself.

    Attributes:
        call: The call; of an operation, the one that it belongs to.
        op: The operation, None for a call.
    """

    call: int
    op: int | None = None


@dataclass(frozen=True)
class Edge:
    """A value that one node makes and another one reads.

    Attributes:
        source: Place of the maker among the nodes, or `SOURCE`.
        target: Place of the reader.
        value: The value.
    """

    source: int
    target: int
    value: int


@dataclass(frozen=True)
class ModuleGraph:
    """The nodes and edges within one module call.

    Attributes:
        nodes: In order of execution.
        edges: Each once, in order of execution of their readers.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@once_per_trace
def module_graphs(trace: Trace) -> Mapping[int, ModuleGraph]:
    """Return what runs within the model and each call that calls others, by the call's id.

    Args:
        trace: Of any mode; its forward pass counts.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> module = next(call for call in trace.calls if call.path == "inception3a")
        >>> graph = module_graphs(trace)[module.id]
        >>> [trace.calls[node.call].path if node.op is None else "cat" for node in graph.nodes]
        ['inception3a.branch1', 'inception3a.branch2', 'inception3a.branch3', 'inception3a.branch4', 'cat']
        >>> [(edge.source, edge.target) for edge in graph.edges]
        [(-1, 0), (-1, 1), (-1, 2), (-1, 3), (0, 4), (1, 4), (2, 4), (3, 4)]
    """
    return MappingProxyType(_Builder(trace).graphs())


class _Builder:
    """Walks through the operations, and puts each value into the module within which it passes."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        # the model is one even where it calls no module: what runs in it is all that there is to draw
        self.parents = {call.parent for call in trace.calls if call.executed} | {0}
        self.nodes: dict[int, dict[Node, int]] = {}
        self.edges: dict[int, dict[Edge, None]] = {}
        weights = {s.id for s in trace.storages if s.kind in ("parameter", "buffer")}
        self.weights = {value.id for value in trace.values if value.storage in weights}
        self.chains: dict[int, tuple[int, ...]] = {}

    def graphs(self) -> dict[int, ModuleGraph]:
        for op in self.trace.ops:
            if op.phase != "forward":
                break
            if not self._passed_over(op):
                self._add(op)
        return {
            call: ModuleGraph(tuple(nodes), tuple(self.edges.get(call, ())))
            for call, nodes in self.nodes.items()
        }

    def _add(self, op: Op) -> None:
        path = self._path(op)
        for outer, node in pairwise(path):
            self.nodes.setdefault(outer.call, {}).setdefault(node, len(self.nodes.get(outer.call, ())))
        for value in op.reads:
            if value not in self.weights:
                self._connect(self.trace.values[value], path)

    def _connect(self, value: Value, path: tuple[Node, ...]) -> None:
        """An edge within each module that a value enters on its way to the operation at the end of a path."""
        value = self._origin(value)
        maker = self._path(self.trace.ops[value.op]) if value.op is not None else path[:1]
        shared = next((n for n, (a, b) in enumerate(zip(maker, path, strict=False)) if a != b), None)
        if shared is None:
            shared = min(len(maker), len(path))
        for depth in range(max(shared, 1), len(path)):
            outer = path[depth - 1].call
            places = self.nodes[outer]
            inside = depth == shared and len(maker) > depth
            source = places[maker[depth]] if inside else SOURCE
            if source != places[path[depth]]:
                self.edges.setdefault(outer, {})[Edge(source, places[path[depth]], value.id)] = None

    def _origin(self, value: Value) -> Value:
        """The value that this one is a view of, as far as the operations between are passed over."""
        while value.op is not None and self._passed_over(op := self.trace.ops[value.op]):
            value = self.trace.values[op.reads[0]]
        return value

    def _passed_over(self, op: Op) -> bool:
        return op.call in self.parents and op.base_name in _VIEWS and len(op.reads) == 1

    def _path(self, op: Op) -> tuple[Node, ...]:
        """The nodes from the model down to the operation, or to the innermost module around it."""
        calls = tuple(Node(call) for call in self._calls(op.call))
        return (*calls, Node(op.call, op.id)) if op.call in self.parents else calls

    def _calls(self, call: int) -> tuple[int, ...]:
        if call not in self.chains:
            self.chains[call] = tuple(reversed([*self._upwards(call)]))
        return self.chains[call]

    def _upwards(self, call: int | None) -> Iterator[int]:
        while call is not None and call >= 0:
            yield call
            call = self.trace.calls[call].parent
