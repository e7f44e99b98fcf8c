from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from support.plot_layout import check_layout, title_of
from support.report_nets import inception, layer, net
from support.weird_nets import WEIRD

from inception_lab.metrics import format_quantity
from inception_lab.record import Record
from inception_lab.report.branch_colours import COLOURS
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots import COMPARISON_PLOTS, MODEL_PLOTS
from inception_lab.report.plots.comparison import BEST
from inception_lab.report.plots.fitting import distinct, shorten, text_width
from inception_lab.report.plots.style import plot_style
from inception_lab.report.plots.wording import TIMES
from inception_lab.report.sizes import PAGE, PAPER, SIZES, SLIDE, PlotSize

FITTED = ("cost_by_module", "reduction_saving", "saving_by_level")
"""Plots that are laid out for every size."""
EN_DASH = "\N{EN DASH}"


def _figure(name: str, subject: ReportContents, size: PlotSize = PAGE) -> Figure:
    with plot_style():
        return MODEL_PLOTS[name].draw(subject, size)


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def _records(number: int) -> list[Record]:
    return [net(inception(n % 5 + 1), f"model_{'with_a_name_' * (n % 4)}{n}").record for n in range(number)]


@pytest.mark.parametrize(("panel", "metric"), [(0, "macs"), (1, "params")])
def test_every_stack_adds_up_to_its_module(contents: ReportContents, panel: int, metric: str) -> None:
    assert _stacks(contents, panel) == dict(
        zip(contents.modules["module"], contents.modules[metric].astype(float), strict=True)
    )


def _stacks(contents: ReportContents, panel: int, size: PlotSize = PAGE) -> dict[str, float]:
    """The length of the whole bar in each row of the plot of modules."""
    axes = _figure("cost_by_module", contents, size).axes
    rows = [label.get_text() for label in axes[0].get_yticklabels()]
    widths = [0.0] * len(rows)
    for bar in axes[panel].patches:
        assert isinstance(bar, Rectangle)
        widths[round(bar.get_y() + bar.get_height() / 2)] += bar.get_width()
    return dict(zip(rows, widths, strict=True))


def test_stacks_begin_where_the_last_part_ends(contents: ReportContents) -> None:
    axes = _figure("cost_by_module", contents).axes[0]
    bars = [b for b in axes.patches if isinstance(b, Rectangle) and round(b.get_y() + 0.35) == 1]
    ends = [bar.get_x() + bar.get_width() for bar in bars]
    assert [bar.get_x() for bar in bars[1:]] == ends[:-1]


BLOCKS = [layer(f"block{n}", branch, 64, 9, naive=640) for n in range(1, 21) for branch in "ab"]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("subject", ["blocks", "many branches", "500 layers", "long names"])
def test_rows_add_up_to_the_net(size: PlotSize, subject: str) -> None:
    contents = net([layer("stem", macs=7, params=5), *BLOCKS]) if subject == "blocks" else WEIRD[subject]()
    totals = contents.record.totals
    assert sum(_stacks(contents, 0, size).values()) == totals["macs"]
    assert sum(_stacks(contents, 1, size).values()) == totals["params"]


def test_equal_blocks_are_one_row() -> None:
    contents = net([layer("stem", macs=7, params=5), *BLOCKS, layer("block21", macs=1280)])
    assert _stacks(contents, 0) == {"stem": 7, f"block1{EN_DASH}20 {TIMES}20": 20 * 128, "block21": 1280}


def test_branches_of_a_residual_block_are_in_its_row() -> None:
    layers = [layer(f"b{n}{part}", branch, 64 * n, 9) for n in (1, 2)
              for part, branch in (("", ""), (".branches", "left"), (".branches", "right"))]  # fmt: skip
    assert _stacks(net(layers), 0) == {"b1": 3 * 64, "b2": 3 * 128}


def test_blocks_within_a_stage_keep_rows_of_their_own() -> None:
    layers = [layer("stage", macs=1)] + [
        layer(f"stage.{n}", branch, 64 * n, 9) for n in (1, 2) for branch in "ab"
    ]
    assert _stacks(net(layers), 0) == {"stage": 1, "stage.1": 128, "stage.2": 256}


def test_branches_are_named_by_their_kernels() -> None:
    contents = net([layer("mix", b, 64, 9, naive=640) for b in ("one", "two", "three")])
    kinds = {("mix", "one"): "1x1", ("mix", "two"): "pool"}
    for name in ("cost_by_module", "reduction_saving"):
        texts = _texts(_figure(name, replace(contents, branch_kinds=kinds)))
        assert {"1x1", "pool", "three"} <= set(texts)
        assert not {"one", "two"} & set(texts)


def test_light_branches_share_a_colour() -> None:
    contents = net([layer("mix", f"b{n}", 2**n, 9, naive=2 ** (n + 1)) for n in range(len(COLOURS) + 2)])
    for name in ("cost_by_module", "reduction_saving"):
        texts = _texts(_figure(name, contents))
        assert {"other branches", f"b{len(COLOURS) + 1}", "b3"} <= set(texts)
        assert "b2" not in texts


def test_layers_along_depth_are_the_records(contents: ReportContents) -> None:
    sums, macs, params, _ = _figure("cost_along_depth", contents).axes
    assert _heights(macs) == [row["macs"] for row in contents.record.layers]
    assert _heights(params) == [row["params"] for row in contents.record.layers]
    assert {tuple(line.get_ydata())[-1] for line in sums.lines if len(line.get_ydata()) > 2} == {1.0}


def test_curves_that_run_together_are_both_seen() -> None:
    (sums, *_) = _figure(
        "cost_along_depth", net([layer(f"m{n}", macs=640, params=10) for n in range(9)])
    ).axes
    macs, params = [line for line in sums.lines if len(line.get_ydata()) > 2]
    assert list(macs.get_ydata()) == list(params.get_ydata())
    assert macs.get_linewidth() > 1.5 * params.get_linewidth()
    assert macs.get_zorder() <= params.get_zorder()
    assert (macs.is_dashed(), params.is_dashed()) == (False, True)
    marks = {line.get_marker(): line.get_markersize() for line in sums.lines if len(line.get_ydata()) == 1}
    assert marks["o"] > marks["D"]
    assert {"MACs", "Parameters"} <= {text.get_text() for text in sums.texts}


def _heights(axes: Axes) -> list[float]:
    segments = [c.get_segments() for c in axes.collections if isinstance(c, LineCollection)]
    return [end[1] for _, end in max(segments, key=len)]


def test_saving_says_the_ratio_of_each_module_and_branch(contents: ReportContents) -> None:
    figure = _figure("reduction_saving", contents)
    modules = contents.saving[contents.saving["branch"] == "sum"][:-2]
    (axes,) = figure.axes
    bars = [bar.get_x() + bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]
    assert bars == pytest.approx(list(modules["macs_ratio"]))
    dots = {float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() != "None"}  # type: ignore[index]
    ratios = contents.saving[contents.saving["branch"] != "sum"]["macs_ratio"]
    assert dots == {ratio for ratio in ratios if ratio > 0}
    assert axes.get_xscale() == "log"
    texts = _texts(figure)
    assert {f"{ratio:.2f}{TIMES}" for ratio in modules["macs_ratio"]} <= set(texts)
    assert any("logarithmic" in text for text in texts)


def test_a_branch_without_a_ratio_is_said(contents: ReportContents) -> None:
    branches = contents.saving[contents.saving["branch"] != "sum"]
    added = branches["reduced_macs"][branches["naive_macs"] == 0].sum()
    assert added
    texts = _texts(_figure("reduction_saving", contents))
    assert any("no dot for" in text and format_quantity(added) in text for text in texts)


def test_the_longest_bar_saves_most(contents: ReportContents) -> None:
    for axes in _figure("saving_by_level", contents).axes:
        widths = [bar.get_width() for bar in axes.patches if isinstance(bar, Rectangle)]
        assert widths[0] == max(widths)
    net_ratio = contents.saving.iloc[-1]["macs_ratio"]
    assert f"{net_ratio:.2f}{TIMES}" in _texts(_figure("saving_by_level", contents))


def test_small_modules_are_summed_up_in_the_saving() -> None:
    contents = net([layer(f"m{n}", b, 64 + n, 9, naive=640) for n in range(45) for b in "ab"])
    for size in SIZES.values():
        figure = _figure("reduction_saving", contents, size)
        assert len({text for text in _texts(figure) if text.endswith("others")}) == 1


@pytest.mark.parametrize("name", ["reduction_saving", "saving_by_level"])
@pytest.mark.parametrize(
    ("naive", "words"),
    [(48, f"Reductions cost MACs: 1.33{TIMES} as many in the whole net"), (64, "as they are")],
)
def test_the_title_of_a_net_whose_reductions_save_nothing(name: str, naive: int, words: str) -> None:
    # one branch saves and the other one loses more, or as much
    contents = net([layer("m", "a", 32, 9, naive=40), layer("m", "b", 32, 9, naive=naive - 40)])
    title = title_of(_figure(name, contents))
    assert title.endswith(words)
    assert "fewer" not in title


def test_saving_is_left_out_where_reductions_change_nothing() -> None:
    same = net([layer("m", branch, 640, 9) for branch in "ab"])
    assert len(same.saving) > 0
    assert not MODEL_PLOTS["reduction_saving"].has_content(same)


def test_comparison_shows_every_total() -> None:
    records = _records(6)
    with plot_style():
        figure = COMPARISON_PLOTS["comparison"].draw(records, PAGE)
    for axes, metric in zip(figure.axes, ("macs", "params", "other_flops"), strict=False):
        assert sorted(bar.get_width() for bar in axes.patches) == sorted(r.totals[metric] for r in records)
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(
    ("facts", "is_starred"), [({"reconstructed": True}, True), ({"note": "ran for real"}, False)]
)
def test_a_star_is_a_reconstruction(facts: dict[str, object], is_starred: bool) -> None:
    first, *others = _records(3)
    with plot_style():
        texts = _texts(COMPARISON_PLOTS["comparison"].draw([first.with_context(**facts), *others], PAGE))
    assert any("*: a reconstruction" in text for text in texts) == is_starred
    assert any(text.endswith(" *") for text in texts) == is_starred


def test_training_is_compared_where_all_models_train() -> None:
    records = [replace(r, totals={**r.totals, "training_macs": 3 * r.totals["macs"]}) for r in _records(3)]
    with plot_style():
        assert "Training MACs" in _texts(COMPARISON_PLOTS["comparison"].draw(records, PAGE))
        assert "Training MACs" not in _texts(
            COMPARISON_PLOTS["comparison"].draw([*records, *_records(1)], PAGE)
        )


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("name", FITTED)
def test_any_net_can_be_drawn_in_any_size(weird: ReportContents, name: str, size: PlotSize) -> None:
    if MODEL_PLOTS[name].has_content(weird):
        figure = _figure(name, weird, size)
        with plot_style():
            check_layout(figure)
        width, height = figure.get_size_inches()
        assert width == size.width
        assert height == size.height or not size.is_slide


def test_any_net_can_be_drawn(weird: ReportContents) -> None:
    for plot in MODEL_PLOTS.values():
        if plot.has_content(weird):
            with plot_style():
                check_layout(plot.draw(weird, PAGE))
            assert plot.caption(weird).endswith(".")


@pytest.mark.parametrize("name", MODEL_PLOTS)
def test_captions_do_not_repeat_titles(contents: ReportContents, name: str) -> None:
    title, caption = title_of(_figure(name, contents)), MODEL_PLOTS[name].caption(contents)
    assert title
    assert title.casefold() not in caption.casefold()


@pytest.mark.parametrize("name", FITTED)
def test_captions_do_not_repeat_a_part_of_their_title(contents: ReportContents, name: str) -> None:
    caption = MODEL_PLOTS[name].caption(contents).casefold()
    words = title_of(_figure(name, contents)).casefold().split()
    runs = [" ".join(words[start : start + 5]) for start in range(len(words) - 4)]
    assert runs
    assert not any(run in caption for run in runs)


ALONG_DEPTH = ("cost_along_depth", "field_along_depth", "field_spectrum", "memory_timeline")


@pytest.mark.parametrize("size", [PAPER, SLIDE], ids=["paper", "slide"])
def test_any_net_fits_a_column_and_a_slide(weird: ReportContents, size: PlotSize) -> None:
    for name in ALONG_DEPTH:
        if MODEL_PLOTS[name].has_content(weird):
            check_layout(_figure(name, weird, size))


def test_the_lowest_of_all_models_is_dark_where_some_are_left_out() -> None:
    records = [net([layer("m", macs=64 * n, params=100 - n)], f"net{n}").record for n in range(1, 31)]
    with plot_style():
        macs, params, *_ = COMPARISON_PLOTS["comparison"].draw(records, SLIDE).axes
    dark = [[bar.get_width() for bar in axes.patches if to_hex(bar.get_facecolor()) == BEST]
            for axes in (macs, params)]  # fmt: skip
    assert dark == [[], [70]]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("number", [1, 6, 25])
def test_any_number_of_models_can_be_drawn(number: int, size: PlotSize) -> None:
    with plot_style():
        figure = COMPARISON_PLOTS["comparison"].draw(_records(number), size)
    check_layout(figure)
    notes = [text for text in _texts(figure) if text.startswith("left out: ")]
    models, metrics = len(figure.axes[0].patches), len(figure.axes)
    assert bool(notes) == (models < number or metrics < 4)
    assert models == number or f"{number - models} cheaper model" in notes[0]


def test_partial_results_are_said_in_every_plot() -> None:
    partial = WEIRD["partial"]()
    for plot in MODEL_PLOTS.values():
        if plot.has_content(partial):
            with plot_style():
                assert any("PARTIAL" in text for text in _texts(plot.draw(partial, PAGE)))
    with plot_style():
        assert any(
            "PARTIAL" in text for text in _texts(COMPARISON_PLOTS["comparison"].draw([partial.record], PAGE))
        )


def test_drawing_leaves_the_users_settings_alone(contents: ReportContents) -> None:
    before = dict(matplotlib.rcParams)
    MODEL_PLOTS["cost_by_module"].images(contents)
    assert dict(matplotlib.rcParams) == before


def test_the_users_settings_change_nothing(contents: ReportContents) -> None:
    plain = MODEL_PLOTS["cost_by_module"].images(contents)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.bbox": "tight"}):
        assert MODEL_PLOTS["cost_by_module"].images(contents) == plain


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from support.report_nets import tiny;"
        "from inception_lab.report.write import write_comparison, write_contents;"
        "contents = tiny(); write_contents(contents, Path(sys.argv[2]) / 'one');"
        "write_comparison([contents.record, tiny(2, 'other').record], Path(sys.argv[2]) / 'two')"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(Path(__file__).parents[1]), str(tmp_path / run)])
        for run in ("a", "b")
    ]
    assert [process.wait() for process in processes] == [0, 0]
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / run).rglob("*.*")} for run in ("a", "b"))
    assert len(first) > 10
    assert first == second


@pytest.mark.parametrize("fit", [shorten, lambda name, width: distinct([name, name], width)[0]])
def test_names_are_cut_to_their_room(fit: Callable[[str, float], str]) -> None:
    with plot_style():
        for name in ("short", "long" * 40, "W" * 100, "🙂" * 40):
            assert text_width(fit(name, 1.5)) <= 1.5


def test_cut_names_are_still_told_apart() -> None:
    names: Sequence[str] = [f"{'the_same_beginning_' * 5}{n}{'_the_same_end' * 5}" for n in range(9)]
    with plot_style():
        assert len(set(distinct(names, 1.5))) == len(names)
        assert distinct(["a", *names], 1.5)[0] == "a"
