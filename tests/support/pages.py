"""Pages in Markdown: blocks of code that a reader types and their outputs, links and headings.

Blocks run in the order of the page, in one folder:

- `console`: lines after `$ ` are commands, the lines under each are its output, to the letter. Where it ends
  with another exit code than 0, `$ echo $?` stands next. Marked `console machine`, the output depends on the
  machine and is compared by `shape` alone.
- `sh`: commands whose output is not shown; those of this tool run, and end well without a word of error.
- `python`: runs, all blocks of a page in one namespace; a block of `text` right behind it is what it prints.
- `yaml`: steps of a workflow, whose commands of this tool run.
- with `title="FILE"`: the text of a file.
- `<!-- $ COMMAND -->` to `<!-- /$ -->`: the output of a command, in the page itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
INSERTED = re.compile(r"^<!-- \$ (?P<info>.*?) -->\n(?P<text>.*?)^<!-- /\$ -->$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code of a page, or an output that is inserted into it."""

    kind: str
    marks: str
    text: str
    start: int
    end: int
    line: int

    @property
    def title(self) -> str | None:
        """The file that the block shows."""
        found = re.search(r'title="([^"]+)"', self.marks)
        return found[1] if found else None


def blocks_of(page: str) -> list[Block]:
    """Return every block of a page, in order."""
    blocks = [_block(page, match, *match["info"].partition(" ")[::2]) for match in FENCE.finditer(page)]
    inserted = [_block(page, match, "inserted", match["info"]) for match in INSERTED.finditer(page)]
    return sorted(blocks + inserted, key=lambda block: block.start)


def _block(page: str, match: re.Match[str], kind: str, marks: str) -> Block:
    start = match.start("text")
    return Block(kind, marks, match["text"], start, match.end("text"), page.count("\n", 0, start) + 1)


def commands_of(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with the output under it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def shape(output: str) -> list[str]:
    """Return what output of another machine has in common with it: its rows and headings, without figures.

    Notes are left out, as they tell of a noisy machine, and so are lines that go on with the one above them.
    """
    lines = [line for paragraph in output.split("\n\n") for line in _unindented(paragraph.splitlines())]
    cells = [re.split(r"\s{2,}", line.strip())[0] for line in lines]
    return sorted(re.sub(r"\d+", "0", cell) for cell in cells if cell and cell != "Note")


def _unindented(lines: list[str]) -> list[str]:
    """Leave out lines that are indented under one that is not."""
    first = next((number for number, line in enumerate(lines) if not line.startswith(" ")), 0)
    return [line for number, line in enumerate(lines) if number <= first or not line.startswith(" ")]


def updated(page: str, texts: dict[Block, str]) -> str:
    """Return the page with other texts in some of its blocks."""
    for block in sorted(texts, key=lambda block: -block.start):
        page = page[: block.start] + texts[block] + page[block.end :]
    return page


def links_of(page: str) -> list[str]:
    """Return the targets of all links and pictures that are not on the web."""
    prose = FENCE.sub("", page)
    targets = re.findall(r"\]\(<?([^)>\s]+)>?\)", prose) + re.findall(r'(?:src|href)="([^"]+)"', prose)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def anchors_of(page: str) -> set[str]:
    """Return the names by which GitHub links to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""
    page = path.read_text(encoding="utf-8")
    return [target for target in links_of(page) if not _leads_somewhere(path, page, target)]


def _leads_somewhere(path: Path, page: str, target: str) -> bool:
    file, _, anchor = target.partition("#")
    if file and not (path.parent / file).exists():
        return False
    text = (path.parent / file).read_text(encoding="utf-8") if file and anchor else page
    return not anchor or anchor in anchors_of(text)
