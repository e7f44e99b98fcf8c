"""Regions of storages against sets of bytes."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from inception_lab.ir.trace import Value
from inception_lab.measure.roofline import regions
from inception_lab.measure.roofline.regions import region_of


def bytes_in(region):
    return {byte for start, end in region.tolist() for byte in range(start, end)}


axes = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=4)
values = st.builds(
    lambda axes, offset, dtype: Value(
        0, 0, None, tuple(n for n, _ in axes), tuple(s for _, s in axes), offset, dtype
    ),
    axes,
    st.integers(0, 20),
    st.sampled_from(["float32", "int64", "bool", "bfloat16"]),
)


@given(values)
def test_a_region_is_the_bytes_of_the_elements(value):
    storage = torch.arange(200)
    elements = torch.as_strided(storage, value.shape, value.strides, value.offset).flatten().tolist()
    item = getattr(torch, value.dtype).itemsize
    expected = {item * element + byte for element in elements for byte in range(item)}
    region = region_of(value)
    assert bytes_in(region) == expected
    assert regions.size_of(region) == len(expected)
    starts, ends = region[:, 0].tolist(), region[:, 1].tolist()
    assert all(end < start for end, start in zip(ends, starts[1:], strict=False))


@given(values, values, st.integers(0, 100))
def test_sets_of_bytes(one, other, size):
    a, b = region_of(one), region_of(other)
    assert bytes_in(regions.union(a, b)) == bytes_in(a) | bytes_in(b)
    assert bytes_in(regions.intersection(a, b)) == bytes_in(a) & bytes_in(b)
    assert bytes_in(regions.difference(a, b)) == bytes_in(a) - bytes_in(b)
    assert bytes_in(regions.prefix(a, size)) == set(sorted(bytes_in(a))[:size])
