"""A worksheet for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from inception_lab.report.cells import cell_width, wrap
from inception_lab.report.terminal import PATH_PART, Column, Screen, fitted_table
from inception_lab.report.text import one_line
from inception_lab.worksheets.formats.equations import Equation
from inception_lab.worksheets.formats.layout import TABLE_COLUMNS, Block, Section, TotalsTable, layout_of
from inception_lab.worksheets.sheet import Worksheet

WIDTH = 80
SCREEN = Screen(WIDTH)
_LAYER_INDENT = "  "
_EQUATION_INDENT = "    "
_SUBJECT_WIDTH = 12
_GLUE = "\N{NO-BREAK SPACE}"


def worksheet_text(sheet: Worksheet) -> str:
    """Return a worksheet as text of at most 80 columns."""
    layout = layout_of(sheet)
    title = SCREEN.lines(layout.title)
    introduction = [line for text in layout.introduction for line in SCREEN.lines(text)]
    parts = [[*title, "=" * max(map(cell_width, title)), *introduction]]
    parts += [list(_section(section)) for section in layout.sections]
    parts += [[_table(table).rstrip()] for table in layout.tables]
    uncounted = [line for text in layout.uncounted for line in SCREEN.lines(f"NOT COUNTED {text}", below=2)]
    parts += [uncounted] if uncounted else []
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield from SCREEN.lines(": ".join(filter(None, [section.name, section.words])), below=2)
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
    has_room = max(map(cell_width, unbroken_line.split(" "))) <= WIDTH - len(further)
    lines = wrap(first + (unbroken_line if has_room else line), WIDTH, len(further))
    return [part.replace(_GLUE, " ") for part in lines]


def _table(table: TotalsTable) -> str:
    names, *numbers = zip(*table.rows, strict=True)
    measure = table.measure.capitalize()
    columns = [Column(measure, measure, [one_line(name) for name in names], part=PATH_PART)]
    for title, texts in zip(TABLE_COLUMNS[1:], numbers, strict=True):
        columns.append(Column(title, title, texts, is_number=True, shrinks=False))
    return fitted_table(columns, (), SCREEN)
