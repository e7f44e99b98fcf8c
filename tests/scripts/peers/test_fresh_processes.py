"""Cold start and memory in a fresh process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from peers.contenders import OURS
from peers.fresh_processes import probe_all
from peers.options import parse
from peers.results import Case, Timing

SCRIPTS = Path(__file__).parents[3] / "scripts"


def test_a_fresh_process_tells_cold_start_and_memory():
    options = parse(["--input-size", "3x32x32", "--probes", "1", "--batch-sizes", "1"])
    timings = {Case("googlenet", 1, OURS): Timing((1.0,))}
    ((probe,),) = probe_all(timings, options).values()
    assert min(probe.pandas, probe.package, probe.first, probe.second) > 0
    assert probe.first_added is None or probe.first_added >= 0


ALLOCATE = """
from peers.fresh_processes import peak_bytes, reset_peak

print(reset_peak())
before = peak_bytes()
data = bytearray(64 * 2**20)
data[:: 2**12] = b"x" * len(data[:: 2**12])  # touched, each page is resident
print(peak_bytes() - before)
del data
reset_peak()
print(peak_bytes() - before)
"""


def test_the_peak_falls_when_it_is_reset_and_rises_with_what_is_allocated():
    # in a process of its own, in which nothing else is freed at the same time
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(SCRIPTS), str(SCRIPTS.parent)])}
    command = [sys.executable, "-c", ALLOCATE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    method, risen, fallen = done.stdout.splitlines()
    if not method.endswith("reset before the run"):
        pytest.skip("only Linux resets the peak")
    assert 60 * 2**20 < int(risen) < 80 * 2**20
    assert int(fallen) < 40 * 2**20
