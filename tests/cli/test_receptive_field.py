"""`inception-lab receptive-field` as a user types it."""

import csv
import io
import json

import pytest
import torch
from support.typed import typed

import inception_lab as il


def run(capsys, *arguments):
    return typed(capsys, "receptive-field", *arguments)


def test_the_table(capsys):
    code, out, _ = run(capsys, "googlenet", "--wide")
    line = next(line for line in out.splitlines() if line.startswith("inception3a.branch3.conv5x5.conv"))
    assert code == 0
    assert line.split()[1:4] == ["59x59", "8x8", "23x23"]
    assert "sees everything" in out
    assert "Fields along     axes 2 and 3 of the input 1x3x224x224" in out
    assert "Smallest input   31x31" in out
    assert "from inception4b.branch3.conv5x5.conv on" in out
    summary = next(line for line in out.splitlines() if line.split()[:2] == ["inception5b", "0"])
    assert summary.split()[2:] == ["75", "651", "715"]


def test_json_has_the_context_and_totals_of_the_summary(capsys):
    _, out, _ = run(capsys, "googlenet", "--format", "json")
    data = json.loads(out)
    trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224), name="googlenet")
    summary = il.summarise(trace).to_dict()
    assert {k: v for k, v in data.items() if k not in ("layers", "spectrum", "fit")} == {
        k: v for k, v in summary.items() if k != "layers"
    }
    table = il.receptive_field(trace).to_dict("records")
    assert [row["layer"] for row in data["layers"]] == [row["layer"] for row in table]
    row = next(r for r in data["layers"] if r["layer"] == "inception3a")
    assert (row["receptive_field"], row["extent"]) == ([59, 59], [[89, 147], [89, 147]])
    assert "reason" not in row
    assert data["spectrum"] == il.field_spectrum(trace).to_dict("records")
    assert data["axes"] == [2, 3]
    assert data["fit"]["smallest_input"] == [31, 31]


def test_csv_is_a_bare_table(capsys):
    _, out, _ = run(capsys, "vgg16", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0])[:4] == ["layer", "receptive_field", "stride", "padding"]
    assert next(r for r in rows if r["layer"] == "pool5")["receptive_field"] == "212x212"


def test_within_a_layer(capsys):
    _, out, _ = run(capsys, "googlenet", "--from", "inception3a", "--format", "json")
    row = next(r for r in json.loads(out)["layers"] if r["layer"] == "inception3b")
    assert (row["receptive_field"], row["stride"]) == ([5, 5], [1, 1])


def test_within_a_layer_nothing_is_said_of_the_whole_net(capsys):
    source = ("googlenet", "--from", "inception3a")
    _, out, _ = run(capsys, *source)
    assert out.endswith("\nFields along     axes 2 and 3 of the output 1x256x28x28 of inception3a\n")
    assert "Smallest" not in out
    _, text, _ = run(capsys, *source, "--format", "json")
    assert not {"fit", "spectrum"} & {*json.loads(text)}


def test_of_a_sequence_the_axis_is_named(capsys):
    encoder = "torch.nn:TransformerEncoderLayer(d_model=8, nhead=2, dim_feedforward=8, batch_first={})"
    _, out, _ = run(capsys, encoder.format(True), "--input-size", "5x8")
    assert "Fields along     axis 1 of the input 1x5x8\n" in out
    _, out, _ = run(capsys, encoder.format(False), "--input-size", "5x8", "--batch-size", "7")
    assert "Fields along     axis 0 of the input 7x5x8\n" in out


GENERATOR = """
from torch import nn

def generator():
    return nn.Sequential(nn.Linear(6, 64), nn.Unflatten(1, (4, 4, 4)), nn.ConvTranspose2d(4, 3, 4))
"""


def test_a_layer_has_axes_where_the_input_has_none(capsys, tmp_path, monkeypatch):
    (tmp_path / "generators.py").write_text(GENERATOR)
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ("generators:generator", "--input-size", "6")
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.endswith("name a layer that has, as --from LAYER\n")
    _, out, _ = run(capsys, *arguments, "--from", "1")
    assert out.endswith("Fields along     axes 2 and 3 of the output 1x4x4x4 of 1\n")
    _, out, _ = run(capsys, *arguments, "--from", "1", "--format", "json")
    data = json.loads(out)
    assert data["axes"] == [2, 3]
    assert not {"fit", "spectrum"} & set(data)
    assert next(row for row in data["layers"] if row["layer"] == "2")["receptive_field"] == [4, 4]


def test_padding_that_a_model_computes_from_the_size(capsys):
    _, out, _ = run(capsys, "bn_inception", "--format", "json")
    data = json.loads(out)
    assert data["fit"]["smallest_input"] == [7, 7]
    row = next(r for r in data["layers"] if r["layer"] == "inception5b")
    assert row["status"] == "misaligned"
    assert "receptive_field" not in row
    assert row["extent"] == [[0, 223], [0, 223]]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("googlenet --from inception3", 2, "did you mean inception3"),
        ("googlenet --samples 3", 2, "add --effective"),
        ("googlenet --samples 4", 2, "--samples without --effective"),
        ("googlenet --effective --plot field.jpg", 2, "end it with .svg, .png or .pdf"),
        ("googlenet --effective --size slide", 2, "--size without --plot"),
        ("googlenet --effective --format csv", 2, "take --format json"),
        ("googlenet --layer conv1 --device cpu", 2, "--layer, --device without --effective"),
        ("googlenet --optimizer sgd", 2, "--optimizer"),
        ("gogglenet", 2, "did you mean googlenet"),
        (
            "torch.nn:Linear --input-size 3 --kwargs in_features=3 --kwargs out_features=2",
            2,
            "no spatial axes",
        ),
        ("googlenet --input-size 3x20x20", 3, "31"),
        (
            "torch.nn:Embedding --input-size 8:int64 --kwargs num_embeddings=9 --kwargs embedding_dim=4 "
            "--effective",
            2,
            "one floating input; leave out --effective",
        ),
    ],
)
def test_mistakes(capsys, arguments, code, message):
    exit_code, out, err = run(capsys, *arguments.split())
    assert (exit_code, out) == (code, "")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_device_that_is_not_there(capsys):
    arguments = ("googlenet_cifar10", "--effective", "--device", "cuda")
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err == "inception-lab: there is no CUDA device here; use --device cpu\n"


def test_the_effective_field_is_the_one_measured_from_python(capsys, tmp_path):
    torch.manual_seed(0)
    model = il.create_model("googlenet_cifar10")
    weights = tmp_path / "weights.pt"
    torch.save(model.state_dict(), weights)
    arguments = [
        "googlenet_cifar10",
        "--effective",
        "--layer",
        "inception3a",
        "--seeds",
        "2",
        "--samples",
        "1",
    ]
    arguments += ["--weights", str(weights)]
    code, out, _ = run(capsys, *arguments, "--plot", str(tmp_path / "field.svg"), "--format", "json")
    field = il.effective_field(model, (1, 3, 32, 32), layer="inception3a", seeds=range(2), samples=1)
    assert code == 0
    assert json.loads(out)["effective"] == field.to_dict()
    assert (tmp_path / "field.svg").read_text().lstrip().startswith("<?xml")
    _, out, _ = run(capsys, *arguments)
    half = field.areas[0]
    assert f"50% of the gradient of inception3a's centre unit lies in {half.pixels:,} pixels" in out
    assert "Mean of 2 random inputs" in out


def test_a_gate_stands_beside_the_local_field(capsys):
    arguments = ("support.gated_nets:Stages", "--input-size", "3x60x60")
    _, out, _ = run(capsys, *arguments, "--wide")
    line = next(line for line in out.splitlines() if line.startswith("stages.1.2 "))
    assert line.split()[1:] == [
        "31x31", "8x8", "15x15", "0-59", "x", "0-59", "stages.0.2", "and", "stages.1.2", "exact",
    ]  # fmt: skip
    # 31 of 60 pixels along each axis
    assert " ".join(out.split()).endswith(
        "sees 27% of the input on local paths, and everything through stages.0.2 and stages.1.2"
    )
    _, out, _ = run(capsys, *arguments, "--format", "json")
    rows = {row["layer"]: row for row in json.loads(out)["layers"]}
    assert rows["stages.1.0"]["global_context"] == ["stages.0.2"]
    assert "global_context" not in rows["stages.0.1"]
    _, out, _ = run(capsys, *arguments, "--format", "csv")
    rows = {row["layer"]: row for row in csv.DictReader(io.StringIO(out))}
    assert rows["stages.1.2"]["global_context"] == "stages.0.2 stages.1.2"


def test_a_normalisation_over_space_stands_beside_the_local_field(capsys):
    _, out, _ = run(capsys, "support.gated_nets:normalised", "--input-size", "3x20x20")
    line = next(line for line in out.splitlines() if line.startswith("2 "))
    assert line.split()[1:] == ["5x5", "2x2", "2x2", "0-19", "x", "0-19", "1", "exact"]
