"""LaTeX that compiles: held against a strict reader, names of all kinds included."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hostile_names import HOSTILE_NAMES, branched_net
from support.latex_structure import faults

import inception_lab as il
from inception_lab.worksheets.formats.latex import escape_latex

BODY = r"\begin{document}%s\end{document}"


@pytest.fixture(scope="module")
def inception3a():
    trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224), name="googlenet")
    return il.render_worksheet(il.worksheet(trace, "inception3a"), "latex")


def test_the_famous_line(inception3a):
    assert (
        r"\text{multiplies} &= 28 \times 28 \times 32\text{ outputs} \times 5 \times 5 \times 192"
        r"\text{ inputs each} = 120{,}422{,}400 \\" in inception3a
    )
    assert r"branch3 & 120,422,400 & 12,443,648 & 9.68 \\" in inception3a


def test_its_structure_is_sound(inception3a):
    assert faults(inception3a) == []
    assert inception3a.startswith(r"\documentclass{article}")
    assert inception3a.endswith("\\end{document}\n")


@pytest.mark.parametrize("name", ["inception_v3", "xception", "alexnet"])
def test_a_whole_model_is_sound(name):
    side = 299 if name != "alexnet" else 224
    trace = il.trace(il.create_model(name, device="meta"), (1, 3, side, side), name=name)
    document = il.render_worksheet(il.worksheet(trace, "(model)"), "latex")
    assert faults(document) == []
    # a display does not break by itself: lines of more terms would leave the page
    assert max(line.count(" + ") for line in document.splitlines()) <= 4


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
def test_hostile_names_are_printed_and_not_run(name):
    trace = il.trace(branched_net(name), (1, 8, 6, 6), name=name)
    document = il.render_worksheet(il.worksheet(trace, "(model)"), "latex")
    assert faults(document) == []
    assert document.count(r"\end{document}") == document.count(r"\begin{document}") == 1


@given(st.text(max_size=30))
def test_any_text_is_escaped(text):
    assert faults(BODY.replace("%s", escape_latex(text))) == []
    row = "\\begin{tabular}{lrrr}\na & 1 & 2 & 3 \\\\\n%s & 1 & 2 & 3 \\\\\n\\end{tabular}"
    assert faults(BODY.replace("%s", row.replace("%s", escape_latex(text)))) == []


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_what_is_printed_is_the_text(text):
    """The escapes are undone by a table of their own, written from the manual."""
    printed = escape_latex(text)
    for command, character in {
        "textbackslash": "\x00", "textasciitilde": "~", "textasciicircum": "^", "textless": "<",
        "textgreater": ">", "textbar": "|",
    }.items():  # fmt: skip
        printed = printed.replace(rf"\{command}{{}}", character)
    printed = re.sub(r"\{([\[\]*`-])\}", r"\1", printed)
    assert re.sub(r"\\([{}$&#%_])", r"\1", printed).replace("\x00", "\\") == text.replace('"', "''")


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("{", "closes what is not open"),
        (r"\begin{align*}a &= b", "closes what is not open"),
        (r"\begin{align*}a &= b & c\end{align*}", "3 cells end align*"),
        ("\\begin{align*}a &= b\n\n\\end{align*}", "a display is broken"),
        ("\\begin{tabular}{lrrr}\na & b \\\\\n\\end{tabular}", "2 cells in a line of tabular"),
        ("\\begin{tabular}{lrrr}\na&b&c&d \\\\\n[x]&b&c&d \\\\\n\\end{tabular}", "a line break takes"),
        ("50%", "% is not escaped"),
        ("a_b", "_ is not escaped"),
        (r"\input{x}", r"\input in document"),
        ("é", "outside of ASCII"),
        ("$x", "not closed"),
        ("a & b", "& outside of a table"),
        ("}", "a brace closes what is not open"),
    ],
)
def test_the_reader_finds_faults(body, fault):
    assert fault in " ".join(faults(BODY.replace("%s", body)))
