"""`inception-lab receptive-field` as a user types it."""

import csv
import io
import json

import pytest
from support.typed import typed

import inception_lab as il


def run(capsys, *arguments):
    return typed(capsys, "receptive-field", *arguments)


def test_the_table(capsys):
    code, out, _ = run(capsys, "googlenet")
    line = next(line for line in out.splitlines() if line.startswith("inception3a.branch3.conv5x5.conv"))
    assert code == 0
    assert line.split()[1:4] == ["59x59", "8x8", "23x23"]
    assert "sees everything" in out
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


def test_padding_that_a_model_computes_from_the_size(capsys):
    _, out, _ = run(capsys, "bn_inception", "--format", "json")
    data = json.loads(out)
    assert data["fit"]["smallest_input"] == [7, 7]
    row = next(r for r in data["layers"] if r["layer"] == "inception5b")
    assert row["status"] == "misaligned"
    assert "receptive_field" not in row
    assert row["extent"] == [[0, 223], [0, 223]]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("googlenet --from inception3", 2, "did you mean inception3"),
        ("googlenet --samples 3", 2, "add --effective"),
        ("googlenet --layer conv1 --device cpu", 2, "--layer, --device without --effective"),
        ("googlenet --optimizer sgd", 2, "--optimizer"),
        ("gogglenet", 2, "did you mean googlenet"),
        (
            "torch.nn:Linear --input-size 3 --kwargs in_features=3 --kwargs out_features=2",
            2,
            "no spatial axes",
        ),
        ("googlenet --input-size 3x20x20", 3, "31"),
    ],
)
def test_mistakes(capsys, arguments, code, said):
    found, out, err = run(capsys, *arguments.split())
    assert (found, out) == (code, "")
    assert err.count("\n") == 1
    assert said in err
