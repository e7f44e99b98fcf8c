"""A row for each module from the sums of one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import sqrt
from typing import Any

from torch import nn

from inception_lab.ir.structure import ROOT
from inception_lab.measure.gradient_flow.activations import Activations, OutputSums
from inception_lab.measure.gradient_flow.relus import ReluSums
from inception_lab.measure.gradient_flow.weights import WeightSums

_ROUNDING = 2.0**-48
"""The part of the square of a mean below which a variance in double precision is rounding."""


def module_rows(
    modules: Mapping[str, nn.Module],
    activations: Activations,
    weights: Mapping[int, WeightSums],
    terms: Sequence[str],
) -> list[dict[str, Any]]:
    """Return a row for each module that returned a tensor or has weights that are trained, itself included.

    Args:
        modules: Of the model, by path.
        activations: Of the forward, and the gradients that came back to it.
        weights: Sums of each parameter, by its id.
        terms: Of the loss.

    Returns:
        Rows in the order in which modules were first called. Figures that a module has not are absent.
    """
    rows: list[dict[str, Any]] = []
    for path in in_order_of_calls(modules, activations.outputs):
        module, outputs = modules[path], activations.outputs.get(path)
        own = [weights[key] for key in dict.fromkeys(map(id, module.parameters())) if key in weights]
        columns = {
            **(_output_columns(outputs, terms) if outputs and outputs.count else {}),
            **_relu_columns(_within(path, activations.relus.sums)),
            **(_weight_columns(own, terms) if own else {}),
        }
        if columns:
            rows.append({"module": path or ROOT, "type": type(module).__name__, **columns})
    return rows


def in_order_of_calls(modules: Iterable[str], called: Iterable[str]) -> list[str]:
    """Return the paths by first call; those never called at the end of the nearest module that was.

    Example:
        >>> in_order_of_calls(["", "idle", "b", "a", "a.idle", "a.x"], ["", "a", "a.x", "b"])
        ['', 'a', 'a.x', 'a.idle', 'b', 'idle']
    """
    numbers = {path: number for number, path in enumerate(called)}
    ends: dict[str, int] = {}
    for path, number in numbers.items():
        for around in _around(path):
            ends[around] = number

    def place(path: str) -> tuple[int, bool]:
        if path in numbers:
            return numbers[path], False
        return next((ends[around] for around in _around(path) if around in ends), -1), True

    return sorted(modules, key=place)


def _around(path: str) -> Iterator[str]:
    """A path and those of the modules around it, the innermost first."""
    while path:
        yield path
        path = path.rpartition(".")[0]
    yield ""


def _within(path: str, relus: Mapping[str, ReluSums]) -> Iterator[ReluSums]:
    """The ReLUs of a module and of those within it."""
    return (sums for other, sums in relus.items() if not path or f"{other}.".startswith(f"{path}."))


def _output_columns(sums: OutputSums, terms: Sequence[str]) -> dict[str, Any]:
    mean = float(sums.total) / sums.count
    variance = float(sums.squares) / sums.count - mean**2
    # of elements that are all alike rounding leaves a little more, or less, than nothing
    columns = {"output_mean": mean, "output_variance": 0.0 if variance < _ROUNDING * mean**2 else variance}
    if sums.gradients:
        columns["output_gradient"] = sqrt(float(sums.gradients.get("", 0.0)))
        columns |= {f"output_gradient_{name}": _norm(sums.gradients, name, terms) for name in terms}
    return columns


def _norm(gradients: Mapping[str, Any], name: str, terms: Sequence[str]) -> float:
    """The norm of a term's gradient; of the only one that of the whole loss."""
    return sqrt(float(gradients.get(name if len(terms) > 1 else "", 0.0)))


def _relu_columns(relus: Iterable[ReluSums]) -> dict[str, Any]:
    sums = list(relus)
    elements, channels = sum(each.elements for each in sums), sum(each.channels for each in sums)
    if not elements:
        return {}
    return {
        "zeros": 100 * sum(int(each.zeros) for each in sums) / elements,
        "dead": 100 * sum(int(each.dead) for each in sums) / channels,
    }


def _weight_columns(sums: Sequence[WeightSums], terms: Sequence[str]) -> dict[str, Any]:
    weight, square = sum(each.weight for each in sums), sum(each.gradient for each in sums)
    columns: dict[str, Any] = {"weight_norm": sqrt(weight), "weight_gradient": sqrt(square)}
    if weight:
        columns["relative_gradient"] = sqrt(square / weight)
    for name in terms:
        columns[f"weight_gradient_{name}"] = sqrt(sum(each.terms[name] for each in sums))
        if square:
            columns[f"contribution_{name}"] = 100 * sum(each.along[name] for each in sums) / square
    return columns
