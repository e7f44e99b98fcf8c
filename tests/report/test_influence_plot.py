"""The map of influence: its cells, its words, its layout."""

import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from support.made_variants import METRICS, PARAMETERS, made_variants
from support.plot_layout import check_layout, title_of

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.report.plots import INFLUENCE_PLOT
from inception_lab.report.plots.influence import COLOURS
from inception_lab.report.plots.influence_cells import influence_of
from inception_lab.report.plots.style import plot_style
from inception_lab.report.sizes import PAGE, PAPER, SIZES, SLIDE

NAN, EN_DASH = float("nan"), "\N{EN DASH}"


def table_of(*rows):
    """Rows of parameter, metric, share, low and high."""
    return pd.DataFrame(rows, columns=["parameter", "metric", "share", "low", "high"])


SMALL = table_of(
    ("kind", "macs", 20.0, 1e9, 2e9), ("width", "macs", 70.0, 5e8, 4e9), ("(rest)", "macs", 10.0, NAN, NAN),
    ("kind", "peak_bytes", NAN, NAN, NAN), ("width", "peak_bytes", 0.3, 2**20, 2**21),
    ("(rest)", "peak_bytes", NAN, NAN, NAN),
)  # fmt: skip


def figure_of(table, size=PAGE):
    with plot_style():
        return INFLUENCE_PLOT.draw(influence_of(table), size)


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def cells(figure):
    """Text and colour of the cells by column and row."""
    (axes,) = figure.axes
    grounds = {
        (round(p.get_x()), round(p.get_y())): to_hex(p.get_facecolor())
        for p in axes.patches
        if p.get_gid() == "cell"
    }
    words = {}
    for text in axes.texts:
        x, y = text.get_position()
        words.setdefault((int(x), int(y)), []).append(text.get_text())
    return words, grounds


def test_cells_are_shares_with_means_and_the_darker_the_larger():
    words, grounds = cells(figure_of(SMALL))
    assert words == {
        (0, 0): ["70 %", "500 M → 4.00 G"], (0, 1): ["20 %", "1.00 G → 2.00 G"], (0, 2): ["10 %"],
        (1, 0): ["<1 %", "1.00 MiB → 2.00 MiB"], (1, 1): [EN_DASH], (1, 2): [EN_DASH],
    }  # fmt: skip
    assert grounds[0, 0] == to_hex(COLOURS(0.7))
    assert grounds[1, 1] == "#ffffff"
    lightness = [sum(COLOURS(share / 10)[:3]) for share in range(11)]
    assert lightness == sorted(lightness, reverse=True)


def test_words():
    figure = figure_of(SMALL)
    assert title_of(figure) == "width alone explains 70 % of the variance of MACs"
    assert INFLUENCE_PLOT.caption(influence_of(SMALL)) == (
        "The parameter that alone explains most of the variance of each metric: MACs width (70 %), "
        "peak memory width (under 1 %)."
    )
    bold = [t.get_text() for t in figure.axes[0].texts if t.get_fontweight() == "bold"]
    assert bold == ["70 %", "<1 %"]
    assert "combinations, rest: what no parameter explains alone" in " ".join(texts(figure))


def test_a_table_without_influence_says_so():
    table = table_of(("width", "macs", 0.0, 1.0, 1.0), ("(rest)", "macs", 0.0, NAN, NAN))
    assert title_of(figure_of(table)) == "No parameter alone moves a metric"
    assert INFLUENCE_PLOT.caption(influence_of(table)).endswith("MACs none.")
    check_layout(figure_of(table))


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_the_influence_of_a_sweep_has_room(size):
    check_layout(figure_of(il.parameter_influence(made_variants(400), PARAMETERS, METRICS), size))


def many(parameters, metrics):
    return table_of(
        *((f"a_parameter_with_a_long_name_{p}", f"metric_{m}", 100.0 - p, 1e9, 2e9)
          for m in range(metrics) for p in range(parameters))
    )  # fmt: skip


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_what_has_no_room_is_left_out_and_counted(size):
    figure = figure_of(many(40, 30), size)
    check_layout(figure)
    rows = len({y for _, y in cells(figure)[1]})
    columns = len({x for x, _ in cells(figure)[1]})
    note = " ".join(texts(figure))
    assert f"{30 - columns} further metrics left out" in note
    assert (f"{40 - rows} parameters of less influence left out" in note) == (size is SLIDE)
    assert (0, 0) in cells(figure)[1]


def test_narrow_columns_have_names_that_are_turned():
    influence = il.parameter_influence(made_variants(400), PARAMETERS, METRICS)
    turned = {t.get_text() for t in figure_of(influence, PAPER).texts if t.get_rotation() == 90}
    assert turned == {"Parameters", "MACs", "Receptive field", "Peak memory", "Training peak"}
    assert {t.get_rotation() for t in figure_of(influence, PAGE).texts} == {0}


@pytest.mark.parametrize(("name", "start"), [("a.svg", b"<?xml"), ("a.png", b"\x89PNG"), ("a.pdf", b"%PDF")])
def test_files(tmp_path, name, start):
    assert il.plot_influence(SMALL, tmp_path / name, "paper").read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("influence", "line"),
    [
        (SMALL.head(0), "a table without rows"),
        (SMALL.drop(columns="share"), "no column 'share'"),
        (
            SMALL[SMALL["parameter"] == "(rest)"],
            "no parameter to draw; pass what il.parameter_influence returns",
        ),
        ([1], "a list is not a table"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(tmp_path, influence, line):
    with pytest.raises(InceptionLabError) as refusal:
        il.plot_influence(influence, tmp_path / "map.svg")
    assert str(refusal.value).startswith(line)
    assert not list(tmp_path.iterdir())
