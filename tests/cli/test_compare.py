"""`inception-lab compare` as a user types it."""

import csv
import io
import json

import pytest
from support.random_nets import record_of
from support.typed import typed

import inception_lab as il

SMALL = ["--input-size", "3x64x64"]


@pytest.fixture
def saved(tmp_path):
    """Writes a record of a made-up net to a file."""

    def save(name, net, **facts):
        path = tmp_path / f"{name}.json"
        path.write_text(record_of(net, name, **facts).to_json())
        return str(path)

    return save


def test_two_models_have_totals_ratios_and_what_changed(capsys):
    code, out, err = typed(capsys, "compare", "nin", "nin(num_classes=10)", *SMALL)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "First   nin, input 1x3x64x64, eval" in lines
    assert "Second  nin(num_classes=10), input 1x3x64x64, eval" in lines
    (params,) = [line for line in lines if line.startswith("Parameters")]
    first, second = (int(text.replace(",", "")) for text in params.split()[1:3])
    assert f"{second / first:.2f}" == params.split()[-1]
    assert [line.split()[0] for line in lines if line.startswith(("changed", "added", "removed"))]
    assert max(map(len, lines)) <= 80


def test_the_options_reach_the_models(capsys):
    arguments = ["--mode", "train", "--optimizer", "adam", "--batch-size", "3", "--kwargs", "num_classes=7"]
    _, out, _ = typed(capsys, "compare", "nin", "nin", *SMALL, *arguments, "--format", "json")
    first, second = json.loads(out)["models"]
    assert (first["mode"], first["optimizer"], first["input_shapes"]) == ("train", "adam", [[3, 3, 64, 64]])
    assert first["kwargs"] == {"num_classes": 7}
    assert first["totals"] == second["totals"]
    assert set(second["ratios"].values()) == {1.0}


def test_saved_records_are_compared_with_models(capsys, tmp_path):
    path = str(tmp_path / "before.json")
    typed(capsys, "summary", "nin", *SMALL, "--format", "json", "-o", path)
    code, out, _ = typed(capsys, "compare", path, "nin", *SMALL)
    assert code == 0
    head = "".join(line.strip() for line in out.partition("Second")[0].splitlines())
    assert head.startswith("First   nin in")
    assert path in head
    assert "No module differs in MACs, Parameters" in out


def test_csv_of_two_adds_up_and_of_more_has_a_row_per_model(capsys, saved):
    one, two = saved("one", {"a": ("Conv2d", 3), "b": ("ReLU", 0)}), saved("two", {"a": ("Conv2d", 5)})
    _, out, _ = typed(capsys, "compare", one, two, "--format", "csv")
    table = list(csv.DictReader(io.StringIO(out)))
    assert [row["change"] for row in table] == ["unchanged", "changed", "removed"]
    assert sum(int(row["first_params"]) for row in table) == 3
    assert sum(int(row["second_params"]) for row in table) == 5
    _, out, _ = typed(capsys, "compare", one, two, one, "--format", "csv")
    table = list(csv.DictReader(io.StringIO(out)))
    assert [row["params"] for row in table] == ["3", "5", "3"]
    assert [float(row["params_ratio"]) for row in table] == [1.0, pytest.approx(5 / 3), 1.0]


def test_several_models_have_a_row_each(capsys, saved):
    files = [saved(f"net{n}", {"a": ("Conv2d", n)}) for n in (1, 2, 4)]
    _, out, _ = typed(capsys, "compare", *files)
    assert [line.split() for line in out.splitlines()[2:]] == [
        ["net1", "1", "(1.00)", "11", "(1.00)"],
        ["net2", "2", "(2.00)", "21", "(1.91)"],
        ["net4", "4", "(4.00)", "41", "(3.73)"],
    ]


def test_markdown_is_short_and_has_nothing_that_is_unchanged(capsys, saved):
    net = {f"conv{n}": ("Conv2d", n) for n in range(9)}
    one, two = saved("one", net), saved("two", net | {"conv3": ("Conv2d", 30)})
    _, out, _ = typed(capsys, "compare", one, two, "--format", "markdown")
    assert "| changed | conv3 |" in out
    assert "conv4" not in out
    assert "9 unchanged" in out
    _, out, _ = typed(capsys, "compare", one, two, "--format", "markdown", "--unchanged")
    assert "| unchanged | conv4 |" in out
    _, out, _ = typed(capsys, "compare", one, one, "--format", "markdown")
    assert "All totals are the same." in out
    assert "No module differs" in out


def test_figures_in_markdown_stand_on_the_right(capsys, saved):
    one = saved("one", {"a": ("Conv2d", 12345), "b": ("Conv2d", 1)})
    two = saved("two", {"a": ("Conv2d", 99999), "b": ("Conv2d", 8)})
    _, out, _ = typed(capsys, "compare", one, two, "--columns", "params", "--format", "markdown")
    assert out.partition("| Change ")[2].splitlines()[:4] == [
        "| Module | Parameters |", "| :--- | :--- | ---: |",
        "| changed | a | +87.7 k |", "| changed | b | +7 |",
    ]  # fmt: skip
    _, out, _ = typed(capsys, "compare", one, two, one, "--format", "markdown")
    assert out.splitlines()[1].split() == [
        "|",
        ":---",
        *["|", "---:"] * (out.splitlines()[0].count("|") - 2),
        "|",
    ]


def test_of_many_changes_those_that_matter_least_give_way(capsys, saved):
    one = saved("one", {f"c{n}": ("Conv2d", 100) for n in range(60)})
    two = saved("two", {f"c{n}": ("Conv2d", 100 + n - 30) for n in range(60)})
    _, out, _ = typed(capsys, "compare", one, two)
    shown = [line.split()[1] for line in out.splitlines() if line.startswith("changed")]
    assert (shown[0], shown[-1], len(shown)) == ("c59", "c0", 25)
    assert "c31" not in shown
    assert "and 34 more that changed less, --top 59 shows them; 2 unchanged" in out
    _, out, _ = typed(capsys, "compare", one, two, "--top", "3")
    shown = [line.split()[1] for line in out.splitlines() if line.startswith("changed")]
    assert shown == ["c59", "c1", "c0"]


def test_the_metric_that_is_named_decides_the_order(capsys, saved):
    one = saved("one", {"a": ("Conv2d", 1)})
    _, out, _ = typed(capsys, "compare", one, saved("two", {"a": ("Conv2d", 3)}), "--sort", "params")
    header = next(line for line in out.splitlines() if line.startswith("Change"))
    assert header.split() == ["Change", "Module", "Parameters", "MACs"]


def test_renamed_and_retyped_modules_are_said(capsys, saved):
    deep = {"conv": ("Conv2d", 5), "relu": ("ReLU", 0)}
    one = saved("one", {"m": {"b5": deep}, "pool": ("ReLU", 0)})
    _, out, _ = typed(capsys, "compare", one, saved("two", {"m": {"b3": deep}, "pool": ("Linear", 0)}))
    assert "m.b5 -> b3" in out
    assert "pool (ReLU -> Linear)" in out


def test_what_two_paths_have_in_common_is_said_once(capsys, saved):
    five, three = ({"m": {"b3": {f"conv{n}": {"conv": ("Conv2d", n)}}}} for n in (5, 3))
    _, out, _ = typed(capsys, "compare", saved("one", five), saved("two", three))
    assert "changed  m.b3.conv5.conv -> conv3.conv " in out


def test_branches_have_rows_of_their_own(capsys):
    arguments = ["compare", "googlenet", "googlenet_v2", "--branches"]
    _, out, _ = typed(capsys, *arguments)
    rows = [line.split()[1] for line in out.splitlines() if line.startswith("changed")]
    assert len(rows) == 9
    assert all(row.startswith("inception") and row.endswith(".branch3") for row in rows)
    _, out, _ = typed(capsys, *arguments, "--format", "csv")
    table = list(csv.DictReader(io.StringIO(out)))
    assert sum(int(row["first_macs"]) for row in table) == 1582671872
    assert {row["second_branch"] for row in table} == {"", "branch1", "branch2", "branch3", "branch4"}


def test_long_paths_leave_the_table_narrow(capsys, saved):
    path = {f"a_long_name_{n}": {"and_another_one": {"conv": ("Conv2d", n)}} for n in range(1, 4)}
    more = {name: {"and_another_one": {"conv": ("Conv2d", 10**9)}} for name in path}
    _, out, _ = typed(capsys, "compare", saved("one", {"x" * 40: path}), saved("two", {"x" * 40: more}))
    assert "and_another_one.conv" in out
    assert max(map(len, out.splitlines())) <= 80


def test_what_cannot_be_compared_is_said_within_the_width(capsys, saved):
    one = saved("one", {"a": ("Conv2d", 1)})
    code, out, _ = typed(capsys, "compare", one, saved("two", {"a": ("Conv2d", 1)}, mode="train"))
    assert code == 0
    assert "two differs from one: mode train, not eval; no ratios of MACs" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_total_that_was_nothing_has_grown_without_a_ratio(capsys, saved):
    none, one = saved("none", {"a": ("Conv2d", 0)}), saved("one", {"a": ("Conv2d", 3)})
    _, out, _ = typed(capsys, "compare", none, one)
    assert ["Parameters", "0", "3", "3"] in [line.split() for line in out.splitlines()]
    _, out, _ = typed(capsys, "compare", none, saved("partial", {"a": ("Conv2d", 3)}, complete=False))
    assert ["MACs", "1", "31"] in [line.split() for line in out.splitlines()]


def test_records_without_layers_have_totals(capsys, tmp_path):
    data = record_of({"a": ("Conv2d", 1)}).to_dict() | {"layers": []}
    (tmp_path / "bare.json").write_text(json.dumps(data))
    path = str(tmp_path / "bare.json")
    for form in ("table", "markdown"):
        code, out, _ = typed(capsys, "compare", path, path, "--format", form)
        assert code == 0
        assert out.endswith("Layers have nothing to compare.\n")


def test_answers_of_other_commands_are_taken_where_they_are_records(capsys, tmp_path):
    path = str(tmp_path / "other.json")
    typed(capsys, "crosscheck", "nin", *SMALL, "--format", "json", "-o", path)
    code, out, _ = typed(capsys, "compare", path, "nin", *SMALL)
    assert code == 0
    assert "No module differs in MACs." in out
    typed(capsys, "summary", "nin", *SMALL, "--depth", "1", "--format", "json", "-o", path)
    code, out, err = typed(capsys, "compare", path, "nin", *SMALL)
    assert (code, out) == (2, "")
    assert "write it with Record.to_json(), or inception-lab summary --format json" in err


def test_strict_fails_where_a_model_is_partial(capsys, saved):
    one = saved("one", {"a": ("Conv2d", 1)})
    partial = saved("half", {"a": ("Conv2d", 1)}, complete=False)
    code, out, err = typed(capsys, "compare", one, partial, "--strict")
    assert code == 1
    assert "half is partial" in out
    assert err == "inception-lab: not counted completely: half\n"
    assert typed(capsys, "compare", one, partial)[0] == 0


def test_a_model_of_ones_own_is_compared_by_its_keywords(capsys):
    variants = [f"torch.nn:Linear(in_features=3, out_features={n})" for n in (2, 8)]
    _, out, _ = typed(capsys, "compare", *variants, "--input-size", "3")
    assert all(variant in out for variant in variants)
    code, _, err = typed(
        capsys, "compare", variants[0], "torch.nn:Linear(in_features=3)", "--input-size", "3"
    )
    assert code == 2
    assert "torch.nn:Linear(in_features=3): it needs a value of out_features" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("", 2, "A B"),
        ("nin", 2, "fewer than two models to compare; name two or more"),
        ("nin nothing", 2, "no model 'nothing'"),
        ("nin nin(10)", 2, "a value without a keyword"),
        ("nin(num_classes=3) nin --kwargs num_classes=4", 2, "given twice"),
        ("nin nothing.json", 2, "nothing.json: cannot be read"),
        ("nin some/folder/net", 2, "some/folder/net: cannot be read"),
        ("a.json b.json --mode train", 2, "leave out --input-size, --mode, --optimizer and --meta-only"),
        ("a.json b.lock#c --batch-size 2", 2, "leave out --kwargs, --input-size, --arg and --batch-size"),
        ("a.json b.json --kwargs a=1", 2, "what was saved is not run again"),
        ("a.json b.json --input-size 3x9x9", 2, "what was saved is not run again"),
        ("nin nin --sort mac --input-size 3x64x64", 2, "did you mean macs"),
        ("nin nin nin --sort macs --input-size 3x64x64", 2, "are of two models; leave them out"),
        (
            "nin nin --unchanged --format csv --input-size 3x64x64",
            2,
            "csv holds every row and column; leave out --unchanged",
        ),
        (
            "nin nin --depth 2 --format html --input-size 3x64x64",
            2,
            "html holds every layer; leave out --depth",
        ),
        ("nin nin --top 2 -o page.html", 2, "html holds every row and column; leave out --top"),
        ("nin nin --depth 0", 2, "--depth"),
        ("nin nin --depth 2 --branches --input-size 3x64x64", 2, "leave out --depth or --branches"),
        (
            "nin nin nin --branches --input-size 3x64x64",
            2,
            "--branches, --sort, --top, --columns and --unchanged are of two models",
        ),
        ("nin nin --optimizer sgd --input-size 3x64x64", 2, "--mode train"),
        ("nin googlenet --input-size 3x8x8", 3, "NIN: input 1 x 3 x 8 x 8 is too small"),
    ],
)
def test_every_mistake_is_one_clear_line(capsys, arguments, code, message):
    exit_code, out, err = typed(capsys, "compare", *arguments.split())
    assert (exit_code, out) == (code, "")
    assert err.count("\n") == 1
    assert message in err
    assert err.startswith("inception-lab: ")


def test_hostile_files_are_refused_in_one_line(capsys, tmp_path):
    good = tmp_path / "good.json"
    good.write_text(record_of({"a": ("Conv2d", 1)}).to_json())
    data = json.loads(good.read_text())
    texts = [
        "", "{", "[]", "null", "[" * 100_000, "\0", json.dumps(data | {"layers": [{}]}),
        json.dumps(data | {"layers": [{"layer": "a", "macs": "x"}]}),
        json.dumps(data | {"input_shapes": [[[]]]}),
        good.read_text()[:-30], "<<<<<<< HEAD\n" + good.read_text(),
    ]  # fmt: skip
    bad = tmp_path / "bad.json"
    for text in texts:
        bad.write_text(text)
        code, out, err = typed(capsys, "compare", str(good), str(bad))
        assert (code, out, err.count("\n")) == (2, "", 1), text[:40]
        assert "bad" in err or "net" in err


def test_the_answer_of_the_command_is_that_of_python(capsys):
    _, out, _ = typed(capsys, "compare", "nin", "nin(num_classes=10)", "--format", "json")
    assert json.loads(out) == json.loads(json.dumps(il.compare("nin", "nin(num_classes=10)").to_dict()))


def test_the_ending_html_asks_for_the_page(capsys, tmp_path):
    models = [il.compare("nin", "nin(num_classes=10)"), il.compare("nin", "nin", "alexnet")]
    arguments = ["nin", "nin(num_classes=10)"], ["nin", "nin", "alexnet"]
    for comparison, subjects in zip(models, arguments, strict=True):
        assert typed(capsys, "compare", *subjects, "-o", str(tmp_path / "page.html")) == (0, "", "")
        path = il.write_comparison_page(comparison, tmp_path / "python.html")
        assert (tmp_path / "page.html").read_text() == path.read_text()
    code, out, _ = typed(capsys, "compare", "nin", "nin", "--format", "html")
    assert (code, out.startswith("<!doctype html>")) == (0, True)
