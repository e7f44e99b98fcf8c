from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch
from matplotlib.text import Text
from support.gated_nets import Stages, normalised
from support.plot_layout import check_layout
from support.report_nets import field, fit, layer, net, tiny
from support.weird_nets import WEIRD
from torch import nn

import inception_lab as il
from inception_lab.analyzers.receptive_field.spectrum import field_spectrum, spectrum_summary
from inception_lab.errors import InceptionLabError
from inception_lab.report.collect import collect
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots import EFFECTIVE_PLOT, MODEL_PLOTS, effective_field_plot
from inception_lab.report.plots.effective import AREAS, REST, Effective, area_numbers
from inception_lab.report.plots.field_layers import Layer
from inception_lab.report.plots.field_panel import MARKERS
from inception_lab.report.plots.field_spectrum import COLOURS
from inception_lab.report.plots.stride_strip import strides_along
from inception_lab.report.plots.style import PARAMS, plot_style
from inception_lab.report.sizes import PAGE, SIZES, SLIDE, PlotSize
from inception_lab.report.text import layers_text

DEPTH, SPECTRUM = "field_along_depth", "field_spectrum"


def _figure(name: str, contents: ReportContents, size: PlotSize = PAGE) -> Figure:
    with plot_style():
        return MODEL_PLOTS[name].draw(contents, size)


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def _dots(axes: Axes, number: int = 0) -> list[tuple[float, float]]:
    marker = MARKERS[number][0]
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return [(x, y) for line in lines for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]


@pytest.fixture(scope="module")
def googlenet() -> Any:
    return il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224), name="googlenet")


class Mixed(nn.Module):
    """A stem and two branches, in any number of axes: fields of 3 and 3 + 4 along the last one."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
        self.stem = conv(1, 2, 3, padding=1)
        self.near = conv(2, 3, 1)
        self.far = conv(2, 1, (1,) * (axes - 1) + (5,), padding=(0,) * (axes - 1) + (2,))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return torch.cat([self.near(x), self.far(x)], 1)


class Around(nn.Module):
    """The module above within a model, so that it is one of the model's modules."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        self.mixed = Mixed(axes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mixed(x)  # type: ignore[no-any-return]


def _of(axes: int, mode: Any = "eval") -> ReportContents:
    return collect(il.trace(Around(axes), (1, 1, *(9, 10, 11)[-axes:]), mode=mode))


# ----------------------------------------------------------------------------- field along depth


def test_a_dot_is_the_field_of_a_layer(googlenet: Any) -> None:
    contents = collect(googlenet)
    axes = _figure(DEPTH, contents).axes[0]
    rows = [
        row["receptive_field"][0] for row in contents.record.layers if row["type"] in ("Conv2d", "MaxPool2d")
    ]
    assert [y for _, y in _dots(axes)] == rows
    assert [x for x, _ in _dots(axes)] == [n + 0.5 for n in range(len(rows))]
    assert max(rows) == 715


def _strides(contents: ReportContents) -> list[list[float]]:
    """The strides of each line in the strip, layer by layer."""
    patches = _figure(DEPTH, contents).axes[1].patches
    return [list(patch.get_data().values) for patch in patches if isinstance(patch, StepPatch)]


def _windows(trace: Any) -> list[dict[str, Any]]:
    """The rows of the table of receptive fields of convolutions and pools that see a part of the input."""
    types = dict(il.layer_costs(trace)[["layer", "type"]].values)
    rows = il.receptive_field(trace).to_dict("records")
    kinds = ("Conv2d", "MaxPool2d", "AvgPool2d")
    return [row for row in rows if types.get(row["layer"]) in kinds and row["stride"]]


@pytest.mark.parametrize("name", ["googlenet", "inception_resnet_v2"])
def test_the_strip_holds_the_strides_of_the_table(name: str) -> None:
    side = il.create_model(name, device="meta").default_cfg["input_size"][-1]
    trace = il.trace(il.create_model(name, device="meta"), (1, 3, side, side), name=name)
    strides = [row["stride"][0] for row in _windows(trace)]
    assert len(strides) > 60
    assert _strides(collect(trace)) == [strides]


def test_strides_have_ticks_at_both_ends_whatever_the_room() -> None:
    side = 299
    model = il.create_model("inception_resnet_v2", device="meta")
    contents = collect(il.trace(model, (1, 3, side, side), name="inception_resnet_v2"))
    for size in SIZES.values():
        ticks = [text.get_text() for text in _figure(DEPTH, contents, size).axes[1].get_yticklabels()]
        assert (ticks[0], ticks[-1]) == ("2", "32")


def test_axes_of_other_strides_have_lines_of_their_own() -> None:
    conv = nn.Conv2d(3, 4, 3, stride=(2, 1), padding=1)
    figure = _figure(
        DEPTH, collect(il.trace(nn.Sequential(conv, nn.Conv2d(4, 4, 3, padding=1)), (1, 3, 9, 9)))
    )
    lines = [list(patch.get_data().values) for patch in figure.axes[1].patches]
    assert lines == [[2, 2], [1, 1]]
    assert {"height", "width"} <= set(_texts(figure))
    check_layout(figure)


def test_a_stride_of_zero_breaks_the_line() -> None:
    layers = [Layer("a", "a", "exact", (3, 3), (0.0, 2.0)), Layer("b", "b", "misaligned", None, None)]
    assert [np.isnan(strides_along(layers, axis)).tolist() for axis in (0, 1)] == [
        [True, True],
        [False, True],
    ]


# ------------------------------------------------------------------------------- global context


def _contexts(figure: Figure) -> list[tuple[float, float]]:
    """The columns that the rule above the panel covers."""
    rules = [patch for patch in figure.axes[0].patches if patch.get_gid() == "context"]
    return [(rule.get_x(), rule.get_x() + rule.get_width()) for rule in rules]


@pytest.mark.parametrize(
    ("model", "side"), [(Stages(3), 60), (Stages(3, gated=False), 60), (normalised(), 9)]
)
def test_the_rule_covers_the_layers_with_global_context(model: nn.Module, side: int) -> None:
    trace = il.trace(model, (1, 3, side, side))
    context = [row["global_context"] for row in _windows(trace)]
    figure = _figure(DEPTH, collect(trace))
    spans = _contexts(figure)
    covered = [any(start <= n < end for start, end in spans) for n in range(len(context))]
    assert covered == [bool(names) for names in context]
    starts = [n for n, names in enumerate(context) if set(names) - {x for c in context[:n] for x in c}]
    starts += [len(context)] * isinstance(model, Stages) * any(context)  # the last gate, behind all columns
    marks = [list(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() == "v"]
    assert marks == [starts]
    assert ("also sees a whole axis" in _texts(figure)) == bool(starts)
    check_layout(figure)


def test_gates_are_named_where_they_begin() -> None:
    figure = _figure(DEPTH, collect(il.trace(Stages(3), (1, 3, 60, 60))))
    names = {text.get_text(): text.get_position()[0] for text in figure.axes[0].texts}
    # the stem and two layers a stage; the last gate has no layer behind it
    assert names == {"stages.0.2": 3, "stages.1.2": 5, "stages.2.2": 7}


@pytest.mark.parametrize("stages", [1, 2, 4])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_every_gate_of_the_table_is_counted(stages: int, size: PlotSize) -> None:
    trace = il.trace(Stages(stages), (1, 3, 60, 60))
    gates = {name for names in il.receptive_field(trace)["global_context"] for name in names}
    figure = _figure(DEPTH, collect(trace), size)
    marks = [x for line in figure.axes[0].lines if line.get_marker() == "v" for x in line.get_xdata()]
    assert len(marks) == len(gates) == stages
    where = f"in {2 * stages - 2} of {2 * stages + 1} layers" if stages > 1 else "behind these layers"
    # a slide has no notes
    assert (f"through {layers_text(sorted(gates))}, {where}" in " ".join(_texts(figure))) != size.is_slide
    check_layout(figure)


def test_titles_tell_local_fields_from_what_a_gate_sees() -> None:
    label = _figure(DEPTH, collect(il.trace(Stages(2), (1, 3, 60, 60)))).get_label()
    words = "Local fields grow to 31 pixels; from stages.0.2 on units also see a whole axis"
    assert str(label).startswith(words)
    caption = MODEL_PLOTS[DEPTH].caption(collect(il.trace(Stages(2), (1, 3, 60, 60))))
    assert "no layer sees more than the 60x60 pixels of the input on local paths" in caption
    beyond = _figure(DEPTH, collect(il.trace(Stages(3), (1, 3, 60, 60)))).get_label()
    assert str(beyond).startswith("Local fields grow to 63 pixels, 1.05")
    plain = _figure(DEPTH, collect(il.trace(Stages(2, gated=False), (1, 3, 60, 60)))).get_label()
    assert str(plain).startswith("Fields grow to 31 pixels, within the input's 60x60")
    assert "whole axis" not in str(plain)


def test_the_key_says_that_ranges_are_those_of_paths(googlenet: Any) -> None:
    assert "range over single paths" in _texts(_figure(DEPTH, collect(googlenet)))


def test_layers_that_see_everything_are_counted() -> None:
    texts = _texts(_figure(DEPTH, collect(il.trace(Stages(2), (1, 3, 60, 60)))))
    assert any("; 2 that see all of it left out" in text for text in texts)


def test_a_band_reaches_over_all_paths_of_a_module(googlenet: Any) -> None:
    summary = spectrum_summary(field_spectrum(googlenet)).query("axis == 0")
    axes = _figure(DEPTH, collect(googlenet)).axes[0]
    boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    spans = sorted((box.get_y(), box.get_y() + box.get_height()) for box in boxes)
    assert spans == sorted(zip(summary["smallest"], summary["largest"], strict=True))
    assert all(box.get_linewidth() > 0 and box.get_edgecolor() != box.get_facecolor() for box in boxes)
    medians = [segment[0][1] for c in axes.collections for segment in getattr(c, "get_segments", list)()]
    assert set(summary["median"]) <= set(medians)


def test_the_input_is_a_line_with_its_size() -> None:
    for name, sizes in (("misaligned", [8]), ("3-d", [16, 112, 113]), ("1-d", [500])):
        figure = _figure(DEPTH, WEIRD[name]())
        heights = [line.get_ydata()[0] for line in figure.axes[0].lines if to_hex(line.get_color()) == PARAMS]
        assert sorted(heights) == sizes
        texts = " ".join(_texts(figure))
        assert all(f" {size}" in texts for size in sizes)


def test_what_is_not_exact_has_no_dot_and_is_counted() -> None:
    contents = WEIRD["misaligned"]()
    figure = _figure(DEPTH, contents)
    assert _dots(figure.axes[0]) == [(0.5, 3)]
    assert "no dot: 1 misaligned" in _texts(figure)[-1] + " ".join(_texts(figure))
    assert "1 misaligned" in MODEL_PLOTS[DEPTH].caption(contents)


def test_another_axis_is_drawn_where_it_differs() -> None:
    axes = _figure(DEPTH, WEIRD["3-d"]()).axes[0]
    assert _dots(axes) == [(0.5, 1), (1.5, 3)]
    assert _dots(axes, 1) == [(0.5, 7), (1.5, 11)]
    axes = _figure(DEPTH, WEIRD["3 axes that differ"]()).axes[0]
    assert _dots(axes, 1) == [(0.5, 5)]
    assert _dots(axes, 2) == [(0.5, 7)]


@pytest.mark.parametrize("name", ["nothing", "nothing known", "no convolution", "sees everything", "chain"])
def test_there_is_nothing_to_see_without_fields(name: str) -> None:
    contents = WEIRD[name]()
    assert not MODEL_PLOTS[DEPTH].has_content(contents)
    assert not MODEL_PLOTS[SPECTRUM].has_content(contents)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_nets_of_any_number_of_axes(axes: int, mode: str) -> None:
    contents = _of(axes, mode)
    figure = _figure(DEPTH, contents)
    check_layout(figure)
    last = len(MARKERS) - 1 if axes > len(MARKERS) else min(axes, 2) - 1
    # the stem's kernel of 3 at stride 1, then one of 5 along the last axis: 3 + (5 - 1)
    assert (2.5, 7) in _dots(figure.axes[0], last)
    assert {y for _, y in _dots(figure.axes[0])} == ({3, 7} if axes == 1 else {3})
    check_layout(_figure(SPECTRUM, contents))


# ------------------------------------------------------------------------------ field spectrum


def _rows(axes: Axes) -> dict[str, list[Rectangle]]:
    names = [label.get_text() for label in axes.get_yticklabels()]
    rows: dict[str, list[Rectangle]] = {name: [] for name in names}
    for patch in axes.patches:
        assert isinstance(patch, Rectangle)
        rows[names[round(patch.get_y() + patch.get_height() / 2)]].append(patch)
    return rows


def test_a_bar_is_the_share_of_channels_of_each_field(googlenet: Any) -> None:
    frame = field_spectrum(googlenet).query("axis == 0 and channels > 0")
    rows = _rows(_figure(SPECTRUM, collect(googlenet)).axes[1])
    assert list(rows) == list(dict.fromkeys(frame["module"]))
    for module, bars in rows.items():
        channels = frame[frame["module"] == module]["channels"]
        assert [bar.get_width() for bar in bars] == pytest.approx(list(channels / channels.sum()))
        assert [bar.get_x() for bar in bars] == pytest.approx([0, *np.cumsum(channels / channels.sum())][:-1])


def test_the_fields_of_inception3a_and_its_median_stand_behind_its_bar(googlenet: Any) -> None:
    # 64 channels of the 1x1 branch, 128 + 32 of those of 3x3 and the pool, 32 of the 5x5 branch: of 256
    axes = _figure(SPECTRUM, collect(googlenet)).axes[1]
    assert [bar.get_width() for bar in _rows(axes)["inception3a"]] == [64 / 256, 160 / 256, 32 / 256]
    numbers = [text for text in axes.texts if text.get_position()[1] == 0]
    assert [text.get_text() for text in numbers] == ["27", "43", "59"]
    assert [text.get_text() for text in numbers if text.get_weight() == "bold"] == ["43"]
    assert all(text.get_position()[0] > 1 for text in axes.texts), "colour says the field within a bar"


def test_channels_are_told_from_paths(googlenet: Any) -> None:
    contents = collect(googlenet)
    sentence = (
        "A channel counts with the widest of the paths that lead to it: 587 to 715 pixels in inception5b, "
        "where single paths see 75 to 715."
    )
    assert MODEL_PLOTS[SPECTRUM].caption(contents).endswith(sentence)
    assert sentence in " ".join(_texts(_figure(SPECTRUM, contents)))
    same = net(
        [layer("m", "a", 9, fields=field(3, 3))],
        resolution=fit(8, 8),
        mixing=[("m", axis, {3: 4, 5: 4}) for axis in (0, 1)],
    )
    assert "single paths" not in MODEL_PLOTS[SPECTRUM].caption(same)


def test_fields_that_no_channel_carries_are_not_drawn() -> None:
    rows = _rows(_figure(SPECTRUM, tiny()).axes[1])
    assert [[bar.get_width() for bar in bars] for bars in rows.values()] == [[0.25, 0.5, 0.25]] * 3


def test_colours_go_from_light_to_dark() -> None:
    levels = [0.3 * r + 0.59 * g + 0.11 * b for r, g, b, _ in COLOURS(np.linspace(0, 1, 64))]
    assert all(light > dark for light, dark in pairwise(levels))


def test_a_panel_for_each_group_of_axes_that_see_the_same() -> None:
    for name, panels in (("1-d", 1), ("3-d", 2), ("3 axes that differ", 3)):
        assert len(_figure(SPECTRUM, WEIRD[name]()).axes) == panels + 1  # and the colour bar


def test_a_module_of_one_field_mixes_nothing() -> None:
    same = net(
        [layer("m", "a", 9, fields=field(3, 3))],
        resolution=fit(8, 8),
        mixing=[("m", a, {3: 4}) for a in (0, 1)],
    )
    assert MODEL_PLOTS[DEPTH].has_content(same)
    assert not MODEL_PLOTS[SPECTRUM].has_content(same)


def test_modules_left_out_are_counted() -> None:
    figure = _figure(SPECTRUM, WEIRD["many fields"]())
    assert len(_rows(figure.axes[1])) == 60
    assert any(text.startswith("2 modules") for text in _texts(figure))
    slide = _figure(SPECTRUM, WEIRD["many fields"](), SLIDE)
    rows = len(_rows(slide.axes[1]))
    assert any(text.startswith(f"{62 - rows} modules") for text in _texts(slide))


def _mixing(widest: list[int]) -> ReportContents:
    """A module for each number, of channels that see 3 pixels and so many; paths see a single pixel too."""
    names = [f"m{number}" for number in range(len(widest))]
    mixing = [
        (name, axis, {1: 0, 3: 4, most: 4})
        for name, most in zip(names, widest, strict=True)
        for axis in (0, 1)
    ]
    layers = [layer(name, "a", 9, fields=field(3, 3)) for name in names]
    return net(layers, resolution=fit(8, 8), mixing=mixing)


def test_what_is_left_out_of_a_spectrum_is_a_sentence() -> None:
    for left_out, words in ((1, "1 module whose channels differ less is"), (2, "2 modules whose")):
        texts = " ".join(_texts(_figure(SPECTRUM, _mixing([9] * (60 + left_out)))))
        assert words in texts
        assert "left out. A channel counts" in texts


def test_colours_reach_over_the_rows_that_are_shown() -> None:
    # the module of the largest field is left out: all of its channels see it
    contents = net(
        [layer(f"m{n}", "a", 9, fields=field(3, 3)) for n in range(61)],
        resolution=fit(8, 8),
        mixing=[(f"m{n}", a, {900: 4} if n == 60 else {3: 4, 9: 4}) for n in range(61) for a in (0, 1)],
    )
    figure = _figure(SPECTRUM, contents)
    assert figure.axes[0].get_xlim() == pytest.approx((3, 9))


# ------------------------------------------------------------------------------ effective field


def _effective(
    shape: tuple[int, ...] = (20, 30), field: Any = ((2, 17), (5, 24)), areas: Any = None
) -> Effective:
    rows, columns = np.indices(shape[-2:])
    weight = np.exp(-((rows - 9) ** 2 + (columns - 14) ** 2) / 20)
    weight = np.broadcast_to(weight / weight.sum(), shape)
    areas = areas or {0.5: 43, 0.95: 190, 0.99: 280}
    return Effective("net", "last.conv", "some processor", 20, weight, field, areas)


def _effective_figure(effective: Effective) -> Figure:
    with plot_style():
        return EFFECTIVE_PLOT.draw(effective)


def test_the_box_is_the_theoretical_field() -> None:
    for axes in _effective_figure(_effective()).axes[:2]:
        boxes = [patch for patch in axes.patches if to_hex(patch.get_edgecolor()) == PARAMS]
        # rows 2 to 17 and columns 5 to 24, the last ones included
        assert [(b.get_x(), b.get_y(), b.get_width(), b.get_height()) for b in boxes] == [(5, 2, 20, 16)]


def test_the_heat_is_the_gradient() -> None:
    effective = _effective()
    (image,) = _effective_figure(effective).axes[0].images
    np.testing.assert_allclose(image.get_array(), effective.weight / effective.weight.max())


def test_each_area_holds_its_pixels_and_the_largest_ones() -> None:
    effective = _effective()
    numbers = area_numbers(effective)
    assert [int((numbers <= n).sum()) for n in range(3)] == [43, 190, 280]
    for n in range(3):
        assert effective.weight[numbers <= n].min() >= effective.weight[numbers > n].max()
    (image,) = _effective_figure(effective).axes[1].images
    assert [to_hex(colour) for colour in image.cmap.colors] == [*AREAS, REST]


def test_a_field_beyond_the_input_is_shown_whole() -> None:
    figure = _effective_figure(_effective(field=((-10, 39), (-5, 34))))
    assert figure.axes[0].get_xlim() == (-5, 35)
    assert figure.axes[0].get_ylim() == (40, -10)
    assert "20 x 30 pixels within the input" in EFFECTIVE_PLOT.caption(
        _effective(field=((-10, 39), (-5, 34)))
    )


def test_the_caption_gives_every_share() -> None:
    # 43, 190 and 280 of 16 x 20 = 320 pixels: 13.4 %, 59.4 % and 87.5 %
    text = EFFECTIVE_PLOT.caption(_effective())
    assert "50 % of the gradient in 43 pixels (13 %)" in text
    assert "95 % of the gradient in 190 pixels (59 %)" in text
    assert "99 % of the gradient in 280 pixels (88 %)" in text


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("shape", [(1, 1), (20, 30), (300, 12), (12, 300), (2000, 2000)])
def test_inputs_of_any_shape(shape: tuple[int, int], size: PlotSize) -> None:
    field = ((0, shape[0] - 1), (0, shape[1] - 1))
    areas = {0.5: 10, 0.95: 100, 0.99: shape[0] * shape[1]}
    with plot_style():
        check_layout(EFFECTIVE_PLOT.draw(_effective(shape, field, areas), size))


def test_the_axes_are_in_pixels() -> None:
    figure = _effective_figure(_effective(field=((-10, 39), (-5, 34))))
    for axes in figure.axes[:2]:
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("Column in pixels", "Row in pixels")
        (low, high), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        assert all(low <= tick <= high for tick in axes.get_xticks())
        assert all(top <= tick <= bottom for tick in axes.get_yticks())
        assert len(axes.get_xticks()) > 2
        assert len(axes.get_yticks()) > 2


def test_the_scale_of_the_colours_is_said() -> None:
    figure = _effective_figure(_effective())
    (bar,) = [axes for axes in figure.axes if "10 %" in [t.get_text() for t in axes.get_xticklabels()]]
    (image,) = bar.images
    colours = image.norm(image.get_array()[0])
    for tick, label in zip(bar.get_xticks(), bar.get_xticklabels(), strict=True):
        share = float(label.get_text().removesuffix(" %")) / 100
        assert colours[round(tick)] == pytest.approx(share**0.5, abs=0.01)
    assert any("square-root scale" in text for text in _texts(figure))


def test_the_same_bytes_every_time() -> None:
    first, second = (effective_field_plot(_effective(), kinds=["svg", "png"]) for _ in range(2))
    assert first == second
    assert set(first) == {"svg", "png"}
    assert b"<dc:date>" not in first["svg"]


@pytest.mark.parametrize("shape", [(4, 20, 30), (0, 30)])
def test_what_cannot_be_drawn_is_refused(shape: tuple[int, ...]) -> None:
    weight = np.zeros(shape)
    effective = Effective("net", "conv", "cpu", 1, weight, ((0, 1), (0, 1)), {0.5: 1})
    with pytest.raises(InceptionLabError, match="spatial axes"):
        effective_field_plot(effective)
