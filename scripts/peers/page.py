"""The page and the CSV file of the race."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from inception_lab.measure.hardware import device_name
from inception_lab.report.document import Heading, Table, document
from inception_lab.report.text import render
from peers.contenders import COLD, META_FORWARD, OURS, PEERS
from peers.results import Case, Results, Spread, Timing, Turn
from peers.targets import TARGETS
from shared import write_text

TURNS: tuple[Turn, ...] = ("first", "second")
INTRODUCTION = (
    "Written by `python scripts/bench_peers.py`. "
    "CPU time of one thread, medians with [quartiles]. Contenders take turns in one process; a ratio is "
    "taken within each round, and the median ratio is given. All run in eval mode under `no_grad`. In "
    "its turn a contender runs twice and the second run counts, so that all find their caches warm; "
    "garbage is collected before each turn. "
    f"`{OURS}` is `il.layer_costs(il.trace(model, shape))` with real weights. Memory is what the first "
    "and the second run in a fresh process added to the peak of resident memory, after imports and "
    "model build; the first run's share includes what torch itself loads at its first use."
)
COUNTS = (
    "Counts: `equal` is to the unit. The MACs of fvcore are those of its `conv` and `linear`, those of "
    "TorchScan of its `Conv2d` and `Linear`, FlopCounterMode's its FLOPs / 2; torchinfo has its own "
    "definition, which adds biases and others."
)
COLD_START = (
    "Torch, pandas and this package are imported and the model is built before the first run; what torch "
    "loads by itself at its first use is in it."
)


def write(results: Results, folder: Path) -> None:
    """Write peers.md and peers.csv."""
    table = rows(results)
    write_text(folder, "peers.md", page(results))
    write_text(folder, "peers.csv", render(table, list(table[0]), "csv"))


def page(results: Results) -> str:
    """Return the whole report in Markdown."""
    models, shape = results.options.models, results.options.shape
    sizes = [f"{model}: {'x'.join(map(str, shape(model, 1)[1:]))}" for model in models]
    parts = [
        INTRODUCTION,
        Table(("context", ""), [*machine(results).items(), ("inputs", "; ".join(sizes))]),
        Heading("Targets"),
        targets_table(results),
        "A verdict compares the median with what is required.",
        *(part for model in models for part in (Heading(model), warm_table(results, model))),
        COUNTS,
        Heading("Cold start"),
        cold_table(results),
        COLD_START,
    ]
    return document("Against its peers", parts)


def machine(results: Results) -> dict[str, str]:
    """Return what the numbers depend on, without what would tell whose machine it was."""
    options = results.options
    probes = [probe for case_probes in results.probes.values() for probe in case_probes]
    pandas, package = Spread.of([p.pandas for p in probes]), Spread.of([p.package for p in probes])
    operations = (f"{model}: {number}" for model, number in results.operations.items())
    return {
        "CPU": device_name("cpu"),
        "threads": str(torch.get_num_threads()),
        "Python": platform.python_version(),
        "torch": torch.__version__,
        **{name: metadata.version(name) for name in (*PEERS, "pandas", "inception_lab")},
        "rounds": f"{options.rounds}, after one warm-up run of each contender",
        "fresh processes": f"{options.probes} for each of {'; '.join(COLD)} at the first batch size, else 1",
        "memory": probes[0].method if probes else "not measured",
        "import of pandas (not in any figure)": pandas.text(1000) + " ms" if pandas else "",
        "import of tracer and costs (not in any figure)": package.text(1000) + " ms" if package else "",
        "operations dispatched": "; ".join(operations),
    }


def targets_table(results: Results) -> Table:
    """Each target on each model, and if it was met."""
    body = []
    for model in results.options.models:
        for target in TARGETS:
            spread = target.figure(results, model)
            verdict = target.verdict(spread)
            body.append((model, target.text, target.requirement, _text(spread, digits=3), verdict))
    return Table(("model", "target", "required", "measured", "verdict"), body)


def warm_table(results: Results, model: str) -> Table:
    """All contenders on one model: time, ratios, memory and counts."""
    ratios, memory = ("x inception_lab", "x meta forward"), ("MB added, first run", "second run")
    header = ("batch", "contender", "CPU ms", *ratios, *memory, "MACs", "counts")
    cases = {case: timing for case, timing in results.timings.items() if case.model == model}
    return Table(header, [_warm_cells(results, case, timing) for case, timing in cases.items()])


def _warm_cells(results: Results, case: Case, timing: Timing) -> tuple[str, ...]:
    if timing.why_not:
        return (str(case.batch), case.contender, timing.why_not, *[""] * 6)
    ours, meta = (Case(case.model, case.batch, name) for name in (OURS, META_FORWARD))
    return (
        str(case.batch),
        case.contender,
        _text(Spread.of(timing.seconds), scale=1000),
        _text(results.ratio(case, ours)),
        _text(results.ratio(case, meta)),
        *(_text(results.added_memory(case, turn), digits=1) for turn in TURNS),
        "" if timing.macs is None else f"{timing.macs:,}",
        results.agreement(case),
    )


def cold_table(results: Results) -> Table:
    """The first and the second run in a fresh process, at the first batch size."""
    header = ("model", "contender", "processes", "first run, CPU ms", "second run, CPU ms")
    return Table(header, list(_cold_rows(results)))


def _cold_rows(results: Results) -> Iterator[tuple[str, ...]]:
    for case, probes in results.probes.items():
        if case.contender in COLD and case.batch == results.options.batch_sizes[0]:
            times = (_text(Spread.of(results.cold(case, turn)), scale=1000) for turn in TURNS)
            yield (case.model, case.contender, str(len(probes)), *times)


def _text(spread: Spread | None, scale: float = 1, digits: int = 2) -> str:
    return "" if spread is None else spread.text(scale, digits)


def rows(results: Results) -> list[dict[str, Any]]:
    """Return a row per case, as in the CSV file; what was not measured is empty."""
    return [_row(results, case, timing) for case, timing in results.timings.items()]


def _row(results: Results, case: Case, timing: Timing) -> dict[str, Any]:
    ours, meta = (Case(case.model, case.batch, name) for name in (OURS, META_FORWARD))
    probes = results.probes[case]
    return {
        **asdict(case),
        "status": timing.why_not or "ok",
        "rounds": len(timing.seconds),
        **_columns("cpu_ms", Spread.of([s * 1000 for s in timing.seconds])),
        **_columns("over_inception_lab", results.ratio(case, ours)),
        **_columns("over_meta_forward", results.ratio(case, meta)),
        "processes": len(probes),
        **_columns("cold_first_ms", Spread.of([p.first * 1000 for p in probes])),
        **_columns("cold_second_ms", Spread.of([p.second * 1000 for p in probes])),
        **_columns("first_added_mb", results.added_memory(case, "first")),
        **_columns("second_added_mb", results.added_memory(case, "second")),
        "memory_method": probes[0].method if probes else "not measured",
        "macs": timing.macs,
        "counts": results.agreement(case),
    }


def _columns(name: str, spread: Spread | None) -> dict[str, float | None]:
    parts = {"q1": None, "median": None, "q3": None} if spread is None else asdict(spread)
    return {f"{name}_{part}": None if value is None else round(value, 4) for part, value in parts.items()}
