"""Branch by branch, also where branches are no modules of their own."""

import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError

SHAPE = (1, 3, 8, 8)


class Flat(nn.Module):
    """Two branches, each of layers that are children of the block itself."""

    def __init__(self, deep="b", width=4, longer=False):
        super().__init__()
        self.names = [f"{deep}_1", f"{deep}_2"] + [f"{deep}_3"] * longer
        self.a = nn.Conv2d(3, 4, 1)
        sizes = [(3, width), (width, 4), (4, 4)]
        for name, (inner, outer) in zip(self.names, sizes, strict=False):
            self.add_module(name, nn.Conv2d(inner, outer, 3, padding=1))

    def forward(self, x):
        a, y = self.a(x), x
        for name in self.names:
            y = getattr(self, name)(y)
        return torch.cat([a, y], 1)


def net(**options):
    return nn.Sequential(nn.Conv2d(3, 3, 1), Flat(**options))


def branches(comparison):
    columns = ["change", "first_module", "first_branch", "second_branch", "params_growth"]
    return [tuple(row) for row in comparison.branches[columns].astype(object).itertuples(index=False)]


def test_layers_that_feed_one_another_are_one_branch():
    comparison = il.compare(net(), net(width=6), inputs=SHAPE)
    # two more channels in the middle: 2 x (9 x 3 + 1) before and 4 x 9 x 2 behind
    assert branches(comparison) == [
        ("unchanged", "0", "", "", 0),
        ("unchanged", "1", "", "", 0),
        ("unchanged", "1", "a", "a", 0),
        ("changed", "1", "b_1", "b_1", 2 * 28 + 72),
    ]


def test_a_branch_of_another_name_answers_by_its_layers():
    rows = branches(il.compare(net(), net(deep="deep"), inputs=SHAPE))
    assert rows[3] == ("renamed", "1", "b_1", "deep_1", 0)
    rows = branches(il.compare(net(), net(deep="deep", longer=True), inputs=SHAPE))
    assert rows[3] == ("changed", "1", "b_1", "deep_1", 4 * 36 + 4)


def test_a_module_that_is_added_has_a_row_for_each_branch():
    comparison = il.compare(nn.Sequential(nn.Conv2d(3, 3, 1)), net(), inputs=SHAPE)
    table = comparison.branches
    assert table["change"].tolist() == ["unchanged", "added", "added", "added"]
    assert table["second_branch"].tolist() == ["", "", "a", "b_1"]
    assert table["first_module"].isna().tolist() == [False, True, True, True]


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("other", ["googlenet_naive", "googlenet_v2", "inception_v2", "nin", "alexnet"])
def test_columns_add_up_to_the_totals_of_both_nets(mode, other):
    comparison = il.compare("googlenet", other, mode=mode)
    table = comparison.branches
    for metric in comparison.metrics:
        sums = [table[f"first_{metric}"].sum(), table[f"second_{metric}"].sum()]
        assert sums == comparison.totals[metric].tolist()
    keys = [[*zip(table[f"{s}_module"], table[f"{s}_branch"], strict=True)] for s in ("first", "second")]
    for pairs in keys:
        whole = [pair for pair in pairs if isinstance(pair[0], str)]
        assert len(set(whole)) == len(whole)


def test_the_costs_of_a_branch_are_those_of_the_analyzer():
    traces = [
        il.trace(il.create_model(name, device="meta"), (1, 3, 224, 224))
        for name in ("googlenet", "googlenet_v2")
    ]
    table = il.compare(*traces).branches.set_index(["first_module", "first_branch"])
    for side, trace in zip(("first", "second"), traces, strict=True):
        costs = il.branch_costs(trace).set_index(["module", "branch"])
        assert len(costs) == len(table)
        for key, row in costs.iterrows():
            assert table.loc[key, f"{side}_macs"] == row["macs"]
    grown = table[table["change"] == "changed"].index
    modules = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    assert set(grown) == {(f"inception{n}", "branch3") for n in modules}


def test_which_net_is_the_first_makes_no_difference():
    one, two = il.compare("googlenet", "googlenet_naive"), il.compare("googlenet_naive", "googlenet")
    pairs = {(row.first, row.second) for row in one.branch_rows()}
    assert pairs == {(row.second, row.first) for row in two.branch_rows()}


def test_json_has_branches_where_both_were_traced():
    record = il.summarise(il.trace(net(), SHAPE))
    assert len(il.compare(net(), net(), inputs=SHAPE).to_dict()["branches"]) == 4
    comparison = il.compare(record, il.trace(net(), SHAPE))
    assert "branches" not in comparison.to_dict()
    with pytest.raises(InceptionLabError, match="branches of a saved record are not known; compare models"):
        comparison.branches  # noqa: B018
    with pytest.raises(InceptionLabError, match="3 models are not compared module by module"):
        il.compare(record, record, record).branches  # noqa: B018
