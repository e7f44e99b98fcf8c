"""The Record of an analysis: context, totals and rows; the one thing rendered, saved and compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from sys import float_info
from typing import TYPE_CHECKING, Any

from inception_lab.errors import InceptionLabError, nearest
from inception_lab.files import path_from, write_text
from inception_lab.metrics import METRICS
from inception_lab.short_forms import html_table, subject_of, totals_text

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA = 1
Row = Mapping[str, Any]
_FIRST_TOTALS = ("params", "macs", "training_macs", "peak_bytes", "train_peak_bytes")


@dataclass(frozen=True)
class Record:
    """The result of an analysis, as plain data.

    Attributes:
        context: What was analysed and how: `tool`, `torch`, `model`, `input_shapes`, `mode`, `dtype`,
            `complete`, in train mode also `loss`.
        totals: Sums by metric name: the keys of `metrics.METRICS`.
        uncounted_ops: Operations that no formula knows: `name` and how often they ran, `count`.
        unexecuted_modules: Paths of modules that were never called.
        layers: A row per layer call.

    Raises:
        InceptionLabError: A total is not a metric, or not a finite number.

    Example:
        >>> Record({"model": "lenet"}, {"params": 61706}, (), (), ()).to_dict()["totals"]
        {'params': 61706}
    """

    context: Mapping[str, Any]
    totals: Mapping[str, int]
    uncounted_ops: tuple[Row, ...]
    unexecuted_modules: tuple[str, ...]
    layers: tuple[Row, ...]

    def __post_init__(self) -> None:
        for name, total in self.totals.items():
            if name not in METRICS:
                raise InceptionLabError(f"total {name!r} is not a metric", hint=nearest(name, METRICS))
            if not _is_plain_number(total):
                raise InceptionLabError(
                    f"total {name!r} is not a finite number: {total!r}", hint="give an int or a float"
                )

    def __repr__(self) -> str:
        """The model, the step and the totals that are read first."""
        totals = totals_text({name: self.totals[name] for name in _FIRST_TOTALS if name in self.totals})
        texts = [f"{text} {name}" for name, text in totals.items()]
        return f"<{self._subject()}: {', '.join([f'{len(self.layers):,} layers', *texts])}>"

    def _repr_html_(self) -> str:
        """The totals as a table, for a notebook."""
        return html_table(self._subject(), {"layers": len(self.layers), **totals_text(self.totals)})

    def _subject(self) -> str:
        model, shapes, mode = (self.context.get(name, "?") for name in ("model", "input_shapes", "mode"))
        return subject_of("Record", model, shapes, mode)

    def to_dict(self) -> dict[str, Any]:
        """Return the record as the JSON that other programs read."""
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
        """Make a record of what `to_dict` returned.

        Raises:
            InceptionLabError: The data is not a record of this schema, or has a total that this version
                does not know.
        """
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
            schema = data.get("schema") if isinstance(data, Mapping) else type(data).__name__
            raise InceptionLabError(f"not a record of schema {SCHEMA}: {schema!r}", hint="write it again")
        _check_parts(data)
        context = {name: value for name, value in data.items() if name not in ("schema", *_PARTS)}
        return cls(
            context=context,
            totals=data["totals"],
            uncounted_ops=tuple(data["uncounted_ops"]),
            unexecuted_modules=tuple(data["unexecuted_modules"]),
            layers=tuple(data["layers"]),
        )

    def with_context(self, **facts: Any) -> Record:
        """Return the record with more facts in its context."""
        return replace(self, context={**self.context, **facts})

    def to_json(self) -> str:
        """Return the record as JSON text, the same bytes every time."""
        return _json(self.to_dict())

    def save(self, path: str | Path) -> None:
        """Write the record as JSON, at once or not at all; `load` reads it.

        Raises:
            InceptionLabError: The file cannot be written.
        """
        write_text(path_from(path), self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Record:
        """Read a record from a JSON file.

        Raises:
            InceptionLabError: The file cannot be read, or holds no record of this schema.
        """
        file = path_from(path)
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InceptionLabError(f"cannot be read: {reason}", where=str(file)) from error
        try:
            return cls.from_dict(data)
        except InceptionLabError as error:
            raise InceptionLabError(error.what, where=str(file), hint=error.hint) from error

    def frame(self) -> DataFrame:
        """Return the layers as a DataFrame, with `call` in every row."""
        from pandas import DataFrame

        return DataFrame([{"call": 0} | dict(row) for row in self.layers])


def _is_plain_number(value: object) -> bool:
    """True for an integer and a finite float; a bool is an integer too, and JSON has no numbers of numpy."""
    # an integer beyond all floats can be neither drawn nor written with a unit
    return (type(value) is int or type(value) is float) and abs(value) <= float_info.max


_PARTS: Mapping[str, type] = {
    "totals": Mapping, "uncounted_ops": list, "unexecuted_modules": list, "layers": list
}  # fmt: skip
"""Fields beside the context, and what each is in JSON."""


_FACTS: Mapping[str, tuple[Any, str]] = {
    "model": (str, "text"),
    "input_shapes": ((list, tuple), "a list"),
    "mode": (str, "text"),
    "complete": (bool, "true or false"),
}
"""Facts of the context without which no table shows a record: their types, and these in words."""


def _check_parts(data: Mapping[str, Any]) -> None:
    """Refuse parts that are missing or of another type than `to_dict` writes."""
    for name, kind in _PARTS.items():
        if not isinstance(data.get(name), kind):
            noun = "an object" if kind is Mapping else "a list"
            raise InceptionLabError(f"damaged record: {name} is not {noun}", hint="write it again")
    check_context(data)
    rows = [*data["layers"], *data["uncounted_ops"]]
    texts = data["unexecuted_modules"]
    if not (all(isinstance(row, Mapping) for row in rows) and all(isinstance(text, str) for text in texts)):
        raise InceptionLabError("damaged record", hint="write it again")


def check_context(context: Mapping[str, Any]) -> None:
    """Refuse a context without a fact that tables of models show.

    Raises:
        InceptionLabError: `model`, `mode`, `complete` or `input_shapes` is missing, or of another type than
            `summarise` writes.
    """
    for name, (kind, noun) in _FACTS.items():
        if not isinstance(context.get(name), kind):
            raise InceptionLabError(f"damaged record: {name} is not {noun}", hint="write it again")
    shapes = context["input_shapes"]
    if not all(isinstance(shape, (list, tuple)) and all(type(n) is int for n in shape) for shape in shapes):
        raise InceptionLabError("damaged record: input_shapes are not lists of sizes", hint="write it again")


def _json(data: Mapping[str, Any]) -> str:
    """JSON with a line per layer, which people and version control can read."""
    *head, (last, rows) = data.items()
    fields = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in head]
    lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
    fields.append(f"  {json.dumps(last)}: [\n{lines}\n  ]" if rows else f"  {json.dumps(last)}: []")
    return "{\n" + ",\n".join(fields) + "\n}\n"
