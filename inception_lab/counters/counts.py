"""Count of one operation by another counter, and the reason where a counter cannot run a model."""

from __future__ import annotations

from typing import NamedTuple

from inception_lab.ir.trace import Phase


class Count(NamedTuple):
    """Count of one operation by another counter.

    Attributes:
        layer: The layer that the operation belongs to, as in `layer_costs`.
        phase: The part of the step in which it ran.
        macs: The counter's figure.
        surplus: By how much that exceeds the multiply-accumulates of the operation, as a rule works
            it out from the operation's shapes; 0 where no rule applies.
        why: The rule's explanation; empty where none applies.
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
        """Make one from an error: its type and the first line of its text."""
        lines = str(error).strip().splitlines()
        return cls(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)
