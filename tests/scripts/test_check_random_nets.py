"""The check of drawn nets: its record, its page, its way back into an interrupted run."""

import json

import pytest

import check_random_nets


def record(seed, faults=(), began=(), statuses=("exact", "exact")):
    counts = {status: statuses.count(status) for status in statuses}
    operations = {"conv": 1, "flip": 1}
    return {
        "seed": seed, "layers": len(statuses), "statuses": counts, "operations": operations,
        "began": list(began), "faults": list(faults), "net": "",
    }  # fmt: skip


def test_a_net_is_checked(tmp_path):
    options = ["--nets", "1", "--first", "14", "--processes", "1", "--memory-every", "0", "-o", str(tmp_path)]
    check_random_nets.main(options)
    (row,) = [json.loads(line) for line in (tmp_path / "nets.jsonl").read_text().splitlines()]
    assert row["seed"] == 14
    assert row["layers"] == sum(row["statuses"].values()) > 0
    assert (tmp_path / "README.md").read_text().startswith("# Drawn nets beside oracles\n")


def test_nets_in_the_record_are_not_checked_again(tmp_path, monkeypatch):
    whole, cut = json.dumps(record(3)), json.dumps(record(4))[:20]
    (tmp_path / "nets.jsonl").write_text(f"{whole}\n{cut}")
    monkeypatch.setattr(check_random_nets, "check", lambda seed, _: record(seed))
    options = ["--nets", "3", "--first", "3", "--processes", "1", "-o", str(tmp_path)]
    assert check_random_nets.main(options) == 0
    assert sorted(check_random_nets.read(tmp_path / "nets.jsonl")) == [3, 4, 5]


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([record(0)], 0),
        ([record(0, faults=[["memory", "", "1", "2"]])], 1),
        ([record(n) for n in range(9)] + [record(9, statuses=("exact", "bound"))], 0),
        ([record(n) for n in range(8)] + [record(9, statuses=("exact", "bound"))], 1),
    ],
)
def test_faults_and_too_many_uncertain_layers_fail(tmp_path, monkeypatch, rows, code):
    monkeypatch.setattr(check_random_nets, "records", lambda _: rows)
    assert check_random_nets.main(["-o", str(tmp_path)]) == code


def test_the_operation_behind_which_fields_become_uncertain_is_named():
    rows = [record(0, began=[["flip", "bound", "why"]], statuses=("bound", "exact")), record(1)]
    table = check_random_nets.uncertain_table(rows).markdown()
    assert "| flip | 1 | 50% | bound: why |" in table
    assert "50.00%" not in table
    assert "4 layers: exact 75.00%, bound 25.00%" in check_random_nets.totals(rows)
