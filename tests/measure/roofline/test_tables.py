"""Rooflines and critical paths of nets whose figures are worked out by hand, from times made by hand."""

import dataclasses
import math

import pytest
import torch
from support.hostile.table import HOSTILE
from support.made_times import CEILINGS, changed, times_of
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.ir.structure import layer_name
from inception_lab.metrics import METRICS

SHAPE = (2, 3, 8, 8)


class Block(nn.Module):
    """Two branches and a concatenation."""

    def __init__(self):
        super().__init__()
        self.left = nn.Conv2d(4, 2, 1)
        self.right = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(4, 6, 1))

    def forward(self, x):
        return torch.cat([self.left(x), self.right(x)], 1)


class Net(nn.Module):
    """A stem, two branches, a mean, and a head."""

    def __init__(self):
        super().__init__()
        self.stem, self.block = nn.Conv2d(3, 4, 3, padding=1), Block()
        self.drop, self.head = nn.Dropout(), nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.drop(self.block(self.stem(x)).mean((2, 3))))


MS = {"stem": 0.05, "block": 1, "block.left": 5, "block.right.0": 3, "block.right.1": 4, "(model)": 0.5}
MODEL_MS = sum(MS.values())


def traced(model=None, **options):
    return il.trace(Net() if model is None else model, SHAPE, **options)


def layers(trace, times, ceilings=CEILINGS):
    return il.roofline(times, trace, ceilings).set_index(["layer", "call"])


def test_a_convolution_by_hand():
    """2 x 64 outputs of 4 channels, 27 products each and a bias: 1536 + 432 + 16 bytes in, 2048 out."""
    trace = traced()
    row = layers(trace, times_of(trace, MS)).loc["stem", 0]
    macs, other = 2 * 64 * 4 * 27, 2 * 64 * 4
    moved = 4 * (2 * 3 * 64 + 4 * 27 + 4 + 2 * 4 * 64)
    assert (row["macs"], row["other_flops"], row["launches"]) == (macs, other, 1)
    assert (row["compulsory_bytes"], row["unfused_bytes"]) == (moved, moved)
    assert row["intensity"] == pytest.approx((2 * macs + other) / moved)
    assert row["gflops_per_s"] == pytest.approx((2 * macs + other) / 0.05e-3 / 1e9)
    # 6.98 FLOPs a byte x 100 MB/s are below 1 GFLOP/s
    assert row["attainable_gflops_per_s"] == pytest.approx((2 * macs + other) / moved * 0.1)
    assert row["roof_share"] == pytest.approx(100 * (moved / 1e8) / 0.05e-3)
    assert (row["bound"], row["note"]) == ("memory", "")


@pytest.mark.parametrize(
    ("changes", "ms", "bound", "share"),
    [
        ({"flops_per_s": 1e8}, 0.3, "compute", 100 * (28160 / 1e8) / 0.3e-3),
        ({"flops_per_s": 1e8}, 0.6, "none", 100 * (28160 / 1e8) / 0.6e-3),
        ({}, 0.05, "memory", 100 * (4032 / 1e8) / 0.05e-3),
        ({"bytes_per_s": 1e12, "flops_per_s": 1e12, "product_s": 3e-5}, 0.05, "launch",
         100 * (28160 / 1e12) / 0.05e-3),
        ({"bytes_per_s": 1e12, "flops_per_s": 1e12}, 0.05, "none", 100 * (28160 / 1e12) / 0.05e-3),
    ],
    ids=["compute", "slow", "memory", "launch", "none"],
)  # fmt: skip
def test_the_limit_that_explains_most_of_the_time(changes, ms, bound, share):
    trace = traced()
    row = layers(trace, times_of(trace, {"stem": ms}), dataclasses.replace(CEILINGS, **changes)).loc[
        "stem", 0
    ]
    assert row["bound"] == bound
    assert row["roof_share"] == pytest.approx(share)


def test_shares_above_the_roof_are_flagged():
    trace = traced()
    times = times_of(trace, {"stem": 0.02})
    assert layers(trace, times).loc["stem", 0]["roof_share"] == pytest.approx(100 * 4032 / 1e8 / 0.02e-3)
    assert layers(trace, times).loc["stem", 0]["note"] == "above the roof"
    cached = dataclasses.replace(CEILINGS, cache_bytes=4032)
    note = layers(trace, times, cached).loc["stem", 0]["note"]
    assert note == "above the roof: its data fit into the cache"


def test_a_layer_of_several_operations_says_what_they_move_one_by_one():
    """Input and output of 2 x 3 x 64; the operations in between move more."""
    trace = traced(nn.Sequential(nn.LocalResponseNorm(3)))
    at_once = 2 * 4 * 2 * 3 * 64
    row = layers(trace, times_of(trace, {"0": 0.1})).loc["0", 0]
    assert row["compulsory_bytes"] == at_once
    assert row["unfused_bytes"] > 3 * at_once
    assert row["bound"] == "none"
    assert row["note"].startswith("memory between its operations: they move ")


def test_a_row_for_every_time_and_nothing_lost():
    trace, model = traced(), Net()
    times = times_of(trace, MS)
    table = il.roofline(times, trace, CEILINGS)
    for column in ("layer", "call", "type", "executed", "self_ms", "share"):
        assert table[column].tolist() == times.layers[column].tolist()
    assert table["macs"].sum() == il.layer_costs(trace)["macs"].sum()
    assert table["other_flops"].sum() == il.layer_costs(trace)["other_flops"].sum()
    idle = table.set_index("layer").loc["drop"]
    assert (idle["launches"], idle["compulsory_bytes"], idle["bound"]) == (0, 0, "none")
    assert math.isnan(idle["intensity"])
    totals = il.roofline_totals(times, trace)
    parameters = sum(p.nbytes for p in model.parameters())
    assert totals["compulsory_bytes"] == 4 * 2 * 3 * 64 + parameters + 4 * 2 * 5
    assert totals["launches"] == table["launches"].sum() == 7
    assert totals["unfused_bytes"] == table["unfused_bytes"].sum()
    assert set(totals) - {"side_by_side_gain"} <= METRICS.keys()


def test_a_module_of_two_branches_by_hand():
    """The path over the pool and its projection is 3 + 4, then the concatenation; left is 5."""
    trace = traced()
    table = il.roofline_by_module(times_of(trace, MS), trace, CEILINGS).set_index("module")
    block = table.loc["block"]
    assert block["self_ms"] == 13
    assert block["critical_path_ms"] == pytest.approx(3 + 4 + 1)
    assert block["side_by_side_gain"] == pytest.approx(13 / 8)
    # in: 2 x 4 x 64; out: 2 x 8 x 64; parameters of 4 -> 2 and 4 -> 6
    assert block["compulsory_bytes"] == 4 * (2 * 4 * 64 + 2 * 8 * 64 + (8 + 2) + (24 + 6))
    assert block["launches"] == 4
    totals = il.roofline_totals(times_of(trace, MS), trace)
    assert totals["critical_path_ms"] == pytest.approx(MODEL_MS - 5)
    assert totals["side_by_side_gain"] == pytest.approx(MODEL_MS / (MODEL_MS - 5))
    deeper = il.roofline_by_module(times_of(trace, MS), trace, CEILINGS, depth=2).set_index("module")
    assert deeper.loc["block.right", "critical_path_ms"] == pytest.approx(7)


class InPlace(nn.Module):
    """A branch that overwrites what another one has to read first."""

    def __init__(self):
        super().__init__()
        self.reads, self.overwrites = nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True)

    def forward(self, x):
        x = x + 1
        return self.reads(x), self.overwrites(x)


def test_a_branch_that_overwrites_waits_for_the_one_that_reads():
    trace = traced(InPlace())
    totals = il.roofline_totals(times_of(trace, {"(model)": 1, "reads": 5, "overwrites": 3}), trace)
    assert totals["critical_path_ms"] == pytest.approx(9)


class Around(nn.Module):
    """Operations of its own before and after its children."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        x = x + 1
        return self.left(x) * self.right(x[:, :, :, :])


def test_the_time_of_a_container_is_split_around_its_children():
    """1 ms before and 1 ms after; views in between make no difference to what a branch waits for."""
    trace = traced(nn.Sequential(Around()))
    times = times_of(trace, {"0": 2, "0.left": 5, "0.right": 3})
    (row,) = [
        r for r in il.roofline_by_module(times, trace, CEILINGS).to_dict("records") if r["module"] == "0"
    ]
    assert row["critical_path_ms"] == pytest.approx(1 + 5 + 1, rel=1e-4)


def test_calls_without_operations_are_on_every_path():
    trace = traced()
    times = times_of(trace, MS | {"block.right": 0.25, "drop": 0.125})
    table = il.roofline_by_module(times, trace, CEILINGS).set_index("module")
    assert table.loc["block", "critical_path_ms"] == pytest.approx(8.25)
    assert table.loc["drop", "side_by_side_gain"] == 1


class TestTraining:
    """Of a step whose backward pass has one time, or a time for each layer."""

    def test_a_backward_pass_with_one_time(self):
        trace = traced(mode="train")
        times = times_of(trace, {"stem": 2, "(backward)": 9}, {"backward": {"(backward)": 9}})
        table = layers(trace, times)
        costs = il.layer_costs(trace).set_index("layer")
        assert table.loc[("stem", 0), "macs"] == costs.loc["stem", "macs"]
        assert table.loc[("(backward)", 0), "macs"] == costs["backward_macs"].sum()
        assert table["macs"].sum() == costs["training_macs"].sum()
        shares = il.macs_beside_time(times, trace).set_index("module")["macs_share"]
        backward = costs["backward_macs"].sum() / costs["training_macs"].sum()
        assert shares["(backward)"] == pytest.approx(100 * backward)

    def test_a_backward_pass_with_a_time_for_each_layer(self):
        trace = traced(mode="train")
        own = {"stem": 5, "block.left": 4, "(backward)": 1}
        backward = {"stem": 3, "block.left": 2, "(backward)": 1}
        times = times_of(trace, own, {"backward": backward})
        table, costs = layers(trace, times), il.layer_costs(trace).set_index("layer")
        for layer in ("stem", "block.left"):
            assert table.loc[(layer, 0), "macs"] == costs.loc[layer, "training_macs"]
        # what has no time of its own stays under the pass
        rest = costs["backward_macs"].sum() - costs.loc[["stem", "block.left"], "backward_macs"].sum()
        assert table.loc[("(backward)", 0), "macs"] == rest
        assert table["macs"].sum() == costs["training_macs"].sum()

    def test_the_critical_path_goes_through_both_passes(self):
        """Forward 3 + 4 against 1, backward 6 + 2 against most of 7, then the sum of both gradients.

        That is the rest of the 7 ms: it moves 3 tensors of 2048 bytes. The convolution has 2 x 2048 MACs, and
        moves two such tensors, one of half the size, the weight and its gradient, and that of the bias.
        """
        trace = traced(mode="train")
        own = {"block.left": 8, "block.right.0": 5, "block.right.1": 10}
        backward = {"block.left": 7, "block.right.0": 2, "block.right.1": 6}
        times = times_of(trace, own, {"backward": backward})
        row = il.roofline_by_module(times, trace, CEILINGS).set_index("module").loc["block"]
        assert row["self_ms"] == 23
        convolution, total = 2 * 2048 + 2.5 * 2048 + 32 + 32 + 8, 3 * 2048
        gradients = 7 * total / (convolution + total)
        assert row["critical_path_ms"] == pytest.approx(7 + 8 + gradients)


def test_macs_beside_time_by_hand():
    trace = traced()
    table = il.macs_beside_time(times_of(trace, MS), trace).set_index("module")
    stem, block, head = 2 * 64 * 4 * 27, 2 * 64 * (8 + 24), 2 * 8 * 5
    macs = stem + block + head
    assert table.loc[["stem", "block", "head"], "macs"].tolist() == [stem, block, head]
    assert table.loc["stem", "macs_share"] == pytest.approx(100 * stem / macs)
    assert table.loc["block", "share"] == pytest.approx(100 * 13 / MODEL_MS)
    ratio = (13 / MODEL_MS) / (block / macs)
    assert table.loc["block", "time_per_macs"] == pytest.approx(ratio)
    assert math.isnan(table.loc["drop", "time_per_macs"])
    assert table["macs_share"].sum() == pytest.approx(100)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"input_shapes": [[4, 3, 8, 8]]}, "input_shapes"),
        ({"mode": "train"}, "mode"),
        ({"dtype": "bfloat16"}, "dtype"),
        ({"autocast": "bfloat16"}, "autocast"),
        ({"optimizer": "sgd"}, "optimizer"),
        ({"execution": "compiled"}, "compiled"),
        ({"threads": 2}, "ceilings"),
        ({"machine": "Other"}, "ceilings"),
        ({"device": "cuda"}, "ceilings"),
        ({"torch": "1.0"}, "ceilings"),
        ({"convolution_precision": "bf16"}, "precision ieee, bf16 beside ceilings of ieee, ieee"),
        ({"matmul_tf32": True}, "precision tf32, ieee beside ceilings of ieee, ieee"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_times_trace_and_ceilings_are_of_one_step(facts, message):
    trace = traced()
    with pytest.raises(InceptionLabError, match=message):
        il.roofline(changed(times_of(trace, MS), **facts), trace, CEILINGS)


def test_ceilings_under_autocast_are_those_of_its_dtype():
    trace = traced(autocast=torch.bfloat16)
    times = changed(times_of(trace, MS), autocast="bfloat16")
    with pytest.raises(InceptionLabError, match="times of dtype bfloat16 beside ceilings of float32"):
        il.roofline(times, trace, CEILINGS)
    # products in it are rounded to nothing else
    for precision in ("ieee, ieee", "tf32, tf32"):
        ceilings = dataclasses.replace(CEILINGS, dtype="bfloat16", precision=precision)
        assert len(il.roofline(times, trace, ceilings))


def test_times_of_another_model_are_refused():
    times = times_of(traced(nn.Sequential(nn.Conv2d(3, 4, 3))), {})
    with pytest.raises(InceptionLabError, match="has no time"):
        il.roofline(times, traced(), CEILINGS)


def test_times_of_a_gpu_have_kernels():
    """Made by hand, as none is at hand: what launches nothing there need not have a row."""
    trace = traced()
    times = times_of(trace, MS)
    layers = times.layers[times.layers["layer"] != "drop"].reset_index(drop=True)
    layers["kernels"] = range(len(layers))
    on_gpu = dataclasses.replace(changed(times, device="cuda"), layers=layers)
    ceilings = dataclasses.replace(CEILINGS, device="cuda")
    table = il.roofline(on_gpu, trace, ceilings)
    assert table["kernels"].tolist() == list(range(len(layers)))
    assert table["macs"].sum() == sum(op.macs for op in trace.ops)
    modules = il.roofline_by_module(on_gpu, trace, ceilings).set_index("module")
    block = layers["kernels"][layers["layer"].str.startswith("block")]
    assert modules.loc["block", "kernels"] == block.sum()


def test_real_times_have_a_row_for_every_layer():
    """Without a claim about any time."""
    model = Net()
    for options in ({}, {"mode": "train", "optimizer": "momentum"}):
        times = il.layer_times(model, SHAPE, threads=1, seconds=0, **options)
        ceilings = dataclasses.replace(CEILINGS, **{k: times.context[k] for k in ("machine", "torch")})
        trace = il.trace(model, SHAPE, **options)
        table = il.roofline(times, trace, ceilings)
        assert table["self_ms"].sum() == pytest.approx(times.step_ms)
        assert table["macs"].sum() == sum(op.macs for op in trace.ops)
        assert set(table["bound"]) <= {"compute", "memory", "launch", "none"}
        gain = il.roofline_totals(times, trace)["side_by_side_gain"]
        assert gain >= 1


STEPS = [
    pytest.param(case, mode, id=f"{case.name}-{mode}")
    for case in HOSTILE
    for mode in ("eval", "train")
    if not case.error_in(mode)
]


@pytest.mark.parametrize(("case", "mode"), STEPS)
def test_hostile_nets_have_sums_that_close(case, mode):
    trace = il.trace(case.make(), case.inputs, mode=mode)
    own = {layer_name(call): 1 + call.id % 7 for call in trace.calls}
    backward = {layer_name(call): 0.5 for call in trace.calls if call.id % 2}
    times = times_of(trace, own, {"backward": backward})
    ceilings = dataclasses.replace(CEILINGS, dtype=trace.context.dtype)
    layers, modules = il.roofline(times, trace, ceilings), il.roofline_by_module(times, trace, ceilings)
    totals = il.roofline_totals(times, trace)
    for table in (layers, modules):
        assert table["macs"].sum() == sum(op.macs for op in trace.ops)
        assert table["launches"].sum() == totals["launches"]
        assert table["unfused_bytes"].sum() == totals["unfused_bytes"]
        assert (table["compulsory_bytes"] <= table["unfused_bytes"]).all()
    # what is made and used up within a larger whole need not move
    moved = [int(table["compulsory_bytes"].sum()) for table in (modules, layers)]
    assert totals["compulsory_bytes"] <= moved[0] <= moved[1]
    assert (modules["critical_path_ms"] <= modules["self_ms"]).all()
    assert (modules["critical_path_ms"] > 0).equals(modules["self_ms"] > 0)
