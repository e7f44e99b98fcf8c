"""Small hostile nets: figures of each as worked out by hand, and PyTorch counts the same."""

from functools import cache

import pytest
import torch
from support.fingerprints import fingerprint, same
from support.hostile.case import products_visible
from support.hostile.table import BRANCHED, HOSTILE
from torch import nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

import inception_lab as il
from inception_lab.analyzers.summary import ANALYZERS
from inception_lab.ir.structure import layer_calls, places

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*torch.nn.utils.weight_norm.*:FutureWarning",
    "ignore:.*torch.jit.*:DeprecationWarning",
    "ignore:TF32 acceleration:UserWarning",
    "ignore:Using `torch.compile:UserWarning",
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning",
)
MODES = pytest.mark.parametrize("mode", ["eval", "train"])
TRACED = [(case, mode) for case in HOSTILE for mode in ("eval", "train") if not case.error_in(mode)]
FAILING = [(case, mode) for case in HOSTILE for mode in ("eval", "train") if case.error_in(mode)]
BY_NAME = {case.name: case for case in HOSTILE}


def cases(pairs):
    return pytest.mark.parametrize(
        ("case", "mode"),
        [pytest.param(case, mode, id=f"{case.name}-{mode}") for case, mode in pairs],
    )


@cache
def trace_of(name, mode):
    return il.trace(BY_NAME[name].make(), BY_NAME[name].inputs, mode=mode)


def tensors_within(value, visited=None):
    """All tensors that can be reached from a value through attributes and containers."""
    visited = {} if visited is None else visited
    if id(value) in visited or isinstance(value, (str, bytes, type(torch), type)):
        return
    visited[id(value)] = value  # held, so that no other object gets its id
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for part in (*value.keys(), *value.values()):
            yield from tensors_within(part, visited)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for part in value:
            yield from tensors_within(part, visited)
    elif (hasattr(value, "__dict__") and not callable(value)) or isinstance(value, nn.Module):
        yield from tensors_within(vars(value), visited)


@cases(TRACED)
def test_what_comes_out_is_what_was_worked_out_by_hand(case, mode):
    trace = trace_of(case.name, mode)
    rows = il.layer_costs(trace)
    assert rows["macs"].sum() == case.forward_macs(mode)
    assert rows["params"].sum() == case.params
    assert trace.context.device == case.device_of(mode)
    assert bool(trace.context.fallback) == (case.device_of(mode) == "cpu")
    assert set(trace.context.uncounted_ops) == set(case.uncounted)
    assert trace.context.complete == (not case.uncounted)
    if mode == "eval":
        assert len(rows) == case.rows


@cases([pair for pair in TRACED if not pair[0].unlike_torch])
def test_products_equal_those_that_torch_counts_in_a_real_run(case, mode):
    model = case.make().train(mode == "train")
    with products_visible(), torch.set_grad_enabled(mode == "train"):
        with FlopCounterMode(display=False) as forward:
            out = case.run(model)
        with FlopCounterMode(display=False) as backward:
            floating = [t for t in tree_leaves(plain_data(out)) if isinstance(t, torch.Tensor)]
            loss = sum(t.sum() for t in floating if t.is_floating_point() and t.requires_grad)
            # what a script returns may say that it requires one also where gradients are off
            if mode == "train" and isinstance(loss, torch.Tensor):
                loss.backward()
    rows = il.layer_costs(trace_of(case.name, mode))
    assert rows["macs"].sum() == forward.get_total_flops() / 2
    if mode == "train" and not case.unlike_torch_in_train:
        assert rows["backward_macs"].sum() == backward.get_total_flops() / 2


def plain_data(out):
    return vars(out) if hasattr(out, "__dataclass_fields__") else out


@cases(TRACED)
@pytest.mark.parametrize("analyzer", ANALYZERS, ids=lambda a: a.name)
def test_columns_of_every_analyzer_add_up(analyzer, case, mode):
    trace = trace_of(case.name, mode)
    rows = analyzer.layers(trace)
    assert list(rows.columns[:2]) == ["layer", "call"]
    assert len(rows) == len(layer_calls(trace))
    assert not rows.duplicated(["layer", "call"]).any()
    assert not rows.select_dtypes("number").isna().any(axis=None)
    totals = analyzer.totals(trace, rows)
    for column in set(totals) & set(rows.columns):
        assert totals[column] == rows[column].sum()


@cases(TRACED)
def test_columns_add_up_to_what_ran(case, mode):
    trace = trace_of(case.name, mode)
    rows = il.layer_costs(trace)
    forward = [op for op in trace.ops if op.phase == "forward"]
    assert rows["macs"].sum() == sum(op.macs for op in forward)
    assert rows["other_flops"].sum() == sum(op.other_flops for op in forward)
    if case.name != "lazy":  # whose own have no size
        assert rows["params"].sum() == sum(p.numel() for p in case.make().parameters())
    assert {op.call for op in trace.ops} <= {call.id for call in layer_calls(trace)}


@cases([pair for pair in TRACED + FAILING if pair[0].name != "lazy"])
def test_left_as_found(case, mode):
    model = case.make()
    before = fingerprint(model)
    inputs = [t for t in tree_leaves(case.inputs) if isinstance(t, torch.Tensor)]
    copies = [t.clone() for t in inputs]
    try:
        il.trace(model, case.inputs, mode=mode)
    except il.InceptionLabError:
        assert case.error_in(mode)
    assert same(before, fingerprint(model))
    assert not [t for t in tensors_within(model) if t.is_meta]
    assert all(map(torch.equal, copies, inputs))


@cases([pair for pair in TRACED if pair[1] == "eval"])
def test_afterwards_it_computes_what_it_would_have_computed(case, mode):
    reference, model = case.make().eval(), case.make().eval()
    for trace_mode in (mode, "train"):
        if not case.error_in(trace_mode):
            il.trace(model, case.inputs, mode=trace_mode)
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        outputs = [tree_leaves(plain_data(case.run(m))) for m in (reference, model)]
    assert len(outputs[0]) == len(outputs[1])
    for expected, actual in zip(*outputs, strict=True):
        assert torch.equal(expected, actual) if isinstance(expected, torch.Tensor) else expected == actual


@cases(FAILING)
def test_an_error_of_one_line_says_why(case, mode):
    with pytest.raises(il.InceptionLabError, match=case.error_in(mode)) as raised:
        il.trace(case.make(), case.inputs, mode=mode)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("case", [c for c in HOSTILE if c.device == "cpu"], ids=lambda c: c.name)
def test_what_needs_a_real_run_is_refused_where_only_meta_may_be_used(case):
    with pytest.raises(il.InceptionLabError) as raised:
        il.trace(case.make(), case.inputs, meta_only=True)
    assert raised.value.exit_code == 3


@MODES
def test_a_lazy_net_stays_lazy(mode):
    model = BY_NAME["lazy"].make()
    parameter = model[0].weight
    il.trace(model, (2, 8), mode=mode)
    assert model[0].weight is parameter
    assert model[0].has_uninitialized_params()


BRANCHES = {
    "InceptionTime": {
        "blocks.0": {"bottleneck", "pooled"},
        "blocks.1": {"bottleneck", "pooled"},
        "blocks.2": {"bottleneck", "pooled"},
    },
    "I3D": {"mixed": {"branch1", "branch2", "branch3", "branch4"}},
}


@MODES
@pytest.mark.parametrize("case", BRANCHED, ids=lambda c: c.name)
def test_branches_are_found_in_one_and_in_three_dimensions(case, mode):
    trace = trace_of(case.name, mode)
    branches = {}
    for place in places(trace).values():
        if place.branch:
            branches.setdefault(place.block, set()).add(place.branch)
    assert {block: branches.get(block) for block in BRANCHES[case.name]} == BRANCHES[case.name]
