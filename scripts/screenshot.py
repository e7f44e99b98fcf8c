"""Take the picture of a report's page that the README shows, with Chromium.

Usage: python scripts/screenshot.py [PAGE] [-o FILE] [--width W] [--height H]
"""

from __future__ import annotations

import argparse
import shutil
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Open the page and save what a reader sees first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("page", nargs="?", type=Path, default=ROOT / "reports/googlenet/index.html")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs/page.png")
    parser.add_argument("--width", type=int, default=1100)
    parser.add_argument("--height", type=int, default=1340)
    options = parser.parse_args()
    with sync_playwright() as playwright:
        # a sandbox needs rights that containers do not give
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": options.width, "height": options.height})
        page.goto(options.page.resolve().as_uri())
        image = Image.open(BytesIO(page.screenshot())).convert("RGB")
        browser.close()
    image.quantize(256, kmeans=4, dither=Image.Dither.NONE).save(options.output, optimize=True)
    print(options.output)


if __name__ == "__main__":
    main()
