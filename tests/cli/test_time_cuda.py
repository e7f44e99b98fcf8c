"""The text of times on a GPU, with the CPU in its place."""

import json
from dataclasses import replace

import pytest
from support.fake_gpu import FakeGpu, times_on
from torch import nn

from inception_lab.cli.time_text import times_text
from inception_lab.report.terminal import UNWRAPPED
from inception_lab.report.view import View

FACTS = {
    "device": "cuda", "machine": "a GPU", "cuda": "13.0", "cudnn": 91002, "matmul_tf32": False,
    "convolution_tf32": True, "cudnn_benchmark": False, "cudnn_deterministic": True,
}  # fmt: skip


def times(gpu=None, **facts):
    result = times_on(gpu or FakeGpu(), nn.Sequential(nn.Linear(3, 4), nn.ReLU()), (2, 3))
    return replace(result, context={**result.context, **FACTS, **facts})


def test_the_table_has_kernels_gaps_and_the_launch_overhead():
    text = times_text(times(), None, View(screen=UNWRAPPED))
    for words in (
        "(gaps)",
        "Kernels",
        "Device time (ms)",
        "Launch overhead",
        "Kernel launches",
        "Attributed",
    ):
        assert words in text
    assert "CUDA 13.0, cuDNN 91002, TF32 in convolution, cudnn deterministic\n" in text
    assert "Machine              a GPU, " in text


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"matmul_tf32": True}, "TF32 in matmul and convolution"),
        ({"convolution_tf32": False}, "no TF32"),
        ({"l2_flushed": False}, "L2 cache not flushed"),
        ({"cudnn_benchmark": True}, "cudnn benchmark"),
    ],
)
def test_settings_that_choose_kernels_are_said(facts, words):
    assert words in times_text(times(**facts), None, View(screen=UNWRAPPED))


def test_a_capture_that_fails_is_a_note_and_json_lacks_its_figures():
    result = times(FakeGpu(capture_error=RuntimeError("not permitted")))
    assert "not captured into a CUDA graph: RuntimeError: not permitted" in times_text(
        result, None, View(screen=UNWRAPPED)
    )
    data = json.loads(times_text(result, None, View("json")))
    assert "graph_step_ms" not in data["totals"]
    assert {"device_ms", "kernels", "self_ms"} <= data["layers"][0].keys()
    assert json.loads(times_text(result, 1, View("json")))["modules"][-1]["module"] == "(gaps)"


def test_csv_has_every_row():
    lines = times_text(times(), None, View("csv")).splitlines()
    assert lines[0].startswith("layer,call,type,executed,self_ms,share,device_ms,kernels")
    assert [line.partition(",")[0] for line in lines[1:]] == ["(model)", "0", "1", "(outside)", "(gaps)"]
