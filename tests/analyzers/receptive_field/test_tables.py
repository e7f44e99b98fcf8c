"""Fields through look-ups and writes by tables of positions, by hand."""

import pytest
import torch
from support.field_nets import Net
from torch import nn

import inception_lab as il
from inception_lab.analyzers.receptive_field.field import field_of


def extents(function, shape):
    """The status of a net's field and the extent of each unit of a row of them."""
    field = field_of(il.trace(Net(function), shape), "(model)")
    others = (0,) * (len(field.grid) - 1)
    return field.status, [field.extent((unit, *others)) for unit in range(field.grid[0])]


ROW = torch.tensor([4, 1])


WRITES = {
    "index_fill by a number that depends on the input": (
        lambda x: x.index_fill(2, ROW, x[0, 0, 3]),
        [0, 3, 2, 3, 3],
    ),
    "index_fill by a number": (lambda x: x.index_fill(2, ROW, 7.0), [0, None, 2, 3, None]),
    "index_copy": (lambda x: x.index_copy(2, ROW, x[:, :, :2]), [0, 1, 2, 3, 0]),
    "index_add": (
        lambda x: torch.zeros_like(x).index_add(2, ROW, x[:, :, :2]),
        [None, 1, None, None, 0],
    ),
}


@pytest.mark.parametrize(("function", "expected"), WRITES.values(), ids=WRITES)
def test_positions_written_by_a_list(function, expected):
    _, spans = extents(function, (1, 1, 5))
    assert spans == [((0, -1) if pixel is None else (pixel, pixel),) for pixel in expected]


def test_a_table_that_the_data_decides_replaces_its_own_dimension():
    # of 4 rows and 5 columns: each row reads any of its columns, by a table of 4 x 3
    def function(x):
        table = (x[0, 0, 0, :4].abs() * 0).long()[:, None].expand(4, 3)
        return x[:, :, :, table]

    status, spans = extents(function, (1, 2, 4, 5))
    assert status == "bound"
    assert all(first <= row <= last for row, ((first, last), _) in enumerate(spans))
    assert {columns for _, columns in spans} == {(0, 4)}


def test_entries_that_add_to_one_position_are_joined():
    _, spans = extents(
        lambda x: torch.zeros(1, 1, 4).scatter_add(2, torch.tensor([[[3, 0, 3]]]), x), (1, 1, 3)
    )
    assert spans == [((1, 1),), ((0, -1),), ((0, -1),), ((0, 2),)]


def test_a_table_of_zeros_for_each_matrix_of_a_batch():
    # zeros in a whole column of one matrix leave its own channel alone without a number
    table = torch.ones(2, 3, 3).tril()
    table[0, :, 1] = 0

    def extents_of_a_row(channel):
        def function(x, window):
            product = torch.bmm(window(x).reshape(2, 2, 3), table)
            return product.reshape(1, 2, 2, 3)[:, channel : channel + 1]

        net = Net(function, nn.Conv2d(2, 2, 1))
        field = field_of(il.trace(net, (1, 2, 2, 3)), "(model)")
        return [field.extent((1, column)) for column in range(3)]

    assert extents_of_a_row(0) == [((1, 1), (0, 2)), ((0, -1), (0, -1)), ((1, 1), (2, 2))]
    assert extents_of_a_row(1) == [((1, 1), (0, 2)), ((1, 1), (1, 2)), ((1, 1), (2, 2))]
