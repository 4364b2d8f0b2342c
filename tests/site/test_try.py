"""The page "Try it" in a real browser: what it computes is what the command line gives, and what is wrong is said."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from screens import opened, show, until

from reprolib.own.package import Probability, to_onnx
from reprolib.own.predict import cell_settings, find_cells
from reprolib.plan import recipes
from reprolib.resample import resample_image, resize_planes
from reprolib.runs import records
from reprolib.site import alive
from reprolib.tiling import predict
from reprolib.train import build as build_network
from reprolib.train import network as trained


@pytest.fixture(scope="module")
def networks(site):
    about = json.loads((site / "_static/try/networks.json").read_text(encoding="utf-8"))
    if about["runtime"]:
        pytest.skip(about["runtime"])
    return {one["name"]: one for one in about["networks"]}


def ready(page, address, networks, name: str) -> None:
    show(page, address + "book/try.html")
    page.locator("#try input[name=network]").nth(list(networks).index(name)).check()


def computed(page, image: np.ndarray) -> np.ndarray:
    """Press "Run"; the probability of the image that was opened."""
    page.locator("[data-try=run]:not([disabled])").click()
    until(page, "document.getElementById('try').state.result?.cells || document.querySelector('.wrong')", 240)
    assert not page.locator(".wrong").count(), page.locator(".wrong").text_content()
    values = page.evaluate("Array.from(document.getElementById('try').state.result.probability)")
    return np.array(values, np.float32).reshape(image.shape)


@pytest.mark.parametrize("name", ["nuclei", "em", "hela", "u373"])
def test_a_sample_gets_the_probability_and_the_cells_that_the_command_line_gives(
    browser, address, site, networks, name
):
    run = records.read(records.PUBLISHED / f"{networks[name]['record']}.json")
    image = np.asarray(Image.open(site / "_static/try" / networks[name]["samples"][0]["file"]))
    probability, cells = find_cells(run, image)
    with opened(browser) as (page, wrong):
        ready(page, address, networks, name)
        page.locator("[data-try=samples] button").first.click()
        found = computed(page, image)
        assert np.abs(found - probability).max() < 1e-3
        assert page.locator("[data-try=count]").text_content().startswith(f"{cells.max()} cell")
        areas = page.evaluate("document.getElementById('try').state.result.cells.map(members => members.length)")
        assert sorted(areas) == sorted(np.bincount(cells.ravel())[1:].tolist())
        page.locator("[data-try=threshold]").fill("0.7")
        fewer = cell_settings(run, 0.7).objects(probability).max()
        assert page.locator("[data-try=count]").text_content().startswith(f"{fewer} cell") and wrong == []


def test_an_image_of_ones_own_of_any_depth_and_scale_in_several_tiles(browser, address, networks, tmp_path):
    rng = np.random.default_rng(1)
    deep = (np.kron(rng.random((15, 21)), np.ones((31, 29))) * 3000).astype(np.uint16)[:457, :601]
    tifffile.imwrite(tmp_path / "mine.tif", deep, compression="zlib")
    run = records.read(records.PUBLISHED / f"{networks['nuclei']['record']}.json")
    with opened(browser) as (page, wrong):
        ready(page, address, networks, "nuclei")
        page.locator("[data-try=file]").set_input_files(tmp_path / "mine.tif")
        until(page, "document.getElementById('try').state.image", 30)
        page.locator("[data-try=flips]").uncheck()
        found = computed(page, deep)
        (cell,) = predict(trained(run), deep, normalisation="percentiles")[1:]
        assert np.abs(found - cell).max() < 1e-3
        page.locator("[data-try=scale]").select_option("0.5")
        found = computed(page, deep)
        small = predict(trained(run), resample_image(deep, 0.5), normalisation="percentiles")
        assert np.abs(found - resize_planes(small, deep.shape)[1]).max() < 1e-3
        with page.expect_download() as download:
            page.locator("[data-try=save]").click()
        lines = download.value.path().read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("label,area")
        assert len(lines) == 1 + int(page.locator("[data-try=count]").text_content().split()[0])
        page.locator("#try input[name=network]").nth(1).check()  # the reader's own image stays
        page.locator("[data-try=scale]").select_option("0.25")
        assert computed(page, deep).shape == deep.shape and wrong == []


def test_what_cannot_be_read_is_said_and_nothing_is_fetched_before_the_button_is_pressed(
    browser, address, networks, tmp_path
):
    (tmp_path / "no.tif").write_bytes(b"II*" + bytes(3))
    (tmp_path / "no.png").write_bytes(b"text")
    Image.fromarray(np.full((40, 50), 7, np.uint8)).save(tmp_path / "flat.png")
    with opened(browser) as (page, _):
        fetched = []
        page.on("request", lambda request: fetched.append(request.url))
        ready(page, address, networks, "nuclei")
        assert not [url for url in fetched if url.endswith((".onnx", ".wasm", ".mjs"))]
        for name in ("no.tif", "no.png"):
            page.locator("[data-try=file]").set_input_files(tmp_path / name)
            until(page, f"document.querySelector('.wrong')?.textContent.includes('{name} cannot be read')", 30)
            assert page.locator("[data-try=run]").is_disabled()
        page.locator("[data-try=file]").set_input_files(tmp_path / "flat.png")
        until(page, "document.getElementById('try').state.image", 30)
        page.locator("[data-try=run]").click()
        until(page, "document.querySelector('.wrong')", 60)
        assert "the image is constant" in page.locator(".wrong").text_content()


def test_a_page_that_was_opened_as_a_file_says_how_to_open_it(browser, site):
    with opened(browser) as (page, _):
        page.goto((site / "book/try.html").as_uri())
        assert "make serve" in page.locator(".wrong").text_content() and not page.locator("[data-try=run]").is_visible()


def test_weights_that_are_not_in_half_precision_are_not_narrowed():
    content = to_onnx(Probability(build_network(recipes.own_nuclei())), torch.zeros(1, 1, 252, 252))
    with pytest.raises(ValueError, match="not in half precision"):
        alive.halved(content)


def test_without_npm_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(alive.shutil, "which", lambda *_, **__: None)
    assert "without npm" in alive.write_runtime(tmp_path) and not list(tmp_path.iterdir())
