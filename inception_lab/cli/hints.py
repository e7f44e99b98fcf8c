"""Hints of the library, which name keywords of Python, in the words of the command line."""

from __future__ import annotations

import re

import click

OTHER_NAMES = {"limit": "fits", "inputs": "input_sizes", "folder": "output"}
"""Keywords of Python whose option has another name."""

_FORWARD_ARGUMENTS = "args= or kwargs="
"""Both are one option; `kwargs=` alone is of what builds a model."""

_KEYWORD = re.compile(r"""\b([a-z_]+)=('[^']*'|"[^"]*"|[\w.]+)?""")


def command_line_hint(hint: str, command: click.Command) -> str:
    """Return a hint with the options of a command in place of the keywords of Python.

    Args:
        hint: Such as `use mode='train'`; a keyword that is not an option of the command stays as it is.
        command: The command that was called.

    Example:
        >>> options = [click.Option(["--mode"]), click.Option(["--strict"], is_flag=True)]
        >>> command = click.Command("summary", params=options)
        >>> command_line_hint("use mode='train', leave out strict=True, or pass loss=", command)
        'use --mode train, leave out --strict, or pass loss='
    """
    options = {option.name: option for option in command.params if isinstance(option, click.Option)}

    def replacement(match: re.Match[str]) -> str:
        option = options.get(OTHER_NAMES.get(match[1], match[1]))
        return match[0] if option is None else _option_text(option, match[2] or "")

    if "arguments" in options:
        hint = hint.replace(_FORWARD_ARGUMENTS, options["arguments"].opts[0])
    return _KEYWORD.sub(replacement, hint)


def _option_text(option: click.Option, value: str) -> str:
    name, text = max(option.opts, key=len), value.strip("\"'")
    return name if option.is_flag or not text else f"{name} {text}"
