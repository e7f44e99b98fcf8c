"""Stand-ins of weights that lie in one storage: they share memory as the weights do."""

import pytest
import torch
from torch import nn

from inception_lab.running.shared_storages import Region, SharedStorages, region_of
from inception_lab.running.stand_ins import cpu_copy, meta_twin


def stand_ins(*tensors, make=meta_twin):
    shared = SharedStorages(tensors)
    return [shared.stand_in(tensor, make) for tensor in tensors]


def storages(tensors):
    return len({tensor.untyped_storage()._cdata for tensor in tensors})


WHOLE = torch.arange(24.0)

TOGETHER = {
    "same": (WHOLE.view(4, 6), WHOLE.view(4, 6)),
    "transposed": (WHOLE.view(4, 6), WHOLE.view(4, 6).t()),
    "part": (WHOLE.view(4, 6)[1:3], WHOLE.view(4, 6)),
    "overlapping": (WHOLE[:10], WHOLE[5:15], WHOLE[12:]),
}
APART = {
    "beside": (WHOLE[:12], WHOLE[12:]),
    "other storages": (WHOLE, WHOLE.clone()),
    "other types": (WHOLE, WHOLE.view(torch.int32)),
    "empty": (WHOLE[:0], WHOLE),
}


@pytest.mark.parametrize("make", [meta_twin, cpu_copy])
@pytest.mark.parametrize("name", TOGETHER)
def test_what_overlaps_shares_one_storage(name, make):
    tensors = TOGETHER[name]
    copies = stand_ins(*tensors, make=make)
    assert storages(copies) == 1
    union = {place for tensor in tensors for place in tensor.flatten().int().tolist()}
    assert copies[0].untyped_storage().nbytes() == 4 * len(union)
    assert [(c.shape, c.stride(), c.dtype) for c in copies] == [
        (t.shape, t.stride(), t.dtype) for t in tensors
    ]


@pytest.mark.parametrize("name", APART)
def test_what_does_not_overlap_has_its_own(name):
    assert storages(stand_ins(*APART[name])) == 2


def test_copies_have_the_numbers_and_are_written_together():
    first, second = stand_ins(*TOGETHER["transposed"], make=cpu_copy)
    assert torch.equal(first, WHOLE.view(4, 6))
    first[0, 1] = 100
    assert second[1, 0] == 100
    assert WHOLE[1] == 1


def test_parameters_stay_parameters():
    first = nn.Parameter(WHOLE.view(4, 6))
    second = nn.Parameter(first.data, requires_grad=False)
    copies = stand_ins(first, second)
    assert all(isinstance(copy, nn.Parameter) for copy in copies)
    assert [copy.requires_grad for copy in copies] == [True, False]
    assert all(copy.is_leaf for copy in copies)


def test_regions():
    storage = WHOLE.untyped_storage()._cdata
    assert region_of(WHOLE.view(4, 6)[1:3, ::2]) == Region(storage, 6, 17)
    assert region_of(WHOLE[:0]) is None
    assert region_of(torch.eye(2).to_sparse()) is None
    assert Region(1, 2, 5).is_within(Region(1, 2, 6))
    assert not Region(1, 2, 5).is_within(Region(1, 3, 6))
    assert not Region(1, 2, 5).is_within(Region(2, 0, 9))
