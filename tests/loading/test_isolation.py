"""The state of the process around models that are in use together."""

import pytest
import torch

from inception_lab.errors import InceptionLabError
from inception_lab.loading.isolation import check_same_settings, isolated
from inception_lab.running.settings import Settings


def state():
    return torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_rng_state().tolist()


def test_a_model_within_another_ones_use_begins_as_that_one_did_and_gives_it_its_state_back():
    initial = state()
    with isolated():
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(3)
        outer = state()
        with isolated():
            assert state() == initial
            torch.set_grad_enabled(False)
            inner = state()
            with isolated():
                assert state() == initial
            assert state() == inner
        assert state() == outer
    assert state() == initial


def test_settings_that_differ_are_named_unless_they_are_free():
    with isolated():
        before = Settings()
        torch.set_default_dtype(torch.float64)
        used = [("a", before), ("b", before), ("c", Settings())]
    with pytest.raises(InceptionLabError) as refusal:
        check_same_settings(used)
    assert str(refusal.value) == (
        "default dtype is torch.float32 of a and torch.float64 of c; "
        "they would run in turns: set the same in both, or run each alone"
    )
    check_same_settings(used, ["default dtype"])
    check_same_settings(used[:2])
