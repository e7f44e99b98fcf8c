"""Weights of the public ports, carried over; their arithmetic is typed here again."""

import pytest
import torch
from support.port_keys import (
    CLASSES,
    inception3,
    timm_inception_resnet_v2,
    timm_inception_v4,
    timm_xception,
    torchvision_googlenet,
    torchvision_googlenet_heads,
)
from torch import nn
from torch.nn import functional as F

from inception_lab.errors import InceptionLabError
from inception_lab.models import weights
from inception_lab.models.googlenet import googlenet, googlenet_3x3, googlenet_bn, googlenet_v3
from inception_lab.models.inception_resnet import inception_resnet_v1, inception_resnet_v2
from inception_lab.models.inception_v3 import inception_v3
from inception_lab.models.inception_v4 import inception_v4
from inception_lab.models.initialisation import shapes_only
from inception_lab.models.weights import LoadResult, load_timm_state_dict, load_torchvision_state_dict
from inception_lab.models.xception import xception

PORTS = {
    "torchvision googlenet": (googlenet_3x3, {}, torchvision_googlenet, load_torchvision_state_dict, 40),
    "timm inception_v3": (
        inception_v3,
        {"aux_logits": True},
        lambda: inception3(aux=True),
        load_timm_state_dict,
        80,
    ),
    "timm inception_v4": (inception_v4, {}, timm_inception_v4, load_timm_state_dict, 80),
    "timm inception_resnet_v2": (
        inception_resnet_v2,
        {},
        timm_inception_resnet_v2,
        load_timm_state_dict,
        80,
    ),
    "timm xception": (xception, {}, timm_xception, load_timm_state_dict, 40),
}


def build(entry, **options):
    """A network of zeros, which takes no time to draw."""
    with shapes_only():
        net = entry(num_classes=CLASSES, **options)
    net = net.to_empty(device="cpu").eval()
    for tensor in net.state_dict().values():
        tensor.zero_()
    return net


def lively(net):
    """Weights and statistics that let something through, no two alike."""
    torch.manual_seed(1)
    for weight in net.parameters():
        weight.uniform_(-1, 1).mul_(weight[0].numel() ** -0.5 * (3 if weight.dim() > 1 else 0.1))
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.2, 0.6)
            nn.init.uniform_(layer.weight, 0.8, 1.2)
            nn.init.normal_(layer.bias, 0, 0.1)
            layer.num_batches_tracked.fill_(7)
    return net


def by_position(net, keys):
    """The weights of `net` under the port's keys, taken one after another."""
    state = net.state_dict()
    assert len(state) == len(keys)
    renamed_state = dict(zip(keys, state.values(), strict=True))
    assert {key: tuple(value.shape) for key, value in renamed_state.items()} == dict(keys)
    return renamed_state


class Port:
    """Functions on a state dict in torchvision's naming, written as the port computes."""

    def __init__(self, state):
        self.state = state

    def conv(self, name, x, stride=1, padding=0):
        x = F.conv2d(x, self.state[f"{name}.conv.weight"], None, stride, padding)
        mean, var, weight, bias = (
            self.state[f"{name}.bn.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return F.relu(F.batch_norm(x, mean, var, weight, bias, eps=0.001))

    def chain(self, x, *steps):
        for name, *args in steps:
            x = self.conv(name, x, *args)
        return x

    def module_5(self, m, x):
        pool = F.avg_pool2d(x, 3, 1, 1)
        return torch.cat(
            [
                self.conv(f"{m}.branch1x1", x),
                self.chain(x, (f"{m}.branch5x5_1",), (f"{m}.branch5x5_2", 1, 2)),
                self.chain(
                    x, (f"{m}.branch3x3dbl_1",), (f"{m}.branch3x3dbl_2", 1, 1), (f"{m}.branch3x3dbl_3", 1, 1)
                ),
                self.conv(f"{m}.branch_pool", pool),
            ],
            1,
        )

    def module_6(self, m, x):
        wide, tall = (1, (0, 3)), (1, (3, 0))
        return torch.cat(
            [
                self.conv(f"{m}.branch1x1", x),
                self.chain(
                    x, (f"{m}.branch7x7_1",), (f"{m}.branch7x7_2", *wide), (f"{m}.branch7x7_3", *tall)
                ),
                self.chain(
                    x,
                    (f"{m}.branch7x7dbl_1",),
                    (f"{m}.branch7x7dbl_2", *tall),
                    (f"{m}.branch7x7dbl_3", *wide),
                    (f"{m}.branch7x7dbl_4", *tall),
                    (f"{m}.branch7x7dbl_5", *wide),
                ),
                self.conv(f"{m}.branch_pool", F.avg_pool2d(x, 3, 1, 1)),
            ],
            1,
        )

    def module_7(self, m, x):
        single = self.conv(f"{m}.branch3x3_1", x)
        double = self.chain(x, (f"{m}.branch3x3dbl_1",), (f"{m}.branch3x3dbl_2", 1, 1))
        return torch.cat(
            [
                self.conv(f"{m}.branch1x1", x),
                self.conv(f"{m}.branch3x3_2a", single, 1, (0, 1)),
                self.conv(f"{m}.branch3x3_2b", single, 1, (1, 0)),
                self.conv(f"{m}.branch3x3dbl_3a", double, 1, (0, 1)),
                self.conv(f"{m}.branch3x3dbl_3b", double, 1, (1, 0)),
                self.conv(f"{m}.branch_pool", F.avg_pool2d(x, 3, 1, 1)),
            ],
            1,
        )

    def inception3(self, x):
        x = self.chain(x, ("Conv2d_1a_3x3", 2), ("Conv2d_2a_3x3",), ("Conv2d_2b_3x3", 1, 1))
        x = self.chain(F.max_pool2d(x, 3, 2), ("Conv2d_3b_1x1",), ("Conv2d_4a_3x3",))
        x = F.max_pool2d(x, 3, 2)
        for m in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            x = self.module_5(m, x)
        m = "Mixed_6a"
        double = (f"{m}.branch3x3dbl_1",), (f"{m}.branch3x3dbl_2", 1, 1), (f"{m}.branch3x3dbl_3", 2)
        x = torch.cat([self.conv(f"{m}.branch3x3", x, 2), self.chain(x, *double), F.max_pool2d(x, 3, 2)], 1)
        for m in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            x = self.module_6(m, x)
        m = "Mixed_7a"
        single = (f"{m}.branch3x3_1",), (f"{m}.branch3x3_2", 2)
        seven = (
            (f"{m}.branch7x7x3_1",),
            (f"{m}.branch7x7x3_2", 1, (0, 3)),
            (f"{m}.branch7x7x3_3", 1, (3, 0)),
            (f"{m}.branch7x7x3_4", 2),
        )
        x = torch.cat([self.chain(x, *single), self.chain(x, *seven), F.max_pool2d(x, 3, 2)], 1)
        for m in ("Mixed_7b", "Mixed_7c"):
            x = self.module_7(m, x)
        return F.linear(x.mean((2, 3)), self.state["fc.weight"], self.state["fc.bias"])


@torch.no_grad()
@pytest.mark.parametrize("name", PORTS)
def test_outputs_are_carried_over(name):
    entry, options, keys, load, side = PORTS[name]
    average = {"last_pool": "average"} if entry is inception_v3 else {}
    source = lively(build(entry, **options, **average))
    target = build(entry, **options)
    result = load(target, by_position(source, dict(keys())))
    pools = ("mixed_7c.branch4.pool",) if average else ()
    assert result == LoadResult(len(source.state_dict()), (), pools)
    x = torch.randn(1, 3, side, side)
    logits = source(x)
    assert logits.isfinite().all()
    assert logits.std() > 0
    assert torch.equal(target(x), logits)
    assert all(torch.equal(a, b) for a, b in zip(source.buffers(), target.buffers(), strict=True))


@torch.no_grad()
def test_the_port_s_own_arithmetic_gives_the_same_logits():
    torch.manual_seed(0)
    state = {key: torch.randn(shape) * 0.05 if shape else torch.tensor(3) for key, shape in inception3()}
    for key in state:
        if key.endswith(("running_var", "bn.weight")):
            state[key] = state[key].abs() + 0.2
        elif key.endswith("conv.weight"):
            state[key] = state[key] * (20 / state[key][0].numel() ** 0.5)
    net = build(inception_v3)
    load_torchvision_state_dict(net, state)
    x = torch.randn(2, 3, 150, 139)
    expected = Port(state).inception3(x)
    assert expected.std() > 0.01
    torch.testing.assert_close(net(x), expected, rtol=1e-3, atol=1e-4)


def synthetic(keys):
    return {key: torch.zeros(shape) for key, shape in keys}


@pytest.fixture(scope="module")
def small():
    """The smallest of the networks, and zeros in its port's naming."""
    return build(googlenet_3x3), synthetic(torchvision_googlenet())


def refusal(load, net, state):
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(InceptionLabError) as error:
        load(net, state)
    assert error.value.exit_code == 2
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    return str(error.value)


class TestWhatDoesNotFit:
    def test_a_missing_key(self, small):
        net, state = small
        lacking = {key: value for key, value in state.items() if key != "inception4b.branch3.1.bn.bias"}
        assert refusal(load_torchvision_state_dict, net, lacking) == (
            "torchvision's googlenet_3x3: the weights do not fit: "
            "1 key missing (inception4b.branch3.1.bn.bias)"
        )

    def test_many_missing_keys(self, small):
        net, state = small
        lacking = {key: value for key, value in state.items() if not key.startswith("inception")}
        message = refusal(load_torchvision_state_dict, net, lacking)
        assert "270 keys missing (inception3a.branch1.conv.weight, " in message
        assert message.endswith(", ...)")

    def test_an_unknown_key(self, small):
        net, state = small
        message = refusal(load_torchvision_state_dict, net, state | {"conv4.conv.weight": torch.zeros(1)})
        assert message.endswith("the weights do not fit: 1 key unknown (conv4.conv.weight)")

    def test_another_shape(self, small):
        net, state = small
        wrong = state | {"fc.weight": torch.zeros(1000, 1024), "fc.bias": 3.0}
        message = refusal(load_torchvision_state_dict, net, wrong)
        assert message.endswith(
            "2 keys of another shape (fc.weight 1000 x 1024 in place of 6 x 1024, "
            "fc.bias (float) in place of 6)"
        )

    def test_all_at_once(self, small):
        net, state = small
        wrong = state | {"x": torch.zeros(1), "fc.bias": torch.zeros(7)}
        del wrong["conv1.bn.weight"]
        message = refusal(load_torchvision_state_dict, net, wrong)
        assert message.endswith(
            "1 key missing (conv1.bn.weight), 1 key unknown (x), "
            "1 key of another shape (fc.bias 7 in place of 6)"
        )

    @pytest.mark.parametrize("entry", [googlenet, googlenet_bn, googlenet_v3])
    def test_a_relative_of_the_network(self, entry):
        message = refusal(load_torchvision_state_dict, build(entry), synthetic(torchvision_googlenet()))
        assert message.startswith("torchvision's googlenet_3x3: ")
        if entry is not googlenet_v3:
            assert "no counterpart of inception3a.branch3.conv5x5.conv.weight" in message
        assert message.endswith("in GoogLeNet; build the model as googlenet_3x3")

    @pytest.mark.parametrize(
        "build_other", [inception_resnet_v1, lambda **kw: inception_resnet_v2(reading="paper", **kw)]
    )
    def test_another_reading(self, build_other):
        with shapes_only():
            net = build_other(num_classes=CLASSES)
        with pytest.raises(InceptionLabError, match="build the model as inception_resnet_v2"):
            load_timm_state_dict(net, synthetic(timm_inception_resnet_v2()))

    @pytest.mark.parametrize(
        ("load", "message"),
        [
            (
                load_torchvision_state_dict,
                "torchvision: no counterpart of Linear; it has googlenet_3x3, incep",
            ),
            (load_timm_state_dict, "timm: no counterpart of Linear; it has inception_v3, inception_v4, "),
        ],
    )
    def test_any_other_model(self, load, message):
        assert refusal(load, nn.Linear(2, 2), {}).startswith(message)

    def test_a_model_on_meta(self):
        with shapes_only():
            net = xception(num_classes=CLASSES)
        with pytest.raises(InceptionLabError, match='no memory for weights; build it with device="cpu"'):
            load_timm_state_dict(net, synthetic(timm_xception()))


class TestHeads:
    def test_those_that_the_model_lacks_are_dropped_and_named(self, small):
        net, state = small
        heads = synthetic(torchvision_googlenet_heads())
        result = load_torchvision_state_dict(net, heads | state)
        assert result == LoadResult(len(state), tuple(heads))
        assert "aux1.conv.bn.num_batches_tracked" in result.dropped

    def test_those_that_it_has_are_carried_over(self, small):
        net = build(googlenet_3x3, aux_logits=True)
        heads = {key: torch.full(shape, 0.5) for key, shape in torchvision_googlenet_heads()}
        result = load_torchvision_state_dict(net, small[1] | heads)
        assert result == LoadResult(len(net.state_dict()))
        assert (net.aux2.fc2.weight == 0.5).all()

    def test_those_that_are_not_there_are_missing(self, small):
        message = refusal(load_torchvision_state_dict, build(googlenet_3x3, aux_logits=True), small[1])
        assert "keys missing (aux1.conv.conv.weight" in message
        assert message.endswith("; build the model with aux_logits=False")

    def test_an_unknown_key_of_a_head_that_is_there(self, small):
        net = build(googlenet_3x3, aux_logits=True)
        state = small[1] | synthetic(torchvision_googlenet_heads()) | {"aux1.fc3.bias": torch.zeros(1)}
        assert refusal(load_torchvision_state_dict, net, state).endswith("1 key unknown (aux1.fc3.bias)")


class TestFiles:
    def test_a_file_of_tensors(self, small, tmp_path):
        net, state = small
        state = state | {"fc.bias": torch.arange(float(CLASSES))}
        torch.save(state, tmp_path / "weights.pth")
        for path in (tmp_path / "weights.pth", str(tmp_path / "weights.pth")):
            net.fc.bias.data.zero_()
            assert load_torchvision_state_dict(net, path).loaded == len(state)
            assert net.fc.bias.tolist() == list(range(CLASSES))

    def test_old_files_have_no_counters(self, small):
        net, state = small
        old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
        assert load_torchvision_state_dict(net, old).loaded == len(old) < len(state)
        assert net.conv1.bn.num_batches_tracked == 0

    def test_it_is_read_as_tensors_alone(self, small, tmp_path, monkeypatch):
        load_options = {}

        def load(_, **options):
            load_options.update(options)
            return small[1]

        monkeypatch.setattr(torch, "load", load)
        load_torchvision_state_dict(small[0], tmp_path / "weights.pth")
        assert load_options == {"map_location": "cpu", "weights_only": True}

    def test_a_pickled_module_is_refused(self, small, tmp_path):
        path = tmp_path / "model.pth"
        torch.save(nn.Linear(2, 2), path)
        message = refusal(load_torchvision_state_dict, small[0], path)
        assert message == f"{path} is not a file of tensors alone; save a state dict with torch.save"

    @pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half a file"])
    def test_a_damaged_file_is_refused(self, small, tmp_path, content):
        path = tmp_path / "damaged.pth"
        path.write_bytes(content)
        assert "is not a file of tensors alone" in refusal(load_torchvision_state_dict, small[0], path)

    def test_a_file_that_is_not_there(self, small, tmp_path):
        path = tmp_path / "none.pth"
        message = refusal(load_torchvision_state_dict, small[0], path)
        assert message == f"cannot read {path}; No such file or directory"

    def test_a_list_is_no_state_dict(self, small, tmp_path):
        torch.save([torch.zeros(1)], tmp_path / "list.pth")
        message = refusal(load_torchvision_state_dict, small[0], tmp_path / "list.pth")
        assert message == "the weights are a list; pass model.state_dict()"


@pytest.mark.parametrize("table", [weights.TORCHVISION, weights.TIMM])
def test_no_map_leads_to_one_layer_twice(table):
    for port in table.values():
        assert len(set(port.names.values())) == len(port.names)
