"""Operators that take functions, counted as what they run: arithmetic by hand, and the same written out."""

import warnings

import pytest
import torch
from support.fingerprints import assert_left_as_found
from torch import nn
from torch._higher_order_ops.associative_scan import associative_scan
from torch._higher_order_ops.map import map as mapped
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

import inception_lab as il
from inception_lab.errors import InceptionLabError

ONE = 4 * 8 * 8  # MACs of a layer on four rows


class Net(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.first, self.second, self.body = nn.Linear(8, 8), nn.Linear(8, 8), [body]

    def forward(self, x):
        return self.body[0](self, x)


def chosen(net, x):
    return torch.cond(x.sum() >= 0, net.first, lambda x: net.second(net.second(x)), (x,))


def not_chosen(net, x):
    return torch.cond(x.sum() < 0, net.first, lambda x: net.second(net.second(x)), (x,))


def repeated(net, x):
    return while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, net.first(x)), (torch.tensor(0), x))[1]


def row_by_row(net, x):
    return mapped(net.first, x)


def carried(net, x):
    return scan(lambda c, x: (net.first(c) + x, c * 2), torch.zeros(8), x)[1]


BODIES = {"cond": (chosen, 1), "other": (not_chosen, 2), "while": (repeated, 3), "map": (row_by_row, 1)}


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", BODIES)
def test_macs_are_those_of_the_functions_that_run(name, mode):
    body, calls = BODIES[name]
    trace = assert_left_as_found(Net(body), (4, 8), mode)
    table = il.layer_costs(trace)
    assert table["macs"].sum() == calls * ONE
    assert trace.context.complete
    if mode == "train":  # the input wants no gradient: a product less
        assert table["backward_macs"].sum() == (2 * calls - 1) * ONE
    assert trace.context.device == ("cpu" if name in ("cond", "other") else "meta")  # which asks for data


def test_a_scan_runs_its_function_once_for_each_row():
    trace = il.trace(Net(carried), (4, 8))
    assert il.layer_costs(trace)["macs"].sum() == 4 * 8 * 8


def test_an_associative_scan_is_made_of_its_operation():
    trace = il.trace(Net(lambda _, x: associative_scan(torch.add, x, 0, combine_mode="generic")), (4, 8))
    assert trace.context.complete
    assert il.layer_costs(trace)["other_flops"].sum() >= 3 * 8


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize(
    "options",
    [{}, {"score_mod": lambda score, _b, _h, i, j: score + (i - j)}, {"block_mask": "causal"}],
    ids=["plain", "score", "mask"],
)
def test_flex_attention_counts_its_two_products(options, device):
    def attend(_, q):
        mask = {}
        if "block_mask" in options:
            mask["block_mask"] = create_block_mask(lambda _b, _h, i, j: i >= j, 1, 1, 16, 16, device="cpu")
        return flex_attention(q, q, q, **options | mask)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trace = il.trace(Net(attend), (1, 2, 16, 8), device=device)
    assert il.layer_costs(trace)["macs"].sum() == 2 * 2 * 16 * 16 * 8
    assert trace.context.device == {"meta": "meta", "cpu": "fake"}[device]


def test_flex_attention_is_trained_as_on_a_gpu():
    example = torch.zeros(1, 2, 16, 8, requires_grad=True)
    trace = il.trace(Net(lambda _, q: flex_attention(q, q, q)), [example], mode="train")
    assert il.layer_costs(trace)["training_macs"].sum() == 3 * 2 * 2 * 16 * 16 * 8


def test_what_is_compiled_in_a_forward_runs_as_it_is():
    trace = il.trace(Net(lambda net, x: torch.compile(lambda x: net.first(x).relu())(x)), (4, 8))
    assert il.layer_costs(trace)["macs"].sum() == ONE


def test_an_operator_that_hides_what_it_runs_is_one_line():
    hidden = torch._higher_order_ops.effects.with_effects

    def body(_, x):
        token = torch.ops.prims._make_token()
        return hidden(token, torch.ops.aten.relu.default, x)[1]

    with pytest.raises(InceptionLabError) as caught:
        il.trace(Net(body), (4, 8))
    assert "Recorder" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_functions_of_torch_are_those_from_before():
    before = torch.compile, torch._ops.HigherOrderOperator.__call__
    il.trace(Net(repeated), (4, 8))
    assert before == (torch.compile, torch._ops.HigherOrderOperator.__call__)
