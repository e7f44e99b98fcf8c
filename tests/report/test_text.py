from __future__ import annotations

import csv
import io
import subprocess
import sys
from math import nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_lab.errors import InceptionLabError
from inception_lab.report.text import FORMATS, Title, heading, readable_text, render

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.one_of(
    NAMES,
    st.integers(),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False),
    st.lists(st.integers(0, 999), max_size=4),
)
ROWS = st.lists(st.dictionaries(st.sampled_from(["layer", "macs", "shape"]), VALUES), max_size=8)
COLUMNS = ["layer", "macs", "shape"]


def _row(**values: Any) -> dict[str, Any]:
    return values


def test_table_aligns_numbers_to_the_right_and_text_to_the_left() -> None:
    rows = [
        _row(layer="conv", macs=1234567, shape=(1, 64, 28, 28)),
        _row(layer="a.long.name", macs=8, shape=()),
    ]
    assert render(rows, COLUMNS, "table") == (
        "Layer             MACs  Shape\n"
        "-----------  ---------  ----------\n"
        "conv         1,234,567  1x64x28x28\n"
        "a.long.name          8\n"
    )


def test_counters_are_written_as_their_packages_are() -> None:
    columns = ("fvcore_macs", "torch_macs", "torch_backward_macs")
    assert [*map(heading, columns)] == ["fvcore MACs", "torch MACs", "torch backward MACs"]


def test_milliseconds_are_shown_to_the_microsecond() -> None:
    assert render([_row(device_ms=1234.56789, ratio=12.346)], ["device_ms", "ratio"], "table") == (
        "Device time (ms)  Ratio\n----------------  -----\n       1,234.568  12.35\n"
    )


def test_csv_holds_bare_values() -> None:
    rows = [
        _row(executed=np.bool_(False), macs=np.int64(1234567), ratio=9.677, shape=[[1, 3], [1, 5]], none=nan)
    ]
    assert (
        render(rows, list(rows[0]), "csv") == "executed,macs,ratio,shape,none\nfalse,1234567,9.677,1x3 1x5,\n"
    )


def test_markdown_escapes_what_would_be_markup() -> None:
    text = render([_row(layer="_a_|<b>*", macs=1000)], ["layer", "macs"], "markdown")
    assert text == "| Layer | MACs |\n| :--- | ---: |\n| \\_a\\_\\|\\<b\\>\\* | 1,000 |\n"


@given(ROWS, st.sampled_from(sorted(FORMATS)))
def test_every_row_is_there_in_every_format(rows: list[dict[str, Any]], fmt: str) -> None:
    text = render(rows, COLUMNS, fmt)
    assert text.endswith("\n")
    if fmt == "csv":
        assert len(list(csv.reader(io.StringIO(text, newline="")))) == len(rows) + 1
    else:
        assert len(text.split("\n")) == len(rows) + 3


@given(ROWS)
def test_csv_reads_back(rows: list[dict[str, Any]]) -> None:
    lines = list(csv.DictReader(io.StringIO(render(rows, COLUMNS, "csv"), newline="")))
    for row, line in zip(rows, lines, strict=True):
        for name, value in row.items():
            if isinstance(value, bool):
                assert line[name] == str(value).lower()
            elif isinstance(value, int | float):
                assert type(value)(line[name]) == value
            elif isinstance(value, str) and value.isprintable() and not value.startswith(tuple("=+-@")):
                assert line[name] == value


@given(st.lists(NAMES.filter(str.strip), min_size=1), st.integers(1, 10**18))
def test_nothing_is_cut_or_wrapped(names: list[str], macs: int) -> None:
    text = render([_row(layer=name * 9, macs=macs) for name in names], ["layer", "macs"], "table")
    assert all(line.endswith(f"{macs:,}") for line in text.split("\n")[2:-1])


def test_an_empty_table_still_has_its_headings() -> None:
    assert render([], ["layer", "macs"], "table") == "Layer  MACs\n-----  ----\n"


def test_unknown_formats_are_refused_with_the_nearest() -> None:
    with pytest.raises(InceptionLabError, match="markdown"):
        render([], [], "markdwon")


def test_headings_carry_the_unit() -> None:
    assert heading("activation_bytes") == "Activations (bytes)"


def test_importing_formats_imports_neither_pandas_nor_torch_nor_matplotlib() -> None:
    code = "import sys, inception_lab.report.text, inception_lab.report.contents; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "pandas", "numpy", "matplotlib", "jinja2"} & set(modules)


def test_a_title_is_its_own_heading() -> None:
    titles = [Title("vgg_16"), Title("net(width=8)")]
    rows = [{"module": "a", "vgg_16": 1.5, "net(width=8)": None}]
    for form in ("table", "markdown"):
        head = render(rows, ["module", *titles], form).splitlines()[0]
        assert "vgg_16" in head
        assert "net(width=8)" in head
    assert heading("vgg_16") == "Vgg 16"


def test_no_number_is_rounded_to_nothing() -> None:
    for column in ("weight_gradient", "weight_gradient_aux1", "loss_low", Title("nin")):
        assert readable_text(0.00321, column) == "0.00321"
        assert readable_text(-0.0000123, column) == "-1.23e-05"
        assert readable_text(12.3456789, column) == "12.3457"
    assert readable_text(0.00321, "share") == "0.00"
