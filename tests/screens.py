"""What the tests of the site do with a browser."""

from __future__ import annotations

import contextlib
import time

from playwright.sync_api import Browser, Page


@contextlib.contextmanager
def opened(browser: Browser, width: int = 1440, **options):
    """A page that notes what went wrong on it."""
    context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce", **options)
    page, wrong = context.new_page(), []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    # A page that is left ends its own requests: no fault.
    page.on(
        "requestfailed",
        lambda r: wrong.append(f"failed: {r.url}: {r.failure}") if r.failure != "net::ERR_ABORTED" else None,
    )
    page.on("response", lambda r: wrong.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
    try:
        yield page, wrong
    finally:
        context.close()


def show(page: Page, url: str) -> None:
    page.goto(url, wait_until="load")
    until(page, "document.fonts.status === 'loaded'", 30)


def until(page: Page, condition: str, seconds: float) -> None:
    """Wait for a condition in the page. Playwright's own waiting evaluates text, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        if time.monotonic() > end:
            raise TimeoutError(f"{condition} did not come true in {seconds} s")
        time.sleep(0.05)
