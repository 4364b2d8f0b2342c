"""Figures that answer: whole without a script, harmless in a page, and nothing lossless of a real image."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from reprolib.model import UNet
from reprolib.plots import drawing
from reprolib.plots.interactive import divider, explorer, marks, picture, reach, viewer


def unpacked(address: str, kind: str) -> Image.Image:
    head, _, body = address.partition(";base64,")
    assert head == f"data:image/{kind}"
    return Image.open(io.BytesIO(base64.b64decode(body)))


def test_a_picture_is_reduced_and_lossy():
    shown = np.asarray(unpacked(picture(np.linspace(0, 255, 64 * 48).reshape(64, 48)), "jpeg"))
    assert shown.shape == (32, 24) and shown[0, 0] < 20 and shown[-1, -1] > 235
    shown = np.asarray(unpacked(picture(np.full((8, 8), 0.5), limits=(0, 1)), "jpeg"))
    assert abs(int(shown.mean()) - 128) <= 2


def test_a_single_marked_pixel_survives_the_reduction_and_the_rest_is_transparent():
    kinds = np.zeros((64, 64), int)
    kinds[33, 21], kinds[2, 2] = 3, 5
    shown = np.asarray(unpacked(marks(kinds, {3: "#ff0000", 5: "#0000ff"}, alpha=1.0), "png").convert("RGBA"))
    assert shown.shape == (32, 32, 4) and np.count_nonzero(shown[..., 3]) == 2
    assert shown[16, 10].tolist() == [255, 0, 0, 255] and shown[1, 1].tolist() == [0, 0, 255, 255]


def data_of(html: str) -> dict:
    return json.loads(re.search(r'class="viewer-data">(.*?)</script>', html, re.S)[1])


def test_a_viewer_shows_its_first_frame_without_a_script():
    found = [("a", f"f{k}") for k in range(6)]
    axes, values = {"slice": "123", "threshold": ["0.1", "0.5"]}, {"errors": [str(k) for k in range(6)]}
    html = viewer({"found": found, "image": [("a",)]}, axes, values, "caption", "words", start=(2, 1))
    assert '<img src="a" alt="words"><img class="viewer-over" src="f5" alt="marks">' in html
    assert html.count("<input") == 2 and html.count("<button") == 2 and 'value="2"' in html
    data = data_of(html)
    assert [axis["labels"] for axis in data["axes"]] == [["1", "2", "3"], ["0.1", "0.5"]]
    assert data["pictures"] == ["a", *(f"f{k}" for k in range(6))]  # each once
    picture, marked = data["layers"][0]["frames"][place((3, 2), (1, 0))]
    assert (data["pictures"][picture], data["pictures"][marked]) == ("a", "f2")


def place(sizes, at):
    return int(np.ravel_multi_index(at, sizes))


def test_what_a_viewer_is_given_cannot_break_the_page():
    html = viewer({"a": [("x",)]}, {"<b>": ["1"]}, {"</script><b>": ["2"]}, "<i>", 'say "no"')
    assert html.count("</script>") == 1
    markup = re.sub(r"<script.*?</script>", "", html, flags=re.S)
    assert "<b>" not in markup and "<i>" not in markup and 'alt="say &quot;no&quot;"' in html
    assert data_of(html)["values"] == {"</script><b>": ["2"]}


def test_a_comment_in_a_viewers_words_does_not_swallow_the_rest_of_the_page():
    """Within a script "<!--" and "<script" make a browser pass over the script's end."""
    html = viewer({"a": [('"><b>',)]}, {}, {"<!--<script>": ["2"]}, "", "")
    assert "<!--" not in html and html.count("<script") == 1 and data_of(html)["values"] == {"<!--<script>": ["2"]}
    assert "<b>" not in html and "<b>" not in divider(('"><b>', '"><b>'), ('"><b>',), "", ("", ""))


def test_pictures_and_numbers_must_fit_the_axes():
    with pytest.raises(ValueError, match="the layer 'a' must have 1 or 3 entries, not 2"):
        viewer({"a": [("x",), ("y",)]}, {"t": "123"}, {}, "", "")
    with pytest.raises(ValueError, match="the value 'b' must have 1 or 3 entries, not 4"):
        viewer({"a": [("x",)]}, {"t": "123"}, {"b": "1234"}, "", "")


def test_a_divider_names_both_of_its_pictures():
    html = divider(("l", "m"), ("r",), "caption", ("left words", "right words"))
    assert (
        html.count("<img") == 3
        and 'class="viewer-over" src="m"' in html
        and "left words" in html
        and "right words" in html
        and "range" in html
    )


def test_an_explorer_tells_the_script_its_sides_and_refuses_what_does_not_fit():
    html = explorer(np.random.default_rng(0).random((64, 64)), 20, 12, "caption", "words")
    assert data_of(html) == {"side": 64, "padding": 12, "output": 20, "halo": 12}
    shown = re.search(r'src="(data:[^"]+)"', html)[1]
    assert unpacked(shown, "jpeg").size == (22, 22) and html.count('max="44"') == 2
    with pytest.raises(ValueError, match="must be square"):
        explorer(np.zeros((8, 9)), 4, 2, "", "")


def test_the_bars_of_feature_maps_show_the_middle_row_without_a_script():
    maps = drawing.dependence(drawing.layers(UNet(width=1), 188))
    html = reach(maps, "rows")
    data = data_of(html)
    assert html.count('class="reach-row"') == len(maps) == len(data["maps"]) == 24 and data["tile"] == 188
    assert data["maps"][0]["last"] == maps[0].last.tolist() and "level 4" in html
    width = 100 * (maps[0].last[2] - maps[0].first[2] + 1) / 188
    assert f"width: {width:.3f}%" in html and html.startswith('<figure class="reach">')
