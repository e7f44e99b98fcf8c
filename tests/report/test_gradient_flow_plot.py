"""The plot of gradient flow: its lines, its heads, its bars, its words, its layout."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from support.plot_layout import check_layout, title_of

from inception_lab.errors import InceptionLabError
from inception_lab.report.plots import GRADIENT_FLOW_PLOT, gradient_flow_plot
from inception_lab.report.plots.flow_models import FIGURES, FlowOfModel, FlowsPlot
from inception_lab.report.plots.flow_shares import TERMS
from inception_lab.report.plots.style import PALETTE, plot_style
from inception_lab.report.plots.wording import TIMES
from inception_lab.report.sizes import PAGE, SIZES

CONTEXT = {
    "input_shapes": [[4, 3, 32, 32]], "dtype": "float32", "machine": "Made", "seeds": 3, "batches": 2,
    "samples": "made samples of 10 classes",
}  # fmt: skip
NAN = float("nan")


def table_of(gradients, **columns):
    """Of gradients by module, with quartiles a tenth below and above."""
    values = np.array([71.0, *gradients.values()])
    spread = {"weight_gradient_low": 0.9 * values, "weight_gradient_high": 1.1 * values}
    table = pd.DataFrame({"module": ["(model)", *gradients], "type": "Conv2d", "weight_gradient": values})
    return table.assign(**spread, **columns)


def plain(name, gradients, **columns):
    return FlowOfModel(name, table_of(gradients, **columns), ("main",), {})


def with_heads(name="net", shares=((90, 10), (70, 30), (0, 100), (120, -20), (100, 0))):
    """A model with a head behind its second layer; the shares of main and head, module by module."""
    gradients = {"conv1": 1.0, "conv2": 2.0, "aux1": 5.0, "conv3": 8.0, "fc": 32.0}
    main, head = zip((80, 20), *shares, strict=True)
    columns = {
        "contribution_main": main, "contribution_aux1": head,
        "weight_gradient_main": [9, 1, 2, 0, 8, 32], "weight_gradient_aux1": [9, 1, 2, 5, 1, 0],
    }  # fmt: skip
    return FlowOfModel(name, table_of(gradients, **columns), ("main", "aux1"), {"aux1": "conv2"})


def subject_of(*models, figure="weight_gradient", **context):
    return FlowsPlot(CONTEXT | context, models, figure)


CHAIN = {"conv1": 1.0, "pool": NAN, "conv2": 4.0, "fc": 33.0}


def figure_of(subject, size=PAGE):
    with plot_style():
        return GRADIENT_FLOW_PLOT.draw(subject, size)


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def lines_of(axes):
    """The lines of variants, by colour."""
    return {to_hex(line.get_color()): line for line in axes.lines if line.get_gid() is None}


def bars_of(axes):
    """Foot, height and colour of the parts of the bars, by their names."""
    return {
        bar.get_gid(): (bar.get_y(), bar.get_height(), to_hex(bar.get_facecolor())) for bar in axes.patches
    }


def marks_of(axes):
    return [(line.get_gid(), line.get_xdata()[0]) for line in axes.lines if line.get_linestyle() == "--"]


def test_the_line_is_the_figure_on_a_log_axis():
    figure = figure_of(subject_of(plain("net", CHAIN)))
    axes = figure.axes[0]
    (line,) = lines_of(axes).values()
    assert list(line.get_ydata()) == [1, 4, 33]
    assert list(line.get_xdata()) == [0.5, 1.5, 2.5]
    assert axes.get_yscale() == "log"
    (band,) = axes.collections[-1].get_paths()
    assert {0.9, 1.1, 3.6, 4.4} <= {round(y, 6) for y in band.vertices[:, 1]}
    assert "Norm of the gradient of the weights (log), median and quartiles of 6 runs" in texts(figure)


def test_modules_without_the_figure_have_no_place():
    shown = texts(figure_of(subject_of(plain("net", CHAIN))))
    assert {"conv1", "conv2", "fc"} <= set(shown)
    assert not {"pool", "(model)"} & set(shown)


def test_the_title_of_one_model_compares_its_ends():
    figure = figure_of(subject_of(plain("net", CHAIN)))
    assert title_of(figure) == "The gradient of conv1's weights is 1/33 of that of fc's"
    growing = figure_of(subject_of(plain("net", {"conv1": 6.0, "fc": 2.0})))
    assert title_of(growing) == f"The gradient of conv1's weights is 3.00{TIMES} that of fc's"
    assert title_of(figure_of(subject_of(plain("net", {"fc": 2.0})))) == "The gradient of fc's weights is 2"


def test_the_title_of_several_names_the_smallest_and_the_largest():
    models = [plain(name, CHAIN | {"conv1": value}) for name, value in (("a", 2), ("b", 0.5), ("c", 1))]
    assert title_of(figure_of(subject_of(*models))) == (
        f"The gradient of conv1's weights is 4.00{TIMES} as large in a as in b"
    )
    same = [plain(name, CHAIN) for name in "ab"]
    assert title_of(figure_of(subject_of(*same))) == "The gradient of conv1's weights is 1 in both variants"


def test_activations_are_compared_where_they_end():
    models = [
        plain(name, CHAIN, output_variance=[NAN, 1.0, 2.0, 2.0, last]) for name, last in (("a", 8), ("b", 2))
    ]
    figure = figure_of(subject_of(*models, figure="output_variance"))
    assert title_of(figure) == f"The variance of fc's output is 4.00{TIMES} as large in a as in b"


def test_the_caption_names_the_range_and_the_heads():
    assert GRADIENT_FLOW_PLOT.caption(subject_of(plain("net", CHAIN))) == (
        "Norm of the gradient of the weights: from 1 (conv1) to 33 (fc) in net."
    )
    assert GRADIENT_FLOW_PLOT.caption(subject_of(with_heads())) == (
        "Norm of the gradient of the weights: from 1 (conv1) to 32 (fc) in net; in net the losses of the "
        "heads make up at most 30 % of a module's gradient, in conv2."
    )


def test_the_caption_does_not_repeat_the_title():
    for subject in (subject_of(plain("net", CHAIN)), subject_of(with_heads("a"), plain("b", CHAIN))):
        assert title_of(figure_of(subject)) not in GRADIENT_FLOW_PLOT.caption(subject)


def test_the_subtitle_says_what_ran():
    (line,) = [text for text in texts(figure_of(subject_of(plain("net", CHAIN)))) if "Gradient flow" in text]
    assert line.endswith(
        "net, input 4x3x32x32, made samples of 10 classes, 3 seeds of 2 batches, float32 · Made"
    )


@pytest.mark.parametrize("figure", ["zeros", "dead", "output_mean"])
def test_shares_and_means_have_a_linear_axis(figure):
    model = plain("net", CHAIN, **{figure: [50, 40, 0, 60, NAN]})
    axes = figure_of(subject_of(model, figure=figure)).axes[0]
    assert axes.get_yscale() == "linear"
    (line,) = lines_of(axes).values()
    assert list(line.get_ydata()) == [40, 0, 60]


def test_gradients_that_are_all_zero_have_a_linear_axis():
    figure = figure_of(subject_of(plain("net", {"conv1": 0.0, "fc": 0.0})))
    assert figure.axes[0].get_yscale() == "linear"
    check_layout(figure)


def test_a_zero_is_a_mark_at_the_edge_of_a_log_axis():
    figure = figure_of(subject_of(plain("net", CHAIN | {"conv2": 0.0})))
    (zeros,) = [line for line in figure.axes[0].lines if line.get_gid() == "zeros"]
    assert list(zeros.get_xdata()) == [1.5]
    assert any("lower edge: 0" in text for text in texts(figure))
    (line,) = lines_of(figure.axes[0]).values()
    assert list(line.get_ydata()) == [1, 33]


def test_common_modules_stand_at_one_place():
    one, other = plain("a", {"conv1": 1, "conv2": 2, "fc": 3}), plain("b", {"conv1": 1, "bn": 5, "fc": 3})
    axes = figure_of(subject_of(one, other)).axes[0]
    lines = lines_of(axes)
    # conv1, bn, conv2, fc: what a later model has beside comes behind what it follows there
    assert list(lines[PALETTE[0]].get_xdata()) == [0.5, 2.5, 3.5]
    assert list(lines[PALETTE[1]].get_xdata()) == [0.5, 1.5, 3.5]


def test_different_modules_stand_at_their_part_of_the_depth():
    one = plain("a", {"conv1": 1, "fc": 3})
    other = plain("b", {f"layer{number}": 1.0 + number for number in range(4)})
    figure = figure_of(subject_of(one, other))
    lines = lines_of(figure.axes[0])
    assert list(lines[PALETTE[0]].get_xdata()) == [0.25, 0.75]
    assert list(lines[PALETTE[1]].get_xdata()) == [0.125, 0.375, 0.625, 0.875]
    assert any(text.startswith("depth: each model's own modules") for text in texts(figure))
    assert {"0 %", "50 %", "100 %"} <= set(texts(figure))


def test_heads_are_marked_behind_their_modules():
    figure = figure_of(subject_of(with_heads()))
    flow, *_, shares = [axes for axes in figure.axes if marks_of(axes)]
    assert marks_of(flow) == marks_of(shares) == [("aux1", 2.0)]
    (line,) = lines_of(flow).values()
    assert list(line.get_ydata()) == [1, 2, 8, 32]  # aux1, which the main loss does not reach, is not on it
    assert texts(figure).count("aux1") == 2  # above its line and in the key


def test_heads_of_several_models_at_one_place_are_one_mark():
    figure = figure_of(subject_of(with_heads("a"), with_heads("b")))
    assert marks_of(figure.axes[0]) == [("aux1", 2.0)]


def test_bars_are_the_shares_of_the_losses():
    (axes,) = [axes for axes in figure_of(subject_of(with_heads())).axes if bars_of(axes)]
    main, head = TERMS[:2]
    assert bars_of(axes) == {
        "main of conv1": (0, 90, main), "aux1 of conv1": (90, 10, head),
        "main of conv2": (0, 70, main), "aux1 of conv2": (70, 30, head),
        "main of conv3": (0, 120, main), "aux1 of conv3": (0, -20, head),
        "main of fc": (0, 100, main),
    }  # fmt: skip
    low, high = axes.get_ylim()
    assert (low, high) == (-20, 120)


def test_medians_that_do_not_add_up_are_shares_that_do():
    shares = ((45, 5), (70, 30), (0, 100), (120, -20), (100, 0))
    (axes,) = [axes for axes in figure_of(subject_of(with_heads(shares=shares))).axes if bars_of(axes)]
    assert bars_of(axes)["main of conv1"][:2] == pytest.approx((0, 90))
    assert bars_of(axes)["aux1 of conv1"][:2] == pytest.approx((90, 10))


def test_shares_are_said_to_be_scaled_medians():
    note = "shares: medians, scaled to add up to 100 %"
    assert any(note in text for text in texts(figure_of(subject_of(with_heads()))))
    assert not any(note in text for text in texts(figure_of(subject_of(with_heads(), seeds=1, batches=1))))


def test_a_model_without_heads_has_no_bars():
    assert not any(bars_of(axes) for axes in figure_of(subject_of(plain("net", CHAIN))).axes)


def test_three_models_have_bars_and_others_are_named():
    figure = figure_of(subject_of(*(with_heads(f"net {letter}") for letter in "abcd")))
    assert len([axes for axes in figure.axes if bars_of(axes)]) == 3
    assert "no room for the shares of net d" in " ".join(texts(figure))  # a note may be broken into lines


ODD = ["$x_1$ <b>&amp;</b>", "网络 🙂", "a_very_long_name_of_a_variant(width=0.5, depth=3, heads=True)", "\n"]
CASES = {
    "one": [plain("net", CHAIN)],
    "heads": [with_heads()],
    "several with heads": [with_heads(f"net{number}") for number in range(4)],
    "twelve": [plain(f"googlenet_variant{n}", {k: v * 1.02**n for k, v in CHAIN.items()}) for n in range(12)],
    "twelve with heads": [with_heads(f"googlenet_variant{n}") for n in range(12)],
    "different": [with_heads("a"), plain("b", {f"mixed_{n}.block": 1.0 + n for n in range(44)})],
    "many modules": [plain("deep", {f"inception_with_a_long_name_{n}": 2.0**-n for n in range(90)})],
    "one module": [plain("net", {"fc": 3e-12})],
    "alike": [plain("a", {"conv": 1.5, "fc": 1.5})],
    "far apart": [plain("a", {"conv": 1e-30, "fc": 1e25})],
    "odd names": [plain(name, CHAIN) for name in ODD],
    "odd modules": [plain("net", dict.fromkeys(ODD, 1.0))],
    "gaps": [plain("a", CHAIN), plain("b", {"conv1": NAN, "conv2": float("inf"), "fc": NAN})],
}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("models", CASES.values(), ids=CASES)
def test_every_size_has_room_for_every_text(models, size):
    figure = figure_of(subject_of(*models), size)
    check_layout(figure)
    assert figure.get_figheight() == size.height or not size.is_slide


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_has_a_plot(figure):
    columns = {} if figure == "weight_gradient" else {figure: [NAN, 3.0, 2.0, NAN, 1.5]}
    model = plain("net", CHAIN, **columns)
    check_layout(figure_of(subject_of(model, figure=figure)))
    assert GRADIENT_FLOW_PLOT.caption(subject_of(model, figure=figure)).startswith(FIGURES[figure].label)


def test_a_variant_without_the_figure_is_named():
    figure = figure_of(subject_of(*CASES["gaps"]))
    assert any("no such figure: b" in text for text in texts(figure))
    assert any("depth · a, input" in text for text in texts(figure))


def test_one_run_has_no_spread():
    figure = figure_of(subject_of(plain("net", CHAIN), seeds=1, batches=1))
    assert "Norm of the gradient of the weights (log)" in texts(figure)


def test_the_colours_of_the_losses_differ_in_lightness():
    """By the luminance of sRGB as grey printers take it, from 0 to 255."""
    grey = [
        sum(w * int(c[i : i + 2], 16) for w, i in ((0.299, 1), (0.587, 3), (0.114, 5))) for c in TERMS[:3]
    ]
    assert min(np.diff(sorted(grey))) > 40


def test_files_are_the_same_every_time():
    one, other = (gradient_flow_plot(subject_of(with_heads()), kinds=["svg", "png", "pdf"]) for _ in range(2))
    assert one == other
    assert set(one) == {"svg", "png", "pdf"}


@pytest.mark.filterwarnings("error")
def test_letters_that_the_font_does_not_have_are_boxes():
    images = gradient_flow_plot(subject_of(*CASES["odd names"]), kinds=["svg", "png"])
    assert "$x_1$ &lt;b&gt;&amp;amp;&lt;/b&gt;" in images["svg"].decode()


def test_there_is_nothing_to_see():
    with pytest.raises(InceptionLabError, match="without a finite weight_gradient cannot be drawn"):
        gradient_flow_plot(subject_of(plain("net", {"conv1": NAN})))


def test_a_figure_that_is_not_there_is_refused():
    with pytest.raises(InceptionLabError, match="no figure 'weight_gradiant'") as refusal:
        gradient_flow_plot(replace(subject_of(plain("net", CHAIN)), figure="weight_gradiant"))
    assert "weight_gradient" in str(refusal.value.hint)
