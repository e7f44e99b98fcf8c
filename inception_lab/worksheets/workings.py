"""The working of one operation of a trace: its window, its factors, its parameters."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from inception_lab.analyzers.reductions import POOLS, InputChannels
from inception_lab.ir.trace import Op, Trace, Value
from inception_lab.worksheets.sheet import Sums, Window, Working, channels_last

_MATRIX_PRODUCTS = frozenset({"mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "linear"})
"""Operations whose every output takes as many multiplies as the axis that is summed over is long."""


def working_of(trace: Trace, op: Op, layer: str, weights: int, biases: int) -> Working:
    """Return the working of a product or a pool, as it was traced.

    Args:
        trace: That ran it.
        op: The operation.
        layer: Name of its layer.
        weights: Those that count as its own.
        biases: The same of biases.
    """
    window = _window(trace, op)
    places, each = _factors(trace, op)
    return Working(
        layer=layer,
        operation=_operation(trace, op, window),
        input_shape=_input_shape(trace, op),
        output_shape=trace.values[op.writes[0]].shape,
        window=window,
        transposed=bool(op.arg("transposed")),
        places=places,
        each=each,
        sums=Sums(op.macs, weights, biases, 0),
    )


def naive_working(working: Working, channels: InputChannels) -> Working:
    """Return the working of a convolution without the reduction before it.

    Args:
        working: With it.
        channels: Those that it reads with and without it.
    """

    def wider(amount: int) -> int:
        return amount // channels.reduced * channels.naive

    *kernel, inputs = working.each or (0,)
    macs = wider(working.sums.macs)
    each = (*kernel, inputs * channels.naive // channels.reduced)
    # the channels of a group need not be a whole number: then the multiplies are a number alone
    fits = prod((*working.places, *each)) == macs
    batch, width, *grid = working.input_shape
    return replace(
        working,
        input_shape=(batch, width * channels.naive // channels.reduced, *grid),
        places=working.places if fits else (),
        each=each if fits else (),
        sums=working.sums._replace(macs=macs, weights=wider(working.sums.weights)),
    )


def parameters_read(trace: Trace, op: Op) -> list[Value]:
    """Return the parameters among the values that an operation reads."""
    values = [trace.values[value] for value in op.reads]
    return [value for value in values if trace.storages[value.storage].kind == "parameter"]


def is_pool(op: Op) -> bool:
    """True for an operation that pools."""
    return op.base_name in POOLS


def _input_shape(trace: Trace, op: Op) -> tuple[int, ...]:
    operands = [trace.values[value] for value in op.reads]
    inputs = [v.shape for v in operands if trace.storages[v.storage].kind != "parameter"]
    return inputs[0] if inputs else ()


def _window(trace: Trace, op: Op) -> Window | None:
    if op.base_name == "convolution":
        kernel = trace.values[op.reads[1]].shape[2:]
    elif is_pool(op) and op.arg("kernel_size") and op.arg("output_size") is None:
        kernel = _axes(op.arg("kernel_size"), 3 if "3d" in op.base_name else 2)
    else:
        return None
    count = len(kernel)
    return Window(
        kernel,
        _axes(op.arg("stride"), count) or kernel,
        _axes(op.arg("padding", 0), count),
        _axes(op.arg("dilation", 1), count),
        bool(op.arg("ceil_mode", False)),
    )


def _axes(argument: int | tuple[int, ...] | None, count: int) -> tuple[int, ...]:
    """An argument of a window with a number for each axis; empty for none."""
    numbers = (argument,) if isinstance(argument, int) else tuple(argument or ())
    return numbers * count if len(numbers) == 1 else numbers


def _factors(trace: Trace, op: Op) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Factors of the places and of the multiplies for each; both empty where they do not give the count."""
    output = trace.values[op.writes[0]].shape
    places: tuple[int, ...]
    each: tuple[int, ...]
    if op.base_name == "convolution":
        weight = trace.values[op.reads[1]].shape
        places_shape = trace.values[op.reads[0]].shape if op.arg("transposed") else output
        places, each = channels_last(places_shape, len(weight) - 2), (*weight[2:], weight[1])
    elif op.base_name in _MATRIX_PRODUCTS and (outputs := prod(output)):
        places, each = channels_last(output, 0), (op.macs // outputs,)
    else:
        return (), ()
    # of complex numbers a multiply counts four times: the factors would say another number
    factors = (*places, *each)
    return (places, each) if prod(factors) == op.macs else ((), ())


def _operation(trace: Trace, op: Op, window: Window | None) -> str:
    if op.base_name in _MATRIX_PRODUCTS:
        return "linear layer" if parameters_read(trace, op) else "matrix product"
    if op.base_name == "convolution":
        kernel = "x".join(map(str, window.kernel if window else ()))
        kind = "transposed convolution" if op.arg("transposed") else "convolution"
        return f"{kernel} {kind}" + (f" of {op.arg('groups')} groups" if op.arg("groups") > 1 else "")
    kind = "average pool" if "avg" in op.base_name else "max pool"
    if not is_pool(op):
        return op.base_name
    if window:
        return f"{'x'.join(map(str, window.kernel))} {kind}"
    return f"{'fractional' if 'fractional' in op.base_name else 'adaptive'} {kind}"
