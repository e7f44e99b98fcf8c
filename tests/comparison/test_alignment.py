"""Which module of one net answers to which of another, where that is obvious, and what always holds."""

import pytest
from hypothesis import given
from support.random_nets import NETS, rows_of

import inception_lab as il
from inception_lab.comparison.alignment import align
from inception_lab.comparison.module_tree import module_tree

CONV, RELU, BN, FC = "Conv2d", "ReLU", "BatchNorm2d", "Linear"


def tree(layers):
    """A net of layers by path, each a type or a type and a number of parameters."""
    typed = {path: (it, 0) if isinstance(it, str) else it for path, it in layers.items()}
    return module_tree({"layer": k, "type": t, "params": p} for k, (t, p) in typed.items())


def flat(pair):
    yield pair
    for child in pair.children:
        yield from flat(child)


def partners(first, second):
    """Paths of the innermost pairs, in order; None in the place of a missing partner."""
    return [
        tuple(node and node.path for node in (pair.first, pair.second))
        for pair in flat(align(tree(first), tree(second)))
        if not pair.children
    ]


def same(*paths):
    return [(path, path) for path in paths]


def test_a_layer_added_in_a_branch():
    first = {"stem": CONV, "m.b1.conv": CONV, "m.b2.conv": CONV, "fc": FC}
    second = {"stem": CONV, "m.b1.conv": CONV, "m.b1.bn": BN, "m.b2.conv": CONV, "fc": FC}
    assert partners(first, second) == [
        *same("stem", "m.b1.conv"), (None, "m.b1.bn"), *same("m.b2.conv", "fc")
    ]  # fmt: skip


def test_a_layer_removed_from_the_middle():
    first = {"a": CONV, "pool": "MaxPool2d", "b": CONV}
    assert partners(first, {"a": CONV, "b": CONV}) == [("a", "a"), ("pool", None), ("b", "b")]


def test_a_branch_that_is_renamed():
    first = {"m.b1.c": (CONV, 3), "m.b2.c": (CONV, 5), "m.b2.r": RELU}
    second = {"m.b1.c": (CONV, 3), "m.double.c": (CONV, 5), "m.double.r": RELU}
    assert partners(first, second) == [
        ("m.b1.c", "m.b1.c"), ("m.b2.c", "m.double.c"), ("m.b2.r", "m.double.r")
    ]  # fmt: skip


def test_a_branch_that_is_renamed_and_has_one_layer_more():
    first = {"m.b1.c": CONV, "m.b2.x": (CONV, 5), "m.b2.r": RELU}
    second = {"m.b1.c": CONV, "m.three.x": (CONV, 5), "m.three.r": RELU, "m.three.y": (CONV, 9)}
    assert partners(first, second)[1:] == [
        ("m.b2.x", "m.three.x"), ("m.b2.r", "m.three.r"), (None, "m.three.y")
    ]  # fmt: skip


def test_layers_that_are_widened():
    first = {"a": (CONV, 3), "b.0": (CONV, 4), "b.1": RELU, "b.2": (CONV, 5)}
    second = {"a": (CONV, 30), "b.0": (CONV, 40), "b.1": RELU, "b.2": (CONV, 50)}
    assert partners(first, second) == same("a", "b.0", "b.1", "b.2")


def test_numbers_of_a_sequential_are_places_and_not_names():
    first = {"f.0": (CONV, 3), "f.1": RELU, "f.2": (CONV, 9), "f.3": RELU}
    second = {"f.0": (CONV, 3), "f.1": BN, "f.2": RELU, "f.3": (CONV, 9), "f.4": BN, "f.5": RELU}
    assert partners(first, second) == [
        ("f.0", "f.0"), (None, "f.1"), ("f.1", "f.2"), ("f.2", "f.3"), (None, "f.4"), ("f.3", "f.5")
    ]  # fmt: skip


def test_of_equal_layers_in_a_sequential_those_of_one_number_answer_to_each_other():
    first, second = ({f"f.{n}": RELU for n in range(count)} for count in (2, 3))
    assert partners(first, second) == [*same("f.0", "f.1"), (None, "f.2")]


def test_branches_in_another_order_answer_by_name():
    first, second = {"a": CONV, "b": RELU, "c": FC}, {"b": RELU, "a": CONV, "c": FC}
    assert sorted(partners(first, second)) == same("a", "b", "c")


def test_a_layer_of_one_name_and_another_type_is_one_that_changed():
    assert partners({"pool": "MaxPool2d"}, {"pool": "AvgPool2d"}) == same("pool")


def test_a_layer_of_another_name_and_type_is_another_layer():
    assert partners({"a": CONV, "pool": RELU}, {"a": CONV, "gate": FC}) == [
        ("a", "a"), ("pool", None), (None, "gate")
    ]  # fmt: skip


def test_a_layer_answers_to_a_module_of_its_name():
    first, second = {"a": CONV, "conv": CONV}, {"a": CONV, "conv.c": CONV, "conv.n": BN}
    assert partners(first, second) == same("a", "conv")


def test_where_nothing_is_common_modules_answer_to_each_other_as_wholes():
    assert partners({"x": CONV, "m.a": RELU}, {"x": CONV, "m.b": FC}) == same("x", "m")


def test_a_sequential_of_thousands_of_layers_is_aligned_by_its_numbers():
    first, second = ({f"{n}": (CONV, n * step) for n in range(3000)} for step in (1, 2))
    assert partners(first, second) == same(*(f"{n}" for n in range(3000)))


def test_one_layer_between_hundreds_that_are_as_before():
    first = {f"f.{n}": (CONV, n) for n in range(300)}
    second = {f"f.{n if n < 100 else n + 1}": (CONV, n) for n in range(300)} | {"f.100": BN}
    second = dict(sorted(second.items(), key=lambda item: int(item[0][2:])))
    pairs = partners(first, second)
    assert (None, "f.100") in pairs
    assert ("f.99", "f.99") in pairs


@given(NETS, NETS)
def test_every_module_is_in_one_pair(net, other):
    trees = [module_tree(rows_of(it)) for it in (net, other)]
    pairs = list(flat(align(*trees)))
    for side, whole in enumerate(trees):
        inner = [(pair.first, pair.second)[side] for pair in pairs]
        paths = [node.path for node in inner if node is not None]
        assert len(set(paths)) == len(paths)
        # a module whose pair has no children stands for all that is in it
        wholes = [(p.first, p.second)[side] for p in pairs if not p.children]
        covered = {n.path for node in wholes if node is not None for n in node.nodes()} | set(paths)
        assert covered == {node.path for node in whole.nodes()}


@given(NETS)
def test_a_net_answers_to_itself(net):
    whole = module_tree(rows_of(net))
    pairs = list(flat(align(whole, module_tree(rows_of(net)))))
    assert [(p.first.path, p.second.path) for p in pairs] == [(n.path, n.path) for n in whole.nodes()]


@given(NETS, NETS)
def test_which_net_is_the_first_makes_no_difference(net, other):
    def pairs(one, two):
        nodes = (
            (pair.first, pair.second) for pair in flat(align(*map(module_tree, map(rows_of, (one, two)))))
        )
        return {tuple(node and node.path for node in pair) for pair in nodes}

    assert pairs(net, other) == {pair[::-1] for pair in pairs(other, net)}


@pytest.fixture(scope="module")
def zoo():
    names = ("googlenet", "googlenet_naive", "googlenet_v2")
    return {
        name: il.summarise(il.trace(il.create_model(name, device="meta"), (1, 3, 224, 224))).layers
        for name in names
    }


def test_the_naive_googlenet_branch_by_branch(zoo):
    pairs = flat(align(module_tree(zoo["googlenet"]), module_tree(zoo["googlenet_naive"])))
    paths = {(pair.first and pair.first.path, pair.second and pair.second.path) for pair in pairs}
    modules = [f"inception{n}" for n in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")]
    assert {(f"{m}.branch{n}", f"{m}.branch{n}") for m in modules for n in (1, 2, 3, 4)} <= paths
    assert ("conv2", "conv2") in paths


def test_v2_has_two_convolutions_in_place_of_a_5x5(zoo):
    pairs = [*flat(align(module_tree(zoo["googlenet"]), module_tree(zoo["googlenet_v2"])))]
    in_3a = {
        (p.first and p.first.path, p.second and p.second.path)
        for p in pairs
        if any(node.path.startswith("inception3a.branch3.") for node in p.nodes)
    }
    assert ("inception3a.branch3.reduce", "inception3a.branch3.reduce") in in_3a
    one_sided = [pair for pair in in_3a if None in pair]
    assert len(one_sided) == 1
    assert one_sided[0][0] is None
