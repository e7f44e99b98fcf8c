"""The gradient of units of a layer's output, taken while a model runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from inception_lab.analyzers.receptive_field.axes import NoSpatialAxes, call_of, source_of
from inception_lab.analyzers.receptive_field.field import Field, fields
from inception_lab.errors import MODEL_FAILED, InceptionLabError, nearest
from inception_lab.ir.structure import ROOT, layer_name
from inception_lab.ir.trace import Call, Trace
from inception_lab.running import torch_internals


class Unit(NamedTuple):
    """A unit of a layer's output.

    Attributes:
        layer: Path of the module, `(model)` for the model itself.
        position: Its position along each spatial axis.
    """

    layer: str
    position: tuple[int, ...]


class Probes:
    """Hooks that keep the source and the units of a run, for the gradients of the units by the source.

    Args:
        units: Units of the layers' first calls.
        source: Path of the layer by whose output is differentiated; empty for the input.
    """

    def __init__(self, units: Sequence[Unit], source: str = "") -> None:
        self.units, self.source = units, source
        self.leaf: Tensor | None = None
        self.outputs: dict[Unit, Tensor] = {}

    @contextmanager
    def attached(self, modules: Mapping[str, nn.Module]) -> Iterator[None]:
        """Hooks on the layers while the context lasts."""
        with ExitStack() as hooks:
            if self.source:
                hooks.callback(module_of(modules, self.source).register_forward_hook(self._begin).remove)
            for layer in dict.fromkeys(unit.layer for unit in self.units):
                hook = partial(self._keep, layer)
                hooks.callback(module_of(modules, layer).register_forward_hook(hook).remove)
            yield

    def begin(self, source: Tensor) -> Tensor:
        """A copy of the source to run the model on; the leaf below it is what units are differentiated by."""
        self.leaf = source.detach().clone().requires_grad_()
        # a model may work in place on its input, which autograd refuses of a leaf
        return self.leaf.clone()

    def gradient(self, unit: Unit) -> Tensor:
        """The gradient of a unit by the source; zeros where it does not depend on it.

        Raises:
            InceptionLabError: The source or the unit's layer did not run.
        """
        if self.leaf is None or unit not in self.outputs:
            absent = unit.layer if self.leaf is not None else self.source
            raise InceptionLabError("it never ran", where=absent, hint="name a layer that does")
        return self.gradient_of(self.outputs[unit])

    def gradient_of(self, output: Tensor) -> Tensor:
        """The gradient of a scalar by the source; zeros where it does not depend on it."""
        assert self.leaf is not None
        gradient = None
        if output.requires_grad:
            # one graph serves all units; a unit that sees only constants has none to the leaf
            (gradient,) = torch.autograd.grad(output, self.leaf, retain_graph=True, allow_unused=True)
        return torch.zeros_like(self.leaf) if gradient is None else gradient

    def _begin(self, _module: nn.Module, _inputs: Any, output: Any) -> Tensor | None:
        return self.begin(torch_internals.tree_leaves(output)[0]) if self.leaf is None else None

    def _keep(self, layer: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
        """The channels of each unit added up after the layer's first call, before anything writes there."""
        units = [unit for unit in self.units if unit.layer == layer and unit not in self.outputs]
        if units:
            channel_sum = torch_internals.tree_leaves(output)[0].sum((0, 1))
            self.outputs.update({unit: channel_sum[unit.position] for unit in units})


def module_of(modules: Mapping[str, nn.Module], layer: str) -> nn.Module:
    """The module of a layer, by path.

    Raises:
        InceptionLabError: There is none.
    """
    path = "" if layer == ROOT else layer
    if path not in modules:
        raise InceptionLabError(f"no layer {layer!r}", hint=nearest(layer, modules))
    return modules[path]


def fields_of_layers(trace: Trace, layers: Sequence[str] = (), source: str = "") -> dict[str, Field]:
    """The fields of the layers named, else of the last one that has spatial axes and a unit to choose.

    Args:
        trace: Of any mode.
        layers: Paths of layers.
        source: Path of the layer from whose output on fields are meant; empty for the input.

    Raises:
        NoSpatialAxes: A layer that is named has none, or no layer has any.
        InceptionLabError: A layer is not there, or the source is not N x C x spatial axes.
    """
    spatial = _spatial_fields(trace, source)
    for layer in layers:
        call_of(trace, layer)  # raises where there is none
        if layer not in spatial:
            raise NoSpatialAxes("no spatial axes", where=layer, hint=nearest(layer, spatial))
    names = layers or spatial_layers(trace, source)[-1:]
    if not names:
        raise NoSpatialAxes("no layer has spatial axes", where=trace.context.model, hint="name a layer")
    return {layer: spatial[layer] for layer in names}


def spatial_layers(trace: Trace, source: str = "") -> list[str]:
    """The layers with spatial axes that do not see everything, in the order in which they were done.

    Args:
        trace: Of any mode.
        source: Path of the layer from whose output on fields are meant; empty for the input.
    """
    spatial = _spatial_fields(trace, source)
    return [
        name for name, field in spatial.items() if not any(axis.local_spans is None for axis in field.axes)
    ]


def _spatial_fields(trace: Trace, source: str) -> dict[str, Field]:
    """The fields of the layers whose output has spatial axes, in the order in which they were written."""
    _check_layout(trace, source)
    by_value = fields(trace, source)
    spatial = {}
    # of calls that return one value, the innermost comes first: its id is the largest
    for call in sorted(trace.calls, key=lambda call: (_writer(trace, call), -call.id)):
        field = by_value.get(call.outputs[0]) if call.outputs and not call.number else None
        if field and _is_spatial(field.grid, trace.values[call.outputs[0]].shape[2:]):
            spatial[layer_name(call)] = field
    return spatial


def _check_layout(trace: Trace, source: str) -> None:
    """Refuse a source other than N x C x spatial axes, as gradients are added up over the first two.

    Raises:
        InceptionLabError: Its axes are others (exit code 2).
    """
    value, axes = source_of(trace, source)
    if axes != tuple(range(2, len(trace.values[value].shape))):
        raise InceptionLabError(
            f"gradients are taken of N x C x spatial axes; those of {source or 'the input'} are {axes}",
            where=trace.context.model,
            hint="wrap the model in a module that takes N x C x spatial axes",
        )


def _is_spatial(grid: Sequence[int], shape: Sequence[int]) -> bool:
    """True where units lie along the axes of an output; one unit stands for all that see the same."""
    fits = len(grid) == len(shape) and all(n in (1, size) for n, size in zip(grid, shape, strict=True))
    return bool(grid) and fits


def _writer(trace: Trace, call: Call) -> int:
    """Id of the operation that wrote a call's output, -1 where none did."""
    op = trace.values[call.outputs[0]].op if call.outputs else None
    return -1 if op is None else op


@contextmanager
def errors_in_one_line(model: nn.Module, shape: Sequence[int]) -> Iterator[None]:
    """An error that torch raises, as one line that names the model and its input.

    Raises:
        InceptionLabError: torch raised one (exit code 3).
    """
    try:
        yield
    except (RuntimeError, AssertionError) as error:
        first_line = next(iter(str(error).splitlines()), "")
        message = f"cannot run on {'x'.join(map(str, shape))}: {first_line}"
        raise InceptionLabError(message, where=type(model).__name__, exit_code=MODEL_FAILED) from error
