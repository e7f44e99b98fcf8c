"""Ceilings: what is measured, and what is kept."""

import dataclasses
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.made_times import CEILINGS
from torch.utils.flop_counter import FlopCounterMode

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.measure.roofline import cache, ceilings, kernels
from inception_lab.measure.roofline.kernels import Kernel, best_rate, least_seconds
from inception_lab.measure.roofline.limits import Ceilings

small = pytest.mark.usefixtures("_small_kernels")


def watch_of(*seconds):
    """A stopwatch that tells these times, one after the other."""
    times = iter(seconds)
    return lambda run: (run(), next(times))[1]


@small
@pytest.mark.parametrize("dtype", ceilings.DTYPES, ids=str)
def test_what_is_measured(dtype):
    result = il.measure_ceilings(dtype=dtype, threads=1, seconds=0)
    assert min(result.flops_per_s, result.bytes_per_s, result.operation_s, result.product_s) > 0
    assert (result.device, result.threads, result.copy_bytes) == ("cpu", 1, 2**12)
    assert result.dtype == str(dtype).removeprefix("torch.")
    assert result.fastest_product in {
        "8x8 matrix product", "16x16 matrix product", "3x3 convolution of 1x2x4x4"
    }  # fmt: skip


def test_autocast_around_it_makes_no_difference(monkeypatch):
    """Else the ceiling of its dtype would be kept as that of float32."""
    dtypes = []

    def measure(key, device, dtype, seconds):
        del device, seconds
        matrix = torch.ones(2, 2, dtype=dtype)
        dtypes.append((matrix @ matrix).dtype)
        return dataclasses.replace(CEILINGS, **dict(zip(cache.KEY, key, strict=True)))

    monkeypatch.setattr(ceilings, "_measure", measure)
    with torch.autocast("cpu", torch.bfloat16):
        il.measure_ceilings(threads=1, seconds=0)
    assert dtypes == [torch.float32]


@small
def test_a_dispatch_mode_around_it_sees_nothing():
    with FlopCounterMode(display=False) as counter:
        il.measure_ceilings(threads=1, seconds=0, anew=True)
    assert counter.get_total_flops() == 0


@small
def test_the_process_is_left_as_it_was():
    threads, states = torch.get_num_threads(), torch.get_rng_state()
    il.measure_ceilings(threads=threads + 1, seconds=0)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), states)
    assert not torch.is_inference_mode_enabled()


def test_the_shortest_run_counts_and_the_first_does_not():
    assert least_seconds(lambda: None, watch_of(1, 5, 3, 4), 0) == 3


def test_the_highest_rate_wins():
    """10 in 0.5 s, 6 in 0.1 s; the third would take longer than there is time for."""
    made = [Kernel("one", 10, list), Kernel("two", 6, list), Kernel("three", 10**6, list)]
    rate = best_rate(iter(made), 3, watch_of(9, 0.5, 0.5, 0.5, 9, 0.1, 0.1, 0.1), 0)
    assert (rate.per_s, rate.name) == (pytest.approx(60), "two")


def test_the_work_of_a_kernel_by_hand():
    cpu = torch.device("cpu")
    product = kernels.product_kernels(cpu, torch.float32)[0]()
    assert product.work == 2 * 256**3
    convolution = kernels.product_kernels(cpu, torch.float32)[4]()
    assert convolution.work == 2 * 9 * 64 * 64 * 56 * 56
    assert convolution.run().shape == (1, 64, 56, 56)


@pytest.mark.parametrize(
    ("cache_size", "copied"), [(0, 2**26), (2**25, 2**27), (2**40, 2**30)], ids=["unknown", "usual", "huge"]
)
def test_a_copy_is_larger_than_the_cache_and_reads_and_writes(monkeypatch, cache_size, copied):
    monkeypatch.setattr(kernels, "cache_bytes", lambda _: cache_size)
    monkeypatch.setattr(
        kernels, "_numbers", lambda shape, _, dtype: torch.empty(shape, dtype=dtype, device="meta")
    )
    kernel = kernels.copy_kernel(torch.device("cpu"), torch.bfloat16)
    assert kernel.work == 2 * copied
    assert kernel.run().nbytes == copied


def test_sizes_of_caches():
    assert [kernels.read_cache_size(text) for text in ("48K\n", "2M", "1G", "", "many")] == [
        48 * 2**10, 2**21, 2**30, 0, 0
    ]  # fmt: skip


def test_events_time_a_gpu(monkeypatch):
    """A fake of CUDA's events: the real ones have never run here."""
    told = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing
            told.append(self)

        def record(self):
            told.append("record")

        def synchronize(self):
            told.append("synchronize")

        def elapsed_time(self, other):
            assert other is not self
            return 12.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    watch = kernels.stopwatch(torch.device("cuda"))
    assert watch(lambda: told.append("run")) == pytest.approx(0.012)
    assert told[2:] == ["record", "run", "record", "synchronize"]
    properties = SimpleNamespace(L2_cache_size=50 * 2**20)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    assert kernels.cache_bytes(torch.device("cuda")) == 50 * 2**20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "ceilings are not measured on 'tpu'"),
        ({"device": None}, "ceilings are not measured on None"),
        ({"dtype": torch.int64}, "no ceilings of torch.int64"),
        ({"dtype": "float32"}, "no ceilings of float32"),
        ({"threads": 0}, "0 threads"),
        ({"threads": True}, "True threads"),
        ({"seconds": -1}, "-1 seconds"),
        ({"seconds": float("nan")}, "nan seconds"),
        ({"seconds": "5"}, "'5' seconds"),
    ],
    ids=lambda value: str(value),
)
def test_options_that_are_not_known(options, message):
    with pytest.raises(InceptionLabError, match=message):
        il.measure_ceilings(**options)


class TestCache:
    """Ceilings from one process to the next."""

    @pytest.fixture
    def measurements(self, monkeypatch):
        """The key of each measurement that is made; every one is faster than the one before."""
        keys = []

        def measure(key, device, dtype, seconds):
            del device, dtype
            keys.append(key)
            facts = dict(zip(cache.KEY, key, strict=True))
            return dataclasses.replace(CEILINGS, **facts, seconds=seconds, flops_per_s=1e9 * len(keys))

        monkeypatch.setattr(ceilings, "_measure", measure)
        return keys

    def test_what_was_measured_is_not_measured_again(self, measurements):
        first = il.measure_ceilings(threads=1, seconds=2)
        assert il.measure_ceilings(threads=1, seconds=2) == first
        assert il.measure_ceilings(threads=1, seconds=1) == first
        assert len(measurements) == 1

    @pytest.mark.parametrize(
        "options",
        [{"anew": True}, {"seconds": 3}, {"threads": 2}, {"dtype": torch.bfloat16}],
        ids=lambda options: next(iter(options)),
    )
    @pytest.mark.usefixtures("measurements")
    def test_what_differs_is_measured(self, options):
        first = il.measure_ceilings(threads=1, seconds=2)
        second = il.measure_ceilings(**({"threads": 1, "seconds": 2} | options))
        assert second.flops_per_s == 2 * first.flops_per_s
        assert il.measure_ceilings(**({"threads": 1, "seconds": 2} | options | {"anew": False})) == second

    @given(st.one_of(st.binary(max_size=40), st.text(max_size=40).map(str.encode)))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
    def test_a_damaged_file_is_written_anew(self, measurements, content):
        il.measure_ceilings(threads=1, seconds=2)
        path = cache.cache_file(measurements[-1])
        path.write_bytes(content)
        count = len(measurements)
        again = il.measure_ceilings(threads=1, seconds=2)
        assert len(measurements) == count + 1
        assert Ceilings.from_dict(json.loads(path.read_text())) == again

    def test_the_file_of_another_machine_is_not_taken(self, measurements):
        il.measure_ceilings(threads=1, seconds=2)
        path = cache.cache_file(measurements[-1])
        path.write_text(json.dumps(CEILINGS.to_dict() | {"machine": "Other"}))
        il.measure_ceilings(threads=1, seconds=2)
        assert len(measurements) == 2

    def test_a_cache_that_cannot_be_written_does_no_harm(self, measurements, cache_home):
        (cache_home / "inception_lab").write_text("a file where the folder would be")
        for _ in range(2):
            il.measure_ceilings(threads=1, seconds=2)
        assert len(measurements) == 2

    def test_a_user_without_a_home_has_no_cache(self, measurements, monkeypatch):
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", lambda: os.fspath(Path("~nobody-of-this-name").expanduser()))
        for _ in range(2):
            il.measure_ceilings(threads=1, seconds=2)
        assert len(measurements) == 2

    @pytest.mark.parametrize(
        ("library", "precision"),
        [(torch.backends.mkldnn.matmul, "bf16, ieee"), (torch.backends.mkldnn.conv, "ieee, bf16")],
        ids=["products", "convolutions"],
    )
    def test_another_precision_has_other_ceilings(self, measurements, library, precision):
        il.measure_ceilings(threads=1, seconds=2)
        before, library.fp32_precision = library.fp32_precision, "bf16"
        try:
            il.measure_ceilings(threads=1, seconds=2)
        finally:
            library.fp32_precision = before
        assert [key[-1] for key in measurements] == ["ieee, ieee", precision]

    def test_a_relative_folder_is_ignored(self, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert cache.cache_folder() == tmp_path / ".cache" / "inception_lab"


FIELDS = [field.name for field in dataclasses.fields(Ceilings)]


@given(st.sampled_from([*FIELDS, "schema"]), st.none() | st.just([]) | st.floats(max_value=0) | st.just("x"))
def test_data_that_is_not_of_ceilings_is_refused(name, value):
    data = CEILINGS.to_dict() | {name: value}
    if name in FIELDS and type(value) is type(getattr(CEILINGS, name)) and name not in RATES:
        assert Ceilings.from_dict(data).to_dict() == pytest.approx(data, nan_ok=True)
    else:
        with pytest.raises(InceptionLabError, match="ceilings"):
            Ceilings.from_dict(data)


RATES = {"flops_per_s", "bytes_per_s", "operation_s", "product_s"}


@given(st.floats(1e-12, 1e20), st.integers(1, 10**6), st.text(max_size=20))
def test_ceilings_go_through_json(rate, threads, machine):
    made = dataclasses.replace(CEILINGS, flops_per_s=rate, threads=threads, machine=machine)
    assert Ceilings.from_dict(json.loads(json.dumps(made.to_dict()))) == made
