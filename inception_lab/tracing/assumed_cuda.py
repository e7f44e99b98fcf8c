"""A forward that names CUDA itself, traced as if a GPU were there: the machine on which one plans has none.

All of the model is taken to lie on the GPU already, so that what moves there stays where it is; Python's
data is copied. A mode over the functions of torch sees the device before PyTorch looks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module
from threading import get_ident
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from inception_lab.running import torch_internals
from inception_lab.tracing.backends import Backend
from inception_lab.tracing.calls import CudaMet

NOTE = "the forward names CUDA, and is traced as if all of it ran there"

_LACKS_CUDA = (
    "Torch not compiled with CUDA", "compiled without CUDA", "No CUDA GPUs are available",
    "Found no NVIDIA driver", "when none is available", "type torch.cuda.",
)  # fmt: skip


def lacks_cuda(error: Exception) -> bool:
    """Tell if an error says that this machine, or this PyTorch, is without CUDA."""
    return any(text in str(error) for text in _LACKS_CUDA)


def stopping_at_cuda(backend: Backend) -> Backend:
    """The backend with an end to its run where CUDA is named; on fake tensors PyTorch would abort there."""
    placement = backend.placement
    return backend._replace(placement=placement._replace(mode=_Modes(placement.mode, _StopAtCuda)))


def assuming_cuda(backend: Backend) -> Backend:
    """The backend with CUDA taken to be where its tensors are."""
    placement = backend.placement
    return backend._replace(
        placement=placement._replace(mode=_Modes(placement.mode, _OnTheSpot, _cast_on_cpu, _idle_functions)),
        notes=(*backend.notes, NOTE),
    )


class _Modes(AbstractContextManager[object]):
    """The mode of a backend's tensors and others, which may be entered again and again.

    Args:
        mode: Makes tensors what they are.
        others: Make the other modes.
    """

    def __init__(
        self, mode: AbstractContextManager[object], *others: Callable[[], AbstractContextManager[object]]
    ) -> None:
        self._mode, self._others = mode, others
        self._stacks: list[ExitStack] = []

    def __enter__(self) -> object:
        stack = ExitStack()
        stack.enter_context(self._mode)
        for make in self._others:
            stack.enter_context(make())
        self._stacks.append(stack)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stacks.pop().__exit__(*error)


class _StopAtCuda(TorchFunctionMode):
    """Ends a run where a function is told a CUDA device."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function, unless CUDA is named."""
        del types
        kwargs = dict(kwargs or {})
        if func is Tensor.cuda or _is_cuda(kwargs.get("device")) or _is_move(func, args, kwargs):
            raise CudaMet
        return func(*args, **kwargs)


class _OnTheSpot(TorchFunctionMode):
    """Has functions that are told a CUDA device work where tensors are."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function with CUDA replaced."""
        del types
        kwargs = dict(kwargs or {})
        if func is Tensor.cuda:
            return _moved(args[0])
        if func is Tensor.pin_memory:
            return args[0]
        if _is_move(func, args, kwargs):
            return _converted(args, kwargs)
        if _is_cuda(kwargs.get("device")):
            kwargs["device"] = torch.device("cpu")  # any factory makes what the backend's tensors are
        return func(*args, **kwargs)


def _is_cuda(device: object) -> bool:
    if isinstance(device, str):
        return device == "cuda" or device.startswith("cuda:")
    return isinstance(device, torch.device) and device.type == "cuda"


def _is_move(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    return func is Tensor.to and any(map(_is_cuda, (*args[1:], *kwargs.values())))


def _moved(tensor: Tensor) -> Tensor:
    """The tensor itself where it is on the GPU already, a copy of Python's data."""
    return tensor if _is_without_data(tensor) else tensor.clone()


def _is_without_data(tensor: Tensor) -> bool:
    return tensor.is_meta or isinstance(tensor, torch_internals.FakeTensor)


def _converted(args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    """`Tensor.to` with the tensor's own device in the place of CUDA."""
    tensor = _moved(args[0])
    own = {name: tensor.device if _is_cuda(value) else value for name, value in kwargs.items()}
    convert: Callable[..., Tensor] = tensor.to
    return convert(*[tensor.device if _is_cuda(value) else value for value in args[1:]], **own)


@contextmanager
def autocast_of_cuda(replace: Callable[..., tuple[Any, ...]]) -> Iterator[None]:
    """Have autocast to CUDA in this thread begin with other arguments.

    Args:
        replace: Takes the dtype, gives the device and the dtype in its place.
    """
    thread, original = get_ident(), torch.autocast.__init__

    def init(self: Any, device_type: str, dtype: Any = None, *args: Any, **kwargs: Any) -> None:
        if device_type == "cuda" and get_ident() == thread and not (args and args[0] is False):
            device_type, dtype = replace(dtype) if kwargs.get("enabled", True) else (device_type, dtype)
        original(self, device_type, dtype, *args, **kwargs)

    torch.autocast.__init__ = init  # type: ignore[method-assign]
    try:
        yield
    finally:
        torch.autocast.__init__ = original  # type: ignore[method-assign]


def refused(dtype: Any) -> tuple[Any, ...]:
    """End a run that heeds no autocast of CUDA.

    Raises:
        CudaMet: Always.
    """
    raise CudaMet(dtype)


def _cast_on_cpu() -> AbstractContextManager[None]:
    return autocast_of_cuda(_on_cpu)


def _on_cpu(dtype: Any) -> tuple[str, Any]:
    return "cpu", torch.get_autocast_dtype("cuda") if dtype is None else dtype


@contextmanager
def _idle_functions() -> Iterator[None]:
    """Have functions that wait for a GPU, or choose one, do nothing where there is none."""
    if torch.cuda.is_available():
        yield
        return
    import_module(torch_internals.DYNAMO)  # which keeps the functions that it finds in `torch.cuda`
    originals = {name: getattr(torch.cuda, name) for name in torch_internals.CUDA_FUNCTIONS}
    for name in originals:
        setattr(torch.cuda, name, _first_device)
    try:
        yield
    finally:
        for name, function in originals.items():
            setattr(torch.cuda, name, function)


def _first_device(*args: Any) -> int:
    del args
    return 0
