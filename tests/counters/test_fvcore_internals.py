"""Private names of fvcore stand in one file, and a missing one is one clear line."""

import re
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import fvcore.nn
import pytest
from torch import nn

import inception_lab as il
from inception_lab.counters.fvcore_internals import ignored_operators, supported_operators

PACKAGE = Path(il.__file__).parent


def test_they_are_what_a_fvcore_of_its_own_counts_by():
    analysis = fvcore.nn.FlopCountAnalysis(nn.Linear(2, 3), ())
    assert dict(supported_operators()) == dict(analysis._op_handles)
    assert ignored_operators() == analysis._ignored_ops
    assert not ignored_operators() & supported_operators().keys()


@pytest.mark.parametrize(
    "name", ["fvcore.nn.flop_count._DEFAULT_SUPPORTED_OPS", "fvcore.nn.jit_analysis._IGNORED_OPS"]
)
def test_a_missing_one_is_one_line_and_the_other_counter_goes_on(monkeypatch, name):
    module, _, attribute = name.rpartition(".")
    monkeypatch.delattr(import_module(module), attribute)
    context = il.crosscheck(nn.Linear(4, 5), (2, 4)).record.context
    assert context["checked_by"] == ["FlopCounterMode"]
    hint = "install fvcore 0.1.5.post20221221, which does"
    assert context["not_run"] == {"fvcore": f"fvcore {version('fvcore')} does not have {name}; {hint}"}


def private_names(source):
    """The private names of fvcore that a source text refers to."""
    imports = re.findall(r"^from fvcore[\w.]* import (.*)$", source, re.MULTILINE)
    return [name for line in imports for name in re.findall(r"\b_\w+", line)] + re.findall(
        r"fvcore[\w.]*\._\w+|_DEFAULT_SUPPORTED_OPS|_IGNORED_OPS", source
    )


def test_no_other_file_refers_to_one():
    for path in PACKAGE.rglob("*.py"):
        if path.name != "fvcore_internals.py":
            assert private_names(path.read_text()) == [], path


@pytest.mark.parametrize(
    "source",
    ["from fvcore.nn.jit_analysis import _IGNORED_OPS", "x = fvcore.nn._private()", "y(_IGNORED_OPS)"],
)
def test_that_a_reference_would_be_found(source):
    assert private_names(source)
