"""Parts of a report that no trace tells: times, claims, and what changed since a saved record."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError

GIVEN = {"times.csv", "trace.json.gz", "speedscope.json", "claims.csv", "changes.csv"}


class Net(nn.Sequential):
    """Two layers of `width` units between inputs and outputs of four."""

    def __init__(self, width: int = 8) -> None:
        super().__init__(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 4))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _page(folder: Path, width: int = 8, **parts: Any) -> str:
    trace = il.trace(Net(width), (2, 4), name="net")
    return (il.write_report(trace, folder, **parts).parent / "README.md").read_text()


def test_without_them_nothing_is_said(tmp_path: Path) -> None:
    page = _page(tmp_path / "net")
    assert not GIVEN & {path.name for path in (tmp_path / "net").iterdir()}
    assert not [word for word in ("Measured", "Claims", "Since") if word in page]


def test_times_have_a_table_and_files_for_viewers(tmp_path: Path) -> None:
    times = il.layer_times(Net(), (2, 4), seconds=0)
    page = _page(tmp_path / "net", times=times.to_record())
    rows = _rows(tmp_path / "net" / "times.csv")
    assert [row["layer"] for row in rows] == list(times.layers["layer"])
    assert [float(row["self_ms"]) for row in rows] == list(times.layers["self_ms"])
    assert round(sum(float(row["self_ms"]) for row in rows), 6) == times.step_ms
    machine, threads = times.context["machine"], times.context["threads"]
    assert f"\nMeasured on {machine} (cpu, {threads} thread" in page
    assert f"of {times.context['rounds']} rounds" in page
    for name in ("times.csv", "trace.json.gz", "speedscope.json"):
        assert f"]({name})" in page


def test_a_record_of_times_is_their_json() -> None:
    times = il.layer_times(Net(), (2, 4), seconds=0)
    record, data = times.to_record(), times.to_dict()
    assert record.totals == data["totals"]
    assert list(record.layers) == data["layers"]
    assert {name: data[name] for name in record.context} == record.context
    assert json.loads(json.dumps(data)) == data


def test_claims_have_a_table(tmp_path: Path) -> None:
    rows = il.confirm(["mul_reduced", "5M"]).to_dict()["claims"]
    page = _page(tmp_path / "net", claims=rows)
    table = _rows(tmp_path / "net" / "claims.csv")
    assert list(table[0]) == ["id", "claim", "source", "claimed", "computed", "verdict", "note"]
    assert {row["id"]: row["verdict"] for row in table} == {"mul_reduced": "confirmed", "5M": "contradicted"}
    assert "Claims of the sources: " in page
    assert "1 confirmed" in page
    assert "1 contradicted" in page


@pytest.fixture
def before(tmp_path: Path) -> Path:
    path = tmp_path / "before.json"
    il.summarise(il.trace(Net(), (2, 4), name="net")).save(path)
    return path


def test_changes_have_a_table(tmp_path: Path, before: Path) -> None:
    trace = il.trace(Net(12), (2, 4), name="net")
    changes = il.compare(before, trace).to_dict()
    page = il.write_report(trace, tmp_path / "net", changes=changes).read_text()
    rows = {row["second_module"]: row for row in _rows(tmp_path / "net" / "changes.csv")}
    # 4 x 12 + 12 and 12 x 4 + 4 parameters, of 4 x 8 + 8 and 8 x 4 + 4; the activations are longer too
    assert (rows["0"]["first_params"], rows["0"]["second_params"]) == ("40", "60")
    assert (rows["2"]["first_params"], rows["2"]["second_params"]) == ("36", "52")
    assert rows["0"]["macs_growth"] == rows["2"]["macs_growth"] == str(2 * 4 * 4)
    assert f"Since net in {before}: 3 modules differ, parameters 76 → 112, MACs 128 → 192," in page


def test_no_change_is_said_and_has_no_table(tmp_path: Path, before: Path) -> None:
    trace = il.trace(Net(), (2, 4), name="net")
    page = il.write_report(trace, tmp_path / "net", changes=il.compare(before, trace).to_dict())
    assert "no module differs." in page.read_text()
    assert not (tmp_path / "net" / "changes.csv").exists()


def test_a_small_change_is_told_exactly(tmp_path: Path) -> None:
    nets = [il.create_model("vgg16", num_classes=count, device="meta") for count in (1000, 1001)]
    traces = [il.trace(net, (1, 3, 224, 224), name="vgg16") for net in nets]
    changes = il.compare(*traces).to_dict()
    page = il.write_report(traces[1], tmp_path / "net", changes=changes).read_text()
    # one more unit: 4096 weights and a bias
    assert "parameters 138,357,544 → 138,361,641" in page
    assert "1 module differs" in page


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ({"times": {"step_ms": 3}}, "a dict that holds no times; pass times=il.layer_times(...).to_record()"),
        ({"claims": "5M"}, 'a str that holds no claims; pass claims=il.confirm(...).to_dict()["claims"]'),
        ({"claims": [{"id": "5M"}]}, "a list that holds no claims; pass claims=il.confirm"),
        ({"changes": {"models": []}}, "a dict that holds no changes; pass changes=il.compare"),
    ],
)  # fmt: skip
def test_other_data_is_refused(tmp_path: Path, part: dict[str, Any], line: str) -> None:
    with pytest.raises(InceptionLabError) as refusal:
        _page(tmp_path / "net", **part)
    assert str(refusal.value).startswith(line)
    assert list(tmp_path.iterdir()) == []


def test_a_record_without_times_is_refused(tmp_path: Path) -> None:
    record = il.summarise(il.trace(Net(), (2, 4)))
    with pytest.raises(InceptionLabError, match="a Record that holds no times"):
        _page(tmp_path / "net", times=record)
