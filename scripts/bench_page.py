"""CPU time of one thread for a report's page: its map laid out and drawn, and all of it but its plots.

Usage: python scripts/bench_page.py [MODEL ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import nn

import inception_lab as il
from inception_lab.report.collect import collect
from inception_lab.report.contents import ReportContents
from inception_lab.report.html.model_page import model_page
from inception_lab.report.map.drawing import BoxFacts, map_svg
from inception_lab.report.map.layout import laid_out
from inception_lab.report.map.units import units
from shared import time_run

ROUNDS = 5
MODELS = ("googlenet", "inception_v4", "inception_resnet_v2")


class Block(nn.Module):
    """A shortcut around two convolutions with what belongs to them: nine calls."""

    def __init__(self) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.conv = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Two convolutions beside the shortcut."""
        changed: torch.Tensor = self.conv(self.reduce(x))
        return x + changed


def main() -> None:
    """Print a row for each net."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("models", nargs="*", default=MODELS)
    options = parser.parse_args()
    print("| net | calls | map (ms) | page (ms) | page (KB) |\n| :--- | ---: | ---: | ---: | ---: |")
    for name in options.models:
        card_size = il.zoo_records([name])[0].context["input_shapes"][0]
        print(_row(il.trace(il.create_model(name, device="meta"), card_size, name=name)))
    deep = nn.Sequential(*(Block() for _ in range(225)))
    print(_row(il.trace(deep, (1, 8, 16, 16), name="225 residual blocks")))


def _row(trace: il.Trace) -> str:
    contents = collect(trace)
    page = model_page(contents, {}, [])
    times = [_milliseconds(partial(_draw, contents)), _milliseconds(partial(model_page, contents, {}, []))]
    cells = [trace.context.model, f"{len(trace.calls):,}", *(f"{time:.0f}" for time in times)]
    return f"| {' | '.join([*cells, f'{len(page.encode()) / 1000:.0f}'])} |"


def _draw(contents: ReportContents) -> str:
    """Lay the map out and draw it, without figures."""
    assert contents.dataflow is not None
    root = laid_out(units(contents.dataflow, contents.record.layers))
    return map_svg(root, "map", lambda _: BoxFacts(""))


def _milliseconds(function: Callable[[], object]) -> float:
    """The median CPU time of this thread, once warm."""
    function()
    return 1000 * median([time_run(function)[0] for _ in range(ROUNDS)])


if __name__ == "__main__":
    main()
