"""The benchmark of sweeps: its arithmetic, and what a small run writes."""

import pytest

import bench_sweep


def watch(moments, memory):
    made = bench_sweep.Watch(every=1, began=100.0)
    made.moments, made.memory = moments, memory
    return made


def test_the_rate_leaves_out_the_start():
    # ten variants in two seconds, five seconds after the call
    made = watch([(number, 105 + 0.2 * (number - 1)) for number in range(1, 12)], [])
    assert (made.start, made.rate) == (pytest.approx(5), pytest.approx(5))


def test_growth_is_from_a_tenth_of_the_way_on():
    made = watch([(100, 0.0)], [(5, 50), (10, 100), (50, 104), (100, 110)])
    assert made.growth == pytest.approx(0.1)


@pytest.mark.parametrize(("rate", "code"), [(50.1, 0), (49.9, 1)])
def test_a_rate_below_the_least_is_a_failure(rate, code, tmp_path, monkeypatch, capsys):
    made = watch([(1, 101.0), (101, 101.0 + 100 / rate)], [(11, 100), (101, 100)])
    monkeypatch.setattr(bench_sweep, "swept", lambda *_: (made, 101))
    monkeypatch.setattr(bench_sweep, "STAGED", 4)
    monkeypatch.setattr(bench_sweep, "prepare_process", lambda: None)
    assert bench_sweep.main(["--variants", "101", "-o", str(tmp_path)]) == code
    page = (tmp_path / "sweep.md").read_text()
    assert page.rstrip() == capsys.readouterr().out.rstrip()
    assert f"**{rate} variants a second** by 2 processes where width" in page
    assert all(f"| {stage} | " in page for stage in ("build on meta", "trace", "receptive field"))


def test_a_small_sweep_is_watched():
    made, complete = bench_sweep.swept(bench_sweep.JUDGED, 6, jobs=1)
    assert complete == 6
    assert [done for done, _ in made.moments] == [1, 2, 3, 4, 5, 6]
    assert all(held > 2**20 for _, held in made.memory)
