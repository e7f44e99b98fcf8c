"""The equations of a worksheet, line by line, before they are laid out for any format.

An expression holds numbers, `x`, `+`, `-`, `/`, parentheses and plain words, and no name of a user's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import NamedTuple

from inception_lab.worksheets.sheet import Sums, Window, Working, ratio

_AXES = {2: ("height", "width")}


class Equation(NamedTuple):
    """One line of a working.

    Attributes:
        subject: The quantity that is worked out.
        expression: The left side; empty where the result is known as a number alone.
        result: The right side.
    """

    subject: str
    expression: str
    result: str


def working_equations(working: Working) -> list[Equation]:
    """Return the working of one layer: its output size, its multiplies, its parameters.

    Example:
        >>> from inception_lab.worksheets.designed import design_worksheet
        >>> sheet = design_worksheet("28x28x192", "64,96,128,16,32,32")
        >>> for equation in working_equations(sheet.branches[2].naive_workings[0]):
        ...     print(*equation, sep=" | ")
        size | (28 + 2 x 2 - 5) / 1 + 1 | 28
        multiplies | 28 x 28 x 32 outputs x 5 x 5 x 192 inputs each | 120,422,400
        weights | 5 x 5 x 192 x 32 | 153,600
        parameters | 153,600 + 32 biases | 153,632
    """
    return [*_size_equations(working), *_macs_equation(working), *_parameter_equations(working)]


def sum_equations(workings: Sequence[Working], total: Sums) -> list[Equation]:
    """Return the sums over several layers; of a single one there is nothing to add.

    Args:
        workings: Of the layers.
        total: Their sum.
    """
    equations = []
    for subject, amount in MEASURES.items():
        terms = [amount(working.sums) for working in workings if amount(working.sums)]
        if len(terms) > 1:
            equations.append(Equation(subject, " + ".join(map(number, terms)), number(amount(total))))
    return equations


def ratio_equations(naive: Sums, reduced: Sums) -> list[Equation]:
    """Return naive over reduced of each measure; of one that the module itself has none of there is none."""
    equations = []
    for subject, amount in MEASURES.items():
        pair = amount(naive), amount(reduced)
        if (times := ratio(*pair)) is not None:
            equations.append(Equation(subject, f"{number(pair[0])} / {number(pair[1])}", ratio_text(times)))
    return equations


def joined_equation(subject: str, widths: Sequence[int]) -> Equation:
    """Return the sum of the channels that a module joins."""
    return Equation(subject, " + ".join(map(number, widths)), f"{number(sum(widths))} channels")


MEASURES: dict[str, Callable[[Sums], int]] = {
    "multiplies": lambda sums: sums.macs,
    "weights": lambda sums: sums.weights,
    "parameters": lambda sums: sums.params,
}
"""The quantities that are summed up and compared, by the word for each."""


def number(amount: int) -> str:
    """Return a number with separators of thousands."""
    return f"{amount:,}"


def ratio_text(times: float) -> str:
    """Return a ratio as it is written: two decimals, more for one that these would show as zero."""
    return f"{times:.2f}" if not times or times >= 0.01 else f"{times:.2g}"


def product_text(factors: Sequence[int]) -> str:
    """Return factors with a cross between them."""
    return " x ".join(map(number, factors))


def _macs_equation(working: Working) -> Iterator[Equation]:
    result = number(working.sums.macs)
    if working.places:
        place, unit = ("inputs", "outputs") if working.transposed else ("outputs", "inputs")
        left, right = product_text(working.places), product_text(working.each)
        yield Equation("multiplies", f"{left} {place} x {right} {unit} each", result)
    elif working.sums.macs:
        yield Equation("multiplies", "", result)


def _parameter_equations(working: Working) -> Iterator[Equation]:
    sums = working.sums
    if sums.weights:
        yield Equation("weights", _weight_factors(working), number(sums.weights))
    if sums.biases:
        total = number(sums.weights + sums.biases)
        yield Equation("parameters", f"{number(sums.weights)} + {number(sums.biases)} biases", total)
    if sums.other_params:
        yield Equation("parameters", _normalisation_factors(working), number(sums.other_params))


def _normalisation_factors(working: Working) -> str:
    """A scale and a shift for each channel, where that is what the parameters are."""
    channels = working.output_shape[1] if len(working.output_shape) > 1 else 0
    is_pair = "Norm" in working.operation and working.sums.other_params == 2 * channels
    return f"2 x {number(channels)}" if is_pair else ""


def _weight_factors(working: Working) -> str:
    """Factors of the weights: the kernel, the channels that it reads, those that it writes."""
    if not working.places:
        return ""
    factors = (*working.each, working.places[-1])
    # a shared weight, or one that is read in part, has another count
    return product_text(factors) if prod(factors) == working.sums.weights else ""


def _size_equations(working: Working) -> Iterator[Equation]:
    """The size of the output along each axis, once for all axes where they are alike."""
    window = working.window
    if window is None or working.transposed or {*window.kernel, *window.stride} == {1}:
        return
    count = len(window.kernel)
    pairs = list(zip(working.input_shape[-count:], working.output_shape[-count:], strict=True))
    # a pool's last window may be left out, where it would lie in the padding alone: no formula says that
    if any(window.positions(axis, before) != after for axis, (before, after) in enumerate(pairs)):
        return
    lines = [_size_equation(window, axis, *pair) for axis, pair in enumerate(pairs)]
    if len(set(lines)) == 1:
        yield Equation("size", *lines[0])
    else:
        names = _AXES.get(count, tuple(f"axis {axis + 1}" for axis in range(count)))
        yield from (Equation(name, *line) for name, line in zip(names, lines, strict=True))


def _size_equation(window: Window, axis: int, before: int, after: int) -> tuple[str, str]:
    padding, stride, extent = window.padding[axis], window.stride[axis], window.extent(axis)
    padded = f"{number(before)} + 2 x {padding}" if padding else number(before)
    expression = f"({padded} - {extent}) / {stride} + 1"
    exact = (before + 2 * padding - extent) % stride == 0
    direction = "up" if window.ceil_mode else "down"
    return expression if exact else f"{expression}, rounded {direction}", number(after)
