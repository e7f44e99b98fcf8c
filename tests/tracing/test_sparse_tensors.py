"""Sparse and nested tensors: counts and bytes by what they store, in every role and by every analysis."""

import sys
import warnings
from dataclasses import replace

import pytest
import torch
from support.made_times import CEILINGS
from torch import nn

import inception_lab as il
from inception_lab.cli import main
from inception_lab.formulas.sparse_layouts import dense_parts, shape_of, stored_bytes, stored_elements
from inception_lab.measure.hardware import device_name
from inception_lab.measure.prediction import SPARSE_WORKSPACE

NODES, WIDE, NARROW = 24, 12, 5
MASK = torch.rand(NODES, NODES, generator=torch.Generator().manual_seed(3)) < 0.15
DENSE = MASK * torch.rand(NODES, NODES, generator=torch.Generator().manual_seed(4)).add(0.1)
STORED = int(MASK.sum())
LINEAR = NODES * WIDE * NARROW

pytestmark = pytest.mark.filterwarnings("ignore:Sparse:UserWarning")


def this_machine():
    return device_name("cpu"), torch.get_num_threads()


def in_layout(layout):
    convert = {
        "coo": DENSE.to_sparse,
        "csr": DENSE.to_sparse_csr,
        "csc": DENSE.to_sparse_csc,
        "bsr": lambda: DENSE.to_sparse_bsr((4, 4)),
        "bsc": lambda: DENSE.to_sparse_bsc((4, 4)),
    }
    return convert[layout]()


def elements(adjacency):
    """Stored elements by hand: blocks are stored whole."""
    if adjacency.layout in (torch.sparse_bsr, torch.sparse_bsc):
        return int(MASK.reshape(NODES // 4, 4, NODES // 4, 4).any(3).any(1).sum()) * 16
    return STORED


PRODUCTS = {
    "operator": lambda a, x: a @ x,
    "sparse.mm": torch.sparse.mm,
    "spmm": torch.spmm,
    "addmm": lambda a, x: torch.addmm(x, a, x),
    "sparse.addmm": lambda a, x: torch.sparse.addmm(x, a, x),
    "column": lambda a, x: torch.stack([a @ x[:, place] for place in range(x.shape[1])], 1),
}


class Graph(nn.Module):
    """A layer of a graph network; the adjacency is a buffer, a parameter, an attribute or an input."""

    def __init__(self, adjacency=None, role="buffer", product="operator"):
        super().__init__()
        self.linear = nn.Linear(WIDE, NARROW, bias=False)
        self.product = product
        if role == "buffer":
            self.register_buffer("adjacency", adjacency)
        elif role == "parameter":
            self.adjacency = nn.Parameter(adjacency)
        elif role == "attribute":
            self.__dict__["adjacency"] = adjacency

    def forward(self, x, adjacency=None):
        adjacency = self.adjacency if adjacency is None else adjacency
        return PRODUCTS[self.product](adjacency, self.linear(x))


def totals(trace):
    return sum(op.macs for op in trace.ops if op.phase == "forward"), trace.context.complete


@pytest.mark.parametrize("role", ["buffer", "parameter", "attribute", "input"])
@pytest.mark.parametrize("layout", ["coo", "csr", "csc", "bsr"])
def test_a_product_costs_the_stored_elements_by_the_columns(layout, role):
    adjacency = in_layout(layout)
    inputs = [(NODES, WIDE), adjacency] if role == "input" else (NODES, WIDE)
    trace = il.trace(Graph(adjacency, role), inputs)
    assert totals(trace) == (LINEAR + elements(adjacency) * NARROW, True)
    assert trace.context.device == "cpu"
    assert "sparse" in trace.context.fallback


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("layout", ["coo", "csr", "csc"])
def test_every_product_costs_the_same(layout, product):
    trace = il.trace(Graph(in_layout(layout), product=product), (NODES, WIDE))
    assert totals(trace) == (LINEAR + STORED * NARROW, True)


def test_the_adjacency_of_the_issue():
    nodes, entries = 2708, 13251
    places = torch.randperm(nodes * nodes, generator=torch.Generator().manual_seed(0))[:entries]
    adjacency = torch.sparse_coo_tensor(
        torch.stack([places // nodes, places % nodes]), torch.ones(entries), (nodes, nodes)
    ).coalesce()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("a", adjacency)
            self.linear = nn.Linear(64, 16, bias=False)

        def forward(self, x):
            return self.a @ self.linear(x)

    trace = il.trace(Net(), (nodes, 64))
    assert totals(trace) == (2_985_008, True)
    assert sum(s.bytes for s in trace.storages if s.kind == "buffer") == 265_020


@pytest.mark.parametrize("layout", ["coo", "csr", "csc", "bsr", "bsc"])
def test_bytes_are_those_of_values_and_indices(layout):
    class Holder(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("adjacency", in_layout(layout))

        def forward(self, x):
            return self.adjacency.to_dense() @ x

    adjacency = in_layout(layout)
    if layout == "coo":
        parts = adjacency.values(), adjacency.indices()
    elif layout in ("csr", "bsr"):
        parts = adjacency.values(), adjacency.crow_indices(), adjacency.col_indices()
    else:
        parts = adjacency.values(), adjacency.ccol_indices(), adjacency.row_indices()
    size = sum(part.numel() * part.element_size() for part in parts)
    assert stored_bytes(adjacency) == size
    trace = il.trace(Holder(), (NODES, 3))
    assert sum(s.bytes for s in trace.storages if s.kind == "buffer") == size
    assert totals(trace) == (NODES * NODES * 3, True)  # the product itself is dense


def test_parameters_are_the_stored_elements():
    trace = il.trace(Graph(in_layout("coo"), "parameter"), (NODES, WIDE))
    totals = il.summarise(trace).totals
    assert (totals["params"], totals["trainable_params"]) == (STORED + WIDE * NARROW,) * 2


@pytest.mark.parametrize(
    ("first", "second"), [("coo", "coo"), ("csr", "csr"), ("csr", "csc"), ("csc", "csr"), ("csc", "csc")]
)
def test_two_sparse_matrices_meet_where_a_column_has_a_row(first, second):
    class Square(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("first", in_layout(first))
            self.register_buffer("second", in_layout(second))

        def forward(self):
            return self.first @ self.second

    pairs = int((MASK.sum(0) * MASK.sum(1)).sum())
    assert totals(il.trace(Square(), [])) == (pairs, True)


def test_duplicates_count_as_the_kernel_meets_them():
    places = torch.tensor([[0, 0, 1], [1, 1, 0]])
    uncoalesced = torch.sparse_coo_tensor(places, torch.ones(3), (2, 2))

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("a", uncoalesced)

        def forward(self, x):
            return self.a @ x, self.a @ self.a, self.a.coalesce() @ x

    trace = il.trace(Twice(), (2, 4))
    dense, sparse, coalesced = (op.macs for op in trace.ops if op.base_name == "mm")
    assert (dense, sparse, coalesced) == (3 * 4, 2, 2 * 4)
    assert sum(op.other_flops for op in trace.ops) == 1  # two elements at one place are added up


class Made(nn.Module):
    """Makes a sparse matrix of a dense one in its forward."""

    def __init__(self, convert):
        super().__init__()
        self.convert = convert
        self.register_buffer("dense", DENSE)

    def forward(self, x):
        return self.convert(self.dense) @ x


@pytest.mark.parametrize(
    "convert",
    [torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr, torch.Tensor.to_sparse_csc],
    ids=["coo", "csr", "csc"],
)
def test_made_inside_the_forward(convert):
    trace = il.trace(Made(convert), (NODES, 3))
    assert totals(trace) == (STORED * 3, True)
    made = next(op for op in trace.ops if "_to_sparse" in op.name)
    born = sum(storage.bytes for storage in trace.storages if storage.born == made.id)
    # one storage of PyTorch's own may hold more than the indices in it
    assert born == sum(part.untyped_storage().nbytes() for part in dense_parts(convert(DENSE)))


def test_element_wise_work_is_that_of_the_stored_elements():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("a", in_layout("coo"))

        def forward(self, x):
            a = (self.a * 2).relu()
            return torch.sparse.softmax(a, 1), a.sum() + x

    trace = il.trace(Scaled(), (1,))
    assert trace.context.complete
    assert [op.other_flops for op in trace.ops if op.base_name == "mul"] == [STORED]
    assert [op.other_flops for op in trace.ops if op.base_name == "_sparse_softmax"] == [5 * STORED]
    assert [op.other_flops for op in trace.ops if op.base_name == "sum"] == [STORED]


def test_an_operation_without_a_rule_is_not_counted():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("a", in_layout("csr"))

        def forward(self, x):
            return self.a @ x, torch.norm(self.a.to_sparse_coo())

    trace = il.trace(Odd(), (NODES, 3))
    assert not trace.context.complete
    assert list(trace.context.uncounted_ops) == ["aten.norm.ScalarOpt_dim"]


def test_sampled_and_reduced_products():
    class Sampled(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("a", in_layout("csr"))

        def forward(self, x):
            scores = torch.sparse.sampled_addmm(self.a, x, x.T)
            return torch.sparse.mm(scores, x, "mean")

    trace = il.trace(Sampled(), (NODES, 7))
    sampled, reduced = (op.macs for op in trace.ops if op.macs)
    assert (sampled, reduced) == (STORED * 7, STORED * 7)


@pytest.mark.parametrize("layout", ["coo", "csr"])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_peak_is_that_of_a_real_run(layout, mode):
    net = Graph(in_layout(layout))
    comparison = il.compare_memory(
        net, (NODES, WIDE), mode=mode, optimizer="sgd" if mode == "train" else None
    )
    assert comparison.errors["tracked_bytes"] == 0
    assert SPARSE_WORKSPACE in comparison.notes


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("layout", ["coo", "csr"])
@pytest.mark.parametrize("product", ["operator", "sparse.mm", "column"])
def test_a_crosscheck_explains_what_flop_counter_mode_takes_for_dense(layout, product, mode):
    result = il.crosscheck(Graph(in_layout(layout), product=product), (NODES, WIDE), mode=mode)
    assert result.verdict == "explained"
    assert not result.unexplained
    assert any("sparse" in row["why"] for row in result.record.context["differences"])


def test_the_gradient_of_the_dense_factor_costs_the_same_again():
    trace = il.trace(Graph(in_layout("coo")), (NODES, WIDE), mode="train")
    backward = sum(op.macs for op in trace.ops if op.phase == "backward")
    assert backward == STORED * NARROW + LINEAR  # no gradient of the input is asked for


@pytest.mark.parametrize("layout", ["coo", "csr"])
@pytest.mark.parametrize("role", ["buffer", "parameter", "attribute"])
def test_every_analysis_takes_it_and_leaves_it_as_it_was(layout, role, tmp_path):
    adjacency = in_layout(layout)
    net, inputs = Graph(adjacency, role), (NODES, WIDE)
    before = net.adjacency
    trace = il.trace(net, inputs)
    assert il.layer_costs(trace)["macs"].sum() == LINEAR + STORED * NARROW
    assert il.module_costs(trace)["macs"].sum() == LINEAR + STORED * NARROW
    assert il.peak_memory(trace).peak_bytes > stored_bytes(adjacency)
    il.memory_timeline(trace)
    il.memory_by_module(trace)
    il.render_worksheet(il.worksheet(trace, "(model)"))
    il.layer_times(net, inputs, seconds=0)
    il.compare(net, Graph(adjacency, role), inputs=inputs)
    il.record_profile(net, inputs, folder=tmp_path / "profile", active=1, wait=0)
    il.check_budget(net, inputs, macs={"max": LINEAR + STORED * NARROW})
    trace.save(tmp_path / "trace.json")
    assert il.Trace.load(tmp_path / "trace.json") == trace
    assert net.adjacency is before
    assert torch.equal(net.adjacency.detach().to_dense(), DENSE)


@pytest.mark.parametrize("layout", ["coo", "csr"])
@pytest.mark.parametrize("product", ["operator", "sparse.mm"])
def test_what_a_sparse_matrix_lets_a_unit_see_is_not_known(layout, product):
    class Shifted(nn.Module):
        """Moves every pixel by nine, which the elements of the matrix alone tell."""

        def __init__(self):
            super().__init__()
            moves = torch.eye(64).roll(9, 1)
            self.register_buffer("moves", moves.to_sparse() if layout == "coo" else moves.to_sparse_csr())
            self.conv = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x):
            return PRODUCTS[product](self.moves, self.conv(x).reshape(64, 1)).reshape(x.shape)

    table = il.receptive_field(il.trace(Shifted(), (1, 1, 8, 8))).set_index("layer")
    assert table.loc["conv", "status"] == "exact"
    assert table.loc["(model)", "status"] == "unknown"


def test_the_roofline_of_a_sparse_product_moves_its_values():
    machine, threads = this_machine()
    ceilings = replace(CEILINGS, machine=machine, torch=torch.__version__.partition("+")[0], threads=threads)
    net = Graph(in_layout("csr"))
    result = il.measure_roofline(net, (NODES, WIDE), seconds=0, ceilings=ceilings)
    rows = result.layers.set_index("layer")
    # the product reads values and features, and writes its result
    assert rows.loc["(model)", "compulsory_bytes"] == 4 * (STORED + 2 * NODES * NARROW)


@pytest.mark.parametrize("layout", ["coo", "csr", "csc"])
def test_a_model_that_is_copied_for_each_batch(layout):
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("a", in_layout(layout))

        def forward(self, x):
            return (self.a @ x.T).T

    times = il.times_by_batch(Rows(), (NODES,), [1, 2], seconds=0)
    assert list(times.table["batch_size"]) == [1, 2]


def test_what_needs_meta_tensors_says_so_in_one_line():
    net = Graph(in_layout("coo"))
    for refused in (
        lambda: il.trace(net, (NODES, WIDE), meta_only=True),
        lambda: il.largest_batch(net, (WIDE,), "1 MiB", start=NODES),
        lambda: il.trace(Graph(in_layout("coo").to("meta")), (NODES, WIDE)),
    ):
        with pytest.raises(il.InceptionLabError, match="a sparse or nested tensor") as error:
            refused()
        assert len(str(error.value).splitlines()) == 1
        assert error.value.exit_code == 3


def test_a_gradient_that_is_sparse():
    net = nn.Embedding(10, 8, sparse=True)
    tokens = torch.tensor([[1, 2, 2], [4, 1, 0]])
    trace = il.trace(net, tokens, mode="train")
    assert trace.context.complete
    gradient = [s.bytes for s in trace.storages if s.kind == "gradient"]
    assert sorted(gradient) == [6 * 8, 6 * 8 * 4]  # a row for each token, and its index
    comparison = il.compare_memory(net, tokens, mode="train", optimizer="sgd")
    assert comparison.errors["tracked_bytes"] == 0


@pytest.mark.parametrize(
    "optimizer",
    ["sgd", "momentum", lambda p: torch.optim.SparseAdam(p), lambda p: torch.optim.Adagrad(p)],
    ids=["sgd", "momentum", "SparseAdam", "Adagrad"],
)
def test_what_an_optimizer_keeps_of_a_sparse_gradient(optimizer):
    net, tokens = nn.Embedding(10, 8, sparse=True), torch.tensor([[1, 2, 2], [4, 1, 0]])
    comparison = il.compare_memory(net, tokens, mode="train", optimizer=optimizer)
    assert comparison.errors["tracked_bytes"] == 0


def test_an_optimizer_that_takes_no_sparse_gradient_says_so():
    net = nn.Embedding(10, 8, sparse=True)
    with pytest.raises(il.InceptionLabError, match="does not support sparse gradients") as refused:
        il.trace(net, torch.zeros(2, 5, dtype=torch.int64), mode="train", optimizer="adam")
    assert len(str(refused.value).splitlines()) == 1


NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, layout="coo"):
        super().__init__()
        dense = torch.eye(6)
        self.register_buffer("a", dense.to_sparse() if layout == "coo" else dense.to_sparse_csr())
        self.linear = nn.Linear(4, 3, bias=False)

    def forward(self, x):
        return self.a @ self.linear(x)
"""


@pytest.mark.parametrize("layout", ["coo", "csr"])
@pytest.mark.parametrize("command", ["summary", "memory", "crosscheck"])
def test_the_command_line(capsys, tmp_path, monkeypatch, command, layout):
    (tmp_path / "sparse_nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "sparse_nets", raising=False)
    options = ["--input-size", "4", "--batch-size", "6", "--kwargs", f"layout={layout}", "--format", "json"]
    with pytest.raises(SystemExit) as ended:
        main([command, "sparse_nets:Net", *options])
    out, err = capsys.readouterr()
    assert ended.value.code == 0, err
    assert command == "memory" or f'"macs": {6 * 4 * 3 + 6 * 3}' in out


# ---------------------------------------------------------------------------------------- nested tensors

COMPONENTS = [torch.rand(3, WIDE), torch.rand(5, WIDE)]
LAYOUTS = {"strided": torch.strided, "jagged": torch.jagged}


def nested(layout):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nested.nested_tensor(COMPONENTS, layout=LAYOUTS[layout])


class OnNested(nn.Module):
    """A linear layer on a nested tensor: a buffer, one made inside, or the input."""

    def __init__(self, layout, role):
        super().__init__()
        self.linear = nn.Linear(WIDE, NARROW)
        self.layout, self.role = LAYOUTS[layout], role
        self.register_buffer("rows", nested(layout) if role == "buffer" else None)

    def forward(self, x):
        if self.role == "made":
            x = torch.nested.as_nested_tensor([x[0, :3], x[1, :5]], layout=self.layout)
        return self.linear(x if self.rows is None else self.rows).relu()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("role", ["buffer", "made", "input"])
@pytest.mark.filterwarnings("ignore")
def test_a_nested_tensor_costs_what_its_components_cost(layout, role):
    inputs = [nested(layout)] if role == "input" else (2, 5, WIDE)
    net = OnNested(layout, role)
    trace = il.trace(net, inputs)
    assert totals(trace) == ((3 + 5) * WIDE * NARROW, True)
    assert sum(op.other_flops for op in trace.ops if op.base_name == "relu") == (3 + 5) * NARROW
    if role == "input":
        assert trace.context.input_shapes == ((2, 5, WIDE),)
    il.layer_costs(trace)
    il.measure_memory(net, inputs)
    il.layer_times(net, inputs, seconds=0)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.filterwarnings("ignore")
def test_a_crosscheck_of_a_nested_tensor_answers_or_says_why_not(layout):
    try:
        assert il.crosscheck(OnNested(layout, "made"), (2, 5, WIDE)).verdict == "agree"
    except il.InceptionLabError as error:
        assert "could not run it" in str(error)  # noqa: PT017


@pytest.mark.filterwarnings("ignore")
def test_training_on_a_nested_tensor():
    class Padded(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(WIDE, NARROW)

        def forward(self, x):
            return torch.nested.to_padded_tensor(self.linear(x), 0.0)

    trace = il.trace(Padded(), [nested("strided")], mode="train", loss=lambda out: out.sum())
    assert sum(op.macs for op in trace.ops if op.phase == "forward") == 8 * WIDE * NARROW
    # of the weight alone, as the input takes no gradient
    assert sum(op.macs for op in trace.ops if op.phase == "backward") == 8 * WIDE * NARROW


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_shapes_and_sizes_of_nested_tensors(layout):
    assert shape_of(nested(layout)) == (2, 5, WIDE)
    assert stored_elements(nested(layout)) == 8 * WIDE
