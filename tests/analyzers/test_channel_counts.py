"""Channels of values, whatever number of axes they have."""

import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.analyzers.dataflow import dataflow


class Tokens(nn.Module):
    """A signal that becomes tokens, which a linear layer reads."""

    def __init__(self):
        super().__init__()
        self.signal, self.head = nn.Conv1d(2, 6, 5), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(torch.relu(self.signal(x)).transpose(1, 2))


def signals():
    return nn.Sequential(
        nn.Conv1d(2, 6, 5), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(6, 4, 3)
    )


NETS = {
    "signals": (signals, (1, 2, 100), [2, 6, 6, 6, 6]),
    "a signal that becomes tokens": (Tokens, (1, 2, 100), [2, 6, 6]),
    "images": (lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 7, 1)), (1, 3, 8, 9), [3, 4]),
    "volumes": (lambda: nn.Sequential(nn.Conv3d(3, 4, 1), nn.Conv3d(4, 7, 1)), (1, 3, 7, 8, 9), [3, 4]),
    "tokens": (lambda: nn.Sequential(nn.Linear(8, 5), nn.LayerNorm(5)), (1, 20, 8), [8, 5]),
    "features": (lambda: nn.Sequential(nn.Linear(8, 5), nn.ReLU()), (3, 8), [8, 5]),
}


@pytest.mark.parametrize("name", NETS)
def test_what_flows_has_the_channels_of_its_layers(name):
    model, shape, channels = NETS[name]
    flows = dataflow(il.trace(model(), shape)).flows
    assert [flow.channels for flow in flows] == channels
