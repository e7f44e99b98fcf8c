"""The plot of training runs: its losses, its maps of gradients, its words, its layout."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from support.plot_layout import check_layout, title_of

from inception_lab.errors import InceptionLabError
from inception_lab.report.plots import TRAINING_PLOT, training_plot
from inception_lab.report.plots.gradient_map import COLOURS
from inception_lab.report.plots.style import PALETTE, plot_style
from inception_lab.report.plots.training_runs import RunOfModel, TrainingPlot
from inception_lab.report.sizes import PAGE, SIZES

CONTEXT = {
    "input_shapes": [[4, 3, 32, 32]], "dtype": "float32", "machine": "Made", "seeds": 3, "steps": 3,
    "samples": "made samples of 10 classes", "optimizer": "sgd, learning rate 0.01, momentum 0.9",
}  # fmt: skip
NAN = float("nan")
LOSSES = (2.0, 1.5, 0.5)
GRADIENTS = {"conv1": (0.01, 0.02, 0.04), "fc": (1.0, 1.0, 1.0)}


def run_of(name="net", losses=LOSSES, gradients=GRADIENTS):
    """Of the main loss, a head's beside it, and the gradients of each module by step."""
    main = np.array(losses)
    steps = pd.DataFrame({"step": range(len(main)), "loss": main + 0.6})
    for column, values in (("loss", main + 0.6), ("loss_main", main), ("loss_aux1", main * 0 + 0.6)):
        steps = steps.assign(
            **{column: values, f"{column}_low": values - 0.1, f"{column}_high": values + 0.1}
        )
    rows = [
        (step, module, norms[step])
        for step in range(len(main))
        for module, norms in {"(model)": [9.0] * len(main), **gradients}.items()
    ]
    return RunOfModel(name, steps, pd.DataFrame(rows, columns=["step", "module", "weight_gradient"]))


def subject_of(*models, note="", **context):
    return TrainingPlot(CONTEXT | context, models, note)


def figure_of(subject, size=PAGE):
    with plot_style():
        return TRAINING_PLOT.draw(subject, size)


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def maps_of(figure):
    return [image for axes in figure.axes for image in axes.images if image.get_array().ndim == 2]


def test_the_line_is_the_main_loss():
    figure = figure_of(subject_of(run_of("a"), run_of("b", (2, 1, 1))))
    lines = {to_hex(line.get_color()): line for line in figure.axes[0].lines}
    assert list(lines[PALETTE[0]].get_ydata()) == list(LOSSES)
    assert list(lines[PALETTE[1]].get_ydata()) == [2, 1, 1]
    assert list(lines[PALETTE[0]].get_xdata()) == [0, 1, 2]
    band = figure.axes[0].collections[1].get_paths()[0].vertices[:, 1]
    assert {1.9, 2.1, 0.4, 0.6} <= {round(y, 6) for y in band}
    assert "Main loss of each step, median and quartiles of 3 seeds" in texts(figure)


def test_losses_far_apart_have_a_log_axis():
    assert figure_of(subject_of(run_of())).axes[0].get_yscale() == "linear"
    figure = figure_of(subject_of(run_of(losses=(2.0, 1.0, 0.01))))
    assert figure.axes[0].get_yscale() == "log"
    assert any(text.startswith("Main loss of each step (log)") for text in texts(figure))


def test_the_map_is_the_gradients_with_the_first_module_at_the_top():
    figure = figure_of(subject_of(run_of()))
    (image,) = maps_of(figure)
    assert image.get_array().tolist() == [list(norms) for norms in GRADIENTS.values()]
    left, right, bottom, top = image.get_extent()
    assert (left, right) == (-0.5, 2.5)
    assert bottom > top
    heights = {label.get_text(): place for label, place in _row_labels(image.axes)}
    assert heights == {"conv1": 0.5, "fc": 1.5}


def _row_labels(axes):
    return zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)


def test_maps_share_one_log_scale_of_colours():
    large = {module: [10 * norm for norm in norms] for module, norms in GRADIENTS.items()}
    figure = figure_of(subject_of(run_of("a"), run_of("b", gradients=large)))
    one, other = maps_of(figure)
    assert one.norm is other.norm
    assert (one.norm.vmin, one.norm.vmax) == (0.01, 10)
    assert one.norm(np.sqrt(0.1)) == pytest.approx(0.5)
    assert {"0.01", "10"} <= set(texts(figure))


def test_losses_and_maps_share_their_steps():
    figure = figure_of(subject_of(run_of()))
    (image,) = maps_of(figure)
    assert figure.axes[0].get_xlim() == image.axes.get_xlim()
    one, other = (axes.get_position() for axes in (figure.axes[0], image.axes))
    assert (one.x0, one.x1) == pytest.approx((other.x0, other.x1))


def test_colours_become_lighter_in_even_steps():
    """By the luminance of sRGB as grey printers take it, from 0 to 255."""
    grey = COLOURS(np.linspace(0, 1, 32))[:, :3] @ [0.299, 0.587, 0.114] * 255
    assert (np.diff(grey) > 2).all()


def test_what_is_not_finite_is_a_gap_and_the_note_is_written():
    gradients = {"conv1": (0.1, 0.0, NAN), "fc": (1.0, float("inf"), 1.0)}
    figure = figure_of(subject_of(run_of("net", (2, NAN, 1), gradients), note="stopped after 3 of 9 steps"))
    (image,) = maps_of(figure)
    assert np.ma.getmaskarray(image.get_array()).tolist() == [[False, True, True], [False, True, False]]
    (note,) = [text for text in texts(figure) if "white" in text]
    assert note == "stopped after 3 of 9 steps; white: a gradient of 0, or none that is finite"
    assert list(figure.axes[0].lines[0].get_ydata()) == [2, 1]


def test_the_title_says_how_losses_end():
    assert title_of(figure_of(subject_of(run_of()))) == "The main loss goes from 2 to 0.5 in 3 steps"
    figure = figure_of(subject_of(run_of("a"), run_of("b", (2, 1, 1))))
    assert title_of(figure) == "At the last of 3 steps the main loss is smallest in a (0.5), largest in b (1)"
    same = figure_of(subject_of(run_of("a"), run_of("b")))
    assert title_of(same) == "The main loss ends at 0.5 in both variants"
    one = run_of(losses=(2.5,), gradients={"fc": (1.0,)})
    assert title_of(figure_of(subject_of(one))) == "The main loss is 2.5 at its one step"


def test_the_caption_compares_the_ends_of_the_depth():
    assert TRAINING_PLOT.caption(subject_of(run_of())) == (
        "By its norm, in net the gradient of conv1 is 1/100 of that of fc at the first step, 1/25 of it at "
        "the last."
    )
    alone = subject_of(run_of(gradients={"fc": (1, 1, 1)}))
    assert TRAINING_PLOT.caption(alone) == "The main loss after the last step is 0.5 in net."


def test_three_models_have_maps_and_others_are_named():
    figure = figure_of(subject_of(*(run_of(f"net {letter}") for letter in "abcd")))
    assert len(maps_of(figure)) == 3
    assert "no room for the gradients of net d" in texts(figure)


def deep(count, name="inception_with_a_long_name_{}"):
    return {name.format(number): (1.0, 0.5, 2.0**-number) for number in range(count)}


ODD = ["$x_1$ <b>&amp;</b>", "网络 🙂", "a_very_long_name_of_a_variant(width=0.5, depth=3, heads=True)", "\n"]
CASES = {
    "one": [run_of()],
    "one step": [run_of(losses=(2.5,), gradients={"fc": (1.0,)})],
    "one module": [run_of(gradients={"fc": (1, 1, 1)})],
    "twelve": [run_of(f"googlenet_variant{number}") for number in range(12)],
    "many modules": [run_of(gradients=deep(90)), run_of("b", gradients=deep(3))],
    "many names": [run_of(gradients={f"{chr(97 + n % 26)}{'x' * (n // 26)}": (1, 2, 3) for n in range(80)})],
    "many steps": [run_of(losses=[2.0] * 1000, gradients={"fc": [1.0] * 1000})],
    "odd names": [run_of(name) for name in ODD],
    "odd modules": [run_of(gradients=dict.fromkeys(ODD, (1, 2, 3)))],
    "no gradient": [run_of(gradients={"fc": (NAN, NAN, NAN)})],
    "diverged": [run_of("a", (2, 1e9, NAN)), run_of("b", (NAN, NAN, NAN))],
}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("models", CASES.values(), ids=CASES)
def test_every_size_has_room_for_every_text(models, size):
    figure = figure_of(subject_of(*models), size)
    check_layout(figure)
    assert figure.get_figheight() == size.height or not size.is_slide
    assert TRAINING_PLOT.caption(subject_of(*models)) != title_of(figure)


def test_rows_without_room_for_their_names_share_one():
    (image,) = maps_of(figure_of(subject_of(*CASES["many names"])))
    names = {label.get_text(): place for label, place in _row_labels(image.axes)}
    # 80 rows in 3.2 inches, which have room for 23 names: 4 rows each
    assert len(names) == 20
    assert names["a\N{EN DASH}d \N{MULTIPLICATION SIGN}4"] == 2


def test_a_run_without_a_finite_loss_is_named():
    assert any("no finite loss: b" in text for text in texts(figure_of(subject_of(*CASES["diverged"]))))


def test_files_are_the_same_every_time():
    one, other = (training_plot(subject_of(run_of()), kinds=["svg", "png", "pdf"]) for _ in range(2))
    assert one == other
    assert set(one) == {"svg", "png", "pdf"}


@pytest.mark.filterwarnings("error")
def test_letters_that_the_font_does_not_have_are_boxes():
    images = training_plot(subject_of(*CASES["odd names"]), kinds=["svg", "png"])
    assert "$x_1$ &lt;b&gt;&amp;amp;&lt;/b&gt;" in images["svg"].decode()


def test_there_is_nothing_to_see():
    with pytest.raises(InceptionLabError, match="without a finite loss cannot be drawn"):
        training_plot(subject_of(run_of(losses=(NAN, NAN, NAN))))
