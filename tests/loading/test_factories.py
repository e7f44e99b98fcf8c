"""Models of other packages on the command line: `package.module:factory`."""

import json
import signal
import subprocess
import sys

import pytest
from support.typed import typed

SOURCE = '''
import torch
from torch import nn

print("imported")


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        print("built")
        self.conv = nn.Conv2d(3, width, 3)
        self.where = self.conv.weight.device.type

    def forward(self, x):
        print("ran")
        return self.conv(x).relu()


class Asking(Net):
    """Needs a number of its own to be built, and another one of its input to run."""

    def __init__(self):
        super().__init__(int(torch.tensor(4)))

    def forward(self, x):
        return self.conv(x) if x.sum() > 0 else x


class Broken(Net):
    def forward(self, x):
        return self.inner(x)

    def inner(self, x):
        raise KeyError("no such thing\\nand more")


class Sized(Net):
    default_cfg = {"input_size": (3, 9, 9)}


class Holder:
    @staticmethod
    def make(width=2):
        return Net(width)


def tokens():
    return nn.Sequential(nn.Embedding(100, 8), nn.Linear(8, 4))


def quits():
    raise SystemExit(5)


def nothing():
    return None


def shell():
    import os
    os.system("echo past Python")
    return Net()


def __getattr__(name):
    if name == "Lazy":
        raise RuntimeError("on demand")
    raise AttributeError(name)


class Chained(Net):
    def forward(self, x):
        try:
            return {}["missing"]
        except KeyError as error:
            raise ValueError("told") from error


class Slow(Net):
    def forward(self, x):
        import os, signal, time
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        return x


number = 5
instance = Net(3)
'''


@pytest.fixture(autouse=True)
def mynets(tmp_path, monkeypatch):
    (tmp_path / "mynets.py").write_text(SOURCE)
    (tmp_path / "broken_nets.py").write_text("import nowhere_to_be_found\n")
    (tmp_path / "raising_nets.py").write_text("raise RuntimeError('on purpose')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("mynets", None)


def run(capsys, arguments):
    return typed(capsys, "summary", *arguments.split())


@pytest.mark.parametrize(
    ("arguments", "params", "device"),
    [
        ("mynets:Net --input-size 3x8x8", 8 * 27 + 8, "meta"),
        ("mynets:Net --input-size 3x8x8 --kwargs width=5", 5 * 27 + 5, "meta"),
        ("mynets:Holder.make --input-size 3x8x8", 2 * 27 + 2, "meta"),
        ("mynets:instance --input-size 3x8x8", 3 * 27 + 3, "meta"),
        ("mynets:Sized", 8 * 27 + 8, "meta"),
        ("./mynets.py:Sized", 8 * 27 + 8, "meta"),
        ("mynets:tokens --input-size 12:int64", 100 * 8 + 8 * 4 + 4, "meta"),
        ("mynets:Asking --input-size 3x8x8", 4 * 27 + 4, "cpu"),
        ("torch.nn:Linear --input-size 3 --kwargs in_features=3 --kwargs out_features=2", 8, "meta"),
    ],
)
def test_anything_that_makes_a_model(capsys, arguments, params, device):
    code, out, _ = run(capsys, f"{arguments} --format json")
    data = json.loads(out)  # what the user's code prints is not in it
    assert code == 0
    assert data["model"].partition("(")[0] == arguments.split()[0]
    assert data["totals"]["params"] == params
    assert data.get("device", "meta") == device


def test_keywords_travel_with_the_numbers(capsys):
    _, out, _ = run(capsys, "mynets:Net --input-size 3x8x8 --kwargs width=5 --format json")
    assert json.loads(out)["kwargs"] == {"width": 5}


def test_the_real_run_is_said_in_the_table(capsys):
    _, out, _ = run(capsys, "mynets:Asking --input-size 3x8x8")
    assert "ran for real" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("mynets:Nett --input-size 3x8x8", 2, "did you mean Net"),
        ("mynets:Holder.mke --input-size 3x8x8", 2, "did you mean make"),
        ("mynets: --input-size 3x8x8", 2, "package.module:factory"),
        (":Net --input-size 3x8x8", 2, "package.module:factory"),
        ("nowhere:Net --input-size 3x8x8", 2, "or type its path: path/to/nowhere.py:Net"),
        ("mynets.deeper:Net --input-size 3x8x8", 2, "mynets"),
        ("broken_nets:Net --input-size 3x8x8", 3, "No module named 'nowhere_to_be_found'"),
        ("raising_nets:Net --input-size 3x8x8", 3, "RuntimeError: on purpose"),
        ("mynets:number --input-size 3x8x8", 3, "int"),
        ("mynets:nothing --input-size 3x8x8", 3, "NoneType"),
        ("mynets:quits --input-size 3x8x8", 3, "SystemExit: 5"),
        ("mynets:Net --input-size 3x8x8 --kwargs wdth=3", 2, "no keyword 'wdth'; did you mean width?"),
        ("mynets:instance --input-size 3x8x8 --kwargs width=3", 2, "--kwargs"),
        ("mynets:Net", 2, "--input-size"),
        ("mynets:Net --input-size 1x8x8", 3, "channels"),
        ("mynets:Net --input-size 3x8x8:flot32", 2, "did you mean float32"),
        ("mynets:Broken --input-size 3x8x8", 3, "KeyError"),
        ("mynets:Lazy --input-size 3x8x8", 3, "on demand"),
        ("mynets:Net --input-size 3x8x8 --kwargs width=3 --kwargs width=4", 2, "twice"),
        ("mynets:Net --input-size 3x99999999999x9999999999:int64", 3, "too large"),
        ("mynets:Asking --input-size 3x8x8 --meta-only", 3, "meta"),
        ("torchvision.models:resnet50 --input-size 3x8x8", 2, "pip install torchvision"),
        ("timm:create_model --kwargs model_name=resnet50", 2, "pip install timm"),
    ],
)
def test_every_failure_is_one_line_with_its_cause(capsys, monkeypatch, arguments, code, message):
    for missing in ("torchvision", "timm"):
        monkeypatch.setitem(sys.modules, missing, None)
    exit_code, out, err = run(capsys, arguments)
    assert (exit_code, out) == (code, "")
    own = [line for line in err.splitlines() if line not in ("imported", "built", "ran")]
    assert len(own) == 1
    assert own[0].startswith("inception-lab: ")
    assert message in own[0]


def test_the_users_own_traceback_is_shown_on_request(capsys):
    code, out, err = run(capsys, "mynets:Broken --input-size 3x8x8 --traceback")
    assert (code, out) == (3, "")
    assert "in inner" in err
    assert "KeyError" in err
    assert "inception_lab/" not in err.replace("\\", "/")


def test_what_led_to_the_error_is_shown_too(capsys):
    _, _, err = run(capsys, "mynets:Chained --input-size 3x8x8 --traceback")
    assert err.index("KeyError: 'missing'") < err.index("ValueError: told")
    assert "inception_lab/" not in err.replace("\\", "/")


@pytest.mark.parametrize("value", ["1if", "1e999", "wide"])
def test_values_that_are_no_literals_are_text(capsys, value):
    code, _, err = run(capsys, f"mynets:Net --input-size 3x8x8 --kwargs width={value}")
    assert code == 3
    assert "building it failed" in err


def test_nothing_but_the_result_is_on_the_standard_output():
    command = [sys.executable, "-m", "inception_lab", "summary", "mynets:shell", "--input-size", "3x8x8"]
    done = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["model"] == "mynets:shell"
    assert "past Python" in done.stderr


def test_a_request_to_end_ends_it():
    command = [sys.executable, "-m", "inception_lab", "summary", "mynets:Slow", "--input-size", "3x8x8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stdout == ""
