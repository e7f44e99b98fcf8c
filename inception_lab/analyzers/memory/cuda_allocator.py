"""PyTorch's caching allocator on CUDA, followed block by block: what it reserves for what is allocated."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from inception_lab.analyzers.memory.devices import CUDA_BLOCK, on_device
from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Storage, Trace

# the names in c10/cuda/CUDACachingAllocator.cpp are kSmallSize, kSmallBuffer, kMinLargeAlloc, kLargeBuffer
# and kRoundLarge
MIB = 2**20
SMALL = MIB
"""The largest request that is served from small segments."""
SMALL_SEGMENT = 2 * MIB
MIDDLE = 10 * MIB
"""Requests below it share segments of their own size."""
MIDDLE_SEGMENT = 20 * MIB
SEGMENT_STEP = 2 * MIB
"""Larger requests have a segment of their own, a multiple of this."""
ByOperation = Mapping[int | None, list[Storage]]

STEPS = 3
"""From the third step on, the segments of the steps before serve nearly all requests."""


@dataclass(slots=True)
class _Block:
    """A stretch of a segment.

    Attributes:
        address: Where it begins.
        size: Bytes.
        small: True where its segment serves small requests.
        before: The block before it in the segment.
        after: The block after it.
        free: True where it is not allocated.
    """

    address: int
    size: int
    small: bool
    before: _Block | None = None
    after: _Block | None = None
    free: bool = False

    @property
    def is_segment(self) -> bool:
        """True where nothing else is in its segment."""
        return self.before is None and self.after is None


class OutOfMemory(InceptionLabError):  # noqa: N818 - as everybody calls it
    """The allocator may not reserve what a request needs."""


class CachingAllocator:
    """The allocator for one stream, with its default settings (c10/cuda/CUDACachingAllocator.cpp).

    A request takes the smallest free block that holds it, at the lowest address; what is left of the block
    stays free where it is large enough. Where no block holds it, a segment is reserved; and where the limit
    forbids that, all segments of which no part is allocated are released first.

    Args:
        limit: The most bytes that it may reserve.

    Attributes:
        reserved_bytes: Of all segments.
        max_reserved_bytes: The most that they have been.
        allocated_bytes: Of the blocks that are not free.

    Example:
        >>> allocator = CachingAllocator()
        >>> first, second = allocator.allocate(1000), allocator.allocate(5 * MIB)
        >>> allocator.allocated_bytes - 5 * MIB, allocator.reserved_bytes // MIB
        (1024, 22)
    """

    def __init__(self, limit: float = inf) -> None:
        self.limit = limit
        self.reserved_bytes = self.max_reserved_bytes = self.allocated_bytes = self._next_address = 0
        # small and other blocks, each as (size, address) in order, so that the first that fits is the best
        self._free_blocks: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
        self._blocks: dict[int, _Block] = {}

    def allocate(self, size: int) -> int:
        """Return the address of a block of at least so many bytes, to be freed by it.

        Raises:
            OutOfMemory: The limit forbids it.
        """
        request = _multiple(size, CUDA_BLOCK)
        small = request <= SMALL
        block = self._best_free_block(request, small) or self._reserve_segment(request, small)
        block.free = False
        # should_split: a remainder of up to 1 MiB of a large block is of no use to large requests
        if block.size - request >= (CUDA_BLOCK if small else SMALL + 1):
            self._split(block, request)
        self.allocated_bytes += block.size
        return block.address

    def free(self, address: int) -> None:
        """Free a block, which becomes one with free neighbours (try_merge_blocks)."""
        block = self._blocks[address]
        self.allocated_bytes -= block.size
        # a neighbour leaves the list of free blocks before its size changes, by which it is found there
        for neighbour in (block.before, block.after):
            if neighbour is not None and neighbour.free:
                free_blocks = self._free_blocks[block.small]
                del free_blocks[bisect_left(free_blocks, (neighbour.size, neighbour.address))]
                block = self._merge(block, neighbour)
        self._add_free(block)

    def _best_free_block(self, size: int, small: bool) -> _Block | None:
        """Take the smallest free block that holds a request, the lowest of equal ones, if there is one."""
        free_blocks = self._free_blocks[small]
        index = bisect_left(free_blocks, (size, 0))
        return self._blocks[free_blocks.pop(index)[1]] if index < len(free_blocks) else None

    def _reserve_segment(self, request: int, small: bool) -> _Block:
        size = _segment_size(request, small)
        if self.reserved_bytes + size > self.limit:
            self._release_free_segments()
        if self.reserved_bytes + size > self.limit:
            raise OutOfMemory(f"{self.limit:,.0f} bytes are not enough", hint="take a smaller batch")
        # an address only names and orders blocks, so that those of released segments are not used again
        address = self._next_address
        self._next_address += size
        self.reserved_bytes += size
        self.max_reserved_bytes = max(self.max_reserved_bytes, self.reserved_bytes)
        block = self._blocks[address] = _Block(address, size, small)
        return block

    def _release_free_segments(self) -> None:
        """Give every segment back that is free as a whole (release_cached_blocks)."""
        for free_blocks in self._free_blocks.values():
            segments = [entry for entry in free_blocks if self._blocks[entry[1]].is_segment]
            for size, address in segments:
                free_blocks.remove((size, address))
                del self._blocks[address]
                self.reserved_bytes -= size

    def _split(self, block: _Block, size: int) -> None:
        """Cut a block down to a size; what is left of it is a free block behind it."""
        rest = _Block(block.address + size, block.size - size, block.small, block, block.after)
        if block.after is not None:
            block.after.before = rest
        block.after, block.size = rest, size
        self._blocks[rest.address] = rest
        self._add_free(rest)

    def _merge(self, block: _Block, neighbour: _Block) -> _Block:
        """Make one block of two that adjoin; the address of the first is that of both."""
        first, second = sorted((block, neighbour), key=lambda each: each.address)
        first.size += second.size
        first.after = second.after
        if second.after is not None:
            second.after.before = first
        del self._blocks[second.address]
        return first

    def _add_free(self, block: _Block) -> None:
        block.free = True
        insort(self._free_blocks[block.small], (block.size, block.address))


def _segment_size(request: int, small: bool) -> int:
    """Bytes to reserve for a request that no free block holds (get_allocation_size)."""
    if small:
        return SMALL_SEGMENT
    return MIDDLE_SEGMENT if request < MIDDLE else _multiple(request, SEGMENT_STEP)


def _multiple(size: int, step: int) -> int:
    return -(-size // step) * step


@checked
@once_per_trace
def reserved_memory(trace: Trace, limit: float = inf) -> int:
    """Return the most that the allocator reserves on CUDA during some steps like the traced one.

    What existed before the first operation is allocated first and kept. What outlives the step, its
    gradients and outputs, is freed before the next. Workspaces of CUDA's libraries are not in it.

    Args:
        trace: Of any mode.
        limit: The most bytes that may be reserved.

    Returns:
        Bytes.

    Raises:
        OutOfMemory: The steps need more.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> il.peak_memory(trace, "cuda").peak_bytes // MIB, reserved_memory(trace) // MIB
        (36, 58)
    """
    return reserved_for(on_device(trace, "cuda").storages, limit)


def reserved_for(storages: Sequence[Storage], limit: float = inf) -> int:
    """Return what `reserved_memory` does, of the storages that a step has on CUDA.

    Args:
        storages: As large as on CUDA, rounded to its blocks or not.
        limit: The most bytes that may be reserved.

    Raises:
        OutOfMemory: The steps need more.
    """
    allocator = CachingAllocator(limit)
    births, deaths = _by_operation(storages)
    for storage in births[None]:
        allocator.allocate(storage.bytes)
    for _ in range(STEPS):
        _replay_step(allocator, births, deaths)
    return allocator.max_reserved_bytes


def _replay_step(allocator: CachingAllocator, births: ByOperation, deaths: ByOperation) -> None:
    """Allocate and free what a step does, in its order, and free what outlives it."""
    addresses: dict[int, int] = {}
    for op in sorted({op for op in (*births, *deaths) if op is not None}):
        # an operation makes its outputs before anything that it reads is freed
        addresses |= {storage.id: allocator.allocate(storage.bytes) for storage in births[op]}
        for storage in deaths[op]:
            if storage.id in addresses:
                allocator.free(addresses.pop(storage.id))
    for address in addresses.values():
        allocator.free(address)


def _by_operation(storages: Sequence[Storage]) -> tuple[ByOperation, ByOperation]:
    """The storages that take memory, by the operation that makes them and by the one that ends them."""
    births: dict[int | None, list[Storage]] = defaultdict(list)
    deaths: dict[int | None, list[Storage]] = defaultdict(list)
    for storage in storages:
        if storage.bytes:
            births[storage.born].append(storage)
            deaths[storage.dies].append(storage)
    return births, deaths
