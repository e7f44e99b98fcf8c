"""From what a user compares to its record: a model, a trace, a record, or the file of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Mode, Trace
from inception_lab.loading.options import ModelRequest, model_request
from inception_lab.record import Record

if TYPE_CHECKING:
    from torch import nn

    from inception_lab.running.inputs import Inputs

Subject = Any
"""A Record, a Trace, an nn.Module, MODEL as text or as a request, or the path of a saved record."""


@dataclass(frozen=True)
class Step:
    """How models are run that have no trace yet.

    Attributes:
        inputs: Of modules, as of `trace`; None where there are none.
        mode: `eval` or `train`.
        optimizer: Name of the one that ends a training step, None without.
        meta_only: Raise an error where a model would have to run for real.
    """

    inputs: Inputs | None
    mode: Mode
    optimizer: str | None
    meta_only: bool

    @property
    def is_default(self) -> bool:
        """True where nothing is said about runs."""
        return self == Step(None, "eval", None, False)


def is_file(text: str) -> bool:
    """True for the name of a file with a saved record, which no MODEL has.

    Args:
        text: As a user types it; a file ends in `.json`, or has a folder in front.

    Example:
        >>> [is_file(text) for text in ("before.json", "runs/before", "googlenet", "nets:Net(a='/')")]
        [True, True, False, False]
    """
    return text.endswith(".json") or "/" in text.partition("(")[0]


def is_saved(subject: Subject) -> bool:
    """True for the file of a record, as a path or as text."""
    return isinstance(subject, Path) or (isinstance(subject, str) and is_file(subject))


def records_of(subjects: Sequence[Subject], names: Sequence[str] | None, step: Step) -> list[Record]:
    """Return the record of each subject.

    Args:
        subjects: Of any kind, see `Subject`.
        names: A name per subject, which it has instead of its own.
        step: How those are run that have no trace yet.

    Raises:
        InceptionLabError: There are fewer than two subjects; one is of no kind that is known, cannot be
            read, built or traced; it is an nn.Module and there are no inputs; something is said about runs
            and no subject is run.
    """
    if len(subjects) < 2:
        raise InceptionLabError("fewer than two models to compare", hint="name two or more")
    if names is not None and (isinstance(names, str) or len(names) != len(subjects)):
        raise InceptionLabError(f"{len(subjects)} models and names={names!r}", hint="give a name for each")
    resolved = [_resolve(subject) for subject in subjects]
    _check_step(resolved, step)
    records = [_record(subject, step) for subject in resolved]
    if names is None:
        return records
    return [record.with_context(model=str(name)) for record, name in zip(records, names, strict=True)]


def _resolve(subject: Subject) -> Subject:
    """The subject with text read as the name of a model or of a file."""
    if isinstance(subject, str):
        return Path(subject) if is_saved(subject) else model_request(subject)
    return subject


def _check_step(subjects: Sequence[Subject], step: Step) -> None:
    if step.is_default:
        return
    if all(isinstance(subject, Record | Trace | Path) for subject in subjects):
        raise InceptionLabError(
            "what was saved or traced is not run again",
            hint="leave out inputs=, mode=, optimizer= and meta_only=",
        )
    if step.inputs is not None and all(
        isinstance(subject, Record | Trace | Path | ModelRequest) for subject in subjects
    ):
        raise InceptionLabError("inputs= without an nn.Module", hint="leave it out")


def _record(subject: Subject, step: Step) -> Record:
    if isinstance(subject, Record):
        return subject
    if isinstance(subject, Path):
        return Record.load(subject)
    # brings torch and pandas, which saved records do not need
    from inception_lab.analyzers.summary import summarise

    if isinstance(subject, Trace):
        return summarise(subject)
    if isinstance(subject, ModelRequest):
        return _record_of_request(subject, step)
    return summarise(_trace_module(subject, step))


def _record_of_request(request: ModelRequest, step: Step) -> Record:
    from inception_lab.analyzers.summary import summarise
    from inception_lab.loading.model import trace_model, with_model_facts

    trace = trace_model(request, mode=step.mode, optimizer=step.optimizer, meta_only=step.meta_only)
    return with_model_facts(summarise(trace), request)


def _trace_module(module: nn.Module, step: Step) -> Trace:
    from torch import nn

    from inception_lab.tracing.tracer import trace

    if not isinstance(module, nn.Module):
        raise InceptionLabError(
            f"a {type(module).__name__} is not something to compare",
            hint="pass models, traces, records, or paths of saved records",
        )
    if step.inputs is None:
        raise InceptionLabError(
            "no inputs to run it on",
            where=type(module).__name__,
            hint="give inputs=(1, 3, 224, 224), or pass a trace of it",
        )
    return trace(module, step.inputs, mode=step.mode, optimizer=step.optimizer, meta_only=step.meta_only)
