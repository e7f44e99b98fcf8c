"""The plot of published errors against MACs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from support.plot_layout import check_layout

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.models.cards import CARDS
from inception_lab.record import Record
from inception_lab.report.plots import COMPARISON_PLOTS
from inception_lab.report.plots.bubble_sizes import round_sizes
from inception_lab.report.plots.error_and_macs import (
    Point,
    comparable,
    notes_of,
    pareto,
    points_of,
)
from inception_lab.report.plots.style import plot_style
from inception_lab.report.sizes import PAGE, PAPER, SIZES, PlotSize

PLOT = COMPARISON_PLOTS["error_and_macs"]


def _record(
    name: str, macs: int, error: float | None, peak: int = 2**25, side: int = 224, **context: Any
) -> Record:
    facts = {"top5_error": error, "error_evaluation": "one crop"} if error else {}
    shapes = {"model": name, "mode": "eval", "complete": True, "input_shapes": [[1, 3, side, side]]}
    return Record(shapes | facts | context, {"macs": macs, "peak_bytes": peak}, (), (), ())


def _figure(records: list[Record], size: PlotSize = PAGE) -> Figure:
    with plot_style():
        return PLOT.draw(records, size)


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


@pytest.fixture(scope="module")
def zoo() -> list[Record]:
    return il.zoo_records()


def _bubbles(figure: Figure) -> dict[str, PathCollection]:
    (panel,) = [axes for axes in figure.axes if axes.get_xscale() == "log"]
    return {c.get_gid(): c for c in panel.collections if isinstance(c, PathCollection)}


def test_every_model_with_a_published_error_is_drawn_where_it_belongs(zoo: list[Record]) -> None:
    bubbles = _bubbles(_figure(zoo))
    assert set(bubbles) == {name for name, card in CARDS.items() if card.top5_error}
    for name, bubble in bubbles.items():
        assert bubble.get_offsets().tolist() == [[CARDS[name].macs, CARDS[name].top5_error]]


def test_areas_are_proportional_to_the_peaks(zoo: list[Record]) -> None:
    bubbles = _bubbles(_figure(zoo))
    peaks = {record.context["model"]: record.totals["peak_bytes"] for record in zoo}
    parts = {name: bubble.get_sizes()[0] / peaks[name] for name, bubble in bubbles.items()}
    assert max(parts.values()) == pytest.approx(min(parts.values()))


def test_the_key_of_sizes_has_the_scale_of_the_bubbles(zoo: list[Record]) -> None:
    figure = _figure(zoo)
    (key,) = [axes for axes in figure.axes if axes.get_xscale() != "log"]
    bubble = next(iter(_bubbles(figure).items()))
    peaks = {record.context["model"]: record.totals["peak_bytes"] for record in zoo}
    area = bubble[1].get_sizes()[0] / peaks[bubble[0]]
    shown = [circle.get_sizes()[0] / area for circle in key.collections]
    assert shown == pytest.approx(round_sizes(list(peaks.values())))
    assert [text.get_text() for text in key.texts] == ["20 MiB", "100 MiB", "500 MiB"]


def test_sizes_that_are_nearly_alike_have_one_in_the_key() -> None:
    records = [_record(name, 10**9, 9.0, peak=45 * 2**20) for name in ("one", "other")]
    assert round_sizes([45 * 2**20] * 2) == [20 * 2**20]
    assert "20 MiB" in _texts(_figure(records))


def test_the_zoo_says_inputs_evaluations_and_reconstructions(zoo: list[Record]) -> None:
    texts = _texts(_figure(zoo))
    assert {"input 1x3x224x224", "input 1x3x299x299"} <= set(texts)
    assert {"alexnet (ten crops)", "vgg16 (dense evaluation)", "inception_v2 (a reconstruction)"} <= set(
        texts
    )
    assert "filled: one crop, one net" in " ".join(texts)
    missing = [name for name in CARDS if CARDS[name].top5_error is None]
    records = [*zoo, *[_record(name, 10**9, None) for name in missing]]
    assert f"{len(missing)} without a published error are left out" in PLOT.caption(records)


def test_the_zoo_says_which_errors_are_of_a_part_of_the_images(zoo: list[Record]) -> None:
    points = points_of(zoo)
    (note,) = [note for note in notes_of(points) if "non-blacklisted" in note]
    named = note.removeprefix("errors on the non-blacklisted validation images: ").split(", ")
    assert set(named) == {name for name, card in CARDS.items() if "non-blacklisted" in card.error_source}
    others = [point for point in points if point.name not in named]
    assert "non-blacklisted" not in " ".join(notes_of(others))
    assert "non-blacklisted" in " ".join(_texts(_figure(zoo)))


@pytest.mark.parametrize("evaluation", sorted({card.error_evaluation for card in CARDS.values()} - {""}))
def test_every_evaluation_of_the_cards_makes_a_sentence(evaluation: str) -> None:
    records = [_record(f"m{n}", 10**9 * n, 9.0 - n, error_evaluation=evaluation) for n in (1, 2)]
    assert f"No other model measured with {evaluation} has both" in PLOT.caption(records)


def test_another_note_makes_no_reconstruction() -> None:
    records = [_record("a", 10**9, 5.0), _record("b", 10**8, 6.0, note="ran for real on the CPU")]
    assert [point.name for point in pareto(points_of(records))] == ["b", "a"]
    assert "reconstruction" not in " ".join(_texts(_figure(records)))


def test_the_line_goes_through_the_best_of_those_measured_alike(zoo: list[Record]) -> None:
    names = [point.name for point in pareto(points_of(zoo))]
    assert names == [
        "googlenet", "bn_inception", "inception_v3", "inception_resnet_v1", "inception_v4",
        "inception_resnet_v2",
    ]  # fmt: skip
    (panel,) = [axes for axes in _figure(zoo).axes if axes.get_xscale() == "log"]
    (line,) = [line for line in panel.lines if line.get_gid() == "pareto"]
    corners = list(zip(line.get_xdata(), line.get_ydata(), strict=True))
    assert {(CARDS[name].macs, CARDS[name].top5_error) for name in names} <= set(corners)
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(corners))


POINTS = st.lists(
    st.builds(
        Point,
        name=st.uuids().map(str),
        error=st.sampled_from([4.9, 5.0, 5.5, 8.0, 20.0]),
        macs=st.integers(1, 6),
        peak_bytes=st.integers(1, 10**9),
        input=st.just("1x3x8x8"),
        evaluation=st.sampled_from(["one crop", "one crop", "ten crops"]),
        images=st.just(""),
        reconstructed=st.sampled_from([False, False, True]),
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(POINTS)
def test_the_line_holds_those_that_none_beats(points: list[Point]) -> None:
    alike = comparable(points)
    if not alike:
        return

    def is_beaten(point: Point) -> bool:
        return any(
            other.macs <= point.macs
            and other.error <= point.error
            and (other.macs, other.error) != (point.macs, point.error)
            for other in alike
        )

    best = pareto(points)
    assert {point.name for point in best} == {point.name for point in alike if not is_beaten(point)}
    assert best == sorted(best, key=lambda point: (point.macs, -point.error))


@settings(deadline=None, max_examples=15)
@given(
    st.lists(
        st.tuples(st.integers(10**6, 10**12), st.floats(0.1, 90), st.integers(1, 2**40), st.integers(1, 999)),
        min_size=2,
        max_size=20,
    ),
    st.sampled_from(list(SIZES.values())),
)
def test_bubbles_stay_on_the_panel(models: list[tuple[int, float, int, int]], size: PlotSize) -> None:
    records = [_record(f"m{number}", *facts) for number, facts in enumerate(models)]
    figure = _figure(records, size)
    figure.canvas.draw()
    (panel,) = [axes for axes in figure.axes if axes.get_xscale() == "log"]
    frame = panel.get_window_extent()
    for bubble in _bubbles(figure).values():
        x, y = panel.transData.transform(bubble.get_offsets()[0])
        radius = sqrt(bubble.get_sizes()[0]) / 2 * figure.dpi / 72
        assert frame.x0 <= x - radius
        assert x + radius <= frame.x1
        assert frame.y0 <= y - radius
        assert y + radius <= frame.y1


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_no_label_covers_another_one(zoo: list[Record], size: PlotSize) -> None:
    check_layout(_figure(zoo, size))


def test_a_crowd_of_models_is_still_named() -> None:
    records = [_record(f"model_{n}", 10**9 + n * 10**7, 5 + n % 4 / 10) for n in range(16)]
    figure = _figure(records)
    assert {f"model_{n}" for n in range(16)} <= set(_texts(figure))
    check_layout(figure)


def test_names_are_cut_in_a_narrow_plot() -> None:
    records = [_record("long_name_" * 9 + str(n), 10**9 * (n + 1), 9 - n) for n in range(3)]
    check_layout(_figure(records, PAPER))


def test_one_model_can_be_best_in_both() -> None:
    records = [_record("small", 10**9, 5.0), _record("large", 10**10, 9.0)]
    assert "small has both the fewest MACs and the lowest error" in _texts(_figure(records))


@pytest.mark.parametrize(
    "records",
    [
        [],
        [_record("a", 10**9, 5.0)],
        [_record("a", 10**9, None), _record("b", 10**9, None)],
        [_record("a", 10**9, 5.0), replace(_record("b", 10**9, 6.0), totals={"macs": 3})],
        [_record("a", 10**9, 5.0), _record("b", 10**9, 6.0, error_evaluation="ten crops")],
        [_record("a", 10**9, 5.0), _record("b", 10**9, 6.0, reconstructed=True)],
    ],
)
def test_there_is_nothing_to_compare(records: list[Record], tmp_path: Path) -> None:
    assert not PLOT.has_content(records)
    with pytest.raises(InceptionLabError, match="fewer than two models"):
        il.plot_error_and_macs(records, tmp_path / "zoo.svg")
    assert not list(tmp_path.iterdir())


def test_a_plot_of_ones_own_beside_the_zoo(zoo: list[Record], tmp_path: Path) -> None:
    own = _record("mine", 4 * 10**9, 6.1)
    path = il.plot_error_and_macs([*zoo, own], tmp_path / "zoo.PNG", size="slide")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "mine" in [point.name for point in pareto(points_of([*zoo, own]))]


@pytest.mark.parametrize(("name", "size", "match"), [("zoo.gif", "page", "zoo.gif"), ("zoo.svg", "a4", "a4")])
def test_other_files_and_sizes_are_refused(tmp_path: Path, name: str, size: str, match: str) -> None:
    with pytest.raises(InceptionLabError, match=match):
        il.plot_error_and_macs([_record("a", 1, 5.0), _record("b", 2, 4.0)], tmp_path / name, size)
