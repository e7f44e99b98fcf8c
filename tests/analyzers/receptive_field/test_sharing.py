"""Each analysis of a trace is computed once, however many readers ask, and none of them can change it."""

import gc
import tracemalloc
import weakref
from collections import Counter

import pytest
import torch
from support.typed import typed
from torch import nn

import inception_lab as il
from inception_lab.analyzers.receptive_field import propagation
from inception_lab.analyzers.receptive_field.axis_layout import Geometry


@pytest.fixture
def propagations(monkeypatch):
    """Counts of the propagations, by what is followed and the value that they start from."""
    count = Counter()

    class Counting(propagation.Propagation):
        def __init__(self, trace, source, start):
            count[_followed(start), source] += 1
            super().__init__(trace, source, start)

    monkeypatch.setattr(propagation, "Propagation", Counting)
    return count


def _followed(start):
    """The maps of a geometry, `reach` of a pixel, or the elements seen."""
    if isinstance(start, Geometry):
        return type(start.maps[0]).__name__
    return "Elements" if len(start.parts[0].cells) > 1 else "reach"


@pytest.fixture
def trace():
    return il.trace(il.create_model("googlenet", device="meta"), (1, 3, 96, 96))


def test_readers_of_one_trace_share_one_computation(trace, propagations):
    for _ in range(2):
        il.receptive_field(trace)
        il.field_spectrum(trace)
        il.resolution_fit(trace)
        for layer in ("conv1", "inception3a", "inception5b"):
            il.field_of(trace, layer)
        il.summarise(trace)
    (source,) = {source for _, source in propagations}
    assert propagations == {(start, source): 1 for start in ("Elements", "Interiors", "Lineage", "Sizes")}


def test_each_source_and_each_trace_has_a_computation_of_its_own(trace, propagations):
    for _ in range(2):
        il.receptive_field(trace)
        il.field_of(trace, "inception4a", source="inception3a")
        il.receptive_field(trace, "inception3a")
    assert len(propagations) == 4
    assert set(propagations.values()) == {1}
    il.receptive_field(il.trace(il.create_model("googlenet", device="meta"), (1, 3, 96, 96)))
    assert sum(propagations.values()) == 6


def test_each_pixel_is_followed_by_itself(trace, propagations):
    spans = [il.projective_field(trace, (pixel, 0), "conv1.conv") for pixel in range(96)]
    assert spans[0] != spans[95]
    assert {start: times for (start, _), times in propagations.items()} == {
        "reach": 96, "Elements": 1, "Interiors": 1
    }  # fmt: skip


def test_the_command_follows_its_trace_once(capsys, propagations):
    code, _, _ = typed(capsys, "receptive-field", "googlenet", "--input-size", "3x96x96", "--format", "json")
    assert code == 0
    assert sum(times for (start, _), times in propagations.items() if start == "Elements") == 1
    assert sum(times for (start, _), times in propagations.items() if start == "Lineage") == 1


@pytest.mark.parametrize(
    ("analysis", "column"), [(il.receptive_field, "status"), (il.field_spectrum, "field")]
)
def test_a_table_is_the_readers_own(trace, analysis, column):
    before, table = analysis(trace), analysis(trace)
    table.loc[0, column] = table[column].iloc[-1]
    table["more"] = 1
    assert analysis(trace).equals(before)


def test_extents_are_read_only(trace):
    axis = il.field_of(trace, "conv1").axes[0]
    for spans in (axis.spans, axis.local_spans):
        with pytest.raises(ValueError, match="read-only"):
            spans.data[0] = 7


@pytest.mark.parametrize(
    "analysis",
    [
        pytest.param(lambda trace: il.field_of(trace, "1").extent((0, 0)), id="field"),
        pytest.param(lambda trace: il.projective_field(trace, (0, 0), "1"), id="projective field"),
        pytest.param(il.receptive_field, id="table"),
        pytest.param(il.field_spectrum, id="spectrum"),
        pytest.param(il.resolution_fit, id="fit"),
        pytest.param(il.summarise, id="record"),
    ],
)
def test_a_trace_goes_with_its_last_reader(analysis):
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.GroupNorm(1, 2))
    trace = il.trace(net, (1, 1, 8, 8))
    analysis(trace)
    alive = weakref.ref(trace)
    del trace
    gc.collect()
    assert alive() is None


def named_norm(name, channels):
    """A net whose second layer, of this name, sees whole axes."""
    net = torch.nn.Sequential()
    net.add_module("conv", torch.nn.Conv2d(3, channels, 3))
    net.add_module(name, torch.nn.GroupNorm(2, channels))
    return il.trace(net, (1, 3, 12, 12))


def test_variants_share_what_their_units_see():
    one, other = (il.field_of(named_norm("norm", channels), "conv") for channels in (4, 6))
    assert all(a.spans.data is b.spans.data for a, b in zip(one.axes, other.axes, strict=True))


def test_layers_of_a_field_are_those_of_its_own_trace():
    contexts = [il.field_of(named_norm(name, 4), name).global_context for name in ("one", "other")]
    assert contexts == [("one",), ("other",)]


def test_what_an_interpolation_makes_of_few_pixels_is_not_kept():
    net = nn.Sequential(nn.Conv1d(1, 1, 3), nn.Upsample(scale_factor=200))
    il.receptive_field(il.trace(net, (1, 1, 400)))
    gc.collect()
    tracemalloc.start()
    for length in range(401, 441):
        il.receptive_field(il.trace(net, (1, 1, length)))
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # a span of two numbers for each of 80,000 positions, of which a few are kept
    assert held < 20 * 2 * 80_000 * 8
