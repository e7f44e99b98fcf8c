"""Layouts against the tensors they stand for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inception_lab.ir.strides import row_major
from inception_lab.running.layouts import dense_layout, intern_layout, layout_of

shapes = st.lists(st.integers(0, 5), max_size=5)
dtypes = st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool])


@given(shapes)
def test_row_major_strides_are_those_of_torch(shape):
    assert row_major(shape) == torch.empty(shape, device="meta").stride()


@given(shapes, dtypes, st.randoms(use_true_random=False))
def test_a_layout_says_what_its_tensor_says(shape, dtype, random):
    axes = random.sample(range(len(shape)), len(shape))
    x = torch.empty(shape, dtype=dtype, device="meta").permute(axes)
    layout = layout_of(x)
    assert (layout.shape, layout.strides, layout.dtype, layout.device.type) == (
        tuple(x.shape), x.stride(), dtype, "meta",
    )  # fmt: skip
    assert layout.numel == x.numel()
    assert layout.nbytes == x.numel() * x.element_size()
    assert f"torch.{layout.dtype_name}" == str(dtype)


@given(shapes, dtypes)
def test_dense_means_the_strides_of_a_new_tensor(shape, dtype):
    assert dense_layout(shape, dtype).dense
    assert dense_layout(shape, dtype) is layout_of(torch.empty(shape, dtype=dtype, device="meta"))


def test_other_strides_are_not_dense():
    x = torch.empty(2, 3, 4, 4, device="meta")
    assert not layout_of(x.contiguous(memory_format=torch.channels_last)).dense
    assert not layout_of(x.transpose(2, 3)).dense
    assert not layout_of(x[:, :1].expand_as(x)).dense


def test_equal_layouts_are_one_object_and_different_ones_are_not():
    shape = (2, 3)
    same = [layout_of(torch.zeros(shape)), layout_of(torch.ones(shape)), layout_of(torch.zeros(3, 3)[1:])]
    assert len(set(map(id, same))) == 1
    others = [
        layout_of(torch.zeros(3, 2).t()),
        layout_of(torch.zeros(shape, dtype=torch.float64)),
        layout_of(torch.zeros(shape, device="meta")),
        layout_of(torch.zeros(3, 2)),
    ]
    assert len({id(layout) for layout in [same[0], *others]}) == 5


def test_the_shape_is_a_bare_tuple():
    layout = intern_layout(torch.Size([7, 11, 13]), (143, 13, 1), torch.float32, "meta")
    assert type(layout.shape) is tuple
    assert type(layout_of(torch.empty(17, 19, device="meta")).shape) is tuple


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_make_gives_a_tensor_of_this_layout_alone_in_its_storage(device):
    layout = layout_of(torch.empty(2, 3, 4, device=device).transpose(0, 2))
    tensor = layout.make()
    assert layout_of(tensor) is layout
    assert tensor.storage_offset() == 0
    assert tensor.untyped_storage().nbytes() == layout.nbytes
    assert tensor.untyped_storage()._cdata != layout.make().untyped_storage()._cdata
