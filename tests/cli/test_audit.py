"""`inception-lab confirm --model`, and the text of an audit."""

import csv
import io
import json

import pytest

import inception_lab as il
from inception_lab.audits.audit import Audit, AuditRow
from inception_lab.cli import main
from inception_lab.cli.audit_text import audit_text
from inception_lab.models.cards import get_card
from inception_lab.report.view import View


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["confirm", *arguments])
    streams = capsys.readouterr()
    return end.value.code or 0, streams.out, streams.err


def test_a_port_is_told_in_lines_of_80_columns_and_exits_with_1(capsys):
    code, out, err = run(capsys, "--model", "googlenet_3x3", "--against", "googlenet_bn")
    assert (code, err) == (1, "")
    place = "9 modules from inception3a to inception5b, branch 3, layer 2"
    assert f"{place}: kernel 3x3 where the reference has 5x5" in " ".join(out.split())
    assert "* pool4: kernel 2x2 where the reference has 3x3" in out.splitlines()
    assert max(map(len, out.splitlines())) <= 80


def test_a_net_that_does_not_depart_exits_with_0(capsys):
    assert run(capsys, "--model", "googlenet") == (0, "googlenet does not depart from googlenet.\n", "")


def test_a_function_of_another_package_has_the_input_of_the_reference(capsys, tmp_path, monkeypatch):
    file = "from inception_lab.models.googlenet import googlenet as make\n"
    (tmp_path / "audited_net.py").write_text(file)
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "--model", "audited_net:make(num_classes=10)", "--against", "googlenet")
    assert code == 1
    assert "* fc: channels 10 where the reference has 1,000" in out.splitlines()


def test_json_is_what_python_answers(capsys):
    code, out, _ = run(capsys, "--model", "googlenet_cifar10", "--format", "json")
    assert code == 1
    data = json.loads(out)
    assert data == il.audit_models("googlenet_cifar10", "googlenet").to_dict()
    assert data["departs"]
    assert data["rows"][0] == {
        "severity": "departure",
        "place": "conv1",
        "property": "layer",
        "value": "none",
        "reference": "convolution 7x7 to 64 channels with ReLU",
        "reference_layer": "conv1.conv",
    }


def test_csv_has_a_row_for_each_property_and_layer(capsys):
    _, out, _ = run(capsys, "--model", "googlenet_notebook", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == len(il.audit_models("googlenet_notebook").rows)
    assert rows[0]["layer"] == "conv1.conv"


def test_growth_of_modules_adds_up_to_that_of_the_whole_net_as_on_the_cards(capsys):
    _, out, _ = run(capsys, "--model", "googlenet_notebook", "--format", "markdown")
    lines = [line for line in out.splitlines() if line.startswith("|")]
    heads, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    cards = [get_card(name) for name in ("googlenet_notebook", "googlenet")]
    for column, metric in (("More parameters", "params"), ("More MACs", "macs")):
        growths = [int(row[heads.index(column)].replace(",", "") or 0) for row in rows]
        first, second = (getattr(card, metric) for card in cards)
        assert sum(growths[:-1]) == growths[-1] == first - second


def test_markdown_escapes_names(capsys):
    _, out, _ = run(capsys, "--model", "googlenet_3x3", "--format", "markdown")
    assert out.startswith("googlenet_3x3 departs from googlenet in ")
    assert "| place " in out.lower()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "googlenett"], "no model 'googlenett'; did you mean googlenet"),
        (["--model", "googlenet", "--against", "nothere"], "no model 'nothere'"),
        (["--model", "googlenet", "5M"], "claims beside --model; leave out one of both"),
        (["--model", "googlenet", "--measure"], "claims beside --model; leave out one of both"),
        (["--against", "googlenet"], "options of an audit without a model; give --model"),
        (["--batch-size", "3"], "options of an audit without a model; give --model"),
        (["--model", "nowhere.at_all:Net"], "nowhere"),
    ],
)
def test_wrong_usage_is_one_line(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert code in (2, 3)
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def row(place, property, value, reference, severity="departure"):
    return AuditRow(severity, place, property, value, reference)


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([row("fc", "bias", "none", "a bias")], "* fc: no bias where the reference has a bias"),
        ([row("fc", "activation", "ReLU", "none")], "* fc: ReLU where the reference has none"),
        ([row("a", "kernel", "3x3", "5x5"), row("b", "kernel", "3x3", "5x5")],
         "* a and b: kernel 3x3 where the reference has 5x5"),
        ([row(f"m, branch 2, layer {n}", "bias", "none", "a bias") for n in (1, 2)],
         "* m, branch 2, layers 1 and 2: no bias where the reference has a bias"),
        ([row("whole net", "input", "1x3x8x8", "1x3x9x9", "note")],
         "* Note: inputs 1x3x8x8 and 1x3x9x9: grids and MACs are not compared."),
    ],
    ids=["missing", "added", "two at once", "layers of a branch", "note"],
)  # fmt: skip
def test_sentences(rows, line):
    assert line in audit_text(Audit("net", "reference", tuple(rows)), View()).splitlines()


def test_figures_that_differ_for_no_known_reason_are_a_departure_too():
    answer = Audit("net", "other", (row("fc", "parameters", "8", "9", "effect"),))
    assert answer.departs
    assert "differ in figures alone" in audit_text(answer, View())


def test_channels_of_a_module_that_differ_in_many_layers_are_said_at_once(capsys):
    _, out, _ = run(capsys, "--model", "googlenet_keras")
    text = " ".join(out.split())
    place = "inception3a, 5 layers (branch 2, layers 1 and 2; branch 3, layers 1 and 2; branch 4, layer 2)"
    assert f"{place}: channels 64 each where the reference has 96, 128, 16, 32 and 32 *" in text
