"""The comparison with a CUDA device: its arithmetic and its page, a GPU's figures put in by hand."""

import pandas as pd
import pytest

import check_memory_cuda
import inception_lab as il
from inception_lab.measure.memory import MeasuredMemory
from inception_lab.running.optimizers import optimizer_of

CUBLAS = 1000


@pytest.fixture
def script(monkeypatch):
    memory = MeasuredMemory("a GPU", 5, 2 * 10**8, 3 * 10**8, {"cublas": CUBLAS, "convolution": 7})
    monkeypatch.setattr("inception_lab.measure.prediction.measure_memory", lambda *_, **__: memory)
    monkeypatch.setattr(check_memory_cuda, "device_name", lambda _: "a GPU")
    return check_memory_cuda


def test_a_row_and_the_page(script, monkeypatch):
    caps = []
    monkeypatch.setattr(script, "failures", lambda _, cap, steps: caps.append(cap) or steps - 1)
    step = il.trace(
        il.create_model("nin", device="meta"),
        (2, 3, 224, 224),
        mode="train",
        optimizer=optimizer_of("adam", foreach=True),
    )
    peak = il.peak_memory(step, "cuda").peak_bytes + CUBLAS
    records = [script.check("nin", "eval", 1, None, 0), script.check("nin", "train", 2, "adam", 4)]
    rows = pd.DataFrame(records, columns=list(script.COLUMNS))
    assert list(rows["steps"].dropna()) == [4]
    assert rows["predicted_bytes"][1] == peak
    assert rows["error_percent"][1] == pytest.approx(100 * (peak / 2e8 - 1))
    measured = ["allocated_bytes", "reserved_bytes", "tracked_bytes", "cublas_bytes", "convolution_bytes"]
    assert rows.loc[1, measured].tolist() == [2 * 10**8, 3 * 10**8, 5, CUBLAS, 7]
    assert caps == [il.reserved_memory(step) + CUBLAS] == [rows["predicted_reserved_bytes"][1]]
    page = script.page(rows)
    assert "0 of 2 runs" in page
    assert "3 of 4 steps" in page
    assert "| nin | eval | 1 |  |" in page


def test_without_a_gpu_it_says_so(script, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(script.torch.cuda, "is_available", lambda: False)
    assert script.main(["-o", str(tmp_path)]) == 2
    assert "no CUDA device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
