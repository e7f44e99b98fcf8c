"""The plots of many models: parameters, times and fields."""

from __future__ import annotations

from math import sqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from support.plot_layout import check_layout, title_of
from support.report_nets import EVERYTHING, MISALIGNED, field, layer

import inception_lab as il
from inception_lab.models.cards import CARDS
from inception_lab.record import Record
from inception_lab.report.plots import COMPARISON_PLOTS
from inception_lab.report.plots.bubble_sizes import round_sizes
from inception_lab.report.plots.families import family_colours
from inception_lab.report.plots.style import plot_style
from inception_lab.report.plots.wording import TIMES, several_text
from inception_lab.report.sizes import PAGE, SIZES, PlotSize

NAMES = ("params_and_macs", "time_and_macs", "field_and_depth")
FIELDS = (field(7, 7), field(31, 31))


def _record(
    name: str, macs: int = 10**9, params: int = 10**6, peak: int = 2**25, fields: Any = FIELDS, **context: Any
) -> Record:
    """A model with costs, a time of a millisecond per ten million MACs, and a field."""
    totals = {"macs": macs, "params": params, "peak_bytes": peak, "weighted_layers": params % 97 + 1}
    facts = {
        "model": name,
        "mode": "eval",
        "complete": True,
        "input_shapes": [[1, 3, 224, 224]],
        "axes": [2, 3],
    }
    times = {"training_macs": 3 * macs, "step_ms": macs / 1e6, "plain_step_ms": macs / 1e7}
    rows = [layer(f"m{n}", fields=one) for n, one in enumerate(fields)]
    return Record(facts | {"machine": "a CPU", "threads": 2} | context, totals | times, (), (), tuple(rows))


def _figure(name: str, records: list[Record], size: PlotSize = PAGE) -> Figure:
    with plot_style():
        return COMPARISON_PLOTS[name].draw(records, size)


def _panel(figure: Figure) -> Axes:
    (panel,) = [axes for axes in figure.axes if axes.get_xscale() == "log"]
    return panel


def _bubbles(figure: Figure) -> dict[str, PathCollection]:
    return {str(c.get_gid()): c for c in _panel(figure).collections if isinstance(c, PathCollection)}


def _places(figure: Figure) -> dict[str, list[float]]:
    return {name: bubble.get_offsets().tolist()[0] for name, bubble in _bubbles(figure).items()}


def _texts(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(Text) if text.get_text())


@pytest.fixture(scope="module")
def zoo() -> list[Record]:
    return il.zoo_records(list(CARDS))


def test_the_zoo_is_where_its_cards_say(zoo: list[Record]) -> None:
    places = _places(_figure("params_and_macs", zoo))
    expected = {card.name: [card.macs, card.params] for card in CARDS.values()}
    assert {name.removesuffix(" *"): place for name, place in places.items()} == expected


def test_areas_are_proportional_to_the_peaks(zoo: list[Record]) -> None:
    bubbles = _bubbles(_figure("params_and_macs", zoo))
    peaks = {r.context["model"]: r.totals["peak_bytes"] for r in zoo}
    parts = [bubble.get_sizes()[0] / peaks[name.removesuffix(" *")] for name, bubble in bubbles.items()]
    assert max(parts) == pytest.approx(min(parts))


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("name", ["params_and_macs", "field_and_depth"])
def test_the_zoo_can_be_drawn_in_any_size(zoo: list[Record], name: str, size: PlotSize) -> None:
    check_layout(_figure(name, zoo, size))
    check_layout(_figure(name, [zoo[0], zoo[8]], size))


def test_a_vgg_sees_what_its_paper_lets_it_see(zoo: list[Record]) -> None:
    """VGG-16: 13 convolutions of 3x3 and 5 pools of 2x2 make 212 pixels, by hand."""
    size, stride = 1, 1
    for convolutions in (2, 2, 3, 3, 3):
        size += 2 * stride * convolutions + stride
        stride *= 2
    assert _places(_figure("field_and_depth", zoo))["vgg16"] == [16, size] == [16, 212]


def test_models_at_one_place_are_one_dot_that_names_all_of_them() -> None:
    records = [_record(name) for name in "abc"] + [_record("d", params=10**6 + 1)]
    figure = _figure("field_and_depth", records)
    assert set(_bubbles(figure)) == {"a and 2 more", "d"}
    assert "a and 2 more: a, b, c" in _texts(figure)


def test_a_field_that_is_not_exact_is_left_out_by_name() -> None:
    records = [_record("a"), _record("b", params=2), _record("c", fields=(field(7, 7), MISALIGNED))]
    assert set(_bubbles(_figure("field_and_depth", records))) == {"a", "b"}
    assert "left out, as no one number describes a field: c" in COMPARISON_PLOTS["field_and_depth"].caption(
        records
    )


def test_layers_that_see_everything_have_no_window() -> None:
    records = [_record(name, params=n, fields=(field(7, 9), EVERYTHING)) for n, name in enumerate("ab", 3)]
    assert {y for _, y in _places(_figure("field_and_depth", records)).values()} == {9}
    assert "b, a see less" in COMPARISON_PLOTS["field_and_depth"].caption(records)


def test_the_longest_axis_is_beside_the_input_along_it() -> None:
    shapes = {"input_shapes": [[1, 3, 100, 50]]}
    records = [_record(name, params=n, fields=(field(7, 80),), **shapes) for n, name in enumerate("ab", 3)]
    stems = [
        line.get_ydata()
        for line in _panel(_figure("field_and_depth", records)).lines
        if len(line.get_xdata()) == 2
    ]
    assert [50, 80] in [list(stem) for stem in stems]
    assert "none sees less" in COMPARISON_PLOTS["field_and_depth"].caption(records)


def test_times_are_those_without_the_cost_of_measuring() -> None:
    records = [_record("a", 10**9), _record("b", 10**10)]
    assert _places(_figure("time_and_macs", records)) == {"a": [10**9, 100], "b": [10**10, 1000]}
    assert "a CPU, 2 threads" in _texts(_figure("time_and_macs", records))


def test_a_training_step_is_timed_with_all_its_macs() -> None:
    records = [_record("a", mode="train"), _record("b")]
    assert {name: x for name, (x, _) in _places(_figure("time_and_macs", records)).items()} == {
        "a": 3 * 10**9, "b": 10**9,
    }  # fmt: skip
    assert "eval" in _texts(_figure("time_and_macs", records))
    assert "train" in _texts(_figure("time_and_macs", records))


def test_the_title_tells_the_two_that_contradict_each_other_most() -> None:
    records = [_record("fat", 10**8, 10**8), _record("slim", 10**9, 10**7), _record("mid", 10**9, 2 * 10**7)]
    assert title_of(_figure("params_and_macs", records)) == (
        f"fat: 10.0{TIMES} the parameters of slim, 10.0{TIMES} fewer MACs"
    )
    assert title_of(_figure("params_and_macs", records[1:])) == (
        f"mid: 2.00{TIMES} the parameters and 1{TIMES} the MACs of slim"
    )


@pytest.mark.parametrize("name", NAMES)
def test_one_model_is_not_compared(name: str) -> None:
    plot = COMPARISON_PLOTS[name]
    assert not plot.has_content([])
    assert not plot.has_content([_record("a"), Record(_record("b").context, {"params": 3}, (), (), ())])
    assert plot.has_content([_record("a"), _record("b")])


@pytest.mark.parametrize("name", NAMES)
def test_partial_and_mixed_records_are_said(name: str) -> None:
    records = [_record("a", complete=False), _record("b", mode="train", input_shapes=[[8, 3, 32, 32]])]
    figure = _figure(name, records)
    check_layout(figure)
    for words in ("PARTIAL", "2 different inputs", "batches of 1 and 8", "eval and train"):
        assert words in _texts(figure)


def test_what_is_shared_is_said_once() -> None:
    assert several_text([_record("a"), _record("b")]) == "input 1x3x224x224, eval"


def test_a_family_has_one_colour_in_every_plot() -> None:
    records = [_record(f"m{n}", 10**9 + n, 10**6 + n, family=f"f{n % 11}") for n in range(30)]
    colours = family_colours(records)
    assert len(set(colours.values())) == 8
    assert family_colours([_record("a"), _record("b")]) == {}
    for name in NAMES:
        figure = _figure(name, records)
        check_layout(figure)
        assert {f"f{n}" for n in range(11)} <= set(_texts(figure).split())


@settings(deadline=None, max_examples=15)
@given(
    st.lists(
        st.tuples(st.integers(10**3, 10**14), st.integers(1, 10**12), st.integers(1, 2**40)),
        min_size=2,
        max_size=20,
    ),
    st.sampled_from(list(SIZES.values())),
    st.sampled_from(NAMES),
)
def test_bubbles_stay_on_the_panel(models: list[tuple[int, int, int]], size: PlotSize, name: str) -> None:
    figure = _figure(name, [_record(f"m{n}", *facts) for n, facts in enumerate(models)], size)
    figure.canvas.draw()
    panel = _panel(figure)
    frame = panel.get_window_extent()
    for bubble in _bubbles(figure).values():
        x, y = panel.transData.transform(bubble.get_offsets()[0])
        radius = sqrt(bubble.get_sizes()[0]) / 2 * figure.dpi / 72
        assert frame.x0 <= x - radius
        assert x + radius <= frame.x1
        assert frame.y0 <= y - radius
        assert y + radius <= frame.y1


def test_an_unknown_input_has_no_dash() -> None:
    records = [_record("a", axes=[]), _record("b", params=5, axes=[])]
    assert not [
        line for line in _panel(_figure("field_and_depth", records)).lines if line.get_marker() == "_"
    ]
    assert "dash" not in COMPARISON_PLOTS["field_and_depth"].caption(records)


@pytest.mark.filterwarnings("ignore:Glyph .* missing")  # a letter that no font has is drawn as a box
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_fit(name: str, size: PlotSize) -> None:
    names = ["long_name_" * 9 + "1", "long_name_" * 9 + "2", "$x_1^2$ <b>\n", '"=1+1', "🙂", ""]
    records = [_record(text, 10**9 + n, 10**6 + n, family=text) for n, text in enumerate(names)]
    check_layout(_figure(name, records, size))
    assert COMPARISON_PLOTS[name].caption(records).endswith(".")


def test_equal_peaks_have_a_size_in_the_key() -> None:
    """Of 401 bytes the largest round number is 200, which is less than half."""
    assert round_sizes([401, 401]) == [200]
