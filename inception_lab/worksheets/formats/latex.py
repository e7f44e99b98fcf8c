"""A worksheet as a LaTeX document, which needs the packages amsmath and geometry alone."""

from __future__ import annotations

import re
from collections.abc import Iterator

from inception_lab.report.text import one_line
from inception_lab.worksheets.formats.equations import Equation
from inception_lab.worksheets.formats.layout import TABLE_COLUMNS, Block, Section, TotalsTable, layout_of
from inception_lab.worksheets.sheet import Worksheet

_PREAMBLE = r"""\documentclass{article}
\usepackage{amsmath}
\usepackage[margin=2.5cm]{geometry}
\allowdisplaybreaks
\begin{document}"""

_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    # behind a line break these would begin an argument, and two hyphens make a dash
    "[": "{[}", "]": "{]}", "*": "{*}", "-": "{-}", "`": "{`}",
}  # fmt: skip

_TERMS_IN_A_LINE = 4
_WORDS = re.compile(r" ?[A-Za-z]{2,}(?: [A-Za-z]{2,})*")
_CROSS = re.compile(r"(?<=\d)( ?)x\1(?=\d)")


def worksheet_latex(sheet: Worksheet) -> str:
    """Return a worksheet as a LaTeX document, its equations aligned."""
    layout = layout_of(sheet)
    introduction = " ".join(map(_prose, layout.introduction))
    parts = [_PREAMBLE, rf"\section*{{{escape_latex(layout.title)}}}", introduction]
    for section in layout.sections:
        parts += _section(section)
    if layout.tables:
        parts += [r"\subsection*{Totals}", *map(_table, layout.tables)]
    parts += [rf"\paragraph{{Not counted}} {escape_latex(line)}" for line in layout.uncounted]
    return "\n\n".join([*parts, r"\end{document}"]) + "\n"


def escape_latex(text: str) -> str:
    r"""Return text that LaTeX prints as it is; a character outside of ASCII as its number.

    Example:
        >>> print(escape_latex(r"50%_of $x^2$ & más"))
        50\%\_of \$x\textasciicircum{}2\$ \& m\texttt{U+00E1}s
    """
    return "".join(map(_escape, one_line(text)))


def _escape(character: str) -> str:
    # fonts of plain LaTeX lack most others, which would stop it
    if not character.isascii():
        return rf"\texttt{{U+{ord(character):04X}}}"
    return _ESCAPES.get(character, character)


def _prose(text: str) -> str:
    """Words with sizes in them."""
    return _CROSS.sub(r"$\\times$", escape_latex(text))


def _section(section: Section) -> Iterator[str]:
    title = ": ".join(filter(None, [escape_latex(section.name), escape_latex(section.words)]))
    yield rf"\subsection*{{{title}}}"
    yield from map(_block, section.blocks)


def _block(block: Block) -> str:
    name = rf"\textbf{{{escape_latex(block.name)}}}" if block.name else ""
    head = ": ".join(filter(None, [name, _prose(block.words)]))
    lines = [rf"\noindent {head}"] if head else []
    if block.equations:
        equations = " \\\\\n".join(map(_equation, block.equations))
        # no empty line before a display: it would end the paragraph
        lines += [r"\begin{align*}", equations, r"\end{align*}"]
    return "\n".join(lines)


def _equation(equation: Equation) -> str:
    terms = equation.expression.split(" + ")
    lines = [
        _math(" + ".join(terms[first : first + _TERMS_IN_A_LINE]))
        for first in range(0, len(terms), _TERMS_IN_A_LINE)
    ]
    # a display is not broken by itself
    left = " \\\\\n&\\quad + ".join(lines)
    right = _math(equation.result)
    return (
        rf"\text{{{equation.subject}}} &= {left} = {right}"
        if left
        else rf"\text{{{equation.subject}}} &= {right}"
    )


def _math(expression: str) -> str:
    """An expression as mathematics: crosses, separators of thousands, words upright."""
    upright = _WORDS.sub(lambda words: rf"\text{{{words[0]}}}", expression)
    return upright.replace(" x ", r" \times ").replace(",", "{,}")


def _table(table: TotalsTable) -> str:
    head = (table.measure.capitalize(), *TABLE_COLUMNS[1:])
    rows = [(escape_latex(name), *numbers) for name, *numbers in table.rows]
    first, *others = (" & ".join(row) + r" \\" for row in (head, *rows))
    lines = [r"\noindent\begin{tabular}{lrrr}", rf"{first} \hline", *others, r"\end{tabular}"]
    return "\n".join(lines)
