"""Modules that nobody calls: those whose parameters are used, and those that have no part in the run."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import inception_lab as il


def unexecuted(model, inputs, mode="eval"):
    trace = il.trace(model, inputs, mode=mode)
    record = il.summarise(trace)
    rows = {row["layer"]: row for row in record.layers}
    assert all(rows[path]["executed"] is False for path in record.unexecuted_modules)
    return set(record.unexecuted_modules), rows


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_output_projection_of_attention_is_executed(mode):
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn = nn.MultiheadAttention(16, 4, batch_first=True)

        def forward(self, x):
            return self.attn(x, x, x)[0]

    paths, rows = unexecuted(Attention(), (2, 5, 16), mode)
    assert paths == set()
    projection = rows["attn.out_proj"]
    assert (projection["executed"], projection["params"], projection["macs"]) == (True, 16 * 16 + 16, 0)


class Borrowing(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused = nn.Linear(16, 10), nn.Linear(3, 3)
        self.dropout = nn.Dropout()

    def forward(self, x):
        return F.linear(x, self.used.weight)


def test_a_weight_that_another_module_reads_is_used():
    paths, rows = unexecuted(Borrowing(), (2, 16))
    assert paths == {"unused", "dropout"}
    assert rows["used"]["executed"]
    assert rows["(model)"]["macs"] == 2 * 16 * 10


class Tied(nn.Module):
    def __init__(self, functional):
        super().__init__()
        self.embedding, self.head = nn.Embedding(10, 16), nn.Linear(16, 10, bias=False)
        self.head.weight, self.functional = self.embedding.weight, functional

    def forward(self, tokens):
        x = self.embedding(tokens)
        return F.linear(x, self.head.weight) if self.functional else x


@pytest.mark.parametrize(("functional", "idle"), [(True, set()), (False, {"head"})])
def test_a_tied_head_is_used_where_its_parent_multiplies_by_its_weight(functional, idle):
    paths, _ = unexecuted(Tied(functional), [torch.zeros(2, 5, dtype=torch.int64)])
    assert paths == idle


def test_the_budget_of_a_used_layer_holds_for_its_parameters():
    il.check_budget(Borrowing(), (2, 16), layers={"used": {"params": 170}})
    with pytest.raises(AssertionError, match="used"):
        il.check_budget(Borrowing(), (2, 16), layers={"used": {"params": 169}})
