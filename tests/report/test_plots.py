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
from matplotlib.figure import Figure
from matplotlib.text import Text
from support.plot_layout import check_layout
from support.report_nets import inception, layer, net
from support.weird_nets import WEIRD

from inception_lab.record import Record
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots import COMPARISON_PLOTS, MODEL_PLOTS
from inception_lab.report.plots.fitting import distinct, shorten, text_width
from inception_lab.report.plots.style import plot_style
from inception_lab.report.plots.wording import TIMES
from inception_lab.report.sizes import PAGE, PlotSize


def _figure(name: str, subject: ReportContents, size: PlotSize = PAGE) -> Figure:
    with plot_style():
        return MODEL_PLOTS[name].draw(subject, size)


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def _records(number: int) -> list[Record]:
    return [net(inception(n % 5 + 1), f"model_{'with_a_name_' * (n % 4)}{n}").record for n in range(number)]


@pytest.mark.parametrize(("panel", "metric"), [(0, "macs"), (1, "params")])
def test_every_stack_adds_up_to_its_module(contents: ReportContents, panel: int, metric: str) -> None:
    axes = _figure("cost_by_module", contents).axes
    rows = [label.get_text() for label in axes[0].get_yticklabels()]
    widths = [0.0] * len(rows)
    for bar in axes[panel].patches:
        widths[round(bar.get_y() + bar.get_height() / 2)] += bar.get_width()
    assert dict(zip(rows, widths, strict=True)) == dict(
        zip(contents.modules["module"], contents.modules[metric].astype(float), strict=True)
    )
    assert sum(widths) == contents.record.totals[metric]


def test_stacks_begin_where_the_last_part_ends(contents: ReportContents) -> None:
    bars = [b for b in _figure("cost_by_module", contents).axes[0].patches if round(b.get_y() + 0.35) == 1]
    ends = [bar.get_x() + bar.get_width() for bar in bars]
    assert [bar.get_x() for bar in bars[1:]] == ends[:-1]


def test_layers_along_depth_are_the_records(contents: ReportContents) -> None:
    sums, macs, params = _figure("cost_along_depth", contents).axes
    assert _heights(macs) == [row["macs"] for row in contents.record.layers]
    assert _heights(params) == [row["params"] for row in contents.record.layers]
    assert {tuple(line.get_ydata())[-1] for line in sums.lines if len(line.get_ydata()) > 2} == {1.0}


def _heights(axes: Axes) -> list[float]:
    segments = [c.get_segments() for c in axes.collections if isinstance(c, LineCollection)]
    return [end[1] for _, end in max(segments, key=len)]


def test_saving_says_the_ratio_of_each_module_and_branch(contents: ReportContents) -> None:
    texts = _texts(_figure("reduction_saving", contents))
    assert {f"10.0{TIMES}", f"2.00{TIMES}", f"1{TIMES}", "+640"} <= set(texts)
    net_ratio = contents.saving.iloc[-1]["macs_ratio"]
    assert any(text.startswith(f"{net_ratio:.2f}{TIMES}   ") for text in texts)


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


def test_training_is_compared_where_all_models_train() -> None:
    records = [replace(r, totals={**r.totals, "training_macs": 3 * r.totals["macs"]}) for r in _records(3)]
    with plot_style():
        assert "Training MACs" in _texts(COMPARISON_PLOTS["comparison"].draw(records, PAGE))
        assert "Training MACs" not in _texts(
            COMPARISON_PLOTS["comparison"].draw([*records, *_records(1)], PAGE)
        )


def test_any_net_can_be_drawn(weird: ReportContents) -> None:
    for plot in MODEL_PLOTS.values():
        if plot.has_content(weird):
            with plot_style():
                check_layout(plot.draw(weird, PAGE))
            assert plot.caption(weird).endswith(".")


@pytest.mark.parametrize("number", [1, 6, 25])
def test_any_number_of_models_can_be_drawn(number: int) -> None:
    with plot_style():
        check_layout(COMPARISON_PLOTS["comparison"].draw(_records(number), PAGE))


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
