"""The README says what the tool prints, and its code runs."""

import re
import shlex
from pathlib import Path

import pytest

from inception_lab.cli import COMMANDS, main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
CLAIMED_COMMANDS = re.findall(r"^inception-lab ([\w-]+)(.*?)(?:\s+#.*)?$", README, re.MULTILINE)


def test_the_table_of_models_is_what_the_command_prints(capsys):
    with pytest.raises(SystemExit):
        main(["models", "--format", "markdown"])
    table = re.search(r"<!-- models -->\n(.*?)<!-- /models -->", README, re.DOTALL)
    assert table
    assert table[1] == capsys.readouterr().out


def test_the_worksheet_is_what_the_command_prints(capsys):
    with pytest.raises(SystemExit):
        main(["worksheet", "googlenet", "inception3a.branch3"])
    block = re.search(r"<!-- worksheet -->\n```text\n(.*?)```\n<!-- /worksheet -->", README, re.DOTALL)
    assert block
    assert block[1] == capsys.readouterr().out


def test_the_python_example_runs(capsys):
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "conv2.conv" in printed
    assert "inception3a" in printed


@pytest.mark.parametrize(("command", "rest"), CLAIMED_COMMANDS)
def test_the_commands_run(command, rest, capsys, tmp_path, monkeypatch):
    assert command in COMMANDS
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if "mynet" in rest:
        _write_net(tmp_path)
        monkeypatch.chdir(tmp_path)
    arguments = [command, *shlex.split(rest)]
    for option in {"-o", "--plot"} & set(arguments):
        place = arguments.index(option) + 1
        arguments[place] = str(tmp_path / arguments[place])
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert not left.value.code
    assert capsys.readouterr().err == ""


def _write_net(folder):
    """The net of one's own that the commands name, in the current folder and in another one."""
    (folder / "nets").mkdir()
    for file in (folder / "mynet.py", folder / "nets" / "mynet.py"):
        file.write_text(
            "from torch import nn\n\ndef MyNet(width=1.0, se=True):\n"
            "    return nn.Sequential(nn.Conv2d(3, int(8 * width), 3), nn.ReLU(inplace=se))\n"
        )


def test_the_saving_in_the_text_is_the_one_computed():
    import inception_lab as il

    trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
    saving = il.reduction_saving(trace).set_index(["module", "branch"])
    branch, module, net = (
        saving.loc[place]
        for place in (("inception3a", "branch3"), ("inception3a", "sum"), ("whole net", "sum"))
    )
    figures = [f"{int(branch[name]):,}" for name in ("naive_macs", "reduced_macs")]
    figures += [f"{row['macs_ratio']:.2f}" for row in (branch, module, net)]
    for figure in figures:
        assert figure in README


def test_every_link_leads_somewhere():
    root = Path(__file__).parents[1]
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (root / target).exists(), target
