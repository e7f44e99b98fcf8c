"""Gradient flow of random nets against `torch.autograd.grad` on a copy with the same batch."""

from itertools import islice

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import Phase, given, settings
from support.flow_nets import NETS, SHAPE, build, figures_by_autograd
from torch import nn

from inception_lab.measure.gradient_flow.flow import gradient_flow
from inception_lab.measure.gradient_flow.samples import MadeSamples, batches
from inception_lab.running.losses import heads_of

KEYS = {"seed", "batch", "module", "type"}


class Recording(nn.Module):
    """A net that keeps, outside of itself, each input and the random state with which it begins."""

    def __init__(self, net, log):
        super().__init__()
        self.net, self.log = net, log

    def forward(self, x):
        if not x.is_meta:
            self.log().append((x.detach().clone(), torch.get_rng_state()))
        return self.net(x)


def terms_of(outputs, labels):
    return {
        name: F.cross_entropy(logits, labels) * (1 if name == "main" else 0.3)
        for name, logits in heads_of(outputs).items()
    }


def rows_of(table):
    """The figures of each module that has some."""
    return {
        row["module"]: {k: v for k, v in row.items() if k not in KEYS and not np.isnan(v)}
        for row in table.to_dict("records")
    }


@settings(max_examples=12, deadline=None, phases=[Phase.generate])
@given(NETS)
def test_every_figure_of_every_module_is_that_of_autograd(net):
    log = []
    torch.manual_seed(3)
    model = Recording(build(net), lambda: log)
    flow = gradient_flow(model, SHAPE, seeds=2, batches=2)
    assert len(log) == 4
    for number, (x, state) in enumerate(log[:]):
        seed, batch = divmod(number, 2)
        samples = next(islice(batches(MadeSamples(SHAPE[1:]), SHAPE[0], seed), batch, None))
        assert torch.equal(x, samples.samples.double())
        torch.set_rng_state(state)
        labels = samples.labels % 3
        expected = figures_by_autograd(model, x, lambda outputs, labels=labels: terms_of(outputs, labels))
        found = rows_of(flow.runs.query(f"seed == {seed} and batch == {batch}"))
        assert found.keys() == {path for path, figures in expected.items() if figures}
        for path, figures in found.items():
            assert figures == pytest.approx(expected[path], rel=1e-9, abs=1e-12), path
    assert flow.losses["mismatch"].max() < 1e-13
    contributions = flow.runs[[name for name in flow.runs if name.startswith("contribution_")]].dropna(
        how="all"
    )
    assert np.allclose(contributions.sum(axis=1), 100, rtol=1e-12)
