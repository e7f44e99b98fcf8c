"""What is said while a command works: on a terminal, of what takes long, and nowhere else."""

import io
import sys
import threading
from threading import Event

import pytest

from inception_lab.cli import progress


class Terminal(io.StringIO):
    """A terminal that tells when it was first written to."""

    def __init__(self):
        super().__init__()
        self.written = Event()

    def isatty(self):
        return True

    def write(self, text):
        self.written.set()
        return super().write(text)


def terminal_of(monkeypatch, patience=0.0):
    """A terminal in place of standard error; no fixture, as capturing puts that back before a test begins."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "PATIENCE", patience)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def test_what_takes_long_is_said_as_it_is_named(monkeypatch):
    terminal = terminal_of(monkeypatch)
    with progress.busy("tracing net(sizes=[1, 3])\x1b[2J"):
        assert terminal.written.wait(60)
    text = terminal.getvalue()
    assert r"tracing net(sizes=[1, 3])\x1b[2J" in text
    # the line is gone again, and the cursor is back
    assert text.endswith("\x1b[?25h\r\x1b[1A\x1b[2K")


def test_what_is_quick_says_nothing(monkeypatch):
    terminal = terminal_of(monkeypatch, patience=600)
    before = threading.active_count()
    with progress.busy("tracing"):
        assert threading.active_count() == before + 1
    assert terminal.getvalue() == ""
    assert threading.active_count() == before


def test_a_pipe_is_told_nothing(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress.busy("tracing"), progress.progress_bar("timing") as show:
        show(0.5)
    assert sys.stderr.getvalue() == ""


def test_an_error_ends_it(monkeypatch):
    terminal_of(monkeypatch)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), progress.busy("tracing"):
        raise KeyboardInterrupt
    assert threading.active_count() == before
