"""The plot of errors against MACs as a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.files import path_from, write_bytes
from inception_lab.record import Record
from inception_lab.report.sizes import plot_kind, size_of


@checked
def plot_error_and_macs(records: Iterable[Record], path: str | Path, size: str = "page") -> Path:
    """Draw the published errors of several models against their MACs, with the Pareto line.

    Args:
        records: Of models, such as those of `zoo_records`. One whose context has a `top5_error` is drawn;
            only those with the most frequent `error_evaluation`, and not `reconstructed`, are compared with
            one another. Other `error_images` than all validation images are said below.
        path: The file, whose ending says its kind: `.svg`, `.png` or `.pdf`.
        size: That it is laid out for: `page`, `paper` or `slide`.

    Returns:
        The file.

    Raises:
        InceptionLabError: There are no two errors to compare, the ending or the size is none of these, or
            the file cannot be written.

    Example:
        >>> import inception_lab as il, tempfile
        >>> records = il.zoo_records(["googlenet", "bn_inception"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     il.plot_error_and_macs(records, f"{folder}/zoo.svg").name
        'zoo.svg'
    """
    from inception_lab.report.plots import COMPARISON_PLOTS

    file, plot = path_from(path), COMPARISON_PLOTS["error_and_macs"]
    kind, layout, subject = plot_kind(file), size_of(size), list(records)
    if not plot.has_content(subject):
        what = "fewer than two models have errors that were measured alike"
        raise InceptionLabError(what, hint="draw more models with a published error")
    write_bytes(file, plot.images(subject, layout, [kind])[kind])
    return file
