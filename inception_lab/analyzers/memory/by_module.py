"""Memory at the peak by module."""

from __future__ import annotations

import numpy as np
from pandas import DataFrame

from inception_lab.analyzers.memory.peak import peak_memory
from inception_lab.analyzers.memory.timeline import KINDS
from inception_lab.arguments import checked
from inception_lab.ir.once import table_once_per_trace
from inception_lab.ir.structure import ROOT, check_depth, module_at_depth
from inception_lab.ir.trace import Trace

_NAME_PARTS = {"parameters": 1, "buffers": 1, "optimizer_state": 2}
"""Parts of a tensor's name that stand after the module that owns it: `weight`, `weight.exp_avg`."""


@checked
@table_once_per_trace
def memory_by_module(
    trace: Trace, depth: int = 1, device: str = "cpu", rounding: int | None = None
) -> DataFrame:
    """Sum up what is alive at the peak, by the module that made it.

    Args:
        trace: Of any mode.
        depth: Levels below the model at which a module may stand; deeper layers count towards it.
        device: A key of `devices.DEVICES`: `cpu` or `cuda`.
        rounding: Each storage takes a multiple of so many bytes, those of the device's allocator by default.

    Returns:
        A row per module, the largest first: `module`, the bytes of each of `KINDS`, and their sum `bytes`.
        Parameters, their gradients and what an optimizer keeps count to the module that owns them.

    Raises:
        InceptionLabError: There are no rules for the device, or depth or rounding is below 1 (exit code 2).

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> int(memory_by_module(trace).set_index("module").loc["norm2", "bytes"])
        7225344
    """
    check_depth(depth)  # also where nothing is alive
    tensors = peak_memory(trace, device, rounding).tensors
    owners = [_owner(name, kind) for name, kind in zip(tensors["layer"], tensors["kind"], strict=True)]
    modules = [module_at_depth(owner, depth) for owner in owners]
    table = tensors.assign(module=modules).pivot_table(
        index="module", columns="kind", values="bytes", aggfunc="sum", fill_value=0
    )
    # every kind is a column, also one of which nothing is alive
    table = table.reindex(columns=list(KINDS), fill_value=0).astype(np.int64)
    table["bytes"] = table.sum(axis=1)
    return table.sort_values("bytes", ascending=False, kind="stable").reset_index()


def _owner(name: str, kind: str) -> str:
    """The module that a tensor belongs to, by the name that it has in `PeakMemory.tensors`."""
    if kind == "inputs":
        return "(inputs)"
    # other kinds already go by the path of a layer
    parts = _NAME_PARTS.get(kind, 0)
    return (name.rsplit(".", parts)[0] if name.count(".") >= parts else ROOT) if parts else name
