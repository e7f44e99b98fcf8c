"""Nets to report on."""

from __future__ import annotations

import pytest
from support.report_nets import tiny
from support.weird_nets import WEIRD

from inception_lab.report.contents import ReportContents


@pytest.fixture(scope="session")
def contents() -> ReportContents:
    return tiny(name="tiny_inception")


@pytest.fixture(params=WEIRD)
def weird(request: pytest.FixtureRequest) -> ReportContents:
    return WEIRD[request.param]()
