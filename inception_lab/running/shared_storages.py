"""Weights that lie in one storage without being one tensor, and stand-ins that share one as they do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, groupby, pairwise
from typing import NamedTuple

from torch import Tensor
from torch.nn.parameter import is_lazy

from inception_lab.running.stand_ins import StandIn, like_original


class Region(NamedTuple):
    """A stretch of a storage.

    Attributes:
        storage: Identity of the storage.
        begin: Its first element.
        end: The element behind its last one.
    """

    storage: int
    begin: int
    end: int

    def is_within(self, other: Region) -> bool:
        """True where it is a part of the other one, or the same."""
        return self.storage == other.storage and other.begin <= self.begin and self.end <= other.end


def storage_identity(tensor: Tensor) -> int | None:
    """Identity of the storage of a tensor; None where it has no single one, or no sizes."""
    if is_lazy(tensor) or tensor.is_nested:
        return None
    try:
        identity: int = tensor.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError):  # of a sparse tensor; of a subclass that wraps others
        return None
    return identity


def is_part_of_any(tensor: Tensor, others: Iterable[Tensor]) -> bool:
    """Tell if a tensor lies within the stretch of its storage that one of the others reaches over."""
    region = region_of(tensor)
    regions = filter(None, map(region_of, others))
    return region is not None and any(region.is_within(other) for other in regions)


def region_of(tensor: Tensor) -> Region | None:
    """The stretch of its storage that a tensor reaches over; None where it has no single one, or no sizes."""
    storage = storage_identity(tensor)
    if storage is None or not tensor.numel():
        return None
    begin = int(tensor.storage_offset())
    reach = sum(stride * (size - 1) for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return Region(storage, begin, begin + reach + 1)


class SharedStorages:
    """Stand-ins of tensors that overlap in memory, as two parameters do that were tied by their `.data`.

    Args:
        tensors: All that stand-ins are made of; the same one may come again.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._region_of = _overlaps({id(tensor): tensor for tensor in tensors})
        self._bases: dict[Region, Tensor] = {}

    def stand_in(self, tensor: Tensor, make: StandIn) -> Tensor:
        """What stands in for a tensor, in the storage of those that the tensor overlaps with.

        Args:
            tensor: One of the tensors, or another one.
            make: Makes a stand-in with a storage of its own.
        """
        region = self._region_of.get(id(tensor))
        if region is None:
            return make(tensor)
        base = self._bases.get(region)
        if base is None:
            whole = tensor.detach().as_strided((region.end - region.begin,), (1,), region.begin)
            base = self._bases[region] = make(whole)
        offset = int(tensor.storage_offset()) - region.begin
        part = base.detach().as_strided(tensor.shape, tensor.stride(), offset)
        return like_original(part, tensor)


def _overlaps(tensors: Mapping[int, Tensor]) -> Mapping[int, Region]:
    """The union of what overlaps with each tensor, by the tensor's identity; none where it stands alone."""
    by_storage: dict[int | None, list[int]] = {}
    for id, tensor in tensors.items():
        by_storage.setdefault(storage_identity(tensor), []).append(id)
    # hardly any model has two tensors in one storage, so that stretches are worked out for these alone
    neighbours = [id for ids in by_storage.values() if len(ids) > 1 for id in ids]
    regions = [(region, id) for id in neighbours if (region := region_of(tensors[id]))]
    by_place = sorted(((*region, str(tensors[id].dtype)), id) for region, id in regions)
    shared: dict[int, Region] = {}
    for (storage, _), members in groupby(by_place, key=lambda entry: (entry[0][0], entry[0][3])):
        for cluster in _clusters([(begin, end, id) for (_, begin, end, _), id in members]):
            if len(cluster) > 1:
                union = Region(storage, cluster[0][0], max(end for _, end, _ in cluster))
                shared |= {id: union for *_, id in cluster}
    return shared


def _clusters(stretches: list[tuple[int, int, int]]) -> Iterator[list[tuple[int, int, int]]]:
    """Groups of stretches, sorted by their begin, that overlap one with the next."""
    reaches = list(accumulate((end for _, end, _ in stretches), max))
    # a stretch that begins behind all before it begins a new group
    places = [0, *[i + 1 for i, reach in enumerate(reaches[:-1]) if stretches[i + 1][0] >= reach]]
    for begin, end in pairwise([*places, len(stretches)]):
        yield stretches[begin:end]
