"""The page in a real browser: by mouse, by keyboard, without scripts, on a phone, with hostile names."""

import re
from collections import OrderedDict

import pytest
import torch
from support.browser import browser, expect, opened
from support.hostile_names import HOSTILE_NAMES, branched_net
from support.report_pages import page_of, page_of_zoo
from torch import nn

import inception_lab as il
from inception_lab.metrics import format_quantity
from inception_lab.report.collect import collect
from inception_lab.report.plots import MODEL_PLOTS

HOSTILE = [
    *HOSTILE_NAMES, "<script>hacked=1</script>", "</script><script>hacked=1</script>", "=1+1", "🙂",
    "<img src=x onerror=hacked=1>", "\"onfocus=\"hacked=1\" autofocus x=\"", "javascript:hacked=1", "{{7*7}}",
]  # fmt: skip


@pytest.fixture(scope="module")
def chromium():
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Pages by name, written once."""
    folder, written = tmp_path_factory.mktemp("pages"), {}

    def path(name):
        if name not in written:
            shape = (1, 3, 299, 299) if name.startswith("inception") else (1, 3, 224, 224)
            written[name] = folder / f"{name}.html"
            written[name].write_text(page_of_zoo(name, shape), encoding="utf-8")
        return written[name]

    return path


@pytest.fixture
def page(chromium, paths):
    with opened(chromium, paths("googlenet")) as (page, seen):
        yield page
        assert (seen.messages, seen.requests) == ([], [])


def nested_net():
    """A module in a module in a model, with more in it than one box shows."""
    return nn.Sequential(OrderedDict(outer=nn.Sequential(OrderedDict(inner=chain(), last=chain()))))


def fill_of(box):
    return box.locator("rect").evaluate("rect => getComputedStyle(rect).fill")


def chain():
    return nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1))


class Scores(nn.Module):
    """The product of a layer's output with itself, as scores of attention are."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        x = self.layer(x)
        return x @ x.transpose(-1, -2)


def shown(page, selector):
    """The number of these that can be seen."""
    return page.locator(selector).filter(visible=True).count()


def figures(page, column):
    """The column of the modules' rows, in the order on the page."""
    return page.eval_on_selector_all(
        "#layers tr.mod", "(rows, column) => rows.map((row) => row.cells[column].textContent.trim())", column
    )


@pytest.mark.parametrize("name", ["googlenet", "inception_v4", "inception_resnet_v2", "vgg16"])
@pytest.mark.parametrize("scripts", [True, False])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_says_nothing_and_asks_for_nothing_and_fits(chromium, paths, name, scripts, width):
    with opened(chromium, paths(name), scripts=scripts, width=width, dark=not scripts) as (page, seen):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#map").is_visible()
        assert (seen.messages, seen.requests) == ([], [])


def test_it_fits_on_paper(chromium, paths):
    with opened(chromium, paths("googlenet"), width=700) as (page, _):  # A4 with margins
        page.emulate_media(media="print")
        assert page.evaluate("document.documentElement.scrollWidth") <= 700
        assert page.locator("#layers").bounding_box()["width"] <= 700


def test_without_scripts_everything_is_there_unfolded(chromium, paths):
    with opened(chromium, paths("inception_v4"), scripts=False) as (page, _):
        layers = page.locator("#layers tr.l")
        assert shown(page, "#layers tr.l") == layers.count() == 493
        assert shown(page, "#map .l") == page.locator("#map .l").count() > 100
        assert shown(page, ".tools") == 0
        page.locator("#map #b1 > a").click()
        expect(page.locator("tr:target")).to_have_text(re.compile(r"^\s*conv"))


class Dense(nn.ModuleList):
    """Each layer reads what all before it made; then these weigh each other, as in attention."""

    def __init__(self):
        super().__init__([nn.Conv2d(3 + 4 * number, 4, 1) for number in range(6)])

    def forward(self, x):
        made = [x]
        for layer in self:
            made.append(layer(torch.cat(made, 1)))
        query, key, value, *rest = made[1:]
        return torch.cat([(query * key).sigmoid() * value, *rest], 1)


def test_the_script_places_boxes_as_the_tool_does(chromium, paths, tmp_path):
    dense = tmp_path / "dense.html"
    dense.write_text(page_of(Dense(), (1, 3, 6, 6), plots=False), encoding="utf-8")
    for path in (dense, paths("googlenet"), paths("inception_v4"), paths("inception_resnet_v2")):
        with opened(chromium, path, scripts=False) as (plain, _):
            before = places(plain)
        with opened(chromium, path) as (page, _):
            page.get_by_role("button", name="Fold all").first.click()
            assert path == dense or places(page) != before
            page.get_by_role("button", name="Unfold all").first.click()
            assert places(page) == before


def places(page):
    return page.evaluate("""() => {
        const names = ["transform", "d", "width", "height", "viewBox"];
        const all = document.querySelectorAll("#map g[transform], #map .f, #map rect, #map");
        const own = [...all].filter((one) => !one.closest(".t"));
        return own.map((one) => names.map((name) => one.getAttribute(name)).join());
    }""")


def test_a_module_folds_by_mouse_and_by_keyboard(page):
    whole, height = shown(page, "#map .l"), page.locator("#map").bounding_box()["height"]
    toggle = page.get_by_role("button", name="Boxes in inception3a", exact=True)
    toggle.click()
    assert toggle.get_attribute("aria-expanded") == "false"
    assert shown(page, "#map .l") == whole - 7  # branch1, and two in each of the others
    assert page.locator("#map").bounding_box()["height"] < height - 100
    toggle.press("Enter")
    assert shown(page, "#map .l") == whole
    assert page.locator("#map").bounding_box()["height"] == height


def test_a_module_without_rows_of_its_own_keeps_its_box_when_it_folds(chromium, tmp_path):
    path = tmp_path / "nested.html"
    path.write_text(page_of(nested_net(), (1, 4, 6, 6), plots=False), encoding="utf-8")
    with opened(chromium, path) as (page, _):
        page.get_by_role("button", name="Boxes in outer.inner", exact=True).click()
        box = page.locator("#map a[aria-label^='outer.inner,']")
        assert box.locator("rect").is_visible()
        assert fill_of(box) != fill_of(page.locator("#map a[aria-label^='outer.last,']"))  # which is unfolded
        box.press("Enter")
        expect(page.locator("tr:target")).to_have_text(re.compile(r"^\s*inner\.0"))


def test_a_reader_chooses_the_colour(page):
    least = page.locator("#map g:has(> a[aria-label^='fc,'])")
    before = float(least.evaluate("e => e.style.getPropertyValue('--t')"))
    page.get_by_label("Colour by").select_option("Parameters")
    assert float(least.evaluate("e => e.style.getPropertyValue('--t')")) == 1 > before
    assert page.locator("#most").inner_text() == "Parameters 1.02 M"
    page.get_by_label("Colour by").select_option("Receptive field")
    assert page.locator("#most").inner_text() == "Receptive field 715"


def test_products_of_operations_have_colour_too(chromium, tmp_path):
    path = tmp_path / "scores.html"
    path.write_text(page_of(Scores(), (1, 5, 4), plots=False), encoding="utf-8")
    with opened(chromium, path) as (page, _):
        assert page.locator("#most").inner_text() == "MACs 100"  # 5 x 5 x 4, and 5 x 4 x 4 of the layer
        product = page.locator("#map g:has(> [aria-label^='bmm in (model),'])")
        assert product.evaluate("e => e.style.getPropertyValue('--t')") == "1.00"
        page.get_by_label("Colour by").select_option("Parameters")
        assert product.evaluate("e => e.style.getPropertyValue('--t')") == "0.00"


def test_figures_come_on_hover_and_on_focus(page):
    page.locator("#map a[aria-label^='inception3a.branch3.conv5x5,']").hover()
    facts = page.locator("#facts")
    assert "MACs 10.0 M (under 1 %)" in facts.inner_text()
    assert "sees 59 at stride 8" in facts.inner_text()
    page.locator("#map a[aria-label^='conv2,']").focus()
    assert "MACs 347 M (22 %)" in facts.inner_text()
    page.keyboard.press("Tab")
    assert "norm2" in facts.inner_text()


def test_a_click_leads_to_the_rows_of_the_table(page):
    page.locator("#table-fold").click()
    assert shown(page, "#layers tr.l") == 0
    page.locator("#map a[aria-label^='inception4a.branch2.conv3x3,']").click()
    row = page.locator("tr:target")
    expect(row).to_be_visible()
    expect(row).to_have_text(re.compile(r"^\s*branch2\.conv3x3\.conv"))
    page.locator("#map a[aria-label^='inception5a,'] > text").dispatch_event("click")
    page.locator("#map g:has(> a[aria-label^='inception5a,']) > a").press("Enter")
    expect(row).to_have_text(re.compile(r"^\s*inception5a"))


def test_a_second_click_shows_what_was_folded_away(page):
    box = page.locator("#map a[aria-label^='inception4a.branch2.conv3x3,']")
    box.click()
    page.locator("#table-fold").click()
    box.click()
    expect(page.locator("tr:target")).to_be_visible()


def test_an_address_that_leads_nowhere_does_no_harm(page):
    page.evaluate("location.hash = '#%'")
    page.evaluate("location.hash = '#no-such-place'")
    page.wait_for_function("location.hash === '#no-such-place'")
    assert shown(page, "#layers tr.l") == 141


def test_the_script_writes_figures_as_the_tool_does(page):
    counts = [0, 1, 7, 999, 999.5, 1000, 1024, 12_345, 999_499, 999_500, 2_228_224, 1_582_671_872, 2e18]
    figures = {"count": counts, "bytes": counts, "milliseconds": [*counts, 0.0123, 0.5, 12.3456, 99.96]}
    written = page.evaluate(
        """(figures) => Object.entries(figures).map(
        ([unit, values]) => [unit, values.map((value) => quantity(value, unit))])""",
        figures,
    )
    for unit, texts in written:
        assert texts == [format_quantity(value, unit) for value in figures[unit]]


def test_the_table_sorts(page):
    head = page.locator("th[data-name=macs]")
    in_order = figures(page, 0)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert figures(page, 0)[:3] == ["conv2", "inception3b", "inception4e"]
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert figures(page, 0)[-1] == "conv2"
    head.get_by_role("button").press("Space")
    assert figures(page, 0) == in_order
    page.locator("#layers thead button").first.click()
    assert figures(page, 0) == sorted(in_order, key=str.casefold)


def test_the_table_filters(page):
    page.get_by_label("Filter").fill("5x5 conv2d")
    assert page.locator("#count").inner_text() == "9 of 141 layers"
    assert shown(page, "#layers tr.l") == 9
    assert shown(page, "#layers tr.mod") == 9
    page.get_by_label("Filter").fill("no such layer")
    assert shown(page, "#layers tbody tr") == 0
    page.get_by_label("Filter").fill("")
    assert shown(page, "#layers tr.l") == 141


@pytest.mark.parametrize(
    ("words", "count"),
    [("inception3a", 14), ("Inception3a.Branch2", 4), ("branch2 conv2d", 18), ("inception3a 28x28", 14)],
)
def test_the_table_filters_by_module_and_branch(page, words, count):
    page.get_by_label("Filter").fill(words)
    assert shown(page, "#layers tr.l") == count


def test_the_table_folds_by_module_and_branch(page):
    page.get_by_role("button", name="Layers of inception3a", exact=True).press("Enter")
    assert shown(page, "#layers tr.l") == 141 - 14
    page.locator("#layers tbody:has(#m9) tr.br .fold").nth(1).click()
    assert shown(page, "#layers tr.l") == 141 - 14 - 4
    page.locator("#table-fold").click()
    assert shown(page, "#layers tr.l") == shown(page, "#layers tr.br") == 0
    page.locator("#table-unfold").click()
    assert shown(page, "#layers tr.l") == 141


def test_exact_figures_on_hover(page):
    cell = page.locator("#layers tr.mod", has_text="inception3a").locator("td.n").first
    cell.hover()
    assert cell.get_attribute("title") == "128,049,152"


def test_a_large_net_starts_with_one_of_each_kind(chromium, paths):
    with opened(chromium, paths("inception_resnet_v2")) as (page, _):
        assert 20 < shown(page, "#map .l") < 150
        assert shown(page, "#layers tr.l") == 0


def test_no_name_runs(chromium, tmp_path):
    for number, name in enumerate(HOSTILE):
        path = tmp_path / f"{number}.html"
        net = branched_net(name.replace(".", ""))
        path.write_text(page_of(net, (1, 8, 6, 6), name=f"{name}", plots=number % 4 == 0), encoding="utf-8")
        with opened(chromium, path) as (page, seen):
            for element in page.locator("#map .l a").all()[:4]:
                element.focus()
                element.hover()
            page.locator("#filter").fill("conv")
            page.locator("#table-fold").click()
            assert page.evaluate("typeof hacked") == "undefined"
            assert (seen.messages, seen.requests) == ([], []), name
            # the page ends where it should
            assert page.locator("footer").is_visible()


@pytest.mark.parametrize("name", ["cost_by_module", "memory_timeline"])
def test_no_name_runs_in_a_plot_by_itself(chromium, tmp_path, name):
    for number, hostile in enumerate(HOSTILE):
        net = branched_net(hostile.replace(".", ""))
        contents = collect(il.trace(net, (1, 8, 6, 6), name=hostile))
        path = tmp_path / f"{number}.svg"
        path.write_bytes(MODEL_PLOTS[name].images(contents, kinds=("svg",))["svg"])
        with opened(chromium, path) as (page, seen):
            assert page.evaluate("typeof hacked") == "undefined"
            assert page.evaluate("document.documentElement.tagName") == "svg"
            assert (seen.messages, seen.requests) == ([], []), hostile
