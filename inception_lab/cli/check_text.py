"""The answer of `inception-lab check` as text."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from inception_lab.budgets.formats.dashboards import bencher_json, smaller_is_better_json
from inception_lab.budgets.formats.github import error_command, github_text
from inception_lab.budgets.formats.json_format import check_to_json
from inception_lab.budgets.verdict import Check, Finding, Verdict
from inception_lab.budgets.wording import (
    FEW,
    bound_word,
    broken_findings,
    changes_of_interest,
    figure_texts,
    finding_text,
    layer_texts,
    limit_name,
    summary_line,
    verdict_lines,
)
from inception_lab.errors import InceptionLabError
from inception_lab.report.text import escape_markdown, one_line, render

CSV_COLUMNS = (
    "budget", "model", "status", "metric", "layers", "value", "allowed", "locked", "passed", "severity",
    "reason", "line",
)  # fmt: skip
MARKDOWN_COLUMNS = ("budget", "limit_on", "value", "bound", "lock", "verdict")
FIGURES = ("value", "bound", "lock")
"""Of these columns those that stand on the right."""
INDENT = " " * 8


def check_text(check: Check, form: str, every_layer: bool) -> str:
    """A check in one of `FORMS`.

    Args:
        check: The verdicts.
        form: `csv` has a row per limit.
        every_layer: Show kept limits and every layer that changed, in `table` and `markdown`.
    """
    return FORMS[form](check, every_layer)


def fault_text(error: InceptionLabError, form: str) -> str:
    """A fault of the configuration or the lock in a format that has a word for one; else empty."""
    return error_command(error, _workspace()) if form == "github" else ""


def _table(check: Check, every_layer: bool) -> str:
    width = max((len(verdict.budget.name) for verdict in check.verdicts), default=0)
    blocks = [line for verdict in check.verdicts for line in _verdict_block(verdict, width, every_layer)]
    is_shortened = not every_layer and any(map(_is_shortened, check.verdicts))
    hint = "; --why lists all layers that changed" if is_shortened else ""
    return "".join(f"{line}\n" for line in [*blocks, *[""] * bool(blocks), summary_line(check) + hint])


def _verdict_block(verdict: Verdict, width: int, every_layer: bool) -> Iterator[str]:
    """The verdict on a budget, and under it what broke."""
    yield f"{verdict.status:<6}  {one_line(verdict.budget.name):<{width}}  {_limit_count(verdict)}".rstrip()
    lines = [*verdict_lines(verdict, None if every_layer else FEW)]
    # a kept limit with a reason could not be judged for certain
    lines += [finding_text(f) for f in verdict.findings if f.passed and (every_layer or f.reason)]
    yield from (INDENT + one_line(line) for line in lines)


def _limit_count(verdict: Verdict) -> str:
    count, failures = len(verdict.findings), len(broken_findings(verdict))
    return f"{f'{failures} of ' * bool(failures)}{count} limit{'s' * (count != 1)}" * bool(count)


def _is_shortened(verdict: Verdict) -> bool:
    return any(len(changes_of_interest(finding)) > FEW for finding in broken_findings(verdict))


def _csv(check: Check, every_layer: bool) -> str:
    del every_layer
    rows = [row for verdict in check.verdicts for row in _csv_rows(verdict)]
    return render(rows, CSV_COLUMNS, "csv")


def _csv_rows(verdict: Verdict) -> Iterator[Mapping[str, Any]]:
    """A row per limit; of a model that could not be judged one with the reason."""
    budget = {"budget": verdict.budget.name, "model": verdict.budget.model, "status": verdict.status}
    if verdict.error:
        yield budget | {"reason": verdict.error, "line": verdict.budget.line}
    for finding in verdict.findings:
        limit = finding.limit
        yield budget | {
            "metric": limit.metric, "layers": limit.layers, "value": finding.value,
            "allowed": finding.allowed, "locked": finding.locked, "passed": finding.passed,
            "severity": limit.severity, "reason": finding.reason, "line": limit.line,
        }  # fmt: skip


def _markdown(check: Check, every_layer: bool) -> str:
    rows = [row for verdict in check.verdicts for row in _markdown_rows(verdict)]
    table = [render(rows, MARKDOWN_COLUMNS, "markdown", FIGURES)] if rows else []
    details = [text for verdict in check.verdicts for text in _details(verdict, every_layer)]
    return "\n".join([f"### inception_lab: {summary_line(check)}\n", *table, *details])


def _markdown_rows(verdict: Verdict) -> Iterator[Mapping[str, str]]:
    if verdict.error:
        yield {"budget": verdict.budget.name, "limit_on": verdict.error, "verdict": "ERROR"}
    for finding in verdict.findings:
        value, bound, lock = figure_texts(finding)
        yield {
            "budget": verdict.budget.name,
            "limit_on": limit_name(finding.limit),
            "value": value,
            "bound": bound and f"{bound_word(finding)} {bound}",
            "lock": lock,
            "verdict": _verdict_word(finding),
        }


def _verdict_word(finding: Finding) -> str:
    if finding.passed:
        return "kept"
    return "WARNING" if finding.limit.severity == "warn" else "FAILED"


def _details(verdict: Verdict, every_layer: bool) -> Iterator[str]:
    """A paragraph per broken limit, and the layers behind it, folded away."""
    for finding in broken_findings(verdict):
        text = "; ".join(filter(None, [finding_text(finding), finding.limit.message]))
        yield f"**{escape_markdown(verdict.budget.name)}** {escape_markdown(text)}\n"
        layers = [escape_markdown(text) for text in layer_texts(finding, None if every_layer else FEW)]
        if layers:
            items = "\n".join(f"- {text}" for text in layers)
            yield f"<details><summary>Layers</summary>\n\n{items}\n\n</details>\n"


def _github(check: Check, every_layer: bool) -> str:
    del every_layer
    return github_text(check, _workspace())


def _workspace() -> Path:
    """The folder of the checkout that a workflow of GitHub Actions works on."""
    return Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())


FORMS: Mapping[str, Callable[[Check, bool], str]] = MappingProxyType(
    {
        "table": _table,
        "csv": _csv,
        "json": lambda check, _: check_to_json(check),
        "markdown": _markdown,
        "github": _github,
        "bencher": lambda check, _: bencher_json(check),
        "customSmallerIsBetter": lambda check, _: smaller_is_better_json(check),
    }
)
"""Every format by its name: those of dashboards are named as the dashboards name them."""
