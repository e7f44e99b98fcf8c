"""Cold start and memory in a fresh process."""

import pytest

from peers.contenders import OURS
from peers.fresh_processes import peak_bytes, probe_all, reset_peak
from peers.options import parse
from peers.results import Case, Timing


def test_a_fresh_process_tells_cold_start_and_memory():
    options = parse(["--input-size", "3x32x32", "--probes", "1", "--batch-sizes", "1"])
    timings = {Case("googlenet", 1, OURS): Timing((1.0,))}
    ((probe,),) = probe_all(timings, options).values()
    assert min(probe.pandas, probe.package, probe.first, probe.second) > 0
    assert probe.first_added is None or probe.first_added >= 0


def test_the_peak_falls_when_it_is_reset_and_rises_with_what_is_allocated():
    if not reset_peak().endswith("reset before the run"):
        pytest.skip("only Linux resets the peak")
    before = peak_bytes()
    data = bytearray(64 * 2**20)
    data[:: 2**12] = b"x" * len(data[:: 2**12])  # touched, each page is resident
    assert 60 * 2**20 < peak_bytes() - before < 80 * 2**20
    del data
    reset_peak()
    assert peak_bytes() - before < 40 * 2**20
