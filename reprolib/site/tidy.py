"""What is mended in a built page, and its policy: what it may load, and which scripts may run."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from bs4 import BeautifulSoup
from PIL import Image

# What a page may load: its own files, from where it lies itself. Of the scripts within a page only those that it was
# built with run, named by their hashes; the page "Try it" computes in WebAssembly, in a worker.
POLICY = (
    "default-src 'self'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
)
CLICKS = ("toggleFullScreen()", "window.print()")  # of the theme's buttons; the search reads all pages, with theirs
RUN = (None, "", "text/javascript", "module")  # types of scripts that a browser runs; others hold data
HEAVY = 150_000  # bytes of a picture, beyond which 256 colours must do: half as many bytes, no difference to the eye


def lighten(picture: Path) -> None:
    """Reduce a picture's colours to 256."""
    with Image.open(picture) as opened:
        few = opened.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, kmeans=4, dither=Image.Dither.NONE)
    few.save(picture, optimize=True)


def tidy(html: str) -> str:
    """A built page without what its builder does wrong, and with the policy on what it may load."""
    page = BeautifulSoup(html, "html.parser")
    for script in page.select('script[src*="fontawesome"]'):
        script.decompose()  # the theme's icons come as fonts and, once more, as 1.5 MB of script
    for early in page.select('link[rel="preload"][href*="fa-brands"]'):
        early.decompose()  # the logos of companies, loaded before it is known whether the page shows one
    for citations in page.select("div.citation-list"):
        del citations["role"]  # the bibliography is called a list, but its entries are no list items
        for text in citations.find_all(string=lambda text: ", and others. " in text):
            text.replace_with(text.replace(", and others. ", " et al. "))
    meta = page.new_tag("meta", attrs={"http-equiv": "Content-Security-Policy", "content": policy(page)})
    first = page.find("meta", charset=True)
    first.insert_after(meta) if first else (page.head or page).insert(0, meta)
    return str(page)


def policy(page: BeautifulSoup) -> str:
    """`POLICY`, and the hashes of the scripts that stand in a page itself and of what its buttons do when clicked."""
    scripts = [one.string or "" for one in page.find_all("script", src=False) if one.get("type") in RUN]
    clicks = [one["onclick"] for one in page.find_all(onclick=True)]
    digests = (hashlib.sha256(text.encode()).digest() for text in {*scripts, *clicks, *CLICKS})
    hashes = sorted(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    named = ["'unsafe-hashes'", *hashes]  # of clicks too
    return "; ".join(" ".join([rule, *named]) if rule.startswith("script-src") else rule for rule in POLICY)
