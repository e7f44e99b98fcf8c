"""The plots of a sweep as files: its Pareto front, and the influence of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.files import path_from, write_bytes
from inception_lab.report.sizes import plot_kind, size_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from inception_lab.report.plots.sweep_figures import Bounds
    from inception_lab.variants.dominance import Objectives


@checked
def plot_pareto(
    table: DataFrame,
    objectives: Objectives,
    path: str | Path,
    *,
    budgets: Mapping[str, Bounds] | None = None,
    references: DataFrame | None = None,
    size: str = "page",
) -> Path:
    """Draw the variants of a sweep by two objectives with their Pareto front, a third objective as colour.

    Variants outside of the budgets are faint, those of `pareto_front` large. The line joins those that none
    dominates on the two axes. Variants without complete figures are left out, which the plot says.

    Args:
        table: A row for each variant, as of a finished sweep.
        objectives: `min` or `max` by metric, two or three.
        path: The file, whose ending says its kind: `.svg`, `.png` or `.pdf`.
        budgets: The least and the most by metric, None for no such bound; those of objectives are drawn.
        references: Nets to compare with, by name in the column `model`, with a column for each objective.
        size: That it is laid out for: `page`, `paper` or `slide`.

    Returns:
        The file.

    Raises:
        InceptionLabError: The table has no complete rows or not these columns, an objective or a budget is
            not one, the ending or the size is none of these, or the file cannot be written.

    Example:
        >>> import inception_lab as il, pandas as pd, tempfile
        >>> table = pd.DataFrame({"macs": [3e9, 1e9, 2e9], "receptive_field": [900, 500, 400]})
        >>> objectives = {"macs": "min", "receptive_field": "max"}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     il.plot_pareto(table, objectives, f"{folder}/front.svg", budgets={"macs": (None, 4e9)}).name
        'front.svg'
    """
    from inception_lab.report.plots import FRONT_PLOT
    from inception_lab.report.plots.sweep_figures import figures_of

    file = path_from(path)
    kind, layout = plot_kind(file), size_of(size)
    subject = figures_of(table, objectives, budgets, references)
    if not FRONT_PLOT.has_content(subject):
        what = f"no variant is complete with a figure for {' and '.join(objectives)}"
        raise InceptionLabError(what, hint="see the columns status and cause")
    write_bytes(file, FRONT_PLOT.images(subject, layout, [kind])[kind])
    return file


@checked
def plot_influence(influence: DataFrame, path: str | Path, size: str = "page") -> Path:
    """Draw how much of the variance of each metric each parameter explains alone.

    Args:
        influence: As `parameter_influence` returns it.
        path: The file, whose ending says its kind: `.svg`, `.png` or `.pdf`.
        size: That it is laid out for: `page`, `paper` or `slide`.

    Returns:
        The file.

    Raises:
        InceptionLabError: The table is not that of `parameter_influence`, the ending or the size is none of
            these, or the file cannot be written.

    Example:
        >>> import inception_lab as il, pandas as pd, tempfile
        >>> table = pd.DataFrame({"width": [1, 1, 2, 2], "bias": [False, True] * 2, "macs": [10, 11, 20, 21]})
        >>> influence = il.parameter_influence(table, ["width", "bias"], ["macs"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     il.plot_influence(influence, f"{folder}/influence.svg").name
        'influence.svg'
    """
    from inception_lab.report.plots import INFLUENCE_PLOT
    from inception_lab.report.plots.influence_cells import influence_of

    file = path_from(path)
    kind, layout = plot_kind(file), size_of(size)
    subject = influence_of(influence)
    if not INFLUENCE_PLOT.has_content(subject):
        raise InceptionLabError("no parameter to draw", hint="pass what il.parameter_influence returns")
    write_bytes(file, INFLUENCE_PLOT.images(subject, layout, [kind])[kind])
    return file
