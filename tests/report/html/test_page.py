"""The page as HTML: valid, complete without a script, small, and harmless whatever layers are called."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
import torch
from support.hostile_names import NAMES_ON_PAGES, branched_net
from support.html_trees import SVG, XHTML, parsed, text_of
from support.report_pages import page_of, page_of_contents, page_of_zoo
from torch import nn

import inception_lab as il
from inception_lab.metrics import format_quantity
from inception_lab.report.collect import collect


@pytest.fixture(scope="module")
def googlenet():
    return page_of_zoo("googlenet")


@pytest.fixture(scope="module", params=["eval", "train"])
def either(request, googlenet):
    return googlenet if request.param == "eval" else page_of_zoo("googlenet", mode="train", optimizer="adam")


def test_it_is_valid_and_small(either):
    parsed(either)
    assert len(either.encode()) < 300_000


def test_ids_are_unique_and_links_lead_to_them(either):
    tree = parsed(either)
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    links = [element.get("href") for element in tree.iter() if (element.get("href") or "").startswith("#")]
    assert len(links) > 70
    assert {link[1:] for link in links} <= set(ids)
    references = re.findall(r"url\(#([^)]*)\)", either)
    assert references
    assert set(references) <= set(ids)


def test_the_table_has_every_layer_and_sums_of_modules(googlenet):
    record = il.summarise(il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224)))
    table = next(e for e in parsed(googlenet).iter(f"{XHTML}table") if e.get("id") == "layers")
    rows = {
        row.get("id"): [text_of(cell) for cell in row] for row in table.iter(f"{XHTML}tr") if row.get("id")
    }
    heads = [text_of(head) for head in table.find(f"{XHTML}thead").iter(f"{XHTML}th")]
    for number, layer in enumerate(record.layers):
        cells = dict(zip(heads, rows[f"r{number}"], strict=True))
        assert layer["layer"].endswith(cells["Layer"])
        assert (cells["Type"], cells["MACs"]) == (layer["type"], format_quantity(layer["macs"]))
        assert cells["Parameters"] == format_quantity(layer["params"])
    modules = {cells[0]: cells[heads.index("MACs")] for key, cells in rows.items() if key.startswith("m")}
    assert modules["inception3a"] == format_quantity(128_049_152)  # 9.63 + 101 + 12.4 + 4.82 M


def test_the_data_stands_once_and_is_exact(googlenet):
    (script,) = [e for e in parsed(googlenet).iter(f"{XHTML}script") if e.get("type") == "application/json"]
    data = json.loads(script.text)
    metrics = {metric["name"]: metric for metric in data["metrics"]}
    assert sum(metrics["macs"]["values"]) == 1_582_671_872
    assert sum(metrics["params"]["values"]) == 6_998_552
    assert max(metrics["receptive_field"]["values"]) == 715
    assert len(metrics["macs"]["values"]) == data["rows"]
    rows = [row for box in data["boxes"] for row in box["r"]]
    assert sorted(rows) == [*range(data["rows"])]


def test_nothing_but_the_one_script_may_run(googlenet):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', googlenet)[1].replace("&#39;", "'")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", rules["script-src"])
    assert "http" not in policy
    assert not re.search(r'(?:src|href|srcset)="(?!#|data:|README\.md|layers\.csv)', googlenet)


@pytest.mark.parametrize("name", NAMES_ON_PAGES)
def test_no_name_breaks_out(name):
    page = page_of(branched_net(name.replace(".", "")), (1, 8, 6, 6), name=f"net {name}", plots=False)
    tree = parsed(page)
    assert [e.get("type") for e in tree.iter(f"{XHTML}script")] == ["application/json", None]
    assert not list(tree.iter(f"{XHTML}img"))
    shown = "".join(char if char.isprintable() else "\ufffd" for char in " ".join(name.split()))
    assert text_of(tree.find(f".//{XHTML}h1")) == f"net {shown}".strip()


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Linear(3, 2), (1, 3)),
        (nn.Sequential(), (1, 3)),
        (nn.TransformerEncoderLayer(8, 2, batch_first=True), (2, 5, 8)),
        (nn.Conv3d(1, 2, 3), (1, 1, 5, 6, 7)),
        (nn.LSTM(4, 3), (5, 1, 4)),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_any_net_has_a_page(model, shape, mode):
    totals = il.summarise(il.trace(model, shape, mode=mode)).totals
    tree = parsed(page_of(model, shape, mode=mode, plots=False))
    cards = {text_of(card[0]): card[1].get("title") for card in tree.find(f".//{XHTML}dl")}
    assert cards["Parameters"] == f"{sum(p.numel() for p in model.parameters()):,}"
    assert cards["MACs"] == f"{totals['macs']:,}"


def test_contents_that_a_test_makes_up_have_a_page(weird):
    tree = parsed(page_of_contents(weird))
    assert text_of(tree.find(f".//{XHTML}h1")) == weird.record.context["model"]
    assert tree.find(f".//{XHTML}section[@id='holds']") is not None


class Halves(nn.Module):
    """Two outputs, and a scalar of them."""

    def __init__(self):
        super().__init__()
        self.layer, self.inner = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))

    def forward(self, x):
        first, second = self.layer(self.inner(x)).split(2, 1)
        return (first * second).sum(), first


def test_boxes_tell_all_their_outputs():
    tree = parsed(page_of(Halves(), (1, 4), plots=False))
    titles = [text_of(title) for title in tree.iter(f"{SVG}title")]
    for start in (
        "(model), Halves output a single number, and 1 more",
        "inner, Sequential output 1x4",
        "split in (model) output 1x2, and 1 more",
        "mul in (model) output 1x2",
        "sum in (model) output a single number",
    ):
        assert any(f"{title} ".startswith(f"{start} ") for title in titles), start


class Skip(nn.Module):
    """A value that passes a layer by."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        return self.second(self.first(x)) + x


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)), "2 layers in 2 modules, one behind the other."),
        (Skip(), "3 layers in 3 modules."),
    ],
)
def test_only_a_chain_is_called_one(model, text):
    tree = parsed(page_of(model, (1, 3), plots=False))
    section = next(e for e in tree.iter(f"{XHTML}section") if e.get("id") == "made")
    assert text_of(section.find(f"{XHTML}p")) == text


def test_a_partial_record_says_so():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.det(x)

    contents = collect(il.trace(Odd(), (1, 3, 3)))
    if contents.record.context["complete"]:
        pytest.skip("this PyTorch has a formula for it")
    page = page_of_contents(contents)
    assert "Partial:" in page
    assert contents.record.uncounted_ops[0]["name"] in page


def test_the_largest_net_of_the_zoo():
    page = page_of_zoo("inception_resnet_v2", (1, 3, 299, 299), mode="train", optimizer="adam")
    assert len(page.encode()) < 1_500_000
    parsed(page)


def test_the_map_is_svg_that_any_reader_takes(googlenet):
    svg = re.search(r'<svg id="map".*?</svg>', googlenet, re.DOTALL)[0]
    tree = ET.fromstring(svg)
    titles = [title.text for title in tree.iter("title")]
    assert any(
        text.startswith("inception3a.branch3.conv5x5, ") and "MACs 10.0 M (" in text for text in titles
    )
    assert any("sees 59 at stride 8" in text for text in titles)


def test_changes_since_a_record_have_signs_and_units():
    class Net(nn.Sequential):
        def __init__(self, kernel):
            super().__init__()
            self.wide, self.same = nn.Conv2d(3, 8, kernel, padding=kernel // 2), nn.Conv2d(8, 8, 1)

    before, after = (il.trace(Net(kernel), (1, 3, 4, 4), name="net") for kernel in (5, 3))
    changes = il.compare(before, after).to_dict()
    page = page_of_contents(replace(collect(after), changes=changes), plots=False)
    (section,) = [e for e in parsed(page).iter(f"{XHTML}section") if e.get("id") == "changes"]
    (row,) = [[text_of(cell) for cell in row] for body in section.iter(f"{XHTML}tbody") for row in body]
    # 3 x 8 weights at each of 25 - 9 places, at each of 16 pixels
    assert row == ["changed", "wide", "\N{MINUS SIGN}384", "\N{MINUS SIGN}6.14 k"]
    heads = [text_of(cell) for cell in section.iter(f"{XHTML}th")]
    assert heads[:4] == ["Change", "Module", "Parameters", "MACs"]
