"""Code of the user, run so that what it prints and raises does no harm; and its traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from traceback import TracebackException

from inception_lab import interrupts
from inception_lab.errors import MODEL_FAILED, InceptionLabError, first_line, printable, shortened
from inception_lab.loading.namesakes import hiding_hint

_PACKAGE = Path(__file__).parents[1]
_MACHINERY = ("torch/nn/modules/module.py", "<frozen importlib", "importlib/__init__.py")
"""Files of others whose frames lead from this tool to the user's code."""

_LONGEST_LINE = 1000


@contextmanager
def user_code(spec: str, activity: str) -> Iterator[None]:
    """Run code of the user: what it prints goes to standard error, what it raises is one line.

    Args:
        spec: MODEL, as the user named it.
        activity: The purpose, such as `building it`.

    Raises:
        InceptionLabError: The code raised, or left the program (exit code 3).
    """
    try:
        with redirect_stdout(sys.stderr), _descriptor_redirected():
            yield
        interrupts.check()  # code that swallows whatever is raised in it swallowed the request too
    except BaseException as error:
        if _is_for_this_tool(error):
            raise
        kind, text = type(error).__name__, first_line(error)
        reason = kind if text == kind else f"{kind}: {text}"
        raise model_error(spec, f"{activity} failed: {reason}", hiding_hint(error)) from error


def _is_for_this_tool(error: BaseException) -> bool:
    """True for an error that this tool has told already, and for a request to end it."""
    is_request = type(error).__module__.startswith(f"{_PACKAGE.name}.")
    return isinstance(error, InceptionLabError | KeyboardInterrupt) or is_request


@contextmanager
def _descriptor_redirected() -> Iterator[None]:
    """Have what is written to the standard output past Python go to standard error too."""
    try:
        original = os.dup(1)
    except OSError:  # there is none
        yield
        return
    try:
        os.dup2(2, 1)
        yield
    finally:
        os.dup2(original, 1)
        os.close(original)


def model_error(spec: str, what: str, hint: str = "") -> InceptionLabError:
    """The error of a model that cannot be built or run (exit code 3)."""
    return InceptionLabError(what, where=spec, hint=hint, exit_code=MODEL_FAILED)


def user_traceback(error: BaseException) -> str:
    """Return the traceback of what a model raised and of what led to it, without the frames of this tool.

    Args:
        error: The exception; of an error of this tool, its `__cause__`.
    """
    summary = TracebackException.from_exception(error)
    _remove_own_frames(summary)
    lines = "".join(summary.format()).rstrip().splitlines()
    return "\n".join(_indented(line) for line in lines)


def _indented(line: str) -> str:
    """A line that a terminal shows as it is, shortened where no screen would hold it."""
    text = line.lstrip(" ")
    return line[: len(line) - len(text)] + printable(shortened(text, _LONGEST_LINE))


def _remove_own_frames(summary: TracebackException | None) -> None:
    if summary is not None:
        frames = [frame for frame in summary.stack if not _is_own(Path(frame.filename))]
        summary.stack[:] = frames or summary.stack
        _remove_own_frames(summary.__cause__)
        _remove_own_frames(summary.__context__)


def _is_own(file: Path) -> bool:
    # A network of the zoo is the user's model, whose frames are wanted.
    own = file.is_relative_to(_PACKAGE) and not file.is_relative_to(_PACKAGE / "models")
    return own or any(part in file.as_posix() for part in _MACHINERY)
