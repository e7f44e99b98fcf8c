"""The page of several models: its table, its plots, its links and its warnings."""

import re

import pytest
from support.hostile_names import NAMES_ON_PAGES
from support.html_trees import XHTML, parsed, rows_of, text_of
from support.report_nets import inception, net

from inception_lab.errors import InceptionLabError
from inception_lab.report.html.models_page import models_page
from inception_lab.report.plots.wording import TIMES
from inception_lab.report.write import write_comparison

ERROR = {"top5_error": 6.67, "error_evaluation": "one crop", "family": "own"}


@pytest.fixture(scope="module")
def records():
    return [
        net(inception(1), "small").record,
        net(inception(3), "large", reconstructed=True, note="Read with care.").record.with_context(**ERROR),
    ]


def heads(table):
    return [text_of(head) for head in table.find(f"{XHTML}thead").iter(f"{XHTML}th")]


def table_of(tree):
    return next(tree.iter(f"{XHTML}table"))


def test_the_table_has_the_totals_with_units_and_bars(records):
    table = table_of(parsed(models_page(records, {})))
    rows = [dict(zip(heads(table), row, strict=True)) for row in rows_of(table)]
    assert [row["Model"] for row in rows] == ["small", "large *"]
    # stem 32000, modules of 6400 x n + 12800 + 1280 + 640, classifier 640
    assert [row["MACs"] for row in rows] == ["53.8 k", "115 k"]
    assert [row["Top-5 error"] for row in rows] == ["", "6.7 %"]
    assert "FLOPs" not in rows[0]
    titles = [cell.get("title") for cell in table.iter(f"{XHTML}td")]
    assert {"53,760", "115,200", "6.67"} <= {*titles}
    bar = next(cell.get("style") for cell in table.iter(f"{XHTML}td") if cell.get("title") == "53,760")
    assert float(re.search(r"--p:([\d.]+)%", bar)[1]) == pytest.approx(100 * 53_760 / 115_200, rel=0.01)


def test_the_lead_names_the_ends(records):
    tree = parsed(models_page(records, {}))
    lead = next(text_of(e) for e in tree.iter(f"{XHTML}p") if e.get("class") == "lead")
    assert f"MACs from 53.8 k (small) to 115 k (large *), 2.14{TIMES}" in lead


def test_what_has_to_be_known_of_a_model_is_said(records):
    text = text_of(parsed(models_page(records, {})).find(f"{XHTML}body"))
    assert "Read with care." in text
    assert "Top-5 error 6.67 %, one crop" in text
    assert "*: a reconstruction" in text


def test_a_partial_model_is_said_at_the_top(records):
    operation = {"name": "aten.det", "count": 3}
    partial = net(inception(1), "odd", uncounted_ops=[operation]).record
    header = text_of(next(parsed(models_page([*records, partial], {})).iter(f"{XHTML}header")))
    assert "Partial: the figures of odd leave out" in header
    assert "aten.det, ran 3 times" in header


def test_models_lead_to_their_pages(records, tmp_path):
    pages = [tmp_path / "small" / "index.html", tmp_path / "a b#c" / "index.html"]
    write_comparison(records, tmp_path / "comparison", pages=pages)
    tree = parsed((tmp_path / "comparison" / "index.html").read_text(encoding="utf-8"))
    links = [link.get("href") for link in table_of(tree).iter(f"{XHTML}a")]
    assert links == ["../small/index.html", "../a%20b%23c/index.html"]
    figures = [text_of(figure) for figure in tree.iter(f"{XHTML}figcaption")]
    assert len(figures) == len([*(tmp_path / "comparison").glob("*.svg")]) == 3
    files = {link.get("href") for link in tree.iter(f"{XHTML}a")} - {*links}
    assert {"README.md", "comparison.csv", "comparison.json"} <= files
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len({*ids})


@pytest.mark.parametrize("pages", [["one.html"], "index.html", None])
def test_there_is_a_page_for_each_model_or_for_none(records, tmp_path, pages):
    with pytest.raises(InceptionLabError, match="give a page for each"):
        write_comparison(records, tmp_path / "comparison", pages=pages)


def test_one_model_has_a_page(records):
    tree = parsed(models_page(records[:1], {}))
    assert text_of(tree.find(f".//{XHTML}h1")) == "1 model side by side"


@pytest.mark.parametrize("name", NAMES_ON_PAGES)
def test_no_name_breaks_out(records, name):
    tree = parsed(models_page([records[0].with_context(model=name, note=name), records[1]], {}))
    assert [e.get("type") for e in tree.iter(f"{XHTML}script")] == ["application/json", None]
    assert not list(tree.iter(f"{XHTML}img"))
    shown = "".join(char if char.isprintable() else "\ufffd" for char in " ".join(name.split()))
    assert rows_of(table_of(tree))[0][0] == shown
