"""Places in another order, left out, taken twice, written over, put together."""

import random

import torch
import torch.nn.functional as F

from support.drawn_nets.draws import Shape, axis, groups, part, per_axis, places, some_axes
from support.drawn_nets.step import Options, operation


def _draw_part(rng: random.Random, shape: Shape) -> Options:
    n = axis(rng, shape)
    return {"axis": n, "part": part(rng, shape[2 + n])}


def _draw_places(rng: random.Random, shape: Shape) -> Options:
    n = axis(rng, shape)
    return {"axis": n, "places": places(rng, shape[2 + n])}


def _draw_axis(rng: random.Random, shape: Shape) -> Options:
    return {"axis": axis(rng, shape)}


# ------------------------------------------------------------------------------ parts


def _draw_slice(rng: random.Random) -> tuple[int, int | None, int]:
    return rng.randint(0, 2), rng.choice([None, -1, -2]), rng.choice([1, 1, 2, 3])


@operation(lambda rng, shape: {"slices": tuple(_draw_slice(rng) for _ in shape[2:])})
def crop(x, *, slices):
    return x[(slice(None), slice(None), *[slice(*s) for s in slices])]


@operation(lambda rng, shape: {"part": part(rng, shape[1])})
def channel_slice(x, *, part):
    return x[:, slice(*part)]


@operation(_draw_places)
def index_list(x, *, axis, places):
    """Places by a list, as constants in the forward."""
    return x[(slice(None),) * (2 + axis) + (places,)]


@operation(_draw_places)
def index_select(x, *, axis, places):
    return x.index_select(2 + axis, torch.tensor(places, device=x.device))


@operation(lambda rng, shape: {"places": places(rng, shape[1])})
def index_channels(x, *, places):
    return x[:, places]


@operation(lambda rng, shape: {"rows": places(rng, shape[2]), "columns": places(rng, shape[3])}, ranks=(2,))
def index_grid(x, *, rows, columns):
    rows, columns = torch.tensor(rows, device=x.device), torch.tensor(columns, device=x.device)
    return x[:, :, rows[:, None], columns]


@operation(_draw_places)
def gather(x, *, axis, places):
    shape = [1] * x.ndim
    shape[2 + axis] = len(places)
    sizes = [*x.shape]
    sizes[2 + axis] = len(places)
    return x.gather(2 + axis, torch.tensor(places, device=x.device).view(shape).expand(sizes))


@operation(_draw_axis)
def gather_backwards(x, *, axis):
    """The axis backwards, by indices counted in the forward."""
    places = x.shape[2 + axis] - 1 - torch.arange(x.shape[2 + axis], device=x.device)
    shape = [1] * x.ndim
    shape[2 + axis] = -1
    return torch.take_along_dim(x, places.view(shape), 2 + axis)


@operation(_draw_axis)
def every_second_place(x, *, axis):
    places = torch.arange(0, x.shape[2 + axis], 2, device=x.device)
    return x.index_select(2 + axis, places)


# ------------------------------------------------------------------------------ order


@operation(lambda rng, shape: {"axes": some_axes(rng, shape)})
def flip(x, *, axes):
    return x.flip([2 + n for n in axes])


@operation(
    lambda rng, shape: {"axes": (a := some_axes(rng, shape)), "shifts": tuple(rng.randint(-4, 4) for _ in a)}
)
def roll(x, *, axes, shifts):
    return x.roll(shifts, [2 + n for n in axes])


@operation(
    lambda rng, _: {"turns": rng.choice([1, 2, 3])},
    ranks=(2,),
    turns=lambda turns: (1, 0) if turns % 2 else (0, 1),
)
def rot90(x, *, turns):
    return x.rot90(turns, (2, 3))


@operation(ranks=(2,), turns=lambda: (1, 0))
def transpose(x):
    return x.transpose(2, 3)


@operation(ranks=(2,), turns=lambda: (1, 0))
def transpose_copied(x):
    return x.transpose(2, 3).contiguous()


@operation(lambda rng, shape: {"groups": groups(rng, shape[1])}, ranks=(2,))
def channel_shuffle(x, *, groups):
    return F.channel_shuffle(x, groups)


@operation()
def flattened_and_back(x):
    return (x.flatten(2) * 1.5).view(x.shape)


@operation(weights=lambda shape: [(shape[1], shape[1]), (shape[1],)], digits="joined")
def tokens(x, w, b):
    """A linear over the channels of a sequence of places."""
    sequence = F.linear(x.flatten(2).transpose(1, 2), w, b)
    return sequence.transpose(1, 2).reshape(x.shape)


# ------------------------------------------------------------------------------ copies


@operation(lambda rng, shape: {"repeats": per_axis(rng, shape, [1, 1, 2])})
def repeat(x, *, repeats):
    return x.repeat(1, 1, *repeats)


@operation(lambda rng, shape: {"axis": axis(rng, shape), "count": rng.randint(1, 2)})
def repeat_interleave(x, *, axis, count):
    return x.repeat_interleave(count, 2 + axis)


@operation(
    lambda rng, shape: {
        "axis": (n := axis(rng, shape)),
        "counts": [rng.randint(0, 2) for _ in range(shape[2 + n])],
    }
)
def repeat_counted(x, *, axis, counts):
    repeats = torch.tensor(counts, device=x.device)
    return x.repeat_interleave(repeats, 2 + axis, output_size=sum(counts))


@operation(lambda rng, _: {"count": rng.randint(2, 3)})
def expanded(x, *, count):
    """Each place of the last axis several times, by a view."""
    return x[..., None].expand(*x.shape, count).flatten(-2)


@operation(lambda rng, shape: {"axis": axis(rng, shape)})
def skip_of_repeats(x, *, axis):
    """Every second place twice, added to what is there."""
    dim = 2 + axis
    step = (slice(None),) * dim + (slice(None, None, 2),)
    coarse = x[step].repeat_interleave(2, dim).narrow(dim, 0, x.shape[dim])
    return x + coarse


# ------------------------------------------------------------------------------ written over


@operation(_draw_part)
def write_constant(x, *, axis, part):
    y = x * 1.0
    y[(slice(None),) * (2 + axis) + (slice(*part),)] = 0.5
    return y


@operation(_draw_part)
def write_scaled(x, *, axis, part):
    """A part of an axis multiplied in place."""
    y = x * 1.0
    y[(slice(None),) * (2 + axis) + (slice(*part),)] *= 2
    return y


@operation(
    lambda rng, shape: {"part": part(rng, shape[1])},
    lambda shape, part: [(part[1] - part[0], shape[1], *[3] * (len(shape) - 2))],
)
def write_channels(x, w, *, part):
    """A convolution written over some of the channels."""
    y = x * 1.0
    y[:, slice(*part)] = getattr(F, f"conv{x.ndim - 2}d")(x, w, padding=1)
    return y


@operation(_draw_part)
def write_shifted(x, *, axis, part):
    """A part of an axis written to its beginning."""
    y, dim = x.clone(), 2 + axis
    y.narrow(dim, 0, part[1] - part[0]).copy_(x.narrow(dim, part[0], part[1] - part[0]))
    return y


@operation(lambda rng, shape: {"axis": axis(rng, shape), "fold": rng.randint(1, max(shape[1] // 2, 1))})
def temporal_shift(x, *, axis, fold):
    """Some channels one place ahead, some one place behind (1811.08383)."""
    before, behind = (slice(None),) * axis + (slice(None, -1),), (slice(None),) * axis + (slice(1, None),)
    out = torch.zeros_like(x)
    ahead, delayed = (slice(None), slice(0, fold)), (slice(None), slice(fold, 2 * fold))
    out[(*ahead, *before)] = x[(*ahead, *behind)]
    out[(*delayed, *behind)] = x[(*delayed, *before)]
    out[:, 2 * fold :] = x[:, 2 * fold :]
    return out


@operation(lambda rng, shape: {"axis": axis(rng, shape), "step": rng.randint(2, 3)})
def write_every(x, *, axis, step):
    """Every few places written over by their neighbours on the other end."""
    y, dim = x * 1.0, 2 + axis
    at = (slice(None),) * dim + (slice(None, None, step),)
    y[at] = x.flip(dim)[at]
    return y


@operation(_draw_places)
def write_indexed(x, *, axis, places):
    y = x * 1.0
    at = sorted(set(places))
    y[(slice(None),) * (2 + axis) + (at,)] = 0.5
    return y


@operation(_draw_axis)
def woven(x, *, axis):
    """A tensor allocated first, then written in two turns."""
    dim = 2 + axis
    sizes = [*x.shape]
    sizes[dim] *= 2
    out = x.new_empty(sizes)
    out[(slice(None),) * dim + (slice(0, None, 2),)] = x
    out[(slice(None),) * dim + (slice(1, None, 2),)] = x.flip(dim)
    return out


@operation(_draw_part, ranks=(2,))
def write_through_transpose(x, *, axis, part):
    y = x * 1.0
    y.transpose(2, 3).narrow(3 - axis, part[0], part[1] - part[0]).fill_(0.5)
    return y


@operation(_draw_part)
def slice_scatter(x, *, axis, part):
    dim, width = 2 + axis, part[1] - part[0]
    return x.slice_scatter(x.narrow(dim, x.shape[dim] - width, width) * 2, dim, *part)


@operation(
    lambda rng, shape: {
        "axis": (n := axis(rng, shape)),
        "to": rng.randrange(shape[2 + n]),
        "of": rng.randrange(shape[2 + n]),
    }
)
def select_scatter(x, *, axis, to, of):
    return x.select_scatter(x.select(2 + axis, of) * 2, 2 + axis, to)


@operation(_draw_places)
def index_copy(x, *, axis, places):
    at = torch.tensor(sorted(set(places)), device=x.device)
    source = x.flip(2 + axis).narrow(2 + axis, 0, len(at))
    return x.index_copy(2 + axis, at, source)


@operation(_draw_places)
def index_add(x, *, axis, places):
    at = torch.tensor(sorted(set(places)), device=x.device)
    return x.index_add(2 + axis, at, x.narrow(2 + axis, 0, len(at)))


@operation(_draw_places)
def index_fill(x, *, axis, places):
    return x.index_fill(2 + axis, torch.tensor(places, device=x.device), 0.5)


@operation(lambda rng, _: {"diagonal": rng.randint(-3, 3), "upper": rng.random() < 0.5}, ranks=(2,))
def triangle(x, *, diagonal, upper):
    # a gate behind it would vanish with the zeros, which is right and hides what is to be tested
    return (x.triu(diagonal) if upper else x.tril(diagonal)) + 0.5


@operation(_draw_part)
def masked_fill(x, *, axis, part):
    """A mask that is counted in the forward."""
    places = torch.arange(x.shape[2 + axis], device=x.device)
    mask = (places >= part[0]) & (places < part[1])
    return x.masked_fill(mask.view([-1] + [1] * (x.ndim - 3 - axis)), 0.5)


@operation(_draw_part)
def where(x, *, axis, part):
    """Of two values each, chosen by a mask that is counted in the forward."""
    places = torch.arange(x.shape[2 + axis], device=x.device)
    mask = (places < part[0]).view([-1] + [1] * (x.ndim - 3 - axis))
    return torch.where(mask, x, x.roll(1, 2 + axis))


# ------------------------------------------------------------------------------ put together


@operation(_draw_part)
def cat_parts(x, *, axis, part):
    """The end of an axis before its beginning."""
    dim = 2 + axis
    return torch.cat([x.narrow(dim, part[0], x.shape[dim] - part[0]), x.narrow(dim, 0, part[0])], dim)


@operation(lambda rng, shape: {"axis": axis(rng, shape), "is_before": rng.random() < 0.5})
def cat_constant(x, *, axis, is_before):
    """A class token: a place that sees nothing."""
    token = x.new_ones(x.narrow(2 + axis, 0, 1).shape)
    return torch.cat([token, x] if is_before else [x, token], 2 + axis)


@operation(_draw_axis, lambda shape, **_: [(shape[1], shape[1], *[3] * (len(shape) - 2))])
def cat_conv(x, w, *, axis):
    """An axis continued by what a convolution makes of it."""
    return torch.cat([x, getattr(F, f"conv{x.ndim - 2}d")(x, w, padding=1)], 2 + axis)


@operation(_draw_axis)
def stacked(x, *, axis):
    """Two places of one."""
    return torch.stack([x, x.flip(2 + axis)], 3 + axis).flatten(2 + axis, 3 + axis)


@operation(_draw_axis)
def unbound(x, *, axis):
    """The places taken one by one and put together backwards."""
    return torch.stack(list(reversed(x.unbind(2 + axis))), 2 + axis)


@operation(lambda rng, shape: {"axis": axis(rng, shape), "width": rng.randint(1, 4)})
def split_and_joined(x, *, axis, width):
    return torch.cat(list(reversed(x.split(width, 2 + axis))), 2 + axis)


@operation()
def coordinates(x):
    """The place along the last axis as a channel (1807.03247)."""
    line = torch.linspace(-1, 1, x.shape[-1], device=x.device).expand_as(x[:, :1])
    return torch.cat([x, line], 1)


@operation(
    lambda _, shape: {} if shape[1] % 2 == 0 else None,
    lambda shape: [(shape[1] // 2, 1, *[3] * (len(shape) - 2)), (shape[1] // 2,)],
)
def shuffle_unit(x, w, b):
    """Half of the channels through a convolution, then shuffled (1807.11164)."""
    kept, worked = x.chunk(2, 1)
    worked = getattr(F, f"conv{x.ndim - 2}d")(worked, w, b, padding=1, groups=worked.shape[1])
    out = torch.cat([kept, worked], 1)
    return out.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)


@operation(lambda _, shape: {} if all(n % 2 == 0 for n in shape[2:]) else None, ranks=(2,), digits="spread")
def space_to_depth(x):
    """Four phases of an image as channels, as YOLOv5's focus layer has them."""
    return torch.cat([x[..., a::2, b::2] for a in (0, 1) for b in (0, 1)], 1)


@operation(_draw_axis)
def difference(x, *, axis):
    return x.diff(dim=2 + axis)


@operation(_draw_axis)
def neighbours(x, *, axis):
    """Each place and the next one, by slices."""
    dim = 2 + axis
    return x.narrow(dim, 0, x.shape[dim] - 1) + 0.5 * x.narrow(dim, 1, x.shape[dim] - 1)
