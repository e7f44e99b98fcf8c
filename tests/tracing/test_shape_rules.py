"""Every shape rule against its meta kernel, over arguments that fit and arguments that do not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from inception_lab.running.layouts import Layout
from inception_lab.tracing.shape_rules import RULES, output_layouts

aten = torch.ops.aten
FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
ERROR = "the kernel raised"
FEW = settings(max_examples=30, deadline=None, derandomize=True)
MANY = settings(max_examples=60, deadline=None, derandomize=True)

sizes = st.integers(1, 5)
float_types = st.sampled_from(FLOATS)


def meta(*shape, dtype=torch.float32):
    return torch.empty(shape, dtype=dtype, device="meta")


def outline(out):
    """Shape, strides and dtype of a tensor or a layout, of each where there are several."""
    if isinstance(out, Tensor):
        return tuple(out.shape), out.stride(), out.dtype
    if isinstance(out, Layout):
        return out.shape, out.strides, out.dtype
    return None if out is None else tuple(map(outline, out))


def by_kernel(op, args):
    try:
        out = outline(op(*args))
    except Exception:
        return ERROR
    if op is aten.native_batch_norm_backward.default:  # see TestBatchNormBackward
        mask = args[9]
        return tuple(gradient if needed else None for gradient, needed in zip(out, mask, strict=True))
    return out


# --------------------------------------------------------------- arguments that a rule must answer


def per_axis(axes, numbers):
    """A list of one number for all axes, or of one for each."""
    return st.one_of(*(st.lists(numbers, min_size=n, max_size=n) for n in {1, axes}))


def spread(numbers, axes):
    return numbers if len(numbers) == axes else numbers * axes


@st.composite
def convolution(draw):
    axes, dtype = draw(st.integers(1, 3)), draw(float_types)
    stride, padding, dilation = (
        draw(per_axis(axes, st.integers(low, 3))) for low in (1, 0, 1)
    )  # fmt: skip
    kernel = [draw(st.integers(1, 3)) for _ in range(axes)]
    groups, inside, outside = draw(sizes), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, spread(dilation, axes), strict=True)]
    image = [draw(st.integers(r, r + 6)) for r in reach]
    x = meta(draw(sizes), groups * inside, *image, dtype=dtype)
    weight = meta(groups * outside, inside, *kernel, dtype=dtype)
    bias = meta(groups * outside, dtype=dtype) if draw(st.booleans()) else None
    return [x, weight, bias, stride, padding, dilation, False, [0] * axes, groups]


@st.composite
def convolution_backward(draw):
    x, weight, bias, *rest = draw(convolution())
    grad = aten.convolution.default(x, weight, bias, *rest)
    mask = [draw(st.booleans()), draw(st.booleans()), bias is not None and draw(st.booleans())]
    return [grad, x, weight, [weight.shape[0]] if bias is not None else None, *rest, mask]


def window(axes, with_dilation):
    @st.composite
    def arguments(draw):
        kernel = draw(per_axis(axes, st.integers(1, 4)))
        wide = spread(kernel, axes)
        stride = draw(st.one_of(st.just([]), per_axis(axes, st.integers(1, 4))))
        padding = [draw(st.integers(0, k // 2)) for k in wide]
        x = meta(
            draw(sizes), draw(sizes), *(draw(st.integers(k, k + 7)) for k in wide), dtype=draw(float_types)
        )
        more = (
            [draw(st.booleans())] if not with_dilation else [draw(st.sampled_from([[1], [1] * axes])), False]
        )
        if with_dilation:
            more[1] = draw(st.booleans())
        else:
            more += [draw(st.booleans()), draw(st.sampled_from([None, 1, 3]))]
        args = [x, kernel, stride, padding, *more]
        return args[: draw(st.integers(2, len(args)))]

    return arguments()


@st.composite
def tensor(draw, low=0):
    return meta(*draw(st.lists(sizes, min_size=low, max_size=5)), dtype=draw(float_types))


@st.composite
def two_of_a_shape(draw):
    x = draw(tensor())
    return [x, draw(st.sampled_from([torch.empty_like(x), 2, 0.5, True]))]


@st.composite
def several(draw):
    first = draw(tensor(low=1))
    axis = draw(st.integers(-first.dim(), first.dim() - 1))
    shapes = [list(first.shape) for _ in range(draw(st.integers(1, 4)))]
    for shape in shapes[1:]:
        shape[axis] = draw(sizes)
    tensors = [meta(*shape, dtype=first.dtype) for shape in shapes]
    return [tensors, axis] if axis or draw(st.booleans()) else [tensors]


@st.composite
def mean(draw):
    x = draw(tensor(low=1))
    axes = draw(st.lists(st.integers(0, x.dim() - 1), min_size=1, unique=True))
    args = [x, [axis - x.dim() if draw(st.booleans()) else axis for axis in axes]]
    return [*args, draw(st.booleans())] if draw(st.booleans()) else args


@st.composite
def matrices(draw):
    n, k, m, dtype = draw(sizes), draw(sizes), draw(sizes), draw(float_types)
    b = meta(m, k, dtype=dtype).t() if draw(st.booleans()) else meta(k, m, dtype=dtype)
    return [meta(m, dtype=dtype), meta(n, k, dtype=dtype), b]


@st.composite
def batch_norm(draw, backward=False):
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    x = meta(*draw(st.lists(sizes, min_size=2, max_size=5)), dtype=dtype)

    def channels(present):
        return meta(x.shape[1], dtype=dtype) if present else None

    affine, has_statistics = draw(st.booleans()), draw(st.booleans())
    training = draw(st.booleans()) and x.numel() > x.shape[1]
    weight, mean, variance = channels(affine), *[channels(has_statistics or not training) for _ in range(2)]
    if not backward:
        return [x, weight, channels(affine), mean, variance, training, 0.1, 1e-5]
    mask = [draw(st.booleans()), *[affine and draw(st.booleans()) for _ in range(2)]]
    batch_statistics = [channels(True), channels(True)]
    return [torch.empty_like(x), x, weight, mean, variance, *batch_statistics, training, 1e-5, mask]


@st.composite
def pad(draw):
    x = draw(tensor(low=1))
    widths = draw(st.lists(st.integers(0, 3), min_size=1, max_size=x.dim()).filter(any))
    sides = [side for width in widths for side in (width, draw(st.integers(0, 2)))]
    return [x, sides] if draw(st.booleans()) else [x, sides, 0.0]


PLAIN = {
    aten.convolution.default: convolution(),
    aten.convolution_backward.default: convolution_backward(),
    aten.max_pool2d_with_indices.default: window(2, with_dilation=True),
    aten.avg_pool2d.default: window(2, with_dilation=False),
    aten.avg_pool3d.default: window(3, with_dilation=False),
    aten.relu.default: tensor().map(lambda x: [x]),
    aten.pow.Tensor_Scalar: st.tuples(tensor(), st.sampled_from([2, 0.75, True, -1])).map(list),
    aten.threshold_backward.default: tensor().map(lambda x: [x, torch.empty_like(x), 0]),
    aten.add.Tensor: two_of_a_shape(),
    aten.mul.Tensor: two_of_a_shape(),
    aten.div.Tensor: two_of_a_shape(),
    aten.cat.default: several(),
    aten.mean.dim: mean(),
    aten.addmm.default: matrices(),
    aten.native_batch_norm.default: batch_norm(),
    aten.native_batch_norm_backward.default: batch_norm(backward=True),
    aten.constant_pad_nd.default: pad(),
}
by_op = pytest.mark.parametrize("op", PLAIN, ids=str)


def test_every_rule_is_covered():
    assert set(PLAIN) == set(RULES)


@by_op
@FEW
@given(data=st.data())
def test_plain_arguments_are_answered_as_by_the_kernel(op, data):
    args = data.draw(PLAIN[op])
    expected = by_kernel(op, args)
    assert expected != ERROR
    assert outline(output_layouts(op, args, {})) == expected


# -------------------------------------------------------------------- arguments bent out of shape


def _transpose(x):
    return x.transpose(0, -1) if x.dim() > 1 else x.expand(2, *x.shape)


def _channels_last(x):
    last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.dim())
    return x.contiguous(memory_format=last) if last else x


def _resize(x):
    return meta(*x.shape[:-1], x.shape[-1] + 1, dtype=x.dtype) if x.dim() else meta(2, dtype=x.dtype)


BENT_TENSORS = (
    _transpose,
    _channels_last,
    _resize,
    lambda x: meta(x.shape[0] + 1, *x.shape[1:], dtype=x.dtype) if x.dim() else x,
    lambda x: meta(*x.shape[:1], 7, *x.shape[2:], dtype=x.dtype),
    lambda x: meta(0, *x.shape[1:], dtype=x.dtype),
    lambda x: meta(*x.shape[1:], dtype=x.dtype),
    lambda x: meta(1, *x.shape, dtype=x.dtype),
    lambda x: meta(*x.shape, 2, dtype=x.dtype)[..., 0],
    lambda x: meta(*x.shape[:-1], 1, dtype=x.dtype).expand(*x.shape[:-1], 3) if x.dim() else x,
    lambda x: meta(dtype=x.dtype),
    lambda x: meta(*x.shape, dtype=torch.int32),
    lambda x: meta(*x.shape, dtype=torch.complex64),
    lambda x: meta(*x.shape, dtype=torch.bfloat16 if x.dtype is torch.float32 else torch.float32),
)
wrong_numbers = st.lists(st.integers(-3, 5), max_size=6)


@st.composite
def bent(draw, op, args):
    """These arguments with one replaced by another that the operation's schema still allows."""
    place = draw(st.integers(0, len(args) - 1))
    value, kind = args[place], str(op._schema.arguments[place].type)
    return [*args[:place], draw(_another(value, kind)), *args[place + 1 :]]


def _another(value, kind):
    if kind.startswith("Optional[Tensor") and value is not None:
        return st.one_of(st.none(), _another(value, "Tensor"))
    if isinstance(value, Tensor):
        return st.sampled_from(BENT_TENSORS).map(lambda bend: bend(value))
    if kind == "List[Tensor]":
        return _other_tensors(value)
    if "List[int]" in kind:
        return st.one_of(wrong_numbers, st.none()) if "Optional" in kind else wrong_numbers
    if kind == "List[bool]":
        return st.lists(st.booleans(), min_size=3, max_size=3)
    if kind == "bool":
        return st.just(not value)
    if value is None:
        return st.just(0) if "int" in kind else st.none()
    return st.sampled_from([0, -1, 7]) if isinstance(value, int) else st.just(value)


@st.composite
def _other_tensors(draw, tensors):
    if not tensors:
        return [meta(2)]
    place = draw(st.integers(0, len(tensors) - 1))
    other = draw(st.sampled_from(BENT_TENSORS))(tensors[place])
    return draw(st.sampled_from([[], [*tensors[:place], other, *tensors[place + 1 :]]]))


@by_op
@MANY
@given(data=st.data())
def test_a_rule_answers_as_the_kernel_or_leaves_it_to_the_kernel(op, data):
    args = data.draw(PLAIN[op])
    for _ in range(data.draw(st.integers(1, 2))):
        args = data.draw(bent(op, args))
    actual = outline(output_layouts(op, args, {}))
    assert actual is None or actual == by_kernel(op, args)


@pytest.mark.parametrize(
    ("op", "args"),
    [
        (aten.convolution.default, [meta(1, 2, 5, 5), meta(3, 2, 3, 3), None, [0], [0], [1], False, [0], 1]),
        (aten.convolution.default, [meta(1, 2, 2, 2), meta(3, 2, 3, 3), None, [1], [0], [1], False, [0], 1]),
        (aten.convolution.default, [meta(1, 3, 5, 5), meta(3, 2, 3, 3), None, [1], [0], [1], False, [0], 1]),
        (aten.max_pool2d_with_indices.default, [meta(1, 2, 5, 5), [2], [1], [-1]]),
        (aten.max_pool2d_with_indices.default, [meta(1, 2, 5, 5), [2], [1], [2]]),
        (aten.max_pool2d_with_indices.default, [meta(1, 2, 5, 5), [0]]),
        (aten.max_pool2d_with_indices.default, [meta(1, 2, 5, 5), [5], [-1]]),
        (aten.max_pool2d_with_indices.default, [meta(1, 2, 5, 5), [2], [1], [0], [1, 1, 1]]),
        (aten.avg_pool2d.default, [meta(1, 2, 5, 5), [2], [0]]),
        (aten.avg_pool2d.default, [meta(1, 2, 5, 5), [2], [1], [0], False, True, 0]),
        (aten.avg_pool3d.default, [meta(1, 2, 5, 5, 5), [2], [1], [-1]]),
        (aten.cat.default, [[]]),
        (aten.cat.default, [[meta(2, 3), meta(2, 3)], 2]),
        (aten.cat.default, [[meta(2, 3), meta(2, 3)], -3]),
        (aten.cat.default, [[meta(2, 3, 4), meta(2, 3)], 2]),
        (aten.cat.default, [[meta(), meta()]]),
        (aten.addmm.default, [meta(4), meta(2, 3), meta(5, 4)]),
        (aten.native_batch_norm.default, [meta(2, 3, 4, 4), *[None] * 4, False, 0.1, 1e-5]),
        (aten.native_batch_norm.default, [meta(2, 3, 4, 4), meta(4), *[None] * 3, True, 0.1, 1e-5]),
        (aten.constant_pad_nd.default, [meta(2, 3), [1, 1, 1]]),
        (aten.constant_pad_nd.default, [meta(2, 3), [1] * 6]),
        (aten.constant_pad_nd.default, [meta(2, 3), [-5, 4]]),
        (aten.add.Tensor, [meta(2, 3), meta(2, 4)]),
    ],
)
def test_what_the_kernel_refuses_is_left_to_it(op, args):
    assert by_kernel(op, args) == ERROR
    assert output_layouts(op, args, {}) is None


@pytest.mark.parametrize("layout", ["channels_last", "transposed", "integer", "on the cpu", "empty"])
def test_only_plain_tensors_are_answered(layout):
    x = {
        "channels_last": meta(2, 3, 4, 4).contiguous(memory_format=torch.channels_last),
        "transposed": meta(3, 2).t(),
        "integer": meta(2, 3, dtype=torch.int64),
        "on the cpu": torch.zeros(2, 3),
        "empty": meta(2, 0),
    }[layout]
    assert output_layouts(aten.relu.default, [x], {}) is None
    assert output_layouts(aten.relu.default, [meta(2, 3)], {}) is not None


def test_keyword_arguments_and_unknown_operations_are_left_to_the_kernel():
    assert output_layouts(aten.add.Tensor, [meta(2), meta(2)], {"alpha": 2}) is None
    assert output_layouts(aten.neg.default, [meta(2)], {}) is None


@by_op
def test_no_output_of_an_operation_with_a_rule_shares_storage(op):
    assert not op.is_view
    assert not op._schema.is_mutable
    assert all(argument.alias_info is None for argument in op._schema.arguments)


class TestBatchNormBackward:
    """The meta kernel makes the input's gradient even where the mask excludes it; real kernels do not."""

    @pytest.mark.parametrize("training", [True, False])
    @pytest.mark.parametrize(
        "mask", [[False, True, True], [True, True, True], [True, False, False], [False, False, False]]
    )
    def test_gives_what_the_cpu_kernel_gives(self, training, mask):
        def args(device):
            x, channels = torch.ones(2, 3, 4, 4, device=device), torch.ones(3, device=device)
            return [x, x.clone(), *[channels.clone() for _ in range(5)], training, 1e-5, mask]

        op = aten.native_batch_norm_backward.default
        assert outline(output_layouts(op, args("meta"), {})) == outline(op(*args("cpu")))
