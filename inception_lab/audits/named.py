"""Audits of models that are named, each traced on the same input where it can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from inception_lab.arguments import checked
from inception_lab.audits.audit import Audit, audit
from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.ir.trace import Mode, Trace
from inception_lab.loading.model import trace_model, zoo_input_size
from inception_lab.loading.options import InputSize, ModelRequest, is_factory, model_request
from inception_lab.models.cards import get_card


@checked
def audit_models(
    request: ModelRequest | str,
    reference: ModelRequest | str = "googlenet",
    *,
    mode: Mode = "eval",
    meta_only: bool = False,
) -> Audit:
    """Audit a model that is named against a reference that is named; see `audit`.

    Both have the input of the model: the one that it is given, or its own. A model of another package
    without one has that of the reference. A reference that takes no such input has its own,
    and grids and MACs are then not compared.

    Args:
        request: The model, such as `"my.package:Net"`.
        reference: The reference.
        mode: `eval` or `train`.
        meta_only: Raise an error where a model would have to run for real.

    Raises:
        InceptionLabError: No such model or keyword (exit code 2), or one could not be built or traced (3).

    Example:
        >>> answer = audit_models("googlenet_cifar10", "googlenet")
        >>> answer.departures[0].place, answer.departures[0].reference
        ('conv1', 'convolution 7x7 to 64 channels with ReLU')
    """
    model, other = (model_request(text) if isinstance(text, str) else text for text in (request, reference))
    if not is_factory(other.spec):
        get_card(other.spec)  # a name that is wrong is said before anything is traced
    sizes = model.input_sizes or _sizes(model) or _sizes(other)
    other = replace(other, batch_size=model.batch_size)
    trace = trace_model(replace(model, input_sizes=sizes), mode=mode, meta_only=meta_only)
    return audit(trace, _reference_trace(other, sizes, mode, meta_only))


def _sizes(request: ModelRequest) -> tuple[InputSize, ...]:
    """The input that an entry of the zoo is built for; none of other models."""
    return () if is_factory(request.spec) else (zoo_input_size(request),)


def _reference_trace(
    reference: ModelRequest, sizes: Sequence[InputSize], mode: Mode, meta_only: bool
) -> Trace:
    if reference.input_sizes or not sizes:
        return trace_model(reference, mode=mode, meta_only=meta_only)
    try:
        return trace_model(replace(reference, input_sizes=(*sizes,)), mode=mode, meta_only=meta_only)
    except InceptionLabError as error:
        if error.exit_code != MODEL_FAILED:
            raise
    return trace_model(reference, mode=mode, meta_only=meta_only)
