"""`inception-lab time --roofline` and `--plot` as a user types them, with ceilings made by hand."""

import csv
import dataclasses
import io
import json
from decimal import Decimal

import pytest
import torch
from support.made_times import CEILINGS
from support.typed import typed

import inception_lab as il
from inception_lab.measure.hardware import device_name
from inception_lab.measure.roofline import cache

SMALL = ("--input-size", "3x64x64", "--seconds", "0", "--threads", "1")


@pytest.fixture(autouse=True)
def _ceilings(tmp_path, monkeypatch):
    """Ceilings of this machine in a cache, so that none are measured."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    version = torch.__version__.partition("+")[0]
    made = dataclasses.replace(CEILINGS, machine=device_name("cpu"), torch=version, seconds=1e6)
    for dtype in ("float32", "bfloat16"):
        cache.save(dataclasses.replace(made, dtype=dtype))


def run(capsys, *arguments):
    return typed(capsys, "time", *arguments)


def test_layers_beside_what_the_machine_allows(capsys):
    code, out, err = run(capsys, "nin", *SMALL, "--roofline", "--wide")
    assert (code, err) == (0, "")
    for words in (
        "Share of the roof (%)",
        "Bound",
        "Time by bound ",
        "Compute ceiling      1.0 GFLOP/s, made",
        "Memory ceiling       0.1 GB/s, a copy of 64.0 MiB",
        "Launch ceiling       2.00 us an operation, 5.00 us a convolution",
        "Fewest bytes moved ",
        "Critical path ",
        "Side by side gain ",
        "1x3x64x64, eval",
    ):
        assert words in out


def test_json_has_ceilings_beside_totals_and_more_in_each_row(capsys):
    _, out, _ = run(capsys, "googlenet", *SMALL, "--roofline", "--format", "json")
    data = json.loads(out, parse_float=Decimal, parse_constant=pytest.fail)
    names = list(data)
    assert names.index("ceilings") == names.index("totals") + 1
    assert data["ceilings"]["flops_per_s"] == Decimal("1000000000.0")
    assert "schema" not in data["ceilings"]
    assert sum(row["self_ms"] for row in data["layers"]) == data["totals"]["step_ms"]
    assert sum(row["launches"] for row in data["layers"]) == data["totals"]["launches"]
    conv = next(row for row in data["layers"] if row["layer"] == "conv1.conv")
    assert {"intensity", "gflops_per_s", "attainable_gflops_per_s", "roof_share", "bound"} <= set(conv)
    # 7x7 from 3 to 64 channels at half the size: images, weights and bias in, activations out
    assert conv["compulsory_bytes"] == 4 * (3 * 64**2 + 64 * 3 * 49 + 64 + 64 * 32**2)
    outside = data["layers"][-1]
    assert "intensity" not in outside
    assert outside["compulsory_bytes"] == 0


def test_modules_have_a_critical_path(capsys):
    _, out, _ = run(capsys, "googlenet", *SMALL, "--roofline", "--depth", "1", "--format", "json")
    data = json.loads(out)
    assert "layers" not in data
    modules = {row["module"]: row for row in data["modules"]}
    assert modules["inception3a"]["launches"] == 14
    assert 1 < modules["inception3a"]["side_by_side_gain"] <= 4
    assert modules["conv1"]["side_by_side_gain"] == pytest.approx(1)
    _, out, _ = run(capsys, "googlenet", *SMALL, "--roofline", "--depth", "1", "--wide")
    assert "Share of MACs (%)" in out.splitlines()[2]


def test_csv_is_a_bare_table(capsys, tmp_path):
    path = tmp_path / "roofline.csv"
    run(capsys, "nin", *SMALL, "--roofline", "--format", "csv", "-o", str(path))
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert rows[0]["layer"] == "(model)"
    assert rows[-1]["intensity"] == ""
    assert {row["bound"] for row in rows} <= {"compute", "memory", "launch", "none"}


def test_a_training_step_and_autocast(capsys):
    arguments = ("nin", *SMALL, "--roofline", "--format", "json", "--mode", "train", "--optimizer", "sgd")
    _, out, _ = run(capsys, *arguments, "--autocast", "bfloat16")
    data = json.loads(out)
    assert data["ceilings"]["dtype"] == "bfloat16"
    trace = il.trace(il.create_model("nin", device="meta"), (1, 3, 64, 64), mode="train")
    assert sum(row["macs"] for row in data["layers"]) == il.layer_costs(trace)["training_macs"].sum()
    assert data["layers"][-1]["type"] == ""
    assert sum(row["macs_share"] for row in data["layers"]) == pytest.approx(100)


@pytest.mark.parametrize(("kind", "size"), [("png", "page"), ("svg", "slide"), ("pdf", "paper")])
def test_a_plot_of_macs_beside_time(capsys, tmp_path, kind, size):
    path = tmp_path / f"plot.{kind}"
    code, out, err = run(capsys, "googlenet", *SMALL, "--plot", str(path), "--size", size)
    assert (code, err) == (0, "")
    assert "roof" not in out
    assert path.read_bytes()[:5] == {"png": b"\x89PNG\r", "svg": b"<?xml", "pdf": b"%PDF-"}[kind]
    assert size != "slide" or 'width="960pt" height="540pt"' in path.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nin", "--plot", "plot.jpg"], "end it with .svg, .png or .pdf"),
        (["nin", "--size", "paper"], "--size without --plot; add --plot FILE.svg"),
        (["nin", "--plot", "plot.svg", "--size", "papper"], "'papper' is not one of"),
        (["nin", "alexnet", "--roofline"], "of one model at one batch size"),
        (["nin", "--batch-size", "1", "--batch-size", "2", "--roofline"], "of one model at one batch size"),
        (["nin", "--compile", "--roofline"], "that --compile fuses"),
    ],
    ids=["plot", "no plot", "size", "models", "batches", "compile"],
)
def test_a_mistake_is_answered_in_one_line(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
