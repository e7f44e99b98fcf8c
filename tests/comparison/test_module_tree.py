"""The tree of modules that the rows of a record stand for."""

import pytest
from hypothesis import given
from support.random_nets import NETS, rows_of

from inception_lab.comparison.module_tree import ROOT, module_tree
from inception_lab.errors import InceptionLabError


@given(NETS)
def test_every_row_has_a_module_and_the_root_has_all_costs(net):
    rows = list(rows_of(net))
    tree = module_tree(rows)
    by_path = {node.path: node for node in tree.nodes()}
    assert len(by_path) == len(list(tree.nodes()))
    for row in rows:
        node = by_path[row["layer"]]
        assert (node.type, node.own) == (row["type"], {"params": row["params"], "macs": row["macs"]})
    assert tree.costs == {m: sum(row[m] for row in rows) for m in ("params", "macs")}
    assert list(tree.layer_types) == [row["type"] for row in rows]


def test_children_stand_in_order_of_execution_and_calls_are_added_up():
    rows = [
        {"layer": "b.2", "type": "Conv2d", "macs": 5, "output_shape": [1, 2]},
        {"layer": "a", "type": "ReLU", "macs": 0},
        {"layer": "b.1", "type": "Conv2d", "macs": 7},
        {"layer": "b.2", "call": 1, "type": "Conv2d", "macs": 50, "output_shape": [3, 4]},
        {"layer": ROOT, "type": "Net", "macs": 1},
    ]
    tree = module_tree(rows)
    assert [node.path for node in tree.nodes()] == [ROOT, "b", "b.2", "b.1", "a"]
    container, called_twice = list(tree.nodes())[1:3]
    assert (container.type, container.own, container.costs) == ("", None, {"macs": 62})
    assert (called_twice.own, called_twice.output_shape) == ({"macs": 55}, (1, 2))
    assert (tree.own, tree.costs) == ({"macs": 1}, {"macs": 63})


def test_content_is_of_structure_types_and_parameters_alone():
    def content(**layers):
        return module_tree({"layer": k, "type": t, "params": p} for k, (t, p) in layers.items()).content

    assert content(a=("Conv2d", 3)) == content(b=("Conv2d", 3))
    assert content(a=("Conv2d", 3)) != content(a=("Conv2d", 4))
    assert content(a=("Conv2d", 3)) != content(a=("Linear", 3))
    assert content(**{"a.b": ("Conv2d", 3)}) != content(a=("Conv2d", 3))


def test_a_path_of_thousands_of_levels_is_taken():
    path = ".".join(["a"] * 5000)
    tree = module_tree([{"layer": path, "type": "Conv2d", "macs": 3}])
    *_, last = tree.nodes()
    assert (last.path, tree.costs) == (path, {"macs": 3})
    assert last.name.count("a") > 4000


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "a layer without a path"),
        ({"layer": 3}, "a layer without a path"),
        ({"layer": "a", "type": None}, "a layer without a path or a type"),
        ({"layer": "a", "macs": "1"}, "macs of 'a' is not a finite number"),
        ({"layer": "a", "macs": True}, "macs of 'a' is not a finite number"),
        ({"layer": "a", "macs": float("nan")}, "macs of 'a' is not a finite number"),
        ({"layer": "a", "macs": 10**400}, "macs of 'a' is not a finite number"),
        ({"layer": "a", "macs": None}, "macs of 'a' is not a finite number"),
    ],
)
def test_a_damaged_row_is_refused(row, message):
    with pytest.raises(InceptionLabError, match=message):
        module_tree([row])


@pytest.mark.parametrize("shape", [None, 3, "3x4", [1, None], [[1]]])
def test_a_shape_that_is_none_is_empty(shape):
    assert module_tree([{"layer": "a", "output_shape": shape}]).children[0].output_shape == ()
