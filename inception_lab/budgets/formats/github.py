"""The answer of a check as workflow commands of GitHub Actions, which annotate the lines of limits.

Source of the escapes: `command.ts` of actions/toolkit, packages/core/src.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from inception_lab.budgets.verdict import Check, Verdict
from inception_lab.budgets.wording import (
    broken_findings,
    finding_text,
    layer_texts,
    limit_name,
    summary_line,
)
from inception_lab.errors import InceptionLabError

_DATA_ESCAPES: Mapping[str, str] = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY_ESCAPES: Mapping[str, str] = {**_DATA_ESCAPES, ":": "%3A", ",": "%2C"}
_FILE_AND_LINE = re.compile(r"(.*?)(?::(\d+))?", re.DOTALL)


def github_text(check: Check, root: Path) -> str:
    """Return a check as workflow commands: `::error` for what fails, `::warning` for what warns.

    GitHub shows ten annotations of each kind per step; all of them stand in its log.

    Args:
        check: Its paths are written relative to the root.
        root: Folder of the checkout, `GITHUB_WORKSPACE`.

    Example:
        >>> print(github_text(Check(None, ()), Path()), end="")
        no budgets
    """
    commands = [command for verdict in check.verdicts for command in _verdict_commands(check, verdict, root)]
    return "".join(f"{line}\n" for line in (*commands, summary_line(check)))


def _verdict_commands(check: Check, verdict: Verdict, root: Path) -> Iterator[str]:
    name, file = verdict.budget.name, _relative(check.configuration, root)
    if verdict.error:
        properties = {"file": file, "line": verdict.budget.line, "title": f"Budget {name}"}
        yield workflow_command("error", properties, verdict.error)
    for finding in broken_findings(verdict):
        limit = finding.limit
        properties = {"file": file, "line": limit.line, "title": f"Budget {name}: {limit_name(limit)}"}
        kind = "warning" if limit.severity == "warn" else "error"
        lines = [finding_text(finding), *filter(None, [limit.message]), *layer_texts(finding)]
        yield workflow_command(kind, properties, "\n".join(lines))


def error_command(error: InceptionLabError, root: Path) -> str:
    """Return a fault of the configuration or the lock as a workflow command, on its line where it names one.

    Args:
        error: Its `where` is a file, with or without a line behind a colon, or anything else.
        root: Folder of the checkout, `GITHUB_WORKSPACE`.

    Example:
        >>> error_command(InceptionLabError("no model 'goggle'", where="googlenet"), Path())
        "::error title=Budgets::googlenet: no model 'goggle'"
    """
    file, line = _FILE_AND_LINE.fullmatch(error.where).groups()  # type: ignore[union-attr]
    place = {"file": _relative(Path(file), root), "line": line} if file and Path(file).is_file() else {}
    return workflow_command("error", {**place, "title": "Budgets"}, str(error))


def workflow_command(kind: str, properties: Mapping[str, object], message: str) -> str:
    """Return one workflow command.

    Args:
        kind: Such as `error`.
        properties: Those that are None are left out.
        message: May have several lines.

    Example:
        >>> workflow_command("error", {"file": "a,b.toml", "line": 3, "col": None}, "5 % over: too much")
        '::error file=a%2Cb.toml,line=3::5 %25 over: too much'
    """
    texts = {name: str(value) for name, value in properties.items() if value is not None}
    pairs = ",".join(f"{name}={_escape(text, _PROPERTY_ESCAPES)}" for name, text in texts.items())
    return f"::{kind}{' ' * bool(pairs)}{pairs}::{_escape(message, _DATA_ESCAPES)}"


def _escape(text: str, escapes: Mapping[str, str]) -> str:
    for character, escape in escapes.items():  # the percent sign first, as escapes have one
        text = text.replace(character, escape)
    return text


def _relative(path: Path | None, root: Path) -> str | None:
    """The path from the root, with slashes; absolute where it lies on another drive."""
    if path is None:
        return None
    try:
        return Path(os.path.relpath(path, root)).as_posix()
    except ValueError:
        return path.as_posix()
