"""The plot of a Pareto front: its points, its line, budgets, names, words, and layout."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from support.made_variants import BUDGETS, REFERENCES, made_variants
from support.plot_layout import check_layout, title_of

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.metrics import METRICS
from inception_lab.report.plots import FRONT_PLOT
from inception_lab.report.plots.front_panel import MOST_VECTORS
from inception_lab.report.plots.gradient_map import COLOURS
from inception_lab.report.plots.quantity_axis import axis_of
from inception_lab.report.plots.style import plot_style
from inception_lab.report.plots.sweep_figures import figures_of
from inception_lab.report.sizes import PAGE, SIZES, SLIDE

TWO = {"macs": "min", "receptive_field": "max"}
THREE = TWO | {"train_peak_bytes": "min"}
TABLE = made_variants(300)


def figure_of(table=TABLE, objectives=TWO, size=PAGE, budgets=BUDGETS, references=REFERENCES):
    with plot_style():
        return FRONT_PLOT.draw(figures_of(table, objectives, budgets, references), size)


def panel_of(figure):
    (panel,) = [
        axes for axes in figure.axes if axes.get_lines() or any(c.get_gid() for c in axes.collections)
    ]
    return panel


def points_of(figure, gid):
    (points,) = [c for c in panel_of(figure).collections if c.get_gid() == gid]
    return points


def places(rows, objectives=TWO):
    return sorted(map(tuple, rows[list(objectives)[:2]].to_numpy().tolist()))


def drawn(figure, gid):
    return sorted(map(tuple, points_of(figure, gid).get_offsets().tolist()))


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("objectives", [TWO, THREE], ids=["two", "three"])
def test_every_complete_variant_is_drawn_and_the_front_in_front(objectives):
    figure, complete = figure_of(objectives=objectives), TABLE[TABLE["status"] == "complete"]
    assert drawn(figure, "within") == places(complete[complete["within_budgets"]])
    assert drawn(figure, "outside") == places(complete[~complete["within_budgets"]])
    assert drawn(figure, "front") == places(il.pareto_front(TABLE, objectives))
    assert points_of(figure, "front").get_zorder() > points_of(figure, "within").get_zorder()
    assert (
        f"298 variants, {complete['within_budgets'].sum()} within the budgets, 2 without complete figures"
        in (" ".join(texts(figure)))
    )


@pytest.mark.parametrize("objectives", [TWO, {"params": "min", "peak_bytes": "min"}, THREE])
def test_the_line_steps_through_the_front_of_the_two_axes(objectives):
    (line,) = [line for line in panel_of(figure_of(objectives=objectives)).lines if line.get_gid() == "line"]
    corners = list(zip(line.get_xdata(), line.get_ydata(), strict=True))
    two = dict(list(objectives.items())[:2])
    front = il.pareto_front(TABLE, two)
    assert set(places(front, two)) <= set(corners)
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(corners))
    # no variant within the budgets lies beyond a corner
    within = TABLE[TABLE["within_budgets"] & TABLE["status"].eq("complete")]
    signs = [1 if way == "min" else -1 for way in two.values()]
    for corner in corners:
        worse = [signs[i] * within[name] < signs[i] * corner[i] for i, name in enumerate(two)]
        assert not (worse[0] & worse[1]).any()


def test_a_third_objective_is_the_colour():
    figure = figure_of(objectives=THREE)
    within = TABLE[TABLE["status"].eq("complete") & TABLE["within_budgets"]]
    peaks = within["train_peak_bytes"].to_numpy()
    shares = (peaks - peaks.min()) / (peaks.max() - peaks.min())
    if peaks.max() >= 8 * peaks.min():
        shares = np.log(peaks / peaks.min()) / np.log(peaks.max() / peaks.min())
    colours = [to_hex(colour) for colour in points_of(figure, "within").get_facecolors()]
    assert colours == [to_hex(COLOURS(share)) for share in shares]
    assert any("Training peak" in text and "lower is better" in text for text in texts(figure))
    assert "line: the front of the two axes alone" in " ".join(texts(figure))


def test_axes_are_logarithmic_where_figures_span_a_decade_and_say_which_way_is_better():
    figure = figure_of()
    assert panel_of(figure).get_xscale() == "log"
    assert panel_of(figure).get_yscale() == "linear"
    assert {"MACs (log), lower is better", "Receptive field, higher is better"} <= set(texts(figure))
    narrow = figure_of(TABLE[TABLE["macs"].between(1e9, 2e9)], references=None)
    assert panel_of(narrow).get_xscale() == "linear"
    assert "MACs, lower is better" in texts(narrow)


def test_bytes_have_powers_of_two():
    figure = figure_of(objectives={"train_peak_bytes": "min", "receptive_field": "max"})
    shown = set(texts(figure))
    assert {"64 MiB", "128 MiB", "256 MiB"} <= shown
    ticks = [tick for tick in panel_of(figure).get_xticks() if tick == 128 * 2**20]
    assert len(ticks) == 1


def test_budgets_are_lines_with_the_forbidden_side_shaded():
    budgets = {"macs": (None, 1.2e9), "receptive_field": (250, 600), "params": (None, 5e6)}
    figure = figure_of(budgets=budgets)
    panel = panel_of(figure)
    uprights = {line.get_xdata()[0] for line in panel.lines if line.get_xdata()[0] == line.get_xdata()[1]}
    levels = [line.get_ydata()[0] for line in panel.lines if list(line.get_xdata()) == [0, 1]]
    assert 1.2e9 in uprights
    assert levels == [250, 600]
    (left, right), (low, high) = panel.get_xlim(), panel.get_ylim()
    shades = [patch.get_extents().transformed(panel.transData.inverted()) for patch in panel.patches
              if to_hex(patch.get_facecolor()) == "#aa3377"]  # fmt: skip
    ends = [(box.x0, box.x1) for box in shades if box.x0 > left * 1.001]
    assert ends == [(pytest.approx(1.2e9), pytest.approx(right))]
    assert sorted((box.y0, box.y1) for box in shades if box.x0 <= left * 1.001) == [
        (pytest.approx(low), pytest.approx(250)),
        (pytest.approx(600), pytest.approx(high)),
    ]
    shown = texts(figure)
    assert {"MACs ≤ 1.2 G", "Receptive field ≥ 250", "Receptive field ≤ 600"} <= set(shown)
    assert any(text.startswith("budgets: ") and "Parameters ≤ 5 M" in text for text in shown)
    check_layout(figure)


def test_no_label_of_a_budget_covers_a_reference_net_or_the_front():
    table = pd.DataFrame({"macs": [1e9, 2e9, 4e9], "receptive_field": [100, 300, 500]})
    nets = pd.DataFrame({"model": ["net"], "macs": [2.2e9], "receptive_field": [500]})
    figure = figure_of(table, TWO, SLIDE, {"macs": (None, 2e9), "receptive_field": (500, None)}, nets)
    figure.canvas.draw()
    words = [
        text for text in panel_of(figure).texts if text.get_text() in ("MACs ≤ 2 G", "Receptive field ≥ 500")
    ]
    labels = [text.get_window_extent() for text in words]
    assert len(labels) == 2
    for gid in ("front", "references"):
        for at in panel_of(figure).transData.transform(points_of(figure, gid).get_offsets()):
            assert not any(box.contains(*at) for box in labels)


def test_a_budget_far_from_all_figures_is_said_and_not_drawn():
    figure = figure_of(budgets={"macs": (None, 1e15)})
    assert panel_of(figure).get_xlim()[1] < 1e12
    assert "MACs ≤ 1 P" not in texts(figure)
    assert "budgets: MACs ≤ 1 P" in texts(figure)


def test_reference_nets_stand_with_their_names_where_they_have_figures():
    figure = figure_of()
    expected = REFERENCES.dropna()
    assert drawn(figure, "references") == places(expected)
    assert set(expected["model"]) <= set(texts(figure))
    assert "unmeasured" not in texts(figure)


def test_the_caption_names_the_nets_that_the_front_beats():
    caption = FRONT_PLOT.caption(figures_of(TABLE, TWO, BUDGETS, REFERENCES))
    front = il.pareto_front(TABLE, TWO)
    beaten = [
        net.model
        for net in REFERENCES.dropna().itertuples()
        if ((front["macs"] <= net.macs) & (front["receptive_field"] >= net.receptive_field)
            & ((front["macs"] < net.macs) | (front["receptive_field"] > net.receptive_field))).any()
    ]  # fmt: skip
    assert beaten == ["alexnet", "nin"]
    assert "the front dominates alexnet and nin;" in caption
    assert "2 without complete figures are left out" in caption
    assert title_of(figure_of()) not in caption


def test_the_title_is_the_range_of_the_front():
    table = pd.DataFrame({"macs": [1e9, 2e9, 3e9], "receptive_field": [100, 300, 200]})
    figure = figure_of(table, budgets=None, references=None)
    assert title_of(figure) == "Front of 2 variants: MACs 1 G to 2 G, receptive field 100 to 300"
    one = figure_of(table.head(1), budgets=None, references=None)
    assert title_of(one) == "Front of one variant: MACs 1 G, receptive field 100"
    check_layout(one)
    none = figure_of(table.assign(within_budgets=False), budgets=None, references=None)
    assert title_of(none) == "No variant keeps the budgets"
    check_layout(none)
    assert FRONT_PLOT.caption(figures_of(table, TWO)).startswith("No variant is at least as good in MACs and")


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize(
    "objectives",
    [
        TWO,
        THREE,
        {"train_peak_bytes": "min", "params": "min"},
        {"weighted": "max", "macs": "min", "params": "min"},
    ],
    ids=["two", "three", "bytes", "own metric"],
)
@pytest.mark.parametrize("count", [3, 300, MOST_VECTORS + 500])
def test_every_size_has_room_for_every_text(objectives, size, count):
    table = made_variants(count).assign(weighted=np.linspace(-1e-3, 1e-3, count))
    references = REFERENCES.assign(weighted=0.0, model="reference_" + REFERENCES["model"])
    check_layout(figure_of(table, objectives, size, BUDGETS | {"receptive_field": (250, 600)}, references))


def test_thousands_of_points_are_a_small_svg_with_its_words_as_text(tmp_path):
    sizes = {}
    for count in (MOST_VECTORS, 20_000):
        path = il.plot_pareto(made_variants(count), THREE, tmp_path / f"{count}.svg", references=REFERENCES)
        sizes[count] = path.stat().st_size
    assert sizes[20_000] < 600_000
    text = (tmp_path / "20000.svg").read_text()
    # a picture of each cloud beside that of the scale of colours
    assert text.count("<image ") > (tmp_path / f"{MOST_VECTORS}.svg").read_text().count("<image ")
    assert "googlenet" in text


def test_the_same_bytes_every_time(tmp_path):
    one, other = (il.plot_pareto(TABLE, THREE, tmp_path / name) for name in ("one.svg", "other.svg"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(("name", "start"), [("a.svg", b"<?xml"), ("a.PNG", b"\x89PNG"), ("a.pdf", b"%PDF")])
def test_files(tmp_path, name, start):
    path = il.plot_pareto(TABLE, TWO, tmp_path / name, budgets=BUDGETS, references=REFERENCES, size="slide")
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"objectives": {"macs": "min"}}, "1 objectives; give 2 to 3"),
        ({"objectives": {"macs": "min", "depht": "max"}}, "no column 'depht'; did you mean depth?"),
        ({"table": TABLE.assign(status="failed")}, "no variant is complete with a figure for macs and"),
        ({"table": TABLE.head(0)}, "a table without rows"),
        ({"budgets": {"macs": 5}}, "the budget of macs: 5 is not a least and a most; write (None, 5e6)"),
        ({"budgets": {"macs": ("5 M", None)}}, "the budget of macs: ('5 M', None) is not a least"),
        ({"budgets": [5]}, "a list is not budgets by metric"),
        ({"references": REFERENCES.drop(columns="model")}, "no column 'model'"),
        ({"references": REFERENCES.drop(columns="macs")}, "no column 'macs'"),
        ({"size": "a4"}, "no size 'a4'"),
        ({"path": "front.gif"}, "cannot draw into 'front.gif'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(tmp_path, monkeypatch, arguments, line):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InceptionLabError) as refusal:
        il.plot_pareto(**{"table": TABLE, "objectives": TWO, "path": "front.svg", **arguments})
    assert str(refusal.value).startswith(line)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "figures", [[5.0], [5.0, 5.0], [0.0, 0.0], [-3.0, 4.0], [1e-9, 1.0], [999_999, 1_000_001]]
)
@pytest.mark.parametrize("name", ["macs", "peak_bytes", "step_ms", "loss"])
def test_an_axis_of_any_figures_has_two_ticks_or_more_of_different_texts(figures, name):
    axis = axis_of(METRICS[name], "min", figures, edge=0.05)
    assert axis.low < min(figures)
    assert max(figures) < axis.high
    ticks = axis.ticks(4)
    assert len(ticks) > 1
    assert all(axis.low <= tick <= axis.high for tick in ticks)
    assert len(set(ticks.values())) == len(ticks)
