"""The layers in which a forward went a way of several, by the data of its input or by chance.

Another input, or another draw, may run other operations there, so that figures hold for this way alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from inception_lab.ir.operation_name import parse_operation_name
from inception_lab.ir.structure import ROOT
from inception_lab.running.random_numbers import DrawWatch

if TYPE_CHECKING:
    from inception_lab.tracing.recorder import OpRow, Recorder

DATA = "its input's data"
CHANCE = "random numbers"
_WARNINGS: Mapping[str, str] = {DATA: "another input", CHANCE: "another draw"}
_MASKS = ("bool", "uint8")
_FEW = 3


def choice_notes(layers: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Return a sentence for each source of choices.

    Args:
        layers: Those that chose, by what they chose by.

    Example:
        >>> list(choice_notes({"random numbers of Python": ["a", "b", "c", "d", "a"]}))
        ['random numbers of Python may decide in a, b, c and 1 more: another draw may run other operations']
    """
    for source, names in layers.items():
        unique = list(dict.fromkeys(names))
        more = f" and {len(unique) - _FEW} more" if len(unique) > _FEW else ""
        other = _WARNINGS.get(source, _WARNINGS[CHANCE])
        yield f"{source} may decide in {', '.join(unique[:_FEW])}{more}: {other} may run other operations"


def reads_numbers(recorder: Recorder) -> bool:
    """True where Python was told a number that a tensor holds."""
    return any(torch.Tag.data_dependent_output in row[0].func.tags for row in recorder.ops)


def choosing_layers(recorder: Recorder, inputs: Iterable[int]) -> dict[str, list[str]]:
    """The layers that read numbers of a tensor that come of the input's data or of random numbers.

    Args:
        recorder: Has recorded a run on data.
        inputs: Ids of the inputs' storages.
    """
    sources: dict[int, frozenset[str]] = dict.fromkeys(inputs, frozenset({DATA}))
    layers: dict[str, list[str]] = defaultdict(list)
    storage = [value.storage for value in recorder.storages.values]
    for row in recorder.ops:
        operation, phase, call, reads, writes = row
        if phase != "forward":
            break
        read_sources = frozenset().union(*(sources.get(storage[value], frozenset()) for value in reads))
        if torch.Tag.nondeterministic_seeded in operation.func.tags:
            read_sources |= {CHANCE}
        sources |= {s: sources.get(s, frozenset()) | read_sources for s in (storage[v] for v in writes)}
        if _tells_numbers(recorder, row):
            for source in sorted(read_sources):
                layers[source].append(recorder.calls.states[call].path or ROOT)
    return layers


def _tells_numbers(recorder: Recorder, row: OpRow) -> bool:
    """True for an operation whose result, to Python or in its shape, depends on the numbers it reads."""
    operation, _, _, reads, _ = row
    tags = operation.func.tags
    if torch.Tag.dynamic_output_shape in tags and parse_operation_name(operation.name).base == "index":
        return any(recorder.storages.values[value].dtype in _MASKS for value in reads[1:])
    return torch.Tag.dynamic_output_shape in tags or torch.Tag.data_dependent_output in tags


class DrawingLayers:
    """The layers that draw numbers which no dispatch mode sees, from a run that is watched for them.

    Attributes:
        layers: Their names, by what they draw.
    """

    def __init__(self) -> None:
        self.layers: dict[str, list[str]] = defaultdict(list)
        self._stack: list[str] = []
        self._watch = DrawWatch()

    def watch(self, modules: Mapping[str, nn.Module]) -> None:
        """Have every module's forward tell; whoever substituted its tensors takes that out again."""
        for path, module in modules.items():
            module.__dict__["forward"] = self._watched(module.forward, path or ROOT)

    def _watched(self, forward: Callable[..., Any], name: str) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._look()  # what was drawn so far is of the module that calls
            self._stack.append(name)
            try:
                return forward(*args, **kwargs)
            finally:
                self._look()
                self._stack.pop()

        return watched

    def _look(self) -> None:
        for library in self._watch.drawn():
            self.layers[f"{CHANCE} of {library}"].append(self._stack[-1] if self._stack else ROOT)
