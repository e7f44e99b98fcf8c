"""Edges between the modules within each module, beside what torch.fx finds by running forwards on symbols."""

import pytest
import torch
from support.branched import I3D, InceptionTime
from torch import fx, nn

import inception_lab as il
from inception_lab.ir.module_graph import SOURCE, module_graphs


class Shallow(fx.Tracer):
    """Takes every module within the one that is traced for one step, if it does anything."""

    def is_leaf_module(self, module, _):
        return not isinstance(module, nn.Identity)


def feeds_by_fx(module):
    """Pairs of children of which the second reads what the first makes, operations between them or not."""
    made_by, pairs = {}, set()
    for node in Shallow().trace(module).nodes:
        sources = set().union(*(made_by[other] for other in node.all_input_nodes))
        if node.op == "call_module":
            pairs |= {(source, node.target) for source in sources}
            made_by[node] = {node.target}
        else:
            made_by[node] = {"input"} if node.op == "placeholder" else sources
    return pairs


def feeds_by_trace(trace, call):
    graph = module_graphs(trace)[call.id]
    made_by, pairs = {SOURCE: {"input"}}, set()
    for place, node in enumerate(graph.nodes):
        sources = set().union(*(made_by[edge.source] for edge in graph.edges if edge.target == place))
        if node.op is None:
            name = trace.calls[node.call].path.removeprefix(call.path).lstrip(".")
            pairs |= {(source, name) for source in sources}
            made_by[place] = {name}
        else:
            made_by[place] = sources
    return pairs


NETS = {
    "googlenet": lambda: (il.create_model("googlenet", device="meta"), (1, 3, 224, 224)),
    "inception_v3": lambda: (il.create_model("inception_v3", device="meta"), (1, 3, 299, 299)),
    "inception_v4": lambda: (il.create_model("inception_v4", device="meta"), (1, 3, 299, 299)),
    "inception_resnet_v2": lambda: (il.create_model("inception_resnet_v2", device="meta"), (1, 3, 299, 299)),
    "xception": lambda: (il.create_model("xception", device="meta"), (1, 3, 299, 299)),
    "1-d": lambda: (InceptionTime(), (1, 2, 64)),
    "3-d": lambda: (I3D(), (1, 3, 8, 32, 32)),
}


@pytest.mark.parametrize("name", NETS)
def test_each_module_is_as_torch_fx_has_it(name):
    model, shape = NETS[name]()
    trace = il.trace(model.eval(), shape)
    modules = dict(model.named_modules())
    compared = 0
    # the models of the zoo check their inputs, which symbols cannot
    calls = [call for call in trace.calls if call.path or name.endswith("-d")]
    for call in calls:
        if call.id in module_graphs(trace) and not isinstance(modules[call.path], nn.Sequential):
            assert feeds_by_trace(trace, call) == feeds_by_fx(modules[call.path]), call.path
            compared += 1
    assert compared > 0


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_every_operation_of_the_forward_is_in_one_node(mode):
    trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224), mode=mode)
    graphs = module_graphs(trace)
    own = [node.op for graph in graphs.values() for node in graph.nodes if node.op is not None]
    assert len(own) == len(set(own))
    whole = {node.call for graph in graphs.values() for node in graph.nodes if node.op is None} - set(graphs)
    passed_over = [
        op
        for op in trace.ops
        if op.phase == "forward" and op.id not in own and op.call not in whole and op.call >= 0
    ]
    assert {op.base_name for op in passed_over} <= {"view", "flatten", "reshape"}


def test_a_value_is_followed_through_views():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Linear(4, 2)

        def forward(self, x):
            return self.b(self.a(x).flatten(2).transpose(1, 2))

    trace = il.trace(Net(), (1, 3, 4, 4))
    graph = module_graphs(trace)[0]
    assert [trace.calls[node.call].path for node in graph.nodes] == ["a", "b"]
    assert [(edge.source, edge.target) for edge in graph.edges] == [(SOURCE, 0), (0, 1)]


def test_a_module_that_is_called_twice_is_there_twice():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 4)

        def forward(self, x):
            return self.a(torch.relu(self.a(x)) + x)

    trace = il.trace(Net(), (1, 4))
    graph = module_graphs(trace)[0]
    names = [trace.calls[n.call].path if n.op is None else trace.ops[n.op].base_name for n in graph.nodes]
    assert names == ["a", "relu", "add", "a"]
    assert {(edge.source, edge.target) for edge in graph.edges} == {(-1, 0), (0, 1), (1, 2), (-1, 2), (2, 3)}
