"""Cold start and memory of the contenders, in fresh processes."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import inception_lab as il
from peers.contenders import COLD, CONTENDERS, Run, Shape
from peers.options import Options
from peers.race import turns
from peers.results import Case, Probe, Timing
from shared import ROOT, time_run


def probe_all(timings: dict[Case, Timing], options: Options) -> dict[Case, tuple[Probe, ...]]:
    """Probe what could be raced: cold starts in turns and repeatedly, all else once."""
    cases = [case for case, timing in timings.items() if not timing.why_not]
    cold_starts = [c for c in cases if c.contender in COLD and c.batch == options.batch_sizes[0]]
    others = [c for c in cases if c not in cold_starts] if options.probes else []
    probes: dict[Case, tuple[Probe, ...]] = dict.fromkeys(timings, ())
    for case in [*turns(cold_starts, options.probes), *others]:
        probes[case] = (*probes[case], *_probe_in_child(case, options))
    return probes


def _probe_in_child(case: Case, options: Options) -> tuple[Probe, ...]:
    """The probe of a fresh process; empty where it failed, which it says itself on stderr."""
    shape = options.shape(case.model, case.batch)
    script = str(ROOT / "scripts" / "bench_peers.py")
    command = [
        *(sys.executable, "-W", "ignore", script, "--probe", case.contender, "--models", case.model),
        *("--batch-sizes", str(case.batch), "--input-size", "x".join(map(str, shape[1:]))),
    ]
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    # peers print what they like; the probe is the last line
    return () if child.returncode else (Probe(**json.loads(child.stdout.splitlines()[-1])),)


def probe(name: str, model: str, shape: Shape) -> Probe:
    """Run a contender twice in this process, which must be a fresh one."""
    # pandas first, so that its import is not charged to this package, which needs it too
    pandas, _ = time_run(lambda: import_module("pandas"))
    package, _ = time_run(lambda: (il.trace, il.layer_costs))
    run = CONTENDERS[name].ready(model, shape)
    first, first_added, method = _weigh(run)
    second, second_added, _ = _weigh(run)
    return Probe(pandas, package, first, second, first_added, second_added, method)


def _weigh(run: Run) -> tuple[float, int | None, str]:
    """CPU seconds of a run, bytes that it added to the peak of memory, and how these were measured."""
    gc.collect()
    method = reset_peak()
    before = peak_bytes()
    seconds, _ = time_run(run)
    after = peak_bytes()
    return seconds, None if before is None or after is None else after - before, method


def reset_peak() -> str:
    """Bring the peak of resident memory down to what is resident now; returns how it is measured."""
    try:
        # Linux: 5 resets the high-water mark of this process, see proc(5)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        source = "VmHWM" if _high_water_mark() is not None else "ru_maxrss"
        return f"{source}, not reset: a lower bound"
    return "VmHWM, reset before the run"


def peak_bytes() -> int | None:
    """The peak of this process's resident memory; None where the system does not tell.

    `ru_maxrss` is only second best: a child may inherit it from its parent.
    """
    mark = _high_water_mark()
    if mark is not None:
        return mark
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _high_water_mark() -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
