"""From a trace to the contents of its report, and from Python to a folder in one call."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from support.gated_nets import Stages
from support.typed import typed

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.loading.model import with_card_facts
from inception_lab.report.answers import sight_text
from inception_lab.report.collect import collect


@pytest.fixture(scope="module")
def googlenet() -> il.Trace:
    model = il.create_model("googlenet_3x3", device="meta")
    return il.trace(model, (1, 3, 224, 224), name="googlenet_3x3")


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_python_writes_what_the_command_writes(
    googlenet: il.Trace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claims = il.claims_about(["googlenet_3x3"])["googlenet_3x3"].to_dict()["claims"]
    page = il.write_report(googlenet, str(tmp_path / "python"), claims=claims)
    code, out, _ = typed(capsys, "report", "googlenet_3x3", "-o", str(tmp_path / "command"))
    assert page == tmp_path / "python" / "index.html"
    assert (code, out) == (0, f"{tmp_path / 'command' / 'index.html'}\n")
    assert _bytes(tmp_path / "python") == _bytes(tmp_path / "command")


def test_python_compares_what_the_command_compares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["googlenet", "nin"]
    pages = [tmp_path / name / "index.html" for name in names]  # beside each comparison
    page = il.write_comparison(il.zoo_records(names), tmp_path / "python", pages=pages)
    typed(capsys, "report", "googlenet", "nin", "-o", str(tmp_path / "command"))
    assert page == tmp_path / "python" / "index.html"
    assert _bytes(page.parent) == _bytes(tmp_path / "command" / "comparison")


def test_an_input_without_spatial_axes_has_no_fields() -> None:
    contents = collect(il.trace(torch.nn.Linear(4, 2), (1, 4)))
    assert contents.fit.input_size == ()
    assert len(contents.spectrum) == len(contents.field_ranges) == 0
    assert contents.record.totals["macs"] == 4 * 2
    # 2 x 4 weights and 2 biases, 4 inputs and 2 outputs of 4 bytes
    assert contents.peak.peak_bytes == 4 * (8 + 2 + 4 + 2)


@pytest.mark.parametrize("analysis", ["field_spectrum", "resolution_fit"])
def test_any_other_error_of_an_analysis_is_shown(googlenet: il.Trace, tmp_path: Path, analysis: str) -> None:
    fault = InceptionLabError("the trace contradicts itself")
    with (
        patch(f"inception_lab.report.collect.{analysis}", side_effect=fault),
        pytest.raises(InceptionLabError, match="contradicts"),
    ):
        il.write_report(googlenet, tmp_path / "report")
    assert list(tmp_path.iterdir()) == []


def test_a_page_says_both_what_is_local_and_what_is_not(tmp_path: Path) -> None:
    trace = il.trace(Stages(2), (1, 3, 60, 60))
    page = il.write_report(trace, tmp_path / "report").read_text()
    text = sight_text(collect(trace))
    assert "Fields lie along axes 2 and 3 of the input 1x3x60x60." in text
    # 7, 11, 15, 23, 31 at strides 2, 2, 4, 4, 8
    seen = "on local paths, 31 at stride 8, and everything through stages.0.2 and stages.1.2"
    assert f"Its centre unit sees 27 % of the input {seen}." in text
    assert "sees 27 % of the input on local paths." in page
    # the stem and the four convolutions; the second stage's stand behind a gate
    assert "units also see a whole axis through stages.0.2 and stages.1.2, in 2 of 5 layers." in page
    record = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert record["axes"] == [2, 3]
    rows = {row["layer"]: row for row in record["layers"]}
    assert rows["stages.1.0"]["global_context"] == ["stages.0.2"]
    assert "global_context" not in rows["stem"]


def test_a_folder_of_something_else_is_refused(googlenet: il.Trace, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InceptionLabError, match="not a report; name another folder"):
        il.write_report(googlenet, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_comparison_shows_the_errors_that_papers_publish(tmp_path: Path) -> None:
    nets = {name: il.create_model(name, device="meta") for name in ("googlenet", "nin")}
    traces = [il.trace(net, (1, 3, 224, 224), name=name) for name, net in nets.items()]
    records = [with_card_facts(il.summarise(trace)) for trace in traces]
    page = il.write_comparison(records, tmp_path / "both")
    with (page.parent / "comparison.csv").open(newline="") as file:
        errors = {row["model"]: row["top5_error"] for row in csv.DictReader(file)}
    # 1409.4842 Table 3, one net and one crop; 1312.4400 has no table of ImageNet
    assert errors == {"googlenet": "10.07", "nin": ""}


def test_a_reconstruction_is_said_without_its_request() -> None:
    net = il.create_model("inception_v2", device="meta")
    facts = with_card_facts(il.summarise(il.trace(net, (1, 3, 299, 299), name="inception_v2"))).context
    assert facts["reconstructed"] is True


def test_the_records_of_a_family() -> None:
    names = [record.context["model"] for record in il.zoo_records(family="vgg")]
    assert names == il.list_models("vgg")
    assert il.zoo_records(["googlenet", "nin"], family="nin")[0].context["model"] == "nin"
    assert il.zoo_records(family="tutorial") == []
    with pytest.raises(InceptionLabError, match="no family 'vvg'"):
        il.zoo_records(family="vvg")


def test_another_input_has_no_published_error() -> None:
    net = il.create_model("googlenet", device="meta")
    facts = with_card_facts(il.summarise(il.trace(net, (1, 3, 64, 64), name="googlenet"))).context
    assert (facts["family"], facts.get("top5_error")) == ("googlenet", None)
    plain = il.summarise(il.trace(net, (1, 3, 64, 64), name="googlenet(num_classes=10)"))
    assert with_card_facts(plain) is plain
