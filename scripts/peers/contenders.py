"""The contenders: this project, plain forwards, and the peers that count the same nets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

import inception_lab as il

Shape = tuple[int, ...]
Run = Callable[[], Any]

PEERS = ("fvcore", "torchinfo", "torchscan")
"""The distributions that must be installed, beside torch."""
OURS, OURS_META, META_FORWARD, REAL_FORWARD = (
    "inception_lab",
    "inception_lab, meta-built",
    "meta forward",
    "real forward",
)
COLD = (OURS, OURS_META, META_FORWARD)
"""The contenders whose cold start is repeated; the others start cold once, for their memory."""


@dataclass(frozen=True)
class Contender:
    """One that runs in turn with the others.

    Args:
        prepare: From the net and an input to the run that is timed; does all imports.
        weights: The device on which its net is built.
        image: The device of its input; on `cpu` it computes a real forward.
        macs: From the result of a run to the MACs that it counted; None where it counts none.
        comparable: True where it means the same by a MAC as we do: one multiply and one add of a
            convolution, linear or matrix product.
    """

    prepare: Callable[[nn.Module, Tensor], Run]
    weights: str
    image: str
    macs: Callable[[Any], int] | None = None
    comparable: bool = True

    @property
    def computes(self) -> bool:
        """True where it needs a real forward."""
        return self.image == "cpu"

    def ready(self, model: str, shape: Shape) -> Run:
        """Return the run that is timed on this model and input."""
        run = self.prepare(net(model, self), torch.zeros(shape, device=self.image))
        return torch.no_grad()(run)


@cache
def net(model: str, contender: Contender) -> nn.Module:
    """Return the net of a contender, in eval mode.

    Each has its own: fvcore, which fails on meta tensors, leaves a net behind that is traced at a third of
    the speed.
    """
    return il.create_model(model, device=contender.weights).eval()


# Imports of peers stand in these functions, so that a fresh process pays for its own contender alone


def _ours(model: nn.Module, image: Tensor) -> Run:
    trace, layer_costs, shape = il.trace, il.layer_costs, tuple(image.shape)
    return lambda: layer_costs(trace(model, shape))


def _forward(model: nn.Module, image: Tensor) -> Run:
    return lambda: model(image)


def _fvcore(model: nn.Module, image: Tensor) -> Run:
    from fvcore.nn import FlopCountAnalysis

    def run() -> Any:
        analysis = FlopCountAnalysis(model, image)
        # the analysis is lazy: only asking for a total runs the model
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()
        return analysis

    return run


def _torchinfo(model: nn.Module, image: Tensor) -> Run:
    from torchinfo import summary

    return lambda: summary(model, input_data=image, device=image.device, verbose=0)


def _torchscan(model: nn.Module, image: Tensor) -> Run:
    from torchscan import crawl_module

    return lambda: crawl_module(model, args=(image,))


def _flop_counter_mode(model: nn.Module, image: Tensor) -> Run:
    from torch.utils.flop_counter import FlopCounterMode

    def run() -> Any:
        with FlopCounterMode(display=False) as counter:
            model(image)
        return counter.get_total_flops()

    return run


def _macs_of_fvcore(analysis: Any) -> int:
    by_operator = analysis.by_operator()
    return int(by_operator["conv"] + by_operator["linear"])


def _macs_of_torchscan(report: Any) -> int:
    """The MACs of its convolutions and linears; its total adds those of poolings and normalisations."""
    layers = (layer for layer in report["layers"] if layer["type"] in ("Conv2d", "Linear"))
    return sum(int(layer["metrics"]["macs"]["value"]) for layer in layers)


def _on_both_devices(name: str, contender: Callable[..., Contender]) -> dict[str, Contender]:
    return {
        name: contender(weights="cpu", image="cpu"),
        f"{name} on meta": contender(weights="meta", image="meta"),
    }


_ours_on = partial(Contender, _ours, image="meta", macs=lambda costs: int(costs["macs"].sum()))

CONTENDERS: dict[str, Contender] = {
    OURS: _ours_on(weights="cpu"),
    OURS_META: _ours_on(weights="meta"),
    META_FORWARD: Contender(_forward, "meta", "meta"),
    REAL_FORWARD: Contender(_forward, "cpu", "cpu"),
    **_on_both_devices("fvcore", partial(Contender, _fvcore, macs=_macs_of_fvcore)),
    **_on_both_devices(
        "torchinfo", partial(Contender, _torchinfo, macs=lambda s: s.total_mult_adds, comparable=False)
    ),
    **_on_both_devices("TorchScan", partial(Contender, _torchscan, macs=_macs_of_torchscan)),
    **_on_both_devices(
        "FlopCounterMode", partial(Contender, _flop_counter_mode, macs=lambda flops: flops // 2)
    ),
}
