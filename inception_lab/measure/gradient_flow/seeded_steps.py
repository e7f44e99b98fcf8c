"""A prepared training step for each seed, and the batches that it runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from inception_lab.errors import MODEL_FAILED, USAGE, InceptionLabError
from inception_lab.measure.gradient_flow.loss_terms import Losses
from inception_lab.measure.gradient_flow.samples import MadeSamples, Samples, batches
from inception_lab.measure.real_runs import device_of, failure_named, prepared_on
from inception_lab.measure.room import refuse_without_room
from inception_lab.measure.timing.context import step_context
from inception_lab.measure.timing.module_state import ModuleState
from inception_lab.running.exclusion import one_run_at_a_time
from inception_lab.running.guards import plain_tensors
from inception_lab.running.inputs import Inputs
from inception_lab.running.random_numbers import reseed, seeded_with, stream
from inception_lab.running.request import Request, request_of
from inception_lab.running.step import Step

Model = nn.Module | Callable[[], nn.Module]
"""A model, or a function without arguments that builds one."""

DEVICES = ("cpu", "cuda")


class SeededSteps:
    """Training steps of a model, by seed.

    Args:
        model: A model, or a function that builds one.
        inputs: Of the model, batch included.
        samples: In the place of the one shape among them; None for made ones, where there is one shape.
        device: `cpu` or `cuda`.
        name: Name of the model; its class where it is empty.
        loss: The user's own function of the outputs; left as it was found where it is a module.

    Raises:
        InceptionLabError: The device is not there, or the model is no model (exit code 2).
    """

    def __init__(
        self,
        model: Model,
        inputs: Inputs,
        samples: Samples | None,
        device: str,
        name: str,
        loss: Losses | None = None,
    ) -> None:
        if not callable(model):
            raise InceptionLabError(
                f"a {type(model).__name__} is not a torch.nn.Module",
                hint="pass a model, or a function without arguments that builds one",
                exit_code=USAGE,
            )
        self._model, self._inputs, self._samples, self._loss = model, inputs, samples, loss
        self._device = device_of(device, DEVICES, "gradients are not measured")
        self._name = name
        self._samples_name = "random numbers for shapes, random labels"
        self._has_room = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes of the user's samples; empty for made ones."""
        return (
            () if self._samples is None or isinstance(self._samples, MadeSamples) else self._samples.classes
        )

    @contextmanager
    def prepared(self, seed: int, *, keeps_state: bool = False) -> Iterator[tuple[Step, Iterator[Tensor]]]:
        """A step on a copy of a seed's model, and an iterator that fills in batches and gives their labels.

        Args:
            seed: Of the weights, where the model is built, of the order of the samples and of the forwards.
            keeps_state: True where a forward finds what the one before left in attributes, as in training.

        Raises:
            InceptionLabError: The model cannot be built or fit into memory, or raised, or the samples do not
                fit it.
        """
        with one_run_at_a_time:  # from the first to the last use of the process's random generators
            request = self._request(seed)
            self._refuse_without_room(request)
            with (
                failure_named(request.name),
                seeded_with(seed, self._device),
                prepared_on(request, self._device) as step,
                deterministic(),
            ):
                state = None if keeps_state else ModuleState(step.model.modules.values())
                yield step, self._batches(step, state, seed)

    def context(self, step: Step) -> dict[str, Any]:
        """Facts about a run."""
        own = isinstance(self._model, nn.Module)
        return step_context(step) | {
            "weights": "the model's own" if own else "drawn for each seed",
            "samples": self._samples_name,
        }

    def _request(self, seed: int) -> Request:
        loss = self._loss if isinstance(self._loss, nn.Module) else None
        return request_of(self._built(seed), self._inputs, mode="train", loss=loss, name=self._name)

    def _built(self, seed: int) -> nn.Module:
        """The model itself, or that of a seed."""
        if isinstance(self._model, nn.Module):
            return self._model
        try:
            with plain_tensors(), seeded_with(seed, self._device):
                return self._model()
        except InceptionLabError:
            raise
        except Exception as error:
            what = f"cannot be built: {type(error).__name__}: {error}"
            raise InceptionLabError(what, where=self._name, exit_code=MODEL_FAILED) from error

    def _refuse_without_room(self, request: Request) -> None:
        """Refuse a model that does not fit; those of other seeds are as large as the first."""
        if not self._has_room:
            refuse_without_room([request], self._device)
            self._has_room = True

    def _batches(self, step: Step, state: ModuleState | None, seed: int) -> Iterator[Tensor]:
        place = self._sample_place(step)
        fill = _random_batches(step, seed) if place is None else self._sample_batches(step, place, seed)
        for number, labels in enumerate(fill):
            if state is not None:
                state.restore()
            # a forward draws other numbers for each batch, and the same ones in every run
            reseed(stream(seed, "forward", number), self._device)
            yield labels.to(step.placement.device)

    def _sample_place(self, step: Step) -> str | None:
        """The input in whose place samples stand; None where there are other inputs."""
        shapes, tensors = step.arguments.shapes, step.arguments.tensors
        if len(shapes) == len(tensors) == 1 and tensors[shapes[0]].dim() in _SAMPLE_AXES:
            return shapes[0]
        if self._samples is not None:
            raise InceptionLabError(
                "samples stand in the place of one shape, batch included",
                where=step.request.name,
                hint="leave them out, or give one shape as inputs",
                exit_code=USAGE,
            )
        return None

    def _sample_batches(self, step: Step, place: str, seed: int) -> Iterator[Tensor]:
        tensor = step.arguments.tensors[place]
        samples = self._samples or MadeSamples(tuple(tensor.shape[1:]))
        if tuple(samples.shape) != tuple(tensor.shape[1:]):
            raise InceptionLabError(
                f"samples of {samples.shape} for inputs of {tuple(tensor.shape[1:])}",
                where=step.request.name,
                hint="make both the same",
                exit_code=USAGE,
            )
        self._samples_name = samples.name
        for batch in batches(samples, len(tensor), seed):
            with torch.no_grad():
                tensor.copy_(batch.samples)
            yield batch.labels


_SAMPLE_AXES = range(2, 6)
"""Axes of a batch of samples: of features, or of channels with up to three of space."""


def _random_batches(step: Step, seed: int) -> Iterator[Tensor]:
    """Normal random numbers in the place of shapes, other inputs as they are, and random labels."""
    generator = torch.Generator().manual_seed(stream(seed, "inputs"))
    tensors: Mapping[str, Tensor] = step.arguments.tensors
    size = next((len(tensor) for tensor in tensors.values() if tensor.dim()), 1)
    while True:
        for name in step.arguments.shapes:
            # a user may have set another default
            numbers = torch.randn(tensors[name].shape, generator=generator, dtype=torch.float32, device="cpu")
            with torch.no_grad():
                tensors[name].copy_(numbers)
        yield torch.randint(2**31, (size,), generator=generator, device="cpu")


@contextmanager
def deterministic() -> Iterator[None]:
    """Have cuDNN take the same kernels in every run, and those that add up in the same order."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


def check_count(count: int, what: str, most: int) -> None:
    """Refuse a number of things that is out of range.

    Raises:
        InceptionLabError: It is below 1 or above the most (exit code 2).
    """
    if not 1 <= count <= most:
        raise InceptionLabError(f"{count} {what}", hint=f"use 1 to {most:,}", exit_code=USAGE)
