"""Does a net fit a resolution: against traces at the edge."""

import pytest
import torch.nn.functional as F
from support.gated_nets import Stages
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


class Turned(nn.Module):
    """Rows shifted, columns read backwards: of any number."""

    def forward(self, x):
        return x.roll(3, 2).flip(3)


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
        (nn.Sequential(Turned(), nn.Conv2d(1, 1, (3, 2))), (1, 1, 20, 20), (3, 2)),
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


def test_gates_leave_the_fit_of_local_paths():
    """Fields by hand: 7, then 7 + 2 x 2 and 11 + 2 x 2 at stride 4, then 15 + 2 x 4 and 23 + 2 x 4 at 8."""
    gated, plain = [il.resolution_fit(il.trace(Stages(2, kind), (1, 3, 24, 24))) for kind in (True, False)]
    assert plain.exceeding == ("stages.1.1",)
    assert gated.exceeding == ("stages.1.1", "stages.1.2")
    assert (gated.last_layer, plain.last_layer) == ("stages.1.2", "stages.1.1")
    # the centre unit at 1 of 3: from 8 - 15 to 8 + 15, of which 0 to 23 are within the input
    assert gated.seen_by_centre == plain.seen_by_centre == 1.0
    assert gated.global_context == ("stages.0.2", "stages.1.2")
    assert plain.global_context == ()


def test_the_share_of_the_centre_is_that_of_local_paths():
    """One stage: 15 of 60 pixels along each axis, and everything through the gate."""
    fit = il.resolution_fit(il.trace(Stages(1), (1, 3, 60, 60)))
    assert fit.seen_by_centre == pytest.approx(1 / 16)
    assert (fit.last_layer, fit.global_context) == ("stages.0.2", ("stages.0.2",))
    assert (fit.axes, fit.input_shape) == ((2, 3), (1, 3, 60, 60))
