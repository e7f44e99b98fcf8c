"""Labelled samples to train on: made ones, which need no download, and those of a user's folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Generator, Tensor
from torch.nn import functional

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.files import path_from
from inception_lab.measure.gradient_flow.sample_files import (
    IMAGE_SUFFIXES,
    READERS,
    TENSOR_HINT,
    read_sample,
    shape_text,
    standardised,
)
from inception_lab.running.random_numbers import stream


class Batch(NamedTuple):
    """Samples with their labels.

    Attributes:
        samples: N x shape, of 32-bit floats on the CPU.
        labels: N numbers of classes, of 64-bit integers on the CPU.
    """

    samples: Tensor
    labels: Tensor


class Samples(Protocol):
    """Labelled samples of one shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample, without the batch."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each class; a label is a place among them."""

    @property
    def name(self) -> str:
        """The samples as outputs name them."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def batch(self, numbers: Sequence[int]) -> Batch:
        """Return the samples of these numbers, counted from 0."""


_COARSE = 4
"""Values of a pattern along each axis, before it is interpolated to the size of a sample."""
_INTERPOLATIONS = ("linear", "bilinear", "trilinear")


@dataclass(frozen=True)
class MadeSamples:
    """Samples that are made from their numbers alone: a smooth pattern of the class, shifted, with noise.

    A sample is the pattern of its class rolled by a random amount along each axis of space, with noise of
    half its standard deviation, brought to mean 0 and variance 1. Samples of one axis have a class vector
    for it. torch's global random state has no part in them. The pattern of each class is kept in memory.

    Attributes:
        shape: Channels and up to three axes of space.
        class_count: Number of classes, which take turns.
        count: Number of samples.

    Raises:
        InceptionLabError: No samples can be made of these values (exit code 2).

    Example:
        >>> made = MadeSamples((3, 32, 32), class_count=4)
        >>> made.name, len(made), made.batch([0, 1, 5]).labels
        ('made samples of 4 classes', 1024, tensor([0, 1, 1]))
        >>> made.batch([0, 1, 5]).samples.shape
        torch.Size([3, 3, 32, 32])
    """

    shape: tuple[int, ...]
    class_count: int = 10
    count: int = 1024

    def __post_init__(self) -> None:
        if not 1 <= len(self.shape) <= 1 + len(_INTERPOLATIONS) or min(self.shape) < 1:
            hint = "made ones have channels and up to 3 axes of space; name a folder of samples"
            raise InceptionLabError(f"no samples of shape {shape_text(self.shape)} can be made", hint=hint)
        if self.class_count < 2 or self.count < 1:
            what = f"{self.count:,} samples of {self.class_count:,} classes"
            raise InceptionLabError(what, hint="take 2 classes or more, and 1 sample or more")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names with the numbers of the classes."""
        return tuple(f"class {label}" for label in range(self.class_count))

    @property
    def name(self) -> str:
        """The samples as outputs name them."""
        return f"made samples of {self.class_count:,} classes"

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.count

    def batch(self, numbers: Sequence[int]) -> Batch:
        """Return the samples of these numbers, counted from 0."""
        numbers = [range(self.count)[number] for number in numbers]  # an IndexError for others
        return _batch(map(self._sample, numbers), (number % self.class_count for number in numbers))

    def _sample(self, number: int) -> Tensor:
        generator = Generator().manual_seed(stream(number, "sample"))
        pattern = self._cached_pattern(number % self.class_count)
        axes = range(1, len(self.shape))
        shifts = [int(torch.randint(self.shape[x], (), generator=generator, device="cpu")) for x in axes]
        noise = _normal(self.shape, generator).mul_(0.5)
        return standardised(noise.add_(pattern.roll(shifts, tuple(axes)) if shifts else pattern))

    def _cached_pattern(self, label: int) -> Tensor:
        if label not in self._patterns:
            self._patterns[label] = self._pattern(label)
        return self._patterns[label]

    @cached_property
    def _patterns(self) -> dict[int, Tensor]:
        """Patterns by class: no field, and so no part of what the samples equal."""
        return {}

    def _pattern(self, label: int) -> Tensor:
        sizes = self.shape[1:]
        coarse = _normal(
            (self.shape[0], *(min(size, _COARSE) for size in sizes)),
            Generator().manual_seed(stream(label, "pattern")),
        )
        if sizes:
            coarse = functional.interpolate(coarse[None], sizes, mode=_INTERPOLATIONS[len(sizes) - 1])[0]
        return standardised(coarse)


def _normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    # a user may have set another default
    return torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu")


def _batch(samples: Iterable[Tensor], labels: Iterable[int]) -> Batch:
    return Batch(torch.stack([*samples]), torch.tensor([*labels], dtype=torch.int64, device="cpu"))


_LAYOUT = "name a folder with a folder for each class, as in flowers/rose/1.jpg and flowers/tulip/1.jpg"


@dataclass(frozen=True)
class _FolderSamples:
    """Samples in files, each read when a batch has it."""

    shape: tuple[int, ...]
    classes: tuple[str, ...]
    name: str
    files: tuple[Path, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.files)

    def batch(self, numbers: Sequence[int]) -> Batch:
        """Return the samples of these numbers, read from their files."""
        samples = (read_sample(self.files[number], self.shape) for number in numbers)
        return _batch(samples, (self.labels[number] for number in numbers))


@checked
def folder_samples(folder: Path, shape: tuple[int, ...]) -> Samples:
    """Return the samples of a folder with a folder for each class.

    Images (.png, .jpg, .jpeg, .bmp, .webp) are resized and brought to mean 0 and variance 1; tensors (.npy,
    .pt) are of the shape, and taken as they are. Other files and hidden ones are left out. A file is read
    when a batch has it.

    Args:
        folder: Its folders are the classes, in sorted order; their files may lie in folders of any depth.
        shape: Of a sample; of images 1 or 3 channels, height and width.

    Raises:
        InceptionLabError: The folder cannot be read, has not two classes, or holds images where the shape
            is not that of one; from `batch`, a file cannot be read (exit code 2).

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as place:
        ...     for kind in ("cat", "dog"):
        ...         Path(place, kind).mkdir()
        ...         torch.save(torch.zeros(3), Path(place, kind, "0.pt"))
        ...     pets = folder_samples(Path(place), (3,))
        >>> pets.classes, len(pets)
        (('cat', 'dog'), 2)
    """
    folder = path_from(folder)
    files = _files_of_classes(folder)
    _check_classes(folder, [*files])
    paths = tuple(path for group in files.values() for path in group)
    if any(path.suffix.lower() in IMAGE_SUFFIXES for path in paths):
        _check_image_shape(folder, shape)
    place = folder.name or folder.resolve().name
    name = f"{len(paths):,} {_kind(paths)} of {len(files):,} classes in {place}"
    labels = tuple(label for label, group in enumerate(files.values()) for _ in group)
    return _FolderSamples(tuple(shape), tuple(files), name, paths, labels)


def _files_of_classes(folder: Path) -> dict[str, list[Path]]:
    """The files of each folder in a folder that has some."""
    try:
        places = [path for path in _visible_entries(folder) if path.is_dir()]
        files = {place.name: [*_files(place, frozenset({folder.resolve()}))] for place in places}
    except OSError as error:
        place = error.filename or str(folder)
        raise InceptionLabError(
            f"cannot be read: {error.strerror or error}", where=place, hint=_LAYOUT
        ) from error
    return {name: paths for name, paths in files.items() if paths}


def _visible_entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _files(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    """The samples in a folder and in those within it; a link back to one above is not followed."""
    real = folder.resolve()
    for path in _visible_entries(folder) if real not in above else ():
        if path.is_dir():
            yield from _files(path, above | {real})
        # a link to nothing counts, so that reading it tells of it; a pipe would never end
        elif path.suffix.lower() in READERS and (path.is_file() or not path.exists()):
            yield path


def _check_classes(folder: Path, classes: Sequence[str]) -> None:
    if not classes:
        what = f"no folder in it holds a sample ({', '.join(sorted(READERS))})"
        raise InceptionLabError(what, where=str(folder), hint=_LAYOUT)
    if len(classes) == 1:
        what = f"only one folder in it holds samples, {classes[0]!r}"
        raise InceptionLabError(what, where=str(folder), hint=f"add one for another class; {_LAYOUT}")


def _check_image_shape(folder: Path, shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or shape[0] not in (1, 3):
        what = f"holds images, which have 1 or 3 channels, height and width, not {shape_text(shape)}"
        raise InceptionLabError(what, where=str(folder), hint=f"for this shape {TENSOR_HINT}")


def _kind(paths: Iterable[Path]) -> str:
    """The noun for files, by whether they are images."""
    kinds = {path.suffix.lower() in IMAGE_SUFFIXES for path in paths}
    return "files" if len(kinds) == 2 else "images" if kinds == {True} else "tensors"


@checked
def batches(samples: Samples, batch_size: int, seed: int) -> Iterator[Batch]:
    """Yield batches without end, of samples in an order that is drawn anew for each epoch.

    Each is full: where an epoch ends within a batch, the next one goes on in it.

    Args:
        samples: One or more.
        batch_size: Samples in a batch, of which there may be fewer in all.
        seed: Of the order.

    Raises:
        InceptionLabError: There are no samples, or `batch_size` is below 1 (exit code 2).

    Example:
        >>> made = MadeSamples((8,), class_count=3, count=3)
        >>> first = next(batches(made, 5, seed=0))
        >>> first.samples.shape, sorted(first.labels[:3].tolist())
        (torch.Size([5, 8]), [0, 1, 2])
    """
    if batch_size < 1 or not len(samples):
        what = f"no batches of {batch_size:,} from {len(samples):,} samples"
        raise InceptionLabError(what, hint="take a batch size of 1 or more")
    order = _endless_order(len(samples), seed)
    return (samples.batch([number, *islice(order, batch_size - 1)]) for number in order)


def _endless_order(count: int, seed: int) -> Iterator[int]:
    """Numbers without end: each epoch has all of them once."""
    generator = Generator().manual_seed(stream(seed, "order"))
    while True:
        yield from torch.randperm(count, generator=generator, device="cpu").tolist()
