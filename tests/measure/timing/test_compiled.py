"""Compiled models: timed as a whole, on a copy that no gate keeps the compiler out of."""

from shutil import which
from threading import Event, Thread

import pytest
import torch
from support.fingerprints import fingerprint, same
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.second(self.first(x).relu())


@pytest.fixture
def other_thread():
    """Another thread, before which a model's methods have gates."""
    stop = Event()
    thread = Thread(target=stop.wait)
    thread.start()
    yield
    stop.set()
    thread.join()


def backends(monkeypatch):
    """Have torch.compile capture whole graphs and run them as they are; returns the graphs."""
    graphs = []

    def backend(graph, _):
        graphs.append([node.target.__name__ for node in graph.graph.nodes if node.op == "call_function"])
        return graph

    compile_model = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda f, **options: compile_model(f, backend=backend, fullgraph=True, **options)
    )
    torch._dynamo.reset()
    return graphs


@pytest.mark.usefixtures("other_thread")
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_model_is_one_graph_beside_other_threads_and_left_as_it_was(monkeypatch, mode):
    graphs, model = backends(monkeypatch), Net()
    before = fingerprint(model)
    times = il.layer_times(model, (2, 4), mode=mode, seconds=0, execution="compiled")
    assert [graph.count("linear") for graph in graphs] == [2]
    assert same(before, fingerprint(model))
    assert "forward" not in model.__dict__
    assert times.context["execution"] == "compiled"
    expected = ["(model)", *(["(loss)", "(backward)"] if mode == "train" else []), "(outside)"]
    assert list(times.layers["layer"]) == expected
    assert times.layers["executed"].all()


def test_several_models_are_compiled_each(monkeypatch):
    graphs = backends(monkeypatch)
    models = [Net(), nn.Sequential(nn.Linear(4, 4), nn.Tanh())]
    comparison = il.compare_times(models, [(2, 4), (2, 4)], seconds=0, execution="compiled")
    assert [graph.count("linear") for graph in graphs] == [2, 1]
    assert [times.context["execution"] for times in comparison.models] == ["compiled", "compiled"]


def test_each_of_many_batch_sizes_has_a_graph_of_its_own_shape(monkeypatch):
    shapes = []

    def backend(graph, inputs):
        shapes.append([tuple(x.shape) for x in inputs if not isinstance(x, nn.Parameter)])
        return graph

    compile_model = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: compile_model(f, backend=backend, **options))
    torch._dynamo.reset()
    sizes = range(2, 14)  # more than the compiler keeps of one function
    times = il.times_by_batch(Net(), (4,), list(sizes), seconds=0, execution="compiled")
    assert [context["execution"] for context in (t.context for t in times.times)] == ["compiled"] * 12
    assert shapes == [[(size, 4)] for size in sizes]


def test_a_compiled_step_computes_what_a_plain_one_does(monkeypatch):
    backends(monkeypatch)
    outputs = []
    model = Net()
    handle = model.register_forward_hook(lambda _module, _args, output: outputs.append(output.detach()))
    for execution in ("eager", "compiled"):
        il.layer_times(model, torch.ones(2, 4), seconds=0, execution=execution)
    handle.remove()
    assert all(torch.equal(output, outputs[0]) for output in outputs)
    assert outputs


def test_what_cannot_be_copied_or_is_not_an_execution_is_refused():
    model = Net()
    model.lock = (part for part in ())
    with pytest.raises(InceptionLabError, match=r"Net: cannot be copied: TypeError: cannot pickle"):
        il.layer_times(model, (2, 4), seconds=0, execution="compiled")
    with pytest.raises(InceptionLabError, match="unknown execution 'fast'") as error:
        il.layer_times(Net(), (2, 4), seconds=0, execution="fast")
    assert error.value.hint == "use 'eager' or 'compiled'"


@pytest.mark.skipif(which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_what_the_compiler_makes_of_a_model_runs():
    times = il.layer_times(Net(), (2, 4), seconds=0, execution="compiled")
    assert round(sum(times.layers["self_ms"]), 6) == times.step_ms
