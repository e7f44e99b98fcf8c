"""Tensors made and released within operations, beside the events of the CPU's allocator."""

from itertools import accumulate

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.profiler import ProfilerActivity, profile

import inception_lab as il
from inception_lab.analyzers.memory.cpu_temporaries import temporaries
from inception_lab.measure.real_runs import quiet_profiler

SHAPE = (16, 40)
SINGLE_NUMBERS = 64
"""Bytes of the few numbers that a mean divides by."""


def allocator_bytes(function, *inputs):
    """What a call takes at most beyond what it leaves."""
    function(*inputs)
    with quiet_profiler(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as events:
        out = function(*inputs)
    rows = [e for e in events.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes = [e.nbytes() for e in sorted(rows, key=lambda e: e.start_ns())]
    del out
    return max(accumulate(changes)) - sum(changes)


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def tensors(*dtypes):
    return [torch.ones(SHAPE).to(dtype) for dtype in dtypes]


FLOAT, HALF, LONG, INT, TRUTH = torch.float32, torch.bfloat16, torch.int64, torch.int32, torch.bool
aten = torch.ops.aten
CASES = {
    "plain": (lambda x, y: x * y, tensors(FLOAT, FLOAT)),
    "mask": (lambda x, y: x * y, tensors(FLOAT, TRUTH)),
    "half": (lambda x, y: x + y, tensors(FLOAT, HALF)),
    "integers": (lambda x, y: x / y, tensors(INT, INT)),
    "in_place": (lambda x, y: x.add_(y), tensors(FLOAT, LONG)),
    "single_number": (lambda x: x * torch.tensor(2.0, dtype=torch.float64), tensors(FLOAT)),
    "three": (torch.addcmul, tensors(FLOAT, HALF, FLOAT)),
    "comparison": (lambda x, y: x > y, tensors(FLOAT, LONG)),
    "choice": (torch.where, tensors(TRUTH, FLOAT, HALF)),
    "truths": (torch.sum, tensors(TRUTH)),
    "numbers": (torch.sum, tensors(FLOAT)),
    "logsumexp": (lambda x: x.logsumexp(1), tensors(FLOAT)),
    "kthvalue": (lambda x: x.kthvalue(3, 1), tensors(FLOAT)),
    **{
        f"{name}_{reduction}": (
            lambda x, y, name=name, reduction=reduction: getattr(F, name)(x, y, reduction=reduction),
            tensors(FLOAT, FLOAT),
        )
        for name in ("mse_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy_with_logits")
        for reduction in ("none", "mean", "sum")
    },
    "weights": (
        lambda x, y, w: F.binary_cross_entropy_with_logits(x, y, weight=w),
        [*tensors(FLOAT, FLOAT), torch.ones(40)],
    ),
    "weights_of_positives": (
        lambda x, y, w: F.binary_cross_entropy_with_logits(x, y, pos_weight=w),
        [*tensors(FLOAT, FLOAT), torch.ones(40)],
    ),
    "both_weights": (
        lambda x, y, w: F.binary_cross_entropy_with_logits(x, y, weight=w, pos_weight=w),
        [*tensors(FLOAT, FLOAT), torch.ones(40)],
    ),
    "soft_margin_backward": (
        lambda g, x, y: aten.soft_margin_loss_backward(g, x, y, 1),
        [torch.tensor(1.0), *tensors(FLOAT, FLOAT)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operation_holds_as_much_as_the_allocator_says(name):
    function, inputs = CASES[name]
    trace = il.trace(Call(function), inputs)
    size = sum(temporaries(trace).values())
    assert 0 <= allocator_bytes(function, *inputs) - size <= SINGLE_NUMBERS


def test_a_masked_step_beside_a_real_one():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 300)

        def forward(self, x):
            y = self.layer(x)
            return y * (y > 0)

    comparison = il.compare_memory(Masked(), (64, 8), mode="train", loss=torch.sum)
    assert dict(comparison.errors) == {"tracked_bytes": 0, "allocator_bytes": 0}
