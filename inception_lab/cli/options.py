"""Options that mean the same in every command that has them."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from inception_lab.errors import InceptionLabError, nearest
from inception_lab.files import write_text
from inception_lab.loading.options import DTYPES, InputSize, Tracing

Command = TypeVar("Command", bound=Callable[..., Any])


class SizeType(click.ParamType[Any]):
    """Sizes such as 3x224x224, with the element type where it is not the model's, such as 128:int64.

    Example:
        >>> SizeType().convert("3x224x224", None, None)
        InputSize(sizes=(3, 224, 224), dtype='')
        >>> SizeType().convert("128:int64", None, None)
        InputSize(sizes=(128,), dtype='int64')
    """

    name = "CxHxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> InputSize:
        """The sizes as numbers.

        Raises:
            InceptionLabError: The text is no row of positive whole numbers between `x`, or names an
                unknown element type.
        """
        del param, ctx
        text, colon, dtype = value.lower().partition(":")
        parts = text.split("x")
        if not all(part.isascii() and part.isdigit() and len(part) < 16 and int(part) for part in parts):
            raise InceptionLabError(f"{value!r} is no input size", hint="write it like 3x224x224")
        if colon and dtype not in DTYPES:
            raise InceptionLabError(f"no element type {dtype!r}", hint=nearest(dtype, DTYPES))
        return InputSize(tuple(map(int, parts)), dtype)


class KeywordType(click.ParamType[Any]):
    """A keyword of a model, such as num_classes=10: a Python literal, or else a string.

    Example:
        >>> KeywordType().convert("num_classes=10", None, None)
        ('num_classes', 10)
        >>> KeywordType().convert("middle=input", None, None)
        ('middle', 'input')
    """

    name = "KEY=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        """The keyword and its value.

        Raises:
            InceptionLabError: There is no name before an equals sign.
        """
        del param, ctx
        key, equals, text = value.partition("=")
        if not equals or not key.strip().isidentifier():
            raise InceptionLabError(f"{value!r} is no keyword", hint="write it like num_classes=10")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return key.strip(), ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return key.strip(), text.strip()


def tracing_options(command: Command) -> Command:
    """Add the options that say how a model is built and traced; they arrive as a `Tracing`."""

    @wraps(command)
    def collected(**given: Any) -> Any:
        how = {field.name: given.pop(field.name) for field in fields(Tracing) if field.name in given}
        return command(tracing=Tracing(**how | {"kwargs": _each_once(how["kwargs"])}), **given)

    for option in reversed(_TRACING):
        collected = option(collected)
    return cast("Command", collected)


def _each_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InceptionLabError(f"keyword {name!r} is given twice", hint="give it once")
        found[name] = value
    return found


_TRACING = (
    click.option("--kwargs", multiple=True, type=KeywordType(), help="Keyword of the model; repeatable."),
    click.option(
        "--input-size",
        "input_sizes",
        multiple=True,
        type=SizeType(),
        help="Size of an input without the batch, and its element type where it is not the model's, "
        "such as 128:int64; repeatable.  [default: the card's]",
    ),
    click.option(
        "--batch-size", type=click.IntRange(1, 2**31), default=1, show_default=True, help="Images in a batch."
    ),
    click.option(
        "--mode",
        type=click.Choice(["eval", "train"]),
        default="eval",
        show_default=True,
        help="One inference pass, or forward, loss and backward.",
    ),
    click.option("--strict", is_flag=True, help="Exit with 1 where an operation could not be counted."),
    click.option("--meta-only", is_flag=True, help="Exit with 3 where a model would have to run for real."),
    click.option("--traceback", is_flag=True, help="Show where a model raised."),
)


optimizer_option = click.option(
    "--optimizer",
    type=click.Choice(["sgd", "momentum", "adam", "adamw"]),
    help="End a training step with this one's.",
)
"""For commands to which the optimizer's step makes a difference; it arrives in the `Tracing`."""


def format_options(command: Command) -> Command:
    """Add `--format` and `--output`."""
    formats = click.Choice(["table", "csv", "json", "markdown"])
    command = click.option(
        "-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of the terminal."
    )(command)
    return click.option("--format", "form", type=formats, default="table", show_default=True)(command)


def emit(text: str, output: Path | None) -> None:
    """Print a text, or write it to a file; one that cannot be written leaves the old one whole."""
    if output is None:
        click.echo(text, nl=not text.endswith("\n"))
    else:
        write_text(output, text)
