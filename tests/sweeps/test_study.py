"""A sweep as a study of Optuna, times of variants, and references, against what they are made from."""

import pytest
from support.sweep_nets import space_of, write_nets

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.models.cards import CARDS

optuna = pytest.importorskip("optuna")


@pytest.fixture
def space(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    table = space_of(write_nets(tmp_path), [1, 2, 3, 4], metrics=["params", "macs"], falls={"4": "leave"})
    table["parameters"]["input-size"] = ["3x8x8", "3x16x16", "3x12x12"]
    del table["input-size"]
    return table | {
        "objectives": {"params": "max", "macs": "min"},
        "budgets": {"macs": {"max": 40_000, "min": 1000}},
    }


def loaded(path):
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    return optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(backend))


def test_a_study_has_the_trials_and_the_front_of_the_sweep(space, tmp_path):
    table, path = il.sweep(space, jobs=1), tmp_path / "study.journal"
    assert il.export_study(space, table, path) == space["model"]
    study = loaded(path)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE" if status == "complete" else "FAIL" for status in table["status"]]
    assert [trial.params["width"] for trial in study.trials] == table["width"].tolist()
    assert [trial.params["input-size"] for trial in study.trials] == table["input-size"].tolist()
    front = il.pareto_front(table, space["objectives"])
    assert 1 < len(front) < len(table)
    assert sorted(trial.number for trial in study.best_trials) == sorted(front.index)
    for trial in study.best_trials:
        assert trial.values == front.loc[trial.number, ["params", "macs"]].tolist()
    assert {direction.name for direction in study.directions} == {"MAXIMIZE", "MINIMIZE"}


@pytest.mark.parametrize(
    "values",
    [
        {"min": 1, "max": 8, "step": 1},
        {"distribution": "uniform", "min": 1, "max": 8},
        {"distribution": "loguniform", "min": 1, "max": 8},
        {"distribution": "normal", "mean": 4, "deviation": 2, "min": 1},
        {"distribution": "normal", "mean": 40, "deviation": 2},
    ],
)
def test_parameters_of_every_kind_are_in_their_distributions(space, tmp_path, values):
    space = space | {"parameters": {"width": values}, "input-size": "3x8x8", "sample": 5, "kwargs": {}}
    table = il.sweep(space, jobs=1)
    il.export_study(space, table, tmp_path / "study")
    trials = loaded(tmp_path / "study").trials
    assert [trial.params["width"] for trial in trials] == table["width"].tolist()
    assert all(trial.distributions["width"]._contains(trial.params["width"]) for trial in trials)


def test_an_export_writes_its_file_anew(space, tmp_path):
    table = il.sweep(space, jobs=1)
    for _ in range(2):
        il.export_study(space, table, tmp_path / "study")
    assert len(loaded(tmp_path / "study").trials) == len(table)


def test_a_study_needs_objectives(space, tmp_path):
    with pytest.raises(InceptionLabError, match="a study has objectives; add"):
        il.export_study(space | {"objectives": {}}, il.sweep(space, jobs=1), tmp_path / "study")


def test_times_are_of_the_rows_in_their_order(space):
    table = il.sweep(space, jobs=1)
    rows = table[table["status"] == "complete"].iloc[[5, 0, 3]]
    timed = il.time_variants(space, rows, seconds=0, threads=1)
    assert timed.drop(columns=["plain_step_ms", "plain_step_iqr_ms"]).equals(rows)
    assert (timed["plain_step_ms"] > 0).all()
    assert (timed["plain_step_iqr_ms"] >= 0).all()
    assert timed.attrs["threads"] == 1


def test_nothing_to_time_is_one_line(space):
    with pytest.raises(InceptionLabError, match="there is no variant to time; loosen the budgets"):
        il.time_variants(space, il.sweep(space, jobs=1).iloc[:0])


def test_references_have_the_figures_of_their_cards():
    names = ["nin", "googlenet"]
    space = {
        "model": "nin",
        "parameters": {"dropout": [0.5]},
        "metrics": ["params", "macs"],
        "references": names,
    }
    rows = il.reference_variants(space).to_dict("records")
    assert [(row["model"], row["params"], row["macs"], row["status"]) for row in rows] == [
        (name, CARDS[name].params, CARDS[name].macs, "complete") for name in names
    ]
