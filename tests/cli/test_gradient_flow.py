"""`inception-lab gradient-flow` as a user types it."""

import csv
import io
import json
import re
import signal
import subprocess
import sys

import pytest
import torch
from support.own_folder import own_folder
from support.typed import typed

import inception_lab as il
from inception_lab.cli.gradient_flow import FIGURES
from inception_lab.cli.gradient_flow_text import MOST_STEPS
from inception_lab.metrics import METRICS
from inception_lab.report.plots.flow_models import FIGURES as DRAWN

SOURCE = """
from collections import namedtuple
import signal
from torch import nn
import torch.nn.functional as F

Outputs = namedtuple("Outputs", "logits aux")

class Net(nn.Module):
    def __init__(self, width=4, heads=True):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3)
        self.body = nn.Sequential(nn.Conv2d(width, width, 3), nn.ReLU())
        self.fc = nn.Linear(width, 4)
        self.aux = nn.Linear(width, 4) if heads else None

    def forward(self, x):
        x = F.relu(self.stem(x))
        logits = self.fc(self.body(x).mean((2, 3)))
        return logits if self.aux is None else Outputs(logits, self.aux(x.mean((2, 3))))

class Plain(Net):
    def __init__(self, width=4):
        super().__init__(width, heads=False)

class Broken(Plain):
    def forward(self, x):
        return self.fc(self.stem(x).mean(1))

class Interrupted(Plain):
    calls = 0
    def forward(self, x):
        Interrupted.calls += 1
        if Interrupted.calls == 4:
            signal.raise_signal(signal.SIGINT)
        return super().forward(x)
"""
SMALL = ("--input-size", "3x8x8", "--seeds", "2", "--batch-size", "4")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    with own_folder(tmp_path, {"nets.py": SOURCE}, monkeypatch) as place:
        monkeypatch.syspath_prepend(place)
        yield place


@pytest.fixture
def run(folder, capsys):
    del folder
    return lambda *arguments: typed(capsys, "gradient-flow", *arguments)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_modules_in_order_and_what_the_losses_come_to(run):
    code, out, err = run("nets:Net", *SMALL)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "nets:Net, input 4x3x8x8, train"
    start = next(place for place, line in enumerate(lines) if line.startswith("---")) + 1
    assert [line.split()[0] for line in lines[start : start + 5]] == ["(model)", "stem", "body", "fc", "aux"]
    assert re.search(r"^Loss +\S+, main \S+, aux1? \S+, cross-entropy$", out, re.MULTILINE)
    assert "aux leaves after stem" in out
    assert "2 seeds, 1 batch each, weights drawn for each seed" in out
    assert max(map(len, lines)) <= 80


def test_the_command_says_what_python_does(run):
    from nets import Net

    _, out, _ = run("nets:Net", *SMALL, "--format", "json")
    said = json.loads(out)
    flow = il.gradient_flow(Net, (4, 3, 8, 8), seeds=2, name="nets:Net")
    assert said == json.loads(json.dumps(flow.to_dict()))
    assert {row["module"] for row in said["modules"]} == {"(model)", "stem", "body", "fc", "aux"}
    _, out, _ = run("nets:Net", *SMALL, "--depth", "2", "--format", "csv")
    table = flow.by_module(2)
    assert [row["module"] for row in rows_of(out)] == list(table["module"])
    assert [float(row["weight_norm"] or "nan") for row in rows_of(out)] == pytest.approx(
        list(table["weight_norm"]), nan_ok=True
    )


def test_a_weight_of_heads(run):
    losses = {}
    for weight in ("0.3", "0.6"):
        _, out, _ = run("nets:Net", *SMALL, "--head-weight", weight, "--format", "json")
        losses[weight] = [row["loss_aux"] for row in json.loads(out)["losses"]]
    assert losses["0.6"] == pytest.approx([2 * loss for loss in losses["0.3"]])


@pytest.mark.parametrize("figure", FIGURES)
def test_models_side_by_side(run, figure):
    code, out, _ = run("nets:Plain", "nets:Plain(width=8)", *SMALL, "--figure", figure)
    assert code == 0
    assert re.search(r"^Module +nets:Plain +nets:Plain\(width=8\)$", out, re.MULTILINE)
    assert METRICS[figure].label in out.splitlines()[0]
    assert figure in json.loads(run("nets:Plain", *SMALL, "--format", "json")[1])["modules"][0]


def test_every_figure_of_the_command_can_be_drawn():
    assert set(FIGURES) == set(DRAWN)


def test_pairs_share_their_samples(run):
    _, out, _ = run("nets:Plain", "nets:Plain(width=4)", *SMALL, "--format", "csv")
    rows = [{k: v for k, v in row.items() if k != "model"} for row in rows_of(out)]
    assert rows[: len(rows) // 2] == rows[len(rows) // 2 :]
    assert {"weight_gradient", "output_variance_low", "dead"} <= rows[0].keys()


def test_the_same_weights(run):
    norms = {}
    for option in ((), ("--same-weights",)):
        _, out, _ = run("nets:Net", "nets:Plain", *SMALL, *option, "--format", "csv")
        norms[option] = {(row["model"], row["module"]): row["weight_norm"] for row in rows_of(out)}
    same, own = norms["--same-weights",], norms[()]
    assert all(same["nets:Net", m] == same["nets:Plain", m] for m in ("stem", "body", "fc"))
    first = [key for key in own if key[0] == "nets:Net"]
    assert [own[key] for key in first] == [same[key] for key in first]


def test_a_short_training_run(run):
    code, out, err = run("nets:Plain", *SMALL, "--steps", "60", "--learning-rate", "0.1")
    assert (code, err) == (0, "")
    assert out.startswith("nets:Plain, input 4x3x8x8, train, momentum\n")
    assert re.search(r"^Optimizer +SGD, learning rate 0.1, momentum 0.9$", out, re.MULTILINE)
    numbers = [line.split()[0] for line in out.split("\n\n")[1].splitlines()[2:]]
    assert numbers[0] == "0"
    assert numbers[-1] == "59"
    assert len(numbers) <= MOST_STEPS
    _, out, _ = run("nets:Plain", *SMALL, "--steps", "60", "--learning-rate", "0.1", "--format", "csv")
    assert [int(row["step"]) for row in rows_of(out)] == [*range(60)]
    _, out, _ = run("nets:Plain", "nets:Net", *SMALL, "--steps", "2", "--format", "json")
    assert [(m["model"], m["complete"], len(m["steps"])) for m in json.loads(out)["models"]] == [
        ("nets:Plain", True, 4),
        ("nets:Net", True, 4),
    ]
    _, out, _ = run("nets:Plain", "nets:Net", *SMALL, "--steps", "2")
    assert out.startswith("Main loss, input 4x3x8x8, train")


def test_a_loss_that_is_not_finite_is_named(run):
    _, out, _ = run("nets:Plain", *SMALL, "--steps", "6", "--learning-rate", "1e30")
    assert "NOTE" in out
    assert "not finite" in out


@pytest.mark.parametrize("steps", [(), ("--steps", "2")])
@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_a_plot(run, folder, steps, kind):
    code, out, _ = run("nets:Net", *SMALL, *steps, "--plot", f"plot.{kind}", "-o", "table.csv")
    assert (code, out) == (0, "")
    assert (folder / f"plot.{kind}").stat().st_size > 1000
    assert rows_of((folder / "table.csv").read_text())


def test_samples_of_ones_own(run, folder):
    for label in range(3):
        place = folder / "data" / f"class{label}"
        place.mkdir(parents=True)
        for number in range(4):
            torch.save(torch.full((3, 8, 8), float(label + number)), place / f"{number}.pt")
    code, out, _ = run("nets:Plain", *SMALL, "--data", "data")
    assert code == 0
    assert "12" in re.search(r"^Samples +(.*)$", out, re.MULTILINE)[1]


def more_classes(folder):
    for label in range(5):
        (folder / "many" / f"class{label}").mkdir(parents=True)
        torch.save(torch.zeros(3, 8, 8), folder / "many" / f"class{label}" / "0.pt")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nets:Plain", "--seeds", "0"], 2, "--seeds"),
        (["nets:Plain", "--batches", "0"], 2, "--batches"),
        (["nets:Plain", "--head-weight", "-1"], 2, "--head-weight"),
        (["nets:Plain", "--figure", "gradient"], 2, "--figure"),
        (["nets:Plain", "--learning-rate", "0.1"], 2, "--learning-rate without --steps; add --steps"),
        (["nets:Plain", "--steps", "2", "--batches", "2"], 2, "--batches with --steps; leave out --batches"),
        (["nets:Plain", "--steps", "2", "--momentum", "1"], 2, "--momentum"),
        (["nets:Plain", "--steps", "2", "--learning-rate", "nan"], 2, "--learning-rate"),
        (["nets:Plain", "--data", "nowhere"], 2, "nowhere"),
        (["nets:Plain", "--data", "many"], 2, "samples of 5 classes for a model of 4"),
        (["nets:Plain", "nets:Plain"], 2, "named twice"),
        (["nets:Plain", "--same-weights"], 2, "--same-weights is of several models; name another one too"),
        (["nets:Plain", "--figure", "dead"], 2, "add --plot FILE.svg, or --sort FIGURE"),
        (["nets:Plain", "--plot", "plot.gif"], 2, "plot.gif"),
        (["nets:Plain", "--size", "slide"], 2, "--size without --plot"),
        (["nets:Plain", "--device", "cuda"], 2, "no CUDA device"),
        (["nets:Plain", "--sort", "macs"], 2, "no metric 'macs'"),
        (["nets:Broken"], 3, "fc"),
        (["nets:Nothing"], 2, "Nothing"),
    ],
)
def test_wrong_input_is_one_line(run, folder, arguments, code, words):
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is one")
    more_classes(folder)
    found, out, err = run(*arguments, "--input-size", "3x8x8")
    assert (found, out) == (code, "")
    assert words in err
    assert len(err.splitlines()) == 1


PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell had it ignored
from inception_lab.cli import main
main(sys.argv[1:])
"""


def interrupted(folder, *arguments):
    command = [sys.executable, "-c", PROGRAM, "gradient-flow", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_ctrl_c_keeps_the_steps_that_are_done(folder):
    done = interrupted(folder, "nets:Interrupted", *SMALL, "--steps", "9", "--plot", "plot.svg")
    assert done.returncode == 128 + signal.SIGINT
    assert done.stderr.splitlines()[-1] == "inception-lab: interrupted"
    assert "interrupted after 3 of 18 steps" in done.stdout
    assert "interrupted after 3 of 18 steps" in (folder / "plot.svg").read_text()
    numbers = [line.split()[0] for line in done.stdout.split("\n\n")[1].splitlines()[2:]]
    assert numbers == ["0", "1", "2"]


def test_ctrl_c_keeps_the_models_that_are_done(folder):
    arguments = (
        "nets:Plain",
        "nets:Interrupted",
        *SMALL,
        "--steps",
        "9",
        "--format",
        "csv",
        "-o",
        "losses.csv",
    )
    done = interrupted(folder, *arguments)
    assert (done.returncode, done.stdout) == (130, "")
    rows = rows_of((folder / "losses.csv").read_text())
    assert [row["model"] for row in rows] == ["nets:Plain"] * 9 + ["nets:Interrupted"] * 3
    assert all(row["loss_low"] for row in rows)


def test_models_that_were_not_begun_are_named(folder):
    arguments = ("nets:Interrupted", "nets:Plain", *SMALL, "--steps", "9")
    done = interrupted(folder, *arguments)
    assert done.returncode == 130
    assert "interrupted: nothing measured of nets:Plain" in done.stdout
    said = json.loads(interrupted(folder, *arguments, "--format", "json").stdout)
    assert (said["complete"], len(said["models"])) == (False, 1)


def test_ctrl_c_before_anything_is_done_writes_nothing(folder):
    done = interrupted(folder, "nets:Interrupted", *SMALL, "--batches", "9", "-o", "flow.csv")
    assert done.returncode == 130
    assert not (folder / "flow.csv").exists()
