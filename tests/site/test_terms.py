"""The terms of the data: the site shows a few images of each set, reduced; the project holds none of their pixels."""

from __future__ import annotations

import base64
import io
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reprolib import data, files
from reprolib.site import build, chapters

MOST = 6  # images of one set over the whole site
CHAPTERS = sorted(build.BOOK.glob("*.ipynb"))
PICTURES = {"book/_static/unet.png", "book/_static/favicon.svg"}  # drawn, not photographed
RUN = 24  # px: so many equal neighbours in a row are no coincidence


def tracked() -> list[Path]:
    done = subprocess.run(["git", "-C", str(files.PROJECT), "ls-files", "-z"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout: what it tracks cannot be told")
    paths = (files.PROJECT / name for name in done.stdout.decode().split("\0") if name)
    return [path for path in paths if path.is_file()]


def outputs(path: Path):
    """The printed text, and the pictures as bytes, of a committed chapter."""
    text, pictures = "", []
    for cell in chapters.read(path).cells:
        for out in cell.get("outputs", []):
            shown = out.get("data", {})
            text += out.get("text", "")
            found = re.findall(r"data:image/(?:png|jpeg);base64,([\w+/=]+)", shown.get("text/html", ""))
            pictures += [base64.b64decode(body) for body in found]
            if "image/png" in shown:
                pictures.append(base64.b64decode(shown["image/png"]))
    return text, pictures


def test_the_site_shows_at_most_six_images_of_each_set():
    shown = {name: set() for name in data.REAL}
    for path in CHAPTERS:
        text, pictures = outputs(path)
        named = re.findall(r"drawn from ([\w-]+), (.+)", text)
        assert named or not pictures or not chapters.needs(path), f"{path.name} does not say which image it shows"
        for name, image in named:
            shown.setdefault(name, set()).add(image.strip())
    for name in data.REAL:
        assert 1 <= len(shown[name]) <= MOST, (name, sorted(shown[name]))


def test_no_tracked_file_is_an_image_or_an_array_but_the_drawings_and_the_images_under_cc0():
    endings = {".tif", ".tiff", ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".npy", ".npz", ".h5", ".zip", ".gz"}
    found = {str(path.relative_to(files.PROJECT)) for path in tracked() if path.suffix.lower() in endings}
    goldens = {name for name in found if name.startswith("tests/goldens/")}  # synthetic cases
    free = {name for name in found if name.startswith("book/own-images/")}  # their README names source and terms
    assert found - goldens - free <= PICTURES


def runs_of(images: np.ndarray) -> set[bytes]:
    """A varied row of RUN pixels from the middle of each image."""
    found = set()
    for image in images:
        rows = image[image.shape[0] // 2 :, image.shape[1] // 2 :][:, :RUN]
        found.add(max(rows, key=lambda row: len(np.unique(row))).astype(np.uint8).tobytes())
    return found


def holds(content: bytes, wanted: set[bytes]) -> bool:
    """Whether one of the runs occurs in the content; candidates are sifted two bytes at a time."""
    pixels = np.frombuffer(content, np.uint8)
    places = np.arange(max(0, len(pixels) - RUN + 1))
    for offset in range(0, RUN, 2):
        known = np.zeros(1 << 16, bool)
        known[[run[offset] << 8 | run[offset + 1] for run in wanted]] = True
        pairs = pixels[places + offset].astype(np.uint16) << 8 | pixels[places + offset + 1]
        places = places[known[pairs]]
    return any(content[place : place + RUN] in wanted for place in places)


@pytest.mark.realdata
def test_no_tracked_file_holds_a_row_of_real_pixels():
    wanted = runs_of(data.frames("isbi2012", "train-volume.tif")) | runs_of(data.frames("isbi2012", "test-volume.tif"))
    for name in ("phc-u373", "dic-hela"):
        for video in ("01", "02"):
            wanted |= runs_of(data.frames(name, video))
    for path in tracked():
        assert not holds(path.read_bytes(), wanted), path
    # Within PNG files and outputs pixels are compressed: there a picture is unpacked first.
    pictures = [picture for path in CHAPTERS for picture in outputs(path)[1]]
    assert pictures
    for picture in pictures:
        assert not holds(unpacked(picture), wanted)


def unpacked(picture: bytes) -> bytes:
    with Image.open(io.BytesIO(picture)) as file:
        return np.asarray(file.convert("RGBA").convert("L")).tobytes()


@pytest.mark.realdata("isbi2012")
def test_a_verbatim_image_would_be_noticed(tmp_path):
    image = data.frames("isbi2012", "train-volume.tif")[3]
    Image.fromarray(image).save(tmp_path / "leak.png")
    content = unpacked((tmp_path / "leak.png").read_bytes())
    assert holds(content, runs_of(image[None])) and not holds(content[::-1], runs_of(image[None]))
