"""From what a user compares to its record: a model, a trace, a record, or the file of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inception_lab.comparison.locks import is_lock, locked_records
from inception_lab.comparison.module_tree import module_tree
from inception_lab.errors import InceptionLabError
from inception_lab.ir.structure import Place, layer_calls, layer_name, places
from inception_lab.ir.trace import Mode, Trace
from inception_lab.loading.options import ModelRequest, is_factory, model_request, spec_of
from inception_lab.record import Record

if TYPE_CHECKING:
    from torch import nn

    from inception_lab.running.inputs import Inputs

Subject = Any
"""A Record, a Trace, an nn.Module, MODEL as text or as a request, or the path of a record or of a lock."""


@dataclass(frozen=True)
class Step:
    """The run of models that have no trace yet.

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


@dataclass(frozen=True)
class ComparedModel:
    """A model that is compared.

    Attributes:
        record: Of the model.
        source: The file that it was read from; empty where it was not.
        places: The place of each layer among parallel branches, by its path; None where there is no trace, as
            a saved record does not tell them.
    """

    record: Record
    source: str = ""
    places: Mapping[str, Place] | None = None


def is_file(text: str) -> bool:
    """True for the name of a file with a saved record, which no MODEL has.

    Args:
        text: As a user types it; a file ends in `.json`, or in `.lock` as does `old.lock#nin` but for the
            name of a budget, or has a folder in front.

    Example:
        >>> [is_file(text) for text in ("before.json", "runs/before", "old (1).lock#nin", "googlenet")]
        [True, True, True, False]
        >>> is_file("old/mynet.py:MyNet")
        False
    """
    # a keyword of a model may have anything in it, and a lock may have parentheses in its name
    spec = spec_of(text)
    is_of_lock = is_lock(spec if text.rstrip().endswith(")") else text)
    return text.endswith(".json") or is_of_lock or ("/" in spec and not is_factory(text))


def is_saved(subject: Subject) -> bool:
    """True for the file of a record, as a path or as text."""
    return isinstance(subject, Path) or (isinstance(subject, str) and is_file(subject))


def models_of(subjects: Sequence[Subject], step: Step) -> tuple[ComparedModel, ...]:
    """Return the models that subjects stand for: each for one, a lock for one of each of its budgets.

    Args:
        subjects: Of any kind, see `Subject`.
        step: The run of those that have no trace yet.

    Raises:
        InceptionLabError: One is of no kind that is known, cannot be read, built or traced, or is a module
            without inputs; something is said about runs and no subject is run.
    """
    subjects = [_resolve(subject) for subject in subjects]
    _check_step(subjects, step)
    return tuple(model for subject in subjects for model in _models(subject, step))


def saved_model(path: str | Path) -> ComparedModel:
    """Return the one model that a file holds.

    Args:
        path: Of a record, or of a budget in a lock: `inception-lab.lock#googlenet`.

    Raises:
        InceptionLabError: It is not the name of such a file, cannot be read or is damaged, or the lock has
            several budgets (exit code 2).

    Example:
        >>> import inception_lab as il, tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     il.summarise(il.trace(torch.nn.Linear(3, 2), (1, 3))).save(f"{folder}/before.json")
        ...     saved_model(f"{folder}/before.json").record.totals["params"]
        8
    """
    if not is_saved(path):
        raise InceptionLabError(f"{path!r} is not a saved record", hint="name a FILE.json or FILE.lock#NAME")
    models = models_of([Path(path)], Step(None, "eval", None, False))
    if len(models) != 1:
        what = f"the lock has {len(models)} budgets"
        raise InceptionLabError(what, where=str(path), hint=f"name one as in {models[-1].source}")
    module_tree(models[0].record.layers, str(path))  # refuses rows that tell no layers
    return models[0]


def _models(subject: Subject, step: Step) -> Iterator[ComparedModel]:
    if isinstance(subject, Record):
        yield ComparedModel(subject)
    elif not isinstance(subject, Path):
        yield _traced_model(subject, step)
    elif is_lock(str(subject)):
        records = locked_records(str(subject))
        yield from (ComparedModel(record, source) for source, record in records.items())
    else:
        yield ComparedModel(_load(subject), str(subject))


def _load(path: Path) -> Record:
    try:
        return Record.load(path)
    except InceptionLabError as error:
        # answers of other commands, and those by module, are JSON too
        error.hint = error.hint and "write it with Record.to_json(), or inception-lab summary --format json"
        raise


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


def _traced_model(subject: Subject, step: Step) -> ComparedModel:
    # brings torch and pandas, which saved records do not need
    from inception_lab.analyzers.summary import summarise
    from inception_lab.loading.model import trace_model, with_model_facts

    if not isinstance(subject, ModelRequest):
        trace = subject if isinstance(subject, Trace) else _trace_module(subject, step)
        return ComparedModel(summarise(trace), "", _layer_places(trace))
    trace = trace_model(subject, mode=step.mode, optimizer=step.optimizer, meta_only=step.meta_only)
    return ComparedModel(with_model_facts(summarise(trace), subject), "", _layer_places(trace))


def _layer_places(trace: Trace) -> Mapping[str, Place]:
    """The place of each layer by its path; of one that is called again, that of its first call."""
    by_call = places(trace)
    return {layer_name(call): by_call[call.id] for call in reversed(layer_calls(trace))}


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
