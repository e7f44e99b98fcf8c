"""The Record: what was analysed, its totals and its rows; the one thing rendered, saved and compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inception_lab.errors import InceptionLabError

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA = 1
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """The result of an analysis, as plain data.

    Attributes:
        context: What was analysed and how: `tool`, `torch`, `model`, `input_shapes`, `mode`, `dtype`,
            `complete`, in train mode also `loss`.
        totals: Sums by metric name, see `metrics.METRICS`.
        uncounted_ops: Operations that no formula knows: `name` and how often they ran, `count`.
        unexecuted_modules: Paths of modules that were never called.
        layers: A row per layer call.
    """

    context: Mapping[str, Any]
    totals: Mapping[str, int]
    uncounted_ops: tuple[Row, ...]
    unexecuted_modules: tuple[str, ...]
    layers: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """The record as the JSON that other programs read."""
        return {
            "schema": SCHEMA,
            **self.context,
            "totals": dict(self.totals),
            "uncounted_ops": [dict(row) for row in self.uncounted_ops],
            "unexecuted_modules": list(self.unexecuted_modules),
            "layers": [dict(row) for row in self.layers],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Record:
        """The inverse of `to_dict`.

        Raises:
            InceptionLabError: The data is not a record of this schema.
        """
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, Mapping) else type(data).__name__
            raise InceptionLabError(f"no record of schema {SCHEMA}: found {found!r}", hint="write it again")
        _check_kinds(data)
        rest = dict(data)
        del rest["schema"]
        try:
            return cls(
                totals=rest.pop("totals"),
                uncounted_ops=tuple(rest.pop("uncounted_ops")),
                unexecuted_modules=tuple(rest.pop("unexecuted_modules")),
                layers=tuple(rest.pop("layers")),
                context=rest,
            )
        except (KeyError, TypeError) as error:
            raise InceptionLabError(f"damaged record: {error!r}", hint="write it again") from error

    def with_context(self, **facts: Any) -> Record:
        """The same record with more said of what was analysed."""
        return replace(self, context={**self.context, **facts})

    def to_json(self) -> str:
        """The record as JSON text, the same bytes every time."""
        return _json(self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> Record:
        """Read a record from a JSON file.

        Raises:
            InceptionLabError: The file cannot be read, or holds no record of this schema.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise InceptionLabError(f"cannot be read: {error}", where=str(path)) from error
        return cls.from_dict(data)

    def frame(self) -> DataFrame:
        """The layers as a DataFrame."""
        from pandas import DataFrame

        return DataFrame([{"call": 0} | dict(row) for row in self.layers])


def _check_kinds(data: Mapping[str, Any]) -> None:
    """Refuse parts of another kind than a record has."""
    rows = [*_list(data, "layers"), *_list(data, "uncounted_ops")]
    names = _list(data, "unexecuted_modules")
    totals = data.get("totals")
    numbers = isinstance(totals, Mapping) and all(isinstance(x, (int, float)) for x in totals.values())
    plain = all(isinstance(row, Mapping) for row in rows) and all(isinstance(name, str) for name in names)
    if not (numbers and plain and isinstance(data.get("model"), str)):
        raise InceptionLabError("damaged record", hint="write it again")


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    part = data.get(name)
    if not isinstance(part, list):
        raise InceptionLabError(f"damaged record: {name} is no list", hint="write it again")
    return part


def _json(data: Mapping[str, Any]) -> str:
    """JSON with a line per layer, which people and version control can read."""
    *head, (last, rows) = data.items()
    fields = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in head]
    lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
    fields.append(f"  {json.dumps(last)}: [\n{lines}\n  ]" if rows else f"  {json.dumps(last)}: []")
    return "{\n" + ",\n".join(fields) + "\n}\n"
