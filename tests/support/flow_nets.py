"""Random nets for gradient flow, and their figures by plain autograd on a copy."""

import copy
from collections import defaultdict, namedtuple
from math import sqrt

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn

from inception_lab.measure.gradient_flow.samples import Batch

CHANNELS, CLASSES = 4, 3
SHAPE = (5, CHANNELS, 4, 4)
Outputs = namedtuple("Outputs", "logits aux_logits")


class FunctionalReLU(nn.Module):
    """A ReLU that is no module of its own, in place or not."""

    def __init__(self, inplace):
        super().__init__()
        self.conv, self.inplace = nn.Conv2d(CHANNELS, CHANNELS, 1), inplace

    def forward(self, x):
        return F.relu(self.conv(x), inplace=self.inplace)


class Branches(nn.Module):
    """Branches from one tensor, concatenated and projected."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.project = nn.Conv2d(CHANNELS * len(branches), CHANNELS, 1)

    def forward(self, x):
        return self.project(torch.cat([branch(x) for branch in self.branches], 1))


class Twice(nn.Module):
    """A module called twice, and the residual around it."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(self.inner(x))


class Several(nn.Module):
    """A module that returns a dictionary with a tuple, one of its tensors twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 1)

    def forward(self, x):
        y = self.conv(x)
        return {"pair": (y, x * y), "again": y, "text": "a"}


class TakesSeveral(nn.Module):
    def __init__(self):
        super().__init__()
        self.several = Several()

    def forward(self, x):
        found = self.several(x)
        return found["pair"][0] + found["pair"][1].tanh() + found["again"] / 2


class Net(nn.Module):
    """A body, a head, an auxiliary head half way where it has one, and a layer that is never called."""

    def __init__(self, first, second, has_head):
        super().__init__()
        self.first, self.second = first, second
        self.aux = nn.Linear(CHANNELS, CLASSES) if has_head else None
        self.fc, self.idle = nn.Linear(CHANNELS, CLASSES), nn.Linear(2, 2)
        self.frozen = nn.Parameter(torch.ones(CHANNELS, 1, 1), requires_grad=False)

    def forward(self, x):
        before = self.first(x)
        logits = self.fc(self.second(before * self.frozen).mean((2, 3)))
        return logits if self.aux is None else Outputs(logits, self.aux(before.mean((2, 3))))


def conv(kernel=1):
    return nn.Conv2d(CHANNELS, CHANNELS, kernel, padding=kernel // 2)


def tied():
    net = nn.Sequential(conv(), nn.Tanh(), conv())
    net[2].weight = net[0].weight
    return net


_LEAVES = {
    "1x1": conv,
    "3x3": lambda: conv(3),
    "norm": lambda: nn.BatchNorm2d(CHANNELS),
    "ReLU": nn.ReLU,
    "ReLU in place": lambda: nn.Sequential(conv(3), nn.BatchNorm2d(CHANNELS), nn.ReLU(inplace=True)),
    "F.relu": lambda: FunctionalReLU(False),
    "F.relu in place": lambda: FunctionalReLU(True),
    "dropout": nn.Dropout,
    "identity": nn.Identity,
    "several": TakesSeveral,
    "tied": tied,
}
_AROUND = {"chain": nn.Sequential, "branches": Branches, "twice": lambda *parts: Twice(nn.Sequential(*parts))}

PARTS = st.recursive(
    st.sampled_from(sorted(_LEAVES)),
    lambda parts: st.tuples(st.sampled_from(sorted(_AROUND)), st.lists(parts, min_size=1, max_size=3)),
    max_leaves=5,
)
NETS = st.tuples(PARTS, PARTS, st.booleans())


def build(net):
    """A net of `NETS` in double precision."""
    first, second, has_head = net
    return Net(_part(first), _part(second), has_head).double()


def _part(part):
    return _LEAVES[part]() if isinstance(part, str) else _AROUND[part[0]](*map(_part, part[1]))


def figures_by_autograd(model, x, terms_of):
    """The figures of every module by path: PyTorch's hooks and `torch.autograd.grad` on a copy.

    Where the model writes in place the copy does not, so that each tensor stays what a module returned.
    """
    model = copy.deepcopy(model).train()
    outputs = defaultdict(list)
    for path, module in model.named_modules():
        if hasattr(module, "inplace"):
            module.inplace = False
        module.register_forward_hook(lambda _m, _i, out, path=path: outputs[path].extend(_tensors(out)))
    terms = terms_of(model(x))
    terms = {"": sum(terms.values()), **terms}
    return {
        path or "(model)": _output_figures(outputs[path], terms)
        | _relu_figures([y for name in outputs if _is_within(name, path) for y in
                         (outputs[name] if _is_relu(model.get_submodule(name)) else [])])
        | _weight_figures([p for p in module.parameters() if p.requires_grad], terms)
        for path, module in model.named_modules()
    }  # fmt: skip


def _tensors(out):
    if isinstance(out, torch.Tensor):
        return [out]
    parts = out.values() if isinstance(out, dict) else out if isinstance(out, tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _is_within(name, path):
    return not path or name == path or name.startswith(f"{path}.")


def _is_relu(module):
    return isinstance(module, (nn.ReLU, FunctionalReLU))


def _output_figures(tensors, terms):
    if not tensors:
        return {}
    values = np.concatenate([y.detach().numpy().ravel() for y in tensors])
    differentiated = [y for y in tensors if y.requires_grad]
    gradients = {name: _gradients(term, differentiated) for name, term in terms.items() if differentiated}
    return {
        "output_mean": values.mean(),
        "output_variance": values.var(),
        **{_column("output_gradient", name): _norm(each) for name, each in gradients.items()},
    }


def _weight_figures(weights, terms):
    if not weights:
        return {}
    gradients = {name: _gradients(term, weights) for name, term in terms.items()}
    figures = {_column("weight_gradient", name): _norm(each) for name, each in gradients.items()}
    figures["weight_norm"] = _norm([p.detach() for p in weights])
    figures["relative_gradient"] = figures["weight_gradient"] / figures["weight_norm"]
    for name in terms.keys() - {""}:
        along = sum(float((g * whole).sum()) for g, whole in zip(gradients[name], gradients[""], strict=True))
        if figures["weight_gradient"]:
            figures[f"contribution_{name}"] = 100 * along / figures["weight_gradient"] ** 2
    return figures


def _relu_figures(outputs):
    if not outputs:
        return {}
    channels = [(y[:, c] == 0).all().item() for y in outputs for c in range(y.shape[1])]
    zeros = sum(int((y == 0).sum()) for y in outputs) / sum(y.numel() for y in outputs)
    return {"zeros": 100 * zeros, "dead": 100 * sum(channels) / len(channels)}


def _gradients(term, tensors):
    return torch.autograd.grad(term, tensors, retain_graph=True, allow_unused=True, materialize_grads=True)


def _norm(tensors):
    return sqrt(sum(float(tensor.square().sum()) for tensor in tensors))


def _column(figure, name):
    return f"{figure}_{name}" if name else figure


class GivenSamples:
    """Samples that a test writes out, as those of a folder."""

    name = "given samples"

    def __init__(self, values, labels, class_count=2):
        self._values, self._labels = torch.tensor(values), torch.tensor(labels)
        self.shape = tuple(self._values.shape[1:])
        self.classes = tuple(f"class {number}" for number in range(class_count))

    def __len__(self):
        return len(self._labels)

    def batch(self, numbers):
        return Batch(self._values[list(numbers)], self._labels[list(numbers)])
