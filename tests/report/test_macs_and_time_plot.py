"""The plot of MACs beside time: its bars, its words, its layout."""

import pandas as pd
import pytest
from matplotlib.text import Text
from support.plot_layout import check_layout, title_of

from inception_lab.errors import InceptionLabError
from inception_lab.report.plots import MACS_AND_TIME_PLOT, macs_and_time_plot
from inception_lab.report.plots.macs_and_time import MACS, MOST_ROWS, TIME, MacsAndTime, pairs_of
from inception_lab.report.plots.style import plot_style
from inception_lab.report.plots.wording import TIMES
from inception_lab.report.sizes import PAGE, SIZES

CONTEXT = {
    "model": "net", "input_shapes": [[8, 3, 32, 32]], "mode": "eval", "dtype": "float32", "machine": "Made",
    "threads": 1,
}  # fmt: skip


def table_of(rows):
    """Of names, MACs and milliseconds."""
    table = pd.DataFrame(rows, columns=["module", "macs", "self_ms"])
    table["macs_share"] = 100 * table["macs"] / (table["macs"].sum() or 1)
    table["share"] = 100 * table["self_ms"] / (table["self_ms"].sum() or 1)
    return table


def subject_of(*rows, note=""):
    return MacsAndTime(CONTEXT, table_of(rows), note)


NET = (("stem", 60, 30), ("pool", 0, 40), ("head", 40, 10), ("act", 0, 20))


def figure_of(subject, size=PAGE):
    with plot_style():
        return MACS_AND_TIME_PLOT.draw(subject, size)


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_bars_are_the_shares():
    figure = figure_of(subject_of(*NET))
    (axes,) = figure.axes
    assert [round(bar.get_width(), 6) for bar in axes.patches] == [60, 30, 0, 40, 40, 10, 0, 20]
    assert {f"0.500{TIMES}", f"0.250{TIMES}"} <= set(texts(figure))
    assert texts(figure).count("no MACs") == 2
    check_layout(figure)


def test_the_title_says_where_the_time_goes():
    assert "60 % of the time goes to modules without MACs" in texts(figure_of(subject_of(*NET)))
    figure = figure_of(subject_of(("stem", 60, 20), ("head", 40, 80)))
    assert "stem: 60 % of the MACs, 20 % of the time" in texts(figure)


def test_the_caption_names_the_ends():
    assert MACS_AND_TIME_PLOT.caption(subject_of(*NET)) == (
        f"A module's share of the time is from 0.250{TIMES} (head) to 0.500{TIMES} (stem) its share of the "
        "MACs; modules without MACs take 60 % of the time."
    )


def test_the_caption_does_not_repeat_the_title():
    for subject in (subject_of(*NET), subject_of(("stem", 60, 20), ("head", 40, 80))):
        assert title_of(figure_of(subject)) not in MACS_AND_TIME_PLOT.caption(subject)


def test_noise_is_said():
    (line,) = [text for text in texts(figure_of(subject_of(*NET, note="too noisy"))) if "too noisy" in text]
    assert line.endswith("Made, 1 thread, too noisy")


def test_small_modules_are_summed_up():
    rows = [("stem", 1000, 1000), *((f"small{i}", 1, 1) for i in range(4))]
    pairs = pairs_of(table_of(rows))
    assert [pair.name for pair in pairs] == ["stem", "4 others"]
    assert sum(pair.macs for pair in pairs) == pytest.approx(100)
    assert sum(pair.time for pair in pairs) == pytest.approx(100)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_many_modules_have_room(size):
    rows = [(f"inception_module_with_a_long_name_{i}", i % 3, i + 1) for i in range(60)]
    assert len(pairs_of(table_of(rows))) == MOST_ROWS + 1
    figure = figure_of(subject_of(*rows), size)
    check_layout(figure)
    assert figure.get_figheight() == size.height or not size.is_slide
    (axes,) = figure.axes
    for bars in (axes.patches[::2], axes.patches[1::2]):
        assert sum(bar.get_width() for bar in bars) == pytest.approx(100)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_few_modules_have_room(size):
    check_layout(figure_of(subject_of(*NET), size))


def test_the_colours_differ_in_lightness():
    """By the luminance of sRGB as grey printers take it, from 0 to 255."""
    grey = [
        sum(w * int(c[i : i + 2], 16) for w, i in ((0.299, 1), (0.587, 3), (0.114, 5))) for c in (MACS, TIME)
    ]
    assert abs(grey[0] - grey[1]) > 80


def test_files_are_the_same_every_time():
    one, other = (macs_and_time_plot(subject_of(*NET), kinds=["svg", "png"]) for _ in range(2))
    assert one == other
    assert set(one) == {"svg", "png"}


@pytest.mark.parametrize("rows", [[("a", 0, 1)], [("a", 1, 0)]], ids=["no MACs", "no time"])
def test_there_is_nothing_to_see(rows):
    with pytest.raises(InceptionLabError, match="cannot be drawn"):
        macs_and_time_plot(subject_of(*rows))


@pytest.mark.filterwarnings("error")
def test_letters_that_the_font_does_not_have_are_boxes():
    images = macs_and_time_plot(subject_of(("stem", 60, 30), ("头🙂", 40, 10)), kinds=["svg", "png"])
    assert set(images) == {"png", "svg"}
