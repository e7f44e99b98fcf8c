"""Networks and their traces, each built and traced once, when a recipe first asks for it; so are times."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from inception_lab.ir.trace import Mode, Trace
from inception_lab.loading.options import InputSize, ModelRequest, model_request
from inception_lab.models.cards import get_card

if TYPE_CHECKING:
    from torch import nn

    from inception_lab.measure.gradient_flow.results import GradientFlow
    from inception_lab.measure.gradient_flow.training_results import Training
    from inception_lab.measure.timing.results import TimesComparison
    from inception_lab.measure.timing.rounds import Progress

Shape = tuple[int, ...]
Result = TypeVar("Result")


class Nets:
    """Traces on meta tensors that all recipes of one answer share.

    Args:
        measure: Let recipes of time and of gradients run networks for real.
        seconds: Time budget of each network that is timed.
        progress: Told the part of the measurement that is done.

    Example:
        >>> nets = Nets()
        >>> nets.trace("nin") is nets.trace("nin")
        True
    """

    def __init__(
        self, *, measure: bool = False, seconds: float = 20.0, progress: Progress | None = None
    ) -> None:
        self.measure = measure
        self._seconds, self._progress = seconds, progress
        self._traces: dict[object, Trace] = {}
        self._flows: dict[tuple[str, int | None], GradientFlow] = {}
        self._times: dict[tuple[str, ...], TimesComparison] = {}

    def trace(self, model: str, *, side: int | None = None, mode: Mode = "eval") -> Trace:
        """Return the trace of an entry of the zoo on one image, in train mode on two.

        Args:
            model: As MODEL on the command line, such as `inception_resnet_v2(reading=paper)`.
            side: Of the square image; by default that on the card.
            mode: `eval` or `train`.
        """
        return self._once((model, side, mode), lambda: self._trace_of_zoo(model, side, mode))

    def probe(self, key: object, build: Callable[[], nn.Module], shape: Shape) -> Trace:
        """Return the trace of a module that a recipe builds for itself.

        Args:
            key: Names the module and tells it from all others.
            build: Builds it; called on meta tensors.
            shape: Of its input, batch included.
        """
        return self._once((key, shape), lambda: _trace_of_probe(str(key), build, shape))

    def times(self, models: tuple[str, ...]) -> TimesComparison:
        """Return the times of networks whose rounds take turns, one image each, on this machine."""
        if models not in self._times:
            self._times[models] = _compare_times(models, self._seconds, self._progress)
        return self._times[models]

    def gradient_flow(self, model: str, side: int | None = None) -> GradientFlow:
        """Return the gradient flow of an entry of the zoo at initialisation, over three seeds of four images.

        Args:
            model: As MODEL on the command line.
            side: Of the square image; by default that on the card.
        """
        if (model, side) not in self._flows:
            from inception_lab.measure.gradient_flow.flow import gradient_flow

            request = sized_request(model, side, batch_size=4)
            self._flows[model, side] = _apply_to_builder(request, gradient_flow, progress=self._progress)
        return self._flows[model, side]

    def short_training(self, model: str, side: int, steps: int, rate: float) -> Training:
        """Return a short training run of an entry of the zoo, on batches of four images.

        Args:
            model: As MODEL on the command line.
            side: Of the square image.
            steps: Of SGD with momentum.
            rate: Its learning rate.
        """
        from inception_lab.measure.gradient_flow.training import short_training

        request = sized_request(model, side, batch_size=4)
        return _apply_to_builder(request, short_training, steps=steps, learning_rate=rate)

    def _once(self, key: object, make: Callable[[], Trace]) -> Trace:
        if key not in self._traces:
            self._traces[key] = make()
        return self._traces[key]

    def _trace_of_zoo(self, model: str, side: int | None, mode: Mode) -> Trace:
        from inception_lab.loading.model import trace_model

        return trace_model(sized_request(model, side, batch_size=2 if mode == "train" else 1), mode=mode)


def sized_request(model: str, side: int | None, batch_size: int = 1) -> ModelRequest:
    """Return the request for an entry on square images of a side, None for that on the card."""
    request = model_request(model)
    card = get_card(request.spec)
    # a variant may have another input: the grouped AlexNet takes 227 x 227
    sizes = [variant.input_size for variant in card.variants if variant.options == request.kwargs]
    channels, height, width = sizes[0] if sizes else card.input_size
    size = InputSize((channels, side or height, side or width))
    return model_request(model, input_sizes=(size,), batch_size=batch_size)


def _trace_of_probe(name: str, build: Callable[[], nn.Module], shape: Shape) -> Trace:
    import torch

    from inception_lab.tracing.tracer import trace

    with torch.device("meta"):
        module = build().eval()
    return trace(module, shape, name=name)


def _compare_times(models: tuple[str, ...], seconds: float, progress: Progress | None) -> TimesComparison:
    from inception_lab.measure.timing.timing import compare_times
    from inception_lab.models.registry import create_model

    networks = [create_model(name).eval() for name in models]
    shapes = [(1, *get_card(name).input_size) for name in models]
    return compare_times(networks, shapes, names=models, seconds=seconds, progress=progress)


def _apply_to_builder(request: ModelRequest, function: Callable[..., Result], **options: Any) -> Result:
    """The result of a function of a builder and of its inputs for an entry, under its name."""
    from inception_lab.loading.model import apply_to_builder

    return apply_to_builder(
        request, lambda build, inputs: function(build, inputs, name=request.name, **options)
    )
