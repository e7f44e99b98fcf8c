"""The cost table against the reference layer by layer, against fvcore, and against itself."""

import csv
import logging
from collections import Counter
from pathlib import Path

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from support.zoo import heads, image, small_image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import inception_lab as il
from inception_lab.analyzers.summary import ANALYZERS
from inception_lab.ir.structure import layer_calls

REFERENCE = Path(__file__).parents[1] / "reference" / "layers" / "googlenet.csv"
IMAGE = (1, 3, 224, 224)
WORK = ["macs", "flops", "other_flops", "activation_bytes"]


def traced(name, shape=IMAGE, mode="eval", **options):
    return il.trace(il.create_model(name, device="meta", **options), shape, mode=mode, name=name)


def by_layer(trace):
    return il.layer_costs(trace).set_index("layer")


def reference_rows(kinds):
    with REFERENCE.open() as file:
        return [row for row in csv.DictReader(file) if row["layer"] in kinds]


def sides(shape):
    return "x".join(map(str, shape[2:])) or "1x1"


def test_every_product_of_the_paper_equals_the_reference_in_order():
    trace = traced("googlenet", mode="train", aux_logits=True)
    rows = il.layer_costs(trace)
    products = rows[rows["macs"] > 0].reset_index()
    weights = {s.name: s.bytes // 4 for s in trace.storages if s.kind == "parameter"}
    layers = [
        (r.input_shape[1], sides(r.output_shape), r.output_shape[1], weights[f"{r.layer}.weight"], r.macs)
        for r in products.itertuples()
    ]
    reference = [
        (_in_features(row), row["out_size"], int(row["out_channels"]), int(row["weights"]), int(row["macs"]))
        for row in reference_rows({"conv", "linear"})
    ]
    assert len(reference) == 64
    assert layers == reference


def _in_features(row):
    """The reference gives a linear layer's input before flattening."""
    height, width = map(int, row["in_size"].split("x"))
    return int(row["in_channels"]) * (height * width if row["layer"] == "linear" else 1)


def test_every_window_equals_the_reference_in_order():
    trace = traced("googlenet", mode="train", aux_logits=True)
    ops = [op for op in trace.ops if op.phase == "forward" and op.base_name in WINDOWS]
    windows = [
        (sides(trace.values[op.reads[0]].shape), sides(trace.values[op.writes[0]].shape), _window(trace, op))
        for op in ops
    ]
    reference = [
        (row["in_size"], row["out_size"], (row["kernel"], row["stride"], row["padding"]))
        for row in reference_rows({"conv", "maxpool", "avgpool"})
        if row["kernel"] != "7x7" or row["layer"] == "conv"  # the last pool averages whatever grid is left
    ]
    assert len(reference) == 59 + 13 + 2
    assert windows == reference


WINDOWS = {"convolution", "max_pool2d_with_indices", "avg_pool2d"}


def _window(trace, op):
    kernel = op.arg("kernel_size") or trace.values[op.reads[1]].shape[2:]
    return tuple("x".join(map(str, size)) for size in (kernel, op.arg("stride"), op.arg("padding", (0, 0))))


@pytest.mark.parametrize("name", il.list_models())
def test_products_equal_fvcore_layer_by_layer_and_torchs_counter_in_sum(name):
    """Real weights and a real forward: nothing of these two counters runs on our stand-ins."""
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    images = torch.zeros(small_image(name))
    model = il.create_model(name, num_classes=10, init_weights=False).eval()
    analysis = FlopCountAnalysis(model, images).unsupported_ops_warnings(False)
    theirs = {
        path: sum(count[kind] for kind in ("conv", "linear", "addmm", "matmul"))
        for path, count in analysis.by_module_and_operator().items()
    }
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    ours = il.layer_costs(il.trace(model, tuple(images.shape))).set_index("layer")["macs"]
    products = ours[ours > 0]
    assert {path: theirs[path] for path in products.index} == products.to_dict()
    assert ours.sum() == theirs[""] == counter.get_total_flops() / 2


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", il.list_models())
@pytest.mark.parametrize("analyzer", ANALYZERS, ids=lambda a: a.name)
def test_contract_of_every_analyzer_over_every_model(analyzer, name, mode):
    model = il.create_model(name, device="meta", **heads(name))
    state = {key: id(value) for key, value in model.state_dict(keep_vars=True).items()}
    trace = il.trace(model, image(name, 2), mode=mode)
    rows = analyzer.layers(trace)
    assert list(rows.columns[:2]) == ["layer", "call"]
    assert len(rows) == len(layer_calls(trace))
    assert not rows.duplicated(["layer", "call"]).any()
    assert not rows.select_dtypes("number").isna().any(axis=None)
    totals = analyzer.totals(trace, rows)
    for column in set(totals) & set(rows.columns):
        assert totals[column] == rows[column].sum()
    assert {key: id(value) for key, value in model.state_dict(keep_vars=True).items()} == state


@pytest.mark.parametrize("name", il.list_models())
def test_rows_partition_operations_and_parameters(name):
    model = il.create_model(name, device="meta", **heads(name))
    for mode in ("eval", "train"):
        trace = il.trace(model, image(name, 2), mode=mode)
        rows = il.layer_costs(trace)
        forward = [op for op in trace.ops if op.phase == "forward"]
        assert rows["macs"].sum() == sum(op.macs for op in forward)
        assert rows["other_flops"].sum() == sum(op.other_flops for op in forward)
        assert rows["params"].sum() == sum(p.numel() for p in model.parameters())
        assert (rows["flops"] == 2 * rows["macs"]).all()
        if mode == "train":
            assert rows["training_macs"].sum() == sum(op.macs for op in trace.ops)
        new_bytes = sum(
            s.bytes for s in trace.storages if s.born is not None and trace.ops[s.born].phase == "forward"
        )
        assert rows["activation_bytes"].sum() == new_bytes


@pytest.mark.parametrize("name", il.list_models())
def test_cost_scales_with_the_batch_and_parameters_do_not(name):
    one, five = (il.layer_costs(traced(name, small_image(name, n))) for n in (1, 5))
    assert (five["params"] == one["params"]).all()
    for column in ("macs", "other_flops"):
        assert (five[column] == 5 * one[column]).all()


def test_modules_and_branches_add_up_to_the_layers():
    trace = traced("googlenet_v3", mode="train", aux_logits=True)
    layers = il.layer_costs(trace)
    for table in (il.module_costs(trace), il.module_costs(trace, 3), il.branch_costs(trace)):
        for column in ("params", *WORK, "backward_macs", "training_macs"):
            assert table[column].sum() == layers[column].sum()
    assert not il.module_costs(trace).duplicated("module").any()


def test_modules_of_table_1_cost_what_arithmetic_says():
    modules = il.module_costs(traced("googlenet")).set_index("module")
    weights = 192 * 64 + 192 * 96 + 96 * 128 * 9 + 192 * 16 + 16 * 32 * 25 + 192 * 32
    assert modules.loc["inception3a", "macs"] == 28 * 28 * weights
    assert modules.loc["inception3a", "params"] == weights + 64 + 96 + 128 + 16 + 32 + 32


def test_depth_below_one_is_refused():
    with pytest.raises(ValueError, match="depth 0"):
        il.module_costs(traced("googlenet", (1, 3, 64, 64)), 0)


def test_heads_that_do_not_run_are_rows_without_work():
    rows = by_layer(traced("googlenet", aux_logits=True))
    heads = rows[rows.index.str.startswith("aux")]
    assert not heads["executed"].any()
    assert (heads[WORK] == 0).all(axis=None)
    assert heads["params"].sum() == 3_188_840 + 3_190_888
    assert rows["params"].sum() == 13_378_280
    assert rows["macs"].sum() == 1_582_671_872


def test_a_module_called_twice_has_two_rows_and_its_parameters_once():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x):
            return self.conv(self.conv(x))

    rows = il.layer_costs(il.trace(Twice(), (1, 3, 8, 8)))
    assert rows["call"].tolist() == [0, 1]
    assert rows["params"].tolist() == [84, 0]
    assert rows["macs"].tolist() == [64 * 81, 64 * 81]


def test_training_of_a_depthwise_net_costs_three_forwards():
    """Rumelhart et al.: input gradient and weight gradient cost a forward each; none for the images."""
    width = 64
    blocks = [
        layer
        for _ in range(6)
        for layer in (
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            nn.Conv2d(width, width, 1),
            nn.ReLU(),
        )
    ]
    net = nn.Sequential(
        nn.Conv2d(3, width, 3), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)
    )
    rows = il.layer_costs(il.trace(net, (2, 3, 32, 32), mode="train"))
    rest = rows.iloc[1:]
    assert rows["macs"].iloc[0] == 2 * 30 * 30 * width * 27
    assert rows["training_macs"].iloc[0] == 2 * rows["macs"].iloc[0]
    assert rest["training_macs"].sum() == pytest.approx(3 * rest["macs"].sum(), rel=0.01)
    assert (rest["training_macs"] == 3 * rest["macs"]).all()


def test_macs_of_a_loss_are_training_macs_alone():
    trace = il.trace(nn.Linear(10, 20), (4, 10), mode="train", loss=lambda out: (out @ out.t()).sum())
    rows = il.layer_costs(trace)
    forward, loss = 4 * 10 * 20, 4 * 20 * 4
    assert rows["macs"].sum() == forward
    assert rows["backward_macs"].sum() == forward + 2 * loss
    assert rows["training_macs"].sum() == 2 * forward + 3 * loss


def test_a_net_without_rows_has_totals_of_zero():
    totals = il.summarise(il.trace(nn.Identity(), (1, 3))).totals
    assert {name: total for name, total in totals.items() if total} == {"peak_bytes": 4 * 3}  # the input
    assert set(totals) == {"params", "trainable_params", *WORK, "weighted_layers", "peak_bytes"}


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_trainable_parameters_are_those_that_require_a_gradient(mode):
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3), nn.Linear(8, 8), nn.Linear(8, 8)
    )
    net[0].requires_grad_(False)
    net[1].bias.requires_grad_(False)
    net[4].weight = net[3].weight  # counts at its first owner alone
    rows = il.layer_costs(il.trace(net, (2, 3, 12, 12), mode=mode)).set_index("layer")
    rows = rows[rows["params"] > 0]
    assert rows["trainable_params"].to_dict() == {"0": 0, "1": 8, "2": 8 * 8 * 9 + 8, "3": 64 + 8, "4": 8}
    assert rows["params"].to_dict() == {"0": 8 * 27 + 8, "1": 16, "2": 8 * 8 * 9 + 8, "3": 64 + 8, "4": 8}


def test_trainable_parameters_are_in_records_and_budgets():
    net = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)).requires_grad_(False)
    net[1].requires_grad_(True)
    record = il.summarise(il.trace(net, (1, 4)))
    assert record.totals["params"] == 5 * 8 + 9 * 2
    assert record.totals["trainable_params"] == 9 * 2
    assert [row["trainable_params"] for row in record.layers] == [0, 18]
    il.check_budget(net, (1, 4), trainable_params=18)
    with pytest.raises(AssertionError, match="trainable"):
        il.check_budget(net, (1, 4), trainable_params=17)


def test_activation_bytes_by_hand():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten())
    rows = il.layer_costs(il.trace(net, (2, 3, 10, 10)))
    by_type = dict(zip(rows["type"], rows["activation_bytes"], strict=True))
    conv, pool = 2 * 8 * 8 * 8, 2 * 8 * 4 * 4
    assert by_type == {"Conv2d": 4 * conv, "ReLU": 0, "MaxPool2d": (4 + 8) * pool, "Flatten": 0}


def test_branches_are_found_by_dataflow_not_by_name():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Conv2d(8, 4, 1)
            self.two_a = nn.Conv2d(8, 4, 1)
            self.two_b = nn.Conv2d(4, 4, 3, padding=1)
            self.pool = nn.MaxPool2d(3, 1, 1)
            self.after = nn.Conv2d(16, 8, 1)

        def forward(self, x):
            x = torch.relu(x)
            pooled = self.pool(x)
            two = self.two_b(torch.relu(self.two_a(x)))
            return self.after(torch.cat([self.one(x), two, pooled], 1))

    trace = il.trace(nn.Sequential(nn.Conv2d(3, 8, 1), Mixed()), (1, 3, 8, 8))
    params = il.branch_costs(trace).set_index(["module", "branch"])["params"].to_dict()
    assert params == {
        ("0", ""): 32,
        ("1", ""): 16 * 8 + 8,
        ("1", "pool"): 0,
        ("1", "two_a"): 36 + 4 * 4 * 9 + 4,
        ("1", "one"): 36,
    }


def test_each_branch_of_the_naive_and_the_reduced_net_is_found():
    for name in ("googlenet", "googlenet_naive", "googlenet_3x3"):
        table = il.branch_costs(traced(name))
        branch_counts = Counter(table[table["branch"] != ""]["module"])
        assert branch_counts == {
            f"inception{row}": 4 for row in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
        }
