"""Options that mean the same in every command that has them, as typed data."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, TypeVar, cast

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from inception_lab import interrupts
from inception_lab.errors import InceptionLabError
from inception_lab.files import check_writable, path_from, write_text
from inception_lab.ir.trace import Mode
from inception_lab.loading.options import (
    NO_ARGUMENTS,
    ForwardArguments,
    InputSize,
    ModelRequest,
    forward_arguments,
    model_request,
    parse_argument,
    parse_input_size,
    parse_keyword,
    unique_keywords,
)
from inception_lab.loading.variants import variant_words
from inception_lab.models.cards import CARDS
from inception_lab.report.terminal import LEAST_WIDTH, Screen
from inception_lab.report.view import View

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True)
class TracingOptions:
    """Options of building and tracing models.

    Attributes:
        kwargs: Keywords of the model.
        input_sizes: One per input; empty for the size on the card, or that the model itself tells.
        batch_size: Images in a batch.
        mode: `eval` or `train`.
        strict: A partial result is a failure.
        meta_only: A model that has to run for real is a failure.
        traceback: Show where a model raised.
        optimizer: Name of the one that ends a training step, None for a step without.
        arguments: Of the model's forward, beside the inputs.
    """

    kwargs: dict[str, Any]
    input_sizes: tuple[InputSize, ...]
    batch_size: int = 1
    mode: Mode = "eval"
    strict: bool = False
    meta_only: bool = False
    traceback: bool = False
    optimizer: str | None = None
    arguments: ForwardArguments = NO_ARGUMENTS

    def request(self, spec: str) -> ModelRequest:
        """The request for MODEL with these options."""
        return model_request(spec, self.kwargs, self.input_sizes, self.batch_size, self.arguments)

    def variant(self, spec: str) -> tuple[str, tuple[str, ...]]:
        """The name of MODEL, and words for what tells its run from that by default; folders bear both."""
        request = self.request(spec)
        return request.name, variant_words(request, self.mode, self.optimizer)


class ModelType(click.ParamType[str]):
    """The type of MODEL, which it gives as it is typed; see `model_request`."""

    name = "MODEL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse text that cannot be read."""
        del param, ctx
        model_request(value)
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the zoo."""
        del ctx, param
        return [CompletionItem(name) for name in CARDS if name.startswith(incomplete)]


MODEL = ModelType()


class SizeType(click.ParamType[InputSize]):
    """The type of an option that takes an input size; see `parse_input_size`."""

    name = "CxHxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> InputSize:
        """Read the text."""
        del param, ctx
        return parse_input_size(value)


class KeywordType(click.ParamType["tuple[str, Any]"]):
    """The type of an option that takes a keyword of a model; see `parse_keyword`."""

    name = "KEY=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Read the text."""
        del param, ctx
        return parse_keyword(value)


class ArgumentType(click.ParamType["tuple[str, Any]"]):
    """The type of an option that takes an argument of a model's forward; see `parse_argument`."""

    name = "[KEY=]VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """Read the text."""
        del param, ctx
        return parse_argument(value)


def typed_options(kind: type, parameter: str, options: Sequence[Decorator]) -> Callable[[Command], Command]:
    """Return a decorator that adds options to a command, which takes them as one dataclass.

    Args:
        kind: The dataclass, with a field for each option.
        parameter: Name of the parameter of the command that takes it.
        options: In the order in which help lists them.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def wrapper(**values: Any) -> Any:
            own = {field.name: values.pop(field.name) for field in fields(kind) if field.name in values}
            return command(**{parameter: kind(**own)}, **values)

        function: Callable[..., Any] = wrapper
        # as decorators above a function, the last one is applied first
        for option in reversed(options):
            function = option(function)
        return cast("Command", function)

    return decorate


_KWARGS = click.option(
    "--kwargs",
    multiple=True,
    type=KeywordType(),
    callback=lambda _context, _parameter, pairs: unique_keywords(pairs),
    help="Keyword of the model; repeatable.",
)
_INPUT_SIZE = click.option(
    "--input-size",
    "input_sizes",
    multiple=True,
    type=SizeType(),
    metavar="CxHxW",
    help="Size of an input without the batch, and its element type where it is not the model's, "
    "such as 128:int64; by keyword mask=16x16; repeatable.  [default: the model's]",
)
_ARGUMENTS = click.option(
    "--arg",
    "arguments",
    multiple=True,
    type=ArgumentType(),
    callback=lambda _context, _parameter, pairs: forward_arguments(pairs),
    help="Argument of the model's forward that is not a tensor, such as out_indices=[1,3], mask=None or, "
    "behind the inputs, a value alone; passed on as it is; repeatable.",
)
_BATCH_SIZES = click.IntRange(1, 2**31)
_BATCH_SIZE = click.option(
    "--batch-size", type=_BATCH_SIZES, default=1, show_default=True, help="Images in a batch."
)
_MODE = click.option(
    "--mode",
    type=click.Choice(["eval", "train"]),
    default="eval",
    show_default=True,
    help="One inference pass, or forward, loss and backward.",
)
_STEP_OPTIONS: tuple[Decorator, ...] = (_KWARGS, _INPUT_SIZE, _ARGUMENTS, _BATCH_SIZE, _MODE)
_TRACEBACK = click.option("--traceback", is_flag=True, help="Show where a model raised.")

tracing_options = typed_options(
    TracingOptions,
    "tracing",
    (
        *_STEP_OPTIONS,
        click.option("--strict", is_flag=True, help="Exit with 1 where an operation could not be counted."),
        click.option(
            "--meta-only", is_flag=True, help="Exit with 3 where a model would have to run for real."
        ),
        _TRACEBACK,
    ),
)
"""Adds the options that say how a model is built and traced; they arrive as `tracing`."""

step_options = typed_options(TracingOptions, "tracing", (*_STEP_OPTIONS, _TRACEBACK))
"""The same for a command that runs models for real, which counts nothing."""

train_options = typed_options(
    TracingOptions,
    "tracing",
    (
        _KWARGS,
        _INPUT_SIZE,
        _ARGUMENTS,
        click.option(
            "--batch-size",
            type=_BATCH_SIZES,
            default=8,
            show_default=True,
            help="Samples in a batch; batch normalisation takes no batch of one.",
        ),
        _TRACEBACK,
    ),
)
"""The same for a command whose models train, on batches that batch normalisation takes."""

batches_step_options = typed_options(
    TracingOptions, "tracing", (_KWARGS, _INPUT_SIZE, _ARGUMENTS, _MODE, _TRACEBACK)
)
"""The same for a command that has `batch_sizes_option` in place of a batch size."""

batch_sizes_option = click.option(
    "--batch-size",
    "batch_sizes",
    multiple=True,
    type=_BATCH_SIZES,
    default=(1,),
    show_default=True,
    help="Images in a batch; repeatable.",
)

optimizer_option = click.option(
    "--optimizer",
    type=click.Choice(["sgd", "momentum", "adam", "adamw"]),
    help="End a training step with this one's.",
)
"""For commands to which the optimizer's step makes a difference; it arrives in the `TracingOptions`."""


HALF_DTYPES = ("bfloat16", "float16")
DTYPES = ("float32", *HALF_DTYPES)
"""Those that models may be converted to on the command line."""

device_option = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    default="cpu",
    show_default=True,
    help="Where models run.",
)
seconds_option = click.option(
    "--seconds",
    type=click.FloatRange(0, 86400),
    default=5.0,
    show_default=True,
    help="Time budget for each model; six rounds are made in any case.",
)
threads_option = click.option("--threads", type=click.IntRange(1, 1024), help="Threads within an operation.")
dtype_option = click.option(
    "--dtype", type=click.Choice(DTYPES), help="Convert the model, and its floating inputs."
)
channels_last_option = click.option(
    "--channels-last", is_flag=True, help="Run in channels-last memory format."
)
autocast_option = click.option(
    "--autocast", type=click.Choice(HALF_DTYPES), help="Run forward and loss under autocast."
)


FORMS = ("table", "csv", "json", "markdown")
ENDINGS = {
    ".csv": "csv", ".html": "html", ".json": "json", ".md": "markdown", ".tex": "latex", ".txt": "table"
}  # fmt: skip
"""The form that the ending of a file's name says, where none is typed."""


class WrittenFile(click.Path):
    """The type of a file to write to: an absolute path, found to be writable.

    Code of the user's, which may change directory or take long, runs later.
    """

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse a file that cannot be written."""
        path = path_from(super().convert(value, param, ctx))
        check_writable(path)
        return Path.cwd() / path


class OutputFile(WrittenFile):
    """The type of a file for a text, where `-` is standard output, which is None."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse a file that cannot be written, and one of code, such as that of the model."""
        if value == "-":
            return None
        if Path(value).suffix.lower() == ".py":
            hint = "end it with .csv, .json, .md or .txt"
            raise InceptionLabError(f"{str(value)!r} is a file of code", hint=hint)
        return super().convert(value, param, ctx)


output_option = click.option(
    "-o",
    "--output",
    type=OutputFile(),
    help="Write to this file, whose ending .csv, .json, .md or .txt says the format; - is standard output.",
)


def format_options(
    command: Command, forms: Sequence[str] = FORMS, output_option: Decorator = output_option
) -> Command:
    """Add `--format` and `--output`, whose ending says the format where that is not typed.

    Args:
        command: The command, which takes them as `form` and `output`.
        forms: Names of formats, those of endings among them.
        output_option: That of `--output`.
    """

    @wraps(command)
    def wrapper(form: str, output: Path | None, **values: Any) -> Any:
        return command(form=_form(form, output, forms), output=output, **values)

    function: Callable[..., Any] = output_option(wrapper)
    function = click.option(
        "--format",
        "form",
        type=click.Choice(forms, case_sensitive=False),
        default="table",
        show_default=True,
        help="csv and json hold every row and column.",
    )(function)
    return cast("Command", function)


def _form(form: str, output: Path | None, forms: Sequence[str]) -> str:
    is_typed = click.get_current_context().get_parameter_source("form") is not ParameterSource.DEFAULT
    ending = ENDINGS.get(output.suffix.lower(), form) if output else form
    return form if is_typed or ending not in forms else ending


WIDE = click.option("--wide", is_flag=True, help="Every column and exact figures, whatever the width.")
TOP = click.option("--top", type=click.IntRange(min=1), metavar="N", help="The N largest rows alone.")


def _column_names(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    del context, parameter
    names = tuple(dict.fromkeys(filter(None, re.split(r"[,\s]+", text or ""))))
    if text is not None and not names:
        raise InceptionLabError(f"--columns {text!r} names no column", hint="write it like layer,macs")
    return names


COLUMNS = click.option(
    "--columns",
    metavar="A,B,...",
    callback=_column_names,
    help="These columns alone, by their names in CSV.",
)


def view_options(
    *options: Decorator, forms: Sequence[str] = FORMS, output_option: Decorator = output_option
) -> Callable[[Command], Command]:
    """Return a decorator that adds `format_options` and options of a `View`; all arrive as `view`.

    Args:
        options: Those that choose rows and columns, in the order of help.
        forms: Names of formats, as of `format_options`.
        output_option: That of `--output`.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def wrapper(form: str, output: Path | None, **values: Any) -> Any:
            own = {field.name: values.pop(field.name) for field in fields(View) if field.name in values}
            return command(view=View(form, screen=screen_of(output), **own), output=output, **values)

        function: Callable[..., Any] = format_options(wrapper, forms, output_option)
        for option in reversed(options):
            function = option(function)
        return cast("Command", function)

    return decorate


ROWS_AND_COLUMNS: tuple[Decorator, ...] = (
    click.option(
        "--sort",
        default="",
        metavar="METRIC",
        help="Its largest values first; this, --top and --columns are of table and markdown.",
    ),
    TOP,
    COLUMNS,
    WIDE,
)
table_options = view_options(*ROWS_AND_COLUMNS)
"""Adds the options of a table of layers, modules or models; they arrive as `view`, beside `output`."""


def screen_of(output: Path | None) -> Screen:
    """The screen of a text: the terminal, in colour where it shows any, or a file of its width."""
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    # a process may be started without a standard output
    colour = output is None and sys.stdout is not None and sys.stdout.isatty() and not is_plain
    return Screen(max(LEAST_WIDTH, get_terminal_size().columns), colour)


def emit(text: str, output: Path | None) -> None:
    """Print a text, or write it to a file; one that cannot be written leaves the old one whole."""
    interrupts.check()
    if output is None:
        click.echo(text, nl=not text.endswith("\n"))
    else:
        write_text(output, text)
