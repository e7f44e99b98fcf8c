"""The way in which the optimizer of a traced step comes into steady state."""

from __future__ import annotations

from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.running.optimizers import OptimizerError
from inception_lab.running.request import Request
from inception_lab.running.stand_ins import NoMetaForm
from inception_lab.running.step import Settle, Step, settled_by_running, settled_without_arithmetic
from inception_lab.tracing.backends import CPU, Backend


def settle_of(backend: Backend, request: Request) -> Settle:
    """The way into steady state: where gradients are sparse, what the optimizer keeps of them takes a run.

    Args:
        backend: Runs the step.
        request: The step.

    Raises:
        NoMetaForm: Gradients are sparse, and the backend has no data.
    """
    modules = request.model.modules() if request.optimizer is not None else ()
    if not any(isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and module.sparse for module in modules):
        return settled_without_arithmetic
    if backend.name != CPU.name:
        raise NoMetaForm
    return _settled_for_real


def _settled_for_real(step: Step) -> Step:
    try:
        return settled_by_running(step)
    except InceptionLabError:
        raise
    except Exception as error:
        assert step.request.optimizer is not None
        raise OptimizerError(step.request.optimizer.name, error) from error
