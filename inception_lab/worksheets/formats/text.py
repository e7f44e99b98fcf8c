"""A worksheet for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from inception_lab.report.text import one_line
from inception_lab.worksheets.formats.equations import Equation
from inception_lab.worksheets.formats.layout import TABLE_COLUMNS, Block, Section, TotalsTable, layout_of
from inception_lab.worksheets.sheet import Worksheet

WIDTH = 80
_LAYER_INDENT = "  "
_EQUATION_INDENT = "    "
_SUBJECT_WIDTH = 12
_GLUE = "\N{NO-BREAK SPACE}"


def worksheet_text(sheet: Worksheet) -> str:
    """Return a worksheet as text of at most 80 columns, but for names that are longer."""
    layout = layout_of(sheet)
    title = one_line(layout.title)
    parts = [[title, "=" * len(title), *layout.introduction]]
    parts += [list(_section(section)) for section in layout.sections]
    parts += [_table(table) for table in layout.tables]
    parts += [[f"NOT COUNTED {one_line(line)}" for line in layout.uncounted]] if layout.uncounted else []
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield ": ".join(filter(None, [one_line(section.name), section.words]))
    for block in section.blocks:
        yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    head = ": ".join(filter(None, [one_line(block.name), block.words]))
    if head:
        yield from _wrapped(head, _LAYER_INDENT, _LAYER_INDENT * 2)
    for equation in block.equations:
        yield from _equation(equation)


def _equation(equation: Equation) -> list[str]:
    right = f"{equation.expression} = {equation.result}" if equation.expression else equation.result
    first = _EQUATION_INDENT + equation.subject.ljust(_SUBJECT_WIDTH)
    return _wrapped(right, first, " " * len(first))


def _wrapped(line: str, first: str, further: str) -> list[str]:
    # a product stays on its line, and a sum breaks before a sign
    unbroken_line = line.replace(" x ", f"{_GLUE}x{_GLUE}").replace("+ ", f"+{_GLUE}")
    lines = wrap(
        unbroken_line,
        WIDTH,
        initial_indent=first,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [part.replace(_GLUE, " ") for part in lines]


def _table(table: TotalsTable) -> list[str]:
    cells = [(table.measure.capitalize(), *TABLE_COLUMNS[1:]), *(map(one_line, row) for row in table.rows)]
    rows = [list(row) for row in cells]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * width for width in widths]
    return [_line(row, widths) for row in (rows[0], rule, *rows[1:])]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *numbers = cells
    columns = [name.ljust(widths[0]), *(c.rjust(w) for c, w in zip(numbers, widths[1:], strict=True))]
    return "  ".join(columns).rstrip()
