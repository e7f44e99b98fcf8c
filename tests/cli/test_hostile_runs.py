"""Hostile calls about memory, real runs and their ends: each with its exit code and one line."""

import json
import sys

import pytest
from support.typed import typed

from inception_lab.measure import room
from inception_lab.running import free_memory

HUGE = "torch.nn:Linear(in_features=1000000,out_features=1000000)"

REFUSED = [
    ("memory nin --batch-size 128 --fits 10MiB", 1, "nin: not even one fits into 10MiB"),
    ("memory nin --batch-size 128 --fits 100MiB", 1,
     "nin: a batch of 128 does not fit into 100MiB; use --batch-size 18"),
    ("memory nin --fits 600MiB --device cuda --context 590MiB", 1, "nin: not even one fits into 600MiB"),
    ("memory nin --fits 600MiB --context 1TiB", 1, "nin: not even one fits into 600MiB"),
    ("memory nin --context 1GiB", 2, "--context is of --fits; add --fits, such as --fits 80GiB"),
    ("memory nin --fits 1GiB --context much", 2,
     "'much' is not a quantity of bytes; write it like 40 MiB"),
    ("memory nin --fits 1GiB --context -1", 2, "'-1' is not a quantity of bytes; write it like 40 MiB"),
    (f"memory {HUGE} --input-size 1000000 --measure", 3, "building it with weights takes 3.64 TiB for one"),
    (f"time {HUGE} --input-size 1000000", 3, "building it with weights takes 3.64 TiB for one tensor"),
    (f"profile {HUGE} --input-size 1000000 -o profile", 3, "building it with weights takes 3.64 TiB"),
    ("memory nin --measure --batch-size 10000000", 3, "cannot run on cpu: it would take "),
    ("time nin --batch-size 10000000", 3, "cannot run on cpu: it would take "),
    ("profile nin --batch-size 10000000 -o profile", 3, "cannot run on cpu: it would take "),
    ("receptive-field nin --effective --input-size 3x20000x20000", 3, "cannot run on cpu: it would take "),
    ("receptive-field nin --effective --seeds 1000000000", 2, "1000000000 is not in the range 1<=x<=1000"),
    ("receptive-field nin --effective --samples 1000000000", 2, "1000000000 is not in the range 1<=x<=1000"),
    ("receptive-field nin --effective --seeds 1000 --samples 1000", 3, "cannot run on cpu: it would take "),
]  # fmt: skip


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine with 4 GiB of free memory, and a folder of its own."""
    for module in (room, free_memory):
        monkeypatch.setattr(
            module, "free_memory", lambda device="cpu": None if str(device) == "meta" else 4 << 30
        )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("arguments", "code", "line"), REFUSED, ids=[row[0][:60] for row in REFUSED])
def test_a_hostile_call_is_one_line(capsys, arguments, code, line):
    exit_code, out, err = typed(capsys, *arguments.split())
    assert exit_code == code
    assert err.startswith("inception-lab: ")
    assert err.count("\n") == 1
    assert line in err
    # an answer of no is written first, and nothing else is
    assert bool(out) == (code == 1)


def test_what_would_not_fit_is_told_what_to_type(capsys):
    _, _, err = typed(capsys, "time", "nin", "--batch-size", "10000000")
    assert err.endswith("and 4.00 GiB are free; use smaller --input-size or a smaller batch\n")


@pytest.mark.parametrize(
    ("arguments", "code", "requested"),
    [
        ("--fits 100MiB", 0, None),
        ("--fits 100MiB --batch-size 1", 0, {"batch_size": 1, "fits": True}),
        ("--fits 100MiB --batch-size 18", 0, {"batch_size": 18, "fits": True}),
        ("--fits 100MiB --batch-size 19", 1, {"batch_size": 19, "fits": False}),
    ],
)
def test_yes_or_no_for_the_batch_that_was_typed(capsys, arguments, code, requested):
    exit_code, out, _ = typed(capsys, "memory", "nin", *arguments.split(), "--format", "json")
    fits = json.loads(out)["fits"]
    assert exit_code == code
    assert fits["batch_size"] == 18
    assert (fits["peak_bytes"] <= fits["limit_bytes"] < fits["one_more_bytes"]) is True
    answer = (
        {name: fits["requested"][name] for name in ("batch_size", "fits")} if "requested" in fits else None
    )
    assert answer == requested


def test_the_verdict_and_the_context_are_said_in_words(capsys):
    line = "memory nin --device cuda --mode train --fits 1GiB --batch-size"
    code, out, _ = typed(capsys, *line.split(), "4")
    words = " ".join(out.split())
    assert code == 0
    assert "Batch 4 fits: it takes " in words
    assert "CUDA context 536,870,912 512 MiB, left free for it: see --context" in words
    code, out, _ = typed(capsys, *line.split(), "400")
    assert code == 1
    assert "Batch 400 does not fit: it takes " in " ".join(out.split())


def test_on_the_cpu_what_is_left_free_is_no_context_of_cuda(capsys):
    _, out, _ = typed(capsys, "memory", "nin", "--fits", "1GiB", "--context", "100MiB")
    assert "Left free 104,857,600 100 MiB, as of --context" in " ".join(out.split())
    assert "CUDA" not in out
