"""Ceilings as data: what a machine was measured to do at most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from math import inf
from typing import Any

from inception_lab.errors import InceptionLabError

SCHEMA = 1


@dataclass(frozen=True)
class Ceilings:
    """The limits of one machine for one dtype and number of threads, each the best of many runs.

    Attributes:
        machine: Name of the processor or GPU.
        device: `cpu` or `cuda`.
        torch: Version of PyTorch.
        threads: Of PyTorch within an operation.
        dtype: Such as `float32`.
        tf32: True where matrix products and convolutions of float32 may round to TF32, on CUDA.
        precision: The format that float32 may round to in matrix products, and in convolutions, such as
            `ieee, tf32`; `ieee` where it does not.
        seconds: Time budget of the measurement.
        flops_per_s: 2 x MACs per second of the fastest matrix product or 3x3 convolution.
        fastest_product: That product or convolution, and its size.
        bytes_per_s: Bytes read and bytes written per second of a copy in memory.
        copy_bytes: Size of what was copied.
        cache_bytes: Of the last cache before the memory, 0 where it is not known.
        operation_s: Seconds of an element-wise operation on one element, called as a module.
        product_s: Seconds of a convolution of one element by one weight.
    """

    machine: str
    device: str
    torch: str
    threads: int
    dtype: str
    tf32: bool
    precision: str
    seconds: float
    flops_per_s: float
    fastest_product: str
    bytes_per_s: float
    copy_bytes: int
    cache_bytes: int
    operation_s: float
    product_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return the ceilings as plain data."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_dict(cls, data: object) -> Ceilings:
        """Make ceilings of the data that `to_dict` returned.

        Raises:
            InceptionLabError: It is not such data, or a rate is not a positive number.
        """
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
            raise InceptionLabError(f"not ceilings of schema {SCHEMA}", hint="measure them anew")
        for name, kind in _KINDS.items():
            value = data.get(name)
            if type(value) is not kind:
                raise InceptionLabError(f"damaged ceilings: {name} is {value!r}", hint="measure them anew")
        for name in _RATES:
            if not 0 < data[name] < inf:
                raise InceptionLabError(
                    f"damaged ceilings: {name} is {data[name]!r}", hint="measure them anew"
                )
        return cls(**{name: data[name] for name in _KINDS})


_TYPES: Mapping[Any, type] = {"str": str, "int": int, "float": float, "bool": bool}
_KINDS = {field.name: _TYPES[field.type] for field in fields(Ceilings)}
_RATES = ("flops_per_s", "bytes_per_s", "operation_s", "product_s")
