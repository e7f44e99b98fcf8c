"""An analysis runs once for each trace and choice of options, and nothing outlives its trace."""

import gc
import weakref

import pytest
from pandas import DataFrame
from torch import nn

import inception_lab as il
from inception_lab.ir.once import once_per_trace, table_once_per_trace


@pytest.fixture
def counting_analysis():
    calls = []

    @once_per_trace
    def analysis(trace, depth=1, *, device="cpu"):
        calls.append((trace.context.model, depth, device))
        return [depth, device]

    return analysis, calls


def small(width=2):
    return il.trace(nn.Linear(3, width), (1, 3))


def test_equal_options_however_they_are_given_are_computed_once(counting_analysis):
    analysis, calls = counting_analysis
    trace = small()
    first = analysis(trace)
    assert all(
        first is result
        for result in (analysis(trace, 1), analysis(trace, depth=1, device="cpu"), analysis(trace=trace))
    )
    assert analysis(trace, 2) == [2, "cpu"]
    assert len(calls) == 2


def test_equal_traces_have_results_of_their_own(counting_analysis):
    analysis, calls = counting_analysis
    one, other = small(), small()
    assert one == other
    assert analysis(one) is not analysis(other)
    assert len(calls) == 2


def test_results_go_with_their_trace():
    class Result:
        pass

    analysis = once_per_trace(lambda _: Result())
    trace = small()
    result = weakref.ref(analysis(trace))
    assert result() is not None
    del trace
    gc.collect()
    assert result() is None


def test_an_error_is_raised_every_time():
    def refusing(_):
        raise il.InceptionLabError("no")

    analysis, trace = once_per_trace(refusing), small()
    for _ in range(2):
        with pytest.raises(il.InceptionLabError, match="no"):
            analysis(trace)


def test_each_reader_of_a_table_has_a_copy_of_its_own():
    calls = []

    @table_once_per_trace
    def table(trace):
        calls.append(trace)
        return DataFrame({"path": [call.path for call in trace.calls]})

    trace = small()
    first = table(trace)
    first.loc[:, "path"] = "changed"
    first["more"] = 1
    assert table(trace)["path"].tolist() == [call.path for call in trace.calls]
    assert list(table(trace)) == ["path"]
    assert len(calls) == 1


@pytest.mark.parametrize("value", [None, 5, "trace", [1]])
def test_only_a_trace_is_analysed(counting_analysis, value):
    analysis, calls = counting_analysis
    with pytest.raises(
        il.InceptionLabError, match=f"^a {type(value).__name__} is not a trace; pass il.trace"
    ):
        analysis(value)
    assert calls == []


def test_an_option_that_cannot_be_hashed_reaches_the_analysis(counting_analysis):
    analysis, calls = counting_analysis
    assert analysis(small(), device=["cpu"]) == [1, ["cpu"]]
    assert len(calls) == 1
