"""The lock: what it looks like, that it comes back as it was, and the one line about each damage."""

import tomllib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_lab.budgets.budget import Budget
from inception_lab.budgets.budget_metrics import BUDGET_METRICS
from inception_lab.budgets.figures import RecordedFigures
from inception_lab.budgets.lock import (
    Lock,
    LockedBudget,
    differences,
    lock_text,
    question_of,
    read_lock,
    write_lock,
)
from inception_lab.errors import InceptionLabError

SMALL = LockedBudget(
    {"model": "net", "kwargs": {"a b": [1, "x"], "se": False}, "batch-size": 1, "mode": "eval"},
    ("1x3x8x8",),
    "2.13.0",
    RecordedFigures(
        {"macs": 30, "params": 25},
        {"fc": {"params": 5}, "conv.1": {"params": 20, "macs": 30}, "relu": {"macs": 0}},
    ),
)
LOCK = Lock({"small": SMALL, "b c": replace(SMALL, question={"model": "other"})})


def test_the_text_is_sorted_and_has_a_line_a_module():
    lines = lock_text(Lock({"small": SMALL})).splitlines()
    assert lines == [
        "# Written by `inception-lab check --update`, to be reviewed and committed; not to be edited.",
        "schema = 1",
        "",
        "[budgets.small]",
        'model = "net"',
        'kwargs = { "a b" = [1, "x"], se = false }',
        "batch-size = 1",
        'mode = "eval"',
        'input-shapes = ["1x3x8x8"]',
        'torch = "2.13.0"',
        lines[10],
        "",
        "[budgets.small.totals]",
        "params = 25",
        "macs = 30",
        "",
        "[budgets.small.layers]",
        '"conv.1" = { params = 20, macs = 30 }',
        '"fc" = { params = 5 }',
        '"relu" = {}',
        "",
        "[end]",
        "complete = true",
    ]
    assert lines[10].startswith('digest = "')


def test_no_lock_is_none(tmp_path):
    assert read_lock(tmp_path / "inception-lab.lock") is None


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
metrics = st.dictionaries(st.sampled_from(sorted(BUDGET_METRICS)), st.integers(1, 2**70), max_size=3)
values = st.recursive(
    st.integers() | st.booleans() | st.floats() | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
locked_budgets = st.builds(
    LockedBudget,
    question=st.builds(
        lambda kwargs, model: {"model": model, "kwargs": kwargs}, st.dictionaries(names, values), names
    ),
    input_shapes=st.tuples(names),
    torch=names,
    figures=st.builds(RecordedFigures, metrics, st.dictionaries(names, metrics, max_size=4)),
)
locks = st.builds(Lock, st.dictionaries(names, locked_budgets, max_size=3))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("lock") / "inception-lab.lock"


@settings(deadline=None)
@given(locks)
def test_a_lock_comes_back_as_it_was(file, lock):
    write_lock(file, lock)
    again = read_lock(file)
    assert lock_text(again) == lock_text(lock)
    for name, locked in lock.budgets.items():
        assert again.budgets[name].figures == locked.figures
        assert differences(again.budgets[name].question, locked.question) == []


def test_line_breaks_of_another_system_change_nothing(file):
    file.write_bytes(lock_text(LOCK).replace("\n", "\r\n").encode())
    assert lock_text(read_lock(file)) == lock_text(LOCK)


def refusal(file, content):
    """The one line about a damaged lock; None where it is read as it was written."""
    file.write_bytes(content)
    try:
        lock = read_lock(file)
    except InceptionLabError as error:
        line, exit_code = str(error), error.exit_code
    else:
        assert lock_text(lock) == lock_text(LOCK)
        return None
    assert (line.startswith(str(file)), "\n" in line, "update_lock()" in line) == (True, False, True)
    assert exit_code == 2
    return line


def test_a_lock_that_is_cut_at_any_byte_is_refused(file):
    content = lock_text(LOCK).encode()
    whole = [end for end in range(len(content)) if refusal(file, content[:end]) is None]
    assert whole == [len(content) - 1]  # but for the last line break


def test_a_byte_that_is_changed_is_refused_or_changes_nothing(file):
    content = lock_text(LOCK).encode()
    for place in range(len(content)):
        for byte in (b"7", b" ", b'"', b"\xff", b"\n"):
            line = refusal(file, content[:place] + byte + content[place + 1 :])
            # read, it is the lock that was written
            assert line or lock_text(read_lock(file)) == lock_text(LOCK)


def test_figures_that_are_edited_by_hand_are_refused(file):
    text = lock_text(LOCK)
    for old, new in (("params = 25", "params = 26"), ("params = 20", "params = 2"), ("net", "nett"),
                     ("1x3x8x8", "1x3x9x9"), ('"fc" = { params = 5 }\n', ""), ("= 30 }", "= 30.0 }"),
                     ("batch-size = 1", "batch-size = 2021-01-01")):  # fmt: skip
        assert "damaged lock" in refusal(file, text.replace(old, new, 1).encode())


def test_names_of_budgets_that_are_swapped_are_refused(file):
    text = lock_text(LOCK).replace("budgets.small", "budgets.x").replace('budgets."b c"', "budgets.small")
    assert "damaged lock" in refusal(file, text.replace("budgets.x", 'budgets."b c"').encode())


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_lines_that_are_swapped_doubled_or_dropped(file, data):
    lines = lock_text(LOCK).splitlines(keepends=True)
    one, other = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    match data.draw(st.sampled_from(["swap", "double", "drop"])):
        case "swap":
            lines[one], lines[other] = lines[other], lines[one]
        case "double":
            lines.insert(one, lines[other])
        case "drop":
            del lines[one]
    line = refusal(file, "".join(lines).encode())
    # read, it is the lock that was written
    assert line or lock_text(read_lock(file)) == lock_text(LOCK)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_merge_conflict_marks_are_named(file, data):
    lines = lock_text(LOCK).splitlines(keepends=True)
    marks = ["<<<<<<< HEAD\n", "=======\n", ">>>>>>> branch\n"]
    places = sorted(data.draw(st.integers(0, len(lines))) for _ in marks)
    for place, mark in zip(reversed(places), reversed(marks), strict=True):
        lines.insert(place, mark)
    assert f"{file}:{places[0] + 1}: merge conflict marks" in refusal(file, "".join(lines).encode())


@pytest.mark.parametrize("schema", [0, 2, 99])
def test_a_lock_of_another_schema_is_named(file, schema):
    content = lock_text(LOCK).replace("schema = 1", f"schema = {schema}\nnews = 3").encode()
    assert f":2: schema: a lock of schema {schema}, and this version reads 1" in refusal(file, content)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_anything_at_all_is_refused(file, content):
    assert refusal(file, content)


def test_two_branches_can_change_different_budgets():
    """As each budget has a digest of its own, and nothing else of the file depends on several."""
    both, one = lock_text(LOCK), lock_text(Lock({"small": SMALL}))
    assert one.splitlines()[2:-3] == both.splitlines()[both.splitlines().index("[budgets.small]") - 1 : -3]


def test_the_question_is_everything_that_determines_the_figures():
    budget = Budget("name", "net", {"a": 1}, ("3x8x8",), 4, "train", "sgd", ())
    assert question_of(budget) == {
        "model": "net", "kwargs": {"a": 1}, "input-size": ["3x8x8"], "batch-size": 4, "mode": "train",
        "optimizer": "sgd",
    }  # fmt: skip
    others = {"model": "x", "kwargs": {"a": True}, "input_sizes": (), "batch_size": 1, "mode": "eval",
              "optimizer": None}  # fmt: skip
    for field, value in others.items():
        other = question_of(replace(budget, **{field: value}))
        assert differences(question_of(budget), other) == [
            field.replace("input_sizes", "input-size").replace("_", "-")
        ]
    assert differences(question_of(budget), question_of(replace(budget, name="b"))) == []


def _write_often(arguments):
    path, number = arguments
    figures = RecordedFigures({"params": number}, {f"layer{i}": {"params": number} for i in range(200)})
    lock = Lock({"a": LockedBudget({"model": "net"}, (), "2", figures)})
    seen = set()
    for _ in range(40):
        write_lock(path, lock)
        seen.add(read_lock(path).budgets["a"].figures.totals["params"])
    return seen


def test_two_that_write_at_once_leave_a_whole_lock(tmp_path):
    path = tmp_path / "inception-lab.lock"
    with ProcessPoolExecutor(2) as pool:
        seen = set().union(*pool.map(_write_often, [(path, 1), (path, 2)]))
    assert seen <= {1, 2}
    assert read_lock(path).budgets["a"].figures.totals["params"] in (1, 2)
    assert [file.name for file in tmp_path.iterdir()] == ["inception-lab.lock"]


def test_a_lock_that_is_the_same_is_not_written(tmp_path):
    path = tmp_path / "inception-lab.lock"
    write_lock(path, LOCK)
    before = path.stat()
    write_lock(path, LOCK)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert tomllib.loads(path.read_text())["end"] == {"complete": True}
