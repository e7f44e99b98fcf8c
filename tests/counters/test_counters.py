"""Rules of crosscheck: figures of the others as they give them to everybody, by hand where all agree."""

import pytest
import torch
import torch.nn.functional as F
from support.counting import (
    IMAGE,
    NORMALISATION,
    PIXELS,
    POOLING,
    PROJECTIONS,
    RESAMPLING,
    ROWS,
    SCORES,
    Net,
    flop_counter_totals,
    fvcore_total,
    of,
)
from torch import nn
from torch.utils.flop_counter import flop_registry

import inception_lab as il
from inception_lab.counters.fvcore_counts import RULES as FVCORE_RULES
from inception_lab.counters.torch_counts import RULES as TORCH_RULES
from inception_lab.counters.torch_counts import WITHOUT_FORMULA
from inception_lab.ir.operation_name import parse_operation_name


def explained_row(result):
    """The only row in which a count differs, and the rules that explain it."""
    assert result.verdict == "explained"
    (row,) = (row for row in result.record.layers if row["explanation"])
    assert row["verdict"] == "explained"
    return row, [difference["why"] for difference in result.record.context["differences"]]


BATCH = "fvcore's matmul takes the batch of the first operand alone"
EINSUM = "fvcore takes numpy's estimate of einsum, rounded to four digits"
DEAD = "fvcore leaves out what no output depends on"


def no_count_for(kind):
    return f"fvcore has no count for aten::{kind}"


def self_attention(attention, x):
    return attention(x, x, x, need_weights=False)[0]


def masked_self_attention(attention, x):
    return attention(x, x, x, attn_mask=torch.zeros(7, 7, device=x.device))[0]


FVCORE = [
    (NORMALISATION, nn.BatchNorm2d(4), of(IMAGE), 0, 2 * PIXELS),
    (NORMALISATION, nn.BatchNorm2d(4, affine=False), of(IMAGE), 0, PIXELS),
    (NORMALISATION, nn.GroupNorm(2, 4), of(IMAGE), 0, 5 * PIXELS),
    (NORMALISATION, nn.LayerNorm(6), of(IMAGE), 0, 5 * PIXELS),
    (NORMALISATION, nn.InstanceNorm2d(4), of(IMAGE), 0, 4 * PIXELS),
    (POOLING, nn.AdaptiveAvgPool2d(2), of(IMAGE), 0, PIXELS),
    (RESAMPLING, nn.Upsample(scale_factor=2), of(IMAGE), 0, 4 * PIXELS),
    (RESAMPLING, nn.Upsample(scale_factor=2, mode="bilinear"), of(IMAGE), 0, 4 * 4 * PIXELS),
    (RESAMPLING, Net(lambda x, grid: F.grid_sample(x, grid, align_corners=False)),
     of((2, 3, 4, 4), (2, 5, 5, 2)), 0, 4 * 2 * 3 * 5 * 5),
    (BATCH, Net(torch.matmul), of((3, 4), (10, 4, 5)), 10 * 60, 60),
    (EINSUM, Net(lambda a, b: torch.einsum("bij,bjk->bik", a, b)), of((7, 33, 41), (7, 41, 51)),
     7 * 33 * 41 * 51, 483_000),
    (EINSUM, Net(lambda a, b: torch.einsum("i,j->ij", a, b)), of((3,), (4,)), 0, 6),
    (DEAD, Net(lambda a, b, x: (a(x), b(x))[1], nn.Linear(4, 5), nn.Linear(4, 6)), of((2, 4)),
     2 * 4 * (5 + 6), 2 * 4 * 6),
    (no_count_for("_convolution_mode"), nn.Conv2d(4, 3, 3, padding="same"), of(IMAGE), 2 * 36 * 3 * 4 * 9, 0),
    (no_count_for("baddbmm"), Net(torch.baddbmm), of((2, 3, 5), (2, 3, 4), (2, 4, 5)), 2 * 60, 0),
    (no_count_for("tensordot"), Net(lambda a, b: torch.tensordot(a, b, 1)), of((3, 4), (4, 5)), 60, 0),
    (no_count_for("inner"), Net(torch.inner), of((3, 4), (5, 4)), 60, 0),
    (no_count_for("linalg_multi_dot"), Net(lambda *x: torch.linalg.multi_dot(x)), of((3, 4), (4, 5), (5, 6)),
     3 * 4 * 5 + 3 * 5 * 6, 0),
    (no_count_for("scaled_dot_product_attention"), Net(F.scaled_dot_product_attention),
     of(*[(2, 3, 5, 4)] * 3), 2 * (2 * 3 * 5 * 5 * 4), 0),
    (no_count_for("scaled_dot_product_attention"), Net(self_attention, nn.MultiheadAttention(8, 2)),
     of((7, 2, 8)), PROJECTIONS + 2 * SCORES, PROJECTIONS),
    (no_count_for("baddbmm"), Net(masked_self_attention, nn.MultiheadAttention(8, 2)), of((7, 2, 8)),
     PROJECTIONS + 2 * SCORES, PROJECTIONS + SCORES),
    (no_count_for("lstm"), nn.LSTM(4, 5, 2, bidirectional=True), of(ROWS), 14 * 2 * 20 * (4 + 5 + 10 + 5), 0),
    (no_count_for("lstm"), nn.LSTM(4, 5, proj_size=3), of(ROWS), 14 * (20 * 4 + 20 * 3 + 3 * 5), 0),
    (no_count_for("gru"), nn.GRU(4, 5), of(ROWS), 14 * 15 * (4 + 5), 0),
    (no_count_for("rnn_tanh"), nn.RNN(4, 5), of(ROWS), 14 * 5 * (4 + 5), 0),
    (no_count_for("rnn_relu"), nn.RNN(4, 5, nonlinearity="relu"), of(ROWS), 14 * 5 * (4 + 5), 0),
]  # fmt: skip


@pytest.mark.parametrize(("why", "net", "inputs", "ours", "theirs"), FVCORE)
def test_each_rule_of_fvcore(why, net, inputs, ours, theirs):
    assert fvcore_total(net.eval(), inputs) == theirs
    result = il.crosscheck(net, inputs)
    row, whys = explained_row(result)
    assert whys == [why]
    assert f"{why} ({theirs - ours:+,})" in row["explanation"]
    assert (result.record.totals["macs"], result.record.totals["fvcore_macs"]) == (ours, theirs)


def on_packed_sequences(layer, x):
    return layer(nn.utils.rnn.pack_padded_sequence(x, [7, 3]))[0].data


PACKED = [
    (nn.LSTM(4, 5), "lstm", 20 * (4 + 5)),
    (nn.GRU(4, 5), "gru", 15 * (4 + 5)),
    (nn.RNN(4, 5), "rnn_tanh", 5 * (4 + 5)),
    (nn.RNN(4, 5, nonlinearity="relu"), "rnn_relu", 5 * (4 + 5)),
    (nn.LSTM(4, 5, bidirectional=True), "lstm", 2 * 20 * (4 + 5)),
    (nn.GRU(4, 5, 2), "gru", 15 * (4 + 5 + 5 + 5)),
    (nn.LSTM(4, 5, 2, bidirectional=True, proj_size=3), "lstm", 2 * (20 * (4 + 3 + 6 + 3) + 2 * 3 * 5)),
]


@pytest.mark.parametrize(("layer", "kind", "matrices"), PACKED)
def test_packed_sequences_meet_every_matrix_without_their_padding(layer, kind, matrices):
    """7 rows of one sequence and 3 of the other."""
    net = Net(on_packed_sequences, layer)
    assert fvcore_total(net, of(ROWS)) == 0
    result = il.crosscheck(net, ROWS)
    row, whys = explained_row(result)
    assert whys == [no_count_for(kind)]
    assert result.record.totals["macs"] == (7 + 3) * matrices
    assert row["explanation"] == f"{no_count_for(kind)} ({-(7 + 3) * matrices:+,})"


def test_normalisation_in_train_mode_is_five_per_element():
    result = il.crosscheck(nn.BatchNorm2d(4), IMAGE, mode="train")
    assert result.record.totals["fvcore_macs"] == 5 * PIXELS


def no_formula_for(name):
    return f"FlopCounterMode has no formula for aten.{name}"


def in_place(name):
    return lambda target, *factors: getattr(target.clone(), name)(*factors)


PRODUCTS = [
    ("mv", torch.mv, of((3, 4), (4,)), 12),
    ("dot", torch.dot, of((4,), (4,)), 4),
    ("addmv", torch.addmv, of((3,), (3, 4), (4,)), 12),
    ("addmv_", in_place("addmv_"), of((3,), (3, 4), (4,)), 12),
    ("addmm_", in_place("addmm_"), of((3, 5), (3, 4), (4, 5)), 60),
    ("addbmm", torch.addbmm, of((3, 5), (2, 3, 4), (2, 4, 5)), 2 * 60),
    ("addbmm_", in_place("addbmm_"), of((3, 5), (2, 3, 4), (2, 4, 5)), 2 * 60),
    ("baddbmm_", in_place("baddbmm_"), of((2, 3, 5), (2, 3, 4), (2, 4, 5)), 2 * 60),
    ("addr", torch.addr, of((3, 4), (3,), (4,)), 12),
    ("addr_", in_place("addr_"), of((3, 4), (3,), (4,)), 12),
    ("conv_tbc", lambda *x: torch.conv_tbc(*x, pad=1), of((7, 2, 3), (3, 3, 4), (4,)), 7 * 2 * 4 * 3 * 3),
    ("_euclidean_dist", torch.cdist, of((2, 30, 4), (2, 7, 4)), 2 * 30 * 7 * (4 + 2)),
    ("_trilinear", F.bilinear, of((2, 3), (2, 4), (5, 3, 4)), 2 * 5 * 3 * 4 + 2 * 5 * 4),
    ("affine_grid_generator", lambda x: F.affine_grid(x, (2, 3, 4, 5), align_corners=False), of((2, 2, 3)),
     2 * 4 * 5 * 2 * 3),
]  # fmt: skip


CALLED_AS = {"_trilinear": "bilinear", "_euclidean_dist": "cdist"}
"""The function that dispatches an operation, where the two have different names."""


@pytest.mark.parametrize(("name", "function", "inputs", "macs"), PRODUCTS)
def test_products_that_neither_of_the_others_knows(name, function, inputs, macs):
    net = Net(function)
    assert flop_counter_totals(net, inputs, training=False)[0] == 0
    assert fvcore_total(net, inputs) == 0
    result = il.crosscheck(net, inputs)
    row, whys = explained_row(result)
    assert result.record.totals["macs"] == macs
    assert whys == [no_count_for(CALLED_AS.get(name, name)), no_formula_for(name)]
    assert row["explanation"].count(f"({-macs:+,})") == 2


class ForReal(nn.Module):
    """A layer behind a question that meta tensors cannot answer."""

    def __init__(self, layer):
        super().__init__()
        self.first, self.layer = nn.Linear(8, 8), layer

    def forward(self, x):
        return self.layer(self.first(x)) if x.sum() > -1 else x


ATTENTION = "_scaled_dot_product_flash_attention_for_cpu"
FUSED = [
    (ATTENTION, Net(lambda x: F.scaled_dot_product_attention(x, x, x)), (2, 3, 5, 8),
     2 * 2 * 3 * 5 * 5 * 8, 2 * 2 * 2 * 3 * 5 * 5 * 8),
    ("mkldnn_rnn_layer", Net(lambda lstm, x: lstm(x)[0], nn.LSTM(8, 5)), (7, 2, 8),
     14 * 20 * (8 + 5), 2 * 14 * 20 * (8 + 5) - 2 * 20 * 5),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(("name", "layer", "shape", "macs", "backward"), FUSED)
def test_kernels_of_the_cpu_that_hide_their_products(name, layer, shape, macs, backward, mode):
    """A gradient for each of two factors, but none for a first state of zeros.

    None for the input either, so that the first layer has one alone.
    """
    result = il.crosscheck(ForReal(layer), shape, mode=mode)
    assert result.trace.context.device == "cpu"
    totals, first = result.record.totals, torch.Size(shape).numel() * 8
    assert (totals["macs"], totals["torch_macs"]) == (first + macs, first)
    assert no_formula_for(name) in result.frame()["explanation"].str.cat()
    assert result.verdict == "explained"
    if mode == "train":
        assert (totals["backward_macs"], totals["torch_backward_macs"]) == (first + backward, first)
        assert no_formula_for(f"{name}_backward") in result.frame()["explanation"].str.cat()


def test_every_rule_has_its_case():
    assert {rule.why for rule in FVCORE_RULES.values()} <= {why for why, *_ in FVCORE}
    fused = {kernel for name, *_ in FUSED for kernel in (name, f"{name}_backward")}
    products = {parse_operation_name(f"aten.{name}").base for name, *_ in PRODUCTS}
    assert products | fused | {"vdot"} == set(WITHOUT_FORMULA)  # of complex numbers, see test_complex_numbers
    assert set(TORCH_RULES) == {*WITHOUT_FORMULA, "convolution_backward"}


@torch.library.custom_op("counters_tests::mv", mutates_args=())
def own_product(matrix: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    return matrix @ vector


own_product.register_fake(lambda matrix, _: matrix.new_empty(matrix.shape[0]))
OWN_OPERATION = torch.ops.counters_tests.mv


class TestOperationsOfOtherLibraries:
    def test_a_formula_registered_with_torch_tells_the_products_that_fvcore_leaves_out(self, monkeypatch):
        formula = torch.utils.flop_counter.shape_wrapper(lambda matrix, _, **__: 2 * matrix[0] * matrix[1])
        monkeypatch.setitem(flop_registry, OWN_OPERATION, formula)
        result = il.crosscheck(Net(own_product), of((3, 4), (4,)))
        row, whys = explained_row(result)
        assert whys == ["fvcore has no count for counters_tests::mv"]
        assert (row["macs"], row["torch_macs"], row["fvcore_macs"]) == (12, 12, 0)

    def test_no_rule_takes_one_for_an_operation_of_torch_of_the_same_name(self):
        """A rule about `aten.mv` would explain exactly these 12."""
        with il.register_formula(OWN_OPERATION, lambda matrix, _, **__: il.Cost(matrix.numel())):
            (row,) = il.crosscheck(Net(own_product), of((3, 4), (4,))).unexplained
        assert (row["macs"], row["torch_macs"], row["fvcore_macs"]) == (12, 0, 0)
        assert "torch_macs differs by -12, of which rules explain +0" in row["explanation"]


@pytest.mark.parametrize(
    ("net", "shape", "forward", "weight_gradient"),
    [
        (nn.Conv2d(4, 6, 3, groups=2), (2, 4, 8, 8), 2 * 36 * 6 * 2 * 9, 2),
        (nn.Conv2d(4, 4, 3, groups=4), (2, 4, 8, 8), 2 * 36 * 4 * 9, 4),
        (nn.Conv1d(4, 6, 3, groups=2), (2, 4, 8), 2 * 6 * 6 * 2 * 3, 2),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), (2, 4, 7, 8), 2 * 56 * 4 * 3 * 9, 2),
    ],
    ids=["two groups", "depthwise", "1-d", "transposed"],
)
def test_flop_counter_mode_leaves_groups_out_of_a_weight_gradient(net, shape, forward, weight_gradient):
    """The input's gradient is not computed for an image, so that all of the backward is the weight's."""
    images = torch.zeros(shape)
    assert flop_counter_totals(net, [images], training=True) == (forward, weight_gradient * forward)
    row, whys = explained_row(il.crosscheck(net, shape, mode="train"))
    assert (row["backward_macs"], row["torch_backward_macs"]) == (forward, weight_gradient * forward)
    assert whys == ["FlopCounterMode leaves the groups out of a convolution's weight gradient"]


def test_a_depthwise_layer_within_a_net_has_both_gradients():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 3, groups=4))
    rows = il.crosscheck(net, (2, 3, 8, 8), mode="train").frame().set_index("layer")
    forward = 2 * 36 * 4 * 9
    assert rows.loc["1", "backward_macs"] == 2 * forward
    assert rows.loc["1", "torch_backward_macs"] == forward + 4 * forward
    assert (rows["verdict"] != "unexplained").all()


class Direct(nn.Module):
    """Calls a part's forward, past its hooks."""

    def __init__(self):
        super().__init__()
        self.part = nn.Linear(4, 5)

    def forward(self, x):
        return self.part.forward(x)


class Shared(nn.Module):
    """One layer under two names, in two parents, called three times at two sizes."""

    def __init__(self):
        super().__init__()
        conv = nn.Conv2d(4, 4, 3, padding=1)
        self.one, self.two = nn.Sequential(conv), nn.Sequential(nn.ReLU(), conv)

    def forward(self, x):
        return self.two(self.one(self.one(x)[..., :3]))


AGREEING = [
    (nn.Conv2d(4, 6, (3, 1), (1, 2), dilation=2, groups=2), of(IMAGE), 2 * 2 * 3 * 6 * 2 * 3),
    (nn.Conv1d(4, 6, 3), of((2, 4, 9)), 2 * 7 * 6 * 4 * 3),
    (nn.Conv3d(4, 6, 3), of((2, 4, 4, 5, 6)), 2 * 24 * 6 * 4 * 27),
    (nn.ConvTranspose1d(4, 6, 3, 2, output_padding=1), of((2, 4, 9)), 2 * 9 * 4 * 6 * 3),
    (nn.ConvTranspose2d(4, 6, 3, groups=2), of(IMAGE), 2 * 36 * 4 * 3 * 9),
    (nn.ConvTranspose3d(4, 6, 3), of((2, 4, 4, 5, 6)), 2 * 120 * 4 * 6 * 27),
    (nn.Conv2d(4, 6, 3), of((4, 6, 6)), 16 * 6 * 4 * 9),
    (Net(lambda x: F.conv2d(x, x.new_zeros(5, 4, 1, 1), stride=2)), of(IMAGE), 2 * 9 * 5 * 4),
    (nn.Linear(4, 5), of((2, 3, 4)), 2 * 3 * 4 * 5),
    (nn.Linear(4, 5), of((4,)), 20),
    (nn.LSTMCell(4, 5), of((2, 4)), 2 * 20 * (4 + 5)),
    (nn.Embedding(10, 4), [torch.zeros(2, 3, dtype=torch.int64)], 0),
    (Net(lambda a, b: a @ b), of((2, 3, 4), (2, 4, 5)), 2 * 60),
    (Net(lambda a, b: a @ b), of((4,), (4, 5)), 20),
    (Net(lambda bias, a, b: torch.addmm(bias, a, b)), of((5,), (3, 4), (4, 5)), 60),
    (Direct(), of((2, 4)), 2 * 4 * 5),
    (Shared(), of(IMAGE), (36 + 18 + 18) * 2 * 4 * 4 * 9),
]


@pytest.mark.parametrize(("net", "inputs", "macs"), AGREEING)
def test_what_all_agree_on(net, inputs, macs):
    assert fvcore_total(net, inputs) == macs
    assert flop_counter_totals(net, inputs, training=False)[0] == macs
    result = il.crosscheck(net, inputs)
    assert result.verdict == "agree"
    assert "not_run" not in result.record.context
    assert {result.record.totals[name] for name in ("macs", "fvcore_macs", "torch_macs")} == {macs}


def test_calls_of_a_layer_are_summed_and_direct_calls_stay_where_they_run():
    shared = il.crosscheck(Shared(), IMAGE).frame().set_index("layer")["fvcore_macs"]
    assert shared["one.0"] == (36 + 18 + 18) * 2 * 4 * 4 * 9
    assert shared.drop("one.0").sum() == 0
    assert il.crosscheck(Direct(), (2, 4)).frame()["layer"].tolist() == ["part"]
