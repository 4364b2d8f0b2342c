"""The book as one PDF: every page printed by a browser, in the order of the table of contents."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import yaml
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, sync_playwright
from pypdf import PdfReader, PdfWriter

from reprolib.errors import Failed
from reprolib.files import replacing, write_text
from reprolib.progress import Progress, Report
from reprolib.site.serve import serving

NAME = "u-net-reproduced.pdf"  # in the built site
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
# What a reader of paper has no use for: bars, buttons, what is under the page.
HIDDEN = "header, footer, .bd-sidebar-primary, .bd-sidebar-secondary, .prev-next-footer, .viewer-controls, .headerlink"


def find_browser() -> str | None:
    """The program that prints: REPROLIB_BROWSER, or Chromium or Chrome on the PATH."""
    return os.environ.get("REPROLIB_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)


def contents(toc: Path) -> list[str]:
    """Pages of the site, such as "book/index", in the order of _toc.yml; without the one that paper cannot show."""
    listed = yaml.safe_load(toc.read_text(encoding="utf-8"))
    files = [listed["root"], *(entry["file"] for part in listed["parts"] for entry in part["chapters"])]
    return [file for file in files if file != "book/try"]


def offer(html: Path, page: str) -> None:
    """Link the PDF of a built site on one of its pages, where that has an element of the id "pdf"."""
    path, size = html / f"{page}.html", (html / NAME).stat().st_size / 2**20
    text = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
    place = text.find(id="pdf")
    place.clear()
    link = text.new_tag("a", href=f"../{NAME}", attrs={"class": "reference download"})
    link.string = "The book as a PDF"
    place.append(link)
    place.append(f" ({len(PdfReader(html / NAME).pages)} pages, {size:.0f} MB).")
    write_text(path, str(text))


def write_pdf(html: Path, pages: list[str], report: Report | None = print) -> Path:
    """Print pages of a built site into one PDF, with a bookmark for each; gives its path.

    Raises:
        Failed: if there is no browser, or a page is missing.
    """
    program = find_browser()
    if program is None:
        raise Failed(
            f"a PDF is printed by a browser: install one of {', '.join(BROWSERS)}, or name it, REPROLIB_BROWSER"
        )
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        try:
            return print_pages(opened, html, pages, report)
        finally:
            opened.close()


def print_pages(opened: Browser, html: Path, pages: list[str], report: Report | None = print) -> Path:
    """`write_pdf` by a browser that runs already."""
    if lacking := [page for page in pages if not (html / f"{page}.html").is_file()]:
        raise Failed(f"{html} has no page {lacking[0]}: build the site first")
    writer, margin = PdfWriter(), dict.fromkeys(("top", "bottom", "left", "right"), "16mm")
    with serving(html) as address, Progress(len(pages), "page", report) as progress:
        sheet = opened.new_page()
        sheet.emulate_media(media="print", color_scheme="light")
        for page in pages:
            sheet.goto(f"{address}{page}.html", wait_until="load")
            sheet.evaluate("document.documentElement.dataset.theme = 'light'")
            sheet.add_style_tag(content=f"{HIDDEN} {{ display: none !important; }}")
            sheet.wait_for_timeout(500)  # formulas are set by a script
            printed = PdfReader(io.BytesIO(sheet.pdf(format="A4", print_background=True, margin=margin)))
            first = len(writer.pages)
            writer.append(printed, import_outline=False)
            writer.add_outline_item(title=sheet.locator("h1").first.inner_text().strip().rstrip("#"), page_number=first)
            progress.update(1)
        sheet.close()
    writer.add_metadata({"/Title": "U-Net, reproduced"})
    writer.compress_identical_objects()
    with replacing(html / NAME) as part, part.open("wb") as file:
        writer.write(file)
    return html / NAME
