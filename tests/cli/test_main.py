"""The command line as a user types it: output, exit codes, and one clear line for every mistake."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.own_folder import own_folder
from support.typed import typed

import inception_lab as il
from inception_lab.cli import COMMANDS


def test_help_names_every_command_with_its_own_help(capsys):
    _, out, _ = typed(capsys, "--help")
    for name, line in COMMANDS.items():
        assert f"{name} " in out
        assert line in out
        code, text, _ = typed(capsys, name, "--help")
        assert code == 0
        assert line.rstrip(".").split()[0] in text


def test_models_lists_the_zoo(capsys):
    code, out, _ = typed(capsys, "models", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [row["name"] for row in rows] == il.list_models()
    assert rows[0]["params"] == "6998552"
    assert rows[0]["input_size"] == "3x224x224"


def test_models_as_json_carries_the_cards(capsys):
    _, out, _ = typed(capsys, "models", "--family", "googlenet", "--format", "json")
    data = json.loads(out)
    assert data["schema"] == 1
    first = data["models"][0]
    assert (first["name"], first["paper"], first["year"], first["macs"]) == (
        "googlenet",
        "1409.4842",
        2014,
        1582671872,
    )


def test_summary_as_json_is_the_record(capsys):
    _, out, _ = typed(capsys, "summary", "googlenet", "--format", "json")
    trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224), name="googlenet")
    assert json.loads(out) == il.summarise(trace).to_dict()


def test_models_as_json_has_an_option_without_a_default(capsys):
    _, out, _ = typed(capsys, "models", "--family", "inception_resnet", "--format", "json")
    assert [card["options"]["scale"] for card in json.loads(out)["models"]] == [None, None]


def test_a_scale_of_residuals_is_named_and_costs_nothing(capsys):
    _, out, _ = typed(capsys, "summary", "inception_resnet_v1(scale=1.0)", "--format", "json")
    data = json.loads(out)
    assert data["model"] == "inception_resnet_v1(scale=1.0)"
    assert (data["totals"]["params"], data["totals"]["macs"]) == (22_756_328, 6_206_361_696)


def test_summary_shows_layers_and_totals(capsys):
    _, out, _ = typed(capsys, "summary", "googlenet")
    assert "inception3a.branch3.conv5x5.conv" in out
    assert "1,582,671,872" in out
    assert "6,998,552" in out
    assert "flops" not in out.split("\n")[0].split()


def test_summary_options(capsys):
    arguments = ["summary", "googlenet_v2", "--kwargs", "middle=input", "--kwargs", "num_classes=10"]
    arguments += ["--input-size", "3x96x64"]
    _, out, _ = typed(capsys, *arguments, "--batch-size", "4", "--mode", "train", "--format", "json")
    data = json.loads(out)
    model = il.create_model("googlenet_v2", device="meta", middle="input", num_classes=10)
    assert data["totals"]["params"] == sum(p.numel() for p in model.parameters())
    assert data["input_shapes"] == [[4, 3, 96, 64]]
    assert (data["mode"], data["loss"]) == ("train", "cross_entropy")
    assert data["totals"]["training_macs"] == data["totals"]["macs"] + data["totals"]["backward_macs"]


def test_summary_by_depth_adds_up(capsys):
    _, out, _ = typed(capsys, "summary", "googlenet", "--depth", "1", "--format", "json")
    data = json.loads(out)
    assert "layers" not in data
    assert [row["module"] for row in data["modules"]][-1] == "fc"
    assert sum(row["macs"] for row in data["modules"]) == data["totals"]["macs"] == 1582671872


def test_output_goes_to_a_file(capsys, tmp_path):
    path = tmp_path / "new" / "layers.csv"
    code, out, _ = typed(capsys, "summary", "googlenet", "--format", "csv", "-o", str(path))
    assert (code, out) == (0, "")
    assert sum(int(row["macs"]) for row in csv.DictReader(path.open())) == 1582671872
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("summary gogglenet", 2, "did you mean googlenet"),
        ("sumary googlenet", 2, "did you mean summary"),
        ("summary", 2, "MODEL"),
        ("summary googlenet --input-size 3xa", 2, "3x224x224"),
        ("summary googlenet --input-size 3x0x224", 2, "3x224x224"),
        ("summary googlenet --input-size -3x224x224", 2, "3x224x224"),
        ("summary googlenet --batch-size 0", 2, "0"),
        ("summary googlenet --mode training", 2, "train"),
        ("summary googlenet --optimizer sgd", 2, "use --mode train"),
        ("summary torch.nn:ReLU", 2, "give --input-size, such as 3x224x224"),
        ("summary googlenet --depth 0", 2, "0"),
        ("summary googlenet --format yaml", 2, "yaml"),
        ("summary googlenet --frmat csv", 2, "--format"),
        ("summary googlenet --kwargs num_clases=3", 2, "did you mean num_classes"),
        ("summary googlenet --kwargs num_classes", 2, "num_classes=10"),
        ("summary googlenet(10)", 2, "googlenet(num_classes=10)"),
        ("summary googlenet(num_clases=3)", 2, "did you mean num_classes"),
        ("summary googlenet(num_classes=3) --kwargs num_classes=3", 2, "given twice"),
        ("summary torch.nn:Linear(a=torch.half)", 2, "torch.nn:Linear: the value of a is not a literal"),
        ("summary googlenet --kwargs num_classes=0", 2, "num_classes"),
        ("summary googlenet --kwargs middle=input", 2, "middle"),
        ("summary inception_resnet_v1(scale=-1)", 2, "scale is -1; it takes a finite number of 0 or more"),
        ("summary inception_resnet_v2(scale=nan)", 2, "scale is nan; it takes a finite number"),
        ("summary googlenet --input-size 3x30x30", 3, "31"),
        ("summary googlenet --input-size 3x224", 3, "N x 3 x H x W"),
        ("summary googlenet --input-size 1x224x224", 3, "N x 3 x H x W"),
        ("summary googlenet --input-size 3x224x224 --input-size 3x224x224", 3, "forward"),
        ("summary googlenet --mode train --input-size 3x64x64 --kwargs aux_logits=True", 3, "191 to 238"),
        ("summary googlenet_bn --mode train --input-size 3x31x31", 3, "Expected more than 1 value"),
        ("summary googlenet -o /dev/null/x", 2, "/dev/null/x"),
        ("summary googlenet --kwargs device=cuda", 2, "no option 'device'"),
        ("summary googlenet --kwargs name=x", 2, "no option 'name'"),
        ("models --family gogle", 2, "googlenet"),
        ("report", 2, "--all"),
        ("report googlenet nothing", 2, "no model 'nothing'"),
        ("report googlenet googlenet", 2, "twice"),
        ("report nin(num_classes=1) nin(num_classes=0x1)", 2, "twice"),
        ("report googlenet -o /dev/null/x", 2, "/dev/null/x"),
    ],
)
def test_every_mistake_is_one_clear_line(capsys, arguments, code, message):
    exit_code, out, err = typed(capsys, *arguments.split())
    assert (exit_code, out) == (code, "")
    assert err.count("\n") == 1
    assert message in err
    assert err.startswith("inception-lab: ")
    assert "Traceback" not in err


def test_keywords_in_the_text_of_a_model_are_those_after_the_option(capsys):
    _, out, _ = typed(capsys, "summary", "nin( num_classes=10)", "--format", "json")
    _, other, _ = typed(capsys, "summary", "nin", "--kwargs", "num_classes=10", "--format", "json")
    named, plain = json.loads(out), json.loads(other)
    assert named == plain
    assert named["model"] == "nin(num_classes=10)"
    assert named["kwargs"] == {"num_classes": 10}


def test_report_tells_two_variants_of_one_model_apart(capsys, tmp_path):
    variants = [
        "torch.nn:Linear(in_features=3, out_features=2)",
        "torch.nn:Linear(in_features=3, out_features=4)",
    ]
    code, out, _ = typed(capsys, "report", *variants, "--input-size", "3", "-o", str(tmp_path))
    assert code == 0
    names = [f"torch.nn.Linear-in_features=3-out_features={width}-3" for width in (2, 4)]
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["comparison-3", *names]
    table = list(csv.DictReader((tmp_path / "comparison-3" / "comparison.csv").open()))
    assert [(row["model"], row["params"]) for row in table] == [(variants[0], "8"), (variants[1], "16")]
    assert out.count("index.html") == 3


def test_strict_fails_on_a_partial_result(capsys, monkeypatch):
    from inception_lab.formulas import registry as formulas

    monkeypatch.setattr(formulas, "FREE_OPS", formulas.FREE_OPS - {formulas.aten.cat})
    monkeypatch.setattr("inception_lab.tracing.dispatch.CACHING_EXECUTOR.cache", {})
    code, out, err = typed(capsys, "summary", "googlenet", "--strict", "--format", "json")
    data = json.loads(out)
    assert code == 1
    assert data["complete"] is False
    assert data["uncounted_ops"] == [{"name": "aten.cat.default", "count": 9}]
    assert "aten.cat.default (9x)" in err
    code, out, _ = typed(capsys, "summary", "googlenet")
    assert code == 0
    assert "NOT COUNTED" in out
    assert "aten.cat.default" in out


def test_what_ran_once_is_said_so(capsys, tmp_path, monkeypatch):
    net = "from torch import fft, nn\n\nclass Net(nn.Module):\n    forward = lambda self, x: fft.rfft(x)\n"
    with own_folder(tmp_path, {"spectral.py": net}, monkeypatch):
        size = ("--input-size", "8")
        texts = [typed(capsys, command, "spectral:Net", *size)[1] for command in ("summary", "crosscheck")]
        typed(capsys, "report", "spectral:Net", "torch.nn:Identity", *size)
        texts += [path.read_text() for path in Path("reports").rglob("*.md") if "Identity" not in str(path)]
        texts += [path.read_text() for path in Path("reports").glob("spectral*/index.html")]
    assert ["ran once" in text for text in texts] == [True] * 5


def test_report_of_one_model(capsys, tmp_path):
    folder = tmp_path / "mine"
    code, out, err = typed(capsys, "report", "googlenet", "-o", str(folder))
    assert (code, err) == (0, "")
    assert out.strip() == str(folder / "index.html")
    assert {"layers.csv", "modules.csv", "summary.json", "README.md"} <= {p.name for p in folder.iterdir()}
    assert il.Record.load(folder / "summary.json").totals["macs"] == 1582671872


def test_report_of_several_models_sets_them_side_by_side(capsys, tmp_path):
    code, out, _ = typed(capsys, "report", "googlenet", "googlenet_v3", "-o", str(tmp_path))
    assert code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["comparison", "googlenet", "googlenet_v3"]
    assert out.splitlines()[-1] == str(tmp_path / "comparison" / "index.html")
    data = json.loads((tmp_path / "comparison" / "comparison.json").read_text())
    assert [model["model"] for model in data["models"]] == ["googlenet", "googlenet_v3"]


def test_a_model_that_fails_leaves_nothing_written(capsys, tmp_path):
    code, _, _ = typed(
        capsys, "report", "googlenet_3x3", "googlenet", "--input-size", "3x20x20", "-o", str(tmp_path)
    )
    assert code == 3
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m inception_lab summary googlenet | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1
