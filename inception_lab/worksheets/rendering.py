"""Every format of a worksheet by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError, nearest
from inception_lab.worksheets.formats.data import worksheet_csv, worksheet_json
from inception_lab.worksheets.formats.latex import worksheet_latex
from inception_lab.worksheets.formats.markdown import worksheet_markdown
from inception_lab.worksheets.formats.text import worksheet_text
from inception_lab.worksheets.sheet import Worksheet

FORMATS: Mapping[str, Callable[[Worksheet], str]] = MappingProxyType(
    {
        "table": worksheet_text,
        "markdown": worksheet_markdown,
        "latex": worksheet_latex,
        "json": worksheet_json,
        "csv": worksheet_csv,
    }
)
"""By name, read-only."""


@checked
def render_worksheet(sheet: Worksheet, fmt: str = "table") -> str:
    """Return a worksheet as text that ends in a line break.

    Args:
        sheet: That of `worksheet` or `design_worksheet`.
        fmt: `table` for a terminal, `markdown`, `latex` (a document of its own), `json` or `csv`.

    Raises:
        InceptionLabError: There is no such format (exit code 2).

    Example:
        >>> import inception_lab as il
        >>> sheet = il.design_worksheet("28x28x192", "0,0,0,16,32,0")
        >>> print(render_worksheet(sheet).splitlines()[8].strip())
        multiplies  28 x 28 x 32 outputs x 5 x 5 x 192 inputs each = 120,422,400
    """
    if fmt not in FORMATS:
        raise InceptionLabError(f"no format {fmt!r}", hint=nearest(fmt, FORMATS))
    return FORMATS[fmt](sheet)
