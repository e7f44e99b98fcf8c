"""The page of two nets: what stands opposite what, the figures, and that no name breaks out."""

import json
import re
from base64 import b64encode
from hashlib import sha256

import pytest
import torch
from support.hostile_names import NAMES_ON_PAGES, branched_net
from support.html_trees import XHTML, parsed, rows_of, text_of
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.record import Record
from inception_lab.report.html.comparison_page import comparison_page
from inception_lab.report.html.pair_table import MINUS, growth_percent, signed
from inception_lab.report.plots.wording import TIMES


def page_of(*subjects, **options):
    return comparison_page(il.compare(*subjects, **options))


@pytest.fixture(scope="module")
def comparison():
    return il.compare("googlenet", "googlenet_v2")


@pytest.fixture(scope="module")
def page(comparison):
    return comparison_page(comparison)


def table_of(page):
    return next(element for element in parsed(page).iter(f"{XHTML}table") if element.get("id") == "layers")


def test_modules_branches_and_layers_stand_opposite_each_other(page):
    rows = rows_of(table_of(page))
    start = next(number for number, row in enumerate(rows) if row[0] == "inception3a")
    # 5x5 of 16 to 32 channels at 28x28: 10,035,200 MACs; two 3x3 in its place: 3,612,672 + 7,225,344
    assert rows[start] == ["inception3a", "128 M", "+803 k +0.6 %", "129 M", "inception3a"]
    in_branch = [row for row in rows[start : start + 20] if row[0].startswith("branch3") or not row[0]][:6]
    assert in_branch == [
        ["branch3", "12.4 M", "+803 k +6.5 %", "13.2 M", "branch3"],
        ["branch3.reduce.conv", "2.41 M", "unchanged", "2.41 M", "branch3.reduce.conv"],
        ["branch3.reduce.relu", "0", "unchanged", "0", "branch3.reduce.relu"],
        ["branch3.conv5x5.conv", "10.0 M", f"{MINUS}6.42 M {MINUS}64 %", "3.61 M", "branch3.conv3x3_1.conv"],
        ["branch3.conv5x5.relu", "0", "unchanged", "0", "branch3.conv3x3_1.relu"],
        ["", "", "+7.23 M added", "7.23 M", "branch3.conv3x3_2.conv"],
    ]


def test_bars_are_parts_of_the_largest_module_with_what_both_have_apart(page):
    modules = [row for row in table_of(page).iter(f"{XHTML}tr") if row.get("class") == "mod"]
    cells = {text_of(row[0]): row for row in modules}
    lengths = [
        dict(re.findall(r"--(\w):([\d.]+)%", cells["inception3b"][place].get("style"))) for place in (1, 3)
    ]
    # conv2 is the largest: 346,816,512
    before, after = (100 * macs / 346_816_512 for macs in (304_267_264, 330_760_192))
    assert [float(one["p"]) for one in lengths] == pytest.approx([before, after], rel=0.01)
    assert [float(one["q"]) for one in lengths] == pytest.approx([before, before], rel=0.01)


def test_the_head_tells_totals_with_ratios(page):
    tree = parsed(page)
    cards = [text_of(card) for card in tree.iter(f"{XHTML}dl") for card in card]
    # 1,582,671,872 and 1,639,721,984
    assert cards[0] == f"MACs1.04{TIMES}1.58 G → 1.64 G+57.1 M"
    assert "1,582,671,872 → 1,639,721,984" in [value.get("title") for value in tree.iter(f"{XHTML}dd")]
    lead = next(text_of(element) for element in tree.iter(f"{XHTML}p") if element.get("class") == "lead")
    assert lead == (
        f"googlenet_v2 has 1.04{TIMES} the MACs, 1.04{TIMES} the parameters and 1.03{TIMES} the peak memory "
        "of googlenet. "
        "Of 21 modules, 9 changed, 12 unchanged. The largest growth is that of inception3b, +26.5 M MACs."
    )


def test_the_data_adds_up_to_the_records(page, comparison):
    (script,) = [e for e in parsed(page).iter(f"{XHTML}script") if e.get("type") == "application/json"]
    data = json.loads(script.text)
    assert [metric["name"] for metric in data["pair"]] == [*comparison.metrics]
    for metric in data["pair"]:
        for side, record in zip(("first", "second"), comparison.records, strict=True):
            assert len(metric[side]) == data["rows"]
            assert sum(metric[side]) == record.totals[metric["name"]]


def test_each_layer_is_in_one_branch_and_one_module(page):
    for kind in ("mod", "br"):
        numbers = [
            n
            for row in table_of(page).iter(f"{XHTML}tr")
            if row.get("class") == kind
            for n in row.get("data-rows").split()
        ]
        assert len(numbers) == len({*numbers})
    layers = {row.get("id") for row in table_of(page).iter(f"{XHTML}tr") if row.get("class") == "l"}
    modules = [row for row in table_of(page).iter(f"{XHTML}tr") if row.get("class") == "mod"]
    assert layers == {f"r{number}" for row in modules for number in row.get("data-rows").split()}


def test_nothing_but_the_one_script_may_run(page):
    scripts = [script.text for script in parsed(page).iter(f"{XHTML}script") if not script.get("type")]
    digest = b64encode(sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == 1
    assert f"script-src &#39;sha256-{digest}&#39;" in page
    assert not re.search(r'(?:src|href|srcset)="(?!#|data:)', page)


class Det(nn.Module):
    def forward(self, x):
        return torch.linalg.det(x)


@pytest.mark.parametrize(
    ("subjects", "options"),
    [
        ([nn.Linear(3, 2), nn.Sequential(nn.Linear(3, 4), nn.ReLU())], {"inputs": (1, 3)}),
        ([nn.Sequential(), nn.Linear(3, 2)], {"inputs": (1, 3)}),
        ([nn.Linear(3, 3), Det()], {"inputs": (1, 3, 3)}),
        ([nn.LSTM(4, 3), nn.LSTM(4, 5)], {"inputs": (5, 1, 4), "mode": "train", "optimizer": "adam"}),
        (["nin", "alexnet", "vgg16"], {}),
        (["inception-lab.lock#googlenet", "googlenet"], {}),
    ],
)
def test_any_models_have_a_page(subjects, options):
    tree = parsed(page_of(*subjects, **options))
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len({*ids})


def test_records_without_layers_have_totals_alone():
    context = {"model": "net", "mode": "eval", "input_shapes": [[1, 3]], "complete": True}
    first, second = (Record(context, {"params": size}, (), (), ()) for size in (4, 6))
    page = page_of(first, second, names=["a", "b"])
    assert "Layers have nothing to compare." in page
    assert f"b has 1.50{TIMES} the parameters of a." in page
    parsed(page)


def test_what_cannot_be_compared_is_said():
    traces = [il.trace(nn.Linear(3, 2), (size, 3), name=name) for size, name in ((1, "one"), (4, "four"))]
    page = page_of(*traces)
    notes = [text_of(e) for e in parsed(page).iter(f"{XHTML}p") if e.get("role") == "note"]
    assert notes
    assert notes[0].startswith("four differs from one: batch size 4, not 1; no ratios of MACs")
    assert f"four has 1{TIMES} the parameters" not in page


@pytest.mark.parametrize("name", NAMES_ON_PAGES)
def test_no_name_breaks_out(name):
    nets = branched_net(name.replace(".", "")), branched_net("other")
    tree = parsed(page_of(*nets, inputs=(1, 8, 6, 6), names=[f"net {name}", name]))
    assert [e.get("type") for e in tree.iter(f"{XHTML}script")] == ["application/json", None]
    assert not list(tree.iter(f"{XHTML}img"))
    shown = "".join(char if char.isprintable() else "\ufffd" for char in " ".join(name.split()))
    assert text_of(tree.find(f".//{XHTML}h1")).startswith(f"net {shown}".strip())


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (100, 112, "+12 %"),
        (100, 88, f"{MINUS}12 %"),
        (1000, 1004, "+0.4 %"),
        (100_000, 100_001, "+under 0.1 %"),
        (1, 10.99, "+999 %"),
        (1, 21.4, f"21.4{TIMES}"),
        (8, 0, f"{MINUS}100 %"),
    ],
)
def test_growth_in_percent(before, after, text):
    assert growth_percent(before, after) == text


def test_a_growth_has_its_sign():
    assert [signed(size, "activation_bytes") for size in (3 * 1024, -512)] == ["+3.00 KiB", f"{MINUS}512 B"]


def test_the_page_is_written_and_what_is_no_comparison_refused(tmp_path, comparison, page):
    path = il.write_comparison_page(comparison, tmp_path / "new" / "page.html")
    assert path.read_text(encoding="utf-8") == page
    with pytest.raises(InceptionLabError, match="a dict is not a comparison; pass il"):
        il.write_comparison_page(comparison.to_dict(), tmp_path / "page.html")
