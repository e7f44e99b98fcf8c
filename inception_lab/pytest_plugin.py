"""Budgets in anyone's own tests: a marker and a fixture, which cost nothing where they are not used.

Example:
    A test that fails where the net has outgrown its limits, before its own body runs::

        @pytest.mark.inception_budget("mynet:MyNet", (1, 3, 224, 224), params="7 M")
        def test_forward(): ...
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from inception_lab.budgets.verdict import Verdict

MARKER = "inception_budget"
_MARKER_LINE = (
    f"{MARKER}(model, inputs=None, **limits): fail the test, before it runs, where the model breaks one of "
    "these limits; the arguments are those of inception_lab.check_budget."
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, so that `--strict-markers` knows it."""
    config.addinivalue_line("markers", _MARKER_LINE)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Check the budgets of a marked test; one that is not kept fails it, and its body does not run."""
    for mark in item.iter_markers(MARKER):
        if failure := _failure_of(mark):
            pytest.fail(failure, pytrace=False)


def _failure_of(mark: pytest.Mark) -> str:
    """The text for a budget that is not kept, or that is wrong; empty where it is kept."""
    from inception_lab import BudgetExceeded, InceptionLabError, check_budget

    try:
        call = signature(check_budget).bind(*mark.args, **mark.kwargs)
    except TypeError as error:
        return f"{MARKER}: {error}; its arguments are those of inception_lab.check_budget"
    try:
        check_budget(*call.args, **call.kwargs)
    except (BudgetExceeded, InceptionLabError) as error:
        return str(error)
    return ""


@pytest.fixture
def inception_budget() -> Callable[..., Verdict]:
    """`inception_lab.check_budget`, whose failures show the line of the test and none of ours."""
    return _check_from_test


def _check_from_test(*arguments: Any, **keywords: Any) -> Verdict:
    __tracebackhide__ = True
    from inception_lab import BudgetExceeded, InceptionLabError, check_budget

    try:
        return check_budget(*arguments, **keywords)
    except (BudgetExceeded, InceptionLabError) as error:
        failure = error
    raise failure.with_traceback(None)
