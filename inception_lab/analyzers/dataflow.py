"""The net as boxes within boxes, and the values that pass between them, for those who draw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inception_lab.analyzers.channel_counts import channel_counts
from inception_lab.ir.module_graph import SOURCE, ModuleGraph, Node, module_graphs
from inception_lab.ir.structure import ROOT
from inception_lab.ir.trace import Trace


@dataclass(frozen=True)
class Flow:
    """A value that passes from one box to the next.

    Attributes:
        source: Place of the box that makes it, or `SOURCE` for one from outside of the box around both.
        target: Place of the box that reads it.
        channels: Of the value.
    """

    source: int
    target: int
    channels: int


@dataclass(frozen=True)
class Box:
    """A module call or an operation, with what runs within it.

    Attributes:
        layer: Path of the module; of an operation the one that runs it.
        call: Number of the call of this module.
        type: Class of the module, or name of the operation.
        is_op: True of an operation.
        shape: Of the first output.
        channels: Of the first output.
        outputs: Number of outputs.
        boxes: What runs within it, in order of execution; empty where it is drawn whole.
        flows: The values between these.
        weighted: Number of layers within it that compute products.
        macs: Multiply-accumulates of an operation; those of a module stand in its rows.
    """

    layer: str
    call: int
    type: str
    is_op: bool
    shape: tuple[int, ...]
    channels: int
    outputs: int = 1
    boxes: tuple[Box, ...] = ()
    flows: tuple[Flow, ...] = ()
    weighted: int = 0
    macs: int = 0

    @property
    def is_chain(self) -> bool:
        """True where each box, and each within these, reads from the one before it alone."""
        in_order = all(flow.source == flow.target - 1 for flow in self.flows)
        return in_order and all(box.is_chain for box in self.boxes)


def dataflow(trace: Trace) -> Box:
    """Return the model as boxes within boxes, down to single modules and operations.

    Args:
        trace: Of any mode; its forward pass counts.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> block = next(box for box in dataflow(trace).boxes if box.layer == "inception3a")
        >>> [(box.type, box.shape[1]) for box in block.boxes][-2:]
        [('Sequential', 32), ('cat', 256)]
    """
    return _Boxes(trace).of_call(0)


class _Boxes:
    def __init__(self, trace: Trace) -> None:
        self.trace, self.graphs = trace, module_graphs(trace)
        self.channels = channel_counts(trace)
        self.products = {op.call for op in trace.ops if op.phase == "forward" and op.macs}

    def of_call(self, call_id: int) -> Box:
        call, graph = self.trace.calls[call_id], self.graphs.get(call_id, ModuleGraph((), ()))
        boxes = tuple(self._of_node(node) for node in graph.nodes)
        flows = tuple(Flow(e.source, e.target, self.channels[e.value]) for e in graph.edges)
        own = int(call_id in self.products) if not boxes else 0
        return Box(
            call.path or ROOT, call.number, call.type, False, *self._size(call.outputs), boxes, flows,
            own + sum(box.weighted for box in boxes),
        )  # fmt: skip

    def _of_node(self, node: Node) -> Box:
        if node.op is None:
            return self.of_call(node.call)
        op, call = self.trace.ops[node.op], self.trace.calls[node.call]
        return Box(
            call.path or ROOT, call.number, op.base_name, True, *self._size(op.writes),
            weighted=int(op.macs > 0), macs=op.macs,
        )  # fmt: skip

    def _size(self, values: Sequence[int]) -> tuple[tuple[int, ...], int, int]:
        """Shape and channels of the first of several values, and their number."""
        if not values:
            return (), 1, 0
        return self.trace.values[values[0]].shape, self.channels[values[0]], len(values)


__all__ = ["SOURCE", "Box", "Flow", "dataflow"]
