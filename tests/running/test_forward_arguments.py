"""Arguments of a forward that are not tensors: each kind reaches the model as it is, however it is run."""

import re
import sys
from enum import Enum

import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.cli import main
from inception_lab.errors import InceptionLabError

SHAPE = (1, 4, 8, 8)
RECEIVED = []


class Receiver(nn.Module):
    """A convolution that notes what else it is called with."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x, *args, **kwargs):
        RECEIVED.append((args, kwargs))
        return self.conv(x)


VALUES = {
    "integer": 3,
    "negative": -1,
    "float": 0.5,
    "boolean": True,
    "text": "mean",
    "none": None,
    "tuple of integers": (1, 3),
    "list of integers": [5, 3],
    "list with zero": [0, 2],
    "floats": [0.25, 2.0],
    "booleans": (True, False),
    "texts": ["a", "b"],
    "sizes": [(4, 4), (8, 8)],
    "nested": {"sizes": [(2, 2)], "scale": 2.0},
    "empty": [],
}


def written_profile(model, shape, tmp_path, **arguments):
    return il.record_profile(model, shape, folder=tmp_path, active=1, wait=0, **arguments)


FUNCTIONS = {
    "trace": lambda model, _, **others: il.trace(model, SHAPE, **others),
    "train": lambda model, _, **others: il.trace(model, SHAPE, mode="train", optimizer="adam", **others),
    "fake": lambda model, _, **others: il.trace(model, SHAPE, device="cpu", **others),
    "layer_costs": lambda model, _, **others: il.layer_costs(il.trace(model, SHAPE, **others)),
    "receptive_field": lambda model, _, **others: il.receptive_field(il.trace(model, SHAPE, **others)),
    "trace_for_device": lambda model, _, **others: il.trace_for_device(model, SHAPE, **others),
    "measure_memory": lambda model, _, **others: il.measure_memory(model, SHAPE, **others),
    "compare_memory": lambda model, _, **others: il.compare_memory(model, SHAPE, **others),
    "crosscheck": lambda model, _, **others: il.crosscheck(model, SHAPE, **others),
    "layer_times": lambda model, _, **others: il.layer_times(model, SHAPE, seconds=0, **others),
    "compare_times": lambda model, _, **others: il.compare_times(
        [model, Receiver()], [SHAPE, SHAPE], seconds=0, **others
    ),
    "times_by_batch": lambda model, _, **others: il.times_by_batch(
        model, SHAPE[1:], [1, 2], seconds=0, **others
    ),
    "record_profile": lambda model, path, **others: written_profile(model, SHAPE, path, **others),
    "largest_batch": lambda model, _, **others: il.largest_batch(model, SHAPE[1:], "16 KiB", **others),
    "smallest_input": lambda model, _, **others: il.smallest_input(model, SHAPE, **others),
    "tried_resolution_fit": lambda model, _, **others: il.tried_resolution_fit(
        model, il.trace(model, SHAPE, **others), **others
    ),
    "effective_field": lambda model, _, **others: il.effective_field(
        model, SHAPE, seeds=[0], samples=1, **others
    ),
    "check_fields": lambda model, _, **others: il.check_fields(model, SHAPE, **others),
    "check_budget": lambda model, _, **others: il.check_budget(model, SHAPE, params="1 M", **others),
    "compare": lambda model, _, **others: il.compare(model, Receiver(), inputs=SHAPE, **others),
}


@pytest.fixture(autouse=True)
def _forget():
    RECEIVED.clear()


def same(value, other):
    """True where two values are equal and of the same types."""
    return repr(value) == repr(other)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("function", ["trace", "fake", "measure_memory", "crosscheck"])
def test_each_kind_of_value_reaches_the_model(function, value, tmp_path):
    FUNCTIONS[function](Receiver(), tmp_path, args=(value,), kwargs={"named": value})
    assert len(RECEIVED) >= 1
    assert all(same(call, ((value,), {"named": value})) for call in RECEIVED)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_passes_them_on(function, tmp_path):
    FUNCTIONS[function](Receiver(), tmp_path, args=([5, 3], None), kwargs={"out_indices": (1, 3)})
    assert len(RECEIVED) >= 1
    assert all(same(call, (([5, 3], None), {"out_indices": (1, 3)})) for call in RECEIVED)


class Pyramid(nn.Module):
    """Four linear layers; returns the outputs of those that are asked for, and runs no further."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(16, 16) for _ in range(4)])

    def forward(self, x, out_indices=(0, 1)):
        outputs = []
        for place, layer in enumerate(self.layers):
            if place <= max(out_indices):
                x = layer(x)
                outputs += [x] if place in out_indices else []
        return outputs


class Undeclared(Pyramid):
    """The same, whose signature does not say that it wants integers, and which asks for nothing else."""

    def forward(self, x, out_indices):
        return [layer(x) for place, layer in enumerate(self.layers) if place in out_indices]


class Annotated(Pyramid):
    """The same by annotation."""

    def forward(self, x, out_indices: "list[int] | tuple[int, ...] | None" = None):
        return super().forward(x, out_indices)


def macs(model, *inputs, **others):
    return sum(op.macs for op in il.trace(model, *inputs, **others).ops)


def test_a_row_of_integers_beside_a_shape():
    assert macs(Pyramid(), (1, 16)) == 2 * 16 * 16
    assert macs(Pyramid(), (1, 16), kwargs={"out_indices": (1, 3)}) == 4 * 16 * 16
    assert macs(Pyramid(), [(1, 16)], args=([1, 3],)) == 4 * 16 * 16
    assert macs(Pyramid(), {"x": (1, 16)}, kwargs={"out_indices": [1, 3]}) == 4 * 16 * 16


@pytest.mark.parametrize("model", [Pyramid, Annotated], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "inputs",
    [[(1, 16), (1, 3)], {"x": (1, 16), "out_indices": (1, 3)}, [torch.ones(1, 16), (1, 3)]],
    ids=["positional", "keyword", "beside a tensor"],
)
def test_a_row_for_what_is_not_a_tensor_is_ambiguous(model, inputs):
    for function in (il.trace, il.measure_memory):
        with pytest.raises(InceptionLabError, match="may be a shape or the integers") as refused:
            function(model(), inputs)
        assert "torch.Size((1, 3))" in refused.value.hint
        assert "kwargs={'out_indices': (1, 3)}" in refused.value.hint
        assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    "inputs",
    [[(1, 16), [1, 3]], {"x": (1, 16), "out_indices": [1, 3]}, [torch.ones(1, 16), [[1, 2], [3, 4]]]],
    ids=["positional", "keyword", "nested"],
)
def test_a_list_beside_other_shapes_is_ambiguous(inputs):
    with pytest.raises(InceptionLabError, match="may be a shape or the integers"):
        il.trace(Undeclared(), inputs)


def test_shapes_as_json_keeps_them_are_shapes():
    class Sum(nn.Module):
        def forward(self, x, y):
            return x + y

    assert il.trace(Sum(), [[1, 3, 8, 8], [1, 3, 1, 1]]).context.input_shapes == ((1, 3, 8, 8), (1, 3, 1, 1))


def test_a_size_is_always_a_shape():
    class Scaled(nn.Module):
        def forward(self, x, scale=1.0):
            return x * scale

    with pytest.raises(InceptionLabError, match="may be a shape"):
        il.trace(Scaled(), [(2, 3), (2, 1)])
    assert il.trace(Scaled(), [(2, 3), torch.Size((2, 1))]).context.input_shapes == ((2, 3), (2, 1))


@pytest.mark.parametrize(
    "inputs", [[(1, 16), (1, 3)], {"x": (1, 16), "out_indices": (1, 3)}], ids=["row", "map"]
)
def test_numbers_of_a_made_up_tensor_are_not_taken_for_the_integers(inputs):
    with pytest.raises(InceptionLabError, match=r"reads the numbers of \w+, which was given as a shape"):
        il.trace(Undeclared(), inputs)


def test_a_model_may_read_the_numbers_of_its_image():
    class Normalised(nn.Module):
        def forward(self, x, y):
            return x / 255 if x.max() > 1 else x * y

    assert il.trace(Normalised(), [(1, 3), (1, 3)]).context.device == "cpu"


def test_a_crash_inside_the_model_names_the_other_spelling():
    class Packed(nn.Module):
        def forward(self, x, lengths):
            return nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True).data

    with pytest.raises(InceptionLabError, match="pass one that is not by args= or kwargs="):
        il.trace(Packed(), [(2, 5, 8), (5, 3)])
    packed = il.trace(Packed(), (2, 5, 8), args=([5, 3],))
    assert packed.values[packed.calls[0].outputs[0]].shape == (5 + 3, 8)


@pytest.mark.parametrize(
    "others", [{"args": ((2, 4),)}, {"kwargs": {"input2": (2, 4)}}], ids=["args", "kwargs"]
)
def test_a_crash_on_a_row_names_the_spelling_of_a_shape(others):
    with pytest.raises(InceptionLabError, match="put a shape among the inputs"):
        il.trace(nn.Bilinear(3, 4, 5), [(2, 3)], **others)
    assert il.trace(nn.Bilinear(3, 4, 5), [(2, 3), (2, 4)]).context.input_shapes == ((2, 3), (2, 4))


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"args": 3}, "not a row of arguments"),
        ({"args": "mean"}, "not a row of arguments"),
        ({"kwargs": [1, 2]}, "not arguments by name"),
        ({"kwargs": {1: 2}}, "not arguments by name"),
        ({"kwargs": {"x": 2}}, "'x' is given twice"),
    ],
)
def test_what_cannot_be_passed_on(others, message):
    with pytest.raises(InceptionLabError, match=message) as refused:
        il.trace(Receiver(), {"x": SHAPE}, **others)
    assert refused.value.exit_code == 2


def test_tensors_among_them_are_examples():
    class Masked(nn.Module):
        def forward(self, x, *, masks, scale):
            return x * masks[0] * scale

    mask = torch.ones(1, 1, 8, 8)
    trace = il.trace(Masked(), SHAPE, kwargs={"masks": [mask], "scale": 2})
    assert trace.context.input_shapes == (SHAPE, (1, 1, 8, 8))
    assert [s.name for s in trace.storages if s.kind == "input"] == ["0", "masks.0"]
    assert trace.context.arguments == ("scale=2",)
    assert not mask.is_meta


def test_the_callers_own_list_is_not_the_models():
    class Emptying(nn.Module):
        def forward(self, x, sizes):
            sizes.clear()
            return x * 2

    sizes = [1, 3]
    il.trace(Emptying(), SHAPE, kwargs={"sizes": sizes})
    assert sizes == [1, 3]


def test_results_name_them(tmp_path):
    trace = il.trace(Receiver(), SHAPE, args=([5, 3],), kwargs={"out_indices": (1, 3)})
    names = ("[5, 3]", "out_indices=(1, 3)")
    assert trace.context.arguments == names
    assert il.summarise(trace).context["arguments"] == list(names)
    trace.save(tmp_path / "trace.json")
    assert il.Trace.load(tmp_path / "trace.json").context == trace.context
    assert "arguments" not in il.summarise(il.trace(Receiver(), SHAPE)).context


def test_a_trace_of_an_older_version_has_none():
    data = il.trace(Receiver(), SHAPE).to_dict()
    del data["context"]["arguments"]
    assert il.Trace.from_dict(data).context.arguments == ()


def test_a_smallest_input_is_not_tried_with_other_arguments():
    class Windowed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3)

        def forward(self, x, least=1):
            assert x.shape[-1] >= least
            return self.conv(x)

    net, others = Windowed(), {"kwargs": {"least": 5}}
    assert il.smallest_input(net, SHAPE) == (3, 3)
    assert il.smallest_input(net, SHAPE, **others) == (3, 5)
    trace = il.trace(net, SHAPE, **others)
    assert il.tried_resolution_fit(net, trace, **others).smallest_input == (3, 5)
    assert il.tried_resolution_fit(net, trace) == il.resolution_fit(trace)


MODELS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(4, 4, 1) for _ in range(4)])

    def forward(self, x, out_indices=(0,), *, pool="max", mask=None, shift=None, flag=True):
        assert isinstance(out_indices, (list, tuple)) and isinstance(pool, str) and isinstance(flag, bool)
        assert shift is None or isinstance(shift, torch.Tensor)
        for layer in self.layers[: max(out_indices) + 1]:
            x = layer(x)
        return x if mask is None else x * mask
"""
ONE_LAYER = 4 * 4 * 8 * 8


@pytest.fixture
def net(tmp_path, monkeypatch):
    (tmp_path / "argued.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    yield "argued:Net"
    sys.modules.pop("argued", None)


def typed(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code, *capsys.readouterr()


OPTIONS = {
    "keyword": (["--arg", "out_indices=(1, 3)"], 4),
    "list": (["--arg", "out_indices=[1]"], 2),
    "positional": (["--arg", "[0, 2]"], 3),
    "text": (["--arg", "pool=mean"], 1),
    "flag": (["--arg", "flag=False"], 1),
    "none": (["--arg", "mask=None"], 1),
    "several": (["--arg", "[2]", "--arg", "pool='mean'", "--arg", "mask=0.5"], 3),
}


@pytest.mark.parametrize(("options", "layers"), OPTIONS.values(), ids=OPTIONS)
def test_the_command_line_passes_them_on(net, capsys, options, layers):
    command = ["summary", net, "--input-size", "4x8x8", "--format", "json", *options]
    code, out, err = typed(capsys, *command)
    assert (code, err) == (0, "")
    assert f'"macs": {layers * ONE_LAYER}' in out


COMMANDS = {
    "summary": [],
    "receptive-field": [],
    "receptive-field effective": ["--effective"],
    "memory": [],
    "memory measured": ["--measure"],
    "memory fits": ["--fits", "1 MiB"],
    "crosscheck": [],
    "time": ["--seconds", "0"],
    "time batches": ["--seconds", "0", "--batch-size", "1", "--batch-size", "2"],
    "worksheet": [],
    "profile": ["-o", "profile"],
    "report": ["-o", "report"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_passes_them_on(net, capsys, command):
    name, options = command.split()[0], COMMANDS[command]
    module = ["layers.3"] if name == "worksheet" else []
    wanted = ["--input-size", "4x8x8", "--arg", "out_indices=[3]", "--arg", "flag=True"]
    code, _, err = typed(capsys, name, net, *module, *wanted, *options)
    assert code == 0, err


def test_an_input_by_keyword_on_the_command_line(net, capsys):
    command = ["summary", net, "--input-size", "4x8x8", "--input-size", "mask=4x1x1", "--format", "json"]
    code, out, _ = typed(capsys, *command, "--input-size", "shift=3:int64")
    assert code == 0
    shapes = '"input_shapes": [[1, 4, 8, 8], [1, 4, 1, 1], [1, 3]]'
    assert shapes in " ".join(out.split()).replace("[ ", "[").replace(" ]", "]")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--arg", "mean"], 2, "is not an argument of a forward"),
        (["--arg", "flag=off"], 2, "write false"),
        (["--arg", "pool=a", "--arg", "pool=b"], 2, "given twice"),
        (["--arg", "colour=1"], 3, "unexpected keyword argument 'colour'"),
        (["--input-size", "mask=1", "--arg", "mask=None"], 2, "given twice"),
        (["--input-size", "2"], 3, "by --arg"),
    ],
)
def test_faults_are_one_line(net, capsys, options, code, message):
    exit_code, out, err = typed(capsys, "summary", net, "--input-size", "4x8x8", *options)
    assert (exit_code, out) == (code, "")
    assert len(err.splitlines()) == 1
    assert message in err


def test_a_budget_has_them(net, tmp_path):
    table = f"[budgets.a]\nmodel = '{net}'\ninput-size = '4x8x8'\nmacs = {{ max = {3 * ONE_LAYER} }}\n"
    file = tmp_path / "budgets.toml"
    file.write_text(table + "arg = ['out_indices=[2]', 'pool=mean']\n")
    assert il.check_budgets(file).passed
    file.write_text(table + "arg = 'out_indices=[3]'\n")
    assert not il.check_budgets(file).passed
    for wrong in ("arg = 3\n", "arg = ['pool=a', 'pool=b']\n", "arg = 'mean'\n"):
        file.write_text(table + wrong)
        with pytest.raises(InceptionLabError, match=r"budgets\.toml"):
            il.check_budgets(file)


def test_a_lock_tells_them(net, tmp_path):
    file = tmp_path / "budgets.toml"
    table = f"[budgets.a]\nmodel = '{net}'\ninput-size = '4x8x8'\nmacs = {{ growth = '0 %' }}\n"
    file.write_text(table + "arg = 'out_indices=[2]'\n")
    il.update_lock(file)
    assert 'arg = ["out_indices=[2]"]' in (tmp_path / "budgets.lock").read_text()
    assert il.check_budgets(file).passed
    file.write_text(table)
    (verdict,) = il.check_budgets(file).verdicts
    assert "arg" in verdict.findings[0].reason


def test_a_budget_of_a_test_has_them(net):
    limit = {"macs": {"max": 2 * ONE_LAYER, "min": 2 * ONE_LAYER}}
    assert il.check_budget(net, SHAPE, kwargs={"out_indices": [1]}, **limit).status == "passed"
    assert il.check_budget(net, SHAPE, args=((0, 1),), **limit).status == "passed"
    with pytest.raises(InceptionLabError, match="not a literal"):
        il.check_budget(net, SHAPE, kwargs={"mask": torch.ones(4, 1, 1)}, **limit)


class Reduction(Enum):
    """Members that would look alike by their class."""

    MEAN, SUM = "mean", "sum"


class Settings:
    """An object whose own text has its address in it."""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([5, 3], "[5, 3]"),
        ("mean", "'mean'"),
        ({"sizes": [(2, 2)], "scale": 2.0}, "{'sizes': [(2, 2)], 'scale': 2.0}"),
        (Settings(), "<Settings>"),
        ([Settings()], "<list>"),
        (torch.nn.functional.relu, "<function>"),
        (Reduction.SUM, "Reduction.SUM"),
        (list(range(100)), f"{str(list(range(100)))[:80]}…"),
    ],
    ids=["list", "text", "nested", "object", "objects", "function", "enumeration", "long"],
)
def test_the_text_of_an_argument_is_the_same_in_every_run(value, text):
    trace = il.trace(Receiver(), SHAPE, kwargs={"named": value})
    assert trace.context.arguments == (f"named={text}",)


def test_texts_for_readers_name_them(net, capsys, tmp_path):
    options = ["--input-size", "4x8x8", "--arg", "out_indices=[3]"]
    _, out, _ = typed(capsys, "summary", net, *options)
    assert out.startswith("argued:Net, input 1x4x8x8, out_indices=[3], eval\n")
    _, out, _ = typed(capsys, "time", net, *options, "--seconds", "0")
    assert "1x4x8x8, out_indices=[3], eval" in out
    _, out, _ = typed(capsys, "compare", net, "argued:Net()", *options)
    assert "out_indices=[3]" in out
    il.write_report(il.trace(Receiver(), SHAPE, args=([5, 3],)), tmp_path / "report")
    page = (tmp_path / "report" / "README.md").read_text()
    assert re.search(r"^Input 1x4x8x8, \\?\[5, 3\\?\], eval", page, re.MULTILINE)
