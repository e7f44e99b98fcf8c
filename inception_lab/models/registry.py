"""From a name to a network: a card leads to its file and its entry."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from inception_lab.arguments import checked
from inception_lab.errors import USAGE, InceptionLabError, nearest
from inception_lab.models.cards import CARDS, check_options, get_card

if TYPE_CHECKING:
    import torch
    from torch import nn


@checked
def list_models(family: str | None = None) -> list[str]:
    """The names that `create_model` takes, in the order of the zoo.

    Args:
        family: Only those of this architecture, such as `googlenet`.

    Raises:
        InceptionLabError: No card is of this family (exit code 2).

    Example:
        >>> list_models("googlenet")[:3]
        ['googlenet', 'googlenet_bn', 'googlenet_3x3']
    """
    families = {card.family for card in CARDS.values()}
    if family is not None and family not in families:
        raise InceptionLabError(f"no family {family!r}", hint=nearest(family, families), exit_code=USAGE)
    return [card.name for card in CARDS.values() if family in (None, card.family)]


@checked
def create_model(name: str, /, *, device: str | torch.device | None = None, **kwargs: Any) -> nn.Module:
    """Build a network of the zoo, in train mode as torch builds all modules.

    Args:
        name: One of `list_models()`.
        device: Of its parameters; by default torch's default device. On `"meta"` they have shapes but no
            memory, and no weight is drawn.
        **kwargs: The options on the entry's card, such as `num_classes=10`.

    Returns:
        The network. It takes images of N x 3 x H x W and gives logits of N x num_classes.

    Raises:
        InceptionLabError: The name, an option, its value or the device is unknown (exit code 2).

    Example:
        >>> model = create_model("googlenet", device="meta", num_classes=10)
        >>> sum(p.numel() for p in model.parameters())
        5983802
    """
    card = get_card(name)
    check_options(card, kwargs)
    file, entry = card.entry.split(":")
    build = getattr(import_module(f"inception_lab.models.{file}"), entry)
    try:
        with _on(device):
            model = cast("nn.Module", build(**kwargs))
    except (
        AssertionError,
        RuntimeError,
        TypeError,
        OverflowError,
    ) as error:  # torch's own words for a device that is not there
        if device is None:
            raise
        raise InceptionLabError(
            f"cannot build on {str(device)!r}: {error}", where=name, hint="it takes cpu, cuda or meta"
        ) from error
    # as models of timm tell the size of their input, so that a model at hand needs no name to be run;
    # one that is built for another input than the card's has told it already
    vars(model).setdefault("default_cfg", {"input_size": card.input_size})
    return model


def _on(device: str | torch.device | None) -> AbstractContextManager[object]:
    """The context in which torch makes parameters on `device`."""
    if device is None:
        return nullcontext()
    import torch

    from inception_lab.models.initialisation import shapes_only

    try:
        where = torch.device(device)
    except (RuntimeError, ValueError) as error:
        hint = "it takes cpu, cuda, cuda:N or meta"
        raise InceptionLabError(f"device is {device!r}", hint=hint, exit_code=USAGE) from error
    return shapes_only() if where.type == "meta" else where
