"""A real browser for pages of reports: Chromium without a window, which may ask no network for anything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Seen:
    """What a page said and asked for.

    Attributes:
        messages: Of the console, and errors of scripts.
        requests: Addresses other than that of the page.
    """

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.requests: list[str] = []


@contextmanager
def browser() -> Iterator:
    """A browser; tests that need one are skipped where there is none."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="needs Playwright: pip install -e .[browser]"
    )
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        # a sandbox needs rights that containers do not give
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def expect(locator):
    """What a page comes to show within some seconds, as a browser reports events when it has the time."""
    from playwright import sync_api

    return sync_api.expect(locator)


@contextmanager
def opened(chromium, path: Path, *, scripts: bool = True, width: int = 1280, dark: bool = False):
    """A page from a file, and what is seen of it until the end."""
    scheme = "dark" if dark else "light"
    context = chromium.new_context(
        java_script_enabled=scripts, viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    context.set_default_timeout(5000)
    page, seen = context.new_page(), Seen()
    page.on("console", lambda message: seen.messages.append(message.text))
    page.on("pageerror", lambda error: seen.messages.append(str(error)))
    page.on("dialog", lambda dialog: (seen.messages.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: seen.requests.append(request.url))
    page.goto(path.as_uri())
    seen.requests = [url for url in seen.requests if url != path.as_uri() and not url.startswith("data:")]
    yield page, seen
    context.close()
