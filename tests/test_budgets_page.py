"""The page on budgets names every key, and its workflow is one that GitHub runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.pages import blocks_of
from support.typed import typed

from inception_lab.budgets.budget_metrics import BUDGET_METRICS
from inception_lab.budgets.configuration import read_configuration
from inception_lab.budgets.limit_syntax import KEYS
from inception_lab.cli.check_text import FORMS

ROOT = Path(__file__).parents[1]
BUDGETS = (ROOT / "docs/budgets.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
FILES = {block.title: block.text for page in (README, BUDGETS) for block in blocks_of(page) if block.title}
WORKFLOW = yaml.safe_load((ROOT / "docs/inception-lab.yml").read_text(encoding="utf-8"))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The example of the page, with its lock; the current folder."""
    for name in ("mynet.py", "pyproject.toml"):
        (tmp_path / name).write_text(FILES[name])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mynet", raising=False)
    yield tmp_path
    sys.modules.pop("mynet", None)


def grow(project):
    """Make the change of which the page shows the failure."""
    net = project / "mynet.py"
    net.write_text(net.read_text().replace("width, 5, padding=2", "width, 7, padding=3"))
    sys.modules.pop("mynet", None)


def test_the_reference_names_every_key():
    keys = re.findall(r"`([\w-]+)`", "\n".join(re.findall(r"^\| (`.*?) \|", BUDGETS, re.MULTILINE)))
    settings = ["model", "kwargs", "input-size", "arg", "batch-size", "mode", "optimizer", "layers"]
    assert set(keys) == {*settings, *BUDGET_METRICS, *KEYS, *FORMS}


def test_the_settings_are_those_of_the_reader(project):
    (budget,) = read_configuration(project).budgets
    assert (budget.name, len(budget.limits)) == ("mobile", 2)


def environment(**others):
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""} | others


def steps():
    """The steps of the workflow that need no network, by name."""
    (job,) = WORKFLOW["jobs"].values()
    return {step["name"]: step for step in job["steps"] if "run" in step and step["name"] != "Install"}


def run_steps(project):
    """Exit code and output of each step as a runner of GitHub's would run it, and the summary of the job."""
    command = project / "bin/inception-lab"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m inception_lab "$@"\n')
    command.chmod(0o755)
    summary = project / "summary.md"
    summary.unlink(missing_ok=True)
    path = f"{command.parent}:{os.environ['PATH']}"
    variables = environment(PATH=path, GITHUB_STEP_SUMMARY=str(summary), GITHUB_WORKSPACE=str(project))
    done = {
        name: subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=project, env=variables, capture_output=True, text=True, check=False,
        )
        for name, step in steps().items()
    }  # fmt: skip
    return {name: (step.returncode, step.stdout) for name, step in done.items()}, summary.read_text()


def test_the_workflow_is_one_that_github_reads():
    # YAML 1.1 reads the key `on` as true
    assert {"name", True, "permissions", "jobs"} == set(WORKFLOW)
    (job,) = WORKFLOW["jobs"].values()
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    assert {"Check the budgets", "Write the summary"} == set(steps())


def test_the_steps_of_the_workflow_pass_fail_and_annotate(project, capsys):
    typed(capsys, "check", "--update")
    results, summary = run_steps(project)
    assert [code for code, _ in results.values()] == [0, 0]
    assert "| mobile | params |" in summary
    grow(project)
    results, summary = run_steps(project)
    code, annotations = results["Check the budgets"]
    assert code == 1
    assert "::error file=pyproject.toml,line=4,title=Budget mobile%3A params::" in annotations
    assert "| FAILED |" in summary


def test_the_time_of_a_check_is_the_one_that_was_measured():
    report = (ROOT / "reports/benchmarks/check.md").read_text(encoding="utf-8")
    seconds = float(re.search(r"takes ([\d.]+) s beyond", report)[1])
    assert f"[{seconds:.1f} s of CPU time](" in BUDGETS
