"""The exact dependence of elements: by hand, and beside sets of pixels for random rows of operations."""

from functools import partial

import numpy as np
import pytest

from inception_lab.analyzers.receptive_field import axis_ops
from inception_lab.analyzers.receptive_field.cells import Cells, Group, groups_of, nothing_of
from inception_lab.analyzers.receptive_field.elements import Elements
from inception_lab.analyzers.receptive_field.joining import MOST_PARTS, as_one
from inception_lab.analyzers.receptive_field.parts import HERE, Whole
from inception_lab.analyzers.receptive_field.placing import pick, put

NOTHING = (0, -1)
REDUCED, SPREAD = Whole(HERE), Whole(HERE, HERE)


def source(*size, channels=1):
    """A source of one sample, each pixel of which sees itself."""
    shape = (1, channels, *size)
    return Elements.identity(shape, range(2, len(shape)))


def spans(elements, element):
    """First and last pixel that an element sees, along each axis."""
    ends = []
    for cells in as_one(elements.parts, elements.shape).cells:
        before, last = cells.data[tuple([element[d] for d in cells.dims])].tolist()
        ends.append(NOTHING if last == nothing_of(cells.data) else (-before, last))
    return tuple(ends)


def row(elements):
    """The spans along the one axis of a source of one axis, position by position of the last dimension."""
    first = (0,) * (len(elements.shape) - 1)
    return [spans(elements, (*first, k))[0] for k in range(elements.shape[-1])]


def window(kernel, stride=1, lead=0):
    """A window and the size that it gives."""

    def apply(elements, dim):
        out = (elements.shape[dim] + 2 * lead - kernel) // stride + 1
        make_op = partial(_window, out, kernel, stride, lead)
        return elements.along(dim, make_op, out)

    return apply


def _window(out, kernel, stride, lead, size):
    return axis_ops.window(size, out, kernel, stride, lead, 1, False)


# ------------------------------------------------------------------------------ cells


def test_groups_of_dimensions_are_the_smallest():
    assert groups_of((2, 6, 1, 5), (2, 3, 10)) == [Group((0,), (0,)), Group((1, 3), (1, 2))]
    assert groups_of((4, 1), (2, 2)) == [Group((0,), (0, 1))]
    assert groups_of((1, 1), (1,)) == []


def test_cells_keep_the_dimensions_alone_along_which_they_differ():
    pixels = Cells((1,), np.arange(6)[:, None])
    copies = pixels.take(1, np.array([[0, 0], [3, 3], [5, 5]]))
    assert copies.dims == (1, 2)
    assert copies.without_repetition((1, 2)).dims == (1,)
    assert copies.without_repetition((1, 2)).data.ravel().tolist() == [0, 3, 5]
    assert pixels.take(1, np.array([4])).dims == ()
    assert pixels.take(0, np.array([[0, 0]])) == Cells((2,), pixels.data)


def test_cells_are_blanked_over_the_dimensions_of_both():
    rows = Cells((0,), np.arange(2)[:, None])
    blank = rows.blank(Cells((1,), np.array([[True], [False]])))
    nothing = nothing_of(rows.data)
    assert blank.dims == (0, 1)
    assert blank.data[..., 0].tolist() == [[nothing, 0], [nothing, 1]]


def test_a_mask_lies_in_the_last_dimensions():
    mask = Cells.of_mask(np.array([[[True]], [[False]]]), 4)
    assert (mask.dims, mask.data.tolist()) == ((1,), [[1], [0]])


def test_a_column_is_the_maximum_of_the_rows_that_it_has_numbers_in():
    cells = Cells((2,), np.array([[1], [5], [3]]))
    pattern = np.array([[True, False], [False, False], [True, True]])
    assert cells.times(pattern, (2, 4, 3)).data.ravel().tolist() == [3, 3]
    batch = np.stack([pattern, ~pattern])
    product = cells.times(batch, (2, 4, 3))
    assert product.dims == (0, 2)
    assert product.data[..., 0].tolist() == [[3, 3], [5, 5]]


# ------------------------------------------------------------------------------ elements, by hand


def test_a_plain_part_has_an_entry_for_each_row_and_each_column():
    (part,) = window(3, lead=1)(source(4, 5, channels=7), 2).parts
    assert [cells.dims for cells in part.cells] == [(2,), (3,)]
    assert [cells.data.shape for cells in part.cells] == [(4, 2), (5, 2)]


def test_windows_and_padding():
    narrow = window(3, stride=2, lead=1)(source(7), 2)
    assert row(narrow) == [(0, 1), (1, 3), (3, 5), (5, 6)]
    padded = source(3).along(2, partial(axis_ops.zero_padding, lead=1, trail=2), 6)
    assert row(padded) == [NOTHING, (0, 0), (1, 1), (2, 2), NOTHING, NOTHING]
    assert padded.parts[0].has_gaps


def test_a_union_is_that_of_the_spans():
    x = source(6)
    shifted = x.take(2, np.array([2, 3, 4, 5, -1, -1]))
    assert row(Elements.union([x, shifted], x.shape)) == [(0, 2), (1, 3), (2, 4), (3, 5), (4, 4), (5, 5)]


def test_parts_stay_apart_where_a_box_around_both_would_claim_pixels_of_neither():
    # columns 1 and 2 of the one part, row 2 alone: the box of both would have columns of other rows too
    x = source(3, 4)
    columns = x.take(3, np.array([1, 2, -1, -1]))
    rows = x.take(2, np.array([2, -1, -1]))
    both = Elements.union([columns, rows], x.shape)
    assert len(both.parts) == 2
    assert spans(both, (0, 0, 0, 0)) == ((0, 2), (0, 1))
    assert spans(both, (0, 0, 1, 3)) == (NOTHING, NOTHING)
    assert spans(both, (0, 0, 1, 0)) == ((1, 1), (1, 1))
    assert spans(both, (0, 0, 0, 3)) == ((2, 2), (3, 3))


def test_many_parts_become_one_with_the_same_spans():
    x = source(5, 6)
    pieces = [x.take(3, np.where(np.arange(6) == k, 5 - k, -1)) for k in range(MOST_PARTS + 2)]
    both = Elements.union([*pieces, x.take(2, np.array([4, -1, -1, -1, -1]))], x.shape)
    assert len(both.parts) <= MOST_PARTS
    assert spans(both, (0, 0, 1, 1)) == ((1, 1), (4, 4))
    assert spans(both, (0, 0, 0, 0)) == ((0, 4), (0, 5))


def test_an_axis_reduced_over_is_seen_whole():
    x = source(4, 5)
    columns = x.collapse([2])
    (part,) = columns.parts
    assert part.whole == (frozenset({REDUCED}), None)
    assert spans(columns, (0, 0, 0, 2)) == ((0, 3), (2, 2))
    assert columns.collapse([0, 1]).parts[0].whole == part.whole
    assert source(1, 5).collapse([2]).parts[0].whole == (None, None)


def test_a_statistic_spread_over_its_own_axis_is_a_part_of_its_own():
    x = source(4, 5)
    gated = Elements.union([x, x.collapse([2])], x.shape)
    assert [part.whole[0] for part in gated.parts] == [None, {SPREAD}]
    assert gated.within(7).parts[-1].whole[0] == {Whole(7, 7)}
    assert spans(gated, (0, 0, 1, 2)) == ((0, 3), (2, 2))


def test_slices_of_an_axis_that_are_reduced_are_local_in_the_whole_of_it():
    x = source(6)
    halves = [pick(x, 2, np.arange(start, start + 3)).collapse([2]) for start in (0, 3)]
    both = Elements.concatenated(halves, 2)
    assert row(both) == [(0, 2), (3, 5)]


def test_a_view_splits_and_joins_dimensions():
    x = source(6)
    pairs = x.reshape([1, 3, 2])
    assert spans(pairs, (0, 1, 1)) == ((3, 3),)
    assert row(pairs.permute([0, 2, 1]).reshape([1, 1, 6])) == [(k, k) for k in (0, 2, 4, 1, 3, 5)]
    assert row(pairs.collapse([2]).spread(2, 2).reshape([1, 1, 6])) == [
        (k // 2 * 2, k // 2 * 2 + 1) for k in range(6)
    ]
    assert row(x.reshape([1, 1, 6, 1]).drop([3])) == row(x)


def test_a_table_of_two_dimensions_makes_windows():
    windows = source(5).take(2, np.array([[0, 1], [2, 3], [4, -1]]))
    assert windows.shape == (1, 1, 3, 2)
    assert row(windows.collapse([3]).drop([3])) == [(0, 1), (2, 3), (4, 4)]
    assert spans(windows, (0, 0, 2, 1)) == (NOTHING,)


def test_each_position_and_all_before_it():
    assert row(source(4).take(2, np.array([1, 3, 0, 2])).accumulate(2)) == [(1, 1), (1, 3), (0, 3), (0, 3)]


def test_masked_elements_see_nothing_and_a_softmax_leaves_them_out():
    x = source(2, 3)
    table = np.array([[False, True, False], [False, False, True]])
    hidden = x.masked(table, "-inf")
    assert spans(hidden, (0, 0, 0, 1)) == (NOTHING, NOTHING)
    assert spans(hidden, (0, 0, 1, 1)) == ((1, 1), (1, 1))
    mixed = Elements.union([hidden, hidden.collapse([3])], x.shape)
    softmax = hidden.masked_as(mixed)
    assert softmax.nonzero().tolist() == (~table).tolist()
    assert spans(softmax, (0, 0, 1, 0)) == ((1, 1), (0, 1))
    assert hidden.keeps(("0",)).fill is None
    assert hidden.nonzero() is None


def test_pieces_side_by_side():
    x = source(3)
    beside = Elements.concatenated([x, 2, window(2)(x, 2)], 2)
    assert row(beside) == [(0, 0), (1, 1), (2, 2), NOTHING, NOTHING, (0, 1), (1, 2)]
    channels = Elements.concatenated([x, window(3, lead=1)(x, 2), 1], 1)
    assert [spans(channels, (0, c, 0)) for c in range(3)] == [((0, 0),), ((0, 1),), (NOTHING,)]


def test_positions_written_over():
    x = source(5)
    written = put(x, x.take(2, np.array([0, 0])), 2, np.array([4, 1]), 5)
    assert row(written) == [(0, 0), (0, 0), (2, 2), (3, 3), (0, 0)]
    assert row(put(None, x, 2, np.array([1, 3, 4, 6, 7]), 8)) == [
        (k, k) if k >= 0 else NOTHING for k in (-1, 0, -1, 1, 2, -1, 3, 4)
    ]
    assert row(put(x, None, 2, np.array([2]), 5))[2] == NOTHING
    assert put(None, None, 2, np.array([2]), 5) is None


def test_groups_of_channels():
    x = source(4, channels=4)
    channels = [x.take(1, np.array([c])).take(2, np.roll(np.arange(4), c)) for c in range(4)]
    own = Elements.concatenated(channels, 1)
    mixed = own.mix_channels(2, 2)
    assert mixed.shape == (1, 2, 4)
    assert [spans(mixed, (0, group, 1)) for group in range(2)] == [((0, 1),), ((2, 3),)]
    assert spans(own.mix_channels(1, 3), (0, 2, 1)) == ((0, 3),)


def test_a_column_of_one_matrix_without_a_number():
    # of 2 matrices for 3 rows each: what has no number in the first is blank in the first alone
    x = source(3).reshape([1, 1, 3]).take(1, np.zeros((2, 3), np.int64)).drop([0])
    pattern = np.ones((2, 3, 3), np.bool_)
    pattern[0, :, 1] = False
    product = x.times(pattern)
    assert [spans(product, (batch, 2, 1)) for batch in range(2)] == [(NOTHING,), ((0, 2),)]
    assert spans(product, (0, 1, 0)) == ((0, 2),)


def test_a_pixel_reaches_the_windows_that_hold_it():
    reached = window(3)(Elements.reach((1, 1, 5), (2,), [slice(2, 3)]), 2)
    (cells,) = as_one(reached.parts, reached.shape).cells
    data = cells.over((2,), reached.shape)[..., 0]
    assert (data != nothing_of(data)).tolist() == [True, True, True]
    outside = window(2)(Elements.reach((1, 1, 5), (2,), [slice(0, 1)]), 2)
    (cells,) = as_one(outside.parts, outside.shape).cells
    assert (cells.data[..., 0] != nothing_of(cells.data)).tolist() == [True, False, False, False]


# ------------------------------------------------------------------------------ beside sets of pixels

MOST_ELEMENTS = 400


class Sets:
    """The pixels that each element sees, one by one, beside what is followed of them."""

    def __init__(self, elements, pixels):
        self.elements, self.pixels = elements, pixels
        assert elements.shape == pixels.shape[: pixels.ndim - 2], (elements.shape, pixels.shape)

    @classmethod
    def of_source(cls, channels, height, width):
        itself = np.eye(height * width, dtype=np.bool_).reshape(1, 1, height, width, height, width)
        return cls(source(height, width, channels=channels), np.repeat(itself, channels, 1))

    @classmethod
    def of_pixel(cls, row, column, channels, height, width):
        """All that is followed is what one pixel reaches."""
        pixels = cls.of_source(channels, height, width).pixels
        box = (slice(row, row + 1), slice(column, column + 1))
        return cls(Elements.reach((1, channels, height, width), (2, 3), box), pixels)

    @property
    def shape(self):
        return self.elements.shape


def hulls(pixels):
    """First and last pixel of each element's set along both axes, -1 and 0 where it is empty."""
    along = []
    for axis in (-1, -2):
        lines = pixels.any(axis=axis)
        first, last = lines.argmax(-1), lines.shape[-1] - 1 - lines[..., ::-1].argmax(-1)
        empty = ~lines.any(-1)
        along.append(np.stack([np.where(empty, 0, first), np.where(empty, -1, last)], -1))
    return along


def followed_hulls(elements):
    dims = list(range(len(elements.shape)))
    along = []
    for cells in as_one(elements.parts, elements.shape).cells:
        data = cells.over(dims, elements.shape)
        empty = data[..., :1] == nothing_of(data)
        along.append(np.where(empty, (0, -1), data * (-1, 1)))
    return along


def any_dim(rng, state, least=1):
    dims = [d for d, n in enumerate(state.shape) if n >= least]
    return int(rng.choice(dims)) if dims else None


def slide(rng, state, _):
    dim = any_dim(rng, state, 2)
    if dim is None:
        return state
    kernel, stride, lead = 2 + int(rng.integers(2)), 1 + int(rng.integers(2)), int(rng.integers(3))
    out = (state.shape[dim] + 2 * lead - kernel) // stride + 1
    if out < 1:
        return state
    op = axis_ops.window(state.shape[dim], out, kernel, stride, lead, 1, False)
    return Sets(state.elements.along(dim, lambda _: op, out), read(state.pixels, dim, op.taps).any(dim + 1))


def read(pixels, dim, table):
    """Positions of a dimension by a table, nothing where that is -1."""
    padded = np.concatenate([pixels, np.zeros_like(pixels.take([0], dim))], dim)
    return np.take(padded, table, axis=dim)


def look_up(rng, state, _):
    dim = any_dim(rng, state)
    table = rng.integers(-1, state.shape[dim], [(3,), (4,), (2, 2)][rng.integers(3)])
    return Sets(state.elements.take(dim, table), read(state.pixels, dim, table))


def reduce(rng, state, _):
    dims = [d for d in range(len(state.shape)) if rng.integers(4) == 0]
    pixels = state.pixels.any(tuple(dims), keepdims=True) if dims else state.pixels
    return Sets(state.elements.collapse(dims), pixels)


def repeat(rng, state, _):
    single = [d for d, n in enumerate(state.shape) if n == 1]
    if not single:
        return state
    dim, size = int(rng.choice(single)), 2
    return Sets(state.elements.spread(dim, size), np.repeat(state.pixels, size, dim))


def turn(rng, state, _):
    order = [int(d) for d in rng.permutation(len(state.shape))]
    return Sets(state.elements.permute(order), state.pixels.transpose(*order, len(order), len(order) + 1))


def view(rng, state, _):
    """Two neighbouring dimensions as one, or one as two."""
    shape = list(state.shape)
    dim = int(rng.integers(len(shape)))
    if rng.integers(2) and dim + 1 < len(shape):
        shape[dim : dim + 2] = [shape[dim] * shape[dim + 1]]
    elif shape[dim] % 2 == 0:
        shape[dim : dim + 1] = [shape[dim] // 2, 2] if rng.integers(2) else [2, shape[dim] // 2]
    return Sets(state.elements.reshape(shape), state.pixels.reshape(*shape, *state.pixels.shape[-2:]))


def accumulate(rng, state, _):
    dim = any_dim(rng, state)
    return Sets(state.elements.accumulate(dim), np.logical_or.accumulate(state.pixels, axis=dim))


def hide(rng, state, _):
    rank = int(rng.integers(1, len(state.shape) + 1))
    sizes = [n if rng.integers(2) else 1 for n in state.shape[-rank:]]
    blank = rng.random(sizes) < 0.3
    pixels = state.pixels & ~blank[..., None, None]
    return Sets(state.elements.masked(blank, None), pixels)


def multiply(rng, state, _):
    if len(state.shape) < 2:
        return state
    leading = [n if rng.integers(2) else 1 for n in state.shape[:-2]] if rng.integers(2) else []
    pattern = rng.random((*leading, state.shape[-1], 3)) < 0.5
    product = np.einsum("...nrhw,...rc->...nchw", state.pixels.astype(int), pattern.astype(int)) > 0
    if pattern.all():
        return state
    return Sets(state.elements.times(pattern), product)


def add(rng, state, earlier):
    """The sum with an earlier value of as many dimensions, where it fits."""
    fitting = [e for e in earlier if len(e.shape) == len(state.shape) and fits(e.shape, state.shape)]
    if not fitting:
        return state
    other = fitting[rng.integers(len(fitting))]
    shape = np.broadcast_shapes(other.shape, state.shape)
    return Sets(Elements.union([state.elements, other.elements], shape), state.pixels | other.pixels)


def fits(one, other):
    return all(1 in (a, b) or a == b for a, b in zip(one, other, strict=True))


def put_beside(rng, state, earlier):
    dim = any_dim(rng, state)
    others = [n for d, n in enumerate(state.shape) if d != dim]
    beside = [e for e in earlier if [n for d, n in enumerate(e.shape) if d != dim] == others]
    beside = [e for e in beside if len(e.shape) == len(state.shape)]
    other = beside[rng.integers(len(beside))] if beside else state
    gap = int(rng.integers(2))
    sizes = list(state.pixels.shape)
    sizes[dim] = gap
    pixels = np.concatenate([other.pixels, np.zeros(sizes, np.bool_), state.pixels], dim)
    return Sets(Elements.concatenated([other.elements, gap, state.elements], dim), pixels)


def overwrite(rng, state, _):
    dim = any_dim(rng, state)
    size = state.shape[dim]
    places, rows = rng.permutation(size)[: size // 2 + 1], rng.integers(0, size, size // 2 + 1)
    pixels = state.pixels.copy()
    np.moveaxis(pixels, dim, 0)[places] = np.moveaxis(state.pixels, dim, 0)[rows]
    elements = put(state.elements, state.elements.take(dim, rows), dim, places, size)
    return Sets(elements, pixels)


OPERATIONS = (
    slide,
    look_up,
    reduce,
    repeat,
    turn,
    view,
    accumulate,
    hide,
    multiply,
    add,
    put_beside,
    overwrite,
)


def random_states(seed, start):
    """A value after each of a row of random operations; the same row for every start of one shape."""
    rng = np.random.default_rng(seed)
    state = start(int(rng.integers(1, 3)), 4, 3 + int(rng.integers(3)))
    earlier, names = [state], []
    for _ in range(14):
        operation = OPERATIONS[rng.integers(len(OPERATIONS))]
        new = operation(rng, state, earlier)
        if not 0 < np.prod(new.shape) <= MOST_ELEMENTS or len(new.shape) > 6:
            continue
        state = new
        earlier.append(state)
        names.append(operation.__name__)
        yield state, " > ".join(names)


@pytest.mark.parametrize("seed", range(60))
def test_random_operations_see_the_hull_of_the_pixels_that_sets_hold(seed):
    for state, names in random_states(seed, Sets.of_source):
        for expected, actual in zip(hulls(state.pixels), followed_hulls(state.elements), strict=True):
            np.testing.assert_array_equal(actual, expected, names)


@pytest.mark.parametrize("seed", range(30))
def test_random_operations_are_reached_by_a_pixel_as_sets_hold_it(seed):
    for state, names in random_states(seed, partial(Sets.of_pixel, 1, 2)):
        (cells,) = as_one(state.elements.parts, state.shape).cells
        data = cells.over(list(range(len(state.shape))), state.shape)[..., 0]
        np.testing.assert_array_equal(data != nothing_of(data), state.pixels[..., 1, 2], names)
