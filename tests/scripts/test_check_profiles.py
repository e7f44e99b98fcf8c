"""The check of a folder of real traces."""

import json

import pytest
from support.profile_traces import cuda_like, kernel, launch, operator, write_late, write_trace

import check_profiles
import tensorboard_views


def test_a_folder_is_read_file_by_file(tmp_path, capsys):
    events = [operator("aten::conv2d", 0, 20), launch(1, 5), kernel(1, 10, 14.5), kernel(2, 20, 24.5)]
    write_trace(tmp_path / "a.json.gz", events)
    write_trace(tmp_path / "b.json", events)
    (tmp_path / "README.md").write_text("not a trace")
    assert check_profiles.main([str(tmp_path)]) == 0
    _, _, first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:6] == ["a.json.gz", "0.00", "2", "9.000", "9.000", "14.500"]
    assert first.split()[6] == "50.00"  # the launch of one of two is in the trace
    assert second.split()[0] == "b.json"


def test_the_views_of_tensorboard_are_those_of_the_profile(tmp_path, capsys):
    pytest.importorskip("torch_tb_profiler")
    write_late(tmp_path / "made.json", cuda_like())
    assert check_profiles.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[-1] == "none"


def test_a_view_that_shows_something_else_is_named(tmp_path):
    pytest.importorskip("torch_tb_profiler")
    path = write_late(tmp_path / "made.json", cuda_like())
    views = tensorboard_views.views_of_copy(path)
    profile = check_profiles.read_profile(path)
    assert tensorboard_views.disagreements(profile, views) == []
    changes = {
        "overview": [row | {"kernel_part_ms": 1.0} for row in profile.rows["overview"]],
        "operators": profile.rows["operators"][1:],
        "kernels": profile.rows["kernels"][1:],
        "memory": profile.rows["memory"][:-2],
    }
    for name, rows in changes.items():
        other = type(profile)(profile.context, profile.totals, profile.rows | {name: rows})
        assert tensorboard_views.disagreements(other, views) == [name], name
    bare = type(profile)({**profile.context, "layers_from": "operators"}, profile.totals, profile.rows)
    assert tensorboard_views.disagreements(bare, views) == ["modules"]


def test_without_the_plugin_one_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check_profiles, "plugin_is_there", lambda: False)
    with pytest.raises(SystemExit) as left:
        check_profiles.main([str(tmp_path)])
    assert left.value.code == 2
    assert capsys.readouterr().err == (
        'check_profiles: TensorBoard\'s plugin is missing; pip install "inception_lab[tensorboard]"\n'
    )


def test_a_damaged_trace_is_named_and_fails(tmp_path, capsys):
    (tmp_path / "a.json").write_text('{"traceEvents": [')
    assert check_profiles.main([str(tmp_path)]) == 1
    assert "is truncated" in capsys.readouterr().out


def test_an_empty_folder_fails(tmp_path):
    assert check_profiles.main([str(tmp_path)]) == 1


def test_a_sum_that_does_not_close_is_told(tmp_path):
    path = write_trace(tmp_path / "a.json", [launch(1, 5), kernel(1, 10, 14.5)])
    profile = check_profiles.read_profile(path)
    assert check_profiles.closes(profile)
    assert not check_profiles.closes(
        type(profile)(profile.context, profile.totals | {"kernels": 2}, profile.rows)
    )
    rows = profile.rows | {"unattributed": ()}
    assert not check_profiles.closes(type(profile)(profile.context, profile.totals, rows))


def test_a_made_trace_has_its_size_and_closes(capsys):
    assert check_profiles.main(["--synthetic", "1"]) == 0
    line = capsys.readouterr().out.splitlines()[2].split()
    assert line[:2] == ["synthetic_1MB.json", "1.00"]
    assert line[6:8] == ["100.00", "100.00"]


def test_a_layer_has_as_many_events_as_the_size_is_looked_at():
    layer = list(check_profiles._layer_events(0))
    assert len(layer) == check_profiles.EVENTS_PER_LAYER
    assert json.dumps(layer)
