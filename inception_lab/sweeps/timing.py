"""Times of the best variants of a sweep, in real runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pandas import DataFrame

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.measure.timing.timing import SECONDS
from inception_lab.sweeps.columns import TIMES
from inception_lab.sweeps.reading import SpaceSource, read_space

if TYPE_CHECKING:
    from torch import nn

    from inception_lab.loading.model import ModelInputs

Progress = Callable[[float], None]


@checked
def time_variants(
    space: SpaceSource,
    variants: DataFrame,
    *,
    device: str = "cpu",
    threads: int | None = None,
    seconds: float = SECONDS,
    progress: Progress | None = None,
) -> DataFrame:
    """Time some variants for real, in one process and in rounds that take turns.

    Args:
        space: Of the sweep.
        variants: Rows of its table, such as those of `best_variants`.
        device: `cpu` or `cuda`.
        threads: PyTorch's threads within an operation.
        seconds: Time budget for each variant.
        progress: Told the part of the work that is done.

    Returns:
        The rows with `plain_step_ms`, the median time of a step of the space's mode in milliseconds, and
        `plain_step_iqr_ms`; `attrs` has `machine`, `device` and `threads`.

    Raises:
        InceptionLabError: There are no variants (exit code 2), or one cannot be run (3).

    Example:
        >>> import inception_lab as il
        >>> space = {"model": "nin", "parameters": {"num_classes": [2]}, "input-size": "3x64x64"}
        >>> table = time_variants(space, il.sweep(space, jobs=1), seconds=0, threads=1)
        >>> bool((table["plain_step_ms"] > 0).all())
        True
    """
    from inception_lab.loading.model import apply_to_several
    from inception_lab.measure.timing.timing import compare_times, layer_times

    space = read_space(space)
    if variants.empty:
        raise InceptionLabError("there is no variant to time", where=space.model, hint="loosen the budgets")
    question, names = space.question, list(space.parameters)
    values = zip(*(variants[name].tolist() for name in names), strict=True)
    requests = [question.request(dict(zip(names, row, strict=True)), space.mode) for row in values]
    keywords: dict[str, Any] = {
        "mode": space.mode,
        "optimizer": space.optimizer if space.mode == "train" else None,
        "device": device,
        "threads": threads,
        "seconds": seconds,
        "progress": progress,
    }

    def measure(built: Sequence[tuple[nn.Module, ModelInputs]]) -> Sequence[Any]:
        models, inputs = zip(*built, strict=True)
        if len(models) == 1:
            return [layer_times(models[0], inputs[0], name=requests[0].name, **keywords)]
        names = [f"{number} {request.name}" for number, request in enumerate(requests)]
        return compare_times(models, inputs, names=names, **keywords).models

    times = apply_to_several(requests, measure, ["threads"] if threads else [])
    timed = variants.assign(**{name: [one.totals[name] for one in times] for name in TIMES})
    context = times[0].context
    timed.attrs = {name: context[name] for name in ("machine", "device", "threads") if name in context}
    return timed
