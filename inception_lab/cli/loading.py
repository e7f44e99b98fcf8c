"""From MODEL on the command line to a Trace."""

from __future__ import annotations

from inception_lab import create_model, trace
from inception_lab.cli.options import Tracing
from inception_lab.errors import InceptionLabError
from inception_lab.ir import Trace
from inception_lab.models.cards import check_options, get_card
from inception_lab.record import Record


def traced(name: str, how: Tracing) -> Trace:
    """Build a model without weights and trace it.

    Raises:
        InceptionLabError: No such model or keyword (exit code 2), or it cannot run on this input (3).
    """
    card = get_card(name)
    check_options(card, how.kwargs)
    model = create_model(name, device="meta", **how.kwargs)
    sizes = how.input_sizes or (card.input_size,)
    return trace(model, [(how.batch_size, *size) for size in sizes], mode=how.mode, name=name)


def said_of(name: str, record: Record) -> Record:
    """The record with what its card says that no trace can: that it is a reconstruction."""
    card = get_card(name)
    return record.with_context(note=card.notes) if card.reconstructed else record


def refuse_partial(found: Trace, how: Tracing) -> None:
    """Fail under `--strict` where an operation could not be counted.

    Raises:
        InceptionLabError: The trace is partial (exit code 1).
    """
    if how.strict and not found.context.complete:
        uncounted = ", ".join(f"{name} ({times}x)" for name, times in found.context.uncounted_ops.items())
        raise InceptionLabError(f"not counted: {uncounted}", where=found.context.model, exit_code=1)
