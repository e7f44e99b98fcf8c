"""Windows along the axes: convolution, pooling, resizing, padding, patches."""

import random
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from support.drawn_nets.draws import Shape, axis, groups, pads, part, per_axis
from support.drawn_nets.step import Options, operation, whole

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
PADDING_MODES = ["constant", "constant", "reflect", "replicate", "circular"]


def _draw_conv(rng: random.Random, shape: Shape) -> Options:
    out = rng.randint(1, 4)
    options = {
        "out": out,
        "kernel": per_axis(rng, shape, [1, 2, 3, 3, 4]),
        "stride": per_axis(rng, shape, [1, 1, 2, 3]),
        "dilation": per_axis(rng, shape, [1, 1, 2]),
        "groups": 1 if rng.random() < 0.6 else groups(rng, shape[1], out),
    }
    return options | {"padding": per_axis(rng, shape, [0, 1, 1, 2, 3]), "mode": rng.choice(PADDING_MODES)}


def _conv_weights(shape: Shape, *, out: int, kernel: Shape, groups: int, **_) -> list[Shape]:
    return [(out, shape[1] // groups, *kernel), (out,)]


@operation(_draw_conv, _conv_weights, digits="joined")
def conv(x, w, b, *, stride, dilation, groups, padding, mode, **_):
    """A convolution, its padding by itself or by `F.pad`."""
    if mode != "constant":
        x, padding = F.pad(x, [side for p in reversed(padding) for side in (p, p)], mode=mode), 0
    return CONV[x.ndim - 2](x, w, b, stride, padding, dilation, groups)


def _draw_same(rng: random.Random, shape: Shape) -> Options:
    return {"out": shape[1], "kernel": per_axis(rng, shape, [1, 3, 5]), "groups": 1}


@operation(_draw_same, _conv_weights, digits="joined")
def conv_same(x, w, b, **_):
    """A convolution that keeps the size, as most nets have them."""
    return CONV[x.ndim - 2](x, w, b, padding="same")


def _draw_transposed(rng: random.Random, shape: Shape) -> Options:
    out = rng.randint(1, 3)
    stride = per_axis(rng, shape, [1, 2, 2, 3])
    return {
        "out": out,
        "kernel": per_axis(rng, shape, [1, 2, 3, 4]),
        "stride": stride,
        "padding": per_axis(rng, shape, [0, 0, 1, 2]),
        "output_padding": tuple(rng.randrange(s) for s in stride),
        "groups": groups(rng, shape[1], out) if rng.random() < 0.3 else 1,
        "dilation": per_axis(rng, shape, [1, 1, 2]),
    }


def _transposed_weights(shape: Shape, *, out: int, kernel: Shape, groups: int, **_) -> list[Shape]:
    return [(shape[1], out // groups, *kernel), (out,)]


@operation(_draw_transposed, _transposed_weights, digits="joined")
def conv_transpose(x, w, b, *, stride, padding, output_padding, groups, dilation, **_):
    return TRANSPOSED[x.ndim - 2](x, w, b, stride, padding, output_padding, groups, dilation)


# ------------------------------------------------------------------------------ pooling


def _draw_pool(rng: random.Random, shape: Shape) -> Options:
    kernel = per_axis(rng, shape, [1, 2, 2, 3, 3, 4])
    stride = rng.choice([None, per_axis(rng, shape, [1, 2, 3])])
    padding = tuple(rng.randint(0, k // 2) for k in kernel)
    return {"kernel": kernel, "stride": stride, "padding": padding, "ceil_mode": rng.random() < 0.4}


@operation(lambda rng, shape: {**_draw_pool(rng, shape), "dilation": per_axis(rng, shape, [1, 1, 2])})
def max_pool(x, *, kernel, stride, padding, ceil_mode, dilation):
    pool = getattr(F, f"max_pool{x.ndim - 2}d")
    return pool(x, kernel, stride, padding, dilation, ceil_mode)


@operation(_draw_pool)
def avg_pool(x, *, kernel, stride, padding, ceil_mode):
    return getattr(F, f"avg_pool{x.ndim - 2}d")(x, kernel, stride, padding, ceil_mode)


def _draw_sizes(rng: random.Random, shape: Shape) -> Options:
    return {"sizes": tuple(rng.randint(1, size + 2) for size in shape[2:])}


def _pooled(x: Tensor, kind: str, sizes: Shape) -> Tensor:
    pooled = getattr(F, f"adaptive_{kind}_pool{x.ndim - 2}d")(x, sizes)
    return whole(pooled, *[n for n, size in enumerate(sizes) if size == 1 < x.shape[2 + n]])


@operation(_draw_sizes, reduces=True)
def adaptive_avg_pool(x, *, sizes):
    return _pooled(x, "avg", sizes)


@operation(_draw_sizes, reduces=True)
def adaptive_max_pool(x, *, sizes):
    return _pooled(x, "max", sizes)


@operation(lambda rng, _: {"kernel": rng.choice([2, 3]), "stride": rng.choice([None, 1, 2])}, ranks=(1, 2))
def lp_pool(x, *, kernel, stride):
    return getattr(F, f"lp_pool{x.ndim - 2}d")(x * x + 1, 2, kernel, stride)


def _draw_unpool(rng: random.Random, _: Shape) -> Options:
    kernel = rng.choice([2, 3])
    return {"kernel": kernel, "stride": rng.choice([None, None, kernel - 1])}


@operation(_draw_unpool)
def max_unpool(x, *, kernel, stride):
    """Maxima put back to their places, as SegNet does."""
    axes = x.ndim - 2
    pooled, indices = getattr(F, f"max_pool{axes}d")(x, kernel, stride, return_indices=True)
    # indices count the places of the input, and would be others in an output of another size
    unpool = getattr(F, f"max_unpool{axes}d")
    return unpool(pooled * 1.5, indices, kernel, stride, output_size=x.shape[2:])


# ------------------------------------------------------------------------------ resizing

MODES = {
    1: ["nearest", "nearest-exact", "linear", "area"],
    2: ["nearest", "nearest-exact", "bilinear", "bilinear", "bicubic", "area"],
    3: ["nearest", "nearest-exact", "trilinear", "area"],
}


def _draw_interpolation(rng: random.Random, shape: Shape) -> Options:
    mode = rng.choice(MODES[len(shape) - 2])
    options: Options = {"mode": mode}
    if mode.endswith(("linear", "cubic")):
        options["align_corners"] = rng.random() < 0.3
    if mode in ("bilinear", "bicubic") and rng.random() < 0.4:
        options["antialias"] = True
    if rng.random() < 0.5:
        return options | {"size": tuple(rng.randint(1, 2 * n) for n in shape[2:])}
    options |= {"scale_factor": per_axis(rng, shape, [0.5, 0.7, 1.0, 1.05, 1.3, 1.5, 2.0])}
    return options | ({"recompute_scale_factor": True} if rng.random() < 0.2 else {})


def _is_disputed(x: Tensor, out: Tensor, options: Options) -> bool:
    """True where an axis keeps its size by a scale that torch's forward or backward kernel ignores."""
    keeps_size = any(n == m for n, m in zip(x.shape[2:], out.shape[2:], strict=True))
    is_scaled = any(factor != 1 for factor in options.get("scale_factor", ()))
    agree = options["mode"] in ("linear", "bilinear", "trilinear", "area", "nearest-exact") or (
        options["mode"] == "nearest" and x.ndim == 4
    )
    return keeps_size and is_scaled and (not agree or bool(options.get("antialias")))


@operation(_draw_interpolation, reduces=True)
def interpolate(x, **options):
    out = F.interpolate(x, **options)
    # torch 2.13 gives every row the weights of the first where the last axis has one place
    assert not (options.get("antialias") and 1 in out.shape[2:])
    assert not _is_disputed(x, out, options)
    # area is adaptive pooling: to one place it is a mean
    is_area = options["mode"] == "area"
    return whole(out, *[n for n, size in enumerate(out.shape[2:]) if is_area and size == 1 < x.shape[2 + n]])


def _divides(_: random.Random, shape: Shape) -> Options | None:
    return {"factor": 2} if all(size % 2 == 0 for size in shape[2:]) else None


@operation(_divides, ranks=(2,), digits="spread")
def pixel_unshuffle(x, *, factor):
    return F.pixel_unshuffle(x, factor)


@operation(lambda _, shape: {"factor": 2} if shape[1] % 4 == 0 else None, ranks=(2,), digits="spread")
def pixel_shuffle(x, *, factor):
    return F.pixel_shuffle(x, factor)


@operation(
    lambda *_: {"factor": 2},
    lambda shape, **_: [(4 * shape[1], shape[1], 1, 1), (4 * shape[1],)],
    ranks=(2,),
    digits="joined",
)
def sub_pixel(x, w, b, *, factor):
    """A convolution to more channels, which become places (1609.05158)."""
    return F.pixel_shuffle(F.conv2d(x, w, b), factor)


# ------------------------------------------------------------------------------ padding


@operation(lambda rng, shape: {"pads": pads(rng, shape, -2, 3)})
def pad(x, *, pads):
    return F.pad(x, pads, value=0.5)


@operation(lambda rng, shape: {"pads": pads(rng, shape, 0, 3)})
def pad_zero(x, *, pads):
    return F.pad(x, pads)


@operation(lambda rng, shape: {"pads": pads(rng, shape, -1, 3), "mode": rng.choice(["reflect", "replicate"])})
def pad_edge(x, *, pads, mode):
    return F.pad(x, pads, mode=mode)


@operation(lambda rng, shape: {"pads": pads(rng, shape, -2, 3)})
def pad_circular(x, *, pads):
    sides = zip(pads[::2], pads[1::2], reversed(x.shape[2:]), strict=True)
    # of an axis that is cut to less than its padding torch copies places that it has not written yet
    assert all(max(lead, trail) <= size + min(lead, 0) + min(trail, 0) for lead, trail, size in sides)
    return F.pad(x, pads, mode="circular")


# ------------------------------------------------------------------------------ patches


def _draw_unfold(rng: random.Random, _: Shape) -> Options:
    two = [rng.choice([1, 2, 3]) for _ in range(2)]
    stride, padding = rng.choice([1, 2]), rng.choice([0, 1])
    return {"kernel": tuple(two), "stride": stride, "padding": padding, "dilation": rng.choice([1, 1, 2])}


@operation(_draw_unfold, ranks=(2,), digits="spread")
def im2col(x, *, kernel, stride, padding, dilation):
    """Patches as channels of a smaller image."""
    columns = F.unfold(x, kernel, dilation, padding, stride)
    sizes = zip(x.shape[2:], kernel, strict=True)
    grid = [(n + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for n, k in sizes]
    return columns.reshape(x.shape[0], x.shape[1] * prod(kernel), *grid)


@operation(_draw_unfold, ranks=(2,))
def fold_of_unfold(x, *, kernel, stride, padding, dilation):
    """Patches added up where they came from."""
    columns = F.unfold(x, kernel, dilation, padding, stride)
    return F.fold(columns * 1.5, x.shape[2:], kernel, dilation, padding, stride)


def _draw_windows(rng: random.Random, shape: Shape) -> Options:
    n = axis(rng, shape)
    return {"axis": n, "size": rng.randint(1, min(3, shape[2 + n])), "step": rng.randint(1, 3)}


@operation(_draw_windows)
def window_means(x, *, axis, size, step):
    return x.unfold(2 + axis, size, step).mean(-1)


@operation(_draw_windows)
def window_maxima(x, *, axis, size, step):
    return x.unfold(2 + axis, size, step).amax(-1)


@operation(_draw_windows, digits="spread")
def windows_as_channels(x, *, axis, size, step):
    return x.unfold(2 + axis, size, step).movedim(-1, 2).flatten(1, 2)


@operation(_draw_windows, lambda _, size, **__: [(size,)])
def windows_weighted(x, w, *, axis, size, step):
    return torch.einsum("...k,k->...", x.unfold(2 + axis, size, step), w)


def _draw_mean_added(rng: random.Random, shape: Shape) -> Options | None:
    n = axis(rng, shape)
    sizes = [k for k in (2, 3, 4) if shape[2 + n] % k == 0 and shape[2 + n] > k]
    return {"axis": n, "size": rng.choice(sizes)} if sizes else None


@operation(_draw_mean_added)
def window_mean_added(x, *, axis, size):
    """The mean of each window, added to its places."""
    dim = 2 + axis
    # one window that is the whole axis would be a statistic of it
    assert x.shape[dim] > size
    windows = x.unflatten(dim, (-1, size))
    return (windows + windows.mean(dim + 1, keepdim=True)).flatten(dim, dim + 1)


@operation(
    lambda rng, shape: {"axis": (n := axis(rng, shape)), "part": part(rng, shape[2 + n])}, is_mixing=True
)
def mean_of_part_in_place(x, *, axis, part):
    """The mean of a part of an axis, written over that part."""
    y = x * 1.0
    window = y.narrow(2 + axis, part[0], part[1] - part[0])
    window.copy_(window.mean(2 + axis, keepdim=True).expand_as(window))
    return y
