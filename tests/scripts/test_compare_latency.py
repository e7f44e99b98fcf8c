"""The page of MACs beside latency: its arithmetic, and what a small run writes."""

import pandas as pd
import pytest

import compare_latency
import inception_lab as il
from inception_lab.report.plots.wording import TIMES
from shared import REPORTS


def row(model, macs, ratio, spread=0.1, **facts):
    return {
        "model": model, "macs": macs, "macs_ratio": macs / 1000, "plain_step_ms": 10 * ratio,
        "plain_step_iqr_ms": 0.1, "ratio": ratio, "ratio_low": ratio - spread, "ratio_high": ratio + spread,
        "confidence": 0.97, "verdict": "slower", "note": None, "input_shapes": "1x3x8x8", "mode": "eval",
        "dtype": "float32", "machine": "Made", "threads": 1, "rounds": 9,
    } | facts  # fmt: skip


ROWS = pd.DataFrame(
    [row("googlenet", 1000, 1.0, verdict=""), row("deep", 8000, 4.0), row("wide", 500, 2.0, note="too noisy")]
)


def test_a_run_writes_a_row_and_a_dot_for_every_model(tmp_path, capsys):
    arguments = ["--models", "googlenet_bn", "nin", "--side", "64", "--seconds", "0", "-o", str(tmp_path)]
    assert compare_latency.main(arguments) == 0
    rows = pd.read_csv(tmp_path / "latency.csv")
    assert list(rows["model"]) == ["googlenet", "googlenet_bn", "nin"]
    trace = il.trace(il.create_model("nin", device="meta"), (1, 3, 64, 64))
    assert rows["macs"].iloc[2] == il.layer_costs(trace)["macs"].sum()
    assert (rows["ratio_low"] <= rows["ratio"]).all()
    assert (rows["ratio"] <= rows["ratio_high"]).all()
    assert {"latency.csv", "latency.svg", "README.md"} == {p.name for p in tmp_path.iterdir()}
    page = (tmp_path / "README.md").read_text()
    assert page.rstrip() == capsys.readouterr().out.rstrip()
    assert compare_latency.page(rows, "").splitlines() == page.splitlines()[:-2]


def test_the_ratios_of_the_page_by_hand():
    table = compare_latency.latency_table(ROWS).rows
    assert table[0][2:7] == (f"1{TIMES}", "10.0", "1", "", "1")
    assert table[1][2:7] == (f"8.00{TIMES}", "40.0", f"4.00{TIMES}", "3.900 to 4.100", f"0.500{TIMES}")
    assert table[2][6] == f"4.00{TIMES}"
    page = compare_latency.page(ROWS, "")
    assert "Rounds differ by too much to judge: `wide`." in page
    assert (
        f"wide takes 0.500{TIMES} the MACs and 2.00{TIMES} the time; deep takes 8.00{TIMES} the MACs" in page
    )


@pytest.mark.skipif(not (REPORTS / "latency").exists(), reason="no report has been made yet")
def test_the_committed_page_is_that_of_the_committed_rows():
    rows = pd.read_csv(REPORTS / "latency" / "latency.csv")
    page = (REPORTS / "latency" / "README.md").read_text()
    assert compare_latency.page(rows, "").splitlines() == page.splitlines()[:-2]


@pytest.mark.parametrize(
    "arguments", [["--models", "googlenet"], ["--models", "no_such"], ["--seconds", "x"]]
)
def test_wrong_arguments_end_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        compare_latency.parse(arguments)
    assert left.value.code == 2
    assert "error" in capsys.readouterr().err
