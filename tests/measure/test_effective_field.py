"""The effective field: closed forms of linear nets, and the manners of a real run."""

from math import sqrt

import numpy as np
import pytest
import torch
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.measure.effective_field import Area, area, effective_field


def boxes(count, kernel=3):
    """A chain of convolutions whose weights are all 1."""
    net = nn.Sequential(*(nn.Conv2d(1, 1, kernel, padding=kernel // 2, bias=False) for _ in range(count)))
    for conv in net:
        nn.init.ones_(conv.weight)
    return net


def test_a_chain_of_boxes_is_a_product_of_trinomial_profiles():
    field = effective_field(boxes(4), (1, 1, 21, 21), samples=1, seeds=[0])
    profile = np.ones(1)
    for _ in range(4):
        profile = np.convolve(profile, np.ones(3))
    expected = np.zeros((21, 21))
    expected[6:15, 6:15] = np.outer(profile, profile) / 9**4
    np.testing.assert_allclose(field.weight, expected, atol=1e-7)
    assert field.theoretical == ((6, 14), (6, 14))
    assert field.theoretical_area == Area(1.0, 81, 9.0)
    assert [a.pixels for a in field.areas] == [smallest(expected, share) for share in (0.5, 0.95, 0.99)]


def smallest(weight, share):
    """Pixels taken from the largest on until they hold a share."""
    total, count = 0.0, 0
    for pixel in sorted(weight.flat, reverse=True):
        if total >= share - 1e-6:
            break
        total, count = total + pixel, count + 1
    return count


def test_stride_and_dilation():
    conv = nn.Conv1d(1, 1, 3, stride=2, dilation=2, bias=False)
    nn.init.constant_(conv.weight, -0.25)
    field = effective_field(conv, (1, 1, 13), samples=1)
    # 5 units; the third begins at 4
    assert field.unit.position == (2,)
    np.testing.assert_allclose(field.weight, [0, 0, 0, 0, 1 / 3, 0, 1 / 3, 0, 1 / 3, 0, 0, 0, 0], atol=1e-7)


def test_area_by_hand():
    weight = np.array([[0.4, 0.1], [0.2, 0.3]])
    assert [area(weight, share).pixels for share in (0.4, 0.5, 0.7, 0.95, 1.0)] == [1, 2, 2, 4, 4]
    assert area(weight, 0.7).side == sqrt(2)
    assert area(np.full((3, 3), 1 / 9), 0.99).pixels == 9


def random_net():
    torch.manual_seed(0)
    convs = (nn.Conv2d(4 if i else 2, 4, 3, padding=1) for i in range(4))
    return nn.Sequential(*(layer for conv in convs for layer in (conv, nn.BatchNorm2d(4), nn.ReLU(True))))


def test_shares_add_up_and_stay_within_the_theoretical_field():
    field = effective_field(random_net(), (2, 2, 16, 16))
    assert field.weight.sum() == pytest.approx(1)
    assert field.weight[4:13, 4:13].sum() == pytest.approx(1)
    half, most, nearly = (a.pixels for a in field.areas)
    assert 0 < half < most < nearly <= field.theoretical_area.pixels == 81
    assert field.inputs == 20
    assert field.device
    with pytest.raises(ValueError, match="read-only"):
        field.weight[0, 0] = 1


def test_inputs_may_run_one_at_a_time_or_together():
    one = effective_field(random_net(), (1, 2, 12, 12), samples=3, seeds=[5, 6])
    all_at_once = effective_field(random_net(), (6, 2, 12, 12), samples=3, seeds=[5, 6])
    uneven = effective_field(random_net(), (4, 2, 12, 12), samples=3, seeds=[5, 6])
    np.testing.assert_allclose(one.weight, all_at_once.weight, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(one.weight, uneven.weight, rtol=1e-4, atol=1e-9)


def test_it_is_the_gradient_of_the_model_as_it_is():
    net = random_net().eval()
    x = torch.randn(2, 12, 12, generator=torch.Generator().manual_seed(3))[None].requires_grad_()
    net(x.clone())[0, :, 6, 6].sum().backward()
    expected = x.grad.abs().sum((0, 1)).double().numpy()
    field = effective_field(net, (1, 2, 12, 12), samples=1, seeds=[3])
    np.testing.assert_allclose(field.weight, expected / expected.sum(), rtol=1e-4, atol=1e-9)


def test_seeds_give_the_same_again():
    runs = [effective_field(random_net(), (1, 2, 12, 12), samples=2, seeds=[seed]) for seed in (1, 1, 2)]
    assert np.array_equal(runs[0].weight, runs[1].weight)
    assert not np.allclose(runs[0].weight, runs[2].weight)


def test_the_model_is_left_as_it_was_found():
    net = random_net().train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.get_rng_state()
    effective_field(net, (1, 2, 12, 12), samples=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert net.training
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


def test_a_layer_in_between_and_three_axes():
    net = nn.Sequential(nn.Conv3d(1, 1, (1, 3, 3)), nn.Conv3d(1, 1, 3))
    field = effective_field(net, (1, 1, 5, 9, 9), layer="0", samples=1)
    assert field.theoretical == ((2, 2), (3, 5), (3, 5))
    assert field.theoretical_area == Area(1.0, 9, 9 ** (1 / 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "nose"}, "no layer 'nose'"),
        ({"device": "tpu"}, "tpu"),
        ({"device": None}, "device None is not a name; use device='cpu' or 'cuda'"),
        ({"device": 5}, "device 5 is not a name"),
        ({"samples": 0}, "no inputs"),
        ({"seeds": []}, "no inputs"),
    ],
)
def test_what_cannot_be_run(options, message):
    with pytest.raises(InceptionLabError, match=message):
        effective_field(boxes(1), (1, 1, 8, 8), **options)


def test_a_unit_without_a_gradient():
    net = boxes(1)
    nn.init.zeros_(net[0].weight)
    with pytest.raises(InceptionLabError, match="has no gradient"):
        effective_field(net, (1, 1, 8, 8), samples=1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same():
    on_cpu, on_gpu = (effective_field(random_net(), (2, 2, 16, 16), device=d) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(on_gpu.weight, on_cpu.weight, rtol=1e-2, atol=1e-6)
    assert on_gpu.device == torch.cuda.get_device_name()
