"""Depth, counts and shapes, read from the traced graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from math import prod

from inception_lab.claims.nets import Nets
from inception_lab.claims.recipes.costs import Readings
from inception_lab.claims.recipes.layers import (
    Convolution,
    call_of,
    convolutions,
    forward_ops,
    input_shape,
    linear_layers,
    output_shape,
)
from inception_lab.claims.recipes.registry import recipe
from inception_lab.claims.verdict import Reading
from inception_lab.errors import InceptionLabError
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.structure import places, weighted_depth
from inception_lab.ir.trace import Op, Trace

POOLS = frozenset({"MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d"})
NORMS = frozenset({"LocalResponseNorm", "BatchNorm2d"})


# ------------------------------------------------------------------------------------------- depth


@recipe
def depth(nets: Nets, models: tuple[str, ...]) -> Readings:
    """Convolutions and linear layers on the longest path: a reading for each network."""
    return tuple(
        Reading(model, number, f"longest path of {model}: {number} layers with weights")
        for model in models
        for number in [weighted_depth(nets.trace(model))]
    )


@recipe
def depth_with_pools(nets: Nets, model: str) -> Readings:
    """Convolutions, linear layers and pools on the longest path."""
    number = _longest_path(nets.trace(model))
    return (Reading("pools counted", number, f"longest path of {model}, pools counted: {number} layers"),)


@once_per_trace
def _longest_path(trace: Trace) -> int:
    """Layers on the longest path, where products and pools count one each."""
    reached: dict[int | None, int] = {None: 0}
    for op in forward_ops(trace):
        counts = bool(op.macs) or trace.calls[op.call].type in POOLS
        reached[op.id] = max((reached[trace.values[v].op] for v in op.reads), default=0) + counts
    return max(reached.values())


@recipe
def added_depth(nets: Nets, pairs: tuple[tuple[str, str], ...]) -> Readings:
    """Layers with weights that the first network of each pair has more on its longest path."""
    readings = []
    for of, to in pairs:
        first, second = weighted_depth(nets.trace(of)), weighted_depth(nets.trace(to))
        readings.append(Reading(f"{of} over {to}", first - second, f"{first} - {second} = {first - second}"))
    return tuple(readings)


@recipe
def building_blocks(nets: Nets, model: str) -> Readings:
    """Layers of a network by several ways to count them."""
    alone = nets.trace(model)
    with_heads = nets.trace(f"{model}(aux_logits=True)", mode="train")
    return (*_layer_counts(alone, ""), *_layer_counts(with_heads, ", heads included"))


def _layer_counts(trace: Trace, heads: str) -> Readings:
    kinds = Counter(call.type for call in trace.calls if call.executed and call.leaf)
    weighted, activations = kinds["Conv2d"] + kinds["Linear"], kinds["ReLU"]
    parts = {
        "convolutions and linear layers": weighted,
        "pools": sum(kinds[kind] for kind in POOLS),
        "normalisations": sum(kinds[kind] for kind in NORMS),
        "concatenations": sum(op.base_name == "cat" for op in forward_ops(trace)),
        "dropouts": kinds["Dropout"],
    }
    total = sum(parts.values())
    text = f"{' + '.join(f'{count} {name}' for name, count in parts.items() if count)} = {total}"
    everything = total + activations
    return (
        Reading(f"all layers but activations{heads}", total, text),
        Reading(f"layers with weights{heads}", weighted, f"{weighted}"),
        Reading(f"activations, too{heads}", everything, f"{total} + {activations} = {everything}"),
    )


# ------------------------------------------------------------------------------------------ counts


@recipe
def module_count(nets: Nets, model: str) -> Readings:
    """Modules with parallel branches."""
    names = _modules(nets.trace(model))
    return (Reading("modules with branches", len(names), ", ".join(names)),)


def _modules(trace: Trace) -> list[str]:
    """Paths of the modules that have branches, in order of execution."""
    by_call = places(trace)
    return list(
        dict.fromkeys(by_call[call.id].block for call in trace.calls if by_call.get(call.id, ("", ""))[1])
    )


@recipe
def modules_at(nets: Nets, models: tuple[str, ...], side: int, prefix: str = "") -> Readings:
    """Modules whose input has a grid of this side: a reading for each network."""
    readings = []
    for model in models:
        trace = nets.trace(model)
        tops = dict.fromkeys(name.split(".")[0] for name in _modules(trace) if name.startswith(prefix))
        names = [name for name in tops if input_shape(trace, name)[1:] == (side, side)]
        text = f"{len(names)} at {side}x{side}: {', '.join(names) or 'none'}"
        readings.append(Reading(model, len(names), text))
    return tuple(readings)


@recipe
def modules_by_figure(nets: Nets, model: str, sides: tuple[int, int]) -> Readings:
    """Modules of the kind that a figure shows, each kind on a grid of its own.

    Args:
        nets: Traces.
        model: Any network.
        sides: Of the grid of the figure itself, and of that of the next figure.
    """
    names = ("the figure that is named", "one figure on, as Table 1 counts")
    rows = [modules_at(nets, (model,), side)[0] for side in sides]
    return tuple(Reading(name, row.value, row.working) for name, row in zip(names, rows, strict=True))


@recipe
def factors_on_grid(nets: Nets, model: str, grids: tuple[int, int], length: int, side: int) -> Readings:
    """True where all 1xn and nx1 on grids of some sizes have one length, on a grid of one side."""
    rows = [c for c in convolutions(nets.trace(model)) if grids[0] <= c.input_size[0] <= grids[1]]
    factors = Counter((*c.kernel, *c.input_size) for c in rows if 1 in c.kernel and c.kernel != (1, 1))
    text = ", ".join(f"{n} of {h}x{w} at {rows}x{columns}" for (h, w, rows, columns), n in factors.items())
    true = set(factors) == {(1, length, side, side), (length, 1, side, side)}
    return (Reading("traced", true, text or "none"),)


@recipe
def blocks(nets: Nets, prefix: str, readings: tuple[tuple[str, str], ...]) -> Readings:
    """Modules at the top of a network whose name begins so: a reading for each network."""
    counts = []
    for name, model in readings:
        tops = {call.path for call in nets.trace(model).calls if call.executed and "." not in call.path}
        number = sum(path.startswith(prefix) for path in tops)
        counts.append(Reading(name, number, f"{model}: {number} of {prefix}"))
    return tuple(counts)


@recipe
def kernels(nets: Nets, model: str, size: tuple[int, int]) -> Readings:
    """Convolutions of a network with a kernel of this height and width."""
    rows = [row.layer for row in convolutions(nets.trace(model)) if row.kernel == size]
    modules = Counter(layer.split(".")[0] for layer in rows)
    text = f"{len(rows)} = {' + '.join(f'{n} in {name}' for name, n in modules.items())}"
    return (Reading("in the whole net", len(rows), text if rows else f"none in {model}"),)


@recipe
def linear_layer_count(nets: Nets, model: str) -> Readings:
    """Linear layers of a network, and those in front of its classifier."""
    paths = [call.path for call in linear_layers(nets.trace(model))]
    return (
        Reading("linear layers", len(paths), ", ".join(paths) or "none"),
        Reading("without the classifier", len(paths[:-1]), ", ".join(paths[:-1]) or "none"),
    )


@recipe
def convolution_count(nets: Nets, model: str) -> Readings:
    """Convolutions of a network; a depthwise one counts with the pointwise one behind it, or by itself."""
    rows = convolutions(nets.trace(model))
    depthwise = sum(row.groups > 1 for row in rows)
    shortcuts = sum("shortcut" in row.layer for row in rows)
    path = len(rows) - depthwise - shortcuts
    return (
        Reading("every convolution", len(rows), f"{len(rows)} with {depthwise} depthwise ones"),
        Reading(
            "a separable one as one, shortcuts apart",
            path,
            f"{len(rows)} - {depthwise} depthwise - {shortcuts} on shortcuts = {path}",
        ),
    )


@recipe
def xception_modules(nets: Nets) -> Readings:
    """Residual blocks, with the two groups of convolutions before and behind them."""
    tops = [c for c in nets.trace("xception").calls if c.executed and c.path and "." not in c.path]
    residual = sum(call.type == "ResidualBlock" for call in tops)
    text = f"{residual} residual blocks + the convolutions before + those behind = {residual + 2}"
    return (Reading("ends counted", residual + 2, text), Reading("residual blocks", residual, f"{residual}"))


# ------------------------------------------------------------------------------------------ shapes


@recipe
def output_size(nets: Nets, model: str, layer: str, axis: int, training: bool = False) -> Readings:
    """Size of a layer's output along an axis: 0 for channels, 1 for height, 2 for width."""
    trace = nets.trace(model, mode="train" if training else "eval")
    shape = output_shape(trace, layer)
    return (Reading("traced", shape[axis], f"{layer} gives {'x'.join(map(str, shape))}"),)


@recipe
def input_elements(nets: Nets, model: str, layer: str) -> Readings:
    """Elements of a layer's input."""
    shape = input_shape(nets.trace(model), layer)
    return (Reading("traced", prod(shape), f"{' x '.join(map(str, shape))} = {prod(shape):,}"),)


@recipe
def layer_params(nets: Nets, model: str, layer: str) -> Readings:
    """Parameters of one layer."""
    call = call_of(nets.trace(model), layer)
    return (Reading("traced", call.params, f"{call.type} has {call.params:,}"),)


@recipe
def equal_sizes(nets: Nets, model: str) -> Readings:
    """True where the branches of each module give one grid, each convolution padded by half its kernel."""
    trace = nets.trace(model)
    rows = [row for row in convolutions(trace) if "branch" in row.layer]
    unchanged = sum(_keeps_grid(row) for row in rows)
    equal = [name for name in _modules(trace) if len(_branch_grids(trace, name)) == 1]
    kinds = sorted({(row.kernel[0], row.padding[0]) for row in rows})
    padding = ", ".join(f"{kernel}x{kernel} with padding {padding}" for kernel, padding in kinds)
    text = f"{unchanged} of {len(rows)} keep the grid: {padding}; {len(equal)} modules have equal branches"
    return (Reading("traced", unchanged == len(rows) and equal == _modules(trace), text),)


def _branch_grids(trace: Trace, module: str) -> set[tuple[int, ...]]:
    """Heights and widths that the branches of a module give."""
    parent = call_of(trace, module).id
    return {output_shape(trace, call.path)[1:] for call in trace.calls if call.parent == parent}


def _keeps_grid(row: Convolution) -> bool:
    half = tuple(side // 2 for side in row.kernel)
    return row.stride == (1, 1) and row.padding == half and row.input_size == row.output_size


@recipe
def pool_passes_through(nets: Nets, model: str) -> Readings:
    """True where each module's pool gives as many channels as it takes, and modules only get wider."""
    trace = nets.trace(model)
    names = _modules(trace)
    if not names:
        raise InceptionLabError("no module has branches", where=trace.context.model)
    widths = [output_shape(trace, name)[0] for name in names]
    passed = all(output_shape(trace, f"{name}.branch4")[0] == input_shape(trace, name)[0] for name in names)
    wider = all(before < after for before, after in pairwise([input_shape(trace, names[0])[0], *widths]))
    return (Reading("traced", passed and wider, f"modules give {', '.join(map(str, widths))} channels"),)


@recipe
def module_width(nets: Nets, module: str, printed_projection: int) -> Readings:
    """Channels that a module of BN-Inception gives with the pool projection that figure 5 prints."""
    trace = nets.trace("bn_inception")
    width, projection = output_shape(trace, module)[0], output_shape(trace, f"{module}.branch4")[0]
    sum_printed = width - projection + printed_projection
    return (
        Reading("as printed", sum_printed, f"{width - projection} + {printed_projection} = {sum_printed}"),
        Reading(f"pool projection of {projection}", width, f"{width - projection} + {projection} = {width}"),
    )


# ----------------------------------------------------------------------------------- heads and blocks


@recipe
def head_inputs(nets: Nets, model: str, layers: tuple[str, ...]) -> Readings:
    """True where the auxiliary heads read the outputs of these layers, one each."""
    trace = nets.trace(f"{model}(aux_logits=True)", mode="train")
    heads = [call for call in trace.calls if call.type == "AuxiliaryHead" and call.executed]
    makers = {value: call.path for call in trace.calls if "." not in call.path for value in call.outputs}
    sources = [makers.get(head.inputs[0], "?") for head in heads]
    text = ", ".join(f"{head.path} reads {source}" for head, source in zip(heads, sources, strict=True))
    return (Reading("traced", tuple(sources) == layers, text or "no heads"),)


@recipe
def loss_weight(nets: Nets, model: str) -> Readings:
    """Factor of the losses of the auxiliary heads in a training step."""
    trace = nets.trace(f"{model}(aux_logits=True)", mode="train")
    factors = _factors(trace, (op for op in trace.ops if op.phase == "loss"))
    text = f"losses of the heads are multiplied by {', '.join(map(str, factors))}"
    return tuple(Reading("traced", factor, text) for factor in factors)


@recipe
def residual_scale(nets: Nets, model: str, place: int) -> Readings:
    """One of the factors of residuals, in order of size: 0 for the smallest, -1 for the largest."""
    trace = nets.trace(model)
    factors = _factors(trace, forward_ops(trace))
    text = f"residuals are multiplied by {', '.join(map(str, factors))}"
    return (Reading("traced", factors[place], text),)


def _factors(trace: Trace, ops: Iterable[Op]) -> list[float]:
    """The numbers by which some operations multiply, each once, in order of size.

    Raises:
        InceptionLabError: None of them does.
    """
    factors = {op.arg("other") for op in ops if op.base_name == "mul" and op.arg("other") is not None}
    if not factors:
        raise InceptionLabError("nothing is multiplied by a number", where=trace.context.model)
    return sorted(factors)


@recipe
def same_blocks(nets: Nets, first: str, second: str, pairs: tuple[tuple[str, str], ...]) -> Readings:
    """True where modules of two networks have the same kernels and strides in the same branches."""
    trace, other_trace = nets.trace(first), nets.trace(second)
    differing = [
        f"{one} of {first} and {other} of {second}"
        for one, other in pairs
        if _kernels_below(trace, one) != _kernels_below(other_trace, other)
    ]
    text = f"they differ in {'; '.join(differing)}" if differing else "all kernels and strides are equal"
    return (Reading("kernels and strides", not differing, text),)


def _kernels_below(trace: Trace, module: str) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Kernel and stride of each convolution of a module, in order of execution."""
    path = call_of(trace, module).path  # a module that is not there has no kernels, either
    return [(c.kernel, c.stride) for c in convolutions(trace) if c.layer.startswith(f"{path}.")]
