"""The caching allocator: requests followed by hand, and what must hold of any."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import inception_lab as il
from inception_lab.analyzers.memory.cuda_allocator import (
    MIB,
    SMALL,
    CachingAllocator,
    OutOfMemory,
    reserved_memory,
)


@pytest.fixture
def allocator():
    return CachingAllocator()


class TestByHand:
    @pytest.mark.parametrize(
        ("size", "allocated", "reserved"),
        [
            (1, 512, 2 * MIB),
            (513, 1024, 2 * MIB),
            (MIB, MIB, 2 * MIB),
            (MIB + 1, MIB + 512, 20 * MIB),
            (10 * MIB - 512, 10 * MIB - 512, 20 * MIB),
            (10 * MIB, 10 * MIB, 10 * MIB),
            (10 * MIB + 1, 10 * MIB + 512, 12 * MIB),
            (11 * MIB, 12 * MIB, 12 * MIB),
        ],
    )
    def test_one_request(self, allocator, size, allocated, reserved):
        """More than 1 MiB that is left over stays free, as of the last but one; 1 MiB goes with the block."""
        allocator.allocate(size)
        assert (allocator.allocated_bytes, allocator.reserved_bytes) == (allocated, reserved)

    def test_small_requests_share_a_segment(self, allocator):
        for _ in range(4):
            allocator.allocate(MIB // 2)
        assert allocator.reserved_bytes == 2 * MIB
        allocator.allocate(1)
        assert allocator.reserved_bytes == 4 * MIB

    def test_small_and_large_requests_do_not_mix(self, allocator):
        allocator.free(allocator.allocate(16 * MIB))
        allocator.allocate(MIB)
        assert allocator.reserved_bytes == 18 * MIB

    def test_the_smallest_block_that_holds_a_request_is_taken(self, allocator):
        large, small = allocator.allocate(40 * MIB), allocator.allocate(30 * MIB)
        allocator.free(large)
        allocator.free(small)
        assert allocator.allocate(20 * MIB) == small
        assert allocator.allocate(40 * MIB) == large
        assert allocator.reserved_bytes == 70 * MIB

    def test_neighbours_become_one_again(self, allocator):
        first, second, third = (allocator.allocate(6 * MIB) for _ in range(3))
        for address in (first, third, second):
            allocator.free(address)
        assert allocator.allocate(20 * MIB) == first
        assert allocator.reserved_bytes == 20 * MIB

    def test_a_limit_is_kept_by_giving_back_what_is_free_as_a_whole(self):
        allocator = CachingAllocator(limit=40 * MIB)
        first = allocator.allocate(12 * MIB)
        allocator.free(allocator.allocate(20 * MIB))
        assert allocator.allocate(24 * MIB) != first
        assert allocator.reserved_bytes == 36 * MIB
        with pytest.raises(OutOfMemory):
            allocator.allocate(12 * MIB)

    def test_holes_serve_nothing_larger(self, allocator):
        blocks = [allocator.allocate(5 * MIB) for _ in range(4)]
        allocator.free(blocks[0])
        allocator.free(blocks[2])
        allocator.allocate(8 * MIB)
        assert allocator.reserved_bytes == 40 * MIB


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 30 * MIB) | st.integers(1, 2 * SMALL), st.booleans()), max_size=60))
def test_blocks_never_overlap_and_everything_can_be_given_back(requests):
    allocator, sizes = CachingAllocator(), {}
    for size, then_free in requests:
        address = allocator.allocate(size)
        assert address % 512 == 0
        assert all(address >= at + length or address + size <= at for at, length in sizes.items())
        assert address + size <= allocator.reserved_bytes
        sizes[address] = size
        if then_free:
            at = sorted(sizes)[len(sizes) // 2]
            allocator.free(at)
            del sizes[at]
    assert sum(sizes.values()) <= allocator.allocated_bytes <= allocator.reserved_bytes
    for address in sizes:
        allocator.free(address)
    assert allocator.allocated_bytes == 0
    reserved = allocator.reserved_bytes
    for size, _ in requests[:1]:
        allocator.allocate(size)
    assert allocator.reserved_bytes == reserved


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_what_a_step_reserves(mode):
    trace = il.trace(il.create_model("googlenet_bn", device="meta"), (4, 3, 224, 224), mode=mode)
    peak = il.peak_memory(trace, "cuda").peak_bytes
    reserved = reserved_memory(trace)
    assert reserved % (2 * MIB) == 0
    assert peak <= reserved <= 1.5 * peak
    assert reserved_memory(trace, limit=reserved) == reserved
    with pytest.raises(OutOfMemory, match="are not enough"):
        reserved_memory(trace, limit=peak - 1)
