"""Processes and clusters that end in the middle: every variant has its row, and all others are complete."""

import csv
import os
import signal
import subprocess
import sys
import threading
from time import sleep

import psutil
import pytest
from distributed import Client
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


def test_variants_that_end_their_process_raise_anything_or_print_are_rows(module, tmp_path):
    (tmp_path / "space.toml").write_text(
        f"""
model = "{module}:net"
input-size = "3x16x16"
metrics = ["params"]
parameters.width = {list(WIDTHS)}
[kwargs.falls]
1 = "print"
2 = "leave"
3 = "kill"
4 = "base"
5 = "memory"
6 = "interrupt"
7 = "exit"
"""
    )
    command = [sys.executable, "-m", "inception_lab", "sweep", "space.toml", "--format", "csv", "--jobs", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [int(row["width"]) for row in rows] == list(WIDTHS)
    for row in rows:
        width = int(row["width"])
        assert row["status"] == ("failed" if width in CAUSES else "complete")
        assert row["params"] == ("" if width in CAUSES else str(params_of(width)))
        assert CAUSES.get(width, "") in row["cause"]
    assert "printed" in done.stderr
    assert "written" in done.stderr
    assert lines(tmp_path / "space.jsonl") == len(WIDTHS)


def test_progress_counts_to_the_end(module):
    calls = []
    il.sweep(space_of(module, WIDTHS), jobs=1, progress=lambda *counts: calls.append(counts))
    assert calls == [(number, len(WIDTHS)) for number in range(1, len(WIDTHS) + 1)]


SCRIPT = """
import threading
import psutil
import inception_lab as il

def kill_a_worker(done, _):
    processes = psutil.Process().children()
    workers = [each for each in processes if "popen_loky" in " ".join(each.cmdline())]
    if done == 2:
        workers[0].kill()
        print("killed")

def sweep():
    print(il.sweep(SPACE, jobs=2, progress=kill_a_worker)["params"].tolist())

thread = threading.Thread(target=sweep)
thread.start()
thread.join()
"""


def test_a_thread_of_a_script_without_a_guard_loses_no_row_where_someone_else_kills_a_worker(
    module, tmp_path
):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("SPACE", repr(space_of(module, WIDTHS, seconds=0.2))))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout == f"killed\n{[params_of(width) for width in WIDTHS]}\n"


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
    log, hold, store = tmp_path / "log", tmp_path / "hold", tmp_path / "space.jsonl"
    hold.touch()
    space = space_of(module, WIDTHS, log=log, hold=str(hold))
    (tmp_path / "space.toml").write_text(
        f"model = '{space['model']}'\ninput-size = '3x16x16'\nmetrics = ['params', 'macs']\n"
        f"kwargs = {{ log = '{log}', hold = '{hold}' }}\nparameters.width = {list(WIDTHS)}\n"
    )
    command = [sys.executable, "-m", "inception_lab", "sweep", "space.toml", "--jobs", str(jobs)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while lines(store) < 1 and process.poll() is None:
        sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    finished = lines(store)
    told, last = err.splitlines()[-2:]
    assert told.startswith(f"{finished} variants are in ")
    assert told.endswith("space.jsonl; the same command goes on")
    assert last == "inception-lab: interrupted"
    assert not psutil.wait_procs(workers, timeout=10)[1]
    log.unlink()
    hold.unlink()
    table = il.sweep(space, jobs=1, store=store)
    assert len(log.read_text().split()) == len(WIDTHS) - finished
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


def test_no_profiler_holds_the_tensors_of_variants(cluster):
    il.sweep({"model": "nin", "parameters": {"num_classes": [1]}}, engine="dask", address=cluster)
    with Client(cluster, set_as_default=False) as client:
        running = client.run(lambda dask_worker: dask_worker.periodic_callbacks["profile"].is_running())
    assert not all(running.values())


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
