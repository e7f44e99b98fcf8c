"""MODEL with the options of tracing, `--traceback` and `--strict`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import click

from inception_lab.cli.options import TracingOptions
from inception_lab.errors import MODEL_FAILED, InceptionLabError, listed
from inception_lab.ir.trace import Trace


def trace_model(spec: str, options: TracingOptions) -> Trace:
    """Build MODEL and trace it; see `loading.model.trace_model`."""
    from inception_lab.loading import model as loading

    with traceback_shown(spec, options):
        return loading.trace_model(
            options.request(spec),
            mode=options.mode,
            optimizer=options.optimizer,
            meta_only=options.meta_only,
        )


@contextmanager
def traceback_shown(spec: str, options: TracingOptions) -> Iterator[None]:
    """Show where code of the user raised under `--traceback`, and else that this option would."""
    from inception_lab.loading.options import is_factory
    from inception_lab.loading.user_code import user_traceback

    try:
        yield
    except InceptionLabError as error:
        if error.__cause__ is not None and options.traceback:
            click.echo(user_traceback(error.__cause__), err=True)
        elif error.__cause__ is not None and is_factory(spec) and error.exit_code == MODEL_FAILED:
            error.hint = error.hint or _hint_on(error.__cause__)
        raise


_LACKS_ARGUMENTS = re.compile(r"forward\(\) missing \d+ required")


def _hint_on(cause: BaseException) -> str:
    """Name the option that mends what a model raised, or the one that shows where it did."""
    if isinstance(cause, TypeError) and _LACKS_ARGUMENTS.search(str(cause)):
        return "give --input-size once for each input, and --arg for what is not a tensor"
    return "--traceback shows where"


def refuse_partial(trace: Trace, options: TracingOptions) -> None:
    """Fail under `--strict` where an operation could not be counted.

    Raises:
        InceptionLabError: The trace is partial (exit code 1).
    """
    if options.strict and not trace.context.complete:
        operations = listed(f"{name} ({times}x)" for name, times in trace.context.uncounted_ops.items())
        raise InceptionLabError(f"not counted: {operations}", where=trace.context.model, exit_code=1)
