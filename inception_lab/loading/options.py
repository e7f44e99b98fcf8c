"""How a model is named, built and traced, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from inception_lab.ir.trace import Mode

DTYPES = (
    "float32", "float64", "float16", "bfloat16", "complex64", "complex128",
    "int64", "int32", "int16", "int8", "uint8", "bool",
)  # fmt: skip


class InputSize(NamedTuple):
    """The size of one input.

    Attributes:
        sizes: Without the batch.
        dtype: Name of the element type; empty for that of the model.
    """

    sizes: tuple[int, ...]
    dtype: str = ""


@dataclass(frozen=True)
class Tracing:
    """How models are built and traced.

    Attributes:
        kwargs: Keywords of the model.
        input_sizes: One per input; empty for the size on the card, or that the model itself tells.
        batch_size: Images in a batch.
        mode: `eval` or `train`.
        strict: Whether a partial result is a failure.
        meta_only: Whether a model that has to run for real is a failure.
        traceback: Whether to show where a model raised.
        optimizer: Name of the one that ends a training step, None for a step without.
    """

    kwargs: dict[str, Any]
    input_sizes: tuple[InputSize, ...]
    batch_size: int
    mode: Mode
    strict: bool
    meta_only: bool
    traceback: bool
    optimizer: str | None = None
