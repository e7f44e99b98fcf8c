"""The options of the race, and the command line that sets them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inception_lab.errors import InceptionLabError
from inception_lab.models.cards import get_card
from peers.contenders import CONTENDERS, Shape
from shared import REPORTS, add_output

DEFAULT_MODELS = ("googlenet", "googlenet_bn", "googlenet_naive")


@dataclass(frozen=True)
class Options:
    """The arguments of a run.

    Attributes:
        models: Names of the zoo.
        rounds: Timed runs of each contender.
        probes: Fresh processes for each cold start.
        batch_sizes: The first one is that of the cold starts.
        input_size: Without the batch; None for each model's own.
        longest: Seconds that a real forward may take; slower ones are left out.
        output: The folder of the page.
        probe: The contender to probe in this process; None for the whole race.
    """

    models: tuple[str, ...]
    rounds: int
    probes: int
    batch_sizes: tuple[int, ...]
    input_size: Shape | None
    longest: float
    output: Path
    probe: str | None = None

    def shape(self, model: str, batch: int) -> Shape:
        """Return the input of a model, batch included."""
        return (batch, *(self.input_size or get_card(model).input_size))


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = _parser()
    values = vars(parser.parse_args(arguments))
    # a model or batch size named twice would share its cases with itself
    distinct = {key: tuple(dict.fromkeys(values[key])) for key in ("models", "batch_sizes")}
    options = Options(**values | distinct)
    try:
        for name in options.models:
            _check_size(name, options.shape(name, 1))
    except InceptionLabError as error:
        parser.error(str(error))
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Race inception_lab against its peers.")
    add = partial(parser.add_argument, metavar="N")
    add("--models", nargs="+", default=DEFAULT_MODELS, metavar="MODEL", help="names of the zoo")
    add("--rounds", type=_count, default=20, help="timed runs of each contender (default 20)")
    add("--probes", type=_count_or_none, default=5, help="fresh processes per cold start (5); 0: none at all")
    add("--batch-sizes", type=_count, nargs="+", default=(1, 512), help="default: 1 512")
    add("--input-size", type=_size, metavar="CxHxW", help="without the batch (default: each model's own)")
    add("--longest", type=float, default=10.0, metavar="S", help="skip real forwards above S seconds (10)")
    add("--probe", choices=CONTENDERS, help=argparse.SUPPRESS)
    add_output(parser, REPORTS / "benchmarks")
    return parser


def _check_size(name: str, shape: Shape) -> None:
    smallest = get_card(name).smallest_input
    if len(shape) != 4 or shape[1] != 3 or min(shape[2:]) < smallest:
        problem = f"{name} takes 3 channels of {smallest} pixels a side or more"
        raise InceptionLabError(problem, hint=f"try --input-size 3x{smallest}x{smallest}")


def _count(text: str) -> int:
    return _at_least(1, text)


def _count_or_none(text: str) -> int:
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
    return int(text)


def _size(text: str) -> Shape:
    return tuple(_count(part) for part in text.split("x"))
