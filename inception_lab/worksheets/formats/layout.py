"""The parts of a worksheet in reading order, the same in text, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from inception_lab.report.text import times_text
from inception_lab.worksheets.formats.equations import (
    MEASURES,
    Equation,
    joined_equation,
    number,
    product_text,
    ratio_equations,
    ratio_text,
    sum_equations,
    working_equations,
)
from inception_lab.worksheets.sheet import Branch, Sums, Working, Worksheet, channels_last, ratio

TABLE_COLUMNS = ("", "Naive", "Reduced", "Ratio")


@dataclass(frozen=True)
class Block:
    """A line in words and the equations under it.

    Attributes:
        name: Of a layer, as its author wrote it; empty for a sum.
        words: The rest of the line; may hold names of a user's classes and operations.
        equations: Under it.
    """

    name: str
    words: str
    equations: tuple[Equation, ...]


@dataclass(frozen=True)
class Section:
    """A part of the worksheet with a heading.

    Attributes:
        name: Of a branch, as its author wrote it; may be empty.
        words: The rest of the heading.
        blocks: Under it.
    """

    name: str
    words: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class TotalsTable:
    """Naive beside reduced, a row per branch and one for their sum.

    Attributes:
        measure: The quantity.
        rows: The name of a branch, then a text for each further column of `TABLE_COLUMNS`.
    """

    measure: str
    rows: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True)
class Layout:
    """A worksheet in reading order.

    Attributes:
        title: Names the module and its model, which users named.
        introduction: Sentences without any name of a user's.
        sections: The working.
        tables: The totals.
        uncounted: Operations that no formula knows, and how often each ran; a user may have named them.
    """

    title: str
    introduction: tuple[str, ...]
    sections: tuple[Section, ...]
    tables: tuple[TotalsTable, ...]
    uncounted: tuple[str, ...]


def layout_of(sheet: Worksheet) -> Layout:
    """Return the parts of a worksheet in reading order."""
    return Layout(
        title=sheet.title,
        introduction=tuple(_introduction(sheet)),
        sections=tuple(_sections(sheet)),
        tables=tuple(_tables(sheet)),
        uncounted=tuple(f"{name}, ran {times_text(count)}" for name, count in sheet.uncounted_ops.items()),
    )


def _introduction(sheet: Worksheet) -> Iterator[str]:
    if sheet.input_shape and sheet.output_shape:
        sizes = [_size(shape, sheet.axes) for shape in (sheet.input_shape, sheet.output_shape)]
        order = " (channels last)" if sheet.axes and len(sheet.input_shape) == sheet.axes + 2 else ""
        yield f"Input {sizes[0]}, output {sizes[1]}{order}."
    if sheet.has_reductions:
        yield "Naive: without the 1x1 reductions, on the same input."
    elif sheet.branched:
        yield "No branch has a 1x1 reduction: the naive counterpart is the module itself."
    else:
        yield "No module in it forks its input into branches, and so it has no naive counterpart."


def _size(shape: tuple[int, ...], axes: int) -> str:
    """A shape as papers write it, channels last where it is that of images of so many axes."""
    return product_text(channels_last(shape, axes if len(shape) == axes + 2 else 0))


def _sections(sheet: Worksheet) -> Iterator[Section]:
    for branch in sheet.branches:
        yield from _branch_sections(branch, sheet)
    if sheet.joined_channels:
        lines = [joined_equation("reduced" if sheet.has_reductions else "module", sheet.joined_channels)]
        if sheet.has_reductions:
            lines.insert(0, joined_equation("naive", sheet.naive_joined_channels))
        yield Section("", "Joined along the channels", (Block("", "", tuple(lines)),))
    if not sheet.has_reductions:
        yield Section("", "Total", (Block("", "", tuple(_total_equations(sheet.reduced))),))


def _branch_sections(branch: Branch, sheet: Worksheet) -> Iterator[Section]:
    words = "" if branch.name else "Layers outside its branches" if sheet.branched else "Layers"
    reduced = _blocks(branch.workings, branch.reduced, sheet.axes)
    if branch.workings == branch.naive_workings:
        yield Section(branch.name, words, reduced)
        return
    naive = _blocks(branch.naive_workings, branch.naive, sheet.axes)
    yield Section(branch.name, _side(words, "naive"), naive)
    yield Section(branch.name, _side(words, "reduced"), reduced)
    lines = ratio_equations(branch.naive, branch.reduced)
    yield Section(branch.name, _side(words, "naive / reduced"), (Block("", "", tuple(lines)),))


def _side(words: str, side: str) -> str:
    return f"{words}, {side}" if words else side


def _blocks(workings: Sequence[Working], total: Sums, axes: int) -> tuple[Block, ...]:
    if not workings:
        return (Block("", "no layer is left: the input passes through", ()),)
    blocks = [Block(w.layer, _description(w, axes), tuple(working_equations(w))) for w in workings]
    sums = sum_equations(workings, total)
    return (*blocks, Block("", "sum", tuple(sums))) if sums else tuple(blocks)


def _description(working: Working, axes: int) -> str:
    """The operation of a layer with its sizes."""
    sizes = [_size(shape, axes) for shape in (working.input_shape, working.output_shape)]
    return f"{working.operation}, {sizes[0]} to {sizes[1]}" if all(sizes) else working.operation


def _total_equations(total: Sums) -> list[Equation]:
    return [Equation(subject, "", number(amount(total))) for subject, amount in MEASURES.items()]


def _tables(sheet: Worksheet) -> Iterator[TotalsTable]:
    if not sheet.has_reductions or len(sheet.branches) == 1:
        return  # the working of a single branch ends in the same figures
    sides = [(branch.name, branch.naive, branch.reduced) for branch in sheet.branches]
    for measure, amount in MEASURES.items():
        rows = [(name or "outside", amount(naive), amount(reduced)) for name, naive, reduced in sides]
        rows.append(("sum", amount(sheet.naive), amount(sheet.reduced)))
        yield TotalsTable(measure, tuple(_row(*row) for row in rows))


def _row(name: str, naive: int, reduced: int) -> tuple[str, str, str, str]:
    times = ratio(naive, reduced)
    return name, number(naive), number(reduced), "" if times is None else ratio_text(times)
