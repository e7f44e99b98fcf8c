"""The plots of gradient flow and of training runs as files."""

import pytest
from torch import nn

import inception_lab as il


def net(width=4):
    return lambda: nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 3))


@pytest.fixture(scope="module")
def flows():
    return il.compare_gradient_flow({"narrow": net(), "wide": net(16)}, (8, 6), seeds=2).models


@pytest.fixture(scope="module")
def runs():
    return il.compare_training({"narrow": net(), "wide": net(16)}, (8, 6), 3, seeds=2).models


def test_a_file_of_each_kind(tmp_path, flows, runs):
    for kind, start in (("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")):
        flow = il.plot_gradient_flow(flows, tmp_path / f"flow.{kind}")
        run = il.plot_training(runs, tmp_path / f"run.{kind}", "slide")
        assert flow.read_bytes().startswith(start)
        assert run.read_bytes().startswith(start)


def test_every_model_has_its_name_on_it(tmp_path, flows, runs):
    texts = [
        il.plot_gradient_flow(flows, tmp_path / "flow.svg", "output_variance").read_text(),
        il.plot_training(runs, tmp_path / "run.svg").read_text(),
    ]
    assert all(name in text for name in ("narrow", "wide") for text in texts)


def test_models_of_other_inputs_stand_on_one_plot(tmp_path, flows):
    other = il.gradient_flow(lambda: nn.Linear(5, 3), (8, 5), seeds=2, name="other")
    text = il.plot_gradient_flow([*flows, other], tmp_path / "flow.svg").read_text()
    assert "8x6" not in text
    assert "2 seeds" in text


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda _, __: il.plot_gradient_flow([], "flow.svg"), "nothing to draw"),
        (lambda _, __: il.plot_training([], "run.svg"), "nothing to draw"),
        (lambda flows, _: il.plot_gradient_flow(flows, "flow.gif"), "flow.gif"),
        (lambda flows, _: il.plot_gradient_flow(flows, "flow.svg", size="poster"), "poster"),
        (lambda flows, _: il.plot_gradient_flow(flows, "flow.svg", "macs"), "macs"),
        (
            lambda flows, _: il.plot_gradient_flow(
                [*flows, il.gradient_flow(net(), (8, 6), seeds=3)], "flow.svg"
            ),
            "results of 2 and of 3 seeds; measure all with the same seeds",
        ),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(tmp_path, monkeypatch, flows, runs, call, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(il.InceptionLabError, match=words) as refused:
        call(flows, runs)
    assert len(str(refused.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())
