"""A net of the user's own for tests of sweeps, whose factory can do anything."""

SOURCE = """
import os, signal, sys, time
from pathlib import Path
from torch import nn

def fall(how):
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(0)
    if how == "leave":
        raise SystemExit(3)
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "base":
        raise BaseException("neither")
    if how == "memory":
        bytearray(1 << 50)
    if how == "print":
        print("printed")
        os.write(1, b"written")

def net(width=4, falls={}, log="", seconds=0.0, hold=""):
    if log:
        with open(log, "a") as file:
            file.write(f"{width}\\n")
    time.sleep(seconds)
    while hold and width > 2 and Path(hold).exists():
        time.sleep(0.01)
    fall(falls.get(str(width)))
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.Conv2d(width, width, 3))
"""


def params_of(width):
    """The parameters of the net by hand: two convolutions of 3 x 3 with biases."""
    return (3 * 9 * width + width) + (width * 9 * width + width)


def macs_of(width, side):
    """Its multiply-accumulates on a square image."""
    return 27 * width * (side - 2) ** 2 + 9 * width * width * (side - 4) ** 2


def write_nets(folder, source=SOURCE):
    """Write the net to a module with a name of its own, as modules stay imported; returns the name."""
    name = f"{folder.name}_nets".replace("-", "_")
    (folder / f"{name}.py").write_text(source)
    return name


def space_of(module, widths, *, log=None, metrics=("params", "macs"), **kwargs):
    """The space of the net's widths as a dictionary."""
    return {
        "model": f"{module}:net",
        "kwargs": kwargs | ({"log": str(log)} if log else {}),
        "input-size": "3x16x16",
        "parameters": {"width": list(widths)},
        "metrics": list(metrics),
    }
