"""Files of traces with one damage each: refused in one line that names the file, or as good as new."""

import json
from functools import partial
from itertools import product

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError

ABSENT = object()
DAMAGES = (
    ABSENT, None, True, -1, 0, 3, 10**6, 2**62, 2**70, 1.5, float("nan"), float("inf"), "", "x", "forward",
    "saved", [], [0], [[0]], [-1], [10**6], {}, {"x": 1},
)  # fmt: skip

ANALYZERS = (
    il.summarise, il.layer_costs, il.module_costs, il.branch_costs, il.reduction_saving, il.receptive_field,
    il.field_spectrum, il.resolution_fit, il.peak_memory, il.memory_timeline, il.memory_by_module,
    il.memory_record, partial(il.memory_record, device="cuda"), lambda trace: il.compare(trace, trace),
)  # fmt: skip


class Branched(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 1)
        self.norm, self.pool, self.fc = nn.BatchNorm2d(8), nn.MaxPool2d(2), nn.Linear(8, 5)

    def forward(self, x):
        y = torch.cat([self.wide(x), self.narrow(x)], 1)
        return self.fc(self.pool(torch.relu(self.norm(y))).mean((2, 3)))


@pytest.fixture(scope="module", params=["eval", "train"])
def saved(request, tmp_path_factory):
    """A file of a trace, and its text."""
    path = tmp_path_factory.mktemp("traces") / "trace.json"
    il.trace(Branched(), (2, 3, 8, 8), mode=request.param).save(path)
    return path, path.read_text()


def places(node, path=()):
    """Every place in plain data, of a table's rows the one in the middle."""
    if path:
        yield path
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list) and node:
        items = [(len(node) // 2, node[len(node) // 2])] if path[-1] == "rows" else enumerate(node)
    else:
        return
    for key, value in items:
        yield from places(value, (*path, key))


def damaged(text, path, damage):
    """The data with another value at a place, and True where it is another one."""
    data = node = json.loads(text)
    for key in path[:-1]:
        node = node[key]
    before = node[path[-1]]
    if damage is ABSENT:
        del node[path[-1]]
    else:
        node[path[-1]] = damage
    return data, damage is ABSENT or (type(before), before) != (type(damage), damage)


def assert_refused(path, data):
    path.write_text(json.dumps(data))
    with pytest.raises(InceptionLabError) as refusal:
        il.Trace.load(path)
    line = str(refusal.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    assert len(line) < len(str(path)) + 300


def test_a_damage_anywhere_is_refused_in_one_line(saved, tmp_path):
    _, text = saved
    number = 0
    for place, damage in product(places(json.loads(text)), DAMAGES[::3]):
        data, is_other = damaged(text, place, damage)
        if is_other and place != ("digest",):
            number += 1
            assert_refused(tmp_path / "damaged.json", data)
    assert number > 500


def test_a_storage_does_not_die_before_it_is_made(saved):
    content = json.loads(saved[1])
    columns = content["storages"]["columns"]
    born, dies = columns.index("born"), columns.index("dies")
    row = next(row for row in content["storages"]["rows"] if row[born] and row[dies] is not None)
    row[dies] = row[born] - 1
    del content["digest"]
    with pytest.raises(InceptionLabError, match="dies before it is made"):
        il.Trace.from_dict(content)


def test_a_value_has_no_more_elements_than_an_array_can_hold(saved):
    content = json.loads(saved[1])
    shape = content["values"]["columns"].index("shape")
    row = next(row for row in content["values"]["rows"] if len(row[shape]) == 4)
    row[shape] = [1, 2**62, 1, 1]
    del content["digest"]
    with pytest.raises(InceptionLabError, match="has 4,611,686,018,427,387,904 elements"):
        il.Trace.from_dict(content)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_without_its_digest_a_damaged_trace_is_refused_or_analysed(saved, data):
    """What types tell of a trace of an older version, which has no digest, and of `from_dict`."""
    text = saved[1]
    # what an operation was called with has to fit it, which no type tells
    columns = json.loads(text)["ops"]["columns"]
    free = tuple(columns.index(name) for name in ("args", "reads", "writes"))
    sites = [
        path
        for path in places(json.loads(text))
        if not (path[:2] == ("ops", "rows") and path[3:4] and path[3] in free)
    ]
    content, _ = damaged(text, data.draw(st.sampled_from(sites)), data.draw(st.sampled_from(DAMAGES)))
    content.pop("digest", None)
    try:
        trace = il.Trace.from_dict(content)
    except InceptionLabError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return
    for analyse in ANALYZERS:
        try:
            analyse(trace)
        except InceptionLabError as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.999])
def test_a_file_cut_short_is_refused(saved, tmp_path, keep):
    _, text = saved
    (tmp_path / "short.json").write_text(text[: int(len(text) * keep)])
    with pytest.raises(InceptionLabError, match=r"short\.json: cannot be read as a trace"):
        il.Trace.load(tmp_path / "short.json")


def test_the_file_itself_is_read(saved):
    path, _ = saved
    assert il.Trace.load(path).ops
