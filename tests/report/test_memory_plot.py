from __future__ import annotations

import csv
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from matplotlib.text import Text
from support.plot_layout import check_layout
from support.report_nets import KINDS
from support.weird_nets import WEIRD
from torch import nn

import inception_lab as il
from inception_lab.report.answers import kind_rows, peak_text, tensor_rows
from inception_lab.report.collect import collect
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots import MODEL_PLOTS
from inception_lab.report.plots.memory_timeline import SERIES
from inception_lab.report.plots.moments import OPTIMIZER, moments_of, phases_of
from inception_lab.report.plots.style import plot_style
from inception_lab.report.sizes import PAGE, SIZES, PlotSize
from inception_lab.report.write import write_contents

TIMELINE = "memory_timeline"


def _figure(contents: ReportContents, size: PlotSize = PAGE) -> Figure:
    with plot_style():
        return MODEL_PLOTS[TIMELINE].draw(contents, size)


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def _heights(axes: Axes, contents: ReportContents) -> dict[str, list[float]]:
    """The height of each area above the one below it, column by column."""
    kinds = {colour: kind for kind, (_, colour) in SERIES.items()}
    areas = {kinds[to_hex(a.get_facecolor())]: a for a in axes.patches if isinstance(a, StepPatch)}
    middles = [(column.left + column.right) / 2 for column in moments_of(contents.timeline)]
    heights, below = {}, np.zeros(len(middles))
    for kind in [kind for kind in SERIES if kind in areas]:
        values, edges, _ = areas[kind].get_data()
        top = np.asarray(values)[np.searchsorted(edges, middles) - 1]
        heights[kind], below = list(top - below), top
    return heights


class Small(nn.Module):
    """A convolution, an activation and a pool."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.pool = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pool(self.act(self.conv(x)))  # type: ignore[no-any-return]


def _of(model: nn.Module, shape: tuple[int, ...] = (1, 3, 8, 8), **how: Any) -> ReportContents:
    return collect(il.trace(model, shape, **how))


@pytest.mark.parametrize(
    "how",
    [{}, {"mode": "train"}, {"mode": "train", "optimizer": "sgd"}, {"mode": "train", "optimizer": "adamw"}],
)
def test_areas_are_the_timeline(how: dict[str, Any]) -> None:
    contents = _of(Small(), **how)
    figure = _figure(contents)
    heights = _heights(figure.axes[0], contents)
    assert [column.row for column in moments_of(contents.timeline)] == list(range(len(contents.timeline)))
    assert heights == {kind: list(contents.timeline[kind]) for kind in heights}
    below = {"parameters", "buffers"} if not how else set()
    assert set(heights) == {kind for kind in KINDS if contents.timeline[kind].any()} - below
    check_layout(figure)


def test_what_a_pass_only_reads_is_a_strip_with_its_bytes() -> None:
    # 4 x (216 + 8 + 16) parameters; mean and variance of 8 channels and a counter of 8 bytes
    figure = _figure(_of(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8))))
    assert "Parameters 960 B, Buffers 72 B: held below all of this" in _texts(figure)
    assert not any(text.startswith(("Parameters 960 B ", "Buffers 72 B ")) for text in _texts(figure))


@pytest.mark.parametrize("name", ["one operation", "peaks first"])
def test_a_pass_that_holds_one_kind_alone_is_drawn(name: str) -> None:
    contents = WEIRD[name]()
    (kind,) = [kind for kind in KINDS if contents.timeline[kind].any()]
    assert set(_heights(_figure(contents).axes[0], contents)) == {kind}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("how", [{}, {"mode": "train", "optimizer": "adamw"}])
def test_every_size_has_room_for_every_text(size: PlotSize, how: dict[str, Any]) -> None:
    check_layout(_figure(_of(Small(), **how), size))


def test_the_peak_is_marked_with_its_place() -> None:
    # 4 x (216 + 8) parameters, 4 x 3 x 64 inputs, then 4 x 8 x 64 before the activation and as much after
    peak = 896 + 768 + 2048 + 2048
    contents = _of(Small())
    figure = _figure(contents)
    (dot,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    act = moments_of(contents.timeline)[1]
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == ((act.left + act.right) / 2, peak - 896)
    # 5760 / 1024 = 5.625 and (5760 - 896) / 1024 = 4.75
    place = "in act (aten.relu.default, forward)"
    assert {"4.75 KiB + 896 B = 5.62 KiB", place} <= set(_texts(figure))
    assert {"Inputs 768 B", "Temporaries 4.00 KiB"} <= set(_texts(figure))
    assert "A pass holds 5.62 KiB at most: 4.75 KiB on top of 896 B of parameters" in _texts(figure)
    # 4096, 896 and 768 of 5760
    assert MODEL_PLOTS[TIMELINE].caption(contents) == (
        "The peak is 5.62 KiB, in act (aten.relu.default, forward): "
        "71 % temporaries, 16 % parameters, 13 % inputs."
    )


def test_phases_are_named_and_set_apart() -> None:
    names = ["forward", "loss", "backward", "optimizer"]
    eval_pass, step = _figure(_of(Small())), _figure(_of(Small(), mode="train", optimizer="adam"))
    assert not set(names) & set(_texts(eval_pass))
    places = {text.get_text(): text.get_position()[0] for text in step.texts if text.get_text() in names}
    assert sorted(places, key=lambda name: places[name]) == names
    assert any(text.endswith("train, adam") for text in _texts(step))
    assert len([line for line in step.axes[0].lines if line.get_marker() != "o"]) == 3


def test_modules_are_named_below_their_operations() -> None:
    figure = _figure(_of(Small()))
    names = {text.get_text(): text.get_position()[0] for text in figure.axes[-1].texts}
    assert names["conv"] < names["act"] < names["pool"]


def test_a_long_step_keeps_what_it_holds_at_most() -> None:
    timeline = WEIRD["a long step"]().timeline
    moments = moments_of(timeline)
    assert len(moments) < len(timeline) == 900 + 1 + 900 + 9000
    assert all(one.row < other.row and one.right == other.left for one, other in pairwise(moments))
    for phase in phases_of(timeline):
        rows = [column.row for column in moments if phase.left <= column.left < phase.right]
        assert set(rows) <= set(phase.rows)
        assert timeline["live_bytes"].iloc[rows].max() == timeline["live_bytes"].iloc[phase.rows].max()
    *others, optimizer = (phase.right - phase.left for phase in phases_of(timeline))
    assert optimizer == pytest.approx(OPTIMIZER * sum(others), abs=1)


def test_many_operations_are_drawn_as_they_are() -> None:
    contents = collect(il.trace(il.create_model("googlenet", device="meta"), (2, 3, 224, 224), mode="train"))
    rows = contents.timeline.iloc[[column.row for column in moments_of(contents.timeline)]]
    heights = _heights(_figure(contents).axes[0], contents)
    assert heights == {kind: list(rows[kind]) for kind in heights}
    assert sum(np.array(values) for values in heights.values()).max() == contents.peak.peak_bytes


def test_one_operation_is_a_column() -> None:
    contents = _of(nn.ReLU())
    assert _heights(_figure(contents).axes[0], contents) == {"inputs": [768], "temporaries": [768]}
    assert any(text.startswith("1 operation in") for text in _texts(_figure(contents)))


def test_a_peak_outside_of_layers_is_said_in_words() -> None:
    contents = _of(nn.Linear(100, 100), (1, 100), mode="train", optimizer="adam")
    assert "in the optimizer (aten." in MODEL_PLOTS[TIMELINE].caption(contents)


def test_ticks_are_round_in_one_unit() -> None:
    ticks = [label.get_text() for label in _figure(_of(Small())).axes[0].get_yticklabels()]
    assert ticks == ["0", "1 KiB", "2 KiB", "3 KiB", "4 KiB"]


@pytest.mark.parametrize("contents", [lambda: _of(nn.Identity()), WEIRD["holds nothing"], WEIRD["chain"]])
def test_there_is_nothing_to_see_where_nothing_is_held(contents: Any) -> None:
    assert not MODEL_PLOTS[TIMELINE].has_content(contents())


# Machado, Oliveira and Fernandes (2009), severity 1.0, in linear RGB
_SIGHT = {
    "normal": np.eye(3),
    "no red": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998],
    ],
    "no green": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881],
    ],
    "no blue": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900],
    ],
}  # fmt: skip
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def _lab(colour: str, sight: Any) -> Any:
    """CIE L*a*b* of a colour as it is seen."""
    srgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz = _XYZ @ np.clip(np.asarray(sight) @ linear, 0, 1) / _XYZ.sum(axis=1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", _SIGHT)
def test_colours_are_told_apart_with_any_colour_vision(sight: str) -> None:
    colours = [_lab(colour, _SIGHT[sight]) for _, colour in SERIES.values()]
    assert min(np.linalg.norm(one - other) for one, other in combinations(colours, 2)) > 25


# ------------------------------------------------------------------------------------ the answers


def test_what_a_net_holds() -> None:
    contents = _of(Small())
    assert peak_text(contents) == "5.62 KiB, in act (aten.relu.default, forward)"
    shares = {row["kind"]: (row["bytes"], round(row["share (%)"], 2)) for row in kind_rows(contents)}
    assert shares == {"Parameters": (896, 15.56), "Inputs": (768, 13.33), "Temporaries": (4096, 71.11)}
    tensors = [(row["layer"], row["shape"], row["kind"], row["bytes"]) for row in tensor_rows(contents)]
    assert ("conv", (1, 8, 8, 8), "Temporaries", 2048) in tensors
    assert ("conv.weight", (8, 3, 3, 3), "Parameters", 864) in tensors


def test_no_more_than_five_tensors_are_shown() -> None:
    assert len(tensor_rows(_of(Small(), mode="train", optimizer="adamw"))) == 5


def test_a_net_that_does_nothing_holds_its_input(tmp_path: Path) -> None:
    contents = _of(nn.Identity())
    assert peak_text(contents) == "768 B"
    assert [(row["kind"], row["bytes"], row["share (%)"]) for row in kind_rows(contents)] == [
        ("Inputs", 768, 100)
    ]
    write_contents(contents, tmp_path / "none")
    assert not (tmp_path / "none" / "memory_timeline.svg").exists()


def test_the_table_of_modules_adds_up_to_the_peak(tmp_path: Path) -> None:
    model = Small()
    contents = _of(model)
    write_contents(contents, tmp_path / "net")
    with (tmp_path / "net" / "memory.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["bytes"]) for row in rows) == contents.peak.peak_bytes
    parameters = {row["module"]: int(row["parameters"]) for row in rows}
    assert parameters["conv"] == 4 * sum(p.numel() for p in model.parameters()) == sum(parameters.values())
