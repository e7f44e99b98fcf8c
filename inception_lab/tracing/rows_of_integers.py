"""Rows of integers that were taken for a shape, or that were not, against what their user meant."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.ir.trace import Trace
from inception_lab.running.inputs import Arguments, is_shape

READS_A_NUMBER = "_local_scalar_dense"
"""The operation behind `item`, `int`, `bool` and `in` of a tensor."""

VALUES_HINT = "a row of integers is taken for a shape: pass one that is not by args= or kwargs="

SHAPES_HINT = "a row of integers in args= or kwargs= reaches the model as it is: put a shape among the inputs"


def refuse_reading(trace: Trace, shapes: Collection[str]) -> None:
    """Refuse a run in which the model's Python code read numbers that are made up, and nothing else.

    Such a model wants the integers themselves rather than a tensor of that shape, as one that asks for
    `i in out_indices` does; what it computed depends on random numbers.

    Args:
        trace: Of a real run.
        shapes: Names of inputs that stand in for a shape.

    Raises:
        InceptionLabError: A number was computed from such an input alone (exit code 3).
    """
    if not shapes:
        return
    sources: dict[int, frozenset[str]] = {}
    for op in trace.ops:
        names = frozenset().union(*(_sources_of(trace, value, sources) for value in op.reads))
        if op.base_name == READS_A_NUMBER and names and names <= set(shapes):
            raise InceptionLabError(
                f"it reads the numbers of {min(names)}, which was given as a shape",
                where=trace.context.model,
                hint=VALUES_HINT,
                exit_code=MODEL_FAILED,
            )
        sources.update(dict.fromkeys(op.writes, names))


def _sources_of(trace: Trace, value: int, sources: dict[int, frozenset[str]]) -> frozenset[str]:
    """Names of the inputs that a value was computed from; an empty one stands for everything else."""
    if value in sources:
        return sources[value]
    storage = trace.storages[trace.values[value].storage]
    return frozenset({storage.name if storage.kind == "input" else ""})


def hint_on_rows(error: Exception, call: Arguments) -> str:
    """The other spelling, where a row of integers may have been meant as what it was not taken for.

    Args:
        error: What the model raised.
        call: The arguments that it was called with.

    Example:
        >>> hint_on_rows(TypeError("argument 'mask' must be Tensor, not tuple"), Arguments(((1, 3),), {}, {}))
        'a row of integers in args= or kwargs= reaches the model as it is: put a shape among the inputs'
    """
    if secondary_shapes(call):
        return VALUES_HINT
    wants_tensor = any(text in str(error) for text in ("must be Tensor", "'tuple' object", "'list' object"))
    return SHAPES_HINT if wants_tensor and any(map(is_shape, [*call.args, *call.kwargs.values()])) else ""


def secondary_shapes(call: Arguments) -> Sequence[str]:
    """Names of the inputs behind the first one that were given as a shape, which may have meant values."""
    first = next(iter(call.tensors), "")
    return [name for name in call.shapes if name != first]
