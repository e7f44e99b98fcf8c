"""Compare what is said of thousands of drawn nets with oracles, and write down what is wrong or uncertain.

Each seed gives a small net of any operations, in chains and branches. The field of each of its layers is
compared, unit by unit, with the dependence that a real run shows, and so are projective fields; its MACs with
torch's own counter; of one net in so many, the peak of its memory with a real run. The record of each net is
written as it comes, so that an interrupted check goes on where it was.

Usage: python scripts/check_random_nets.py [--nets N] [--first SEED] [--processes P] [-o DIR]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from inception_lab.report.document import Heading, Table, document
from shared import REPORTS, ROOT, add_output, context_line, write_text

sys.path.append(str(ROOT / "tests"))  # the nets and their oracles are those of the tests
from support.drawn_nets.comparison import compare_fields, faults_of_macs, faults_of_memory
from support.drawn_nets.nets import draw, operations_of, uncertain_steps
from support.drawn_nets.shrinking import shrunk

MOST_UNCERTAIN = 0.05
"""The share of layers that may be bound or unknown."""

CHUNK = 20
"""Nets that a process is handed at once."""

RECORD = "nets.jsonl"
INTRODUCTION = (
    "Small nets drawn by seed, of every operation that has a rule, in chains and branches. Each unit of each "
    "layer is compared with the dependence that a real run shows (forward-mode derivatives in float64, one "
    "pixel at a time), all of it and that with whole reductions held fixed; projective fields likewise; MACs "
    "with torch's own counter; the peak of memory of some with a real run. A field that is exact or "
    "misaligned must be equal, a bound must contain."
)

Record = dict[str, Any]


def check(seed: int, memory_every: int) -> Record:
    """The record of one net: the faults, and the layers whose field is not certain, by operation."""
    spec = draw(seed)
    comparison = compare_fields(spec)
    faults = [*comparison.faults, *faults_of_macs(spec)]
    if memory_every and seed % memory_every == 0:
        faults += faults_of_memory(spec)
    uncertain = uncertain_steps(spec, {step: status for step, (status, _) in comparison.statuses.items()})
    return {
        "seed": seed,
        "layers": len(comparison.statuses),
        "statuses": Counter(status for status, _ in comparison.statuses.values()),
        "operations": Counter(step.name for step in operations_of(spec.steps)),
        "began": [[name, *comparison.statuses[step]] for step, name in uncertain.items()],
        "faults": [list(fault) for fault in faults],
        "net": str(spec) if faults else "",
    }


def check_all(seeds: Sequence[int], memory_every: int) -> list[Record]:
    """The records of some nets, on one thread."""
    torch.set_num_threads(1)
    return [check(seed, memory_every) for seed in seeds]


def records(options: argparse.Namespace) -> list[Record]:
    """The records of all nets asked for; those that are in the file are not made again."""
    file = options.output / RECORD
    file.parent.mkdir(parents=True, exist_ok=True)
    done = read(file)
    # a line that was cut off must not be the beginning of the next
    file.write_text("".join(f"{json.dumps(row)}\n" for row in done.values()), encoding="utf-8", newline="\n")
    wanted = range(options.first, options.first + options.nets)
    pending = [seed for seed in wanted if seed not in done]
    start = time.monotonic()
    with file.open("a", encoding="utf-8", newline="") as lines:
        for count, record in enumerate(_made(pending, options), 1):
            lines.write(f"{json.dumps(record)}\n")
            done[record["seed"]] = record
            if count % 500 == 0:
                seconds = time.monotonic() - start
                faulty = sum(bool(record["faults"]) for record in done.values())
                print(f"{count} nets in {seconds:.0f} s, {faulty} with faults", file=sys.stderr, flush=True)
    return [done[seed] for seed in wanted]


def _made(seeds: Sequence[int], options: argparse.Namespace) -> Iterator[Record]:
    chunks = [seeds[n : n + CHUNK] for n in range(0, len(seeds), CHUNK)]
    if options.processes == 1:
        for chunk in chunks:
            yield from check_all(chunk, options.memory_every)
        return
    with ProcessPoolExecutor(options.processes) as pool:
        for made in pool.map(check_all, chunks, [options.memory_every] * len(chunks)):
            yield from made


def read(file: Path) -> dict[int, Record]:
    """The records of a file by seed; the last line may be cut off."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    return {row["seed"]: row for row in rows}


# ------------------------------------------------------------------------------ the page


def page(rows: Sequence[Record], shown: int) -> str:
    """Return the verdict in Markdown: totals, faults by kind, the smallest nets, uncertain layers."""
    return document(
        "Drawn nets beside oracles",
        [
            INTRODUCTION,
            totals(rows),
            Heading("Faults"),
            faults_table(rows),
            *smallest(rows, shown),
            Heading("Where fields become uncertain"),
            uncertain_table(rows),
            context_line("1 thread a process"),
        ],
    )


def totals(rows: Sequence[Record]) -> str:
    """Nets, layers and the shares of each status, in a sentence."""
    layers, statuses = sum(row["layers"] for row in rows), added(row["statuses"] for row in rows)
    shares = ", ".join(f"{name} {count / max(layers, 1):.2%}" for name, count in statuses.most_common())
    faulty = sum(bool(row["faults"]) for row in rows)
    return f"{len(rows)} nets, {layers} layers: {shares}. {faulty} nets have faults."


def added(counts: Iterable[dict[str, int]]) -> Counter[str]:
    """The sum of counts by name."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return total


def uncertain_share(rows: Sequence[Record]) -> float:
    """The share of layers that are bound or unknown."""
    statuses = added(row["statuses"] for row in rows)
    return (statuses["bound"] + statuses["unknown"]) / max(sum(statuses.values()), 1)


def faults_table(rows: Sequence[Record]) -> Table:
    """Nets by kind of fault, with the first seeds."""
    seeds: dict[str, list[int]] = {}
    for row in rows:
        for kind in dict.fromkeys(fault[0] for fault in row["faults"]):
            seeds.setdefault(kind, []).append(row["seed"])
    body = [(kind, str(len(row)), ", ".join(map(str, row[:8]))) for kind, row in seeds.items()]
    return Table(("kind", "nets", "first seeds"), body)


def smallest(rows: Sequence[Record], shown: int) -> list[str]:
    """Some nets with faults, made as small as they go while the fault stays."""
    texts = []
    seen: Counter[str] = Counter()
    for row in rows:
        kind = row["faults"][0][0] if row["faults"] else ""
        seen[kind] += 1
        if kind and kind != "memory" and seen[kind] <= shown:
            spec, fault = shrunk(draw(row["seed"]), kind)
            texts.append(f"Seed {row['seed']}: `{spec}`: {fault}")
    return texts


def uncertain_table(rows: Sequence[Record]) -> Table:
    """The operations behind which certain fields are not certain any more."""
    operations = added(row["operations"] for row in rows)
    began: Counter[str] = Counter(entry[0] for row in rows for entry in row["began"])
    reasons: dict[str, Counter[str]] = {}
    for name, status, reason in (entry for row in rows for entry in row["began"]):
        reasons.setdefault(name, Counter())[f"{status}: {reason}"] += 1
    body = [
        (name, str(count), f"{count / max(operations[name], 1):.0%}" if name in operations else "",
         reasons[name].most_common(1)[0][0])
        for name, count in began.most_common()
    ]  # fmt: skip
    return Table(("operation", "layers", "of its layers", "most often because"), body)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Compare drawn nets with oracles.")
    add = parser.add_argument
    add("--nets", type=int, default=20_000, metavar="N", help="nets to draw; default: 20000")
    add("--first", type=int, default=0, metavar="SEED", help="seed of the first; default: 0")
    add("--processes", type=int, default=2, metavar="P", help="processes; default: 2")
    add(
        "--memory-every",
        type=int,
        default=100,
        metavar="M",
        help="measure the memory of one net in M; 0: of none",
    )
    add("--shown", type=int, default=3, metavar="K", help="nets to show of each kind of fault; default: 3")
    add_output(parser, REPORTS / "random_nets")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the record and README.md; returns 1 where anything is wrong or too much is uncertain."""
    options = parse(arguments)
    rows = records(options)
    text = page(rows, options.shown)
    write_text(options.output, "README.md", text)
    print(text)
    return int(any(row["faults"] for row in rows) or uncertain_share(rows) > MOST_UNCERTAIN)


if __name__ == "__main__":
    sys.exit(main())
