"""A trace file of torch.profiler, event by event: a window of its text at a time, never the whole."""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from inception_lab.errors import InceptionLabError

EVENTS = "traceEvents"
GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 2**20
LONGEST_VALUE = 2**26
"""Characters of one event or header field beyond which the file is taken for a damaged one."""

TRUNCATED = "is truncated"
_SPACE = re.compile(r"[ \t\r\n]*")


class Number(str):
    """A number with a fraction as the text that stands in a file, told from text in quotation marks."""

    __slots__ = ()


def members(path: Path, number: type[str] = str) -> Iterator[tuple[str, Any]]:
    """Yield the members of a trace's outer object, with one pair `(EVENTS, event)` for each event.

    Numbers with a fraction are given as text, digit by digit as they stand in the file: a double does not
    hold today's timestamps to the nanosecond.

    Args:
        path: A file of JSON, bare or packed with gzip, whatever its name ends in.
        number: The type of that text; `Number` where it has to be told from other text.

    Raises:
        InceptionLabError: The file cannot be read, is truncated or damaged, or has no events.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(2)
            file.seek(0)
            raw = gzip.GzipFile(fileobj=file) if magic == GZIP_MAGIC else file
            # names of kernels are not always UTF-8, and no figure depends on them
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")
            yield from _Window(text, path, number).members()
    except EOFError as error:
        raise InceptionLabError("is truncated: it ends before its gzip stream", where=str(path)) from error
    except (OSError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise InceptionLabError(f"cannot be read: {why}", where=str(path)) from error


class _Window:
    """A window that slides over the text of a file, and the values that begin in it."""

    def __init__(self, file: IO[str], path: Path, number: type[str]) -> None:
        self._file, self._path = file, path
        self._text, self._position = "", 0
        self._events = 0
        self._decoder = json.JSONDecoder(strict=False, parse_float=number)

    def members(self) -> Iterator[tuple[str, Any]]:
        """Yield the members of the outer object; see the function of this name."""
        if self._next() != "{":
            self._refuse(f"is not a torch.profiler trace: not an object with {EVENTS}")
        names = set()
        for _ in self._entries("}"):
            names.add(name := self._name())
            if name == EVENTS:
                yield from ((EVENTS, event) for event in self._event_list())
            else:
                yield name, self._value()
        if self._peek():
            self._refuse("is damaged: more text follows its end")
        if EVENTS not in names:
            self._refuse(f"is not a torch.profiler trace: it has no {EVENTS}")

    def _event_list(self) -> Iterator[dict[str, Any]]:
        opening = self._next()
        if opening != "[":
            self._refuse(f"is damaged: {EVENTS} is not a list" if opening else TRUNCATED)
        for _ in self._entries("]"):
            event = self._value()
            if type(event) is not dict:
                self._refuse("is damaged: an event is not an object")
            yield event
            self._events += 1

    def _entries(self, closing: str) -> Iterator[None]:
        """Yield before each entry of a list or object that is open, up to the character that closes it."""
        if self._peek() == closing:
            self._next()
            return
        separator = ","
        while separator == ",":
            yield
            separator = self._next()
        if separator != closing:
            self._refuse("is not JSON" if separator else TRUNCATED)

    def _name(self) -> str:
        name = self._value()
        if type(name) is not str or self._next() != ":":
            self._refuse("is not JSON")
        return name

    def _next(self) -> str:
        """Step over the next character that is not white space and return it; empty at the end."""
        character = self._peek()
        self._position += len(character)
        return character

    def _peek(self) -> str:
        """Step over white space and return the character behind it; empty at the end."""
        while True:
            space = _SPACE.match(self._text, self._position)
            self._position = space.end() if space else self._position
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._slide():
                return ""

    def _value(self) -> Any:
        """Return the JSON value that begins here and step over it."""
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                # half of a value decodes no better than a damaged one: more text tells them apart
                if len(self._text) - self._position > LONGEST_VALUE or not self._slide():
                    self._refuse(f"is truncated or not JSON: {error.msg}")
            except (ValueError, RecursionError):
                self._refuse("is damaged: a number or a nesting beyond all bounds")
            else:
                # a number at the end of the window may go on in the next one
                if end < len(self._text) or not self._slide():
                    self._position = end
                    return value

    def _slide(self) -> bool:
        """Drop the text that is done with and read on; False at the end of the file."""
        pending = self._text[self._position :]
        # a value longer than the window makes it grow by as much again, so that reading stays linear
        more = self._file.read(max(CHUNK, len(pending)))
        if more:
            self._text, self._position = pending + more, 0
        return bool(more)

    def _refuse(self, fault: str) -> NoReturn:
        place = f" (after {self._events:,} events)" if self._events else ""
        raise InceptionLabError(fault + place, where=str(self._path), hint="record or copy it again")
