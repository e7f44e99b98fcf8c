"""Processes and clusters that end in the middle: every variant has its row, and all others are complete."""

import os
import signal
import subprocess
import sys
import threading
from time import sleep

import psutil
import pytest
from support.dask_cluster import dask_cluster
from support.sweep_nets import params_of, space_of, write_nets

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.sweeps import engines
from inception_lab.sweeps.engines import Engine
from inception_lab.sweeps.runner import LOST

WIDTHS = range(1, 9)


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return write_nets(tmp_path)


FALLS = {"2": "leave", "3": "kill", "4": "base", "5": "memory", "6": "interrupt", "7": "exit"}
CAUSES = {
    2: "SystemExit: 3",
    3: LOST.cause,
    4: "BaseException: neither",
    5: "MemoryError",
    6: "KeyboardInterrupt",
    7: LOST.cause,
}


def check_table(table, failed=()):
    """Check that all rows but those of some widths are complete and right."""
    assert table["width"].tolist() == list(WIDTHS)
    is_failed = table["width"].isin(list(failed))
    assert table["status"].tolist() == ["failed" if each else "complete" for each in is_failed]
    assert table["params"][~is_failed].tolist() == [params_of(each) for each in WIDTHS if each not in failed]


def test_variants_that_end_their_process_or_raise_anything_are_rows_with_their_causes(module, tmp_path):
    store = tmp_path / "store.jsonl"
    table = il.sweep(space_of(module, WIDTHS, falls=FALLS), jobs=2, store=store)
    check_table(table, CAUSES)
    for width, cause in table[table["status"] == "failed"].set_index("width")["cause"].items():
        assert CAUSES[width] in cause
    assert lines(store) == len(WIDTHS)


def test_a_worker_that_someone_else_kills_costs_no_row(module, tmp_path):
    store = tmp_path / "store.jsonl"
    killed = []

    def kill_one(done, _):
        if done == 2 and not killed:
            workers = [p for p in psutil.Process().children() if "loky" in " ".join(p.cmdline())]
            killed.extend(p for p in workers if "resource_tracker" not in " ".join(p.cmdline()))
            killed[0].kill()

    table = il.sweep(space_of(module, WIDTHS, seconds=0.2), jobs=2, store=store, progress=kill_one)
    assert killed
    check_table(table)


def test_progress_counts_to_the_end(module):
    calls = []
    il.sweep(space_of(module, WIDTHS), jobs=1, progress=lambda *counts: calls.append(counts))
    assert calls == [(number, len(WIDTHS)) for number in range(1, len(WIDTHS) + 1)]


def test_what_the_code_of_a_variant_prints_is_not_in_the_output(module, tmp_path):
    space = f"""
model = "{module}:net"
kwargs = {{ falls = {{ 1 = "print" }} }}
input-size = "3x16x16"
metrics = ["params"]
parameters.width = [1, 2]
"""
    (tmp_path / "space.toml").write_text(space)
    command = [sys.executable, "-m", "inception_lab", "sweep", "space.toml", "--format", "csv", "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split(",")[:3] for line in done.stdout.splitlines()]
    assert rows == [
        ["variant", "width", "params"],
        ["1", "1", str(params_of(1))],
        ["2", "2", str(params_of(2))],
    ]
    assert {"printed", "written"} <= set(done.stderr.replace("written", "written\n").split())


def test_a_script_without_a_guard_and_a_thread_may_sweep(module, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import threading
import inception_lab as il
space = {space_of(module, [1, 2])!r}
tables = []
thread = threading.Thread(target=lambda: tables.append(il.sweep(space, jobs=2)))
thread.start()
thread.join()
print([table["params"].tolist() for table in tables])
"""
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout == f"{[[params_of(1), params_of(2)]]}\n"


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"engine": "daks"}, "no engine 'daks'; did you mean dask?"),
        ({"engine": "dask"}, "a cluster has no address; add address="),
        ({"address": "tcp://127.0.0.1:1"}, "processes have no address; add engine="),
        ({"jobs": 0}, "jobs is 0; give 1 or more"),
        ({"jobs": True}, "a bool is not a whole number"),
        (
            {"engine": "dask", "address": "tcp://127.0.0.1:1", "jobs": 2},
            "a cluster has its own number of jobs",
        ),
    ],
)
def test_an_engine_that_is_none_is_one_line(keywords, message):
    table = {"model": "nin", "parameters": {"num_classes": [1]}, "metrics": ["params"]}
    with pytest.raises(InceptionLabError) as error:
        il.sweep(table, **keywords)
    assert message in str(error.value)


def lines(store):
    return store.read_bytes().count(b"\n") if store.exists() else 0


@pytest.mark.parametrize(("jobs", "to_group"), [(1, False), (2, True)])
def test_ctrl_c_loses_nothing_and_the_same_command_goes_on(module, tmp_path, jobs, to_group):
    log, store = tmp_path / "log", tmp_path / "space.jsonl"
    space = space_of(module, range(1, 11), log=log, seconds=0.1)
    (tmp_path / "space.toml").write_text(
        f"model = '{space['model']}'\ninput-size = '3x16x16'\nmetrics = ['params', 'macs']\n"
        f"kwargs = {{ log = '{log}', seconds = 0.1 }}\n"
        "parameters.width = { min = 1, max = 10, step = 1 }\n"
    )
    command = [sys.executable, "-m", "inception_lab", "sweep", "space.toml", "--jobs", str(jobs)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while lines(store) < 4 and process.poll() is None:
        sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    finished = lines(store)
    told, last = err.splitlines()[-2:]
    assert told == f"{finished} variants are in {store.name}; the same command goes on"
    assert last == "inception-lab: interrupted"
    assert not psutil.wait_procs(workers, timeout=10)[1]
    log.unlink()
    table = il.sweep(space, jobs=1, store=store)
    assert len(log.read_text().split()) == 10 - finished
    assert table.equals(il.sweep(space, jobs=1))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        # a task is given up after the first worker that it ends, not after four
        patch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
        with dask_cluster(tmp_path_factory.mktemp("cluster")) as (address, _):
            yield address


def test_a_cluster_in_another_folder_gives_the_table_of_this_machine(module, cluster):
    for model in (f"{module}:net", f"./{module}.py:net", f"{module}:net(seconds=0)"):
        space = space_of(module, WIDTHS) | {"model": model}
        assert il.sweep(space, engine="dask", address=cluster).equals(il.sweep(space, jobs=1))


def test_a_model_of_the_zoo_needs_no_file(cluster):
    space = {"model": "nin", "parameters": {"num_classes": [1, 2, 3]}}
    assert il.sweep(space, engine="dask", address=cluster).equals(il.sweep(space, jobs=1))


def test_a_variant_that_ends_every_worker_is_a_row(module, cluster):
    table = il.sweep(space_of(module, WIDTHS, falls={"3": "kill"}), engine="dask", address=cluster)
    check_table(table, [3])
    assert table["cause"].tolist()[2] == LOST.cause


def test_code_that_changed_since_workers_imported_it_is_refused(module, cluster, tmp_path):
    space = space_of(module, WIDTHS)
    il.sweep(space, engine="dask", address=cluster)
    file = tmp_path / f"{module}.py"
    file.write_text(file.read_text() + "\n# changed\n")
    code = f"import inception_lab as il; il.sweep({space!r}, engine='dask', address={cluster!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "a worker does not find it (its code has changed since it was imported)" in done.stderr


def test_a_worker_of_a_cluster_that_is_killed_in_the_middle_costs_no_row(module, tmp_path):
    store, space = tmp_path / "store.jsonl", space_of(module, WIDTHS, seconds=0.2)
    folder = tmp_path / "cluster"
    folder.mkdir()
    with dask_cluster(folder) as (address, workers):

        def kill_one():
            while lines(store) < 2:
                sleep(0.01)
            os.killpg(workers[0].pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_one, daemon=True)
        killer.start()
        table = il.sweep(space, engine="dask", address=address, store=store)
        killer.join(timeout=10)
        assert workers[0].wait(timeout=10) == -signal.SIGKILL
    assert table.equals(il.sweep(space, jobs=1))


def test_no_scheduler_is_one_line_in_a_bounded_time(monkeypatch):
    monkeypatch.setattr(engines, "SECONDS", 1)
    with pytest.raises(
        InceptionLabError, match=r"^tcp://127.0.0.1:9: no cluster answers: .*; start one with"
    ):
        Engine("dask", None, "tcp://127.0.0.1:9").opened().__enter__()


def test_an_address_that_is_none_is_one_line():
    with pytest.raises(InceptionLabError, match="no cluster answers"):
        Engine("dask", None, "nowhere at all").opened().__enter__()


def test_a_cluster_without_workers_is_one_line(tmp_path):
    with (
        dask_cluster(tmp_path, workers=0) as (address, _),
        pytest.raises(InceptionLabError, match=r"the cluster has no workers; dask worker tcp://"),
        Engine("dask", None, address).opened(),
    ):
        pass
