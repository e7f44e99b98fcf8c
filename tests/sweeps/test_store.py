"""The store: whatever ends a sweep, what was finished is read again, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.sweep_nets import SOURCE, params_of, space_of, write_nets

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.sweeps.figures import Answer
from inception_lab.sweeps.store import Store

WIDTHS = range(1, 7)


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return write_nets(tmp_path)


@pytest.fixture
def swept(module, tmp_path):
    """A finished sweep: its space, its store, the log of what was built, and its table."""
    store, log = tmp_path / "store.jsonl", tmp_path / "log"
    space = space_of(module, WIDTHS, log=log)
    table = il.sweep(space, jobs=1, store=store)
    assert len(log.read_text().split()) == len(WIDTHS)
    log.unlink()
    return space, store, log, table


def built(log):
    # one that fails on meta tensors is built again with weights
    return sorted(set(map(int, log.read_text().split()))) if log.exists() else []


def test_a_finished_sweep_builds_nothing_again(swept):
    space, store, log, table = swept
    content = store.read_bytes()
    assert il.sweep(space, jobs=1, store=store).equals(table)
    assert built(log) == []
    assert store.read_bytes() == content


@pytest.mark.parametrize("kept", [0, 1, -1, -20])
def test_a_last_line_that_is_cut_short_costs_that_variant_alone(swept, kept):
    space, store, log, table = swept
    lines = store.read_bytes().splitlines(keepends=True)
    store.write_bytes(b"".join(lines[:-1]) + lines[-1][:kept])
    assert il.sweep(space, jobs=1, store=store).equals(table)
    # of the last line all but its end was there with -1
    assert built(log) == ([] if kept == -1 else [6])
    log.unlink(missing_ok=True)
    assert il.sweep(space, jobs=1, store=store).equals(table)
    assert built(log) == []


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n\n\n",
        b"{}\n[]\nnull\n3\n",
        b"\xff\xfe\x00\x01\n",
        b"[" * 5000 + b"\n",
        b'{"key": "x", "figures": 3, "status": "complete", "cause": ""}\n',
        b'{"key": "x", "figures": {}, "status": "done", "cause": ""}\n',
        b'{"key": ["x"], "figures": {}, "status": "failed", "cause": ""}\n',
        b'{"key": "x", "figures": {}, "status": ["failed"], "cause": ""}\n',
    ],
)
def test_lines_that_are_none_of_a_store_are_passed_over(swept, garbage):
    space, store, log, table = swept
    lines = store.read_bytes().splitlines(keepends=True)
    store.write_bytes(garbage.join(lines) + garbage)
    assert il.sweep(space, jobs=1, store=store).equals(table)
    assert built(log) == []


@pytest.mark.parametrize(
    "figures",
    [
        {"params": "many", "macs": 1},
        {"params": 1.5, "macs": 1},
        {"params": [1], "macs": 1},
        {"params": True, "macs": 1},
    ],
)
def test_figures_that_are_no_whole_numbers_are_run_again(swept, figures):
    space, store, log, table = swept
    lines = [json.loads(line) for line in store.read_text().splitlines()]
    lines[2]["figures"] = figures
    store.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert il.sweep(space, jobs=1, store=store).equals(table)
    assert built(log) == [3]


def test_a_file_that_is_no_store_is_refused_and_left_alone(swept, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("one\ntwo\n")
    with pytest.raises(InceptionLabError, match=r"notes\.txt: is not the store of a sweep"):
        il.sweep(swept[0], jobs=1, store=notes)
    assert notes.read_text() == "one\ntwo\n"


def test_a_store_of_another_space_gets_the_rows_of_this_one_too(swept, module):
    space, store, log, table = swept
    other = space_of(module, [5, 6, 7], log=log)
    both = il.sweep(other, jobs=1, store=store)
    assert built(log) == [7]
    assert both["params"].tolist() == [params_of(width) for width in (5, 6, 7)]
    wider = other | {"input-size": "3x20x20"}
    assert not il.sweep(wider, jobs=1, store=store)["macs"].equals(both["macs"])
    assert il.sweep(space, jobs=1, store=store).equals(table)
    assert built(log) == [5, 6, 7]


def test_fewer_metrics_are_in_the_store_and_more_are_run_again(swept):
    space, store, log, table = swept
    fewer = il.sweep(space | {"metrics": ["macs"]}, jobs=1, store=store)
    assert fewer["macs"].equals(table["macs"])
    assert built(log) == []
    il.sweep(space | {"metrics": ["params", "peak_bytes"]}, jobs=1, store=store)
    assert built(log) == list(WIDTHS)
    log.unlink()
    il.sweep(space | {"metrics": ["peak_bytes"]}, jobs=1, store=store)
    assert built(log) == []


@pytest.mark.parametrize("change", [{"batch-size": 2}, {"mode": "train"}, {"input-size": "3x17x17"}])
def test_another_question_is_run_again(swept, change):
    space, store, log, _ = swept
    il.sweep(space | change, jobs=1, store=store)
    assert built(log) == list(WIDTHS)


def test_failed_variants_are_run_again_on_demand_alone(module, tmp_path):
    store, log = tmp_path / "store.jsonl", tmp_path / "log"
    space = space_of(module, WIDTHS, log=log, falls={"3": "leave"})
    for retry, expected in ((False, [*WIDTHS]), (False, []), (True, [3])):
        table = il.sweep(space, jobs=1, store=store, retry=retry)
        assert table["status"].tolist().count("failed") == 1
        assert built(log) == expected
        log.unlink(missing_ok=True)


def in_another_process(space, store, jobs=1):
    code = f"import inception_lab as il; il.sweep({space!r}, jobs={jobs}, store={str(store)!r})"
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)


def test_two_sweeps_at_once_share_a_store(module, tmp_path):
    store = tmp_path / "store.jsonl"
    space = space_of(module, range(1, 21))
    for process in [in_another_process(space, store) for _ in range(2)]:
        assert process.communicate()[1] == ""
    lines = [json.loads(line) for line in store.read_text().splitlines()]
    assert len(lines) <= 40
    assert {line["parameters"]["width"] for line in lines} == set(range(1, 21))
    assert all(line["figures"]["params"] == params_of(line["parameters"]["width"]) for line in lines)


def test_a_file_of_the_user_that_changes_makes_a_store_stale(swept, tmp_path, module):
    space, store, log, _ = swept
    (tmp_path / f"{module}.py").write_text(SOURCE + "\n# a new version\n")
    assert in_another_process(space, store).communicate()[1] == ""
    assert built(log) == list(WIDTHS)
    log.unlink()
    with pytest.raises(
        InceptionLabError, match="its code has changed since it was imported; start Python anew"
    ):
        il.sweep(space, jobs=1, store=store)
    assert built(log) == []


def test_a_store_in_a_folder_that_is_not_there_yet(module, tmp_path):
    store = tmp_path / "new" / "folder" / "store.jsonl"
    il.sweep(space_of(module, [1]), jobs=1, store=store)
    assert len(store.read_text().splitlines()) == 1


@pytest.mark.parametrize("place", ["folder", "file/store.jsonl"])
def test_a_place_that_cannot_be_written_is_one_line(module, tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InceptionLabError, match=r"cannot be (read|written): (Is a directory|File exists)"
    ) as error:
        il.sweep(space_of(module, [1]), jobs=1, store=tmp_path / place)
    assert error.value.exit_code == 2


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
sys.dont_write_bytecode = True
from inception_lab.cli import main
main(sys.argv[1:])
"""


def test_a_full_disk_is_one_line_and_what_was_finished_is_kept(module, tmp_path):
    log, store = tmp_path / "log", tmp_path / "space.jsonl"
    (tmp_path / "space.toml").write_text(
        f"model = '{module}:net'\nkwargs = {{ log = '{log}' }}\ninput-size = '3x16x16'\n"
        "metrics = ['params', 'macs']\nparameters.width = [1, 2, 3, 4, 5, 6]\n"
    )
    command = [sys.executable, "-c", FULL_DISK, "sweep", "space.toml", "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "space.jsonl: cannot be written: File too large; what is finished is in it: the same" in line
    finished = len(Store(store).read())
    assert 0 < finished < 6
    log.unlink()
    table = il.sweep(space_of(module, WIDTHS, log=log), jobs=1, store=store)
    assert len(built(log)) == 6 - finished
    assert table["params"].tolist() == [params_of(width) for width in WIDTHS]


def test_a_device_without_space_is_one_line():
    with (
        pytest.raises(InceptionLabError, match=r"/dev/full: cannot be written: No space left on device"),
        Store(Path("/dev/full")).opened() as appender,
    ):
        appender.append("key", {}, Answer({}))


def test_an_answer_comes_back_as_it_was_written(tmp_path):
    store = Store(tmp_path / "store.jsonl")
    answers = {
        "a": Answer({"params": 2**70, "receptive_field": None}, "partial", 'two\nlines, "quotes" and \ud800'),
        "b": Answer({}, "failed", "größe"),
    }
    with store.opened() as appender:
        for key, answer in answers.items():
            appender.append(key, {"width": 1}, answer)
    assert store.read() == answers
    assert store.path.read_bytes().isascii()
