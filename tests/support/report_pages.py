"""Pages of reports, from traces and from nets that a test makes up."""

import inception_lab as il
from inception_lab.report.collect import collect
from inception_lab.report.html.inline_svg import Figure
from inception_lab.report.html.model_page import model_page
from inception_lab.report.plots import MODEL_PLOTS


def page_of(model, shape, name="net", *, plots=True, **options):
    """The page of a model's report, with its plots or without."""
    return page_of_contents(collect(il.trace(model, shape, name=name, **options)), plots=plots)


def page_of_zoo(name, shape=(1, 3, 224, 224), **options):
    return page_of(il.create_model(name, device="meta"), shape, name, **options)


def page_of_contents(contents, *, plots=True):
    drawn = {name: plot for name, plot in MODEL_PLOTS.items() if plots and plot.has_content(contents)}
    figures = {
        name: Figure(plot.images(contents, kinds=("svg",))["svg"].decode(), plot.caption(contents))
        for name, plot in drawn.items()
    }
    return model_page(contents, figures, ["README.md", "layers.csv"])
