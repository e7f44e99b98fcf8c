"""The reference layer tables, and what a network really runs in the words of these tables."""

import csv
import math
from pathlib import Path

import torch
from torch import nn

FOLDER = Path(__file__).parents[1] / "reference" / "layers"
LEAVES = (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
WINDOW = ("kernel", "stride", "padding")


def images(height=299, width=None, batch=1):
    return torch.empty(batch, 3, height, width or height, device="meta")


def parameters(net):
    return sum(p.numel() for p in net.parameters())


def macs(rows):
    return sum(row.get("macs", 0) for row in rows)


def published(name):
    """The rows of `layers/NAME.csv`."""
    with (FOLDER / f"{name}.csv").open() as file:
        return [_parsed(row) for row in csv.DictReader(file)]


def _parsed(row):
    parsed = {"layer": row["layer"], "in": _shape(row, "in"), "out": _shape(row, "out")}
    parsed |= {name: _size(row[name]) for name in WINDOW if row[name]}
    parsed |= {name: int(row[name]) for name in ("groups", "weights", "macs") if row[name]}
    return parsed | ({"round_up": row["round_up"] == "yes"} if row["round_up"] else {})


def _shape(row, end):
    size = row[f"{end}_size"]
    return (int(row[f"{end}_channels"]), *(_size(size) if size else ()))


def _size(text):
    return tuple(int(side) for side in text.split("x"))


@torch.no_grad()
def executed(net, x):
    """The layers that one forward runs, in order."""
    rows = []

    def note(layer, args, made):
        rows.append(_described(layer, args[0], made))

    hooks = [layer.register_forward_hook(note) for layer in net.modules() if isinstance(layer, LEAVES)]
    try:
        net(x)
    finally:
        for hook in hooks:
            hook.remove()
    return rows


def _described(layer, given, made):
    row = {"layer": _kind(layer), "in": tuple(given.shape[1:]), "out": tuple(made.shape[1:])}
    if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        sizes = (layer.kernel_size, layer.stride, layer.padding)
        row |= {name: _pair(size) for name, size in zip(WINDOW, sizes, strict=True)}
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        row["round_up"] = layer.ceil_mode
    if isinstance(layer, nn.Conv2d):
        row["groups"] = layer.groups
    if isinstance(layer, nn.Conv2d | nn.Linear):
        row["weights"] = layer.weight.numel()
        row["macs"] = made[0].numel() * math.prod(layer.weight.shape[1:])
    return row


def _kind(layer):
    return type(layer).__name__.lower().removesuffix("2d")


def _pair(size):
    return size if isinstance(size, tuple) else (size, size)
