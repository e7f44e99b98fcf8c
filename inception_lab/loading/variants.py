"""Runs of a model told from its run by default, for the names of folders."""

from __future__ import annotations

from inception_lab.loading.options import InputSize, ModelRequest
from inception_lab.models.cards import CARDS


def variant_words(request: ModelRequest, mode: str = "eval", optimizer: str | None = None) -> tuple[str, ...]:
    """Return what tells a run of a model from its run by default: input, batch, arguments, mode, optimizer.

    Args:
        request: The model and its inputs.
        mode: `eval` or `train`.
        optimizer: Name of the one that ends a training step.

    Example:
        >>> from inception_lab.loading.options import InputSize, model_request
        >>> variant_words(model_request("googlenet", input_sizes=(InputSize((3, 224, 224)),)))
        ()
        >>> request = model_request("googlenet", input_sizes=(InputSize((3, 299, 299)),), batch_size=8)
        >>> variant_words(request, "train", "adam")
        ('3x299x299', 'batch8', 'train', 'adam')
    """
    is_default = request.spec in CARDS and _is_own_size(request)
    positional, named = request.arguments
    words = [
        *(_size_word(size) for size in request.input_sizes if not is_default),
        f"batch{request.batch_size}" if request.batch_size != 1 else "",
        *(f"arg-{value!r}" for value in positional),
        *(f"arg-{name}={value!r}" for name, value in named.items()),
        mode if mode != "eval" else "",
        optimizer or "",
    ]
    return tuple(filter(None, words))


def _is_own_size(request: ModelRequest) -> bool:
    """True where a model of the zoo is given the input that it has by default."""
    if not request.input_sizes:
        return False
    from inception_lab.loading.model import zoo_input_size

    return request.input_sizes == (zoo_input_size(request),)


def _size_word(size: InputSize) -> str:
    keyword = f"input-{size.keyword}=" if size.keyword else ""
    dtype = f".{size.dtype}" if size.dtype else ""
    return f"{keyword}{'x'.join(map(str, size.sizes))}{dtype}"
