"""The race against TorchLens, which is put in by hand: what is compared, and the page."""

import csv
import sys
from collections import Counter
from types import SimpleNamespace

import pytest

import bench_torchlens
import inception_lab as il
from shared import REPORTS


class Modules:
    """TorchLens's answers: our own, so that all agree, but for one other field and one that raises."""

    def __init__(self, model, image):
        table = il.receptive_field(il.trace(model, tuple(image.shape)))
        self.rows = {row["layer"]: row for row in table.to_dict("records")}

    def __getitem__(self, layer):
        row = self.rows[layer]
        if layer == "mlpconv1.conv.relu":
            raise LookupError(layer)
        size = (1, 1) if layer == "mlpconv1.conv.conv" else row["receptive_field"]
        status = SimpleNamespace(name="EXACT" if row["stride"] else "MISALIGNED")
        return SimpleNamespace(
            receptive_field=SimpleNamespace(status=status, size=size, jump=row["stride"] or (1, 1))
        )


@pytest.fixture
def torchlens(monkeypatch):
    module = SimpleNamespace(
        trace=lambda model, image: SimpleNamespace(modules=Modules(model, image)), __version__="0"
    )
    monkeypatch.setitem(sys.modules, "torchlens", module)


@pytest.mark.usefixtures("torchlens")
def test_what_differs_is_counted_and_named(tmp_path):
    options = ["--models", "nin", "--rounds", "2", "-o", str(tmp_path)]
    assert bench_torchlens.main(options) == 1
    with (tmp_path / "torchlens.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    # 29 layers; the average pool and what follows see everything and have no stride
    assert (row["modules"], row["ours"], row["compared"]) == ("29", "29 exact", "26")
    assert row["theirs"] == "26 exact, 2 misaligned, 1 no answer (LookupError)"
    assert row["unequal"] == "('mlpconv1.conv.conv',)"
    page = (tmp_path / "torchlens.md").read_text(encoding="utf-8")
    assert "| nin | 29 | 29 exact | 26 exact, 2 misaligned, 1 no answer (LookupError) | 26 | 1 |" in page


def test_without_torchlens_it_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "torchlens", None)
    assert bench_torchlens.main(["-o", str(tmp_path)]) == 2
    assert "pip install torchlens" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_committed_page_is_that_of_the_committed_rows():
    folder = REPORTS / "benchmarks"
    with (folder / "torchlens.csv").open(encoding="utf-8", newline="") as file:
        rows = [comparison(row) for row in csv.DictReader(file)]
    text = bench_torchlens.page(rows, 3, "2.36.1").splitlines()
    assert text[:-2] == (folder / "torchlens.md").read_text(encoding="utf-8").splitlines()[:-2]
    assert bench_torchlens.csv_text(rows).encode() == (folder / "torchlens.csv").read_bytes()


def comparison(row):
    statuses = (
        Counter({name: int(n) for n, _, name in (part.partition(" ") for part in row[who].split(", "))})
        for who in ("ours", "theirs")
    )
    seconds = (float(row[f"{who}_seconds"]) for who in ("our", "forward", "their"))
    assert row["unequal"] == "()"
    return bench_torchlens.Comparison(
        row["model"], int(row["modules"]), *statuses, int(row["compared"]), (), *seconds
    )
