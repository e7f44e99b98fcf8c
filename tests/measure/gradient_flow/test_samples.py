"""Labelled samples: those that are made, those of a folder, and the batches of both."""

import os
from errno import EACCES
from itertools import islice
from math import log, prod
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from inception_lab.errors import USAGE, InceptionLabError
from inception_lab.measure.gradient_flow.samples import MadeSamples, batches, folder_samples

SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)
NUMBERS = st.lists(st.integers(0, 99), min_size=1, max_size=6)


def spread(values):
    """The mean and the variance in double precision, by numpy."""
    return np.mean(values.numpy(), dtype=np.float64), np.var(values.numpy(), dtype=np.float64)


@settings(deadline=None)
@given(SHAPES, NUMBERS, st.integers(2, 12))
def test_made_samples_are_standardised_and_labelled_in_turn(shape, numbers, class_count):
    samples, labels = MadeSamples(shape, class_count, 100).batch(numbers)
    assert samples.shape == (len(numbers), *shape)
    assert (samples.dtype, labels.dtype, samples.device.type) == (torch.float32, torch.int64, "cpu")
    assert labels.tolist() == [number % class_count for number in numbers]
    for sample in samples:
        assert spread(sample) == pytest.approx((0, min(prod(shape) - 1, 1)), abs=1e-5)


@settings(deadline=None)
@given(SHAPES, NUMBERS)
def test_a_made_sample_depends_on_its_number_alone(shape, numbers):
    together = MadeSamples(shape, count=100).batch(numbers).samples
    alone = [MadeSamples(shape, count=100).batch([number]).samples[0] for number in reversed(numbers)]
    assert torch.equal(together, torch.stack(alone[::-1]))


def test_made_samples_neither_read_nor_change_the_state_of_torch():
    made = MadeSamples((3, 8, 8))
    before = made.batch([3]).samples
    torch.manual_seed(5)
    state = torch.get_rng_state()
    try:
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        after = MadeSamples((3, 8, 8)).batch([3]).samples
        order = [batch.labels.tolist() for batch in islice(batches(made, 4, 0), 2)]
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert torch.equal(before, after)
    assert torch.equal(torch.get_rng_state(), state)
    assert order == [batch.labels.tolist() for batch in islice(batches(made, 4, 0), 2)]


def test_made_samples_stay_hashable_and_equal_after_they_made_some():
    made, fresh = MadeSamples((3, 8, 8)), MadeSamples((3, 8, 8))
    made.batch([0, 1])
    assert {made: "here"}[fresh] == "here"


def correlation(first, second):
    return float((first * second).mean())


def best_correlation(first, second):
    """The highest correlation over all shifts along the last two axes."""
    height, width = first.shape[1:]
    shifts = [(y, x) for y in range(height) for x in range(width)]
    return max(correlation(first, second.roll(shift, (1, 2))) for shift in shifts)


def test_samples_of_a_class_are_one_pattern_shifted_with_noise_of_half_its_deviation():
    """Two of a class share 1 of the variance of 1 + 0.5², at the shift between them."""
    first, second, other = MadeSamples((3, 24, 24), class_count=2).batch([0, 2, 1]).samples
    assert best_correlation(first, second) == pytest.approx(1 / 1.25, abs=0.03)
    assert correlation(first, second) < 0.6
    assert best_correlation(first, other) < 0.6


def test_a_pattern_is_smooth():
    """Neighbours in space are alike but for the noise."""
    (sample,) = MadeSamples((3, 64, 64)).batch([0]).samples
    assert correlation(sample, sample.roll(1, 2)) == pytest.approx(1 / 1.25, abs=0.05)


def test_made_vectors_are_a_class_vector_with_noise():
    first, second, other = MadeSamples((4096,), class_count=2).batch([0, 2, 1]).samples
    assert correlation(first, second) == pytest.approx(1 / 1.25, abs=0.03)
    assert abs(correlation(first, other)) < 0.1


def losses(model, samples, steps, batch_size=32):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for inputs, labels in islice(batches(samples, batch_size, seed=0), steps):
        loss = nn.functional.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


def small_net(classes):
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 16, 5, stride=2), nn.Conv2d(16, 32, 3, stride=2)
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), pool, nn.Linear(32, classes))


def test_a_small_net_learns_made_images_of_which_it_sees_none_twice():
    samples = MadeSamples((3, 16, 16), class_count=4, count=4096)
    start, *_, end = losses(small_net(4), samples, 80)
    assert start == pytest.approx(log(4), abs=0.2)
    assert end < log(4) / 4


class OneClass(MadeSamples):
    """Samples of the first class alone, under labels of four."""

    def batch(self, numbers):
        made = super().batch([number * 4 % self.count for number in numbers])
        return made._replace(labels=torch.tensor(numbers) % 4)


def test_the_same_net_learns_nothing_where_labels_say_nothing_of_the_samples():
    *_, end = losses(small_net(4), OneClass((3, 16, 16), class_count=4, count=2**14), 80)
    assert end > log(4) * 0.8


@pytest.mark.parametrize("shape", [(), (3, 0), (1, 2, 3, 4, 5)])
def test_shapes_that_no_sample_can_be_made_of_are_refused(shape):
    with pytest.raises(InceptionLabError, match=r"no samples of shape .* can be made; .*folder") as error:
        MadeSamples(shape)
    assert error.value.exit_code == USAGE


@pytest.mark.parametrize(("classes", "count"), [(1, 10), (2, 0)])
def test_made_samples_need_two_classes_and_a_sample(classes, count):
    with pytest.raises(InceptionLabError, match="2 classes or more"):
        MadeSamples((3,), classes, count)


def test_a_number_beyond_the_samples_is_an_index_error():
    with pytest.raises(IndexError):
        MadeSamples((3,), count=5).batch([5])


class Numbered:
    """Samples that hold their own numbers."""

    shape, classes, name = (1,), ("even", "odd"), "numbers"

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def batch(self, numbers):
        return torch.tensor(numbers), torch.tensor(numbers) % 2


def numbers_drawn(count, batch_size, seed, steps):
    drawn = [batch[0].tolist() for batch in islice(batches(Numbered(count), batch_size, seed), steps)]
    assert [len(numbers) for numbers in drawn] == [batch_size] * steps
    return [number for numbers in drawn for number in numbers]


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 45), st.integers(0, 2**63))
def test_each_sample_is_drawn_once_in_each_epoch_and_batches_are_full(count, batch_size, seed):
    epochs = 3
    drawn = numbers_drawn(count, batch_size, seed, -(-epochs * count // batch_size))
    for start in range(0, epochs * count, count):
        assert sorted(drawn[start : start + count]) == list(range(count))


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(0, 2**63))
def test_a_seed_gives_one_order(batch_size, seed):
    assert numbers_drawn(20, batch_size, seed, 5) == numbers_drawn(20, batch_size, seed, 5)


def test_another_seed_gives_another_order_as_does_another_epoch():
    drawn = numbers_drawn(50, 10, 0, 10)
    assert drawn[:50] != drawn[50:]
    assert drawn != numbers_drawn(50, 10, 1, 10)
    assert drawn[:50] != list(range(50))


@pytest.mark.parametrize(("count", "batch_size"), [(0, 1), (3, 0)])
def test_batches_of_nothing_are_refused_at_once(count, batch_size):
    with pytest.raises(InceptionLabError, match=f"no batches of {batch_size} from {count} samples"):
        batches(Numbered(count), batch_size, 0)


def save_image(path):
    """Write an image of 6 x 8 pixels that brighten to the right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.tile(np.arange(8, dtype=np.uint8), (6, 1))).save(path)


@pytest.fixture
def flowers(tmp_path):
    """A folder of two classes, an image each."""
    folder = tmp_path / "flowers"
    save_image(folder / "tulip" / "a.png")
    save_image(folder / "rose" / "b.png")
    return folder


def test_classes_are_folders_in_sorted_order(flowers):
    samples = folder_samples(flowers, (3, 6, 8))
    assert (samples.classes, samples.shape, len(samples)) == (("rose", "tulip"), (3, 6, 8), 2)
    assert samples.name == "2 images of 2 classes in flowers"


def test_a_batch_has_the_samples_of_its_numbers(tmp_path):
    for label, name in enumerate(["lily/0.pt", "rose/deep/1.pt", "rose/deep/2.pt"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        torch.save(torch.full((3,), label), tmp_path / name)
    samples = folder_samples(tmp_path, (3,))
    assert samples.name == f"3 tensors of 2 classes in {tmp_path.name}"
    batch = samples.batch([2, 0, 2, 1])
    assert batch.samples.tolist() == [[2.0] * 3, [0.0] * 3, [2.0] * 3, [1.0] * 3]
    assert batch.labels.tolist() == [1, 0, 1, 1]
    assert (batch.samples.dtype, batch.labels.dtype) == (torch.float32, torch.int64)


def test_the_folder_in_which_one_stands_is_called_by_its_name(flowers, monkeypatch):
    monkeypatch.chdir(flowers)
    assert folder_samples(Path(), (3, 6, 8)).name == "2 images of 2 classes in flowers"


def test_images_beside_tensors_are_called_files(flowers):
    np.save(flowers / "rose" / "x.npy", np.zeros((3, 6, 8)))
    assert folder_samples(flowers, (3, 6, 8)).name == "3 files of 2 classes in flowers"


def test_other_files_and_hidden_ones_are_left_out(flowers):
    for name in ("readme.txt", "rose/notes.md", "empty/readme.txt"):
        (flowers / name).parent.mkdir(exist_ok=True)
        (flowers / name).touch()
    for name in ("loose.png", ".cache/x.png", "rose/.x.png", "rose/.thumbs/x.png"):
        save_image(flowers / name)
    os.mkfifo(flowers / "rose" / "pipe.png")  # reading it would never end
    samples = folder_samples(flowers, (3, 6, 8))
    assert (samples.classes, len(samples)) == (("rose", "tulip"), 2)


def test_links_to_folders_are_followed_but_not_in_circles(flowers, tmp_path):
    save_image(tmp_path / "elsewhere" / "deep" / "x.png")
    (flowers / "lily").symlink_to(tmp_path / "elsewhere")
    (flowers / "rose" / "back").symlink_to(flowers / "rose")
    (flowers / "all").symlink_to(flowers)
    (tmp_path / "link").symlink_to(flowers)
    samples = folder_samples(tmp_path / "link", (3, 6, 8))
    assert (samples.classes, len(samples)) == (("lily", "rose", "tulip"), 3)


def refusal(call, *args):
    """The one line of an error of wrong usage."""
    with pytest.raises(InceptionLabError) as error:
        call(*args)
    assert error.value.exit_code == USAGE
    return str(error.value)


LAYOUT = "; name a folder with a folder for each class, as in flowers/rose/1.jpg and flowers/tulip/1.jpg"


@pytest.mark.parametrize(
    ("name", "reason"), [("missing", "No such file or directory"), ("file", "Not a directory")]
)
def test_what_is_not_a_folder_is_refused(tmp_path, name, reason):
    (tmp_path / "file").touch()
    line = refusal(folder_samples, tmp_path / name, (3,))
    assert line == f"{tmp_path / name}: cannot be read: {reason}{LAYOUT}"


def test_a_folder_of_fewer_than_two_classes_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    suffixes = ".bmp, .jpeg, .jpg, .npy, .png, .pt, .webp"
    line = refusal(folder_samples, tmp_path, (3, 6, 8))
    assert line == f"{tmp_path}: no folder in it holds a sample ({suffixes}){LAYOUT}"
    save_image(tmp_path / "rose" / "x.png")
    line = refusal(folder_samples, tmp_path, (3, 6, 8))
    assert line.startswith(
        f"{tmp_path}: only one folder in it holds samples, 'rose'; add one for another class"
    )


def test_a_folder_that_may_not_be_read_is_named(flowers, monkeypatch):
    contents = Path.iterdir

    def refuse_rose(path):
        if path.name == "rose":
            raise PermissionError(EACCES, os.strerror(EACCES), str(path))
        return contents(path)

    monkeypatch.setattr(Path, "iterdir", refuse_rose)  # permissions do not hold for a user who is root
    line = refusal(folder_samples, flowers, (3, 6, 8))
    assert line == f"{flowers / 'rose'}: cannot be read: Permission denied{LAYOUT}"


@pytest.mark.parametrize("shape", [(6, 8), (2, 6, 8), (3, 2, 6, 8), (3,)])
def test_images_for_another_shape_are_refused(flowers, shape):
    line = refusal(folder_samples, flowers, shape)
    needed = f"have 1 or 3 channels, height and width, not {'x'.join(map(str, shape))}; for this shape save"
    assert needed in line


def test_a_damaged_file_is_named_when_a_batch_has_it(flowers):
    damaged, missing = flowers / "rose" / "c.png", flowers / "rose" / "d.png"
    damaged.touch()
    missing.symlink_to(flowers / "nothing")
    samples = folder_samples(flowers, (3, 6, 8))
    assert samples.batch([0, 3]).labels.tolist() == [0, 1]
    assert refusal(samples.batch, [0, 1]).startswith(f"{damaged}: cannot be read: ")
    assert refusal(samples.batch, [2, 3]).startswith(f"{missing}: cannot be read: No such file")
