"""A worksheet as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from inception_lab.report.document import Heading, document
from inception_lab.report.text import escape_markdown, markdown_line
from inception_lab.worksheets.formats.equations import Equation
from inception_lab.worksheets.formats.layout import TABLE_COLUMNS, Block, Section, TotalsTable, layout_of
from inception_lab.worksheets.sheet import Worksheet


def worksheet_markdown(sheet: Worksheet) -> str:
    """Return a worksheet as Markdown."""
    layout = layout_of(sheet)
    parts: list[str | Heading] = [" ".join(layout.introduction)]
    for section in layout.sections:
        parts += [_heading(section), *_blocks(section)]
    parts += [Heading("Totals"), *map(_table, layout.tables)] if layout.tables else []
    parts += [f"**Not counted**: {escape_markdown(line)}" for line in layout.uncounted]
    return document(escape_markdown(layout.title), parts)


def _heading(section: Section) -> Heading:
    return Heading(": ".join(filter(None, [escape_markdown(section.name), section.words])))


def _blocks(section: Section) -> Iterator[str]:
    for block in section.blocks:
        yield _head(block)
        yield "\n".join(map(_item, block.equations))


def _head(block: Block) -> str:
    name = f"**{escape_markdown(block.name)}**" if block.name else ""
    return ": ".join(filter(None, [name, escape_markdown(block.words)]))


def _item(equation: Equation) -> str:
    right = f"{equation.expression} = {equation.result}" if equation.expression else equation.result
    return f"- {equation.subject}: {right}"


def _table(table: TotalsTable) -> str:
    head = (table.measure.capitalize(), *TABLE_COLUMNS[1:])
    rows = [(escape_markdown(name), *numbers) for name, *numbers in table.rows]
    return "\n".join(map(markdown_line, [head, (":---", "---:", "---:", "---:"), *rows]))
