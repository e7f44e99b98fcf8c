"""Cost of operations on tensors of another layout than the strided one, by tables of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from inception_lab.formulas.terms import FREE, Cost, in_real_macs

if TYPE_CHECKING:
    from torch._ops import OpOverload, OpOverloadPacket

LayoutFormula = Callable[[Sequence[Any], Any], Cost]
"""Gives the cost of an operation by its positional arguments and what it returned."""


class LayoutCosts(NamedTuple):
    """The costs of operations that read or make tensors of one layout.

    Attributes:
        formulas: By operation, out of place, for all its overloads.
        free: Operations that cost nothing, beside views.
        element_wise: The cost of those that work element by element.
    """

    formulas: Mapping[OpOverloadPacket, LayoutFormula]
    free: frozenset[OpOverloadPacket]
    element_wise: LayoutFormula

    def cost(self, func: OpOverload, packet: OpOverloadPacket, args: Sequence[Any], out: Any) -> Cost:
        """Return the cost of an operation.

        Args:
            func: The operation.
            packet: The same out of place, for all its overloads.
            args: Its positional arguments.
            out: What it returned.
        """
        if formula := self.formulas.get(packet):
            return in_real_macs(formula(args, out), args)
        if packet in self.free or func.is_view:
            return FREE
        if torch.Tag.pointwise in func.tags:
            return self.element_wise(args, out)
        return Cost(counted=False)
