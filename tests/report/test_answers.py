"""Answers of a report as rows and sentences, against nets small enough to be worked out by hand."""

from __future__ import annotations

import pytest
import torch
from support.report_nets import fit, inception, layer, net, tiny
from support.weird_nets import WEIRD
from torch import nn

import inception_lab as il
from inception_lab.report.answers import (
    branch_rows,
    field_range_rows,
    headline,
    kind_rows,
    largest_modules,
    last_field_rows,
    module_rows,
    module_sums,
    peak_text,
    rest_text,
    saving_rows,
    sight_text,
    step_note,
    tensor_rows,
    total_rows,
)
from inception_lab.report.collect import collect
from inception_lab.report.contents import ReportContents


@pytest.fixture(scope="module")
def step() -> ReportContents:
    """A training step of two convolutions on one image of 8 x 8: 3888 and 288 MACs forward.

    The first has no gradient of its input, so that its step takes twice these; the second, thrice.
    """
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 2, 1, bias=False), nn.Flatten())
    return collect(il.trace(model, (1, 3, 8, 8), mode="train", optimizer="adam", name="two"))


def test_a_headline_is_of_the_pass() -> None:
    # 32,000 + 6,400 x (1 + 2 + 3) + 3 x (12,800 + 1,280 + 640) + 640 MACs; 4,000 + 768 + 5 x 256 bytes
    assert headline(tiny()) == (
        "A net of 10.0 k parameters. A forward pass of 1x3x8x8 takes 115 k MACs and holds 5.91 KiB at its "
        "peak. The centre unit of mix2.branch3.conv sees 100 % of the input."
    )


def test_a_headline_of_a_step_has_its_figures(step: ReportContents) -> None:
    peak = step.record.totals["train_peak_bytes"] / 1024
    assert f"A training step of 1x3x8x8 takes 8.64 k MACs and holds {peak:.2f} KiB at its peak." in headline(
        step
    )


def test_a_headline_without_axes_says_nothing_of_sight() -> None:
    assert headline(WEIRD["chain"]()).endswith(" at its peak.")


def test_totals_are_rounded_exact_and_explained() -> None:
    contents = net(inception(1))
    rows = {row["metric"]: row for row in total_rows(contents.record)}
    assert rows["Parameters"] == {
        "metric": "Parameters",
        "value": "9.38 k",
        "exactly": 9380,
        "meaning": "elements of parameters, each shared tensor once",
    }


def test_modules_have_their_share_of_a_pass() -> None:
    rows = {row["module"]: row for row in module_rows(net(inception(1)))}
    # 32,000 of 32,000 + 6,400 + 12,800 + 1,280 + 640 + 640
    assert rows["stem"]["MACs (%)"] == pytest.approx(100 * 32000 / 53760)
    assert list(rows) == ["stem", "mix0", "fc"]


def test_modules_have_their_share_of_a_step(step: ReportContents) -> None:
    first, second = module_rows(step)
    assert (first["macs"], first["backward_macs"], first["training_macs"]) == (3888, 3888, 7776)
    assert (second["macs"], second["backward_macs"], second["training_macs"]) == (288, 576, 864)
    assert (first["Training MACs (%)"], second["Training MACs (%)"]) == (90, 10)
    assert "MACs (%)" not in first
    assert module_sums(step)["training_macs"] == 8640


def test_branches_have_rows_where_a_module_forks() -> None:
    assert [row["branch"] for row in branch_rows(net(inception(1)))] == [f"branch{n}" for n in (1, 2, 3, 4)]
    assert branch_rows(WEIRD["chain"]()) == []


def test_a_saving_has_rows_where_there_is_one() -> None:
    rows = {(row["module"], row["branch"]): row for row in saving_rows(net(inception(1)))}
    assert rows["mix0", "branch3"]["macs_ratio"] == 10
    assert saving_rows(WEIRD["chain"]()) == []


def test_the_sight_of_a_net() -> None:
    text = sight_text(tiny())
    assert "From mix0.branch1.conv on, 3 layers have fields larger than the input." in text
    assert "Its centre unit sees 100 % of the input." in text
    assert sight_text(WEIRD["nothing known"]()) == "No layer has a field larger than the input."


def test_names_are_not_escaped() -> None:
    contents = net(inception(1), resolution=fit(8, 8, last="a_<b>*"))
    assert "The last layer with several units along each axis is a_<b>*." in sight_text(contents)
    assert "The centre unit of a_<b>* sees" in headline(contents)


def test_a_short_table_has_the_largest_modules_and_tells_of_the_rest() -> None:
    contents = net([layer(f"m{n}", macs=n, params=9 - n // 4) for n in range(1, 13)])
    assert [row["module"] for row in largest_modules(contents)] == [f"m{n}" for n in range(12, 2, -1)]
    # 1 + 2 of 78 MACs
    assert rest_text(contents) == "2 more with 4 % of the MACs"
    assert rest_text(net(inception(1))) == ""


def test_modules_without_macs_stand_by_their_parameters() -> None:
    rows = largest_modules(net([layer("norm", params=2), layer("embed", params=90)]))
    assert [row["module"] for row in rows] == ["embed", "norm"]


def test_axes_that_are_alike_have_one_row() -> None:
    assert last_field_rows(tiny()) == [
        {
            "axis": "height and width",
            "input size": 8,
            "smallest input": 1,
            "receptive_field": 31,
            "stride": 2,
            "padding": 15,
        }
    ]
    rows = last_field_rows(WEIRD["3-d"]())
    assert [(row["axis"], row["input size"], row["receptive_field"]) for row in rows] == [
        ("depth", 16, 3),
        ("height", 112, 11),
        ("width", 113, 11),
    ]


def test_field_ranges_name_the_axis_where_it_matters() -> None:
    assert field_range_rows(tiny())[0] == {"module": "mix0", "smallest": 7, "median": 11, "largest": 15}
    assert field_range_rows(WEIRD["3-d"]()) == [
        {"module": "mix", "axis": "depth", "smallest": 1, "median": 1, "largest": 3},
        {"module": "mix", "axis": "height and width", "smallest": 7, "median": 7, "largest": 11},
    ]


def test_the_fields_of_googlenet() -> None:
    # 715, 32, 327 by the published table; 27 = 7 + 2 x (3 - 1) + 4 x (3 - 1) + 4 x (3 - 1) before the
    # branches of inception3a, whose kernels of 1, 3 and 5 at stride 8 add 0, 16 and 32
    contents = collect(il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224)))
    (row,) = last_field_rows(contents)
    assert (row["receptive_field"], row["stride"], row["padding"]) == (715, 32, 327)
    assert field_range_rows(contents)[0] == {
        "module": "inception3a",
        "smallest": 27,
        "median": 43,
        "largest": 59,
    }


def test_no_number_holds_for_a_field_that_is_misaligned() -> None:
    assert sight_text(WEIRD["misaligned"]()).endswith("No one number describes its field: it is misaligned.")


def test_the_peak_its_kinds_and_its_tensors() -> None:
    contents = tiny()
    assert peak_text(contents) == "5.91 KiB, in mix0.branch4.conv (aten.relu.default, forward)"
    assert {row["kind"]: row["bytes"] for row in kind_rows(contents)} == {
        "Parameters": 4000,
        "Inputs": 768,
        "Temporaries": 1280,
    }
    assert sum(row["share (%)"] for row in kind_rows(contents)) == pytest.approx(100)
    assert [row["kind"] for row in tensor_rows(contents, 2)] == ["Parameters", "Inputs"]


def test_a_note_tells_the_state_of_a_step(step: ReportContents) -> None:
    assert step_note(step.record).startswith("It is a step in steady state: the state of adam is there")
    assert step_note(tiny(mode="train").record).endswith("no optimizer steps, and none keeps a state.")
    assert step_note(tiny().record) == ""


def test_nothing_has_no_share() -> None:
    assert kind_rows(WEIRD["nothing"]()) == []
    contents = collect(il.trace(torch.nn.ReLU(), (1, 4)))
    assert module_rows(contents)[0]["MACs (%)"] is None
