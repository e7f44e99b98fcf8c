"""Element types that a real run refuses, refused in its words; all others taken."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from support.pricing import Function

import inception_lab as il
from inception_lab.errors import InceptionLabError

DTYPES = {
    "f32": torch.float32, "f64": torch.float64, "i64": torch.int64, "i32": torch.int32,
    "bool": torch.bool, "c64": torch.complex64,
}  # fmt: skip

BINARY = {
    "mm": (torch.mm, (2, 3), (3, 4)),
    "bmm": (torch.bmm, (1, 2, 3), (1, 3, 4)),
    "mv": (torch.mv, (2, 3), (3,)),
    "dot": (torch.dot, (3,), (3,)),
    "matmul": (torch.matmul, (5, 2, 3), (3, 4)),
    "linear": (F.linear, (2, 3), (4, 3)),
    "conv1d": (F.conv1d, (1, 3, 8), (4, 3, 3)),
    "conv2d": (lambda x, w: F.conv2d(x, w, padding=2, stride=2), (1, 3, 8, 8), (4, 3, 3, 3)),
    "grouped conv": (lambda x, w: F.conv2d(x, w, groups=3), (1, 3, 8, 8), (6, 1, 3, 3)),
    "transposed conv": (F.conv_transpose2d, (1, 3, 8, 8), (3, 4, 3, 3)),
    "add": (torch.add, (2, 3), (3,)),
    "cat": (lambda x, y: torch.cat([x, y]), (2, 3), (4, 3)),
    "stack": (lambda x, y: torch.stack([x, y]), (2, 3), (2, 3)),
    "where": (lambda x, y: torch.where(x > 0, x, y), (2, 3), (2, 3)),
    "bitwise": (torch.bitwise_and, (2, 3), (2, 3)),
    "embedding": (F.embedding, (2, 3), (5, 4)),
    "index": (lambda x, i: x[i], (4, 3), (2,)),
    "index_select": (lambda x, i: x.index_select(0, i), (4, 3), (2,)),
    "gather": (lambda x, i: x.gather(0, i), (4, 3), (2, 3)),
    "index_add": (lambda x, y: x.index_add(0, torch.zeros(2, dtype=torch.int64), y), (4, 3), (2, 3)),
    "index_copy": (lambda x, y: x.index_copy(0, torch.zeros(2, dtype=torch.int64), y), (4, 3), (2, 3)),
    "layer norm": (lambda x, w: F.layer_norm(x, [3], w), (2, 3), (3,)),
    "group norm": (lambda x, w: F.group_norm(x, 2, w), (2, 4, 5), (4,)),
    "batch norm": (lambda x, m: F.batch_norm(x, m, m * m + m), (2, 3, 4, 4), (3,)),
    "grid_sample": (lambda x, g: F.grid_sample(x, g, align_corners=False), (1, 3, 8, 8), (1, 4, 4, 2)),
    "cross_entropy": (F.cross_entropy, (4, 3), (4,)),
    "mse_loss": (F.mse_loss, (4,), (4,)),
    "cdist": (torch.cdist, (2, 3), (4, 3)),
    "attention": (lambda q, k: F.scaled_dot_product_attention(q, k, k), (1, 2, 4, 8), (1, 2, 4, 8)),
    "masked_fill": (lambda x, m: x.masked_fill(m, 0), (2, 3), (2, 3)),
    "lerp": (lambda x, y: torch.lerp(x, y, 0.5), (2,), (2,)),
    "prelu": (F.prelu, (2, 3), (3,)),
    "addmm": (lambda x, b: torch.addmm(b, x, torch.ones(3, 4)), (2, 3), (4,)),
    "einsum": (lambda x, y: torch.einsum("ij,kj->ik", x, y), (2, 3), (4, 3)),
}  # fmt: skip
UNARY = {
    "softmax": lambda x: F.softmax(x, 1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, padding=1),
    "max_pool2d": lambda x: F.max_pool2d(x, 3, padding=1),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, 2),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x: F.interpolate(x, size=(5, 5), mode="bilinear"),
    "gelu": F.gelu,
    "relu": F.relu,
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "layer_norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "cumsum": lambda x: x.cumsum(1),
    "mean": torch.mean,
    "var": torch.var,
    "sort": lambda x: x.sort(1)[0],
    "pad": lambda x: F.pad(x, (1, 1, 1, 1)),
    "reflect": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "dropout": lambda x: F.dropout(x, 0.5, training=False),
    "clamp": lambda x: x.clamp(min=0),
    "flip": lambda x: x.flip(1),
}


def refusal(function, tensors, **options):
    """The error of a trace without data, None where it takes the tensors."""
    try:
        il.trace(Function(function), tensors, meta_only=True, **options)
    except InceptionLabError as error:
        return str(error)
    return None


def reality(function, tensors):
    """The first line of what a real run raises, None where it runs."""
    try:
        function(*(tensor.clone() for tensor in tensors))
    except Exception as error:
        return str(error).splitlines()[0]
    return None


def assert_as_in_reality(function, tensors, **options):
    expected, actual = reality(function, tensors), refusal(function, tensors, **options)
    assert (actual is None) == (expected is None), (expected, actual)


def zeros(shape, dtype):
    return torch.zeros(shape, dtype=DTYPES[dtype])


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("name", BINARY)
def test_two_tensors_pass_where_a_real_run_takes_them(name, device):
    function, *shapes = BINARY[name]
    for pair in product(DTYPES, repeat=2):
        tensors = [zeros(shape, dtype) for shape, dtype in zip(shapes, pair, strict=True)]
        assert_as_in_reality(function, tensors, device=device)


# of complex numbers, which PyTorch asks its kernel about with a tensor of one element
@pytest.mark.filterwarnings("ignore:var")
@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("name", UNARY)
def test_one_tensor_passes_where_a_real_run_takes_it(name, device):
    for dtype in DTYPES:
        assert_as_in_reality(UNARY[name], [zeros((2, 3, 8, 8), dtype)], device=device)


@pytest.mark.parametrize(
    ("function", "dtypes"),
    [
        (torch.addmm, (torch.float64, torch.float32, torch.float32)),
        (torch.addmm, (torch.float32, torch.float64, torch.float32)),
        (torch.addmm, (torch.float32, torch.float32, torch.float64)),
    ],
    ids=["bias", "first", "second"],
)
def test_a_product_of_two_precisions_is_refused_in_the_words_of_a_real_run(function, dtypes):
    shapes = (256,), (4096, 4096), (4096, 256)  # more than a second's work: no real run tells
    tensors = [torch.zeros(shape, dtype=dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    small = [torch.zeros((1,) * tensor.dim(), dtype=tensor.dtype) for tensor in tensors]
    assert reality(function, small) in refusal(function, tensors)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_beside_weights_of_a_norm_passes(dtype):
    x = torch.zeros(2, 3, 4, 4, dtype=dtype)
    assert refusal(lambda x: F.batch_norm(x, torch.zeros(3), torch.ones(3)), [x]) is None
    assert refusal(lambda x: F.conv2d(x, torch.zeros(3, 3, 3, 3, dtype=dtype)), [x]) is None


def test_random_numbers_are_not_drawn_for_a_check():
    def draws(x):
        return torch.rand(3) + torch.bernoulli(x.to(torch.float64)) + torch.dropout(x, 0.5, True)

    torch.manual_seed(3)
    state = torch.get_rng_state()
    assert refusal(draws, [torch.zeros(3)]) is None
    assert torch.equal(state, torch.get_rng_state())
