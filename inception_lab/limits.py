"""What just fits: the smallest input that a model takes, the largest batch that memory holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from inception_lab.analyzers.receptive_field.resolution import smallest_by_geometry
from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.ir.trace import Mode
from inception_lab.tracing.tracer import trace

LARGEST_BATCH = 2**31


def smallest_input(model: nn.Module, shape: Sequence[int], *, mode: Mode = "eval") -> tuple[int, ...]:
    """The smallest input that a model takes, and at which one pixel less along any axis fails.

    The geometry of one trace tells where to look. What it cannot know (padding that a model computes
    from the size, sizes that a model refuses by itself) is found by tracing at the sizes next to it.

    Args:
        model: Any module that takes one tensor and runs on meta tensors.
        shape: A shape that it takes: N x C, then the spatial axes.
        mode: `eval` or `train`.

    Returns:
        The size along each spatial axis.

    Raises:
        InceptionLabError: The model cannot run on `shape`, or that has no spatial axes.

    Example:
        >>> import inception_lab as il
        >>> smallest_input(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        (31, 31)
    """
    head, most = tuple(shape[:2]), tuple(shape[2:])

    def takes(size: tuple[int, ...]) -> bool:
        try:
            return min(size) > 0 and bool(trace(model, (*head, *size), mode=mode, meta_only=True))
        except InceptionLabError as error:
            if error.exit_code != MODEL_FAILED:
                raise
            return False

    size = smallest_by_geometry(trace(model, shape, mode=mode, meta_only=True))
    while not takes(size):
        size = tuple([min(n + 1, limit) for n, limit in zip(size, most, strict=True)])
    while smaller := next(filter(takes, _one_less(size)), None):
        size = smaller
    return size


def _one_less(size: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The sizes to try next: a pixel less along all axes, then along each."""
    alone = [tuple([n - (axis == place) for place, n in enumerate(size)]) for axis in range(len(size))]
    return [tuple([n - 1 for n in size]), *alone]


def largest_batch(fits: Callable[[int], bool], start: int = 1) -> int:
    """The largest batch size that fits, by bisection; 0 where none does.

    Args:
        fits: Whether a batch of some size does; none that is larger than one that does not.
        start: A batch size that the model takes; none below it is tried unless it does not fit.

    Raises:
        InceptionLabError: Memory does not grow with the batch (exit code 2).

    Example:
        >>> largest_batch(lambda batch: 100 + 7 * batch <= 1000)
        128
    """
    most, beyond = 0, start
    while fits(beyond):
        most, beyond = beyond, 2 * beyond
        if beyond > LARGEST_BATCH:
            raise InceptionLabError(
                f"a batch of {most:,} still fits",
                hint="name a smaller size, or check that --input-size is right",
            )
    while beyond - most > 1:
        middle = (most + beyond) // 2
        most, beyond = (middle, beyond) if fits(middle) else (most, middle)
    return most
