"""Free memory as Linux and control groups tell it, and weights that cannot fit."""

import pytest
import torch
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.running import free_memory as module
from inception_lab.running.free_memory import WeightsThatFit, free_memory, refuse_beyond

MEMINFO = "MemTotal:  9000 kB\nMemFree:  10 kB\nMemAvailable:  4000 kB\nSwapFree:  1000 kB\n"


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Files of a system; a test writes those that it has."""
    monkeypatch.setattr(module, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(module, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(module, "_OWN_CGROUPS", tmp_path / "own")

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_DOT_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


@pytest.mark.usefixtures("system")
def test_nobody_tells_elsewhere():
    assert free_memory() is None
    refuse_beyond(2**70, "cpu", "net")


def test_what_linux_has_available_with_swap(system):
    system(meminfo=MEMINFO)
    assert free_memory() == 5000 * 1024


@pytest.mark.parametrize("text", ["", "MemFree: 10 kB\n", "MemAvailable: much\n", "\n\n:"])
def test_a_system_that_says_something_else(system, text):
    system(meminfo=text)
    assert free_memory() is None


V2 = {
    "own": "0::/a/b\n",
    "cgroup__a__b__memory_DOT_max": "max\n",
    "cgroup__a__b__memory_DOT_current": "5\n",
    "cgroup__a__memory_DOT_max": "1000000\n",
    "cgroup__a__memory_DOT_current": "900000\n",
    "cgroup__a__memory_DOT_stat": "anon 5\ninactive_file 50000\n",
}
V1 = {
    "own": "4:cpu:/x\n3:memory:/docker/abc\n",
    "cgroup__memory__memory_DOT_limit_in_bytes": "2000000\n",
    "cgroup__memory__memory_DOT_usage_in_bytes": "1900000\n",
    "cgroup__memory__memory_DOT_stat": "total_inactive_file 7\n",
}


@pytest.mark.parametrize(("files", "free"), [(V2, 150_000), (V1, 100_007), ({"own": "0::/\n"}, 5000 * 1024)])
def test_a_control_group_allows_less(system, files, free):
    system(meminfo=MEMINFO, **files)
    assert free_memory() == free


def test_a_group_that_is_over_its_limit_has_nothing_left(system):
    files = {**V2, "cgroup__a__memory_DOT_current": "2000000\n"}
    system(meminfo=MEMINFO, **files)
    assert free_memory() == 0


@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda", 1)])
def test_blocks_that_the_allocator_of_cuda_holds_unused_are_free(monkeypatch, device):
    number = torch.device(device).index or 0
    gpus = [
        {"mem_get_info": (100, 1000), "memory_reserved": 70, "memory_allocated": 30},
        {"mem_get_info": (200, 1000), "memory_reserved": 7, "memory_allocated": 7},
    ]
    for name in gpus[0]:
        monkeypatch.setattr(torch.cuda, name, lambda of, name=name: gpus[of.index or 0][name])
    assert free_memory(device) == (140, 200)[number]


def test_the_refusal_says_what_it_takes_what_is_free_and_what_to_type(system):
    system(meminfo=MEMINFO)
    refuse_beyond(5000 * 1024, "cpu", "net")
    with pytest.raises(InceptionLabError) as refusal:
        refuse_beyond(6000 * 1024, "cpu", "net")
    assert str(refusal.value) == (
        "net: cannot run on cpu: it would take 5.86 MiB of memory, and 4.88 MiB are free; "
        "use smaller inputs= or a smaller batch"
    )
    assert refusal.value.exit_code == 3


class TestWeights:
    def test_those_that_fit_are_made_as_ever(self):
        torch.manual_seed(0)
        plain = nn.Linear(5, 3)
        torch.manual_seed(0)
        with WeightsThatFit("net"):
            guarded = nn.Linear(5, 3)
        assert torch.equal(plain.weight, guarded.weight)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: nn.Linear(10**6, 10**6),
            lambda: torch.empty(10**12),
            lambda: torch.randn((10**6, 10**6)),
            lambda: torch.zeros(10**6, 10**6, dtype=torch.float64, requires_grad=True),
            lambda: torch.full((10**6, 10**6), 1.0, device="cpu"),
            lambda: torch.empty_strided((10**6, 10**6), (10**6, 1)),
        ],
    )
    def test_those_that_do_not_are_refused_beforehand(self, make):
        line = r"net: building it with weights takes .* are free here"
        with pytest.raises(InceptionLabError, match=line), WeightsThatFit("net"):
            make()

    def test_on_meta_tensors_everything_fits(self):
        with WeightsThatFit("net"), torch.device("meta"):
            assert nn.Linear(10**6, 10**6).weight.is_meta
        with WeightsThatFit("net"):
            assert torch.empty(10**12, device="meta").is_meta

    def test_wrong_arguments_are_those_of_torch(self):
        with WeightsThatFit("net"), pytest.raises(TypeError):
            torch.empty("much")
