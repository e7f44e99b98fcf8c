"""The whole race: time, probe, write the page, and print its targets."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec

import torch

from peers.contenders import PEERS, net
from peers.fresh_processes import probe, probe_all
from peers.options import Options, parse
from peers.page import targets_table, write
from peers.race import operation_count, race
from peers.results import Case, Results, Timing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns 2 where it cannot run at all, and 0 whatever it finds."""
    options = parse(arguments)
    _quiet()
    if options.probe:
        shape = options.shape(options.models[0], options.batch_sizes[0])
        print(json.dumps(asdict(probe(options.probe, options.models[0], shape))))
        return 0
    if missing := [name for name in PEERS if find_spec(name) is None]:
        print(f"error: no {' and no '.join(missing)}: pip install inception_lab[bench]", file=sys.stderr)
        return 2
    results = measure(options)
    write(results, options.output)
    print(targets_table(results).markdown())
    return 0


def measure(options: Options) -> Results:
    """Race and probe all models, one after the other."""
    timings: dict[Case, Timing] = {}
    operations: dict[str, int] = {}
    for model in options.models:
        print(f"{model}: {options.rounds} rounds", file=sys.stderr)
        timings |= race(model, options)
        operations[model] = operation_count(model, options)
        net.cache_clear()
    print("fresh processes", file=sys.stderr)
    return Results(options, timings, probe_all(timings, options), operations)


def _quiet() -> None:
    """One thread, and none of the peers' warnings."""
    warnings.simplefilter("ignore")
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    torch.set_num_threads(1)


if __name__ == "__main__":
    sys.exit(main())
