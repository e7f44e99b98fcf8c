"""The command line. Each command is a file of its own, loaded when it is called."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import NoReturn

import click
from click.shell_completion import CompletionItem, shell_complete

from inception_lab import __version__, interrupts
from inception_lab.cli.examples import end_of_help
from inception_lab.cli.hints import command_line_hint
from inception_lab.errors import USAGE, InceptionLabError, nearest, printable, shortened

COMMANDS = {
    "check": "Limits on what models cost, and what grew since the lock.",
    "compare": "Models side by side, and which modules differ.",
    "confirm": "Published claims about these nets, recomputed.",
    "crosscheck": "MACs beside fvcore's and torch's, layer by layer.",
    "gradient-flow": "Gradients along depth, and in a short training run.",
    "memory": "Peak memory of a pass or step, and what makes it up.",
    "models": "The zoo: name, paper, year, input size, parameters, MACs.",
    "profile": "A torch.profiler trace of a model, and the tables of any.",
    "receptive-field": "What each layer sees, and the spectrum over branches.",
    "report": "Tables, plots and a page about each model, in folders.",
    "summary": "The layer table of a model, and its totals.",
    "sweep": "Variants of a design by the thousand, and the best of them.",
    "time": "Time of each layer in real runs; of several models, ratios.",
    "worksheet": "One module's arithmetic, naive against reduced.",
}
"""Every command with its one line of help, so that `--help` loads none of them."""

INTERRUPT_CODE = 130
COMPLETION = "_INCEPTION_LAB_COMPLETE"
"""The variable by which a shell asks for its script, and for the words that may stand next."""

END_OF_HELP = f"""\b
Examples:
  inception-lab summary mynet:MyNet --input-size 3x64x64
  inception-lab memory googlenet --mode train --fits 80GiB
  inception-lab report googlenet googlenet_naive -o my-reports

\b
Completion of commands, options and models (in zsh and fish likewise):
  eval "$({COMPLETION}=bash_source inception-lab)"

Exit codes: 0 fine, 1 the answer is no, 2 wrong usage, 3 the model could not be built or traced.
"""


class _LazyGroup(click.Group):
    """Commands by name; the file of one is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"{__name__}.{cmd_name.replace('-', '_')}").command
        command.epilog = end_of_help(cmd_name, command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [name for name in COMMANDS if name.startswith(incomplete)]
        items = [CompletionItem(name, help=COMMANDS[name]) for name in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise InceptionLabError(f"no command {args[0]!r}", hint=nearest(args[0], COMMANDS))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=END_OF_HELP,
)
@click.version_option(__version__, prog_name="inception_lab")
def app() -> None:
    """What a CNN with branches costs, sees and holds in memory, before it is trained."""


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; every error is one line on standard error.

    Args:
        args: The arguments, those of the process by default.
    """
    _escape_what_cannot_be_written()
    try:
        with interrupts.raised():
            _answer(list(sys.argv[1:] if args is None else args))
    except interrupts.Interrupted as request:
        _end(request)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", INTERRUPT_CODE)
    sys.exit(0)


def _answer(args: list[str]) -> None:
    try:
        _run(args)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except click.ClickException as error:
        _refuse(error)
    except InceptionLabError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # else whoever read our output has left: nothing to say
            _fail(f"cannot write: {error.strerror or error}", USAGE)


def _escape_what_cannot_be_written() -> None:
    """Have characters that the terminal's encoding lacks written as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a process may be started without, a program may put another
            stream.reconfigure(errors="backslashreplace")


def _complete(instruction: str) -> NoReturn:
    """Answer a shell; a line that is wrong so far has no next words."""
    try:
        code = shell_complete(app, {}, "inception-lab", COMPLETION, instruction)
    except (click.ClickException, InceptionLabError):
        code = 0
    sys.exit(code)


def _run(args: list[str]) -> None:
    if instruction := os.environ.get(COMPLETION):
        _complete(instruction)
    with app.make_context("inception-lab", args) as context:
        try:
            app.invoke(context)
        except InceptionLabError as error:
            command = app.get_command(context, context.invoked_subcommand or "")
            error.hint = command_line_hint(error.hint, command) if command else error.hint
            raise
    if sys.stdout is not None:
        sys.stdout.flush()


def _refuse(error: click.ClickException) -> NoReturn:
    """Say in one line what click has to say, and where help is."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        sys.exit(USAGE)
    if not isinstance(error, click.UsageError):
        _fail(_one_line(error), error.exit_code)
    command = error.ctx.command_path if error.ctx else "inception-lab"
    _fail(f"{_one_line(error)}; see '{command} --help'", USAGE)


def _end(request: interrupts.Interrupted) -> NoReturn:
    if request.number == signal.SIGINT:
        _fail("interrupted", INTERRUPT_CODE)
    sys.exit(request.code)


def _one_line(error: click.ClickException) -> str:
    return printable(shortened(error.format_message())).rstrip(".")


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"inception-lab: {message}", err=True)
    sys.exit(code)
