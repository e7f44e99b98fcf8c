"""MODEL from Python: built on meta tensors first, then as its author builds it."""

import sys

import pytest
import torch
from support.fingerprints import same

import inception_lab as il
from inception_lab.errors import MODEL_FAILED, USAGE, InceptionLabError
from inception_lab.loading.model import (
    apply_to_builder,
    apply_with_weights,
    apply_without_weights,
    only_shape,
    trace_model,
    with_model_facts,
)
from inception_lab.loading.options import InputSize, ModelRequest, model_request
from inception_lab.loading.user_code import user_traceback

SOURCE = '''
import torch
from torch import nn

built = []


class Net(nn.Module):
    default_cfg = {"input_size": (3, 9, 9)}

    def __init__(self, width=8):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)
        built.append(self.conv.weight.device.type)

    def forward(self, x):
        return self.conv(x).relu()


class Counting(Net):
    """Needs a number to be built, which meta tensors have not."""

    def __init__(self):
        super().__init__(int(torch.tensor(4)))


class Asking(Net):
    def forward(self, x):
        return self.conv(x) if x.sum() > -1 else x


class Refusing(Net):
    def forward(self, x):
        self.conv(x)
        raise ValueError("not today")
'''


@pytest.fixture(autouse=True)
def built(tmp_path, monkeypatch):
    """The devices on which models of the user's module were built, in order."""
    (tmp_path / "own_nets.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    import own_nets

    yield own_nets.built
    sys.modules.pop("own_nets")


def own_request(name, **fields):
    return ModelRequest(f"own_nets:{name}", **fields)


def test_an_entry_of_the_zoo_is_traced_as_it_is_from_its_name():
    request = ModelRequest("googlenet_bn", {"num_classes": 7}, (InputSize((3, 64, 48)),), batch_size=2)
    model = il.create_model("googlenet_bn", device="meta", num_classes=7)
    step = il.trace(model, (2, 3, 64, 48), mode="train", optimizer="adam", name=request.name)
    assert trace_model(request, mode="train", optimizer="adam") == step


@pytest.mark.parametrize(
    ("model", "factors"),
    [
        ("inception_resnet_v1", {0.17, 0.1, 0.2}),
        ("inception_resnet_v1(scale=1)", {1.0}),
        ("inception_resnet_v2", {0.17, 0.1, 0.2, 1.0}),
        ("inception_resnet_v2(scale=0.3)", {0.3}),
    ],
)
def test_residuals_are_multiplied_by_the_scale_that_was_typed(model, factors):
    trace = trace_model(model_request(model))
    assert {op.arg("other") for op in trace.ops if op.base_name == "mul"} == factors


def test_without_sizes_the_card_or_the_model_itself_tells():
    assert trace_model(ModelRequest("googlenet_cifar10")).context.input_shapes == ((1, 3, 32, 32),)
    assert trace_model(own_request("Net", batch_size=3)).context.input_shapes == ((3, 3, 9, 9),)
    with pytest.raises(InceptionLabError, match="input_sizes=") as refusal:
        trace_model(ModelRequest("torch.nn:Linear", {"in_features": 3, "out_features": 2}))
    assert refusal.value.exit_code == USAGE


def test_inputs_of_another_dtype_are_tensors():
    request = ModelRequest("torch.nn:Embedding", {"num_embeddings": 9, "embedding_dim": 4},
                         (InputSize((5,), "int64"),), batch_size=2)  # fmt: skip
    (tokens,) = apply_without_weights(request, lambda _, inputs: inputs)
    assert (tokens.shape, tokens.dtype, tokens.device.type) == ((2, 5), torch.int64, "meta")
    assert trace_model(request).values[-1].shape == (2, 5, 4)


@pytest.mark.parametrize(
    ("name", "devices", "ran_on"),
    [("Net", ["meta"], "meta"), ("Counting", ["cpu"], "meta"), ("Asking", ["meta", "cpu"], "cpu")],
)
def test_a_model_is_built_on_meta_first_and_again_where_that_fails(built, name, devices, ran_on):
    trace = trace_model(own_request(name))
    assert built == devices
    assert trace.context.device == ran_on


@pytest.mark.parametrize(("side", "devices"), [(9, ["meta", "cpu"]), (20_000, ["meta"])])
def test_a_model_that_raises_is_built_again_only_where_a_real_run_would_tell_soon(built, side, devices):
    with pytest.raises(InceptionLabError, match="ValueError: not today") as failure:
        trace_model(own_request("Refusing", input_sizes=(InputSize((3, side, side)),)), meta_only=True)
    assert built == devices
    assert failure.value.exit_code == MODEL_FAILED
    assert "not today" in user_traceback(failure.value.__cause__)
    assert "inception_lab/" not in user_traceback(failure.value.__cause__).replace("\\", "/")


def test_a_task_that_fails_on_meta_is_done_again_with_weights(built):
    def value(model, inputs):
        return model(torch.zeros(inputs[0], device=model.conv.weight.device)).sum().item()

    assert apply_without_weights(own_request("Net"), value) > 0
    assert built == ["meta", "cpu"]


def test_an_error_of_usage_is_raised_at_once(built):
    def refuse(*_):
        raise InceptionLabError("not so", exit_code=USAGE)

    with pytest.raises(InceptionLabError, match="not so"):
        apply_without_weights(own_request("Net"), refuse)
    assert built == ["meta"]


@pytest.mark.parametrize("spec", ["nin", "own_nets:Net"])
def test_weights_of_a_file_are_loaded(spec, tmp_path):
    request = ModelRequest(spec)
    built = apply_with_weights(request, lambda model, _: model.state_dict())
    saved = {name: value + 1 for name, value in built.items()}
    torch.save(saved, tmp_path / "weights.pt")
    loaded = apply_with_weights(request, lambda model, _: model.state_dict(), tmp_path / "weights.pt")
    other = apply_with_weights(request, lambda model, _: model.state_dict())
    assert same(list(loaded.values()), list(saved.values()))
    assert not same(list(other.values()), list(saved.values()))


def test_weights_that_do_not_fit_are_refused(tmp_path):
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "weights.pt")
    with pytest.raises(InceptionLabError, match="the weights do not fit: of another shape: conv") as refusal:
        apply_with_weights(own_request("Net"), lambda model, _: model, tmp_path / "weights.pt")
    assert refusal.value.exit_code == USAGE


def test_the_only_shape():
    assert only_shape([(1, 3, 8, 8)]) == (1, 3, 8, 8)
    assert only_shape([(1, 3), (1, 4)]) is None
    assert only_shape([(1, 3), torch.zeros(1)]) is None
    assert only_shape([torch.zeros(1, 3)]) is None
    assert only_shape([]) is None


def test_a_record_says_what_no_trace_can_tell():
    request = ModelRequest("inception_v2", {"num_classes": 10, "dropout": float("nan")})
    record = il.Record({"model": "inception_v2", "note": "ran for real"}, {}, (), (), ())
    context = with_model_facts(record, request).context
    assert context["kwargs"] == {"num_classes": 10, "dropout": "nan"}
    assert context["note"].startswith("ran for real; ")
    assert context["reconstructed"] is True
    assert with_model_facts(record, ModelRequest("googlenet")) is record


def test_a_builder_builds_anew_each_time_as_the_author_does(tmp_path, monkeypatch):
    (tmp_path / "drawn.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def net(width=2):\n    torch.set_default_dtype(torch.float64)\n    return nn.Linear(3, width)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "drawn", raising=False)
    request = model_request("drawn:net(width=5)", {}, (InputSize((3,)),), 4)

    def weights(build, inputs):
        torch.manual_seed(1)
        first, second = build(), build()
        torch.manual_seed(1)
        assert torch.equal(build().weight, first.weight)
        assert not torch.equal(first.weight, second.weight)
        assert first.weight.dtype is torch.float64
        return first.weight.shape, [tuple(shape) for shape in inputs]

    assert apply_to_builder(request, weights) == ((5, 3), [(4, 3)])
    assert torch.get_default_dtype() is torch.float32
    with pytest.raises(InceptionLabError, match="no_such") as refused:
        apply_to_builder(model_request("drawn:no_such"), weights)
    assert refused.value.exit_code == USAGE
