"""A formula that a user registers, with us or with torch, counts from the next trace on."""

from contextlib import contextmanager

import pytest
import torch
from support.pricing import Function
from torch.utils.flop_counter import FlopCounterMode, flop_registry, register_flop_formula

import inception_lab as il
from inception_lab.formulas.registry import formulas_version

aten = torch.ops.aten


@torch.library.custom_op("registration_tests::scale", mutates_args=())
def scale(x: torch.Tensor, *, factor: int = 2) -> torch.Tensor:
    return x * factor


scale.register_fake(lambda x, **_: torch.empty_like(x))
OPERATION = torch.ops.registration_tests.scale
NET = Function(lambda x: scale(x, factor=3))


def scaling(x, *, factor=2, out_val):
    """By hand for 2 x 5: 10 elements in, 10 elements out, times the factor."""
    return il.Cost(macs=factor * x.numel(), other_flops=out_val.numel())


def traced_figures():
    trace = il.trace(NET, (2, 5))
    return sum(op.macs for op in trace.ops), sum(op.other_flops for op in trace.ops), trace.context.complete


@contextmanager
def registered_with_torch(formula):
    register_flop_formula(OPERATION)(formula)
    try:
        yield
    finally:
        del flop_registry[OPERATION]


class TestHeeded:
    """Costs are cached by shape, and must not outlive the formula that they come from."""

    def test_ours_after_a_first_trace_of_the_same_shapes_and_no_longer_once_it_is_removed(self):
        assert traced_figures() == (0, 0, False)
        formula = il.register_formula(OPERATION, scaling)
        assert traced_figures() == (30, 10, True)
        formula.remove()
        assert traced_figures() == (0, 0, False)

    def test_torchs_after_a_first_trace_of_the_same_shapes(self):
        assert traced_figures() == (0, 0, False)
        with registered_with_torch(lambda shape, **_: 2 * 7 * shape[0]):
            assert traced_figures() == (14, 0, True)
        assert traced_figures() == (0, 0, False)

    def test_ours_before_torchs_which_knows_no_other_operations(self):
        with registered_with_torch(lambda shape, **_: 2 * 7 * shape[0]):
            assert traced_figures() == (14, 0, True)
            with il.register_formula(OPERATION, scaling):
                assert traced_figures() == (30, 10, True)
            assert traced_figures() == (14, 0, True)

    def test_one_formula_after_another(self):
        for macs in (5, 6):
            with il.register_formula(OPERATION, lambda *_, macs=macs, **__: il.Cost(macs)):
                assert traced_figures() == (macs, 0, True)

    def test_also_where_a_mode_of_somebody_else_is_active(self):
        assert traced_figures() == (0, 0, False)
        with il.register_formula(OPERATION, scaling), FlopCounterMode(display=False):
            assert traced_figures() == (30, 10, True)

    def test_for_an_operation_of_torch_and_its_in_place_form(self):
        net = Function(lambda x: x.clone().erfinv_().erfinv())
        assert sum(op.other_flops for op in il.trace(net, (2, 5)).ops) == 2 * 10
        with il.register_formula(aten.erfinv, lambda x, **_: il.Cost(other_flops=7 * x.numel())):
            assert sum(op.other_flops for op in il.trace(net, (2, 5)).ops) == 2 * 7 * 10

    def test_in_every_phase_of_a_step(self):
        with il.register_formula(aten.erf, lambda x, **_: il.Cost(macs=x.numel())):
            costs = il.layer_costs(il.trace(torch.nn.GELU(), (2, 5), mode="train"))
        assert costs["macs"].sum() == 0
        with il.register_formula(aten.gelu_backward, lambda grad, *_, **__: il.Cost(macs=grad.numel())):
            x = torch.zeros(2, 5, requires_grad=True)
            costs = il.layer_costs(il.trace(torch.nn.GELU(), x, mode="train"))
        assert (costs["macs"].sum(), costs["backward_macs"].sum()) == (0, 10)


class TestRefused:
    def test_a_duplicate_by_a_user(self):
        with il.register_formula(OPERATION, scaling):
            with pytest.raises(il.InceptionLabError) as raised:
                il.register_formula(OPERATION, lambda *_, **__: il.Cost())
            assert str(raised.value) == (
                "registration_tests.scale has a formula already; remove() that one first"
            )
            assert traced_figures() == (30, 10, True)

    @pytest.mark.parametrize("operation", [aten.convolution, aten.gather], ids=str)
    def test_a_duplicate_of_the_tables(self, operation):
        with pytest.raises(il.InceptionLabError, match=f"{operation} has a formula already"):
            il.register_formula(operation, scaling)

    @pytest.mark.parametrize(
        "value",
        [OPERATION.default, torch.relu, "aten::relu", None],
        ids=["overload", "function", "text", "nothing"],
    )
    def test_what_is_not_an_operation(self, value):
        with pytest.raises(il.InceptionLabError, match=r"is not an operation of torch\.ops; pass one such"):
            il.register_formula(value, scaling)

    @pytest.mark.parametrize(
        ("formula", "text"),
        [
            (lambda *_, **__: 12, r"formula of registration_tests\.scale: returned 12; return il\.Cost\("),
            (lambda *_, **__: (1, 2, True), r"returned \(1, 2, True\)"),
            (lambda *_, **__: il.Cost(macs=-3), r"returned Cost\(macs=-3"),
            (lambda *_, **__: il.Cost(macs=1.5), r"returned Cost\(macs=1\.5"),
            (lambda *_, **__: il.Cost(other_flops=torch.tensor(3)), "returned Cost"),
            (lambda *_, **__: 1 // 0, "raised ZeroDivisionError: integer division"),
            (lambda x, **_: x.sum().item(), "raised RuntimeError: Tensor.item"),
        ],
    )
    def test_a_formula_that_gives_no_cost(self, formula, text):
        """It is our caller's mistake, and no reason to run the model for real."""
        with (
            il.register_formula(OPERATION, formula),
            pytest.raises(il.InceptionLabError, match=text) as raised,
        ):
            il.trace(NET, (2, 5))
        assert "\n" not in str(raised.value)
        assert traced_figures() == (0, 0, False)


class TestVersion:
    def test_it_stays_as_long_as_nothing_is_registered(self):
        before = formulas_version()
        il.trace(NET, (2, 5))
        assert formulas_version() == before

    def test_it_never_comes_back(self):
        """A formula that came and went during a trace in another thread may have been heeded."""
        versions = [formulas_version()]
        for _ in range(3):
            formula = il.register_formula(OPERATION, scaling)
            versions.append(formulas_version())
            formula.remove()
            versions.append(formulas_version())
        assert len(set(versions)) == len(versions) == 7

    def test_a_formula_that_takes_the_place_of_another_with_torch(self):
        versions = [formulas_version()]
        for _ in range(2):
            with registered_with_torch(lambda *_, **__: 0):
                versions.append(formulas_version())
        assert len(set(versions)) == 3

    def test_removing_a_formula_again_leaves_its_successor(self):
        first = il.register_formula(OPERATION, scaling)
        first.remove()
        with il.register_formula(OPERATION, scaling):
            first.remove()
            assert traced_figures() == (30, 10, True)
