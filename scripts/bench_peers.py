"""Race this project against its peers: CPU time, added memory, cold start and the counts themselves.

Every contender counts (or only runs) the same nets, in one process and in turns, so that whatever
disturbs the machine disturbs all of them; ratios are taken within a round, and their median is
reported. Cold starts and memory are taken in fresh processes, one contender each.

Usage: python scripts/bench_peers.py [--models googlenet ...] [--rounds 20] [--output DIR]
"""

from __future__ import annotations

import argparse
import csv
import gc
import json
import logging
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.measure.hardware import device_name
from inception_lab.models.cards import get_card

Shape = tuple[int, ...]
Run = Callable[[], Any]

DEFAULT_OUTPUT = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
DEFAULT_MODELS = ("googlenet", "googlenet_bn", "googlenet_naive")
PEERS = ("fvcore", "torchinfo")
MB = 1_000_000

OURS, OURS_META, META_FORWARD, REAL_FORWARD = (
    "inception_lab",
    "inception_lab, meta-built",
    "meta forward",
    "real forward",
)
COLD = (OURS, OURS_META, META_FORWARD)
"""The contenders whose cold start is repeated; the others start cold once, for their memory."""


# The contenders


@cache
def net(model: str, device: str) -> nn.Module:
    """The net that all contenders on a device share, in eval mode."""
    return il.create_model(model, device=device).eval()


def _ours(model: nn.Module, image: Tensor) -> Run:
    trace, layer_costs, shape = il.trace, il.layer_costs, tuple(image.shape)
    return lambda: layer_costs(trace(model, shape))


def _forward(model: nn.Module, image: Tensor) -> Run:
    return lambda: model(image)


def _fvcore(model: nn.Module, image: Tensor) -> Run:
    from fvcore.nn import FlopCountAnalysis

    def run() -> Any:
        analysis = FlopCountAnalysis(model, image)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()
        return analysis

    return run


def _torchinfo(model: nn.Module, image: Tensor) -> Run:
    from torchinfo import summary

    return lambda: summary(model, input_data=image, device=image.device, verbose=0)


def _flop_counter_mode(model: nn.Module, image: Tensor) -> Run:
    from torch.utils.flop_counter import FlopCounterMode

    def run() -> Any:
        with FlopCounterMode(display=False) as counter:
            model(image)
        return counter.get_total_flops()

    return run


def _macs_of_fvcore(analysis: Any) -> int:
    by_operator = analysis.by_operator()
    return int(by_operator["conv"] + by_operator["linear"])


@dataclass(frozen=True)
class Contender:
    """What runs in turn with the others.

    Args:
        prepare: Given the net and an input, does all imports and returns what is timed.
        weights: The device on which its net is built.
        image: The device of its input; on `cpu` it computes a real forward.
        macs: From the result of a run to the MACs that it counted; None where it counts none.
        comparable: Whether it means the same by a MAC as we do: one multiply and one add of a
            convolution, linear or matrix product.
    """

    prepare: Callable[[nn.Module, Tensor], Run]
    weights: str
    image: str
    macs: Callable[[Any], int] | None = None
    comparable: bool = True

    @property
    def computes(self) -> bool:
        """Whether it needs a real forward."""
        return self.image == "cpu"

    def ready(self, model: str, shape: Shape) -> Run:
        """What is timed on this model and input."""
        run = self.prepare(net(model, self.weights), torch.zeros(shape, device=self.image))
        return torch.no_grad()(run)


def _both(name: str, contender: Callable[..., Contender]) -> dict[str, Contender]:
    return {
        name: contender(weights="cpu", image="cpu"),
        f"{name} on meta": contender(weights="meta", image="meta"),
    }


_ours_on = partial(Contender, _ours, image="meta", macs=lambda costs: int(costs["macs"].sum()))

CONTENDERS: dict[str, Contender] = {
    OURS: _ours_on(weights="cpu"),
    OURS_META: _ours_on(weights="meta"),
    META_FORWARD: Contender(_forward, "meta", "meta"),
    REAL_FORWARD: Contender(_forward, "cpu", "cpu"),
    **_both("fvcore", partial(Contender, _fvcore, macs=_macs_of_fvcore)),
    **_both("torchinfo", partial(Contender, _torchinfo, macs=lambda s: s.total_mult_adds, comparable=False)),
    **_both("FlopCounterMode", partial(Contender, _flop_counter_mode, macs=lambda flops: flops // 2)),
}


# What is measured


@dataclass(frozen=True)
class Case:
    """One contender on one model at one batch size."""

    model: str
    batch: int
    contender: str


@dataclass(frozen=True)
class Timing:
    """CPU seconds of each round, and the MACs counted; or why there are none."""

    seconds: tuple[float, ...] = ()
    macs: int | None = None
    why_not: str = ""


@dataclass(frozen=True)
class Probe:
    """What a fresh process saw: CPU seconds of imports, and CPU seconds and bytes added of two runs.

    The imports are those of pandas and, after it, of this package's tracer and cost analyzer. What
    torch itself imports when it first meets a meta tensor is part of the first run.
    """

    pandas: float
    package: float
    first: float
    second: float
    first_added: int | None
    second_added: int | None
    method: str


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    q1: float
    median: float
    q3: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """The spread of these values; None where there are none."""
        if len(values) < 2:
            return cls(values[0], values[0], values[0]) if values else None
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))

    @classmethod
    def of_ratios(cls, over: Sequence[float], under: Sequence[float]) -> Spread | None:
        """The spread of the ratios of values taken in the same round."""
        return cls.of([a / b for a, b in zip(over, under, strict=False) if b])

    def shown(self, scale: float = 1, digits: int = 2) -> str:
        """The median, then both quartiles in brackets."""
        q1, median, q3 = (f"{x * scale:.{digits}f}" for x in (self.q1, self.median, self.q3))
        return f"{median} [{q1}, {q3}]"


@dataclass(frozen=True)
class Results:
    """Everything that was measured in one run of this script."""

    options: Options
    timings: dict[Case, Timing]
    probes: dict[Case, tuple[Probe, ...]]

    def ratio(self, over: Case, under: Case) -> Spread | None:
        """CPU time of one case over that of another, round by round."""
        absent = Timing()
        return Spread.of_ratios(
            self.timings.get(over, absent).seconds, self.timings.get(under, absent).seconds
        )

    def cold(self, case: Case, which: str) -> list[float]:
        """CPU seconds of the `first` or the `second` run in each fresh process."""
        return [getattr(probe, which) for probe in self.probes.get(case, ())]

    def added(self, case: Case, which: str) -> Spread | None:
        """MB that the `first` or the `second` run in a fresh process added to resident memory at most."""
        added = [getattr(probe, f"{which}_added") for probe in self.probes.get(case, ())]
        return Spread.of([x / MB for x in added if x is not None])

    def agreement(self, case: Case) -> str:
        """Whether a contender's MACs equal ours at the same batch size."""
        macs, ours = (self.timings[c].macs for c in (case, Case(case.model, case.batch, OURS)))
        if macs is None or ours is None:
            return ""
        if case.contender == OURS:
            return "reference"
        if macs == ours:
            return "equal"
        return "NOT EQUAL" if CONTENDERS[case.contender].comparable else "own definition"


@dataclass(frozen=True)
class Options:
    """The arguments of a run."""

    models: tuple[str, ...]
    rounds: int
    probes: int
    batch_sizes: tuple[int, ...]
    input_size: Shape | None
    longest: float
    output: Path
    probe: str | None = None

    def shape(self, model: str, batch: int) -> Shape:
        """The input of a model, batch included."""
        return (batch, *(self.input_size or get_card(model).input_size))


# The race: warm CPU time, in turns


def timed(run: Run) -> tuple[float, Any]:
    """CPU seconds of this thread for one run, and its result."""
    start = time.thread_time()
    result = run()
    return time.thread_time() - start, result


def race(model: str, options: Options) -> dict[Case, Timing]:
    """Time all contenders at all batch sizes in turns, after a warm-up of each."""
    cases = [Case(model, batch, name) for batch in options.batch_sizes for name in CONTENDERS]
    image_seconds = _forward_seconds(options.shape(model, 1), model)
    refused: dict[Case, Timing] = {}
    runs: dict[Case, Run] = {}
    macs: dict[Case, int | None] = {}
    for case in cases:
        why_not = _infeasible(case, image_seconds, options.longest)
        try:
            if not why_not:
                runs[case], macs[case] = _warmed_up(case, options)
        except Exception as error:  # a peer may fail in any way, and that is a result
            why_not = f"not run: {type(error).__name__} on {CONTENDERS[case.contender].image} tensors"
            runs.pop(case, None)
        if why_not:
            refused[case] = Timing(why_not=why_not)
    seconds: dict[Case, list[float]] = {case: [] for case in runs}
    for case in turns(list(runs), options.rounds):
        gc.collect()
        runs[case]()  # the caches hold what the contender before has left
        seconds[case].append(timed(runs[case])[0])
    ran = {case: Timing(tuple(taken), macs[case]) for case, taken in seconds.items()}
    return {case: (ran | refused)[case] for case in cases}


def turns(cases: Sequence[Case], rounds: int) -> Iterator[Case]:
    """Every case once a round, each round begun by another one and every second round backwards."""
    for number in range(rounds):
        first = number % max(len(cases), 1)
        order = [*cases[first:], *cases[:first]]
        yield from reversed(order) if number % 2 else order


def _forward_seconds(shape: Shape, model: str) -> float:
    run = CONTENDERS[REAL_FORWARD].ready(model, shape)
    return min(timed(run)[0] for _ in range(2))


def _infeasible(case: Case, image_seconds: float, longest: float) -> str:
    """Why this case would take too long, if it would."""
    expected = image_seconds * case.batch
    if case.batch == 1 or not CONTENDERS[case.contender].computes or expected <= longest:
        return ""
    return f"not run: needs a real forward (about {expected:.0f} s a run)"


def _warmed_up(case: Case, options: Options) -> tuple[Run, int | None]:
    contender = CONTENDERS[case.contender]
    run = contender.ready(case.model, options.shape(case.model, case.batch))
    result = run()
    return run, contender.macs(result) if contender.macs else None


# The probes: cold start and memory, in fresh processes


def probe_all(timings: dict[Case, Timing], options: Options) -> dict[Case, tuple[Probe, ...]]:
    """Probe what could be raced: cold starts in turns and repeatedly, all else once."""
    cases = [case for case, timing in timings.items() if not timing.why_not]
    repeated = [c for c in cases if c.contender in COLD and c.batch == options.batch_sizes[0]]
    once = [c for c in cases if c not in repeated] if options.probes else []
    found: dict[Case, tuple[Probe, ...]] = dict.fromkeys(timings, ())
    for case in [*turns(repeated, options.probes), *once]:
        found[case] = (*found[case], *_probed_in_child(case, options))
    return found


def _probed_in_child(case: Case, options: Options) -> tuple[Probe, ...]:
    """The probe of a fresh process; empty where it failed, which it says itself on stderr."""
    shape = options.shape(case.model, case.batch)
    command = [
        *(sys.executable, "-W", "ignore", __file__, "--probe", case.contender, "--models", case.model),
        *("--batch-sizes", str(case.batch), "--input-size", "x".join(map(str, shape[1:]))),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return () if done.returncode else (Probe(**json.loads(done.stdout.splitlines()[-1])),)


def probe(name: str, model: str, shape: Shape) -> Probe:
    """Run a contender twice in this process, which must be a fresh one."""
    pandas, _ = timed(lambda: import_module("pandas"))
    package, _ = timed(lambda: (il.trace, il.layer_costs))
    run = CONTENDERS[name].ready(model, shape)
    first, first_added, method = _weighed(run)
    second, second_added, _ = _weighed(run)
    return Probe(pandas, package, first, second, first_added, second_added, method)


def _weighed(run: Run) -> tuple[float, int | None, str]:
    """CPU seconds of a run, bytes that it added to the peak of memory, and how these were measured."""
    gc.collect()
    method = reset_peak()
    before = peak_bytes()
    seconds, _ = timed(run)
    after = peak_bytes()
    return seconds, None if before is None or after is None else after - before, method


def reset_peak() -> str:
    """Bring the peak of resident memory down to what is resident now; returns how it is measured."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        where = "VmHWM" if _high_water_mark() is not None else "ru_maxrss"
        return f"{where}, not reset: a lower bound"
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


# The targets


@dataclass(frozen=True)
class Target:
    """A promise, and how it is measured.

    Args:
        text: What is promised.
        measure: From the results and a model to the figure.
        limit: The figure must be at most this, or at least this where `at_least`.
        at_least: Which way is better.
        goal: What is hoped for beyond the limit.
    """

    text: str
    measure: Callable[[Results, str], Spread | None]
    limit: float
    at_least: bool = False
    goal: float | None = None

    def verdict(self, figure: Spread | None) -> str:
        """Whether the median keeps the promise."""
        if figure is None:
            return "not measured"
        if not self._kept(figure.median, self.limit):
            return "missed"
        if self.goal is None:
            return "met"
        return f"met, goal of {self.goal:g} {'met' if self._kept(figure.median, self.goal) else 'missed'}"

    def _kept(self, value: float, limit: float) -> bool:
        return value >= limit if self.at_least else value <= limit


def _warm(over: str, under: str) -> Callable[[Results, str], Spread | None]:
    return lambda results, model: results.ratio(Case(model, 1, over), Case(model, 1, under))


def _cold(which: str) -> Callable[[Results, str], Spread | None]:
    return lambda results, model: Spread.of_ratios(
        results.cold(Case(model, 1, OURS), "first"), results.cold(Case(model, 1, META_FORWARD), which)
    )


def _batch_512(results: Results, model: str) -> Spread | None:
    return results.ratio(Case(model, 512, OURS), Case(model, 1, OURS))


def _added(batch: int, which: str) -> Callable[[Results, str], Spread | None]:
    return lambda results, model: results.added(Case(model, batch, OURS), which)


TARGETS = (
    Target("warm trace + costs / plain meta forward", _warm(OURS, META_FORWARD), 1 / 4),
    Target("fvcore / warm trace + costs", _warm("fvcore", OURS), 10, at_least=True, goal=15),
    Target("torchinfo / warm trace + costs", _warm("torchinfo", OURS), 8, at_least=True),
    Target("torchinfo on meta / warm trace + costs", _warm("torchinfo on meta", OURS), 8, at_least=True),
    Target("cold trace + costs / cold (first) meta forward", _cold("first"), 1 / 2),
    Target("cold trace + costs / warm (second) meta forward", _cold("second"), 1 / 2),
    Target("trace + costs at batch 512 / at batch 1", _batch_512, 1.2),
    Target("MB added at batch 1, first run", _added(1, "first"), 30),
    Target("MB added at batch 1, second run", _added(1, "second"), 30),
    Target("MB added at batch 512, first run", _added(512, "first"), 30),
    Target("MB added at batch 512, second run", _added(512, "second"), 30),
)


# The report


def rows(results: Results) -> list[dict[str, Any]]:
    """A row per case, as in the CSV file; what was not measured is empty."""
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
        **_columns("first_added_mb", results.added(case, "first")),
        **_columns("second_added_mb", results.added(case, "second")),
        "memory_method": probes[0].method if probes else "not measured",
        "macs": timing.macs,
        "counts": results.agreement(case),
    }


def _columns(name: str, spread: Spread | None) -> dict[str, float | None]:
    parts = {"q1": None, "median": None, "q3": None} if spread is None else asdict(spread)
    return {f"{name}_{part}": value and round(value, 4) for part, value in parts.items()}


def machine(results: Results) -> dict[str, str]:
    """What the numbers depend on, without what would tell whose machine it was."""
    options = results.options
    probes = [p for found in results.probes.values() for p in found]
    return {
        "CPU": device_name("cpu"),
        "threads": str(torch.get_num_threads()),
        "Python": platform.python_version(),
        "torch": torch.__version__,
        **{name: metadata.version(name) for name in (*PEERS, "pandas", "inception_lab")},
        "rounds": f"{options.rounds}, after one warm-up run of each contender",
        "fresh processes": f"{options.probes} for each of {'; '.join(COLD)} at the first batch size, else 1",
        "memory": probes[0].method if probes else "not measured",
        "import of pandas (not in any figure)": _shown(Spread.of([p.pandas for p in probes]), " ms", 1000),
        "import of tracer and costs (not in any figure)": _shown(
            Spread.of([p.package for p in probes]), " ms", 1000
        ),
    }


def _shown(spread: Spread | None, unit: str = "", scale: float = 1, digits: int = 2) -> str:
    return "" if spread is None else f"{spread.shown(scale, digits)}{unit}"


def table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def targets_table(results: Results) -> str:
    """Each target on each model, and whether it was met."""
    header = ("model", "target", "required", "measured", "verdict")
    body = []
    for model in results.options.models:
        for target in TARGETS:
            figure = target.measure(results, model)
            required = f"{'>=' if target.at_least else '<='} {target.limit:g}"
            body.append((model, target.text, required, _shown(figure, digits=3), target.verdict(figure)))
    return table(header, body)


def warm_table(results: Results, model: str) -> str:
    """All contenders on one model: time, ratios, memory and counts."""
    ratios, memory = ("x inception_lab", "x meta forward"), ("MB added, first run", "second run")
    header = ("batch", "contender", "CPU ms", *ratios, *memory, "MACs", "counts")
    cases = {case: timing for case, timing in results.timings.items() if case.model == model}
    return table(header, [_warm_cells(results, case, timing) for case, timing in cases.items()])


def _warm_cells(results: Results, case: Case, timing: Timing) -> tuple[str, ...]:
    if timing.why_not:
        return (str(case.batch), case.contender, timing.why_not, *[""] * 6)
    ours, meta = (Case(case.model, case.batch, name) for name in (OURS, META_FORWARD))
    return (
        str(case.batch),
        case.contender,
        _shown(Spread.of(timing.seconds), scale=1000),
        _shown(results.ratio(case, ours)),
        _shown(results.ratio(case, meta)),
        *(_shown(results.added(case, which), digits=1) for which in ("first", "second")),
        "" if timing.macs is None else f"{timing.macs:,}",
        results.agreement(case),
    )


def cold_table(results: Results) -> str:
    """The first and the second run in a fresh process, at the first batch size."""
    header = ("model", "contender", "processes", "first run, CPU ms", "second run, CPU ms")
    body = [
        (
            case.model,
            case.contender,
            str(len(probes)),
            *(_shown(Spread.of(results.cold(case, which)), scale=1000) for which in ("first", "second")),
        )
        for case, probes in results.probes.items()
        if case.contender in COLD and case.batch == results.options.batch_sizes[0]
    ]
    return table(header, body)


def page(results: Results) -> str:
    """The whole report in Markdown."""
    models, shape = results.options.models, results.options.shape
    sizes = [f"{model}: {'x'.join(map(str, shape(model, 1)[1:]))}" for model in models]
    parts = [
        "# Against its peers",
        "CPU time of one thread, medians with [quartiles]. Contenders take turns in one process; a ratio is "
        "taken within each round, and the median ratio is given. All run in eval mode under `no_grad`. In "
        "its turn a contender runs twice and the second run counts, so that all find their caches warm; "
        "garbage is collected before each turn. "
        f"`{OURS}` is `il.layer_costs(il.trace(model, shape))` with real weights. Memory is what the first "
        "and the second run in a fresh process added to the peak of resident memory, after imports and "
        "model build; the first run's share includes what torch itself loads at its first use.",
        table(("context", ""), [*machine(results).items(), ("inputs", "; ".join(sizes))]),
        "## Targets",
        targets_table(results),
        "A verdict compares the median with what is required.",
        *(part for model in models for part in (f"## {model}", warm_table(results, model))),
        "Counts: `equal` is to the unit. fvcore's MACs are those of its `conv` and `linear`, "
        "FlopCounterMode's its FLOPs / 2; torchinfo has its own definition, which adds biases and others.",
        "## Cold start",
        cold_table(results),
        "Torch, pandas and this package are imported and the model is built before the first run; what torch "
        "loads by itself at its first use is in it.",
    ]
    return "\n\n".join(parts) + "\n"


def write(results: Results, folder: Path) -> None:
    """Write peers.md and peers.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "peers.md").write_text(page(results), encoding="utf-8")
    body = rows(results)
    with (folder / "peers.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(body[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(body)


# The command line


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Race inception_lab against its peers.")
    add = partial(parser.add_argument, metavar="N")
    add("--models", nargs="+", default=DEFAULT_MODELS, metavar="MODEL", help="names of the zoo")
    add("--rounds", type=_count, default=20, help="timed runs of each contender (default 20)")
    add("--probes", type=_count_or_none, default=5, help="fresh processes per cold start (5); 0: none at all")
    add("--batch-sizes", type=_count, nargs="+", default=(1, 512), help="default: 1 512")
    add("--input-size", type=_size, metavar="CxHxW", help="without the batch (default: each model's own)")
    add("--longest", type=float, default=10.0, metavar="S", help="skip real forwards above S seconds (10)")
    add("--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR", help="default: reports/benchmarks")
    add("--probe", choices=CONTENDERS, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    several = {key: tuple(dict.fromkeys(vars(given)[key])) for key in ("models", "batch_sizes")}
    options = Options(**vars(given) | several)
    try:
        for name in options.models:
            _check_size(name, options.shape(name, 1))
    except InceptionLabError as error:
        parser.error(str(error))
    return options


def _check_size(name: str, shape: Shape) -> None:
    smallest = get_card(name).smallest_input
    if len(shape) != 4 or shape[1] != 3 or min(shape[2:]) < smallest:
        what = f"{name} takes 3 channels of {smallest} pixels a side or more"
        raise InceptionLabError(what, hint=f"try --input-size 3x{smallest}x{smallest}")


def _count(text: str) -> int:
    return _at_least(1, text)


def _count_or_none(text: str) -> int:
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of {least} or more")
    return int(text)


def _size(text: str) -> Shape:
    return tuple(_count(part) for part in text.split("x"))


def measured(options: Options) -> Results:
    """Race and probe all models, one after the other."""
    timings: dict[Case, Timing] = {}
    for model in options.models:
        print(f"{model}: {options.rounds} rounds", file=sys.stderr)
        timings |= race(model, options)
        net.cache_clear()
    print("fresh processes", file=sys.stderr)
    return Results(options, timings, probe_all(timings, options))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns 2 where it cannot run at all, and 0 whatever it finds."""
    options = parse(arguments)
    absent = [name for name in PEERS if find_spec(name) is None]
    if absent:
        print(f"error: no {' and no '.join(absent)}: pip install inception_lab[bench]", file=sys.stderr)
        return 2
    warnings.simplefilter("ignore")
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    if options.probe:
        shape = options.shape(options.models[0], options.batch_sizes[0])
        print(json.dumps(asdict(probe(options.probe, options.models[0], shape))))
        return 0
    results = measured(options)
    write(results, options.output)
    print(targets_table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
