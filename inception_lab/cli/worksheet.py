"""`inception-lab worksheet`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inception_lab.cli.model import refuse_partial, trace_model
from inception_lab.cli.options import MODEL, TracingOptions, emit, format_options, tracing_options
from inception_lab.cli.progress import busy
from inception_lab.errors import InceptionLabError
from inception_lab.worksheets.rendering import FORMATS, render_worksheet

if TYPE_CHECKING:
    from inception_lab.ir.trace import Trace
    from inception_lab.worksheets.sheet import Worksheet


@click.command()
@click.argument("model", type=MODEL, required=False)
@click.argument("module", required=False)
@click.option("--input", "input_size", metavar="HxWxC", help="Input of a module of free numbers.")
@click.option("--branches", help="Its branches: six numbers, or layers with | between branches.")
@tracing_options
@partial(format_options, forms=tuple(FORMATS))
def command(
    model: str | None,
    module: str | None,
    input_size: str | None,
    branches: str | None,
    tracing: TracingOptions,
    form: str,
    output: Path | None,
) -> None:
    """The arithmetic of one MODULE of MODEL, line by line, naive against reduced.

    Or that of a module of free numbers: --input is its height x width x channels, --branches a row of
    GoogLeNet's Table 1 (1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj; 0 leaves a layer out), such as
    128,64,192,64,96,64, or the layers of each branch: "1x1:192 | 1x1:128 1x7:128 7x1:192 | avg3x3 1x1:192".
    A stride stands behind a kernel like 3x3/2, a padding like 3x3p0; half the kernel is the default.
    """
    if input_size is not None or branches is not None:
        emit(render_worksheet(_designed(model, input_size, branches), form), output)
        return
    trace, sheet = _traced(model, module, tracing)
    emit(render_worksheet(sheet, form), output)
    refuse_partial(trace, tracing)


def _traced(model: str | None, module: str | None, tracing: TracingOptions) -> tuple[Trace, Worksheet]:
    """The trace of MODEL, and the worksheet of MODULE."""
    from inception_lab.worksheets.traced import worksheet

    if model is None or module is None:
        raise InceptionLabError(
            "give MODEL and MODULE, or --input and --branches", hint="such as googlenet inception3a"
        )
    with busy(f"tracing {model}"):
        trace = trace_model(model, tracing)
    return trace, worksheet(trace, module)


def _designed(model: str | None, input_size: str | None, branches: str | None) -> Worksheet:
    """The worksheet of free numbers."""
    from inception_lab.worksheets.designed import design_worksheet

    if model is not None:
        raise InceptionLabError(
            f"MODEL {model!r} beside free numbers", hint="leave out it, or --input and --branches"
        )
    if input_size is None or branches is None:
        raise InceptionLabError("--input and --branches go together", hint="give both")
    return design_worksheet(input_size, branches)
