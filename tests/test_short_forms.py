"""Results at a prompt and in a notebook: a line, a small table, and no harm from hostile names."""

import re
from xml.etree import ElementTree

import pytest
import torch

import inception_lab as il

HOSTILE = "<script>alert(1)</script>\n\x1b[31m\udcff" + "x" * 10_000


@pytest.fixture(scope="module")
def trace():
    return il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224), name="googlenet")


def test_a_trace_is_one_line(trace):
    line = "<Trace of googlenet, input 1x3x224x224, eval: {} calls, {} ops, 1.58 G MACs>"
    assert repr(trace) == line.format(len(trace.calls), len(trace.ops))


def test_the_macs_of_a_training_step_are_those_of_its_forward():
    step = il.trace(torch.nn.Linear(1000, 1000), (7, 1000), mode="train", optimizer="sgd")
    assert repr(step).endswith(" 7.00 M MACs>")
    assert "train" in repr(step)


def test_a_record_is_one_line(trace):
    record = il.summarise(trace)
    layers = len(record.layers)
    assert repr(record) == (
        f"<Record of googlenet, input 1x3x224x224, eval: {layers} layers, 7.00 M parameters, 1.58 G MACs, "
        "36.5 MiB peak memory>"
    )
    assert repr(il.Record({}, {}, (), (), ())) == "<Record of ?, input none, ?: 0 layers>"


@pytest.mark.parametrize("shapes", [None, [], [5], "text", [[1, "<b>"]], [[1, 2]] * 1000])
def test_any_context_has_a_line(shapes):
    record = il.Record({"model": HOSTILE, "input_shapes": shapes, "mode": None}, {"macs": 3}, (), (), ())
    assert repr(record).isprintable()
    assert len(repr(record)) < 300
    ElementTree.fromstring(record._repr_html_())


def test_hostile_names_are_harmless():
    hostile = il.trace(torch.nn.Linear(2, 2), (1, 2), name=HOSTILE)
    for result in (hostile, il.summarise(hostile)):
        assert repr(result).isprintable()
        html = result._repr_html_()
        assert "<script" not in html
        html.encode()
        # well-formed, of table elements without attributes: nothing is loaded from anywhere
        assert {element.tag for element in ElementTree.fromstring(html).iter()} == {
            "table",
            "caption",
            "tr",
            "th",
            "td",
        }
        assert not re.search(r"<\w+ ", html)


def test_a_saved_record_is_read_again(trace, tmp_path):
    record = il.summarise(trace)
    record.save(tmp_path / "new" / "record.json")
    assert il.Record.load(tmp_path / "new" / "record.json") == record
    assert (tmp_path / "new" / "record.json").read_text() == record.to_json()


def test_a_record_that_cannot_be_written_is_one_line(trace):
    with pytest.raises(il.InceptionLabError, match=r"/dev/null/record\.json: cannot be written"):
        il.summarise(trace).save("/dev/null/record.json")
