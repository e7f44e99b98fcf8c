"""All claims recomputed: verdicts as recorded, and others where a model is another."""

import time
from dataclasses import replace
from functools import partial

import pytest
from torch import nn

import inception_lab as il
from inception_lab.claims.catalogue import ALL
from inception_lab.claims.catalogue.sources import GOOGLENET
from inception_lab.claims.claim import Claim, Figure, by
from inception_lab.claims.nets import Nets
from inception_lab.claims.quantity import between
from inception_lab.claims.recompute import check_claim
from inception_lab.errors import InceptionLabError
from inception_lab.loading import model
from inception_lab.models import blocks, bn_inception, googlenet, googlenet_modules


@pytest.fixture(scope="module")
def confirmation():
    return il.confirm()


def verdicts(*ids, **options):
    return {claim.claim.id: str(claim.verdict) for claim in il.confirm(ids, **options).claims}


def test_every_verdict_is_the_recorded_one(confirmation):
    assert [claim.claim.id for claim in confirmation.claims] == [claim.id for claim in ALL]
    changed = {c.claim.id: (str(c.verdict), c.claim.expected_verdict) for c in confirmation.surprises}
    assert changed == {}


def test_every_static_claim_has_readings_with_their_working(confirmation):
    for claim in confirmation.claims:
        for figure in claim.figures:
            assert figure.readings or figure.verdict.kind == "not checkable here"
            assert all(reading.working for reading in figure.readings), claim.claim.id
            names = [reading.name for reading in figure.readings]
            assert len(set(names)) == len(names), claim.claim.id


def test_the_answers_that_the_user_asked_for(confirmation):
    rows = {row["id"]: row for row in confirmation.to_dict()["claims"]}
    assert rows["7M"]["computed"] == "6,998,552 parameters"
    assert rows["7M"]["verdict"] == "confirmed"
    assert rows["mul_ratio"]["computed"] == "9.68x"
    assert rows["5M"]["verdict"] == "contradicted"


def test_rows_have_the_fields_that_other_programs_read(confirmation):
    for row in confirmation.to_dict()["claims"]:
        assert list(row)[:7] == ["id", "claim", "source", "claimed", "computed", "verdict", "note"]
        assert all(row[name] for name in list(row)[:7])


def test_models_are_traced_once_each(monkeypatch):
    from inception_lab.claims import nets

    built = []
    trace_of_zoo = nets.Nets._trace_of_zoo
    monkeypatch.setattr(
        nets.Nets, "_trace_of_zoo", lambda self, *key: built.append(key) or trace_of_zoo(self, *key)
    )
    il.confirm(["5M", "7M", "22", "27", "1.5B", "4M"])
    assert built
    assert len(set(built)) == len(built)


def test_a_kernel_that_is_not_the_papers_changes_verdicts(monkeypatch):
    """A 1x1 where the branch should have a 5x5, as one of the tutorials builds it."""
    before = verdicts("mul_reduced", "params_googlenet", "table1_ops_inception_3b", "22")
    small = googlenet_modules.Filters(conv5x5=(("conv5x5", 1),))
    design = googlenet.Design((partial(googlenet_modules.reduced_module, filters=small),) * 3)
    monkeypatch.setattr(googlenet, "googlenet", lambda **options: googlenet.GoogLeNet(design, **options))
    after = verdicts("mul_reduced", "params_googlenet", "table1_ops_inception_3b", "22")
    assert set(before.values()) == {"confirmed"}
    assert after["mul_reduced"] == "contradicted"
    assert after["params_googlenet"].startswith("off by")
    assert after["table1_ops_inception_3b"].startswith("off by")
    assert after["22"] == "confirmed"


def test_a_bias_that_is_dropped_changes_verdicts(monkeypatch):
    assert verdicts("params_googlenet") == {"params_googlenet": "confirmed"}

    class Unbiased(blocks.ConvBlock):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            self.conv.bias = None

    monkeypatch.setattr(googlenet, "ConvBlock", Unbiased)
    monkeypatch.setattr(googlenet_modules, "ConvBlock", Unbiased)
    changed = il.confirm(["params_googlenet", "macs_googlenet"])
    assert [claim.claim.id for claim in changed.surprises] == ["params_googlenet"]
    assert changed.claims[0].verdict.kind == "off"


def test_a_layer_more_changes_the_depth(monkeypatch):
    deep = googlenet.Design((googlenet_modules.MODULES["stacked"],) * 3)
    monkeypatch.setattr(googlenet, "googlenet", lambda **options: googlenet.GoogLeNet(deep, **options))
    assert verdicts("22") == {"22": "contradicted"}


def test_a_layer_that_is_gone_is_told_and_hides_nothing(monkeypatch):
    def renamed(stage, depth):
        return [replace(row, name=f"{row.name}_new") for row in googlenet_modules.stage_rows(stage, depth)]

    monkeypatch.setattr(googlenet, "stage_rows", renamed)
    answers = il.confirm(["table1_ops_inception_4a", "22"])
    assert [str(claim.verdict) for claim in answers.claims] == [
        "confirmed",
        "not checkable here: googlenet: no layer 'inception4a'",
    ]
    assert [claim.claim.id for claim in answers.surprises] == ["table1_ops_inception_4a"]


class Tiny(nn.Module):
    """A net with nothing that a claim is about."""

    def __init__(self):
        super().__init__()
        self.narrow, self.wide = nn.Linear(3, 10), nn.Linear(10, 20)

    def forward(self, images):
        return self.wide(self.narrow(images.mean((2, 3))))


NO_MODEL = {
    "convolutions by themselves": {"2.78", "33", "grid"},
    "the module of the lecture, from its builder": {"params_4x", "cs231n_naive", "cs231n_reduced"},
    "training or a real run": {"top5", "faster", "vanishing", "aux_gradient", "bn_gradient"},
    "a file that is no net": {"aux_nodecay"},
}
"""Claims that read no network of the zoo, by what they are about."""


def test_every_claim_about_a_net_depends_on_it(confirmation, monkeypatch):
    monkeypatch.setattr(model, "create_model", lambda *_, **__: Tiny())
    others = il.confirm().claims
    pairs = zip(confirmation.claims, others, strict=True)
    unmoved = {one.claim.id for one, other in pairs if one.figures == other.figures}
    assert unmoved == set().union(*NO_MODEL.values())


class Weightless(nn.Module):
    """A net that costs nothing."""

    def forward(self, images):
        return images.mean((2, 3))


@pytest.mark.parametrize("id", ["12x", "7M", "bn25", "fc90", "4x_double"])
def test_a_cost_of_zero_is_told_and_divides_nothing(monkeypatch, id):
    monkeypatch.setattr(model, "create_model", lambda *_, **__: Weightless())
    (claim,) = il.confirm([id]).claims
    details = {figure.verdict.detail for figure in claim.figures if not figure.readings}
    assert any("params of no " in detail for detail in details)


def test_the_module_of_the_lecture_is_built_by_the_zoo(confirmation, monkeypatch):
    modules = googlenet_modules.MODULES
    small = partial(modules["reduced"], filters=googlenet_modules.Filters(conv5x5=(("conv5x5", 1),)))
    monkeypatch.setattr(googlenet_modules, "MODULES", {**modules, "reduced": small})
    figures = {claim.claim.id: claim.figures for claim in confirmation.claims}
    for claim in il.confirm(["params_4x", "cs231n_reduced"]).claims:
        assert claim.figures != figures[claim.claim.id]


def test_modules_of_unequal_width_are_judged_one_by_one(monkeypatch):
    rows = tuple(replace(row, pool_proj=128) if row.name == "4d" else row for row in bn_inception.TABLE)
    monkeypatch.setattr(bn_inception, "TABLE", rows)
    (claim,) = il.confirm(["bnfig5"]).claims
    assert [figure.computed for figure in claim.figures] == ["4c: 576", "4d: 608"]
    assert claim.verdict.kind == "off"


def test_a_source_selects_its_claims():
    claims = il.confirm(source="distill").claims
    assert len(claims) == 7
    assert {claim.claim.source.name for claim in claims} == {"Araujo, Norris & Sim, Distill 2019"}
    assert set(verdicts(source="CS231N")) == {"cs231n_naive", "cs231n_reduced"}


def test_names_that_are_not_there_are_answered_with_the_nearest():
    with pytest.raises(InceptionLabError, match="no claim '12y'; did you mean 12x"):
        il.confirm(["22", "12y"])
    with pytest.raises(InceptionLabError, match=r"no claim of source '1409\.4843'; did you mean 1409\.4842"):
        il.confirm(source="1409.4843")
    with pytest.raises(InceptionLabError, match=r"ids is the text '12x'; pass \['12x'\]"):
        il.confirm("12x")


def test_time_is_not_checkable_until_it_is_measured():
    claim = il.confirm(["faster"]).claims[0]
    assert claim.verdict.kind == "not checkable here"
    assert "--measure" in claim.verdict.detail
    assert claim.as_expected


def test_measured_times_are_ratios_with_intervals_of_this_machine():
    figure = Figure(between(0, 1e9), by("times_faster", model="googlenet_cifar10", rivals=("nin",)))
    claim = Claim(
        id="x", claim="x.", source=GOOGLENET, figures=(figure,), note="x.", expected_verdict="contradicted"
    )
    answer = check_claim(claim, Nets(measure=True, seconds=0))
    assert answer.as_expected  # a verdict that belongs to a machine is not compared
    (reading,) = answer.figures[0].readings
    assert reading.name == "nin over googlenet_cifar10"
    assert reading.value > 0
    assert " to " in reading.working
    assert "threads" in reading.working


def test_all_of_it_takes_seconds():
    start = time.process_time()
    il.confirm()
    assert time.process_time() - start < 10
