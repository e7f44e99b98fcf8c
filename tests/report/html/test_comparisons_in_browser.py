"""The pages of two nets and of several models in a real browser: by mouse, by keyboard, without scripts."""

import pytest
from support.browser import browser, opened
from support.hostile_names import NAMES_ON_PAGES, branched_net
from support.report_nets import inception, net

import inception_lab as il
from inception_lab.report.html.comparison_page import comparison_page
from inception_lab.report.html.models_page import models_page
from inception_lab.report.html.pair_page import pair_page
from inception_lab.report.html.pair_table import PairTable
from inception_lab.report.write import write_comparison

NAMES = [*NAMES_ON_PAGES, "<img src=x onerror=hacked=1>", '"onfocus="hacked=1" autofocus x="', "net"]


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def comparison():
    return il.compare("googlenet", "googlenet_v2")


@pytest.fixture(scope="module")
def paths(tmp_path_factory, comparison):
    """The page of each kind."""
    folder = tmp_path_factory.mktemp("pages")
    pair = il.write_comparison_page(comparison, folder / "pair.html")
    records = [net(inception(n), f"model{n}").record for n in (2, 3, 1)]
    models = write_comparison(records, folder / "models").with_name("index.html")
    return {"pair": pair, "models": models}


@pytest.fixture
def page(chromium, paths):
    with opened(chromium, paths["pair"]) as (page, seen):
        yield page
        assert (seen.messages, seen.requests) == ([], [])


@pytest.fixture
def models(chromium, paths):
    with opened(chromium, paths["models"]) as (page, seen):
        yield page
        assert (seen.messages, seen.requests) == ([], [])


def shown(page, selector):
    return page.locator(selector).filter(visible=True).count()


def column(page, rows, number):
    """The texts of a column in the order on the page."""
    script = "(rows, n) => rows.map((row) => row.cells[n].textContent.trim())"
    return page.eval_on_selector_all(rows, script, number)


@pytest.mark.parametrize("name", ["pair", "models"])
@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_says_nothing_and_asks_for_nothing_and_fits(chromium, paths, name, scripts, width):
    with opened(chromium, paths[name], scripts=scripts, width=width, dark=scripts) as (page, seen):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("table").first.is_visible()
        assert (seen.messages, seen.requests) == ([], [])


@pytest.mark.parametrize("width", [390, 1280])
def test_without_scripts_everything_is_there_unfolded(chromium, paths, width):
    with opened(chromium, paths["pair"], scripts=False, width=width) as (page, _):
        # 141 layers of googlenet, and two more in each of its nine modules
        assert shown(page, "#layers tr.l") == 141 + 2 * 9
        assert shown(page, ".tools") == shown(page, ".fold") == 0
        row = page.locator("tr.mod", has_text="inception3b")
        assert row.locator("td.g").inner_text() == "+26.5 M +8.7 %"


def test_partners_stand_side_by_side(chromium, paths):
    for width in (390, 1280):
        with opened(chromium, paths["pair"], width=width) as (page, _):
            row = page.locator("tr.mod", has_text="inception3b")
            first, second = (row.locator(f":nth-child({place})").first.bounding_box() for place in (1, 5))
            assert first["y"] == second["y"]
            assert first["x"] + first["width"] <= second["x"]


def test_modules_start_folded_and_unfold_by_mouse_and_by_keyboard(page):
    assert shown(page, "#layers tr.mod") == 21
    assert shown(page, "#layers tr.l") == shown(page, "#layers tr.br") == 0
    fold = page.get_by_role("button", name="Layers of inception3a", exact=True)
    fold.click()
    # 14 layers of googlenet, and two more
    assert (shown(page, "#layers tr.br"), shown(page, "#layers tr.l")) == (4, 14 + 2)
    page.get_by_role("button", name="Layers of branch3", exact=True).first.press("Enter")
    assert shown(page, "#layers tr.l") == 14 + 2 - 6
    fold.press("Space")
    assert shown(page, "#layers tr.l") == 0
    page.locator("#table-unfold").click()
    assert shown(page, "#layers tr.l") == 159


def test_modules_sort_by_growth_and_back(page):
    in_order = column(page, "tr.mod", 0)
    head = page.locator("th[data-name=growth]")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    # 26.5, 16.1, 4.02, 2.41 ... M
    assert column(page, "tr.mod", 0)[:3] == ["inception3b", "inception4e", "inception5a"]
    growths = column(page, "tr.mod", 2)
    assert growths[-1] == "unchanged"
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, "tr.mod", 0)[-1] == "inception3b"
    head.get_by_role("button").press("Space")
    assert column(page, "tr.mod", 0) == in_order
    page.locator("th[data-name=second] button").click()
    assert column(page, "tr.mod", 0)[0] == "conv2"


def test_every_metric_is_written_as_the_tool_writes_it(page, comparison):
    page.locator("#table-unfold").click()
    for metric in [*reversed(comparison.metrics)]:
        page.locator("#metric").select_option(metric)
        rows = [row for group in PairTable(comparison.outline(), metric).groups for row in group]
        for place, side in ((1, 0), (3, 1)):
            texts = [row.bars[side].text if row.bars[side] else "" for row in rows]
            assert column(page, "#layers tbody tr", place) == texts
        growths = [f"{row.growth.text} {row.growth.note}".strip() for row in rows]
        assert column(page, "#layers tbody tr", 2) == growths
        heads = page.locator("#layers .metric").all_inner_texts()
        assert heads == [page.locator("#metric option:checked").inner_text()] * 2


def test_what_is_sorted_stays_sorted_by_another_metric(page):
    page.locator("th[data-name=growth] button").click()
    page.locator("#metric").select_option("params")
    growths = column(page, "tr.mod", 2)
    sizes = [float(text.split()[0]) for text in growths if text.startswith("+")]
    assert len(sizes) == 9
    assert sizes == sorted(sizes, reverse=True)


def test_colours_and_signs_tell_growth(page):
    page.locator("#table-unfold").click()
    for kind, sign in (("up", "+"), ("down", "\N{MINUS SIGN}")):
        texts = page.locator(f"#layers td.{kind}").all_inner_texts()
        assert texts
        assert {text[0] for text in texts} == {sign}
    colours = page.evaluate(
        "['up', 'down'].map((k) => getComputedStyle(document.querySelector(`td.${k}`)).color)"
    )
    assert len({*colours}) == 2


def test_it_filters(page):
    page.get_by_label("Filter").fill("conv3x3_2 added")
    assert page.locator("#count").inner_text() == "18 of 159 layers"
    assert shown(page, "#layers tr.mod") == shown(page, "#layers tr.br") == 9
    page.get_by_label("Filter").fill("")
    page.get_by_label("Only what changed").check()
    assert page.locator("#count").inner_text() == "27 of 159 layers"
    assert shown(page, "#layers tr.mod") == 9
    assert shown(page, "#layers tr.l") == 0
    page.locator("#table-unfold").click()
    assert shown(page, "#layers tr.br") == 9
    assert shown(page, "#layers tr.l") == 27
    page.get_by_label("Only what changed").press("Space")
    assert shown(page, "#layers tr.mod") == 21


def test_exact_figures_on_hover(page):
    row = page.locator("tr.mod", has_text="inception3b")
    for place, text in ((1, "304,267,264"), (2, "26,492,928"), (3, "330,760,192")):
        cell = row.locator("td").nth(place - 1)
        cell.hover()
        assert cell.get_attribute("title") == text
    page.locator("#metric").select_option("params")
    row.locator("td").first.hover()
    assert row.locator("td").first.get_attribute("title") == "388,736"


def test_models_sort(models):
    rows = ".sortable tbody tr"
    in_order = ["model2", "model3", "model1"]
    assert column(models, rows, 0) == in_order
    head = models.get_by_role("columnheader", name="MACs")
    head.get_by_role("button").click()
    assert column(models, rows, 0) == ["model3", "model2", "model1"]
    assert head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").press("Enter")
    assert column(models, rows, 0) == ["model1", "model2", "model3"]
    head.get_by_role("button").press("Enter")
    assert column(models, rows, 0) == in_order
    models.get_by_role("columnheader", name="Model", exact=True).get_by_role("button").click()
    assert column(models, rows, 0) == ["model1", "model2", "model3"]


def test_no_name_runs(chromium, tmp_path):
    """Two names of nets and one of a branch on each page, all of them on that of several models."""
    pages = [pair_of(names) for names in zip(NAMES, NAMES[1:], NAMES[2:], strict=False)][::3]
    records = [net(inception(1), name, note=name).record for name in NAMES]
    pages.append(models_page(records, {}, ["README.md"], NAMES))
    for number, text in enumerate(pages):
        path = tmp_path / f"{number}.html"
        path.write_text(text, encoding="utf-8")
        with opened(chromium, path) as (page, seen):
            page.locator("thead button").first.click()
            assert page.evaluate("typeof hacked") == "undefined"
            assert page.locator("footer").is_visible()
            assert (seen.messages, seen.requests) == ([], []), number


def pair_of(names):
    nets = branched_net(names[0].replace(".", "")), branched_net("other")
    return pair_page(il.compare(*nets, inputs=(1, 8, 6, 6), names=names[1:]))


def test_three_models_from_the_command_are_the_page_of_several(chromium, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(comparison_page(il.compare("nin", "alexnet", "googlenet")), encoding="utf-8")
    with opened(chromium, path) as (page, seen):
        assert column(page, ".sortable tbody tr", 0) == ["nin", "alexnet", "googlenet"]
        assert page.locator("figure svg").count() >= 2
        assert (seen.messages, seen.requests) == ([], [])
