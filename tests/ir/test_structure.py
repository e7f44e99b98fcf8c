"""Depth along the longest path."""

import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.ir.structure import weighted_depth


def depth(model, shape, **options):
    return weighted_depth(il.trace(model, shape, **options))


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("googlenet", 22),  # 1409.4842 section 5
        ("googlenet_bn", 22),
        ("googlenet_3x3", 22),
        ("googlenet_naive", 3 + 9 + 1),
        ("googlenet_v2", 3 + 9 * 3 + 1),
        ("googlenet_v3", 3 + 9 * 3 + 1),
    ],
)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_depth_of_the_family(name, layers, mode):
    assert depth(il.create_model(name, device="meta"), (2, 3, 64, 64), mode=mode) == layers


def test_heads_do_not_deepen_the_net():
    model = il.create_model("googlenet", device="meta", aux_logits=True)
    assert depth(model, (1, 3, 224, 224), mode="train") == 22


def test_the_longest_of_parallel_paths_counts():
    class Fork(nn.Module):
        def __init__(self):
            super().__init__()
            self.short, self.long = nn.Linear(4, 4), nn.Sequential(*[nn.Linear(4, 4) for _ in range(3)])

        def forward(self, x):
            return self.short(x) + self.long(x)

    assert depth(nn.Sequential(Fork(), nn.ReLU(), Fork()), (1, 4)) == 6


def test_products_without_parameters_do_not_count():
    class Gram(nn.Module):
        def forward(self, x):
            return torch.mm(x, x.T)

    assert depth(Gram(), (3, 4)) == 0
    assert depth(nn.Sequential(nn.Linear(4, 4), Gram(), nn.Linear(3, 2)), (3, 4)) == 2


def test_an_in_place_operation_keeps_the_path():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            out = torch.zeros(2, 4, device=x.device)
            out[:1] = self.a(x)[:1]
            out.add_(1)
            return self.b(out)

    assert depth(InPlace(), (2, 4)) == 2
