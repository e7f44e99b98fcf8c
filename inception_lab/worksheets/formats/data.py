"""A worksheet as plain data, for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from inception_lab.ir.trace import Context
from inception_lab.record import SCHEMA
from inception_lab.report.text import render, shape_text
from inception_lab.worksheets.sheet import Branch, Sums, Working, Worksheet, ratio

_RATIOS = ("macs", "weights", "params")
_COLUMNS = (
    "side", "branch", "layer", "operation", "input_shape", "output_shape", "multiplication",
    "macs", "weights", "biases", "other_params", "params",
)  # fmt: skip


def worksheet_dict(sheet: Worksheet) -> dict[str, Any]:
    """Return a worksheet as plain data; `naive_` figures are there where it has a naive counterpart.

    Args:
        sheet: Its shapes have batch and channels first.

    Example:
        >>> from inception_lab.worksheets.designed import design_worksheet
        >>> worksheet_dict(design_worksheet("28x28x192", "64,96,128,16,32,32"))["totals"]["macs_ratio"]
        2.369...
    """
    present = {
        "input_shape": sheet.input_shape,
        "output_shape": sheet.output_shape,
        "joined_channels": sheet.joined_channels,
        "naive_joined_channels": sheet.naive_joined_channels if sheet.has_counterpart else (),
    }
    return {
        "schema": SCHEMA,
        **_context(sheet.context),
        "module": sheet.module,
        **{name: list(shape) for name, shape in present.items() if shape},
        "complete": not sheet.uncounted_ops,
        "uncounted_ops": [{"name": name, "count": count} for name, count in sheet.uncounted_ops.items()],
        "totals": _figures(sheet.reduced, sheet.naive, sheet.has_counterpart),
        "branches": [_branch(branch, sheet.has_counterpart) for branch in sheet.branches],
    }


def worksheet_json(sheet: Worksheet) -> str:
    """Return a worksheet as JSON; see `worksheet_dict`."""
    return json.dumps(worksheet_dict(sheet), indent=2) + "\n"


def worksheet_csv(sheet: Worksheet) -> str:
    """Return a worksheet as CSV, a row per layer and side, each side adding up to its total."""
    rows = [
        {"side": side, "branch": branch.name, **_layer(working)}
        for branch in sheet.branches
        for side, workings in _sides(branch, sheet.has_counterpart).items()
        for working in workings
    ]
    return render(rows, _COLUMNS, "csv")


def _context(context: Context) -> dict[str, Any]:
    return {
        "tool": context.tool,
        "torch": context.torch,
        "model": context.model,
        "input_shapes": [list(shape) for shape in context.input_shapes],
        "mode": context.mode,
        "dtype": context.dtype,
    }


def _sides(branch: Branch, has_counterpart: bool) -> dict[str, Sequence[Working]]:
    sides = {"naive": branch.naive_workings} if has_counterpart else {}
    return {**sides, "reduced": branch.workings}


def _branch(branch: Branch, has_counterpart: bool) -> dict[str, Any]:
    layers = {"layers": [_layer(working) for working in branch.workings]}
    if has_counterpart:
        layers["naive_layers"] = [_layer(working) for working in branch.naive_workings]
    return {"branch": branch.name, **_figures(branch.reduced, branch.naive, has_counterpart), **layers}


def _figures(reduced: Sums, naive: Sums, has_counterpart: bool) -> dict[str, Any]:
    figures: dict[str, Any] = _amounts(reduced)
    if not has_counterpart:
        return figures
    figures |= {f"naive_{name}": amount for name, amount in _amounts(naive).items()}
    ratios = {name: ratio(figures[f"naive_{name}"], figures[name]) for name in _RATIOS}
    return figures | {f"{name}_ratio": times for name, times in ratios.items() if times is not None}


def _amounts(sums: Sums) -> dict[str, int]:
    return {**sums._asdict(), "params": sums.params}


def _layer(working: Working) -> dict[str, Any]:
    # by factors: places, then the multiplies for each of them
    factors = " x ".join(filter(None, [shape_text(working.places), shape_text(working.each)]))
    return {
        "layer": working.layer,
        "operation": working.operation,
        "input_shape": list(working.input_shape),
        "output_shape": list(working.output_shape),
        **({"multiplication": factors} if factors else {}),
        **_amounts(working.sums),
    }
