"""The share of each loss in the gradient of each module's weights, as stacked bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from inception_lab.report.plots.canvas import Box, Canvas
from inception_lab.report.plots.columns import panel
from inception_lab.report.plots.flow_models import Depth, FlowsPlot, shares_of
from inception_lab.report.plots.style import INK, MACS
from inception_lab.report.plots.wording import steps_between

TERMS = (MACS, "#e69f00", "#a8dcc8", "#882255", "#bbbbbb")
"""Colours of the terms, the main loss first: told apart in grey and with any colour vision."""
_BAR = 0.78


def terms_of(subject: FlowsPlot) -> dict[str, str]:
    """The terms of all models and their colours, the same in all models; later ones share one."""
    names = dict.fromkeys(term for model in subject.models for term in model.terms)
    return {name: TERMS[min(number, len(TERMS) - 1)] for number, name in enumerate(names)}


@dataclass(frozen=True)
class Block:
    """A term's part of a bar.

    Attributes:
        module: That the bar is of.
        term: Of the loss.
        span: The column of the module.
        foot: The end of the part nearer to 0.
        share: Its signed height, in percent.
    """

    module: str
    term: str
    span: tuple[float, float]
    foot: float
    share: float


def blocks_of(subject: FlowsPlot, depth: Depth, number: int) -> list[Block]:
    """The parts of the bars of a model: stacked upwards from 0, negative ones downwards."""
    model, blocks = subject.models[number], []
    for module, span in zip(depth.lines[number], depth.spans(number), strict=True):
        ends = {True: 0.0, False: 0.0}
        for term, share in shares_of(model, module).items():
            if share:
                blocks.append(Block(module, term, span, ends[share > 0], share))
                ends[share > 0] += share
    return blocks


def draw_shares(
    canvas: Canvas, blocks: Sequence[Block], colours: Mapping[str, str], end: float, box: Box
) -> Axes:
    """Draw a row of bars, and return its axes.

    Args:
        canvas: To draw on.
        blocks: The parts of the bars.
        colours: Of the terms.
        end: Of the axis of modules.
        box: Of the row.
    """
    axes = panel(canvas, 1, box)
    axes.set_xlim(0, end)
    for block in blocks:
        (start, stop), colour = block.span, colours[block.term]
        place: dict[str, Any] = {
            "x": (start + stop) / 2,
            "width": _BAR * (stop - start),
            "bottom": block.foot,
        }
        axes.bar(height=block.share, color=colour, lw=0, gid=f"{block.term} of {block.module}", **place)
    tops = [block.foot + block.share for block in blocks]
    low, high = min([0.0, *tops]), max([100.0, *tops])
    axes.set_ylim(low, high)
    steps = steps_between(low, high, 4 if box.height > 0.7 else 2)
    axes.set_yticks(steps, [f"{step:.0f} %".replace("-", "\N{MINUS SIGN}") for step in steps])
    if low:
        axes.spines["bottom"].set_visible(False)
        axes.axhline(0, color=INK, lw=0.7)
    return axes
