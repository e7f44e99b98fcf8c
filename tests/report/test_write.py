from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from support.report_nets import inception, net, tiny
from support.weird_nets import WEIRD

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.record import Record
from inception_lab.report.collect import collect
from inception_lab.report.contents import ReportContents
from inception_lab.report.page import MEANINGS, SHOWN_PLOTS
from inception_lab.report.plots import COMPARISON_PLOTS, MODEL_PLOTS, Plot
from inception_lab.report.sizes import KINDS, PAGE, SIZES
from inception_lab.report.write import OURS, write_comparison, write_contents

TABLES = {"layers.csv", "modules.csv", "branches.csv", "saving.csv", "spectrum.csv", "memory.csv"}


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports") / "tiny"
    write_contents(tiny(name="tiny_inception"), folder)
    return folder


PAGES = {"README.md", "index.html"}


def test_a_report_has_its_files_and_no_others(report: Path) -> None:
    plots = {f"{name}.{kind}" for name in MODEL_PLOTS for kind in PAGE.kinds}
    assert {path.name for path in report.iterdir()} == TABLES | plots | {"summary.json", *PAGES}
    assert {path.name for path in report.iterdir()} < OURS


@pytest.mark.parametrize("size", SIZES)
def test_a_report_is_written_for_a_size(tmp_path: Path, size: str) -> None:
    trace = il.trace(torch.nn.Linear(3, 2), (1, 3))
    page = il.write_report(trace, tmp_path / "net", size=size)
    plots = {path.suffix for path in page.parent.iterdir()} - {".csv", ".json", ".md", ".html"}
    assert plots == {f".{kind}" for kind in SIZES[size].kinds}


def test_plots_are_written_in_further_kinds(tmp_path: Path) -> None:
    trace = il.trace(torch.nn.Linear(3, 2), (1, 3))
    for folder in (
        il.write_report(trace, tmp_path / "net", plot_kinds=["png"]).parent,
        write_comparison([il.summarise(trace)], tmp_path / "both", plot_kinds=["png"]).parent,
    ):
        plots = {path.suffix for path in folder.iterdir()} - {".csv", ".json", ".md", ".html"}
        assert plots == {".svg", ".png"}
        assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.glob("*.png"))


def test_an_unknown_kind_of_plot_writes_nothing(tmp_path: Path) -> None:
    trace = il.trace(torch.nn.Linear(3, 2), (1, 3))
    for write, subject in ((il.write_report, trace), (write_comparison, [il.summarise(trace)])):
        with pytest.raises(InceptionLabError, match="no kind of plot 'pngg'; did you mean png"):
            write(subject, tmp_path / "net", plot_kinds=["pngg"])
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_is_written_for_a_size(tmp_path: Path) -> None:
    record = il.summarise(il.trace(torch.nn.Linear(3, 2), (1, 3)))
    page = write_comparison([record], tmp_path / "all", size="slide")
    assert 'width="960pt" height="540pt"' in (page.parent / "comparison.svg").read_text()


def test_an_unknown_size_writes_nothing(tmp_path: Path) -> None:
    trace = il.trace(torch.nn.Linear(3, 2), (1, 3))
    for write, subject in ((il.write_report, trace), (write_comparison, [il.summarise(trace)])):
        with pytest.raises(InceptionLabError, match="no size 'papr'; did you mean paper"):
            write(subject, tmp_path / "net", size="papr")
    assert list(tmp_path.iterdir()) == []


def test_the_record_reads_back(report: Path, contents: ReportContents) -> None:
    assert Record.load(report / "summary.json") == contents.record


@pytest.mark.parametrize("name", ["layers", "modules", "branches"])
@pytest.mark.parametrize("metric", ["params", "macs", "flops", "other_flops", "activation_bytes"])
def test_columns_add_up_to_the_totals(report: Path, contents: ReportContents, name: str, metric: str) -> None:
    with (report / f"{name}.csv").open(newline="") as file:
        assert sum(int(row[metric]) for row in csv.DictReader(file)) == contents.record.totals[metric]


def test_the_page_shows_every_total_and_links_every_plot(report: Path, contents: ReportContents) -> None:
    page = (report / "README.md").read_text()
    assert all(f"{total:,}" in page for total in contents.record.totals.values())
    for name, plot in MODEL_PLOTS.items():
        assert f"]({name}.svg)" in page
        assert (plot.caption(contents) in page) == (name in SHOWN_PLOTS)
    assert "PARTIAL" not in page
    assert "Not executed" not in page


def test_every_link_of_the_page_leads_somewhere(report: Path) -> None:
    links = [part.split(")")[0] for part in (report / "README.md").read_text().split("](")[1:]]
    assert links
    assert all((report / link).is_file() for link in links)
    assert {path.name for path in report.iterdir() if path.suffix != ".png"} == {*links, "README.md"}


def test_every_file_of_a_report_is_described() -> None:
    assert {name for name in OURS if name.endswith((".csv", ".json"))} - MEANINGS.keys() == {
        "comparison.csv",
        "comparison.json",
    }


def test_the_page_says_what_is_missing(tmp_path: Path) -> None:
    write_contents(WEIRD["partial"](), tmp_path / "partial")
    page = (tmp_path / "partial" / "README.md").read_text()
    assert "PARTIAL" in page
    assert "`aten.fft`, ran 3 times" in page
    write_contents(WEIRD["unexecuted"](), tmp_path / "unexecuted")
    page = (tmp_path / "unexecuted" / "README.md").read_text()
    assert "\nNot executed: aux_head.conv.\n" in page


@pytest.mark.parametrize("name", ["chain", "nothing", "markup", "no MACs"])
def test_any_net_can_be_written(tmp_path: Path, name: str) -> None:
    weird = WEIRD[name]()
    write_contents(weird, tmp_path / "weird")
    files = _bytes(tmp_path / "weird")
    assert ("saving.csv" in files) == (len(weird.saving) > 0)
    assert ("reduction_saving.svg" in files) == weird.has_saving
    write_comparison([weird.record, weird.record], tmp_path / "both")


def test_a_report_replaces_a_report_and_leaves_nothing_stale(tmp_path: Path, report: Path) -> None:
    folder = tmp_path / "report"
    write_contents(tiny(name="tiny_inception"), folder)
    assert _bytes(folder) == _bytes(report)
    (folder / "notes.md").write_text("mine")
    write_contents(WEIRD["nothing"](), folder)
    assert set(_bytes(folder)) == {
        "layers.csv",
        "modules.csv",
        "branches.csv",
        "summary.json",
        "README.md",
        "index.html",
        "notes.md",
    }


def test_an_interrupted_report_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    write_contents(WEIRD["nothing"](), folder)
    before = _bytes(folder)
    for stop in (*TABLES - {"saving.csv"}, "cost_by_module"):

        def interrupt(name: str, stop: str = stop) -> None:
            if name == stop.removesuffix(".csv"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_contents(tiny(), folder, interrupt)
        assert _bytes(folder) == before
    assert list(tmp_path.iterdir()) == [folder]


def test_a_failing_page_leaves_the_old_report(tmp_path: Path) -> None:
    folder = tmp_path / "report"
    write_contents(WEIRD["nothing"](), folder)
    before = _bytes(folder)
    with patch("inception_lab.report.write.report_page", side_effect=MemoryError), pytest.raises(MemoryError):
        write_contents(WEIRD["unexecuted"](), folder)
    assert _bytes(folder) == before


def test_progress_names_what_is_made(tmp_path: Path) -> None:
    names: list[str] = []
    write_contents(WEIRD["chain"](), tmp_path / "chain", names.append)
    assert names == ["layers", "modules", "branches", "cost_by_module", "cost_along_depth", "index.html"]


def test_a_comparison_has_a_row_and_a_record_per_model(tmp_path: Path) -> None:
    records = [net(inception(n), f"model{n}").record for n in (1, 2, 3)]
    write_comparison(records, tmp_path / "all")
    with (tmp_path / "all" / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    comparison = json.loads((tmp_path / "all" / "comparison.json").read_text())
    assert comparison["schema"] == 1
    for row, model, record in zip(rows, comparison["models"], records, strict=True):
        assert row["model"] == model["model"] == record.context["model"]
        assert {name: int(row[name]) for name in record.totals} == record.totals == model["totals"]
    names = ("comparison", "params_and_macs", "field_and_depth")
    plots = {f"{name}.{kind}" for name in names for kind in PAGE.kinds}
    names_of_texts = ("comparison.csv", "comparison.json", "README.md", "index.html")
    assert set(_bytes(tmp_path / "all")) == {*names_of_texts, *plots}


def test_a_comparison_replaces_a_report(tmp_path: Path) -> None:
    write_contents(WEIRD["chain"](), tmp_path / "report")
    write_comparison([WEIRD["chain"]().record], tmp_path / "report")
    assert "summary.json" not in _bytes(tmp_path / "report")


def test_the_same_model_twice_is_told_apart(tmp_path: Path) -> None:
    small, large = (net(inception(1), input_shapes=[[1, 3, n, n]]).record for n in (8, 16))
    write_comparison([small, large], tmp_path / "both")
    page = (tmp_path / "both" / "README.md").read_text()
    assert "net 1x3x8x8 eval" in page
    assert "net 1x3x16x16 eval" in page


def test_a_partial_model_is_named_in_the_comparison(tmp_path: Path) -> None:
    write_comparison([net(inception(1)).record, WEIRD["partial"]().record], tmp_path / "both")
    page = (tmp_path / "both" / "README.md").read_text()
    assert "PARTIAL" in page
    assert "`aten.fft`, ran 3 times" in page


def test_writing_a_report_needs_no_torch() -> None:
    code = "import sys, inception_lab.report.write; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "matplotlib.pyplot", "inception_lab.cli"} & set(modules.split())


def test_no_model_is_no_comparison(tmp_path: Path) -> None:
    with pytest.raises(InceptionLabError):
        write_comparison([], tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda _, record: record, "a Record is not a list of records"),
        (lambda trace, _: trace, "a Trace is not a list of records"),
        (lambda trace, record: [record, trace], "a Trace is not a record"),
        (lambda *_: None, "a NoneType is not a list of records"),
        (lambda *_: [5], "a int is not a record"),
    ],
)
def test_only_records_are_compared(tmp_path: Path, make: Any, line: str) -> None:
    trace = il.trace(torch.nn.Linear(3, 2), (1, 3))
    with pytest.raises(InceptionLabError) as refusal:
        write_comparison(make(trace, il.summarise(trace)), tmp_path / "none")
    assert str(refusal.value) == f"{line}; pass a list such as [il.summarise(trace)]"
    assert list(tmp_path.iterdir()) == []


def test_records_may_come_one_by_one(tmp_path: Path) -> None:
    record = il.summarise(il.trace(torch.nn.Linear(3, 2), (1, 3)))
    pages = [write_comparison(records, tmp_path / "a") for records in ([record, record], iter([record] * 2))]
    assert _bytes(pages[0].parent) == _bytes(pages[1].parent)


@pytest.mark.parametrize("value", [None, 5, "a\0b"])
def test_a_folder_that_is_not_a_path(value: Any) -> None:
    trace = il.trace(torch.nn.Linear(3, 2), (1, 3))
    for write, subject in ((il.write_report, trace), (write_comparison, [il.summarise(trace)])):
        with pytest.raises(InceptionLabError) as refusal:
            write(subject, value)
        assert str(refusal.value) == f"{value!r} is not a path; pass text such as 'folder/name'"


def test_only_a_trace_is_reported(tmp_path: Path) -> None:
    for subject in (None, il.summarise(il.trace(torch.nn.Linear(3, 2), (1, 3)))):
        with pytest.raises(InceptionLabError, match=f"a {type(subject).__name__} is not a trace; pass"):
            il.write_report(subject, tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_a_new_plot_is_an_entry_in_the_registry() -> None:
    assert all(isinstance(plot, Plot) for plot in (*MODEL_PLOTS.values(), *COMPARISON_PLOTS.values()))
    names = [f"{name}.{kind}" for name in (*MODEL_PLOTS, *COMPARISON_PLOTS) for kind in KINDS]
    assert set(names) <= OURS


@pytest.fixture(scope="module")
def googlenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on GoogLeNet."""
    folder = tmp_path_factory.mktemp("reports") / "googlenet"
    trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224), name="googlenet")
    write_contents(collect(trace), folder)
    return folder


def test_the_papers_ratio_can_be_read(googlenet: Path) -> None:
    with (googlenet / "saving.csv").open(newline="") as file:
        rows = {(row["module"], row["branch"]): row for row in csv.DictReader(file)}
    # 120,422,400 of 12,443,648: the paper's 5x5 branch, with 16 channels in front of 32
    assert float(rows["inception3a", "branch3"]["macs_ratio"]) == 120422400 / 12443648


def test_the_page_is_short_and_has_its_figures(googlenet: Path) -> None:
    page = (googlenet / "README.md").read_text()
    assert "6,998,552" in page
    assert "1,582,671,872" in page
    assert "sees 100 % of the input" in page
    assert len(page) < 8000


def test_the_page_has_three_plots_and_ten_modules(googlenet: Path) -> None:
    lines = (googlenet / "README.md").read_text().splitlines()
    assert sum(line.startswith("![") for line in lines) == 3
    table = lines[lines.index("## Largest modules") :]
    # the heading, the rule and the sum beside them
    assert sum(line.startswith("| ") for line in table) == 10 + 3
    # inception5a, conv2_reduce and fc: 51,079,168 + 12,845,056 + 1,024,000 of 1,582,671,872
    assert "And 10 more with 4 % of the MACs, in [modules.csv](modules.csv)." in lines


def test_a_net_without_spatial_axes_has_no_fields(tmp_path: Path) -> None:
    page = il.write_report(il.trace(torch.nn.Linear(4, 2), (1, 4)), tmp_path / "net")
    assert "sees" not in page.read_text()
    plots = {"field_along_depth.svg", "field_spectrum.svg"}
    assert not {"spectrum.csv", *plots} & set(_bytes(tmp_path / "net"))


def test_the_spectrum_is_a_table(report: Path, contents: ReportContents) -> None:
    with (report / "spectrum.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [list(row) for row in rows[:1]] == [["module", "axis", "field", "channels", "paths"]]
    assert [int(row["field"]) for row in rows] == list(contents.spectrum["field"])
    assert [int(row["channels"]) for row in rows] == list(contents.spectrum["channels"])


def test_a_page_of_several_models_has_their_families_together(tmp_path: Path) -> None:
    families = {"a1": "a", "b1": "b", "a2": "a"}
    records = [net(inception(1), name, family=family).record for name, family in families.items()]
    page = (write_comparison(records, tmp_path / "all").parent / "README.md").read_text()
    rows = [line.split(" | ")[:2] for line in page.splitlines() if line.startswith("| ")]
    assert rows[2:5] == [["| a", "a1"], ["| ", "a2"], ["| b", "b1"]]


def test_errors_against_macs_stand_on_the_page(tmp_path: Path) -> None:
    facts = {"error_evaluation": "one crop"}
    plain = [net(inception(n), f"m{n}", top5_error=9.0 - n, **facts).record for n in (1, 2)]
    records = [replace(record, totals=record.totals | {"peak_bytes": 2**20}) for record in plain]
    page = (write_comparison(records, tmp_path / "all").parent / "README.md").read_text()
    assert "](error_and_macs.svg)" in page
    assert "a lower error than these: m1, m2." in page
