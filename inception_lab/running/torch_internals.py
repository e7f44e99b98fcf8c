"""Every private name of torch that the package uses, looked up when it is first used.

PyTorch may rename them in any release. A name that is missing is one clear line that names torch's version,
and breaks nothing but what needs it. No other file uses one at run time: a test reads them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pkgutil import resolve_name
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from inception_lab.errors import InceptionLabError

if TYPE_CHECKING:
    from torch._subclasses.fake_tensor import FakeTensor as FakeTensor
    from torch._subclasses.fake_tensor import FakeTensorMode as FakeTensorMode
    from torch.nested._internal.nested_tensor import NestedTensor as NestedTensor
    from torch.utils._python_dispatch import TorchDispatchMode as TorchDispatchMode

NAMES: Mapping[str, str] = MappingProxyType(
    {
        "DispatchKey": "torch._C:DispatchKey",
        "FakeTensor": "torch._subclasses.fake_tensor:FakeTensor",
        "FakeTensorMode": "torch._subclasses.fake_tensor:FakeTensorMode",
        "HigherOrderOperator": "torch._ops:HigherOrderOperator",
        "NestedTensor": "torch.nested._internal.nested_tensor:NestedTensor",
        "TorchDispatchMode": "torch.utils._python_dispatch:TorchDispatchMode",
        "bindings": "torch:_C",
        "clear_cublas_workspaces": "torch._C:_cuda_clearCublasWorkspaces",
        "convolution": "torch:_convolution",
        "current_autograd_node": "torch._C:_current_autograd_node",
        "current_dispatch_mode": "torch.utils._python_dispatch:_get_current_dispatch_mode",
        "dynamo_config": "torch._dynamo:config",
        "default_device_of_thread": "torch:_GLOBAL_DEVICE_CONTEXT",
        "disable_current_modes": "torch.utils._python_dispatch:_disable_current_modes",
        "function_mode_stack": "torch.overrides:_get_current_function_mode_stack",
        "generic_scan": "torch._higher_order_ops.scan:generic_scan",
        "global_backward_hooks": "torch.nn.modules.module:_global_backward_hooks",
        "global_backward_pre_hooks": "torch.nn.modules.module:_global_backward_pre_hooks",
        "global_forward_hooks": "torch.nn.modules.module:_global_forward_hooks",
        "global_forward_pre_hooks": "torch.nn.modules.module:_global_forward_pre_hooks",
        "is_functorch_wrapped": "torch._C._functorch:is_functorch_wrapped_tensor",
        "jit_schemas": "torch._C:_jit_get_all_schemas",
        "jit_tracing_state": "torch._C:_get_tracing_state",
        "optimized_execution": "torch.jit._fuser:optimized_execution",
        "masked_softmax": "torch:_masked_softmax",
        "parse_schema": "torch._C:parse_schema",
        "pop_mode": "torch.utils._python_dispatch:_pop_mode",
        "profiler_enabled": "torch.autograd:_profiler_enabled",
        "push_mode": "torch.utils._python_dispatch:_push_mode",
        "select_convolution_backend": "torch._C:_select_conv_backend",
        "sequence_number": "torch._C:_autograd._get_sequence_nr",
        "storage_use_count": "torch._C:_storage_Use_Count",
        "tree_flatten": "torch.utils._pytree:tree_flatten",
        "tree_leaves": "torch.utils._pytree:tree_leaves",
        "tree_map": "torch.utils._pytree:tree_map",
        "tree_unflatten": "torch.utils._pytree:tree_unflatten",
        "unwrap_functorch": "torch._C._functorch:get_unwrapped",
    }
)
"""Private names, by what they are called here: module, then the path within it."""

ATTRIBUTES: Mapping[str, str] = MappingProxyType(
    {
        "_apply": "torch.nn:Module",
        "_backward_hooks": "torch.nn:Module",
        "_backward_pre_hooks": "torch.nn:Module",
        "_buffers": "torch.nn:Module",
        "_call_impl": "torch.nn:Module",
        "_cdata": "torch:UntypedStorage",
        "_forward_hooks": "torch.nn:Module",
        "_forward_pre_hooks": "torch.nn:Module",
        "_indices": "torch:Tensor",
        "_modules": "torch.nn:Module",
        "_named_members": "torch.nn:Module",
        "_overloadname": "torch._ops:OpOverload",
        "_parameters": "torch.nn:Module",
        "_post_accumulate_grad_hooks": "torch:Tensor",
        "_qualified_op_name": "torch._ops:OpOverloadPacket",
        "_schema": "torch._ops:OpOverload",
        "_sequence_nr": "torch.autograd.graph:Node",
        "_use_count": "torch:Tensor",
        "_values": "torch:Tensor",
        "_version": "torch:Tensor",
    }
)
"""Private attributes of torch's objects, with the class that has them. They are read where they are needed,
some of them for every operation, so that they are looked for once, before the first run."""

MODULE_CALL = "_call_impl"
"""The method through which a module is called, its hooks in it."""

OPTIMIZER_DEVICE = "_get_privateuse1_backend_name"
"""The function of the bindings that optimizers ask for one more device with fused and capturable kernels."""

CUDA_FUNCTIONS = ("synchronize", "current_device", "set_device", "_exchange_device", "_maybe_exchange_device")
"""The functions of `torch.cuda` that wait for a GPU or choose one."""

FLEX_ATTENTION, FLEX_DEVICES = "torch.nn.attention.flex_attention", "_validate_device"
"""The module of flex attention, imported by whoever uses it, and its check of devices."""

MODULE_TENSORS = ("_named_members", "_apply")
"""The functions through which `parameters`, `buffers` and conversions reach the tensors of a module."""

DYNAMO = "torch._dynamo"
"""PyTorch's compiler; nothing is compiled before it is imported."""


@cache
def require_attributes() -> None:
    """Look for every private attribute, once in a process.

    Raises:
        InceptionLabError: This PyTorch does not have one (exit code 2).
    """
    with torch.enable_grad():
        node = (torch.zeros(1, requires_grad=True) + 1).grad_fn
    tensor, overload = torch.empty(0), torch.ops.aten.add.Tensor
    instances = (nn.Module(), tensor, tensor.untyped_storage(), node, overload, overload.overloadpacket)
    for attribute, home in ATTRIBUTES.items():
        kind = resolve_name(home)
        if not any(isinstance(each, kind) and hasattr(each, attribute) for each in instances):
            raise _missing(f"{home.replace(':', '.')}.{attribute}")


def __getattr__(name: str) -> Any:
    """Look a name up and keep it.

    Raises:
        InceptionLabError: This PyTorch does not have it (exit code 2).
    """
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = globals()[name] = resolve_name(NAMES[name])
    except (ImportError, AttributeError) as error:
        raise _missing(NAMES[name].replace(":", ".")) from error
    return value


def _missing(private: str) -> InceptionLabError:
    return InceptionLabError(
        f"torch {torch.__version__} does not have {private}",
        hint="install a version that inception_lab is tested with: torch>=2.11,<2.15",
    )
