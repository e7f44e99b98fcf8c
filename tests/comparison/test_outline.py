"""Two nets as an outline: each layer of both in one module, in order of execution."""

import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError

SHAPE = (1, 3, 8, 8)


class Block(nn.Module):
    """A 1x1 convolution beside two or more 3x3, which are layers of the block itself."""

    def __init__(self, width=4, names=("b_1", "b_2")):
        super().__init__()
        self.names = names
        self.a = nn.Conv2d(3, 4, 1)
        sizes = [3, *[width] * (len(names) - 1), 4]
        for name, inner, outer in zip(names, sizes[:-1], sizes[1:], strict=True):
            self.add_module(name, nn.Conv2d(inner, outer, 3, padding=1))

    def forward(self, x):
        y = x
        for name in self.names:
            y = getattr(self, name)(y)
        return torch.cat([self.a(x), y], 1)


class Net(nn.Module):
    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        for module in self.children():
            x = module(x)
        return x


def net(block=None, **more):
    return Net(stem=nn.Conv2d(3, 3, 1), mix=block or Block(), **more)


def names_of(rows, depth=9):
    """Names and change of each row, those within it behind them."""
    return [
        (
            row["first"],
            row["second"],
            row["change"],
            *([names_of(row["children"], depth - 1)] if depth else []),
        )
        for row in rows
    ]


def outline(first, second, **options):
    return il.compare(first, second, inputs=SHAPE, **options).outline()


def test_branches_and_layers_stand_within_their_module():
    rows = outline(net(), net(Block(width=6)))
    stem, mix = names_of(rows)
    assert stem == ("stem", "stem", "unchanged", [("stem", "stem", "unchanged", [])])
    layers = [("mix.b_1", "mix.b_1", "changed", []), ("mix.b_2", "mix.b_2", "changed", [])]
    assert mix[:3] == ("mix", "mix", "changed")
    assert ("b_1", "b_1", "changed", layers) in mix[3]
    assert ("a", "a", "unchanged", [("mix.a", "mix.a", "unchanged", [])]) in mix[3]


def test_costs_are_those_of_the_layers():
    _, mix = outline(net(), net(Block(width=6)))
    # two more channels in the middle: 2 x (9 x 3 + 1) before and 4 x 9 x 2 behind
    assert mix["second_costs"]["params"] - mix["first_costs"]["params"] == 2 * 28 + 72
    # 1x1 of 3 to 4, then 3x3 of 3 to 4 and of 4 to 4, at 64 pixels
    assert mix["first_costs"]["macs"] == 64 * (3 * 4 + 9 * 3 * 4 + 9 * 4 * 4)


def test_what_is_added_stands_where_it_runs_with_its_layers():
    plain, longer = (
        net(),
        Net(stem=nn.Conv2d(3, 3, 1), extra=Block(names=("c",)), neck=nn.Conv2d(8, 3, 1), mix=Block()),
    )
    added = names_of(outline(plain, longer), 1)
    assert [row[:3] for row in added[1:3]] == [(None, "extra", "added"), (None, "neck", "added")]
    assert {row[:3] for row in added} > {("stem", "stem", "unchanged"), ("mix", "mix", "unchanged")}
    assert {(name, change) for _, name, change in names_of(outline(plain, longer)[1]["children"], 0)} >= {
        ("a", "added"), ("c", "added")
    }  # fmt: skip
    removed = names_of(outline(longer, plain), 0)
    assert removed == [
        (second, first, change.replace("added", "removed")) for first, second, change, _ in added
    ]


def test_renamed_modules_have_both_names():
    rows = names_of(outline(net(), Net(stem=nn.Conv2d(3, 3, 1), mixed=Block())))
    assert rows[1][:3] == ("mix", "mixed", "renamed")
    # the module itself, which joins its branches, has another name too
    assert {row[:3] for row in rows[1][3]} == {
        ("mix", "mixed", "renamed"), ("a", "a", "unchanged"), ("b_1", "b_1", "unchanged")
    }  # fmt: skip


def test_a_layer_more_is_added_within_its_branch():
    _, mix = outline(net(), net(Block(names=("b_1", "b_2", "b_3"))))
    (branch,) = [row for row in mix["children"] if row["first"] == "b_1"]
    assert names_of(branch["children"], 0)[-1] == (None, "mix.b_3", "added")


def test_a_saved_record_has_the_branches_of_the_net(tmp_path):
    il.summarise(il.trace(net(), SHAPE)).save(tmp_path / "before.json")
    traced = il.trace(net(Block(width=6)), SHAPE)
    before, now = outline(net(), net(Block(width=6))), il.compare(tmp_path / "before.json", traced).outline()
    assert names_of(now) == names_of(before)
    alone = il.compare(tmp_path / "before.json", tmp_path / "before.json").outline()
    assert names_of(alone, 0) == [("stem", "stem", "unchanged"), ("mix", "mix", "unchanged")]
    assert {row["first"] for row in alone[1]["children"]} == {"mix", "mix.a", "mix.b_1", "mix.b_2"}


def layers(rows):
    return [layer for row in rows for layer in (layers(row["children"]) if row["children"] else [row])]


@pytest.mark.parametrize(
    "pair",
    [
        ("googlenet", "googlenet_v2"),
        ("inception_v3", "inception_v4"),
        ("googlenet_naive", "googlenet"),
        ("nin", "googlenet"),
    ],
)
def test_every_layer_of_both_nets_is_there_once(pair):
    comparison = il.compare(*pair)
    rows = comparison.outline()
    for side, record in zip(("first", "second"), comparison.records, strict=True):
        sums = {name: sum(row[f"{side}_costs"].get(name, 0) for row in rows) for name in comparison.metrics}
        assert sums == {name: record.totals[name] for name in comparison.metrics}
        paths = [layer[side] for layer in layers(rows) if layer[side] is not None]
        assert len(paths) == len({*paths})
        # and what computes in one net alone stands opposite its partner, which has no row
        assert {*paths} >= {row["layer"] for row in record.layers}


def test_modules_of_one_net_against_itself_are_unchanged():
    rows = il.compare("googlenet", "googlenet").outline()
    assert {row["change"] for row in layers(rows)} == {row["change"] for row in rows} == {"unchanged"}
    blocks = [row["first"] for row in rows if len(row["children"]) > 3]
    assert blocks == [f"inception{name}" for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")]
    assert [row["first"] for row in rows[9]["children"][1:]] == ["branch1", "branch2", "branch3", "branch4"]


def test_a_branch_whose_structure_is_another_answers_by_its_name():
    first, second = (Block(names=("b_1",)) for _ in range(2))
    first.b_1 = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU())
    second.b_1 = nn.MaxPool2d(1)
    _, mix = outline(net(first), net(second))
    (branch,) = [row for row in mix["children"] if row["first"] == "b_1"]
    assert (branch["second"], branch["change"]) == ("b_1", "changed")
    assert [row["change"] for row in branch["children"]] == ["removed", "removed", "added"]


def test_nets_without_common_structure_stand_one_behind_the_other():
    rows = outline(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), nn.Sequential(nn.Flatten()))
    changes = [row["change"] for row in layers(rows)]
    assert changes == ["removed", "removed", "added"]


def test_of_three_there_is_none():
    with pytest.raises(InceptionLabError, match="not compared module by module"):
        il.compare("nin", "nin", "nin").outline()
