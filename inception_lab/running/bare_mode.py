"""The base of the dispatch modes that must not refer to the arguments of operations."""

from __future__ import annotations

from inception_lab.running import torch_internals


class BareMode(torch_internals.TorchDispatchMode):
    """A dispatch mode whose handler is called as it is.

    Wrapped by PyTorch's compiler, as by default, each call would cost more, the first would import the
    compiler, and one function more would refer to the arguments.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()  # type: ignore[no-untyped-call]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False
