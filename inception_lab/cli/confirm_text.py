"""The answer of `inception-lab confirm` as text."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from inception_lab.claims.units import value_text
from inception_lab.claims.verdict import SEVERITY
from inception_lab.metrics import format_quantity
from inception_lab.report.cells import shorten_end
from inception_lab.report.document import Heading, Table, document
from inception_lab.report.terminal import Column, Screen, fitted_table
from inception_lab.report.text import escape_markdown, heading, render
from inception_lab.report.view import View

if TYPE_CHECKING:
    from inception_lab.claims.claim import Source
    from inception_lab.claims.recompute import CheckedClaim, CheckedFigure, Confirmation

COLUMNS = (
    "id",
    "claim",
    "source",
    "claimed",
    "computed",
    "verdict",
    "detail",
    "deviation",
    "expected_verdict",
    "note",
)
_MOST_INDENT = 12
_PARTS = {"id": 0.37, "claimed": 0.16, "computed": 0.16, "verdict": 0.2}
"""Columns of a table for a terminal, and the parts of its width that they keep."""
_LONG_NUMBER = re.compile(r"\b\d{1,3}(?:,\d{3})+\b(?!\.\d)")
_SHORT_WORDS = {"parameters": "params", "operations": "ops", "confirmed under a reading": "under a reading"}

INTRODUCTION = (
    "Papers and tutorials about Inception networks contradict one another. Here is what each of them says, "
    "what the traced networks say, and why the two differ."
)
RULE = (
    "A verdict follows from the numbers alone. A claim is *confirmed* where its plain reading is within the "
    "digits that the source prints, or within a tenth of a figure given in words such as *about*, and "
    "*confirmed under a reading* where another way to count is: without "
    "the classifier, without biases, in K of 1024. Otherwise the plain reading decides: *off* by up to 25%, "
    "*contradicted* beyond that, and wherever a statement about the structure does not hold. Of a claim "
    "with several figures the worst counts."
)


def confirmation_text(confirmation: Confirmation, view: View, why: Sequence[str] = ()) -> str:
    """Claims by source with their verdicts, then the arithmetic of some.

    Args:
        confirmation: Claims, recomputed.
        view: Of the table; `markdown` holds the arithmetic of every claim.
        why: Ids of the claims whose arithmetic a table for people has below it.
    """
    if view.form == "json":
        return json.dumps(confirmation.to_dict(), indent=2)
    if view.form == "csv":
        return render([claim.to_dict() for claim in confirmation.claims], COLUMNS, "csv")
    if view.form == "markdown":
        return document("The published figures, recomputed", _page_parts(confirmation))
    return "\n".join(_table_lines(confirmation, frozenset(why), view)).rstrip() + "\n"


def summary_line(confirmation: Confirmation) -> str:
    """The number of claims of each verdict, and those that are not as recorded."""
    counts = Counter(claim.verdict.kind for claim in confirmation.claims)
    parts = [f"{counts[kind]} {kind}" for kind in SEVERITY if counts[kind]]
    line = f"{len(confirmation.claims)} claim{'s' * (len(confirmation.claims) != 1)}: {', '.join(parts)}"
    changed = [claim.claim.id for claim in confirmation.surprises]
    return f"{line}; not as recorded: {', '.join(changed)}" if changed else line


def _by_source(confirmation: Confirmation) -> Iterator[tuple[Source, list[CheckedClaim]]]:
    """Claims in the order of the catalogue, those of one source together."""
    order = list(dict.fromkeys(claim.claim.source for claim in confirmation.claims))
    claims = sorted(confirmation.claims, key=lambda claim: order.index(claim.claim.source))
    for source, group in groupby(claims, key=lambda claim: claim.claim.source):
        yield source, list(group)


# ----------------------------------------------------------------------------------- for a terminal


def _table_lines(confirmation: Confirmation, why: frozenset[str], view: View) -> Iterator[str]:
    screen = view.screen
    for source, claims in _by_source(confirmation):
        yield from (screen.paint(line, "bold") for line in screen.lines(str(source), below=2))
        yield _claims_table(claims, view)
    for claim in confirmation.claims:
        # times say nothing without the machine and the interval
        if claim.timed or claim.claim.id in why:
            yield from _why_lines(claim, screen)
    for claim in confirmation.surprises:
        text = f"{claim.claim.id} is {claim.verdict}, recorded is {claim.claim.expected_verdict}"
        yield from screen.lines(text, below=2)
    yield from screen.lines(summary_line(confirmation), below=2)


def _claims_table(claims: Sequence[CheckedClaim], view: View) -> str:
    rows = [(c.claim.id, c.claim.claimed, c.computed, str(c.verdict)) for c in claims]
    if view.wide:
        return render([dict(zip(_PARTS, row, strict=True)) for row in rows], [*_PARTS], "table")
    ids, *others = zip(*rows, strict=True)
    columns = [Column("id", heading("id"), ids, part=_PARTS["id"])]
    for texts, (name, part) in zip(others, [*_PARTS.items()][1:], strict=True):
        columns.append(Column(name, heading(name), [*map(_short, texts)], part=part, shorten=shorten_end))
    return fitted_table(columns, ("id", "verdict"), view.screen)


def _short(text: str) -> str:
    """A text of a claim with short figures and words, for a narrow cell."""
    text = _LONG_NUMBER.sub(lambda number: format_quantity(int(number[0].replace(",", ""))), text)
    for word, short_word in _SHORT_WORDS.items():
        text = text.replace(word, short_word)
    return text


def _why_lines(claim: CheckedClaim, screen: Screen) -> Iterator[str]:
    for start, text in _why_texts(claim):
        # later lines stand below the text
        yield from screen.lines(start + text, min(len(start), _MOST_INDENT))
    yield ""


def _why_texts(claim: CheckedClaim) -> Iterator[tuple[str, str]]:
    """The claim, who says it, its readings and its verdict, each with what stands before it."""
    yield f"{claim.claim.id}: ", claim.claim.claim
    yield "  said by   ", claim.claim.sources
    for figure in claim.figures:
        yield "  claimed   ", f"{figure.figure}{_tolerance_text(figure)}"
        for reading in figure.readings:
            mark = "*" if reading is figure.deciding else " "
            yield f"        {mark} ", f"{reading.name}: {reading.working}"
        yield "  verdict   ", str(figure.verdict)
    if len(claim.figures) > 1:
        yield "  verdict   ", f"of the claim, the worst of these: {claim.verdict}"
    yield "  ", claim.claim.note


def _tolerance_text(figure: CheckedFigure) -> str:
    claimed = figure.figure.claimed
    return f", give or take {value_text(claimed.tolerance, claimed.unit)}" if claimed.tolerance else ""


# --------------------------------------------------------------------------------------- for a page


def _page_parts(confirmation: Confirmation) -> Iterator[str | Heading | Table]:
    yield INTRODUCTION
    yield RULE
    yield _counts_table(confirmation)
    yield "`inception-lab confirm --why ID` shows the working of one claim; all of it stands at the end."
    contradicted = [claim for claim in confirmation.claims if claim.verdict.kind == "contradicted"]
    if contradicted:
        yield Heading("Not true")
        yield "\n".join(_bullet(claim) for claim in contradicted)
    for source, claims in _by_source(confirmation):
        yield Heading(escape_markdown(str(source)))
        head = ("id", "claim", "said by", "computed", "verdict", "why")
        yield Table(head, [_page_row(claim) for claim in claims])
    yield Heading("The working")
    yield "The reading that the verdict is about is in bold."
    rows = [row for claim in confirmation.claims for row in _working_rows(claim)]
    yield Table(("id", "claimed", "reading", "working", "verdict"), rows)


def _counts_table(confirmation: Confirmation) -> Table:
    """The number of claims of each verdict, by source and in all."""
    groups = [(escape_markdown(str(source)), claims) for source, claims in _by_source(confirmation)]
    rows = []
    for name, claims in [*groups, ("**all**", confirmation.claims)]:
        counts = Counter(claim.verdict.kind for claim in claims)
        rows.append((name, str(len(claims)), *(str(counts[kind] or "") for kind in SEVERITY)))
    return Table(("source", "claims", *SEVERITY), rows)


def _bullet(claim: CheckedClaim) -> str:
    said, computed, note = map(escape_markdown, (claim.claim.claim, claim.computed, claim.claim.note))
    return f"* *{said}* ({escape_markdown(claim.claim.sources)}) Computed: {computed}. {note}"


def _page_row(claim: CheckedClaim) -> tuple[str, ...]:
    texts = (
        claim.claim.claim,
        claim.claim.sources,
        claim.computed,
        str(claim.verdict),
        claim.claim.note,
    )
    return (f"`{claim.claim.id}`", *map(escape_markdown, texts))


def _working_rows(claim: CheckedClaim) -> Iterator[tuple[str, ...]]:
    for figure in claim.figures:
        claimed = escape_markdown(f"{figure.figure}{_tolerance_text(figure)}")
        first: Iterable[Any] = (f"`{claim.claim.id}`", claimed, escape_markdown(str(figure.verdict)))
        id, claimed, verdict = first
        for reading in figure.readings:
            name, working = escape_markdown(reading.name), escape_markdown(reading.working)
            shown_name = f"**{name}**" if reading is figure.deciding else name
            yield id, claimed, shown_name, working, verdict
            id = claimed = verdict = ""
