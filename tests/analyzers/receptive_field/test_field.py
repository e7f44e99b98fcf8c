"""Receptive fields against published tables, and small nets worked out by hand."""

import pytest
import torch
import torch.nn.functional as F
from support.branched import I3D, InceptionTime
from support.zoo import image
from torch import nn

import inception_lab as il
from inception_lab.analyzers.receptive_field.rules.registry import rule_of
from inception_lab.errors import InceptionLabError
from inception_lab.ir.operation_name import parse_operation_name

PUBLISHED = [
    # Araujo, Norris & Sim, Distill 2019, of the TF-Slim nets
    ("alexnet", {"grouped": True}, 227, "pool5", 195, 32, 64),
    ("vgg16", {}, 224, "pool5", 212, 32, 90),
    ("inception_v3", {}, 299, "mixed_5d", 127, 8, 50),
    ("inception_v3", {}, 299, "mixed_6e", 927, 16, 442),
    ("inception_v3", {}, 299, "mixed_7c", 1311, 32, 618),
    ("inception_resnet_v2", {}, 299, "mixed_5b", 63, 8, 18),
    ("inception_resnet_v2", {}, 299, "conv6", 3039, 32, 1482),
    # the paper's net and the one with 3x3 in place of 5x5
    ("googlenet", {}, 224, "inception5b", 715, 32, 327),
    ("googlenet_3x3", {}, 224, "inception5b", 379, 32, 167),
]


def zoo_trace(name, **options):
    return il.trace(il.create_model(name, device="meta", **options), image(name))


@pytest.mark.parametrize(("name", "options", "side", "layer", "size", "stride", "padding"), PUBLISHED)
def test_published_values(name, options, side, layer, size, stride, padding):
    model = il.create_model(name, device="meta", **options)
    field = il.field_of(il.trace(model, (1, 3, side, side)), layer)
    assert field.status == "exact"
    assert field.receptive_field == (size, size)
    assert field.stride == (stride, stride)
    assert field.padding == (padding, padding)


@pytest.mark.parametrize("name", il.list_models())
def test_every_layer_of_the_zoo_is_known(name):
    table = il.receptive_field(zoo_trace(name))
    assert set(table["status"]) <= {"exact", "misaligned"}
    if name != "bn_inception":  # its pools that round up are not centred on its padded convolutions
        assert set(table["status"]) == {"exact"}


def test_shifted_branches_are_misaligned_and_their_extents_exact():
    table = il.receptive_field(zoo_trace("bn_inception")).set_index("layer")
    row = table.loc["inception3c"]
    assert row["status"] == "misaligned"
    assert row["receptive_field"] is None
    assert "centres" in row["reason"]
    # 3b: 91, 8, 39. The wide branch: 91 + 16 + 16 = 123 from 39 + 8 + 8 = 55; the pool: 91 + 16 from 39.
    assert row["extent"] == ((7 * 16 - 55, 7 * 16 - 55 + 122),) * 2


@pytest.mark.parametrize(("net", "shape"), [(InceptionTime(), (2, 2, 60)), (I3D(), (1, 3, 16, 32, 32))])
def test_nets_of_one_and_three_dimensions_are_exact(net, shape):
    table = il.receptive_field(il.trace(net, shape))
    assert set(table["status"]) == {"exact"}


def test_inception_time_by_hand():
    """Three modules, the widest branch of each 39 long: 1 + 3 x 38."""
    trace = il.trace(InceptionTime(), (2, 2, 60))
    assert il.field_of(trace, "blocks.2").receptive_field == (115,)
    assert il.field_of(trace, "blocks.0.branches.1").receptive_field == (19,)
    assert il.field_of(trace, "blocks.2", source="blocks.0").receptive_field == (77,)
    assert il.field_of(trace, "head").reason == "sees everything"


def test_time_and_space_are_apart():
    """Stem 7/2 along all axes; the pool 3/2 over space alone; a 3x3x3 branch after it."""
    field = il.field_of(il.trace(I3D(), (1, 3, 16, 32, 32)), "mixed")
    assert field.receptive_field == (7 + 2 * 2, 7 + 2 * 2 + 2 * 4, 7 + 2 * 2 + 2 * 4)
    assert field.stride == (2, 4, 4)
    assert field.padding == (3 + 2, 3 + 2 + 4, 3 + 2 + 4)


def test_between_any_two_layers():
    trace = zoo_trace("googlenet")
    field = il.field_of(trace, "inception3b", source="inception3a")
    assert (field.receptive_field, field.stride, field.padding) == ((5, 5), (1, 1), (2, 2))
    field = il.field_of(trace, "inception4a", source="inception3a")
    assert (field.receptive_field, field.stride, field.padding) == (
        (5 + 2 + 2 * 4,) * 2,
        (2, 2),
        (2 + 4,) * 2,
    )
    assert il.field_of(trace, "conv1", source="inception3a").status == "unknown"


def test_units_at_the_border_see_less():
    field = il.field_of(zoo_trace("googlenet"), "conv1.conv")
    assert field.extent((0, 0)) == ((0, 3), (0, 3))
    assert field.extent((56, 111)) == ((109, 115), (219, 223))
    assert field.centre((0, 111)) == (0.0, 222.0)
    for unit in ((112, 0), (0, -1), (0,), (0, 0, 0)):
        with pytest.raises(InceptionLabError, match="none of"):
            field.extent(unit)


def test_an_unknown_layer_is_answered_with_the_nearest():
    with pytest.raises(InceptionLabError, match="inception3a"):
        il.field_of(zoo_trace("googlenet"), "inception3")


def test_no_spatial_axes():
    with pytest.raises(InceptionLabError, match="no spatial axes"):
        il.receptive_field(il.trace(nn.Linear(3, 4), (2, 3)))
    record = il.summarise(il.trace(nn.Linear(3, 4), (2, 3)))
    assert "receptive_field" not in record.layers[0]


def test_the_record_carries_the_fields():
    row = next(
        r for r in il.summarise(zoo_trace("googlenet")).layers if r["layer"] == "inception3a.branch1.conv"
    )
    assert (row["receptive_field"], row["stride"], row["padding"]) == ([27, 27], [8, 8], [7, 7])
    whole = il.summarise(zoo_trace("googlenet")).layers[-1]
    assert whole["receptive_field"] == [224, 224]
    assert "stride" not in whole


class Unknown(nn.Module):
    def forward(self, x):
        return torch.linalg.inv(x @ x.mT + torch.eye(1))


class Forked(nn.Module):
    """An in-place operation after a fork: the second branch sees what was written."""

    def __init__(self):
        super().__init__()
        self.wide, self.narrow = nn.Conv1d(1, 1, 5, padding=2), nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, x):
        stem = self.narrow(x)
        view = stem[:, :, :]
        stem += self.wide(x)
        return self.narrow(view)


class Written(nn.Module):
    """Concatenation by writing into slices of a tensor made before."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 4, 5, padding=2)

    def forward(self, x):
        out = x.new_empty(x.shape[0], 7, *x.shape[2:])
        out[:, :3] = self.one(x)
        out[:, 3:] = self.other(x)
        return out * 2


class Windows(nn.Module):
    """Attention within windows of 4 x 4, as Swin has it."""

    def forward(self, x):
        n, c, h, w = x.shape
        tokens = x.view(n, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1).reshape(-1, 16, c)
        attention = F.scaled_dot_product_attention(tokens, tokens, tokens)
        return attention.view(n, h // 4, w // 4, 4, 4, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w)


def test_what_has_no_rule_is_unknown_and_says_so():
    table = il.receptive_field(il.trace(nn.Sequential(nn.Conv1d(1, 1, 3), Unknown()), (1, 1, 20)))
    assert table["status"].tolist() == ["exact", "unknown"]
    assert "inv" in table["reason"][1]


def test_an_operation_in_place_after_a_fork():
    assert il.field_of(il.trace(Forked(), (1, 1, 20)), "(model)").extent((10,)) == ((7, 13),)


class Shifted(nn.Module):
    """Whole numbers shifted in place, then compared by an operator that works in place."""

    def forward(self, tokens):
        halves = tokens.clone()
        halves >>= 1
        mask = halves[:, 2:] > 0
        mask &= tokens[:, :-2] > 0
        return mask


def test_operators_in_place_are_followed():
    field = il.field_of(il.trace(Shifted(), [torch.ones(1, 9, dtype=torch.int64)]), "(model)")
    assert field.status == "misaligned"  # centres 2 apart
    assert field.extent((3,)) == ((3, 5),)


@pytest.mark.parametrize(
    "name", ["add_.Tensor", "relu_.default", "__iand__.Tensor", "__ilshift__.Tensor", "__irshift__.Scalar"]
)
def test_an_operation_in_place_has_the_rule_of_its_base(name):
    base_name, in_place = parse_operation_name(f"aten.{name}")
    assert in_place
    assert rule_of(base_name, True) is rule_of(base_name, False) is not None


def test_what_is_drawn_in_place_does_not_see_what_it_is_written_over():
    class Drawn(nn.Module):
        def forward(self, x):
            return x.clone().uniform_()

    assert il.field_of(il.trace(Drawn(), (1, 1, 9)), "(model)").status == "unknown"


def test_a_tensor_written_slice_by_slice():
    field = il.field_of(il.trace(Written(), (1, 2, 9, 9)), "(model)")
    assert field.status == "exact"
    assert field.extent((4, 4)) == ((2, 6), (2, 6))


class RowSums(nn.Module):
    """A line of 32 pixels as 8 rows of 4, summed by a matrix-vector product, then in pairs."""

    def forward(self, x):
        sums = x[0, 0].view(8, 4) @ torch.ones(4)
        return sums.view(4, 2).sum(1)


def test_a_matrix_vector_product_over_a_part_of_an_axis():
    field = il.field_of(il.trace(RowSums(), (1, 1, 32)), "(model)")
    assert (field.status, field.receptive_field, field.stride) == ("exact", (8,), (8,))
    assert field.extent((3,)) == ((24, 31),)


def test_attention_in_windows_sees_its_window():
    field = il.field_of(il.trace(Windows(), (1, 3, 8, 8)), "(model)")
    assert field.extent((5, 2)) == ((4, 7), (0, 3))


@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "bn_inception"])
def test_the_projective_field_is_the_inverse(name):
    """A pixel reaches a unit just where the unit sees the pixel."""
    trace = zoo_trace(name)
    layer = next(c.path for c in trace.calls if c.path.startswith(("inception4a", "mixed_6b")))
    field, side = il.field_of(trace, layer), image(name)[-1]
    for pixel in (0, 1, side // 2, side - 1):
        units = [
            u
            for u in range(field.grid[0])
            if field.extent((u, 0))[0][0] <= pixel <= field.extent((u, 0))[0][1]
        ]
        units_reached = il.projective_field(trace, (pixel, pixel), layer)
        assert units_reached[0] == units_reached[1] == ((units[0], units[-1]) if units else None)


def test_a_pixel_that_reaches_nothing():
    """Windows of 1 at every second pixel leave out the others."""
    trace = il.trace(nn.Sequential(nn.Conv2d(1, 1, 1, stride=2)), (1, 1, 8, 8))
    assert il.projective_field(trace, (3, 4), "0") == (None, (2, 2))
    with pytest.raises(InceptionLabError, match="count from 0"):
        il.projective_field(trace, (8, 0), "0")


def test_layers_that_no_pixel_is_known_to_reach():
    class Ones(nn.Module):
        def forward(self, x):
            return torch.ones_like(x)

    trace = il.trace(nn.Sequential(Ones()), (1, 1, 8, 8), mode="train")
    with pytest.raises(InceptionLabError, match="does not depend on the source; name a layer that"):
        il.projective_field(trace, (3, 4), "0")
    rows = il.receptive_field(trace).set_index("layer")
    assert rows["reason"]["(loss)"] == "it is not a part of the forward pass"
