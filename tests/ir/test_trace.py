"""The trace as data: frozen, free of tensors, written and read without loss."""

import json
from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest
import torch
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import SCHEMA, Context, Trace
from inception_lab.models.registry import create_model
from inception_lab.tracing.tracer import trace


@pytest.fixture(scope="module")
def step():
    model = create_model("googlenet_bn", device="meta", aux_logits=True, num_classes=10)
    return trace(model, (2, 3, 191, 191), mode="train", name="it")


@pytest.fixture(scope="module")
def odd():
    """Floats, None, strings and dtypes among the arguments, an uncounted operation, two inputs."""

    class Odd(nn.Module):
        def forward(self, x, y):
            x = nn.functional.interpolate(x, scale_factor=0.7, mode="bilinear")
            return x.to(torch.float64).sum() + y.new_full((2,), float("inf")).cumsum(0)

    return trace(Odd(), [(1, 2, 9, 9), (3,)])


def leaves(part):
    if is_dataclass(part):
        part = [getattr(part, field.name) for field in fields(part)]
    if isinstance(part, dict):
        part = [*part.keys(), *part.values()]
    if isinstance(part, (tuple, list)):
        for item in part:
            yield from leaves(item)
    else:
        yield part


class TestData:
    @pytest.mark.parametrize("name", ["step", "odd"])
    def test_nothing_but_plain_data(self, name, request):
        kinds = {type(leaf) for leaf in leaves(request.getfixturevalue(name))}
        assert kinds <= {int, float, str, bool, type(None)}

    def test_ids_are_places(self, step):
        for part in (step.ops, step.values, step.storages, step.calls):
            assert [row.id for row in part] == list(range(len(part)))

    def test_every_reference_leads_somewhere(self, step):
        ops, values = range(len(step.ops)), range(len(step.values))
        for op in step.ops:
            assert set(op.reads) | set(op.writes) <= set(values)
            assert op.call in range(-1, len(step.calls))
        for value in step.values:
            assert value.storage in range(len(step.storages))
            assert value.op is None or value.op in ops
        for storage in step.storages:
            assert {storage.born, storage.dies} <= {None, *ops}
        for call in step.calls:
            assert call.parent is None or call.parent < call.id
            assert set(call.inputs) | set(call.outputs) <= set(values)

    def test_it_is_frozen(self, step):
        with pytest.raises(FrozenInstanceError):
            step.ops = ()
        with pytest.raises(FrozenInstanceError):
            step.context.model = "other"
        with pytest.raises(AttributeError):
            step.ops[0].macs = 0

    def test_arguments_by_name(self, step):
        conv = next(op for op in step.ops if op.name == "aten.convolution.default")
        assert (conv.arg("stride"), conv.arg("groups"), conv.arg("none", 5)) == ((2, 2), 1, 5)

    def test_every_operation_has_a_call(self, step):
        assert {op.call for op in step.ops} <= {call.id for call in step.calls}

    @pytest.mark.parametrize(("shapes", "size"), [((), 1), (((),), 1), (((7, 3),), 7), (((2, 3), (5, 3)), 2)])
    def test_batch_size(self, step, shapes, size):
        context = {field.name: getattr(step.context, field.name) for field in fields(Context)}
        assert Context(**context | {"input_shapes": shapes}).batch_size == size


class TestFile:
    @pytest.mark.parametrize("name", ["step", "odd"])
    def test_round_trip(self, name, request, tmp_path):
        original = request.getfixturevalue(name)
        original.save(tmp_path / "trace.json")
        copy = Trace.load(tmp_path / "trace.json")
        assert copy == original
        assert copy.ops == original.ops
        assert copy.context.complete is original.context.complete
        assert [type(x) for x in leaves(copy)] == [type(x) for x in leaves(original)]

    def test_it_says_its_schema(self, step):
        assert step.to_dict()["schema"] == SCHEMA
        assert json.loads(json.dumps(step.to_dict()))["context"]["input_shapes"] == [[2, 3, 191, 191]]

    def message_about(self, data, tmp_path):
        path = tmp_path / "trace.json"
        path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
        with pytest.raises(InceptionLabError) as caught:
            Trace.load(path)
        assert caught.value.exit_code == 2
        assert len(str(caught.value).splitlines()) == 1
        return str(caught.value)

    def test_a_file_of_another_schema(self, step, tmp_path):
        message = self.message_about({**step.to_dict(), "schema": 99}, tmp_path)
        assert "trace.json" in message
        assert "schema 99" in message
        assert str(SCHEMA) in message

    @pytest.mark.parametrize("keep", [0, 1, 100, 0.5, -1])
    def test_a_file_cut_short(self, step, tmp_path, keep):
        text = json.dumps(step.to_dict())
        length = int(len(text) * keep) if isinstance(keep, float) else keep
        assert "trace.json" in self.message_about(text[:length], tmp_path)

    @pytest.mark.parametrize("part", ["schema", "context", "ops", "values", "storages", "calls"])
    def test_a_part_missing(self, step, tmp_path, part):
        data = step.to_dict()
        del data[part]
        assert part in self.message_about(data, tmp_path)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda d: d["ops"]["columns"].reverse(),
            lambda d: d["ops"]["rows"][3].pop(),
            lambda d: d["calls"].update(rows=None),
            lambda d: d.update(values=[]),
            lambda d: d["context"].pop("loss"),
            lambda d: d.update(context=None),
        ],
    )
    def test_a_part_damaged(self, step, tmp_path, damage):
        data = json.loads(json.dumps(step.to_dict()))
        damage(data)
        assert "trace.json: not a trace: " in self.message_about(data, tmp_path)

    @pytest.mark.parametrize(
        ("part", "column", "entry", "line"),
        [
            ("ops", "call", 9999, "calls have no row 9999"),
            ("ops", "call", -2, "calls have no row -2"),
            ("ops", "reads", [-1], "values have no row -1"),
            ("ops", "writes", [0, 10**6], "values have no row 1000000"),
            ("values", "storage", 10**6, "storages have no row 1000000"),
            ("values", "storage", None, "storages have no row None"),
            ("values", "op", "3", "ops have no row '3'"),
            ("storages", "dies", 10**6, "ops have no row 1000000"),
            ("calls", "parent", 1.5, "calls have no row 1.5"),
            ("calls", "outputs", [10**6], "values have no row 1000000"),
            ("calls", "id", 7, "calls are not in order"),
            ("calls", "parent", 3, "call 3 stands before the call 3 around it"),
            ("calls", "parent", 5, "call 3 stands before the call 5 around it"),
            ("ops", "phase", "sideways", "phase of row 3 of ops is 'sideways'"),
            ("storages", "kind", ["saved"], "kind of row 3 of storages is ('saved',)"),
            ("values", "shape", [-3], "shape of row 3 of values is (-3,)"),
            ("values", "shape", [1, 2, 3, 4, 5], "value 3 has 5 axes and 4 strides"),
            ("values", "dtype", None, "dtype of row 3 of values is None"),
            ("storages", "bytes", 2**63, "bytes of row 3 of storages is 9223372036854775808"),
            ("storages", "bytes", True, "bytes of row 3 of storages is True"),
            ("calls", "params", float("nan"), "params of row 3 of calls is nan"),
            ("ops", "args", [["stride", {}]], "args of row 3 of ops is (('stride', {}),)"),
            ("ops", "args", [["padding", [0, 0]]], "its content is not what was written"),
            ("ops", "macs", "abc", "macs of row 3 of ops is 'abc'"),
        ],
    )
    def test_an_entry_damaged(self, step, tmp_path, part, column, entry, line):
        step.save(tmp_path / "trace.json")
        data = json.loads((tmp_path / "trace.json").read_text())
        data[part]["rows"][3][data[part]["columns"].index(column)] = entry
        message = f"{tmp_path / 'trace.json'}: damaged trace: {line}; trace the model again"
        assert self.message_about(data, tmp_path) == message

    @pytest.mark.parametrize(
        ("fact", "entry"),
        [("mode", "sideways"), ("uncounted_ops", [1]), ("uncounted_ops", {"aten.x": "3"}), ("notes", [5]),
         ("input_shapes", [1]), ("input_shapes", [["a"]]), ("loss", 3), ("torch", None)],
    )  # fmt: skip
    def test_a_fact_damaged(self, step, tmp_path, fact, entry):
        data = json.loads(json.dumps(step.to_dict()))
        data["context"][fact] = entry
        assert f"damaged trace: {fact} of the context is " in self.message_about(data, tmp_path)

    def test_a_file_in_another_order_and_one_without_a_digest_are_read(self, step, tmp_path):
        step.save(tmp_path / "trace.json")
        data = json.loads((tmp_path / "trace.json").read_text())
        (tmp_path / "pretty.json").write_text(json.dumps(data, indent=1, sort_keys=True))
        del data["digest"]
        (tmp_path / "older.json").write_text(json.dumps(data))
        assert Trace.load(tmp_path / "pretty.json") == Trace.load(tmp_path / "older.json") == step

    @pytest.mark.parametrize("depth", [500, 10**5])
    def test_lists_too_deep(self, step, tmp_path, depth):
        text = json.dumps({**step.to_dict(), "context": 5}).replace('"context": 5', "[" * depth)
        assert "trace.json: cannot be read as a trace" in self.message_about(text, tmp_path)

    @pytest.mark.parametrize("path", [None, 5, "a\0b"])
    def test_what_is_not_a_path(self, step, path):
        with pytest.raises(InceptionLabError, match="is not a path; pass text"):
            Trace.load(path)
        with pytest.raises(InceptionLabError, match="is not a path; pass text"):
            step.save(path)

    @pytest.mark.parametrize("content", ["[]", "5", "null", '"text"', "{}"])
    def test_json_that_is_not_a_trace(self, tmp_path, content):
        assert "trace.json" in self.message_about(content, tmp_path)

    def test_a_file_that_is_not_there_and_one_that_is_not_text(self, tmp_path):
        with pytest.raises(InceptionLabError, match=r"none\.json"):
            Trace.load(tmp_path / "none.json")
        (tmp_path / "image.json").write_bytes(b"\x89PNG\xff")
        with pytest.raises(InceptionLabError, match=r"image\.json"):
            Trace.load(tmp_path / "image.json")
