"""The store of a sweep: a file with a line of JSON for each variant that is finished."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from types import NoneType
from typing import Any

from inception_lab.errors import InceptionLabError, first_line
from inception_lab.sweeps.figures import FIELD, Answer
from inception_lab.sweeps.question import Parameters, Question

_STATES = ("complete", "partial", "failed")


def keys_for(question: Question, versions: Mapping[str, str]) -> Callable[[Parameters], str]:
    """Return the function that gives a variant's key: a hash of all that its figures depend on.

    Args:
        question: Of all variants. Of its metrics it makes a difference which traces they are of, as one of
            them may fail, and if the receptive field is asked for, which may not be known.
        versions: Of `versions_of`.
    """
    traces = {"modes": sorted({*question.modes.values()}), "fields": FIELD in question.metrics}
    facts = asdict(question) | {"versions": dict(versions), "metrics": traces}
    base = sha256(json.dumps(facts, sort_keys=True).encode())

    def key_of(parameters: Parameters) -> str:
        key = base.copy()
        key.update(json.dumps(dict(parameters), sort_keys=True).encode())
        return key.hexdigest()[:20]

    return key_of


@dataclass(frozen=True)
class Store:
    """A file of finished variants, which a second sweep reads and goes on with.

    A line is written at once, and a line that is not whole is passed over: whatever ends a sweep, and however
    many of them write to one store, nothing that was finished is lost.

    Attributes:
        path: Of the file, which need not exist.
    """

    path: Path

    def read(self) -> dict[str, Answer]:
        """Return the answers by key; of several of one key the last, with the figures of all.

        Raises:
            InceptionLabError: The file cannot be read, or is not a store (exit code 2).
        """
        answers: dict[str, Answer] = {}
        with _failures_named(self.path, "cannot be read", "name another file"):
            if not self.path.exists():
                return {}
            with self.path.open("rb") as file:
                lines, damaged, line = 0, 0, b""
                for line in file:
                    lines += 1
                    entry = _entry(line)
                    damaged += entry is None
                    if entry is not None:
                        key, found = entry
                        known = answers[key].figures if key in answers else {}
                        answers[key] = replace(found, figures={**known, **found.figures})
        # but for the one line that another sweep has begun
        if damaged == lines and (lines > 1 or line.endswith(b"\n")):
            raise InceptionLabError(
                "is not the store of a sweep", where=str(self.path), hint="name another file"
            )
        return answers

    @contextmanager
    def opened(self) -> Iterator[Appender]:
        """Open the file to append to it; it and its folder are made where they are missing.

        Raises:
            InceptionLabError: It cannot be written (exit code 2).
        """
        with _failures_named(self.path, "cannot be written", "name another file"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            yield Appender(self.path, descriptor)
        finally:
            os.close(descriptor)


class Appender:
    """Appends lines to an open store."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    def append(self, key: str, parameters: Parameters, answer: Answer) -> None:
        """Write a finished variant.

        Raises:
            InceptionLabError: It cannot be written, as where the disk is full (exit code 2).
        """
        entry = {"key": key, "parameters": parameters, **asdict(answer)}
        line = json.dumps(entry).encode() + b"\n"
        hint = "what is finished is in it: the same command goes on"
        with _failures_named(self._path, "cannot be written", hint):
            # what another run, or a full disk, left of a line ends here
            if self._ends_within_a_line():
                line = b"\n" + line
            written = os.write(self._descriptor, line)
            if written < len(line):
                os.write(self._descriptor, line[written:])  # says why it was cut short

    def _ends_within_a_line(self) -> bool:
        size = os.fstat(self._descriptor).st_size
        return size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"


@contextmanager
def _failures_named(path: Path, what: str, hint: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InceptionLabError(
            f"{what}: {error.strerror or first_line(error)}", where=str(path), hint=hint
        ) from error


def _entry(line: bytes) -> tuple[str, Answer] | None:
    """The key and the answer of a line; None of one that is not whole."""
    try:
        entry: Any = json.loads(line)
        answer = Answer(dict(entry["figures"]), entry["status"], str(entry["cause"]))
        key = entry["key"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    are_figures = all(type(value) in (int, NoneType) for value in answer.figures.values())
    return (key, answer) if are_figures and answer.status in _STATES and isinstance(key, str) else None
