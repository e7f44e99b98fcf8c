"""The outcome for one net, beside FlopCounterMode."""

import torch
from torch import nn

import inception_lab as il
from sweep import outcome


class MatrixVector(nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.ones(4, 8))

    def forward(self, x):
        return self.matrix @ x


def test_a_difference_is_explained_where_torch_has_no_formula():
    row = outcome.trace_row("timm", "mv", MatrixVector(), (8,))
    assert (row.macs, row.torch_macs, row.counts) == (str(4 * 8), "0", "explained")
    assert "aten.mv.default" in row.reason


def test_any_other_difference_is_unexplained():
    trace = il.trace(nn.Linear(8, 4), (2, 8))
    assert outcome.compare(trace, 64) == ("equal", "")
    assert outcome.compare(trace, 60) == ("unexplained", "differs by +4")
