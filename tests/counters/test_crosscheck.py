"""Crosscheck as a whole: over the zoo, when a counter fails, its JSON and its manners."""

import json

import pytest
import torch
import torch.nn.functional as F
from support.counting import (
    IMAGE,
    NORMALISATION,
    POOLING,
    PROJECTIONS,
    SCORES,
    ByVector,
    Fourier,
    Net,
    flop_counter_totals,
    fvcore_total,
    of,
)  # fmt: skip
from support.typed import typed
from support.zoo import heads, small_image
from torch import nn

import inception_lab as il
from inception_lab.counters import comparison, fvcore_counts, torch_counts
from inception_lab.counters.counts import CannotRunError
from inception_lab.formulas import registry as formulas
from inception_lab.formulas.registry import Cost
from inception_lab.tracing.dispatch import CACHING_EXECUTOR

aten = torch.ops.aten


def test_the_encoder_shows_its_products_to_all():
    """Self-attention and the two layers after it, for 2 sequences of 7 tokens of width 8."""
    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    result = il.crosscheck(net, (2, 7, 8), mode="eval")
    rows = result.frame().set_index("layer")
    assert rows.loc["self_attn", "macs"] == PROJECTIONS + 2 * SCORES
    assert rows.loc["self_attn", "torch_macs"] == PROJECTIONS + 2 * SCORES
    assert rows.loc["self_attn", "fvcore_macs"] == PROJECTIONS
    assert rows.loc["linear1", "fvcore_macs"] == rows.loc["linear2", "macs"] == 14 * 8 * 16
    assert result.verdict == "explained"
    assert il.crosscheck(net, (2, 7, 8), mode="train").verdict == "explained"
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("name", il.list_models())
def test_nothing_of_the_zoo_is_unexplained_in_eval_mode(name):
    model = il.create_model(name, device="meta", **heads(name))
    result = il.crosscheck(model, small_image(name))
    assert result.verdict in ("agree", "explained")
    assert result.record.totals["macs"] == result.record.totals["torch_macs"]
    expected = {NORMALISATION} if any(isinstance(m, nn.BatchNorm2d) for m in model.modules()) else set()
    expected |= {POOLING} if any(isinstance(m, nn.AdaptiveAvgPool2d) for m in model.children()) else set()
    assert {difference["why"] for difference in result.record.context["differences"]} == expected


@pytest.mark.parametrize(
    "name",
    ["googlenet", "googlenet_bn", "inception_v3", "xception", "alexnet", "googlenet_notebook"],
)
def test_nothing_of_the_zoo_is_unexplained_in_train_mode(name):
    model, shape = il.create_model(name, device="meta"), small_image(name, 2)
    result = il.crosscheck(model, shape, mode="train")
    assert result.verdict in ("agree", "explained")
    totals = result.record.totals
    torch_totals = flop_counter_totals(model.train(), [torch.zeros(shape, device="meta")], training=True)
    assert (totals["torch_macs"], totals["torch_backward_macs"]) == torch_totals


def test_auxiliary_heads_are_counted_by_all_in_train_mode():
    model = il.create_model("googlenet", device="meta", aux_logits=True)
    result = il.crosscheck(model, (2, 3, 224, 224), mode="train")
    rows = result.frame().set_index("layer")
    head = rows[rows.index.str.startswith("aux")]
    assert (head["macs"] == head["fvcore_macs"]).all()
    assert head["macs"].sum() > 0
    assert result.unexplained == ()


def test_dictionaries_in_and_out():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = nn.Linear(4, 5), nn.Linear(3, 5)

        def forward(self, a, parts):
            return {"sum": self.left(a) + self.right(parts["b"]), "none": None}

    result = il.crosscheck(Pair(), {"a": (2, 4), "parts": {"b": (2, 3)}}, mode="train")
    assert result.verdict == "agree"
    assert result.record.totals["fvcore_macs"] == 2 * 5 * (4 + 3)


def test_a_counter_that_cannot_run_the_model_has_no_column():
    """fvcore's matmul takes no vector on the right."""
    net = Net(torch.matmul)
    with pytest.raises(IndexError):
        fvcore_total(net, of((3, 4), (4,)))
    result = il.crosscheck(net, of((3, 4), (4,)))
    assert result.record.context["not_run"] == {"fvcore": "IndexError: list index out of range"}
    assert result.record.context["checked_by"] == ["FlopCounterMode"]
    assert "fvcore_macs" not in result.frame()
    assert "fvcore_macs" not in result.record.totals
    assert result.verdict == "explained"


def test_a_model_that_no_counter_can_run_is_an_error(monkeypatch):
    def cannot(*_):
        raise CannotRunError.because(RuntimeError("no\nmore"))

    monkeypatch.setattr(comparison, "COUNTERS", {"one": cannot, "other": cannot})
    with pytest.raises(il.InceptionLabError, match="one could not run it: RuntimeError: no; other") as raised:
        il.crosscheck(nn.Linear(3, 4), (2, 3))
    assert raised.value.exit_code == 1


@pytest.mark.parametrize(
    ("model", "verdict", "error"),
    [
        (ByVector, "explained; checked by FlopCounterMode alone", "fvcore could not run it: IndexError"),
        (Fourier, "agree; partial, without aten._fft_r2c.default", "not counted: aten._fft_r2c.default"),
    ],
)
def test_the_verdict_says_what_it_does_not_rest_on(capsys, model, verdict, error):
    options = ("crosscheck", f"support.counting:{model.__name__}", "--input-size", "4")
    code, out, _ = typed(capsys, *options)
    assert (code, out.splitlines()[-1]) == (0, f"Verdict              {verdict}")
    code, out, err = typed(capsys, *options, "--strict")
    assert (code, out.splitlines()[-1]) == (1, f"Verdict              {verdict}")
    assert error in err


@pytest.mark.parametrize(
    ("counter", "field", "operation"),
    [(fvcore_counts, "products", "batch_norm"), (torch_counts, "surplus", "native_batch_norm")],
)
def test_a_mistake_in_a_rule_is_not_a_failure_of_the_counter(monkeypatch, counter, field, operation):
    def mistaken(*_):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(counter, "RULES", {operation: counter.Rule("", **{field: mistaken})})
    with pytest.raises(ZeroDivisionError, match="ours"):
        il.crosscheck(nn.BatchNorm2d(4), IMAGE, mode="train")


@pytest.mark.parametrize(
    ("meta_only", "ran_on", "checked_by"),
    [(False, {"meta", "cpu"}, ["fvcore", "FlopCounterMode"]), (True, {"meta"}, ["FlopCounterMode"])],
)
def test_no_counter_runs_a_model_for_real_where_only_meta_is_allowed(meta_only, ran_on, checked_by):
    """Of a model that jit's tracer cannot follow on meta tensors."""
    devices = set()

    def forward(layer, x):
        devices.add(x.device.type)
        if x.is_meta:
            refuse_jit()
        return layer(x)

    net = Net(forward, nn.Linear(4, 5))
    result = il.crosscheck(net, (3, 4), meta_only=meta_only)
    assert result.verdict == "agree"
    assert result.record.totals["torch_macs"] == 60
    assert (devices, result.record.context["checked_by"]) == (ran_on, checked_by)


class Drawing(nn.Module):
    """Goes on or not by the numbers that it draws after its input and its dropout were drawn."""

    def __init__(self, least):
        super().__init__()
        self.one, self.two, self.least = nn.Linear(4, 5), nn.Linear(5, 6), least

    def forward(self, x):
        x = F.dropout(self.one(x), training=self.training)
        return self.two(x) if torch.rand(4).sum().item() > self.least else x


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_model_that_draws_numbers_draws_the_same_for_all(mode):
    results = [il.crosscheck(Drawing(least / 4), (2, 4), mode=mode) for least in range(0, 17, 2)]
    assert {result.verdict for result in results} == {"agree"}
    assert all(result.record.context["checked_by"] == ["fvcore", "FlopCounterMode"] for result in results)
    assert {result.record.totals["fvcore_macs"] for result in results} == {2 * 20, 2 * 20 + 2 * 30}


def test_outputs_that_come_one_by_one():
    net = Net(lambda layer, x: (layer(part) for part in x), nn.Linear(4, 5))
    result = il.crosscheck(net, (3, 2, 4))
    assert result.verdict == "agree"
    assert result.record.totals["fvcore_macs"] == 3 * 2 * 4 * 5


def test_a_model_that_depends_on_data_is_run_for_real():
    class Choosing(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return self.conv(x) if x.sum() > -1 else x

    result = il.crosscheck(Choosing(), (1, 3, 8, 8), mode="train")
    assert result.verdict == "agree"
    assert result.record.totals["fvcore_macs"] == 36 * 4 * 27


class Custom(torch.autograd.Function):
    @staticmethod
    def forward(context, x, weight):
        context.save_for_backward(x, weight)
        return x @ weight

    @staticmethod
    def backward(context, gradient):
        x, weight = context.saved_tensors
        return gradient @ weight.t(), x.t() @ gradient


def test_what_no_rule_explains_is_unexplained():
    """The tracer does not see into a function with a backward of its own."""
    result = il.crosscheck(Net(Custom.apply), of((2, 3), (3, 4)))
    (row,) = result.unexplained
    assert (row["macs"], row["torch_macs"], row["fvcore_macs"]) == (24, 24, 0)
    assert row["explanation"] == "fvcore_macs differs by -24, of which rules explain +0"
    assert result.verdict == "unexplained"


@pytest.fixture
def count_twice(monkeypatch):
    """Makes one formula count twice; nothing of it stays in the cache."""
    monkeypatch.setattr(CACHING_EXECUTOR, "cache", {})

    def double(operation):
        right_formula = formulas.FORMULAS[operation]

        def formula(args, out):
            cost = right_formula(args, out)
            return Cost(2 * cost.macs, cost.other_flops)

        monkeypatch.setattr(formulas, "FORMULAS", {**formulas.FORMULAS, operation: formula})

    return double


def test_a_wrong_count_is_reported_even_where_a_rule_applies(count_twice):
    count_twice(aten.convolution_backward)
    result = il.crosscheck(nn.Conv2d(4, 4, 3, groups=4), (2, 4, 8, 8), mode="train")
    forward = 2 * 36 * 4 * 9
    (row,) = result.unexplained
    assert (row["backward_macs"], row["torch_backward_macs"]) == (2 * forward, 4 * forward)
    assert row["explanation"] == (
        f"torch_backward_macs differs by {2 * forward:+,}, of which rules explain {3 * forward:+,}"
    )


def test_a_wrong_count_is_reported_even_where_nothing_depends_on_it(count_twice):
    """fvcore leaves out 2 x 4 x 5; ours says twice that."""
    count_twice(aten.addmm)
    net = Net(lambda a, b, x: (a(x), b(x[..., None]))[1], nn.Linear(4, 5), nn.Conv1d(4, 6, 1))
    (row,) = il.crosscheck(net, (2, 4)).unexplained
    assert "fvcore_macs differs by -80, of which rules explain -40" in row["explanation"]


def test_a_wrong_count_ends_the_command_with_1(count_twice, capsys):
    count_twice(aten.convolution)
    code, out, err = typed(capsys, "crosscheck", "googlenet", "--input-size", "3x64x64", "--format", "json")
    assert code == 1
    assert err.startswith("inception-lab: googlenet: unexplained differences in conv1.conv, ")
    data = json.loads(out)
    first = next(row for row in data["layers"] if row["layer"] == "conv1.conv")
    assert data["verdict"] == first["verdict"] == "unexplained"
    assert first["macs"] == 2 * first["fvcore_macs"] == 2 * first["torch_macs"]


def test_json_has_the_context_and_totals_of_the_summary(capsys):
    options = ("googlenet_bn", "--input-size", "3x64x64", "--mode", "train", "--format", "json")
    code, out, err = typed(capsys, "crosscheck", *options)
    assert (code, err) == (0, "")
    data, summary = json.loads(out), json.loads(typed(capsys, "summary", *options)[1])
    assert {key: data[key] for key in summary if key not in ("totals", "layers")} == {
        key: summary[key] for key in summary if key not in ("totals", "layers")
    }
    assert data["totals"].items() >= summary["totals"].items()
    assert set(data["totals"]) - set(summary["totals"]) == {
        "fvcore_macs", "torch_macs", "torch_backward_macs",
    }  # fmt: skip
    assert list(data["layers"][0]) == [
        "layer", "type", "macs", "fvcore_macs", "torch_macs", "backward_macs", "torch_backward_macs",
        "verdict", "explanation",
    ]  # fmt: skip
    for name in ("macs", "fvcore_macs", "torch_macs", "backward_macs", "torch_backward_macs"):
        assert sum(row[name] for row in data["layers"]) == data["totals"][name]
    assert il.Record.from_dict(data).to_dict() == data


@pytest.mark.parametrize("form", ["table", "markdown", "csv"])
def test_tables_show_rows_and_what_explains_them(capsys, form):
    code, out, _ = typed(capsys, "crosscheck", "googlenet_bn", "--input-size", "3x64x64", "--format", form)
    assert code == 0
    assert "inception3a.branch1.bn" in out
    assert NORMALISATION in out
    assert ("Verdict              explained" in out) == (form != "csv")


def state_of(model):
    """Everything of a model that a caller could see changed."""
    tensors = {
        name: (id(tensor), tensor.clone(), tensor.grad)
        for name, tensor in model.state_dict(keep_vars=True).items()
    }
    return tensors, [
        (module.training, dict(module._forward_hooks), dict(module._forward_pre_hooks), sorted(vars(module)))
        for module in model.modules()
    ]


def assert_left_as_found(model, before):
    (tensors, modules), (before_tensors, before_modules) = state_of(model), before
    assert modules == before_modules
    for name, (identity, value, gradient) in tensors.items():
        assert (identity, gradient) == (before_tensors[name][0], before_tensors[name][2])
        assert torch.equal(value, before_tensors[name][1])


def refuse_jit(*_):
    if torch._C._get_tracing_state() is not None:
        raise RuntimeError("not under jit")


@pytest.mark.parametrize("hooked", [True, False])
def test_the_model_is_left_as_found(hooked):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten()).train()
    model[1].eval()
    if hooked:
        model[2].register_forward_hook(refuse_jit)
    before, random_state = state_of(model), torch.get_rng_state()
    for mode in ("eval", "train"):
        result = il.crosscheck(model, (2, 3, 8, 8), mode=mode)
        assert result.record.context.get("not_run", {}) == (
            {"fvcore": "RuntimeError: not under jit"} if hooked else {}
        )
        assert_left_as_found(model, before)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_hooks_of_fvcore_are_taken_out_where_the_tracer_fails():
    net = Net(lambda conv, x: (conv(x), refuse_jit())[0], nn.Conv2d(3, 4, 3))
    il.crosscheck(net, (1, 3, 8, 8))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_a_forward_under_autocast():
    class Casting(nn.Linear):
        def forward(self, x):
            with torch.autocast("cpu", torch.bfloat16):
                return self.inner(x)

    model = Casting(4, 4)
    model.inner = nn.Linear(4, 4)
    result = il.crosscheck(model, (2, 4))
    assert (result.trace.context.device, result.verdict) == ("fake", "agree")
    assert result.record.totals["macs"] == 2 * 16
