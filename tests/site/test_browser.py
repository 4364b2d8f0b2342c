"""The site in a real browser: nothing fails, nothing is fetched from elsewhere, and everyone can read and use it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from screens import opened, show

WIDTHS = (390, 768, 1440)  # px: a phone, a tablet, a desk


@pytest.fixture(scope="module")
def names(site) -> list[str]:
    return [f"book/{path.name}" for path in sorted(Path(site, "book").glob("*.html"))]


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_loads_without_a_fault_and_fits_the_screen(browser, address, names, width):
    with opened(browser, width) as (page, wrong):
        foreign = []
        page.on("request", lambda request: foreign.append(request.url) if not local(request.url, address) else None)
        for name in names:
            show(page, address + name)
            for theme in ("light", "dark"):
                page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
                sides = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
                assert sides[0] <= sides[1], f"{name} scrolls sideways at {width} px: it is {sides[0]} px wide"
            broken = page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)")
            assert broken == [] and wrong == [] and foreign == [], name


def local(url: str, address: str) -> bool:
    return url.startswith((address, "data:", "blob:"))


@pytest.mark.parametrize("name", ["book/index.html", "book/try.html"])
def test_a_script_that_the_page_was_not_built_with_does_not_run(browser, address, site, name):
    foreign = "<script>window.foreign = 1</script><button id='intruder' onclick='window.foreign = 2'>x</button>"
    altered = Path(site, name).read_text(encoding="utf-8").replace("</main>", foreign + "</main>")
    with opened(browser) as (page, wrong):
        page.route(f"**/{name}", lambda route: route.fulfill(body=altered, content_type="text/html"))
        show(page, address + name)
        page.locator("#intruder").dispatch_event("click")
        assert page.evaluate("window.foreign") is None and len(wrong) == 2
        assert all("Content Security Policy" in message for message in wrong)


def test_every_internal_link_and_anchor_leads_somewhere(browser, address, names):
    ids, links = {}, []
    with opened(browser) as (page, _):
        for name in names:
            show(page, address + name)
            ids[address + name] = set(page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)"))
            links += [(name, urljoin(address + name, href)) for href in page.evaluate(
                "[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href'))")]  # fmt: skip
        lost = []
        for name, link in set(links):
            target, anchor = urldefrag(link)
            if not target.startswith(address):
                continue
            if target in ids:
                found = not anchor or anchor in ids[target]
            else:
                found = page.request.get(target).ok
            if not found:
                lost.append((name, urlsplit(link).path + (f"#{anchor}" if anchor else "")))
    assert lost == []


def test_every_image_has_words_for_those_who_cannot_see_it(browser, address, names):
    with opened(browser) as (page, _):
        for name in names:
            show(page, address + name)
            bare = page.evaluate("[...document.images].filter(i => !i.alt.trim()).map(i => i.src)")
            assert bare == [], name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser, address, names, theme):
    rules = {"runOnly": ["color-contrast"]} if theme == "dark" else {}  # nothing else differs in the dark
    with opened(browser) as (page, _):
        for name in names:
            show(page, address + name)
            page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
            page.wait_for_timeout(300)  # colours change smoothly
            faults = [
                (fault["id"], fault["nodes"][0]["html"][:120])
                for fault in Axe().run(page, options=rules).response["violations"]
                if fault["impact"] in ("serious", "critical")
            ]
            assert faults == [], name


@pytest.mark.parametrize("word", ["warping", "momentum"])
def test_the_search_finds_a_word(browser, address, word):
    with opened(browser) as (page, wrong):
        show(page, f"{address}search.html?q={word}")
        page.wait_for_selector("#search-results li a", timeout=15000)
        assert page.locator("#search-results li a").count() >= 1
        assert wrong == []


def test_the_dark_mode_button_darkens_the_page(browser, address):
    with opened(browser) as (page, _):
        show(page, address + "book/index.html")

        def brightness() -> int:
            return sum(
                map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3])
            )

        light = brightness()
        for _ in range(3):  # light, dark, as the system has it
            page.locator("button.theme-switch-button:visible").first.click()
            if page.evaluate("document.documentElement.dataset.theme") == "dark":
                break
        page.wait_for_timeout(500)
        assert brightness() < light / 2


def test_the_claims_are_a_table_at_a_desk_and_cards_on_a_phone_and_badges_lead_to_chapters(browser, address):
    for width, display in ((1440, "table-cell"), (390, "block")):
        with opened(browser, width) as (page, _):
            show(page, address + "book/claims.html")
            cell = page.locator("table.claims td").first
            assert cell.evaluate("element => getComputedStyle(element).display") == display
            badge = page.locator("table.claims a.verdict").first
            target = badge.get_attribute("href")
            badge.click()
            page.wait_for_load_state()
            assert urlsplit(page.url).path.endswith(f"/book/{target}")


def test_marks_stay_transparent_over_their_picture_in_the_dark(browser, address, names, site):
    for kind in ("viewer", "divider"):
        with opened(browser, color_scheme="dark") as (page, _):
            show(page, address + viewers(names, site, kind)[0])
            page.evaluate("document.documentElement.dataset.theme = 'dark'")
            for picture in page.locator(f"figure.{kind} img").all():
                seen = picture.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).padding]")
                assert seen == ["rgba(0, 0, 0, 0)", "0px"]


def test_the_counts_show_the_claims_of_one_verdict_and_protocols_unfold(browser, address):
    with opened(browser, 390, has_touch=True) as (page, wrong):
        show(page, address + "book/claims.html")
        rows = page.locator("table.claims tr[data-verdict]")
        counts = page.locator("p.tally button")
        assert sum(int(button.inner_text().split()[0]) for button in counts.all()) == rows.count()
        for button in counts.all():
            number, verdict = button.inner_text().split(" ", 1)
            button.tap()
            shown = [row for row in rows.all() if row.is_visible()]
            assert len(shown) == int(number) and {row.locator("a.verdict").inner_text() for row in shown} == {verdict}
            assert all(
                group.locator("tr:visible").count() != 1 for group in page.locator("tbody").all()
            )  # a head alone
        counts.last.focus()
        page.keyboard.press("Enter")
        assert all(row.is_visible() for row in rows.all())
        how = rows.first.locator("details")
        assert not how.locator("code").is_visible()
        how.locator("summary").tap()
        assert "reprolib run book/" in how.locator("code").inner_text() and not wrong


# --- figures that answer ----------


def viewers(names: list[str], site: Path, kind: str) -> list[str]:
    found = [name for name in names if f'<figure class="{kind} ' in (site / name).read_text(encoding="utf-8")]
    assert found, f"no page has a {kind}"
    return found


def test_a_viewer_answers_keys_mouse_and_touch(browser, address, names, site):
    for name in viewers(names, site, "viewer"):
        for options in ({}, {"has_touch": True, "width": 390}):
            with opened(browser, **options) as (page, wrong):
                show(page, address + name)
                for figure in page.locator("figure.viewer").all():
                    figure.scroll_into_view_if_needed()

                    def state(figure=figure):
                        shown = [image.get_attribute("src") for image in figure.locator("img").all()]
                        return shown, figure.locator(".viewer-values").inner_text()

                    slider, before = figure.locator("input[type=range]").first, state()
                    slider.focus()
                    page.keyboard.press("End")
                    assert state() != before and figure.locator("output").first.inner_text() != ""
                    page.keyboard.press("Home")
                    before, box = state(), slider.bounding_box()
                    middle = (box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2)
                    page.touchscreen.tap(*middle) if "has_touch" in options else page.mouse.click(*middle)
                    assert state() != before
                    for button in figure.locator("button").all()[::-1]:
                        button.tap() if "has_touch" in options else button.click()
                        assert button.get_attribute("aria-pressed") == "true"
                assert wrong == []


@pytest.mark.parametrize("kind", ["viewer", "divider", "explorer", "reach"])
def test_an_interactive_figure_has_a_number_and_a_caption_like_any_other(browser, address, names, site, kind):
    for name in viewers(names, site, kind):
        with opened(browser) as (page, _):
            show(page, address + name)
            for figure in page.locator(f"figure.{kind}").all():
                caption = figure.locator("figcaption").inner_text()
                assert re.match(r"Figure [\dA-Z]+\.\d+ \S", caption) and figure.get_attribute("id"), (name, caption)


def test_the_bars_of_feature_maps_answer_keys_and_pointer(browser, address, names, site):
    for width in (1440, 390):
        with opened(browser, width) as (page, wrong):
            show(page, address + viewers(names, site, "reach")[0])
            figure = page.locator("figure.reach").first
            figure.scroll_into_view_if_needed()
            said, slider = figure.locator(".viewer-values"), figure.locator("input")
            slider.focus()
            page.keyboard.press("Home")
            first = said.inner_text()
            assert first.startswith("Row 0 of the output depends on rows 0 to ")
            bar = figure.locator(".reach-track").last.bounding_box()
            page.mouse.move(bar["x"] + bar["width"] / 2, bar["y"] + 3)
            assert said.inner_text() != first and abs(int(slider.input_value()) - 194) <= 4
            assert wrong == []


def test_a_divider_follows_pointer_and_keys(browser, address, names, site):
    for name in viewers(names, site, "divider"):
        with opened(browser) as (page, wrong):
            show(page, address + name)
            for figure in page.locator("figure.divider").all():
                figure.scroll_into_view_if_needed()
                frame, slider = figure.locator(".divider-frame"), figure.locator("input[type=range]")
                box = frame.bounding_box()
                page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
                page.mouse.down()
                page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 20)
                page.mouse.up()
                assert abs(int(slider.input_value()) - 20) <= 2
                slider.focus()
                page.keyboard.press("End")
                assert frame.evaluate("element => element.style.getPropertyValue('--at')") == "100%"
            assert wrong == []


def test_without_a_script_a_still_picture_remains(browser, address, names, site):
    with opened(browser, java_script_enabled=False) as (page, _):
        page.goto(address + viewers(names, site, "viewer")[0])
        figure = page.locator("figure.viewer").first
        assert figure.locator("img").first.bounding_box()["height"] > 50
        assert not figure.locator("input").first.is_visible()
