"""The colours of kinds of branches."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from support.colour_vision import VISIONS, distance, lab, lightness
from support.report_nets import layer, net

from inception_lab.report.branch_colours import COLOURS, GREYS, NO_BRANCH, OTHER_BRANCHES, branch_colours
from inception_lab.report.branch_series import branch_series, series_colours
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots import MODEL_PLOTS
from inception_lab.report.plots.saving import MARKERS
from inception_lab.report.plots.style import plot_style
from inception_lab.report.sizes import PAGE

STEP = st.one_of(
    st.sampled_from(
        ["pool", "linear", "matmul", "depthwise 3x3", "dilated 3x3", "grouped 3x3", "branch1", ""]
    ),
    st.lists(st.integers(1, 11).map(str), min_size=1, max_size=3).map("x".join),
)
KIND = st.lists(STEP, min_size=1, max_size=5).map(" → ".join)
KINDS = st.lists(KIND, max_size=20)


def preferred(kind: str) -> str:
    """The colour of a kind that is alone."""
    return branch_colours([kind])[kind]


def test_any_two_colours_are_told_apart_with_any_colour_vision() -> None:
    for vision in VISIONS.values():
        assert min(distance(*pair, vision) for pair in combinations(COLOURS, 2)) > 16


def test_neighbours_differ_in_grey() -> None:
    assert all(abs(lightness(one) - lightness(other)) > 14 for one, other in pairwise(COLOURS))


@pytest.mark.parametrize(
    "module",
    [
        ["1x1", "1x1 → 3x3", "1x1 → 5x5", "pool → 1x1"],
        ["1x1", "1x1 → 3x3", "1x1 → 3x3 → 3x3", "pool → 1x1"],
        ["1x1", "pool → 1x1", "1x1 → 1x7 → 7x1", "1x1 → 7x1 → 1x7 → 7x1 → 1x7"],
        ["3x3", "1x1 → 3x3 → 3x3"],
        ["1x1", "1x1 → 3x3 → 3x3", "1x1 → 5x5", "pool → 1x1"],
        ["1x1 → 3x3", "1x1 → 1x7 → 7x1 → 3x3"],
        ["1x1", "1x1 → 1x3 → 3x1", "1x1 → 1x5 → 5x1", "pool → 1x1"],
        ["1x1", "pool → 1x1", "1x3", "3x1"],
    ],
    ids=" | ".join,
)
def test_neighbours_in_modules_of_the_papers_differ_in_grey(module: list[str]) -> None:
    stacked = sorted(map(preferred, module), key=COLOURS.index)
    assert len(set(stacked)) == len(module)
    assert all(abs(lightness(one) - lightness(other)) > 8 for one, other in pairwise(stacked))


def test_greys_are_grey_and_told_apart_from_each_other_and_from_every_colour() -> None:
    for grey in GREYS.values():
        assert max(map(abs, lab(grey)[1:])) < 1
        assert all(distance(grey, colour) > 14 for colour in COLOURS)
    assert abs(lightness(GREYS[OTHER_BRANCHES]) - lightness(GREYS[NO_BRANCH])) > 14


def test_the_simulation_sees_what_is_known_of_it() -> None:
    """Equal greys stay, red and green of one lightness become alike, and a Lab of a textbook colour."""
    for vision in VISIONS.values():
        assert distance("#808080", "#808081", vision) < 1
        assert max(map(abs, lab("#808080", vision)[1:])) < 1
    red, green = "#d05050", "#7f8a2a"
    assert distance(red, green) > 60 > 20 > distance(red, green, VISIONS["deuteranopia"])
    # of pure sRGB red, as every table of CIELAB under D65 has it
    assert lab("#ff0000") == pytest.approx([53.24, 80.09, 67.20], abs=0.02)


@given(KINDS)
def test_colours_are_distinct_as_long_as_there_are_any(kinds: list[str]) -> None:
    colours = branch_colours(kinds)
    assert set(colours) == set(kinds)
    assert len(set(colours.values())) == min(len(set(kinds)), len(COLOURS))


@given(KIND, KINDS)
def test_a_kind_keeps_its_colour_beside_others_that_want_other_ones(kind: str, others: list[str]) -> None:
    other_colours = [other for other in others if preferred(other) != preferred(kind)]
    assume(_has_kernels(kind))
    assert branch_colours([*other_colours, kind])[kind] == preferred(kind)


@given(KINDS)
def test_the_first_of_those_that_want_a_colour_has_it(kinds: list[str]) -> None:
    colours = branch_colours(kinds)
    if kinds:
        assert colours[kinds[0]] == preferred(kinds[0]) or not _has_kernels(kinds[0])


def _has_kernels(kind: str) -> bool:
    return any(word[:1].isdigit() or word in ("pool", "linear", "matmul") for word in kind.split())


@pytest.mark.parametrize(
    "alike",
    [
        ["1x1", "1x1 → 1x1", "linear"],
        ["1x1 → 3x3", "1x1 → 3", "1x1x1 → 3x3x3", "1x1 → grouped 3x3"],
        ["1x1 → 3x3 → 3x3", "1x1 → 1x5 → 5x1", "5x5"],
        ["1x1 → 1x7 → 7x1", "1x1 → 7x7", "3x3 → 3x3 → 3x3"],
        ["1x1 → 7x1 → 1x7 → 7x1 → 1x7", "11x11", "dilated 3x3"],
        ["pool", "pool → 1x1"],
        ["1x3", "1x7", "1x3x3"],
        ["3x1", "7x1", "3x1x1", "1x1 → 1x3 → 3x1", "1x1 → 3x1 → 1x3"],
        ["depthwise 3x3 → 1x1", "1x1 → depthwise 5x5", "depthwise 3x3 → 1x1 → pool"],
        ["matmul", "matmul → matmul"],
    ],
)
def test_what_is_alike_wants_one_colour_and_what_is_not_another(alike: list[str]) -> None:
    assert len(set(map(preferred, alike))) == 1
    for kind in ("1x1 → 5x5", "1x1 → 1x7 → 7x1 → 3x3"):
        assert preferred(kind) != preferred(alike[0])


def test_two_that_want_the_same_both_have_one() -> None:
    colours = branch_colours(["1x1", "1x1 → 1x1", "1x1 → 3x3"])
    assert (colours["1x1"], colours["1x1 → 3x3"]) == (preferred("1x1"), preferred("1x1 → 3x3"))
    assert colours["1x1 → 1x1"] not in (colours["1x1"], colours["1x1 → 3x3"])


def test_what_is_not_a_kind_is_grey() -> None:
    assert branch_colours([OTHER_BRANCHES, "left", NO_BRANCH]) == {**GREYS, "left": COLOURS[0]}


def _net(kinds: dict[str, str]) -> ReportContents:
    """A net of one module with these branches, each ten times heavier than the next."""
    branches = [layer("mix", b, 10 ** (9 - n), 9, naive=10 ** (10 - n)) for n, b in enumerate(kinds)]
    contents = net([layer("stem", macs=9, params=9), *branches])
    return replace(contents, branch_kinds={("mix", branch): kind for branch, kind in kinds.items() if kind})


def test_the_heavier_of_two_kinds_chooses_first() -> None:
    light_first = _net({"a": "1x1 → 3x3", "b": "1x1 → grouped 3x3"})
    heavy_first = _net({"a": "1x1 → grouped 3x3", "b": "1x1 → 3x3"})
    first, second = series_colours(light_first), series_colours(heavy_first)
    assert first["1x1 → 3x3"] == second["1x1 → grouped 3x3"] == preferred("1x1 → 3x3")


def test_bars_are_stacked_in_the_order_of_the_colours() -> None:
    colours = series_colours(_net({"a": "pool → 1x1", "b": "name", "c": "1x1 → 5x5", "d": "1x1"}))
    places = [COLOURS.index(colour) for colour in colours.values() if colour in COLOURS]
    assert places == sorted(places)
    assert list(colours)[-1] == NO_BRANCH


def test_a_branch_without_cost_makes_nothing_other() -> None:
    kinds = [layer("mix", f"b{n}", 10 + n, 9) for n in range(len(COLOURS))]
    contents = net([*kinds, layer("mix", "idle")])
    assert OTHER_BRANCHES not in {branch_series(contents)["mix", f"b{n}"] for n in range(len(COLOURS))}
    contents = net([*kinds, layer("mix", "light", 1, 1)])
    assert branch_series(contents)["mix", "light"] == OTHER_BRANCHES


def test_plots_of_one_net_and_of_two_colour_a_kind_alike() -> None:
    one = _net({"a": "1x1", "b": "1x1 → 3x3", "c": "pool → 1x1"})
    other = _net({"a": "1x1 → 7x1 → 1x7 → 7x1 → 1x7", "b": "1x1 → 3x3", "c": "name"})
    for contents in (one, other):
        bars = {to_hex(bar.get_facecolor()) for bar in _axes("cost_by_module", contents).patches}
        dots = {line.get_marker(): line.get_color() for line in _axes("reduction_saving", contents).lines}
        assert preferred("1x1 → 3x3") in bars
        assert dots[MARKERS[preferred("1x1 → 3x3")]] == preferred("1x1 → 3x3")


def _axes(name: str, contents: ReportContents) -> Axes:
    with plot_style():
        return MODEL_PLOTS[name].draw(contents, PAGE).axes[0]


def test_every_colour_has_a_marker_of_its_own() -> None:
    assert set(MARKERS) == {*COLOURS, GREYS[OTHER_BRANCHES]}
    assert len(set(MARKERS.values())) == len(MARKERS)
