"""Requests to end: none is lost, and none comes in the middle of a step."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from inception_lab import cli
from inception_lab.files import write_text
from inception_lab.interrupts import (
    Interrupted,
    answer,
    check,
    deferred,
    is_answered,
    leave_on_request,
    raised,
)


def send(number=signal.SIGINT):
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def handlers_are_put_back():
    """As a test may run where Ctrl-C is ignored, behind `&` in a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_request_is_raised_with_its_code(number):
    with pytest.raises(Interrupted) as request, raised():
        send(number)
    assert request.value.code == 128 + number


def test_a_request_that_was_swallowed_is_raised_by_the_next_check_and_at_the_end():
    steps = []

    def swallow():
        try:
            send()
        except:  # noqa: E722 - as in code of users
            steps.append("swallowed")
        with pytest.raises(Interrupted):
            check()
        steps.append("checked")

    with pytest.raises(Interrupted), raised():
        swallow()
    assert steps == ["swallowed", "checked"]


def ended_early():
    """Give back what was done before a request, as a long run does."""
    try:
        send()
    except Interrupted:
        answer()


def test_what_was_done_is_written_after_a_request_that_is_answered():
    steps = []

    def write():
        ended_early()
        check()
        assert is_answered()
        steps.append("written")

    with pytest.raises(Interrupted) as request, raised():
        write()
    assert steps == ["written"]
    assert request.value.code == 130
    assert not is_answered()
    with raised():
        check()


def test_a_second_request_ends_what_answers_the_first():
    steps = []

    def write():
        ended_early()
        send()
        steps.append("written")

    with pytest.raises(Interrupted), raised():
        write()
    assert not steps


def test_one_run_does_not_hear_the_request_of_the_last():
    with pytest.raises(Interrupted), raised():
        send()
    check()
    with raised():
        check()


def test_a_process_writes_files_after_a_command_was_interrupted_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "_run", lambda _: send())
    with pytest.raises(SystemExit) as end:
        cli.main([])
    assert end.value.code == 130
    write_text(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text\n"


def test_a_request_that_comes_as_an_object_dies_is_told_once(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)

    class Dies:
        def __init__(self, end):
            self.end = end

        def __del__(self):
            self.end()

    def fail():
        raise ValueError

    with raised():
        Dies(fail)
    assert len(told) == 1
    with pytest.raises(Interrupted), raised():
        Dies(send)
    assert len(told) == 1


def test_a_deferred_request_comes_after_the_step():
    steps = []

    def step():
        with deferred():
            send()
            send()
            steps.append("whole")
        steps.append("not reached")

    with pytest.raises(Interrupted), raised():
        step()
    assert steps == ["whole"]


def test_a_deferred_request_reaches_the_handler_of_any_program():
    with pytest.raises(KeyboardInterrupt), deferred():
        send()


def test_what_a_shell_has_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with raised(), deferred():
            send()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_other_threads_set_no_handlers():
    errors = []

    def run():
        try:
            with raised(), deferred():
                pass
            leave_on_request()
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert errors == []


@pytest.mark.parametrize(
    ("number", "line"), [(signal.SIGINT, "inception-lab: interrupted\n"), (signal.SIGTERM, "")]
)
def test_while_it_starts_a_program_leaves_at_once(number, line):
    code = f"""
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from inception_lab import interrupts
interrupts.leave_on_request()
try:
    signal.raise_signal({int(number)})
except BaseException:
    pass
print("went on")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", line)


def test_after_the_answer_a_request_changes_nothing_up_to_the_very_end():
    code = """
import atexit, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from inception_lab import interrupts

class UntilTheEnd:
    def __del__(self, kill=__import__("os").kill, pid=__import__("os").getpid()):
        kill(pid, 2)

interrupts.ignore_requests()
atexit.register(signal.raise_signal, signal.SIGINT)
sys.until_the_end = UntilTheEnd()
sys.exit(1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
