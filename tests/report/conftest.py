"""Nets to report on."""

from __future__ import annotations

import pytest
from support.report_nets import WEIRD, tiny

from inception_lab.report.contents import ReportData


@pytest.fixture(scope="session")
def data() -> ReportData:
    return tiny(name="tiny_inception")


@pytest.fixture(params=WEIRD)
def weird(request: pytest.FixtureRequest) -> ReportData:
    return WEIRD[request.param]()
