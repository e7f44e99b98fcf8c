"""Published files that no trace can show, and what is needed for claims that nothing here can check."""

from __future__ import annotations

from inception_lab.claims.nets import Nets
from inception_lab.claims.recipes.costs import Readings
from inception_lab.claims.recipes.registry import recipe
from inception_lab.claims.verdict import Reading, Unavailable

CAFFE_LOSS_WEIGHTS = {"loss1": 0.3, "loss2": 0.3, "loss3": 1.0}
"""The `loss_weight` of each loss in train_val.prototxt of bvlc_googlenet; the third is the main one."""


@recipe
def caffe_heads_undiscounted(nets: Nets) -> Readings:
    """True where the losses of the heads count as much as the main one in the released Caffe model."""
    del nets
    *heads, main = CAFFE_LOSS_WEIGHTS.values()
    text = ", ".join(f"{name} {weight:g}" for name, weight in CAFFE_LOSS_WEIGHTS.items())
    return (Reading("loss_weight in train_val.prototxt", all(weight >= main for weight in heads), text),)


@recipe
def needs(nets: Nets, what: str) -> Unavailable:
    """Nothing: the claim needs more than a trace."""
    del nets
    return Unavailable(what)
