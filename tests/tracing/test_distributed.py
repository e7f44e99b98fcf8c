"""Models spread over processes: the figures of the module inside, on one device."""

import copy

import pytest
import torch
import torch.distributed as dist
from support.fingerprints import assert_left_as_found
from torch import nn

import inception_lab as il

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="PyTorch was built without torch.distributed")


@pytest.fixture(autouse=True, scope="module")
def process_group(tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "file"
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def images():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))


def rows():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


def mesh():
    return torch.distributed.device_mesh.init_device_mesh("cpu", (1,))


def sharded(net):
    from torch.distributed.fsdp import fully_shard

    for layer in (net[0], net[2]):
        fully_shard(layer, mesh=mesh())
    return fully_shard(net, mesh=mesh())


def split_by_columns(net):
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    return parallelize_module(net, mesh(), {"0": ColwiseParallel(), "2": RowwiseParallel()})


def totals(model, shape, mode):
    options = {"optimizer": "adam"} if mode == "train" else {}
    trace = assert_left_as_found(model, shape, mode, **options)
    table = il.layer_costs(trace)
    names = [name for name in table.columns if table[name].dtype == "int64" and name != "call"]
    return table[names].sum().to_dict(), trace


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("wrap", [nn.parallel.DistributedDataParallel, nn.DataParallel])
def test_a_wrapped_module_is_counted(wrap, mode):
    plain, shape = images(), (2, 3, 8, 8)
    wrapped = wrap(copy.deepcopy(plain))
    figures, trace = totals(wrapped, shape, mode)
    expected, _ = totals(plain, shape, mode)
    buffers = figures.pop("activation_bytes") - expected.pop("activation_bytes")
    assert buffers == (2 * 8 * 4 if wrap is nn.parallel.DistributedDataParallel else 0)  # on their way
    assert figures == expected
    assert trace.context.complete
    assert trace.context.device == "meta"
    buckets = [note for note in trace.context.notes if "buckets" in note]
    assert len(buckets) == (mode == "train" and wrap is nn.parallel.DistributedDataParallel)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("spread", [sharded, split_by_columns])
def test_shards_are_counted_as_a_whole(spread, mode):
    plain = rows()
    model = spread(copy.deepcopy(plain))
    figures, trace = totals(model, (2, 8), mode)
    expected, whole = totals(plain, (2, 8), mode)
    assert figures == expected
    assert trace.context.device == "meta"
    assert any("shards" in note for note in trace.context.notes)
    assert il.peak_memory(trace).peak_bytes == il.peak_memory(whole).peak_bytes
    assert model(torch.zeros(2, 8)).shape == (2, 4)  # its hooks are back


def test_a_model_in_shards_does_not_run_for_real():
    class Asking(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x) if x.sum().item() else x

    with pytest.raises(il.InceptionLabError, match="in shards"):
        il.trace(Asking(sharded(rows())), (2, 8))
