"""Boxes of the map stand within each other, beside each other, and in order; for any net."""

from itertools import pairwise
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import inception_lab as il
from inception_lab.analyzers.dataflow import SOURCE, Flow, dataflow
from inception_lab.report.map.layout import HEADER, WIDEST_BAND, laid_out, stages
from inception_lab.report.map.units import Unit, units


@st.composite
def nets(draw, depth=3):
    """A box with boxes in it, each of which reads of earlier ones or of what comes from outside."""
    count = draw(st.integers(1, 5)) if depth else 0
    inner = tuple(draw(nets(depth=draw(st.integers(0, depth - 1)))) for _ in range(count))
    flows = []
    for target in range(count):
        sources = draw(st.sets(st.integers(SOURCE, target - 1), min_size=1, max_size=3))
        flows += [Flow(source, target, draw(st.integers(1, 64))) for source in sorted(sources)]
    name = draw(st.text("ab_1", min_size=1, max_size=12))
    channels, is_op = draw(st.integers(1, 64)), not inner and draw(st.booleans())
    return Unit(name, name, "Net", is_op, (1, channels, 4, 4), channels, (), inner, tuple(flows))


def zoo(name):
    trace = il.trace(il.create_model(name, device="meta"), (1, 3, 299, 299))
    return units(dataflow(trace), il.summarise(trace).layers)


ZOO = ("googlenet", "inception_v4", "inception_resnet_v2", "xception", "vgg16")


def everything(node):
    yield node
    for child in node.children:
        yield from everything(child)


def assert_in_order(root):
    for node in everything(root):
        for child in node.children:
            assert child.x >= 0
            assert child.x + child.width <= node.width
            assert child.y > HEADER
            assert child.y + child.height < node.height
        for number, child in enumerate(node.children):
            for other in node.children[:number]:
                beside = child.x + child.width < other.x or other.x + other.width < child.x
                below = other.y + other.height < child.y or child.y + child.height < other.y
                assert beside or below
        for number, band in enumerate(node.bands):
            target = node.children[band.target]
            assert 2 <= band.width <= WIDEST_BAND
            if band.source != SOURCE:
                source = node.children[band.source]
                assert source.y + source.height < target.y
            if (column := node.columns.get(number)) is not None:
                assert 0 <= column <= node.width


@settings(deadline=None, max_examples=200)
@given(nets())
def test_any_net(unit):
    assert_in_order(laid_out(unit))


@settings(deadline=None, max_examples=200)
@given(nets())
def test_stages_hold_each_box_and_are_cut_where_one_value_passes(unit):
    pieces = stages(unit)
    members = [
        sorted([number for number, _ in piece.lanes] + [piece.end] * (piece.end is not None))
        for piece in pieces
    ]
    assert [number for piece in members for number in piece] == [*range(len(unit.units))]
    for before, piece in pairwise(members):
        # what comes later reads of the last box before it alone
        earlier = {flow.source for flow in unit.flows if flow.target in piece and flow.source < piece[0]}
        assert earlier <= {before[-1]}
    for piece in pieces:
        columns = {lane for _, lane in piece.lanes} | {lane for _, lane in piece.skips}
        assert columns == {*range(piece.count)}


@pytest.mark.parametrize("name", ZOO)
def test_the_zoo(name):
    root = laid_out(zoo(name))
    assert_in_order(root)
    assert root.width < 900


def test_bands_of_a_concatenation_stand_side_by_side():
    root = laid_out(zoo("googlenet"))
    module = next(node for node in everything(root) if node.unit.layer == "inception3a" and node.children)
    joined = [band for band in module.bands if band.target == 4]
    edges = sorted((band.shift - band.width // 2, band.width) for band in joined)
    assert len(joined) == 4
    for (left, width), (following, _) in pairwise(edges):
        assert left + width == pytest.approx(following, abs=1)


def test_branches_have_a_column_each_and_chains_one():
    root = laid_out(zoo("googlenet"))
    module = next(node for node in everything(root) if node.unit.layer == "inception3a" and node.children)
    assert [stage.count for stage in module.stages] == [4]
    assert {stage.count for stage in root.stages} == {1}
    vgg = laid_out(zoo("vgg16"))
    assert {stage.count for node in everything(vgg) for stage in node.stages} == {1}


def test_a_residual_block_has_a_column_for_what_passes_by():
    root = laid_out(zoo("inception_resnet_v2"))
    block = next(node for node in everything(root) if node.unit.layer == "block_a1")
    assert sum(len(stage.skips) for stage in block.stages) == 1
    (column,) = block.columns.values()
    assert column > max(child.x + child.width for child in block.children if not child.unit.is_op)


def net_of(*flows):
    """As many boxes in a box as these flows lead to."""
    boxes = [box(str(number)) for number in range(1 + max(target for _, target in flows))]
    return box("net", boxes, [Flow(source, target, 8) for source, target in flows])


def box(name, boxes=(), flows=()):
    return Unit(name, name, "Net", False, (1, 8, 4, 4), 8, (), tuple(boxes), tuple(flows))


@pytest.mark.parametrize("name", ["x" * 500, "特征" * 100, "a\nb" * 99])
def test_a_long_name_loses_its_middle(name):
    drawn = laid_out(box("net", [box(name)]))
    assert drawn.width < 300
    assert drawn.children[0].unit.name == name
    assert len(drawn.children[0].unit.short_name.splitlines()) == 1


def test_what_all_later_boxes_read_has_one_column():
    dense = net_of(*[(source, target) for target in range(24) for source in range(SOURCE, target)])
    (stage,) = stages(dense)
    assert stage.count == 1 + 23  # the boxes, and what each but the last two passes on, and the input
    assert laid_out(dense).width < 1500


def test_a_value_that_nothing_stands_below_has_no_column():
    query, key, product, value, out, last = range(6)
    reads = [(SOURCE, query), (SOURCE, key), (SOURCE, value), (query, product), (key, product)]
    (stage,) = stages(net_of(*reads, (product, out), (value, out), (out, last), (SOURCE, last)))
    assert [number for number, _ in stage.skips] == [len(reads) + 3]  # the last
    assert stage.count == 4


def test_ten_thousand_boxes_are_laid_out_at_once():
    chain = net_of(*[(place - 1, place) for place in range(10_000)])
    start = perf_counter()
    assert len(laid_out(chain).stages) == 10_000
    assert perf_counter() - start < 3  # where each box looks at all flows, a minute


def test_a_unit_is_a_convolution_with_what_belongs_to_it():
    names = {unit.layer for unit in leaves_of(zoo("inception_v4")) if not unit.is_op}
    assert "conv1" in names  # convolution, normalisation, activation
    assert "conv1.conv" not in names


def leaves_of(unit):
    return [leaf for child in unit.units for leaf in leaves_of(child)] if unit.units else [unit]
