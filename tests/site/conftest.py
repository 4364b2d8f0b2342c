"""A real browser for the tests of the site, and the built site served on this machine.

Needs Chromium (Debian: chromium), found on the PATH or named by REPROLIB_BROWSER. Without it these tests are skipped,
with the reason; with REPROLIB_REQUIRE_BROWSER=1 that is a failure instead.
"""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import sync_playwright

from reprolib.site.pdf import find_browser
from reprolib.site.serve import serving

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
           "--disable-sync", "--no-first-run", "--disable-dev-shm-usage"]  # fmt: skip


@pytest.fixture(scope="session")
def browser():
    found = find_browser()
    if not found:
        if os.environ.get("REPROLIB_REQUIRE_BROWSER") == "1":
            pytest.fail("Chromium is not installed, and these tests may not be skipped here")
        pytest.skip("needs Chromium: install it (Debian: chromium), or name it in REPROLIB_BROWSER")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def address(site):
    """Where the built site is served, on this machine only."""
    with serving(site) as served:
        yield served
