"""TOML files with the line of each key, which tomllib does not tell."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from inception_lab.errors import InceptionLabError

KeyPath = tuple[str, ...]

_PLACE = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")
"""The end of a message of tomllib."""
_CLOSING = re.compile(r"""(?:[\]}]|\"{3}|'{3})\s*(?:#.*)?$""")
"""The end of the last line of a statement of several lines."""
_MOST_ATTEMPTS = 1000
"""Lines that may seem to end one statement, as in a string of thousands of brackets."""
_CONFLICT = re.compile(r"(<{7}|\|{7}|={7}|>{7})( |$)")
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_MOST_CHARACTERS = 60
"""Of a value that an error shows."""


@dataclass(frozen=True)
class Place:
    r"""The place of a value, for errors about it: a file, and the keys that lead to the value.

    Attributes:
        file: Empty for values from Python.
        keys: From the outermost.
        text: The content of the file.

    Example:
        >>> place = Place("pyproject.toml", (), "[a]\nb = 5").at("a")
        >>> str(place.at("b").refusal("is wrong")), place.at("c").line
        ('pyproject.toml:2: a.b: is wrong', 1)
    """

    file: str = ""
    keys: KeyPath = ()
    text: str = field(default="", repr=False)

    def at(self, *keys: str) -> Place:
        """Return the place of a value further inside."""
        return replace(self, keys=(*self.keys, *keys))

    @property
    def line(self) -> int | None:
        """The line of its key, or of the innermost table around it that has one."""
        lines = key_lines(self.text)
        ends = range(len(self.keys), 0, -1)
        return next((lines[self.keys[:end]] for end in ends if self.keys[:end] in lines), None)

    def refusal(self, what: str, hint: str = "") -> InceptionLabError:
        """Return the error that names the file, the line and the key."""
        key = ".".join(_key_text(key) for key in self.keys)
        where = ":".join(filter(None, [self.file, str(self.line or "")]))
        return InceptionLabError(": ".join(filter(None, [key, what])), where=where, hint=hint)


def _key_text(key: object) -> str:
    return key if isinstance(key, str) and BARE_KEY.fullmatch(key) else shortened(key)


def shortened(value: object) -> str:
    """Return a value as an error shows it: its representation, of reasonable length."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python writes no integer of thousands of digits
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 3]}..."


def read_toml(file: Path) -> tuple[dict[str, Any], Place]:
    """Read a TOML file, and its place.

    Raises:
        InceptionLabError: It cannot be read, or is not TOML; where it has merge conflict marks, these are
            named (exit code 2).
    """
    text = read_text(file)
    try:
        return tomllib.loads(text), Place(str(file), (), text)
    except (ValueError, RecursionError) as error:
        raise _not_toml(file, text, error) from error


def read_text(file: Path) -> str:
    """Read a file of UTF-8, without the byte order mark that editors on Windows put before it.

    Raises:
        InceptionLabError: It cannot be read, or is of another encoding (exit code 2).
    """
    content = b""
    try:
        content = file.read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise InceptionLabError(f"cannot be read: {error.strerror or error}", where=str(file)) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InceptionLabError("is not UTF-8", where=f"{file}:{line}", hint="save it as UTF-8") from error


def _not_toml(file: Path, text: str, error: Exception) -> InceptionLabError:
    rows = text.split("\n")
    conflicts = (number for number, row in enumerate(rows, 1) if _CONFLICT.match(row.rstrip("\r")))
    if line := next(conflicts, None):
        return InceptionLabError(
            "merge conflict marks", where=f"{file}:{line}", hint="resolve the conflict first"
        )
    message = str(error) if isinstance(error, ValueError) else "nested too deeply"
    position = _PLACE.search(message)
    # at the end of the document, tomllib misses what was begun on the line that matters
    line = int(position[1]) if position and position[1] else min(_first_faulty_line(text), len(rows))
    return InceptionLabError(f"is not TOML: {_PLACE.sub('', message)}", where=f"{file}:{line}")


class _Statement(NamedTuple):
    """A table's header, or a key with its value.

    Attributes:
        line: Its first line, from 1.
        text: Its lines.
        data: As tomllib reads it alone.
    """

    line: int
    text: str
    data: dict[str, Any]


def _statements(text: str) -> Iterator[_Statement]:
    """The statements of a document, up to the first that is not TOML.

    A statement is the fewest lines that tomllib takes for a document of their own: one of several lines is
    none before its last.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    start = attempts = 0
    for end, line in enumerate(lines):
        if end > start and not _CLOSING.search(line):
            continue
        statement = "\n".join(lines[start : end + 1])
        try:
            data = tomllib.loads(statement)
        except (ValueError, RecursionError) as error:
            attempts += 1
            # what is wrong before the end of the lines does not become right by more of them
            if not str(error).endswith("(at end of document)") or attempts > _MOST_ATTEMPTS:
                return
            continue
        yield _Statement(start + 1, statement, data)
        start, attempts = end + 1, 0


def _first_faulty_line(text: str) -> int:
    line = 1
    for statement in _statements(text):
        line = statement.line + statement.text.count("\n") + 1
    return line


@lru_cache(maxsize=2)  # asked for each key of a configuration, and never of a lock without a fault
def key_lines(text: str) -> Mapping[KeyPath, int]:
    r"""Return the line, from 1, on which each key of a TOML document first stands.

    Args:
        text: A valid document.

    Example:
        >>> key_lines("[a]\nb.c = {d = 1}\n")
        {('a',): 1, ('a', 'b'): 2, ('a', 'b', 'c'): 2, ('a', 'b', 'c', 'd'): 2}
    """
    lines: dict[KeyPath, int] = {}
    header: KeyPath = ()
    for statement in _statements(text):
        paths = list(_paths(statement.data))
        # no key begins with a bracket
        if statement.text.lstrip().startswith("["):
            header = paths[-1]
        else:
            paths = [(*header, *path) for path in paths]
        for path in paths:
            lines.setdefault(path, statement.line)
    return lines


def _paths(data: Any, parent: KeyPath = ()) -> Iterator[KeyPath]:
    """The paths of all keys of a statement; of the tables in an array, those of the last."""
    if isinstance(data, list) and data:
        yield from _paths(data[-1], parent)
    elif isinstance(data, dict):
        for key, value in data.items():
            yield (*parent, key)
            yield from _paths(value, (*parent, key))
