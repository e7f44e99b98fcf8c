"""What another counter made of one operation, or why it made nothing of a model."""

from __future__ import annotations

from typing import NamedTuple

from inception_lab.ir.trace import Phase


class Count(NamedTuple):
    """What another counter made of one operation.

    Attributes:
        layer: The layer that the operation belongs to, as in `layer_costs`.
        phase: The part of the step in which it ran.
        macs: The counter's figure.
        surplus: How much more that is than the multiply-accumulates of the operation, as a rule works
            it out from the operation's shapes; 0 where no rule applies.
        why: What the rule says; empty where none applies.
    """

    layer: str
    phase: Phase
    macs: int
    surplus: int = 0
    why: str = ""


class CannotRunError(Exception):
    """Another counter could not run a model; the text says why in one line."""

    @classmethod
    def because(cls, error: Exception) -> CannotRunError:
        """What was raised, and the first line of what it said."""
        lines = str(error).strip().splitlines()
        return cls(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)
