"""Rows as text: aligned for a terminal, as CSV for programs, as Markdown for a page."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import isnan
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any

from inception_lab.errors import InceptionLabError, nearest
from inception_lab.metrics import METRICS

_OF_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""The characters with which a formula may begin."""
# such as an extent from -3 to 9, in which no formula can be
_NUMBERS = re.compile(r"[+-]?[\d .,x+-]*", re.ASCII)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

Rows = Sequence[Mapping[str, Any]]

# an underscore within a word is not markup; headings, rules and lists are where a line begins, and after
# the sign of a list there is a space: +26.5 M and 1.04 are none
_MARKUP = re.compile(
    r"[\\`*<>\[\]|~$]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])|^#|^[+-](?!\S)|^[=-](?=[=-]*\s*$)"
)
_NUMBERED = re.compile(r"^(\d{1,9})([.)])(?!\S)")


def render(rows: Rows, columns: Sequence[str], fmt: str, figures: Collection[str] = ()) -> str:
    """Rows as text that ends in a line break.

    Args:
        rows: A mapping per row; a column that a row lacks, or that is None or NaN, stays empty.
        columns: The columns to show, in this order.
        fmt: A name from `FORMATS`. `table` and `markdown` have headings and thousands separators,
            `csv` the columns' own names and bare numbers. Shapes are written like 1x64x28x28.
        figures: Columns of texts that stand for numbers, such as `+26.5 M`, and so on the right.

    Raises:
        InceptionLabError: The format is not in `FORMATS`.

    Example:
        >>> rows = [{"layer": "conv1", "output_shape": [1, 64, 112, 112], "macs": 118013952}]
        >>> print(render(rows, ["layer", "output_shape", "macs"], "table"), end="")
        Layer  Output shape         MACs
        -----  ------------  -----------
        conv1  1x64x112x112  118,013,952
    """
    if fmt not in FORMATS:
        raise InceptionLabError(f"no format {fmt!r}", hint=nearest(fmt, FORMATS))
    right = [
        name in figures or alone for name, alone in zip(columns, numeric_columns(rows, columns), strict=True)
    ]
    return FORMATS[fmt](rows, columns, right)


class Title(str):
    """The name of a column that is its heading too, such as that of a model."""

    __slots__ = ()


def heading(column: str) -> str:
    """The heading of a column: the metric's label with its unit, a title, else the name in words.

    Example:
        >>> heading("activation_bytes"), heading("naive_macs"), heading(Title("vgg_16"))
        ('Activations (bytes)', 'Naive MACs', 'vgg_16')
    """
    if isinstance(column, Title):
        return one_line(column)
    if column in METRICS:
        metric = METRICS[column]
        unit = {"bytes": " (bytes)", "percent": " (%)", "milliseconds": " (ms)"}.get(metric.unit, "")
        return metric.label + unit
    words = " ".join(METRICS[word].label if word in METRICS else word for word in column.split("_"))
    return words[:1].upper() + words[1:]


def label_within(metric: str) -> str:
    """A metric or column within a sentence.

    Example:
        >>> label_within("macs"), label_within("training_macs"), label_within("self_ms")
        ('MACs', 'training MACs', 'own time')
    """
    label = METRICS[metric].label if metric in METRICS else heading(metric)
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def shape_text(shape: Sequence[Any]) -> str:
    """A shape as 1x64x28x28; several shapes with a space between them.

    Example:
        >>> shape_text((1, 64, 28, 28)), shape_text([[1, 3, 8, 8], [1, 5]]), shape_text(())
        ('1x64x28x28', '1x3x8x8 1x5', '')
    """
    are_shapes = any(isinstance(part, list | tuple) for part in shape)
    return " ".join(map(shape_text, shape)) if are_shapes else "x".join(map(str, shape))


def input_text(context: Mapping[str, Any]) -> str:
    """The shapes of the inputs, and the arguments beside them that are not tensors.

    Example:
        >>> input_text({"input_shapes": [[1, 3, 8, 8]], "arguments": ["out_indices=(1, 3)"]})
        '1x3x8x8, out_indices=(1, 3)'
    """
    return ", ".join([shape_text(context["input_shapes"]), *context.get("arguments", ())])


def step_text(context: Mapping[str, Any]) -> str:
    """The mode, the optimizer and autocast, as far as there are any.

    Example:
        >>> step_text({"mode": "eval"}), step_text({"mode": "train", "optimizer": "adam"})
        ('eval', 'train, adam')
    """
    autocast = context.get("autocast")
    parts = [context["mode"], context.get("optimizer"), f"autocast to {autocast}" if autocast else ""]
    return ", ".join([str(part) for part in parts if part])


def optimizer_text(context: Mapping[str, Any]) -> str:
    """The optimizer of a training run with its numbers.

    Example:
        >>> optimizer_text({"learning_rate": 0.01, "momentum": 0.9})
        'SGD, learning rate 0.01, momentum 0.9'
    """
    momentum = f", momentum {context['momentum']:g}" if context["momentum"] else ""
    return f"SGD, learning rate {context['learning_rate']:g}{momentum}"


def subject_text(context: Mapping[str, Any]) -> str:
    """The model with its keywords, its input with the batch, and the step, in one line.

    Example:
        >>> subject_text({"model": "nin(num_classes=10)", "input_shapes": [[8, 3, 32, 32]], "mode": "train"})
        'nin(num_classes=10), input 8x3x32x32, train'
    """
    return f"{context['model']}, input {input_text(context)}, {step_text(context)}"


def axes_text(axes: Sequence[int], shape: Sequence[int], source: str = "") -> str:
    """The axes along which fields lie, in words.

    Args:
        axes: Dimensions of the source.
        shape: Of the source; empty to leave it out.
        source: Path of the layer whose output is the source; empty for the input.

    Example:
        >>> axes_text((2, 3), (1, 3, 224, 224)), axes_text((1,), (1, 128, 64), "encoder.norm")
        ('axes 2 and 3 of the input 1x3x224x224', 'axis 1 of the output 1x128x64 of encoder.norm')
    """
    *others, last = map(str, axes)
    names = f"axes {', '.join(others)} and {last}" if others else f"axis {last}"
    value = f"the output {shape_text(shape)} of {source}" if source else f"the input {shape_text(shape)}"
    return f"{names} of {value.rstrip()}"


def alike_text(numbers: Sequence[Any]) -> str:
    """A number per axis: one where they are alike, else as a shape.

    Example:
        >>> alike_text([395, 395]), alike_text([11, 19, 19])
        ('395', '11x19x19')
    """
    return str(numbers[0]) if len(set(numbers)) == 1 else shape_text(numbers)


def layers_text(names: Sequence[str]) -> str:
    """Names of layers in short: two of them, or the first and how many more.

    Example:
        >>> layers_text(["gate"]), layers_text(["a.gate", "b.gate"]), layers_text(["a", "b", "c", "d"])
        ('gate', 'a.gate and b.gate', 'a and 3 more')
    """
    return " and ".join(names if len(names) < 3 else [names[0], f"{len(names) - 1} more"])


def times_text(count: int) -> str:
    """The number of times that something ran, in words.

    Example:
        >>> times_text(1), times_text(1200)
        ('once', '1,200 times')
    """
    return "once" if count == 1 else f"{count:,} times"


def _table(rows: Rows, columns: Sequence[str], right: Sequence[bool]) -> str:
    cells = [[one_line(text) for text in line] for line in _cells(rows, columns)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * width for width in widths]
    lines = [_align(line, widths, right) for line in (cells[0], rule, *cells[1:])]
    return "".join(f"{line}\n" for line in lines)


def _markdown(rows: Rows, columns: Sequence[str], right: Sequence[bool]) -> str:
    head, *body = [[escape_markdown(text) for text in line] for line in _cells(rows, columns)]
    rule = ["---:" if to_right else ":---" for to_right in right]
    return "".join(f"{markdown_line(line)}\n" for line in (head, rule, *body))


def markdown_line(cells: Sequence[str]) -> str:
    """Return one line of a Markdown table, of cells that are Markdown."""
    return f"| {' | '.join(cells)} |"


def _csv(rows: Rows, columns: Sequence[str], right: Sequence[bool]) -> str:
    del right  # as nothing is aligned
    lines = [map(_defused, columns), *([_raw(row.get(name)) for name in columns] for row in rows)]
    return "".join(map(_csv_line, lines))


def _csv_line(values: Iterable[str]) -> str:
    text = io.StringIO()
    # a lone carriage return is quoted only where lines end in one
    csv.writer(text, lineterminator="\r\n").writerow(values)
    return text.getvalue().removesuffix("\r\n") + "\n"


FORMATS: Mapping[str, Callable[[Rows, Sequence[str], Sequence[bool]], str]] = MappingProxyType(
    {"table": _table, "csv": _csv, "markdown": _markdown}
)
"""Every format by its name, read-only."""


def _cells(rows: Rows, columns: Sequence[str]) -> list[list[str]]:
    """The headings, then a line of texts per row."""
    lines = [[readable_text(row.get(name), name) for name in columns] for row in rows]
    return [list(map(heading, columns)), *lines]


def _align(line: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = zip(line, widths, right, strict=True)
    return "  ".join(c.rjust(w) if to_right else c.ljust(w) for c, w, to_right in cells).rstrip()


def numeric_columns(rows: Rows, columns: Sequence[str]) -> list[bool]:
    """True for each column of numbers and nothing else."""
    return [_all_numbers([v for row in rows if not is_empty(v := row.get(name))]) for name in columns]


def _all_numbers(values: Sequence[Any]) -> bool:
    return bool(values) and all(map(is_number, values))


def is_number(value: Any) -> bool:
    """True where a value is a number, and not a flag.

    Example:
        >>> is_number(7), is_number(2.5), is_number(True), is_number("7")
        (True, True, False, False)
    """
    return isinstance(value, Real) and not _is_flag(value)


def readable_text(value: Any, column: str) -> str:
    """A value as people read it in full; times in milliseconds to the microsecond.

    Example:
        >>> readable_text(1582671872, "macs"), readable_text([1, 64, 28, 28], ""), readable_text(None, "")
        ('1,582,671,872', '1x64x28x28', '')
    """
    if is_empty(value):
        return ""
    if _is_flag(value):
        return "yes" if value else "no"
    if isinstance(value, Integral):
        return f"{int(value):,}"
    if isinstance(value, Real):
        return _decimal_text(float(value), column)
    return layers_text(value) if _are_names(value) else _text(value)


def _decimal_text(value: float, column: str) -> str:
    if column in METRICS and METRICS[column].unit == "milliseconds":
        return f"{value:,.3f}"
    return f"{value:.6g}" if _has_any_magnitude(column) else f"{value:,.2f}"


def _has_any_magnitude(column: str) -> bool:
    """True for a metric without a unit, or a part of one such as its quartile; and under a title."""
    numbers = [name for name, metric in METRICS.items() if metric.unit == "number"]
    return isinstance(column, Title) or any(f"{column}_".startswith(f"{name}_") for name in numbers)


def _raw(value: Any) -> str:
    """A value as programs read it."""
    if is_empty(value):
        return ""
    if _is_flag(value):
        return "true" if value else "false"
    if isinstance(value, Integral):
        return str(int(value))
    return repr(float(value)) if isinstance(value, Real) else _defused(_text(value))


def _defused(text: str) -> str:
    """Text that neither a spreadsheet nor a terminal obeys, by OWASP's apostrophe and by escapes."""
    is_formula = text.startswith(_OF_FORMULAS) and not _NUMBERS.fullmatch(text)
    text = _CONTROLS.sub(lambda match: repr(match[0])[1:-1], text)
    return f"'{text}" if is_formula else text


def _text(value: Any) -> str:
    if _are_names(value):
        return " ".join(value)
    return shape_text(value) if isinstance(value, list | tuple) else str(value)


def _are_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(part, str) for part in value)


def is_empty(value: Any) -> bool:
    """True where a cell stays empty: None, or not a number.

    Example:
        >>> is_empty(None), is_empty(float("nan")), is_empty(0)
        (True, True, False)
    """
    return value is None or (isinstance(value, Real) and isnan(value))


def _is_flag(value: Any) -> bool:
    # numpy's booleans are not a bool, and this file does without numpy
    return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")


def one_line(text: str) -> str:
    """Text that stays on its line."""
    return "".join(character if character.isprintable() else " " for character in text)


def escape_markdown(text: str) -> str:
    r"""Text that Markdown shows as it is.

    Example:
        >>> print(escape_markdown("a_name with *stars* | and _lines_"))
        a_name with \*stars\* \| and \_lines\_
        >>> print(escape_markdown("# no title"), escape_markdown("1. no list"), escape_markdown("a &lt; $b$"))
        \# no title 1\. no list a \&lt; \$b\$
        >>> print(escape_markdown("1.58 G"))
        1.58 G
    """
    escaped = _MARKUP.sub(lambda markup: f"\\{markup[0]}", one_line(text).lstrip())
    return _NUMBERED.sub(r"\1\\\2", escaped)
