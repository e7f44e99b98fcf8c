"""A report on a training step shows figures of the step wherever it speaks of the run."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from support.plot_layout import check_layout, title_of

import inception_lab as il
from inception_lab.report.collect import collect
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots import COMPARISON_PLOTS, MODEL_PLOTS
from inception_lab.report.plots.style import plot_style
from inception_lab.report.sizes import PAGE, SIZES, PlotSize
from inception_lab.report.write import write_contents

FORWARD = 4 * 1582671872
"""MACs of GoogLeNet on four images."""
TRAINING = 3 * FORWARD - 4 * 118013952
"""Each layer has three products, but for conv1, which has no gradient of its input."""


@pytest.fixture(scope="module")
def step() -> ReportContents:
    model = il.create_model("googlenet", device="meta")
    trace = il.trace(model, (4, 3, 224, 224), mode="train", optimizer="adam", name="googlenet")
    return collect(trace)


@pytest.fixture(scope="module")
def folder(step: ReportContents, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_contents(step, tmp_path_factory.mktemp("reports") / "step").parent


def _figure(name: str, contents: ReportContents, size: PlotSize = PAGE) -> Figure:
    with plot_style():
        return MODEL_PLOTS[name].draw(contents, size)


def test_the_page_leads_with_the_step(folder: Path) -> None:
    lines = (folder / "README.md").read_text().splitlines()
    assert "A training step of 4x3x224x224 takes 18.5 G MACs and holds 274 MiB at its peak." in lines[2]
    assert f"| Training MACs | 18.5 G | {TRAINING:,} | multiply-accumulates of a whole step |" in lines
    table = lines[lines.index("## Largest modules") + 2 :]
    assert table[0].split(" | ")[2:6] == ["MACs", "Backward MACs", "Training MACs", "Training MACs (%)"]
    assert table[2].split(" | ")[4:6] == [f"{12 * 346816512:,}", f"{100 * 12 * 346816512 / TRAINING:.2f}"]


def test_modules_of_a_step_add_up(folder: Path) -> None:
    with (folder / "modules.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["training_macs"]) for row in rows) == TRAINING
    assert sum(int(row["backward_macs"]) for row in rows) == TRAINING - FORWARD


def test_bars_are_of_the_step(step: ReportContents) -> None:
    bars = [
        patch for patch in _figure("cost_by_module", step).axes[0].patches if isinstance(patch, Rectangle)
    ]
    assert sum(bar.get_width() for bar in bars) == TRAINING
    caption = MODEL_PLOTS["cost_by_module"].caption(step)
    assert "conv2: 4.16 G of 18.5 G training MACs (22 %)" in caption
    assert "of the training MACs in parallel branches" in caption


def test_the_cost_along_depth_is_of_the_step(step: ReportContents) -> None:
    each = _figure("cost_along_depth", step).axes[1]
    (columns,) = [lines for lines in each.collections if len(lines.get_segments()) == 58]
    heights = [segment[1][1] for segment in columns.get_segments()]
    assert sum(heights) == TRAINING
    assert MODEL_PLOTS["cost_along_depth"].caption(step).startswith("Half of the training MACs is reached")


@pytest.mark.parametrize("name", ["reduction_saving", "saving_by_level"])
def test_savings_say_that_they_are_of_the_forward(step: ReportContents, name: str) -> None:
    assert "forward MACs" in title_of(_figure(name, step))
    assert "forward MACs" in MODEL_PLOTS[name].caption(step)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize(
    "name", ["cost_by_module", "cost_along_depth", "reduction_saving", "saving_by_level"]
)
def test_longer_words_have_room(step: ReportContents, name: str, size: PlotSize) -> None:
    check_layout(_figure(name, step, size))


def test_steps_side_by_side_begin_with_their_macs(step: ReportContents) -> None:
    caption = COMPARISON_PLOTS["comparison"].caption([step.record, step.record])
    assert caption.startswith("Training MACs: 18.5 G in every model; MACs: 6.33 G")
