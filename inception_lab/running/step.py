"""One pass or training step of any module, prepared and guarded once for all.

Tracing, measuring and counting read the same step. What it changes is put back when it is over: the
tensors and attributes of the model, random generators, settings of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Kind, Phase
from inception_lab.running import torch_internals
from inception_lab.running.exclusion import one_run_at_a_time, private_copy
from inception_lab.running.guards import autocast_to, guarded, no_collection
from inception_lab.running.higher_order import taken_apart
from inception_lab.running.inputs import Arguments, arguments
from inception_lab.running.losses import default_loss
from inception_lab.running.optimizers import (
    needs_closure,
    state_of,
    steady,
    stepping,
)
from inception_lab.running.random_numbers import seeded
from inception_lab.running.request import Execution, Request
from inception_lab.running.stand_ins import StandIn, meta_input, meta_twin
from inception_lab.running.substitution import Substituted
from inception_lab.running.unlike_types import RefuseUnlikeTypes

LOSS, OPTIMIZER = "(loss)", "(optimizer)"
"""The paths under which their calls are reported."""

Function = TypeVar("Function", bound=Callable[..., Any])


class Placement(NamedTuple):
    """The tensors on which a step runs.

    Attributes:
        device: Kind of device, as autocast takes it.
        weight: Makes what stands in for a parameter or buffer.
        example: Makes what stands in for an example input.
        mode: A mode that makes the tensors what they are, entered below everything else.
    """

    device: str
    weight: StandIn
    example: StandIn
    mode: AbstractContextManager[object] = nullcontext()


class Observer(Protocol):
    """Told what a step does next."""

    def begin(self, phase: Phase) -> None:
        """A phase after the forward begins."""

    def reporting(self, function: Function, path: str, kind: str) -> Function:
        """The function, with its call reported as one of a module."""


class _Unobserved:
    def begin(self, phase: Phase) -> None:
        """Take no notice."""

    def reporting(self, function: Function, path: str, kind: str) -> Function:
        """Return the function itself, so that no frame of ours refers to its arguments."""
        del path, kind
        return function


UNOBSERVED = _Unobserved()


class StepResult(NamedTuple):
    """The results of a step, which outlive it for as long as somebody has this.

    Attributes:
        outputs: Of the model.
        loss_name: What was differentiated, None in eval mode.
        loss: Its value, None in eval mode.
    """

    outputs: Any
    loss_name: str | None
    loss: Tensor | None


@dataclass(frozen=True, eq=False)
class Step:
    """A pass or step that is ready to run, on tensors of its own.

    Attributes:
        request: The pass or step.
        placement: The tensors on which it runs.
        model: The model's modules, and what stands in for their tensors.
        arguments: Of the model's forward.
        optimizer: In steady state, None where none is wanted or nothing is trained.
        examples: The input behind each stand-in, by the id of the stand-in; without data for a shape.
    """

    request: Request
    placement: Placement
    model: Substituted
    arguments: Arguments
    optimizer: torch.optim.Optimizer | None = None
    examples: Mapping[int, Tensor] = field(default_factory=dict)

    def run(self, observer: Observer = UNOBSERVED) -> StepResult:
        """The forward; in train mode the loss, the backward pass and the optimizer's step too."""
        with autocast_to(self.request.autocast, self.placement.device):
            outputs = self.forward()
            if not self.request.training:
                return StepResult(outputs, None, None)
            observer.begin("loss")
            loss_name, loss = self._loss(outputs, observer)
        observer.begin("backward")
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        if self.optimizer is not None:
            observer.begin("optimizer")
            self._take_step(self.optimizer, loss, observer)
        return StepResult(outputs, loss_name, loss)  # alive to the end, as in a training loop

    def forward(self) -> Any:
        """The outputs of the model; those of a generator as a list."""
        outputs = self.request.model(*self.arguments.args, **self.arguments.kwargs)
        return list(outputs) if isinstance(outputs, Iterator) else outputs

    def _take_step(self, optimizer: torch.optim.Optimizer, loss: Tensor, observer: Observer) -> None:
        """The optimizer's step, with a closure where it needs one."""
        closure = [self._closure(optimizer, loss)] if needs_closure(optimizer) else []
        function: Callable[..., Any] = optimizer.step
        step = observer.reporting(function, OPTIMIZER, type(optimizer).__name__)
        with stepping(optimizer):
            step(*closure)

    def _closure(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> Callable[[], Tensor]:
        """A function that runs the model and differentiates its loss, unless that has just been done."""
        before = _versions(optimizer)

        def closure() -> Tensor:
            # the loss and the gradients of these weights are those of the passes that went before the step
            if _versions(optimizer) == before:
                return loss
            with torch.enable_grad():
                optimizer.zero_grad()
                with autocast_to(self.request.autocast, self.placement.device):
                    outputs = self.request.model(*self.arguments.args, **self.arguments.kwargs)
                    value = self._loss(outputs, UNOBSERVED)[1]
                value.backward()  # type: ignore[no-untyped-call]
            return value

        return closure

    def _loss(self, outputs: Any, observer: Observer) -> tuple[str, Tensor]:
        """Name and value of what is differentiated."""
        function = self.request.loss
        name = getattr(function, "__name__", type(function).__name__)
        if function is None:
            name, function = default_loss(outputs)
        value = observer.reporting(function, LOSS, name)(outputs)
        if not isinstance(value, Tensor) or value.dim():
            kind = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise InceptionLabError(f"the loss {name} gave {kind}", hint="return a scalar tensor")
        return name, value

    @property
    def tensors(self) -> Sequence[tuple[Kind, Mapping[str, Tensor]]]:
        """The tensors that are there before the first operation, by kind and name."""
        state = state_of(self.optimizer, self.model.parameters) if self.optimizer else {}
        return (
            ("parameter", self.model.parameters),
            ("buffer", self.model.buffers),
            ("input", self.arguments.tensors),
            ("optimizer state", state),
        )

    @property
    def layers(self) -> Mapping[str, nn.Module]:
        """The modules whose calls can be told apart, by path; a compiled model is one."""
        if self.request.execution == "compiled":
            return {"": self.request.model}
        return self.model.modules

    @property
    def dtype(self) -> torch.dtype:
        """That of the first floating or complex parameter."""
        return floating_dtype(self.model)


def _versions(optimizer: torch.optim.Optimizer) -> list[int]:
    """The number of writes to each parameter of an optimizer so far."""
    return [parameter._version for group in optimizer.param_groups for parameter in group["params"]]


Settle = Callable[[Step], Step]
"""Gives a step its optimizer, in the state in which it is from its second step on, gradients gone."""


def settled_without_arithmetic(step: Step) -> Step:
    """Settle by a step on gradients of zeros, which computes nothing on tensors without data."""
    assert step.request.optimizer is not None
    optimizer = steady(step.request.optimizer, step.model.parameters, step.placement.mode)
    return replace(step, optimizer=optimizer)


def settled_by_running(step: Step) -> Step:
    """Settle by a first step, real as all others, which makes what the optimizer keeps."""
    trainable = [parameter for parameter in step.model.parameters.values() if parameter.requires_grad]
    if step.request.optimizer is None or not trainable:
        return step
    optimizer = step.request.optimizer.make(trainable)
    step = replace(step, optimizer=optimizer)
    step.run()
    optimizer.zero_grad(set_to_none=True)
    return step


@contextmanager
def prepared(
    request: Request, placement: Placement, settle: Settle = settled_without_arithmetic
) -> Iterator[Step]:
    """A step on tensors of its own, in steady state: its optimizer has taken a step, gradients are gone.

    No garbage is collected meanwhile, which would release tensors at moments that no program controls.

    Args:
        request: The pass or step.
        placement: The tensors on which it runs.
        settle: Brings the optimizer into steady state, where there is one.
    """
    others = [request.loss] if isinstance(request.loss, nn.Module) else []
    request, execution = _EXECUTIONS[request.execution](request)
    with (
        guarded(
            request.model, request.training, placement.weight, others, fast_path=request.fast_path
        ) as model,
        execution,
        no_collection(),
        seeded() if request.loss else nullcontext(),
        torch.set_grad_enabled(request.training),
    ):
        examples: dict[int, Tensor] = {}

        def stand_in(example: Tensor) -> Tensor:
            tensor = placement.example(example)
            examples[id(tensor)] = example
            return tensor

        call_arguments = arguments(request.inputs, _shape_dtype(request, model), stand_in)
        step = Step(request, placement, model, call_arguments, examples=examples)
        if request.optimizer is not None:
            step = settle(step)
            model.generators.seed()  # a first step may have drawn numbers
        yield step


def _eager(request: Request) -> tuple[Request, AbstractContextManager[object]]:
    return request, taken_apart()


def _compiled(request: Request) -> tuple[Request, AbstractContextManager[object]]:
    """The same for a copy, as gates in front of the modules would keep the compiler out too."""
    with one_run_at_a_time:
        copy = private_copy(request.model)
    return replace(request, model=copy), _compiled_forward(copy)


_EXECUTIONS: Mapping[Execution, Callable[[Request], tuple[Request, AbstractContextManager[object]]]] = {
    "eager": _eager,
    "compiled": _compiled,
}
"""The model that runs, and what makes it run so."""


_COMPILE = signature(torch.compile).parameters
"""Those of this release of PyTorch."""


@contextmanager
def _compiled_forward(model: nn.Module) -> Iterator[None]:
    """Compile a model's forward when it is first called; the model is dropped afterwards.

    Compiled code is kept by the code that it was made from, which copies share: with shapes that another
    copy had it would be made for any shape, and after several of them the compiler would silently give up.
    """
    isolated: dict[str, Any] = {"isolate_recompiles": True} if "isolate_recompiles" in _COMPILE else {}
    with (
        torch.compiler.set_stance("default"),
        torch_internals.dynamo_config.patch(fail_on_recompile_limit_hit=True),
    ):
        model.__dict__["forward"] = torch.compile(model.forward, dynamic=False, **isolated)
        yield


def floating_dtype(model: Substituted) -> torch.dtype:
    """The dtype of the first floating or complex parameter."""
    floating = (t.dtype for t in model.parameters.values() if t.is_floating_point() or t.is_complex())
    return next(floating, torch.get_default_dtype())


def _shape_dtype(request: Request, model: Substituted) -> torch.dtype:
    """The dtype of inputs that are given as shapes: the model's own, or the real one of its precision.

    The parameters do not tell if a model with complex ones takes complex numbers, as a complex-valued net
    does, or real ones, as a Fourier operator does. It is asked for both, without data.
    """
    dtype = floating_dtype(model)
    if not dtype.is_complex:
        return dtype
    accepted_dtypes = (each for each in (dtype, dtype.to_real()) if _runs_on(request, each))
    return next(accepted_dtypes, dtype)


def _runs_on(request: Request, dtype: torch.dtype) -> bool:
    """Tell if a model's forward runs on shapes of a dtype."""
    with guarded(request.model, request.training, meta_twin), torch.no_grad(), RefuseUnlikeTypes():
        shapes = arguments(request.inputs, dtype, meta_input)
        try:
            request.model(*shapes.args, **shapes.kwargs)
        except Exception:
            return False
    return True
