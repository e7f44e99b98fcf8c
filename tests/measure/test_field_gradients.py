"""The gradient oracle itself: what it sees of nets whose fields are worked out by hand."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from inception_lab.analyzers.receptive_field.axes import NoSpatialAxes, source_of
from inception_lab.analyzers.receptive_field.field import Field, fields
from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.measure.field_gradients import NOTHING, check_fields, input_gradients, span, strip
from inception_lab.measure.unit_gradients import Unit


class Net(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def whole(net, shape, position):
    (gradient,) = input_gradients(net, shape, [Unit("(model)", position)])
    return gradient


def pixels(net, shape, position):
    """The pixels along the first axis that a unit sees."""
    return np.flatnonzero(whole(net, shape, position)).tolist()


def test_weights_add_up_to_one():
    gradient = whole(nn.Sequential(nn.Conv1d(3, 5, 3), nn.Conv1d(5, 2, 3)), (1, 3, 9), (2,))
    # both output channels; 1/3 of each tap, twice
    expected = 2 * np.convolve([1 / 3] * 3, [1 / 3] * 3)
    np.testing.assert_allclose(gradient, [0, 0, *expected, 0, 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("pool", "window"),
    [
        (nn.MaxPool1d(3, 2), [4, 5, 6]),
        (nn.MaxPool1d(3, 2, padding=1), [3, 4, 5]),
        (nn.MaxPool1d(2, 2, dilation=3), [4, 7]),
        (nn.AdaptiveMaxPool1d(3), [6, 7, 8]),
        (nn.MaxPool1d(3, 3, return_indices=True), [6, 7, 8]),
    ],
)
def test_every_pixel_of_a_maximum_counts(pool, window):
    assert pixels(pool, (1, 2, 9), (2,)) == window


def test_the_last_window_is_rounded_up_as_torch_does():
    pool = nn.MaxPool1d(3, 2, ceil_mode=True)
    assert pool(torch.zeros(1, 1, 8)).shape[2] == 4
    assert pixels(pool, (1, 1, 8), (3,)) == [6, 7]


@pytest.mark.parametrize(
    "function",
    [
        F.relu, F.gelu, torch.tanh, torch.sigmoid, F.hardswish, lambda x: x.relu_(), lambda x: -x,
        lambda x: 1 - x, lambda x: x - 1, lambda x: 1 / (x + 1), lambda x: x / (1 + x), lambda x: x**2,
        lambda x: x - x.detach(), lambda x: x.clone().sub_(2 * x), lambda x: torch.maximum(x, 0 * x),
        lambda x: F.local_response_norm(x, 3), lambda x: F.normalize(x, dim=1), lambda x: F.softmax(x, 1),
        lambda x: F.dropout(x, 0.99, training=True), lambda x: x * torch.sigmoid(x) - x,
        lambda x: x.max(1, keepdim=True)[0], lambda x: x.amax(1, keepdim=True), lambda x: x.clamp(2, 3),
    ],
)  # fmt: skip
def test_what_works_element_by_element_sees_its_own_pixel(function):
    gradient = whole(Net(function), (1, 4, 5), (2,))
    assert np.flatnonzero(gradient).tolist() == [2]
    assert gradient[2] > 0


def test_softmax_and_maxima_along_an_axis_see_all_of_it():
    for function in (lambda x: F.softmax(x, 2), lambda x: x.max(2, keepdim=True)[0]):
        assert pixels(Net(function), (1, 2, 4), (0,)) == [0, 1, 2, 3]


NORMALISATIONS = [
    lambda x: F.layer_norm(x, x.shape[1:]),
    lambda x: F.layer_norm(x, x.shape[2:]),
    lambda x: F.group_norm(x, 2),
    lambda x: F.instance_norm(x),
    lambda x: F.softmax(x, 2),
    lambda x: F.normalize(x, dim=2),
    lambda x: (x - x.mean(2, keepdim=True)) / (1 + x.std(2, keepdim=True)),
    lambda x: x - torch.var_mean(x, 2, keepdim=True)[0],
    lambda x: x * torch.sigmoid(F.adaptive_avg_pool1d(x, 1)),
    lambda x: x + x.max(2, keepdim=True)[0],
    lambda x: x + x @ x.transpose(1, 2).softmax(-1) @ x,
    lambda x: x + F.scaled_dot_product_attention(*[x.transpose(1, 2)] * 3).transpose(1, 2),
]


@pytest.mark.parametrize("function", NORMALISATIONS)
def test_statistics_and_gates_are_real_or_held_fixed(function):
    assert pixels(Net(function), (1, 4, 5), (2,)) == [0, 1, 2, 3, 4]
    (local,) = input_gradients(Net(function), (1, 4, 5), [Unit("(model)", (2,))], held_axis=0)
    assert np.flatnonzero(local).tolist() == [2]


def test_statistics_of_windows_are_never_held_fixed():
    def function(x):
        windows = x.unflatten(2, (-1, 4))
        return (windows + windows.mean(3, keepdim=True)).flatten(2)

    (local,) = input_gradients(Net(function), (1, 4, 12), [Unit("(model)", (5,))], held_axis=0)
    assert np.flatnonzero(local).tolist() == [4, 5, 6, 7]


def test_statistics_of_rows_are_held_fixed_along_rows_alone():
    net = Net(lambda x: x + x.mean(3, keepdim=True))
    unit = [Unit("(model)", (1, 2))]
    spans_of_row = [[span(g, axis) for axis in (0, 1)] for g in input_gradients(net, (1, 4, 3, 5), unit)]
    assert spans_of_row == [[(1, 1), (0, 4)]]
    for held_axis, row in [(0, (0, 4)), (1, (2, 2))]:
        (local,) = input_gradients(net, (1, 4, 3, 5), unit, held_axis=held_axis)
        assert [span(local, axis) for axis in (0, 1)] == [(1, 1), row]


class Difference(nn.Module):
    """The input without what a convolution of negative weights makes of it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        nn.init.constant_(self.conv.weight, -1.0)

    def forward(self, x):
        return x - self.conv(x) - x


def test_paths_with_opposite_signs_do_not_cancel():
    assert pixels(Difference(), (1, 1, 7), (3,)) == [2, 3, 4]
    net = nn.Sequential(Difference(), nn.BatchNorm1d(1), nn.ReLU(), Difference())
    assert pixels(net, (1, 1, 9), (4,)) == [2, 3, 4, 5, 6]


def test_a_hundred_layers_do_not_underflow():
    net = nn.Sequential(*(nn.Conv1d(1, 1, 3, padding=1) for _ in range(100)))
    gradient = whole(net, (1, 1, 301), (150,))
    assert span(gradient, 0) == (50, 250)
    assert gradient[50] == pytest.approx(3.0**-100)


def test_a_net_may_write_over_what_was_read():
    def forward(x):
        copy = x.clone()
        read = copy * copy
        copy += 1
        return read + copy

    assert pixels(Net(forward), (1, 1, 3), (1,)) == [1]


def test_fields_from_a_layer_on():
    net = nn.Sequential(nn.Conv1d(1, 2, 3), nn.MaxPool1d(2), nn.Conv1d(2, 1, 3))
    (gradient,) = input_gradients(net, (1, 1, 20), [Unit("2", (1,))], "0")
    assert np.flatnonzero(gradient).tolist() == [2, 3, 4, 5, 6, 7]
    rows = check_fields(net, (1, 1, 20), ["2"], "0")
    assert rows.agree.all()
    assert set(rows.length) == {18}


def test_a_unit_of_padding_alone_sees_nothing():
    (gradient,) = input_gradients(nn.ZeroPad2d((2, 0, 0, 0)), (1, 1, 3, 3), [Unit("(model)", (0, 0))])
    assert span(gradient, 1) == NOTHING


def test_a_wrong_field_is_found_out(monkeypatch):
    def wrong_fields(trace, source):
        by_value = fields(trace, source)
        own_pixel = by_value[source_of(trace, source).value]
        return dict.fromkeys(by_value, own_pixel)

    monkeypatch.setattr("inception_lab.measure.unit_gradients.fields", wrong_fields)
    rows = check_fields(nn.Conv1d(1, 1, 3, padding=1), (1, 1, 9))
    assert not rows.agree.any()


def test_both_kinds_of_paths_are_checked():
    net = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Conv1d(4, 4, 3, padding=1))
    middle = check_fields(net, (1, 2, 32), ["0", "1", "2"]).groupby("layer").nth(2)
    assert middle.agree.all()
    whole = middle.gradient_last - middle.gradient_first + 1
    assert whole.tolist() == [3, *[middle.length.iloc[0]] * 2]
    assert (middle.local_gradient_last - middle.local_gradient_first + 1).tolist() == [3, 3, 5]


@pytest.mark.parametrize("name", ["extent", "local_extent"])
def test_a_wrong_kind_of_path_is_found_out(monkeypatch, name):
    """Everything for the local part, and the local part for everything."""
    other = {"extent": "local_extent", "local_extent": "extent"}[name]
    monkeypatch.setattr(Field, name, getattr(Field, other))
    net = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.GroupNorm(2, 4))
    assert not check_fields(net, (1, 2, 32), ["1"]).agree.any()


def test_rows_and_strip():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 4, (5, 3)))
    # field 3 + 4 x 2 along the first axis, and four strides of 2; the other axis takes no less than 7
    assert strip(net, (1, 3, 16, 16), 0) == (1, 3, 19, 7)
    rows = check_fields(net, (1, 3, 16, 16))
    assert rows[rows.axis == 0].unit.tolist() == [0, 1, 2, 3, 4]
    middle = rows[rows.axis == 0].iloc[2]
    assert (middle.layer, middle.length, middle.status) == ("(model)", 19, "exact")
    assert (middle["first"], middle["last"]) == (middle.gradient_first, middle.gradient_last) == (4, 14)
    assert rows.agree.all()


def test_a_net_that_takes_one_size_keeps_it():
    net = nn.Sequential(nn.Conv2d(1, 1, 5, padding=2), nn.Flatten(), nn.Linear(36, 2))
    assert strip(net, (1, 1, 6, 6), 0, ["0"]) == (1, 1, 6, 6)
    assert check_fields(net, (1, 1, 6, 6), ["0"]).agree.all()


def test_the_model_is_left_as_it_was_found():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    check_fields(net, (1, 1, 8, 8))
    assert net[0].weight.requires_grad
    assert net[0].weight.grad is None
    assert net.training
    assert net[2].training
    assert not any(module._forward_hooks for module in net.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert torch.get_default_dtype() is torch.float32


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [(["nose"], InceptionLabError, "no layer 'nose'"), (["1"], NoSpatialAxes, "no spatial axes")],
)
def test_layers_that_cannot_be_checked(layers, error, message):
    net = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten())
    with pytest.raises(error, match=message):
        check_fields(net, (1, 1, 8), layers)


def test_a_net_without_spatial_axes():
    with pytest.raises(NoSpatialAxes, match="no layer has spatial axes"):
        check_fields(nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten()), (1, 1, 8))


@pytest.mark.parametrize("long_is_refused", [True, False])
def test_an_error_that_is_not_about_the_size_is_raised(long_is_refused):
    def forward(x):
        if (x.shape[2] > 8) if long_is_refused else (x.shape[2] < 8):
            raise InceptionLabError("heads are missing", exit_code=MODEL_FAILED)
        return F.max_pool2d(x, 3)

    with pytest.raises(InceptionLabError, match="heads are missing"):
        strip(Net(forward), (1, 1, 8, 8), axis=0 if long_is_refused else 1)


def test_other_layouts_are_refused():
    class ChannelsLast(nn.Conv2d):
        def forward(self, x):
            return super().forward(x.permute(0, 3, 1, 2))

    with pytest.raises(InceptionLabError, match=r"those of the input are \(1, 2\)"):
        check_fields(ChannelsLast(3, 4, 3), (1, 8, 8, 3))
