"""A Dask cluster of processes on this machine, for tests."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress

_SECONDS = 60


@contextmanager
def dask_cluster(folder, workers=2, *, nanny=True):
    """Start a scheduler and workers in a folder of their own; yields the address and the worker processes."""
    file = folder / "scheduler.json"
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    with ExitStack() as stack:
        scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "0", *common]
        stack.enter_context(_process(folder, scheduler))
        address = _address(file)
        options = ["--nthreads", "1", "--nanny" if nanny else "--no-nanny", "--no-dashboard"]
        command = ["worker", address, *options, "--local-directory", str(folder)]
        processes = [stack.enter_context(_process(folder, command)) for _ in range(workers)]
        if workers:
            _wait_for_workers(address, workers)
        yield address, processes


@contextmanager
def _process(folder, arguments):
    # a group of its own, so that no grandchild is left
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _address(file):
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        if file.exists() and (text := file.read_text()):
            return json.loads(text)["address"]
        time.sleep(0.05)
    raise TimeoutError("the scheduler does not start")


def _wait_for_workers(address, count):
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=_SECONDS)
