"""`inception-lab profile --read`: its table adds up, and its mistakes are one line."""

import csv
import gzip
import io
import json
import re
import subprocess
import sys

import pytest
from support.profile_traces import kernel, launch, module, operator, write_trace
from support.typed import typed

import inception_lab as il
from inception_lab.cli.profile_text import LONGEST


@pytest.fixture
def trace(tmp_path):
    events = [
        module("Conv2d_0", 0, 20),
        operator("aten::conv2d", 1, 19),
        launch(1, 5),
        kernel(1, 10, 14),
        operator("aten::randn", 30, 40),
        launch(2, 31),
        kernel(2, 40, 41.3),
        kernel(3, 50, 50.7),
    ]
    devices = [{"id": 0, "name": "NVIDIA H100"}]
    return write_trace(tmp_path / "trace.json.gz", events, deviceProperties=devices)


def test_a_table_goes_to_standard_output_by_name(trace, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = typed(capsys, "profile", "--read", str(trace), "-o", "-")
    assert code == 0
    assert out == typed(capsys, "profile", "--read", str(trace))[1]
    assert not (tmp_path / "-").exists()


def test_the_table_has_layers_reasons_and_totals(capsys, trace):
    code, out, err = typed(capsys, "profile", "--read", str(trace), "--wide")
    assert (code, err) == (0, "")
    first, _, *lines = out.splitlines()
    assert first.endswith("trace.json.gz")
    assert lines[0].split("  ")[0] == "Layer"
    assert "Device time (ms)" in lines[0]
    assert re.match(r"Conv2d_0 +forward +0\.004 +66\.67 +1$", lines[2])  # 4 of 6 us
    assert re.search(r"0\.001 +21\.67 +1  launched outside every module  aten::randn", lines[3])
    assert re.search(r"0\.001 +11\.67 +1  launch not in the trace", lines[4])
    assert re.search(r"^Kernels +3 ", out, re.MULTILINE)
    assert re.search(r"^Kernel time +0\.006 ms ", out, re.MULTILINE)
    assert re.search(r"^Busy +0\.006 ms ", out, re.MULTILINE)
    assert re.search(r"^Span +0\.041 ms ", out, re.MULTILINE)
    assert "NVIDIA H100" in out
    assert "INCOMPLETE" in out


def test_json_is_what_python_gives(capsys, trace):
    _, out, _ = typed(capsys, "profile", "--read", str(trace), "--format", "json")
    assert json.loads(out) == il.read_profile(trace).to_dict()


def test_the_rows_of_csv_add_up_to_the_kernel_time(capsys, trace):
    _, out, _ = typed(capsys, "profile", "--read", str(trace), "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert sum(float(row["device_ms"]) for row in rows) == pytest.approx(0.006)
    assert sum(float(row["self_host_ms"]) for row in rows) == pytest.approx(0.03)
    assert [row["reason"] for row in rows] == ["", "launched outside every module", "launch not in the trace"]


def test_without_gpu_events_the_operators_of_the_cpu_are_shown(capsys, tmp_path):
    path = write_trace(tmp_path / "cpu.json", [operator("aten::conv2d", 0, 10), operator("aten::add", 2, 5)])
    code, out, _ = typed(capsys, "profile", "--read", str(path))
    assert code == 0
    assert "\nNo GPU events in this trace" in out
    assert re.search(r"aten::conv2d +1 +0\.007 +70\.0 % ", out)
    assert re.search(r"^Kernel time +0\.000 ms ", out, re.MULTILINE)


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_no_operator_is_left_out_in_silence(capsys, tmp_path, form):
    events = [operator(f"aten::op{n}", 100 * n, 100 * n + 50 - n) for n in range(LONGEST + 3)]
    _, out, _ = typed(
        capsys, "profile", "--read", str(write_trace(tmp_path / "cpu.json", events)), "--format", form
    )
    rows = LONGEST if form == "table" else len(events)
    assert out.count("aten::op") == rows
    # of 20, 19 and 18 us, of 1122
    rest = f"\nand 3 more with 5.1 % of own host time; --top {len(events)} shows them\n"
    assert (rest in out) == (form == "table")


def test_without_gpu_events_layers_are_shown_by_their_time_on_the_cpu(capsys, tmp_path):
    events = [module("Conv2d_0", 0, 10), module("ReLU_0", 20, 50), operator("aten::add", 60, 65)]
    path = str(write_trace(tmp_path / "cpu.json", events))
    code, out, _ = typed(capsys, "profile", "--read", path, "--wide")
    assert code == 0
    _, _, *lines = out.splitlines()
    assert lines[0] == "No GPU events in this trace; its layers by their own time on the CPU:"
    assert [line.split()[0] for line in lines[4:6]] == ["ReLU_0", "Conv2d_0"]
    assert re.search(r"forward +0\.005  launched outside every module  aten::add", lines[6])
    assert re.search(r"^Host time +0\.045 ms ", out, re.MULTILINE)


def test_lost_kernels_are_told(capsys, tmp_path):
    path = write_trace(tmp_path / "trace.json", [launch(1, 5), launch(2, 8), kernel(1, 10, 14)])
    _, out, _ = typed(capsys, "profile", "--read", str(path))
    assert out.splitlines()[-1] == "INCOMPLETE       kernels launched but not in the trace: 1"


def test_a_file_is_written_with_output(capsys, trace, tmp_path):
    code, out, _ = typed(
        capsys, "profile", "--read", str(trace), "--format", "markdown", "-o", str(tmp_path / "t.md")
    )
    assert (code, out) == (0, "")
    assert (tmp_path / "t.md").read_text().splitlines()[2].startswith("| Layer | Phase | Device time (ms) |")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "inception-lab: nothing to profile; name a MODEL, or a trace with --read FILE"),
        (["a", "b"], "unexpected extra argument"),
        (
            ["googlenet", "--read", "{damaged}"],
            "both a model, 'googlenet', and a trace; leave out MODEL or --read",
        ),
        (["--read", "{damaged}", "--threads", "2"], "--threads is of a recording; leave it out with --read"),
        (["googlenet", "--tensorboard", "x"], "--tensorboard is of a trace that is read; leave it out"),
        (["gogglenet"], "no model 'gogglenet'; did you mean googlenet"),
        (["googlenet", "--warm-up", "0"], "0 is not in the range 1<=x<=1000"),
        (
            ["googlenet", "--optimizer", "sgd", "--input-size", "3x32x32"],
            "takes no step in eval mode; use --mode train",
        ),
        (["googlenet", "-o", "{damaged}", "--input-size", "3x32x32"], "damaged.json: cannot be written"),
        (["--read", "missing.json"], "missing.json: cannot be read: No such file or directory"),
        (["--read", "{damaged}"], "is truncated or not JSON"),
    ],
)
def test_a_mistake_is_one_line(capsys, tmp_path, arguments, line):
    damaged = tmp_path / "damaged.json"
    damaged.write_text('{"traceEvents": [{"ph": "X", ')
    code, out, err = typed(capsys, "profile", *(a.format(damaged=damaged) for a in arguments))
    assert (code, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1


ARGUMENTS = ["googlenet_cifar10", "--batch-size", "2", "--active", "2"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder, and the words of the command that wrote it."""
    folder = tmp_path_factory.mktemp("profile") / "new"
    words = [*ARGUMENTS, "--mode", "train", "--optimizer", "momentum", "--threads", "1", "-o", str(folder)]
    code = f"from inception_lab.cli import main; main({['profile', *words]!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return folder, done


def test_a_recording_shows_its_layers_and_where_its_files_are(recorded):
    folder, done = recorded
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "googlenet_cifar10, input 2x3x32x32, train, momentum"
    assert lines[2] == "No GPU events in this trace; its layers by their own time on the CPU:"
    for pattern in (
        r"and \d+ more with [\d.]+ % of own host time; --top \d+ shows them",
        r"Run +2x3x32x32, train, momentum, float32, contiguous",
        r"Machine .*, 1 thread, torch [\d.]+",
        r"Steps +2, after 2 that are not recorded",
    ):
        assert re.search(f"^{pattern}$", done.stdout, re.MULTILINE), pattern
    assert lines[-3:-1] == [
        f"Tables           {folder}",
        f"Trace            {folder}/googlenet_cifar10.trace.json.gz, for https://ui.perfetto.dev",
    ]
    assert lines[-1].endswith(f"tensorboard --logdir {folder}/tensorboard")
    assert (folder / "tensorboard" / "googlenet_cifar10.pt.trace.json.gz").exists()
    assert json.loads((folder / "summary.json").read_text())["model"] == "googlenet_cifar10"


def test_a_recording_is_read_as_any_other_trace(capsys, recorded, tmp_path):
    folder, done = recorded
    trace = folder / "googlenet_cifar10.trace.json.gz"
    arguments = ["--read", str(trace), "--tensorboard", str(tmp_path / "logs")]
    code, out, err = typed(capsys, "profile", *arguments)
    assert code == 0
    first, *lines = out.splitlines()
    assert first == trace.name
    assert set(lines) < set(done.stdout.splitlines())
    assert err.endswith(f"tensorboard --logdir {tmp_path / 'logs'}\n")
    copy = tmp_path / "logs" / "googlenet_cifar10.pt.trace.json.gz"
    written = folder / "tensorboard" / copy.name
    assert gzip.decompress(copy.read_bytes()) == gzip.decompress(written.read_bytes())


@pytest.mark.parametrize("missing", [False, True])
def test_without_the_plugin_the_line_says_what_to_install(capsys, trace, tmp_path, monkeypatch, missing):
    monkeypatch.setattr("inception_lab.cli.profile.find_spec", lambda _: None if missing else object())
    _, _, err = typed(capsys, "profile", "--read", str(trace), "--tensorboard", str(tmp_path))
    install = 'pip install "inception_lab[tensorboard]", then ' if missing else ""
    assert err == f"TensorBoard      {install}tensorboard --logdir {tmp_path}\n"


def test_a_recording_as_json_and_csv(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = typed(capsys, "profile", *ARGUMENTS, "--format", "json")
    data = json.loads(out)
    assert (code, data["model"], data["mode"]) == (0, "googlenet_cifar10", "eval")
    assert len(data["overview"]) == 2
    assert err.startswith("Tables           profiles/googlenet_cifar10-batch2\n")
    code, out, _ = typed(capsys, "profile", *ARGUMENTS, "--format", "csv")
    assert code == 0
    assert sum(float(row["self_host_ms"]) for row in csv.DictReader(io.StringIO(out))) > 0


def test_two_variants_have_folders_of_their_own_and_long_names_are_cut(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tagged.py").write_text(
        "from torch import nn\nclass Net(nn.Linear):\n    def __init__(self, tag): super().__init__(3, 2)\n"
    )
    for tag in ("1", "'1'", "'é'", "'ü'", f"'{'x' * 300}'"):
        model = f"tagged:Net(tag={tag})"
        assert typed(capsys, "profile", model, "--input-size", "3", "--active", "1")[0] == 0
    assert len(list((tmp_path / "profiles").iterdir())) == 5


def test_a_model_that_raises_is_named_with_its_layer(capsys, tmp_path):
    code, _, err = typed(
        capsys, "profile", "torch.nn:Linear", "--kwargs", "in_features=4", "--kwargs", "out_features=2",
        "--input-size", "5", "-o", str(tmp_path / "new"),
    )  # fmt: skip
    assert code == 3
    assert err.startswith(
        "inception-lab: torch.nn:Linear(in_features=4, out_features=2): cannot run: RuntimeError"
    )
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_reading_a_trace_imports_neither_torch_nor_pandas(trace):
    arguments = ["profile", "--read", str(trace)]
    code = f"from inception_lab.cli import main\ntry: main({arguments!r})\nexcept SystemExit: pass"
    heavy = "print(sorted({'torch', 'pandas', 'numpy', 'matplotlib'} & set(__import__('sys').modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{heavy}"], capture_output=True, text=True, check=True
    )
    assert "Conv2d_0" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
