"""The publication: the committed chapters are whole, and the site built from them stands on its own."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from reprolib.site import build, chapters, tidy

CHAPTERS = sorted(build.BOOK.glob("*.ipynb"))
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)

# Attributes by which a browser fetches something while it shows a page (a link to follow is none of them).
FETCHED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "link": ("href",),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "object": ("data",),
    "embed": ("src",),
}
NOT_FETCHED = {"canonical", "next", "prev", "search", "index", "author", "license", "alternate"}


class Page(HTMLParser):
    """What a page fetches, its images' alternative texts, its inline scripts and styles, and its text."""

    def __init__(self, path: Path):
        super().__init__()
        self.fetched: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.inline, self.text = "", ""
        self._within = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self._within = tag
        if tag == "img":
            self.images.append(found)
        if not (tag == "link" and found.get("rel") in NOT_FETCHED):
            self.fetched += [found[name] for name in FETCHED.get(tag, ()) if found.get(name)]

    def handle_endtag(self, tag):
        self._within = ""

    def handle_data(self, text):
        if self._within in ("script", "style"):
            self.inline += text
        else:
            self.text += text


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Page]:
    # _static holds templates, which are no pages
    found = sorted([*site.glob("*.html"), *site.glob("book/*.html")])
    return {str(path.relative_to(site)): Page(path) for path in found}


# the chapters


def test_the_table_of_contents_lists_exactly_the_chapters():
    toc = yaml.safe_load((build.ROOT / "_toc.yml").read_text())
    files = [toc["root"], *(entry["file"] for part in toc["parts"] for entry in part["chapters"])]
    notebooks = [f"book/{path.stem}" for path in CHAPTERS]
    pages = ("references", "status", "rerun", "cluster", "check", "glossary", "zh", "protocol", "plan", "try")
    assert sorted(files) == sorted([*notebooks, *(f"book/{page}" for page in pages)])


@each_chapter
def test_every_cell_of_a_committed_chapter_has_run_without_error(path):
    cells = [cell for cell in chapters.read(path).cells if cell.cell_type == "code" and cell.source.strip()]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [out for cell in cells for out in cell.outputs if out.output_type == "error"]


@each_chapter
def test_committed_outputs_were_published_from_this_code_on_the_chapters_data(path):
    record = build._read_records(build.BOOK / build.PUBLISHED)[path.stem]
    assert record.code == chapters.code_hash(chapters.read(path))
    assert record.needs == chapters.needs(path) and record.missing == ()


@each_chapter
def test_every_chapter_has_parameters_with_a_word_of_help(path):
    found = chapters.parameters(path)
    assert found and all(parameter.help for parameter in found.values())


SAID = {"few seconds": 6, "ten seconds": 10, "quarter of a minute": 15, "half a minute": 30, "about a minute": 60}


@pytest.mark.parametrize("path", [path for path in CHAPTERS if path.stem != "index"], ids=lambda path: path.stem)
def test_time_and_memory_at_a_chapters_head_are_those_that_were_measured(path):
    text = " ".join(cell.source for cell in chapters.read(path).cells if cell.cell_type == "markdown")
    said = re.search(r"((?:\S+\s){0,3}(?:seconds|minute)),\s([\d.]+)\sGB\sof\smemory", text)
    wanted = next(value for words, value in SAID.items() if words in " ".join(said[1].lower().split()))
    found = build._read_records(build.BOOK / build.PUBLISHED)[path.stem]
    assert wanted / 6 <= found.seconds <= 2.2 * wanted, f"said {wanted} s, measured {found.seconds} s"
    ratio = float(said[2]) * 1e9 / (found.peak_mb * 2**20)
    assert 0.6 <= ratio <= 1.6, f"said {said[2]} GB, measured {found.peak_mb} MiB"


# the builder's faults

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<script src="../_static/scripts/fontawesome.js?digest=1"></script>
<script defer src="../_static/viewer.js"></script>
<link as="font" href="../_static/vendor/fa-brands-400.woff2" rel="preload">
<link as="font" href="../_static/vendor/fa-solid-900.woff2" rel="preload">
</head>
<body>
<p role="note">5 &lt; 6 &amp; 7, café, <em>Long, and others. </em>say: fontawesome</p>
<pre><span></span>  if a &lt; b:
      role = "list"</pre>
<script type="application/json">{"a": "1 < 2 & 3", "b": "<\\/script>"}</script>
<div class="docutils container" id="id1"><div class="citation-list" role="list">
<div class="citation" role="doc-biblioentry"><p>Long, Shelhamer, and others. Networks. 2015.</p></div>
</div></div>
</body>
</html>
"""


class Content(HTMLParser):
    """All text of a page, that of its scripts too, and its elements with their attributes, in order."""

    def __init__(self, html: str):
        super().__init__()
        self.text, self.elements = "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, text):
        self.text += text


def test_a_page_loses_icons_that_it_does_not_show_and_the_role_of_its_bibliography_and_keeps_the_rest():
    wanted = PAGE.replace('<script src="../_static/scripts/fontawesome.js?digest=1"></script>', "")
    wanted = wanted.replace('<link as="font" href="../_static/vendor/fa-brands-400.woff2" rel="preload">', "")
    wanted = wanted.replace('class="citation-list" role="list"', 'class="citation-list"')
    wanted = wanted.replace("Shelhamer, and others. ", "Shelhamer et al. ")  # in the bibliography alone
    found, expected = Content(tidy.tidy(PAGE)), Content(wanted)
    policies = [one for one in found.elements if one[1].get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1 and [one for one in found.elements if one not in policies] == expected.elements
    assert found.text.strip() == expected.text.strip()
    assert tidy.tidy(PAGE).startswith("<!DOCTYPE html>")


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy_names_what_a_page_runs_itself_and_nothing_else():
    page = (
        "<head></head><script>one &amp;&amp; two\n</script><script src='a.js'></script>"
        "<script type='application/json'>{}</script><button onclick=\"three('x') &amp;&amp; 4\">5</button>"
    )
    (meta,) = (attributes for tag, attributes in Content(tidy.tidy(page)).elements if tag == "meta")
    (scripts,) = (rule for rule in meta["content"].split("; ") if rule.startswith("script-src "))
    given = ["one &amp;&amp; two\n", "three('x') && 4", *tidy.CLICKS]  # text in a script is no HTML, an attribute's is
    assert set(scripts.split()[1:]) == {"'self'", "'wasm-unsafe-eval'", "'unsafe-hashes'", *map(digest, given)}


# the site


def test_every_page_has_a_policy_on_what_it_may_load(site):
    for path in [*site.glob("*.html"), *site.glob("book/*.html")]:
        content = Content(path.read_text(encoding="utf-8"))
        rules = [a["content"] for tag, a in content.elements if a.get("http-equiv") == "Content-Security-Policy"]
        assert len(rules) == 1 and rules[0].startswith("default-src 'self'; script-src 'self' "), path
        assert "unsafe-inline" not in rules[0].split("style-src")[0] and "'unsafe-eval'" not in re.split(
            "[ ;]+", rules[0]
        ), path


def test_the_first_page_leads_to_the_book(site):
    target = re.search(r'url=([^"]+)"', (site / "index.html").read_text())
    first = site / (target[1] if target else "index.html")
    assert first.stat().st_size > 1000


def test_every_chapter_has_a_page(site):
    assert {path.stem for path in (site / "book").glob("*.html")} >= {path.stem for path in CHAPTERS}


def test_a_page_asks_no_other_host_for_anything(pages):
    foreign = [(name, url) for name, page in pages.items() for url in page.fetched if re.match(r"(\w+:)?//", url)]
    assert foreign == []


def test_inline_scripts_and_styles_name_no_other_host(pages):
    named = {
        (name, url)
        for name, page in pages.items()
        for url in re.findall(r"https?://[\w.-]+", page.inline)
        if url != "http://www.w3.org"  # the name of the SVG namespace
    }
    assert named == set()


def test_style_sheets_load_nothing_from_another_host(site):
    for sheet in site.rglob("*.css"):
        assert not re.search(r"""(url\(|@import)\s*['"]?(https?:)?//""", sheet.read_text(encoding="utf-8")), sheet


def test_what_a_page_fetches_is_there(site, pages):
    for name, page in pages.items():
        for url in page.fetched:
            target = (site / name).parent / url.split("?")[0].split("#")[0]
            assert url.startswith("data:") or target.exists(), (name, url)


def test_a_page_weighs_less_than_three_megabytes(site, pages):
    for name, page in pages.items():
        files = {(site / name).parent / url.split("?")[0].split("#")[0] for url in page.fetched if "data:" not in url}
        weight = (site / name).stat().st_size + sum(file.stat().st_size for file in files if file.is_file())
        assert weight < 3e6, f"{name}: {weight / 1e6:.1f} MB"


@pytest.mark.parametrize("url", ["", "https://forge.example/someone/project"])
def test_one_setting_holds_the_projects_address(tmp_path, url):
    shutil.copytree(build.BOOK, tmp_path / "book")
    shutil.copy(build.ROOT / "_toc.yml", tmp_path)
    own = (build.ROOT / "_config.yml").read_text()
    assert own.count('{url: ""') == 1
    (tmp_path / "_config.yml").write_text(own.replace('{url: ""', f'{{url: "{url}"'))
    build.assemble(tmp_path / "book", None, tmp_path / "source")
    settings = yaml.safe_load((tmp_path / "source" / "_config.yml").read_text())
    page = (tmp_path / "source" / "book" / "rerun.md").read_text()
    assert ("Colab" in page) == (f"git clone --depth 1 {url} " in page) == bool(url) and "<!--" not in page
    theme = settings["sphinx"]["config"]["html_theme_options"]
    assert theme.get("repository_url", "") == url and "search_bar_text" in theme
    assert bool(theme.get("launch_buttons")) == theme.get("use_repository_button", False) == bool(url)


def test_every_image_has_an_alternative_text(pages):
    for name, page in pages.items():
        for image in page.images:
            text = (image.get("alt") or "").strip()
            # where none is given, the builder puts the file's name
            assert text and not re.search(r"\.(png|svg|jpe?g|gif)$", text), (name, image.get("src"))


def test_no_table_is_shown_as_raw_markdown(pages):
    """Plain CommonMark knows no tables: the setting nb_render_markdown_format decides about those in outputs."""
    raw = re.compile(r"\|\s*—\s*\|")  # in prose three hyphens became a dash; in code they did not
    assert [name for name, page in pages.items() if raw.search(page.text)] == []


@each_chapter
def test_markdown_outputs_hold_no_formulas_which_would_be_shown_raw(path):
    outputs = [out for cell in chapters.read(path).cells for out in cell.get("outputs", [])]
    assert [out for out in outputs if "$" in out.get("data", {}).get("text/markdown", "")] == []


@each_chapter
def test_every_table_of_a_chapter_has_a_number_and_a_caption_that_ends_like_a_sentence(site, path):
    """On a page without a chapter number they count by a letter: a "Table 1" there would pass for the paper's."""
    text = (site / "book" / f"{path.stem}.html").read_text(encoding="utf-8")
    numbered = [
        re.search(r'<caption><span class="caption-number">Table ([\w.]+) </span>(.*?)<a', t)
        for t in re.findall(r'<table class="table".*?</table>', text, re.DOTALL)
    ]
    assert (numbered or path.stem == "claims") and text.count("<table") == len(numbered) + text.count(
        '<table class="claims"'
    )
    title = chapters.titles()[path.stem].removeprefix("The ")
    chapter = int(path.stem[:2]) if path.stem[0].isdigit() else title[0].upper()
    if path.stem != "index":
        assert [found and found[1] for found in numbered] == [f"{chapter}.{k}" for k in range(1, len(numbered) + 1)]
        assert all(found[2].endswith(".</span>") for found in numbered)
    assert not re.search(r'"(?:caption-number|std std-numref)">(?:Figure|Table) \d+ ?<', text)
