"""The names below a panel of columns: which are written, where, and which are counted."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_lab.report.plots.columns import Run, runs_of
from inception_lab.report.plots.fitting import text_width
from inception_lab.report.plots.module_names import (
    FEWEST_FOLDED,
    Label,
    Names,
    folded,
    moved_apart,
    names_below,
)
from inception_lab.report.plots.style import SMALL
from inception_lab.report.plots.wording import TIMES

WIDTH, BESIDE, DASH = 7.5, 0.1, "\N{EN DASH}"
PATHS = st.lists(
    st.one_of(
        st.builds("stage{}.block{}".format, st.integers(0, 3), st.integers(0, 30)),
        st.builds("{}".format, st.integers(0, 99)),
        st.text("abcdef_.", min_size=1, max_size=60).filter(lambda path: path.strip("._")),
    ),
    min_size=1,
    max_size=300,
)


def _names(modules: list[str], longest: float = 1.6) -> Names:
    return names_below(runs_of(modules), WIDTH / len(modules), longest)


def _extent(label: Label) -> tuple[float, float]:
    half = (text_width(label.text, SMALL) if label.is_level else 0.12) / 2
    return label.place - half, label.place + half


def _count(label: Label) -> int:
    """The number of modules that a label stands for."""
    return (
        int(label.text.rpartition("\N{MULTIPLICATION SIGN}")[2])
        if " \N{MULTIPLICATION SIGN}" in label.text
        else 1
    )


@given(PATHS)
def test_names_keep_apart_and_within_the_panel(modules: list[str]) -> None:
    extents = [_extent(label) for label in _names(modules).labels]
    assert all(end <= start + 1e-9 for (_, end), (start, _) in pairwise(extents))
    assert all(start >= -BESIDE - 0.01 for start, _ in extents)
    assert all(end <= WIDTH + BESIDE + 0.01 for _, end in extents)


@given(PATHS)
def test_every_column_is_named_or_its_module_is_counted(modules: list[str]) -> None:
    names = _names(modules)
    covered = sum(label.end - label.start for label in names.labels)
    assert (covered == pytest.approx(WIDTH)) == (names.left_out == 0)
    assert bool(names.note) == bool(names.left_out)
    assert str(names.left_out) in names.note or not names.left_out


@pytest.mark.parametrize("count", [1, 2, 9, 40, 500])
def test_blocks_of_a_number_are_named_or_counted_one_by_one(count: int) -> None:
    names = _names([f"block{number}" for number in range(count)])
    assert sum(map(_count, names.labels)) + names.left_out == count
    assert names.left_out == 0


def test_blocks_within_blocks_share_the_name_of_the_outer_ones() -> None:
    modules = [f"block_{n}{part}" for n in range(40) for part in (".branches", ".branches", "")]
    assert [label.text for label in _names(["stem", *modules]).labels] == [
        "stem",
        f"block_0{DASH}39 {TIMES}40",
    ]


def test_names_that_fit_are_written_as_they_are() -> None:
    labels = _names(["stem", *["mix0"] * 5, *["mix1"] * 5, *["mix2"] * 5]).labels
    assert [(label.text, label.is_level) for label in labels] == [
        ("stem", True), ("mix0", True), ("mix1", True), ("mix2", True)
    ]  # fmt: skip


def test_irregular_names_that_are_too_many_are_counted() -> None:
    modules = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(400)]
    names = _names(modules)
    assert names.left_out == 400 - len(names.labels) > 300
    assert names.note == f"no room for the names of {names.left_out} more modules"


def test_columns_without_a_module_have_no_name() -> None:
    names = names_below([Run("", 0, 5), Run("a", 5, 9), Run("", 9, 12)], 0.5, 1.6)
    assert [(label.text, label.start, label.end) for label in names.labels] == [("a", 2.5, 4.5)]
    assert (
        names_below([Run("", 0, 5)], 0.5, 1.6).labels == ()
        or not names_below([Run("", 0, 5)], 0.5, 1.6).labels
    )


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["b1", "b2", "b3"], [f"b1{DASH}3 {TIMES}3"]),
        (["b3", "b2", "b1"], [f"b3{DASH}1 {TIMES}3"]),
        (["b1", "b2"], ["b1", "b2"]),
        (["b1", "b2", "b1"], ["b1", "b2", "b1"]),
        (["s1.b1", "s1.b2", "s2.b1", "s2.b2"], ["s1.b1", "s1.b2", "s2.b1", "s2.b2"]),
        (["s1.b1", "s1.b2", "s1.b3", "s2.b1"], [f"s1.b1{DASH}3 {TIMES}3", "s2.b1"]),
        (["0", "1", "2", "3"], [f"0{DASH}3 {TIMES}4"]),
        (["a", "b", "c"], ["a", "b", "c"]),
    ],
)
def test_neighbours_that_differ_in_one_rising_or_falling_number_fold(
    names: list[str], shown: list[str]
) -> None:
    assert FEWEST_FOLDED == 3
    assert [run.module for run in folded([Run(name, n, n + 1) for n, name in enumerate(names)])] == shown


def test_blocks_apart_do_not_fold() -> None:
    runs = [Run("b1", 0, 1), Run("b2", 1, 2), Run("b3", 3, 4)]
    assert folded(runs) == runs


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.01, 1)), min_size=1, max_size=9))
def test_things_move_apart_no_further_than_they_must(things: list[tuple[float, float]]) -> None:
    places, sizes = [sorted(place for place, _ in things), [size for _, size in things]]
    moved = moved_apart(places, sizes, -20, 30)
    for (one, half), (other, next_half) in pairwise(zip(moved, sizes, strict=True)):
        assert other - one >= (half + next_half) / 2 - 1e-9
    if all(b - a >= (s + t) / 2 for (a, s), (b, t) in pairwise(zip(places, sizes, strict=True))):
        assert moved == pytest.approx(places)
    # groups of things that touch stand around their mean: nothing is gained by moving one as a whole
    groups: list[list[int]] = [[0]]
    for number, ((one, half), (other, next_half)) in enumerate(pairwise(zip(moved, sizes, strict=True)), 1):
        if other - one <= (half + next_half) / 2 + 1e-9:
            groups[-1].append(number)
        else:
            groups.append([number])
    for group in groups:
        assert sum(moved[n] - places[n] for n in group) == pytest.approx(0, abs=1e-6)
