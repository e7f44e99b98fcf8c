"""A page of headings, paragraphs and tables, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inception_lab.report.text import markdown_line, one_line

_PIPE = re.compile(r"(?<!\\)\|")
"""A pipe that is not escaped yet; in a table it would end its cell even within a code span."""


@dataclass(frozen=True)
class Heading:
    """The title of a section, one level below that of the page."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table whose cells are Markdown, as in `` `aten.add` `` or [a link](file.csv).

    Attributes:
        columns: The headings.
        rows: A cell for each column, in each row.

    Raises:
        ValueError: A row has more or fewer cells than there are columns.

    Example:
        >>> print(Table(("model", "MACs"), [("googlenet", "1.6 G")]).markdown())
        | model | MACs |
        | --- | --- |
        | googlenet | 1.6 G |
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{len(row)} cells in a row of {len(self.columns)} columns: {row}")

    def markdown(self) -> str:
        """Return its lines; a pipe or a line break in a cell stays inside of it."""
        head, *body = [[_cell(text) for text in row] for row in (self.columns, *self.rows)]
        return "\n".join(map(markdown_line, (head, ["---"] * len(head), *body)))


def document(title: str, parts: Iterable[str | Heading | Table]) -> str:
    """Return a page as Markdown that ends in a line break.

    Args:
        title: Its first heading.
        parts: What follows, in this order; a string is a paragraph in Markdown, an empty one is left out.

    Example:
        >>> print(document("Coverage", ["All nets.", Heading("Context")]), end="")
        # Coverage
        <BLANKLINE>
        All nets.
        <BLANKLINE>
        ## Context
    """
    return "\n\n".join(filter(None, [f"# {title}", *map(_block, parts)])) + "\n"


def _block(part: str | Heading | Table) -> str:
    match part:
        case Heading(text):
            return f"## {text}"
        case Table():
            return part.markdown()
        case _:
            return part


def _cell(text: str) -> str:
    return _PIPE.sub(r"\|", one_line(text))
