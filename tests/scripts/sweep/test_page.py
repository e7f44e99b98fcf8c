"""The page of a sweep."""

import sweep_zoo
from shared import REPORTS
from sweep import page


def test_the_committed_page_is_that_of_the_committed_rows(monkeypatch):
    folder = REPORTS / "coverage"
    monkeypatch.setattr(page, "DECLARED_OPERATORS", ["nms"])
    monkeypatch.setattr(page, "context", lambda _: {})
    text = page.page(sweep_zoo.read(folder / "coverage.csv"), {})
    committed = (folder / "README.md").read_text(encoding="utf-8")
    assert text.partition("## Context")[0] == committed.partition("## Context")[0]
