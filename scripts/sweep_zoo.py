"""Trace every classification architecture that is installed, and write down what came of each.

The nets of torchvision and timm are built without weights at their own input size; this project's zoo and
the hostile nets of its tests come with them. Rows are written as they come, so that an interrupted sweep
goes on with --resume.

Usage: python scripts/sweep_zoo.py [--package timm ...] [--only 'vit_*'] [--limit N] [--resume] [-o DIR]
"""

from __future__ import annotations

import argparse
import csv
import gc
import platform
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from fnmatch import fnmatch
from functools import partial
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode, flop_registry

import inception_lab as il
from inception_lab.measure.hardware import device_name
from inception_lab.models.cards import CARDS

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]
from bench_peers import table  # noqa: E402
from support.hostile.case import call, products_visible, real  # noqa: E402

MOST_NAMED = 20
DEFAULT_OUTPUT = ROOT / "reports" / "coverage"
EQUAL, EXPLAINED, UNEXPLAINED = "equal", "explained", "unexplained"
META, FOR_REAL, REFUSED, FAILED = "meta", "cpu", "refused", "failed"


@dataclass(frozen=True)
class Subject:
    """A net that is not built yet.

    Args:
        package: Where it comes from; `name` is its name there.
        make: Builds it on the current default device; gives it and its inputs, as `il.trace` takes them.
        devices: Where to build it, one after the other until the trace succeeds.
        must_fail: Whether an error is what must come out.
    """

    package: str
    name: str
    make: Callable[[], tuple[nn.Module, Any]]
    devices: tuple[str, ...] = ("meta", "cpu")
    must_fail: bool = False


@dataclass(frozen=True)
class Row:
    """What came of one net; empty where it was not measured.

    Args:
        package: Where the net comes from; `name` is its name there.
        input: Shapes of its inputs.
        params: Elements of its parameters.
        traced: `meta`, `cpu` for a real run, `refused` where that is right, else `failed`.
        macs: Of one forward, by this project.
        torch_macs: By FlopCounterMode.
        counts: Whether the two are equal, else `explained` or `unexplained`.
        uncounted_ops: Operations without a formula, with how often they ran.
        trace_s: CPU seconds of the trace.
        torch_s: CPU seconds of the forward under FlopCounterMode.
        reason: Why there was no trace on meta, or why the counts differ.
    """

    package: str
    name: str
    input: str = ""
    params: str = ""
    traced: str = FAILED
    macs: str = ""
    torch_macs: str = ""
    counts: str = ""
    uncounted_ops: str = ""
    trace_s: str = ""
    torch_s: str = ""
    reason: str = ""


_declared: list[torch.library.Library] = []


def import_torchvision() -> Any:
    """The package; operators that were compiled for another build of torch are declared without kernels."""
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        _declared.append(torch.library.Library("torchvision", "DEF"))
        for name in ("nms", "qnms"):
            _declared[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision


def from_torchvision() -> Iterator[Subject]:
    """Image and video classifiers, at the size that their weights were evaluated at."""
    models = import_torchvision().models
    for name in models.list_models(module=models) + models.list_models(module=models.video):
        yield Subject("torchvision", name, partial(_make_torchvision, models, name))


def _make_torchvision(models: Any, name: str) -> tuple[nn.Module, Any]:
    weights, model = models.get_model_weights(name).DEFAULT, models.get_model(name, weights=None)
    size = [model.image_size] if hasattr(model, "image_size") else weights.transforms().crop_size
    video = name in models.list_models(module=models.video)
    clip = [weights.meta.get("min_temporal_size", 16)] if video else []
    return model, (1, 3, *clip, size[0], size[-1])


def from_timm() -> Iterator[Subject]:
    """Every architecture, at the input size of its default configuration."""
    import_torchvision()
    import timm

    for name in timm.list_models():
        yield Subject("timm", name, partial(_make_timm, timm, name))


def _make_timm(timm: Any, name: str) -> tuple[nn.Module, Any]:
    model = timm.create_model(name, pretrained=False)
    return model, (1, *model.pretrained_cfg["input_size"])


def from_zoo() -> Iterator[Subject]:
    """This project's own models."""
    for name, card in CARDS.items():
        make = partial(il.create_model, name, init_weights=False)
        yield Subject("zoo", name, lambda make=make, size=card.input_size: (make(), (1, *size)))


def from_hostile() -> Iterator[Subject]:
    """The hostile nets of the tests."""
    from support.hostile.table import HOSTILE

    for case in HOSTILE:
        yield Subject(
            "hostile", case.name, lambda case=case: (case.made(), case.inputs), ("cpu",), bool(case.error)
        )


SOURCES: dict[str, Callable[[], Iterator[Subject]]] = {
    "torchvision": from_torchvision,
    "timm": from_timm,
    "zoo": from_zoo,
    "hostile": from_hostile,
}


def subjects(packages: Sequence[str], only: str, absent: dict[str, str]) -> Iterator[Subject]:
    """The nets whose name fits the pattern; a package that cannot be imported is noted in `absent`."""
    for package in packages:
        try:
            yield from (s for s in SOURCES[package]() if fnmatch(s.name, only))
        except (ImportError, RuntimeError) as error:
            absent[package] = one_line(error)


def measured(subject: Subject) -> Row:
    """Trace one net, and count it once more by FlopCounterMode."""
    where, reasons = (subject.package, subject.name), []
    for device in subject.devices:
        try:
            with torch.device(device):
                model, inputs = subject.make()
            return _traced(where, model.eval(), inputs)
        except Exception as error:  # whatever a stranger's model raises is a result here
            if subject.must_fail and isinstance(error, il.InceptionLabError):
                return Row(*where, traced=REFUSED, reason=f"as its test demands: {one_line(error)}")
            reasons.append(f"built on {device}: {one_line(error)}")
    return Row(*where, reason="; ".join(reasons))


def _traced(where: tuple[str, str], model: nn.Module, inputs: Any) -> Row:
    trace, seconds = timed(lambda: il.trace(model, inputs))
    context = trace.context
    found = Row(
        *where,
        input="; ".join("x".join(map(str, shape)) for shape in context.input_shapes),
        params=str(sum(call.params for call in trace.calls)),
        traced=context.device,
        macs=str(sum(op.macs for op in trace.ops)),
        uncounted_ops="; ".join(f"{name} {times}" for name, times in context.uncounted_ops.items()),
        trace_s=f"{seconds:.3f}",
        reason=context.fallback,
    )
    return replace(found, **_compared(trace, model, inputs))


def _compared(trace: il.Trace, model: nn.Module, inputs: Any) -> dict[str, str]:
    """The columns that FlopCounterMode fills; it runs on the device that the trace ran on."""
    try:
        flops, seconds = timed(
            lambda: flops_by_torch(model, inputs, "cpu" if trace.context.device == "cpu" else "meta")
        )
    except Exception as error:  # the peer's failure, not ours
        return {"reason": f"FlopCounterMode: {one_line(error)}"}
    counts, why = compare(trace, flops // 2)
    reason = "; ".join(filter(None, (trace.context.fallback, why)))
    return {"torch_macs": str(flops // 2), "torch_s": f"{seconds:.3f}", "counts": counts, "reason": reason}


def compare(trace: il.Trace, theirs: int) -> tuple[str, str]:
    """Whether the MACs are equal, and where they are not, whether unregistered products explain it."""
    more = sum(op.macs for op in trace.ops) - theirs
    unknown = [op for op in trace.ops if op.macs and not _registered(op.name)]
    if not more:
        return EQUAL, ""
    if more == sum(op.macs for op in unknown):
        names = ", ".join(sorted({op.name for op in unknown}))
        return EXPLAINED, f"FlopCounterMode has no formula for {names}"
    return UNEXPLAINED, f"differs by {more:+,}"


def _registered(name: str) -> bool:
    namespace, packet, _ = name.split(".", 2)
    return getattr(getattr(torch.ops, namespace), packet) in flop_registry


def flops_by_torch(model: nn.Module, inputs: Any, device: str) -> int:
    """FLOPs of one forward by PyTorch's own counter, which stumbles over parameters passed to modules."""
    model.to(device).requires_grad_(False)
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    given = tree_map_only(torch.Tensor, lambda tensor: tensor.to(device), real(inputs, dtype))
    counter = FlopCounterMode(display=False)
    with products_visible(), counter, torch.no_grad():
        call(model, given)
    return int(counter.get_total_flops())


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns, and its CPU seconds."""
    started = time.process_time()
    return run(), time.process_time() - started


def one_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says."""
    text = next(iter(str(error).splitlines()), "")[:300]
    return text if isinstance(error, il.InceptionLabError) else f"{type(error).__name__}: {text}"


INTRODUCTION = (
    "Each net is built without weights, traced once in eval mode at its default input size with a batch of "
    "1, and run once more under PyTorch's own `FlopCounterMode`, on meta tensors both, or for real on the "
    "CPU where a net needs data. It is shown attention as matrix products, and neither the encoder's fast "
    "path nor fused recurrent layers, in which it counts nothing. Every net has a row in "
    "[coverage.csv](coverage.csv)."
)
DECLARED = (
    "torchvision's compiled operators do not load beside this build of torch; `nms` and `qnms` were declared "
    "without a kernel. No classifier uses them."
)


def page(rows: Sequence[Row], absent: dict[str, str]) -> str:
    """The summary in Markdown."""
    traced = [row for row in rows if row.traced in (META, FOR_REAL)]
    parts = [
        "# Coverage",
        INTRODUCTION,
        summary(rows),
        *(f"`{name}` cannot be imported and was left out: {why}." for name, why in absent.items()),
        *([DECLARED] if _declared else []),
        "## Counts that differ from FlopCounterMode's",
        by_reason([row for row in traced if row.counts in (EXPLAINED, UNEXPLAINED)]),
        "## Not compared",
        by_reason([row for row in traced if not row.counts]),
        "## Not traced on meta",
        by_reason([row for row in rows if row.traced != META]),
        "## Operations without a formula",
        uncounted(rows),
        "## Context",
        table(("context", ""), list(context(rows).items())),
    ]
    return "\n\n".join(parts) + "\n"


def summary(rows: Sequence[Row]) -> str:
    """How many nets of each package were traced, and how many counts agree."""
    header = ("package", "nets", "traced on meta", "for real", "refused, rightly", "failed",
              "equal to FlopCounterMode", "difference explained", "unexplained", "partial counts", "trace, s",
              "FlopCounterMode, s")  # fmt: skip
    body = []
    for package in dict.fromkeys(row.package for row in rows):
        own = [row for row in rows if row.package == package]
        traced, counts = Counter(r.traced for r in own), Counter(r.counts for r in own)
        numbers = [len(own), *(traced[k] for k in (META, FOR_REAL, REFUSED, FAILED))]
        numbers += [counts[k] for k in (EQUAL, EXPLAINED, UNEXPLAINED)]
        numbers += [sum(bool(r.uncounted_ops) for r in own)]
        seconds = [f"{sum(float(getattr(r, c) or 0) for r in own):.1f}" for c in ("trace_s", "torch_s")]
        body.append((package, *map(str, numbers), *seconds))
    return table(header, body)


def by_reason(rows: Sequence[Row]) -> str:
    """The nets that share an outcome and its reason."""
    return listing("outcome", ((f"{row.traced}: {row.reason}", row) for row in rows))


def uncounted(rows: Sequence[Row]) -> str:
    """Each operation that no formula knows, with the nets that run it."""
    entries = ((entry, row) for row in rows for entry in filter(None, row.uncounted_ops.split("; ")))
    return listing("operation", ((f"`{entry.rpartition(' ')[0]}`", row) for entry, row in entries))


def listing(what: str, pairs: Iterable[tuple[str, Row]]) -> str:
    """A table of what nets have in common, the most frequent first, with some of their names."""
    groups: dict[str, list[str]] = {}
    for key, row in pairs:
        groups.setdefault(key.replace("|", "\\|"), []).append(f"{row.package} {row.name}")
    frequent = sorted(groups.items(), key=lambda group: -len(group[1]))
    body = [
        (key, str(len(nets)), ", ".join(nets[:MOST_NAMED]) + (", ..." if len(nets) > MOST_NAMED else ""))
        for key, nets in frequent
    ]
    return table((what, "nets", "which"), body) if body else "None."


def context(rows: Sequence[Row]) -> dict[str, str]:
    """What the numbers depend on, without what would tell whose machine it was."""
    named = {row.package for row in rows}
    packages = ["inception_lab", *(name for name in ("torchvision", "timm") if name in named)]
    return {
        "CPU": device_name("cpu"),
        "threads": str(torch.get_num_threads()),
        "seconds": "of CPU time",
        "Python": platform.python_version(),
        "torch": torch.__version__,
        **{name: metadata.version(name) for name in packages},
    }


def sweep(options: argparse.Namespace, file: Path, absent: dict[str, str]) -> None:
    """Measure each net that has no row yet, and add its row to the file at once."""
    known = {(row.package, row.name) for row in read(file)}
    wanted = subjects(options.package, options.only, absent)
    for subject in islice((s for s in wanted if (s.package, s.name) not in known), options.limit):
        row = measured(subject)
        gc.collect()
        print(f"{row.package} {row.name}: {row.traced} {row.counts} {row.reason}", file=sys.stderr)
        with file.open("a", encoding="utf-8", newline="") as lines:
            csv.writer(lines, lineterminator="\n").writerow(asdict(row).values())


def read(file: Path) -> list[Row]:
    """The rows that a file holds."""
    with file.open(encoding="utf-8", newline="") as lines:
        return [Row(**row) for row in csv.DictReader(lines)]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Trace every classification architecture that is installed.")
    add = parser.add_argument
    add("--package", nargs="+", choices=SOURCES, default=list(SOURCES), help="default: all")
    add("--only", default="*", metavar="PATTERN", help="names to take, such as 'vit_*'")
    add("--limit", type=int, metavar="N", help="stop after N nets")
    add("--resume", action="store_true", help="keep the rows that are there")
    add("-o", "--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR", help="default: reports/coverage")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Sweep and write coverage.csv and README.md; returns 0 whatever is found."""
    options = parse(arguments)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    file, absent = options.output / "coverage.csv", {}
    if not options.resume or not file.exists():
        file.write_text(",".join(field.name for field in fields(Row)) + "\n", encoding="utf-8")
    sweep(options, file, absent)
    text = page(read(file), absent)
    (options.output / "README.md").write_text(text, encoding="utf-8")
    print(text.partition("\n## ")[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
