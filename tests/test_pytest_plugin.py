"""The marker and the fixture, in runs of pytest of their own."""

import os
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from support import pytest_plugin

ROOT = Path(__file__).parents[1]
NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, width=4):
        super().__init__(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 2))
"""
CONFTEST = """
import sys
import tomllib

def pytest_sessionfinish():
    heavy = {"torch", "pandas", "numpy", "click", "inception_lab.budgets.check"} & set(sys.modules)
    print("HEAVY", sorted(heavy))
"""
PARAMS = (3 * 3 * 3 * 4 + 4) + (4 * 2 + 2)
NET_8 = "'mynet:Net', (1, 3, 8, 8)"
WRONG_MARKERS = {
    "without_model": ("params='7 M'", "missing a required argument: 'model'"),
    "unknown_factory": ("'mynet:Nett', (1, 3, 8, 8), params=5", "did you mean Net?"),
    "unknown_module": ("'nowhere:Net', (1, 3, 8, 8), params=5", "no module 'nowhere'"),
    "unknown_metric": (f"{NET_8}, parms='7 M'", "did you mean params?"),
    "unit": (f"{NET_8}, params='7 X'", "'7 X' is not a quantity of count"),
    "sizes": ("'mynet:Net', 'large', params=5", "'large' is not a shape"),
}


def marked(name, arguments, body="print('the body ran')"):
    return f"@pytest.mark.inception_budget({arguments})\ndef test_{name}():\n    {body}\n"


CODE = f"""
import pytest

{marked("kept", f"{NET_8}, params={PARAMS}, layers={{'3': {{'params': 10}}}}")}
{marked("broken", f"{NET_8}, params={{'max': {PARAMS - 2}, 'message': 'ask Ada'}}")}
{"".join(marked(name, arguments) for name, (arguments, _) in WRONG_MARKERS.items())}

@pytest.mark.inception_budget({NET_8}, params={PARAMS - 1})
class TestOfClass:
    @pytest.mark.inception_budget({NET_8}, params={PARAMS})
    def test_both(self): pass

    @pytest.mark.skip
    def test_skipped(self): pass

    @pytest.mark.xfail
    def test_expected(self): pass

def test_fixture_kept(inception_budget):
    from mynet import Net
    assert inception_budget(Net(), (1, 3, 8, 8), params={PARAMS}).status == "passed"

def test_fixture_broken(inception_budget):
    from mynet import Net
    inception_budget(Net(5), (1, 3, 8, 8), params={PARAMS})

def test_fixture_exception(inception_budget):
    import inception_lab as il
    with pytest.raises(il.BudgetExceeded):
        inception_budget("mynet:Net(width=5)", (1, 3, 8, 8), params={PARAMS})
"""


def run(folder, code, *options):
    """A run of pytest on a file with this code, in a fresh interpreter."""
    (folder / "mynet.py").write_text(NET)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(code)
    command = [
        sys.executable,
        "-m",
        "pytest",
        *pytest_plugin.ARGUMENTS,
        "--strict-markers",
        "-p",
        "no:cacheprovider",
        *options,
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Outcome, output and failure text of each test in `CODE`, by name."""
    folder = tmp_path_factory.mktemp("marked")
    run(folder, CODE, "--junitxml", "results.xml", "-o", "junit_logging=all")
    return {case.get("name"): outcome(case) for case in ET.parse(folder / "results.xml").iter("testcase")}


def outcome(case):
    parts = {part.tag: part.text or "" for part in case}
    status = next((tag for tag in ("failure", "error", "skipped") if tag in parts), "passed")
    return status, parts.get("system-out", ""), parts.get(status, "")


def test_a_kept_budget_lets_the_test_run(results):
    status, output, _ = results["test_kept"]
    assert status == "passed"
    assert "the body ran" in output


def test_a_broken_budget_fails_the_test_with_its_text_alone(results):
    status, output, text = results["test_broken"]
    assert status == "failure"
    assert "the body ran" not in output
    assert f"params: {PARAMS} is 2 " in text
    assert "ask Ada" in text
    assert ".py" not in text
    assert len(text.splitlines()) <= 5


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, (_, text) in WRONG_MARKERS.items()])
def test_a_marker_that_is_wrong_says_how(name, text, results):
    status, _, failure = results[f"test_{name}"]
    assert status == "failure"
    assert text in failure
    assert len(failure.splitlines()) <= 2


def test_the_marker_of_a_class_holds_for_each_of_its_tests(results):
    assert results["test_both"][0] == "failure"
    assert results["test_skipped"][0] == "skipped"
    assert results["test_expected"][0] == "skipped"
    assert f"above the maximum of {PARAMS - 1}" in results["test_both"][2]


def test_the_fixture_takes_a_module_and_shows_the_line_of_the_test(results):
    assert results["test_fixture_kept"][0] == results["test_fixture_exception"][0] == "passed"
    status, _, text = results["test_fixture_broken"]
    assert status == "failure"
    assert f">       inception_budget(Net(5), (1, 3, 8, 8), params={PARAMS})" in text
    assert f"above the maximum of {PARAMS}" in text
    assert "inception_lab/" not in text.replace("inception_lab/pytest_plugin.py", "")


UNUSED = f"import pytest\n{marked('it', NET_8 + ', params=1')}\ndef test_other(inception_budget): pass\n"


@pytest.mark.parametrize(
    "options", [["--collect-only"], ["-k", "other"]], ids=["collected", "fixture not called"]
)
def test_nothing_heavy_is_imported_where_no_budget_is_checked(options, tmp_path):
    done = run(tmp_path, UNUSED, "-s", *options)
    assert done.returncode == 0, done.stdout
    assert "HEAVY []" in done.stdout


def test_it_works_on_several_workers_and_imports_torch_in_them_alone(tmp_path):
    done = run(tmp_path, UNUSED, "-n", "2", "-s")
    assert "1 failed, 1 passed" in done.stdout
    assert f"{PARAMS} is {PARAMS - 1} " in done.stdout
    assert "HEAVY []" in done.stdout


def test_installed_it_is_active_without_a_flag(tmp_path):
    """The entry point of pyproject.toml, as an installer writes it, makes pytest know the marker."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    if not pytest_plugin.INSTALLED:
        metadata = tmp_path / "site/as_installed-0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: as_installed\nVersion: 0\n")
        lines = [f"{name} = {module}" for name, module in points.items()]
        (metadata / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    path = os.pathsep.join([str(ROOT), str(tmp_path / "site")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--markers"], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": path, "PYTEST_ADDOPTS": ""},
    )  # fmt: skip
    assert "@pytest.mark.inception_budget(model, inputs=None, **limits)" in done.stdout
