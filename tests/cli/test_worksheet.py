"""`inception-lab worksheet` as a user types it."""

import csv
import io
import json

import pytest
from support.typed import typed

import inception_lab as il
from inception_lab.worksheets.rendering import FORMATS

MODULE = ["worksheet", "googlenet", "inception3a"]
FREE = ["worksheet", "--input", "28x28x256", "--branches", "128,64,192,64,96,64"]


def test_the_famous_line_stands_in_80_columns(capsys):
    code, out, err = typed(capsys, *MODULE)
    assert (code, err) == (0, "")
    assert "multiplies  28 x 28 x 32 outputs x 5 x 5 x 192 inputs each = 120,422,400" in out
    assert "multiplies  120,422,400 / 12,443,648 = 9.68" in out
    assert max(map(len, out.splitlines())) <= 80


def test_free_numbers(capsys):
    code, out, _ = typed(capsys, *FREE)
    assert code == 0
    assert out.splitlines()[0] == "128,64,192,64,96,64 on 28 x 28 x 256"
    assert next(line.split() for line in out.splitlines() if line.startswith("sum ")) == [
        "sum", "854,196,224", "271,351,808", "3.15",
    ]  # fmt: skip
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("arguments", [MODULE, FREE], ids=["traced", "free"])
def test_every_format_is_that_of_the_library(capsys, tmp_path, arguments, form):
    path = tmp_path / "sheet"
    assert typed(capsys, *arguments, "--format", form, "-o", str(path)) == (0, "", "")
    if arguments is MODULE:
        model = il.create_model("googlenet", device="meta")
        sheet = il.worksheet(il.trace(model, (1, 3, 224, 224), name="googlenet"), "inception3a")
    else:
        sheet = il.design_worksheet("28x28x256", "128,64,192,64,96,64")
    assert path.read_text() == il.render_worksheet(sheet, form)


def test_the_options_reach_the_model(capsys):
    options = [
        "--batch-size",
        "2",
        "--input-size",
        "3x64x64",
        "--kwargs",
        "num_classes=7",
        "--format",
        "json",
    ]
    _, out, _ = typed(capsys, "worksheet", "googlenet", "fc", *options)
    data = json.loads(out)
    assert data["input_shapes"] == [[2, 3, 64, 64]]
    assert data["totals"]["macs"] == 2 * 7 * 1024
    assert "naive_macs" not in data["totals"]


def test_csv_adds_up_on_each_side(capsys):
    _, out, _ = typed(capsys, *MODULE, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    sums = {
        side: sum(int(row["macs"]) for row in rows if row["side"] == side) for side in ("naive", "reduced")
    }
    assert sums == {"naive": 303_464_448, "reduced": 128_049_152}
    (five,) = [row for row in rows if row["side"] == "naive" and row["branch"] == "branch3"]
    assert five["multiplication"] == "28x28x32 x 5x5x192"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "give MODEL and MODULE, or --input and --branches; such as googlenet inception3a"),
        (["googlenet"], "give MODEL and MODULE, or --input and --branches; such as googlenet inception3a"),
        (["googlenet", "inception3"], "googlenet: no module 'inception3'; did you mean inception3b"),
        (["--input", "8x8x8"], "--input and --branches go together; give both"),
        (["--branches", "1,1,1,1,1,1"], "--input and --branches go together; give both"),
        (
            ["googlenet", "inception3a", "--input", "8x8x8"],
            "MODEL 'googlenet' beside free numbers; leave out",
        ),
        (["--input", "8x8", "--branches", "1,1,1,1,1,1"], "'8x8' is not the size of an input; write"),
        (["--input", "8x8x8", "--branches", "1,1"], "'1,1' is not six numbers; write six numbers like"),
    ],
)
def test_mistakes_are_one_line(capsys, arguments, line):
    code, out, err = typed(capsys, "worksheet", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"inception-lab: {line}")
    assert err.count("\n") == 1


def test_a_partial_count_is_said_and_fails_under_strict(capsys, monkeypatch):
    from inception_lab.formulas import registry as formulas

    monkeypatch.setattr(formulas, "FREE_OPS", formulas.FREE_OPS - {formulas.aten.cat})
    monkeypatch.setattr("inception_lab.tracing.dispatch.CACHING_EXECUTOR.cache", {})
    code, out, err = typed(capsys, *MODULE, "--strict")
    assert code == 1
    assert out.splitlines()[-1] == "NOT COUNTED aten.cat.default, ran once"
    assert "aten.cat.default (9x)" in err
