"""The README and the pages of docs/ say what the tool prints, and their code runs.

`python -m pytest tests/test_pages.py --update-golden` writes the outputs in them anew.
"""

import csv
import re
from collections import Counter
from difflib import unified_diff
from importlib import import_module
from pathlib import Path

import pytest
from support.own_folder import own_folder
from support.pages import anchors_of, blocks_of, broken_links, links_of, shape, updated
from support.reader import Reader

import inception_lab as il
from inception_lab.cli import COMMANDS

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
NET = {block.title: block.text for block in blocks_of(TEXTS[README]) if block.title == "mynet.py"}
every_page = pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A reader with the net of the README in the current folder, at a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.dont_write_bytecode", True)  # a file may change twice in a second
    with own_folder(tmp_path, NET, monkeypatch) as folder:
        monkeypatch.syspath_prepend(folder)
        yield Reader(folder)


def read(reader, page):
    """The page with every output as it is printed now."""
    return updated(page, {block: reader.read(block) for block in blocks_of(page)})


@every_page
def test_a_page_says_what_is_printed(page, reader, update_golden):
    now = read(reader, TEXTS[page])
    if update_golden:
        page.write_text(now, encoding="utf-8")
    elif now != TEXTS[page]:
        lines = (text.splitlines() for text in (TEXTS[page], now))
        pytest.fail("\n".join(unified_diff(*lines, page.name, "what is printed", lineterm="")))


@every_page
def test_every_link_leads_somewhere(page):
    assert broken_links(page) == []


@every_page
def test_names_in_prose_exist(page):
    code = re.findall(r"`([^`\n]+)`", TEXTS[page])
    commands = [import_module(f"inception_lab.cli.{name.replace('-', '_')}").command for name in COMMANDS]
    options = {option for command in commands for parameter in command.params for option in parameter.opts}
    ours = [text for text in code if text.startswith(("-", "inception-lab"))]
    typed = {option for text in ours for option in re.findall(r"(?<![\w-])--[a-z-]+", text)}
    assert typed <= options | OTHERS
    names = {name for text in code for name in re.findall(r"\bil\.(\w+)", text)}
    assert names <= set(il.__all__)


OTHERS = frozenset({"--help", "--version"})


def test_the_readme_fits_a_reader():
    assert len(TEXTS[README].split()) <= 900


def test_the_readme_leads_to_every_page():
    assert {page.name for page in PAGES[1:]} <= {Path(link).name for link in links_of(TEXTS[README])}


@every_page
def test_a_page_says_where_its_net_stands(page):
    uses = page != README and "mynet" in TEXTS[page]
    assert uses == ("](../README.md#ask-about-your-own-net)" in TEXTS[page])


def test_every_command_has_a_page():
    typed = {match for text in TEXTS.values() for match in re.findall(r"inception-lab ([a-z-]+)", text)}
    assert typed >= set(COMMANDS)


def rows_of(report):
    """The rows of a CSV file under reports/."""
    with (ROOT / "reports" / report).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def of_model(report, name):
    return next(row for row in rows_of(report) if row["model"] == name)


def time_share(kind):
    """The percentage of GoogLeNet's time that layers of a class take."""
    times = [(row["type"] == kind, float(row["self_ms"])) for row in rows_of("roofline/layers.csv")]
    return 100 * sum(own for fits, own in times if fits) / sum(own for _, own in times)


def test_figures_in_prose_are_those_of_the_reports():
    equal = Counter(row["package"] for row in rows_of("coverage/coverage.csv") if row["counts"] == "equal")
    vgg, normalised = (of_model("latency/latency.csv", name) for name in ("vgg16", "googlenet_bn"))
    macs, time, less = float(vgg["macs_ratio"]), float(vgg["ratio"]), 1 - float(normalised["ratio"])
    figures = {
        "receptive-fields.md": [f"{len(rows_of('fields/gradients.csv')):,} units"],
        "counting.md": [f"{equal['timm']:,} nets of timm and {equal['torchvision']} of torchvision"],
        "time.md": [
            f"{macs:.2f} times the MACs of GoogLeNet and takes {time:.2f} times as long",
            f"takes {less:.0%} of the time away",
            f"take {time_share('Conv2d'):.0f}% of the time; max pools take {time_share('MaxPool2d'):.0f}%",
            f"LRN {time_share('LocalResponseNorm'):.0f}%",
        ],
    }
    for page, texts in figures.items():
        prose = " ".join(TEXTS[ROOT / "docs" / page].split())
        assert [text for text in texts if text not in prose] == []


PAGE = """\
# A page

<!-- $ echo inserted -->
inserted
<!-- /$ -->

```console
$ inception-lab summary mynet:Net --input-size 4 --columns layer,params | tail -n 3
Parameters                          5   5
$ inception-lab summary nothing
inception-lab: no model 'nothing'
$ echo $?
2
```

```python
print(1 + 1)
```

```text
3
```
"""


def test_a_wrong_output_is_found_and_written_anew(reader):
    (reader.folder / "mynet.py").write_text(
        "from torch import nn\n\ndef Net():\n    return nn.Linear(4, 1)\n"
    )
    now = read(reader, PAGE)
    assert "<!-- $ echo inserted -->\ninserted\n<!-- /$ -->" in now
    assert "\n```text\n2\n```\n" in now
    assert "no model 'nothing'" in now
    assert read(reader, now) == now != PAGE


def test_a_command_that_fails_is_found(reader):
    for page in ("```console\n$ false\n```\n", "```sh\nls nothing  # fails\n```\n"):
        with pytest.raises(AssertionError):
            read(reader, page)


def test_a_machine_may_have_other_figures_and_no_other_rows(reader):
    page = "```console machine\n$ printf '%s ms\\n' 1\n{} ms\n```\n"
    slow, fast = page.format(2), page.format(1)
    assert read(reader, slow) == slow
    assert read(reader, slow.replace(" machine", "")) == fast.replace(" machine", "")
    assert shape("Layer   Time\nconv1  1.2\nfc     3\n\nNote  x\n      y\n") == ["Layer", "conv0", "fc"]


def test_a_link_that_leads_nowhere_is_found(tmp_path):
    page = tmp_path / "page.md"
    links = ("#a-b-c", "#nothing", "none.md", "https://x.org", "page.md#a-b-c")
    page.write_text("# A `b`, c\n" + " ".join(f"[link]({link})" for link in links))
    assert anchors_of(page.read_text()) == {"a-b-c"}
    assert broken_links(page) == ["#nothing", "none.md"]
