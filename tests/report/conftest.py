"""A real browser to open pages in."""

from __future__ import annotations

import os
import shutil

import pytest

from lca_core.report import write_report
from report.page import Page


@pytest.fixture(scope="session")
def browser():
    """Start a headless Chromium; where there must be one (CI), its absence is a failure."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        reason = "no Chromium on this machine (apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Write a report and open it; in the end nothing was complained of, and nothing fetched."""
    pages = []

    def open_page(runs, **settings):
        path = tmp_path / f"report-{len(pages)}.html"
        write_report(runs, path)
        pages.append(Page(browser, path, **settings))
        return pages[-1]

    yield open_page
    for page in pages:
        assert page.said == []
        outside = [url for url in page.asked if not url.startswith(("file:", "data:", "blob:"))]
        assert outside == []
        assert sum(url.startswith("file:") for url in page.asked) == 1
        page.context.close()
