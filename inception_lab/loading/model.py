"""MODEL as a user names it, turned into a module and its inputs, or into its Trace.

A model is built on meta tensors first, which costs neither time nor memory. One of another package that
fails there is built again as its author builds it, with weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from inception_lab import create_model, trace
from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.ir.trace import Mode, Trace
from inception_lab.loading.checkpoints import load_state_dict, read_state_dict
from inception_lab.loading.factories import build_from, find_factory
from inception_lab.loading.isolation import check_same_settings, isolated
from inception_lab.loading.options import InputSize, ModelRequest, is_factory, unique_keywords
from inception_lab.loading.own_files import own_net_hint
from inception_lab.loading.user_code import user_code
from inception_lab.models.card import Card
from inception_lab.models.cards import CARDS, check_options, get_card
from inception_lab.record import Record
from inception_lab.running.free_memory import WeightsThatFit
from inception_lab.running.inputs import CallInputs, of_each_input, of_shape
from inception_lab.running.settings import Settings
from inception_lab.tracing.trace_error import TraceError

ModelInputs = list[tuple[int, ...] | Tensor] | CallInputs
"""One per input, batch included: a shape of the model's own dtype, or a meta tensor of another one; beside
other arguments of the forward where there are any."""

Result = TypeVar("Result")
Task = Callable[[nn.Module, ModelInputs], Result]
"""A function of a model and its inputs."""


def trace_model(
    request: ModelRequest, *, mode: Mode = "eval", optimizer: str | None = None, meta_only: bool = False
) -> Trace:
    """Build MODEL and trace it.

    Args:
        request: The model and its inputs.
        mode: `eval` or `train`.
        optimizer: Name of the one that ends a training step, None for a step without.
        meta_only: Raise an error where the model would have to run for real.

    Raises:
        InceptionLabError: No such model or keyword (exit code 2), or it could not be built, or cannot
            run on this input (3).

    Example:
        >>> trace_model(ModelRequest("googlenet", {"num_classes": 10}, batch_size=4)).context.input_shapes
        ((4, 3, 224, 224),)
    """

    def trace_inputs(model: nn.Module, inputs: ModelInputs) -> Trace:
        return trace(model, inputs, mode=mode, optimizer=optimizer, name=request.name, meta_only=meta_only)

    return apply_without_weights(request, trace_inputs)


def apply_without_weights(request: ModelRequest, task: Task[Result]) -> Result:
    """Build MODEL on meta tensors and do something with it and its inputs.

    A model of another package that fails there, while it is built or by what is done with it, is built again
    as its author builds it. One that a trace shows to refuse its input is not.

    Args:
        request: The model and its inputs.
        task: A function of both, called again for a model that is built again.

    Raises:
        InceptionLabError: No such model or keyword (exit code 2), or it could not be built (3).

    Example:
        >>> request = ModelRequest("googlenet")
        >>> apply_without_weights(request, lambda model, inputs: (model.fc.weight.is_meta, tuple(inputs[0])))
        (True, (1, 3, 224, 224))
    """
    if not is_factory(request.spec):
        return task(*_from_zoo(request, "meta"))
    with isolated():
        return _apply_without_weights(request, task)


def _apply_without_weights(request: ModelRequest, task: Task[Result]) -> Result:
    factory = find_factory(request.spec)
    try:
        return _apply(request, *_from_factory(request, factory, torch.device("meta")), task)
    except InceptionLabError as error:
        # weights cost time and memory: they are built only where meta tensors may be to blame
        if error.exit_code != MODEL_FAILED or (isinstance(error, TraceError) and not error.blames_meta):
            raise
    return _apply(request, *_from_factory(request, factory, WeightsThatFit(request.name)), task)


def apply_with_weights(request: ModelRequest, task: Task[Result], weights: Path | None = None) -> Result:
    """Build MODEL with weights, its author's or those in a file, and do something with it and its inputs.

    Args:
        request: The model and its inputs.
        task: A function of both.
        weights: A file with a state dict; nothing but tensors is unpickled.

    Raises:
        InceptionLabError: No such model or keyword (exit code 2), it could not be built (3), or the
            weights do not fit it (2).

    Example:
        >>> apply_with_weights(ModelRequest("nin"), lambda model, _: next(model.parameters()).device.type)
        'cpu'
    """
    state = None if weights is None else read_state_dict(weights)
    with isolated():
        model, inputs = _with_weights(request)
        if state is not None:
            load_state_dict(model, state, request.name)
        return _apply(request, model, inputs, task)


def apply_to_builder(
    request: ModelRequest, task: Callable[[Callable[[], nn.Module], ModelInputs], Result]
) -> Result:
    """Do something with a function that builds MODEL with weights, anew each time, and with its inputs.

    Args:
        request: The model and its inputs.
        task: A function of both.

    Raises:
        InceptionLabError: No such model or keyword (exit code 2), or it could not be built (3).

    Example:
        >>> request = ModelRequest("nin", {"num_classes": 10})
        >>> apply_to_builder(request, lambda build, inputs: (build() is build(), tuple(inputs[0])))
        (False, (1, 3, 224, 224))
    """
    with isolated():
        model, inputs = _with_weights(request)
        # whoever draws weights by a seed begins with the first model as with all others
        del model
        with user_code(request.name, "running it"):
            return task(lambda: _with_weights(request)[0], inputs)


def _with_weights(request: ModelRequest) -> tuple[nn.Module, ModelInputs]:
    if is_factory(request.spec):
        return _from_factory(request, find_factory(request.spec), WeightsThatFit(request.name))
    with WeightsThatFit(request.name):
        return _from_zoo(request, None)


def apply_to_several(
    requests: Sequence[ModelRequest],
    task: Callable[[Sequence[tuple[nn.Module, ModelInputs]]], Result],
    free: Collection[str] = (),
) -> Result:
    """Build models with weights, each as if it were alone, and do something with all and their inputs.

    Args:
        requests: The models and their inputs.
        task: A function of the pairs of both.
        free: Settings of PyTorch that the task makes itself, such as `threads`.

    Raises:
        InceptionLabError: As of `apply_with_weights`; or the code of two models sets PyTorch differently (2).

    Example:
        >>> requests = [ModelRequest("nin"), ModelRequest("alexnet")]
        >>> apply_to_several(requests, lambda models: [type(model).__name__ for model, _ in models])
        ['NIN', 'AlexNet']
    """
    built: list[tuple[nn.Module, ModelInputs]] = []
    settings: list[tuple[str, Settings]] = []

    def build(model: nn.Module, inputs: ModelInputs) -> Result:
        # one within the other, as each is guarded for as long as it is used
        built.append((model, inputs))
        settings.append((requests[len(built) - 1].name, Settings()))
        check_same_settings(settings, free)
        return apply_next()

    def apply_next() -> Result:
        return apply_with_weights(requests[len(built)], build) if len(built) < len(requests) else task(built)

    return apply_next()


def _apply(request: ModelRequest, model: nn.Module, inputs: ModelInputs, task: Task[Result]) -> Result:
    with user_code(request.name, "running it"):
        return task(model, inputs)


def _from_zoo(request: ModelRequest, device: str | None) -> tuple[nn.Module, ModelInputs]:
    check_options(card_of(request.spec), request.kwargs)
    model = create_model(request.spec, device=device, **request.kwargs)
    return model, _inputs_of(request, model)


def card_of(spec: str) -> Card:
    """Return the card of an entry of the zoo.

    Args:
        spec: MODEL without keywords.

    Raises:
        InceptionLabError: There is no such entry (exit code 2); where there is a file or a module of that
            name, the error says what to type for a net in it.
    """
    try:
        return get_card(spec)
    except InceptionLabError as error:
        if hint := own_net_hint(spec):
            raise InceptionLabError(f"no model {spec!r} in the zoo", hint=hint) from None
        raise error from None


def _from_factory(
    request: ModelRequest, factory: Any, place: AbstractContextManager[object]
) -> tuple[nn.Module, ModelInputs]:
    with place:
        model = build_from(request.name, factory, request.kwargs)
    return model, _inputs_of(request, model)


def zoo_input_size(request: ModelRequest) -> InputSize:
    """Return the size of the input that an entry of the zoo is built for, whatever input is given.

    Args:
        request: For an entry of the zoo; its options may say another size than its card.

    Raises:
        InceptionLabError: No such model or keyword (exit code 2).

    Example:
        >>> zoo_input_size(ModelRequest("inception_v3", {"num_classes": 10})).sizes
        (3, 299, 299)
    """
    model, _ = _from_zoo(request, "meta")
    return own_input_size(request.name, model)


def own_input_size(name: str, model: nn.Module) -> InputSize:
    """Return the size of the input that a model itself tells, as those of the zoo and of timm do.

    Args:
        name: Of the model, for the error.
        model: The model.

    Raises:
        InceptionLabError: It tells none (exit code 2).

    Example:
        >>> own_input_size("inception_v3", create_model("inception_v3", device="meta"))
        InputSize(sizes=(3, 299, 299), dtype='', keyword='')
    """
    config = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", None)
    size = config.get("input_size") if isinstance(config, Mapping) else None
    if not isinstance(size, (list, tuple)) or not size:
        raise InceptionLabError(
            "it does not say how large its input is", where=name, hint="give input_sizes=, such as 3x224x224"
        )
    return InputSize(tuple(size))


def _inputs_of(request: ModelRequest, model: nn.Module) -> ModelInputs:
    """The inputs of a request, of the size that its model tells where it names none."""
    return _inputs(request, request.input_sizes or (own_input_size(request.name, model),))


def _inputs(request: ModelRequest, sizes: Sequence[InputSize]) -> ModelInputs:
    positional = [_input(size, request.batch_size) for size in sizes if not size.keyword]
    named = unique_keywords(
        (size.keyword, _input(size, request.batch_size)) for size in sizes if size.keyword
    )
    if not named and not any(request.arguments):
        return positional
    return CallInputs(positional, *request.arguments, named)


def _input(size: InputSize, batch_size: int) -> tuple[int, ...] | Tensor:
    # no other tuple among the inputs is a shape for certain
    shape = torch.Size((batch_size, *size.sizes))
    return of_shape(shape, getattr(torch, size.dtype)) if size.dtype else shape


def only_shape(inputs: ModelInputs) -> tuple[int, ...] | None:
    """The shape of the one input of the model's own dtype; None where there are other inputs.

    Example:
        >>> only_shape([(1, 3, 8, 8)]), only_shape([(1, 3), (1, 4)]), only_shape([torch.zeros(1, 3)])
        ((1, 3, 8, 8), None, None)
    """
    positional = inputs.inputs if isinstance(inputs, CallInputs) else inputs
    shapes = [shape for shape in positional if isinstance(shape, tuple)]
    has_names = isinstance(inputs, CallInputs) and inputs.named
    return shapes[0] if len(shapes) == len(positional) == 1 and not has_names else None


def to_channels_last(model: nn.Module, inputs: ModelInputs) -> ModelInputs:
    """Put a model's weights of four axes into channels-last memory format; returns its inputs in it too.

    Args:
        model: It is changed.
        inputs: Of the model.

    Example:
        >>> (image,) = to_channels_last(nn.Conv2d(3, 8, 3), [(1, 3, 8, 8)])
        >>> image.stride()
        (192, 1, 24, 3)
    """
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    floating = (parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())
    dtype = next(floating, torch.get_default_dtype())

    def converted(x: tuple[int, ...] | Tensor) -> Tensor:
        tensor = of_shape(x, dtype) if isinstance(x, tuple) else x
        return tensor.to(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor

    return of_each_input(inputs, converted)


def with_model_facts(record: Record, request: ModelRequest) -> Record:
    """Return a record with what no trace can tell: keywords, and that a model is a reconstruction.

    Args:
        record: Of the model.
        request: For the model.

    Example:
        >>> request = ModelRequest("nin", {"num_classes": 10})
        >>> record = Record({"model": "nin"}, {}, (), (), ())
        >>> with_model_facts(record, request).context
        {'model': 'nin', 'kwargs': {'num_classes': 10}}
    """
    facts: dict[str, Any] = {}
    if request.kwargs:
        facts["kwargs"] = {name: _plain(value) for name, value in request.kwargs.items()}
    card = CARDS.get(request.spec)
    if card and card.reconstructed:
        facts["note"] = "; ".join(filter(None, (record.context.get("note"), card.notes)))
        facts["reconstructed"] = True
    return record.with_context(**facts) if facts else record


def with_card_facts(record: Record) -> Record:
    """Return a record with what the card of a model of the zoo tells, such as its published error.

    Args:
        record: Of the model, which is said to be `reconstructed` where it is. One without a card is returned
            as it is; one of another input than the card's gets no error, as that was measured on the card's.

    Example:
        >>> context = {"model": "vgg16", "input_shapes": [[8, 3, 224, 224]]}
        >>> facts = with_card_facts(Record(context, {}, (), (), ())).context
        >>> facts["family"], facts["top5_error"], facts["error_evaluation"]
        ('vgg', 8.1, 'dense evaluation')
    """
    card = CARDS.get(record.context["model"])
    if card is None:
        return record
    facts: dict[str, Any] = {"family": card.family}
    if card.reconstructed:
        facts["reconstructed"] = True
    shapes = [tuple(shape[1:]) for shape in record.context["input_shapes"]]
    if card.top5_error is not None and shapes == [card.input_size]:
        facts |= {"top5_error": card.top5_error, "error_evaluation": card.error_evaluation}
        if card.error_images:
            facts["error_images"] = card.error_images
    return record.with_context(**facts)


def _plain(value: Any) -> Any:
    """The value as JSON keeps it, or else its text."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        return repr(value)
