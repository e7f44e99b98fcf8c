"""PyTorch's caching allocator on CUDA, followed block by block: what it reserves for what is allocated."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from inception_lab.analyzers.memory.devices import CUDA_BLOCK, on_device
from inception_lab.errors import InceptionLabError
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Storage, Trace

MIB = 2**20
SMALL = MIB
"""The largest request that is served from small segments."""
SMALL_SEGMENT = 2 * MIB
MIDDLE = 10 * MIB
"""Requests below it share segments of their own size."""
MIDDLE_SEGMENT = 20 * MIB
SEGMENT_STEP = 2 * MIB
"""Larger requests have a segment of their own, a multiple of this."""
STEPS = 3
"""From the third step on, the segments of the steps before serve nearly all requests."""


@dataclass(slots=True)
class _Block:
    """A stretch of a segment.

    Attributes:
        address: Where it begins.
        size: Bytes.
        small: Whether its segment serves small requests.
        before: The block before it in the segment.
        after: The block after it.
        free: Whether nobody has it.
    """

    address: int
    size: int
    small: bool
    before: _Block | None = None
    after: _Block | None = None
    free: bool = False

    @property
    def is_segment(self) -> bool:
        """Whether nothing else is in its segment."""
        return self.before is None and self.after is None


class OutOfMemory(InceptionLabError):  # noqa: N818 - as everybody calls it
    """The allocator may not reserve what a request needs."""


class CachingAllocator:
    """The allocator for one stream, with its default settings (c10/cuda/CUDACachingAllocator.cpp).

    A request takes the smallest free block that holds it, at the lowest address; what is left of the block
    stays free where it is large enough. Where no block holds it, a segment is reserved; and where the limit
    forbids that, all segments that nobody has a part of are given back first.

    Args:
        limit: The most bytes that it may reserve.

    Attributes:
        reserved_bytes: Of all segments.
        most_reserved_bytes: The most that they have been.
        allocated_bytes: Of the blocks that somebody has.

    Example:
        >>> allocator = CachingAllocator()
        >>> first, second = allocator.take(1000), allocator.take(5 * MIB)
        >>> allocator.allocated_bytes - 5 * MIB, allocator.reserved_bytes // MIB
        (1024, 22)
    """

    def __init__(self, limit: float = inf) -> None:
        self.limit = limit
        self.reserved_bytes = self.most_reserved_bytes = self.allocated_bytes = self._next_address = 0
        self._free: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
        self._blocks: dict[int, _Block] = {}

    def take(self, size: int) -> int:
        """Allocate; returns the address of the block, to be given back.

        Raises:
            OutOfMemory: The limit forbids it.
        """
        wanted = -(-size // CUDA_BLOCK) * CUDA_BLOCK
        small = wanted <= SMALL
        block = self._cached(wanted, small) or self._segment(wanted, small)
        block.free = False
        if block.size - wanted >= (CUDA_BLOCK if small else SMALL + 1):
            self._split(block, wanted)
        self.allocated_bytes += block.size
        return block.address

    def give_back(self, address: int) -> None:
        """Free a block, which becomes one with free neighbours."""
        block = self._blocks[address]
        self.allocated_bytes -= block.size
        for neighbour in (block.before, block.after):
            if neighbour is not None and neighbour.free:
                free = self._free[block.small]
                del free[bisect_left(free, (neighbour.size, neighbour.address))]
                block = self._joined(block, neighbour)
        self._offer(block)

    def _cached(self, wanted: int, small: bool) -> _Block | None:
        free = self._free[small]
        place = bisect_left(free, (wanted, 0))
        return self._blocks[free.pop(place)[1]] if place < len(free) else None

    def _segment(self, wanted: int, small: bool) -> _Block:
        if small:
            size = SMALL_SEGMENT
        elif wanted < MIDDLE:
            size = MIDDLE_SEGMENT
        else:
            size = -(-wanted // SEGMENT_STEP) * SEGMENT_STEP
        if self.reserved_bytes + size > self.limit:
            self._release()
        if self.reserved_bytes + size > self.limit:
            raise OutOfMemory(f"{self.limit:,.0f} bytes are not enough", hint="take a smaller batch")
        address = self._next_address
        self._next_address += size
        self.reserved_bytes += size
        self.most_reserved_bytes = max(self.most_reserved_bytes, self.reserved_bytes)
        block = self._blocks[address] = _Block(address, size, small)
        return block

    def _release(self) -> None:
        """Give every segment back that is free as a whole."""
        for free in self._free.values():
            whole = [each for each in free if self._blocks[each[1]].is_segment]
            for size, address in whole:
                free.remove((size, address))
                del self._blocks[address]
                self.reserved_bytes -= size

    def _split(self, block: _Block, wanted: int) -> None:
        rest = _Block(block.address + wanted, block.size - wanted, block.small, block, block.after)
        if block.after is not None:
            block.after.before = rest
        block.after, block.size = rest, wanted
        self._blocks[rest.address] = rest
        self._offer(rest)

    def _joined(self, block: _Block, neighbour: _Block) -> _Block:
        first, second = sorted((block, neighbour), key=lambda each: each.address)
        first.size += second.size
        first.after = second.after
        if second.after is not None:
            second.after.before = first
        del self._blocks[second.address]
        return first

    def _offer(self, block: _Block) -> None:
        block.free = True
        insort(self._free[block.small], (block.size, block.address))


@once_per_trace
def reserved_memory(trace: Trace, limit: float = inf) -> int:
    """The most bytes that the allocator has reserved on CUDA during some steps like the traced one.

    What existed before the first operation is allocated first and kept. What outlives the step, its
    gradients and outputs, is given back before the next. Workspaces of CUDA's libraries are not in it.

    Args:
        trace: Of any mode.
        limit: The most bytes that may be reserved.

    Raises:
        OutOfMemory: The steps need more.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> il.peak_memory(trace, "cuda").peak_bytes // MIB, reserved_memory(trace) // MIB
        (36, 58)
    """
    allocator = CachingAllocator(limit)
    born, dying = _by_operation(on_device(trace, "cuda").storages)
    for storage in born[None]:
        allocator.take(storage.bytes)
    for _ in range(STEPS):
        held: dict[int, int] = {}
        for op in range(len(trace.ops)):
            held |= {storage.id: allocator.take(storage.bytes) for storage in born[op]}
            for storage in dying[op]:
                if storage.id in held:
                    allocator.give_back(held.pop(storage.id))
        for address in held.values():
            allocator.give_back(address)
    return allocator.most_reserved_bytes


def _by_operation(
    storages: Sequence[Storage],
) -> tuple[Mapping[int | None, list[Storage]], Mapping[int | None, list[Storage]]]:
    """The storages that take memory, by the operation that makes them and by the one that ends them."""
    born: dict[int | None, list[Storage]] = defaultdict(list)
    dying: dict[int | None, list[Storage]] = defaultdict(list)
    for storage in storages:
        if storage.bytes:
            born[storage.born].append(storage)
            dying[storage.dies].append(storage)
    return born, dying
