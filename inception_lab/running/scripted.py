"""Scripted and traced modules: TorchScript runs them, and Python calls the outermost one alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from inception_lab.running.exclusion import behind_gate

_ScriptModule = torch.jit.ScriptModule


def is_scripted(module: nn.Module) -> bool:
    """True for a module that TorchScript runs."""
    return isinstance(module, _ScriptModule)


def modules_that_own_tensors(path: str, module: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """The module itself, and those within one that is scripted, with their paths."""
    return module.named_modules(prefix=path) if is_scripted(module) else ((path, module),)


class ScriptedModes:
    """The modes of scripted modules, which are not among their attributes in Python.

    Args:
        modules: Of any kind.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        inner = [each for module in modules if is_scripted(module) for each in module.modules()]
        # a frozen module has no mode any more
        self._modes = [(module, module.training) for module in inner if hasattr(module, "training")]

    def restore(self) -> None:
        """Put the modules back into their modes."""
        for module, training in self._modes:
            module.training = training


def frozen_elements(module: nn.Module) -> int:
    """Elements of the tensors that freezing has made constants of a scripted module's code."""
    if not is_scripted(module):
        return 0
    # the module's own property asks its attribute, where a gate may stand
    graph: Any = getattr(behind_gate(getattr(module, "forward", None)), "inlined_graph", None)
    if graph is None:
        return 0
    constants = [node for node in graph.findAllNodes("prim::Constant") if node.hasAttribute("value")]
    tensors = [node.t("value") for node in constants if node.kindOf("value") == "t"]
    return sum(tensor.numel() for tensor in tensors if tensor.dim())
