"""Numbers, names and shares as plots and captions say them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import ceil, floor, log10
from typing import Any

from inception_lab.metrics import Metric, Unit, format_quantity, parse_quantity
from inception_lab.record import Record
from inception_lab.report.tables import model_labels
from inception_lab.report.text import input_text, shape_text, step_text, subject_text

TIMES = "\N{MULTIPLICATION SIGN}"


def context_line(record: Record) -> str:
    """The model, its input and mode in one line, and a warning where the record is partial.

    Example:
        >>> context = {"model": "vgg16", "input_shapes": [[1, 3, 224, 224]], "mode": "eval"}
        >>> context_line(Record(context | {"complete": False}, {}, (), (), ()))
        'vgg16, input 1x3x224x224, eval, PARTIAL: not every operation is counted'
    """
    context = record.context
    warning = "" if context["complete"] else ", PARTIAL: not every operation is counted"
    return subject_text(context) + warning


def runs_text(names: Sequence[str], facts: Mapping[str, Any], counts: str) -> str:
    """The models of real runs that are shown, and what all of them have in common, in one line.

    Args:
        names: Of the models; of several the plot names each.
        facts: Those that are the same of all.
        counts: How often they ran.

    Example:
        >>> facts = {"input_shapes": [[8, 3, 8, 8]], "dtype": "float32", "machine": "EPYC"}
        >>> runs_text(["nin"], facts, "3 seeds"), runs_text(["nin", "vgg16"], {"machine": "EPYC"}, "1 seed")
        ('nin, input 8x3x8x8, 3 seeds, float32 · EPYC', '1 seed · EPYC')
    """
    model = names if len(names) == 1 else ()
    shapes = [f"input {input_text(facts)}"] if "input_shapes" in facts else []
    parts = [*model, *shapes, facts.get("samples"), counts, facts.get("dtype")]
    run = ", ".join(str(part) for part in parts if part)
    return f"{run} \N{MIDDLE DOT} {facts['machine']}" if "machine" in facts else run


def several_text(records: Sequence[Record]) -> str:
    """The inputs, batches and modes of several records as far as they share them, in one line.

    Example:
        >>> context = {"input_shapes": [[1, 3, 8, 8]], "mode": "eval"}
        >>> one, other = (Record(context | {"mode": mode}, {}, (), (), ()) for mode in ("eval", "train"))
        >>> several_text([one, other])
        'input 1x3x8x8, eval and train'
    """
    shapes = [record.context["input_shapes"] for record in records]
    inputs = list(dict.fromkeys(map(shape_text, shapes)))
    batches = sorted({shape[0][0] for shape in shapes if shape and shape[0]})
    modes = dict.fromkeys(step_text(record.context) for record in records)
    shape = f"input {inputs[0]}" if len(inputs) == 1 else f"{len(inputs)} different inputs"
    batch = [f"batches of {' and '.join(map(str, batches))}"] * (len(batches) > 1)
    return ", ".join([shape, *batch, " and ".join(modes)])


def partial_text(records: Sequence[Record]) -> str:
    """A warning of the records that are partial, to stand behind a subtitle; empty where none is."""
    labels = model_labels(records)
    partial = [label for label, r in zip(labels, records, strict=True) if not r.context["complete"]]
    return f", PARTIAL, not every operation is counted: {', '.join(partial)}" if partial else ""


_AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def axis_name(axis: int, count: int) -> str:
    """The name of one of the input's spatial axes.

    Example:
        >>> axis_name(1, 2), axis_name(0, 3), axis_name(3, 4)
        ('width', 'depth', 'axis 3')
    """
    return _AXES[count][axis] if count in _AXES else f"axis {axis}"


def alike(series: Sequence[Hashable]) -> list[tuple[str, int]]:
    """The axes along which something differs: the names of those alike, and the first of them.

    Args:
        series: A value for each axis.

    Example:
        >>> alike([16, 224, 224]), alike([224, 224])
        ([('depth', 0), ('height and width', 1)], [('height and width', 0)])
    """
    groups: dict[Hashable, list[int]] = {}
    for axis, value in enumerate(series):
        groups.setdefault(value, []).append(axis)
    count = len(series)
    return [(" and ".join(axis_name(a, count) for a in axes), axes[0]) for axes in groups.values()]


def outermost(modules: Sequence[str]) -> list[str]:
    """Those that lie in no other one.

    Example:
        >>> outermost(["a", "a.b", "ab"])
        ['a', 'ab']
    """
    return [name for name in modules if not any(name.startswith(f"{other}.") for other in modules)]


def ratio_text(ratio: float) -> str:
    """A ratio to three digits.

    Example:
        >>> ratio_text(9.6774), ratio_text(21.43), ratio_text(1.0)
        ('9.68×', '21.4×', '1×')
    """
    if ratio == 1:
        return f"1{TIMES}"
    digits = 2 - floor(log10(ratio)) if ratio > 0 else 0  # negative from 1000 on: tens are rounded away
    return f"{round(ratio, digits):,.{max(digits, 0)}f}{TIMES}"


def part_text(ratio: float) -> str:
    """A ratio as words before the thing that it is a part or a multiple of.

    Example:
        >>> part_text(33.2), part_text(0.45), part_text(1 / 33), part_text(2e-9)
        ('33.2×', '45 % of', '1/33 of', '2×10⁻⁹ of')
    """
    if ratio >= 1:
        return f"{number_text(ratio)}{TIMES}" if ratio >= _PLAIN[1] else ratio_text(ratio)
    if ratio >= 0.1:
        return f"{share_text(ratio, 1)} of"
    return f"1/{1 / ratio:,.0f} of" if ratio >= _PLAIN[0] else f"{number_text(ratio)} of"


_PLAIN = (1e-4, 1e6)
"""Numbers between these are written without a power of ten."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number_text(value: float) -> str:
    """A number to three digits, with a power of ten where it is very small or large.

    Example:
        >>> number_text(0.02346), number_text(-1234.5), number_text(2.5e-9), number_text(1e-8), number_text(0)
        ('0.0235', '−1,230', '2.5×10⁻⁹', '10⁻⁸', '0')
    """
    sign = "\N{MINUS SIGN}" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value):.2e}".partition("e")
    if not value or _PLAIN[0] <= abs(value) < _PLAIN[1]:
        return f"{sign}{_plain(float(f'{mantissa}e{exponent}'))}"
    power = f"10{str(int(exponent)).translate(_RAISED)}"
    digits = f"{float(mantissa):g}"
    return f"{sign}{power if digits == '1' else f'{digits}{TIMES}{power}'}"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.6f}".rstrip("0").rstrip(".")


def change_text(before: str, after: str) -> str:
    """What something was, and what it is.

    Example:
        >>> change_text("347 M", "163 M")
        '347 M → 163 M'
    """
    return f"{before} \N{RIGHTWARDS ARROW} {after}"


def share_text(part: float, whole: float) -> str:
    """A share in whole percent that is 0 % or 100 % only where it is nothing or all.

    Example:
        >>> share_text(1, 3), share_text(1, 1000), share_text(999, 1000), share_text(2, 2)
        ('33 %', 'under 1 %', 'over 99 %', '100 %')
    """
    percent = 100 * part / whole if whole else 0
    if 0 < percent < 1:
        return "under 1 %"
    return "over 99 %" if 99 < percent < 100 else f"{percent:.0f} %"


def tick_text(value: float, unit: Unit = "count") -> str:
    """A round number without the zeros behind its point.

    Example:
        >>> tick_text(2_500_000), tick_text(100_000_000), tick_text(1_000_000_000), tick_text(2**30, "bytes")
        ('2.5 M', '100 M', '1 G', '1 GiB')
    """
    number, _, suffix = format_quantity(value, unit).partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {suffix}".strip()


def round_steps(top: float, most: int) -> list[float]:
    """Round numbers from 0 up to `top`, at most `most` steps.

    Example:
        >>> round_steps(347e6, 4)
        [0.0, 100000000.0, 200000000.0, 300000000.0]
    """
    if top <= 0:
        return [0.0]
    # the smallest round step that is wide enough; 20 takes over where 10 just fails by rounding
    size = 10.0 ** floor(log10(top / most))
    step = next(size * m for m in (1, 2, 2.5, 5, 10, 20) if top / (size * m) <= most)
    return [step * number for number in range(int(top / step) + 1)]


def steps_between(low: float, high: float, most: int) -> list[float]:
    """Round numbers from `low`, which may be below 0, up to `high`.

    Example:
        >>> steps_between(-0.3, 1.1, 4)
        [0.0, 0.5, 1.0]
    """
    step = round_steps(high - low, most)[1]
    return [step * number for number in range(ceil(low / step), floor(high / step) + 1)]


def byte_steps(top: float, most: int) -> dict[float, str]:
    """Numbers of bytes from 0 up to `top` that are round in one unit, and their texts.

    Example:
        >>> byte_steps(2.2 * 2**30, 4)
        {0.0: '0', 1073741824.0: '1 GiB', 2147483648.0: '2 GiB'}
    """
    unit = format_quantity(top, "bytes").split()[-1]
    size = parse_quantity(f"1 {unit}", "bytes")
    return {step * size: f"{step:g} {unit}" if step else "0" for step in round_steps(top / size, most)}


def round_decades(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers on a logarithmic axis.

    Example:
        >>> round_decades(40, 900)
        [50.0, 100.0, 200.0, 500.0]
    """
    powers = range(floor(log10(low)) - 1, floor(log10(high)) + 2)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        steps = [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]
        if len(steps) <= most:
            return steps
    return steps[:: len(steps) // most + 1]


def spaced_steps(low: float, high: float, inches: float, apart: float) -> list[float]:
    """Round numbers on a logarithmic axis, also between its powers of ten, each so many inches from the last.

    Example:
        >>> spaced_steps(600, 2100, inches=4, apart=0.7)
        [600.0, 800.0, 1000.0, 1500.0, 2000.0]
    """
    powers, ratio = range(floor(log10(low)), floor(log10(high)) + 1), (high / low) ** (apart / inches)
    steps: list[float] = []
    for step in [factor * 10.0**power for power in powers for factor in (1, 1.5, 2, 3, 4, 5, 6, 8)]:
        if low <= step <= high and (not steps or step >= ratio * steps[-1]):
            steps.append(step)
    return steps


def peak_place(layer: str, operation: str, phase: str) -> str:
    """The place where memory peaks, as attributes of `PeakMemory`; empty where nothing ran.

    Example:
        >>> peak_place("fc", "aten.addmm.default", "forward")
        'in fc (aten.addmm.default, forward)'
        >>> peak_place("(optimizer)", "aten.sqrt.default", "optimizer")
        'in the optimizer (aten.sqrt.default)'
    """
    if not operation:
        return ""
    if layer == f"({phase})":  # work outside of layers bears the name of its phase
        return f"in the {phase} ({operation})"
    return f"in {layer} ({operation}, {phase})"


def variants_text(count: int) -> str:
    """All variants, in words.

    Example:
        >>> variants_text(2), variants_text(3)
        ('both variants', 'all 3 variants')
    """
    return "both variants" if count == 2 else f"all {count} variants"


def metric_words(metric: Metric) -> str:
    """The label of a metric within a sentence, where an abbreviation stays as it is.

    Example:
        >>> from inception_lab.metrics import METRICS
        >>> metric_words(METRICS["peak_bytes"]), metric_words(METRICS["macs"])
        ('peak memory', 'MACs')
    """
    label = metric.label
    return label[0].lower() + label[1:] if label[1:2].islower() else label


def and_text(names: Sequence[str]) -> str:
    """Names as a part of a sentence.

    Example:
        >>> and_text(["a"]), and_text(["a", "b", "c"])
        ('a', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def leader(names: Sequence[str], values: Sequence[float]) -> str:
    """The name with the largest value; others that share it are counted.

    Example:
        >>> leader(["a", "b"], [1, 2]), leader(["a", "b", "c"], [2, 2, 2])
        ('b', 'a and 2 more')
    """
    top = max(values)
    first, *others = [name for name, value in zip(names, values, strict=True) if value == top]
    return f"{first} and {len(others)} more" if others else first
