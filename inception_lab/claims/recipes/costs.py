"""Parameters and multiply-accumulates of whole networks, under every reading, and their ratios."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from inception_lab.analyzers.cost import layer_costs
from inception_lab.claims.nets import Nets
from inception_lab.claims.recipes.layers import convolutions, linear_layers, output_shape, weight_shapes
from inception_lab.claims.recipes.registry import recipe
from inception_lab.claims.verdict import Reading, Unavailable
from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Trace
from inception_lab.loading.options import model_request
from inception_lab.models.cards import get_card

Readings = tuple[Reading, ...]

FLOAT_BYTES = 4
DEPTH_MULTIPLIER = 8
"""Of the separable first layer that 1502.03167 describes and Table 1 of 1409.4842 counts."""

SEPARABLE = "first layer as a separable 7x7"


@recipe
def params(nets: Nets, model: str) -> Readings:
    """Parameters of a network, each shared tensor once."""
    return tuple(_params_readings(nets, model).values())


@recipe
def macs(nets: Nets, model: str, side: int | None = None) -> Readings:
    """Multiply-accumulates of one image."""
    return tuple(_macs_readings(nets, model, side).values())


def _params_readings(nets: Nets, model: str) -> dict[str, Reading]:
    trace = nets.trace(model)
    total, classifier = total_of(trace, "params"), _last_layer(trace, "params")
    weights = sum(prod(shape) for shape in weight_shapes(trace).values() if len(shape) > 1)
    readings = [
        Reading("as built", total, f"{total:,} parameters of {model}"),
        _difference("without the classifier", total, classifier),
        Reading(
            "weights alone",
            weights,
            f"{total:,} - {total - weights:,} of biases and normalisation = {weights:,}",
        ),
    ]
    readings += _statistics_readings(total, _running_statistics(trace))
    if _has_optional_heads(model):
        both = total_of(nets.trace(f"{model}(aux_logits=True)"), "params")
        text = f"{total:,} + {both - total:,} of the heads = {both:,}"
        readings.append(Reading("with its auxiliary heads", both, text))
    readings += _separable_reading(nets, model, "params", total)
    return {reading.name: reading for reading in readings}


def _statistics_readings(total: int, statistics: int) -> list[Reading]:
    """The ways to count in which means and variances are parameters; Keras leaves out factors in some."""
    if not statistics:
        return []
    both, shifts = total + statistics, statistics // 2
    without = both - shifts
    text = f"{total:,} + {statistics:,} running means and variances"
    return [
        Reading("with the running statistics", both, f"{text} = {both:,}"),
        Reading(
            "with the running statistics, without factors", without, f"{text} - {shifts:,} = {without:,}"
        ),
    ]


def _macs_readings(nets: Nets, model: str, side: int | None = None) -> dict[str, Reading]:
    trace = nets.trace(model, side=side)
    total = total_of(trace, "macs")
    convolved = sum(convolution.macs for convolution in convolutions(trace))
    readings = [
        Reading("multiply-accumulates", total, f"{total:,} MACs of {model} on {_image_text(trace)}"),
        Reading(
            "convolutions alone",
            convolved,
            f"{total:,} - {total - convolved:,} of linear layers = {convolved:,}",
        ),
        Reading("FLOPs, two to a multiply-accumulate", 2 * total, f"2 x {total:,} = {2 * total:,}"),
    ]
    if side is None:
        readings += _separable_reading(nets, model, "macs", total)
    return {reading.name: reading for reading in readings}


def _image_text(trace: Trace) -> str:
    return "x".join(map(str, trace.context.input_shapes[0][1:]))


def total_of(trace: Trace, metric: str) -> int:
    """Return the sum of a column of `layer_costs`.

    Raises:
        InceptionLabError: It is zero: claims are about networks with weights.
    """
    total = int(layer_costs(trace)[metric].sum())
    if not total:
        raise InceptionLabError(f"{metric} of no layer", where=trace.context.model)
    return total


def layers_total(trace: Trace, metric: str, *prefixes: str) -> int:
    """Return the sum of a column over layers at or below some paths.

    Raises:
        InceptionLabError: There is no layer at or below one of them.
    """
    table = layer_costs(trace)
    total = 0
    for prefix in prefixes:
        inside = (table["layer"] == prefix) | table["layer"].str.startswith(f"{prefix}.")
        if not inside.any():
            raise InceptionLabError(f"no layer {prefix!r}", where=trace.context.model)
        total += int(table.loc[inside, metric].sum())
    return total


def _last_layer(trace: Trace, metric: str) -> int:
    """A metric of the last layer that has parameters and ran: the classifier."""
    table = layer_costs(trace)
    return int(table[table["executed"] & (table["params"] > 0)][metric].iloc[-1])


def _difference(name: str, total: int, part: int) -> Reading:
    return Reading(name, total - part, f"{total:,} - {part:,} = {total - part:,}")


def _running_statistics(trace: Trace) -> int:
    """Elements of the floating buffers: means and variances, and not the count of batches."""
    buffers = {s.id: s for s in trace.storages if s.kind == "buffer" and s.name.endswith(("_mean", "_var"))}
    return sum(storage.bytes for storage in buffers.values()) // FLOAT_BYTES


def _has_optional_heads(model: str) -> bool:
    option = get_card(model_request(model).spec).options.get("aux_logits")
    return "(" not in model and option is not None and option.default is False


def _separable_reading(nets: Nets, model: str, metric: str, total: int) -> list[Reading]:
    """The reading for the networks whose papers begin with a separable 7x7."""
    if model not in ("googlenet", "bn_inception"):
        return []
    dense, separable = layers_total(nets.trace(model), metric, "conv1.conv"), separable_first(nets, metric)
    value = total - dense + separable
    return [Reading(SEPARABLE, value, f"{total:,} - {dense:,} + {separable:,} = {value:,}")]


def separable_first(nets: Nets, metric: str) -> int:
    """Cost of a 7x7/2 of each colour by itself to 8 channels, then a 1x1 to 64, without biases."""
    from torch import nn

    def build() -> nn.Module:
        wide = 3 * DEPTH_MULTIPLIER
        return nn.Sequential(
            nn.Conv2d(3, wide, 7, 2, 3, groups=3, bias=False), nn.Conv2d(wide, 64, 1, bias=False)
        )

    return total_of(nets.probe(SEPARABLE, build, (1, 3, 224, 224)), metric)


# ----------------------------------------------------------------------------------- of two networks


def _readings_of(nets: Nets, metric: str, model: str) -> Mapping[str, Reading]:
    return {"params": _params_readings, "macs": _macs_readings}[metric](nets, model)


@recipe
def ratio(nets: Nets, metric: str, of: str, to: str) -> Readings:
    """The cost of one network over that of another, under the readings of each."""
    top, bottom = _readings_of(nets, metric, of), _readings_of(nets, metric, to)
    plain = next(iter(top))
    names = [name for name in dict.fromkeys([*top, *bottom]) if not name.startswith("FLOPs")]
    # a reading that one of the two lacks leaves that one as it is
    pairs = [(name, top.get(name, top[plain]), bottom.get(name, bottom[plain])) for name in names]
    return tuple(quotient(name, first.value, second.value) for name, first, second in pairs)


def quotient(name: str, first: float, second: float) -> Reading:
    """Return the reading of one cost over another.

    Raises:
        InceptionLabError: The second is zero.
    """
    if not second:
        raise InceptionLabError(f"{name}: {first:,.0f} over a cost of zero")
    return Reading(name, first / second, f"{first:,.0f} / {second:,.0f} = {first / second:.3f}")


@recipe
def growth(nets: Nets, metric: str, pairs: tuple[tuple[str, str], ...]) -> Readings:
    """Growth in percent from the second network of each pair to the first."""
    readings = []
    for of, to in pairs:
        first, second = total_of(nets.trace(of), metric), total_of(nets.trace(to), metric)
        value = 100 * (first / second - 1)
        readings.append(Reading(f"{of} over {to}", value, f"{first:,} / {second:,} - 1 = {value:+.1f}%"))
    return tuple(readings)


@recipe
def ratios(nets: Nets, metric: str, pairs: tuple[tuple[str, str], ...]) -> Readings:
    """The cost of the first network of each pair over that of the second: a reading each."""
    return tuple(
        quotient(f"{of} over {to}", total_of(nets.trace(of), metric), total_of(nets.trace(to), metric))
        for of, to in pairs
    )


@recipe
def ratios_beside(nets: Nets, metric: str, pairs: tuple[tuple[str, str], ...], what: str) -> Unavailable:
    """Nothing, as the claim needs more than a trace; beside it the ratios of networks that are near."""
    return Unavailable(what, ratios(nets, metric, pairs))


# ------------------------------------------------------------------------------------ of one network


@recipe
def file_size(nets: Nets, model: str) -> Readings:
    """Bytes of the parameters in single precision, as decimal and as binary megabytes."""
    count = total_of(nets.trace(model), "params")
    size = FLOAT_BYTES * count
    text = f"{size / 2**20:.2f} x 1,048,576 bytes"
    return (
        Reading("MB of 1,000,000 bytes", size, f"{count:,} x 4 = {size:,}"),
        Reading("MB of 1,048,576 bytes", size * 1e6 / 2**20, f"{size:,} = {text}", text),
    )


@recipe
def linear_share(nets: Nets, models: tuple[str, ...]) -> Readings:
    """Part of the parameters, in percent, that is in linear layers: a reading for each network."""
    return tuple(_linear_share(nets.trace(model), model) for model in models)


def _linear_share(trace: Trace, model: str) -> Reading:
    part, total = sum(call.params for call in linear_layers(trace)), total_of(trace, "params")
    share = 100 * part / total
    return Reading(model, share, f"{part:,} / {total:,} = {share:.1f}%")


@recipe
def doubled(nets: Nets, metric: str, model: str) -> Readings:
    """Factor by which the cost of a network grows where each convolution gets twice as many filters.

    A layer's cost is proportional to its channels in and out. The image keeps its three channels and the
    classifier its classes, so that the first layer and the last one only double.
    """
    total, first, last = _weighted_costs(nets.trace(model), metric)
    value = (4 * total - 2 * first - 2 * last) / total
    whole = f"(4 x {total - first - last:,} + 2 x {first:,} + 2 x {last:,}) / {total:,} = {value:.3f}"
    return (
        Reading("whole net", value, whole),
        Reading("a layer between two that double", 4.0, "2 x channels in, 2 x channels out"),
    )


def _weighted_costs(trace: Trace, metric: str) -> tuple[int, int, int]:
    """Cost of all weights, of those of the first layer and of those of the last, biases apart."""
    if metric == "macs":
        costs = [op.macs for op in trace.ops if op.macs]
    else:
        costs = [prod(shape) for shape in weight_shapes(trace).values() if len(shape) > 1]
    if not costs:
        raise InceptionLabError(f"{metric} of no weight", where=trace.context.model)
    return sum(costs), costs[0], costs[-1]


@recipe
def neurons(nets: Nets, model: str) -> Readings:
    """Outputs of all convolutions and linear layers, with and without the pixels of the input."""
    trace = nets.trace(model)
    paths = [convolution.layer for convolution in convolutions(trace)]
    counts = [prod(output_shape(trace, path)) for path in paths + [c.path for c in linear_layers(trace)]]
    pixels, total = prod(trace.context.input_shapes[0][1:]), sum(counts)
    return (
        Reading("outputs of layers", total, " + ".join(f"{n:,}" for n in counts) + f" = {total:,}"),
        Reading("with the input", total + pixels, f"{total:,} + {pixels:,} = {total + pixels:,}"),
    )
