"""The command `check` as a user types it."""

import json
import subprocess
import sys

import pytest
from support.typed import typed

from inception_lab.cli.check_text import FORMS

NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, width=4):
        super().__init__(nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 2))
"""
PARAMS = (3 * 3 * 3 * 4 + 4) + (4 * 2 + 2)
MACS = 3 * 3 * 3 * 4 * 6 * 6 + 4 * 2
CONFIGURATION = f"""\
[budgets.small]
model = "MODULE:Net"
kwargs = {{ width = 4 }}
input-size = "3x8x8"
params = {PARAMS}
macs = {{ max = {MACS}, growth = "1 %" }}

[budgets.google]
model = "googlenet"
params = "7 M"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a net, two budgets and their lock; the current one."""
    # modules stay imported, so that each test has one of its own name
    module = tmp_path.name
    (tmp_path / f"{module}.py").write_text(NET)
    (tmp_path / "inception-lab.toml").write_text(CONFIGURATION.replace("MODULE", module))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def grow(folder):
    """Make the net of the configuration wider."""
    file = folder / "inception-lab.toml"
    file.write_text(file.read_text().replace("width = 4", "width = 5"))


@pytest.mark.usefixtures("folder")
def test_budgets_that_are_kept(capsys):
    assert typed(capsys, "check", "--update")[0] == 0
    code, out, err = typed(capsys, "check")
    assert (code, err) == (0, "")
    assert out == "passed  small   2 limits\npassed  google  1 limit\n\n2 budgets: 2 kept\n"


def test_a_net_that_grew_fails_and_names_the_layers(folder, capsys):
    typed(capsys, "check", "--update")
    file = folder / "inception-lab.toml"
    before = file.read_text()
    grow(folder)
    # what grew is told of the same model with the same keywords alone
    assert "the lock is of another kwargs" in typed(capsys, "check")[1]
    file.write_text(before)
    net = folder / f"{folder.name}.py"
    net.write_text(
        net.read_text().replace("width, 3)", "width + 1, 3)").replace("width, 2)", "width + 1, 2)")
    )
    sys.modules.pop(net.stem)
    code, out, _ = typed(capsys, "check", "small")
    assert code == 1
    assert out.splitlines()[0] == "failed  small  2 of 2 limits"
    assert f"params: {PARAMS + 30} is 30 (24.6 %) above the maximum of {PARAMS}; the lock has {PARAMS}" in out
    assert "          0  +28 (112 -> 140)\n          3  +2 (10 -> 12)\n" in out


@pytest.mark.usefixtures("folder")
def test_names_choose_budgets(capsys):
    assert typed(capsys, "check", "google")[1].startswith("passed  google  1 limit\n\n1 budget: 1 kept")
    code, out, err = typed(capsys, "check", "goggle")
    assert (code, out) == (2, "")
    assert err == "inception-lab: inception-lab.toml: no budget 'goggle'; did you mean google?\n"


@pytest.mark.usefixtures("folder")
def test_an_update_says_what_changed(capsys):
    _, out, _ = typed(capsys, "check", "--update")
    assert out.splitlines()[0].startswith("wrote ")
    assert "new      google  params 7.00 M, " in out
    assert f"new      small  params {PARAMS}, " in out
    assert "flops 3" not in out
    _, out, _ = typed(capsys, "check", "--update")
    assert out.splitlines()[1:] == ["nothing changed"]


def test_a_model_that_cannot_be_built_fails_its_budget_alone(folder, capsys):
    with (folder / "inception-lab.toml").open("a") as file:
        file.write('[budgets.absent]\nmodel = "nowhere:Net"\nparams = 5\n')
    code, out, _ = typed(capsys, "check", "google", "absent")
    assert code == 1
    assert "passed  google" in out
    assert "error   absent\n        nowhere:Net: no module 'nowhere' in" in out
    code, out, _ = typed(capsys, "check", "--update")
    assert code == 1
    assert "error    absent: nowhere:Net: no module 'nowhere'" in out


@pytest.mark.parametrize("form", FORMS)
def test_every_format_goes_to_a_file_too(form, folder, capsys):
    grow(folder)
    code, out, _ = typed(capsys, "check", "small", "--format", form)
    assert code == 1
    code, nothing, err = typed(capsys, "check", "small", "--format", form.lower(), "-o", "out/answer")
    assert (code, nothing, err) == (1, "", "inception-lab: 1 budget: 1 failed\n")
    assert (folder / "out/answer").read_text().rstrip("\n") == out.rstrip("\n")


def test_annotations_are_on_the_lines_of_limits_in_the_repository(folder, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_WORKSPACE", str(folder.parent))
    grow(folder)
    _, out, _ = typed(capsys, "check", "--format", "github", "small")
    lines, file = out.splitlines(), f"{folder.name}/inception-lab.toml"
    assert lines[0].startswith(f"::error file={file},line=5,title=Budget small%3A params::")
    assert lines[1].startswith(f"::error file={file},line=6,title=Budget small%3A macs::")
    assert lines[2:] == ["1 budget: 1 failed"]


def test_a_fault_of_the_configuration_is_annotated_too(folder, capsys):
    file = folder / "inception-lab.toml"
    file.write_text(file.read_text().replace('"7 M"', '"7 X"'))
    code, out, err = typed(capsys, "check", "--format", "github")
    assert code == 2
    assert out.startswith(
        "::error file=inception-lab.toml,line=10,title=Budgets::inception-lab.toml:10: budgets."
    )
    assert err.startswith("inception-lab: inception-lab.toml:10: ")
    code, out, _ = typed(capsys, "check", "--format", "json")
    assert (code, out) == (2, "")


@pytest.mark.usefixtures("folder")
def test_json_has_the_figures(capsys):
    _, out, _ = typed(capsys, "check", "--format", "json")
    small, google = json.loads(out)["budgets"]
    assert [limit["value"] for limit in small["limits"]] == [PARAMS, MACS]
    assert google["limits"][0]["value"] == 6_998_552


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--update", "small"], "--update is of all budgets"),
        (["--update", "--format", "json"], "--update is of all budgets"),
        (["--config", "absent.toml"], "absent.toml: cannot be read: No such file or directory"),
        (["--format", "xml"], "'xml' is not one of"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_wrong_usage_is_one_line(arguments, error, capsys):
    code, out, err = typed(capsys, "check", *arguments)
    assert (code, out) == (2, "")
    assert error in err
    assert err.count("\n") == 1


def test_without_a_configuration_it_says_what_to_write(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = typed(capsys, "check")
    assert code == 2
    assert "[tool.inception-lab.budgets.NAME] in pyproject.toml" in err


def heavy_imports(folder, *arguments):
    """Exit code, and heavy libraries that a run in a fresh interpreter imports."""
    code = (
        f"import sys\nfrom inception_lab.cli import main\ntry: main({['check', *arguments]!r})\n"
        "except SystemExit as error: print(error.code or 0, {'torch', 'pandas', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("fault", ["configuration", "lock", "name"])
def test_torch_is_not_imported_before_a_model_is_traced(fault, folder):
    if fault == "lock":
        (folder / "inception-lab.lock").write_text("<<<<<<< HEAD\nschema = 1\n")
    elif fault == "configuration":
        (folder / "inception-lab.toml").write_text('[budgets.x]\nmodel = "googlenet"\nparams = "7 X"\n')
    arguments = ["nothing"] if fault == "name" else []
    assert heavy_imports(folder, *arguments) == "2 set()"


def test_a_check_that_traces_imports_torch(folder):
    assert heavy_imports(folder, "google").startswith("0 {")
