"""Limits held against figures that are made by hand: which bound decides, by how much, and what grew."""

from dataclasses import dataclass, field

import pytest

from inception_lab.budgets.budget import Budget, Growth, Limit, Ratio
from inception_lab.budgets.figures import RecordedFigures
from inception_lab.budgets.judge import FieldDoubt, Reference, TimeRatio, judge
from inception_lab.budgets.lock import LockedBudget, question_of
from inception_lab.budgets.verdict import Change
from inception_lab.errors import InceptionLabError


@dataclass(frozen=True)
class Traced(RecordedFigures):
    """Figures as of a trace."""

    input_shapes: tuple = ("1x3x8x8",)
    torch: str = "2.13"
    uncounted_ops: dict = field(default_factory=dict)
    field_doubts: dict = field(default_factory=dict)


@dataclass
class Models:
    """Figures by MODEL and mode, or an error; and one ratio of times."""

    by_model: dict
    ratio: object = None

    def figures(self, budget, mode):
        answer = self.by_model[budget.model, mode]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def time_ratio(self, budget, other):
        self.timed = budget.model, other.model
        if isinstance(self.ratio, Exception):
            raise self.ratio
        return self.ratio


LAYERS = {
    "stem": {"macs": 500},
    "block.a.conv": {"macs": 300},
    "block.b.conv": {"macs": 150},
    "block.b.relu": {},
    "fc": {"macs": 50},
}
NET = Traced({"macs": 1000, "peak_bytes": 4096}, LAYERS)
OLD_LAYERS = {
    "stem": {"macs": 500},
    "block.a.conv": {"macs": 210},
    "block.b.conv": {"macs": 160},
    "gone": {"macs": 30},
}
OTHER = Traced({"macs": 400}, {"stem": {"macs": 100}, "block.a.conv": {"macs": 300}})


def budget(*limits, **settings):
    facts = {"name": "net", "model": "net", "kwargs": {}, "input_sizes": (), "batch_size": 1, "mode": "eval",
             "optimizer": None}  # fmt: skip
    return Budget(**facts | settings, limits=limits)


def reference(torch="2.13", shapes=("1x3x8x8",), **settings):
    figures = RecordedFigures({"macs": 900}, OLD_LAYERS)
    return Reference({}, LockedBudget(question_of(budget(**settings)), shapes, torch, figures), has_lock=True)


def only(limit, locked=None, models=None, **settings):
    (finding,) = judge(budget(limit, **settings), models or Models({("net", "eval"): NET}), locked).findings
    return finding


@pytest.mark.parametrize(
    ("limit", "passed", "allowed", "reason"),
    [
        (Limit("macs", most=1000), True, 1000, ""),
        (Limit("macs", most=800), False, 800, "1,000 is 200 (25 %) above the maximum of 800"),
        (Limit("macs", most=0), False, 0, "1,000 is 1,000 above the maximum of 0"),
        (Limit("macs", least=1000), True, 1000, ""),
        (Limit("macs", least=1250), False, 1250, "1,000 is 250 (20 %) below the minimum of 1,250"),
        (Limit("macs", least=900, most=1100), True, 1100, ""),
        (Limit("macs", growth=Growth(12, None)), True, 1008, ""),
        (Limit("macs", growth=Growth(10, None)), False, 990,
         "1,000 is 10 (1.01 %) above the 990 that growth from 900 allows"),
        (Limit("macs", growth=Growth(None, 100)), True, 1000, ""),
        (Limit("macs", growth=Growth(None, 99)), False, 999,
         "1,000 is 1 (0.1 %) above the 999 that growth from 900 allows"),
        (Limit("macs", growth=Growth(1, 100)), True, 1000, ""),
        (Limit("macs", growth=Growth(12, 3)), True, 1008, ""),
        (Limit("macs", growth=Growth(0, None)), False, 900,
         "1,000 is 100 (11.1 %) above the 900 that growth from 900 allows"),
        (Limit("macs", most=950, growth=Growth(100, None)), False, 950,
         "1,000 is 50 (5.26 %) above the maximum of 950"),
        (Limit("macs", most=5000, growth=Growth(0.1, None)), False, 900,
         "1,000 is 100 (11.1 %) above the 900 that growth from 900 allows"),
        (Limit("macs", most=40), False, 40, "1,000 is 960 (2,400 %) above the maximum of 40"),
        (Limit("macs", least=1e300), False, 1e300,
         "1,000 is 1e+300 (100 %) below the minimum of 1e+300"),
        (Limit("macs", "block", most=450), True, 450, ""),
        (Limit("macs", "*.conv", most=449), False, 449, "450 is 1 (0.223 %) above the maximum of 449"),
        (Limit("macs", "block.?.relu", most=0), True, 0, ""),
    ],
    ids=range(20),
)  # fmt: skip
def test_bounds(limit, passed, allowed, reason):
    finding = only(limit, reference())
    assert (finding.passed, finding.allowed, finding.reason) == (passed, allowed, reason)
    assert finding.limit is limit


def test_the_version_of_torch_stands_in_the_verdict():
    models = Models({("net", "eval"): NET, ("bad", "eval"): InceptionLabError("no model")})
    verdicts = [judge(budget(Limit("macs", most=1), model=name), models) for name in ("net", "bad")]
    assert [verdict.torch for verdict in verdicts] == ["2.13", ""]


def test_percentages_are_decimal_numbers():
    """0.7 % of 1000 is 7, though the float 1000 * 0.7 / 100 is another number."""
    figures = Traced({"macs": 1007}, {})
    lock = RecordedFigures({"macs": 1000}, {})
    locked = Reference({}, LockedBudget(question_of(budget()), ("1x3x8x8",), "2.13", lock))
    finding = only(Limit("macs", growth=Growth(0.7, None)), locked, Models({("net", "eval"): figures}))
    assert (finding.passed, finding.allowed) == (True, 1007)


def test_layers_that_changed_come_largest_growth_first():
    finding = only(Limit("macs", most=1), reference())
    assert finding.locked == 900
    assert finding.changes == (
        Change("block.a.conv", 210, 300),
        Change("fc", 0, 50),
        Change("block.b.conv", 160, 150),
        Change("gone", 30, 0),
    )
    assert finding.largest == ()


def test_of_a_pattern_only_its_layers_count():
    finding = only(Limit("macs", "block", most=1), reference())
    assert (finding.value, finding.locked) == (450, 370)
    assert [change.layer for change in finding.changes] == ["block.a.conv", "block.b.conv"]


def test_without_a_lock_the_largest_layers_stand_there():
    finding = only(Limit("macs", most=1))
    assert finding.largest == (("stem", 500), ("block.a.conv", 300), ("block.b.conv", 150), ("fc", 50))
    assert finding.changes == ()


@pytest.mark.parametrize(
    ("locked", "reason"),
    [
        (None, "there is no lock"),
        (Reference({}, None, has_lock=True), "the lock does not have it"),
        (reference(batch_size=8), "the lock is of another batch-size"),
        (reference(mode="train", model="x"), "the lock is of another model and mode"),
        (reference(shapes=("1x3x9x9",)), "the lock is of another input-shapes"),
    ],
    ids=range(5),
)
def test_growth_without_a_locked_figure_is_not_kept(locked, reason):
    finding = only(Limit("macs", most=2000, growth=Growth(1, None)), locked)
    assert (finding.passed, finding.value, finding.locked) == (False, 1000, None)
    assert finding.reason.startswith(
        f"no locked value to grow from: {reason}; write the lock with update_lock()"
    )
    assert only(Limit("macs", most=2000), locked).passed


def test_growth_of_a_figure_that_the_lock_does_not_have():
    finding = only(Limit("peak_bytes", growth=Growth(1, None)), reference())
    assert finding.reason.startswith("no locked value to grow from: the lock has no such figure")


def test_growth_of_layers_in_a_metric_that_the_lock_does_not_have():
    net = Traced({"saved_bytes": 9}, {"stem": {"saved_bytes": 9}})
    limit = Limit("saved_bytes", "stem", growth=Growth(None, 100))
    finding = only(limit, reference(), Models({("net", "eval"): NET, ("net", "train"): net}))
    assert (finding.passed, finding.locked) == (False, None)
    assert finding.reason.startswith("no locked value to grow from: the lock has no such figure")


def test_a_peak_is_explained_by_the_layers_of_the_mode_that_the_lock_has():
    step = Traced({"macs": 1}, {"stem": {"activation_bytes": 8}, "fc": {"activation_bytes": 9}})
    inference = Traced({"peak_bytes": 4096}, {"stem": {"activation_bytes": 1}, "fc": {"activation_bytes": 1}})
    models = Models({("net", "eval"): inference, ("net", "train"): step})
    layers = {"stem": {"activation_bytes": 8}, "fc": {"activation_bytes": 7}}
    lock = LockedBudget(
        question_of(budget(mode="train")), ("1x3x8x8",), "2.13", RecordedFigures({"peak_bytes": 1}, layers)
    )
    finding = only(Limit("peak_bytes", most=2), Reference({}, lock), models, mode="train")
    assert finding.changes == (Change("fc", 7, 9),)


def test_another_version_of_torch_is_said():
    finding = only(Limit("macs", growth=Growth(1, None)), reference(torch="2.11"))
    assert finding.reason == (
        "1,000 is 91 (10 %) above the 909 that growth from 900 allows (locked with torch 2.11, this is 2.13)"
    )


MODELS = Models(
    {("net", "eval"): NET, ("other", "eval"): OTHER, ("bad", "eval"): InceptionLabError("no model")}
)


@pytest.mark.parametrize(
    ("limit", "passed", "allowed", "reason"),
    [
        (Limit("macs", ratio=Ratio(2.5, "other")), True, 1000, ""),
        (Limit("macs", ratio=Ratio(2, "other")), False, 800,
         "1,000 is 200 (25 %) above 800, 2 times the 400 of other"),
        (Limit("macs", ratio=Ratio(1 / 3, "other")), False, 133,
         "1,000 is 867 (652 %) above 133, 0.333333 times the 400 of other"),
        (Limit("macs", "block", ratio=Ratio(1.5, "other")), True, 450, ""),
        (Limit("macs", "fc", ratio=Ratio(1, "other")), False, None,
         "other: no layer matches 'fc'; known: block, stem"),
        (Limit("macs", most=3, ratio=Ratio(1, "bad")), False, None, "no model"),
        (Limit("macs", ratio=Ratio(1, "named")), False, 400,
         "1,000 is 600 (150 %) above 400, 1 times the 400 of named"),
    ],
    ids=range(7),
)  # fmt: skip
def test_ratios(limit, passed, allowed, reason):
    named = Reference({"named": budget(name="named", model="other")})
    finding = only(limit, named, MODELS)
    assert (finding.passed, finding.allowed, finding.reason) == (passed, allowed, reason)


@pytest.mark.parametrize(
    ("times", "passed", "reason"),
    [
        (TimeRatio(0.9, 0.8, 1.0, True), True, ""),
        (TimeRatio(1.2, 1.1, 1.3, True), True, ""),
        (TimeRatio(1.4, 1.35, 1.6, True), False, "1.40 times the time of other (1.35 to 1.60), above 1.3"),
        (TimeRatio(1.4, 1.2, 1.6, True), True, "too noisy to judge: 1.20 to 1.60 times"),
        (TimeRatio(1.2, 1.1, 1.6, True), True, "too noisy to judge: 1.10 to 1.60 times"),
        (TimeRatio(1.4, 1.35, 1.6, False), True, "too few rounds to judge: 1.35 to 1.60 times"),
        (InceptionLabError("it has no weights"), False, "it has no weights"),
    ],
    ids=range(7),
)
def test_times_fail_only_where_the_whole_interval_is_above(times, passed, reason):
    models = Models({("net", "eval"): NET}, times)
    finding = only(Limit("time", ratio=Ratio(1.3, "other")), None, models)
    assert (finding.passed, finding.allowed, finding.reason) == (passed, 1.3, reason)
    assert finding.value == (None if isinstance(times, Exception) else times.median)
    assert models.timed == ("net", "other")


def test_a_model_that_cannot_be_built_fails_its_budget():
    verdict = judge(budget(Limit("macs", most=3), model="bad"), MODELS)
    assert (verdict.status, verdict.error, verdict.findings) == ("error", "no model", ())


def test_a_partial_trace_fails_its_budget_and_is_judged_still():
    partial = Traced({"macs": 1}, {}, uncounted_ops={"b": 2, "a": 1})
    verdict = judge(budget(Limit("macs", most=3)), Models({("net", "eval"): partial}))
    assert (verdict.status, verdict.error) == ("error", "not counted: a (1x), b (2x)")
    assert verdict.findings[0].passed


@pytest.mark.parametrize(
    ("limit", "unknown", "bound"),
    [
        (Limit("receptive_field", most=90), False, True),
        (Limit("receptive_field", least=30), True, True),
        (Limit("receptive_field", least=31), False, False),
        (Limit("receptive_field", ratio=Ratio(2, "other")), False, True),
        (Limit("receptive_field", "block", most=30), True, True),
        (Limit("receptive_field", "fc", most=90), False, True),
    ],
    ids=range(6),
)
def test_a_receptive_field_that_is_not_known_passes_no_limit_that_it_may_break(limit, unknown, bound):
    layers = {
        "stem": {"receptive_field": 3},
        "block.a": {"receptive_field": 30},
        "fc": {"receptive_field": 70},
    }
    for is_bound, passed in ((False, unknown), (True, bound)):
        net = Traced({"receptive_field": 70}, layers, field_doubts={"fc": FieldDoubt("rolled", is_bound)})
        other = Traced({"receptive_field": 40}, {})
        finding = only(limit, None, Models({("net", "eval"): net, ("other", "eval"): other}))
        assert finding.passed == passed
        assert passed or finding.reason == "the receptive field of fc is not known: rolled"


def test_a_receptive_field_of_another_model_that_is_not_known_is_no_measure():
    other = Traced({"receptive_field": 40}, {}, field_doubts={"fc": FieldDoubt("rolled", True)})
    net = Traced({"receptive_field": 70}, {})
    limit = Limit("receptive_field", ratio=Ratio(2, "other"))
    finding = only(limit, None, Models({("net", "eval"): net, ("other", "eval"): other}))
    assert (finding.passed, finding.reason) == (
        False,
        "other: the receptive field of fc is not known: rolled",
    )


def test_severity():
    models = Models({("net", "eval"): NET})
    warn, fail = Limit("macs", most=3, severity="warn"), Limit("macs", most=3)
    statuses = [judge(budget(*limits), models).status for limits in ([], [warn], [fail], [warn, fail])]
    assert statuses == ["passed", "warned", "failed", "failed"]


def test_figures_of_training_come_from_a_step():
    step = Traced({"macs": 1000, "train_peak_bytes": 9}, LAYERS)
    models = Models({("net", "eval"): NET, ("net", "train"): step})
    limits = [Limit("train_peak_bytes", most=9), Limit("peak_bytes", most=4096)]
    for mode in ("eval", "train"):
        verdict = judge(budget(*limits, mode=mode), models)
        assert [finding.value for finding in verdict.findings] == [9, 4096]
