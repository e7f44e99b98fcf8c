"""Parts of every page: its look, its script, the policy that lets nothing else run, and its data."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from inception_lab.report.text import times_text

_HERE = Path(__file__).parent
_NOT_IN_HTML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""Controls, halves of pairs and what is no character, which names of layers may hold."""


_FOR_AUTHORS = re.compile(r"^ +(//.*\n)?|^//.*\n", re.MULTILINE)
"""Indentation and comments, for which pages have no use."""


def rendered(
    template: str,
    data: Mapping[str, Any],
    colours: Mapping[str, str],
    assets: Sequence[str] = ("page",),
    **parts: Any,
) -> str:
    """Return a page.

    Args:
        template: Its file.
        data: For the script, as plain data; stands on the page once.
        colours: Of branches by their kind; what belongs to one has the class `k` with its place here.
        assets: Names of the files, `.css` and `.js`, that make up its look and its script.
        parts: What the template shows; text is escaped where it is not `Markup`.
    """
    script, css = ("".join(_asset(f"{name}.{kind}") for name in assets) for kind in ("js", "css"))
    page = _environment().get_template(template).render(
        policy=_policy(script), script=Markup(script), css=Markup(css + _rules(colours)),
        data=_json(data), kinds=[*colours], **parts,
    )  # fmt: skip
    return _NOT_IN_HTML.sub("\N{REPLACEMENT CHARACTER}", page)


def _policy(script: str) -> str:
    """Let the one script run, and nothing be loaded from anywhere."""
    digest = b64encode(sha256(script.encode()).digest()).decode()
    sources = f"img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"


def _rules(colours: Mapping[str, str]) -> str:
    return "\n".join(
        f".dot.k{number}{{background:{colour}}}.k{number} .s{{fill:{colour}}}"
        for number, colour in enumerate(colours.values())
    )


def _json(data: Mapping[str, Any]) -> Markup:
    """Data as JSON, with no character by which HTML could end it."""
    text = json.dumps(data, separators=(",", ":"))
    return Markup(text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e"))


@cache
def _asset(name: str) -> str:
    return _FOR_AUTHORS.sub("", (_HERE / name).read_text(encoding="utf-8"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["times_text"] = times_text
    return environment
