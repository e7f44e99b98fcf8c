"""The answer of `inception-lab confirm` as text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from textwrap import fill, shorten
from typing import TYPE_CHECKING, Any

from inception_lab.claims.units import value_text
from inception_lab.claims.verdict import SEVERITY
from inception_lab.report.document import Heading, Table, document
from inception_lab.report.text import escape_markdown, render

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
_WIDTH = 80
_MOST_INDENT = 12
_CELL = 36
"""Most characters of a cell in a table for a terminal."""

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


def confirmation_text(confirmation: Confirmation, form: str, why: Sequence[str] = ()) -> str:
    """Claims by source with their verdicts, then the arithmetic of some.

    Args:
        confirmation: Claims, recomputed.
        form: `table`, `csv`, `json` or `markdown`; the last holds the arithmetic of every claim.
        why: Ids of the claims whose arithmetic a table for people has below it.
    """
    if form == "json":
        return json.dumps(confirmation.to_dict(), indent=2)
    if form == "csv":
        return render([claim.to_dict() for claim in confirmation.claims], COLUMNS, "csv")
    if form == "markdown":
        return document("The published figures, recomputed", _page_parts(confirmation))
    return "\n".join(_table_lines(confirmation, frozenset(why))).rstrip() + "\n"


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


def _table_lines(confirmation: Confirmation, why: frozenset[str]) -> Iterator[str]:
    for source, claims in _by_source(confirmation):
        yield str(source)
        rows = [_row(claim) for claim in claims]
        yield render(rows, ("id", "claimed", "computed", "verdict"), "table")
    for claim in confirmation.claims:
        # times say nothing without the machine and the interval
        if claim.timed or claim.claim.id in why:
            yield from _why_lines(claim)
    for claim in confirmation.surprises:
        yield f"{claim.claim.id} is {claim.verdict}, recorded is {claim.claim.expected_verdict}"
    yield summary_line(confirmation)


def _row(claim: CheckedClaim) -> dict[str, str]:
    cells = {"claimed": claim.claim.claimed, "computed": claim.computed}
    short = {name: shorten(text, _CELL, placeholder=" …") for name, text in cells.items()}
    return {"id": claim.claim.id, **short, "verdict": str(claim.verdict)}


def _why_lines(claim: CheckedClaim) -> Iterator[str]:
    yield _wrapped(f"{claim.claim.id}: ", claim.claim.claim)
    yield _wrapped("  said by   ", claim.claim.sources)
    for figure in claim.figures:
        yield _wrapped("  claimed   ", f"{figure.figure}{_tolerance_text(figure)}")
        for reading in figure.readings:
            mark = "*" if reading is figure.deciding else " "
            yield _wrapped(f"        {mark} ", f"{reading.name}: {reading.working}")
        yield _wrapped("  verdict   ", str(figure.verdict))
    if len(claim.figures) > 1:
        yield _wrapped("  verdict   ", f"of the claim, the worst of these: {claim.verdict}")
    yield _wrapped("  ", claim.claim.note)
    yield ""


def _wrapped(start: str, text: str) -> str:
    """A line behind its start, broken where it is too long; later lines stand below the text."""
    below = " " * min(len(start), _MOST_INDENT)
    # a path or a sum is not broken at its hyphens
    return fill(text, _WIDTH, initial_indent=start, subsequent_indent=below, break_on_hyphens=False)


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
