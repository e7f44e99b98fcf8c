"""The rows and columns of a table that someone wants to see."""

import pytest

from inception_lab.errors import InceptionLabError
from inception_lab.report.terminal import Screen
from inception_lab.report.view import Layout, View, table_text

ROWS = [
    {"layer": "conv1", "shape": (1, 64, 112, 112), "params": 9472, "macs": 118013952, "field": [7, 7]},
    {"layer": "pool1", "shape": (1, 64, 56, 56), "params": 0, "macs": 0, "field": [11, 11]},
    {"layer": "conv2", "shape": (1, 192, 56, 56), "params": 110784, "macs": 346816512, "field": [19, 19]},
    {"layer": "fc", "shape": (1, 1000), "params": 1025000, "macs": 1024000},
]
LAYOUT = Layout(("layer", "shape", "params", "macs"), "macs", ("share", "params"), ("macs", "params"))


def shown(view=None, layout=LAYOUT, rows=ROWS):
    """The lines of a table."""
    return table_text(rows, layout, view or View()).splitlines()


def layers(view, layout=LAYOUT):
    """The first words of its rows."""
    lines = shown(view, layout)
    start = next(n for n, line in enumerate(lines) if line.startswith(("---", "| :---")))
    return [line.strip("| ").split()[0] for line in lines[start + 1 :] if line]


def test_figures_are_short_and_the_main_metric_has_its_share():
    assert shown() == [
        "Layer  Shape         Parameters    MACs  Share of MACs",
        "-----  ------------  ----------  ------  -------------",
        "conv1  1x64x112x112      9.47 k   118 M  25.3 % █▊",
        "pool1  1x64x56x56           0       0",
        "conv2  1x192x56x56        111 k   347 M  74.4 % █████",
        "fc     1x1000            1.02 M  1.02 M   0.2 % ▏",
    ]


def test_wide_and_markdown_are_exact():
    assert "346,816,512" in "".join(shown(View(wide=True, screen=Screen(20))))
    assert "| conv2 | 1x192x56x56 | 110,784 | 346,816,512 |" in shown(View("markdown"))
    assert "Share" not in "".join(shown(View(wide=True)) + shown(View("markdown")))


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_rows_are_sorted_by_any_metric_the_largest_first(form):
    assert layers(View(form, sort="params")) == ["fc", "conv2", "conv1", "pool1"]
    # of a size its area, and what has none comes last
    assert layers(View(form, sort="field")) == ["conv2", "pool1", "conv1", "fc"]


def test_the_share_is_that_of_the_metric_that_sorts():
    assert "Share of parameters" in " ".join(shown(View(sort="params", screen=Screen(120)))[0].split())


def test_the_largest_rows_alone_and_what_they_leave():
    assert layers(View(top=2))[:2] == ["conv2", "conv1"]
    assert shown(View(top=2))[-1] == "and 2 more with 0.2 % of MACs"
    assert shown(View(top=1, sort="params"))[-1] == "and 3 more with 10.5 % of parameters"
    assert shown(View(top=3, sort="field"))[-1] == "and 1 more"
    assert not any(line.startswith("and") for line in shown(View(top=4)))


def test_a_table_of_the_largest_says_how_to_see_the_others():
    layout = Layout(LAYOUT.columns, "macs", sums=("macs",), most=3)
    assert shown(layout=layout)[-1] == "and 1 more with 0.0 % of MACs; --top 4 shows them"
    assert layers(View(top=4), layout) == ["conv2", "conv1", "fc", "pool1"]


def test_columns_are_those_that_are_wanted_in_their_order():
    assert shown(View(columns=("macs", "layer", "share")))[0] == "  MACs  Layer  Share of MACs"
    assert shown(View(columns=("layer", "field")))[2] == "conv1  7x7"
    assert shown(View(columns=("layer", "share"), wide=True))[2] == "conv1      25.33"


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ({"columns": ("layr",)}, r"no column 'layr'; did you mean layer"),
        ({"sort": "param"}, r"no metric 'param' to sort by; did you mean params"),
        ({"sort": "layer"}, r"no metric 'layer' to sort by; known: field, macs, params"),
    ],
)
def test_a_name_that_is_not_there_is_refused_with_the_nearest(view, message):
    with pytest.raises(InceptionLabError, match=message):
        shown(View(**view))


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("choice", [{"sort": "macs"}, {"top": 3}, {"columns": ("macs",)}])
def test_forms_for_programs_hold_everything(form, choice):
    (name,) = choice
    with pytest.raises(InceptionLabError, match=f"{form} holds every row and column; leave out --{name}"):
        View(form, **choice)
    assert View(form, wide=True).form == form


def test_nothing_to_share_is_no_share():
    rows = [{"layer": "relu", "shape": (1, 3), "params": 0, "macs": 0}]
    assert "Share" not in "".join(shown(rows=rows))
    assert shown(View(top=1), rows=[]) == shown(rows=[])
    assert shown(rows=[])[0] == "Layer  Shape  Parameters  MACs"
