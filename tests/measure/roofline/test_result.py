"""Times, trace and ceilings in one result: what is refused before anything runs, and its JSON."""

import dataclasses
import json

import pytest
import torch
from support.made_times import CEILINGS, times_of
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.measure.hardware import device_name
from inception_lab.measure.roofline import result


@pytest.mark.parametrize(
    ("dtype", "options", "message"),
    [
        (torch.complex64, {}, "no ceilings of torch.complex64"),
        (torch.float32, {"device": "tpu"}, "layers are not timed on 'tpu'"),
        (torch.float32, {"device": "cuda:99"}, "no CUDA device"),
        (torch.float32, {"optimizer": "sgd"}, "an optimizer takes no step in eval mode"),
    ],
    ids=["dtype", "device", "number", "step"],
)
def test_what_can_be_refused_is_refused_before_the_rounds(monkeypatch, dtype, options, message):
    monkeypatch.setattr(result, "layer_times", lambda *_, **__: pytest.fail("it ran"))
    with pytest.raises(InceptionLabError, match=message) as error:
        il.measure_roofline(nn.Linear(4, 4, dtype=dtype), (2, 4), **options)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("depth", [None, 1])
def test_figures_that_there_are_not_are_absent_from_json(depth):
    """Of a model without operations no row has an intensity."""
    trace = il.trace(nn.Identity(), (2, 3))
    roofline = il.Roofline(times_of(trace, {"(model)": 1}), trace, CEILINGS)
    data = json.loads(json.dumps(roofline.to_dict(depth)), parse_constant=pytest.fail)
    rows = data["layers" if depth is None else "modules"]
    assert rows
    for row in rows:
        assert "intensity" not in row
        assert None not in row.values()


def test_an_autocast_around_it_is_that_of_times_trace_and_ceilings():
    facts = {"machine": device_name("cpu"), "torch": torch.__version__.partition("+")[0]}
    ceilings = dataclasses.replace(CEILINGS, dtype="bfloat16", **facts)
    with torch.autocast("cpu", torch.bfloat16):
        roofline = il.measure_roofline(nn.Linear(8, 8), (2, 8), threads=1, seconds=0, ceilings=ceilings)
    assert roofline.times.context["autocast"] == roofline.trace.context.autocast == "bfloat16"
    assert roofline.layers.set_index("layer").loc["(model)", "macs"] == 2 * 8 * 8
