"""Answers about one model as rows and sentences, for a page in any format.

Nothing in them is markup: whoever shows them escapes the names of a user's layers.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import Any

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.record import Record, Row
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.memory_timeline import SERIES
from inception_lab.report.plots.wording import alike, change_text, peak_place, share_text
from inception_lab.report.tables import change_rows, field_status, readable_columns, rows_of, step_macs
from inception_lab.report.text import alike_text, axes_text, input_text, label_within, layers_text

LARGEST_TENSORS = 5
"""Tensors that a page shows of those at the peak."""
LARGEST_MODULES = 10
"""Modules that a short page shows."""
COSTS = ("params", "macs", "backward_macs", "training_macs", "other_flops", "activation_bytes")
"""Metrics of modules and branches, those that there are, in the order of their columns."""

Rows = list[dict[str, Any]]


def headline(contents: ReportContents) -> str:
    """Return the size of a net, its cost, its peak, and its sight in a few words.

    Example:
        >>> import inception_lab as il
        >>> from inception_lab.report.collect import collect
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224), name="googlenet")
        >>> for sentence in headline(collect(trace)).split(". "):
        ...     print(sentence)
        A net of 7.00 M parameters
        A forward pass of 1x3x224x224 takes 1.58 G MACs and holds 36.5 MiB at its peak
        The centre unit of inception5b sees 100 % of the input.
    """
    record, fit = contents.record, contents.fit
    run = "training step" if record.context["mode"] == "train" else "forward pass"
    params, macs = (format_quantity(record.totals[name]) for name in ("params", step_macs(record)))
    peak = format_quantity(contents.peak.peak_bytes, "bytes")
    sentences = [
        f"A net of {params} parameters.",
        f"A {run} of {input_text(record.context)} takes {macs} MACs and holds {peak} at its peak.",
    ]
    if fit.last_layer and fit.seen_by_centre is not None:
        share = share_text(fit.seen_by_centre, 1)
        sentences.append(f"The centre unit of {fit.last_layer} sees {share} of the input{_paths(contents)}.")
    return " ".join(sentences)


def total_rows(record: Record) -> Rows:
    """Return every total: rounded, exact, and its meaning.

    Example:
        >>> total_rows(Record({}, {"macs": 118013952}, (), (), ()))[0]["value"]
        '118 M'
    """
    return [
        {
            "metric": METRICS[name].label,
            "value": format_quantity(value, METRICS[name].unit),
            "exactly": value,
            "meaning": METRICS[name].meaning,
        }
        for name, value in record.totals.items()
        if name in readable_columns([record.totals])
    ]


def module_rows(contents: ReportContents) -> Rows:
    """Return the modules with a cost of any kind, and the share of each in the MACs of the run."""
    macs = step_macs(contents.record)
    share, whole = f"{METRICS[macs].label} (%)", contents.record.totals[macs]
    rows = []
    for row in rows_of(contents.modules):
        costs = {name: row[name] for name in COSTS if name in row}
        if any(costs.values()):
            rows.append({"module": row["module"], **_with_behind(costs, macs, share, whole)})
    return rows


def _with_behind(costs: dict[str, Any], metric: str, share: str, whole: int) -> dict[str, Any]:
    """Costs with the share of one of them behind it."""
    cells = {}
    for name, value in costs.items():
        cells[name] = value
        if name == metric:
            cells[share] = _percent(value, whole)
    return cells


def largest_modules(contents: ReportContents) -> Rows:
    """Return the rows of the modules with most MACs, or else most parameters, the largest first."""
    macs = step_macs(contents.record)
    rows = sorted(module_rows(contents), key=lambda row: (-row[macs], -row["params"]))
    return rows[:LARGEST_MODULES]


def rest_text(contents: ReportContents) -> str:
    """Return the number of modules that are not among the largest, and their part; empty without these."""
    count = len(module_rows(contents)) - LARGEST_MODULES
    if count <= 0:
        return ""
    macs = step_macs(contents.record)
    whole, rows = contents.record.totals[macs], largest_modules(contents)
    rest = whole - sum(row[macs] for row in rows)
    return f"{count} more with {share_text(rest, whole)} of the {label_within(macs)}"


def module_sums(contents: ReportContents) -> Row:
    """Return the row below all modules, which adds them up."""
    totals = contents.record.totals
    return {"module": "total", **{name: totals[name] for name in COSTS if name in totals}}


def branch_rows(contents: ReportContents) -> Rows:
    """Return the branches with MACs or parameters; none where no module forks."""
    return [
        {name: row[name] for name in ("module", "branch", *COSTS) if name in row}
        for row in rows_of(contents.branches)
        if row["branch"] and (row["macs"] or row["params"])
    ]


def saving_rows(contents: ReportContents) -> Rows:
    """Return each branch and module without reductions and with them; none where they change nothing."""
    return rows_of(contents.saving) if contents.has_saving else []


def sight_text(contents: ReportContents) -> str:
    """Return the axes, the layers whose fields exceed the input, and what the last layer's centre sees."""
    fit = contents.fit
    parts = [f"Fields lie along {axes_text(fit.axes, fit.input_shape)}."] if fit.axes else []
    if fit.exceeding:
        first, count = fit.exceeding[0], len(fit.exceeding)
        parts.append(f"From {first} on, {count} layers have fields larger than the input.")
    else:
        parts.append("No layer has a field larger than the input.")
    if fit.last_layer and fit.seen_by_centre is not None:
        share = share_text(fit.seen_by_centre, 1)
        parts.append(f"The last layer with several units along each axis is {fit.last_layer}.")
        context = f"{_paths(contents)}{_context_text(contents)}"
        parts.append(f"Its centre unit sees {share} of the input{context}.")
        parts.append(_field_meaning(_last_layer(contents)))
    return " ".join(parts)


def _paths(contents: ReportContents) -> str:
    """The paths that a share is of, where others see everything."""
    return " on local paths" if contents.fit.global_context else ""


def _context_text(contents: ReportContents) -> str:
    """The last layer's field, and the layers through which its units see everything; empty without these."""
    context, row = contents.fit.global_context, _last_layer(contents)
    if not context:
        return ""
    numbers = [alike_text(row[name]) for name in ("receptive_field", "stride") if row.get(name)]
    field = f", {' at stride '.join(numbers)}" if len(numbers) == 2 else ""
    return f"{field}, and everything through {layers_text(context)}"


def _field_meaning(row: Row) -> str:
    """The reading of the last layer's field, in one sentence."""
    if row.get("stride"):
        return "A unit at position i of an axis sees the pixels from i x stride - padding on."
    if field_status(row) == "exact":
        return "Every unit sees the whole input."
    return f"No one number describes its field: it is {field_status(row)}."


def _last_layer(contents: ReportContents) -> Row:
    """The row of the last layer with several units along each axis, empty where there is none."""
    rows = [row for row in contents.record.layers if row["layer"] == contents.fit.last_layer]
    return rows[-1] if rows else {}


def last_field_rows(contents: ReportContents) -> Rows:
    """Return the input's size and the last layer's field, a row per axis or group of axes that are alike."""
    last = _last_layer(contents)
    columns = {"input size": contents.fit.input_size, "smallest input": contents.fit.smallest_input} | {
        name: last[name] for name in ("receptive_field", "stride", "padding") if last.get(name)
    }
    rows = [
        {name: values[axis] for name, values in columns.items()}
        for axis in range(len(contents.fit.input_size))
    ]
    groups = alike([tuple(row.items()) for row in rows])
    return [{"axis": name, **rows[axis]} for name, axis in groups]


def field_range_rows(contents: ReportContents) -> Rows:
    """Return the fields that each module mixes; the axis only where there is a difference."""
    rows = []
    for module, axes in groupby(rows_of(contents.field_ranges), key=lambda row: str(row["module"])):
        ranges = [{name: row[name] for name in ("smallest", "median", "largest")} for row in axes]
        groups = alike([tuple(one.items()) for one in ranges])
        rows += [{"module": module, "axis": name, **ranges[axis]} for name, axis in groups]
    differing = len({row["axis"] for row in rows}) > 1
    return [{k: v for k, v in row.items() if k != "axis" or differing} for row in rows]


def peak_text(contents: ReportContents) -> str:
    """Return the bytes of the peak and its place; the bytes alone where nothing ran."""
    peak = contents.peak
    place = peak_place(peak.layer, peak.operation, peak.phase)
    return format_quantity(peak.peak_bytes, "bytes") + f", {place}" * bool(place)


def step_note(record: Record) -> str:
    """Return the state of a training step that memory is of; empty for a forward pass.

    Example:
        >>> print(step_note(Record({"mode": "train"}, {}, (), (), ())))
        The gradients are made in the backward pass; no optimizer steps, and none keeps a state.
    """
    optimizer = record.context.get("optimizer")
    if optimizer:
        return (
            f"It is a step in steady state: the state of {optimizer} is there from the start, "
            "the gradients are made in the backward pass."
        )
    if record.context["mode"] == "train":
        return "The gradients are made in the backward pass; no optimizer steps, and none keeps a state."
    return ""


def kind_rows(contents: ReportContents) -> Rows:
    """Return the bytes of each kind at the peak, from the lowest in the plot to the highest."""
    sizes = contents.peak.by_kind
    return [
        {"kind": label, "bytes": sizes[kind], "share (%)": _percent(sizes[kind], contents.peak.peak_bytes)}
        for kind, (label, _) in SERIES.items()
        if sizes.get(kind)
    ]


def tensor_rows(contents: ReportContents, most: int = LARGEST_TENSORS) -> Rows:
    """Return the largest tensors that are alive at the peak, by the layer that made them.

    Args:
        contents: Of the model.
        most: Rows at most.
    """
    rows = rows_of(contents.peak.tensors)[:most]
    return [row | {"kind": SERIES[row["kind"]][0]} for row in rows]


def time_text(contents: ReportContents) -> str:
    """Return the time of a step, its spread and the machine; empty where nothing was timed."""
    if contents.times is None:
        return ""
    facts, totals = contents.times.context, contents.times.totals
    step, spread = (format_quantity(totals[name], "milliseconds") for name in ("step_ms", "step_iqr_ms"))
    threads = f"{facts['threads']} thread{'s' * (facts['threads'] != 1)}"
    note = f" Note: {facts['note']}." if "note" in facts else ""
    return (
        f"Measured on {facts['machine']} ({facts['device']}, {threads}): {step} in the median of "
        f"{facts['rounds']} rounds, interquartile range {spread}.{note}"
    )


def claims_text(contents: ReportContents) -> str:
    """Return how many claims of the sources have each verdict, the most first; empty without claims."""
    verdicts = Counter(row["verdict"] for row in contents.claims).most_common()
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts)
    return f"Claims of the sources: {counts}." if counts else ""


def changes_text(contents: ReportContents) -> str:
    """Return the saved record that the net is compared with, and what differs; empty without one."""
    if contents.changes is None:
        return ""
    before, after = contents.changes["models"]
    count = len(change_rows(contents))
    modules = f"{count} module{'s differ' if count != 1 else ' differs'}" if count else "no module differs"
    # a ratio tells that the two can be compared
    metrics = [name for name in _CHANGES_SHOWN if after["ratios"].get(name, 1) != 1]
    totals = (_change(name, before["totals"][name], after["totals"][name]) for name in metrics)
    return f"Since {before['label']}: {', '.join([modules, *totals])}."


_CHANGES_SHOWN = ("params", "macs", "training_macs", "peak_bytes", "train_peak_bytes")


def _change(metric: str, before: int, after: int) -> str:
    """A total as it was and is, rounded where that shows a difference."""
    rounded = [format_quantity(total, METRICS[metric].unit) for total in (before, after)]
    texts = rounded if rounded[0] != rounded[1] else [f"{before:,}", f"{after:,}"]
    return f"{label_within(metric)} {change_text(*texts)}"


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None
