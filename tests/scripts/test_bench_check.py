"""The race of a check against an import of torch: its clock, its page and its verdict, on idle processes."""

import subprocess

import pytest

import bench_check


def test_the_cpu_time_is_that_of_the_child_and_not_its_wait():
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    assert bench_check.cpu_seconds(["-c", busy]) >= 0.3
    assert bench_check.cpu_seconds(["-c", "import time; time.sleep(0.3)"]) < 0.3


def test_a_process_that_fails_is_not_timed():
    with pytest.raises(subprocess.CalledProcessError):
        bench_check.cpu_seconds(["-c", "raise SystemExit(1)"])


@pytest.mark.parametrize(("limit", "code"), [(60.0, 0), (-60.0, 1)], ids=["within", "beyond"])
def test_the_page_has_a_row_per_command_and_the_code_is_the_verdict(limit, code, monkeypatch, tmp_path):
    monkeypatch.setattr(bench_check, "COMMANDS", {"import torch": ["-c", ""], "check of the zoo": ["-c", ""]})
    monkeypatch.setattr(bench_check, "MOST_SECONDS", limit)
    assert bench_check.main(["--rounds", "2", "-o", str(tmp_path)]) == code
    text = (tmp_path / "check.md").read_text(encoding="utf-8")
    assert "| import torch | " in text
    assert "| check of the zoo | " in text


def test_the_difference_is_taken_within_rounds():
    times = [bench_check.Times("a", (1.0, 10.0, 2.0)), bench_check.Times("b", (3.0, 11.0, 5.0))]
    assert bench_check.seconds_beyond(times) == 2.0
