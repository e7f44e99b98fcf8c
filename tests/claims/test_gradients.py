"""Claims about gradients, judged by flows that are made and by small networks that run."""

import pytest
from pandas import DataFrame

import inception_lab as il
from inception_lab.claims.nets import Nets
from inception_lab.claims.recipes import MEASURED, RECIPES
from inception_lab.claims.recompute import check_claim, select_claims
from inception_lab.claims.verdict import Unavailable
from inception_lab.measure.gradient_flow.results import GradientFlow
from inception_lab.measure.gradient_flow.training_results import Training

DRAWN, DEFAULT = "googlenet(aux_logits=True)", "googlenet(aux_logits=True, init_weights=False)"
BN, BN_DEFAULT = "googlenet_bn(aux_logits=True)", "googlenet_bn(aux_logits=True, init_weights=False)"
UNSCALED = "inception_resnet_v1(scale=1.0)"


def flow(first, last=1.0, whole=None, variance=1.0):
    """A flow of three runs that differ tenfold: gradients of the first convolution by both losses."""
    whole = first if whole is None else whole
    modules = (("conv1", first, whole, 1.0), ("inception5b", last, last, 2.0), ("block_c5", last, last, 1.0))
    rows = [
        {
            "seed": seed,
            "module": module,
            "weight_gradient_main": size * main,
            "weight_gradient": size * loss,
            "weight_norm": norm,
            "output_variance": variance,
        }
        for seed, size in enumerate((1, 0.1, 10))
        for module, main, loss, norm in modules
    ]
    return GradientFlow({}, ("main",), DataFrame(), DataFrame(rows))


def run(highest):
    return Training({}, ("main",), DataFrame({"loss": [1.0, highest]}), DataFrame())


class MadeNets(Nets):
    """Networks whose flows are given."""

    def __init__(self, **flows):
        super().__init__(measure=True)
        self.made = flows

    def gradient_flow(self, model, side=None):  # noqa: ARG002
        return self.made[model]

    def short_training(self, model, side, steps, rate):  # noqa: ARG002
        return run(self.made.get("highest", 50.0) if model == UNSCALED else 5.0)


def checked(claim_id, **flows):
    (claim,) = select_claims([claim_id])
    return check_claim(claim, MadeNets(**flows))


@pytest.mark.parametrize(
    ("drawn", "default", "verdict"),
    [
        (0.0005, 1e-6, "confirmed"),
        (0.1, 0.0001, "confirmed under a reading: PyTorch's default weights"),
        (0.1, 0.1, "contradicted"),
    ],
)
def test_to_vanish_is_to_have_a_thousandth(drawn, default, verdict):
    # the last module's weights are twice as large as the first one's
    claim = checked("vanishing", **{DRAWN: flow(drawn * 4, last=8), DEFAULT: flow(default * 4, last=8)})
    assert str(claim.verdict) == verdict
    assert [reading.value for reading in claim.figures[0].readings] == pytest.approx([drawn, default])


@pytest.mark.parametrize(
    ("drawn", "default", "verdict"),
    [
        (1.2, 1.2, "confirmed"),
        (1.02, 150, "confirmed under a reading: PyTorch's default weights"),
        (1.02, 1.0, "off by 7.3%"),  # 1 - 1.02 / 1.1
    ],
)
def test_heads_are_to_add_a_tenth(drawn, default, verdict):
    claim = checked("aux_gradient", **{DRAWN: flow(2, whole=2 * drawn), DEFAULT: flow(3, whole=3 * default)})
    assert str(claim.verdict) == verdict


@pytest.mark.parametrize(("normalised", "verdict"), [(0.25, "confirmed"), (0.0001, "contradicted")])
def test_normalisation_is_to_change_less(normalised, verdict):
    flows = {DRAWN: flow(1), DEFAULT: flow(0.001), BN: flow(1), BN_DEFAULT: flow(normalised)}
    claim = checked("bn_gradient", **flows)
    assert str(claim.verdict) == verdict
    assert "1e+03-fold without" in claim.figures[0].readings[0].working


@pytest.mark.parametrize(
    ("unscaled", "highest", "verdict"),
    [
        (50, 300.0, "confirmed under a reading: gradients at initialisation"),
        (5, 300.0, "contradicted"),
        (5, float("inf"), "confirmed"),
    ],
)
def test_without_scales_a_run_is_to_end_in_no_number_or_gradients_to_grow_tenfold(unscaled, highest, verdict):
    flows = {"inception_resnet_v1": flow(1), UNSCALED: flow(unscaled, variance=20)}
    claim = checked("scale", **flows, highest=highest)
    assert [str(figure.verdict) for figure in claim.figures] == ["confirmed", "confirmed", verdict]
    assert "20 times" in claim.figures[2].readings[1].working


@pytest.mark.parametrize("claim", ["vanishing", "aux_gradient", "bn_gradient", "scale"])
def test_nothing_runs_until_it_is_asked_for(claim):
    (answer,) = il.confirm([claim]).claims
    assert "--measure" in answer.verdict.detail
    assert answer.as_expected
    assert "initialisation" in answer.claim.note


def test_recipes_of_real_runs_run_nothing_by_themselves():
    assert {"times_faster", "gradient_decay", "unstable_unscaled"} <= MEASURED
    assert all(isinstance(RECIPES[name](Nets()), Unavailable) for name in MEASURED)


def test_what_a_trace_tells_of_a_claim_is_about_its_model():
    """The scales are traced; that training is unstable without takes real runs of another variant too."""
    claims = il.claims_about(["inception_resnet_v1"])["inception_resnet_v1"].claims
    assert "scale" in {claim.claim.id for claim in claims}


def test_flows_are_of_real_runs_over_three_seeds_each_once():
    nets = Nets(measure=True)
    flow = nets.gradient_flow("googlenet_cifar10", 32)
    assert nets.gradient_flow("googlenet_cifar10", 32) is flow
    assert flow.context["input_shapes"] == [[4, 3, 32, 32]]
    assert list(flow.losses["seed"]) == [0, 1, 2]
    assert flow.context["weights"] == "drawn for each seed"
