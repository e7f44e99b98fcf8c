"""A row for each hostile call: its exit code, and its one line."""

import csv
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from support.hostile_files import FILES
from support.own_folder import own_folder
from support.typed import typed

import inception_lab as il
from inception_lab.models.cards import CARDS


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The current folder, with the files of a user's own in it."""
    with own_folder(tmp_path, FILES, monkeypatch) as folder:
        yield folder


LONG = "x" * 120_000
ROOT_REFUSED = "/: holds files, but not a report" if os.access("/", os.W_OK) else "/: cannot be written: "

REFUSED = [
    # literals that may be something else
    ("summary mynet:MyNet --kwargs se=off", 2, "se is 'off', which may be a value or text; write false, or"),
    ("summary mynet:MyNet --kwargs width=010", 2, "width is '010', which may be a value or text"),
    ("summary mynet:MyNet --kwargs width=1,000", 2, "write 1000, or brackets around a row of numbers"),
    ("summary mynet:MyNet --kwargs width=[4", 2, "width is '[4', which cannot be read"),
    ("summary mynet:MyNet(se=yes)", 2, "se is 'yes', which may be a value or text; write true"),
    ("summary mynet:MyNet --arg se=nil", 2, "write null"),
    ("summary mynet:MyNet --kwargs se=flase", 2, "se is the text 'flase'; write true or false"),
    ("summary mynet:MyNet -o mynet.py", 2, "'mynet.py' is a file of code; end it with .csv, .json, "),
    ("summary mynet:MyNet --columns ,", 2, "--columns ',' names no column; write it like layer,macs"),
    # MODEL in other words
    ("summary mynet", 2, "no model 'mynet' in the zoo; for the file mynet.py type mynet:Needy or mynet:Open"),
    ("summary mynet.py", 2, "no model 'mynet.py' in the zoo; type mynet.py:Needy"),
    ("summary ./mynet", 2, "type ./mynet:Needy"),
    ("summary mynet.MyNet", 2, "type mynet:MyNet"),
    ("summary Needy", 2, "no model 'Needy' in the zoo; type mynet:Needy"),
    ("summary sub/inner.py", 2, "type sub/inner.py:Inner"),
    ("summary inner", 2, "type sub/inner.py:Inner"),
    ("summary empty", 2, "for the file empty.py type empty:NAME"),
    ("summary broken", 2, "for the file broken.py type broken:NAME"),
    ("summary nofile.py", 2, "there is no file nofile.py"),
    ("summary torchvision.models.resnet50", 2, "type torchvision.models:resnet50"),
    ("summary GoogLeNet", 2, "did you mean googlenet"),
    ("summary mynet:", 2, "write it like mynet:MyNet, for a class MyNet in mynet.py"),
    ("summary :MyNet", 2, "write it like mynet:MyNet"),
    ("summary .:MyNet", 2, "name a file, as in ./mynet.py:MyNet"),
    ("summary nofile.py:MyNet", 2, "no file 'nofile.py' in "),
    # a module of the user's own in another folder, or by another name
    ("summary inner:Inner", 2, "no module 'inner' in {home}, nor among"),
    ("summary pack.deep:MyNet", 2, "type sub/pack/deep.py:MyNet, or run in sub/pack"),
    ("summary mynets:MyNet", 2, "did you mean mynet"),
    ("summary nowhere:Net", 2, "run in the folder that holds it, or type its path: path/to/nowhere.py:Net"),
    ("summary mmdet:Net", 2, "pip install mmdet"),
    ("summary open_clip:create_model", 2, "(pip install open_clip_torch)"),
    ("summary torch_geometric:Net", 2, "(pip install torch-geometric)"),
    ("summary misses:Net", 3, "No module named 'nowhere_to_be_found'"),
    ("summary broken:MyNet", 3, "SyntaxError"),
    # files that hide others, or are hidden
    ("summary queue:MyNet", 2, "./queue.py is hidden by Python's own queue: rename it, or type"),
    ("summary torch:MyNet", 2, "./torch.py is hidden by the installed torch"),
    ("summary rich:MyNet", 2, "./rich.py is hidden by the installed rich"),
    ("summary wants_queue:MyNet", 3, "./queue.py is hidden by Python's own queue"),
    # names and keywords
    ("summary mynet:MyNt", 2, "mynet has no 'MyNt'; did you mean MyNet?"),
    ("summary ./mynet.py:MyNt", 2, "did you mean MyNet?"),
    ("summary torch.nn:Linaer", 2, "did you mean Linear"),
    ("summary mynet:MyNet --kwargs wdth=3", 2, "no keyword 'wdth'; did you mean width?"),
    ("summary mynet:MyNet(wdth=3)", 2, "no keyword 'wdth'; did you mean width?"),
    ("summary mynet:Block(x=1)", 2, "no keyword 'x'; it takes none"),
    ("summary mynet:Needy", 2, "it needs a value of width, depth; give it in parentheses or with --kwargs"),
    ("summary torch.nn:Linear(in_features=3) --input-size 3", 2, "it needs a value of out_features"),
    ("summary mynet:wrong_call", 3, "TypeError"),
    ("summary mynet:number", 3, "is not a model and makes none (int)"),
    ("summary mynet:nothing", 3, "NoneType"),
    ("summary nin --kwargs num_clases=3", 2, "did you mean num_classes"),
    ("report --all mynet:MyNet", 2, "--all is the whole zoo, beside mynet:MyNet; leave one of them out"),
    ("report mynet:MyNet(width=4,se=false) mynet:MyNet(se=False,width=4)", 2, "named twice"),
    # what code of the user's raises
    ("summary mynet:raises(kind=Own)", 3, "building it failed: Own"),
    ("summary mynet:raises(kind=GeneratorExit)", 3, "building it failed: GeneratorExit"),
    ("summary mynet:raises(kind=StopIteration)", 3, "building it failed: StopIteration: told"),
    ("summary mynet:raises(kind=SystemExit)", 3, "building it failed: SystemExit: told"),
    ("summary mynet:raises(kind=Mute)", 3, "building it failed: Mute"),
    ("summary mynet:raises(kind=RecursionError)", 3, "RecursionError: told"),
    ("summary mynet:raises(kind=KeyboardInterrupt)", 130, "interrupted"),
    ("summary \"mynet:raises(text='\\x1b[31mred')\"", 3, r"ValueError: \x1b[31mred"),
    (
        "summary torch.nn:Bilinear(in1_features=8,in2_features=4,out_features=2) --input-size 8", 3,
        "'input2'; give --input-size once for each input, and --arg for what is not a tensor",
    ),
    ("summary mynet:frames", 3, "RuntimeError: sizes differ; --traceback shows where"),
    # values of any length
    (f"summary mynet:MyNet --kwargs {LONG}", 2, "is not a keyword"),
    (f"summary mynet:MyNet --kwargs wdth={LONG}", 2, "no keyword 'wdth'; did you mean width?"),
    (f"summary mynet:MyNet --kwargs width={LONG}", 3, "building it failed: TypeError"),
    (f"summary {LONG}", 2, "no model 'xxx"),
    (f"summary mynet:{LONG}", 2, "mynet has no 'xxx"),
    (f"summary nin --input-size {LONG}", 2, "is not an input size"),
    (f"summary nin --mode {LONG}", 2, "is not one of 'eval', 'train'"),
    (f"summary nin --{LONG}", 2, "No such option"),
    (f"{LONG} nin", 2, "no command"),
    (f"summary mynet:raises --kwargs text={LONG}", 3, "ValueError: xxx"),
    # weights
    ("receptive-field nin --effective --weights none.pt", 2, "none.pt: no such file"),
    ("receptive-field nin --effective --weights sub", 2, "sub: is a folder"),
    ("receptive-field nin --effective --weights text.pt", 2, "text.pt: is not a file of torch.save"),
    ("receptive-field nin --effective --weights x.safetensors", 2, "x.safetensors: no such file"),
    # targets are looked at before anything runs
    ("summary mynet:raises -o sub", 2, "sub: cannot be written: Is a directory"),
    ("summary mynet:raises -o mynet.py/x", 2, "cannot be written"),
    ("memory mynet:raises -o /proc/x/y", 2, "cannot be written"),
    ("time mynet:raises --plot /proc/x/y.svg", 2, "cannot be written"),
    ("report mynet:raises -o taken", 2, "holds files, but not a report"),
    ("report mynet:raises -o mynet.py", 2, "is a file"),
    ("report mynet:raises -o /", 2, ROOT_REFUSED),
    ("compare mynet:MyNet none.json", 2, "none.json: cannot be read: No such file or directory"),
    ("report mynet:raises -o /proc/x", 2, "cannot be written"),
    ("report mynet:raises --against mynet", 2, "'mynet' is not a saved record; name a FILE.json or"),
    ("report mynet:raises --against nofile.json", 2, "nofile.json: cannot be read: No such file"),
    ("report mynet:raises --against nofile.lock", 2, "nofile.lock: there is no such lock"),
    ("report mynet:raises nin --against old.json", 2, "--against is of one model; name one"),
    ("report mynet:raises --seconds 3", 2, "--seconds without --measure; add --measure"),
    ("report mynet:raises --device cpu", 2, "--device without --measure; add --measure"),
    ("report mynet:raises --measure --meta-only", 2, "--measure runs models for real; leave out it or"),
    ("report mynet:MyNet mynet:raises -o mynet.py/x", 2, "cannot be written"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "code", "message"), REFUSED, ids=lambda value: str(value)[:60])
def test_a_hostile_call_ends_in_one_short_line(capsys, home, call, code, message):
    exit_code, out, err = typed(capsys, *shlex.split(call))
    assert (exit_code, out) == (code, "")
    assert message.format(home=home) in err
    assert err.startswith("inception-lab: ")
    assert err.count("\n") == 1
    assert len(err) < 1400
    assert err.rstrip("\n").isprintable()
    assert sorted(path.name for path in home.iterdir() if path.name != "__pycache__") == sorted(
        {Path(name).parts[0] for name in FILES}
    )


@pytest.mark.parametrize(
    "model",
    ["mynet:MyNet", "mynet.py:MyNet", "./mynet.py:MyNet", "./mynet:MyNet", "sub/pack/deep.py:MyNet",
     "sub.pack.deep:MyNet", "{home}/mynet.py:MyNet", "./queue.py:MyNet", "torch.py:MyNet", "./rich.py:MyNet",
     "my-net.py:MyNet", "mynet:Open(whatever=1)", "mynet:MyNet(se=TRUE)", "mynet:MyNet(se=true, text=null)",
     "mynet:injected", "mynet:injected(extra=0, se=true)"],
)  # fmt: skip
def test_a_net_of_ones_own_is_found_however_it_is_named(capsys, home, model):
    code, out, err = typed(capsys, "summary", model.format(home=home), "--format", "json")
    assert (code, err) == (0, "")
    assert json.loads(out)["totals"]["params"] == 12 + 112 + 20


@pytest.mark.parametrize("value", ["false", "False", "FALSE", "null", "none", "0"])
def test_a_constant_of_any_language_is_no_text(capsys, value):
    for call in (["mynet:MyNet", "--kwargs", f"se={value}"], [f"mynet:MyNet(se={value})"]):
        _, out, _ = typed(capsys, "summary", *call, "--format", "json")
        assert json.loads(out)["totals"]["params"] == 12 + 112


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old"), ("old", "new", "old")])
def test_files_of_one_name_in_two_folders_are_two_nets(capsys, order):
    for folder in order:
        _, out, _ = typed(capsys, "summary", f"{folder}/net.py:net", "--format", "json")
        width = {"old": 4, "new": 6}[folder]
        assert json.loads(out)["totals"]["params"] == 12 + 28 * width + width * width + width


@pytest.mark.parametrize(("model", "code"), [("wants_pip:MyNet", 3), ("pip:main", 2)])
def test_a_file_that_hides_a_package_is_named(capsys, model, code):
    exit_code, _, err = typed(capsys, "summary", model)
    assert exit_code == code
    assert "./pip.py hides the installed pip: rename it" in err


def test_variants_are_named_by_all_their_keywords_wherever_these_stand(capsys):
    calls = [
        ["mynet:MyNet(width=6, se=false)"],
        ["mynet:MyNet", "--kwargs", "se=False", "--kwargs", "width=6"],
        ["mynet:MyNet(width=6)", "--kwargs", "se=false"],
    ]
    for call in calls:
        _, out, _ = typed(capsys, "summary", *call, "--format", "json")
        assert json.loads(out)["model"] == "mynet:MyNet(se=False, width=6)"


def test_variants_never_share_a_folder(capsys, home):
    runs = [
        ["mynet:MyNet"],
        ["mynet:MyNet", "--kwargs", "width=6"],
        ["mynet:MyNet", "--batch-size", "2"],
        ["mynet:MyNet", "--mode", "train"],
        ["mynet:MyNet", "--mode", "train", "--optimizer", "adam"],
        ["mynet:MyNet", "--input-size", "3x9x9"],
    ]
    folders = set()
    for run in runs:
        code, out, _ = typed(capsys, "report", *run)
        assert code == 0
        folders.add(out.strip())
    assert sorted(Path(page).parent.name for page in folders) == [
        "mynet.MyNet", "mynet.MyNet-3x9x9", "mynet.MyNet-batch2", "mynet.MyNet-train",
        "mynet.MyNet-train-adam", "mynet.MyNet-width=6",
    ]  # fmt: skip
    page = (home / "reports" / "mynet.MyNet-width=6" / "README.md").read_text()
    assert "mynet:MyNet(width=6)" in page.splitlines()[0]


def test_a_variant_of_the_zoo_has_no_published_error(capsys, home):
    card = next(card for card in CARDS.values() if card.top5_error and card.name == "alexnet")
    typed(capsys, "report", card.name, f"{card.name}(num_classes=10)", "-o", "both")
    models = json.loads((home / "both" / "comparison" / "comparison.json").read_text())["models"]
    assert [model.get("top5_error") for model in models] == [card.top5_error, None]


def test_a_factory_that_changes_directory_changes_no_target(capsys, home):
    code, out, _ = typed(capsys, "report", "mynet:elsewhere", "mynet:MyNet", "-o", "out")
    assert code == 0
    assert out.splitlines()[-1] == "out/comparison/index.html"
    assert typed(capsys, "summary", "mynet:elsewhere", "-o", "table.txt")[0] == 0
    assert (home / "table.txt").exists()
    assert Path.cwd() == home


@pytest.mark.parametrize("first", ["mynet:double", "of_double:MyNet"])
def test_a_default_dtype_is_that_of_one_model(capsys, first):
    _, out, _ = typed(capsys, "compare", first, "mynet:MyNet", first, "--format", "json")
    assert [model["dtype"] for model in json.loads(out)["models"]] == ["float64", "float32", "float64"]


def test_the_state_of_the_process_is_put_back(capsys):
    def state():
        return (
            torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(),
            torch.get_rng_state().tolist(), random.getstate(), list(warnings.filters), list(sys.path),
            sys.getrecursionlimit(), signal.getsignal(signal.SIGTERM) is signal.SIG_IGN,
            "INCEPTION_LAB_TEST" in os.environ, Path.cwd(),
        )  # fmt: skip

    before = state()
    assert typed(capsys, "summary", "mynet:unsettling")[0] == 0
    assert state() == before


def test_modules_that_never_ran_are_ten_names_and_a_number(capsys):
    _, out, _ = typed(capsys, "summary", "mynet:Idle(many=5000)")
    assert "idle.9 and 4,990 more" in " ".join(out.split())
    for command in ("summary", "receptive-field", "crosscheck"):
        _, out, _ = typed(capsys, command, "mynet:Idle(many=5000)")
        assert len(out.splitlines()) < 60
        assert "and 5,000 layers that never ran; --wide shows everything" in " ".join(out.split())
        _, out, _ = typed(capsys, command, "mynet:Idle(many=5000)", "--wide")
        assert len(out.splitlines()) > 5000


@pytest.mark.parametrize("command", ["summary", "receptive-field", "memory", "report"])
@pytest.mark.parametrize("options", [[], ["--mode", "train"]])
def test_a_net_of_many_levels_exhausts_no_stack(capsys, command, options):
    assert typed(capsys, command, "mynet:Deep(depth=250)", *options)[0] == 0


def test_nets_of_many_levels_are_compared(capsys):
    assert typed(capsys, "compare", "mynet:Deep(depth=200)", "mynet:Deep(depth=201)")[0] == 0


def test_no_name_of_a_layer_breaks_a_report_or_a_spreadsheet(capsys, home):
    assert typed(capsys, "report", "mynet:Named", "-o", "out")[0] == 0
    rows = list(csv.DictReader((home / "out" / "layers.csv").open(encoding="utf-8", newline="")))
    names = [row["layer"] for row in rows]
    assert names == [
        "'=cmd()", "'+a", "'-b", "'@c", "'\td", "'\re", r"f\x1b[31m\x9b", r"\ud800g", "模块", "plain",
    ]  # fmt: skip
    assert [row["macs"] for row in rows] == ["576"] * len(names)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("form", ["table", "csv", "json", "markdown"])
def test_no_name_breaks_a_terminal_of_any_encoding(encoding, form):
    code = "from inception_lab.cli import main; main()"
    command = [sys.executable, "-c", code, "summary", "mynet:Named", "--format", form]
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONSAFEPATH": "1"}
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert not re.search(rb"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]", done.stdout)
    assert b"plain" in done.stdout


@pytest.mark.parametrize("name", ["csv", "json", "random", "torch", "pandas", "matplotlib", "click", "rich"])
def test_a_file_that_bears_another_modules_name_does_not_break_the_tool(home, name):
    (home / f"{name}.py").write_text("raise SystemExit('it was imported')\n")
    command = [sys.executable, "-m", "inception_lab", "summary", "mynet:MyNet", "--depth", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def saved(path, content):
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "missing block.conv.weight, block.conv.bias, conv.weight"),
        ([1, 2], "holds a list of 2, not a state dict"),
        (torch.zeros(3), "holds a Tensor, not a state dict"),
        ({"epoch": 3, "loss": 0.5}, "holds a dictionary with 'epoch', 'loss', not a state dict"),
        (torch.nn.Linear(1, 1), "holds objects of torch.nn.modules.linear.Linear, which only code"),
        ({"model": {"a": torch.zeros(1)}, "ema": {"a": torch.zeros(1)}}, "state dicts: model, ema"),
        ({f"k{i}": torch.zeros(1) for i in range(30)}, "k9 and 20 more"),
        ({"conv.weight": torch.zeros(2, 2)}, "of another shape: conv.weight is 2x2 and not 4x3x3x3"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_weights_that_do_not_fit_are_told_by_name(capsys, home, content, message):
    path = saved(home / "weights.pt", content)
    call = ["receptive-field", "mynet:MyNet", "--effective", "--weights", str(path)]
    code, out, err = typed(capsys, *call)
    assert (code, out) == (2, "")
    assert message in err
    assert "weights_only" not in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": state},
        lambda state: {"model": {f"module.{name}": value for name, value in state.items()}},
        lambda state: {f"_orig_mod.module.{name}": value for name, value in state.items()},
    ],
)
def test_the_one_state_dict_of_a_checkpoint_is_found(capsys, home, wrap):
    model = il.create_model("googlenet_cifar10")
    path = saved(home / "weights.pt", wrap(model.state_dict()))
    options = ["--effective", "--seeds", "1", "--samples", "1", "--weights", str(path)]
    exit_code, _, err = typed(capsys, "receptive-field", "googlenet_cifar10", *options)
    assert (exit_code, err) == (0, "")
