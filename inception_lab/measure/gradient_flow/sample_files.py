"""Samples in files, images and tensors, read as tensors of one shape."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from inception_lab.errors import InceptionLabError, first_line

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp"})
TENSOR_HINT = "save samples as .npy or .pt files, each with one tensor of the shape"
_IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")


def standardised(sample: Tensor) -> Tensor:
    """Return a sample with mean 0 and variance 1; zeros where all of its values are the same.

    Example:
        >>> standardised(torch.tensor([1.0, 3.0])), standardised(torch.tensor([0.1, 0.1, 0.1]))
        (tensor([-1.,  1.]), tensor([0., 0., 0.]))
    """
    low, high = sample.aminmax()
    if low == high:  # the mean may be a rounding away from them, which a division would blow up
        return torch.zeros_like(sample)
    centred = sample - sample.mean()
    return centred.div_(centred.norm() / sample.numel() ** 0.5)


def read_sample(path: Path, shape: tuple[int, ...]) -> Tensor:
    """Read a sample, an image resized to the shape and standardised, a tensor as it is.

    Args:
        path: An image (.png, .jpg, .jpeg, .bmp, .webp), or a tensor of numpy.save (.npy) or torch.save (.pt).
        shape: Of the sample; of an image 1 or 3 channels, height and width.

    Returns:
        A tensor of 32-bit floats.

    Raises:
        InceptionLabError: It cannot be read, is damaged, or holds anything but a tensor of the shape.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     np.save(Path(folder, "cat.npy"), np.arange(3))
        ...     read_sample(Path(folder, "cat.npy"), (3,))
        tensor([0., 1., 2.])
    """
    try:
        return READERS[path.suffix.lower()](path, shape)
    except Exception as error:  # libraries raise errors of many types over damaged files
        hint = "put a sound file in its place, or take it out of the folder"
        raise InceptionLabError(f"cannot be read: {_reason(error)}", where=str(path), hint=hint) from error


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is not a PNG, JPEG, BMP or WebP image"
    if isinstance(error, pickle.UnpicklingError):  # torch would advise to unpickle it all the same
        return "it is damaged, or holds pickled objects other than a tensor"
    if isinstance(error, EOFError):
        return "it is empty or cut short"
    # torch goes on with guesses and addresses
    return getattr(error, "strerror", None) or first_line(error).split(". ")[0]


def _image(path: Path, shape: tuple[int, ...]) -> Tensor:
    from PIL import Image

    channels, height, width = shape
    # the formats are named, as Pillow runs other programs for some of the rest
    with Image.open(path, formats=_IMAGE_FORMATS) as image:
        image.info.pop("transparency", None)  # it is left out, and Pillow would warn of some
        converted = image.convert(_mode(image.mode, channels))
    resized = converted.resize((width, height), Image.Resampling.BILINEAR)
    values = torch.from_numpy(np.array(resized, np.float32)).reshape(height, width, -1)
    # their range, 0 to 255 or 65,535, makes no difference to the outcome
    return standardised(values.permute(2, 0, 1).expand(shape))


def _mode(mode: str, channels: int) -> str:
    """Pillow's mode for an image: floats for 16 bits, as its modes of 8 bits would cut them off at 255."""
    if mode.startswith("I"):
        return "F"
    return "L" if channels == 1 else "RGB"


def _numpy_tensor(path: Path, shape: tuple[int, ...]) -> Tensor:
    with path.open("rb") as file:
        values = np.lib.format.read_array(file, allow_pickle=False)
    if values.dtype.kind not in "iuf":
        raise _refusal(f"values of type {values.dtype}")
    # numpy converts what torch has no type for, such as another order of bytes
    return _of_shape(torch.from_numpy(values.astype(np.float32)), shape)


def _torch_tensor(path: Path, shape: tuple[int, ...]) -> Tensor:
    value: Any = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(value, Tensor):
        raise _refusal(f"a {type(value).__name__}")
    if value.is_complex() or value.dtype == torch.bool:
        raise _refusal(f"values of type {str(value.dtype).removeprefix('torch.')}")
    return _of_shape(value.detach().to("cpu", torch.float32), shape)


def _refusal(content: str) -> ValueError:
    return ValueError(f"it holds {content}, not one tensor of floating or whole numbers")


def _of_shape(value: Tensor, shape: tuple[int, ...]) -> Tensor:
    if value.shape != shape:
        raise ValueError(f"it is of shape {shape_text(value.shape)}, not {shape_text(shape)}")
    return value


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape as 3x224x224.

    Example:
        >>> shape_text((3, 224, 224)), shape_text(())
        ('3x224x224', 'one number')
    """
    return "x".join(map(str, shape)) or "one number"


READERS: Mapping[str, Callable[[Path, tuple[int, ...]], Tensor]] = {
    **dict.fromkeys(IMAGE_SUFFIXES, _image),
    ".npy": _numpy_tensor,
    ".pt": _torch_tensor,
}
"""The reader of each kind of file, by its suffix in small letters."""
