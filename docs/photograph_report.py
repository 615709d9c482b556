"""Take the picture of docs/report.md: a run on the bundled digits, its report, a headless Chromium.

    python docs/photograph_report.py       # about half a minute on two cores

Needs the extras "report" and "dev", and Chromium (apt-get install chromium).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from draw_gallery import SPEC, trained
from playwright.sync_api import ViewportSize, sync_playwright

from lca_core import default_observers
from lca_core.observers import EXTRA_OBSERVERS
from lca_core.report import write_report

IMAGE = Path(__file__).parent / "images" / "report.png"
SIZE: ViewportSize = {"width": 1120, "height": 1640}


def main() -> None:
    """Train, write the report, take the picture of its first screen."""
    extra = [observer() for observer in EXTRA_OBSERVERS.values()]
    observers = [*default_observers(SPEC.network.layout), *extra]
    run = trained(SPEC, observers=observers, by_class=True)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = Path(folder) / "report.html"
        write_report({"digits": run}, page)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        tab = browser.new_page(viewport=SIZE, color_scheme="light")
        tab.goto(page.as_uri())
        tab.wait_for_selector("html[data-ready]")
        tab.screenshot(path=IMAGE)
        browser.close()
    print(f"Took {IMAGE}, {IMAGE.stat().st_size / 1e3:.0f} kB.")


if __name__ == "__main__":
    main()
