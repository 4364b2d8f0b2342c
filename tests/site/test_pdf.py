"""The book as a PDF: its pages in order, with bookmarks, offered by the site."""

from __future__ import annotations

import shutil

import pytest
from pypdf import PdfReader

from reprolib.errors import Failed
from reprolib.site import build, pdf


@pytest.fixture
def printed(site, tmp_path):
    """A copy of the site: the PDF goes into it."""
    return shutil.copytree(site, tmp_path / "html")


def test_pages_are_printed_in_order_with_bookmarks_and_the_first_page_offers_the_file(browser, printed):
    pages = ["book/index", "book/glossary", "book/02_architecture"]
    path = pdf.print_pages(browser, printed, pages, report=None)
    document = PdfReader(path)
    titles = [entry.title for entry in document.outline]
    assert titles[:2] == ["U-Net, reproduced", "Glossary"] and titles[2].endswith("The network") and len(titles) == 3
    starts = [document.get_destination_page_number(entry) for entry in document.outline]
    assert starts == sorted(set(starts)) and starts[0] == 0 and len(document.pages) > starts[2] + 2
    text = document.pages[starts[2]].extract_text()
    assert "contracting path" in " ".join(text.split()) + " ".join(document.pages[starts[2] + 1].extract_text().split())
    pdf.offer(printed, "book/index")
    pdf.offer(printed, "book/index")  # again
    page = (printed / "book/index.html").read_text(encoding="utf-8")
    assert page.count(f'href="../{pdf.NAME}"') == 1 and f"({len(document.pages)} pages" in page


def test_the_order_is_that_of_the_table_of_contents_without_the_page_that_needs_a_screen():
    pages = pdf.contents(build.ROOT / "_toc.yml")
    assert (
        pages[0] == "book/index" and "book/try" not in pages and pages.index("book/07_em") < pages.index("book/09_hela")
    )


def test_without_a_browser_or_a_page_it_is_said(printed, monkeypatch):
    with pytest.raises(Failed, match="has no page book/nowhere"):
        pdf.print_pages(None, printed, ["book/nowhere"])
    monkeypatch.delenv("REPROLIB_BROWSER", raising=False)
    monkeypatch.setattr(pdf.shutil, "which", lambda name: None)
    with pytest.raises(Failed, match="printed by a browser"):
        pdf.write_pdf(printed, ["book/index"])
    assert not (printed / pdf.NAME).exists()
