"""Field, stride and padding of the extents of units along an axis, by hand."""

from fractions import Fraction

import numpy as np
import pytest

from inception_lab.analyzers.receptive_field.axis_field import AxisField
from inception_lab.analyzers.receptive_field.axis_layout import Geometry
from inception_lab.analyzers.receptive_field.axis_maps import Interior, Interiors
from inception_lab.analyzers.receptive_field.cells import Cells, nothing_of
from inception_lab.analyzers.receptive_field.digits import axis_dim
from inception_lab.analyzers.receptive_field.numbers import Followed, numbers_of
from inception_lab.analyzers.receptive_field.spans import Span

NOTHING = (0, -1)


def along(*ends):
    """Units along one axis that see these pixels."""
    data = np.array([(-first, last) for first, last in ends])
    data[[end == NOTHING for end in ends]] = nothing_of(data)
    cells = Cells((0,), data)
    return AxisField(cells, cells, None, 0, len(ends))


def windows(count, field, stride, padding, size):
    rows = [(k * stride - padding, k * stride - padding + field - 1) for k in range(count)]
    return along(*[(max(first, 0), min(last, size - 1)) for first, last in rows])


def followed(count, first, last, stride, bound_reason=""):
    numbers = Interiors(Span((first,), (last,), stride), count)
    return Followed.of_units(Geometry((axis_dim(count, 0),), (numbers,), bound_reason))


@pytest.mark.parametrize(
    ("count", "field", "stride", "padding", "size"), [(6, 3, 2, 1, 12), (9, 1, 1, 0, 9), (4, 5, 4, 2, 16)]
)
def test_the_extents_alone_show_the_numbers(count, field, stride, padding, size):
    numbers = numbers_of(None, windows(count, field, stride, padding, size), size)
    assert numbers == Interior(field, Fraction(stride), Fraction(padding))


def test_uneven_units_have_no_numbers():
    assert numbers_of(None, along((1, 2), (2, 3), (5, 6)), 9) is None
    assert numbers_of(None, along((1, 2), (2, 4), (3, 4)), 9) is None
    # a single unit, or two with one between that sees an edge, have no stride
    assert numbers_of(None, along((1, 2)), 9) is None
    assert numbers_of(None, along((1, 2), (0, 3), (3, 4)), 9) is None
    assert numbers_of(None, along((5, 6), (3, 4), (1, 2)), 9) is None


def test_numbers_of_operations_hold_where_the_extents_agree():
    units = windows(5, 7, 2, 3, 9)
    assert numbers_of(followed(5, -3, 3, 2), units, 9) == Interior(7, Fraction(2), Fraction(3))
    # a bound needs two units with a whole window, of which there is one
    assert numbers_of(followed(5, -3, 3, 2, "a bound"), units, 9) is None


def test_numbers_that_disagree_with_the_extents_are_those_of_the_extents():
    units = windows(8, 3, 1, 0, 10)
    assert numbers_of(followed(8, 1, 1, 1), units, 10) == Interior(3, Fraction(1), Fraction(0))


def test_units_that_see_less_leave_certain_numbers_as_they_are():
    units = along((0, 1), NOTHING, (2, 2), (3, 4), (4, 5))
    assert numbers_of(followed(5, 0, 1, 1), units, 6) == Interior(2, Fraction(1), Fraction(0))
