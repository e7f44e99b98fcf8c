"""The page of a comparison: of two nets module by module, of more their totals and plots."""

from __future__ import annotations

from inception_lab.report.html.inline_svg import Figure
from inception_lab.report.html.models_page import models_page
from inception_lab.report.html.pair_page import Comparison, pair_page
from inception_lab.report.plots import COMPARISON_PLOTS


def comparison_page(comparison: Comparison) -> str:
    """Return the page of models side by side.

    Args:
        comparison: Of two or more, as of `il.compare`.
    """
    records = comparison.records
    if len(records) == 2:
        return pair_page(comparison)
    plots = {name: plot for name, plot in COMPARISON_PLOTS.items() if plot.has_content(records)}
    figures = {
        name: Figure(plot.images(records, kinds=("svg",))["svg"].decode(), plot.caption(records))
        for name, plot in plots.items()
    }
    return models_page(records, figures)
