"""Samples in files: images, which are resized and standardised, and tensors, which are taken as they are."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.nn import functional

from inception_lab.errors import USAGE, InceptionLabError
from inception_lab.measure.gradient_flow.sample_files import read_sample, standardised

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def image_file(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


def tensor_file(path, values):
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        torch.save(values, path)
    return path


def by_hand(pixels):
    """C x H x W in double precision, from 0 to 1 and then of mean 0 and variance 1."""
    values = np.moveaxis(np.atleast_3d(pixels).astype(np.float64) / 255, 2, 0)
    return torch.from_numpy((values - values.mean()) / values.std()).float()


@settings(deadline=None)
@given(st.floats(-1e6, 1e6, width=32), st.integers(1, 1000))
def test_equal_values_are_standardised_to_zeros(value, count):
    assert not standardised(torch.full((count,), value)).any()


def test_an_image_is_channels_by_height_by_width(tmp_path):
    sample = read_sample(image_file(tmp_path / "x.png", PIXELS), (3, 6, 8))
    assert sample.dtype == torch.float32
    torch.testing.assert_close(sample, by_hand(PIXELS))


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".bmp", ".webp", ".PNG"])
def test_images_of_all_formats_are_read(tmp_path, suffix):
    halves = np.full((6, 8, 3), 90, np.uint8)
    halves[:, 4:] = 200  # so few details that lossy formats keep them
    sample = read_sample(image_file(tmp_path / f"x{suffix}", halves), (3, 6, 8))
    torch.testing.assert_close(sample, by_hand(halves), atol=0.1, rtol=0)


def resized(pixels, size, antialias):
    """Pixels as torch resizes them, which knows nothing of Pillow."""
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    image = functional.interpolate(image, size, mode="bilinear", antialias=antialias)
    return image[0].permute(1, 2, 0).numpy()


def test_images_are_resized_to_height_and_width_with_antialiasing(tmp_path):
    sample = read_sample(image_file(tmp_path / "x.png", PIXELS), (3, 2, 3))
    torch.testing.assert_close(sample, by_hand(resized(PIXELS, (2, 3), True)), atol=0.05, rtol=0)
    assert (sample - by_hand(resized(PIXELS, (2, 3), False))).abs().max() > 0.5


def test_images_are_grey_for_one_channel(tmp_path):
    weights = np.array([0.299, 0.587, 0.114])  # of ITU-R 601-2, which Pillow names for its conversion
    sample = read_sample(image_file(tmp_path / "x.png", PIXELS), (1, 6, 8))
    torch.testing.assert_close(sample, by_hand(PIXELS @ weights), atol=0.02, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("dtype", "factor"), [(np.uint8, 1), (np.uint16, 257)])
def test_grey_images_of_8_and_of_16_bits_keep_their_values(tmp_path, channels, dtype, factor):
    grey = PIXELS[..., 0]
    path = image_file(tmp_path / "x.png", grey.astype(dtype) * dtype(factor))
    torch.testing.assert_close(read_sample(path, (channels, 6, 8)), by_hand(np.dstack([grey] * channels)))


@pytest.mark.filterwarnings("error")
def test_transparency_is_left_out(tmp_path):
    image = Image.fromarray(PIXELS).quantize(16)
    image.save(tmp_path / "x.png", transparency=bytes(range(16)))
    sample = read_sample(tmp_path / "x.png", (3, 6, 8))
    torch.testing.assert_close(sample, by_hand(np.array(image.convert("RGB"))))


def test_an_image_of_one_colour_is_zero(tmp_path):
    path = image_file(tmp_path / "x.png", np.full((6, 8), 77, np.uint8))
    assert read_sample(path, (3, 5, 7)).tolist() == np.zeros((3, 5, 7)).tolist()


@pytest.mark.parametrize(
    "values",
    [torch.arange(6).reshape(2, 3), torch.rand(2, 3).bfloat16(), nn.Parameter(torch.rand(2, 3)),
     np.arange(6, dtype=">i2").reshape(2, 3), np.random.default_rng(0).random((2, 3))],
    ids=["int64", "bfloat16", "parameter", "big-endian", "float64"],
)  # fmt: skip
def test_tensors_are_taken_as_they_are(tmp_path, values):
    suffix = ".pt" if isinstance(values, torch.Tensor) else ".npy"
    sample = read_sample(tensor_file(tmp_path / f"x{suffix}", values), (2, 3))
    assert (sample.dtype, sample.requires_grad) == (torch.float32, False)
    assert sample.tolist() == np.asarray(values.tolist(), np.float32).tolist()


class Foreign:
    """An object that only code can make."""


def write_unreadable(path, fault):
    if fault == "empty":
        path.touch()
    elif fault == "garbage":
        path.write_bytes(b"garbage" * 40)
    elif fault == "cut":
        image_file(path, PIXELS) if path.suffix == ".png" else tensor_file(path, torch.rand(3, 6, 8))
        path.write_bytes(path.read_bytes()[:-100])
    elif fault == "pickled":
        tensor_file(path, Foreign() if path.suffix == ".pt" else np.array([Foreign()]))


@pytest.mark.parametrize(
    ("name", "fault", "reason"),
    [
        ("x.png", "missing", "No such file or directory"),
        ("x.png", "empty", "it is not a PNG, JPEG, BMP or WebP image"),
        ("x.jpg", "garbage", "it is not a PNG, JPEG, BMP or WebP image"),
        ("x.png", "cut", "image file is truncated"),
        ("x.npy", "missing", "No such file or directory"),
        ("x.npy", "empty", "EOF: reading magic string, expected 8 bytes got 0"),
        ("x.npy", "garbage", "the magic string is not correct"),
        ("x.npy", "cut", "Failed to read all data for array"),
        ("x.npy", "pickled", "Object arrays cannot be loaded when allow_pickle=False"),
        ("x.pt", "missing", "No such file or directory"),
        ("x.pt", "empty", "it is empty or cut short"),
        ("x.pt", "garbage", "it is damaged, or holds pickled objects other than a tensor"),
        ("x.pt", "cut", "PytorchStreamReader failed reading zip archive: failed finding central directory;"),
        ("x.pt", "pickled", "it is damaged, or holds pickled objects other than a tensor"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_reason(tmp_path, name, fault, reason):
    path = tmp_path / name
    write_unreadable(path, fault)
    assert refusal(path).startswith(f"{path}: cannot be read: {reason}")


def test_an_image_of_another_format_is_refused_under_a_name_of_one_of_these(tmp_path):
    """As some formats have Pillow run other programs."""
    Image.fromarray(PIXELS).save(tmp_path / "x.png", format="GIF")
    assert "it is not a PNG, JPEG, BMP or WebP image" in refusal(tmp_path / "x.png")


def refusal(path):
    """The one line of the error of a file that is no sample of 3x6x8."""
    with pytest.raises(InceptionLabError) as error:
        read_sample(path, (3, 6, 8))
    assert error.value.exit_code == USAGE
    assert error.value.hint == "put a sound file in its place, or take it out of the folder"
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("x.npy", np.zeros((3, 8, 6)), "it is of shape 3x8x6, not 3x6x8"),
        ("x.npy", np.zeros((3, 6, 8), bool), "it holds values of type bool, not one tensor"),
        ("x.npy", np.array(["text"]), "it holds values of type <U4, not one tensor"),
        ("x.pt", torch.tensor(1.0), "it is of shape one number, not 3x6x8"),
        ("x.pt", {"image": torch.zeros(3, 6, 8)}, "it holds a dict, not one tensor"),
        ("x.pt", torch.zeros(3, 6, 8, dtype=torch.complex64), "it holds values of type complex64"),
        ("x.pt", torch.zeros(3, 6, 8, dtype=torch.bool), "it holds values of type bool"),
    ],
)
def test_a_file_with_anything_but_a_tensor_of_the_shape_is_refused(tmp_path, name, values, reason):
    assert reason in refusal(tensor_file(tmp_path / name, values))


def test_a_file_that_may_not_be_read_is_named(tmp_path):
    """As opening a folder fails in the same way, whoever the user is."""
    (tmp_path / "x.npy").mkdir()
    assert "x.npy: cannot be read: Is a directory;" in refusal(tmp_path / "x.npy")
