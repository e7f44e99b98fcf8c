"""The plot of MACs and latency of several models: its marks, its words, its layout."""

import pytest
from matplotlib.text import Text
from support.plot_layout import check_layout, title_of

from inception_lab.errors import InceptionLabError
from inception_lab.report.plots import LATENCY_PLOT, macs_and_latency_plot
from inception_lab.report.plots.macs_and_latency import MacsAndLatency, Ratios
from inception_lab.report.plots.style import plot_style
from inception_lab.report.plots.wording import TIMES
from inception_lab.report.sizes import PAGE, SIZES

CONTEXT = {
    "input_shapes": [[1, 3, 32, 32]],
    "mode": "eval",
    "dtype": "float32",
    "machine": "Made",
    "threads": 2,
}
MODELS = (Ratios("small", 0.5, 0.8, 0.7, 0.9), Ratios("deep", 8, 4, 3.9, 4.2), Ratios("wide", 2, 3, 2.9, 3.1))


def subject_of(*models):
    return MacsAndLatency(CONTEXT, "base", models)


def figure_of(subject, size=PAGE):
    with plot_style():
        return LATENCY_PLOT.draw(subject, size)


def test_marks_are_the_ratios_the_dearest_first():
    figure = figure_of(subject_of(*MODELS))
    (axes,) = figure.axes
    marks = {kind: [line.get_xdata()[0] for line in axes.lines if line.get_marker() == kind] for kind in "oD"}
    assert marks == {"o": [8, 2, 0.5], "D": [4, 3, 0.8]}
    intervals = [tuple(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 5]
    assert intervals == [(3.9, 4.2), (2.9, 3.1), (0.7, 0.9)]
    low, high = axes.get_xlim()
    assert low < 0.5
    assert high > 8
    check_layout(figure)


def test_words():
    texts = {text.get_text() for text in figure_of(subject_of(*MODELS)).findobj(Text)}
    assert f"deep: 8.00{TIMES} the MACs of base, 4.00{TIMES} the time" in texts
    assert any("Made, 2 threads" in text for text in texts)
    assert LATENCY_PLOT.caption(subject_of(*MODELS)) == (
        f"Beside base, small takes 0.500{TIMES} the MACs and 0.800{TIMES} the time; "
        f"deep takes 8.00{TIMES} the MACs and 4.00{TIMES} the time."
    )
    assert LATENCY_PLOT.caption(subject_of(MODELS[1])).count("deep") == 1


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_long_names_and_equal_ratios_have_room(size):
    models = [Ratios(f"inception_net_with_a_very_long_name_{i}", 1, 1, 1, 1) for i in range(12)]
    check_layout(figure_of(subject_of(*models), size))


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_few_models_have_room(size):
    check_layout(figure_of(subject_of(*MODELS), size))


def test_the_caption_does_not_repeat_the_title():
    assert title_of(figure_of(subject_of(*MODELS))) not in LATENCY_PLOT.caption(subject_of(*MODELS))


@pytest.mark.parametrize("models", [(), (Ratios("free", 0, 1, 1, 1),)], ids=["none", "no MACs"])
def test_there_is_nothing_to_see(models):
    with pytest.raises(InceptionLabError, match="cannot be drawn"):
        macs_and_latency_plot(subject_of(*models))
