"""The public ports of the zoo's nets: which net answers to which, by a map of the names of their layers.

A map leads from the path of each layer with weights here to its path in the port; what follows the path,
such as `.conv.weight` or `.bn.running_mean`, is the same in both. A further net is one more map and one
more entry in `TORCHVISION` or `TIMM`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import nn

from inception_lab.models.googlenet import GoogLeNet
from inception_lab.models.googlenet_modules import TABLE as GOOGLENET_TABLE
from inception_lab.models.inception_resnet import InceptionResNet
from inception_lab.models.inception_v3 import InceptionV3
from inception_lab.models.inception_v4 import InceptionV4
from inception_lab.models.xception import TABLE as XCEPTION_TABLE
from inception_lab.models.xception import Xception

Names = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Port:
    """A public port, by its differences from the net of the zoo that it answers to.

    Args:
        entry: The net's name in the zoo.
        names: Paths of layers here, and there.
        heads: Paths there of the auxiliary heads, which the net may have been built without.
        average: Paths here of 3x3 pools that the port makes average pools, whichever they are here.
    """

    entry: str
    names: Names
    heads: tuple[str, ...] = ()
    average: tuple[str, ...] = ()


def _module_map(ours: str, theirs: str, layers: Names) -> dict[str, str]:
    """The map of one module from the map of its layers."""
    return {f"{ours}.{here}": f"{theirs}.{there}" for here, there in layers.items()}


def _chain_map(ours: str, theirs: str, layers: str) -> dict[str, str]:
    """The map of a branch whose layers the port numbers from 0."""
    return {f"{ours}.{name}": f"{theirs}.{number}" for number, name in enumerate(layers.split())}


# ---------------------------------------------------------------------------------- googlenet_3x3

_GOOGLENET_MODULE = {
    "branch1": "branch1",
    **_chain_map("branch2", "branch2", "reduce conv3x3"),
    **_chain_map("branch3", "branch3", "reduce conv3x3"),
    "branch4.proj": "branch4.1",
}


def _googlenet() -> Iterator[tuple[str, str]]:
    yield from {"conv1": "conv1", "conv2_reduce": "conv2", "conv2": "conv3", "fc": "fc"}.items()
    for row in GOOGLENET_TABLE:
        name = f"inception{row.name}"
        yield from _module_map(name, name, _GOOGLENET_MODULE).items()
    for head in ("aux1", "aux2"):
        yield from {f"{head}.{layer}": f"{head}.{layer}" for layer in ("conv", "fc1", "fc2")}.items()


GOOGLENET_3X3 = dict(_googlenet())

# ----------------------------------------------------------------------------------- inception_v3

_V3_MODULES: Mapping[str, Names] = {
    "5b 5c 5d": {
        "branch1": "branch1x1",
        "branch2.reduce": "branch5x5_1",
        "branch2.conv5x5": "branch5x5_2",
        "branch3.reduce": "branch3x3dbl_1",
        "branch3.conv3x3_1": "branch3x3dbl_2",
        "branch3.conv3x3_2": "branch3x3dbl_3",
        "branch4.proj": "branch_pool",
    },
    "6a": {
        "branch1": "branch3x3",
        "branch2.reduce": "branch3x3dbl_1",
        "branch2.conv3x3_1": "branch3x3dbl_2",
        "branch2.conv3x3_2": "branch3x3dbl_3",
    },
    "6b 6c 6d 6e": {
        "branch1": "branch1x1",
        "branch2.reduce": "branch7x7_1",
        "branch2.conv1x7": "branch7x7_2",
        "branch2.conv7x1": "branch7x7_3",
        "branch3.reduce": "branch7x7dbl_1",
        "branch3.conv7x1_1": "branch7x7dbl_2",
        "branch3.conv1x7_1": "branch7x7dbl_3",
        "branch3.conv7x1_2": "branch7x7dbl_4",
        "branch3.conv1x7_2": "branch7x7dbl_5",
        "branch4.proj": "branch_pool",
    },
    "7a": {
        "branch1.reduce": "branch3x3_1",
        "branch1.conv3x3": "branch3x3_2",
        "branch2.reduce": "branch7x7x3_1",
        "branch2.conv1x7": "branch7x7x3_2",
        "branch2.conv7x1": "branch7x7x3_3",
        "branch2.conv3x3": "branch7x7x3_4",
    },
    "7b 7c": {
        "branch1": "branch1x1",
        "branch2.reduce": "branch3x3_1",
        "branch2.split.conv1x3": "branch3x3_2a",
        "branch2.split.conv3x1": "branch3x3_2b",
        "branch3.reduce": "branch3x3dbl_1",
        "branch3.conv3x3": "branch3x3dbl_2",
        "branch3.split.conv1x3": "branch3x3dbl_3a",
        "branch3.split.conv3x1": "branch3x3dbl_3b",
        "branch4.proj": "branch_pool",
    },
}


def _inception_v3() -> Iterator[tuple[str, str]]:
    for conv, kernel in {"1a": 3, "2a": 3, "2b": 3, "3b": 1, "4a": 3}.items():
        yield f"conv_{conv}", f"Conv2d_{conv}_{kernel}x{kernel}"
    for modules, layers in _V3_MODULES.items():
        for module in modules.split():
            yield from _module_map(f"mixed_{module}", f"Mixed_{module}", layers).items()
    head = {"reduce": "conv0", "conv5x5": "conv1", "fc": "fc"}
    yield from _module_map("aux", "AuxLogits", head).items()
    yield "fc", "fc"


INCEPTION_V3 = dict(_inception_v3())

# ----------------------------------------------------------------------------------- inception_v4

_V4_STEM = {
    "conv1": "features.0",
    "conv2": "features.1",
    "conv3": "features.2",
    "split1.branch2": "features.3.conv",
    **_chain_map("split2.branch1", "features.4.branch0", "reduce conv3x3"),
    **_chain_map("split2.branch2", "features.4.branch1", "reduce conv1x7 conv7x1 conv3x3"),
    "split3.branch1": "features.5.conv",
}
_V4_A = {
    "branch1": "branch0",
    **_chain_map("branch2", "branch1", "reduce conv3x3"),
    **_chain_map("branch3", "branch2", "reduce conv3x3_1 conv3x3_2"),
    "branch4.proj": "branch3.1",
}
_V4_REDUCTION_A = {
    "branch1": "branch0",
    **_chain_map("branch2", "branch1", "reduce conv3x3_1 conv3x3_2"),
}
_V4_B = {
    "branch1": "branch0",
    **_chain_map("branch2", "branch1", "reduce conv1x7 conv7x1"),
    **_chain_map("branch3", "branch2", "reduce conv7x1_1 conv1x7_1 conv7x1_2 conv1x7_2"),
    "branch4.proj": "branch3.1",
}
_V4_REDUCTION_B = {
    **_chain_map("branch1", "branch0", "reduce conv3x3"),
    **_chain_map("branch2", "branch1", "reduce conv1x7 conv7x1 conv3x3"),
}
_V4_C = {
    "branch1": "branch0",
    "branch2.reduce": "branch1_0",
    "branch2.split.conv1x3": "branch1_1a",
    "branch2.split.conv3x1": "branch1_1b",
    "branch3.reduce": "branch2_0",
    "branch3.conv3x1": "branch2_1",
    "branch3.conv1x3": "branch2_2",
    "branch3.split.conv1x3": "branch2_3a",
    "branch3.split.conv3x1": "branch2_3b",
    "branch4.proj": "branch3.1",
}


def _inception_v4() -> Iterator[tuple[str, str]]:
    yield from _V4_STEM.items()
    modules = [
        *((f"inception_a{n}", _V4_A) for n in range(1, 5)),
        ("reduction_a", _V4_REDUCTION_A),
        *((f"inception_b{n}", _V4_B) for n in range(1, 8)),
        ("reduction_b", _V4_REDUCTION_B),
        *((f"inception_c{n}", _V4_C) for n in range(1, 4)),
    ]
    for number, (name, layers) in enumerate(modules, 6):
        yield from _module_map(name, f"features.{number}", layers).items()
    yield "fc", "last_linear"


INCEPTION_V4 = dict(_inception_v4())

# ---------------------------------------------------------------------------- inception_resnet_v2

_RESNET_STEM = {
    "conv1": "conv2d_1a",
    "conv2": "conv2d_2a",
    "conv3": "conv2d_2b",
    "conv4": "conv2d_3b",
    "conv5": "conv2d_4a",
}
_RESNET_MIXED_5B = {
    "branch1": "branch0",
    **_chain_map("branch2", "branch1", "reduce conv5x5"),
    **_chain_map("branch3", "branch2", "reduce conv3x3_1 conv3x3_2"),
    "branch4.proj": "branch3.1",
}
_RESNET_REDUCTION_B = {
    **_chain_map("branch1", "branch0", "reduce conv3x3"),
    **_chain_map("branch2", "branch1", "reduce conv3x3"),
    **_chain_map("branch3", "branch2", "reduce conv3x3_1 conv3x3_2"),
}


def _residual(*long_branches: str) -> dict[str, str]:
    """The map of a residual block, whose first branch is a 1x1 alone."""
    names = {"branches.branch1": "branch0", "expand": "conv2d"}
    for number, layers in enumerate(long_branches, 1):
        names |= _chain_map(f"branches.branch{number + 1}", f"branch{number}", layers)
    return names


def _inception_resnet_v2() -> Iterator[tuple[str, str]]:
    yield from _RESNET_STEM.items()
    block_a = _residual("reduce conv3x3", "reduce conv3x3_1 conv3x3_2")
    block_b = _residual("reduce conv1x7 conv7x1")
    block_c = _residual("reduce conv1x3 conv3x1")
    modules = [
        ("mixed_5b", "mixed_5b", _RESNET_MIXED_5B),
        *((f"block_a{n + 1}", f"repeat.{n}", block_a) for n in range(10)),
        ("reduction_a", "mixed_6a", _V4_REDUCTION_A),
        *((f"block_b{n + 1}", f"repeat_1.{n}", block_b) for n in range(20)),
        ("reduction_b", "mixed_7a", _RESNET_REDUCTION_B),
        *((f"block_c{n + 1}", f"repeat_2.{n}", block_c) for n in range(9)),
        ("block_c10", "block8", block_c),
    ]
    for ours, theirs, layers in modules:
        yield from _module_map(ours, theirs, layers).items()
    yield "conv6", "conv2d_7b"
    yield "fc", "classif"


INCEPTION_RESNET_V2 = dict(_inception_resnet_v2())

# --------------------------------------------------------------------------------------- xception


def _xception() -> Iterator[tuple[str, str]]:
    for conv in ("1", "2"):
        yield from {f"conv{conv}.conv": f"conv{conv}", f"conv{conv}.bn": f"bn{conv}"}.items()
    for row in XCEPTION_TABLE:
        # a ReLU, a separable convolution and its norm in turn; the first block lacks the first ReLU
        first = 0 if row is XCEPTION_TABLE[0] else 1
        for number in range(len(row.widths)):
            ours, theirs = f"{row.name}.body.conv{number + 1}", f"{row.name}.rep"
            yield from _separable(ours, f"{theirs}.{first}", f"{theirs}.{first + 1}").items()
            first += 3
        if row.stride > 1:
            yield f"{row.name}.shortcut.conv", f"{row.name}.skip"
            yield f"{row.name}.shortcut.bn", f"{row.name}.skipbn"
    for conv in ("3", "4"):
        yield from _separable(f"conv{conv}", f"conv{conv}", f"bn{conv}").items()
    yield "fc", "fc"


def _separable(ours: str, conv: str, norm: str) -> dict[str, str]:
    return {
        f"{ours}.depthwise": f"{conv}.conv1",
        f"{ours}.pointwise": f"{conv}.pointwise",
        f"{ours}.bn": norm,
    }


XCEPTION = dict(_xception())

# -------------------------------------------------------------------------------------- the ports

_V3_PORT = Port("inception_v3", INCEPTION_V3, ("AuxLogits",), average=("mixed_7c.branch4.pool",))

TORCHVISION: Mapping[type[nn.Module], Port] = {
    GoogLeNet: Port("googlenet_3x3", GOOGLENET_3X3, ("aux1", "aux2")),
    InceptionV3: _V3_PORT,
}
TIMM: Mapping[type[nn.Module], Port] = {
    InceptionV3: _V3_PORT,
    InceptionV4: Port("inception_v4", INCEPTION_V4),
    InceptionResNet: Port("inception_resnet_v2", INCEPTION_RESNET_V2),
    Xception: Port("xception", XCEPTION),
}
