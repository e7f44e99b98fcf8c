"""Does a net fit a resolution: against traces at the edge."""

import pytest
import torch.nn.functional as F
from support.zoo import image
from torch import nn

import inception_lab as il
from inception_lab.analyzers.receptive_field.resolution import smallest_by_geometry
from inception_lab.errors import InceptionLabError
from inception_lab.models.cards import CARDS

PADDED_BY_SIZE = ("bn_inception", "googlenet_keras")


@pytest.mark.parametrize("name", il.list_models())
def test_the_smallest_input_is_the_edge_of_failure(name):
    model = il.create_model(name, device="meta")
    smallest = il.smallest_input(model, image(name))
    assert smallest == (CARDS[name].smallest_input,) * 2
    il.trace(model, (1, 3, *smallest))
    with pytest.raises(InceptionLabError):
        il.trace(model, (1, 3, *[n - 1 for n in smallest]))
    by_geometry = smallest_by_geometry(il.trace(model, image(name)))
    assert (by_geometry == smallest) is (name not in PADDED_BY_SIZE)


@pytest.mark.parametrize(
    ("net", "shape", "smallest"),
    [
        (nn.Sequential(nn.Conv1d(1, 1, 5, 2), nn.Conv1d(1, 1, 3)), (1, 1, 40), (9,)),
        (nn.Sequential(nn.Conv2d(1, 1, (3, 1)), nn.MaxPool2d((1, 4))), (1, 1, 20, 30), (3, 4)),
        (nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True)), (1, 1, 20, 20), (2, 2)),
        (nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(1, 1, 1)), (1, 1, 20, 20), (4, 4)),
        (nn.Sequential(nn.ReplicationPad2d(3), nn.Conv2d(1, 1, 5)), (1, 1, 20, 20), (1, 1)),
        (
            nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 18 * 18, 3)),
            (1, 1, 20, 20),
            (20, 20),
        ),
        (nn.Sequential(nn.AdaptiveAvgPool2d(4)), (1, 1, 20, 20), (1, 1)),
        (nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(1, 1, 7)), (1, 1, 20, 20), (4, 4)),
        (nn.ConvTranspose2d(1, 1, 3, 2, padding=2), (1, 1, 20, 20), (2, 2)),
        (nn.Conv3d(1, 1, (2, 3, 4)), (1, 1, 9, 9, 9), (2, 3, 4)),
    ],
)
def test_small_nets_by_hand(net, shape, smallest):
    assert smallest_by_geometry(il.trace(net, shape)) == smallest
    assert il.smallest_input(net, shape) == smallest


class Refusing(nn.Module):
    """Takes multiples of 4 from 8 on, by a check of its own."""

    def forward(self, x):
        if x.shape[2] < 8:
            raise ValueError("too small")
        return F.relu(x)


def test_what_a_model_refuses_by_itself_is_found():
    assert il.smallest_input(Refusing(), (1, 1, 12, 5)) == (8, 1)


def test_the_fit_of_googlenet():
    fit = il.resolution_fit(il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224)))
    fields = il.receptive_field(il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224)))
    above = {
        row["layer"] for row in fields.to_dict("records") if row["stride"] and row["receptive_field"][0] > 224
    }
    assert fit.input_size == (224, 224)
    assert set(fit.exceeding) == above
    assert (fit.last_layer, fit.seen_by_centre) == ("inception5b", 1.0)


def test_how_much_the_centre_sees():
    """Three 3x3: 7 of 21 pixels along each axis."""
    net = nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1) for _ in range(3)])
    fit = il.resolution_fit(il.trace(net, (1, 1, 21, 21)))
    assert fit.seen_by_centre == pytest.approx(1 / 9)
    assert fit.exceeding == ()
