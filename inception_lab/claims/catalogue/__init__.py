"""The claims as data, by source; answers have the order of `ALL`."""

from inception_lab.claims.catalogue import (
    googlenet,
    gradients,
    later_papers,
    ports,
    rethinking,
    rivals,
    tutorials,
)
from inception_lab.claims.claim import Claim

ALL: tuple[Claim, ...] = (
    *googlenet.CLAIMS,
    *rethinking.CLAIMS,
    *later_papers.CLAIMS,
    *rivals.CLAIMS,
    *tutorials.CLAIMS,
    *gradients.CLAIMS,
    *ports.CLAIMS,
)
